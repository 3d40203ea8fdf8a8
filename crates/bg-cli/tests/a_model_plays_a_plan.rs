//! A plan whose agents are played by a model behind a server: what it costs, and what goes wrong.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use support::server::{Reply, Server, last_text};
use support::{Folder, bg, stderr, stdout};

const PLAN: &str = r#"
[[agent]]
name = "reader"
instructions = "You read."
tools = ["ListFiles"]
[[agent]]
name = "editor"

[[task]]
name = "names"
agent = "reader"
prompt = "Which files are there?"
[[task]]
name = "short"
agent = "editor"
prompt = "Say something short."
[[session]]
name = "talk"
agent = "editor"
[[session.prompt]]
prompt = "Remember the word crocus."
[[session.prompt]]
after = ["names", "short"]
prompt = "Merge it."
"#;

/// Plays the plan above: a call and an answer, an answer, and two answers in a session.
fn plays(_: usize, body: &Value) -> Reply {
    let last = last_text(body);
    let messages = body["messages"].as_array().unwrap();
    if messages.iter().any(|message| message["role"] == "tool") {
        return Reply::Say("two files", 30, 3);
    }
    match () {
        () if last.contains("Which files") => Reply::Call("ListFiles", "{}", 20, 7),
        () if last.contains("something short") => Reply::Say("ok", 5, 1),
        () if last.contains("Merge it") => Reply::Say("merged", 100, 11),
        () if last.contains("crocus") => Reply::Say("noted", 9, 2),
        () => Reply::Say("I was not asked that", 1000, 1000),
    }
}

/// Runs a plan with the model of a server.
fn play(folder: &Folder, server: &Server, plan: &str, more: &[&str]) -> Output {
    let plan = folder.plan(plan);
    let mut command = bg(&["run", "--model", "openai:tiny", "--base-url", &server.base_url]);
    command.arg(plan).arg("--path").arg(folder.path()).args(more);
    command.output().unwrap()
}

fn document(output: &Output) -> Value {
    let text = stdout(output);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}\n{}", stderr(output)))
}

fn tokens(row: &Value) -> [u64; 3] {
    ["input_tokens", "output_tokens", "requests"].map(|field| row[field].as_u64().unwrap())
}

#[track_caller]
fn row<'a>(document: &'a Value, label: &str) -> &'a Value {
    let rows = document["tasks"].as_array().unwrap();
    rows.iter().find(|row| row["label"] == label).unwrap_or_else(|| panic!("no {label}"))
}

#[test]
fn the_tokens_are_those_that_the_server_has_counted() {
    let (folder, server) = (Folder::new(), Server::new(plays));
    let output = play(&folder, &server, PLAN, &["--json"]);
    let document = document(&output);
    assert_eq!(output.status.code(), Some(0), "{document:#}");
    assert_eq!(tokens(row(&document, "names")), [50, 10, 2]);
    assert_eq!(tokens(row(&document, "short")), [5, 1, 1]);
    assert_eq!(tokens(row(&document, "talk 1/2")), [9, 2, 1]);
    assert_eq!(tokens(row(&document, "talk 2/2")), [100, 11, 1]);
    assert_eq!(tokens(&document["summary"]), [164, 24, 5]);
    assert_eq!(row(&document, "names")["output"], "two files");
    assert_eq!(row(&document, "talk 2/2")["output"], "merged");
    let merge = server.requests().into_iter().find(|(_, body)| last_text(body).contains("Merge"));
    let (head, body) = merge.unwrap();
    assert!(head.starts_with("POST /v1/chat/completions "), "{head}");
    assert_eq!(body["model"], "tiny");
    // The session remembers, and is told what the others have found.
    assert!(
        body.to_string().contains("crocus") && last_text(&body).contains("two files"),
        "{body}"
    );
}

#[test]
fn the_report_has_columns_of_tokens_and_their_sum() {
    let (folder, server) = (Folder::new(), Server::new(plays));
    let text = stdout(&play(&folder, &server, PLAN, &[]));
    let (_, report) = text.split_once("report: ").unwrap();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = report.lines().map(words).collect();
    assert!(
        lines.contains(&"task label time steps calls in out how it ended".to_owned()),
        "{text}"
    );
    let is_row = |line: &&String| line.contains(" names ");
    let row = lines.iter().find(is_row).unwrap();
    assert!(row.contains(" 2 1 50 10 completed"), "{text}");
    assert_eq!(lines.last().unwrap(), "164 tokens in, 24 out, in 5 requests", "{text}");
}

#[test]
fn the_plan_can_name_the_model_and_its_scripts_are_not_used() {
    let (folder, server) = (Folder::new(), Server::new(|_, _| Reply::Say("hello", 3, 2)));
    let url = &server.base_url;
    let plan = format!(
        "[model]\nname = \"tiny\"\nbase_url = \"{url}\"\n[[agent]]\nname = \"a\"\n\
         [[task]]\nagent = \"a\"\nprompt = \"greet\"\nscript = \"say from the script\"\n"
    );
    let output = support::run_plan(&folder, &plan, &[]);
    let text = stdout(&output);
    assert!(text.contains("\n  hello\n") && !text.contains("from the script"), "{text}");
    let note = "the scripts of the plan are not used: tiny plays its agents\n";
    assert_eq!(text.matches(note).count(), 1, "{text}");
    // The option wins, and then no server is asked.
    let output = support::run_plan(&folder, &plan, &["--model", "script"]);
    assert!(stdout(&output).contains("from the script") && server.requests().len() == 1);
}

#[test]
fn a_server_that_has_no_time_is_asked_again() {
    let busy_once = |nth, _: &Value| if nth == 0 { Reply::Busy } else { Reply::Say("now", 8, 4) };
    let (folder, server) = (Folder::new(), Server::new(busy_once));
    let plan = "[[agent]]\nname = \"a\"\n[[task]]\nagent = \"a\"\nprompt = \"go\"\n";
    let output = play(&folder, &server, plan, &["--json"]);
    let document = document(&output);
    assert_eq!(output.status.code(), Some(0), "{document:#}");
    assert_eq!((server.requests().len(), &tokens(&document["summary"])[..2]), (2, &[8, 4][..]));
}

#[test]
fn what_does_not_fit_together_starts_nothing() {
    let plan = "[[agent]]\nname = \"a\"\n[[task]]\nagent = \"a\"\nscript = \"say x\"\n";
    let folder = Folder::new();
    let refused = |more: &[&str], message: &str| {
        let output = support::run_plan(&folder, plan, more);
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()));
        assert!(stderr(&output).contains(message), "{more:?}: {}", stderr(&output));
    };
    let tiny = ["--model", "openai:tiny"];
    let at = |url| [&tiny[..], &["--base-url", url]].concat();
    refused(&tiny, "where is the server of the model \"tiny\"? Add --base-url URL");
    refused(&["--base-url", "http://127.0.0.1:1"], "add --model openai:NAME");
    if cfg!(not(feature = "genai")) {
        let vendors = "this bg was built without the protocols of vendors";
        refused(&["--model", "genai:anthropic::x"], vendors);
    }
    refused(&["--model", "large"], "a model is `script`, `openai:NAME` or `genai:VENDOR::NAME`");
    refused(
        &at("http://127.0.0.1:1"),
        ":3:1: there is no `prompt`, and a language model needs one",
    );
    let plan = plan.replace("script = \"say x\"", "prompt = \"go\"");
    let refused = |more: &[&str], message: &str| {
        let output = support::run_plan(&folder, &plan, more);
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()));
        assert_eq!(stderr(&output), format!("bg: cannot set the model up: {message}\n"));
    };
    refused(&at("gopher://x"), "the base URL has to begin with http:// or https://");
    let keyed = [&at("http://127.0.0.1:1")[..], &["--key-env", "BG_TEST_UNSET"]].concat();
    refused(&keyed, "the key is missing: set the environment variable BG_TEST_UNSET");
}

const COUNTS: &str = r#"
[[agent]]
name = "counter"
effort = "low"
step_cap = 3
[agent.output_schema]
type = "object"
required = ["files"]
[agent.output_schema.properties.files]
type = "integer"
[[task]]
agent = "counter"
prompt = "How many files are there?"
"#;

#[test]
fn an_agent_of_a_plan_can_be_asked_for_json_of_a_schema() {
    let says = |nth, _: &Value| match nth {
        0 => Reply::Say(r#"{"files": "two"}"#, 9, 5),
        _ => Reply::Say(r#"{"files": 2}"#, 20, 4),
    };
    let (folder, server) = (Folder::new(), Server::new(says));
    let output = play(&folder, &server, COUNTS, &["--json", "--max-output-tokens", "50"]);
    let document = document(&output);
    assert_eq!(output.status.code(), Some(0), "{document:#}");
    assert_eq!(row(&document, "counter")["output"], r#"{"files": 2}"#);
    assert_eq!(tokens(&document["summary"]), [29, 9, 2]);
    let [(_, first), (_, second)] = &server.requests()[..] else { panic!("not two requests") };
    let asked = &first["response_format"]["json_schema"]["schema"]["properties"]["files"];
    assert_eq!(asked["type"], "integer", "{first:#}");
    assert_eq!((&first["reasoning_effort"], &first["max_tokens"]), (&"low".into(), &50.into()));
    let told = last_text(second).replace('\\', "");
    assert!(told.contains(r#"at /files: "two" is not of type "integer""#), "{told}");
}

#[test]
fn a_schema_that_is_none_starts_nothing() {
    let folder = Folder::new();
    let plan = COUNTS.replace("\"object\"", "\"thing\"");
    let plan = format!("{plan}script = \"say {{}}\"\n");
    let output = support::run_plan(&folder, &plan, &[]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()));
    let message = "agent \"counter\" has an output schema that cannot be used: at /type: \"thing\"";
    assert!(stderr(&output).contains(message), "{}", stderr(&output));
}

#[test]
fn a_run_ends_when_its_tokens_are_spent() {
    // One answers for too many, while the other waits for its own and a process serves.
    let script = |_, body: &Value| {
        let spends = last_text(body).contains("spend");
        if spends { Reply::Call("ListFiles", "{}", 90, 20) } else { Reply::Hang }
    };
    let (folder, server) = (Folder::new(), Server::new(script));
    let plan = r#"
        [[agent]]
        name = "a"
        tools = ["ListFiles"]
        [[task]]
        name = "spends"
        agent = "a"
        prompt = "spend it"
        [[task]]
        name = "hangs"
        agent = "a"
        prompt = "wait"
        [[task]]
        name = "later"
        agent = "a"
        after = ["spends"]
        prompt = "spend it too"
        [[process]]
        command = "sleep 1000"
    "#;
    let output = play(&folder, &server, plan, &["--max-tokens", "100"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("the tokens of --max-tokens are spent: stopping everything\n"), "{text}");
    assert!(text.contains("not started: later: the tokens of the run are spent\n"), "{text}");
    let sum = "3 tasks, 4 failed, stopped by --max-tokens 100 after 110, in ";
    assert!(text.contains(sum), "{text}");
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|(_, body)| last_text(body).contains("spend")).count(), 1);
}

/// The files of a folder, with what they hold.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let file = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, std::fs::read_to_string(entry.path()).unwrap())
    };
    files.map(file).collect()
}

#[test]
fn everything_is_saved_in_files_named_after_the_tasks() {
    let (folder, server) = (Folder::new(), Server::new(plays));
    let saved = folder.path().join("new/run");
    let options = ["--save", saved.to_str().unwrap()];
    let output = play(&folder, &server, PLAN, &options);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("\nsaved to /"), "{}", stdout(&output));
    let files = files(&saved);
    let outputs: Vec<_> = files.keys().filter(|name| name.ends_with(".output.txt")).collect();
    let names = ["names", "short", "talk-1-2", "talk-2-2"];
    assert_eq!(outputs, names.map(|name| format!("{name}.output.txt")).each_ref());
    assert_eq!(files["names.output.txt"], "two files");
    let lines = files["names.transcript.jsonl"].lines();
    let lines: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |line: &Value| line["said"]["usage"]["input_tokens"].as_u64();
    assert_eq!(lines.iter().filter_map(said).collect::<Vec<_>>(), [20, 30], "{lines:?}");
    let asked = &lines[0]["asked"];
    assert_eq!((&asked["model"], &asked["instructions"]), (&"tiny".into(), &"You read.".into()));
    assert!(lines[2]["asked"]["messages"].to_string().contains("tool_result"), "{lines:?}");
    let report: Value = serde_json::from_str(&files["report.json"]).unwrap();
    assert_eq!(tokens(&report["summary"]), [164, 24, 5]);
    // Another run does not write over it, and does not begin.
    let requests = server.requests().len();
    let output = play(&folder, &server, PLAN, &options);
    assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()));
    assert!(stderr(&output).contains("nothing is written over"), "{}", stderr(&output));
    assert_eq!(server.requests().len(), requests);
}

#[test]
fn a_key_is_found_in_nothing_that_is_printed_or_saved() {
    const KEY: &str = "sk-planted-0123456789";
    let script = |_: usize, body: &Value| match last_text(body) {
        text if text.contains("env please") => Reply::Call("Bash", "{\"command\": \"env\"}", 1, 1),
        text if text.contains("fail please") => Reply::WrongKey,
        _ => Reply::Echo(1, 1),
    };
    let (folder, server) = (Folder::new(), Server::new(script));
    let plan = r#"
        [[agent]]
        name = "a"
        tools = ["Bash"]
        [[task]]
        agent = "a"
        prompt = "env please"
        [[task]]
        agent = "a"
        prompt = "fail please"
        [[process]]
        label = "leak"
        command = "echo begin $BG_TEST_KEY; env"
    "#;
    let plan = folder.plan(plan);
    for (number, more) in [&[][..], &["--json"]].into_iter().enumerate() {
        let saved = folder.path().join(number.to_string());
        let mut command = bg(&["run", "--model", "openai:tiny", "--base-url", &server.base_url]);
        command.args(["--key-env", "BG_TEST_KEY"]).env("BG_TEST_KEY", KEY).arg(&plan);
        command.arg("--path").arg(folder.path()).arg("--save").arg(&saved).args(more);
        let output = command.output().unwrap();
        let printed = stdout(&output) + &stderr(&output);
        assert!(printed.contains("begin [key]"), "{printed}");
        assert!(!printed.contains(KEY), "{printed}");
        let files = files(&saved);
        assert!(files["leak.output.txt"].contains("begin [key]"), "{files:?}");
        assert!(files["a.transcript.jsonl"].contains("BG_TEST_KEY=[key]"), "{files:?}");
        assert!(files.values().all(|content| !content.contains(KEY)), "{files:?}");
    }
    let (head, _) = server.requests().remove(0);
    assert!(head.contains(KEY), "the server is told the key: {head}");
}

#[test]
fn a_model_can_play_the_built_in_plans() {
    let show = r#"{"command": "git --no-pager show --format=%s HEAD"}"#;
    let script = move |_: usize, body: &Value| {
        let last = last_text(body);
        let looks = last.contains("Review the last commit") && !last.contains("Merge");
        if looks { Reply::Call("Bash", show, 10, 1) } else { Reply::Echo(10, 1) }
    };
    let (folder, server) = (Folder::new().with("a.txt", "planted\n"), Server::new(script));
    folder.git(&["init", "-q"]);
    folder.git(&["add", "-A"]);
    folder.git(&["commit", "-qm", "the first one"]);
    for (name, requests) in [("review", 7), ("survey", 5)] {
        let mut command = bg(&["run", name, "--json", "--model", "openai:tiny", "--base-url"]);
        let output = command.arg(&server.base_url).arg("--path").arg(folder.path()).output();
        let output = output.unwrap();
        let document = document(&output);
        assert_eq!(output.status.code(), Some(0), "{document:#}");
        assert_eq!(tokens(&document["summary"]), [10 * requests, requests, requests], "{name}");
        if name == "review" {
            let merged = row(&document, "review")["output"].as_str().unwrap();
            assert_eq!(merged.matches("the first one").count(), 3, "{merged}");
        }
    }
}

#[test]
fn an_agent_that_another_one_calls_is_counted_and_saved_too() {
    let script = |_: usize, body: &Value| match last_text(body) {
        text if text.contains("ask somebody") => {
            let args = r#"{"agent_name": "helper", "prompt": "help me"}"#;
            Reply::Call("InvokeAgent", args, 10, 1)
        }
        text if text.contains("help me") => Reply::Say("here you are", 200, 20),
        _ => Reply::Say("thanks", 3000, 300),
    };
    let (folder, server) = (Folder::new(), Server::new(script));
    let plan = r#"
        [[agent]]
        name = "boss"
        tools = ["InvokeAgent"]
        [[agent]]
        name = "helper"
        [[task]]
        agent = "boss"
        prompt = "ask somebody"
    "#;
    let saved = folder.path().join("saved");
    let output = play(&folder, &server, plan, &["--json", "--save", saved.to_str().unwrap()]);
    let document = document(&output);
    assert_eq!(output.status.code(), Some(0), "{document:#}");
    assert_eq!(tokens(row(&document, "boss")), [3210, 321, 3]);
    assert_eq!(tokens(&document["summary"]), [3210, 321, 3]);
    assert!(files(&saved)["called.transcript.jsonl"].contains("here you are"));
}
