//! Arguments that are no JSON object: a text for the tools that take one, the same error as ever for
//! the others.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::support;

use async_trait::async_trait;
use bg_tools::{
    Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, Toolbox, Wire, parse_args,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{caller, check_error};

/// What a tool of these tests makes of a text.
#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    Text,
    Long,
    Panics,
}

struct Echo(Takes);

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct EchoArgs {
    text: String,
}

#[async_trait]
impl Tool for Echo {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<EchoArgs>("Echo", "Says it again.")
    }

    async fn call(&self, _: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        parse_args("Echo", args).map(|EchoArgs { text }| ToolOutput::text(text))
    }

    fn plain_text(&self, text: &str) -> Option<Value> {
        match self.0 {
            Takes::Nothing => None,
            Takes::Text => Some(json!({"text": text})),
            Takes::Long => (text.len() > 10).then(|| json!({"text": text})),
            Takes::Panics => panic!("no text, please"),
        }
    }
}

fn call(takes: Takes, args: &str) -> Wire {
    let tools = Toolbox::new().with(Echo(takes)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(tools.call(&caller().cx, "Echo", args)).into_wire()
}

#[track_caller]
fn check(args: &str, expected: &str) {
    let wire = call(Takes::Text, args);
    assert_eq!((wire.output.as_str(), wire.success), (expected, true), "{args}");
}

#[track_caller]
fn check_refused(args: &str, begins: &str) {
    for takes in [Takes::Text, Takes::Nothing] {
        let wire = call(takes, args);
        check_error(&wire.output);
        assert!(!wire.success && wire.output.starts_with(begins), "{args}: {}", wire.output);
    }
}

#[test]
fn a_text_is_taken_as_it_came() {
    for text in
        ["map repo", " map\n repo ", "[1, {}]", "true", "7", "- {x}", "\"half", "\"a\" b", "null?"]
    {
        check(text, text);
    }
}

#[test]
fn a_json_string_is_its_content() {
    check(r#""map \"repo\"\n""#, "map \"repo\"\n");
    check(r#" "null" "#, "null");
    check(r#""\"once\"""#, "\"once\"");
    check("\u{FEFF}\"x\"", "x");
    check(r#""\ud800""#, r#""\ud800""#);
}

#[test]
fn an_object_is_read_as_arguments_however_it_is_written() {
    for args in [r#"{"text": "x"}"#, "\u{FEFF} {\"text\": \"x\"}", r#""{\"text\": \"x\"}""#] {
        check(args, "x");
    }
}

#[test]
fn what_looks_like_an_object_is_no_text() {
    for args in ["{", "{x}", " \n{\"text\": ", " \u{FEFF}{\"text\": \"x\"}", "\u{A0}{}", r#""{x}""#]
    {
        check_refused(args, "Echo: invalid JSON in the arguments: ");
    }
}

#[test]
fn what_says_nothing_is_no_text() {
    for args in ["", " \n", "{}"] {
        check_refused(args, "Echo: missing required field `text`");
    }
    check_refused("null", "Echo: the arguments must be a JSON object, not null");
    for args in [r#""""#, r#"" \n""#] {
        check_refused(args, "Echo: the arguments must be a JSON object, not a string");
    }
}

#[test]
fn a_text_has_the_size_of_arguments_and_any_brackets() {
    let longest = "x".repeat(1 << 20);
    assert!(call(Takes::Text, &longest).success);
    check_refused(&(longest + "x"), "Echo: the arguments are too long: at most 1 MiB are taken");
    let deep = "[".repeat(1000);
    check(&deep, &deep);
}

#[test]
fn a_tool_may_refuse_a_text() {
    let expected = "Echo: the arguments must be a JSON object, not a number";
    assert_eq!(call(Takes::Long, "123").output, expected);
    assert_eq!(call(Takes::Long, "12345678901").output, "12345678901");
}

#[test]
fn a_tool_that_panics_over_a_text_is_an_error() {
    assert_eq!(call(Takes::Panics, "x").output, "Echo broke: no text, please");
}

#[tokio::test]
async fn the_task_tools_take_none() {
    let caller = caller();
    caller.completed("x");
    for tool in caller.tools.names() {
        let error = caller.error(tool, "agent:1").await;
        assert!(error.starts_with(&format!("{tool}: invalid JSON in the arguments: ")), "{error}");
    }
}

proptest! {
    /// A text is an object's, the text's, or an error: the same one for a tool that takes no text.
    #[test]
    fn any_text_is_what_it_came_as_or_an_error(args in "[ \\[\"{}a:\u{FEFF}]{0,8}|\\PC{0,20}") {
        let (with, without) = (call(Takes::Text, &args), call(Takes::Nothing, &args));
        if with.success && !without.success {
            let whole = args.strip_prefix('\u{FEFF}').unwrap_or(&args);
            let inner = serde_json::from_str::<String>(whole);
            prop_assert_eq!(with.output, inner.unwrap_or_else(|_| whole.to_owned()));
            prop_assert_ne!(args.trim().chars().next(), Some('{'));
        } else {
            prop_assert_eq!(with, without);
        }
    }
}
