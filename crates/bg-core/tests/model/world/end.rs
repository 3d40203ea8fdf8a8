//! Comparing everything, and the end of it all.

use std::sync::Arc;
use std::task::Poll;

use bg_core::{ClaimError, SpawnError, Task, TaskError};
use tokio_util::sync::CancellationToken;

use super::{World, check_refused, poll};
use crate::model::cover::{Branch, Coverage};
use crate::model::reference::End;

impl World {
    /// Compares everything that can be seen.
    #[track_caller]
    pub(crate) fn compare(&self) {
        for root in 0..self.roots.len() {
            self.handle((root, None)).iter().for_each(|(at, scope)| self.check_lists(*at, scope));
        }
        for (ix, handles) in self.tasks.iter().enumerate() {
            let task = &self.reference.tasks[ix];
            let (at, below) = self.handle((task.root, Some(ix))).unwrap();
            self.check_lists(at, &below);
            let fired = handles.token.as_ref().map(CancellationToken::is_cancelled);
            assert_eq!(fired.unwrap_or(false), fired.is_some() && task.stop.is_some());
            let Some((at, scope)) = self.handle(task.scope()) else { continue };
            match (self.find(at, ix), scope.inspect(handles.id)) {
                (Ok(ix), seen) => self.check_snapshot(ix, &seen.unwrap()),
                (Err(refused), seen) => check_refused(refused, &seen.unwrap_err()),
            }
        }
    }

    /// The quiet phase: everything is ended, drained in order, and then the registry is dropped.
    pub(crate) fn finish(mut self) -> Coverage {
        while !self.claims.is_empty() {
            self.end_claim(0, self.applied.is_multiple_of(2));
        }
        for ix in (0..self.tasks.len()).rev() {
            self.end_task(ix, End::Drop);
        }
        self.agree_on_events();
        self.check_wakes();
        self.compare();
        for root in 0..self.roots.len() {
            let Some((at, scope)) = self.handle((root, None)) else { continue };
            let drained: Vec<_> = scope.inbox().drain().map(|finished| finished.id).collect();
            let expected = self.reference.inbox(at);
            let expected: Vec<_> = expected.into_iter().map(|ix| self.tasks[ix].id).collect();
            assert_eq!(drained, expected);
            assert!(scope.snapshot().is_empty());
        }
        self.check_closed();
        self.reference.cover
    }

    /// After the registry every call says that it is closed, and everybody was woken.
    pub(super) fn check_closed(&mut self) {
        let root = self.roots[0].as_ref().unwrap();
        let outcomes: Vec<_> = root.history().iter().map(Arc::downgrade).collect();
        self.registry = None;
        for waiting in self.waits.iter_mut().flatten() {
            assert!(waiting.woken.is_set());
            let polled = poll(&mut waiting.wait, &waiting.woken);
            assert!(matches!(polled, Poll::Ready(Err(TaskError::Closed))), "{polled:?}");
        }
        for listener in &mut self.listeners {
            assert!(listener.woken.is_set());
            assert!(matches!(poll(&mut listener.next, &listener.woken), Poll::Ready(None)));
        }
        let root = self.roots[0].as_ref().unwrap();
        assert_eq!(root.register(Task::new("", "")).unwrap_err(), SpawnError::Closed);
        assert_eq!(root.cancel_all("closed"), 0);
        for handles in self.tasks.iter().take(1) {
            assert_eq!(root.cancel(handles.id, "closed"), Err(TaskError::Closed));
            let error = root.claim(handles.id).unwrap_err();
            assert!(matches!(error, ClaimError::Task(TaskError::Closed)), "{error:?}");
            assert!(handles.context.token().is_cancelled());
        }
        self.waits = Default::default();
        let left = outcomes.iter().filter(|outcome| outcome.strong_count() > 0).count();
        assert_eq!(left, 0, "something keeps the registry's table alive");
        self.reference.cover.hit(Branch::Closed);
    }
}
