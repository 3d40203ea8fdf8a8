//! The report at the end of a run.

use std::num::NonZeroU64;

use bg_agents::core::Usage;

use super::result::{ending, receipt_words};
use super::screen::{count, one_line, time};
use super::{Meter, Run, Stop, TaskResult};

/// Longest label in the table, in letters.
const LABEL_WIDTH: usize = 16;

/// Writes the report: a row for every task, then the sum.
pub(crate) fn report(run: &Run) -> String {
    let (plan, folder) = (one_line(&run.plan), one_line(&run.folder.display().to_string()));
    let mut text = format!("report: {plan} on {folder}\n");
    let tokens = run.has_model.then_some(["in", "out"].map(str::to_owned));
    text.push_str(&row(["task", "label", "time", "steps", "calls"], tokens, "how it ended"));
    for result in &run.watched.results {
        text.push_str(&result_row(result, run.has_model));
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
    let stopped = match run.stop() {
        Some(Stop::Interrupt) => ", interrupted".to_owned(),
        Some(Stop::Tokens) => spent(&run.meter),
        None => String::new(),
    };
    let tasks = count(run.watched.results.len(), "task");
    let (failed, elapsed) = (run.failed(), time(run.elapsed));
    text.push_str(&format!("{tasks}, {failed} failed{stopped}, in {elapsed}\n"));
    if run.has_model {
        text.push_str(&tokens_line(&run.usage()));
    }
    text
}

/// `, stopped by --max-tokens 1000 after 1012`.
fn spent(meter: &Meter) -> String {
    let limit = meter.limit().map_or(0, NonZeroU64::get);
    format!(", stopped by --max-tokens {limit} after {}", meter.tokens())
}

fn tokens_line(usage: &Usage) -> String {
    let requests = count(usize::try_from(usage.requests).unwrap_or(usize::MAX), "request");
    let cached = match usage.cached_tokens {
        0 => String::new(),
        tokens => format!(" ({tokens} of them cached)"),
    };
    let Usage { input_tokens, output_tokens, .. } = usage;
    format!("{input_tokens} tokens in{cached}, {output_tokens} out, in {requests}\n")
}

fn result_row(result: &TaskResult, has_model: bool) -> String {
    let finished = &result.finished;
    let (ending, bytes) = (ending(finished), result.bytes);
    let rest = result.where_rest().map(|rest| format!("; {rest}")).unwrap_or_default();
    let label: String = one_line(finished.label()).chars().take(LABEL_WIDTH).collect();
    let usage = result.usage();
    let tokens = [usage.input_tokens, usage.output_tokens].map(|tokens| tokens.to_string());
    let cells = [
        &*finished.id.to_string(),
        &label,
        &time(finished.elapsed()),
        &finished.steps().to_string(),
        &usage.tool_calls.to_string(),
    ];
    let ending = format!("{ending}; {bytes} bytes of output{rest}");
    row(cells, has_model.then_some(tokens), &ending)
}

/// Tokens have columns where there are any.
fn row(
    [id, label, time, steps, calls]: [&str; 5],
    tokens: Option<[String; 2]>,
    ending: &str,
) -> String {
    let tokens = tokens.map(|[input, output]| format!(" {input:>8} {output:>7}"));
    let tokens = tokens.unwrap_or_default();
    format!("  {id:<11} {label:<LABEL_WIDTH$} {time:>9} {steps:>5} {calls:>5}{tokens}  {ending}\n")
}
