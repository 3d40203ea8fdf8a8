//! A list can be read in pages: each task once, in order, whatever lies between.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bg_core::{Completer, Output, Registry, Scope, Task};
use support::{ended, register};

use crate::support;

fn page(scope: &Scope, after: u64, max: usize) -> Vec<u64> {
    scope.page(after, max).iter().map(|snapshot| snapshot.id.number()).collect()
}

fn listed(scope: &Scope) -> Vec<u64> {
    scope.snapshot().iter().map(|snapshot| snapshot.id.number()).collect()
}

/// Reads all pages of a size, and checks that they are the list.
#[track_caller]
fn check(scope: &Scope, size: usize) {
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        let next = page(scope, after, size);
        assert!(next.len() <= size);
        let Some(&last) = next.last() else { break };
        assert!(last > after, "a page that does not go on");
        after = last;
        found.extend(next);
    }
    assert_eq!(found, listed(scope), "in pages of {size}");
}

/// Two scopes of one root whose tasks alternate in blocks, with holes of every sort.
fn patchwork(registry: &Registry) -> (Scope, Scope, Vec<Completer>) {
    let root = registry.root_scope();
    let (_, owner) = register(&root, "owner");
    let inner = owner.context().scope();
    let mut kept = vec![owner];
    for n in 0..400_u32 {
        let scope = if n / 5 % 3 == 1 { &inner } else { &root };
        match n % 7 {
            0 => drop(scope.claim(ended(scope, "delivered")).unwrap().ack()),
            1 => drop(ended(scope, "undelivered")),
            2 => kept.push(scope.register(Task::new("call", "").foreground()).unwrap().1),
            _ => kept.push(register(scope, "live").1),
        }
    }
    (root, inner, kept)
}

#[test]
fn the_pages_of_a_scope_are_its_list() {
    for finished_kept in [0, 64] {
        let registry = Registry::builder().finished_kept(finished_kept).build();
        let (root, inner, _kept) = patchwork(&registry);
        for scope in [&root, &inner] {
            assert!(listed(scope).len() > 50);
            (1..=70).for_each(|size| check(scope, size));
        }
    }
}

#[test]
fn a_page_may_begin_after_any_number() {
    let registry = Registry::new();
    let (root, inner, _kept) = patchwork(&registry);
    for scope in [&root, &inner] {
        let all = listed(scope);
        for after in 0..=410 {
            let expected: Vec<u64> = all.iter().copied().filter(|&n| n > after).take(3).collect();
            assert_eq!(page(scope, after, 3), expected, "after {after}");
        }
        for after in [u64::MAX, u64::MAX - 1, 1 << 40] {
            assert!(page(scope, after, 3).is_empty());
        }
        assert!(page(scope, 0, 0).is_empty());
        assert_eq!(page(scope, 0, usize::MAX), all);
    }
}

#[test]
fn a_task_that_goes_between_two_pages_hides_no_other() {
    let registry = Registry::new();
    for goes in 1..=9 {
        let root = registry.root_scope();
        let mut completers: Vec<_> = (0..9).map(|_| Some(register(&root, "").1)).collect();
        let first = page(&root, 0, 4);
        let completer = completers[goes - 1].take().unwrap();
        let id = completer.context().id();
        completer.complete(Ok(Output::default()));
        root.claim(id).unwrap().ack();
        let late = register(&root, "late").0.number();
        let mut rest: Vec<u64> = (5..=9).filter(|&n| n != goes as u64).collect();
        rest.push(late);
        // The late one has ended since, and is not delivered.
        assert_eq!(page(&root, *first.last().unwrap(), 10), rest);
    }
}

#[test]
fn an_empty_scope_has_an_empty_page() {
    let registry = Registry::new();
    let root = registry.root_scope();
    assert!(page(&root, 0, 10).is_empty());
    let (_, completer) = register(&root, "childless");
    assert!(page(&completer.context().scope(), 0, 10).is_empty());
    drop(registry);
    assert!(page(&root, 0, 10).is_empty());
}
