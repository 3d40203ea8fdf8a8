//! Whether a schema takes null, and how it comes to.

use serde_json::{Value, json};

use super::Object;

/// Makes a schema take null. Its description stays on the outside.
pub(super) fn accept(schema: &mut Value, depth: usize) {
    match schema {
        Value::Bool(false) => *schema = json!({"type": "null"}),
        Value::Object(object) if accepted(object, depth) != Some(true) => {
            if can_widen(object, depth) { widen(object, depth) } else { wrap(schema) }
        }
        _ => {}
    }
}

/// Makes a schema refuse null.
pub(super) fn refuse(schema: &mut Value, depth: usize) {
    match schema {
        Value::Object(object) if accepted(object, depth) == Some(false) => {}
        Value::Object(object) if !object.contains_key("not") => {
            object.insert("not".to_owned(), json!({"type": "null"}));
        }
        Value::Object(_) => *schema = json!({"allOf": [schema.take(), {"not": {"type": "null"}}]}),
        Value::Bool(true) => *schema = json!({"not": {"type": "null"}}),
        _ => {}
    }
}

/// Keywords that may keep null out.
const DECIDING: [&str; 10] =
    ["type", "enum", "const", "anyOf", "oneOf", "allOf", "not", "if", "$ref", "$dynamicRef"];

/// Returns whether null is taken, if that can be told.
fn accepted(object: &Object, depth: usize) -> Option<bool> {
    let deciding = DECIDING.iter().filter_map(|&keyword| Some((keyword, object.get(keyword)?)));
    all(deciding.map(|(keyword, value)| keyword_accepts(keyword, value, depth)))
}

fn keyword_accepts(keyword: &str, value: &Value, depth: usize) -> Option<bool> {
    match (keyword, value) {
        ("type", Value::String(word)) => Some(word == "null"),
        ("type", Value::Array(words)) => Some(words.iter().any(|word| word == "null")),
        ("enum", Value::Array(values)) => Some(values.contains(&Value::Null)),
        ("const", value) => Some(value.is_null()),
        ("anyOf", Value::Array(list)) => {
            all(each(list, depth).map(|accepts| accepts.map(|yes| !yes))).map(|none| !none)
        }
        ("allOf", Value::Array(list)) => all(each(list, depth)),
        ("oneOf", Value::Array(list)) => Some(accepting(list, depth)? == 1),
        ("not", schema) => each(std::slice::from_ref(schema), depth).next()?.map(|yes| !yes),
        _ => None,
    }
}

fn each(list: &[Value], depth: usize) -> impl Iterator<Item = Option<bool>> {
    list.iter().map(move |schema| match schema {
        Value::Bool(accepts) => Some(*accepts),
        Value::Object(object) => accepted(object, depth.checked_sub(1)?),
        _ => None,
    })
}

/// No if one says no, yes if all say yes.
fn all(mut verdicts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let first_doubt = verdicts.find(|verdict| *verdict != Some(true));
    match first_doubt {
        None => Some(true),
        Some(doubt) => {
            let refused = doubt == Some(false) || verdicts.any(|verdict| verdict == Some(false));
            refused.then_some(false)
        }
    }
}

/// Returns how many take null, if that can be told.
fn accepting(list: &[Value], depth: usize) -> Option<usize> {
    each(list, depth).try_fold(0, |count, accepts| Some(count + usize::from(accepts?)))
}

/// Returns whether each keyword that keeps null out can be made to let it in.
fn can_widen(object: &Object, depth: usize) -> bool {
    let mut deciding = object.iter().filter(|(keyword, _)| DECIDING.contains(&keyword.as_str()));
    deciding.all(|(keyword, value)| match (keyword.as_str(), value) {
        ("type", Value::String(_)) | ("type" | "enum" | "anyOf", Value::Array(_)) => true,
        ("oneOf", Value::Array(list)) => matches!(accepting(list, depth), Some(0 | 1)),
        (keyword, value) => keyword_accepts(keyword, value, depth) == Some(true),
    })
}

fn widen(object: &mut Object, depth: usize) {
    for (keyword, value) in object.iter_mut() {
        if !DECIDING.contains(&keyword.as_str())
            || keyword_accepts(keyword, value, depth) == Some(true)
        {
            continue;
        }
        match (keyword.as_str(), value) {
            ("type", word @ Value::String(_)) => *word = json!([word.take(), "null"]),
            ("type", Value::Array(words)) => words.push("null".into()),
            ("enum", Value::Array(values)) => values.push(Value::Null),
            (_, Value::Array(list)) => list.push(json!({"type": "null"})),
            _ => {}
        }
    }
}

fn wrap(schema: &mut Value) {
    let description = schema.as_object_mut().and_then(|object| object.remove("description"));
    *schema = json!({"anyOf": [schema.take(), {"type": "null"}]});
    if let Some(description) = description {
        schema["description"] = description;
    }
}
