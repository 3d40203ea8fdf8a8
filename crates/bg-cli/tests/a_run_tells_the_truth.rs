//! What `bg run` prints and returns.
#![cfg(unix)]

mod support;

use std::process::Output;

use serde_json::Value;
use support::{Folder, bg, run_plan, stderr, stdout};

#[track_caller]
fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", stdout(output), stderr(output)))
}

fn repository() -> Folder {
    let folder = Folder::new()
        .with("src/main.rs", "fn main() {}\n// TODO one\n// TODO two\n")
        .with("src/empty.py", "")
        .with(".hidden/note.md", "FIXME and TODO\n")
        .with("ignored.log", "TODO not counted\n")
        .with(".gitignore", "*.log\n/target\n")
        .with("target/x.rs", "TODO not counted\n")
        .with("binary.bin", b"TODO\0TODO\n");
    folder.git(&["init", "-q"]);
    folder.git(&["add", "-A"]);
    folder.git(&["commit", "-qm", "one commit of the test"]);
    folder
}

/// The sum of `git grep -c`, text files only, as a survey counts.
fn git_count(folder: &Folder, word: &str) -> u64 {
    let rows = folder.git(&["grep", "-I", "-c", word]);
    let count = |row: &str| row.rsplit(':').next().and_then(|n| n.parse::<u64>().ok());
    rows.lines().filter_map(count).sum()
}

#[test]
fn a_survey_agrees_with_git() {
    let folder = repository();
    let path = folder.path().to_str().unwrap();
    let output = bg(&["run", "survey", "--json", "--path", path]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let document = document(&output);
    let said = |label: &str| {
        let mut tasks = document["tasks"].as_array().unwrap().iter();
        let task = tasks.find(|task| task["label"] == label).unwrap();
        task["output"].as_str().unwrap().to_owned()
    };
    let files = folder.git(&["ls-files"]).lines().count();
    assert!(said("inventory").starts_with(&format!("{files} files, ")), "{}", said("inventory"));
    assert!(
        said("inventory").contains(&format!("\"text\":\"{files}\\n\"")),
        "{}",
        said("inventory")
    );
    for word in ["TODO", "FIXME"] {
        let row = format!("{word}: {} matching line", git_count(&folder, word));
        assert!(said("markers").contains(&row), "{row:?} is not in {}", said("markers"));
    }
    assert!(said("history").contains("one commit of the test"));
}

#[test]
fn the_document_has_a_row_for_every_task_and_a_summary() {
    let folder = repository();
    let path = folder.path().to_str().unwrap();
    let output = bg(&["run", "survey", "--json", "--path", path]).output().unwrap();
    let document = document(&output);
    let tasks = document["tasks"].as_array().unwrap();
    let labels: Vec<_> = tasks.iter().map(|task| task["label"].as_str().unwrap()).collect();
    let inventory_to_heartbeat =
        ["inventory", "markers", "largest", "overview 1/2", "history", "heartbeat"];
    assert_eq!(labels, [&inventory_to_heartbeat[..], &["overview 2/2"]].concat());
    // What an agent starts takes numbers from the same row, so there may be gaps.
    let number = |task: &Value| {
        let (kind, number) = task["task_id"].as_str().unwrap().split_once(':').unwrap();
        assert_eq!(task["kind"], kind);
        number.parse::<u64>().unwrap()
    };
    let numbers: Vec<_> = tasks.iter().map(number).collect();
    assert!(numbers[0] == 1 && numbers.is_sorted(), "{numbers:?}");
    let inventory = &document["tasks"][0];
    assert_eq!((&inventory["kind"], &inventory["status"]), (&"agent".into(), &"completed".into()));
    assert_eq!((&inventory["steps"], &inventory["tool_calls"]), (&3.into(), &2.into()));
    assert!(inventory["elapsed_ms"].is_u64());
    let heartbeat = &document["tasks"][5];
    assert_eq!((&heartbeat["status"], &heartbeat["failed"]), (&"killed".into(), &false.into()));
    let receipt = &heartbeat["receipt"];
    assert_eq!(receipt["signals"], serde_json::json!(["SIGTERM"]), "{receipt}");
    assert_eq!(receipt["survivors"], serde_json::json!([]), "{receipt}");
    let summary = &document["summary"];
    assert_eq!((&summary["tasks"], &summary["failed"]), (&7.into(), &0.into()));
    assert_eq!((&summary["tool_calls"], &summary["interrupted"]), (&8.into(), &false.into()));
}

#[cfg(target_os = "linux")]
#[test]
fn a_stopped_process_is_reported_with_its_receipt() {
    let folder = repository();
    let path = folder.path().to_str().unwrap();
    let output = bg(&["run", "survey", "--path", path]).output().unwrap();
    let text = stdout(&output);
    let receipt = text.lines().find(|line| line.contains("receipt: ")).unwrap_or(&text);
    assert!(receipt.contains("SIGTERM, then ended by signal 15; held by "), "{text}");
    // `bg` has a guard, and what it holds processes with is exact.
    assert!(receipt.ends_with("; gone"), "{text}");
}

#[test]
fn a_failing_task_is_told_with_its_causes_and_the_others_go_on() {
    let folder = Folder::new();
    let plan = r#"
        [[agent]]
        name = "a"
        [[task]]
        agent = "a"
        prompt = "fail"
        script = "fail the provider is down"
        [[task]]
        agent = "a"
        script = "say all is well"
        [[process]]
        label = "odd"
        command = "echo oh >&2; exit 3"
    "#;
    let output = run_plan(&folder, plan, &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("errored: "), "{text}");
    assert!(text.contains("the provider is down"), "{text}");
    assert!(text.contains("  all is well\n"), "{text}");
    assert!(text.contains("exited with code 3"), "{text}");
    assert!(text.contains("  oh\n"), "{text}");
    assert!(text.contains("3 tasks, 2 failed, in "), "{text}");
}

#[test]
fn a_tool_call_that_fails_is_a_result_and_not_the_end() {
    let folder = Folder::new();
    let plan = r#"
        [[agent]]
        name = "a"
        tools = ["ReadFile"]
        [[task]]
        agent = "a"
        prompt = "read outside"
        script = '''
call ReadFile {"path": "../../etc/passwd"}
say it said: {{1}}
'''
    "#;
    let output = run_plan(&folder, plan, &[]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.contains("it said: `../../etc/passwd` is outside the folder"), "{text}");
}

#[test]
fn a_long_output_is_cut_and_the_rest_is_in_a_file() {
    let folder = Folder::new();
    let output = run_plan(&folder, "[[process]]\ncommand = \"seq 1000\"\n", &[]);
    let text = stdout(&output);
    assert!(text.contains("\n  40\n  (960 more lines in "), "{text}");
    let (_, path) = text.split_once("960 more lines in ").unwrap();
    let (path, _) = path.split_once(".txt").unwrap();
    let path = format!("{path}.txt");
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1000);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn output_cannot_move_the_cursor() {
    let folder = Folder::new();
    let plan = "[[process]]\ncommand = \"printf '\\\\033]0;owned\\\\007\\\\033[2Jx'\"\n";
    let output = run_plan(&folder, plan, &[]);
    let text = stdout(&output);
    assert!(text.contains("\\u{1b}]0;owned\\u{7}\\u{1b}[2Jx"), "{text}");
    assert!(!output.stdout.contains(&0x1b));
}

#[test]
fn a_reader_that_goes_away_does_not_break_the_run() {
    let folder = Folder::new();
    let plan = folder.plan("[[process]]\ncommand = \"seq 30; echo done > ended\"\n");
    let mut command = bg(&["run"]);
    let mut child = command.arg(plan).arg("--path").arg(folder.path()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    assert!(folder.path().join("ended").exists());
}

#[test]
fn a_shown_plan_can_be_run_from_a_file() {
    let shown = bg(&["plans", "show", "survey"]).output().unwrap();
    let folder = repository();
    let output = run_plan(&folder, &stdout(&shown), &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(document(&output)["summary"]["tasks"], 7);
    let list = stdout(&bg(&["plans"]).output().unwrap());
    assert_eq!(
        list,
        "survey: inventory, markers and the largest files of a folder\n\
         review: three reviews of the last commit, merged into one\n"
    );
}

#[test]
fn a_review_shows_the_last_commit_three_times_and_merges_it() {
    let folder = repository();
    let path = folder.path().to_str().unwrap();
    let output = bg(&["run", "review", "--json", "--path", path]).output().unwrap();
    let document = document(&output);
    assert_eq!(output.status.code(), Some(0), "{document:#}");
    let tasks = document["tasks"].as_array().unwrap();
    let said = |label| tasks.iter().find(|task| task["label"] == label).unwrap()["output"].clone();
    assert!(said("correctness").as_str().unwrap().contains("one commit of the test"));
    let merged = said("review").to_string();
    for part in ["one commit of the test", "Tests among its files", "Its largest changes"] {
        assert!(merged.contains(part), "{part:?} is not in {merged}");
    }
}

#[test]
fn a_label_cannot_forge_a_line() {
    let folder = Folder::new();
    let plan = "[[process]]\nlabel = \"x\\n=== agent:9 ok: completed\"\ncommand = \"true\"\n";
    let text = stdout(&run_plan(&folder, plan, &[]));
    assert!(!text.lines().any(|line| line.starts_with("=== agent:9")), "{text}");
    assert!(text.contains("=== process:1 x\\n=== agent:9 ok: completed: exited"), "{text}");
}

#[test]
fn a_long_line_is_cut_and_whole_in_a_file() {
    let folder = Folder::new();
    let plan = "[[process]]\ncommand = \"head -c 100000 /dev/zero | tr '\\\\000' x\"\n";
    let text = stdout(&run_plan(&folder, plan, &[]));
    assert!(text.lines().all(|line| line.len() < 600), "a line is longer");
    assert!(text.contains("100000 bytes of output; the whole lines in "), "{text}");
    let (_, path) = text.split_once("(the whole lines in ").unwrap();
    let path = path.split_once(')').unwrap().0;
    assert_eq!(std::fs::read_to_string(path).unwrap().len(), 100_000);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_the_system_does_not_start_is_told_and_the_others_go_on() {
    let folder = Folder::new();
    let long = "x".repeat(3_000_000);
    let plan =
        format!("[[process]]\ncommand = \"true {long}\"\n[[process]]\ncommand = \"echo fine\"\n");
    let output = run_plan(&folder, &plan, &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let document = document(&output);
    assert_eq!(document["tasks"][0]["status"], "errored");
    let reason = document["tasks"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("Argument list too long"), "{reason}");
    assert_eq!(document["tasks"][1]["output"], "fine\n");
    assert_eq!(document["summary"]["failed"], 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_that_cannot_be_written_is_a_failure() {
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let folder = Folder::new();
    let plan = folder.plan("[[process]]\ncommand = \"true\"\n");
    let mut run = bg(&["run", "--json"]);
    let output = run.arg(plan).arg("--path").arg(folder.path()).stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot write the report"), "{}", stderr(&output));
    let output = bg(&["plans"]).stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
