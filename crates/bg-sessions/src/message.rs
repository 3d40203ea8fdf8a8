//! The conversation with a model, in no provider's words.

use bg_tools::Resource;
use serde::{Deserialize, Serialize};

/// One message of a conversation.
///
/// What a [`ModelRequest`](crate::ModelRequest) holds alternates between the two roles and begins
/// with the user. Every call of an assistant message has its result in the message after it, in the
/// order of the calls.
///
/// # Examples
///
/// ```
/// use bg_sessions::{Message, Part, ToolCall, ToolResult};
///
/// let call = ToolCall::new("1", "Read", "{}");
/// let result = Part::ToolResult(ToolResult::new(&call, "no such file", false));
/// let conversation = [
///     Message::user(vec![Part::text("read it")]),
///     Message::assistant(vec![Part::ToolCall(call)]),
///     Message::user(vec![result]),
/// ];
/// assert_eq!(serde_json::to_value(&conversation[0])?["parts"][0]["text"], "read it");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said. Not empty in a request.
    pub parts: Vec<Part>,
}

impl Message {
    /// Makes a message of the user's side: prompts, results of calls, results of background work.
    pub fn user(parts: Vec<Part>) -> Self {
        Self { role: Role::User, parts }
    }

    /// Makes a message of the model's.
    pub fn assistant(parts: Vec<Part>) -> Self {
        Self { role: Role::Assistant, parts }
    }
}

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everybody but the model.
    User,
    /// The model.
    Assistant,
}

/// A piece of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// Text for the other side.
    Text(String),
    /// What the model thought before it spoke.
    Thinking(Thinking),
    /// The model calls a tool.
    ToolCall(ToolCall),
    /// What a call answered.
    ToolResult(ToolResult),
    /// What is attached to a prompt. In messages of the user's side only: what a model sends of
    /// them is left out.
    Resource(Resource),
}

impl Part {
    /// Makes a piece of text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Makes an attachment.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_sessions::{Message, Part};
    /// use bg_tools::Resource;
    ///
    /// let notes = Resource::new("notes.md").with_text("# Notes");
    /// let prompt = Message::user(vec![Part::text("read it"), Part::resource(notes)]);
    /// assert_eq!(serde_json::to_value(&prompt)?["parts"][1]["resource"]["name"], "notes.md");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn resource(resource: Resource) -> Self {
        Self::Resource(resource)
    }

    /// Returns the call, if it is one.
    pub fn as_tool_call(&self) -> Option<&ToolCall> {
        match self {
            Self::ToolCall(call) => Some(call),
            _ => None,
        }
    }

    /// Returns the result of a call, if it is one.
    pub fn as_tool_result(&self) -> Option<&ToolResult> {
        match self {
            Self::ToolResult(result) => Some(result),
            _ => None,
        }
    }
}

/// What a model thought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Thinking {
    /// The thought, as far as the provider shows it.
    pub text: String,
    /// What the provider wants to see again to believe that the thought is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl Thinking {
    /// Makes a thought without a signature.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), signature: None }
    }
}

/// A call of a tool as the model wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCall {
    /// By which its result refers to it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments as the model wrote them: JSON, if all is well.
    pub args: String,
}

impl ToolCall {
    /// Makes a call.
    pub fn new(id: impl Into<String>, name: impl Into<String>, args: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), args: args.into() }
    }
}

/// What a call answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolResult {
    /// The call's id.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// What the model reads.
    pub output: String,
    /// Whether the call worked.
    pub success: bool,
}

impl ToolResult {
    /// Makes the result of a call.
    pub fn new(call: &ToolCall, output: impl Into<String>, success: bool) -> Self {
        let (call_id, name) = (call.id.clone(), call.name.clone());
        Self { call_id, name, output: output.into(), success }
    }
}
