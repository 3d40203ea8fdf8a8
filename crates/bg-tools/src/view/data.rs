//! What a stop did to a process, and who held its output: as much as there is room for.

use bg_core::{Finished, text};
use serde_json::{Map, Value};

/// Returns what a stop did to a process, if it was stopped.
pub(crate) fn receipt(finished: &Finished) -> Option<&Value> {
    finished.outcome.output()?.data()?.get("receipt")
}

/// Returns who held the output of a process open when its time was over, if anybody did.
pub(crate) fn output_incomplete(finished: &Finished) -> Option<&Value> {
    finished.outcome.output()?.data()?.get("output_incomplete")
}

/// Returns how many bytes it takes as JSON.
pub(crate) fn bytes(value: &Value) -> usize {
    value.to_string().len()
}

/// Shows a value in about so many bytes: what is left out of its lists and texts is counted. Without
/// room nothing but its size is left.
pub(crate) fn within(value: &Value, room: usize) -> Value {
    let whole = bytes(value);
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        _ if whole <= room => value.clone(),
        _ if room == 0 => format!("(+{whole} more bytes)").into(),
        Value::String(foreign) => text::excerpt(foreign, room).into(),
        Value::Array(items) => list(items, room).into(),
        Value::Object(fields) => fields_within(fields, room).into(),
    }
}

fn list(items: &[Value], room: usize) -> Vec<Value> {
    let (mut shown, mut left) = (Vec::new(), room);
    for item in items {
        let Some(less) = left.checked_sub(bytes(item)) else { break };
        left = less;
        shown.push(item.clone());
    }
    if shown.len() < items.len() {
        shown.push(format!("(+{} more)", items.len() - shown.len()).into());
    }
    shown
}

/// The short fields whole, and of the others as much as there is room for.
fn fields_within(fields: &Map<String, Value>, room: usize) -> Map<String, Value> {
    let each = room / fields.len().max(1);
    fields.iter().map(|(name, value)| (name.clone(), within(value, each))).collect()
}
