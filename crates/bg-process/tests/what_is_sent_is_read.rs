//! What is sent to a task is what its process reads: all of it, in order, and nothing after the end.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[macro_use]
mod support;

use std::fs::OpenOptions;
use std::future::Future;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bg_core::{Limits, Message, Registry, Scope, SendError, Status, TaskId};
use bg_process::{Bash, ProcessSpec, Processes, StdinWriter};
use bg_tools::{ToolContext, Toolbox};
use serde_json::{Value, json};
use support::fixture::{Fenced, fixture};
use support::{exit, host, output};

in_every_containment!(
    ten_thousand_messages_are_read_in_order,
    a_slow_reader_gets_every_line,
    each_message_is_written_as_what_it_is,
    ctrl_d_is_the_end_of_the_input,
    a_deaf_process_costs_a_full_mailbox,
    a_process_that_closed_its_input_takes_no_messages,
    a_stop_does_not_wait_for_a_message_that_is_being_written,
    an_input_is_read_first_and_then_its_end,
    an_input_comes_before_what_is_sent_and_written,
    nothing_is_lost_to_a_start_that_failed,
);

const CTRL_D: &str = "\u{4}";

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.unwrap()
}

/// Sends as soon as there is room.
async fn send(scope: &Scope, id: TaskId, message: impl Into<Message>) {
    let message = message.into();
    let sent = async {
        while let Err(error) = scope.send(id, message.clone()) {
            assert!(matches!(error, SendError::Full { .. }), "{error}");
            tokio::task::yield_now().await;
        }
    };
    soon(sent).await;
}

fn cat() -> ProcessSpec {
    ProcessSpec::new("cat").interactive()
}

async fn ten_thousand(fenced: &Fenced, spec: ProcessSpec) {
    let root = &fenced.host.root;
    let id = fenced.start_spec(spec);
    // All of them are more than what pipe and mailbox hold.
    let text = |number| format!("message number {number}");
    for number in 0..10_000 {
        send(root, id, text(number)).await;
    }
    send(root, id, CTRL_D).await;
    let done = fenced.host.end(id).await;
    let expected: String = (0..10_000).map(|number| text(number) + "\n").collect();
    assert!(output(&done) == expected, "{:?}", output(&done));
    assert_eq!((done.unread(), exit(&done).code), (0, Some(0)));
}

async fn ten_thousand_messages_are_read_in_order(fenced: Fenced) {
    ten_thousand(&fenced, cat()).await;
}

/// A shell reads a byte at a time, so that the mailbox fills.
async fn a_slow_reader_gets_every_line(fenced: Fenced) {
    let echo = "while read -r line; do echo \"$line\"; done";
    ten_thousand(&fenced, ProcessSpec::shell(echo).interactive()).await;
}

async fn each_message_is_written_as_what_it_is(fenced: Fenced) {
    let messages = [
        (Message::from("no end"), "no end\n"),
        (Message::from("an end\n"), "an end\n"),
        (Message::from(""), "\n"),
        (Message::from("a\u{4}b"), "a\u{4}b\n"),
        (Message::from(vec![0, b'x']), "\0x"),
        (Message::from(vec![4]), "\u{4}"),
        (Message::from(Vec::new()), ""),
        (Message::Data(json!({"a": "b\n"})), "{\"a\":\"b\\n\"}\n"),
    ];
    let id = fenced.start_spec(cat());
    for (message, _) in &messages {
        fenced.host.root.send(id, message.clone()).unwrap();
    }
    fenced.host.root.send(id, CTRL_D).unwrap();
    let expected: String = messages.iter().map(|(_, written)| *written).collect();
    assert_eq!(output(&*fenced.host.end(id).await), expected);
}

async fn ctrl_d_is_the_end_of_the_input(fenced: Fenced) {
    let root = &fenced.host.root;
    let id = fenced.start_spec(ProcessSpec::shell("cat; echo over; sleep 1000").interactive());
    root.send(id, "words").unwrap();
    root.send(id, CTRL_D).unwrap();
    assert_eq!(root.send(id, "late"), Err(SendError::Closed(id)));
    assert_eq!(fenced.host.output_with(id, "over").await, "words\nover\n");
    assert_eq!(root.send(id, CTRL_D), Err(SendError::Closed(id)));
    let (done, _) = fenced.stop(id).await;
    assert_eq!(done.unread(), 0);
    let ended = SendError::Ended { id, status: Status::Cancelled };
    assert_eq!(root.send(id, "late"), Err(ended));
}

async fn a_deaf_process_costs_a_full_mailbox(fenced: Fenced) {
    const PIPE: usize = 64 << 10;
    let root = &fenced.host.root;
    for (size, most) in [(0, 1024), (4096, 256)] {
        let id = fenced.start_spec(fixture("deaf").arg(&fenced.word).interactive());
        fenced.host.output_with(id, "begun").await;
        let (message, mut accepted, mut refused) = ("x".repeat(size), 0, 0);
        while refused < 1000 {
            match root.send(id, message.as_str()) {
                Ok(()) => accepted += 1,
                Err(SendError::Full { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
            tokio::task::yield_now().await;
        }
        let left = PIPE / (size + 1) + 1;
        assert!((most..=most + left).contains(&accepted), "{accepted} of {size} bytes");
        let (done, _) = fenced.stop(id).await;
        assert!(accepted - done.unread() <= left, "{} of {accepted} unread", done.unread());
    }
}

async fn a_process_that_closed_its_input_takes_no_messages(fenced: Fenced) {
    let root = &fenced.host.root;
    let id = fenced.start_spec(fixture("deaf closed").arg(&fenced.word).interactive());
    fenced.host.output_with(id, "begun").await;
    let refused = async {
        loop {
            match root.send(id, "anybody?") {
                // Later it takes no more.
                Ok(()) | Err(SendError::Full { .. }) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        }
    };
    assert_eq!(soon(refused).await, SendError::Closed(id));
    let (done, _) = fenced.stop(id).await;
    assert_eq!(exit(&done).signal, Some(15), "it is no error of the task");
}

async fn a_stop_does_not_wait_for_a_message_that_is_being_written(fenced: Fenced) {
    let root = &fenced.host.root;
    let id = fenced.start_spec(fixture("deaf").arg(&fenced.word).interactive());
    fenced.host.output_with(id, "begun").await;
    let large = vec![b'x'; StdinWriter::CAPACITY];
    root.send(id, large.clone()).unwrap();
    // There is room for another one when the first is on its way into the pipe.
    send(root, id, large).await;
    let (done, took) = fenced.stop(id).await;
    assert!(took < Duration::from_secs(1), "took {took:?}");
    assert_eq!(done.unread(), 1);
    fenced.nobody_left(Duration::from_secs(1)).await;
}

async fn an_input_is_read_first_and_then_its_end(fenced: Fenced) {
    let read = async |spec: ProcessSpec| {
        let id = fenced.start_spec(spec);
        let refused = fenced.host.root.send(id, "a word");
        assert!(matches!(refused, Err(SendError::NoMailbox(_))), "{refused:?}");
        output(&*soon(fenced.host.end(id)).await)
    };
    let then = || ProcessSpec::shell("cat; echo over");
    assert_eq!(read(then()).await, "over\n");
    assert_eq!(read(then().input("")).await, "over\n");
    assert_eq!(read(then().input(b"a\0b")).await, "a\0bover\n");
    let long = ProcessSpec::new("wc").arg("-c").input(vec![b'x'; 3_000_000]);
    assert_eq!(read(long).await.trim(), "3000000");
    // A process that does not read it is no error.
    assert_eq!(read(ProcessSpec::new("true").input(vec![b'x'; 3_000_000])).await, "");
}

async fn an_input_comes_before_what_is_sent_and_written(fenced: Fenced) {
    let first = "x".repeat(100_000);
    let id = fenced.start_spec(cat().input(first.as_str()));
    fenced.host.root.send(id, "second").unwrap();
    fenced.host.root.send(id, CTRL_D).unwrap();
    assert!(output(&*fenced.host.end(id).await) == format!("{first}second\n"));

    let spec = cat().input(first.as_str());
    let (id, stdin) = fenced.processes.spawn_with_stdin(spec).unwrap();
    let refused = fenced.host.root.send(id, "the writer has its place");
    assert_eq!(refused, Err(SendError::NoMailbox(id)));
    stdin.write("second\n").await.unwrap();
    stdin.close();
    assert!(output(&*fenced.host.end(id).await) == format!("{first}second\n"));
}

/// A copy of `cat` that somebody writes for a while, so that its first starts fail.
async fn nothing_is_lost_to_a_start_that_failed(fenced: Fenced) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("cat");
    let mut writer =
        OpenOptions::new().write(true).create_new(true).mode(0o755).open(&program).unwrap();
    let cat: PathBuf =
        ["/bin/cat", "/usr/bin/cat"].into_iter().map(PathBuf::from).find(|p| p.exists()).unwrap();
    std::io::copy(&mut std::fs::File::open(cat).unwrap(), &mut writer).unwrap();
    let spec = ProcessSpec::new(&program).input("first\n");
    let sent = fenced.start_spec(spec.clone().interactive());
    let (written, stdin) = fenced.processes.spawn_with_stdin(spec).unwrap();
    let until = Instant::now() + Duration::from_millis(120);
    let mut number = 0;
    while Instant::now() < until {
        if number < 100 {
            fenced.host.root.send(sent, number.to_string()).unwrap();
            stdin.write(format!("{number}\n")).await.unwrap();
            number += 1;
        }
        tokio::task::yield_now().await;
    }
    drop(writer);
    fenced.host.root.send(sent, CTRL_D).unwrap();
    stdin.close();
    let numbers = (0..number).map(|number| format!("{number}\n"));
    let expected = format!("first\n{}", numbers.collect::<String>());
    for id in [sent, written] {
        let done = fenced.host.end(id).await;
        assert!(done.outcome.is_success(), "{:?}", done.outcome);
        assert_eq!(output(&done), expected);
    }
}

#[tokio::test]
async fn what_is_sent_before_it_has_a_slot_is_read() {
    let limits = Limits::default().running(1);
    let registry = Registry::builder().limits(limits).build();
    let root = registry.root_scope();
    let processes = Processes::new(&root);
    let first = processes.spawn(cat()).unwrap();
    let second = processes.spawn(cat()).unwrap();
    assert_eq!(root.inspect(second).unwrap().status, Status::Pending);
    for id in [second, first] {
        root.send(id, id.to_string()).unwrap();
        root.send(id, CTRL_D).unwrap();
    }
    soon(root.wait([first, second])).await.unwrap();
    for id in [first, second] {
        assert_eq!(output(&root.claim(id).unwrap().ack()), format!("{id}\n"));
    }
}

struct Model {
    host: support::Host,
    tools: Toolbox,
}

impl Model {
    fn new() -> Self {
        Self { host: host(), tools: Toolbox::new().with(Bash::new("/")).unwrap() }
    }

    async fn bash(&self, args: Value) -> Value {
        let cx = ToolContext::new(self.host.root.clone());
        let wire = soon(self.tools.call(&cx, "Bash", &args.to_string())).await.into_wire();
        assert!(wire.success, "{}", wire.output);
        serde_json::from_str(&wire.output).unwrap()
    }
}

#[tokio::test]
async fn a_foreground_command_reads_its_stdin_to_the_end() {
    let model = Model::new();
    let answer = model.bash(json!({"command": "cat; echo over", "stdin": "a\n'$b'"})).await;
    assert_eq!(answer["output"]["text"], "a\n'$b'over\n");
    let answer = model.bash(json!({"command": "cat; echo over"})).await;
    assert_eq!(answer["output"]["text"], "over\n");
}

#[tokio::test]
async fn a_background_command_is_talked_to() {
    let model = Model::new();
    let root = &model.host.root;
    let command = "while read -r line; do echo \"<$line>\"; done; echo over";
    let args = json!({
        "command": command, "background": true, "stdin": "first\n", "interactive": true,
    });
    let answer = model.bash(args).await;
    let id = root.resolve(answer["task_id"].as_str().unwrap()).unwrap();
    root.send(id, "second").unwrap();
    model.host.output_with(id, "<second>").await;
    root.send(id, "third").unwrap();
    root.send(id, CTRL_D).unwrap();
    let said = output(&*model.host.end(id).await);
    assert_eq!(said, "<first>\n<second>\n<third>\nover\n");
}

#[tokio::test]
async fn a_foreground_command_that_takes_longer_is_talked_to() {
    let model = Model::new();
    let root = &model.host.root;
    let args =
        json!({"command": "cat", "stdin": "first\n", "interactive": true, "timeout_secs": 1});
    let answer = model.bash(args).await;
    assert_eq!(
        (&answer["status"], &answer["output"]["text"]),
        (&json!("running"), &json!("first\n"))
    );
    let id = root.resolve(answer["task_id"].as_str().unwrap()).unwrap();
    root.send(id, "second").unwrap();
    root.send(id, CTRL_D).unwrap();
    assert_eq!(output(&*model.host.end(id).await), "first\nsecond\n");
}
