//! `bg mcp`: what many calls and many connections leave behind. So many as end soon; `cargo xtask
//! mcp-volume` makes the full number, where a smaller rise is seen.
#![cfg(all(target_os = "linux", feature = "mcp"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use serde_json::json;
use support::Folder;
use support::mcp::Client;
use support::mcp_http::Server;

const CALLS: usize = 10_000;
const CONNECTIONS: usize = 200;

/// How often memory is looked at.
const LOOKS: usize = 20;

/// What memory may rise by between the first and the last look, by the line through all of them, in
/// KiB. What the allocator keeps of the threads of a runtime comes and goes by some hundreds.
const NOISE_KIB: f64 = 1024.0;

/// How many are asked for, or so many.
fn count(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |count| count.parse().unwrap())
}

/// What is in memory of a process, in KiB.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() as f64
}

/// By how much the line of least squares rises from the first value to the last.
#[allow(clippy::cast_precision_loss, reason = "a few dozen")]
fn rise(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let (mid, mean) = ((count - 1.0) / 2.0, values.iter().sum::<f64>() / count);
    let from_mid = |at: usize| at as f64 - mid;
    let along: f64 =
        values.iter().enumerate().map(|(at, value)| from_mid(at) * (value - mean)).sum();
    let across: f64 = (0..values.len()).map(|at| from_mid(at).powi(2)).sum();
    along / across * (count - 1.0)
}

/// Does something so many times, and looks at the memory of a process meanwhile. The first tenth fills
/// what is kept anyway.
#[track_caller]
fn is_flat(pid: u32, times: usize, mut act: impl FnMut(usize)) {
    let every = times / LOOKS;
    let mut looks = Vec::new();
    for nth in 1..=times {
        act(nth);
        if nth % every == 0 && nth > times / 10 {
            looks.push(resident(pid));
        }
    }
    let rise = rise(&looks);
    println!(
        "{times} times: {rise:.0} KiB more; KiB at each of {LOOKS} looks but the first: {looks:?}"
    );
    assert!(rise < NOISE_KIB, "{rise:.0} KiB more: {looks:?}");
}

#[test]
fn many_calls_on_one_connection_leave_nothing() {
    let folder = Folder::new();
    let mut client = Client::latest(&folder, false);
    is_flat(client.child.id(), count("BG_CALLS", CALLS), |nth| {
        if nth % 1000 == 0 {
            client.does("Bash", json!({"command": "true"}));
        }
        assert_eq!(client.does("ListBackgroundTasks", json!({})), json!([]));
    });
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn many_connections_leave_nothing() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[], &[]);
    let client = server.client();
    is_flat(server.child.id(), count("BG_CONNECTIONS", CONNECTIONS), |_| {
        assert_eq!(client.does("ListBackgroundTasks", json!({})), json!([]));
    });
}

#[test]
fn a_line_that_rises_is_seen() {
    let leak: Vec<f64> = (0..18_u8).map(|at| 24_000.0 + 200.0 * f64::from(at)).collect();
    assert!((rise(&leak) - 3400.0).abs() < 1.0);
    assert!(rise(&[24_000.0, 24_300.0, 23_900.0, 24_100.0]).abs() < 100.0);
}
