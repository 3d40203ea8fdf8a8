//! `bg mcp` with clients that were not written here: the MCP SDK for Python and the MCP Inspector.
#![cfg(all(target_os = "linux", feature = "mcp"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[path = "../../bg-models/tests/kits/mod.rs"]
mod kits;
mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::mcp_http::Server;
use support::{Folder, processes_with, stderr, stdout, until};

const SOON: Duration = Duration::from_secs(30);
const TWO_SECONDS: Duration = Duration::from_secs(2);
const BG: &str = env!("CARGO_BIN_EXE_bg");
const GUIDE: &str = include_str!("../../../docs/guides/mcp.md");
const ONE: &str = "one-0123456789abcdef";
const TWO: &str = "two-0123456789abcdef";

/// The life of commands, as the SDK sees it.
const LIFE: &str = "life.py";

/// A long call, as the SDK has it when it speaks the Tasks extension.
const LISTENS: &str = "listens.py";

fn python(sdk: &Path, script: &str) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let mut python = Command::new("python3");
    python.arg("-B").arg(script).env("PYTHONPATH", sdk);
    python.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    python
}

fn over_stdio(sdk: &Path, script: &str, folder: &Folder) -> Command {
    let mut python = python(sdk, script);
    python.args(["stdio", BG, "mcp", "--path"]).arg(folder.path());
    python
}

fn over_http(sdk: &Path, script: &str, server: &Server, token: &str) -> Command {
    let mut python = python(sdk, script);
    python.args(["http", &format!("http://{}/mcp", server.address), token]);
    python
}

#[track_caller]
fn is_ok(output: &Output) {
    assert_eq!(stdout(output), "ok\n", "{}", stderr(output));
}

/// A server with two tokens.
fn two_tokens(folder: &Folder) -> Server {
    Server::start(folder, &[("BG_TEST_ONE", ONE), ("BG_TEST_TWO", TWO)], &[])
}

#[test]
fn a_command_lives_its_life_over_stdio() {
    let Some(sdk) = kits::mcp_sdk() else { return };
    is_ok(&over_stdio(&sdk, LIFE, &Folder::new()).output().unwrap());
}

/// Each asserts that the list has its own tasks alone.
#[test]
fn two_clients_at_once_live_theirs_over_http() {
    let Some(sdk) = kits::mcp_sdk() else { return };
    let folder = Folder::new();
    let server = two_tokens(&folder);
    let clients = [ONE, TWO].map(|token| over_http(&sdk, LIFE, &server, token).spawn().unwrap());
    for client in clients {
        is_ok(&client.wait_with_output().unwrap());
    }
}

#[test]
fn a_client_with_the_tasks_extension_listens_for_its_result_over_both_transports() {
    let Some(sdk) = kits::mcp_sdk() else { return };
    let folder = Folder::new();
    is_ok(&over_stdio(&sdk, LISTENS, &folder).output().unwrap());
    let server = two_tokens(&folder);
    is_ok(&over_http(&sdk, LISTENS, &server, ONE).output().unwrap());
}

/// Has a client start a command that goes on; returns once it has, with the client and the command's
/// mark.
fn left(mut client: Command, folder: &Folder) -> (Child, String) {
    let mark = format!("left-{}", folder.path().file_name().unwrap().to_str().unwrap());
    let mut client = client.args(["leave", &mark]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(client.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "left\n");
    (client, mark)
}

fn runs(mark: &str) -> bool {
    // The client has the mark alone among its arguments.
    !processes_with(&format!("echo {mark}")).is_empty()
}

#[test]
fn a_client_that_is_killed_leaves_nothing_over_stdio() {
    let Some(sdk) = kits::mcp_sdk() else { return };
    let folder = Folder::new();
    let (mut client, mark) = left(over_stdio(&sdk, LIFE, &folder), &folder);
    until("it runs", SOON, || runs(&mark));
    client.kill().unwrap();
    client.wait().unwrap();
    until("nothing is left", TWO_SECONDS, || !runs(&mark));
}

#[test]
fn a_client_that_is_killed_finds_its_command_again_over_http() {
    let Some(sdk) = kits::mcp_sdk() else { return };
    let folder = Folder::new();
    let server = two_tokens(&folder);
    let (mut client, mark) = left(over_http(&sdk, LIFE, &server, ONE), &folder);
    client.kill().unwrap();
    client.wait().unwrap();
    let list =
        |token| server.client().bearing(token).does("ListBackgroundTasks", serde_json::json!({}));
    assert_eq!(list(ONE)[0]["status"], "running");
    assert_eq!(list(TWO), serde_json::json!([]), "it is not another one's");
    until("it runs", SOON, || runs(&mark));
}

/// Runs the Inspector's command line; `bg` is on its path.
fn sh(inspector: &Path, commands: &str) -> Output {
    let bg = Path::new(BG).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths([bg].into_iter().chain(std::env::split_paths(&path)));
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", commands]).current_dir(inspector).env("PATH", path.unwrap());
    shell.stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn document(output: &Output) -> Value {
    let text = stdout(output);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}\n{}", stderr(output)))
}

#[track_caller]
fn has_bash(listed: &Output) {
    let listed = document(listed);
    let names = listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str());
    assert!(names.flatten().any(|name| name == "Bash"), "{listed:#}");
}

/// What the tool that was called has answered.
#[track_caller]
fn answer(called: &Output) -> Value {
    let called = document(called);
    serde_json::from_str(called["content"][0]["text"].as_str().unwrap()).unwrap()
}

/// The lines of the guide's first example, as they stand there.
fn first_example() -> Vec<&'static str> {
    let block = GUIDE.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    block.lines().filter_map(|line| line.strip_prefix("$ ")).collect()
}

#[test]
fn the_first_example_of_the_guide_works_as_written() {
    let Some(inspector) = kits::mcp_inspector() else { return };
    let [list, call] = first_example()[..] else { panic!("{:?}", first_example()) };
    has_bash(&sh(&inspector, list));
    let answer = answer(&sh(&inspector, call));
    assert_eq!((&answer["exit_code"], &answer["output"]["text"]), (&0.into(), &"hello\n".into()));
}

/// It sends no headers in this version, so the server wants no token.
#[test]
fn the_inspector_lists_and_calls_over_http() {
    let Some(inspector) = kits::mcp_inspector() else { return };
    let folder = Folder::new();
    let server = Server::start(&folder, &[], &[]);
    let url = format!("http://{}/mcp", server.address);
    let inspect = |method: &str| {
        let ours = format!("npx @modelcontextprotocol/inspector --cli {url} --transport http");
        sh(&inspector, &format!("{ours} --method {method}"))
    };
    has_bash(&inspect("tools/list"));
    let answer = answer(&inspect("tools/call --tool-name Bash --tool-arg 'command=pwd'"));
    let told = PathBuf::from(answer["output"]["text"].as_str().unwrap().trim_end());
    assert_eq!(told, folder.path().canonicalize().unwrap());
}
