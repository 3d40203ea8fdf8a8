//! The toolbox: names to tools, and the walls around every call.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bg_core::{Claim, PanicReport, text};
use futures_util::FutureExt;
use serde::Serialize;

use crate::args::parse_json;
use crate::definition::{ToolDefinition, is_tool_name};
use crate::error::ToolError;
use crate::tool::{Tool, ToolContext, ToolOutput};

/// The tools that a caller may use.
///
/// Whatever a model sends, a call ends with an answer or a [`ToolError`]: arguments are checked for
/// size and depth before they are parsed, every call has a deadline, panics are caught.
///
/// # Examples
///
/// ```
/// use bg_core::Registry;
/// use bg_tools::{ToolContext, Toolbox, task_tools};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bg_tools::ToolboxError> {
/// let registry = Registry::new();
/// let toolbox = Toolbox::new().with_all(task_tools())?;
/// let cx = ToolContext::new(registry.root_scope());
/// let called = toolbox.call(&cx, "ListBackgroundTasks", "{}").await;
/// assert_eq!(called.into_wire().output, "[]");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Toolbox {
    tools: BTreeMap<String, Arc<dyn Tool>>,
    deadline: Duration,
}

/// A toolbox could not be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolboxError {
    /// The name cannot be that of a tool.
    #[error("\"{0}\" cannot be the name of a tool: [A-Za-z][A-Za-z0-9_-]{{0,63}}")]
    InvalidName(String),
    /// Two tools have this name.
    #[error("there are two tools with the name \"{0}\"")]
    DuplicateName(String),
    /// There is no tool with this name.
    #[error("there is no tool with the name \"{0}\"")]
    UnknownName(String),
}

impl Toolbox {
    /// How long a call may take unless the tool or the host says otherwise.
    pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(120);

    /// Longest answer that is passed on whole, in bytes.
    pub const MAX_ANSWER_BYTES: usize = 64 << 10;

    /// Makes an empty toolbox.
    pub fn new() -> Self {
        Self { tools: BTreeMap::new(), deadline: Self::DEFAULT_DEADLINE }
    }

    /// Adds a tool.
    ///
    /// # Errors
    ///
    /// [`ToolboxError`] if its name is taken or cannot be one.
    pub fn with(self, tool: impl Tool) -> Result<Self, ToolboxError> {
        self.with_all([Arc::new(tool) as Arc<dyn Tool>])
    }

    /// Adds tools.
    ///
    /// # Errors
    ///
    /// [`ToolboxError`] if a name is taken or cannot be one.
    pub fn with_all(
        mut self,
        tools: impl IntoIterator<Item = Arc<dyn Tool>>,
    ) -> Result<Self, ToolboxError> {
        for tool in tools {
            let name = tool.definition().name;
            if !is_tool_name(&name) {
                return Err(ToolboxError::InvalidName(name));
            }
            if self.tools.insert(name.clone(), tool).is_some() {
                return Err(ToolboxError::DuplicateName(name));
            }
        }
        Ok(self)
    }

    /// Sets how long a call may take.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Returns a toolbox with these tools only.
    ///
    /// # Errors
    ///
    /// [`ToolboxError::UnknownName`].
    pub fn select<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ToolboxError> {
        let pick = |name: &str| {
            let unknown = || ToolboxError::UnknownName(name.to_owned());
            Ok((name.to_owned(), self.tools.get(name).ok_or_else(unknown)?.clone()))
        };
        let tools = names.into_iter().map(pick).collect::<Result<_, ToolboxError>>()?;
        Ok(Self { tools, deadline: self.deadline })
    }

    /// Returns whether there is a tool with this name.
    pub fn contains(&self, name: &str) -> bool {
        self.tools.contains_key(name)
    }

    /// Returns the names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    /// Returns the definitions, sorted by name.
    pub fn definitions(&self) -> Vec<ToolDefinition> {
        self.tools.values().map(|tool| tool.definition()).collect()
    }

    /// Calls a tool with arguments as a model wrote them.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop as far as delivery goes: an outcome that was claimed for the answer goes back to
    /// the inbox. What else the tool had begun is up to the tool.
    pub async fn call(&self, cx: &ToolContext, name: &str, args: &str) -> Called {
        match self.answer(cx, name, args).await {
            Ok(mut output) => {
                let claims = std::mem::take(&mut output.claims);
                Called { result: Ok(output), claims }
            }
            Err(error) => Called { result: Err(error), claims: Vec::new() },
        }
    }

    async fn answer(
        &self,
        cx: &ToolContext,
        name: &str,
        args: &str,
    ) -> Result<ToolOutput, ToolError> {
        let tool = self.tools.get(name).ok_or_else(|| self.unknown(name))?;
        let args = parse_json(name, args)?;
        // All that is the tool's own may panic: its deadline, its call before it gives a future,
        // its future, and that future's end.
        let call = AssertUnwindSafe(async {
            let deadline = tool.deadline().unwrap_or(self.deadline);
            let late = |_| ToolError::Deadline { tool: name.to_owned(), deadline };
            let call = async { tool.call(cx, args).await };
            tokio::time::timeout(deadline, call).await.map_err(late)?
        });
        call.catch_unwind().await.unwrap_or_else(|payload| Err(panicked(name, payload)))
    }

    fn unknown(&self, name: &str) -> ToolError {
        let name = text::prefix(name, 64).escape_default().to_string();
        let known = match self.names().collect::<Vec<_>>().join(", ") {
            names if names.is_empty() => "there are no tools".to_owned(),
            names => format!("the tools are: {names}"),
        };
        ToolError::UnknownTool { name, known }
    }
}

impl Default for Toolbox {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Toolbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Toolbox").field("tools", &self.tools.keys()).finish_non_exhaustive()
    }
}

fn panicked(tool: &str, payload: Box<dyn Any + Send>) -> ToolError {
    let message = PanicReport::of(payload).message;
    ToolError::Panicked { tool: tool.to_owned(), message }
}

/// What a call came to. The outcomes that its answer delivers are acknowledged by
/// [`into_wire`](Self::into_wire); dropping them gives them back.
#[derive(Debug)]
#[must_use = "dropping it gives back the outcomes that the answer delivers"]
pub struct Called {
    /// The answer.
    pub result: Result<ToolOutput, ToolError>,
    /// The outcomes that the answer delivers. A careful host keeps them until its turn is committed.
    pub claims: Vec<Claim>,
}

/// A call's answer as it goes into a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wire {
    /// What the model reads.
    pub output: String,
    /// Whether the call worked.
    pub success: bool,
    /// The whole answer, if `output` was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_output: Option<String>,
}

impl Called {
    /// Acknowledges what the answer delivers, and returns the answer.
    pub fn into_wire(self) -> Wire {
        let wire = self.to_wire();
        for claim in self.claims {
            claim.ack();
        }
        wire
    }

    /// Returns the answer and leaves the claims alone.
    pub fn to_wire(&self) -> Wire {
        match &self.result {
            Ok(output) => Wire::answer(&output.text),
            Err(error) => Wire { output: error.to_text(), success: false, full_output: None },
        }
    }
}

impl Wire {
    fn answer(full: &str) -> Self {
        let output = text::cut(full.to_owned(), Toolbox::MAX_ANSWER_BYTES);
        let full_output = (output.len() != full.len()).then(|| full.to_owned());
        Self { output, success: true, full_output }
    }
}
