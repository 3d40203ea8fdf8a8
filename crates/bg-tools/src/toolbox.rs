//! The toolbox: names to tools, and the walls around every call.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bg_core::{PanicReport, text};
use futures_util::FutureExt;
use serde::Serialize;
use serde_json::Value;

use crate::args::{parse_json, plain_text};
use crate::budget::Budget;
use crate::definition::{ToolDefinition, is_tool_name};
use crate::error::ToolError;
use crate::told::Claims;
use crate::tool::{Tool, ToolContext, ToolOutput, ToolSource};

/// The tools that a caller may use.
///
/// Whatever a model sends, a call ends with an answer or a [`ToolError`]: arguments are checked for
/// size and depth before they are parsed, every call has a deadline, panics are caught. No answer is
/// larger than its [`Budget`].
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
    sources: Vec<Arc<dyn ToolSource>>,
    deadline: Duration,
    longest: Option<Duration>,
    budget: Budget,
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

    /// How long after its deadline a call that has not answered is given up. Until then a tool can
    /// answer what it knows.
    pub const SLACK: Duration = Duration::from_millis(100);

    /// Makes an empty toolbox.
    pub fn new() -> Self {
        let (deadline, budget) = (Self::DEFAULT_DEADLINE, Budget::default());
        Self { tools: BTreeMap::new(), sources: Vec::new(), deadline, longest: None, budget }
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

    /// Adds tools that come and go. A tool that was added by itself hides one of the same name.
    pub fn with_source(mut self, source: impl ToolSource) -> Self {
        self.sources.push(Arc::new(source));
        self
    }

    /// Sets how long a call may take, if its tool does not say.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets how long a call may take, whatever its tool says. At that time a wait answers that it
    /// timed out, and a command or an agent in the foreground goes on in the background.
    pub fn longest_call(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }

    /// Sets how large an answer may be, if its tool does not say.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Returns how large an answer may be, if its tool does not say.
    pub fn answer_budget(&self) -> &Budget {
        &self.budget
    }

    /// Returns a toolbox with these tools only, and none that come and go.
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
        Ok(Self { tools, sources: Vec::new(), ..self.clone() })
    }

    /// Returns whether there is a tool with this name.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Returns how long a call of this tool may take, if the tool says so itself.
    pub fn deadline_of(&self, name: &str) -> Option<Duration> {
        // What a host's own code says may panic.
        let own = || self.find(name).and_then(|tool| tool.deadline());
        std::panic::catch_unwind(AssertUnwindSafe(own)).ok().flatten()
    }

    fn find(&self, name: &str) -> Option<Arc<dyn Tool>> {
        let own = self.tools.get(name).cloned();
        own.or_else(|| self.sources.iter().find_map(|source| source.tool(name)))
    }

    /// Returns the names, sorted, without those of tools that come and go.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    /// Returns the definitions of the tools that there are now, sorted by name.
    pub fn definitions(&self) -> Vec<ToolDefinition> {
        let coming = self.sources.iter().flat_map(|source| source.tools());
        let coming = coming.map(|tool| (tool.definition().name.clone(), tool));
        let mut tools: BTreeMap<String, Arc<dyn Tool>> = coming.collect();
        tools.extend(self.tools.iter().map(|(name, tool)| (name.clone(), tool.clone())));
        tools.values().map(|tool| tool.definition()).collect()
    }

    /// Calls a tool with arguments as a model wrote them.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop as far as delivery goes: an outcome that was claimed for the answer goes back to
    /// the inbox. What else the tool had begun is up to the tool.
    pub async fn call(&self, cx: &ToolContext, name: &str, args: &str) -> Called {
        let mut claims = Claims::new(cx.told());
        let result = self.answer(cx, name, args).await.map(|mut output| {
            claims.take(&mut output);
            output
        });
        Called { result, claims, budget: self.budget_of(name) }
    }

    async fn answer(
        &self,
        cx: &ToolContext,
        name: &str,
        args: &str,
    ) -> Result<ToolOutput, ToolError> {
        let tool = self.find(name).ok_or_else(|| self.unknown(name))?;
        // All that is the tool's own may panic: what it makes of a text, its deadline, its call
        // before it gives a future, its future, and that future's end.
        let call = AssertUnwindSafe(async {
            let args = read(&*tool, name, args)?;
            let wanted = tool.deadline().unwrap_or(self.deadline);
            let deadline = self.longest.map_or(wanted, |longest| longest.min(wanted));
            let cx = cx.for_call(deadline, self.budget_of(name));
            let late = |_| ToolError::Deadline { tool: name.to_owned(), deadline };
            let call = async { tool.call(&cx, args).await };
            tokio::time::timeout(deadline.saturating_add(Self::SLACK), call).await.map_err(late)?
        });
        call.catch_unwind().await.unwrap_or_else(|payload| Err(panicked(name, payload)))
    }

    fn budget_of(&self, name: &str) -> Budget {
        // What a host's own code says may panic too.
        let own = || self.find(name).and_then(|tool| tool.answer_tokens());
        let own = std::panic::catch_unwind(AssertUnwindSafe(own)).ok().flatten();
        own.map_or_else(|| self.budget.clone(), |tokens| self.budget.with_tokens(tokens))
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

/// Reads the arguments: a plain text if it is one and the tool takes it, else JSON.
fn read(tool: &dyn Tool, name: &str, args: &str) -> Result<Value, ToolError> {
    let of_text = plain_text(args).and_then(|text| tool.plain_text(&text));
    of_text.map_or_else(|| parse_json(name, args), Ok)
}

fn panicked(tool: &str, payload: Box<dyn Any + Send>) -> ToolError {
    let message = PanicReport::of(payload).message;
    ToolError::Panicked { tool: tool.to_owned(), message }
}

/// What a call came to. What its answer delivers is acknowledged by [`into_wire`](Self::into_wire);
/// dropping it takes that back.
#[derive(Debug)]
#[must_use = "dropping it gives back the outcomes that the answer delivers"]
pub struct Called {
    /// The answer.
    pub result: Result<ToolOutput, ToolError>,
    /// What the answer delivers. A careful host keeps it until its turn is committed.
    pub claims: Claims,
    budget: Budget,
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
        self.claims.ack();
        wire
    }

    /// Returns the answer and leaves the claims alone.
    pub fn to_wire(&self) -> Wire {
        match &self.result {
            Ok(ToolOutput { text: full, .. }) => {
                let output = self.budget.cut(full);
                let full_output = (output.len() != full.len()).then(|| full.clone());
                Wire { output, success: true, full_output }
            }
            Err(error) => {
                let output = self.budget.cut(&error.to_text());
                Wire { output, success: false, full_output: None }
            }
        }
    }
}
