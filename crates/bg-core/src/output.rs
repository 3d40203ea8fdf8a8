//! What a completed task hands back.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The result of a task that ended well, and the partial result of one that did not.
///
/// # Examples
///
/// ```
/// use bg_core::Output;
///
/// let output = Output::text("found 42 tests").with_data(serde_json::json!({"tests": 42}));
/// assert_eq!(output.text, "found 42 tests");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Output {
    /// The result in words.
    pub text: String,
    /// The result as data, if there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Files and other things that were made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// What it cost, this task and its children together.
    pub usage: Usage,
    /// What the model thought, when it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thoughts: Option<String>,
    /// The name of the model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How a child process exited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
}

impl Output {
    /// Makes an output of text alone.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Makes an output of nothing but how a process exited; its text stays in the output log.
    pub fn exited(exit: Exit) -> Self {
        Self { exit: Some(exit), ..Self::default() }
    }

    /// The bytes that its texts and data take, roughly.
    pub(crate) fn weight(&self) -> u64 {
        let artifacts = self.artifacts.iter().map(|artifact| {
            artifact.name.len() + artifact.uri.len() + artifact.mime.as_ref().map_or(0, String::len)
        });
        let texts = self.text.len()
            + self.thoughts.as_ref().map_or(0, String::len)
            + self.model.as_ref().map_or(0, String::len);
        let data = self.data.as_ref().map_or(0, weight_of);
        (texts + artifacts.sum::<usize>() + data) as u64
    }

    /// Adds data.
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    /// Sets the usage.
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// Names the model that answered.
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }
}

/// Something that a task made and that a host can fetch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Artifact {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub uri: String,
    /// Its media type, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
}

impl Artifact {
    /// Names a thing and the place where it is.
    pub fn new(name: impl Into<String>, uri: impl Into<String>) -> Self {
        Self { name: name.into(), uri: uri.into(), mime: None }
    }
}

/// What work cost. Additions saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens sent to a model.
    pub input_tokens: u64,
    /// Tokens that a model produced.
    pub output_tokens: u64,
    /// Those of `input_tokens` that the provider had in its cache.
    pub cached_tokens: u64,
    /// Requests to a model.
    pub requests: u64,
    /// Tools called.
    pub tool_calls: u64,
}

impl Usage {
    /// Adds what something else cost.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::Usage;
    ///
    /// let mut total = Usage::default();
    /// let mut turn = Usage::default();
    /// turn.requests = 1;
    /// total.add(&turn);
    /// total.add(&turn);
    /// assert_eq!(total.requests, 2);
    /// ```
    pub fn add(&mut self, other: &Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.requests = self.requests.saturating_add(other.requests);
        self.tool_calls = self.tool_calls.saturating_add(other.tool_calls);
    }
}

/// How a child process exited: with a code, or by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code, unless a signal ended the process.
    #[serde(rename = "exit_code")]
    pub code: Option<i32>,
    /// The number of the signal that ended the process.
    pub signal: Option<i32>,
}

impl Exit {
    /// Returns whether the process exited with code 0.
    pub fn success(self) -> bool {
        self.code == Some(0)
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exited with code {code}"),
            (None, Some(signal)) => write!(f, "ended by signal {signal}"),
            (None, None) => f.write_str("ended in an unknown way"),
        }
    }
}

/// The size of a value: its texts, and a word for everything else. A work list in place of
/// recursion: how deep data nests is up to tasks.
pub(crate) fn weight_of(value: &Value) -> usize {
    let mut todo = vec![value];
    let mut weight = 0;
    while let Some(value) = todo.pop() {
        weight += size_of::<Value>();
        match value {
            Value::String(text) => weight += text.len(),
            Value::Array(items) => todo.extend(items),
            Value::Object(fields) => {
                weight += fields.keys().map(String::len).sum::<usize>();
                todo.extend(fields.values());
            }
            _ => {}
        }
    }
    weight
}
