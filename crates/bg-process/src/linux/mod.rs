//! What only Linux has: `/proc`, control groups, and who is whose child.

pub(crate) mod cgroup;
pub(crate) mod host;
pub(crate) mod marked;
pub(crate) mod procfs;
