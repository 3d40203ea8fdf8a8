//! A run at a terminal: a line for each task that works, and one for what is typed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use support::server::{Reply, Server, last_text};
use support::{Folder, processes_with, until};

const SOON: Duration = Duration::from_secs(30);

const PLAN: &str = r#"
[[agent]]
name = "a"
[[task]]
name = "first"
agent = "a"
prompt = "hang"
[[task]]
name = "second"
agent = "a"
prompt = "work"
"#;

fn plays(_: usize, body: &serde_json::Value) -> Reply {
    if last_text(body).contains("work") { Reply::Say("worked", 100, 20) } else { Reply::Hang }
}

/// A run at a terminal of its own.
struct Run {
    child: Child,
    /// The other end of the terminal, until it hangs up.
    keyboard: Option<File>,
    reader: Option<JoinHandle<()>>,
    /// Tells the reader to end.
    over: Arc<AtomicBool>,
    terminal: File,
    screen: Arc<Mutex<vt100::Parser>>,
    _folder: Folder,
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Run {
    fn start(plan: &str, server: &Server) -> Self {
        let folder = Folder::new();
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let terminal = File::options().read(true).write(true).open(name).unwrap();
        let size = Winsize { ws_row: 40, ws_col: 90, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        let theirs = || terminal.try_clone().unwrap();
        // A session of its own, whose terminal it is.
        let mut command = Command::new("setsid");
        command.args([
            "--ctty",
            "--wait",
            env!("CARGO_BIN_EXE_bg"),
            "run",
            "--model",
            "openai:tiny",
        ]);
        command.arg("--base-url").arg(&server.base_url).arg(folder.plan(plan));
        command.arg("--path").arg(folder.path()).env("TERM", "xterm");
        let child = command.stdin(theirs()).stdout(theirs()).stderr(theirs()).spawn().unwrap();
        let keyboard = File::from(ours);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(40, 90, 1000)));
        let (shown, sink) = (keyboard.try_clone().unwrap(), screen.clone());
        let over: Arc<AtomicBool> = Arc::default();
        let is_over = over.clone();
        let reader = std::thread::spawn(move || read(shown, &sink, &is_over));
        let (keyboard, reader) = (Some(keyboard), Some(reader));
        Self { child, keyboard, reader, over, terminal, screen, _folder: folder }
    }

    fn types(&mut self, text: &str) {
        self.keyboard.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn hangs_up(&mut self) {
        self.over.store(true, Ordering::Release);
        self.reader.take().unwrap().join().unwrap();
        self.keyboard = None;
    }

    fn screen(&self) -> String {
        let screen = self.screen.lock().unwrap();
        let rows = screen.screen().rows(0, 90);
        rows.map(|row| row.trim_end().to_owned() + "\n").collect()
    }

    /// Waits until the screen is so.
    #[track_caller]
    fn shows(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let deadline = std::time::Instant::now() + SOON;
        while !is_so(&self.screen()) {
            assert!(std::time::Instant::now() < deadline, "not {what}:\n{}", self.screen());
            std::thread::yield_now();
        }
    }

    /// Waits for the end; returns the exit status, once the report is on the screen.
    #[track_caller]
    fn ends(&mut self) -> Option<i32> {
        self.shows("the report", |screen| screen.contains(" tokens in, "));
        self.child.wait().unwrap().code()
    }

    /// Whether the terminal shows and edits what is typed, as it did before.
    fn is_as_before(&self) -> bool {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }
}

/// Puts what comes on the screen.
fn read(mut shown: File, screen: &Mutex<vt100::Parser>, over: &AtomicBool) {
    let (mut bytes, moment) = ([0; 4096], Timespec { tv_sec: 0, tv_nsec: 20_000_000 });
    while !over.load(Ordering::Acquire) {
        let mut ready = [PollFd::new(&shown, PollFlags::IN)];
        if poll(&mut ready, Some(&moment)).unwrap() > 0 {
            let Ok(count) = shown.read(&mut bytes) else { return };
            screen.lock().unwrap().process(&bytes[..count]);
        }
    }
}

fn lines_with<'a>(screen: &'a str, part: &str) -> Vec<&'a str> {
    screen.lines().filter(|line| line.contains(part)).collect()
}

#[test]
fn each_task_at_work_has_one_line_and_a_result_is_printed_above() {
    let server = Server::new(plays);
    let mut run = Run::start(PLAN, &server);
    run.shows("the result", |screen| screen.contains("\n  worked\n"));
    run.shows("the line of the other, below", |screen| {
        let lines = lines_with(screen, "agent:1 ");
        let [line] = lines[..] else { return false };
        let is_below = screen.find("  worked") < screen.find("agent:1 ");
        let sum = screen.contains("1 task at work, 120 tokens");
        line.ends_with("first: running, step 1") && is_below && sum
    });
    assert_eq!(lines_with(&run.screen(), "second").len(), 1, "its result alone: {}", run.screen());
    run.types("/quit\r");
    assert_eq!(run.ends(), Some(130));
    let screen = run.screen();
    assert!(!screen.contains("at work") && !screen.contains("/steer"), "{screen}");
}

#[test]
fn what_is_typed_stands_in_a_line_of_its_own_and_can_be_taken_back() {
    let server = Server::new(plays);
    let mut run = Run::start(PLAN, &server);
    run.shows("the hint", |screen| screen.contains("> /status  /steer N TEXT"));
    run.types("/quit\x15/stax");
    run.shows("what was typed", |screen| screen.contains("\n> /stax"));
    run.types("\x7ftus\r");
    run.shows("the answer", |screen| {
        screen.contains("status: ") && screen.contains("waiting for the model")
    });
    run.shows("the hint again", |screen| screen.contains("> /status  /steer N TEXT"));
    assert!(!run.screen().contains("/stax"), "{}", run.screen());
    assert!(!run.is_as_before());
    run.types("/cancel 1\r");
    assert_eq!(run.ends(), Some(1));
    assert!(run.is_as_before());
}

#[test]
fn an_interrupt_from_the_keyboard_puts_the_terminal_back() {
    let server = Server::new(plays);
    let mut run = Run::start(PLAN, &server);
    run.shows("the hint", |screen| screen.contains("> /status  /steer N TEXT"));
    run.types("/sta\x03");
    assert_eq!(run.ends(), Some(130));
    assert!(run.is_as_before());
}

#[test]
fn those_for_whom_there_is_no_room_are_counted() {
    let server = Server::new(plays);
    let task = "[[task]]\nagent = \"a\"\nprompt = \"hang\"\n";
    let mut run = Run::start(&format!("[[agent]]\nname = \"a\"\n{}", task.repeat(15)), &server);
    run.shows("twelve lines and the count", |screen| {
        lines_with(screen, "running, step 1").len() == 12
            && screen.contains("15 tasks at work, 3 of them not shown")
    });
    run.types("/cancel 1\r/cancel 2\r");
    // Those that get room are shown.
    run.shows("fewer", |screen| screen.contains("13 tasks at work, 1 of them not shown"));
    run.types("\x03");
    assert_eq!(run.ends(), Some(130));
}

/// As with a connection that breaks.
#[test]
fn a_terminal_that_goes_away_stops_the_run_and_breaks_nothing() {
    let server = Server::new(plays);
    let plan = format!("{PLAN}[[process]]\ncommand = \"sleep 86417\"\n");
    let mut run = Run::start(&plan, &server);
    run.shows("the process", |screen| screen.contains("process:3"));
    until("it runs", SOON, || !processes_with("86417").is_empty());
    // Nobody holds the other end any more, and the session of the terminal is hung up.
    run.hangs_up();
    assert_eq!(run.child.wait().unwrap().code(), Some(130));
    assert!(processes_with("86417").is_empty());
}

/// A plain log is what is there elsewhere.
#[test]
fn what_is_no_terminal_gets_lines_that_stay() {
    let server = Server::new(|_, _| Reply::Say("worked", 1, 1));
    let folder = Folder::new();
    let output = support::run_plan(
        &folder,
        PLAN,
        &["--model", "openai:tiny", "--base-url", &server.base_url],
    );
    let text = support::stdout(&output);
    assert!(text.contains("agent:1    first: running, step 1\n"), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
}
