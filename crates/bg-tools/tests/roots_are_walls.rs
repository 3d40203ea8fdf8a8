//! Another root's tasks change no byte of an answer.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::support;

use std::time::Duration;

use bg_core::{Completer, Failure, Kind, Output, Scope, Stream, Task};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use support::{Caller, caller};

const IDS: [&str; 10] =
    ["1", "2", "3", "4", "9", "agent:1", "process:2", "agent:3", "task:4", "process:5"];

/// A root of somebody else, full of tasks in every state.
struct Neighbour {
    root: Scope,
    _completers: Vec<Completer>,
}

fn neighbour(caller: &Caller) -> Neighbour {
    let root = caller.registry.root_scope();
    let mut completers = Vec::new();
    for kind in [Kind::PROCESS, Kind::AGENT, Kind::TASK].repeat(7) {
        let task = Task::of_kind(kind, "secret", "secret");
        let (id, completer) = root.register(task).unwrap();
        completer.context().log().write(Stream::Stdout, b"secret");
        completer.context().step(9);
        match id.number() % 5 {
            0 => completer.complete(Ok(Output::text("secret"))),
            1 => completer.complete(Err(Failure::new("secret"))),
            2 => drop(root.cancel(id, "secret").unwrap()),
            _ => completers.push(completer),
        }
    }
    Neighbour { root, _completers: completers }
}

fn own_tasks(caller: &Caller) -> Vec<Completer> {
    caller.completed("done");
    let (_, process) = caller.root.register(Task::process("sh", "make")).unwrap();
    process.context().log().write(Stream::Stderr, b"warning");
    let (_, parent) = caller.agent("parent", "p");
    let (_, child) = parent.context().scope().register(Task::new("child", "p")).unwrap();
    vec![process, parent, child]
}

async fn answers(calls: &[(usize, usize)], with_neighbour: bool) -> Vec<String> {
    let caller = caller();
    let neighbour = with_neighbour.then(|| neighbour(&caller));
    let _own = own_tasks(&caller);
    let mut answers = Vec::new();
    for &(tool, id) in calls {
        let name = caller.tools.names().nth(tool).unwrap();
        let args = if tool == 1 { json!({}) } else { json!({"task_id": IDS[id]}) };
        tokio::time::advance(Duration::from_millis(700)).await;
        let wire = caller.wire(name, &args.to_string()).await;
        answers.push(format!("{name} {args} {wire:?}"));
    }
    answers.push(format!("{:?}", caller.drained()));
    if let Some(neighbour) = neighbour {
        assert_eq!(neighbour.root.snapshot().len(), 21, "and nothing of it was touched");
    }
    answers
}

async fn check(calls: &[(usize, usize)]) {
    assert_eq!(answers(calls, true).await, answers(calls, false).await);
}

#[tokio::test(start_paused = true)]
async fn every_tool_answers_as_if_there_were_no_other_root() {
    let each = |id| [1, 2, 3, 0, 1, 2, 3].map(|tool| (tool, id));
    check(&(0..IDS.len()).flat_map(each).collect::<Vec<_>>()).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_of_another_root_is_like_one_that_never_was() {
    let caller = caller();
    let neighbour = neighbour(&caller);
    for tool in ["CancelTask", "ReadTaskOutput", "WaitTask"] {
        for id in ["process:1", "agent:2", "process:999"] {
            let error = caller.error(tool, &json!({"task_id": id}).to_string()).await;
            assert_eq!(error, format!("no background task with id {id}"));
        }
    }
    assert_eq!(caller.answer("ListBackgroundTasks", "{}").await, "[]");
    assert_eq!(neighbour.root.snapshot().len(), 21);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_calls_are_answered_the_same(calls in vec((0..4_usize, 0..IDS.len()), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        runtime.block_on(check(&calls));
    }
}
