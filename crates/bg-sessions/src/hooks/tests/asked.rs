//! Hooks that have a say.

use super::*;

/// Adds a word to what it is asked about.
struct Adds(&'static str);

#[async_trait]
impl AgentHook for Adds {
    async fn before_run(&self, _: &RunInfo, input: &mut RunInput) -> Result<(), BoxError> {
        input.prompt.push_str(self.0);
        Ok(())
    }

    async fn after_run(&self, _: &RunInfo, output: &mut Output) -> Result<(), BoxError> {
        output.text.push_str(self.0);
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("not on a Friday")]
struct Friday(#[source] std::num::ParseIntError);

struct Refuses;

#[async_trait]
impl AgentHook for Refuses {
    async fn before_run(&self, _: &RunInfo, input: &mut RunInput) -> Result<(), BoxError> {
        input.prompt.push_str(", refused");
        Err(Friday("x".parse::<u8>().unwrap_err()).into())
    }

    async fn after_run(&self, _: &RunInfo, output: &mut Output) -> Result<(), BoxError> {
        output.text.push_str(", refused");
        Err(Friday("x".parse::<u8>().unwrap_err()).into())
    }
}

#[tokio::test(start_paused = true)]
async fn each_sees_what_the_ones_before_it_have_left() {
    let hook = RecordingHook::new();
    let hooks = Hooks::new().with(Adds(", first")).with(Adds(", second")).with(hook.clone());
    let courier = courier(&hooks);
    let (mut input, mut output) = (RunInput::new("ask"), Output::text("answer"));
    courier.before(&mut input).await.unwrap();
    courier.after(&mut output).await.unwrap();
    assert_eq!(input.prompt, "ask, first, second");
    assert_eq!(output.text, "answer, first, second");
    assert_eq!(hook.told_of(run().id), [Told::Before(input), Told::After(output)]);
}

#[tokio::test(start_paused = true)]
async fn an_error_refuses_with_its_causes_and_nobody_after_it_is_asked() {
    let hook = RecordingHook::new();
    let hooks = Hooks::new().with(Adds(", first")).with(Refuses).with(hook.clone());
    let courier = courier(&hooks);
    let (mut input, mut output) = (RunInput::new("ask"), Output::text("answer"));
    let refused = bg_core::Failure::from(courier.before(&mut input).await.unwrap_err());
    assert_eq!(
        refused.to_string(),
        "a hook refused the run: not on a Friday: invalid digit found in string",
    );
    let refused = bg_core::Failure::from(courier.after(&mut output).await.unwrap_err());
    assert_eq!(refused.message, "a hook refused the output");
    assert_eq!((&*input.prompt, &*output.text), ("ask, first", "answer, first"));
    assert_eq!(hook.told(), []);
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_or_is_late_is_skipped_and_what_it_wrote_undone() {
    for way in WAYS {
        let reports = Reports::default();
        let hooks = Hooks::new()
            .with(Bad::new("before_run", way))
            .with(Bad::new("after_run", way))
            .with(Adds(", well"));
        let courier = reports.courier(&hooks);
        let (mut input, mut output) = (RunInput::new("ask"), Output::text("answer"));
        let begun = Instant::now();
        courier.before(&mut input).await.unwrap();
        courier.after(&mut output).await.unwrap();
        assert!(begun.elapsed() <= 2 * (Hooks::DEADLINE + Duration::from_millis(2)), "{way:?}");
        if way == Way::Slow {
            assert_eq!(input.prompt, "ask, badly, badly, well");
            continue;
        }
        // The one that behaves in this call is heard.
        assert_eq!(input.prompt, "ask, badly, well", "{way:?}");
        assert_eq!(output.text, "answer, badly, well", "{way:?}");
        let starts = ["before_run of hook 1 ", "after_run of hook 2 "];
        let lines = reports.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_the_hosts() {
    let hooks = Hooks::new()
        .with(Bad::new("before_run", Way::Hang))
        .with_deadline(Duration::from_millis(20));
    let reports = Reports::default();
    let begun = Instant::now();
    reports.courier(&hooks).before(&mut RunInput::new("ask")).await.unwrap();
    assert!(begun.elapsed() <= Duration::from_millis(22));
    assert_eq!(reports.lines(), ["before_run of hook 1 took longer than 20 ms"]);
}

/// Panics when it is asked what it says, and when it is dropped.
#[derive(Debug)]
struct BadError;

impl std::fmt::Display for BadError {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("nothing to say")
    }
}

impl std::error::Error for BadError {}

impl Drop for BadError {
    fn drop(&mut self) {
        panic!("the drop of an error")
    }
}

struct RefusesBadly;

#[async_trait]
impl AgentHook for RefusesBadly {
    async fn before_run(&self, _: &RunInfo, _: &mut RunInput) -> Result<(), BoxError> {
        Err(Box::new(BadError))
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_cannot_be_shown_refuses_all_the_same() {
    let courier = courier(&Hooks::new().with(RefusesBadly));
    let refused = courier.before(&mut RunInput::new("ask")).await.unwrap_err();
    let said = bg_core::Failure::from(refused).to_string();
    assert_eq!(said, "a hook refused the run: its error panicked: nothing to say");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_does_not_wait_for_a_hook() {
    let courier = courier(&Hooks::new().with(Bad::new("before_run", Way::HangAndPanic)));
    let mut input = RunInput::new("ask");
    let begun = Instant::now();
    let stopped = tokio::time::timeout(Duration::from_millis(1), courier.before(&mut input)).await;
    assert!(stopped.is_err());
    assert!(begun.elapsed() <= Duration::from_millis(2));
    assert_eq!(input, RunInput::new("ask"));
}
