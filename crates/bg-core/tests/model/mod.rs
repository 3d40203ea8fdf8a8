//! One sequence of operations, run on the real registry and on a reference that is too simple to be
//! wrong; everything visible is compared.
//!
//! An [`Op`] is valid in every state: it names tasks, scopes and handles by numbers that are taken
//! modulo what there is, so that any sequence can be cut anywhere. On purpose the ids are often
//! stale, of another root or of another scope.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test may panic")]

pub(crate) mod cover;
mod reference;
mod told;
mod world;

pub(crate) use world::{Setup, World};

/// Something that a host or a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    OpenRoot,
    DropRoot { root: u16 },
    Register { scope: u16, kind: u16 },
    RegisterUnknownKind { scope: u16 },
    Step { task: u16, step: u16 },
    Trace { task: u16 },
    TraceMany { task: u16 },
    Write { task: u16, bytes: u16 },
    Token { task: u16 },
    Complete { task: u16 },
    Fail { task: u16 },
    DropCompleter { task: u16 },
    Cancel { scope: u16, task: u16 },
    CancelAll { scope: u16 },
    Tick,
    Take { scope: u16 },
    Drain { scope: u16, count: u16 },
    Claim { scope: u16, task: u16 },
    Ack { claim: u16 },
    GiveBack { claim: u16 },
    Listen { scope: u16 },
    PollListener { listener: u16 },
    DropListener { listener: u16 },
    Wait { mode: u16, scope: u16, task: u16 },
    PollWait { wait: u16 },
    DropWait { wait: u16 },
    List { scope: u16 },
    Inspect { scope: u16, task: u16 },
    Outcome { scope: u16, task: u16 },
    Log { scope: u16, task: u16 },
    Resolve { form: u16, scope: u16, task: u16 },
    Subscribe,
    Read { subscriber: u16 },
    Unsubscribe { subscriber: u16 },
}

/// How often an operation comes, out of the sum of all, and how it is made of three numbers.
type Weighted = (u16, fn([u16; 3]) -> Op);

const WEIGHTS: &[Weighted] = &[
    (5, |_| Op::OpenRoot),
    (6, |[root, ..]| Op::DropRoot { root }),
    (90, |[scope, kind, _]| Op::Register { scope, kind }),
    (2, |[scope, ..]| Op::RegisterUnknownKind { scope }),
    (20, |[task, step, _]| Op::Step { task, step: step % 4 }),
    (10, |[task, ..]| Op::Trace { task }),
    (1, |[task, ..]| Op::TraceMany { task }),
    (10, |[task, bytes, _]| Op::Write { task, bytes: bytes % 64 }),
    (30, |[task, ..]| Op::Token { task }),
    (30, |[task, ..]| Op::Complete { task }),
    (16, |[task, ..]| Op::Fail { task }),
    (8, |[task, ..]| Op::DropCompleter { task }),
    (16, |[scope, task, _]| Op::Cancel { scope, task }),
    (2, |[scope, ..]| Op::CancelAll { scope }),
    (4, |_| Op::Tick),
    (20, |[scope, ..]| Op::Take { scope }),
    (5, |[scope, count, _]| Op::Drain { scope, count: count % 8 }),
    (40, |[scope, task, _]| Op::Claim { scope, task }),
    (14, |[claim, ..]| Op::Ack { claim }),
    (10, |[claim, ..]| Op::GiveBack { claim }),
    (10, |[scope, ..]| Op::Listen { scope }),
    (15, |[listener, ..]| Op::PollListener { listener }),
    (4, |[listener, ..]| Op::DropListener { listener }),
    (20, |[mode, scope, task]| Op::Wait { mode, scope, task }),
    (30, |[wait, ..]| Op::PollWait { wait }),
    (6, |[wait, ..]| Op::DropWait { wait }),
    (4, |[scope, ..]| Op::List { scope }),
    (20, |[scope, task, _]| Op::Inspect { scope, task }),
    (20, |[scope, task, _]| Op::Outcome { scope, task }),
    (4, |[scope, task, _]| Op::Log { scope, task }),
    (4, |[form, scope, task]| Op::Resolve { form, scope, task }),
    (3, |_| Op::Subscribe),
    (20, |[subscriber, ..]| Op::Read { subscriber }),
    (2, |[subscriber, ..]| Op::Unsubscribe { subscriber }),
];

impl Op {
    /// Makes an operation of any four numbers; the first says which one.
    pub(crate) fn of([which, first, second, third]: [u16; 4]) -> Self {
        let sum: u16 = WEIGHTS.iter().map(|(weight, _)| weight).sum();
        let mut left = which % sum;
        for (weight, make) in WEIGHTS {
            if left < *weight {
                return make([first, second, third]);
            }
            left -= weight;
        }
        Op::Tick
    }
}
