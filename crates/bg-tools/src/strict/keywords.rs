//! What the keywords of a schema are about.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Object;

/// What the schemas below a keyword describe.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The same value once more.
    Branch,
    /// What is inside of the value.
    Inside,
    /// Some of what `items` describes.
    Contained,
    /// Whatever refers to them.
    Definitions,
}

impl Role {
    pub(super) fn of(keyword: &str) -> Option<Self> {
        match keyword {
            "allOf" | "anyOf" | "oneOf" | "not" | "if" | "then" | "else" | "dependentSchemas" => {
                Some(Self::Branch)
            }
            "properties"
            | "patternProperties"
            | "additionalProperties"
            | "items"
            | "prefixItems"
            | "additionalItems" => Some(Self::Inside),
            "contains" => Some(Self::Contained),
            "$defs" | "definitions" => Some(Self::Definitions),
            _ => None,
        }
    }
}

fn maps_names(keyword: &str) -> bool {
    let maps = ["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"];
    maps.contains(&keyword)
}

/// Returns the schemas below a keyword, with their names where they have some.
pub(super) fn parts<'a>(keyword: &str, value: &'a mut Value) -> Vec<(&'a str, &'a mut Value)> {
    if Role::of(keyword).is_none() {
        return Vec::new();
    }
    if maps_names(keyword) {
        let map = value.as_object_mut().into_iter().flatten();
        return map.map(|(name, part)| (name.as_str(), part)).collect();
    }
    match value {
        Value::Array(list) => list.iter_mut().map(|part| ("", part)).collect(),
        one => vec![("", one)],
    }
}

/// Returns whether all that a schema says of the inside of a value is one list of alternatives.
pub(super) fn is_alternatives(object: &Object) -> bool {
    let lists = ["anyOf", "oneOf", "allOf"].into_iter();
    let mut lists = lists.filter_map(|keyword| Some((keyword, object.get(keyword)?.as_array()?)));
    let (Some((keyword, list)), None) = (lists.next(), lists.next()) else { return false };
    (keyword != "allOf" || list.len() == 1)
        && object.iter().all(|(other, value)| {
            other == keyword || says_nothing(other, value) || !looks_inside(other)
        })
}

/// An empty `properties` stands in the definition of each tool.
fn says_nothing(keyword: &str, value: &Value) -> bool {
    match keyword {
        "properties" => value.as_object().is_some_and(Object::is_empty),
        "required" => value.as_array().is_some_and(Vec::is_empty),
        _ => false,
    }
}

fn looks_inside(keyword: &str) -> bool {
    let others = ["$ref", "required", "dependentRequired", "propertyNames"];
    others.contains(&keyword) || Role::of(keyword).is_some_and(|role| role != Role::Definitions)
}

/// Returns whether a schema describes objects: it says so, or it says nothing and speaks of fields.
pub(super) fn describes_object(object: &Object, depth: usize) -> bool {
    match object.get("type") {
        _ if object.get("properties").is_some_and(|properties| !properties.is_object()) => false,
        Some(Value::String(word)) => word == "object",
        Some(Value::Array(words)) => words.iter().any(|word| word == "object"),
        Some(_) => false,
        None => {
            let fields = ["properties", "patternProperties", "additionalProperties"];
            fields.iter().any(|keyword| object.contains_key(*keyword))
                || !mentioned(object, depth).is_empty()
        }
    }
}

/// Returns whether fields may come that a schema does not name: it will be closed.
pub(super) fn is_open(object: &Object) -> bool {
    matches!(object.get("additionalProperties"), None | Some(Value::Bool(true)))
}

/// Returns the fields that an object has in its strict form.
pub(super) fn fields(object: &Object, depth: usize) -> BTreeSet<String> {
    if is_open(object) {
        mentioned(object, depth)
    } else {
        keys(object.get("properties")).collect()
    }
}

/// Returns the names of fields that a schema and its branches mention.
fn mentioned(object: &Object, depth: usize) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    mention(object, depth, &mut names);
    names
}

fn mention(object: &Object, depth: usize, names: &mut BTreeSet<String>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    names.extend(listed(object.get("required")));
    names.extend(keys(object.get("properties")));
    let dependent = object.get("dependentRequired");
    names.extend(keys(dependent));
    for list in dependent.and_then(Value::as_object).into_iter().flat_map(Object::values) {
        names.extend(listed(Some(list)));
    }
    names.extend(keys(object.get("dependentSchemas")));
    let branches = object.iter().filter(|(keyword, _)| Role::of(keyword) == Some(Role::Branch));
    for (keyword, value) in branches {
        for branch in schemas(keyword, value) {
            mention(branch, depth, names);
        }
    }
}

fn schemas<'a>(keyword: &str, value: &'a Value) -> Vec<&'a Object> {
    match value {
        Value::Object(map) if maps_names(keyword) => {
            map.values().filter_map(Value::as_object).collect()
        }
        Value::Array(list) => list.iter().filter_map(Value::as_object).collect(),
        Value::Object(one) => vec![one],
        _ => Vec::new(),
    }
}

fn keys(value: Option<&Value>) -> impl Iterator<Item = String> {
    value.and_then(Value::as_object).into_iter().flat_map(|object| object.keys().cloned())
}

pub(super) fn listed(value: Option<&Value>) -> impl Iterator<Item = String> {
    let words = value.and_then(Value::as_array).into_iter().flatten();
    words.filter_map(|word| word.as_str().map(str::to_owned))
}

/// Returns the names that an object has in any case.
pub(super) fn required(object: &Object, depth: usize) -> BTreeSet<String> {
    let mut names = listed(object.get("required")).collect();
    let Some(depth) = depth.checked_sub(1) else { return names };
    let all = object.get("allOf").map(|all| schemas("allOf", all)).unwrap_or_default();
    for branch in all {
        names.append(&mut required(branch, depth));
    }
    names
}
