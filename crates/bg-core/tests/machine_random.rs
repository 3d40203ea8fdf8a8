//! Random operations on the registry and on a reference, in volume.
//!
//! `BG_PROP_COUNT` operations (a small number by default, 10 million in `cargo xtask prop`) from
//! the seed `BG_PROP_SEED`, with a fresh registry every few hundred of them. A failure names the one
//! command that repeats it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::panic::{catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, thread};

use model::cover::Coverage;
use model::{Op, Setup, World};

mod model;

/// Operations on one registry.
const ROUND: u64 = 512;

/// From here on every branch has to be reached.
const ENOUGH: u64 = 300_000;

/// Reads a number that the caller of the tests may set.
fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The generator of the prng literature called splitmix64: every seed is as good as any other.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn op(&mut self) -> Op {
        let bits = self.next();
        // The cut to 16 bits is what is wanted.
        Op::of([48, 32, 16, 0].map(|shift| u16::try_from(bits >> shift & 0xFFFF).unwrap()))
    }
}

/// Runs operations on a fresh registry.
fn run(setup: Setup, ops: &[Op]) -> Coverage {
    let mut world = World::new(setup);
    for &op in ops {
        world.apply(op);
    }
    world.finish()
}

/// One registry with operations of one seed; on failure says how to repeat it.
fn round(seed: u64, count: u64) -> Coverage {
    let mut random = Random(seed);
    let setup = Setup::of(random.next());
    let ops: Vec<Op> = (0..count).map(|_| random.op()).collect();
    catch_unwind(|| run(setup, &ops)).unwrap_or_else(|panic| {
        eprintln!("repeat it with: cargo xtask prop --seed {seed} --count {count}");
        eprintln!("{setup:?}, and no operation can be left out of\n{:#?}", shrink(setup, ops));
        resume_unwind(panic)
    })
}

/// Leaves out whatever is not needed for the failure: halves, quarters, ... single operations.
fn shrink(setup: Setup, mut ops: Vec<Op>) -> Vec<Op> {
    std::panic::set_hook(Box::new(|_| {}));
    let mut piece = ops.len();
    while piece > 0 {
        let mut from = 0;
        while from < ops.len() {
            let until = ops.len().min(from + piece);
            let mut fewer = ops.clone();
            fewer.drain(from..until);
            if catch_unwind(|| run(setup, &fewer)).is_err() {
                ops = fewer;
            } else {
                from = until;
            }
        }
        piece /= 2;
    }
    drop(std::panic::take_hook());
    ops
}

/// Every `step`-th round from `first` on.
fn rounds(seed: u64, count: u64, first: u64, step: usize, failed: &AtomicBool) -> Coverage {
    let mut cover = Coverage::default();
    for round_number in (first..count.div_ceil(ROUND)).step_by(step) {
        if failed.load(Ordering::Relaxed) {
            break;
        }
        let ops = ROUND.min(count - round_number * ROUND);
        let seed = seed.wrapping_add(round_number);
        match catch_unwind(|| round(seed, ops)) {
            Ok(reached) => cover.add(&reached),
            Err(panic) => {
                failed.store(true, Ordering::Relaxed);
                resume_unwind(panic);
            }
        }
    }
    cover
}

#[test]
fn the_registry_and_the_reference_agree_on_everything() {
    let (count, seed) = (number("BG_PROP_COUNT", 300_000), number("BG_PROP_SEED", 1));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let failed = AtomicBool::new(false);
    let cover = thread::scope(|scope| {
        let failed = &failed;
        let started: Vec<_> = (0..threads as u64)
            .map(|first| scope.spawn(move || rounds(seed, count, first, threads, failed)))
            .collect();
        started.into_iter().fold(Coverage::default(), |mut sum, thread| {
            sum.add(&thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            sum
        })
    });
    println!("branches: {}", cover.report());
    println!("model random driver: {count} operations");
    assert!(count < ENOUGH || cover.missed().is_empty(), "never reached: {:?}", cover.missed());
}
