//! The walls around every call: deadlines, panics, claims that go back, sizes, names.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::support;

use std::time::Duration;

use async_trait::async_trait;
use bg_core::TaskId;
use bg_tools::{
    Budget, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, Toolbox, ToolboxError,
};
use serde_json::Value;
use support::{caller, check_error};
use tokio::time::Instant;

/// What a tool of these tests does when it is done.
#[derive(Clone, Copy)]
enum Does {
    Hang,
    PanicInside,
    PanicWithNumber,
    PanicWithBomb,
    PanicWhenDropped,
    PanicInDeadline,
    Claim,
    ClaimAndHang,
    ClaimAndFail,
    Answer(usize),
}

struct Odd(&'static str, Does, Option<Duration>);

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::panic::panic_any(Self);
        }
    }
}

fn claim(cx: &ToolContext) -> ToolOutput {
    let id: TaskId = "agent:1".parse().unwrap();
    ToolOutput::text("mine").with_claim(cx.scope().claim(id).unwrap())
}

#[async_trait]
impl Tool for Odd {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<()>(self.0, "Odd.")
    }

    async fn call(&self, cx: &ToolContext, _: Value) -> Result<ToolOutput, ToolError> {
        match self.1 {
            Does::Hang => std::future::pending().await,
            Does::PanicInside => panic!("index {} out of range", 3),
            Does::PanicWithNumber => std::panic::panic_any(7),
            Does::PanicWithBomb => std::panic::panic_any(Bomb),
            Does::PanicWhenDropped => {
                let _bomb = Bomb;
                std::future::pending().await
            }
            Does::PanicInDeadline | Does::Claim => Ok(claim(cx)),
            Does::ClaimAndHang => {
                let _claimed = claim(cx);
                std::future::pending().await
            }
            Does::ClaimAndFail => {
                let _claimed = claim(cx);
                Err(ToolError::failed(bg_core::Failure::new("disk full")))
            }
            Does::Answer(bytes) => Ok(ToolOutput::text("\u{20AC}".repeat(bytes / 3))),
        }
    }

    fn deadline(&self) -> Option<Duration> {
        assert!(!matches!(self.1, Does::PanicInDeadline), "no deadline");
        self.2
    }
}

/// Written without `async_trait`: it panics before there is a future.
struct Eager;

impl Tool for Eager {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<()>("Eager", "Panics at once.")
    }

    fn call<'a: 'c, 'b: 'c, 'c>(
        &'a self,
        _: &'b ToolContext,
        _: Value,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<ToolOutput, ToolError>> + Send + 'c>>
    where
        Self: 'c,
    {
        panic!("too eager")
    }
}

fn odd(does: Does) -> Toolbox {
    Toolbox::new().with(Odd("Odd", does, None)).unwrap()
}

#[track_caller]
fn refused(tools: Result<Toolbox, ToolboxError>) -> ToolboxError {
    tools.err().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_hangs_is_given_up() {
    let own = Some(Duration::from_secs(7));
    let quick = |tools: Toolbox| tools.deadline(Duration::from_millis(500));
    let boxes = [
        (odd(Does::Hang), "Odd did not answer within 120 s and was given up"),
        (quick(odd(Does::Hang)), "Odd did not answer within 0.5 s and was given up"),
        (
            quick(Toolbox::new().with(Odd("Odd", Does::Hang, own)).unwrap()),
            "Odd did not answer within 7 s and was given up",
        ),
    ];
    for ((tools, expected), millis) in boxes.into_iter().zip([120_000, 500, 7_000]) {
        let begun = Instant::now();
        let done = tools.call(&caller().cx, "Odd", "").await;
        // A tool that keeps to its deadline has so long to say so.
        let given_up = millis + Toolbox::SLACK.as_millis();
        assert!((millis..=given_up + 2).contains(&begun.elapsed().as_millis()), "{expected}");
        assert_eq!(done.into_wire().output, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_panics_is_an_error() {
    let without_text = "Odd broke: a panic whose payload is not text";
    let tools = [
        (odd(Does::PanicInside), "Odd", "Odd broke: index 3 out of range"),
        (odd(Does::PanicWithNumber), "Odd", without_text),
        (odd(Does::PanicWithBomb), "Odd", without_text),
        (odd(Does::PanicWhenDropped), "Odd", without_text),
        (odd(Does::PanicInDeadline), "Odd", "Odd broke: no deadline"),
        (Toolbox::new().with(Eager).unwrap(), "Eager", "Eager broke: too eager"),
    ];
    for (tools, name, expected) in tools {
        let wire = tools.call(&caller().cx, name, "{}").await.into_wire();
        assert_eq!((wire.output.as_str(), wire.success), (expected, false));
        check_error(&wire.output);
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_reaches_no_answer_goes_back() {
    for does in [Does::ClaimAndHang, Does::ClaimAndFail] {
        let caller = caller();
        caller.completed("x");
        let wire = odd(does).call(&caller.cx, "Odd", "{}").await.into_wire();
        assert!(!wire.success);
        assert_eq!(caller.drained(), [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_gives_back() {
    let caller = caller();
    caller.completed("x");
    let tools = odd(Does::ClaimAndHang);
    let call = tools.call(&caller.cx, "Odd", "{}");
    assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err());
    assert_eq!(caller.drained(), [1]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_delivers_when_the_host_says_so() {
    let caller = caller();
    caller.completed("x");
    let tools = odd(Does::Claim);
    let done = tools.call(&caller.cx, "Odd", "{}").await;
    assert_eq!((done.claims.outcomes().len(), done.to_wire().success), (1, true));
    assert_eq!(caller.drained(), [0; 0], "it is held");
    drop(done);
    assert_eq!(caller.root.snapshot().len(), 1, "it went back");
    let done = tools.call(&caller.cx, "Odd", "{}").await;
    assert_eq!(done.into_wire().output, "mine");
    assert_eq!(caller.drained(), [0; 0]);
    assert_eq!(caller.root.history().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_whose_turn_fails_gives_back() {
    let caller = caller();
    caller.completed("x");
    let done = caller.tools.call(&caller.cx, "WaitTask", r#"{"task_id":1}"#).await;
    assert_eq!(done.claims.outcomes().len(), 1);
    drop(done);
    assert_eq!(caller.drained(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_is_cut_and_kept_whole() {
    let caller = caller();
    let tools = |len| odd(Does::Answer(len)).budget(Budget::new(300).counted_by(str::len));
    let wire = tools(300).call(&caller.cx, "Odd", "").await.into_wire();
    assert_eq!((wire.output.len(), wire.full_output), (300, None));
    let wire = tools(303).call(&caller.cx, "Odd", "").await.into_wire();
    assert_eq!(wire.full_output.unwrap().len(), 303);
    assert!((250..=300).contains(&wire.output.len()), "{} bytes", wire.output.len());
    let (shown, missing) = wire.output.split_once("... (+").unwrap();
    assert_eq!(missing, format!("{} more bytes)", 303 - shown.len()));
    assert!(shown.ends_with('\u{20AC}'), "cut between letters");
}

#[test]
fn a_wire_says_only_what_there_is() {
    let text = |full_output| {
        let wire = bg_tools::Wire { output: "x".into(), success: true, full_output };
        serde_json::to_string(&wire).unwrap()
    };
    assert_eq!(text(None), r#"{"output":"x","success":true}"#);
    let expected = r#"{"output":"x","success":true,"full_output":"xx"}"#;
    assert_eq!(text(Some("xx".into())), expected);
}

#[tokio::test(start_paused = true)]
async fn an_allow_list_leaves_nothing_else() {
    let caller = caller();
    let one = caller.tools.select(["WaitTask"]).unwrap();
    assert_eq!(one.names().collect::<Vec<_>>(), ["WaitTask"]);
    assert!(one.contains("WaitTask") && !one.contains("CancelTask"));
    let wire = one.call(&caller.cx, "CancelTask", "{}").await.into_wire();
    assert_eq!(wire.output, "unknown tool \"CancelTask\"; the tools are: WaitTask");
    let none = caller.tools.select([]).unwrap();
    assert_eq!(none.definitions().len(), 0);
    let wire = none.call(&caller.cx, "WaitTask", "{}").await.into_wire();
    assert_eq!(wire.output, "unknown tool \"WaitTask\"; there are no tools");
    let unknown = ToolboxError::UnknownName("waittask".into());
    assert_eq!(refused(caller.tools.select(["WaitTask", "waittask"])), unknown);
}

#[tokio::test(start_paused = true)]
async fn an_allow_list_keeps_the_deadline() {
    let tools = odd(Does::Hang).deadline(Duration::from_secs(3)).select(["Odd"]).unwrap();
    let begun = Instant::now();
    let _ = tools.call(&caller().cx, "Odd", "").await.into_wire();
    assert_eq!(begun.elapsed().as_secs(), 3);
}

#[test]
fn names_are_checked() {
    let long = "x".repeat(65);
    let long: &'static str = long.leak();
    for name in ["", "1x", "_x", "a b", "a.b", "a\n", "\u{E9}t\u{E9}", long] {
        let tools = Toolbox::new().with(Odd(name, Does::Hang, None));
        assert_eq!(refused(tools), ToolboxError::InvalidName(name.into()));
    }
    for name in ["x", "A-b_9", &long[1..]] {
        assert!(Toolbox::new().with(Odd(name, Does::Hang, None)).is_ok(), "{name}");
    }
    let twice = odd(Does::Hang).with(Odd("Odd", Does::Claim, None));
    assert_eq!(refused(twice), ToolboxError::DuplicateName("Odd".into()));
}
