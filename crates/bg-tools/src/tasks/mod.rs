//! The tools for background tasks.

mod cancel;
mod inspect;
mod list;
mod read;
mod send;
mod wait;
mod wait_many;

use std::sync::Arc;

pub use cancel::CancelTask;
pub use inspect::InspectTask;
pub use list::ListBackgroundTasks;
pub use read::ReadTaskOutput;
pub use send::SendToTask;
pub use wait::WaitTask;
pub use wait_many::WaitTasks;

use crate::tool::Tool;

/// Returns all of them, for [`Toolbox::with_all`](crate::Toolbox::with_all).
pub fn task_tools() -> Vec<Arc<dyn Tool>> {
    vec![
        Arc::new(ListBackgroundTasks),
        Arc::new(CancelTask),
        Arc::new(WaitTask),
        Arc::new(WaitTasks),
        Arc::new(ReadTaskOutput),
        Arc::new(SendToTask),
        Arc::new(InspectTask),
    ]
}
