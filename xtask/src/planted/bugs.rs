//! The planted bugs: what each breaks, and the texts that make it.

/// A bug that the tests have to find.
pub(super) struct Bug {
    pub(super) name: &'static str,
    /// What is wrong with it, in one line.
    pub(super) breaks: &'static str,
    pub(super) edits: &'static [Edit],
}

/// Replaces a text that occurs exactly once in its file.
pub(super) struct Edit {
    pub(super) file: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
}

const SHARED: &str = "crates/bg-core/src/shared.rs";
const CELL: &str = "crates/bg-core/src/cell.rs";
const WAIT_CELL: &str = "crates/bg-core/src/wait_cell.rs";
const MACHINE: &str = "crates/bg-core/src/machine/mod.rs";
const LISTS: &str = "crates/bg-core/src/machine/lists.rs";
const FINISH: &str = "crates/bg-core/src/machine/finish.rs";
const SCOPE: &str = "crates/bg-core/src/machine/scope.rs";
const STOP: &str = "crates/bg-core/src/machine/stop.rs";
const WAITS: &str = "crates/bg-core/src/machine/wait.rs";

pub(super) const BUGS: &[Bug] = &[
    Bug {
        name: "a-wait-that-changes",
        breaks: "a wait takes what it observes: the outcome counts as delivered",
        edits: &[Edit {
            file: WAITS,
            from: "} else if let Some(end) = record.ended() {",
            to: "} else if let Some(end) = record.ended_mut() {
                end.delivery = super::Delivery::Acked;",
        }],
    },
    Bug {
        name: "a-lost-wake",
        breaks: "a wait looks and leaves its waker in two steps: an end between them wakes nobody",
        edits: &[Edit {
            file: WAIT_CELL,
            from: "let told = self.told.load(Ordering::Acquire);
        let spare",
            to: "let told = false;
        let spare",
        }],
    },
    Bug {
        name: "an-end-left-behind",
        breaks: "an end waits until somebody looks, although somebody waits to be told of it",
        edits: &[Edit {
            file: MACHINE,
            from: "
            || self.interest.is_shared()",
            to: "",
        }],
    },
    Bug {
        name: "an-end-behind-the-lock",
        breaks: "who holds the lock does not look for what was posted meanwhile",
        edits: &[Edit {
            file: SHARED,
            from: "            if !self.has_posts() {
                break;",
            to: "            if true {
                break;",
        }],
    },
    Bug {
        name: "an-empty-inbox-that-is-not",
        breaks: "an inbox does not count an end that nobody has applied yet",
        edits: &[Edit {
            file: CELL,
            from: "
            && !self.shared.has_ends()",
            to: "",
        }],
    },
    Bug {
        name: "a-second-end",
        breaks: "a completion after the end replaces the outcome",
        edits: &[Edit {
            file: FINISH,
            from: "            Err(finished) => return self.supersede(finished, fx),
",
            to: "            Err(finished) => {
                if let Some(ended) = self.record_mut(key).and_then(super::Record::ended_mut) {
                    Arc::make_mut(&mut ended.finished).outcome = finished.outcome.clone();
                }
                return self.supersede(finished, fx);
            }
",
        }],
    },
    Bug {
        name: "status-before-outcome",
        breaks: "a task that is being stopped shows as cancelled before it has ended",
        edits: &[Edit {
            file: LISTS,
            from: "status: live.status(),",
            to: "status: match live.stop {
                        Some(_) => crate::status::Status::Cancelled,
                        None => live.status(),
                    },",
        }],
    },
    Bug {
        name: "an-arc-cycle",
        breaks: "the machine holds what holds the machine: nothing is ever freed",
        edits: &[
            Edit {
                file: MACHINE,
                from: "pub(crate) struct Machine {",
                to: "pub(crate) struct Machine {
    pub(crate) cycle: Option<crate::sync::Arc<crate::shared::Shared>>,",
            },
            Edit { file: MACHINE, from: "next_root: 1,", to: "next_root: 1, cycle: None," },
            Edit {
                file: SHARED,
                from: "        Arc::new(Self {
            machine: Mutex::new(Box::new(Machine::new(policy))),",
                to: "        let shared = Arc::new(Self {
            machine: Mutex::new(Box::new(Machine::new(policy))),",
            },
            Edit {
                file: SHARED,
                from: "            runtime: Mutex::new(None),
        })",
                to: "            runtime: Mutex::new(None),
        });
        shared.machine.lock().cycle = Some(shared.clone());
        shared",
            },
            Edit {
                file: STOP,
                from: "for root in std::mem::take(&mut self.roots).into_values() {",
                to: "for root in Vec::<Root>::new() {",
            },
        ],
    },
    Bug {
        name: "an-unclaimed-outcome-evicted",
        breaks: "an inbox with more than eight outcomes lets go of the oldest one",
        edits: &[Edit {
            file: SCOPE,
            from: "            self.ready.push_back((seq, number));
",
            to: "            self.ready.push_back((seq, number));
            if self.ready.len() > 8 {
                self.ready.pop_front();
            }
",
        }],
    },
    Bug {
        name: "drain-by-hash",
        breaks: "an inbox gives its outcomes in an order that has nothing to do with completion",
        edits: &[Edit {
            file: SCOPE,
            from: "let (_, number) = self.ready.pop_front()?;",
            to: "let hash = |at: &usize| self.ready[*at].0.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let at = (0..self.ready.len()).min_by_key(hash)?;
        let (_, number) = self.ready.remove(at)?;",
        }],
    },
    Bug {
        name: "no-owner-check",
        breaks: "a scope reaches every task of its root",
        edits: &[Edit {
            file: MACHINE,
            from: "if record.owner != scope.owner {",
            to: "if record.owner != scope.owner && task.number() == u64::MAX {",
        }],
    },
];
