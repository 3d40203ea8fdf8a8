//! Scripts: what they may be, and what a script model makes of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use bg_sessions::{
    Message, Model, ModelError, ModelReply, ModelRequest, Part, Script, ScriptModel, ScriptProblem,
    ToolCall, ToolResult,
};
use bg_tools::{ToolDefinition, task_tools};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

#[track_caller]
fn check_error(text: &str, message: &str) {
    let error = text.parse::<Script>().unwrap_err();
    assert_eq!(error.to_string(), message, "for {text:?}");
}

async fn ask(text: &str, messages: Vec<Message>) -> Result<ModelReply, ModelError> {
    let tools: Vec<ToolDefinition> = task_tools().iter().map(|tool| tool.definition()).collect();
    let request = ModelRequest::new(messages).with_tools(tools);
    let model = ScriptModel::new(text.parse().unwrap());
    model.complete(request, CancellationToken::new()).await
}

fn prompt() -> Message {
    Message::user(vec![Part::text("go")])
}

/// The messages of one turn whose calls answered this.
fn turn(first: usize, outputs: &[&str]) -> [Message; 2] {
    let calls = (first..).zip(outputs);
    let calls = calls
        .map(|(number, output)| (ToolCall::new(format!("call_{number}"), "Read", "{}"), *output));
    let (calls, results) = calls
        .map(|(call, output)| {
            let result = ToolResult::new(&call, output, true);
            (Part::ToolCall(call), Part::ToolResult(result))
        })
        .unzip();
    [Message::assistant(calls), Message::user(results)]
}

#[test]
fn every_error_names_its_line() {
    check_error("", "line 1: nothing is said: a script ends with say TEXT or fail TEXT");
    check_error(
        "call Read {}\n\n",
        "line 1: nothing is said: a script ends with say TEXT or fail TEXT",
    );
    check_error(
        "call Read {}\nsay  \n \n",
        "line 2: nothing is said: a script ends with say TEXT or fail TEXT",
    );
    check_error(
        "# first\n\nSay hello",
        "line 3: unknown word \"Say\": a line begins with call, also, say or fail",
    );
    check_error(
        "also Read {}\nsay x",
        "line 1: `also` adds to the call before it, and there is none",
    );
    check_error("call 7up {}\nsay x", "line 1: \"7up\" cannot be the name of a tool");
    check_error("call\nsay x", "line 1: \"\" cannot be the name of a tool");
    check_error("call Read\nsay x", "line 1, column 10: the arguments are not a JSON object");
    check_error("call Read [1]\nsay x", "line 1, column 11: the arguments are not a JSON object");
    check_error("call Read null\nsay x", "line 1, column 11: the arguments are not a JSON object");
    check_error(
        "call Read {\"a\" 1}\nsay x",
        "line 1, column 16: the arguments are not JSON: expected `:`",
    );
    check_error(
        "say ok\ncall Read {\nsay {{1}}",
        "line 3, column 5: {{1}} stands for call 1, but the calls are 0",
    );
    check_error("call Read {} {}\nsay x", "line 1, column 14: there is text after the arguments");
    check_error(
        "call Read {\"path\": \"\u{e4}\"} now\nsay x",
        "line 1, column 25: there is text after the arguments",
    );
    check_error(
        "call Read {}\nsay first\n  then {{9}}",
        "line 3, column 8: {{9}} stands for call 9, but the calls are 1",
    );
    check_error(
        "call Read {}\nfail {{0}}",
        "line 2, column 6: {{0}} stands for call 0, but the calls are 1",
    );
    let huge = "99999999999999999999999999";
    check_error(
        &format!("say {{{{{huge}}}}}"),
        &format!("line 1, column 5: {{{{{huge}}}}} stands for call {huge}, but the calls are 0"),
    );
}

#[test]
fn the_problem_can_be_matched() {
    let error = "call Read {}\nsay {{2}}".parse::<Script>().unwrap_err();
    let expected = ScriptProblem::NoSuchCall { call: "2".to_owned(), calls: 1 };
    assert_eq!((error.line, error.column, error.problem), (2, Some(5), expected));
}

#[tokio::test]
async fn what_is_said_goes_on_over_all_lines_to_the_end() {
    let said = |text: &'static str| async move { ask(text, vec![prompt()]).await.unwrap().text() };
    assert_eq!(said("say one").await, "one");
    assert_eq!(said("say one\n\n# two\ncall Read {}\n").await, "one\n\n# two\ncall Read {}");
    assert_eq!(said("say\n  one\n").await, "  one");
    assert_eq!(said("say\r\none\r\n").await, "one");
    assert_eq!(said("  # a comment\n\n  say one {{x}} {{}} {{1").await, "one {{x}} {{}} {{1");
}

#[tokio::test]
async fn each_call_line_is_a_turn_and_also_joins_it() {
    let text =
        "call Read {\"path\": \"a\"}\nalso Grep {\"p\": 1}\ncall Read {}\nsay {{3}}{{1}}{{2}}";
    let calls = |reply: &ModelReply| {
        let calls =
            reply.tool_calls().map(|call| format!("{} {} {}", call.id, call.name, call.args));
        calls.collect::<Vec<_>>()
    };

    let mut messages = vec![prompt()];
    let reply = ask(text, messages.clone()).await.unwrap();
    assert_eq!(calls(&reply), ["call_1 Read {\"path\": \"a\"}", "call_2 Grep {\"p\": 1}"]);
    assert_eq!((reply.usage.requests, reply.usage.input_tokens), (1, 0));

    messages.extend(turn(1, &["A", "B"]));
    assert_eq!(calls(&ask(text, messages.clone()).await.unwrap()), ["call_3 Read {}"]);

    messages.extend(turn(3, &["C"]));
    assert_eq!(ask(text, messages).await.unwrap().text(), "CAB");
}

#[tokio::test]
async fn braces_in_a_result_are_not_expanded() {
    let mut messages = vec![prompt()];
    messages.extend(turn(1, &["{{2}}", "{{1}}"]));
    let reply = ask("call Read {}\nalso Read {}\nsay {{1}} {{2}} {{{1}}}", messages).await.unwrap();
    assert_eq!(reply.text(), "{{2}} {{1}} {{{2}}}");
}

#[tokio::test]
async fn the_prompt_can_be_said_and_is_not_expanded() {
    let mut messages = vec![Message::user(vec![Part::text("{{1}}"), Part::text("{{prompt}}")])];
    messages.extend(turn(1, &["A {{prompt}}"]));
    let text =
        "call Read {}\nsay {{prompt}}: {{1}}, {{{prompt}}} {{Prompt}} {{ prompt}} {{prompts}}";
    let reply = ask(text, messages.clone()).await.unwrap();
    let told = "{{1}}\n\n{{prompt}}";
    let braces = "{{Prompt}} {{ prompt}} {{prompts}}";
    assert_eq!(reply.text(), format!("{told}: A {{{{prompt}}}}, {{{told}}} {braces}"));

    // What else the user says later, such as results of background work, is not the prompt.
    messages.extend([Message::assistant(vec![Part::text("so far")]), prompt()]);
    assert_eq!(ask(text, messages).await.unwrap().text(), reply.text());

    let error = ask("fail {{prompt}}", vec![prompt()]).await.unwrap_err();
    assert_eq!(error.to_string(), "go");
}

#[tokio::test]
async fn a_request_without_tools_is_answered_with_what_there_is() {
    let mut messages = vec![prompt()];
    messages.extend(turn(1, &["A"]));
    let model =
        ScriptModel::new("call Read {}\ncall Read {}\nsay {{1}} and {{2}}".parse().unwrap());
    let request = ModelRequest::new(messages);
    let reply = model.complete(request, CancellationToken::new()).await.unwrap();
    assert_eq!(reply.text(), "A and (no result)");
}

#[tokio::test]
async fn fail_is_a_fatal_error_of_the_model() {
    let error = ask("fail no more\nmoney", vec![prompt()]).await.unwrap_err();
    assert!(matches!(error, ModelError::Fatal { .. }), "{error:?}");
    assert_eq!(error.to_string(), "no more\nmoney");
}

proptest! {
    #[test]
    fn any_text_is_a_script_or_an_error_with_a_place_in_it(
        lines in proptest::collection::vec("(call|also|say|fail|#|)[ {}\"a-z0-9\u{e4}\r]{0,12}", 0..6),
    ) {
        let text = lines.join("\n");
        if let Err(error) = text.parse::<Script>() {
            prop_assert!((1..=text.split('\n').count()).contains(&error.line));
            let line = text.split('\n').nth(error.line - 1).unwrap_or_default();
            let column = error.column.unwrap_or(1);
            prop_assert!((1..=line.chars().count() + 1).contains(&column), "{error} in {text:?}");
        }
    }
}
