//! The report at the end of a run.

use super::result::{ending, receipt_words};
use super::screen::{count, one_line, time};
use super::{Run, TaskResult};

/// Longest label in the table, in letters.
const LABEL_WIDTH: usize = 16;

/// Writes the report: a row for every task, then the sum.
pub(crate) fn report(run: &Run) -> String {
    let (plan, folder) = (one_line(&run.plan), one_line(&run.folder.display().to_string()));
    let mut text = format!("report: {plan} on {folder}\n");
    text.push_str(&row(["task", "label", "time", "steps", "calls", "how it ended"]));
    for result in &run.watched.results {
        text.push_str(&result_row(result));
        if let Some(receipt) = receipt_words(&result.finished) {
            text.push_str(&format!("    {receipt}\n"));
        }
    }
    for problem in &run.watched.not_started {
        text.push_str(&format!("  not started: {problem}\n"));
    }
    if let Some(note) = run.watched.note() {
        text.push_str(&format!("  {note}\n"));
    }
    let interrupted = if run.watched.interrupted { ", interrupted" } else { "" };
    let tasks = count(run.watched.results.len(), "task");
    let (failed, elapsed) = (run.failed(), time(run.elapsed));
    text.push_str(&format!("{tasks}, {failed} failed{interrupted}, in {elapsed}\n"));
    text
}

fn result_row(result: &TaskResult) -> String {
    let finished = &result.finished;
    let (ending, bytes) = (ending(finished), result.bytes);
    let rest = result.where_rest().map(|rest| format!("; {rest}")).unwrap_or_default();
    let label: String = one_line(finished.label()).chars().take(LABEL_WIDTH).collect();
    row([
        &finished.id.to_string(),
        &label,
        &time(finished.elapsed()),
        &result.finished.steps().to_string(),
        &result.tool_calls().to_string(),
        &format!("{ending}; {bytes} bytes of output{rest}"),
    ])
}

fn row([id, label, time, steps, calls, ending]: [&str; 6]) -> String {
    format!("  {id:<11} {label:<LABEL_WIDTH$} {time:>9} {steps:>5} {calls:>5}  {ending}\n")
}
