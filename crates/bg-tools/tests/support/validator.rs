//! Whether JSON is valid for a schema: the keywords that the tests use, and no others.
//!
//! A pattern is a literal prefix behind `^`; a reference names a definition of the root.

use serde_json::{Map, Value};

type Object = Map<String, Value>;

pub(crate) fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    Validator { root }.takes(schema, value)
}

/// Returns the definition that a reference names.
pub(crate) fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

pub(crate) fn type_fits(word: &str, value: &Value) -> bool {
    match word {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => panic!("no type is called {word}"),
    }
}

#[derive(Clone, Copy)]
struct Validator<'a> {
    root: &'a Value,
}

impl Validator<'_> {
    fn takes(self, schema: &Value, value: &Value) -> bool {
        match schema {
            Value::Bool(takes) => *takes,
            Value::Object(object) => object.iter().all(|(keyword, argument)| {
                Self::scalar(keyword, argument, value)
                    && self.branch(object, keyword, argument, value)
                    && self.fields(object, keyword, argument, value)
                    && self.elements(object, keyword, argument, value)
            }),
            _ => panic!("not a schema: {schema}"),
        }
    }

    fn scalar(keyword: &str, argument: &Value, value: &Value) -> bool {
        let len = |of: fn(&Value) -> Option<usize>| {
            of(value).map(|len| f64::from(u32::try_from(len).unwrap()))
        };
        let array = len(|value| value.as_array().map(Vec::len));
        let object = len(|value| value.as_object().map(Map::len));
        let string = len(|value| value.as_str().map(|text| text.chars().count()));
        let at_least =
            |size: Option<f64>| size.is_none_or(|size| size >= argument.as_f64().unwrap());
        let at_most =
            |size: Option<f64>| size.is_none_or(|size| size <= argument.as_f64().unwrap());
        match keyword {
            "type" => match argument {
                Value::Array(words) => {
                    words.iter().any(|word| type_fits(word.as_str().unwrap(), value))
                }
                word => type_fits(word.as_str().unwrap(), value),
            },
            "enum" => argument.as_array().unwrap().contains(value),
            "const" => argument == value,
            "minimum" => at_least(value.as_f64()),
            "maximum" => at_most(value.as_f64()),
            "minItems" => at_least(array),
            "maxItems" => at_most(array),
            "minProperties" => at_least(object),
            "maxProperties" => at_most(object),
            "minLength" => at_least(string),
            "maxLength" => at_most(string),
            _ => true,
        }
    }

    fn branch(self, schema: &Object, keyword: &str, argument: &Value, value: &Value) -> bool {
        let count = || {
            let list = argument.as_array().unwrap();
            list.iter().filter(|branch| self.takes(branch, value)).count()
        };
        let holds = |keyword| schema.get(keyword).is_none_or(|branch| self.takes(branch, value));
        match keyword {
            "anyOf" => count() > 0,
            "oneOf" => count() == 1,
            "allOf" => count() == argument.as_array().unwrap().len(),
            "not" => !self.takes(argument, value),
            "if" if self.takes(argument, value) => holds("then"),
            "if" => holds("else"),
            "$ref" => self.takes(resolve(self.root, &Value::Object(schema.clone())), value),
            _ => true,
        }
    }

    fn fields(self, schema: &Object, keyword: &str, argument: &Value, value: &Value) -> bool {
        let Some(object) = value.as_object() else { return true };
        let has = |names: &Value| {
            let mut names = names.as_array().unwrap().iter();
            names.all(|name| object.contains_key(name.as_str().unwrap()))
        };
        let matching = |pattern: &str| {
            let prefix = pattern.strip_prefix('^').unwrap().to_owned();
            object.iter().filter(move |(name, _)| name.starts_with(&prefix))
        };
        match (keyword, argument) {
            ("required", names) => has(names),
            ("properties", Value::Object(properties)) => properties
                .iter()
                .all(|(name, schema)| object.get(name).is_none_or(|v| self.takes(schema, v))),
            ("patternProperties", Value::Object(patterns)) => patterns
                .iter()
                .all(|(pattern, schema)| matching(pattern).all(|(_, v)| self.takes(schema, v))),
            ("additionalProperties", others) => {
                let is_other = |name: &str| {
                    let properties = schema.get("properties");
                    let patterns = schema.get("patternProperties").and_then(Value::as_object);
                    let mut patterns = patterns.into_iter().flat_map(Map::keys);
                    properties.is_none_or(|properties| properties.get(name).is_none())
                        && !patterns.any(|pattern| matching(pattern).any(|(n, _)| n == name))
                };
                object.iter().all(|(name, value)| !is_other(name) || self.takes(others, value))
            }
            ("dependentRequired", Value::Object(map)) => {
                map.iter().all(|(name, names)| !object.contains_key(name) || has(names))
            }
            ("dependentSchemas", Value::Object(map)) => map
                .iter()
                .all(|(name, schema)| !object.contains_key(name) || self.takes(schema, value)),
            _ => true,
        }
    }

    fn elements(self, schema: &Object, keyword: &str, argument: &Value, value: &Value) -> bool {
        let Some(list) = value.as_array() else { return true };
        let pairs = |schemas: &Value| {
            let schemas = schemas.as_array().unwrap();
            schemas.iter().zip(list).all(|(schema, element)| self.takes(schema, element))
        };
        let first = schema.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
        match (keyword, argument) {
            ("prefixItems", schemas) | ("items", schemas @ Value::Array(_)) => pairs(schemas),
            ("items", schema) => list.iter().skip(first).all(|v| self.takes(schema, v)),
            ("contains", schema) => list.iter().any(|v| self.takes(schema, v)),
            _ => true,
        }
    }
}
