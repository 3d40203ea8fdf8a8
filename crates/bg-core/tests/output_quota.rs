//! The logs of a root share a quota: what is over it is dropped by the log that grows, and counted.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bg_core::{Completer, Limits, LogCaps, Output, OutputLog, Registry, Scope, Stream, Task};
use proptest::prelude::*;

/// What each log may keep in any case.
const FLOOR: u64 = 16 << 10;

fn registry(quota: u64) -> Registry {
    Registry::builder().limits(Limits::default().output_bytes(quota)).finished_kept(1).build()
}

fn log(root: &Scope, caps: LogCaps) -> (OutputLog, Completer) {
    let (_, completer) = root.register(Task::new("writes", "")).unwrap();
    (completer.context().log_with(caps), completer)
}

fn kept(log: &OutputLog) -> u64 {
    log.total() - log.omitted()
}

fn used(registry: &Registry) -> u64 {
    registry.admin().stats().output_bytes
}

#[test]
fn what_a_log_keeps_is_given_back_when_nobody_can_read_it() {
    let registry = registry(100_000);
    let root = registry.root_scope();
    let (first, completer) = log(&root, LogCaps::default());
    first.write(Stream::Stdout, &vec![b'1'; 100_000]);
    assert_eq!((kept(&first), used(&registry)), (100_000, 100_000));
    let (second, _other) = log(&root, LogCaps::default());
    second.write(Stream::Stdout, &vec![b'2'; 50_000]);
    assert_eq!((kept(&second), second.total()), (FLOOR, 50_000));
    assert_eq!(used(&registry), 100_000 + FLOOR);

    // Undelivered, then retained: it can be read, and counts.
    completer.complete(Ok(Output::default()));
    root.inbox().drain().for_each(drop);
    drop(first);
    assert_eq!(used(&registry), 100_000 + FLOOR);
    forget(&root, log(&root, LogCaps::default()));
    assert_eq!(used(&registry), FLOOR);
    second.write(Stream::Stdout, &vec![b'2'; 50_000]);
    assert_eq!(kept(&second), FLOOR + 50_000, "there is room again");
}

#[test]
fn a_new_process_is_never_mute() {
    let registry = registry(10);
    let root = registry.root_scope();
    let (full, _first) = log(&root, LogCaps::default());
    full.write(Stream::Stdout, &vec![b'.'; 1 << 20]);
    let (quiet, _second) = log(&root, LogCaps::default());
    for n in 0..10_000 {
        quiet.write(Stream::Stdout, format!("line {n}\n").as_bytes());
    }
    assert_eq!((kept(&full), kept(&quiet)), (FLOOR, FLOOR));
    assert!(quiet.read(0, 100, None).bytes.starts_with(b"line 0\nline 1\n"));
    let end = quiet.read(quiet.total() - 10, 10, None).bytes;
    assert_eq!(end, b"line 9999\n", "its end is there too");
    // A log that wants less keeps what its caps say.
    let (small, _third) = log(&root, LogCaps { head: 0, tail: 100 });
    small.write(Stream::Stdout, &[b'.'; 1000]);
    assert_eq!(kept(&small), 100);
}

#[test]
fn roots_have_a_quota_each_and_none_without_a_limit() {
    let registry = registry(1000);
    let (one, other) = (registry.root_scope(), registry.root_scope());
    let ((first, _a), (second, _b)) =
        (log(&one, LogCaps::default()), log(&other, LogCaps::default()));
    for log in [&first, &second] {
        log.write(Stream::Stdout, &vec![b'.'; 40_000]);
        assert_eq!(kept(log), FLOOR);
    }
    assert_eq!(used(&registry), 2 * FLOOR);

    let unlimited = Registry::new();
    let root = unlimited.root_scope();
    let logs: Vec<_> = (0..100).map(|_| log(&root, LogCaps::default())).collect();
    for (log, _) in &logs {
        log.write(Stream::Stdout, &vec![b'.'; 2 << 20]);
    }
    assert_eq!(used(&unlimited), 100 << 20);
    drop(logs);
    assert_eq!(used(&unlimited), 100 << 20, "they are undelivered");
}

#[test]
fn writers_on_many_threads_keep_exact_accounts() {
    let registry = registry(200_000);
    let root = registry.root_scope();
    let logs: Vec<_> = (0..4).map(|_| log(&root, LogCaps { head: 9_000, tail: 70_000 })).collect();
    std::thread::scope(|threads| {
        for (n, (log, _)) in logs.iter().enumerate() {
            threads.spawn(move || {
                for size in 0..600 {
                    log.write(Stream::Stdout, &vec![b'.'; size * (n + 1)]);
                }
            });
        }
    });
    let sum: u64 = logs.iter().map(|(log, _)| kept(log)).sum();
    assert_eq!(used(&registry), sum);
    assert!((200_000..=200_000 + 4 * FLOOR).contains(&sum), "{sum}");
}

/// Ends a task and lets another one push it out of what is kept.
fn forget(root: &Scope, (_, completer): (OutputLog, Completer)) {
    let next = root.register(Task::new("pushes it out", "")).unwrap().1;
    for completer in [completer, next] {
        completer.complete(Ok(Output::default()));
        root.inbox().drain().for_each(drop);
    }
}

#[derive(Clone, Debug)]
enum Op {
    New(usize, usize),
    Write { log: usize, bytes: usize, owned: bool },
    Flip { log: usize, runs: usize },
    Forget(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let cap = || prop_oneof![0..5_000_usize, 0..400_000_usize];
    let bytes = prop_oneof![0..4_000_usize, 0..300_000_usize, Just(OutputLog::BUFFER_BYTES)];
    prop_oneof![
        1 => (cap(), cap()).prop_map(|(head, tail)| Op::New(head, tail)),
        6 => (0..5_usize, bytes, any::<bool>())
            .prop_map(|(log, bytes, owned)| Op::Write { log, bytes, owned }),
        1 => (0..5_usize, 0..6_000_usize).prop_map(|(log, runs)| Op::Flip { log, runs }),
        1 => (0..5_usize).prop_map(Op::Forget),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn accounts_are_exact_and_the_quota_is_exceeded_by_floors_alone(
        quota in prop_oneof![0..50_000_u64, 0..2_000_000_u64],
        ops in proptest::collection::vec(op(), 0..60),
    ) {
        let registry = registry(quota);
        let root = registry.root_scope();
        let mut logs = vec![log(&root, LogCaps::default())];
        for op in ops {
            match op {
                Op::New(head, tail) => logs.push(log(&root, LogCaps { head, tail })),
                Op::Forget(n) if n < logs.len() => {
                    forget(&root, logs.remove(n));
                }
                Op::Forget(_) => {}
                Op::Write { log, bytes, owned } => {
                    let Some((log, _)) = logs.get(log) else { continue };
                    let before = log.total();
                    if owned {
                        drop(log.write_owned(Stream::Stdout, vec![b'.'; bytes]));
                    } else {
                        log.write(Stream::Stdout, &vec![b'.'; bytes]);
                    }
                    prop_assert_eq!(log.total(), before + bytes as u64);
                }
                Op::Flip { log, runs } => {
                    let Some((log, _)) = logs.get(log) else { continue };
                    for n in 0..runs {
                        let stream = [Stream::Stdout, Stream::Stderr][n % 2];
                        log.write(stream, b"xy");
                    }
                }
            }
            let sum: u64 = logs.iter().map(|(log, _)| kept(log)).sum();
            prop_assert_eq!(used(&registry), sum);
            prop_assert!(sum <= quota + logs.len() as u64 * FLOOR);
            for (log, _) in &logs {
                let (all, omitted) = (log.read(0, usize::MAX, None), log.omitted());
                let rest = log.read(all.next, usize::MAX, None);
                prop_assert_eq!((all.bytes.len() + rest.bytes.len()) as u64, kept(log));
                prop_assert_eq!(all.omitted + rest.omitted, omitted);
            }
        }
    }
}
