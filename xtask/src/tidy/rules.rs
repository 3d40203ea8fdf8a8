//! The rules behind `cargo xtask tidy`: text in, findings out, each naming its fix.
//!
//! xtask reads its own sources too, so a needle that they may not contain is put together with
//! `concat!`.

use super::Source;

const MAX_LINES: usize = 500;

/// What may not stand in an integration test, and what to do about it.
const DENIED_IN_TESTS: &[(&str, &str)] = &[
    ("#[ignore", "make the test pass, or delete it"),
    ("thread::sleep(", "wait for the event itself"),
    ("time::sleep(", "wait for the event itself, or advance virtual time"),
];

/// Words that mark a comment as a note about unfinished work.
const MARKERS: &[&str] = &["TODO", "FIXME", "XXX"];

const UNFINISHED: &[&str] = &[concat!("todo", "!("), concat!("unimplemented", "!(")];

/// Everything that a Rust file alone can violate.
pub(super) fn source(source: &Source) -> Vec<String> {
    let mut findings = too_long(source);
    let checks = [denied_in_tests, unfinished, not_ascii];
    for (index, line) in source.text.lines().enumerate() {
        for problem in checks.iter().flat_map(|check| check(&source.path, line)) {
            findings.push(format!("{}:{}: {problem}", source.path, index + 1));
        }
    }
    findings
}

fn too_long(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    if lines <= MAX_LINES || !source.path.contains("/src/") {
        return Vec::new();
    }
    let path = &source.path;
    vec![format!("{path} has {lines} lines, over {MAX_LINES}: split it, one type a file")]
}

fn denied_in_tests(path: &str, line: &str) -> Vec<String> {
    if integration_test(path).is_none() {
        return Vec::new();
    }
    DENIED_IN_TESTS
        .iter()
        .filter(|(needle, _)| line.contains(needle))
        .map(|(needle, fix)| format!("`{needle}` in a test: {fix}"))
        .collect()
}

/// The crate and the name of `crates/<crate>/tests/<name>.rs`; folders below it hold fixture programs,
/// which may well sleep.
pub(super) fn integration_test(path: &str) -> Option<(&str, &str)> {
    let (krate, file) = path.strip_prefix("crates/")?.split_once("/tests/")?;
    let name = file.strip_suffix(".rs").filter(|name| !name.contains('/'))?;
    (!krate.contains('/')).then_some((krate, name))
}

fn unfinished(path: &str, line: &str) -> Vec<String> {
    // Its tests search texts for such marks, so they hold some.
    if path.starts_with("crates/bg-cli/tests/") {
        return Vec::new();
    }
    let marks = MARKERS.iter().filter(|marker| is_marked(line, marker));
    let macros = UNFINISHED.iter().filter(|needle| line.contains(**needle));
    marks
        .chain(macros)
        .map(|found| format!("`{found}` marks unfinished work: finish it, or open an issue"))
        .collect()
}

fn is_marked(line: &str, marker: &str) -> bool {
    line.split("//")
        .skip(1)
        .any(|comment| comment.trim_start_matches(['/', '!', ' ']).starts_with(marker))
}

fn not_ascii(_path: &str, line: &str) -> Vec<String> {
    let comment = line.trim_start().starts_with("//");
    let odd = line.chars().find(|c| comment && !c.is_ascii());
    odd.into_iter()
        .map(|c| format!("`{}` in a comment: write it in ASCII", c.escape_unicode()))
        .collect()
}

/// Every test that a document names as `` `path/to/file.rs::function` `` is there.
pub(super) fn named_tests(document: &Source, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, line) in document.text.lines().enumerate() {
        for (file, function) in tests_named_in(line) {
            findings.extend(
                missing(file, function, &read)
                    .map(|problem| format!("{}:{}: {problem}", document.path, index + 1)),
            );
        }
    }
    findings
}

/// The code spans of a line that name a function in a Rust file of this repository.
fn tests_named_in(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split('`')
        .skip(1)
        .step_by(2)
        .filter(|span| span.starts_with("crates/") || span.starts_with("xtask/"))
        .filter_map(|span| span.split_once(".rs::"))
        .map(|(stem, function)| (stem, function.rsplit("::").next().unwrap_or(function)))
}

fn missing(stem: &str, function: &str, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    let file = format!("{stem}.rs");
    let Some(text) = read(&file) else {
        let fix = "name the file that has the test";
        return Some(format!("names {file}, which does not exist: {fix}"));
    };
    let fix = "write that test, or name the one that keeps the promise";
    (!defines(&text, function))
        .then(|| format!("names `{function}`, which {file} does not define: {fix}"))
}

fn defines(text: &str, function: &str) -> bool {
    let (plain, generic) = (format!("fn {function}("), format!("fn {function}<"));
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .any(|line| line.contains(&plain) || line.contains(&generic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::check;

    const LIB: &str = "crates/bg-core/src/lib.rs";
    const TEST: &str = "crates/bg-core/tests/inbox.rs";

    fn file(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[track_caller]
    fn check_source(path: &str, text: &str, words: &[&str]) {
        check(&source(&file(path, text)), words);
    }

    #[track_caller]
    fn check_document(text: &str, words: &[&str]) {
        let read = |path: &str| {
            let text = "// fn a_comment() {}\nasync fn keeps_order() {}\nfn for_any<T>() {}\n";
            (path == TEST).then(|| text.to_owned())
        };
        check(&named_tests(&file("docs/guarantees.md", text), read), words);
    }

    #[test]
    fn a_test_that_exists_may_be_named() {
        check_document("| R2 | `crates/bg-core/tests/inbox.rs::keeps_order` |", &[]);
        check_document("`crates/bg-core/tests/inbox.rs::nested::for_any`", &[]);
        check_document("`Inbox::drain`, `crates/bg-core/src/gone.rs`", &[]);
    }

    #[test]
    fn a_test_in_a_missing_file_is_reported_with_the_line_that_names_it() {
        let text = "\n| R2 | `ok` | `crates/bg-core/tests/gone.rs::keeps_order` |";
        let words = ["guarantees.md:2", "gone.rs, which does not exist"];
        check_document(text, &words);
    }

    #[test]
    fn a_missing_test_function_is_reported() {
        for function in ["keeps", "order", "a_comment"] {
            let words = [function, "inbox.rs does not define", "write that test"];
            check_document(&format!("`{TEST}::{function}`"), &words);
        }
    }

    #[test]
    fn an_ignored_test_is_reported() {
        let words = ["inbox.rs:2", "make the test pass"];
        check_source(TEST, "#[test]\n#[ignore = \"slow\"]\n", &words);
    }

    #[test]
    fn a_sleep_in_a_test_is_reported_and_one_in_a_source_is_not() {
        let (blocking, pausing) = ("std::thread::sleep(ms);", "time::sleep(ms).await;");
        check_source(TEST, blocking, &["wait for the event itself"]);
        check_source(TEST, pausing, &["advance virtual time"]);
        check_source(LIB, pausing, &[]);
        check_source("crates/bg-core/tests/fixtures/slow.rs", blocking, &[]);
    }

    #[test]
    fn a_long_source_file_is_reported_and_a_long_test_is_not() {
        let (full, over) = ("\n".repeat(MAX_LINES), "\n".repeat(MAX_LINES + 1));
        check_source(LIB, &full, &[]);
        check_source(TEST, &over, &[]);
        check_source(LIB, &over, &["has 501 lines", "split it"]);
    }

    #[test]
    fn a_marker_comment_is_reported_wherever_it_stands() {
        for marker in MARKERS {
            for slashes in ["// ", "//", "/// ", "//! ", "let a = 1; // "] {
                let line = format!("{slashes}{marker}: later");
                check_source(LIB, &line, &[marker, "finish it"]);
            }
        }
    }

    #[test]
    fn a_marker_word_in_a_string_is_none() {
        check_source(LIB, "let word = \"TODO\"; // the word", &[]);
        let comment = format!("let text = \"// {}\";", MARKERS[0]);
        check_source("crates/bg-cli/tests/survey.rs", &comment, &[]);
    }

    #[test]
    fn an_unfinished_macro_is_reported() {
        for needle in UNFINISHED {
            check_source(LIB, &format!("{needle})"), &[needle, "finish it"]);
        }
    }

    #[test]
    fn a_comment_outside_ascii_is_reported_and_a_string_is_not() {
        let words = ["lib.rs:1", "u{2192}", "in ASCII"];
        check_source(LIB, "    /// a \u{2192} b", &words);
        check_source(LIB, "let arrow = \"\u{2192}\";", &[]);
    }
}
