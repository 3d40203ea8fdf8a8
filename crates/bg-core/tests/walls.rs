//! Another root's task is indistinguishable from one that never existed (R10).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bg_core::{Registry, Scope, TaskId};
use support::{ended, poll, register};

use crate::support;

/// Everything that can be asked about a task, as text, with the id left out.
fn answers(scope: &Scope, id: TaskId) -> Vec<String> {
    let answers = [
        format!("{:?}", scope.inspect(id)),
        format!("{:?}", scope.outcome(id)),
        format!("{:?}", scope.claim(id)),
        format!("{:?}", scope.cancel(id, "stop")),
        format!("{:?}", scope.log(id)),
        format!("{:?}", scope.resolve(&id.to_string())),
        format!("{:?}", scope.resolve(&id.number().to_string()).map_err(|e| e.to_string())),
        format!("{:?}", poll(&mut scope.wait([id]))),
        format!("{} {}", scope.snapshot().len(), scope.history().len()),
    ];
    answers.map(|answer| answer.replace(&id.number().to_string(), "N")).to_vec()
}

#[test]
fn a_task_of_another_root_looks_like_none_at_all() {
    let registry = Registry::builder().finished_kept(1).build();
    let (root, other) = (registry.root_scope(), registry.root_scope());
    let (_, mine) = register(&root, "mine");
    let never = "task:900".parse().unwrap();
    let nothing = answers(&root, never);
    let _more = [(); 6].map(|()| register(&other, "secret"));
    let (live, completer) = register(&other, "secret");
    let _log = completer.context().log();
    let child = ended(&completer.context().scope(), "secret child");
    let held = ended(&other, "held");
    let _claim = other.claim(held).unwrap();
    let acked = ended(&other, "acked");
    other.claim(acked).unwrap().ack();
    for id in [live, child, held, acked] {
        assert!(other.inspect(id).is_ok() || id == child);
        assert_eq!(answers(&root, id), nothing);
        assert_eq!(answers(&mine.context().scope(), id)[..8], nothing[..8]);
    }
    // An evicted task of one's own is gone as well.
    let evicted = ended(&other, "evicted");
    other.claim(evicted).unwrap().ack();
    other.claim(ended(&other, "newer")).unwrap().ack();
    assert_eq!(answers(&other, evicted)[..8], nothing[..8]);
    assert!(!completer.context().token().is_cancelled());
}

#[test]
fn numbers_of_one_root_do_not_depend_on_another() {
    let registry = Registry::new();
    let (root, other) = (registry.root_scope(), registry.root_scope());
    for number in 1..5 {
        assert_eq!(ended(&root, "mine").number(), number);
        support::ended_many(&other, 3);
    }
}
