//! The commands of `docs/guides/models.md`, as they stand there: only where the server is was filled in.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[path = "../../bg-models/tests/kits/mod.rs"]
mod kits;
mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::server::{Reply, Server};
use support::{Folder, stderr, stdout};

const GUIDE: &str = include_str!("../../../docs/guides/models.md");

/// In place of `cargo run --release --`: what that would build is there.
const CARGO: &str = concat!("#!/bin/sh\nshift 3\nexec '", env!("CARGO_BIN_EXE_bg"), "' \"$@\"\n");

/// The block of commands that has this in it.
fn block(part: &str) -> &'static str {
    let blocks = GUIDE.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut found = blocks.filter(|block| block.contains(part));
    let block = found.next().unwrap_or_else(|| panic!("the guide does not say {part}"));
    assert!(found.next().is_none(), "{part} twice");
    block
}

/// The one line of a block that runs a plan.
fn run_of(block: &str) -> &str {
    block.lines().find(|line| line.starts_with("cargo run --release -- run ")).unwrap()
}

/// Has a shell do it in a folder, where `cargo` is what we say.
fn sh(folder: &Path, commands: &str) -> Output {
    let tools = folder.join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    std::fs::write(tools.join("cargo"), CARGO).unwrap();
    std::fs::set_permissions(tools.join("cargo"), PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", commands]).current_dir(folder).env("PATH", path);
    shell.env("VENDOR_API_KEY", "sk-planted-0123456789").stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn went_well(output: &Output) -> String {
    let text = stdout(output);
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", stderr(output));
    text
}

#[tokio::test]
async fn a_plan_with_the_small_model() {
    let commands = block("verses.toml");
    let Some(server) = kits::llama(2, 4096) else { return };
    let commands = commands.replace("http://127.0.0.1:PORT", &server.address);
    let text = went_well(&sh(Folder::new().path(), &commands));
    assert!(text.contains("\n3 tasks, 0 failed, in "), "{text}");
    let said = server.counted("tokens_predicted_total").await;
    assert!(text.trim_end().ends_with(&format!(" {said} out, in 3 requests")), "{said}: {text}");
}

/// A server where llama.cpp would be.
#[test]
fn a_plan_with_a_local_server() {
    let server = Server::new(|_, _| Reply::Say("as you say", 3, 2));
    let run = run_of(block("run survey --model openai"));
    let run = run.replace("http://127.0.0.1:8080/v1", &server.base_url);
    let text = went_well(&sh(Folder::new().path(), &run));
    assert!(text.contains("0 failed, in "), "{text}");
    assert!(server.requests().iter().all(|(_, body)| body["model"] == "local"));
}

/// A server that wants a key where the vendor would be.
#[test]
fn a_review_with_a_hosted_vendor() {
    let server = Server::new(|_, _| Reply::Say("fine", 3, 2));
    let run = run_of(block("run review --model openai"));
    let run = run.replace("https://HOST/v1", &server.base_url);
    let folder = Folder::new().with("a.txt", "a");
    for args in [&["init", "-q"][..], &["add", "."], &["commit", "-qm", "first"]] {
        folder.git(args);
    }
    let output = sh(folder.path(), &run);
    let text = went_well(&output);
    assert!(text.contains("0 failed, in "), "{text}");
    let requests = server.requests();
    assert!(requests.len() >= 4, "{text}");
    let key = "authorization: Bearer sk-planted-0123456789\r\n";
    assert!(requests.iter().all(|(head, _)| head.contains(key)));
    assert!(!text.contains("sk-planted") && !stderr(&output).contains("sk-planted"));
}
