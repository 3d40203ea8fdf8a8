//! Progress of a call: the listener hears it at once and bounded, and cannot harm the tool.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::support;

use std::sync::Arc;

use async_trait::async_trait;
use bg_tools::{Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, Toolbox, Wire};
use parking_lot::Mutex;
use serde_json::Value;
use support::caller;

/// Says each of its texts and then that it is done.
struct Steps(Vec<String>);

#[async_trait]
impl Tool for Steps {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<()>("Steps", "Goes step by step.")
    }

    async fn call(&self, cx: &ToolContext, _: Value) -> Result<ToolOutput, ToolError> {
        self.0.iter().for_each(|text| cx.progress(text));
        Ok(ToolOutput::text("done"))
    }
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::panic::panic_any(Self);
        }
    }
}

/// Runs the tool with this listener and returns what it answered.
async fn run(texts: &[&str], listener: impl Fn(&str) + Send + Sync + 'static) -> Wire {
    let texts = texts.iter().map(|&text| text.to_owned()).collect();
    let tools = Toolbox::new().with(Steps(texts)).unwrap();
    let cx = caller().cx.with_progress(listener);
    tools.call(&cx, "Steps", "{}").await.into_wire()
}

/// Returns what a listener hears of these texts.
async fn heard(texts: &[&str]) -> Vec<String> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = heard.clone();
    let wire = run(texts, move |text| sink.lock().push(text.to_owned())).await;
    assert!(wire.success, "{}", wire.output);
    std::mem::take(&mut *heard.lock())
}

#[tokio::test]
async fn the_listener_hears_each_text_in_order() {
    assert_eq!(heard(&["1 of 2", "", "2 of 2"]).await, ["1 of 2", "", "2 of 2"]);
}

#[tokio::test]
async fn a_text_is_cut_before_it_is_heard() {
    let long = "x".repeat(10_000_000);
    let just = "x".repeat(ToolContext::MAX_PROGRESS_BYTES);
    // A family of 25 bytes, which does not fit behind the others.
    let family = "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}\u{200D}\u{1F466}".repeat(100);
    let heard = heard(&[&long, &just, &family]).await;
    assert_eq!(heard[0], format!("{just}... (+9998000 more bytes)"));
    assert_eq!(heard[1], just);
    assert_eq!(heard[2], format!("{}... (+500 more bytes)", &family[..2000]));
}

#[tokio::test]
async fn a_listener_that_panics_is_nothing_to_the_tool() {
    for payload in ["text", "bomb"] {
        let count = Arc::new(Mutex::new(0));
        let sink = count.clone();
        let wire = run(&["1", "2"], move |_| {
            *sink.lock() += 1;
            if payload == "bomb" {
                std::panic::panic_any(Bomb);
            }
            panic!("a listener breaks");
        });
        assert_eq!(wire.await.output, "done", "{payload}");
        assert_eq!(*count.lock(), 2, "it is called again: {payload}");
    }
}

#[tokio::test]
async fn nobody_has_to_listen() {
    let tools = Toolbox::new().with(Steps(vec!["x".repeat(10_000_000)])).unwrap();
    assert_eq!(tools.call(&caller().cx, "Steps", "{}").await.into_wire().output, "done");
}

#[test]
fn one_listener_takes_the_place_of_another() {
    let heard = Arc::new(Mutex::new(String::new()));
    let sink = heard.clone();
    let cx = caller().cx.with_progress(|_| panic!("it was replaced"));
    let cx = cx.with_progress(move |text| sink.lock().push_str(text));
    cx.clone().progress("a clone is heard too");
    assert_eq!(*heard.lock(), "a clone is heard too");
}
