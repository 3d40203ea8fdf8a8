//! Small schemas at random, made of the keywords that `strict` knows.

use serde_json::{Map, Value, json};

use super::rng::Rng;

/// Names of fields.
pub(crate) const NAMES: [&str; 5] = ["a", "b", "c", "d", "x1"];

/// A schema whose definitions are called `leaf` and `object`.
pub(crate) fn some_schema(rng: &mut Rng) -> Value {
    let mut schema = match rng.below(4) {
        0 => alternatives(rng, 2),
        _ => object(rng, 3),
    };
    // Not of itself: a value of it might never end.
    let flat = object(rng, 1).to_string().replace("#/$defs/object", "#/$defs/leaf");
    let flat: Value = serde_json::from_str(&flat).unwrap();
    let definitions = json!({"leaf": leaf(rng), "object": flat});
    let keyword = *rng.pick(&["$defs", "$defs", "definitions"]);
    schema[keyword] = definitions;
    let text = schema.to_string();
    serde_json::from_str(&text.replace("#/$defs/", &format!("#/{keyword}/"))).unwrap()
}

fn leaf(rng: &mut Rng) -> Value {
    let leaves = [
        json!({"type": "string"}),
        json!({"type": "string", "default": "a", "description": "A word."}),
        json!({"type": "integer", "minimum": 0, "maximum": 5}),
        json!({"type": ["string", "null"]}),
        json!({"type": ["string", "integer"]}),
        json!({"enum": ["a", "b", 7]}),
        json!({"type": "string", "enum": ["a", "b"], "default": "a"}),
        json!({"const": "a", "description": "It is this."}),
        json!({"type": "integer", "const": 7}),
        json!({}),
        json!(true),
        json!({"type": "boolean", "default": true}),
        json!({"not": {"type": "string"}}),
        json!({"not": {"type": "null"}}),
        json!({"anyOf": [{"type": "string"}, {"const": 7}]}),
        json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
        json!({"type": ["string", "integer"], "anyOf": [{"enum": ["a"]}, {"const": 7}]}),
        json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
        json!({"oneOf": [{"type": ["string", "null"]}, {"enum": [7, null]}]}),
        json!({"allOf": [{"type": "string"}, {"minLength": 1}], "description": "A text."}),
        json!({"type": ["string", "integer"], "if": {"type": "string"}, "then": {"minLength": 1}}),
        json!({"type": "null"}),
    ];
    rng.pick(&leaves).clone()
}

fn schema(rng: &mut Rng, depth: usize) -> Value {
    match rng.below(if depth == 0 { 5 } else { 10 }) {
        0..4 => leaf(rng),
        4 => json!({"$ref": rng.pick(&["#/$defs/leaf", "#/$defs/object"])}),
        5 | 6 => object(rng, depth - 1),
        7 | 8 => array(rng, depth - 1),
        _ => alternatives(rng, depth - 1),
    }
}

fn array(rng: &mut Rng, depth: usize) -> Value {
    let mut array = json!({"type": "array", "maxItems": 3});
    match rng.below(4) {
        0 => array["prefixItems"] = json!([schema(rng, depth), schema(rng, depth)]),
        1 => {
            array["items"] = object(rng, 0);
            array["contains"] = branch(rng, 1);
        }
        2 => array["items"] = json!([schema(rng, depth)]),
        _ => array["items"] = schema(rng, depth),
    }
    array
}

/// Those of `oneOf` are told apart by a field: a null in another could make two of one.
fn alternatives(rng: &mut Rng, depth: usize) -> Value {
    let mut list: Vec<_> = (0..=rng.below(3)).map(|_| object(rng, depth)).collect();
    let keyword = *rng.pick(&["anyOf", "oneOf"]);
    if keyword == "oneOf" {
        for (at, object) in list.iter_mut().enumerate() {
            object["properties"]["kind"] = json!({"const": at});
            let mut required = object["required"].as_array().cloned().unwrap_or_default();
            required.push("kind".into());
            object["required"] = required.into();
        }
    }
    if list.len() == 1 && rng.one_in(2) {
        return json!({"allOf": list, "description": "One of one."});
    }
    json!({keyword: list})
}

fn object(rng: &mut Rng, depth: usize) -> Value {
    let mut properties = Map::new();
    for name in rng.some_of(&NAMES) {
        properties.insert((*name).to_owned(), schema(rng, depth));
    }
    let names: Vec<_> = properties.keys().cloned().collect();
    let mut object = json!({"type": "object", "required": rng.some_of(&names)});
    if rng.one_in(3) {
        object.as_object_mut().unwrap().remove("required");
    }
    if !properties.is_empty() || rng.one_in(2) {
        object["properties"] = properties.into();
    }
    match rng.below(10) {
        0 => object["additionalProperties"] = json!(false),
        1 => object["additionalProperties"] = json!(true),
        2 => object["additionalProperties"] = json!({"type": ["integer", "string"]}),
        3 => object["patternProperties"] = json!({"^x": leaf(rng)}),
        4 => object["maxProperties"] = json!(3),
        5 => object["minProperties"] = json!(1),
        6 => object["type"] = json!(["object", "null"]),
        7 => object["dependentRequired"] = json!({"a": ["b"]}),
        _ => {}
    }
    // With no fields of its own it would be one of the alternatives that a null may not tell apart.
    if object.get("properties").and_then(|fields| fields.get("c")).is_some() {
        add_branches(rng, &mut object);
    }
    object
}

fn add_branches(rng: &mut Rng, object: &mut Value) {
    let two = |rng: &mut Rng| json!([branch(rng, 1), branch(rng, 1)]);
    match rng.below(7) {
        0 => object["allOf"] = two(rng),
        1 => object["anyOf"] = two(rng),
        2 => object["oneOf"] = two(rng),
        3 => object["not"] = branch(rng, 1),
        4 => object["if"] = branch(rng, 1),
        5 => object["dependentSchemas"] = json!({"a": branch(rng, 1)}),
        _ => object["allOf"] = json!([branch(rng, 1)]),
    }
    if object.get("if").is_some() {
        object["then"] = branch(rng, 1);
        object["else"] = branch(rng, 1);
    }
}

/// Something more about an object. What is null in it may mean more than "absent", so it has no
/// such values.
fn branch(rng: &mut Rng, depth: usize) -> Value {
    let of_fields = [json!({"type": "string"}), json!({"enum": ["a", 7]}), json!({"const": "a"})];
    let mut properties = Map::new();
    for name in rng.some_of(&NAMES) {
        if rng.one_in(2) {
            properties.insert((*name).to_owned(), rng.pick(&of_fields).clone());
        }
    }
    let required: Vec<_> = rng.some_of(&NAMES).into_iter().filter(|_| rng.one_in(2)).collect();
    match rng.below(if depth == 0 { 4 } else { 8 }) {
        0 => json!({"required": required}),
        1 => json!({"properties": properties, "type": "object"}),
        2 => json!({"properties": properties, "required": required, "additionalProperties": false}),
        3 => json!({"properties": properties, "required": required}),
        4 => json!({"not": branch(rng, depth - 1)}),
        5 => json!({"anyOf": [branch(rng, depth - 1), branch(rng, depth - 1)]}),
        6 => json!({"oneOf": [branch(rng, depth - 1), branch(rng, depth - 1)]}),
        _ => json!({"allOf": [branch(rng, depth - 1)], "properties": properties}),
    }
}
