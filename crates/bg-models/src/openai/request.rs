//! What a server is asked, as JSON.

use std::borrow::Cow;

use bg_sessions::{Effort, ModelRequest};
use bg_tools::ToolDefinition;
use serde::Serialize;
use serde_json::{Value, json};

use super::dialect::Dialect;
use super::messages::{WireMessage, messages};
use crate::schema::with_schema;

/// Name of the schema of an answer. The protocol wants one; a model may see it.
const SCHEMA_NAME: &str = "answer";

#[derive(Debug, Serialize)]
pub(crate) struct Body<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
}

/// What the settings of a model add to each request.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) model: String,
    pub(crate) max_output_tokens: Option<u32>,
    /// Whether schemas are sent in the strict form, and one for the answer beside tools.
    pub(crate) strict: bool,
    /// Whether thoughts are sent back.
    pub(crate) returns_thinking: bool,
}

impl<'a> Body<'a> {
    pub(crate) fn new(manner: &'a Manner, dialect: Dialect, request: &'a ModelRequest) -> Self {
        let limit = manner.max_output_tokens;
        let schema = request.output_schema.as_deref();
        let may_call = request.may_call && !request.tools.is_empty();
        let is_enforced = manner.strict || !may_call;
        let instructions = match schema.filter(|_| !is_enforced) {
            Some(schema) => Cow::Owned(with_schema(&request.instructions, schema)),
            None => Cow::Borrowed(&*request.instructions),
        };
        Self {
            model: &manner.model,
            messages: messages(instructions, &request.messages, manner.returns_thinking),
            stream: true,
            stream_options: dialect.has_stream_options.then(|| json!({"include_usage": true})),
            tools: request.tools.iter().map(|tool| wire_tool(tool, manner.strict)).collect(),
            // The tools stay: the conversation may have calls of them.
            tool_choice: (!may_call && !request.tools.is_empty()).then_some("none"),
            response_format: schema
                .filter(|_| is_enforced)
                .map(|schema| response_format(schema, manner.strict)),
            reasoning_effort: request.effort.filter(|effort| dialect.has(*effort)).map(wire_effort),
            max_tokens: limit.filter(|_| !dialect.says_completion_tokens),
            max_completion_tokens: limit.filter(|_| dialect.says_completion_tokens),
        }
    }
}

fn wire_tool(tool: &ToolDefinition, strict: bool) -> Value {
    let strict_form = strict.then(|| tool.strict());
    let parameters = &strict_form.as_ref().unwrap_or(tool).parameters;
    let mut function = json!({
        "name": tool.name,
        "description": tool.description,
        "parameters": parameters,
    });
    if strict {
        function["strict"] = Value::Bool(true);
    }
    json!({"type": "function", "function": function})
}

/// The schema goes as it is: in the strict form null would say "absent", and whoever checks the
/// answer checks it against the original. So `strict` is claimed only where that is the strict form.
fn response_format(schema: &Value, strict: bool) -> Value {
    let mut json_schema = json!({"name": SCHEMA_NAME, "schema": schema});
    if strict {
        json_schema["strict"] = Value::Bool(is_strict(schema));
    }
    json!({"type": "json_schema", "json_schema": json_schema})
}

fn is_strict(schema: &Value) -> bool {
    let mut form = ToolDefinition::of::<()>(SCHEMA_NAME, "");
    form.parameters = schema.clone();
    form.strict().parameters == *schema
}

/// The protocol has no word for more than high that most servers know.
fn wire_effort(effort: Effort) -> &'static str {
    match effort {
        Effort::Max => Effort::High.as_str(),
        other => other.as_str(),
    }
}
