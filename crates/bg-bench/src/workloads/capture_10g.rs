//! `capture_10g`: ten gigabytes through one process leave the host's memory where it is. Part of a
//! full run only.

use crate::bench::{Bench, Cost};
use crate::sides::{Side, Sides, Which};
use crate::workloads::capture::{Shape, in_children, rss_case};

const BYTES: usize = 10_000_000_000;

pub(crate) fn run(bench: &Bench) {
    if bench.quick {
        eprintln!("bg-bench: `capture_10g` is left out: it is part of a full run only");
        return;
    }
    let sides = Sides { limit: rss(Which::Limit), ours: rss(Which::Ours), peer: None };
    bench.compare(Cost::Once, [rss_case("capture_10g", BYTES)], sides);
}

fn rss(side: Which) -> Side<'static, 1> {
    let mut time_and_rss = in_children(side, Shape::Lines, BYTES);
    Box::new(move || {
        let [_, rss] = time_and_rss();
        [rss]
    })
}
