//! Memory under a process that floods. One test in this binary: it looks at the whole process.
#![cfg(target_os = "linux")]

mod support;

use bg_process::ProcessSpec;
use support::{exit, host};

const WRITTEN: u64 = 100_000_000;

fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[tokio::test]
async fn a_process_that_prints_100_mb_costs_the_cap_and_no_more() {
    let host = host();
    // Whatever the first process costs once (buffers, the reaper) is not the flood's.
    host.run(ProcessSpec::new("true")).await;
    let before = peak_kib().unwrap();
    let done = host.run(ProcessSpec::shell(format!("head -c {WRITTEN} /dev/zero"))).await;
    let grown = peak_kib().unwrap() - before;
    assert!(exit(&done).success());
    let log = done.log().unwrap();
    let cap = 1 << 20;
    assert_eq!(log.total(), WRITTEN);
    assert_eq!(log.omitted(), WRITTEN - cap);
    let head = log.read(0, usize::MAX, None);
    let tail = log.read(head.next, usize::MAX, None);
    assert_eq!((head.bytes.len() + tail.bytes.len()) as u64, cap);
    assert_eq!((tail.omitted, tail.next, tail.eof), (WRITTEN - cap, WRITTEN, true));
    assert!(grown <= 6 << 10, "the peak grew by {grown} KiB for a cap of 1,024 KiB");
}
