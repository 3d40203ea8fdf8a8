//! Which of the interesting branches a run has reached.

use std::fmt::Write;

macro_rules! branches {
    ($($name:ident)*) => {
        /// Something that can happen and that is worth a test; its name says what.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Branch { $($name),* }

        const ALL: &[Branch] = &[$(Branch::$name),*];
    };
}

branches! {
    Registered RegisterAfterOwnerEnded RegisterAfterStop RegisterAfterRootDropped UnknownKind
    NoRuntime
    Superseded LateOk LateErr CompleterDropped OwnerEnded Cascade Forced ForceWithoutTimers
    Listed Released Evicted RootReleased RootGone HandleKeepsRoot
    CancelRequested CancelAlreadyRequested CancelAlreadyEnded CancelNotFound CancelForbidden
    CancelAll CancelAllNothing
    Taken TakenNothing DrainedSome ClaimOk ClaimNotEnded ClaimHeld ClaimAcked ClaimNotFound
    ClaimForbidden
    Acked AckedLate AckedInGoneRoot GivenBackInPlace GivenBackLate GivenBackInGoneRoot
    ListenerClaimed ListenerWaited ListenerOver ListenerDropped
    WaitOverAtOnce WaitWoken WaitPending WaitAny WaitFirstSuccess WaitNotFound WaitForbidden
    WaitOfNothing WaitSawEvicted WaitDropped
    OutcomeOk OutcomeNotEnded OutcomeNotFound OutcomeForbidden
    InspectOk InspectNotFound InspectForbidden
    LogOk LogNone LogRefused WrittenAfterEnd TraceCapped ReportedAfterEnd TokenFired
    ResolveOk ResolveBareNumber ResolveMalformed ResolveUnknownKind ResolveWrongKind
    ResolveForbidden
    EventRead EventLagged EventNone WokenByEvent
    Closed
}

/// How often each branch was reached.
#[derive(Clone, Debug)]
pub(crate) struct Coverage([u64; ALL.len()]);

impl Default for Coverage {
    fn default() -> Self {
        Self([0; ALL.len()])
    }
}

impl Coverage {
    pub(crate) fn hit(&mut self, branch: Branch) {
        self.0[branch as usize] += 1;
    }

    pub(crate) fn hit_if(&mut self, reached: bool, branch: Branch) {
        self.0[branch as usize] += u64::from(reached);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
    }

    /// The branches that were never reached.
    pub(crate) fn missed(&self) -> Vec<Branch> {
        ALL.iter().copied().filter(|&branch| self.0[branch as usize] == 0).collect()
    }

    /// Every branch with its count, the rarest first.
    pub(crate) fn report(&self) -> String {
        let mut counts: Vec<_> = ALL.iter().map(|&b| (self.0[b as usize], b)).collect();
        counts.sort_by_key(|&(count, _)| count);
        counts.iter().fold(String::new(), |mut text, (count, branch)| {
            let _ = write!(text, "{branch:?} {count}, ");
            text
        })
    }
}
