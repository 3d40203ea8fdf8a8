//! Who follows a log reads on as it grows, is told what it missed, and ends with the log.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake};

use bg_core::{Chunk, Follow, LogCaps, Output, OutputLog, Registry, Stream, Task};
use proptest::prelude::*;
use support::{poll, poll_with, register};

use crate::support;

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Woken {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Asks for the next piece and finds none.
#[track_caller]
fn wait(follow: &mut Follow, woken: &Arc<Woken>) {
    assert!(poll_with(&mut Box::pin(follow.next(9)), &woken.clone().into()).is_pending());
}

/// What there is now, or that it would have to wait.
fn now(follow: &mut Follow, max: usize) -> Poll<Option<Chunk>> {
    poll(&mut Box::pin(follow.next(max)))
}

#[track_caller]
fn piece(follow: &mut Follow, max: usize) -> (String, u64) {
    let Poll::Ready(Some(chunk)) = now(follow, max) else { panic!("there is nothing") };
    (String::from_utf8(chunk.bytes).unwrap(), chunk.omitted)
}

fn log() -> OutputLog {
    OutputLog::new(LogCaps { head: 4, tail: 4 })
}

#[test]
fn it_reads_what_is_there_and_then_waits() {
    let log = log();
    log.write(Stream::Stdout, b"abcdef");
    let mut follow = log.follow(1);
    assert_eq!(piece(&mut follow, 2), ("bc".into(), 0));
    assert_eq!(piece(&mut follow, 100), ("def".into(), 0));
    assert_eq!((now(&mut follow, 100), follow.position()), (Poll::Pending, 6));
    log.write(Stream::Stderr, b"g");
    assert_eq!(piece(&mut follow, 0), ("g".into(), 0), "nobody asks for nothing");
    log.close();
    assert_eq!(now(&mut follow, 100), Poll::Ready(None));
    assert_eq!(now(&mut follow, 100), Poll::Ready(None));
}

#[test]
fn each_is_woken_by_growth_and_by_the_end() {
    let log = log();
    let mut follows: Vec<_> = (0..3).map(|_| log.follow(0)).collect();
    let flags: Vec<_> = (0..3).map(|_| Arc::new(Woken::default())).collect();
    for step in ["write", "buffer", "empty", "close"] {
        for (follow, flag) in follows.iter_mut().zip(&flags) {
            wait(follow, flag);
        }
        let woken = flags.iter().map(|flag| flag.count()).collect::<Vec<_>>();
        match step {
            "write" => log.write(Stream::Stdout, b"a"),
            "buffer" => drop(log.write_owned(Stream::Stdout, b"b".to_vec())),
            "empty" => log.write(Stream::Stdout, b""),
            _ => log.close(),
        }
        for (flag, before) in flags.iter().zip(woken) {
            assert_eq!(flag.count() - before, usize::from(step != "empty"), "{step}");
        }
        if step == "write" || step == "buffer" {
            for follow in &mut follows {
                assert_eq!(piece(follow, 9).0.len(), 1);
            }
        }
    }
}

#[test]
fn a_slow_one_is_told_exactly_what_it_missed() {
    let log = log();
    let (mut slow, mut quick) = (log.follow(0), log.follow(u64::MAX));
    log.write(Stream::Stdout, b"0123");
    assert_eq!(piece(&mut quick, 9), ("0123".into(), 0));
    for _ in 0..100 {
        log.write(Stream::Stdout, b"abc");
        assert_eq!(piece(&mut quick, 9), ("abc".into(), 0));
    }
    assert_eq!(piece(&mut slow, 2), ("01".into(), 0));
    assert_eq!(piece(&mut slow, 9), ("23".into(), 0));
    assert_eq!(piece(&mut slow, 9), ("cabc".into(), 296));
    assert_eq!((now(&mut slow, 9), now(&mut quick, 9)), (Poll::Pending, Poll::Pending));
}

#[test]
fn one_stream_alone_is_followed_without_what_is_between() {
    let log = log();
    let mut errors = log.follow(0).stream(Stream::Stderr);
    log.write(Stream::Stdout, b"oo");
    assert_eq!(now(&mut errors, 9), Poll::Pending);
    assert_eq!(errors.position(), 2, "it has passed the other stream");
    log.write(Stream::Stderr, b"ee");
    log.write(Stream::Stdout, b"oooooo");
    assert_eq!(piece(&mut errors, 9), ("ee".into(), 0));
    assert_eq!(piece(&mut errors, 9), (String::new(), 2), "who wrote it is not known any more");
    log.close();
    assert_eq!(now(&mut errors, 9), Poll::Ready(None));
}

#[test]
fn one_that_is_dropped_loses_nothing_for_the_others_and_leaves_nothing() {
    let log = log();
    let (mut stays, mut goes) = (log.follow(0), log.follow(0));
    let (kept, flag) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
    wait(&mut stays, &kept);
    wait(&mut goes, &flag);
    drop(goes);
    assert_eq!(Arc::strong_count(&flag), 1, "its waker is gone");
    log.write(Stream::Stdout, b"abc");
    assert_eq!((kept.count(), flag.count()), (1, 0));
    // A future that was woken and dropped has taken nothing.
    drop(stays.next(9));
    assert_eq!(piece(&mut stays, 9), ("abc".into(), 0));
}

#[test]
fn it_ends_with_the_task_and_with_the_registry() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let ((id, first), (_, second)) = (register(&root, "ends"), register(&root, "is dropped"));
    let logs = [first.context().log(), second.context().log()];
    let mut follows = logs.each_ref().map(|log| log.follow(0));
    let flags = [(); 2].map(|()| Arc::new(Woken::default()));
    for (follow, flag) in follows.iter_mut().zip(&flags) {
        wait(follow, flag);
    }
    logs[0].write(Stream::Stdout, b"last words");
    first.complete(Ok(Output::default()));
    assert!(root.outcome(id).is_ok());
    assert_eq!(piece(&mut follows[0], 99).0, "last words");
    assert_eq!(now(&mut follows[0], 9), Poll::Ready(None));
    assert_eq!((now(&mut follows[1], 9), flags[1].count()), (Poll::Pending, 0));
    wait(&mut follows[1], &flags[1]);
    drop(registry);
    assert_eq!((now(&mut follows[1], 9), flags[1].count()), (Poll::Ready(None), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_on_other_threads_miss_nothing_that_they_are_not_told_of() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, completer) = root.register(Task::new("writes", "")).unwrap();
    let log = completer.context().log_with(LogCaps { head: 1_000, tail: 5_000 });
    let readers: Vec<_> = [1, 100, 10_000]
        .map(|max| {
            let mut follow = log.follow(0);
            tokio::spawn(async move {
                let mut sum = 0;
                while let Some(chunk) = follow.next(max).await {
                    sum += chunk.bytes.len() as u64 + chunk.omitted;
                    assert_eq!(chunk.next, sum);
                }
                sum
            })
        })
        .into();
    let writer = tokio::task::spawn_blocking(move || {
        for n in 0..5_000 {
            log.write(Stream::Stdout, &vec![b'.'; n % 50]);
        }
        completer.complete(Ok(Output::default()));
        log.total()
    });
    let total = writer.await.unwrap();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), total);
    }
}

proptest! {
    #[test]
    fn a_follower_at_any_pace_sees_what_readers_see(
        head in 0..30_usize,
        tail in 0..30_usize,
        steps in proptest::collection::vec((0..3_u8, 0..40_usize, any::<bool>()), 0..60),
    ) {
        let log = OutputLog::new(LogCaps { head, tail });
        let mut all = Vec::new();
        let (mut follow, mut position) = (log.follow(0), 0);
        for (what, n, error) in steps {
            if what == 0 {
                while let Poll::Ready(Some(chunk)) = now(&mut follow, n) {
                    let start = position + chunk.omitted;
                    let end = start + chunk.bytes.len() as u64;
                    prop_assert_eq!(chunk.next, end);
                    let seen = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
                    prop_assert_eq!(&chunk.bytes[..], &all[seen]);
                    position = end;
                }
                prop_assert_eq!(position, log.total());
            } else {
                let bytes: Vec<u8> = (0..n).map(|at| (all.len() + at).to_le_bytes()[0]).collect();
                log.write(if error { Stream::Stderr } else { Stream::Stdout }, &bytes);
                all.extend(bytes);
            }
        }
    }
}
