//! Roots and tasks: how they begin and end, and what they report.

use std::time::Duration;

use bg_core::{CancelOutcome, Failure, Kind, Output, SpawnError, Stream, Task};

use super::{
    GRACE, Handles, MOST_ROOTS, MOST_TASKS, MOST_TRACES, MOST_WAITS, World, check_refused,
};
use crate::model::cover::Branch;
use crate::model::reference::{End, Ix, Refused, ScopeIx, Stopped, Why};

#[track_caller]
fn check_stopped(expected: Stopped, got: CancelOutcome) -> Branch {
    match expected {
        Stopped::Requested => {
            assert_eq!(got, CancelOutcome::Requested);
            Branch::CancelRequested
        }
        Stopped::AlreadyRequested => {
            assert_eq!(got, CancelOutcome::AlreadyRequested);
            Branch::CancelAlreadyRequested
        }
        Stopped::AlreadyEnded(status) => {
            assert_eq!(got, CancelOutcome::AlreadyEnded(status));
            Branch::CancelAlreadyEnded
        }
    }
}

impl World {
    pub(super) fn open_root(&mut self) {
        let Some(registry) = &self.registry else { return };
        if self.roots.len() < MOST_ROOTS {
            self.roots.push(Some(registry.root_scope()));
            self.reference.open_root();
        }
    }

    pub(super) fn drop_root(&mut self, by: usize) {
        let root = by / 2 % self.roots.len();
        // One root stays, so that there is something to work with.
        if root > 0 && self.roots[root].take().is_some() {
            self.reference.drop_handle(root);
            if by.is_multiple_of(2) {
                self.drop_what_keeps(root);
            }
        }
    }

    /// Drops everything that holds a clone of a root's own scope, and ends what runs there.
    pub(super) fn drop_what_keeps(&mut self, root: usize) {
        let at = (root, None);
        while let Some(which) = self.listeners.iter().position(|listener| listener.scope == at) {
            self.drop_listener(which);
        }
        while let Some(which) = self.claims.iter().position(|claim| claim.scope == at) {
            self.end_claim(u16::try_from(which).unwrap(), false);
        }
        for slot in 0..MOST_WAITS {
            if self.waits[slot].as_ref().is_some_and(|waiting| waiting.scope == at) {
                self.drop_wait(slot);
            }
        }
        for ix in (0..self.tasks.len()).rev() {
            if self.reference.tasks[ix].root == root {
                self.end_task(ix, End::Drop);
            }
        }
    }

    pub(super) fn register(&mut self, scope: u16, kind: u16) {
        let Some((at, scope)) = self.pick_scope(scope) else { return };
        if self.tasks.len() == MOST_TASKS {
            return;
        }
        let kind = if kind.is_multiple_of(2) { Kind::TASK } else { Kind::AGENT };
        let registered = scope.register(Task::of_kind(kind, "", "").grace(GRACE));
        self.observe();
        let Some(ix) = self.reference.register(at, kind) else {
            assert_eq!(registered.unwrap_err(), SpawnError::Closed);
            return self.cover_refused(at);
        };
        let (id, completer) = registered.unwrap();
        let task = &self.reference.tasks[ix];
        assert_eq!((id.number(), id.kind()), (task.number, kind));
        assert_eq!(ix, self.tasks.len());
        let context = completer.context().clone();
        self.tasks.push(Handles { id, context, completer: Some(completer), token: None });
        self.reference.cover.hit(Branch::Registered);
    }

    pub(super) fn cover_refused(&mut self, (root, owner): ScopeIx) {
        let live = owner.map(|owner| self.reference.tasks[owner].is_live());
        self.reference.cover.hit(match live {
            Some(true) => Branch::RegisterAfterStop,
            _ => Branch::RegisterAfterOwnerEnded,
        });
        let dropped = self.reference.roots[root].handles == 0;
        self.reference.cover.hit_if(dropped, Branch::RegisterAfterRootDropped);
    }

    pub(super) fn register_unknown(&mut self, scope: u16) {
        const UNKNOWN: Kind = Kind::new("unknown");
        let Some((at, scope)) = self.pick_scope(scope) else { return };
        let error = scope.register(Task::of_kind(UNKNOWN, "", "")).unwrap_err();
        if error == SpawnError::UnknownKind(UNKNOWN) {
            assert!(self.reference.takes(at));
            self.reference.cover.hit(Branch::UnknownKind);
        } else {
            assert_eq!(error, SpawnError::Closed);
        }
        if self.runtime.is_none() {
            let error = scope.spawn(Task::new("", ""), |_| async { Ok(Output::default()) });
            assert_eq!(error, Err(SpawnError::NoRuntime));
            self.reference.cover.hit(Branch::NoRuntime);
        }
    }

    pub(super) fn complete(&mut self, task: u16, end: End) {
        if let Some(ix) = self.pick_task(task) {
            self.end_task(ix, end);
        }
    }

    pub(super) fn end_task(&mut self, ix: Ix, end: End) {
        let at = (self.reference.tasks[ix].root, Some(ix));
        if !self.is_comparable(1 + self.reference.below(at).len()) {
            return;
        }
        let Some(completer) = self.tasks[ix].completer.take() else { return };
        match end {
            End::Ok(mark) => {
                let mut output = Output::default();
                output.usage_mut().requests = mark;
                completer.complete(Ok(output));
            }
            End::Err => completer.complete(Err(Failure::new("failed"))),
            End::Drop => drop(completer),
        }
        self.observe();
        self.reference.complete(ix, end);
    }

    pub(super) fn cancel(&mut self, scope: u16, task: u16) {
        const WORDS: &str = "stop";
        let Some((at, scope, ix)) = self.pick_both(scope, task) else { return };
        // In another root the same number means another task.
        let found = self.find(at, ix);
        let below = found.map(|found| self.reference.below((at.0, Some(found))).len());
        if !self.is_comparable(1 + below.unwrap_or(0)) {
            return;
        }
        let answer = scope.cancel(self.tasks[ix].id, WORDS);
        self.observe();
        let branch = match found {
            Err(refused) => {
                check_refused(refused, &answer.unwrap_err());
                [Branch::CancelNotFound, Branch::CancelForbidden]
                    [usize::from(refused == Refused::Forbidden)]
            }
            Ok(ix) => {
                let stopped = self.reference.cancel(ix, Why::Requested(WORDS));
                check_stopped(stopped, answer.unwrap())
            }
        };
        self.reference.cover.hit(branch);
    }

    pub(super) fn cancel_all(&mut self, scope: u16) {
        const WORDS: &str = "stop all";
        let Some((at, scope)) = self.pick_scope(scope) else { return };
        if !self.is_comparable(self.reference.below(at).len()) {
            return;
        }
        let stopped = scope.cancel_all(WORDS);
        self.observe();
        assert_eq!(stopped, self.reference.cancel_all(at, Why::Requested(WORDS)));
        let branch = if stopped > 0 { Branch::CancelAll } else { Branch::CancelAllNothing };
        self.reference.cover.hit(branch);
    }

    /// Time passes, longer than any grace.
    pub(super) fn tick(&mut self) {
        let (Some(runtime), stopped) = (&self.runtime, self.reference.stopped()) else { return };
        if !self.is_comparable(stopped.len()) {
            return;
        }
        let is_over = |ix: &Ix| {
            let owner = self.reference.tasks[*ix].scope();
            // Where nobody has a handle, a fired token of a task below tells nothing either: such
            // tasks are given the time that all others take.
            let Some((_, scope)) = self.handle(owner) else { return true };
            scope.inspect(self.tasks[*ix].id).map_or(true, |seen| seen.status.is_terminal())
        };
        runtime.block_on(async {
            tokio::time::advance(GRACE + Duration::from_secs(1)).await;
            for turn in 0.. {
                tokio::task::yield_now().await;
                if turn > 4 && stopped.iter().all(is_over) {
                    break;
                }
                assert!(turn < 10_000, "not over: {stopped:?}");
            }
        });
        self.observe();
        self.reference.force_all();
    }

    pub(super) fn step(&mut self, task: u16, step: u32) {
        let Some(ix) = self.pick_task(task) else { return };
        self.tasks[ix].context.step(step);
        self.observe();
        self.reference.step(ix, step);
    }

    pub(super) fn trace(&mut self, task: u16, lines: usize) {
        let Some(ix) = self.pick_task(task) else { return };
        for _ in 0..lines {
            let line = self.reference.tasks[ix].traces.to_string();
            self.tasks[ix].context.trace(line);
            self.reference.trace(ix);
        }
        self.observe();
        let capped = self.reference.tasks[ix].traces > MOST_TRACES;
        self.reference.cover.hit_if(capped, Branch::TraceCapped);
    }

    pub(super) fn write(&mut self, task: u16, bytes: usize) {
        let Some(ix) = self.pick_task(task) else { return };
        // A log that grows may be an event, but not at each write.
        if self.recorder.is_none() && self.ring.is_heard() {
            return;
        }
        self.tasks[ix].context.log().write(Stream::Stdout, &[b'x'; 64][..bytes]);
        self.observe();
        let task = &mut self.reference.tasks[ix];
        if task.is_live() {
            *task.log.get_or_insert(0) += bytes as u64;
        } else {
            self.reference.cover.hit(Branch::WrittenAfterEnd);
        }
    }

    pub(super) fn token(&mut self, task: u16) {
        let Some(ix) = self.pick_task(task) else { return };
        let token = self.tasks[ix].context.token();
        let task = &mut self.reference.tasks[ix];
        assert_eq!(token.is_cancelled(), task.stop.is_some() || !task.is_live());
        self.reference.cover.hit_if(token.is_cancelled(), Branch::TokenFired);
        if task.is_live() {
            task.listens = true;
            self.tasks[ix].token = Some(token);
        }
    }
}
