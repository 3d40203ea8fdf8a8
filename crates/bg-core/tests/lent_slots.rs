//! A task that waits for others lends its slot for that time and no longer, so that parents do not
//! starve their own children, and never more run than may.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bg_core::{Completer, Limits, Output, Registry, Scope, SpawnError, Status, Task, TaskContext};
use bg_core::{TaskId, WaitFor};
use support::{elapse, held, idle, poll, register};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

mod support;

const LONG: Duration = Duration::from_secs(60);

fn at_once(tasks: usize) -> (Registry, Scope) {
    let limits = Limits::default().running(tasks).undelivered(usize::MAX, u64::MAX);
    let registry = Registry::builder().limits(limits).build();
    let root = registry.root_scope();
    (registry, root)
}

/// Checks whether a task has begun, after everybody went on as far as they can.
async fn check_begun(root: &Scope, id: TaskId, begun: bool) {
    idle().await;
    assert_eq!(root.inspect(id).unwrap().status != Status::Pending, begun);
}

/// Runs a parent in a root with one slot. It waits in the given way for a child that somebody else
/// completes after a minute; checks that another task runs in that time, and that no task begins
/// when the wait is over in whatever way and the parent goes on.
async fn check_lent_for_the_wait<F, Fut>(wait: F)
where
    F: FnOnce(TaskContext, TaskId) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (registry, root) = at_once(1);
    let (release, released) = oneshot::channel::<()>();
    let (give, child) = oneshot::channel::<Completer>();
    let parent = |cx: TaskContext| async move {
        let (id, completer) = register(&cx.scope(), "child");
        give.send(completer).unwrap();
        wait(cx, id).await;
        let _ = released.await;
        Ok(Output::default())
    };
    root.spawn(Task::new("parent", ""), parent).unwrap();
    let (bystander, done) = held(&root, "bystander");
    let child = child.await.unwrap();
    check_begun(&root, bystander, true).await;
    drop(done);
    elapse(LONG).await;
    child.complete(Ok(Output::default()));
    idle().await;
    let (late, _late) = held(&root, "late");
    check_begun(&root, late, false).await;
    drop(release);
    check_begun(&root, late, true).await;
    assert_eq!(registry.admin().stats().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_lent_until_the_wait_is_over() {
    check_lent_for_the_wait(|cx, child| async move {
        assert_eq!(cx.wait([child]).await.unwrap().ended.len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_lent_until_the_time_of_the_wait_is_over() {
    check_lent_for_the_wait(|cx, child| async move {
        assert!(cx.wait([child]).timeout(LONG / 2).await.unwrap().timed_out);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_lent_until_the_wait_is_dropped() {
    check_lent_for_the_wait(|cx, child| async move {
        assert!(timeout(LONG / 2, cx.wait([child])).await.is_err());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_lent_until_the_next_outcome() {
    check_lent_for_the_wait(|cx, child| async move {
        assert_eq!(cx.scope().inbox().next().await.unwrap().ack().id, child);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_lent_until_the_listener_is_dropped() {
    check_lent_for_the_wait(|cx, _| async move {
        assert!(timeout(LONG / 2, cx.scope().inbox().next()).await.is_err());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_lent_until_the_last_of_several_waits_is_over() {
    let (_registry, root) = at_once(1);
    let parent = |cx: TaskContext| async move {
        let (child, _completer) = register(&cx.scope(), "child");
        let (scope, short) = (cx.scope(), cx.wait([child]).timeout(LONG));
        let (first, second) = tokio::join!(short, timeout(LONG * 2, scope.inbox().next()));
        assert!(first.unwrap().timed_out && second.is_err());
        pending().await
    };
    root.spawn(Task::new("parent", ""), parent).unwrap();
    elapse(LONG + LONG / 2).await;
    let (between, done) = held(&root, "between");
    check_begun(&root, between, true).await;
    drop(done);
    elapse(LONG).await;
    let (late, _late) = held(&root, "late");
    check_begun(&root, late, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_lent_while_a_foreground_task_is_awaited() {
    check_lent_for_the_wait(|cx, _| async move {
        let scope = cx.scope();
        let call = scope.spawn(Task::new("call", "").foreground(), |_| async {
            elapse(LONG / 2).await;
            Ok(Output::default())
        });
        scope.foreground(call.unwrap()).unwrap().await.unwrap().ack();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_not_lent_for_what_has_ended() {
    let (_registry, root) = at_once(1);
    let (release, released) = oneshot::channel::<()>();
    let body = |cx: TaskContext| async move {
        let child = support::ended(&cx.scope(), "child");
        let mut wait = cx.wait([child]).until(WaitFor::Any);
        // Over, and dropped only at the end.
        assert!(poll(&mut wait).is_ready());
        let _ = released.await;
        Ok(Output::default())
    };
    root.spawn(Task::new("parent", ""), body).unwrap();
    let (late, _late) = held(&root, "late");
    check_begun(&root, late, false).await;
    drop(release);
    check_begun(&root, late, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_by_somebody_else_lends_nothing() {
    let (_registry, root) = at_once(1);
    let (parent, _release) = held(&root, "parent");
    let (late, _late) = held(&root, "late");
    let (mut wait, mut next) = (root.wait([parent]), root.inbox().next());
    assert!(poll(&mut wait).is_pending() && poll(&mut next).is_pending());
    check_begun(&root, late, false).await;
}

/// Starts a chain of tasks, each of which waits for the one that it has started.
fn nested(
    cx: TaskContext,
    below: u32,
    by_inbox: bool,
) -> futures_util::future::BoxFuture<'static, bg_core::TaskResult> {
    Box::pin(async move {
        if below > 0 {
            let body = move |cx| nested(cx, below - 1, by_inbox);
            let child = cx.scope().spawn(Task::new("below", ""), body)?;
            if by_inbox {
                cx.scope().inbox().next().await.unwrap().ack();
            } else {
                cx.wait([child]).await?;
            }
        }
        Ok(Output::text(format!("{below} below")))
    })
}

#[tokio::test(start_paused = true)]
async fn with_one_slot_parents_get_their_childrens_results() {
    for by_inbox in [false, true] {
        let (_registry, root) = at_once(1);
        let body = move |cx| nested(cx, 3, by_inbox);
        let first = root.spawn(Task::new("first", ""), body).unwrap();
        let second = root.spawn(Task::new("second", ""), body).unwrap();
        let waited = root.wait([first, second]).timeout(LONG).await.unwrap();
        assert!(!waited.timed_out);
        assert!(waited.ended.iter().all(|finished| finished.outcome.is_success()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_parent_that_waits_for_many_lends_one_slot() {
    let (_registry, root) = at_once(2);
    let most = Arc::new(AtomicUsize::new(0));
    let seen = most.clone();
    let body = move |cx: TaskContext| async move {
        let running = Arc::new(AtomicUsize::new(0));
        let children: Vec<_> = (0..20)
            .map(|_| {
                let (running, seen) = (running.clone(), seen.clone());
                let child = move |_| async move {
                    seen.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    idle().await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(Output::default())
                };
                cx.scope().spawn(Task::new("child", ""), child).unwrap()
            })
            .collect();
        assert_eq!(cx.wait(children).await.unwrap().ended.len(), 20);
        Ok(Output::default())
    };
    let parent = root.spawn(Task::new("parent", ""), body).unwrap();
    let waited = root.wait([parent]).timeout(LONG).await.unwrap();
    assert!(waited.ended.iter().all(|finished| finished.outcome.is_success()));
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_parent_that_is_stopped_while_it_lends_its_slot_frees_it_once() {
    let (registry, root) = at_once(1);
    let body = |cx: TaskContext| async move {
        let child = cx.scope().spawn(Task::new("child", ""), |_| pending()).unwrap();
        cx.wait([child]).await?;
        Ok(Output::default())
    };
    let parent = root.spawn(Task::new("parent", ""), body).unwrap();
    idle().await;
    assert_eq!(registry.admin().stats().live, 2);
    root.cancel(parent, "enough").unwrap();
    let (first, _first) = held(&root, "first");
    let (second, _second) = held(&root, "second");
    check_begun(&root, first, true).await;
    check_begun(&root, second, false).await;
}

/// Splitmix64: every seed is as good as any other.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// How many bodies there are between their first poll and their end.
#[derive(Clone, Default)]
struct Running(Arc<AtomicUsize>);

impl Running {
    fn check(&self, limit: usize) {
        let running = self.0.load(Ordering::SeqCst);
        assert!(running <= limit, "{running} run where {limit} may");
    }

    /// Spawns a task that does not wait for anybody, with children that do not either.
    fn spawn(&self, scope: &Scope, limit: usize, size: u64) -> Result<TaskId, SpawnError> {
        let running = self.clone();
        let body = move |cx: TaskContext| async move {
            running.0.fetch_add(1, Ordering::SeqCst);
            let counter = running.clone();
            let _end = support::OnDrop(move || {
                counter.0.fetch_sub(1, Ordering::SeqCst);
            });
            for step in 0..size {
                running.check(limit);
                match (size + step) % 5 {
                    0 => drop(running.spawn(&cx.scope(), limit, size / 2)),
                    1 => elapse(Duration::from_millis(size)).await,
                    2 if size.is_multiple_of(3) => drop(cx.token()),
                    _ => yield_now().await,
                }
            }
            running.check(limit);
            Ok(Output::default())
        };
        scope.spawn(Task::new("one", "").grace(Duration::from_millis(3)), body)
    }
}

async fn random_run(seed: u64) {
    let mut random = Random(seed);
    let limit = usize::try_from(1 + random.below(4)).unwrap();
    let (registry, root) = at_once(limit);
    let (running, mut ids) = (Running::default(), BTreeMap::new());
    for turn in 0..300 {
        match random.below(16) {
            0..9 => drop(ids.insert(turn, running.spawn(&root, limit, random.below(9)).unwrap())),
            9..12 => {
                let some = random.below(turn + 1);
                if let Some((_, &id)) = ids.range(some..).next() {
                    root.cancel(id, "enough").map(drop).unwrap_or_default();
                }
            }
            12 => idle().await,
            13 if random.below(20) == 0 => drop(root.cancel_all("enough")),
            _ => yield_now().await,
        }
        running.check(limit);
    }
    for _ in 0..1_000 {
        idle().await;
        running.check(limit);
    }
    let stats = registry.admin().stats();
    assert_eq!((stats.live, stats.queued, stats.undelivered), (0, 0, ids.len()));
    assert_eq!(running.0.load(Ordering::SeqCst), 0);
    // Every slot is free again, and not one more.
    let extra: Vec<_> = (0..=limit).map(|_| held(&root, "extra")).collect();
    idle().await;
    let begun = extra.iter().filter(|(id, _)| root.inspect(*id).unwrap().status != Status::Pending);
    assert_eq!(begun.count(), limit);
}

#[test]
fn whatever_happens_no_more_than_the_limit_are_between_their_begin_and_end() {
    let seeds = match std::env::var("BG_SLOTS_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..60).collect(),
    };
    for seed in seeds {
        let run = AssertUnwindSafe(|| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_time().start_paused(true).build().unwrap().block_on(random_run(seed));
        });
        if let Err(panic) = catch_unwind(run) {
            eprintln!(
                "repeat it with: BG_SLOTS_SEED={seed} cargo test -p bg-core --test lent_slots"
            );
            resume_unwind(panic);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_more_than_the_limit_run_on_many_threads() {
    const TASKS: usize = 1_000;
    let (registry, root) = at_once(3);
    let running = Running::default();
    let spawners: Vec<_> = (0..4)
        .map(|_| {
            let (running, root) = (running.clone(), root.clone());
            tokio::spawn(async move {
                for _ in 0..TASKS / 4 {
                    running.spawn(&root, 3, 3).unwrap();
                }
            })
        })
        .collect();
    for spawner in spawners {
        spawner.await.unwrap();
    }
    for _ in 0..TASKS {
        let claim = tokio::time::timeout(support::HANG, root.inbox().next()).await.unwrap();
        assert!(claim.unwrap().ack().outcome.is_success());
    }
    // The children that their owners had not waited for end after them.
    let over = async {
        while registry.admin().stats().live > 0 {
            yield_now().await;
        }
    };
    timeout(support::HANG, over).await.unwrap();
    assert_eq!(registry.admin().stats().queued, 0);
}
