//! JSON as the type of a tool's arguments, and errors that are fit to be read.

use std::borrow::Cow;

use bg_core::text;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ToolError;

/// Reads arguments as the type that their schema was derived from.
///
/// # Errors
///
/// [`ToolError::Arguments`] that names the tool, the field, and what would be right.
///
/// # Examples
///
/// ```
/// #[derive(Debug, serde::Deserialize)]
/// struct Args {
///     path: String,
/// }
///
/// let error = bg_tools::parse_args::<Args>("Look", serde_json::json!({"path": 7})).unwrap_err();
/// assert!(error.to_string().starts_with("Look: `path`: invalid type: integer `7`"));
/// ```
pub fn parse_args<A: DeserializeOwned>(tool: &str, args: Value) -> Result<A, ToolError> {
    // serde would read a list as the fields in their order.
    if !args.is_object() {
        let problem = format!("the arguments must be a JSON object, not {}", type_of(&args));
        return Err(ToolError::argument(tool, problem));
    }
    serde_path_to_error::deserialize(args).map_err(|error| {
        let path = error.path().to_string();
        let at_the_top = error.path().iter().count() <= 1;
        let message = error.into_inner().to_string();
        // serde says "missing field"; callers are promised "missing required".
        let message = message.replacen("missing field", "missing required field", 1);
        // A message about an unknown field names it; the path would be the same name again.
        let named = at_the_top && (path == "." || message.starts_with("unknown field"));
        let message = echoed(&message);
        let problem = if named { message } else { format!("`{}`: {message}", echoed(&path)) };
        ToolError::argument(tool, problem)
    })
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// What a model wrote, as it may be repeated: bounded, and nothing in it that breaks the line.
pub(super) fn echoed(message: &str) -> String {
    // Once more at the end: what is escaped is longer.
    shortened(&escaped(&shortened(message))).into_owned()
}

/// Leaves out the middle of a long message: serde repeats what it was given and says at the end
/// what would be right.
fn shortened(message: &str) -> Cow<'_, str> {
    const EDGE_BYTES: usize = 200;
    if message.len() <= 3 * EDGE_BYTES {
        return message.into();
    }
    let begin = text::prefix(message, EDGE_BYTES);
    let letters = message.len() - EDGE_BYTES..message.len();
    let end = letters.clone().find(|&at| message.is_char_boundary(at)).unwrap_or(letters.end);
    let end = &message[end..];
    let omitted = message.len() - begin.len() - end.len();
    format!("{begin}... (+{omitted} more bytes) ...{end}").into()
}

/// Escapes what could reorder or break the line: serde repeats names of fields as they came.
fn escaped(problem: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() || c == ' ';
    let mut line = String::with_capacity(problem.len());
    for c in problem.chars() {
        if plain(c) { line.push(c) } else { line.extend(c.escape_debug()) }
    }
    line
}
