//! Commands that are typed while a run goes on.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::server::{Reply, Server, last_text};
use support::{Folder, bg, until};

const PLAN: &str = r#"
[[agent]]
name = "a"
tools = ["Bash"]
[[task]]
name = "first"
agent = "a"
prompt = "hang"
[[task]]
name = "second"
agent = "a"
prompt = "work"
[[session]]
name = "talk"
agent = "a"
[[session.prompt]]
prompt = "hang"
[[session.prompt]]
after = ["first"]
prompt = "go on"
"#;

/// Answers a call whose tool has taken a while; hangs when it is asked to.
fn plays(_: usize, body: &Value) -> Reply {
    match last_text(body) {
        text if text.contains("go on") => Reply::Say("went on", 1, 1),
        text if text.contains("hang") => Reply::Hang,
        text if text.contains("fewer words") => Reply::Say("shorter", 1, 1),
        text if text.contains("work") => {
            Reply::Call("Bash", r#"{"command": "until test -e go; do sleep 0.05; done"}"#, 1, 1)
        }
        _ => Reply::Say("done", 1, 1),
    }
}

/// A run that is told things.
struct Run {
    folder: Folder,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    printed: String,
    /// Keeps the run from being killed when it is dropped.
    _watch: mpsc::Sender<()>,
}

impl Run {
    /// Starts a plan; returns when so many requests have come.
    fn start(plan: &str, server: &Server, requests: usize) -> Self {
        let folder = Folder::new();
        let mut command = bg(&["run", "--commands", "--model", "openai:tiny", "--base-url"]);
        command.arg(&server.base_url).arg(folder.plan(plan)).arg("--path").arg(folder.path());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let watch = kill_when_late(&child);
        until("the model is asked", SOON, || server.requests().len() >= requests);
        Self { folder, child, stdin, stdout, printed: String::new(), _watch: watch }
    }

    fn types(&mut self, line: &str) {
        self.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Reads until a line has this in it.
    #[track_caller]
    fn prints(&mut self, text: &str) -> String {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            let count = self.stdout.read_line(&mut line).unwrap();
            assert!(count > 0, "{text:?} was not printed:\n{}", self.printed);
            self.printed.push_str(&line);
        }
        line
    }

    /// Returns the exit status and all that was printed.
    fn ends(mut self) -> (Option<i32>, String) {
        drop(self.stdin.take());
        std::io::Read::read_to_string(&mut self.stdout, &mut self.printed).unwrap();
        (self.child.wait().unwrap().code(), self.printed)
    }
}

/// Kills a run that takes too long, so that whoever reads what it prints comes to an end.
fn kill_when_late(child: &Child) -> mpsc::Sender<()> {
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    let (watch, dropped) = mpsc::channel();
    std::thread::spawn(move || {
        if dropped.recv_timeout(SOON) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = kill_process(pid, Signal::KILL);
        }
    });
    watch
}

const SOON: Duration = Duration::from_secs(20);

#[test]
fn tasks_and_sessions_are_shown_steered_stopped_and_ended() {
    let server = Server::new(plays);
    let mut run = Run::start(PLAN, &server, 3);
    run.types("/status");
    run.prints("status: 0 results so far, ");
    run.prints("agent:1     first: running, step 1, ");
    run.prints("  session:3   talk: running");
    run.prints("  waits       talk 2/2");
    run.types("/steer 2 use fewer words");
    run.prints("agent:2: will hear it");
    std::fs::write(run.folder.path().join("go"), "").unwrap();
    run.prints("=== agent:2 second: completed");
    assert_eq!(run.prints("  s"), "  shorter\n");
    run.types("/stop 4");
    run.prints("agent:4: what the session talk does is being stopped");
    run.types("/cancel agent:1");
    run.prints("agent:1: is being stopped");
    let (code, printed) = run.ends();
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("first: cancelled: a command was typed"), "{printed}");
    assert!(printed.contains("talk 1/2: cancelled"), "{printed}");
}

#[test]
fn a_session_hears_what_it_is_told_while_it_answers_and_ends_when_it_is_told_to() {
    let server = Server::new(plays);
    let plan = "[[agent]]\nname = \"a\"\ntools = [\"Bash\"]\n[[session]]\nname = \"talk\"\n\
                agent = \"a\"\n[[session.prompt]]\nprompt = \"work\"\n\
                [[session.prompt]]\nprompt = \"hang\"\n[[session.prompt]]\nprompt = \"go on\"\n";
    let mut run = Run::start(plan, &server, 1);
    run.types("/steer 2 use fewer words");
    run.prints("agent:2: will hear it");
    std::fs::write(run.folder.path().join("go"), "").unwrap();
    run.prints("=== agent:2 talk 1/3: completed");
    assert_eq!(run.prints("  s"), "  shorter\n");
    run.prints("talk 2/3: running");
    run.types("/cancel session:1");
    run.prints("session:1: the session talk is being ended");
    let (code, printed) = run.ends();
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("not started: talk 3/3: "), "{printed}");
    assert!(!server.requests().iter().any(|(_, body)| last_text(body).contains("go on")));
}

#[test]
fn what_is_no_command_is_answered_with_one_line_of_help() {
    let server = Server::new(plays);
    let mut run = Run::start(PLAN, &server, 3);
    for line in ["help", "/steer 2", "/stop", "/status now"] {
        run.types(line);
        run.prints("commands: /status, /steer N TEXT, /stop N, /cancel N");
    }
    run.types("/stop 99");
    run.prints("99");
    run.types("");
    run.types("/cancel 4");
    run.prints("agent:4: the session talk is being ended");
    run.types("/quit");
    run.prints("interrupted: stopping everything");
    let (code, printed) = run.ends();
    assert_eq!(code, Some(130), "{printed}");
    assert_eq!(printed.matches("commands: ").count(), 4, "{printed}");
    assert!(printed.contains(" failed, interrupted, in "), "{printed}");
}

#[test]
fn an_interrupt_ends_a_run_whose_model_hangs() {
    let server = Server::new(|_, _| Reply::Hang);
    let plan = "[[agent]]\nname = \"a\"\n[[task]]\nagent = \"a\"\nprompt = \"go\"\n";
    let run = Run::start(plan, &server, 1);
    let pid = Pid::from_raw(run.child.id().cast_signed()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let before = std::time::Instant::now();
    let (code, printed) = run.ends();
    assert_eq!(code, Some(130), "{printed}");
    assert!(before.elapsed() < Duration::from_secs(3), "took {:?}", before.elapsed());
    assert!(printed.contains("1 task, 1 failed, interrupted, in "), "{printed}");
}
