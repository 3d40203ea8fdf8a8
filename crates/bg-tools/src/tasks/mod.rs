//! The tools for background tasks.

mod cancel;
mod list;
mod read;
mod wait;

use std::sync::Arc;

pub use cancel::CancelTask;
pub use list::ListBackgroundTasks;
pub use read::ReadTaskOutput;
pub use wait::WaitTask;

use crate::tool::Tool;

/// Returns all of them, for [`Toolbox::with_all`](crate::Toolbox::with_all).
pub fn task_tools() -> Vec<Arc<dyn Tool>> {
    vec![
        Arc::new(ListBackgroundTasks),
        Arc::new(CancelTask),
        Arc::new(WaitTask),
        Arc::new(ReadTaskOutput),
    ]
}
