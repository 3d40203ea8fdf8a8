//! `kill -9` of the command: what it had started ends within a second.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use std::time::Duration;

use support::{Folder, bg, processes_with, until};

#[test]
fn a_kill_in_the_middle_of_a_run_leaves_nothing_within_a_second() {
    let folder = Folder::new();
    let mark = format!("killed-{}", folder.path().file_name().unwrap().to_str().unwrap());
    // One that heeds, one that is deaf, and one whose child has left its session, its parent and its
    // environment behind.
    let plan = r#"
[[process]]
label = "heeds"
command = ": MARK; sleep 1000; :"
[[process]]
label = "deaf"
command = "trap '' TERM HUP; : MARK; while :; do sleep 0.05; done"
[[process]]
label = "daemon"
command = "setsid env -i sh -c ': MARK; sleep 1000; :' > /dev/null 2>&1 & : MARK; sleep 1000; :"
"#;
    let plan = folder.plan(&plan.replace("MARK", &mark));
    let mut command = bg(&["run"]);
    let mut run = command.arg(plan).arg("--path").arg(folder.path()).spawn().unwrap();
    until("all four run", Duration::from_secs(20), || processes_with(&mark).len() == 4);
    run.kill().unwrap();
    run.wait().unwrap();
    until("nothing is left", Duration::from_secs(1), || processes_with(&mark).is_empty());
}
