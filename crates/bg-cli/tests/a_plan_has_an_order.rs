//! What comes after what, and what it is told.
#![cfg(unix)]

mod support;

use std::process::Output;

use bg_agents::tools::parse_outcomes;
use serde_json::{Value, json};
use support::{Folder, run_plan, stderr, stdout};

const AGENT: &str = "[[agent]]\nname = \"a\"\ntools = [\"Bash\"]\n";

/// Runs a plan over an agent; returns the exit status and the document.
#[track_caller]
fn run(plan: &str) -> (Option<i32>, Value) {
    let output = run_plan(&Folder::new(), &format!("{AGENT}{plan}"), &["--json"]);
    (output.status.code(), document(&output))
}

#[track_caller]
fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", stdout(output), stderr(output)))
}

/// Returns the row with this label.
#[track_caller]
fn row<'a>(document: &'a Value, label: &str) -> &'a Value {
    let mut rows = document["tasks"].as_array().into_iter().flatten();
    rows.find(|row| row["label"] == label).unwrap_or_else(|| panic!("no {label}: {document}"))
}

#[track_caller]
fn said<'a>(document: &'a Value, label: &str) -> &'a str {
    row(document, label)["output"].as_str().unwrap_or_default()
}

/// Ids and outputs of the results in a text.
fn told(text: &str) -> Vec<(&str, &str)> {
    parse_outcomes(text).into_iter().map(|told| (told.task_id, told.output)).collect()
}

#[test]
fn a_task_starts_after_another_and_is_told_its_result() {
    let (code, document) = run(r#"
        [[task]]
        name = "second"
        agent = "a"
        after = ["first", "built"]
        prompt = "What was it?"
        script = '''
call Bash {"command": "cat order"}
say {{prompt}} and {{1}}'''
        [[task]]
        name = "first"
        agent = "a"
        script = '''
call Bash {"command": "sleep 0.2; echo one > order"}
say forty-two'''
        [[process]]
        name = "built"
        command = "sleep 0.1; echo built"
    "#);
    assert_eq!(code, Some(0), "{document}");
    let second = said(&document, "second");
    assert!(second.starts_with("What was it?\n\n[background task agent:1 \"first\""), "{second}");
    let built = row(&document, "built")["task_id"].as_str().unwrap_or_default();
    assert_eq!(told(second), [("agent:1", "forty-two"), (built, "built\n")]);
    assert!(second.contains("\"text\":\"one\\n\""), "{second}");
    let prompt = row(&document, "second")["prompt"].as_str().unwrap_or_default();
    assert!(second.starts_with(prompt), "{prompt:?} is not what it was asked");
    assert_eq!(document["summary"]["tasks"], 3, "{document}");
}

#[test]
fn a_process_starts_after_what_it_names() {
    let folder = Folder::new();
    let plan = r#"
        [[process]]
        name = "last"
        after = ["agents_part", "slow"]
        command = "cat slow agents"
        [[process]]
        name = "slow"
        label = "takes a moment"
        command = "sleep 0.2; echo slow > slow"
        [[task]]
        name = "agents_part"
        agent = "a"
        script = '''
call Bash {"command": "sleep 0.2; echo agent > agents"}
say done'''
    "#;
    let output = run_plan(&folder, &format!("{AGENT}{plan}"), &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert_eq!(said(&document(&output), "last"), "slow\nagent\n");
}

#[test]
fn a_follow_up_goes_on_with_its_conversation_and_is_told_the_results() {
    let (code, document) = run(r#"
        [[task]]
        name = "docs"
        agent = "a"
        script = "say ~~~~ 12 pages ~~~~"
        [[process]]
        name = "tests"
        command = "sleep 0.2; echo 42 tests"
        [[session]]
        name = "editor"
        agent = "a"
        [[session.prompt]]
        prompt = "Get ready."
        script = '''
call Bash {"command": "echo first"}
call Bash {"command": "echo more"}
say ready: {{1}}'''
        [[session.prompt]]
        after = ["docs", "tests"]
        prompt = "Merge."
        script = '''
call Bash {"command": "echo second"}
say {{1}} {{prompt}}'''
        [[task]]
        name = "reader"
        agent = "a"
        after = ["editor"]
        script = "say {{prompt}}"
    "#);
    assert_eq!(code, Some(0), "{document}");
    let first = said(&document, "editor 1/2");
    assert!(first.contains("\"text\":\"first\\n\""), "{first}");
    let merged = said(&document, "editor 2/2");
    assert!(merged.contains("\"text\":\"second\\n\""), "{merged}");
    assert!(merged.contains("} Merge.\n\n[background task "), "{merged}");
    let process = row(&document, "tests")["task_id"].as_str().unwrap_or_default();
    assert_eq!(told(merged), [("agent:1", "~~~~ 12 pages ~~~~"), (process, "42 tests\n")]);
    // After the session is after its last prompt.
    let last = row(&document, "editor 2/2")["task_id"].as_str().unwrap_or_default();
    assert_eq!(told(said(&document, "reader")), [(last, merged)]);

    // A prompt has the steps of its own, and the session is neither a task nor a failure.
    let steps = |label: &str| row(&document, label)["steps"].clone();
    assert_eq!((steps("editor 1/2"), steps("editor 2/2")), (json!(3), json!(2)));
    let summary = &document["summary"];
    assert_eq!((&summary["tasks"], &summary["failed"]), (&json!(5), &json!(0)), "{document}");
}

#[test]
fn the_document_names_sessions_and_agents() {
    let (_, document) = run(r#"
        [[session]]
        name = "editor"
        agent = "a"
        [[session.prompt]]
        script = "say one"
        [[session.prompt]]
        script = "say two"
        [[session]]
        name = "other"
        agent = "a"
        [[session.prompt]]
        script = "say three"
        [[process]]
        command = "true"
    "#);
    let sessions = document["sessions"].as_array().cloned().unwrap_or_default();
    let [editor, other] = &sessions[..] else { panic!("{document}") };
    assert_eq!((&editor["name"], &editor["agent"]), (&json!("editor"), &json!("a")));
    assert_eq!(other["name"], "other");
    let prompts: Vec<&Value> =
        ["editor 1/2", "editor 2/2"].map(|label| &row(&document, label)["task_id"]).into();
    assert_eq!(editor["prompts"], json!(prompts));
    let id = editor["task_id"].as_str().unwrap_or_default();
    assert!(id.starts_with("session:"), "{id}");
    let rows = document["tasks"].as_array().cloned().unwrap_or_default();
    assert!(rows.iter().all(|row| row["kind"] != "session"), "{document}");
    let answer = row(&document, "editor 2/2");
    assert_eq!((&answer["session"], &answer["agent"]), (&json!("editor"), &json!("a")));
    assert_eq!(answer["output"], "two");
    let process = row(&document, "true");
    assert_eq!((process.get("session"), process.get("agent")), (None, None));
}

#[test]
fn what_comes_after_a_failure_is_not_started() {
    let plan = r#"
        [[process]]
        name = "build"
        command = "exit 3"
        [[task]]
        name = "test"
        agent = "a"
        after = ["build"]
        script = "say tested"
        [[process]]
        after = ["test"]
        label = "publish"
        command = "touch published"
        [[process]]
        label = "other"
        command = "echo fine"
    "#;
    let folder = Folder::new();
    let output = run_plan(&folder, &format!("{AGENT}{plan}"), &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    let lines = [
        "not started: test: it comes after \"build\", which failed\n",
        "not started: publish: it comes after \"test\", which was not started\n",
    ];
    for line in lines {
        assert_eq!(text.matches(line).count(), 2, "as it happens and in the report: {text}");
    }
    assert!(text.contains("2 tasks, 3 failed, in "), "{text}");
    assert!(!folder.path().join("published").exists());
}

#[test]
fn a_prompt_is_told_of_failures_and_asked_all_the_same() {
    let (code, document) = run(r#"
        [[process]]
        name = "build"
        command = "echo oh; exit 3"
        [[task]]
        name = "test"
        agent = "a"
        after = ["build"]
        script = "say tested"
        [[task]]
        name = "docs"
        agent = "a"
        script = "fail no paper"
        [[session]]
        name = "editor"
        agent = "a"
        [[session.prompt]]
        after = ["build", "test", "docs"]
        prompt = "How did it go?"
        script = "say {{prompt}}"
    "#);
    assert_eq!(code, Some(1), "{document}");
    let editor = said(&document, "editor");
    assert!(editor.contains(" \"build\": exited with code 3]\n~~~~\noh\n"), "{editor}");
    let skipped =
        "\n[\"test\" was not started: it comes after \"build\", which failed]\n\n[background ";
    assert!(editor.contains(skipped), "{editor}");
    assert!(editor.contains("\"docs\": errored, \""), "{editor}");
    assert!(editor.contains("no paper"), "{editor}");
    assert_eq!(document["summary"]["failed"], 3);
    assert_eq!(document["sessions"][0]["prompts"], json!([row(&document, "editor")["task_id"]]));
}

#[test]
fn a_session_that_has_failed_is_asked_nothing_more() {
    let (code, document) = run(r#"
        [[session]]
        name = "editor"
        agent = "a"
        [[session.prompt]]
        script = "fail the provider is down"
        [[session.prompt]]
        script = "say two"
        [[task]]
        agent = "a"
        after = ["editor"]
        script = "say three"
    "#);
    assert_eq!(code, Some(1), "{document}");
    assert_eq!(document["tasks"].as_array().map(Vec::len), Some(1), "{document}");
    let not_started = json!([
        "editor 2/2: it comes after \"editor 1/2\", which failed",
        "a: it comes after \"editor 2/2\", which was not started",
    ]);
    assert_eq!(document["summary"]["not_started"], not_started);
    assert_eq!(document["summary"]["failed"], 3);
}

#[test]
fn a_session_passes_on_what_it_hears_of_its_own_work_between_prompts() {
    let (code, document) = run(r#"
        [[session]]
        name = "editor"
        agent = "a"
        [[session.prompt]]
        script = '''
call Bash {"command": "echo heard; touch heard", "background": true}
say one'''
        [[session.prompt]]
        after = ["later"]
        script = "say two: {{prompt}}"
        [[process]]
        name = "later"
        command = "until test -e heard; do sleep 0.05; done; sleep 0.5"
    "#);
    assert_eq!(code, Some(0), "{document}");
    // In a turn of its own, or with the prompt if that was there first; once in either case.
    let rows = document["tasks"].as_array().into_iter().flatten();
    let outputs = rows.map(|row| row["output"].as_str().unwrap_or_default());
    let heard = outputs.flat_map(told).filter(|(_, output)| *output == "heard\n");
    assert_eq!(heard.count(), 1, "{document}");
}

#[test]
fn an_agent_that_another_one_calls_has_no_script() {
    let plan = r#"
        [[agent]]
        name = "caller"
        tools = ["InvokeAgent"]
        [[task]]
        agent = "caller"
        script = '''
call InvokeAgent {"agent_name": "a", "prompt": "hello"}
say {{1}}'''
    "#;
    let (_, document) = run(plan);
    let said = said(&document, "caller");
    assert!(said.contains("only the tasks and the prompts of a plan have scripts"), "{said}");
}

#[test]
fn a_result_is_printed_once_and_a_session_makes_no_noise() {
    let plan = r#"
        [[task]]
        name = "docs"
        agent = "a"
        script = "say 12 pages"
        [[session]]
        name = "editor"
        agent = "a"
        [[session.prompt]]
        after = ["docs"]
        script = "say merged"
    "#;
    let output = run_plan(&Folder::new(), &format!("{AGENT}{plan}"), &[]);
    let text = stdout(&output);
    assert_eq!(text.matches("  12 pages\n").count(), 1, "{text}");
    assert_eq!(text.matches("  merged\n").count(), 1, "{text}");
    let of_session: Vec<&str> = text.lines().filter(|line| line.contains("session:")).collect();
    assert_eq!(of_session.len(), 2, "begun and over: {text}");
    assert!(of_session[1].ends_with("editor: over"), "{text}");
    assert!(text.contains("2 tasks, 0 failed, in "), "{text}");
}

#[test]
fn what_serves_the_others_is_stopped_after_the_last_of_them() {
    let (code, document) = run(r#"
        [[process]]
        name = "server"
        command = "trap 'rm up; exit' TERM; touch up; while :; do sleep 0.05; done"
        stop_when_done = true
        [[process]]
        name = "first"
        command = "sleep 0.2"
        [[process]]
        after = ["first"]
        label = "second"
        command = "sleep 0.2; test -e up && echo served"
    "#);
    assert_eq!(code, Some(0), "{document}");
    assert_eq!(said(&document, "second"), "served\n");
    let server = row(&document, "server");
    assert_eq!(
        (&server["failed"], &server["receipt"]["signals"]),
        (&json!(false), &json!(["SIGTERM"]))
    );
}

#[test]
fn the_plan_of_the_readme_can_be_run() {
    let readme = include_str!("../../../README.md");
    let plan = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let plan = plan.unwrap_or_default().replace("cargo test", "echo 42 tests");
    let folder = Folder::new().with("docs/guide.md", "# Guide\n");
    let output = run_plan(&folder, &plan, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let document = document(&output);
    let merged = said(&document, "editor 2/2");
    assert!(merged.starts_with("Merge what the others found.\n\n["), "{merged}");
    assert!(merged.contains("guide.md") && merged.contains("42 tests"), "{merged}");
}
