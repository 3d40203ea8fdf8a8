//! What the tests of the command share.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

pub(crate) mod mcp;
pub(crate) mod mcp_http;
pub(crate) mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A folder of a test's own.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, content).expect("a file");
        self
    }

    /// Writes a plan next to the folder's files and returns its path.
    pub(crate) fn plan(&self, text: &str) -> PathBuf {
        let path = self.path().join("plan.toml");
        std::fs::write(&path, text).expect("a plan");
        path
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let settings = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"];
        let output =
            Command::new("git").args(settings).args(args).current_dir(self.path()).output();
        let output = output.expect("git runs");
        String::from_utf8(output.stdout).expect("text")
    }
}

/// The command, with its output captured.
pub(crate) fn bg(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bg"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a plan on the folder that it lies in.
pub(crate) fn run_plan(folder: &Folder, plan: &str, more: &[&str]) -> Output {
    let plan = folder.plan(plan);
    let mut command = bg(&["run"]);
    command.arg(plan).arg("--path").arg(folder.path()).args(more);
    command.output().expect("bg runs")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the processes that have this text among their arguments.
#[cfg(target_os = "linux")]
pub(crate) fn processes_with(needle: &str) -> Vec<u32> {
    let numbers = std::fs::read_dir("/proc").expect("/proc").flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has_needle = |pid: &u32| {
        let args = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        *pid != std::process::id() && String::from_utf8_lossy(&args).contains(needle)
    };
    numbers.filter(has_needle).collect()
}

/// Waits until something is true.
#[track_caller]
pub(crate) fn until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::yield_now();
    }
}
