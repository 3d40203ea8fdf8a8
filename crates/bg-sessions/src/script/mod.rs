//! A model that follows a script.

mod parse;
mod template;

use std::str::FromStr;

use async_trait::async_trait;
use bg_core::Usage;
use tokio_util::sync::CancellationToken;

pub use parse::{ScriptError, ScriptProblem};
use template::{Hole, Template};

use crate::message::{Message, Part, Role, ToolCall};
use crate::model::{Model, ModelError, ModelInfo, ModelReply, ModelRequest};

/// What a [`ScriptModel`] does: some turns of calls, then one that says something or fails.
///
/// The text form, line by line:
///
/// - `call TOOL {...}` calls a tool with one JSON object.
/// - `also TOOL {...}` is one more call in the same turn as the line before.
/// - `say TEXT` is the answer: the rest of the line and all lines after it. In it, `{{n}}` stands
///   for what the n-th call answered, counted from 1, and `{{prompt}}` for the text that the
///   conversation begins with. Other braces are braces.
/// - `fail TEXT` in place of `say`: the model fails with this text.
/// - Blank lines, and lines that begin with `#`, are skipped up to there.
///
/// # Examples
///
/// ```
/// use bg_sessions::Script;
///
/// let script: Script = "call Read {\"path\": \"a\"}\nalso Read {\"path\": \"b\"}\nsay {{1}}{{2}}".parse()?;
/// assert_eq!(script.calls(), 2);
///
/// let error = "call Read {}\nsay {{9}}".parse::<Script>().unwrap_err();
/// assert_eq!(error.to_string(), "line 2, column 5: {{9}} stands for call 9, but the calls are 1");
/// # Ok::<(), bg_sessions::ScriptError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The calls of each turn but the last.
    turns: Vec<Vec<ToolCall>>,
    end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Say(Template),
    Fail(Template),
}

impl Script {
    /// Returns how many calls it makes.
    pub fn calls(&self) -> usize {
        self.turns.iter().map(Vec::len).sum()
    }

    /// Returns the names of the tools that it calls, in its order.
    pub fn tool_names(&self) -> impl Iterator<Item = &str> {
        self.turns.iter().flatten().map(|call| call.name.as_str())
    }

    fn end(&self, messages: &[Message]) -> Result<ModelReply, ModelError> {
        let filling = |hole| match hole {
            Hole::Output(call) => output_of(call, messages).to_owned(),
            Hole::Prompt => prompt_of(messages),
        };
        match &self.end {
            End::Say(text) => Ok(ModelReply::say(text.fill(filling))),
            End::Fail(text) => Err(ModelError::fatal(text.fill(filling))),
        }
    }
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        parse::parse(text)
    }
}

/// A call of the script by its number; the id says which one it is.
fn numbered_call(number: usize, name: &str, args: &str) -> ToolCall {
    ToolCall::new(call_id(number), name, args)
}

fn call_id(number: usize) -> String {
    format!("call_{number}")
}

/// Finds what a call answered.
fn output_of(call: usize, messages: &[Message]) -> &str {
    let id = call_id(call);
    let parts = messages.iter().flat_map(|message| &message.parts);
    let mut results = parts.filter_map(Part::as_tool_result);
    let result = results.find(|result| result.call_id == id);
    result.map_or("(no result)", |result| &result.output)
}

/// Returns what the conversation begins with: what comes later from the user may be the results of
/// background work, and an answer that is asked for again because of them stays the same.
fn prompt_of(messages: &[Message]) -> String {
    let parts = messages.first().map_or(&[][..], |message| &message.parts);
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n\n")
}

/// A model that follows a [`Script`]: for hosts without a provider, for demonstrations and tests.
///
/// It keeps no state: where it stands in the script follows from the number of assistant messages
/// in the request, what the calls answered from their results. So a script is one whole conversation;
/// for a prompt in the middle of one, a host passes on what follows from there. A request in which it
/// may not call makes it say its text at once; `(no result)` stands for what has not been called.
///
/// It is no language model and counts no tokens: a turn costs one request.
///
/// # Examples
///
/// ```
/// use bg_sessions::{Message, Model, ModelRequest, Part, ScriptModel};
/// use tokio_util::sync::CancellationToken;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let model = ScriptModel::new("call Read {}\nsay got: {{1}}".parse()?);
/// let request = ModelRequest::new(vec![Message::user(vec![Part::text("go")])]);
/// let reply = model.complete(request, CancellationToken::new()).await?;
/// assert_eq!(reply.text(), "got: (no result)");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ScriptModel(Script);

impl ScriptModel {
    /// Makes a model that follows a script.
    pub fn new(script: Script) -> Self {
        Self(script)
    }

    fn turn(&self, request: &ModelRequest) -> Result<ModelReply, ModelError> {
        let is_turn = |message: &&Message| message.role == Role::Assistant;
        let position = request.messages.iter().filter(is_turn).count();
        match self.0.turns.get(position) {
            Some(calls) if request.may_call && !request.tools.is_empty() => {
                Ok(ModelReply::call(calls.iter().cloned()))
            }
            _ => self.0.end(&request.messages),
        }
    }
}

#[async_trait]
impl Model for ScriptModel {
    fn info(&self) -> ModelInfo {
        ModelInfo::new("script")
    }

    async fn complete(
        &self,
        request: ModelRequest,
        _: CancellationToken,
    ) -> Result<ModelReply, ModelError> {
        let mut usage = Usage::default();
        usage.requests = 1;
        Ok(self.turn(&request)?.with_usage(usage))
    }
}
