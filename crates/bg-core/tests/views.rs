//! A look at a task's recent messages shows what was asked for, exactly cut, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bg_core::{Block, BlockKind, Output, Peek, Peeked, RecentBlocks, Registry, Scope, TaskError};
use bg_core::{TaskId, View};
use support::{Flag, bounded, drained, ended, register};

use crate::support;

/// A view of so many blocks, with its texts.
fn numbered(cap: usize, blocks: usize) -> Arc<RecentBlocks> {
    let recent = RecentBlocks::new(cap);
    (1..=blocks).for_each(|n| recent.push(Block::new(BlockKind::Assistant, n.to_string())));
    Arc::new(recent)
}

/// A registered task with a view, which ends with the completer.
fn viewed(root: &Scope, view: Arc<dyn View>) -> (TaskId, bg_core::Completer) {
    let (id, completer) = register(root, "viewed");
    completer.context().attach_view(view);
    (id, completer)
}

fn texts(peeked: &Peeked) -> Vec<&str> {
    peeked.blocks.iter().map(|block| &*block.text).collect()
}

/// What a view of one text shows of it.
fn shown(text: &str, chars: usize) -> String {
    let registry = Registry::new();
    let root = registry.root_scope();
    let recent = Arc::new(RecentBlocks::new(1));
    recent.push(Block::new(BlockKind::Thought, text));
    let (id, _completer) = viewed(&root, recent);
    let peeked = root.peek(id, Peek::default().chars(chars)).unwrap();
    assert_eq!(peeked.blocks[0].kind, BlockKind::Thought);
    peeked.blocks[0].text.clone()
}

#[test]
fn a_look_shows_the_last_blocks_and_how_many_there_are() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, _completer) = viewed(&root, numbered(100, 25));
    let ten: Vec<String> = (16..=25).map(|n: u32| n.to_string()).collect();
    let peeked = root.peek(id, Peek::default()).unwrap();
    assert_eq!((peeked.total, texts(&peeked)), (25, ten.iter().map(|n| &**n).collect()));
    for (blocks, expected) in [(0, 1), (1, 1), (2, 2), (25, 25), (26, 25), (usize::MAX, 25)] {
        let peeked = root.peek(id, Peek::default().blocks(blocks)).unwrap();
        assert_eq!((peeked.total, peeked.blocks.len()), (25, expected));
        assert_eq!(texts(&peeked).last(), Some(&"25"));
    }
}

#[test]
fn what_a_view_has_let_go_is_counted() {
    let registry = Registry::new();
    let root = registry.root_scope();
    for (cap, pushed) in [(0, 7), (3, 7), (7, 7), (8, 7), (5, 0)] {
        let (id, _completer) = viewed(&root, numbered(cap, pushed));
        let peeked = root.peek(id, Peek::default().blocks(100)).unwrap();
        assert_eq!((peeked.total, peeked.blocks.len()), (pushed, cap.min(pushed)));
    }
}

#[test]
fn a_task_without_a_view_shows_none() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (live, completer) = register(&root, "blind");
    let over = ended(&root, "blind");
    completer.context().step(1);
    for id in [live, over] {
        assert_eq!(root.peek(id, Peek::default()).unwrap(), Peeked::default());
    }
}

#[test]
fn a_text_is_cut_at_two_hundred_characters_unless_asked_otherwise() {
    let just = "a".repeat(200);
    assert_eq!(shown(&just, Peek::default().chars), just);
    assert_eq!(shown(&"a".repeat(201), Peek::default().chars), format!("{just}... (+1 more)"));
    assert_eq!(shown(&"a".repeat(5_000), usize::MAX).len(), 5_000);
}

#[test]
fn no_characters_means_that_only_the_sorts_are_shown() {
    for text in ["", "a", "\u{1f980}\u{1f980}"] {
        assert_eq!(shown(text, 0), "");
    }
}

#[test]
fn the_mark_of_a_cut_counts_characters_and_not_bytes() {
    let crab = '\u{1f980}';
    for (text, chars, expected) in [
        (String::new(), 1, String::new()),
        ("\u{e9}".repeat(3), 3, "\u{e9}".repeat(3)),
        ("\u{e9}".repeat(4), 3, "\u{e9}\u{e9}\u{e9}... (+1 more)".to_owned()),
        (crab.to_string().repeat(300), 1, format!("{crab}... (+299 more)")),
        (format!("a{crab}b\u{4e2d}c"), 2, format!("a{crab}... (+3 more)")),
        ("line\nline".to_owned(), 4, "line... (+5 more)".to_owned()),
    ] {
        assert_eq!(shown(&text, chars), expected, "{text:?} at {chars}");
    }
}

#[test]
fn the_end_of_a_task_leaves_its_view_readable_as_long_as_it_is_kept() {
    let registry = Registry::builder().finished_kept(1).build();
    let root = registry.root_scope();
    let recent = numbered(10, 3);
    let (id, completer) = viewed(&root, recent.clone());
    completer.complete(Ok(Output::default()));
    assert_eq!(root.peek(id, Peek::default()).unwrap().total, 3);
    assert_eq!(drained(&root), [1]);
    recent.push(Block::new(BlockKind::Other, "late"));
    assert_eq!(texts(&root.peek(id, Peek::default().blocks(1)).unwrap()), ["late"]);
    ended(&root, "newer");
    drained(&root);
    assert!(matches!(root.peek(id, Peek::default()), Err(TaskError::NotFound(_))));
    assert_eq!(Arc::strong_count(&recent), 1, "an evicted task keeps its view");
}

#[test]
fn only_the_one_who_spawned_it_may_look_and_nobody_is_asked_for_a_stranger() {
    struct Asked(AtomicUsize);

    impl View for Asked {
        fn total(&self) -> usize {
            self.0.fetch_add(1, Ordering::Relaxed)
        }

        fn last(&self, _: usize) -> Vec<Block> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Vec::new()
        }
    }

    let registry = Registry::new();
    let (root, other) = (registry.root_scope(), registry.root_scope());
    let asked = Arc::new(Asked(AtomicUsize::new(0)));
    let (owner, completer) = viewed(&root, asked.clone());
    let scope = completer.context().scope();
    let (child, _inner) = viewed(&scope, asked.clone());
    let error = |scope: &Scope, id| scope.peek(id, Peek::default()).unwrap_err();
    assert!(matches!(error(&root, child), TaskError::Forbidden(_)));
    assert!(matches!(error(&scope, owner), TaskError::Forbidden(_)));
    assert!(matches!(error(&other, owner), TaskError::NotFound(_)));
    assert!(matches!(error(&root, "agent:1".parse().unwrap()), TaskError::NotFound(_)));
    drop(registry);
    assert_eq!(error(&root, owner), TaskError::Closed);
    assert_eq!(asked.0.load(Ordering::Relaxed), 0);
}

#[test]
fn the_latest_view_is_shown_and_the_one_before_is_let_go() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let first = numbered(10, 1);
    let (id, completer) = viewed(&root, first.clone());
    let context = completer.context().clone();
    context.attach_view(numbered(10, 2));
    assert_eq!(root.peek(id, Peek::default()).unwrap().total, 2);
    assert_eq!(Arc::strong_count(&first), 1);
    completer.complete(Ok(Output::default()));
    // After the end nothing is attached any more.
    context.attach_view(first.clone());
    assert_eq!(root.peek(id, Peek::default()).unwrap().total, 2);
    assert_eq!(Arc::strong_count(&first), 1);
}

/// Calls back from both of its methods.
struct Calls<F>(F);

impl<F: Fn() + Send + Sync> View for Calls<F> {
    fn total(&self) -> usize {
        (self.0)();
        1
    }

    fn last(&self, _: usize) -> Vec<Block> {
        (self.0)();
        vec![Block::new(BlockKind::User, "block")]
    }
}

#[test]
fn a_view_may_use_the_registry_that_it_is_looked_at_through() {
    bounded("a view that calls back", || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (used, other) = (root.clone(), registry.root_scope());
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let call = move || {
            let seen = used.snapshot();
            assert_eq!(seen.len(), 1);
            used.inspect(seen[0].id).unwrap();
            ended(&used, "from the view");
            assert_eq!(drained(&used).len(), 1);
            other.cancel_all("from the view");
            counted.fetch_add(1, Ordering::Relaxed);
        };
        let (id, _completer) = viewed(&root, Arc::new(Calls(call)));
        assert_eq!(root.peek(id, Peek::default()).unwrap().total, 1);
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_view_that_panics_is_the_concern_of_the_one_who_looks() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = viewed(&root, Arc::new(Calls(|| panic!("no view"))));
    for _ in 0..3 {
        let looked = catch_unwind(AssertUnwindSafe(|| root.peek(id, Peek::default())));
        assert_eq!(*looked.unwrap_err().downcast::<&str>().unwrap(), "no view");
    }
    assert_eq!(root.snapshot().len(), 1);
    completer.complete(Ok(Output::text("unharmed")));
    assert_eq!(root.claim(id).unwrap().ack().outcome.output().unwrap().text, "unharmed");
}

#[test]
fn a_view_is_destroyed_with_the_last_one_who_can_see_it() {
    let registry = Registry::builder().finished_kept(0).build();
    let root = registry.root_scope();
    let dropped = Flag::default();
    let guard = Mutex::new(dropped.on_drop());
    let view = Calls(move || {
        let _held = &guard;
    });
    let (id, completer) = viewed(&root, Arc::new(view));
    completer.complete(Ok(Output::default()));
    let claim = root.claim(id).unwrap();
    assert!(!dropped.is_set());
    let finished = claim.ack();
    assert!(!dropped.is_set(), "whoever has the outcome has its view");
    drop(finished);
    assert!(dropped.is_set());
}

#[test]
fn a_view_whose_destructor_panics_harms_nobody_when_it_is_replaced_or_evicted() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the destructor of a view")
        }
    }

    let bomb = || {
        let bomb = Bomb;
        Arc::new(Calls(move || {
            let _held = &bomb;
        }))
    };
    let registry = Registry::builder().finished_kept(1).build();
    let root = registry.root_scope();
    let (id, completer) = viewed(&root, bomb());
    completer.context().attach_view(bomb());
    completer.complete(Ok(Output::default()));
    assert_eq!(drained(&root), [1]);
    ended(&root, "newer");
    assert_eq!(drained(&root), [2]);
    assert!(root.inspect(id).is_err(), "not evicted");
    let (_, completer) = register(&root, "over");
    let context = completer.context().clone();
    drop(completer);
    context.attach_view(bomb());
    assert_eq!(drained(&root), [3]);
}
