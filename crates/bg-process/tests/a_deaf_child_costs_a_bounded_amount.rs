//! A child that does not read its input, and a host that has much to say.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[macro_use]
mod support;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bg_core::TaskId;
use bg_process::{ProcessSpec, StdinError, StdinWriter};
use support::fixture::{Fenced, fixture};
use support::player::Player;
use support::{exit, output};

in_every_containment!(
    a_write_that_is_dropped_writes_nothing,
    everything_that_was_accepted_arrives_in_order,
    a_child_that_closed_its_input_is_told_of,
    a_deaf_child_is_stopped,
    closing_the_input_is_the_end_of_input,
    what_was_accepted_before_the_writer_went_away_arrives,
);

fn with_stdin(fenced: &Fenced, words: &str) -> (TaskId, StdinWriter) {
    let spec = fixture(words).arg(&fenced.word);
    fenced.processes.spawn_with_stdin(spec).unwrap()
}

/// Measured in a host of its own.
#[test]
fn a_gigabyte_for_a_deaf_child_waits_in_bounded_memory() {
    for fence in ["containment=marked", "containment=subreaper", "containment=cgroup"] {
        let mut player = Player::new(fence);
        player.say("spawn-with-stdin deaf");
        player.say("output 0 begun");
        let kib = |player: &mut Player| player.say("memory").parse::<u64>().unwrap();
        let before = kib(&mut player);
        let accepted: usize = player.say("write 0 1048576 1024").parse().unwrap();
        let grown = kib(&mut player).saturating_sub(before);
        assert!(accepted <= 2, "{fence}: {accepted} MiB were accepted");
        assert!(grown < 6 << 10, "{fence}: {grown} KiB for 1024 KiB that may wait");
        let stopped = player.say("stop 0");
        assert!(stopped.contains("Cancelled"), "{fence}: {stopped}");
        let late = player.say("write 0 1");
        assert!(late.contains("does not read any more"), "{fence}: {late}");
        player.kill();
        player.nothing_left(fence);
    }
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Writes are dropped at their first poll, whenever there is no room; what is there is whole.
async fn a_write_that_is_dropped_writes_nothing(fenced: Fenced) {
    let spec = ProcessSpec::new("cat").caps(bg_core::LogCaps { head: 1 << 20, tail: 8 << 20 });
    let (id, stdin) = fenced.processes.spawn_with_stdin(spec).unwrap();
    let mut expected = Vec::new();
    let mut dropped = 0;
    for number in 0..400_u32 {
        let piece = number.to_le_bytes().repeat(4000);
        match poll_once(stdin.write(piece.clone())) {
            Poll::Ready(done) => {
                done.unwrap();
                expected.extend(piece);
            }
            Poll::Pending => dropped += 1,
        }
        if number % 50 == 49 {
            tokio::task::yield_now().await;
        }
    }
    assert!(dropped > 0 && !expected.is_empty(), "{dropped} dropped");
    stdin.close();
    let done = fenced.host.end(id).await;
    let log = done.log().unwrap();
    assert_eq!(log.total(), expected.len() as u64);
    assert_eq!(log.read(0, usize::MAX, None).bytes, expected);
}

async fn everything_that_was_accepted_arrives_in_order(fenced: Fenced) {
    let (id, stdin) = fenced.processes.spawn_with_stdin(ProcessSpec::new("cksum")).unwrap();
    let mut all = Vec::new();
    for number in 0..2000_u32 {
        let piece = number.to_le_bytes().repeat(1 + (number as usize * 37) % 3000);
        all.extend_from_slice(&piece);
        stdin.write(piece).await.unwrap();
    }
    stdin.close();
    let said = output(&*fenced.host.end(id).await);
    let mut sum = std::process::Command::new("cksum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut sum.stdin.take().unwrap(), &all).unwrap();
    let expected = sum.wait_with_output().unwrap().stdout;
    assert_eq!(said.as_bytes(), expected);
}

async fn a_child_that_closed_its_input_is_told_of(fenced: Fenced) {
    let (id, stdin) = with_stdin(&fenced, "deaf closed");
    fenced.host.output_with(id, "begun").await;
    // The first pieces are accepted, and then it is seen that nobody reads them.
    let mut ends = Vec::new();
    for _ in 0..10_000 {
        let write = tokio::time::timeout(Duration::from_secs(5), stdin.write(vec![b'x'; 1000]));
        let end = write.await.unwrap();
        ends.push(end);
        if end.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(ends.last(), Some(&Err(StdinError::Closed)), "{} writes", ends.len());
    let (done, _) = fenced.stop(id).await;
    assert_eq!(exit(&done).signal, Some(15), "it is no error of the task");
}

async fn a_deaf_child_is_stopped(fenced: Fenced) {
    let (id, stdin) = with_stdin(&fenced, "deaf");
    fenced.host.output_with(id, "begun").await;
    stdin.write(vec![b'x'; 500_000]).await.unwrap();
    let blocked = tokio::spawn(async move { stdin.write(vec![b'x'; 900_000]).await });
    tokio::task::yield_now().await;
    let (_, took) = fenced.stop(id).await;
    assert!(took < Duration::from_secs(1), "took {took:?}");
    assert_eq!(blocked.await.unwrap(), Err(StdinError::Closed), "who waits for room is told");
    fenced.nobody_left(Duration::from_secs(1)).await;
}

async fn closing_the_input_is_the_end_of_input(fenced: Fenced) {
    let spec = ProcessSpec::shell("cat; echo over");
    let (id, stdin) = fenced.processes.spawn_with_stdin(spec).unwrap();
    stdin.close();
    assert_eq!(output(&*fenced.host.end(id).await), "over\n");
}

async fn what_was_accepted_before_the_writer_went_away_arrives(fenced: Fenced) {
    let spec = ProcessSpec::new("wc").arg("-c");
    let (id, stdin) = fenced.processes.spawn_with_stdin(spec).unwrap();
    stdin.write(vec![b'x'; 700_000]).await.unwrap();
    drop(stdin);
    assert_eq!(output(&*fenced.host.end(id).await).trim(), "700000");
    let (id, stdin) = fenced.processes.spawn_with_stdin(ProcessSpec::new("cat")).unwrap();
    let too_much = vec![0; StdinWriter::CAPACITY + 1];
    assert_eq!(stdin.write(too_much).await, Err(StdinError::TooLarge));
    drop(stdin);
    assert!(fenced.host.end(id).await.outcome.is_success());
}
