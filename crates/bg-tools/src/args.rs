//! Reading arguments: tolerant of what models write, strict about what it means.

use std::borrow::Cow;
use std::time::Duration;

use bg_core::text;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::error::ToolError;

/// Longest arguments that are parsed, in bytes.
pub(crate) const MAX_ARGS_BYTES: usize = 1 << 20;
/// Deepest nesting that is parsed.
pub(crate) const MAX_ARGS_DEPTH: usize = 64;

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
        let message = error.into_inner().to_string();
        // serde says "missing field"; callers are promised "missing required".
        let message = message.replacen("missing field", "missing required field", 1);
        // A message about an unknown field names it; the path would be the same name again.
        let named = path == "." || message.starts_with("unknown field");
        let message = escaped(&shortened(&message));
        let problem = if named { message } else { format!("`{}`: {message}", escaped(&path)) };
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

/// Turns the text of the arguments into JSON, after a look at its size and depth.
pub(crate) fn parse_json(tool: &str, args: &str) -> Result<Value, ToolError> {
    let too_big = |what, limit| ToolError::TooBig { tool: tool.to_owned(), what, limit };
    if args.len() > MAX_ARGS_BYTES {
        return Err(too_big("long", "1 MiB"));
    }
    if depth(args) > MAX_ARGS_DEPTH {
        return Err(too_big("deep", "64 levels"));
    }
    // Some models send nothing at all where there is nothing to say.
    let args = if args.trim().is_empty() { "{}" } else { args };
    serde_json::from_str(args)
        .map_err(|source| ToolError::InvalidJson { tool: tool.to_owned(), source })
}

/// Returns the depth of nesting. Brackets inside strings do not count.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The id of a task as a model writes it: text, or a JSON number for the bare form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskIdArg(pub String);

impl<'de> Deserialize<'de> for TaskIdArg {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            _ => Err(D::Error::custom("expected a task id such as \"agent:7\"")),
        }
    }
}

impl JsonSchema for TaskIdArg {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TaskId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

/// A number of seconds as a model writes it: any number, also as text, clamped to `1..=MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecsArg<const MAX: u64>(Duration);

impl<const MAX: u64> SecsArg<MAX> {
    /// Returns the time.
    pub fn duration(self) -> Duration {
        self.0
    }

    fn clamped(number: f64) -> Option<Self> {
        // A float holds every whole number up to MAX; what is outside is clamped anyway, so
        // there is nothing to wrap.
        #[expect(clippy::cast_precision_loss, reason = "MAX is a few thousand seconds")]
        let clamped = number.clamp(1.0, MAX as f64);
        Duration::try_from_secs_f64(clamped.floor()).ok().map(Self)
    }
}

impl<'de, const MAX: u64> Deserialize<'de> for SecsArg<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = match Value::deserialize(deserializer)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok().filter(|n: &f64| !n.is_nan()),
            _ => None,
        };
        number
            .and_then(Self::clamped)
            .ok_or_else(|| D::Error::custom(format!("expected seconds, a number from 1 to {MAX}")))
    }
}

impl<const MAX: u64> JsonSchema for SecsArg<MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": MAX})
    }
}
