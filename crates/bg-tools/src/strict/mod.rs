//! The form of a schema that strict providers require.
//!
//! They take objects that are closed (`additionalProperties: false`) and require every property;
//! what may be left out has to be nullable instead. So in the strict form, *null says "absent"*.
//!
//! # What stays true
//!
//! A value that is valid for a schema, and has no fields but those that the schema names (of
//! alternatives, one that takes it), is valid for the strict form once its missing optional fields
//! are filled in as null. The strict form may take more (`minProperties` counts nulls, and so does
//! `dependentRequired`; `maxProperties` is taken out): the parser has the last word.
//!
//! # Where an object is closed
//!
//! `additionalProperties: false` looks at the `properties` beside it only, so two closed objects
//! that describe one value contradict each other, and closing what `not` negates or `if` asks for
//! changes its sense. Hence, of all that describes one object:
//!
//! - The object itself is closed. Names that only its branches (`allOf`, `anyOf`, `oneOf`, `if`,
//!   `then`, `else`, `not`, `dependentSchemas`) or its `required` mention become properties of it
//!   that take anything.
//! - The branches are left open and require nothing more. In them, and in all that is below, only
//!   the sense of "absent" is carried over: what the object lets be absent may be null where a
//!   branch does not require it, and may not where it does.
//! - `anyOf`, `oneOf` and an `allOf` of one, with nothing beside them that looks into the value, are
//!   alternatives, each an object of its own: each is closed. So are the variants of Rust's enums.
//!
//! Under `contains`, what `items` says takes the place of the object. An object that has a schema
//! for `additionalProperties`, or `false` there, keeps it.
//!
//! # What it does not do
//!
//! - References are not followed. A definition is closed on its own, so a `$ref` to an object
//!   contradicts what stands beside it if that describes other fields.
//! - A null that means something else than "absent" in an optional field is not told from it; so
//!   alternatives of a `oneOf` that differ in nothing else are not told apart.
//! - `maxProperties` in a branch still counts what is filled in.
//! - An `enum` or `const` of objects is compared as it is.
//! - What is nested deeper than 128 levels is left as it is.

mod absent;
mod keywords;
mod null;

use serde_json::{Map, Value};

use crate::definition::ToolDefinition;
use absent::Owner;
use keywords::{Role, describes_object, fields, is_alternatives, is_open, listed, parts, required};

type Object = Map<String, Value>;

/// Levels of nesting that are looked at: JSON that serde reads has no more.
const MAX_DEPTH: usize = 128;

impl ToolDefinition {
    /// Returns the definition in the form that strict providers require: objects are closed, every
    /// property is required, and what could be left out may be null instead.
    ///
    /// A value that the original takes, and whose fields are all known to it, is taken by the
    /// strict form with null for each field that is missing. To an [`Option`] such a null says
    /// "absent" again; a field with a default of another type has to read null by itself.
    ///
    /// Objects are closed everywhere but in the branches (`allOf` and the like) of an object that
    /// has fields of its own, which closed branches would contradict: the object gets the names
    /// that they mention instead. `default` is taken out: nothing is absent any more. Doing it
    /// twice changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_tools::ToolDefinition;
    /// use serde_json::json;
    ///
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Args {
    ///     path: String,
    ///     depth: Option<u8>,
    /// }
    ///
    /// let strict = ToolDefinition::of::<Args>("Look", "Looks.").strict().parameters;
    /// assert_eq!(strict["additionalProperties"], false);
    /// assert_eq!(strict["required"], json!(["depth", "path"]));
    /// assert_eq!(strict["properties"]["depth"]["type"], json!(["integer", "null"]));
    /// ```
    pub fn strict(&self) -> Self {
        let mut strict = self.clone();
        close(&mut strict.parameters, MAX_DEPTH);
        strict
    }
}

/// Makes strict what alone describes its value.
fn close(schema: &mut Value, depth: usize) {
    let (Some(object), Some(depth)) = (schema.as_object_mut(), depth.checked_sub(1)) else {
        return;
    };
    object.remove("default");
    let alternatives = is_alternatives(object);
    let owns_fields = !alternatives && describes_object(object, depth);
    if owns_fields {
        adopt_names(object, depth);
    }
    // What the branches are about, as it is before anything in it is made nullable.
    let before = (!alternatives && has_branches(object)).then(|| object.clone());
    let owner = Owner::of(before.as_ref(), depth);
    for (keyword, value) in object.iter_mut() {
        for (name, part) in parts(keyword, value) {
            match Role::of(keyword) {
                Some(Role::Branch) if !alternatives => owner.branch(keyword, name, part, depth),
                Some(Role::Contained) => owner.inside("items", "", depth).open(part, depth),
                _ => close(part, depth),
            }
        }
    }
    if owns_fields {
        require_all(object, depth);
    } else if alternatives {
        // Each of them may have nulls for fields.
        object.remove("maxProperties");
    }
}

fn has_branches(object: &Object) -> bool {
    let looks_again = |role| matches!(role, Role::Branch | Role::Contained);
    object.keys().any(|keyword| Role::of(keyword).is_some_and(looks_again))
}

/// Gives an object that will be closed the names that only others mention.
fn adopt_names(object: &mut Object, depth: usize) {
    let names = fields(object, depth);
    let properties = object.entry("properties").or_insert_with(|| Object::new().into());
    let Some(properties) = properties.as_object_mut() else { return };
    for name in names {
        properties.entry(name).or_insert_with(|| Object::new().into());
    }
}

fn require_all(object: &mut Object, depth: usize) {
    let must = required(object, depth);
    let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
    let mut names: Vec<_> = properties.keys().cloned().collect();
    let optional = |name: &str| !must.contains(name);
    for (_, schema) in properties.iter_mut().filter(|(name, _)| optional(name)) {
        null::accept(schema, depth);
    }
    if names.iter().any(|name| optional(name)) {
        count_nulls(object, depth);
    }
    let others = listed(object.get("required")).filter(|name| !names.contains(name));
    let others: Vec<_> = others.collect();
    names.extend(others);
    object.insert("required".to_owned(), names.into());
    if is_open(object) {
        object.insert("additionalProperties".to_owned(), false.into());
    }
}

/// Lets pass the nulls that stand for absent fields: they are fields more, and their names may be
/// ones that a pattern is about.
fn count_nulls(object: &mut Object, depth: usize) {
    object.remove("maxProperties");
    if let Some(Value::Object(patterns)) = object.get_mut("patternProperties") {
        patterns.values_mut().for_each(|schema| null::accept(schema, depth));
    }
}
