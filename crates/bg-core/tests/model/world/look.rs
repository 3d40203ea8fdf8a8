//! Looking: lists, snapshots, outcomes, logs, ids.

use bg_core::{Finished, Kind, OutputLog, ResolveError, Scope, Snapshot};

use super::{MOST_TRACES, World, check_claim_refused, check_refused};
use crate::model::cover::Branch;
use crate::model::reference::{Ix, Refused, ScopeIx};

impl World {
    pub(super) fn list(&mut self, scope: u16) {
        if let Some((at, scope)) = self.pick_scope(scope) {
            self.check_lists(at, &scope);
        }
    }

    #[track_caller]
    pub(super) fn check_lists(&self, at: ScopeIx, scope: &Scope) {
        let mut listed = scope.snapshot();
        // A claim that outlives its scope may be listed there, as long as something runs there.
        listed.retain(|seen| !seen.status.is_terminal() || self.reference.takes(at));
        let seen: Vec<_> = listed.iter().map(|seen| (seen.id, seen.status)).collect();
        let status = |ix: Ix| (self.tasks[ix].id, self.reference.tasks[ix].status());
        let expected: Vec<_> = self.reference.list(at).map(status).collect();
        assert_eq!(seen, expected, "listed in {at:?}");
        let history = scope.history();
        let expected = self.reference.history(at);
        assert!(history.iter().map(|f| f.id).eq(expected.map(|ix| self.tasks[ix].id)));
    }

    pub(super) fn inspect(&mut self, scope: u16, task: u16) {
        let Some((at, scope, ix)) = self.pick_both(scope, task) else { return };
        let seen = scope.inspect(self.tasks[ix].id);
        let branch = match self.find(at, ix) {
            Err(refused) => {
                check_refused(refused, &seen.unwrap_err());
                [Branch::InspectNotFound, Branch::InspectForbidden]
                    [usize::from(refused == Refused::Forbidden)]
            }
            Ok(ix) => {
                self.check_snapshot(ix, &seen.unwrap());
                Branch::InspectOk
            }
        };
        self.reference.cover.hit(branch);
    }

    #[track_caller]
    pub(super) fn check_snapshot(&self, ix: Ix, seen: &Snapshot) {
        let task = &self.reference.tasks[ix];
        assert_eq!((seen.id, seen.status), (self.tasks[ix].id, task.status()));
        assert_eq!(seen.output_bytes, task.log.unwrap_or(0));
        let over = task.traces.saturating_sub(MOST_TRACES);
        let last = task.traces.min(MOST_TRACES).checked_sub(1).map(|last| last.to_string());
        let marker = format!("... ({over} more trace lines)");
        let last = if over > 0 && !task.is_live() { Some(marker) } else { last };
        assert_eq!(seen.last_trace, last);
        let reason = task.ended.as_ref().and_then(|ended| ended.how.reason());
        assert_eq!(seen.reason.as_deref(), reason);
    }

    pub(super) fn outcome(&mut self, scope: u16, task: u16) {
        let Some((at, scope, ix)) = self.pick_both(scope, task) else { return };
        let branch = match (self.find(at, ix), scope.outcome(self.tasks[ix].id)) {
            (Err(refused), outcome) => {
                check_claim_refused(refused, &outcome.unwrap_err());
                [Branch::OutcomeNotFound, Branch::OutcomeForbidden]
                    [usize::from(refused == Refused::Forbidden)]
            }
            (Ok(ix), Ok(finished)) => {
                self.check_finished(ix, &finished);
                Branch::OutcomeOk
            }
            (Ok(ix), Err(error)) => {
                assert_eq!(self.check_not_claimed(ix, &error), Branch::ClaimNotEnded);
                Branch::OutcomeNotEnded
            }
        };
        self.reference.cover.hit(branch);
    }

    #[track_caller]
    pub(super) fn check_finished(&self, ix: Ix, finished: &Finished) {
        let task = &self.reference.tasks[ix];
        let ended = task.ended.as_ref().unwrap();
        assert_eq!(finished.id, self.tasks[ix].id);
        assert!(ended.how.matches(&finished.outcome), "{:?}, {finished:?}", ended.how);
        assert_eq!(finished.steps(), task.step.unwrap_or(0));
        let marker = usize::from(task.traces > MOST_TRACES);
        assert_eq!(finished.trace().len(), task.traces.min(MOST_TRACES) + marker);
        let listed = finished.unclaimed().iter().map(|listed| (listed.id, listed.status));
        let expected = ended.unclaimed.iter().map(|&(ix, status)| (self.tasks[ix].id, status));
        assert!(listed.eq(expected), "{:?}, but {:?}", finished.unclaimed(), ended.unclaimed);
        assert_eq!(finished.log().map(OutputLog::total), task.log);
    }

    pub(super) fn log(&mut self, scope: u16, task: u16) {
        let Some((at, scope, ix)) = self.pick_both(scope, task) else { return };
        let log = scope.log(self.tasks[ix].id);
        let branch = match self.find(at, ix) {
            Err(refused) => {
                check_refused(refused, &log.unwrap_err());
                Branch::LogRefused
            }
            Ok(ix) => {
                let (log, task) = (log.unwrap(), &self.reference.tasks[ix]);
                assert_eq!(log.as_ref().map(OutputLog::total), task.log);
                let read = log.as_ref().map(|log| log.read(0, 1 << 20, None));
                let eof = read.as_ref().map(|chunk| (chunk.bytes.len() as u64, chunk.eof));
                assert_eq!(eof, task.log.map(|bytes| (bytes, !task.is_live())));
                if log.is_some() { Branch::LogOk } else { Branch::LogNone }
            }
        };
        self.reference.cover.hit(branch);
    }

    pub(super) fn resolve(&mut self, form: u16, scope: u16, task: u16) {
        let Some((at, scope, ix)) = self.pick_both(scope, task) else { return };
        let (id, number) = (self.tasks[ix].id, self.tasks[ix].id.number());
        let other = if id.kind() == Kind::TASK { Kind::AGENT } else { Kind::TASK };
        let (text, kind, branch) = match form % 5 {
            0 => (format!(" {id} "), Some(id.kind()), Branch::ResolveOk),
            1 => (number.to_string(), None, Branch::ResolveBareNumber),
            2 => (format!("{other}:{number}"), Some(other), Branch::ResolveWrongKind),
            3 => return self.resolve_malformed(&scope, &format!("task:-{number}")),
            _ => return self.resolve_malformed(&scope, &format!("unknown:{number}")),
        };
        match (self.reference.find(at, number, kind), scope.resolve(&text)) {
            (Ok(found), resolved) => assert_eq!(resolved.unwrap(), self.tasks[found].id),
            (Err(refused), Err(ResolveError::Task(error))) => {
                self.reference
                    .cover
                    .hit_if(refused == Refused::Forbidden, Branch::ResolveForbidden);
                check_refused(refused, &error);
            }
            (Err(refused), other) => panic!("{refused:?}, but {other:?}"),
        }
        self.reference.cover.hit(branch);
    }

    pub(super) fn resolve_malformed(&mut self, scope: &Scope, text: &str) {
        let error = scope.resolve(text).unwrap_err();
        assert!(matches!(error, ResolveError::Malformed(_)), "{error:?}");
        let unknown = text.starts_with("unknown");
        let branch = [Branch::ResolveMalformed, Branch::ResolveUnknownKind][usize::from(unknown)];
        self.reference.cover.hit(branch);
    }
}
