//! The end is told once for a start, whatever became of the run.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_at_any_point_is_told_to_have_been() {
    for told in 0..everything().len() {
        let hook = RecordingHook::new();
        let courier = courier(&Hooks::new().with(hook.clone()));
        let (work, mut stop) = (courier.clone(), told);
        let steps: [fn(&Courier); 6] = [
            Courier::start,
            |courier| courier.progress("half", 1, Usage::default()),
            |courier| courier.tool_start(&call()),
            |courier| courier.tool_progress(&call(), "a third"),
            |courier| courier.tool_end(&call(), &result()),
            |courier| courier.compaction(1000, 10),
        ];
        let running = tokio::spawn(courier.attend(async move {
            for step in steps {
                step(&work);
                if stop == 0 {
                    std::future::pending::<()>().await;
                }
                stop -= 1;
                tokio::task::yield_now().await;
            }
        }));
        settle().await;
        running.abort();
        end_of(&hook).await;
        let mut expected = everything()[..=told].to_vec();
        expected.push(Told::End(RunEnd::Dropped, 0));
        assert_eq!(hook.told_of(run().id), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_run_does_not_wait_for_a_tool_that_outlives_it() {
    let hook = RecordingHook::new();
    let courier = courier(&Hooks::new().with(hook.clone()));
    let kept = courier.clone();
    courier.start();
    drop(courier.guard());
    end_of(&hook).await;
    kept.tool_progress(&call(), "nobody hears");
    kept.end(completed());
    kept.start();
    settle().await;
    assert_eq!(hook.told_of(run().id), [Told::Start, Told::End(RunEnd::Dropped, 0)]);
}

#[tokio::test(start_paused = true)]
async fn the_last_clone_that_is_dropped_is_an_end_too() {
    let hook = RecordingHook::new();
    let courier = courier(&Hooks::new().with(hook.clone()));
    courier.start();
    drop(courier);
    end_of(&hook).await;
    assert_eq!(hook.told_of(run().id), [Told::Start, Told::End(RunEnd::Dropped, 0)]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_of_a_run_that_did_not_start() {
    let hook = RecordingHook::new();
    let courier = courier(&Hooks::new().with(hook.clone()));
    courier.progress("half", 1, Usage::default());
    courier.end(completed());
    tell_everything(&courier);
    drop(courier.guard());
    settle().await;
    assert_eq!(hook.told(), []);
}

#[tokio::test(start_paused = true)]
async fn a_second_start_and_a_second_end_are_not_told() {
    let hook = RecordingHook::new();
    let courier = courier(&Hooks::new().with(hook.clone()));
    courier.start();
    tell_everything(&courier);
    courier.end(completed());
    courier.end(RunEnd::Dropped);
    drop(courier.guard());
    end_of(&hook).await;
    settle().await;
    assert_eq!(hook.told_of(run().id), everything_until(completed()));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_run_is_told_and_goes_on() {
    let hook = RecordingHook::new();
    let courier = courier(&Hooks::new().with(hook.clone()));
    let work = courier.clone();
    let running = tokio::spawn(courier.attend(async move {
        work.start();
        if work.is_silent() {
            return;
        }
        std::panic::panic_any("out of cheese".to_owned());
    }));
    let payload = running.await.unwrap_err().into_panic();
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "out of cheese");
    end_of(&hook).await;
    let end = RunEnd::Panicked("out of cheese".into());
    assert_eq!(hook.told_of(run().id), [Told::Start, Told::End(end, 0)]);
}

#[tokio::test(start_paused = true)]
async fn without_hooks_there_is_no_task_and_no_end() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let courier = Hooks::new().courier(run(), |_| {});
    assert!(courier.is_silent());
    tell_everything(&courier);
    assert_eq!(courier.clone().attend(async { 42 }).await, 42);
    assert_eq!(tasks(), before);
    courier.end(completed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runs_that_race_for_their_start_and_end_have_one_of_each() {
    for _ in 0..200 {
        let hook = RecordingHook::new();
        let courier = courier(&Hooks::new().with(hook.clone()));
        let racers: Vec<_> = (0..4)
            .map(|_| {
                let courier = courier.clone();
                tokio::spawn(async move {
                    tell_everything(&courier);
                    courier.end_with(&Ok(Output::text("done")), false);
                })
            })
            .collect();
        drop(courier);
        for racer in racers {
            racer.await.unwrap();
        }
        hook.ends(1).await;
        let told = hook.told_of(run().id);
        let count = |wanted: &Told| told.iter().filter(|&told| told == wanted).count();
        let end = Told::End(completed(), 0);
        assert_eq!((told.first(), told.last()), (Some(&Told::Start), Some(&end)));
        assert_eq!((count(&Told::Start), count(&end)), (1, 1));
    }
}

#[test]
fn nothing_is_told_when_the_runtime_is_gone() {
    let (hook, bad) = (RecordingHook::new(), Bad::new("on_start", Way::HangAndPanic));
    let courier = courier(&Hooks::new().with(bad.clone()).with(hook.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let running = runtime.spawn(courier.clone().attend({
        let courier = courier.clone();
        async move {
            tell_everything(&courier);
            std::future::pending::<()>().await;
        }
    }));
    runtime.block_on(async {
        while bad.called.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    });
    drop(runtime);
    assert!(running.is_finished());
    courier.progress("half", 1, Usage::default());
    courier.end(completed());
    assert_eq!(hook.told(), []);
}

#[test]
fn a_run_outside_of_a_runtime_is_not_told() {
    let hook = RecordingHook::new();
    let courier = courier(&Hooks::new().with(hook.clone()));
    tell_everything(&courier);
    courier.end(completed());
    assert_eq!(hook.told(), []);
}

#[test]
fn an_end_says_what_kind_it_is() {
    let failure = || bg_core::Failure::new("stopped").with_partial(Output::text("half"));
    let stopped = RunEnd::of(&Err(failure()), true);
    assert_eq!(stopped, RunEnd::Stopped(Arc::new(failure())));
    assert_eq!(RunEnd::of(&Err(failure()), false), RunEnd::Failed(Arc::new(failure())));
    assert_eq!(stopped.output(), Some(&Output::text("half")));
    assert_eq!(RunEnd::of(&Ok(Output::text("all")), true).output(), Some(&Output::text("all")));
    assert_eq!(RunEnd::Dropped.output(), None);
}
