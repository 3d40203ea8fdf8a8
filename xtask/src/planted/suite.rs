//! The tests of `bg-core`: first those of every day, then the loom models.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::loom::LOOM;
use crate::models;
use crate::repo::{Repo, Result};

pub(super) struct Suite {
    repo: Repo,
    target: PathBuf,
    nextest: bool,
}

/// How a suite ended; only the time of its runs counts.
pub(super) enum Verdict {
    Green {
        took: Duration,
    },
    Red {
        /// The first test that failed.
        by: String,
        took: Duration,
    },
    TooLong,
}

/// Of everything that a runner prints, the lines that name a test that failed: those of nextest,
/// and those of cargo test.
fn failed_test(line: &str) -> Option<String> {
    let line = line.trim();
    let nextest = ["FAIL [", "TIMEOUT [", "ABORT [", "SIGABRT [", "SIGSEGV [", "LEAK-FAIL ["];
    if nextest.iter().any(|mark| line.starts_with(mark)) {
        let mut words = line.rsplit(' ');
        let (test, binary) = (words.next()?, words.next()?);
        return Some(format!("{binary} {test}"));
    }
    // A model that loom gives up aborts: then only its thread is named.
    let thread = || line.strip_prefix("thread '")?.split_once("' (");
    if let Some((test, _)) = thread().filter(|(test, _)| *test != "<unnamed>") {
        return Some(test.to_owned());
    }
    let test = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
    Some(test.to_owned())
}

impl Suite {
    pub(super) fn new(repo: Repo, folder: &Path) -> Self {
        let version = repo.cargo("nextest --version").quiet().ignore_stderr();
        let nextest = version.read().is_ok();
        Self { repo, target: folder.to_owned(), nextest }
    }

    /// Builds and runs part after part until one is red.
    pub(super) fn run(&self, limit: Duration) -> Result<Verdict> {
        let mut took = Duration::ZERO;
        let parts: [fn(&Self, &[&str]) -> Command; 2] = [Self::tests, Self::loom];
        for part in parts {
            if let Some(compiler) = built(part(self, &["--no-run"]))? {
                return Err(format!("the patched code does not build:\n{compiler}").into());
            }
            let start = Instant::now();
            let left = limit.saturating_sub(took);
            let Some(red) = first_failure(part(self, &[]), left)? else {
                return Ok(Verdict::TooLong);
            };
            took += start.elapsed();
            if let Red::By(by) = red {
                return Ok(Verdict::Red { by, took });
            }
        }
        Ok(Verdict::Green { took })
    }

    fn tests(&self, rest: &[&str]) -> Command {
        // With `planted` a test that hangs is given up early.
        let line = if self.nextest {
            "nextest run -p bg-core --all-features --profile planted"
        } else {
            "test -p bg-core --all-features --tests"
        };
        let mut command = Command::from(self.repo.cargo(line));
        command.arg("--target-dir").arg(self.target.join("tests"));
        command.args(rest).current_dir(self.repo.root());
        command
    }

    fn loom(&self, rest: &[&str]) -> Command {
        models::command(&self.repo, &LOOM, &self.target, rest)
    }
}

/// Builds; what the compiler says when it fails.
fn built(mut command: Command) -> Result<Option<String>> {
    let output = command.stdin(Stdio::null()).output()?;
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((!output.status.success()).then(said))
}

enum Red {
    Not,
    By(String),
}

/// Runs tests to their end or to the limit; `None` past it.
fn first_failure(mut command: Command, limit: Duration) -> Result<Option<Red>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let outputs = [child.stdout.take().map(readers), child.stderr.take().map(readers)];
    let Some(success) = wait(&mut child, limit)? else { return Ok(None) };
    let named = outputs.into_iter().flatten().find_map(|reader| reader.join().ok().flatten());
    let by = named.unwrap_or_else(|| "a test that was not named".to_owned());
    Ok(Some(if success { Red::Not } else { Red::By(by) }))
}

/// Reads a stream to its end on a thread; the first test that it says has failed.
fn readers(stream: impl std::io::Read + Send + 'static) -> thread::JoinHandle<Option<String>> {
    thread::spawn(move || {
        let lines = BufReader::new(stream).lines().map_while(std::io::Result::ok);
        // To the end, so that the writer is not held up.
        lines.fold(None, |first, line| first.or_else(|| failed_test(&line)))
    })
}

/// Waits for the end, not past the limit; then the runner is killed and its tests with it.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<bool>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_test_is_named_by_either_runner() {
        let nextest = "        FAIL [   0.007s] ( 5/98) bg-core::waits a_wait_observes";
        assert_eq!(failed_test(nextest).as_deref(), Some("bg-core::waits a_wait_observes"));
        let cargo = "test a_wait_observes ... FAILED";
        assert_eq!(failed_test(cargo).as_deref(), Some("a_wait_observes"));
        let aborted = "thread 'a_wait_observes' (7) panicked at src/wait.rs:1:1:";
        assert_eq!(failed_test(aborted).as_deref(), Some("a_wait_observes"));
        for green in ["        PASS [   0.007s] bg-core::waits it", "test it ... ok"] {
            assert_eq!(failed_test(green), None);
        }
    }
}
