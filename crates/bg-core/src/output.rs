//! What a completed task hands back.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::breakdown::Breakdown;

/// The result of a task that ended well, and the partial result of one that did not.
///
/// Most tasks leave a text and nothing else, so everything else lies out of the way, and costs
/// nothing until it is set.
///
/// # Examples
///
/// ```
/// use bg_core::Output;
///
/// let output = Output::text("found 42 tests").with_data(serde_json::json!({"tests": 42}));
/// assert_eq!(output.text, "found 42 tests");
/// assert_eq!(output.data(), Some(&serde_json::json!({"tests": 42})));
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Whole")]
#[non_exhaustive]
pub struct Output {
    /// The result in words.
    pub text: String,
    /// Made when the first of it is set.
    more: Option<Box<More>>,
}

/// What few tasks leave beside a text.
#[derive(Clone, Debug, PartialEq)]
struct More {
    data: Option<Value>,
    artifacts: Vec<Artifact>,
    usage: Usage,
    thoughts: Option<String>,
    model: Option<String>,
    exit: Option<Exit>,
    /// In a box of its own: a process, for example, has none.
    breakdown: Option<Box<Breakdown>>,
}

static NOTHING: More = More::NOTHING;

impl Output {
    /// Makes an output of text alone.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), more: None }
    }

    /// Makes an output of nothing but how a process exited; its text stays in the output log.
    pub fn exited(exit: Exit) -> Self {
        let mut output = Self::default();
        output.more_mut().exit = Some(exit);
        output
    }

    /// Returns the result as data, if there is any.
    pub fn data(&self) -> Option<&Value> {
        self.more().data.as_ref()
    }

    /// Returns the files and other things that were made.
    pub fn artifacts(&self) -> &[Artifact] {
        &self.more().artifacts
    }

    /// Returns what it cost, this task and its children together.
    pub fn usage(&self) -> Usage {
        self.more().usage
    }

    /// Returns what it cost, to be added to.
    pub fn usage_mut(&mut self) -> &mut Usage {
        &mut self.more_mut().usage
    }

    /// Returns what it cost by model and tool, if that is known.
    pub fn breakdown(&self) -> Option<&Breakdown> {
        self.more().breakdown.as_deref()
    }

    /// Sets what it cost by model and tool; nothing, if nothing is in it.
    pub fn set_breakdown(&mut self, breakdown: Breakdown) {
        if !breakdown.is_empty() {
            self.more_mut().breakdown = Some(Box::new(breakdown));
        } else if let Some(more) = &mut self.more {
            more.breakdown = None;
        }
    }

    /// Returns what the model thought, when it says.
    pub fn thoughts(&self) -> Option<&str> {
        self.more().thoughts.as_deref()
    }

    /// Sets what the model thought, in place of what it thought before.
    pub fn set_thoughts(&mut self, thoughts: impl Into<String>) {
        self.more_mut().thoughts = Some(thoughts.into());
    }

    /// Returns the name of the model that answered.
    pub fn model(&self) -> Option<&str> {
        self.more().model.as_deref()
    }

    /// Returns how a child process exited.
    pub fn exit(&self) -> Option<Exit> {
        self.more().exit
    }

    /// Adds data.
    pub fn with_data(mut self, data: Value) -> Self {
        self.more_mut().data = Some(data);
        self
    }

    /// Adds a thing that was made.
    pub fn with_artifact(mut self, artifact: Artifact) -> Self {
        self.more_mut().artifacts.push(artifact);
        self
    }

    /// Sets the usage.
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.more_mut().usage = usage;
        self
    }

    /// Sets what it cost by model and tool.
    pub fn with_breakdown(mut self, breakdown: Breakdown) -> Self {
        self.set_breakdown(breakdown);
        self
    }

    /// Names the model that answered.
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.more_mut().model = Some(model.into());
        self
    }

    fn more(&self) -> &More {
        self.more.as_deref().unwrap_or(&NOTHING)
    }

    fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_with(|| Box::new(More::NOTHING))
    }

    /// The bytes that its texts and data take, roughly.
    pub(crate) fn weight(&self) -> u64 {
        self.text.len() as u64 + self.unseen_weight()
    }

    /// What is there beside the text.
    pub(crate) fn unseen_weight(&self) -> u64 {
        self.more.as_ref().map_or(0, |more| more.weight())
    }
}

impl More {
    const NOTHING: Self = Self {
        data: None,
        artifacts: Vec::new(),
        usage: Usage::NOTHING,
        thoughts: None,
        model: None,
        exit: None,
        breakdown: None,
    };

    fn weight(&self) -> u64 {
        let artifacts = self.artifacts.iter().map(|artifact| {
            artifact.name.len() + artifact.uri.len() + artifact.mime.as_ref().map_or(0, String::len)
        });
        let texts = self.thoughts.as_ref().map_or(0, String::len)
            + self.model.as_ref().map_or(0, String::len);
        let data = self.data.as_ref().map_or(0, weight_of);
        let breakdown = self.breakdown.as_ref().map_or(0, |breakdown| breakdown.weight());
        (texts + artifacts.sum::<usize>() + data + breakdown) as u64
    }
}

impl PartialEq for Output {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.more() == other.more()
    }
}

/// An output as it is written.
#[derive(Serialize)]
#[serde(rename = "Output")]
struct Shown<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[Artifact]>::is_empty")]
    artifacts: &'a [Artifact],
    usage: Usage,
    #[serde(skip_serializing_if = "Option::is_none")]
    thoughts: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<Exit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breakdown: Option<&'a Breakdown>,
}

impl Serialize for Output {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = Shown {
            text: &self.text,
            data: self.data(),
            artifacts: self.artifacts(),
            usage: self.usage(),
            thoughts: self.thoughts(),
            model: self.model(),
            exit: self.exit(),
            breakdown: self.breakdown(),
        };
        shown.serialize(serializer)
    }
}

/// An output as it is read.
#[derive(Default, Deserialize)]
#[serde(default, rename = "Output")]
struct Whole {
    text: String,
    data: Option<Value>,
    artifacts: Vec<Artifact>,
    usage: Usage,
    thoughts: Option<String>,
    model: Option<String>,
    exit: Option<Exit>,
    breakdown: Option<Box<Breakdown>>,
}

impl From<Whole> for Output {
    fn from(whole: Whole) -> Self {
        let Whole { text, data, artifacts, usage, thoughts, model, exit, breakdown } = whole;
        let breakdown = breakdown.filter(|breakdown| !breakdown.is_empty());
        let more = More { data, artifacts, usage, thoughts, model, exit, breakdown };
        let more = (more != More::NOTHING).then(|| Box::new(more));
        Self { text, more }
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
    const NOTHING: Self =
        Self { input_tokens: 0, output_tokens: 0, cached_tokens: 0, requests: 0, tool_calls: 0 };

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

    /// Adds what a cumulative report has beyond what was added of earlier ones, count by count. What
    /// that was is kept in `mark`, which begins at nothing and is of the one who reports.
    ///
    /// So a report that comes twice, late or out of order adds nothing that was added before.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::Usage;
    ///
    /// let (mut total, mut mark) = (Usage::default(), Usage::default());
    /// let mut report = Usage::default();
    /// for so_far in [2, 5, 5, 3] {
    ///     report.requests = so_far;
    ///     total.add_beyond(&report, &mut mark);
    /// }
    /// assert_eq!(total.requests, 5);
    /// ```
    pub fn add_beyond(&mut self, report: &Self, mark: &mut Self) {
        let more = report.beyond(mark);
        mark.add(&more);
        self.add(&more);
    }

    /// What it has more than another, count by count.
    pub(crate) fn beyond(&self, other: &Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_sub(other.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(other.output_tokens),
            cached_tokens: self.cached_tokens.saturating_sub(other.cached_tokens),
            requests: self.requests.saturating_sub(other.requests),
            tool_calls: self.tool_calls.saturating_sub(other.tool_calls),
        }
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
