//! Branches of an object: what is absent to them is null in the strict form.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::keywords::{Role, describes_object, fields, is_alternatives, listed, parts, required};
use super::{Object, close, null};

/// The schema that owns the value which a branch describes too, as it was. None where nothing owns
/// it: nothing is filled in there.
pub(super) struct Owner<'a> {
    schema: Option<&'a Object>,
    /// The fields that are null where they are absent.
    optional: BTreeSet<String>,
}

impl<'a> Owner<'a> {
    pub(super) fn of(schema: Option<&'a Object>, depth: usize) -> Self {
        Self { schema, optional: schema.map(|it| optional(it, depth)).unwrap_or_default() }
    }

    /// Returns the owner of what is inside the value.
    pub(super) fn inside(&self, keyword: &str, name: &str, depth: usize) -> Self {
        let under = |keyword| self.schema.and_then(|schema| schema.get(keyword));
        let schema = match keyword {
            "properties" => {
                let named = under(keyword).and_then(|properties| properties.get(name));
                named.or_else(|| under("additionalProperties"))
            }
            _ => under(keyword),
        };
        Self::of(schema.and_then(Value::as_object), depth)
    }

    /// Carries over what "absent" means to a branch.
    pub(super) fn branch(&self, keyword: &str, name: &str, schema: &mut Value, depth: usize) {
        self.open(schema, depth);
        if keyword == "dependentSchemas" && self.optional.contains(name) {
            let absent = json!({"properties": {name: {"type": "null"}}});
            *schema = json!({"anyOf": [absent, schema.take()]});
        }
    }

    /// Carries over what "absent" means, and closes nothing.
    pub(super) fn open(&self, schema: &mut Value, depth: usize) {
        let (Some(object), Some(depth)) = (schema.as_object_mut(), depth.checked_sub(1)) else {
            return;
        };
        object.remove("default");
        for (keyword, value) in object.iter_mut() {
            for (name, part) in parts(keyword, value) {
                match Role::of(keyword) {
                    Some(Role::Branch) => self.branch(keyword, name, part, depth),
                    Some(Role::Contained) => self.inside("items", "", depth).open(part, depth),
                    Some(Role::Definitions) => close(part, depth),
                    _ => self.inside(keyword, name, depth).open(part, depth),
                }
            }
        }
        self.fields(object, depth);
    }

    fn fields(&self, object: &mut Object, depth: usize) {
        if self.optional.is_empty() {
            return;
        }
        let must = listed(object.get("required")).filter(|name| self.optional.contains(name));
        let must: BTreeSet<_> = must.collect();
        let of_others = of_others(object);
        if of_others.is_some() || !must.is_empty() {
            object.entry("properties").or_insert_with(|| Object::new().into());
        }
        let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
        for name in &self.optional {
            let is_required = must.contains(name);
            let anything = || is_required.then(|| Object::new().into());
            if let Some(unnamed) = of_others.clone().or_else(anything) {
                properties.entry(name).or_insert(unnamed);
            }
            let Some(schema) = properties.get_mut(name) else { continue };
            let change = if is_required { null::refuse } else { null::accept };
            change(schema, depth);
        }
    }
}

fn optional(object: &Object, depth: usize) -> BTreeSet<String> {
    if is_alternatives(object) || !describes_object(object, depth) {
        return BTreeSet::new();
    }
    let must = required(object, depth);
    fields(object, depth).into_iter().filter(|name| !must.contains(name)).collect()
}

/// Returns what a branch says of fields that it does not name, if it says anything.
fn of_others(object: &Object) -> Option<Value> {
    match object.get("additionalProperties") {
        None | Some(Value::Bool(true)) => None,
        // A name that fits a pattern is none of the others.
        Some(_) if object.contains_key("patternProperties") => None,
        others => others.cloned(),
    }
}
