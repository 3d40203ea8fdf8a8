//! How tasks end, one by one or many at once.

use super::{End, Ended, How, Ix, Place, Reference, ScopeIx, Stopped, Why};
use crate::model::cover::Branch;
use crate::model::told::Told;

impl Reference {
    /// The holder of a completer ends its task.
    pub(crate) fn complete(&mut self, ix: Ix, end: End) {
        if !self.tasks[ix].is_live() {
            return self.cover.hit(Branch::Superseded);
        }
        let stop = self.tasks[ix].stop;
        let how = match (end, stop) {
            (End::Ok(mark), _) => How::Completed(mark),
            (End::Err, None) => How::Failed,
            (End::Err, Some(why)) => How::Cancelled { why, error: true },
            (End::Drop, stop) => {
                let why = stop.unwrap_or(Why::CompleterDropped);
                How::Cancelled { why, error: false }
            }
        };
        self.cover.hit_if(matches!(end, End::Ok(_)) && stop.is_some(), Branch::LateOk);
        self.cover.hit_if(end == End::Err && stop.is_some(), Branch::LateErr);
        self.cover.hit_if(end == End::Drop && stop.is_none(), Branch::CompleterDropped);
        let mut ends = vec![(ix, how)];
        for below in self.below((self.tasks[ix].root, Some(ix))) {
            self.cover.hit(Branch::OwnerEnded);
            ends.extend(self.request(below, Why::OwnerEnded));
        }
        self.end_all(ends);
    }

    pub(crate) fn cancel(&mut self, ix: Ix, why: Why) -> Stopped {
        let task = &self.tasks[ix];
        if !task.is_live() {
            return Stopped::AlreadyEnded(task.status());
        }
        if task.stop.is_some() {
            return Stopped::AlreadyRequested;
        }
        let mut all = vec![ix];
        all.extend(self.below((task.root, Some(ix))));
        self.cover.hit_if(all.len() > 1, Branch::Cascade);
        self.stop_all(&all, why);
        Stopped::Requested
    }

    /// Stops everything below a scope; returns how many were its own.
    pub(crate) fn cancel_all(&mut self, scope: ScopeIx, why: Why) -> usize {
        let all = self.below(scope);
        let own = all.iter().filter(|&&ix| self.tasks[ix].owner == scope.1).count();
        self.stop_all(&all, why);
        own
    }

    pub(super) fn stop_all(&mut self, all: &[Ix], why: Why) {
        let ends = all.iter().filter_map(|&ix| self.request(ix, why)).collect();
        self.end_all(ends);
    }

    /// Ends everything whose grace is over.
    pub(crate) fn force_all(&mut self) {
        let ends = self.stopped().into_iter().map(|ix| {
            let why = self.tasks[ix].stop.unwrap_or(Why::OwnerEnded);
            (ix, How::Cancelled { why, error: false })
        });
        let ends: Vec<_> = ends.collect();
        self.cover.hit_if(!ends.is_empty(), Branch::Forced);
        self.end_all(ends);
    }

    /// The live tasks of which a stop was requested.
    pub(crate) fn stopped(&self) -> Vec<Ix> {
        let stopped = |&ix: &Ix| self.tasks[ix].is_live() && self.tasks[ix].stop.is_some();
        (0..self.tasks.len()).filter(stopped).collect()
    }

    /// What runs below a scope and was not stopped, by number.
    pub(crate) fn below(&self, (root, owner): ScopeIx) -> Vec<Ix> {
        if owner.is_some_and(|owner| !self.tasks[owner].has_children) {
            return Vec::new();
        }
        let numbers = self.roots[root].numbers.iter().copied();
        let running = numbers.filter(|&ix| self.tasks[ix].is_live());
        let fresh = running.filter(|&ix| self.tasks[ix].stop.is_none());
        fresh.filter(|&ix| owner.is_none_or(|owner| self.is_below(ix, owner))).collect()
    }

    pub(crate) fn is_below(&self, ix: Ix, above: Ix) -> bool {
        let mut owners = std::iter::successors(self.tasks[ix].owner, |&ix| self.tasks[ix].owner);
        owners.any(|owner| owner == above)
    }

    /// Requests a stop; returns how the task ends when it is over with that.
    pub(super) fn request(&mut self, ix: Ix, why: Why) -> Option<(Ix, How)> {
        self.tasks[ix].stop = Some(why);
        self.tell(ix, Told::CancelRequested);
        let listens = self.tasks[ix].listens;
        self.cover.hit_if(listens && !self.timers, Branch::ForceWithoutTimers);
        let graced = listens && self.timers;
        (!graced).then_some((ix, How::Cancelled { why, error: false }))
    }

    /// Ends several tasks in the order in which they were seen to end.
    pub(super) fn end_all(&mut self, mut ends: Vec<(Ix, How)>) {
        if ends.len() > 1 {
            let order = &self.order;
            let place = |ix| order.iter().position(|&seen| seen == ix);
            ends.sort_by_key(|&(ix, _)| place(ix).unwrap_or(usize::MAX));
        }
        for (ix, how) in ends {
            self.end(ix, how);
        }
    }

    pub(super) fn end(&mut self, ix: Ix, how: How) {
        let (root, scope) = (self.tasks[ix].root, self.tasks[ix].scope());
        let left: Vec<Ix> =
            self.ready.remove(&(root, Some(ix))).unwrap_or_default().into_values().collect();
        self.cover.hit_if(!left.is_empty(), Branch::Listed);
        let unclaimed = left.iter().map(|&left| (left, self.tasks[left].status())).collect();
        for left in left {
            self.retain(left);
        }
        let seq = self.roots[root].completions;
        self.roots[root].completions += 1;
        self.roots[root].live -= 1;
        self.tasks[ix].ended = Some(Ended { seq, how, place: Place::Held, unclaimed });
        self.tell(ix, Told::Ended(how.status()));
        for wait in self.waits.iter_mut().flatten().filter(|wait| wait.tasks.contains(&ix)) {
            wait.ended.push(ix);
        }
        self.cover.hit_if(!self.takes(scope), Branch::Released);
        self.put(ix);
        self.forget_root_if_over(root);
    }

    /// Puts an outcome into its inbox, or away when nobody can ask for it there any more.
    pub(super) fn put(&mut self, ix: Ix) {
        let scope = self.tasks[ix].scope();
        if !self.takes(scope) {
            return self.retain(ix);
        }
        if let Some(ended) = &mut self.tasks[ix].ended {
            ended.place = Place::Ready;
            self.ready.entry(scope).or_default().insert(ended.seq, ix);
        }
    }

    pub(super) fn retain(&mut self, ix: Ix) {
        self.tasks[ix].ended.iter_mut().for_each(|ended| ended.place = Place::Acked);
        let root = &mut self.roots[self.tasks[ix].root];
        root.retained.push_back(ix);
        if root.retained.len() > self.kept
            && let Some(oldest) = root.retained.pop_front()
        {
            self.tasks[oldest].evicted = true;
            self.cover.hit(Branch::Evicted);
            self.tell(oldest, Told::Evicted);
        }
    }
}
