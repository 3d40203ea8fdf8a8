//! The definition of an agent.

use std::num::NonZeroU32;
use std::time::Duration;

use bg_core::text;
use bg_tools::Resource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::effort::Effort;

/// What an agent is: its name, what it is told, and what it may use.
///
/// A spec is plain data that can be stored. It is checked when it is given to
/// [`AgentsBuilder::build`](crate::AgentsBuilder::build).
///
/// # Examples
///
/// ```
/// use bg_sessions::AgentSpec;
///
/// let spec = AgentSpec::new("explore")
///     .with_instructions("Answer from the files alone.")
///     .with_tools(["Read", "Grep"]);
/// assert_eq!(spec.summary(), "Delegated subagent worker.");
/// assert!(spec.check().is_ok());
/// assert!(AgentSpec::new("Not a name").check().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AgentSpec {
    /// The name; see [`is_agent_name`] for what it can be.
    pub name: String,
    /// What it is good for, read by those who may call it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it is told before its prompt.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instructions: String,
    /// The names of the tools that it may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// Words by which a host sorts agents, and which say what resources it receives: those that
    /// share a tag with it, all of them if one of its tags is `*`, none if it has no tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The label of its model; `None` for the host's default model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How hard its model thinks; `None` for the model's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// JSON Schema of its answer, if that is to be JSON. An answer that is no JSON may be given once
    /// more, with what is wrong with the first, and then the run fails. With the feature `validate`
    /// that holds for an answer that is not of the schema too, the draft is the one that `$schema`
    /// names (2020-12 if it names none), and a schema that cannot be used is refused with its
    /// definition; `$ref` reaches only what is in the schema, and a `pattern` cannot look around or back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// How long a session of it waits for input, in seconds; `None` or 0 for a minute. Counted as at
    /// least 1 and at most 3,600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_secs: Option<u64>,
    /// Most model turns with tools in one run; `None` for [`AgentSpec::DEFAULT_STEP_CAP`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_cap: Option<NonZeroU32>,
}

/// The spec does not define an agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The name cannot be that of an agent.
    #[error(
        "\"{}\" cannot be the name of an agent: lower-case letters, digits and underscores, \
         starting with a letter, at most {MAX_NAME_BYTES} bytes",
        .0.escape_debug()
    )]
    Name(String),
}

/// Most names of a list that a description shows.
const MAX_NAMES: usize = 8;

/// Longest description that is shown to those who choose among agents, in bytes.
const MAX_SUMMARY_BYTES: usize = 400;

/// A list of names as a fact; `None` if it is empty.
fn fact(what: &str, names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| format!("{what}: {}", listed(names)))
}

/// The first names of a list, and how many more there are.
pub(crate) fn listed(names: &[String]) -> String {
    let shown = names.iter().take(MAX_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Longest name of an agent, in bytes: `SA_<name>` has to fit in the name of a tool.
const MAX_NAME_BYTES: usize = 61;

/// Returns whether a name can be that of an agent: `[a-z][a-z0-9_]{0,60}`.
///
/// # Examples
///
/// ```
/// use bg_sessions::is_agent_name;
///
/// assert!(is_agent_name("test_writer"));
/// assert!(!is_agent_name("2nd"));
/// ```
pub fn is_agent_name(name: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    name.len() <= MAX_NAME_BYTES
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(is_inner)
}

impl AgentSpec {
    /// Most model turns with tools in one run, unless the spec says otherwise.
    pub const DEFAULT_STEP_CAP: NonZeroU32 = NonZeroU32::new(30).unwrap();

    /// How long a session waits for input unless the spec says otherwise, in seconds.
    const DEFAULT_IDLE_SECS: u64 = 60;

    /// Longest time that it waits, in seconds.
    const MAX_IDLE_SECS: u64 = 3600;

    /// What is shown of an agent without a description.
    pub const DEFAULT_DESCRIPTION: &str = "Delegated subagent worker.";

    /// Defines an agent without tools or instructions on the host's default model.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            instructions: String::new(),
            tools: Vec::new(),
            tags: Vec::new(),
            model: None,
            effort: None,
            output_schema: None,
            idle_timeout_secs: None,
            step_cap: None,
        }
    }

    /// Says what it is good for.
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Says what it is told before its prompt.
    pub fn with_instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = instructions.into();
        self
    }

    /// Names the tools that it may use.
    pub fn with_tools(mut self, tools: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tools = tools.into_iter().map(Into::into).collect();
        self
    }

    /// Names the words by which a host sorts agents, and which say what resources it receives.
    pub fn with_tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Names its model by a label of the host's [`Models`](crate::Models).
    pub fn with_model(mut self, label: impl Into<String>) -> Self {
        self.model = Some(label.into());
        self
    }

    /// Says how hard its model thinks.
    pub fn with_effort(mut self, effort: Effort) -> Self {
        self.effort = Some(effort);
        self
    }

    /// Asks for an answer in JSON, of this schema.
    pub fn with_output_schema(mut self, schema: Value) -> Self {
        self.output_schema = Some(schema);
        self
    }

    /// Says how long a session of it waits for input, in seconds.
    pub fn with_idle_timeout_secs(mut self, secs: u64) -> Self {
        self.idle_timeout_secs = Some(secs);
        self
    }

    /// Returns how long a session of it waits for input.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use bg_sessions::AgentSpec;
    ///
    /// let spec = AgentSpec::new("explore");
    /// assert_eq!(spec.idle_timeout(), Duration::from_secs(60));
    /// assert_eq!(spec.with_idle_timeout_secs(9000).idle_timeout(), Duration::from_secs(3600));
    /// ```
    pub fn idle_timeout(&self) -> Duration {
        let secs = self.idle_timeout_secs.filter(|secs| *secs > 0);
        Duration::from_secs(secs.unwrap_or(Self::DEFAULT_IDLE_SECS).clamp(1, Self::MAX_IDLE_SECS))
    }

    /// Bounds the model turns with tools of one run.
    pub fn with_step_cap(mut self, cap: NonZeroU32) -> Self {
        self.step_cap = Some(cap);
        self
    }

    /// Returns the description, or [`DEFAULT_DESCRIPTION`](Self::DEFAULT_DESCRIPTION) in place of a
    /// blank one.
    pub fn summary(&self) -> &str {
        match self.description.trim() {
            "" => Self::DEFAULT_DESCRIPTION,
            description => description,
        }
    }

    /// Returns what somebody has to know who chooses among agents: what it is good for, its tags and
    /// tools, whether it answers in JSON, its model, effort and idle timeout. Of each list 8 names are shown, and
    /// the others are counted.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_sessions::{AgentSpec, Effort};
    ///
    /// let spec = AgentSpec::new("explore").with_tools(["Read", "Grep"]).with_effort(Effort::Low);
    /// assert_eq!(spec.routing(), "Delegated subagent worker. Tools: Read, Grep. Effort: low.");
    /// ```
    pub fn routing(&self) -> String {
        let summary = text::excerpt(self.summary(), MAX_SUMMARY_BYTES);
        let summary = summary.trim_end_matches('.');
        let facts = [
            Some(summary.to_owned()),
            fact("Tags", &self.tags),
            fact("Tools", &self.tools),
            self.output_schema.as_ref().map(|_| "Returns structured output".to_owned()),
            self.model.as_ref().map(|model| format!("Model: {model}")),
            self.effort.map(|effort| format!("Effort: {effort}")),
            self.idle_timeout_secs
                .map(|_| format!("Idle timeout: {} s", self.idle_timeout().as_secs())),
        ];
        facts.into_iter().flatten().map(|fact| fact + ".").collect::<Vec<_>>().join(" ")
    }

    /// Returns whether the agent receives a resource, by its tags: those that
    /// [`select_resources`](bg_tools::select_resources) would move out for them.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_sessions::AgentSpec;
    /// use bg_tools::Resource;
    ///
    /// let chart = Resource::new("chart.png").with_bytes([1]).with_tags(["image"]);
    /// assert!(AgentSpec::new("see").with_tags(["Image"]).takes(&chart));
    /// assert!(AgentSpec::new("any").with_tags(["*"]).takes(&chart));
    /// assert!(!AgentSpec::new("read").takes(&chart));
    /// ```
    pub fn takes(&self, resource: &Resource) -> bool {
        resource.is_for(&self.tags)
    }

    /// Checks what can be checked without a host.
    ///
    /// # Errors
    ///
    /// [`SpecError::Name`].
    pub fn check(&self) -> Result<(), SpecError> {
        if is_agent_name(&self.name) {
            return Ok(());
        }
        Err(SpecError::Name(self.name.clone()))
    }
}
