//! What is under way, for any prompt.

use std::fmt::Write as _;

use bg_core::{Kind, Scope, Snapshot, Status, text};

use crate::budget::Budget;
use crate::hidden::quoted;
use crate::view::status_word;

/// Most tasks that are looked at.
const MAX_TASKS: usize = 1000;

/// Longest label and prompt in a line, in bytes.
const MAX_TEXT_BYTES: usize = 100;

/// Lists the live and undelivered tasks of a scope for a prompt, in at most so many tokens; empty if
/// there are none.
///
/// A host puts it where a model has lost sight of its work: into a summary of the conversation, at
/// the begin of a turn. Two of the same work are equal byte for byte: it says nothing of ages, so that
/// a provider can go on from a cached prompt. Foreign text stands in quotes, with everything escaped
/// that could end them.
///
/// # Examples
///
/// ```
/// use bg_core::{Registry, Task};
/// use bg_tools::{Budget, manifest};
///
/// let registry = Registry::new();
/// let root = registry.root_scope();
/// assert_eq!(manifest(&root, &Budget::default()), "");
/// let (_, _work) = root.register(Task::agent("explore", "map \"repo\""))?;
/// assert_eq!(
///     manifest(&root, &Budget::default()),
///     "[background tasks: 1]\nagent:1 pending: \"explore: map \\\"repo\\\"\"\n",
/// );
/// # Ok::<(), bg_core::SpawnError>(())
/// ```
pub fn manifest(scope: &Scope, budget: &Budget) -> String {
    let tasks = scope.page(0, MAX_TASKS + 1);
    if tasks.is_empty() {
        return String::new();
    }
    let mut left = budget.tokens();
    let mut lines = Vec::new();
    for task in tasks.iter().take(MAX_TASKS) {
        let line = line(task);
        let Some(less) = left.checked_sub(budget.count(&line) + 1) else { break };
        left = less;
        lines.push(line);
    }
    loop {
        let text = with_header(&lines, tasks.len());
        if budget.fits(&text) || lines.pop().is_none() {
            return text;
        }
    }
}

fn with_header(lines: &[String], tasks: usize) -> String {
    let count = if tasks > MAX_TASKS { format!("over {MAX_TASKS}") } else { tasks.to_string() };
    let mut text = format!("[background tasks: {count}]\n");
    text.extend(lines.iter().map(String::as_str));
    if lines.len() < tasks {
        let omitted = tasks.min(MAX_TASKS) - lines.len();
        // Writing into a string does not fail.
        let _ = writeln!(text, "({omitted} more: ListBackgroundTasks)");
    }
    text
}

fn line(task: &Snapshot) -> String {
    let kind = task.id.kind();
    let mut line = format!("{} {}", task.id, status_word(kind, task.status));
    if let Status::Running { step: step @ 1.. } = task.status {
        let _ = write!(line, " (step {step})");
    }
    if task.status.is_terminal() {
        line.push_str(", its result has not been delivered");
    }
    let prompt = text::excerpt(task.prompt(), MAX_TEXT_BYTES);
    let what = match kind {
        Kind::PROCESS => prompt,
        _ => format!("{}: {prompt}", text::excerpt(task.label(), MAX_TEXT_BYTES)),
    };
    let _ = writeln!(line, ": {}", quoted(&what));
    line
}
