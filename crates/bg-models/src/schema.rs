//! How a model is told of the schema of its answer.

use serde_json::Value;

/// Servers that hold a model to the schema with a grammar hold its calls of tools to it too, and so
/// keep it from calling any: beside tools the model is told in words.
pub(crate) fn with_schema(instructions: &str, schema: &Value) -> String {
    let separator = if instructions.is_empty() { "" } else { "\n\n" };
    format!(
        "{instructions}{separator}Your final answer, the one without calls of tools, has to be JSON \
         alone, without a fence, that fits this JSON Schema:\n{schema}"
    )
}
