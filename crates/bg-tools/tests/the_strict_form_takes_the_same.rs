//! `ToolDefinition::strict`: closed objects, everything required, and null for what may be absent.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use bg_tools::ToolDefinition;
use proptest::prelude::*;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};
use support::rng::Rng;
use support::schema_gen::{Sampler, properties};
use support::some_schema::{NAMES, some_schema};
use support::validator::{is_valid, resolve};

fn strict(schema: &Value) -> Value {
    let mut tool = ToolDefinition::of::<()>("Try", "Tries.");
    tool.parameters = schema.clone();
    let strict = tool.strict();
    assert_eq!((strict.name, strict.description), (tool.name, tool.description));
    strict.parameters
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "calls are easier to read")]
fn check(schema: Value, expected: Value) {
    let strict = self::strict(&schema);
    assert_eq!(strict, expected, "\n{schema}\n{strict}");
    assert_eq!(self::strict(&strict), strict, "twice");
}

/// The strict form of an optional field.
#[track_caller]
fn check_optional(field: Value, expected: Value) {
    let object = |field, more: &[(&str, Value)]| {
        let mut object = json!({"type": "object", "properties": {"a": field}});
        for (keyword, value) in more {
            object[*keyword] = value.clone();
        }
        object
    };
    let closed = [("required", json!(["a"])), ("additionalProperties", json!(false))];
    check(object(field, &[]), object(expected, &closed));
}

#[test]
fn objects_are_closed_and_require_all_they_have() {
    check(
        json!({"type": "object"}),
        json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false}),
    );
    check(
        json!({
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "integer", "minimum": 1}},
            "required": ["b"],
            "additionalProperties": true,
        }),
        json!({
            "type": "object",
            "properties": {"a": {"type": ["string", "null"]}, "b": {"type": "integer", "minimum": 1}},
            "required": ["a", "b"],
            "additionalProperties": false,
        }),
    );
    // What is required and not described becomes a field that takes anything.
    check(
        json!({"type": "object", "required": ["z", "y"]}),
        json!({
            "type": "object",
            "properties": {"y": {}, "z": {}},
            "required": ["y", "z"],
            "additionalProperties": false,
        }),
    );
    // It says nothing of a type, but it speaks of fields.
    check(
        json!({"properties": {"a": true}}),
        json!({"properties": {"a": true}, "required": ["a"], "additionalProperties": false}),
    );
}

#[test]
fn what_additional_properties_says_is_kept() {
    let closed = json!({
        "type": "object", "properties": {}, "required": [], "additionalProperties": false,
    });
    check(
        json!({"type": "object", "additionalProperties": {"type": "object"}}),
        json!({"type": "object", "properties": {}, "required": [], "additionalProperties": closed}),
    );
    check(
        json!({"type": "object", "additionalProperties": false, "required": ["a"]}),
        json!({
            "type": "object", "properties": {}, "required": ["a"], "additionalProperties": false,
        }),
    );
    check(
        json!({"type": "object", "patternProperties": {"^x": {"type": "object"}}}),
        json!({
            "type": "object",
            "patternProperties": {"^x": closed},
            "properties": {},
            "required": [],
            "additionalProperties": false,
        }),
    );
}

#[test]
fn what_is_optional_becomes_nullable() {
    let nil = json!({"type": "null"});
    let cases = [
        (json!({"type": "string"}), json!({"type": ["string", "null"]})),
        (json!({"type": ["string", "integer"]}), json!({"type": ["string", "integer", "null"]})),
        (json!({"type": ["null", "string"]}), json!({"type": ["null", "string"]})),
        (nil.clone(), nil.clone()),
        (json!({"enum": ["x"]}), json!({"enum": ["x", null]})),
        (json!({"enum": ["x", null]}), json!({"enum": ["x", null]})),
        (
            json!({"type": "string", "enum": ["x"]}),
            json!({"type": ["string", "null"], "enum": ["x", null]}),
        ),
        (json!({}), json!({})),
        (json!(true), json!(true)),
        (json!(false), nil.clone()),
        (json!({"description": "Any.", "default": 7}), json!({"description": "Any."})),
        (json!({"minimum": 1}), json!({"minimum": 1})),
        (json!({"const": null}), json!({"const": null})),
        (json!({"const": 1}), json!({"anyOf": [{"const": 1}, nil]})),
        (json!({"$ref": "#/$defs/x"}), json!({"anyOf": [{"$ref": "#/$defs/x"}, nil]})),
        (json!({"not": {"type": "null"}}), json!({"anyOf": [{"not": {"type": "null"}}, nil]})),
        (json!({"not": {"type": "string"}}), json!({"not": {"type": "string"}})),
        (
            json!({"if": {"type": "string"}, "then": false}),
            json!({"anyOf": [{"if": {"type": "string"}, "then": false}, nil]}),
        ),
        (
            json!({"allOf": [{"type": "string"}], "description": "D.", "default": "x"}),
            json!({"anyOf": [{"allOf": [{"type": "string"}]}, nil], "description": "D."}),
        ),
        (
            json!({"type": "integer", "const": 1, "description": "D."}),
            json!({"anyOf": [{"type": "integer", "const": 1}, nil], "description": "D."}),
        ),
        (json!({"anyOf": [{"const": 1}, true]}), json!({"anyOf": [{"const": 1}, true]})),
        (
            json!({"anyOf": [{"const": 1}, {"const": 2}], "description": "D."}),
            json!({"anyOf": [{"const": 1}, {"const": 2}, nil], "description": "D."}),
        ),
        (
            json!({"anyOf": [{"$ref": "#/$defs/x"}, nil]}),
            json!({"anyOf": [{"$ref": "#/$defs/x"}, nil]}),
        ),
        (
            json!({"oneOf": [{"const": 1}, {"const": 2}]}),
            json!({"oneOf": [{"const": 1}, {"const": 2}, nil]}),
        ),
        (json!({"oneOf": [{"const": 1}, nil]}), json!({"oneOf": [{"const": 1}, nil]})),
        // A null branch would be a second one that fits, or could be.
        (json!({"oneOf": [true, {}]}), json!({"anyOf": [{"oneOf": [true, {}]}, nil]})),
        (
            json!({"oneOf": [{"$ref": "#/$defs/x"}]}),
            json!({"anyOf": [{"oneOf": [{"$ref": "#/$defs/x"}]}, nil]}),
        ),
        (
            json!({"type": "string", "anyOf": [{"minLength": 1}, {"const": ""}]}),
            json!({"type": ["string", "null"], "anyOf": [{"minLength": 1}, {"const": ""}]}),
        ),
    ];
    for (field, expected) in cases {
        check_optional(field, expected);
    }
}

#[test]
fn a_default_is_taken_out_and_a_field_of_that_name_is_not() {
    check(
        json!({
            "default": {},
            "type": "object",
            "properties": {"default": {"type": "array", "default": [], "items": {"default": 1}}},
            "required": ["default"],
        }),
        json!({
            "type": "object",
            "properties": {"default": {"type": "array", "items": {}}},
            "required": ["default"],
            "additionalProperties": false,
        }),
    );
}

#[test]
fn objects_are_closed_wherever_they_stand() {
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let closed = json!({
        "type": "object",
        "properties": {"a": {"type": ["string", "null"]}},
        "required": ["a"],
        "additionalProperties": false,
    });
    let places: [fn(&Value) -> Value; 10] = [
        |it| json!({"type": "array", "items": it}),
        |it| json!({"type": "array", "items": [it, it]}),
        |it| json!({"type": "array", "prefixItems": [it, true], "items": it}),
        |it| json!({"anyOf": [it, {"type": "null"}]}),
        |it| json!({"oneOf": [it, it], "type": "object", "properties": {}}),
        |it| json!({"allOf": [it], "description": "One."}),
        |it| json!({"$defs": {"x": it, "default": it}, "$ref": "#/$defs/x"}),
        |it| json!({"definitions": {"x": it}}),
        |it| json!({"type": "array", "items": {"anyOf": [{"items": it}]}}),
        |it| {
            json!({
                "type": "object",
                "properties": {"o": it},
                "required": ["o"],
                "additionalProperties": it,
            })
        },
    ];
    for place in places {
        check(place(&open), place(&closed));
    }
}

#[test]
fn branches_of_an_object_stay_open_and_it_takes_their_names() {
    let branches = json!([
        {"properties": {"kind": {"const": "file"}, "path": {"type": "string"}},
         "required": ["kind", "path"]},
        {"properties": {"kind": {"const": "text"}, "more": {"type": "object"}},
         "required": ["kind"]},
    ]);
    check(
        json!({"properties": {"id": {"type": "string"}}, "required": ["id"], "oneOf": branches}),
        json!({
            "properties": {"id": {"type": "string"}, "kind": {}, "path": {}, "more": {}},
            "required": ["id", "kind", "more", "path"],
            "additionalProperties": false,
            "oneOf": [
                branches[0],
                {"properties": {"kind": {"const": "text"}, "more": {"type": ["object", "null"]}},
                 "required": ["kind"]},
            ],
        }),
    );
    let string = json!({"type": "string"});
    let object = |name: &str| json!({"type": "object", "properties": {name: string}});
    let nullable =
        |name: &str| json!({"type": "object", "properties": {name: {"type": ["string", "null"]}}});
    check(
        json!({"allOf": [object("a"), object("b")]}),
        json!({
            "allOf": [nullable("a"), nullable("b")],
            "properties": {"a": {}, "b": {}},
            "required": ["a", "b"],
            "additionalProperties": false,
        }),
    );
}

#[test]
fn what_a_branch_requires_may_not_be_null() {
    let string = json!({"type": "string"});
    let nullable = json!({"type": ["string", "null"]});
    let present = json!({"not": {"type": "null"}});
    check(
        json!({
            "type": "object",
            "properties": {"a": string, "b": string},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
            "if": {"properties": {"a": {"const": "x"}}},
            "then": false,
        }),
        json!({
            "type": "object",
            "properties": {"a": nullable, "b": nullable},
            "required": ["a", "b"],
            "additionalProperties": false,
            "oneOf": [
                {"required": ["a"], "properties": {"a": present}},
                {"required": ["b"], "properties": {"b": present}},
            ],
            "if": {"properties": {"a": {"anyOf": [{"const": "x"}, {"type": "null"}]}}},
            "then": false,
        }),
    );
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Recursive {
    name: String,
    inner: Option<Box<Recursive>>,
    kind: Option<Kind>,
}

#[derive(JsonSchema)]
#[serde(tag = "is")]
#[expect(dead_code, reason = "only its schema is of interest")]
enum Kind {
    Plain,
    Named { name: Option<String> },
}

/// Whether all objects are closed and require what they have, outside of branches of objects.
fn is_strict(schema: &Value) -> bool {
    let inside = |value: &Value| match value {
        Value::Object(map) => map.values().all(is_strict),
        Value::Array(list) => list.iter().all(is_strict),
        _ => true,
    };
    let closed = schema.get("properties").is_none_or(|properties| {
        let names: Vec<_> = properties.as_object().unwrap().keys().collect();
        schema["additionalProperties"] == json!(false) && schema["required"] == json!(names)
    });
    closed && inside(schema) && schema.get("default").is_none()
}

#[test]
fn types_of_rust_become_strict() {
    let tool = ToolDefinition::of::<Recursive>("Try", "Tries.").strict();
    assert!(is_strict(&tool.parameters), "{}", tool.parameters);
    assert!(support::caller().tools.definitions().iter().all(|tool| {
        is_strict(&tool.strict().parameters) && tool.strict() == tool.strict().strict()
    }));
}

#[test]
fn depth_breaks_nothing() {
    for depth in [126, 127, 128, 129, 1000] {
        for keyword in ["items", "not", "allOf", "additionalProperties", "contains", "if"] {
            let object = json!({"type": "object", "properties": {"a": {"type": "string"}}});
            let nest = |inner, _| {
                let mut outer = json!({"properties": {"b": {"const": 1}}});
                outer[keyword] = inner;
                outer
            };
            let schema = (0..depth).fold(object, nest);
            let once = strict(&schema);
            assert_eq!(strict(&once), once, "{depth} {keyword}");
        }
    }
}

/// Fills in what a strict object requires and a value does not have.
fn filled(root: &Value, schema: &Value, value: &Value) -> Value {
    let schema = resolve(root, schema);
    let none_beside = properties(schema).next().is_none();
    for keyword in ["anyOf", "oneOf", "allOf"] {
        let list = schema.get(keyword).and_then(Value::as_array).filter(|_| none_beside);
        for branch in list.into_iter().flatten() {
            let filled = filled(root, branch, value);
            if is_valid(root, schema, &filled) {
                return filled;
            }
        }
    }
    match value {
        Value::Object(object) => {
            let rest = &schema["additionalProperties"];
            let names = schema.get("required").and_then(Value::as_array).into_iter().flatten();
            let absent = names.map(|name| (name.as_str().unwrap().to_owned(), Value::Null));
            let mut all: Map<_, _> = absent.collect();
            for (name, value) in object {
                let known = properties(schema).find(|(known, _)| *known == name);
                let schema = known.map_or(rest, |(_, schema)| schema);
                all.insert(name.clone(), filled(root, schema, value));
            }
            all.into()
        }
        Value::Array(list) => {
            let each = list.iter().enumerate();
            each.map(|(at, value)| filled(root, &of_element(schema, at), value)).collect()
        }
        other => other.clone(),
    }
}

/// Whether all fields of a value are ones that the schema names (of alternatives, one that takes
/// it), and none that may be absent is null.
fn knows(root: &Value, schema: &Value, value: &Value) -> bool {
    let schema = resolve(root, schema);
    let alone = properties(schema).next().is_none();
    for keyword in ["anyOf", "oneOf", "allOf"] {
        if let Some(list) = schema.get(keyword).and_then(Value::as_array).filter(|_| alone) {
            let mut taking = list.iter().filter(|branch| is_valid(root, branch, value));
            return taking.any(|branch| knows(root, branch, value));
        }
    }
    let takes_others = schema.get("additionalProperties").is_some_and(|others| *others != true);
    let fits = |name: &str| name.starts_with('x') && schema.get("patternProperties").is_some();
    let required = schema.get("required").and_then(Value::as_array);
    let is_clear = |name: &str, value: &Value| {
        !value.is_null() || required.is_some_and(|names| names.contains(&name.into()))
    };
    match value {
        Value::Object(object) => {
            object.iter().all(|(name, value)| match schema["properties"].get(name) {
                Some(property) => is_clear(name, value) && knows(root, property, value),
                None if takes_others || fits(name) => true,
                None => is_clear(name, value) && mentions(schema, name),
            })
        }
        Value::Array(list) => {
            let mut each = list.iter().enumerate();
            each.all(|(at, value)| knows(root, &of_element(schema, at), value))
        }
        _ => true,
    }
}

fn of_element(schema: &Value, at: usize) -> Value {
    let listed = |keyword: &str| schema.get(keyword)?.get(at);
    let rest = || schema.get("items").filter(|rest| !rest.is_array());
    let found = listed("prefixItems").or_else(|| listed("items")).or_else(rest);
    found.cloned().unwrap_or(Value::Bool(true))
}

fn mentions(schema: &Value, name: &str) -> bool {
    let under = |keyword: &str| schema[keyword].get(name).is_some();
    let listed = |names: &Value| names.as_array().is_some_and(|names| names.contains(&name.into()));
    let values = |keyword: &str| schema[keyword].as_object().into_iter().flat_map(Map::values);
    let lists = ["allOf", "anyOf", "oneOf"].into_iter();
    let lists = lists.flat_map(|keyword| schema[keyword].as_array().into_iter().flatten());
    let single = ["not", "if", "then", "else"].into_iter().map(|keyword| &schema[keyword]);
    under("properties")
        || under("dependentRequired")
        || under("dependentSchemas")
        || listed(&schema["required"])
        || values("dependentRequired").any(listed)
        || values("dependentSchemas")
            .chain(lists)
            .chain(single)
            .any(|it| it.is_object() && mentions(it, name))
}

/// Adds fields that a schema mentions in its branches only.
fn with_more_fields(strict: &Value, value: &mut Value, rng: &mut Rng) {
    let Some(object) = value.as_object_mut() else { return };
    for name in NAMES.iter().filter(|name| strict["properties"].get(**name).is_some()) {
        if rng.one_in(3) {
            let values = [json!("a"), json!("b"), json!(7), json!({})];
            object.entry(*name).or_insert_with(|| rng.pick(&values).clone());
        }
    }
}

/// Returns whether a value was found that says something.
fn takes_the_same(seed: u64) -> bool {
    let mut rng = Rng(seed);
    let schema = some_schema(&mut rng);
    let strict = self::strict(&schema);
    assert_eq!(self::strict(&strict), strict, "twice: {schema}");
    let mut found = false;
    for _ in 0..8 {
        let mut sampler = Sampler { root: &schema, rng: Rng(rng.next()), nulls: false };
        let mut value = sampler.valid(&schema);
        with_more_fields(&strict, &mut value, &mut rng);
        if is_valid(&schema, &schema, &value) && knows(&schema, &schema, &value) {
            found = true;
            let filled = filled(&strict, &strict, &value);
            let taken = is_valid(&strict, &strict, &filled);
            assert!(taken, "seed {seed}\n{schema}\ntakes {value}\n{strict}\nrefuses {filled}");
        }
    }
    found
}

#[test]
fn most_of_the_random_schemas_say_something() {
    let found = (0..300).filter(|seed| takes_the_same(*seed)).count();
    assert!(found > 150, "{found}");
}

fn schema_like() -> impl Strategy<Value = Value> {
    const KEYWORDS: [&str; 28] = [
        "type",
        "enum",
        "const",
        "default",
        "description",
        "properties",
        "required",
        "items",
        "prefixItems",
        "additionalProperties",
        "patternProperties",
        "$defs",
        "definitions",
        "not",
        "if",
        "then",
        "else",
        "allOf",
        "anyOf",
        "oneOf",
        "$ref",
        "dependentSchemas",
        "contains",
        "dependentRequired",
        "maxProperties",
        "additionalItems",
        "a",
        "b",
    ];
    const WORDS: [&str; 7] = ["object", "null", "string", "array", "a", "b", "#/$defs/a"];
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        proptest::sample::select(&WORDS[..]).prop_map(Value::from),
        Just(Value::Null),
        Just(json!(1)),
        Just(json!({"type": "object"})),
        Just(json!({"type": "object", "properties": {"a": {"type": "string"}}})),
        Just(json!(["a", "b"])),
    ];
    let keyword = || proptest::sample::select(&KEYWORDS[..]).prop_map(str::to_owned);
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            4 => proptest::collection::hash_map(keyword(), inner.clone(), 0..6)
                .prop_map(|map| json!(map)),
            1 => proptest::collection::vec(inner, 0..4).prop_map(Value::from),
        ]
    })
}

proptest! {
    #[test]
    fn doing_it_twice_changes_nothing(schema in schema_like()) {
        let once = strict(&schema);
        prop_assert_eq!(strict(&once), once);
    }

    #[test]
    fn what_was_valid_is_valid_with_nulls_for_what_is_absent(seed in any::<u64>()) {
        takes_the_same(seed);
    }
}
