//! The one place that names a synchronisation primitive.
//!
//! Everything else imports from here, so that a model checker can be put in its place.

pub(crate) use parking_lot::Mutex;
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Arc, Weak};
