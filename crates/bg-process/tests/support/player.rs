//! A host in a process of its own, which does what a test says: for what must happen to a whole host.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use super::fixture::{PROGRAM, Traces, unique};

/// How long anything may be there after its host.
pub(crate) const BOUND: Duration = Duration::from_secs(1);

pub(crate) struct Player {
    child: Child,
    answers: BufReader<ChildStdout>,
    pub(crate) word: String,
}

impl Player {
    /// Starts a host; `words` are further arguments of it.
    pub(crate) fn new(words: &str) -> Self {
        Self::start(Command::new(PROGRAM), words)
    }

    /// Starts a host below another program, which gets the host's command line at the end of its own.
    pub(crate) fn below(program: &str, args: &[&str], words: &str) -> Self {
        let mut command = Command::new(program);
        command.args(args).arg(PROGRAM);
        Self::start(command, words)
    }

    fn start(mut command: Command, words: &str) -> Self {
        let word = unique();
        command.arg("host").args(words.split(' ')).arg(&word).env("BG_PLAYER", &word);
        // Its group is what a terminal would call the foreground.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the host starts");
        let answers = BufReader::new(child.stdout.take().expect("it has an output"));
        Self { child, answers, word }
    }

    /// Gives an order and brings the answer.
    #[track_caller]
    pub(crate) fn say(&mut self, order: &str) -> String {
        self.order(order);
        self.answer()
    }

    /// Gives an order that is not waited for.
    #[track_caller]
    pub(crate) fn order(&mut self, order: &str) {
        let input = self.child.stdin.as_mut().expect("it has an input");
        writeln!(input, "{order}").expect("it reads");
    }

    #[track_caller]
    pub(crate) fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        let (_, answer) = line.trim_end().split_once(' ').expect("a number and an answer");
        answer.to_owned()
    }

    /// Starts a program and waits until it has begun; brings what it said.
    #[track_caller]
    pub(crate) fn begun(&mut self, task: usize, words: &str) -> String {
        let answer = self.say(&format!("spawn {words}"));
        assert!(answer.starts_with("process:"), "{words}: {answer}");
        let said = self.say(&format!("output {task} begun"));
        assert!(said.contains("begun"), "{words}: {said}");
        said
    }

    /// Waits for the end of a task and brings what is said of it.
    #[track_caller]
    pub(crate) fn end(&mut self, task: usize) -> Value {
        let answer = self.say(&format!("wait {task}"));
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer}"))
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The guard, of which there is one from the first process on.
    #[track_caller]
    pub(crate) fn guard(&mut self) -> Pid {
        let status = self.say("status");
        let (_, rest) = status.split_once("pid: ").unwrap_or_else(|| panic!("{status}"));
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
        digits.and_then(|pid| Pid::from_raw(pid.parse().ok()?)).expect("the number of the guard")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it is there");
    }

    pub(crate) fn signal_group(&self, signal: Signal) {
        kill_process_group(self.pid(), signal).expect("it is there");
    }

    /// Kills it, and waits for its end.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its own end.
    pub(crate) fn ended(&mut self) {
        let _ = self.child.wait();
    }

    /// The traces of what it has started, and of its guard.
    pub(crate) fn traces(&self) -> Traces {
        Traces::of_word(&self.word)
    }

    /// Nobody is left within the bound.
    #[track_caller]
    pub(crate) fn nothing_left(&self, why: &str) {
        if let Err(left) = self.traces().extinct(BOUND) {
            self.traces().clean_up();
            panic!("{why}: {} left: {left:?}", left.len());
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            self.traces().clean_up();
        }
    }
}
