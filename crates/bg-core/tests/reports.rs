//! What a task says of itself is what everybody sees.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bg_core::{
    Block, BlockKind, Event, Outcome, Output, PanicReport, Peek, RecentBlocks, Registry, Snapshot,
    Status, Task, TaskContext,
};
use support::{ended_many, poll, register};

use crate::support;

const STATUSES: [Status; 7] = [
    Status::Pending,
    Status::Running { step: u32::MAX },
    Status::Completed,
    Status::Failed,
    Status::Cancelled,
    Status::Panicked,
    Status::Lost,
];

#[track_caller]
fn check_running(context: &TaskContext, snapshot: &Snapshot, step: u32) {
    assert_eq!(snapshot.status, Status::Running { step });
    assert_eq!(context.status(), Some(Status::Running { step }));
}

#[test]
fn every_clone_of_a_context_reports_for_its_task() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "task");
    let clone = completer.context().clone();
    assert_eq!(clone.status(), Some(Status::Pending));
    clone.step(3);
    check_running(completer.context(), &root.inspect(id).unwrap(), 3);
    completer.context().step(4);
    check_running(&clone, &root.inspect(id).unwrap(), 4);
    completer.complete(Ok(Output::default()));
    assert_eq!(clone.status(), Some(Status::Completed));
    clone.step(5);
    assert_eq!(root.inspect(id).unwrap().status, Status::Completed, "the end is the end");
}

#[test]
fn a_status_is_gone_with_its_task() {
    let registry = Registry::builder().finished_kept(0).build();
    let root = registry.root_scope();
    let (_, completer) = register(&root, "task");
    let context = completer.context().clone();
    completer.complete(Ok(Output::default()));
    assert_eq!(root.inbox().drain().count(), 1);
    assert_eq!(context.status(), None);
}

#[test]
fn a_trace_line_is_cut_at_two_thousand_bytes() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "task");
    completer.context().trace("x".repeat(2_000));
    completer.context().trace("y".repeat(2_007));
    completer.complete(Ok(Output::default()));
    let outcome = root.outcome(id).unwrap();
    let trace = outcome.trace();
    assert_eq!(trace[0], "x".repeat(2_000));
    assert_eq!(trace[1], format!("{}... (+7 more bytes)", "y".repeat(2_000)));
}

#[test]
fn sixty_four_acknowledged_outcomes_are_kept_unless_told_otherwise() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let ids = ended_many(&root, 65);
    assert_eq!(root.inbox().drain().count(), 65);
    assert_eq!(root.history().len(), 64);
    assert!(root.outcome(ids[0]).is_err());
    assert!(root.outcome(ids[1]).is_ok());
}

#[test]
fn what_runs_is_counted_without_what_has_ended() {
    let registry = Registry::new();
    let root = registry.root_scope();
    ended_many(&root, 3);
    let (id, owner) = register(&root, "owner");
    let (_, child) = register(&owner.context().scope(), "child");
    assert_eq!((root.live(), owner.context().scope().live()), (1, 1));
    root.cancel(id, "stop").unwrap();
    assert_eq!((root.live(), owner.context().scope().live()), (0, 0));
    drop(child);
}

#[test]
fn every_status_survives_being_written_and_read() {
    for status in STATUSES {
        let written = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&written).unwrap(), status, "{written}");
    }
    let report = Outcome::Panicked(Box::new(PanicReport::of(Box::new("out of cheese"))));
    let written = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Outcome>(&written).unwrap(), report, "{written}");
}

#[test]
fn every_event_survives_being_written_and_read() {
    let registry = Registry::builder().finished_kept(0).build();
    let root = registry.root_scope();
    let mut events = registry.events();
    let (id, completer) = register(&root, "task");
    completer.context().step(1);
    completer.context().trace("Read src/lib.rs");
    completer.context().log().write(bg_core::Stream::Stdout, b"3 files");
    completer.context().phase(bg_core::Phase::WaitingForTool);
    let token = completer.context().token();
    root.cancel(id, "stop").unwrap();
    assert!(token.is_cancelled());
    completer.complete(Ok(Output::default()));
    drop(root.claim(id).unwrap());
    root.claim(id).unwrap().ack();
    let mut seen = 0;
    loop {
        let next = {
            let mut next = Box::pin(events.next());
            poll(&mut next)
        };
        let std::task::Poll::Ready(Some(Ok(event))) = next else { break };
        let written = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&written).unwrap(), event, "{written}");
        seen += 1;
    }
    // Spawned, two statuses and the end, trace, output, phase, stop, two claims, back, ack, gone.
    assert_eq!(seen, 12);
}

#[test]
fn a_task_reads_its_own_step_where_it_runs() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let registry = Registry::new();
    let root = registry.root_scope();
    let outcome = runtime.block_on(async {
        let body = |cx: TaskContext| async move {
            cx.step(2);
            Ok(Output::text(format!("{:?}", cx.status())))
        };
        let id = root.spawn(Task::new("task", ""), body).unwrap();
        root.wait([id]).await.unwrap().ended[0].outcome.clone()
    });
    assert_eq!(outcome, Outcome::Completed(Output::text("Some(Running { step: 2 })")));
}

#[test]
fn every_sort_of_block_is_shown_by_its_own_word() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "task");
    let recent = std::sync::Arc::new(RecentBlocks::new(6));
    completer.context().attach_view(recent.clone());
    let kinds = [
        BlockKind::User,
        BlockKind::Assistant,
        BlockKind::Thought,
        BlockKind::ToolUse,
        BlockKind::ToolResult,
        BlockKind::Other,
    ];
    for kind in kinds {
        recent.push(Block::new(kind, "text"));
    }
    let seen = serde_json::to_value(root.peek(id, Peek::default()).unwrap()).unwrap();
    let words = ["user", "assistant", "thought", "tool_use", "tool_result", "other"];
    let blocks = words.map(|word| serde_json::json!({"kind": word, "text": "text"}));
    assert_eq!(seen, serde_json::json!({"total": 6, "blocks": blocks}));
}
