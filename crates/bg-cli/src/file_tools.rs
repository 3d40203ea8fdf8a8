//! The file tools of the built-in agents: one folder, read only, bounded.

use std::sync::Arc;

use async_trait::async_trait;
use bg_agents::tools::{Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, parse_args};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::files::{ANSWER_MAX, FileError, Folder, ListArgs, ReadArgs, SearchArgs};

/// An operation on the folder. `stop` is asked between files.
type Operation<A> = fn(&Folder, &A, &dyn Fn() -> bool) -> Result<String, FileError>;

/// A tool that does one operation, on a thread of the blocking pool.
struct FileTool<A> {
    name: &'static str,
    description: &'static str,
    folder: Arc<Folder>,
    operation: Operation<A>,
}

/// Names of the tools, for checking plans.
pub(crate) const NAMES: [&str; 3] = ["ListFiles", "ReadFile", "SearchFiles"];

/// Makes the tools for a folder.
pub(crate) fn file_tools(folder: &Arc<Folder>) -> [Arc<dyn Tool>; 3] {
    let [list, read, search] = NAMES;
    [
        tool::<ListArgs>(folder, list, "Lists files, or counts them by language.", Folder::list),
        tool::<ReadArgs>(folder, read, "Reads a piece of a text file.", Folder::read),
        tool::<SearchArgs>(folder, search, "Finds lines by a regular expression.", Folder::search),
    ]
}

fn tool<A>(
    folder: &Arc<Folder>,
    name: &'static str,
    description: &'static str,
    operation: Operation<A>,
) -> Arc<dyn Tool>
where
    A: DeserializeOwned + JsonSchema + Send + Sync + 'static,
{
    Arc::new(FileTool { name, description, folder: folder.clone(), operation })
}

#[async_trait]
impl<A> Tool for FileTool<A>
where
    A: DeserializeOwned + JsonSchema + Send + Sync + 'static,
{
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<A>(self.name, self.description)
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let args: A = parse_args(self.name, args)?;
        let (folder, operation) = (self.folder.clone(), self.operation);
        // The thread outlives a call that is dropped, so it asks for itself whether to go on.
        let token = cx.token().child_token();
        let guard = token.clone().drop_guard();
        let work = move || operation(&folder, &args, &|| token.is_cancelled());
        let answer = tokio::task::spawn_blocking(work).await.map_err(ToolError::failed)?;
        drop(guard);
        answer.map(ToolOutput::text).map_err(ToolError::failed)
    }

    /// The operations bound their answers in bytes and say what they left out, and a token is a byte
    /// at least.
    fn answer_tokens(&self) -> Option<usize> {
        Some(ANSWER_MAX)
    }
}
