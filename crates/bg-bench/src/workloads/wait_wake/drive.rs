//! Drives pairs of a wait and an end, the same way for every side.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::oneshot;

use crate::clock::ns_each;
use crate::samples::percentile;
use crate::workloads::reached;

/// Passes of a thousand waiters in one round.
const PASSES: usize = 10;

/// A side: makes tasks to wait for.
pub(crate) trait Pairs: Send + Sync + 'static {
    /// What ends a task.
    type End: Send + 'static;

    /// Makes a pending task; returns the wait for it and what ends it.
    fn pair(&self) -> (impl Future<Output = ()> + Send + 'static, Self::End);

    /// Ends a task.
    fn end(end: Self::End);

    /// Takes delivery of what has ended, off the clock.
    fn clear(&self);
}

/// Times waits one after the other; returns the median and the 99th percentile in nanoseconds.
pub(crate) async fn one_by_one<P: Pairs>(pairs: P, samples: usize) -> [f64; 2] {
    let mut times = Vec::with_capacity(samples);
    for _ in 0..samples {
        let armed = Arc::new(AtomicUsize::new(0));
        let (end, returned) = start(&pairs, &armed);
        reached(&armed, 1).await;
        times.push(time_one::<P>(end, returned).await);
        pairs.clear();
    }
    [percentile(&mut times, 0.5), percentile(&mut times, 0.99)]
}

/// Times the end of one after the other of many that are waited for; returns the median.
pub(crate) async fn singly<P: Pairs>(pairs: P, waiters: usize) -> [f64; 1] {
    let mut times = Vec::with_capacity(waiters * PASSES);
    for _ in 0..PASSES {
        for (end, returned) in start_many(&pairs, waiters).await {
            times.push(time_one::<P>(end, returned).await);
        }
        pairs.clear();
    }
    [percentile(&mut times, 0.5)]
}

/// Times the end of many at once until all waits have returned; returns the time for each.
pub(crate) async fn burst<P: Pairs>(pairs: P, waiters: usize) -> [f64; 1] {
    let mut times = Vec::with_capacity(PASSES);
    for _ in 0..PASSES {
        let (ends, returns): (Vec<_>, Vec<_>) =
            start_many(&pairs, waiters).await.into_iter().unzip();
        let start = Instant::now();
        ends.into_iter().for_each(P::end);
        let mut last = start;
        for returned in returns {
            last = last.max(returned.await.expect("the wait returns"));
        }
        times.push(ns_each(last - start, waiters));
        pairs.clear();
    }
    [percentile(&mut times, 0.5)]
}

type Returned = oneshot::Receiver<Instant>;

async fn time_one<P: Pairs>(end: P::End, returned: Returned) -> f64 {
    let start = Instant::now();
    P::end(end);
    ns_each(returned.await.expect("the wait returns") - start, 1)
}

/// Starts waits, each in a task of its own, and returns once all of them are parked.
async fn start_many<P: Pairs>(pairs: &P, count: usize) -> Vec<(P::End, Returned)> {
    let armed = Arc::new(AtomicUsize::new(0));
    let started = (0..count).map(|_| start(pairs, &armed)).collect();
    reached(&armed, count).await;
    started
}

fn start<P: Pairs>(pairs: &P, armed: &Arc<AtomicUsize>) -> (P::End, Returned) {
    let (wait, end) = pairs.pair();
    let (sender, returned) = oneshot::channel();
    let armed = armed.clone();
    tokio::spawn(async move {
        counted(wait, &armed).await;
        // Nobody listens when the driver has given up.
        let _ = sender.send(Instant::now());
    });
    (end, returned)
}

/// Counts when the future has nothing to return yet.
async fn counted(future: impl Future<Output = ()>, armed: &AtomicUsize) {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let poll = future.as_mut().poll(cx);
        if poll.is_pending() {
            armed.fetch_add(1, Ordering::Release);
        }
        poll
    })
    .await;
}
