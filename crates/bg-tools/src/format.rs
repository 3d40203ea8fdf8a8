//! The text form in which an outcome enters a conversation.

use bg_core::{Finished, Kind, text};

use crate::view::{ANSWER_BYTES, LogView, status_word, text_start};

/// Longest label and reason that a header shows, in bytes.
const MAX_HEADER_BYTES: usize = 200;

/// Writes an outcome as text for a model: who, how it ended, then the output inside a fence that
/// the output cannot close.
///
/// At most about 9 KB long, unless the output is made to blow up its fence: then up to 26 KB. What
/// is cut says how to read on with `ReadTaskOutput`.
///
/// # Examples
///
/// ```
/// use bg_core::{Output, Registry, Task};
///
/// let registry = Registry::new();
/// let root = registry.root_scope();
/// let (_, completer) = root.register(Task::agent("explore", "find all tests"))?;
/// completer.complete(Ok(Output::text("42 ~~~~ tests")));
/// let done = root.inbox().drain().next().expect("it has ended");
/// assert_eq!(
///     bg_tools::format_outcome(&done),
///     "[background task agent:1 \"explore\": completed]\n~~~~~\n42 ~~~~ tests\n~~~~~\n",
/// );
/// # Ok::<(), bg_core::SpawnError>(())
/// ```
pub fn format_outcome(finished: &Finished) -> String {
    let body = body(finished);
    let header = header(finished);
    let fence = fence_for(&header).max(fence_for(&body));
    if body.is_empty() {
        return format!("{header}\n");
    }
    format!("{header}\n{fence}\n{body}\n{fence}\n")
}

fn header(finished: &Finished) -> String {
    let exit = finished.outcome.output().and_then(bg_core::Output::exit);
    let status = match (status_word(finished.id.kind(), finished.status()), exit) {
        ("exited", Some(exit)) => exit.to_string(),
        (word, _) => word.to_owned(),
    };
    let label = one_line(finished.label());
    let reason = finished.outcome.reason().map(|reason| one_line(&reason));
    let reason = reason.map(|reason| format!(", {reason}")).unwrap_or_default();
    format!("[background task {} {label}: {status}{reason}]", finished.id)
}

/// Quotes foreign text as one line: control characters escaped, length bounded.
fn one_line(foreign: &str) -> String {
    format!("{:?}", text::cut(foreign.to_owned(), MAX_HEADER_BYTES))
}

fn body(finished: &Finished) -> String {
    let id = finished.id;
    if id.kind() == Kind::PROCESS {
        let log = finished.log().map(LogView::of).unwrap_or_default();
        return match log.omitted_bytes {
            0 => log.text,
            n => {
                format!("({n} bytes before this: ReadTaskOutput {id} from cursor 0)\n{}", log.text)
            }
        };
    }
    let whole = finished.outcome.output().map_or("", |output| &output.text);
    let shown = text::prefix(whole, ANSWER_BYTES);
    match whole.len() - shown.len() {
        0 => whole.to_owned(),
        n => {
            let cursor = text_start(finished) + shown.len() as u64;
            format!("{shown}\n({n} more bytes: ReadTaskOutput {id} from cursor {cursor})")
        }
    }
}

/// A fence one longer than any run of its sign in a text, so nothing in it can close the fence.
fn fence_for(text: &str) -> String {
    let longest = text.split(|c| c != '~').map(str::len).max().unwrap_or(0);
    "~".repeat(longest.max(3) + 1)
}
