//! Memory that the host holds, so that what a start costs can be seen to grow with it, or not to.

use std::hint::black_box;

/// Pages that have been written to. They are small ones unless the system makes all huge.
pub(crate) struct Ballast(Vec<u8>);

impl Ballast {
    pub(crate) fn of(bytes: usize) -> Self {
        // Not zeros, which the allocator has at hand untouched.
        Self(black_box(vec![1; bytes]))
    }
}

impl Drop for Ballast {
    /// Keeps the compiler from dropping it any earlier.
    fn drop(&mut self) {
        black_box(&self.0);
    }
}
