//! A message is received once or its sender is told why not; nothing is dropped in silence.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use bg_core::{Completer, Failure, Limits, Mailbox, MailboxCaps, Message, Output, Registry};
use bg_core::{Scope, SendError, Status, Task, TaskContext, TaskError, TaskId};
use support::{Flag, bounded, drained, ended, poll, poll_with, register};

use crate::support;

fn text(words: &str) -> Message {
    Message::from(words)
}

fn caps(messages: usize, bytes: usize) -> MailboxCaps {
    MailboxCaps { messages, bytes }
}

/// A registered task with a mailbox.
fn mailed(root: &Scope, caps: MailboxCaps) -> (TaskId, Completer, Mailbox) {
    let (id, completer) = register(root, "mailed");
    let mailbox = completer.context().mailbox_with(caps);
    (id, completer, mailbox)
}

fn complete(completer: Completer) {
    completer.complete(Ok(Output::default()));
}

/// Everything that is in a mailbox now.
fn emptied(mailbox: &Mailbox) -> Vec<Message> {
    std::iter::from_fn(|| mailbox.try_recv()).collect()
}

#[test]
fn messages_come_in_order_and_as_they_were_sent() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, _completer, mailbox) = mailed(&root, MailboxCaps::default());
    let data = serde_json::json!({"tone": ["dry", 2]});
    let sent = [text("one"), Message::from(vec![0, 255]), Message::Data(data), text("")];
    for message in &sent {
        root.send(id, message.clone()).unwrap();
    }
    assert_eq!(emptied(&mailbox), sent);
}

#[test]
fn a_mailbox_holds_so_many_messages_and_no_more() {
    let registry = Registry::new();
    let root = registry.root_scope();
    for most in 0..4 {
        let (id, _completer, mailbox) = mailed(&root, caps(most, 100));
        for round in 0..3 {
            (0..most).for_each(|n| root.send(id, n.to_string()).unwrap());
            let full = root.send(id, "over").unwrap_err();
            assert_eq!(full, SendError::Full { id, messages: most, bytes: most }, "{round}");
            let received = emptied(&mailbox);
            assert_eq!(received.len(), most);
            assert!(!received.contains(&text("over")), "a refused message was kept");
        }
    }
}

#[test]
fn a_mailbox_holds_so_many_bytes_and_no_more() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, _completer, mailbox) = mailed(&root, caps(100, 10));
    root.send(id, "1234567").unwrap();
    let full = SendError::Full { id, messages: 1, bytes: 7 };
    assert_eq!(root.send(id, "four"), Err(full));
    assert_eq!(root.send(id, vec![0; usize::from(u16::MAX)]), Err(full));
    assert_eq!(root.send(id, Message::Data("a long text".into())), Err(full));
    root.send(id, "890").unwrap();
    root.send(id, "").unwrap();
    assert_eq!(root.send(id, "1"), Err(SendError::Full { id, messages: 3, bytes: 10 }));
    assert_eq!(mailbox.try_recv(), Some(text("1234567")));
    root.send(id, "1234567").unwrap();
    assert_eq!(emptied(&mailbox), [text("890"), text(""), text("1234567")]);
    // What was refused was not counted either.
    root.send(id, "1234567890").unwrap();
}

#[test]
fn the_first_to_ask_decides_how_much_a_mailbox_holds() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer, first) = mailed(&root, caps(1, 10));
    let second = completer.context().mailbox_with(caps(9, 99));
    root.send(id, "one").unwrap();
    assert!(matches!(root.send(id, "two"), Err(SendError::Full { .. })));
    assert_eq!(second.try_recv(), Some(text("one")));
    assert_eq!(first.try_recv(), None);
}

#[test]
fn a_sender_is_told_why_a_message_was_not_kept() {
    let registry = Registry::builder().finished_kept(1).build();
    let (root, other) = (registry.root_scope(), registry.root_scope());
    let (id, completer, mailbox) = mailed(&root, MailboxCaps::default());
    let (child, _inner, inner_mailbox) =
        mailed(&completer.context().scope(), MailboxCaps::default());
    let (deaf, _deaf) = register(&root, "deaf");
    let said = |scope: &Scope, id: TaskId| scope.send(id, "no").unwrap_err().to_string();
    assert_eq!(said(&root, deaf), "task task:3 takes no messages");
    assert_eq!(said(&root, child), "task task:2 is not owned by this caller");
    assert_eq!(said(&completer.context().scope(), id), "task task:1 is not owned by this caller");
    assert_eq!(said(&other, id), "no background task with id task:1");
    assert_eq!(said(&root, "agent:1".parse().unwrap()), "no background task with id agent:1");
    complete(completer);
    assert_eq!(said(&root, id), "task task:1 is completed");
    drained(&root);
    assert_eq!(said(&root, id), "task task:1 is completed");
    ended(&root, "newer");
    drained(&root);
    assert_eq!(said(&root, id), "no background task with id task:1");
    drop(registry);
    assert_eq!(root.send(id, "no"), Err(SendError::Task(TaskError::Closed)));
    assert!(emptied(&mailbox).is_empty() && emptied(&inner_mailbox).is_empty());
}

#[test]
fn a_sender_is_told_how_the_task_ended() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let ends: [(fn(Completer), Status); 3] = [
        (complete, Status::Completed),
        (|completer| completer.complete(Err(Failure::new("no"))), Status::Failed),
        (drop, Status::Cancelled),
    ];
    for (end, status) in ends {
        let (id, completer, mailbox) = mailed(&root, MailboxCaps::default());
        end(completer);
        assert_eq!(root.send(id, "late"), Err(SendError::Ended { id, status }));
        assert_eq!(mailbox.try_recv(), None);
    }
}

#[test]
fn what_was_not_received_by_the_end_is_counted_and_can_still_be_read() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer, mailbox) = mailed(&root, MailboxCaps::default());
    let context = completer.context().clone();
    for words in ["one", "two", "three"] {
        root.send(id, words).unwrap();
    }
    assert_eq!(mailbox.try_recv(), Some(text("one")));
    complete(completer);
    assert_eq!(root.outcome(id).unwrap().unread(), 2);
    assert_eq!(poll(&mut mailbox.recv()), Poll::Ready(Some(text("two"))));
    assert_eq!(emptied(&mailbox), [text("three")]);
    for mailbox in [mailbox, context.mailbox(), context.mailbox_with(caps(1, 1))] {
        assert_eq!(poll(&mut mailbox.recv()), Poll::Ready(None));
    }
    assert_eq!(root.claim(id).unwrap().ack().unread(), 2);
}

#[test]
fn every_receiver_is_woken_by_a_message_and_by_the_end() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer, mailbox) = mailed(&root, MailboxCaps::default());
    let mut receivers: Vec<_> = (0..20)
        .map(|n| {
            let mailbox = if n % 2 == 0 { mailbox.clone() } else { completer.context().mailbox() };
            (mailbox.recv(), Arc::new(Flag::default()))
        })
        .collect();
    for (recv, woken) in &mut receivers {
        assert!(poll_with(recv, &Waker::from(woken.clone())).is_pending());
    }
    root.send(id, "for one").unwrap();
    let mut received = 0;
    receivers.retain_mut(|(recv, woken)| {
        assert!(woken.is_set(), "a receiver that is not woken may be the only one left");
        woken.clear();
        let polled = poll_with(recv, &Waker::from(woken.clone()));
        received += usize::from(polled == Poll::Ready(Some(text("for one"))));
        polled.is_pending()
    });
    assert_eq!((received, receivers.len()), (1, 19));
    complete(completer);
    for (mut recv, woken) in receivers {
        assert!(woken.is_set());
        assert_eq!(poll(&mut recv), Poll::Ready(None));
    }
}

#[test]
fn a_receive_that_is_dropped_at_any_poll_loses_nothing() {
    for polls in 0..=64 {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (id, _completer, mailbox) = mailed(&root, MailboxCaps::default());
        let (woken, other) = (Arc::new(Flag::default()), Arc::new(Flag::default()));
        let mut recv = mailbox.recv();
        for _ in 0..polls {
            assert!(poll_with(&mut recv, &Waker::from(woken.clone())).is_pending());
        }
        let mut second = mailbox.recv();
        assert!(poll_with(&mut second, &Waker::from(other.clone())).is_pending());
        root.send(id, "kept").unwrap();
        assert_eq!(woken.is_set(), polls > 0);
        // Woken, and gone before it was polled again.
        drop(recv);
        assert_eq!(Arc::strong_count(&woken), 1, "a waker was left behind");
        assert!(other.is_set());
        assert_eq!(poll(&mut second), Poll::Ready(Some(text("kept"))));
        assert_eq!(mailbox.try_recv(), None);
    }
}

#[test]
fn a_receiver_that_goes_away_leaves_nothing() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, _completer, mailbox) = mailed(&root, MailboxCaps::default());
    let mark = Arc::new(Flag::default());
    for _ in 0..100 {
        let mut recv = mailbox.recv();
        assert!(poll_with(&mut recv, &Waker::from(mark.clone())).is_pending());
        assert!(poll_with(&mut recv, &Waker::from(mark.clone())).is_pending());
        assert_eq!(Arc::strong_count(&mark), 2);
    }
    assert_eq!(Arc::strong_count(&mark), 1);
    root.send(id, "nobody waits").unwrap();
    assert!(!mark.is_set());
}

#[test]
fn racing_senders_and_receivers_share_every_message_without_a_double() {
    bounded("a race for messages", || {
        const EACH: usize = 1_000;
        let registry = Registry::new();
        let root = registry.root_scope();
        let (id, completer, mailbox) = mailed(&root, caps(16, 1 << 20));
        let received: Vec<BTreeSet<String>> = std::thread::scope(|threads| {
            let receivers: Vec<_> = (0..3)
                .map(|_| {
                    let mailbox = mailbox.clone();
                    let receive = async move {
                        let mut found = BTreeSet::new();
                        while let Some(Message::Text(words)) = mailbox.recv().await {
                            assert!(found.insert(words), "received twice");
                        }
                        found
                    };
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    threads.spawn(move || runtime.block_on(receive))
                })
                .collect();
            let senders: Vec<_> = (0..2)
                .map(|sender| {
                    let root = &root;
                    threads.spawn(move || {
                        for n in 0..EACH {
                            while let Err(error) = root.send(id, format!("{sender}-{n}")) {
                                assert!(matches!(error, SendError::Full { .. }), "{error}");
                                std::thread::yield_now();
                            }
                        }
                    })
                })
                .collect();
            for sender in senders {
                sender.join().unwrap();
            }
            complete(completer);
            receivers.into_iter().map(|receiver| receiver.join().unwrap()).collect()
        });
        let all: BTreeSet<_> = received.iter().flatten().collect();
        assert_eq!(all.len(), 2 * EACH);
        assert_eq!(received.iter().map(BTreeSet::len).sum::<usize>(), 2 * EACH);
    });
}

#[test]
fn what_was_unread_at_the_end_is_exact_in_a_race_with_the_senders() {
    bounded("a race with the end", || {
        for round in 0..60 {
            let registry = Registry::new();
            let root = registry.root_scope();
            let (id, completer, mailbox) = mailed(&root, caps(usize::MAX, usize::MAX));
            let kept = AtomicUsize::new(0);
            std::thread::scope(|threads| {
                for _ in 0..2 {
                    threads.spawn(|| {
                        while root.send(id, "m").is_ok() {
                            kept.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
                while kept.load(Ordering::Relaxed) < round % 7 {
                    std::hint::spin_loop();
                }
                complete(completer);
            });
            let kept = kept.into_inner();
            assert_eq!(root.outcome(id).unwrap().unread(), kept);
            assert_eq!(emptied(&mailbox).len(), kept, "after the end nothing is added");
        }
    });
}

#[test]
fn what_a_stopped_task_had_received_and_what_it_had_not_make_up_what_was_sent() {
    bounded("a stopped receiver", || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
        runtime.unwrap().block_on(async {
            for round in 1..60 {
                let registry = Registry::new();
                let root = registry.root_scope();
                let (ready, is_ready) = tokio::sync::oneshot::channel();
                let received = Arc::new(AtomicUsize::new(0));
                let counted = received.clone();
                let body = move |cx: TaskContext| async move {
                    let mailbox = cx.mailbox_with(caps(usize::MAX, usize::MAX));
                    ready.send(()).unwrap();
                    while mailbox.recv().await.is_some() {
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(Output::default())
                };
                let id = root.spawn(Task::new("receives", ""), body).unwrap();
                is_ready.await.unwrap();
                let mut sent = 0;
                while root.send(id, "m").is_ok() {
                    sent += 1;
                    if sent == round {
                        root.cancel(id, "stop").unwrap();
                    }
                }
                let ended = root.wait([id]).await.unwrap().ended;
                assert_eq!(received.load(Ordering::SeqCst) + ended[0].unread(), sent);
            }
        });
    });
}

#[test]
fn a_registered_task_ends_for_its_receivers_with_the_registry() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, _completer, mailbox) = mailed(&root, MailboxCaps::default());
    let woken = Arc::new(Flag::default());
    let mut recv = mailbox.recv();
    assert!(poll_with(&mut recv, &Waker::from(woken.clone())).is_pending());
    drop(registry);
    assert!(woken.is_set());
    assert_eq!(poll(&mut recv), Poll::Ready(None));
    assert_eq!(root.send(id, "late"), Err(SendError::Task(TaskError::Closed)));
}

#[tokio::test]
async fn a_mailbox_that_was_given_takes_messages_before_the_task_runs() {
    let registry = Registry::builder().limits(Limits::default().running(1)).build();
    let root = registry.root_scope();
    let task = || Task::new("echoes", "").mailbox(caps(2, 100));
    let body = |cx: TaskContext| async move {
        // The caps that it was given hold.
        let first = cx.mailbox_with(caps(9, 9)).recv().await;
        Ok(Output::text(format!("{first:?}")))
    };
    let first = root.spawn(task(), body).unwrap();
    let second = root.spawn(task(), body).unwrap();
    assert_eq!(root.inspect(second).unwrap().status, Status::Pending);
    for id in [second, first] {
        root.send(id, "one").unwrap();
        root.send(id, "two").unwrap();
        let full = SendError::Full { id, messages: 2, bytes: 6 };
        assert_eq!(root.send(id, "three"), Err(full));
    }
    for ended in root.wait([first, second]).await.unwrap().ended {
        let said = format!("{:?}", Some(text("one")));
        assert_eq!(ended.outcome.output().map(|output| &output.text[..]), Some(&said[..]));
        assert_eq!(ended.unread(), 1);
    }
}

#[tokio::test]
async fn a_task_that_is_stopped_in_the_queue_leaves_its_messages_unread() {
    let registry = Registry::builder().limits(Limits::default().running(1)).build();
    let root = registry.root_scope();
    let task = || Task::new("echoes", "").last_message("end");
    let _first = root.spawn(task(), |_| std::future::pending()).unwrap();
    let second = root.spawn(task(), |_| std::future::pending()).unwrap();
    for message in ["one", "end"] {
        root.send(second, message).unwrap();
    }
    root.cancel(second, "stop").unwrap();
    let ended = root.wait([second]).await.unwrap().ended;
    assert_eq!(ended[0].unread(), 2);
    let why = SendError::Ended { id: second, status: Status::Cancelled };
    assert_eq!(root.send(second, "late"), Err(why));
}

#[test]
fn a_mailbox_takes_nothing_after_its_last_message() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let task = Task::new("calc", "").last_message("end");
    let (id, completer) = root.register(task).unwrap();
    let mailbox = completer.context().mailbox();
    let before = [text("ends"), Message::from(b"end".to_vec()), Message::Data("end".into())];
    for message in before.iter().cloned().chain([text("end")]) {
        root.send(id, message).unwrap();
    }
    assert_eq!(root.send(id, "late"), Err(SendError::Closed(id)));
    assert_eq!(root.send(id, "end"), Err(SendError::Closed(id)));
    assert_eq!(mailbox.try_recv().as_ref(), before.first());
    assert_eq!(emptied(&mailbox).last(), Some(&text("end")));
    assert_eq!(poll(&mut mailbox.recv()), Poll::Ready(None));
    complete(completer);
    let ended = SendError::Ended { id, status: Status::Completed };
    assert_eq!(root.send(id, "late"), Err(ended), "how it ended is said once it has");
}

/// One that does not fit is refused and closes nothing.
#[test]
fn a_last_message_that_was_refused_is_not_the_last() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let task = Task::new("calc", "").mailbox(caps(1, 100)).last_message("end");
    let (id, completer) = root.register(task).unwrap();
    root.send(id, "one").unwrap();
    assert!(matches!(root.send(id, "end"), Err(SendError::Full { .. })));
    assert_eq!(emptied(&completer.context().mailbox()), [text("one")]);
    root.send(id, "two").unwrap();
}

#[test]
fn a_mailbox_that_is_closed_keeps_what_is_in_it_and_wakes_its_receivers() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer, mailbox) = mailed(&root, MailboxCaps::default());
    let woken = Arc::new(Flag::default());
    let mut recv = mailbox.recv();
    assert!(poll_with(&mut recv, &Waker::from(woken.clone())).is_pending());
    mailbox.clone().close();
    assert!(woken.is_set());
    assert_eq!(poll(&mut recv), Poll::Ready(None));
    assert_eq!(root.send(id, "late"), Err(SendError::Closed(id)));
    complete(completer);

    let (id, completer, mailbox) = mailed(&root, MailboxCaps::default());
    root.send(id, "one").unwrap();
    root.send(id, "two").unwrap();
    mailbox.close();
    mailbox.close();
    assert_eq!(poll(&mut mailbox.recv()), Poll::Ready(Some(text("one"))));
    drop(completer);
    assert_eq!(root.outcome(id).unwrap().unread(), 1);
}
