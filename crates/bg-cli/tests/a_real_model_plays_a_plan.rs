//! A plan whose agents are played by a real model, small as it is: what it costs is what its server
//! has counted.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[path = "../../bg-models/tests/kits/mod.rs"]
mod kits;
mod support;

use kits::Kit;
use serde_json::Value;
use support::{Folder, bg, stderr, stdout};

/// Two agents; a session of one of them with a follow-up, which is told what the tasks have found.
const PLAN: &str = r#"
[[agent]]
name = "poet"
instructions = "You write one short line."
[[agent]]
name = "clerk"
instructions = "You answer in JSON."
[agent.output_schema]
type = "object"
required = ["colour"]
[agent.output_schema.properties.colour]
enum = ["red", "green"]

[[task]]
name = "rain"
agent = "poet"
prompt = "A line about rain."
[[task]]
name = "leaf"
agent = "clerk"
prompt = "Which colour has a leaf?"
[[session]]
name = "talk"
agent = "poet"
[[session.prompt]]
prompt = "A line about the crocus."
[[session.prompt]]
after = ["rain", "leaf"]
prompt = "Say it again, and be brief."
"#;

const LABELS: [&str; 4] = ["rain", "leaf", "talk 1/2", "talk 2/2"];

fn number(row: &Value, field: &str) -> u64 {
    row[field].as_u64().unwrap_or_else(|| panic!("no {field} in {row:#}"))
}

/// Plays the plan; returns the document of the run.
fn play(server: &Kit, folder: &Folder) -> Value {
    let mut command = bg(&["run", "--json", "--model", "openai:smollm2"]);
    command.arg("--base-url").arg(format!("{}/v1", server.address));
    command.args(["--context-window", "1024", "--max-output-tokens", "40"]);
    command.arg(folder.plan(PLAN)).arg("--path").arg(folder.path());
    let output = command.arg("--save").arg(folder.path().join("saved")).output().unwrap();
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", stderr(&output));
    serde_json::from_str(&text).unwrap()
}

/// What was saved of the conversation in which this was said.
fn transcript_with(folder: &Folder, text: &str) -> String {
    let files = std::fs::read_dir(folder.path().join("saved")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let mut texts = paths.filter(|path| path.to_string_lossy().ends_with(".transcript.jsonl"));
    let found = texts.find_map(|path| {
        std::fs::read_to_string(path).ok().filter(|transcript| transcript.contains(text))
    });
    found.unwrap_or_else(|| panic!("nothing was saved that says {text}"))
}

#[tokio::test]
async fn two_agents_and_a_session_with_a_follow_up_cost_what_the_server_counts() {
    let Some(server) = kits::llama(2, 1024) else { return };
    let folder = Folder::new();
    let document = play(&server, &folder);
    let (rows, sum) = (document["tasks"].as_array().unwrap(), &document["summary"]);
    let of = |label: &str| rows.iter().find(|row| row["label"] == label).unwrap();
    for label in LABELS {
        assert!(!of(label)["output"].as_str().unwrap().trim().is_empty(), "{document:#}");
    }
    let leaf: Value = serde_json::from_str(of("leaf")["output"].as_str().unwrap()).unwrap();
    assert!(["red", "green"].contains(&leaf["colour"].as_str().unwrap()), "{leaf}");
    // Each figure of the sum is that of the tasks, and the server's own.
    for field in ["input_tokens", "cached_tokens", "output_tokens", "requests"] {
        let all: u64 = rows.iter().map(|row| number(row, field)).sum();
        assert_eq!(number(sum, field), all, "{field}");
    }
    let read = number(sum, "input_tokens") - number(sum, "cached_tokens");
    assert_eq!(server.counted("prompt_tokens_total").await, read, "{sum:#}");
    assert_eq!(server.counted("tokens_predicted_total").await, number(sum, "output_tokens"));
    assert_eq!(server.slots_at_work().await, 0);
    // The follow-up was asked in the same conversation, and told what the others found.
    let transcript = transcript_with(&folder, "Say it again");
    for part in ["A line about the crocus.", "Say it again, and be brief.", "colour"] {
        assert!(transcript.contains(part), "no {part} in {transcript}");
    }
}
