//! What a model is told about a tool.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Name, description and argument schema of a tool, in the form that model providers take.
///
/// # Examples
///
/// ```
/// use bg_tools::ToolDefinition;
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Args {
///     /// Where to look.
///     path: String,
/// }
///
/// let definition = ToolDefinition::of::<Args>("Look", "Looks.");
/// assert_eq!(definition.parameters["required"], serde_json::json!(["path"]));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolDefinition {
    /// The name, by which a model calls it.
    pub name: String,
    /// What it does, and when not to call it.
    pub description: String,
    /// JSON Schema of the arguments.
    pub parameters: Value,
}

impl ToolDefinition {
    /// Makes a definition whose schema is derived from the type that parses the arguments.
    pub fn of<A: JsonSchema>(name: impl Into<String>, description: impl Into<String>) -> Self {
        let settings = SchemaSettings::draft2020_12().with(|s| {
            s.meta_schema = None;
            s.inline_subschemas = true;
        });
        let mut parameters = settings.into_generator().into_root_schema_for::<A>().to_value();
        if let Some(object) = parameters.as_object_mut() {
            // The name of a Rust type, and the type's own comment: a model has no use for them.
            object.remove("title");
            object.remove("description");
            object.entry("properties").or_insert_with(|| Value::Object(serde_json::Map::new()));
        }
        Self { name: name.into(), description: description.into(), parameters }
    }
}

/// Returns whether a name can be that of a tool: `[A-Za-z][A-Za-z0-9_-]{0,63}`.
pub fn is_tool_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 64
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
