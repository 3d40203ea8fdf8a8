//! One line of the report.

use serde::Serialize;

use crate::samples::{median, significant};
use crate::sides::Figures;

/// How far above its target a median may lie: shared machines are noisy.
const TOLERANCE: f64 = 1.1;

/// What a line is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) workload: &'static str,
    /// How many tasks, waiters, outcomes kept, or bytes there are.
    pub(crate) n: usize,
    pub(crate) unit: &'static str,
    pub(crate) limit_is: &'static str,
    pub(crate) target: Target,
}

/// What the line has to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// Ours divided by the limit is at most this.
    Ratio(f64),
    /// Ours is at most this, in the unit of the line.
    Ours(f64),
}

/// A line as it is printed; absent fields are those of a peer that did not run.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    workload: &'static str,
    n: usize,
    unit: &'static str,
    ours: f64,
    limit: f64,
    limit_is: &'static str,
    ratio: f64,
    min: f64,
    max: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_is: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_ratio: Option<f64>,
    target: f64,
    /// Only where the target is not one for the ratio.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_of: Option<&'static str>,
    pub(crate) ok: bool,
}

impl Line {
    /// Sums up the rounds: the medians, and the median, least and largest of the paired ratios.
    pub(crate) fn new(case: Case, figures: &Figures, peer_is: Option<&'static str>) -> Self {
        let ratios = paired(&figures.ours, &figures.limit);
        let (ours, ratio) = (median(&figures.ours), median(&ratios));
        let peer_is = peer_is.filter(|_| !figures.peer.is_empty());
        let (target, target_of, reached) = match case.target {
            Target::Ratio(target) => (target, None, ratio),
            Target::Ours(target) => (target, Some("ours"), ours),
        };
        Self {
            workload: case.workload,
            n: case.n,
            unit: case.unit,
            ours: significant(ours, 4),
            limit: significant(median(&figures.limit), 4),
            limit_is: case.limit_is,
            ratio: significant(ratio, 3),
            min: significant(ratios.iter().copied().fold(f64::NAN, f64::min), 3),
            max: significant(ratios.iter().copied().fold(f64::NAN, f64::max), 3),
            peer: peer_is.map(|_| significant(median(&figures.peer), 4)),
            peer_is,
            peer_ratio: peer_is
                .map(|_| significant(median(&paired(&figures.peer, &figures.ours)), 3)),
            target,
            target_of,
            ok: reached <= target * TOLERANCE,
        }
    }
}

/// Divides each figure by the one of the same round, as far as there are both.
fn paired(above: &[f64], below: &[f64]) -> Vec<f64> {
    above.iter().zip(below).map(|(above, below)| above / below).collect()
}
