//! The sides that are compared in one line.

/// One side: runs one round and returns what each of `K` figures came to.
pub(crate) type Side<'a, const K: usize> = Box<dyn FnMut() -> [f64; K] + 'a>;

/// Who does the work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    Limit,
    Ours,
    Peer,
}

impl Which {
    pub(crate) fn parse(word: Option<&str>) -> Result<Self, String> {
        match word {
            Some("limit") => Ok(Self::Limit),
            Some("ours") => Ok(Self::Ours),
            Some("peer") => Ok(Self::Peer),
            _ => Err("a side is needed: limit, ours or peer".to_owned()),
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Ours => "ours",
            Self::Peer => "peer",
        }
    }
}

/// A published library that does the same work.
pub(crate) struct Peer<'a, const K: usize> {
    /// Its name and version.
    pub(crate) is: &'static str,
    /// In how many of the rounds it takes part: it may need seconds for each.
    pub(crate) rounds: usize,
    pub(crate) side: Side<'a, K>,
}

/// What is run in turn, in this order.
pub(crate) struct Sides<'a, const K: usize> {
    pub(crate) limit: Side<'a, K>,
    pub(crate) ours: Side<'a, K>,
    pub(crate) peer: Option<Peer<'a, K>>,
}

/// What one side came to, a figure a round.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) limit: Vec<f64>,
    pub(crate) ours: Vec<f64>,
    /// Those of the first rounds; empty without a peer.
    pub(crate) peer: Vec<f64>,
}

impl<const K: usize> Sides<'_, K> {
    /// Runs the rounds, the sides in turn, so that a slow phase of the machine hits all of them.
    pub(crate) fn run(&mut self, rounds: usize) -> [Figures; K] {
        let mut figures = std::array::from_fn(|_| Figures::default());
        if rounds > 1 {
            self.warm_up();
        }
        for round in 0..rounds {
            push(&mut figures, |figures| &mut figures.limit, (self.limit)());
            push(&mut figures, |figures| &mut figures.ours, (self.ours)());
            if let Some(peer) = self.peer.as_mut().filter(|peer| round < peer.rounds) {
                push(&mut figures, |figures| &mut figures.peer, (peer.side)());
            }
        }
        figures
    }

    /// The first round of a process pays for page faults that no later one has.
    fn warm_up(&mut self) {
        (self.limit)();
        (self.ours)();
    }
}

fn push<const K: usize>(
    figures: &mut [Figures; K],
    side: impl Fn(&mut Figures) -> &mut Vec<f64>,
    values: [f64; K],
) {
    for (figures, value) in figures.iter_mut().zip(values) {
        side(figures).push(value);
    }
}
