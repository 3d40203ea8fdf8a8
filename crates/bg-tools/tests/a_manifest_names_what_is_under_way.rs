//! `manifest`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use crate::support;

use std::time::Duration;

use bg_core::{Exit, Output, Task};
use bg_tools::{Budget, manifest};
use proptest::prelude::*;
use support::{caller, is_foul};

#[tokio::test(start_paused = true)]
async fn it_names_the_live_and_the_undelivered() {
    let caller = caller();
    let (_, running) = caller.agent("explore", "map repo");
    running.context().step(3);
    caller.completed("secret");
    let (_, process) = caller.root.register(Task::process("sh", "cargo test")).unwrap();
    process.complete(Ok(Output::exited(Exit { code: Some(0), signal: None })));
    let (_, _pending) = caller.agent("review", "read \"a\"\nand b");
    let expected = "\
[background tasks: 4]
agent:1 running (step 3): \"explore: map repo\"
agent:2 completed, its result has not been delivered: \"explore: map repo\"
process:3 exited, its result has not been delivered: \"cargo test\"
agent:4 pending: \"review: read \\\"a\\\"\\nand b\"
";
    let shown = manifest(&caller.root, &Budget::default());
    assert_eq!(shown, expected);
    tokio::time::advance(Duration::from_secs(100)).await;
    assert_eq!(manifest(&caller.root, &Budget::default()), shown, "a cached prompt stays good");
    assert_eq!(caller.drained(), [2, 3], "it delivers nothing");
    assert!(!manifest(&caller.root, &Budget::default()).contains("agent:2"));
}

#[test]
fn without_work_it_is_empty() {
    assert_eq!(manifest(&caller().root, &Budget::default()), "");
}

#[test]
fn of_many_tasks_it_names_as_many_as_fit() {
    let caller = caller();
    let _tasks: Vec<_> = (0..1500).map(|_| caller.agent("a", "p").1).collect();
    for tokens in [300, 2000] {
        let budget = Budget::new(tokens);
        let text = manifest(&caller.root, &budget);
        assert!(budget.fits(&text));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "[background tasks: over 1000]");
        let named = lines.len() - 2;
        assert!(named > tokens / 20, "{named}");
        assert_eq!(lines[lines.len() - 1], format!("({} more: ListBackgroundTasks)", 1000 - named));
    }
}

proptest! {
    #[test]
    fn a_task_is_a_line_whatever_it_is_called(label: String, prompt: String) {
        let caller = caller();
        let (_, _task) = caller.agent(&label, &prompt);
        let text = manifest(&caller.root, &Budget::default());
        let lines: Vec<&str> = text.split('\n').collect();
        prop_assert_eq!(lines.len(), 3, "{:?}", text);
        prop_assert_eq!((lines[0], lines[2]), ("[background tasks: 1]", ""));
        prop_assert_eq!(lines[1].chars().find(|&c| is_foul(c)), None);
        let inside = lines[1].strip_prefix("agent:1 pending: \"").and_then(|l| l.strip_suffix('"'));
        // A quote inside is escaped: after a backslash that is none itself.
        let unescaped = inside.unwrap().replace("\\\\", "").replace("\\\"", "");
        prop_assert!(!unescaped.contains('"'), "{:?}", unescaped);
    }
}
