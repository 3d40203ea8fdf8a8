//! What waits to be told is bounded, and what is left out is counted.

use super::super::courier::{MAX_WAITING, MAX_WAITING_BYTES};
use super::*;

/// Is let on, one notification at a time.
struct Gate(Arc<tokio::sync::Semaphore>, RecordingHook);

#[async_trait]
impl AgentHook for Gate {
    async fn on_progress(&self, run: &RunInfo, progress: &Progress) {
        self.0.acquire().await.unwrap().forget();
        self.1.on_progress(run, progress).await;
    }

    async fn on_tool_end(&self, run: &RunInfo, call: &ToolCall, result: &ToolResult) {
        self.0.acquire().await.unwrap().forget();
        self.1.on_tool_end(run, call, result).await;
    }

    async fn on_end(&self, run: &RunInfo, end: &RunEnd, skipped: u64) {
        self.1.on_end(run, end, skipped).await;
    }
}

fn gated() -> (Arc<tokio::sync::Semaphore>, RecordingHook, Courier) {
    let (gate, hook) = (Arc::new(tokio::sync::Semaphore::new(0)), RecordingHook::new());
    let courier = courier(&Hooks::new().with(Gate(gate.clone(), hook.clone())));
    courier.start();
    (gate, hook, courier)
}

fn told_and_skipped(hook: &RecordingHook) -> (usize, u64) {
    let told = hook.told_of(run().id);
    let Some(Told::End(_, skipped)) = told.last() else { panic!("no end: {told:?}") };
    (told.len() - 1, *skipped)
}

#[tokio::test(start_paused = true)]
async fn of_a_flood_what_waits_is_bounded_and_the_rest_counted() {
    let (gate, hook, courier) = gated();
    let begun = Instant::now();
    for step in 0..100_000 {
        courier.progress("on", step, Usage::default());
        if step % 1000 == 0 {
            // So that the task comes in between.
            tokio::task::yield_now().await;
        }
    }
    courier.end(completed());
    assert_eq!(begun.elapsed(), Duration::ZERO);
    gate.add_permits(100_000);
    end_of(&hook).await;
    let (told, skipped) = told_and_skipped(&hook);
    // Those that wait, and the one that is being told.
    assert_eq!(told, MAX_WAITING + 1);
    assert_eq!(told as u64 + skipped, 100_000);
    let steps = hook.told_of(run().id).into_iter().filter_map(|told| match told {
        Told::Progress(progress) => Some(progress.step),
        _ => None,
    });
    assert!(steps.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_free_again_is_used_again() {
    let (gate, hook, courier) = gated();
    gate.add_permits(100_000);
    for step in 0..1000 {
        courier.progress("on", step, Usage::default());
        if step % 100 == 0 {
            settle().await;
        }
    }
    courier.end(completed());
    end_of(&hook).await;
    assert_eq!(told_and_skipped(&hook), (1000, 0));
}

#[tokio::test(start_paused = true)]
async fn large_answers_are_bounded_by_their_bytes() {
    const MANY: usize = 40;
    let (gate, hook, courier) = gated();
    let answer = ToolResult::new(&call(), "x".repeat(1 << 20), true);
    for _ in 0..MANY {
        courier.tool_end(&call(), &answer);
    }
    // What is small has a place still.
    courier.progress("on", 1, Usage::default());
    gate.add_permits(MANY + 1);
    settle().await;
    // All that was taken was given back.
    courier.tool_end(&call(), &ToolResult::new(&call(), "x".repeat(7 << 20), true));
    gate.add_permits(1);
    courier.tool_end(&call(), &ToolResult::new(&call(), "x".repeat(9 << 20), true));
    courier.end(completed());
    end_of(&hook).await;
    let fit = MAX_WAITING_BYTES / (1 << 20) - 1;
    assert_eq!(told_and_skipped(&hook), (fit + 2, (MANY - fit + 1) as u64));
}

#[tokio::test(start_paused = true)]
async fn texts_are_cut_between_two_graphemes() {
    let hook = RecordingHook::new();
    let courier = courier(&Hooks::new().with(hook.clone()));
    courier.start();
    // Three bytes each, so that the limit is in the middle of one.
    let text = "e\u{301}".repeat(1000);
    courier.progress(&text, 1, Usage::default());
    courier.tool_progress(&call(), &text);
    courier.end(completed());
    end_of(&hook).await;
    let told = hook.told_of(run().id);
    let cut = "e\u{301}".repeat(Progress::MAX_TEXT_BYTES / 3);
    assert_eq!(told[1], Told::Progress(Progress::new(&cut, 1, Usage::default())));
    assert_eq!(told[2], Told::ToolProgress(call(), cut));
}
