//! `truncate`: cut a text of 10 MB to 2,000 bytes without splitting a grapheme.

use crate::bench::{Bench, Cost};
use crate::clock::ns_per_call;
use crate::line::{Case, Target};
use crate::ours;
use crate::peers;
use crate::sides::Sides;

/// Size of the text in bytes.
const SIZE: usize = 10_000_000;

/// Size that it is cut to.
pub(crate) const MAX_BYTES: usize = 2_000;

const CALLS: usize = 500_000;

/// Prose with an accent in one and in two characters, wide characters, and a joined emoji.
const SENTENCE: &str = "The caf\u{e9} in the old town opens at seven; the re\u{301}sum\u{e9} \
    \u{6f22}\u{5b57} says so, and the \u{1f469}\u{200d}\u{1f680} agrees with every word of it. ";

pub(crate) fn run(bench: &Bench) {
    let text = SENTENCE.repeat(SIZE / SENTENCE.len() + 1);
    let (mut starts, mut same_starts) = (starts(), starts());
    let sides = Sides {
        limit: Box::new(|| [ns_per_call(CALLS, || limit(&text[starts.next()..], MAX_BYTES))]),
        ours: Box::new(|| {
            [ns_per_call(CALLS, || ours::truncate(&text[same_starts.next()..], MAX_BYTES))]
        }),
        peer: peers::truncate(bench, &text),
    };
    bench.compare(Cost::Cheap, [case()], sides);
}

fn case() -> Case {
    Case {
        workload: "truncate",
        n: SIZE,
        unit: "ns",
        limit_is: "is_char_boundary + copy",
        target: Target::Ratio(2.0),
    }
}

fn limit(text: &str, max_bytes: usize) -> String {
    let mut end = max_bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Where in the sentence the text begins: each character in turn, so that the cut falls
/// everywhere.
fn starts() -> Starts {
    Starts { indices: SENTENCE.char_indices().map(|(index, _)| index).collect(), at: 0 }
}

struct Starts {
    indices: Vec<usize>,
    at: usize,
}

impl Starts {
    fn next(&mut self) -> usize {
        self.at = (self.at + 1) % self.indices.len();
        self.indices[self.at]
    }
}
