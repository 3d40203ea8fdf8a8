//! What a call of the manager may say.

use std::borrow::Cow;

use bg_tools::{BoolArg, CountArg, ToolError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::ManageAgents;
use crate::agent_tool::{CallArgs, EffortArg};
use crate::spec::AgentSpec;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    /// Default upsert.
    pub(super) operation: Option<Operation>,
    /// Lower case, digits and _; of a list, a part of the names.
    pub(super) name: Option<String>,
    /// What it is good for.
    description: Option<String>,
    /// What it is told before its task.
    instructions: Option<String>,
    tools: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    /// JSON Schema, if it is to answer in JSON.
    output_schema: Option<SchemaArg>,
    /// A label; empty: the default.
    model: Option<String>,
    effort: Option<EffortArg>,
    /// How long its sessions wait for input, in seconds.
    idle_timeout: Option<CountArg<0, 3600>>,
    /// Run this at once.
    task: Option<String>,
    /// The session of the task; without one it runs once.
    session: Option<String>,
    /// Keep it after a restart.
    persist: Option<BoolArg>,
}

/// What is to be done. Words that mean the same are taken, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Upsert,
    List,
    Get,
    Remove,
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        match word.trim().to_ascii_lowercase().as_str() {
            "" | "upsert" | "create" | "update" => Ok(Self::Upsert),
            "list" | "status" | "catalog" => Ok(Self::List),
            "get" => Ok(Self::Get),
            "remove" => Ok(Self::Remove),
            _ => Err(D::Error::custom("expected upsert, list, get or remove")),
        }
    }
}

impl JsonSchema for Operation {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Operation".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"enum": ["upsert", "list", "get", "remove"]})
    }
}

/// A schema as a model writes it: an object, or the text of one; an empty text is none.
#[derive(Debug)]
struct SchemaArg(Option<Value>);

impl<'de> Deserialize<'de> for SchemaArg {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || D::Error::custom("expected a JSON Schema: an object, or the text of one");
        let value = match Value::deserialize(deserializer)? {
            Value::String(text) if text.trim().is_empty() => return Ok(Self(None)),
            Value::String(text) => serde_json::from_str(&text).map_err(|_| wrong())?,
            value => value,
        };
        if value.is_object() { Ok(Self(Some(value))) } else { Err(wrong()) }
    }
}

impl JsonSchema for SchemaArg {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OutputSchema".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // As text: providers that are strict take no object without known fields.
        json_schema!({"type": "string"})
    }
}

impl Args {
    pub(super) fn persist(&self) -> bool {
        self.persist == Some(BoolArg(true))
    }

    /// Returns what is to be run at once.
    pub(super) fn call(&self) -> Option<CallArgs> {
        let prompt = self.task.clone().filter(|task| !task.trim().is_empty())?;
        let session = self.session.clone();
        Some(CallArgs { prompt, session, background: None, model: None, effort: None })
    }

    /// Returns the name in lower case.
    ///
    /// # Errors
    ///
    /// If it was left out.
    pub(super) fn required_name(&self) -> Result<String, ToolError> {
        let name = self.name.as_deref().unwrap_or("").trim().to_ascii_lowercase();
        if name.is_empty() {
            return Err(ToolError::argument(ManageAgents::NAME, "missing required field `name`"));
        }
        Ok(name)
    }

    /// Returns the definition after the change: what was left out stays as it is.
    pub(super) fn applied_to(self, mut spec: AgentSpec) -> AgentSpec {
        replace(&mut spec.description, self.description);
        replace(&mut spec.instructions, self.instructions);
        replace(&mut spec.tools, self.tools);
        replace(&mut spec.tags, self.tags);
        replace(&mut spec.output_schema, self.output_schema.map(|schema| schema.0));
        replace(&mut spec.effort, self.effort.map(EffortArg::effort));
        let label = self.model.map(|label| Some(label).filter(|label| !label.trim().is_empty()));
        replace(&mut spec.model, label);
        replace(
            &mut spec.idle_timeout_secs,
            self.idle_timeout.map(|secs| Some(secs.get()).filter(|secs| *secs > 0)),
        );
        spec
    }
}

fn replace<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
