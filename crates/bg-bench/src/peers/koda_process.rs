//! koda-core's shell tool, and its registry of background processes.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use koda_core_05::sandbox::{build, policy_for_agent};
use koda_core_05::tools::bg_process::{BgRegistry, ProcessWaitOutcome};
use koda_core_05::tools::shell::run_shell_command;
use koda_core_05::trust::TrustMode;
use serde_json::json;
use tokio::process::Child;

use crate::samples::percentile;
use crate::workloads::capture::Shape;
use crate::workloads::proc_exit::{Stamp, this_program};
use crate::workloads::proc_idle::SLEEPER;
use crate::workloads::proc_spawn::{PROGRAM, through_join_set};

const TRUST: TrustMode = TrustMode::Safe;

/// Where its commands run.
const ROOT: &str = "/tmp";

/// How many lines its tool keeps of the output of a command.
const LINES: usize = 256;

/// The longest that its tools wait.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Exits in one round: each takes up to the 100 ms between two looks.
const EXITS: usize = 10;

pub(super) async fn proc_spawn(count: usize) -> f64 {
    let registry = Arc::new(BgRegistry::new());
    through_join_set(count, || run(registry.clone(), PROGRAM.to_owned())).await
}

/// Runs a command in the foreground; the registry is only for those in the background.
async fn run(registry: Arc<BgRegistry>, command: String) {
    let root = Path::new(ROOT);
    let args = json!({"command": command, "timeout": TIMEOUT.as_secs()});
    let policy = policy_for_agent(TRUST, root);
    let done =
        run_shell_command(root, &args, LINES, &registry, None, &TRUST, &policy, None, None, None);
    let done = done.await.expect("a shell starts");
    assert!(done.summary.starts_with("Exit code: 0 "), "{}", done.summary);
}

pub(crate) async fn capture(shape: Shape, bytes: usize) {
    run(Arc::new(BgRegistry::new()), this_program_with(&shape.args(bytes))).await;
}

fn this_program_with(args: &[String]) -> String {
    format!("exec '{}' {}", this_program(), args.join(" "))
}

/// Starts so many in the background, from within a runtime.
pub(super) fn sleepers(n: usize) -> BgRegistry {
    let registry = BgRegistry::new();
    for _ in 0..n {
        start(&registry, SLEEPER);
    }
    registry
}

/// Starts a command as its tool does in the background, and returns the process.
fn start(registry: &BgRegistry, command: &str) -> u32 {
    let child = spawn(command);
    let pid = child.id().expect("it is not reaped");
    registry.insert(pid, command.to_owned(), child, None)
}

fn spawn(command: &str) -> Child {
    let root = Path::new(ROOT);
    let policy = policy_for_agent(TRUST, root);
    let mut shell = build(command, root, &TRUST, &policy, None, None).expect("a shell is there");
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().expect("a shell starts")
}

pub(super) async fn exits() -> f64 {
    let registry = BgRegistry::new();
    let stamp = Stamp::new();
    let mut times = Vec::with_capacity(EXITS);
    for _ in 0..EXITS {
        let pid = start(&registry, &this_program_with(&stamp.args()));
        let outcome = registry.wait_for_exit_as_caller(pid, None, TIMEOUT).await;
        times.push(stamp.age());
        assert_eq!(outcome, ProcessWaitOutcome::Exited { code: Some(0) });
    }
    percentile(&mut times, 0.5)
}
