//! Events, and who was woken.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};

use super::{Flag, MOST_SUBSCRIBERS, Subscriber, World, poll_event};
use crate::model::cover::Branch;
use crate::model::reference::Ix;
use crate::model::told::{Found, Told};

impl World {
    pub(super) fn subscribe(&mut self) {
        let Some(registry) = &self.registry else { return };
        if self.subscribers.len() < MOST_SUBSCRIBERS {
            let (events, woken) = (registry.events(), Arc::new(Flag::default()));
            let at = self.ring.subscribe();
            self.subscribers.push(Subscriber { events, at, woken, waits: false });
        }
    }

    pub(super) fn read(&mut self, which: usize) {
        if self.subscribers.is_empty() {
            return;
        }
        let which = which % self.subscribers.len();
        let subscriber = &mut self.subscribers[which];
        subscriber.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(subscriber.woken.clone());
        let found = poll_event(&mut subscriber.events, &waker);
        let expected = self.ring.read(&mut subscriber.at);
        subscriber.waits = expected == Found::Nothing;
        let branch = match (expected, found) {
            (Found::Event(seq), Poll::Ready(Some(Ok(event)))) => {
                assert_eq!(event.seq, seq);
                if self.recorder.is_some() {
                    let told = (usize::try_from(event.root).unwrap(), event.task.number());
                    let heard = self.heard[usize::try_from(seq).unwrap()];
                    assert_eq!((told.0, told.1, Told::of(&event.what)), heard);
                }
                Branch::EventRead
            }
            (Found::Lagged(missed), Poll::Ready(Some(Err(lagged)))) => {
                assert_eq!(lagged, missed);
                Branch::EventLagged
            }
            (Found::Nothing, Poll::Pending) => Branch::EventNone,
            (expected, found) => panic!("{expected:?}, but {found:?}"),
        };
        self.reference.cover.hit(branch);
    }

    pub(super) fn unsubscribe(&mut self, which: usize) {
        if !self.subscribers.is_empty() {
            self.subscribers.remove(which % self.subscribers.len());
            self.ring.unsubscribe();
        }
    }

    /// Hears what the registry has told since the last time, before the reference does the same:
    /// the order in which tasks ended is taken from here.
    pub(super) fn observe(&mut self) {
        let Some(recorder) = &mut self.recorder else { return };
        while let Poll::Ready(Some(read)) = poll_event(recorder, Waker::noop()) {
            let event = read.unwrap();
            assert_eq!(event.seq, self.heard.len() as u64);
            let root = usize::try_from(event.root).unwrap();
            let (number, told) = (event.task.number(), Told::of(&event.what));
            self.heard.push((root, number, told));
            if matches!(told, Told::Ended(_)) {
                let index = usize::try_from(number).unwrap() - 1;
                self.reference.order.push(self.reference.roots[root - 1].numbers[index]);
            }
        }
    }

    /// Compares what was heard with what the reference has told. Their order within one operation
    /// is not specified.
    #[track_caller]
    pub(super) fn agree_on_events(&mut self) {
        let told = std::mem::take(&mut self.reference.told);
        self.reference.order.clear();
        if self.recorder.is_none() {
            return self.ring.publish(told.len() as u64);
        }
        let from = usize::try_from(self.ring.next()).unwrap();
        self.observe();
        self.reference.order.clear();
        let heard = &self.heard[from..];
        self.ring.publish(heard.len() as u64);
        let (tasks, over) = (&self.reference.tasks, &self.passed_over);
        let name = |ix: Ix| (tasks[ix].root + 1, tasks[ix].number);
        let over: Vec<_> = over.iter().map(|&ix| name(ix)).collect();
        let is_predicted = |&(root, number, told): &(usize, u64, Told)| match told {
            Told::Other => false,
            Told::Claimed | Told::GivenBack => !over.contains(&(root, number)),
            _ => true,
        };
        let mut heard: Vec<_> = heard.iter().copied().filter(is_predicted).collect();
        let named = told.iter().map(|&(ix, told)| (name(ix).0, name(ix).1, told));
        let mut expected: Vec<_> = named.collect();
        self.passed_over.clear();
        if heard != expected {
            let key = |event: &(usize, u64, Told)| (event.0, event.1, format!("{:?}", event.2));
            heard.sort_by_key(key);
            expected.sort_by_key(key);
            assert_eq!(heard, expected, "heard and expected events");
        }
    }

    /// Whoever has something to see was woken (no lost wake).
    #[track_caller]
    pub(super) fn check_wakes(&mut self) {
        for (slot, waiting) in self.waits.iter().enumerate() {
            let Some(waiting) = waiting else { continue };
            let woken = waiting.woken.is_set();
            assert!(woken || !self.reference.is_over(slot), "a wait that is over was not woken");
        }
        for listener in &self.listeners {
            let at = listener.scope;
            let same = self.listeners.iter().filter(|other| other.scope == at);
            let one_woken = same.clone().any(|listener| listener.woken.is_set());
            let ready = self.reference.oldest(at).is_some();
            assert!(one_woken || !ready, "an outcome is there and no listener was woken");
            let woken = listener.woken.is_set();
            assert!(woken || self.reference.takes(at), "a scope is over, a listener not woken");
        }
        for subscriber in self.subscribers.iter().filter(|subscriber| subscriber.waits) {
            let behind = subscriber.at < self.ring.next();
            self.reference.cover.hit_if(behind, Branch::WokenByEvent);
            assert!(subscriber.woken.is_set() || !behind, "a subscriber was not woken");
        }
    }
}
