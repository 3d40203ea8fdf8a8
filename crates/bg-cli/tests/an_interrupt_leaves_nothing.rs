//! Interrupts: everything is stopped, it is said, and nothing is left.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use std::process::{Child, Output};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::{Folder, bg, processes_with, stdout, until};

const SOON: Duration = Duration::from_secs(20);

/// A run of processes that will not end by themselves.
struct Endless {
    _folder: Folder,
    child: Child,
    /// Is in the arguments of all that the run starts, and nowhere else.
    mark: String,
}

impl Endless {
    /// Starts a heeding, a deaf and a forking process, and an agent that waits for its own.
    #[track_caller]
    fn start() -> Self {
        let folder = Folder::new();
        let mark = format!("endless-{}", folder.path().file_name().unwrap().to_str().unwrap());
        let plan = r#"
[[agent]]
name = "waiter"
tools = ["Bash"]
[[task]]
agent = "waiter"
prompt = "wait"
script = '''
call Bash {"command": ": MARK; sleep 1000; :"}
say over
'''
[[process]]
label = "heeds"
command = ": MARK; sleep 1000; :"
[[process]]
label = "deaf"
command = "trap '' TERM; : MARK; while :; do sleep 0.05; done"
[[process]]
label = "forks"
command = "sh -c ': MARK; sleep 1000; :' & sh -c \"trap '' TERM; : MARK; sleep 1000; :\" & wait; : MARK"
"#;
        let plan = folder.plan(&plan.replace("MARK", &mark));
        let mut command = bg(&["run"]);
        let child = command.arg(plan).arg("--path").arg(folder.path()).spawn().unwrap();
        let endless = Self { _folder: folder, child, mark };
        until("all six shells run", SOON, || processes_with(&endless.mark).len() == 6);
        endless
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end; returns what it printed and how long it took.
    fn end(self) -> (Output, Duration) {
        let before = Instant::now();
        let output = self.child.wait_with_output().unwrap();
        let took = before.elapsed();
        // What was killed in the last moment takes the kernel a moment more.
        let second = Duration::from_secs(1);
        until("nothing is left", second, || processes_with(&self.mark).is_empty());
        (output, took)
    }
}

#[test]
fn an_interrupt_in_the_middle_ends_within_three_seconds() {
    let run = Endless::start();
    run.signal(Signal::INT);
    let (output, took) = run.end();
    assert!(took < Duration::from_secs(3), "took {took:?}");
    assert_eq!(output.status.code(), Some(130));
    let text = stdout(&output);
    assert!(text.contains("interrupted: stopping everything"), "{text}");
    for row in ["waiter: cancelled", "heeds: killed", "deaf: killed", "forks: killed"] {
        assert!(text.contains(row), "{row:?} is not in {text}");
    }
    assert!(text.contains("4 tasks, 4 failed, interrupted, in "), "{text}");
}

#[test]
fn a_second_interrupt_kills_at_once() {
    let run = Endless::start();
    run.signal(Signal::INT);
    run.signal(Signal::TERM);
    let (output, took) = run.end();
    // The deaf process would take its grace of a second and a half.
    assert!(took < Duration::from_millis(1200), "took {took:?}");
    assert_eq!(output.status.code(), Some(130));
}

#[test]
fn a_hangup_a_sigterm_and_a_sigquit_are_interrupts_too() {
    for signal in [Signal::HUP, Signal::TERM, Signal::QUIT] {
        let run = Endless::start();
        run.signal(signal);
        let (output, took) = run.end();
        assert!(took < Duration::from_secs(3), "took {took:?}");
        assert_eq!(output.status.code(), Some(130));
    }
}

#[test]
fn an_interrupt_starts_nothing_and_ends_sessions() {
    let folder = Folder::new();
    let mark = format!("ordered-{}", folder.path().file_name().unwrap().to_str().unwrap());
    let plan = r#"
[[agent]]
name = "a"
tools = ["Bash"]
[[process]]
name = "endless"
command = ": MARK; sleep 1000; :"
[[session]]
name = "idle"
agent = "a"
[[session.prompt]]
script = "say ready"
[[session.prompt]]
after = ["endless"]
script = "say never"
[[session]]
name = "busy"
agent = "a"
[[session.prompt]]
script = '''
call Bash {"command": ": MARK; sleep 1000; :"}
say never
'''
[[process]]
label = "never"
after = ["endless"]
command = "touch started"
[[process]]
command = "sleep 0.1; echo yes > ran"
"#;
    let plan = folder.plan(&plan.replace("MARK", &mark));
    let mut command = bg(&["run", "--json"]);
    let child = command.arg(plan).arg("--path").arg(folder.path()).spawn().unwrap();
    until("all run", SOON, || {
        processes_with(&mark).len() == 2 && folder.path().join("ran").exists()
    });
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let second = Duration::from_secs(1);
    until("nothing is left", second, || processes_with(&mark).is_empty());
    assert!(!folder.path().join("started").exists(), "something was started");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let not_started = ["idle 2/2: the run was interrupted", "never: the run was interrupted"];
    assert_eq!(document["summary"]["not_started"], serde_json::json!(not_started), "{document}");
    let rows = document["tasks"].as_array().unwrap();
    let ended = |label: &str| &rows.iter().find(|row| row["label"] == label).unwrap()["status"];
    assert_eq!((ended("idle 1/2"), ended("busy")), (&"completed".into(), &"cancelled".into()));
    let sessions = document["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{document}");
}

#[test]
fn output_that_nobody_reads_does_not_hold_up_a_stop() {
    let folder = Folder::new();
    let mark = format!("unread-{}", folder.path().file_name().unwrap().to_str().unwrap());
    let flood = "[[process]]\ncommand = \"seq -f '%0400.0f' 1 40\"\n".repeat(12);
    let plan = format!("{flood}[[process]]\ncommand = \": {mark}; sleep 1000; :\"\n");
    let plan = folder.plan(&plan);
    let mut command = bg(&["run"]);
    let mut child = command.arg(plan).arg("--path").arg(folder.path()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    until("the process runs", SOON, || processes_with(&mark).len() == 1);
    // Far more will be printed than a pipe holds, so the printing blocks now or a little later.
    until("it prints", SOON, || rustix::io::ioctl_fionread(&stdout).unwrap() >= 16 << 10);
    kill_process(pid, Signal::INT).unwrap();
    until("it is stopped", SOON, || processes_with(&mark).is_empty());
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stdout);
}

#[test]
fn a_signal_that_was_ignored_on_entry_stays_ignored() {
    let folder = Folder::new();
    let heeds = "trap 'sleep 0.3; touch heeded; exit' TERM";
    let command = format!("{heeds}; touch ready; while :; do sleep 0.05; done");
    let plan = folder.plan(&format!("[[process]]\ncommand = \"{command}\"\n"));
    let mut nohup = std::process::Command::new("sh");
    nohup.args(["-c", "trap '' HUP; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_bg"), "run"]);
    nohup.arg(plan).arg("--path").arg(folder.path()).stdout(std::process::Stdio::null());
    let mut child = nohup.spawn().unwrap();
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    until("the process is ready", SOON, || folder.path().join("ready").exists());
    kill_process(pid, Signal::HUP).unwrap();
    // Were the hangup heeded, this would be the second interrupt, which leaves no grace.
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(folder.path().join("heeded").exists(), "it got no grace");
}

#[test]
fn a_report_that_nobody_reads_does_not_hold_up_the_end() {
    let folder = Folder::new();
    let plan = folder.plan("[[process]]\ncommand = \"seq 1 100000\"\n");
    let mut command = bg(&["run", "--json"]);
    let mut child = command.arg(plan).arg("--path").arg(folder.path()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    // With --json the report is the first thing there, and it is far larger than a pipe.
    until("it prints", SOON, || rustix::io::ioctl_fionread(&stdout).unwrap() >= 16 << 10);
    kill_process(pid, Signal::INT).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stdout);
}
