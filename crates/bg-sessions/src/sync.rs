//! The lock of what is modelled.
//!
//! With `--cfg bg_shuttle` it is shuttle's, which tries random orders of many threads; else that of
//! `parking_lot`. What is not modelled imports the latter itself.

#[cfg(not(bg_shuttle))]
pub(crate) use parking_lot::Mutex;

#[cfg(bg_shuttle)]
pub(crate) use modelled::Mutex;

#[cfg(bg_shuttle)]
mod modelled {
    use std::sync::PoisonError;

    use shuttle::sync::MutexGuard;

    /// A mutex with the signatures of `parking_lot`, which knows no poison.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
