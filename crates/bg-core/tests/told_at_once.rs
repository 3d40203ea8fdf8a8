//! Whoever waits for an end is told when it comes, although nobody looks at the registry.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bg_core::{Block, EventKind, Limits, Output, Registry, Scope, Status, Task, TaskContext};
use bg_core::{TaskId, View};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Time stands still until all are idle: then nobody will be told any more.
async fn told<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(1), future).await.expect("nobody was told")
}

/// Lets everything run that can.
async fn idle() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

/// Spawns a task that ends when it is let, and tells what it has of its own.
async fn held<T: Send + 'static>(
    root: &Scope,
    task: Task,
    own: impl FnOnce(&TaskContext) -> T + Send + 'static,
) -> (TaskId, T, oneshot::Sender<()>) {
    let (end, ended) = oneshot::channel();
    let (give, given) = oneshot::channel();
    let body = |cx: TaskContext| async move {
        let _ = give.send(own(&cx));
        ended.await.ok();
        Ok(Output::text("done"))
    };
    let id = root.spawn(task, body).unwrap();
    (id, given.await.unwrap(), end)
}

fn task() -> Task {
    Task::new("held", "")
}

fn root() -> (Registry, Scope) {
    let registry = Registry::new();
    let root = registry.root_scope();
    (registry, root)
}

#[tokio::test(start_paused = true)]
async fn a_wait() {
    let (_registry, root) = root();
    let (id, (), end) = held(&root, task(), |_| ()).await;
    let waiting = tokio::spawn(root.wait([id]));
    idle().await;
    end.send(()).unwrap();
    assert_eq!(told(waiting).await.unwrap().unwrap().ended[0].id, id);
}

#[tokio::test(start_paused = true)]
async fn a_listener_on_the_inbox_also_when_it_listens_a_second_time() {
    let (_registry, root) = root();
    for _ in 0..2 {
        let (id, (), end) = held(&root, task(), |_| ()).await;
        let listening = tokio::spawn(root.inbox().next());
        idle().await;
        end.send(()).unwrap();
        assert_eq!(told(listening).await.unwrap().unwrap().ack().id, id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_the_status() {
    let (_registry, root) = root();
    let (id, (), end) = held(&root, task(), |_| ()).await;
    let mut watch = root.watch(id).unwrap();
    end.send(()).unwrap();
    assert_eq!(told(watch.changed()).await, Some(Status::Completed));
}

#[tokio::test(start_paused = true)]
async fn whoever_follows_the_output() {
    let (_registry, root) = root();
    let (_, log, end) = held(&root, task(), TaskContext::log).await;
    let mut follow = log.follow(0);
    end.send(()).unwrap();
    assert!(told(follow.next(9)).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn whoever_receives_mail_for_the_task() {
    let (_registry, root) = root();
    let (_, mailbox, end) = held(&root, task(), TaskContext::mailbox).await;
    end.send(()).unwrap();
    assert!(told(mailbox.recv()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_subscriber() {
    let (registry, root) = root();
    let (id, (), end) = held(&root, task(), |_| ()).await;
    let mut events = registry.events();
    end.send(()).unwrap();
    let event = told(events.next()).await.unwrap().unwrap();
    assert_eq!((event.task, event.what), (id, EventKind::Status(Status::Completed)));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_the_slot() {
    let registry = Registry::builder().limits(Limits::default().running(1)).build();
    let root = registry.root_scope();
    let (_, (), end) = held(&root, task(), |_| ()).await;
    let (give, given) = oneshot::channel();
    let next = |_| async move {
        let _ = give.send(());
        Ok(Output::default())
    };
    root.spawn(Task::new("next", ""), next).unwrap();
    end.send(()).unwrap();
    told(given).await.unwrap();
}

/// Closes its end of a channel when it is dropped.
struct Alive(#[expect(dead_code, reason = "held to be dropped")] oneshot::Sender<()>);

#[tokio::test(start_paused = true)]
async fn the_children_of_the_task() {
    let (_registry, root) = root();
    let (give, gone) = oneshot::channel();
    let alive = Alive(give);
    let spawn_child = |cx: &TaskContext| {
        let child = |_| async move {
            let _alive = alive;
            pending().await
        };
        cx.scope().spawn(Task::new("child", ""), child).unwrap();
    };
    let (_, (), end) = held(&root, task(), spawn_child).await;
    end.send(()).unwrap();
    told(gone).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_root_whose_handles_are_gone_which_is_forgotten() {
    let (_registry, root) = root();
    let (give, gone) = oneshot::channel();
    let view = Arc::new(Unseen(Alive(give)));
    let (_, (), end) = held(&root, task(), |cx| cx.attach_view(view)).await;
    drop(root);
    end.send(()).unwrap();
    told(gone).await.unwrap_err();
}

struct Unseen(#[expect(dead_code, reason = "held to be dropped")] Alive);

impl View for Unseen {
    fn total(&self) -> usize {
        0
    }

    fn last(&self, _: usize) -> Vec<Block> {
        Vec::new()
    }
}

#[tokio::test(start_paused = true)]
async fn the_timer_of_a_deadline_which_goes_with_its_task() {
    let (_registry, root) = root();
    let (_, (), end) = held(&root, task().deadline(Duration::from_secs(60)), |_| ()).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 2);
    end.send(()).unwrap();
    idle().await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_whether_the_inbox_is_empty() {
    let (_registry, root) = root();
    assert!(root.inbox().is_empty());
    let (id, (), end) = held(&root, task(), |_| ()).await;
    assert!(root.inbox().is_empty());
    end.send(()).unwrap();
    idle().await;
    assert!(!root.inbox().is_empty());
    assert_eq!(root.inbox().try_next().unwrap().ack().id, id);
    assert!(root.inbox().is_empty());
}
