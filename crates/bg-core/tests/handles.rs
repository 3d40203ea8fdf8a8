//! Handles can be kept and sent anywhere, and futures be polled without pinning.

use bg_core::{Claim, Completer, Events, Finished, Inbox, OutputLog, Registry, Scope, TaskContext};
use bg_core::{Drain, Next, Wait, Waited};

#[test]
fn every_handle_can_be_sent_and_shared() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Registry>();
    check::<(Scope, Inbox, TaskContext, Completer)>();
    check::<(Claim, Drain, Next, Wait, Waited)>();
    check::<(Events, OutputLog, Finished)>();
}

#[test]
fn waits_and_listeners_can_be_moved_between_polls() {
    fn check<T: Unpin + Future>() {}
    check::<Wait>();
    check::<Next>();
}
