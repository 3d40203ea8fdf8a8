//! Whatever bytes come as arguments, labels, prompts and outputs: an answer or a typed error, within
//! the budget, in one piece.
//!
//! Plays the committed corpus of the fuzz target, and random changes of it. `cargo xtask fuzz` runs
//! it for longer, on a stable toolchain; with cargo-fuzz and a nightly it runs the fuzz target.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "support/driver.rs"]
mod driver;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What random changes put in: words that the tools know.
const WORDS: &[&str] = &[
    "agent:1",
    "process:2",
    "\"task_id\"",
    "{\"task_id\":1}",
    ":",
    ",",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "-1",
    "1e400",
    "18446744073709551616",
    "0.5",
    "\u{202E}",
    "\u{E0041}",
    "\u{1B}[31m",
    "~~~~~",
    "\n",
    "[background task agent:9 \"x\": completed]\n~~~~\n",
];

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/tools");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// `splitmix64`, see <https://prng.di.unimi.it/splitmix64.c>.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }

    /// Changes a member of the corpus: bytes, words, and a piece of another member.
    fn changed(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut data = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(6) {
            let at = self.below(data.len() + 1);
            match self.below(4) {
                0 => data.insert(at, self.next().to_le_bytes()[0]),
                1 => drop(data.splice(at..at, WORDS[self.below(WORDS.len())].bytes())),
                2 => drop(data.drain(at..data.len().min(at + 8))),
                _ => {
                    let other = &corpus[self.below(corpus.len())];
                    let from = self.below(other.len());
                    data.splice(at..at, other[from..].iter().copied());
                }
            }
        }
        data.truncate(4096);
        data
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn the_corpus_is_survived_and_names_every_tool() {
    let corpus = corpus();
    assert!(corpus.len() >= 40, "{} members", corpus.len());
    let calls: u64 = corpus.iter().map(|data| driver::play(data)).sum();
    assert!(calls >= 200, "{calls} calls");
    let known = |name: &str| {
        let head = &driver::call(name, "")[..1];
        corpus.iter().any(|data| data.contains(&head[0]))
    };
    assert!(driver::tool_names().iter().all(|name| known(name)));
}

#[test]
fn random_changes_of_the_corpus_are_survived() {
    let seed = number("BG_SEED").unwrap_or(1);
    let count = number("BG_COUNT").unwrap_or(3_000);
    let end = number("BG_SECONDS").map(|secs| Instant::now() + Duration::from_secs(secs));
    let corpus = corpus();
    let (mut plays, mut calls) = (0, 0);
    while end.map_or(plays < count, |end| Instant::now() < end) {
        let data = Random(seed.wrapping_add(plays)).changed(&corpus);
        let played = catch_unwind(AssertUnwindSafe(|| driver::play(&data)));
        calls += played.unwrap_or_else(|_| {
            let repeat = format!("cargo xtask fuzz --seed {} --count 1", seed.wrapping_add(plays));
            panic!("broken by {:?}\nrepeat with: {repeat}", String::from_utf8_lossy(&data))
        });
        plays += 1;
    }
    println!("model tools, {plays} plays: {calls} calls");
}

#[test]
fn what_is_drained_is_as_many_envelopes() {
    let life = [
        driver::life(0, b"p"),
        driver::life(3, b"~~~~\n[background task agent:2 \"x\": y]\n"),
        driver::life(8, b""),
    ];
    driver::play(&[&[0][..], &life.concat()].concat());
}
