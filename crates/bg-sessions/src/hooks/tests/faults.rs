//! A hook that misbehaves keeps nobody waiting and takes nothing from the others.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_hook_that_misbehaves_in_any_way_anywhere_takes_nothing_from_the_others() {
    for at in CALLS {
        for way in WAYS {
            check(at, way).await;
        }
    }
}

async fn check(at: &'static str, way: Way) {
    let (before, bad, after) = (RecordingHook::new(), Bad::new(at, way), RecordingHook::new());
    let hooks = Hooks::new().with(before.clone()).with(bad.clone()).with(after.clone());
    let reports = Reports::default();
    let begun = Instant::now();
    let courier = reports.courier(&hooks);
    tell_everything(&courier);
    courier.end(completed());
    assert_eq!(begun.elapsed(), Duration::ZERO, "{way:?} in {at}");

    end_of(&after).await;
    assert_eq!(before.told_of(run().id), everything_until(completed()), "{way:?} in {at}");
    assert_eq!(after.told(), before.told(), "{way:?} in {at}");
    let expected = if way.is_late() { up_to(at) } else { CALLS.to_vec() };
    assert_eq!(*bad.called.lock(), expected, "{way:?} in {at}");
    assert_eq!(reports.lines().len(), usize::from(way != Way::Slow), "{way:?} in {at}");
    assert!(reports.lines().iter().all(|line| line.starts_with(&format!("{at} of hook 2 "))));
    assert!(begun.elapsed() <= Hooks::DEADLINE + Duration::from_millis(2), "{way:?} in {at}");
}

/// The calls up to one, and the end.
fn up_to(at: &str) -> Vec<&'static str> {
    let until = CALLS.iter().position(|&call| call == at).unwrap();
    let mut calls = CALLS[..=until].to_vec();
    if at != "on_end" {
        calls.push("on_end");
    }
    calls
}

/// Panics before it gives a future.
struct GivesNoFuture;

impl AgentHook for GivesNoFuture {
    fn on_start<'a, 'b, 'c>(
        &'a self,
        _: &'b RunInfo,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'c>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        panic!("no future")
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_gives_no_future_is_a_panic_of_its_own() {
    let (hook, reports) = (RecordingHook::new(), Reports::default());
    let courier = reports.courier(&Hooks::new().with(GivesNoFuture).with(hook.clone()));
    tell_everything(&courier);
    courier.end(completed());
    end_of(&hook).await;
    assert_eq!(hook.told_of(run().id), everything_until(completed()));
    assert_eq!(reports.lines(), ["on_start of hook 1 panicked: no future"]);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_panics_is_caught() {
    let hook = RecordingHook::new();
    let hooks = Hooks::new().with(Bad::new("on_start", Way::Panic)).with(hook.clone());
    let courier = hooks.courier(run(), |_| panic!("the report of a test"));
    tell_everything(&courier);
    courier.end(completed());
    end_of(&hook).await;
    assert_eq!(hook.told_of(run().id), everything_until(completed()));
}

#[tokio::test(start_paused = true)]
async fn so_many_faults_of_a_hook_are_reported_and_no_more() {
    let (hook, reports) = (RecordingHook::new(), Reports::default());
    let bad = Bad::new("on_progress", Way::Panic);
    let courier = reports.courier(&Hooks::new().with(bad.clone()).with(hook.clone()));
    courier.start();
    for step in 1..=100 {
        courier.progress("on", step, Usage::default());
    }
    courier.end(completed());
    end_of(&hook).await;
    assert_eq!(bad.called.lock().len(), 102);
    assert_eq!(reports.lines(), ["on_progress of hook 1 panicked: a hook of a test"; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_was_late_is_told_its_end_and_what_it_missed() {
    /// Hangs in its first progress.
    #[derive(Clone)]
    struct Late(RecordingHook);

    #[async_trait]
    impl AgentHook for Late {
        async fn on_progress(&self, _: &RunInfo, _: &Progress) {
            std::future::pending::<()>().await;
        }

        async fn on_end(&self, run: &RunInfo, end: &RunEnd, skipped: u64) {
            self.0.on_end(run, end, skipped).await;
        }
    }

    let late = Late(RecordingHook::new());
    let courier = courier(&Hooks::new().with(late.clone()));
    tell_everything(&courier);
    courier.end(completed());
    end_of(&late.0).await;
    // Four of a tool and a compaction came after the progress that it did not come back from.
    assert_eq!(late.0.told_of(run().id), [Told::End(completed(), 4)]);
}

/// Starts a task in every call and waits for it, and once for the end of the run itself.
struct Reenters {
    scope: bg_core::Scope,
    run_ended: tokio::sync::watch::Receiver<bool>,
    told: RecordingHook,
}

impl Reenters {
    async fn reenter(&self) {
        let id = self
            .scope
            .spawn(bg_core::Task::new("nested", "work"), |_| async { Ok(Output::text("nested")) });
        let ended = self.scope.wait([id.unwrap()]).await.unwrap();
        assert!(ended.ended[0].outcome.is_success());
        self.run_ended.clone().wait_for(|&ended| ended).await.unwrap();
    }
}

#[async_trait]
impl AgentHook for Reenters {
    async fn on_start(&self, run: &RunInfo) {
        self.reenter().await;
        self.told.on_start(run).await;
    }

    async fn on_progress(&self, run: &RunInfo, progress: &Progress) {
        self.reenter().await;
        self.told.on_progress(run, progress).await;
    }

    async fn on_end(&self, run: &RunInfo, end: &RunEnd, skipped: u64) {
        self.reenter().await;
        self.told.on_end(run, end, skipped).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_may_start_work_and_wait_for_the_very_run_that_it_is_told_of() {
    let registry = bg_core::Registry::new();
    let scope = registry.root_scope();
    let (ended, run_ended) = tokio::sync::watch::channel(false);
    let told = RecordingHook::new();
    let hook = Reenters { scope: scope.clone(), run_ended, told: told.clone() };
    let courier = courier(&Hooks::new().with(hook));
    let work = courier.clone();
    let id = scope.spawn(bg_core::Task::agent("explore", "run"), |_| {
        courier.attend(async move {
            work.start();
            work.progress("half", 1, Usage::default());
            work.end(completed());
            Ok(Output::text("done"))
        })
    });
    let begun = Instant::now();
    scope.wait([id.unwrap()]).await.unwrap();
    ended.send_replace(true);
    end_of(&told).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(told.told().len(), 3);
}
