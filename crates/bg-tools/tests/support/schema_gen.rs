//! Arguments made from the schema that a model gets: valid ones, and ones with one fault.

use bg_tools::{ToolDefinition, ToolError};
use serde_json::{Map, Number, Value, json};

use super::check_error;
use super::rng::Rng;
use super::validator::{is_valid, resolve, type_fits};

/// How many cases there are, and which. Case N of a seed is case 0 of the seed N later.
#[derive(Clone, Copy)]
pub(crate) struct Volume {
    seed: u64,
    count: u64,
}

impl Volume {
    /// Reads `BG_SEED` and `BG_COUNT`.
    pub(crate) fn from_env() -> Self {
        Self::from_env_or(20_000)
    }

    /// The same with another count, if none is set.
    pub(crate) fn from_env_or(count: u64) -> Self {
        let read = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
        Self { seed: read("BG_SEED").unwrap_or(1), count: read("BG_COUNT").unwrap_or(count) }
    }

    /// Runs the cases; each says what is wrong, if anything is.
    #[track_caller]
    pub(crate) fn run(self, mut case: impl FnMut(Rng) -> Result<(), String>) {
        self.run_up_to(|rng| case(rng).map(|()| 1));
    }

    /// Runs cases until there have been as many as the count; each says how many it was, or what is
    /// wrong. Returns how many there were.
    #[track_caller]
    pub(crate) fn run_up_to(self, mut case: impl FnMut(Rng) -> Result<u64, String>) -> u64 {
        let mut done = 0;
        for seed in (0..).map(|at| self.seed.wrapping_add(at)) {
            if done >= self.count {
                break;
            }
            match case(Rng(seed)) {
                Ok(more) => done += more,
                Err(problem) => {
                    let (package, test) = (env!("CARGO_PKG_NAME"), env!("CARGO_CRATE_NAME"));
                    panic!(
                        "{problem}\nto repeat it: BG_SEED={seed} BG_COUNT=1 \
                         cargo test --all-features -p {package} --test {test}"
                    );
                }
            }
        }
        done
    }
}

/// Checks that what the schema allows is parsed.
#[track_caller]
pub(crate) fn valid_arguments_parse(
    tool: &ToolDefinition,
    parse: impl Fn(Value) -> Result<(), ToolError>,
    volume: Volume,
) {
    let schema = &tool.parameters;
    volume.run(|rng| {
        let args = Sampler { root: schema, rng, nulls: true }.valid(schema);
        assert!(is_valid(schema, schema, &args), "the sampler is wrong: {args}");
        let shown = args.to_string();
        parse(args).map_err(|error| format!("{} refused {shown}: {error}", tool.name))
    });
}

/// Checks that arguments with one fault are refused, with an error that names tool and field.
#[track_caller]
pub(crate) fn faulty_arguments_are_refused(
    tool: &ToolDefinition,
    parse: impl Fn(Value) -> Result<(), ToolError>,
    volume: Volume,
) {
    let schema = &tool.parameters;
    volume.run(|rng| {
        let Faulty { args, field } = Sampler { root: schema, rng, nulls: true }.faulty(schema);
        assert!(!is_valid(schema, schema, &args), "the sampler is wrong: {args}");
        let shown = args.to_string();
        let Err(error) = parse(args) else {
            return Err(format!("{} took {shown}", tool.name));
        };
        let text = error.to_text();
        check_error(&text);
        let named = text.starts_with(&format!("{}: ", tool.name)) && text.contains(&field);
        let problem = || format!("{shown}: no word of {} or `{field}` in {text}", tool.name);
        if named { Ok(()) } else { Err(problem()) }
    });
}

/// Arguments with one fault.
struct Faulty {
    args: Value,
    /// What has the fault; empty for the arguments as a whole.
    field: String,
}

/// Makes values from a schema.
pub(crate) struct Sampler<'a> {
    pub(crate) root: &'a Value,
    pub(crate) rng: Rng,
    /// Whether a field that may be left out may be null instead, if its schema says so.
    pub(crate) nulls: bool,
}

impl Sampler<'_> {
    /// A value that the schema takes. Knows types, enums, bounds, properties, items and alternatives.
    pub(crate) fn valid(&mut self, schema: &Value) -> Value {
        let schema = resolve(self.root, schema);
        let fields = properties(schema).next().is_some();
        for keyword in ["anyOf", "oneOf"] {
            let list = schema.get(keyword).and_then(Value::as_array);
            if let Some(list) = list.filter(|list| !fields && !list.is_empty()) {
                let one = self.rng.pick(list);
                return self.valid(one);
            }
        }
        if let Some(list) = schema.get("allOf").and_then(Value::as_array)
            && list.len() == 1
        {
            return self.valid(&list[0]);
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return self.rng.pick(values).clone();
        }
        let types = types(self.root, schema);
        if types.is_empty() {
            return self.anything();
        }
        let word = self.rng.pick(&types).clone();
        self.of_type(&word, schema)
    }

    fn anything(&mut self) -> Value {
        let word = *self.rng.pick(&["null", "boolean", "string", "integer", "number"]);
        self.of_type(word, &Value::Null)
    }

    fn of_type(&mut self, word: &str, schema: &Value) -> Value {
        match word {
            "null" => Value::Null,
            "boolean" => self.rng.one_in(2).into(),
            "string" => self.text(schema).into(),
            "integer" => self.integer(schema).into(),
            "number" => {
                let float = f64::from_bits(self.rng.next());
                Number::from_f64(float).map_or_else(|| json!(0.5), Value::Number)
            }
            "array" => self.array(schema),
            "object" => self.object(schema),
            _ => panic!("no type is called {word}"),
        }
    }

    fn text(&mut self, schema: &Value) -> String {
        const LETTERS: [char; 12] = [
            'a',
            '7',
            ':',
            ' ',
            '"',
            '\\',
            '\n',
            '\0',
            '\u{E9}',
            '\u{202E}',
            '\u{301}',
            '\u{1F600}',
        ];
        let (least, most) = bounds(schema, "minLength", "maxLength", 12);
        let len = least + self.rng.below(most - least + 1);
        (0..len).map(|_| *self.rng.pick(&LETTERS)).collect()
    }

    fn integer(&mut self, schema: &Value) -> Number {
        let bound = |keyword| schema.get(keyword)?.as_number()?.as_i128();
        let (least, most) = match schema.get("format").and_then(Value::as_str) {
            Some("uint8") => (0, u8::MAX.into()),
            Some("uint16") => (0, u16::MAX.into()),
            Some("uint32") => (0, u32::MAX.into()),
            Some("uint64" | "uint") => (0, u64::MAX.into()),
            Some("int32") => (i32::MIN.into(), i32::MAX.into()),
            _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
        };
        let least = bound("minimum").unwrap_or(least);
        let most = bound("maximum").unwrap_or(most).max(least);
        let number = match self.rng.below(4) {
            0 => least,
            1 => most,
            _ => least + i128::from(self.rng.next()) % (most - least + 1),
        };
        Number::from_i128(number).unwrap()
    }

    fn array(&mut self, schema: &Value) -> Value {
        let first = schema.get("prefixItems").and_then(Value::as_array);
        let first: Vec<_> = first.into_iter().flatten().collect();
        let (least, most) = bounds(schema, "minItems", "maxItems", 4);
        let len = least + self.rng.below(most - least + 1);
        let rest = schema.get("items").unwrap_or(&Value::Bool(true));
        (0..len).map(|at| self.valid(first.get(at).unwrap_or(&rest))).collect()
    }

    fn object(&mut self, schema: &Value) -> Value {
        let required = required(schema);
        let mut object = Map::new();
        for (name, property) in properties(schema) {
            let is_required = required.contains(&name.as_str());
            if !is_required && self.rng.one_in(2) {
                continue;
            }
            let value = self.valid(property);
            if is_required || self.nulls || !value.is_null() {
                object.insert(name.clone(), value);
            }
        }
        object.into()
    }

    /// Arguments that would be valid but for one fault.
    fn faulty(&mut self, schema: &Value) -> Faulty {
        if self.rng.one_in(12) {
            let others = [json!(null), json!(true), json!(7), json!("[]"), json!([]), json!([{}])];
            return Faulty {
                args: self.rng.pick(&others).clone(),
                field: "JSON object".to_owned(),
            };
        }
        // Some valid arguments have no place for the fault that was drawn.
        loop {
            let mut args = self.valid(schema);
            if let Some(field) = self.spoil(schema, &mut args) {
                return Faulty { args, field };
            }
        }
    }

    /// Puts a fault into an object, and returns what has it.
    fn spoil(&mut self, schema: &Value, value: &mut Value) -> Option<String> {
        let schema = resolve(self.root, schema);
        let object = value.as_object_mut()?;
        let properties: Vec<_> = properties(schema).collect();
        match self.rng.below(4) {
            0 => {
                let required = required(schema);
                let name = *self.rng.pick(some(&required)?);
                object.remove(name);
                Some(format!("`{name}`"))
            }
            1 => {
                let others = ["bogus", "TASK_ID", "task-id", "x y", ""];
                let name = *self.rng.pick(&others);
                let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
                let unknown = closed && properties.iter().all(|(known, _)| *known != name);
                unknown.then(|| object.insert(name.to_owned(), json!(1)));
                unknown.then(|| format!("`{name}`"))
            }
            2 => {
                let (name, property) = *self.rng.pick(some(&properties)?);
                object.insert(name.clone(), self.wrong(property)?);
                Some(format!("{name}`"))
            }
            _ => {
                let (name, property) = *self.rng.pick(some(&properties)?);
                self.spoil_inside(property, object.get_mut(name)?).map(|()| name.clone())
            }
        }
    }

    /// Puts a fault into an object, or into an element of a list.
    fn spoil_inside(&mut self, schema: &Value, value: &mut Value) -> Option<()> {
        let schema = chosen(self.root, schema, value);
        let Some(list) = value.as_array_mut() else {
            return self.spoil(schema, value).map(drop);
        };
        let at = self.rng.below(some(list)?.len());
        let schema = schema.get("items")?;
        if list[at].is_object() {
            return self.spoil(schema, &mut list[at]).map(drop);
        }
        list[at] = self.wrong(schema)?;
        Some(())
    }

    /// A value of a type that no tolerance reads as one of those that there may be.
    fn wrong(&mut self, schema: &Value) -> Option<Value> {
        let types = types(self.root, schema);
        let one_of = |words: &[&str]| types.iter().any(|word| words.contains(&word.as_str()));
        let is_enum = schema.to_string().contains("\"enum\"");
        let candidates = [
            (json!(null), !one_of(&["null"])),
            (json!(false), !one_of(&["boolean"])),
            // Ids may be numbers.
            (json!(7.5), !one_of(&["integer", "number", "string"]) || is_enum),
            (json!("no such word"), !one_of(&["string", "array"]) || is_enum),
            // serde reads a list as the fields of an object, in their order.
            (json!([[]]), !one_of(&["array", "object"])),
            (json!({"x": {}}), !one_of(&["object"])),
        ];
        let wrong: Vec<_> = candidates.into_iter().filter(|(_, wrong)| *wrong).collect();
        some(&wrong).map(|wrong| self.rng.pick(wrong).0.clone())
    }
}

/// Of alternatives, the one that takes the value.
fn chosen<'a>(root: &'a Value, schema: &'a Value, value: &Value) -> &'a Value {
    let schema = resolve(root, schema);
    let list = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let mut list = list.map(|schema| resolve(root, schema));
    list.find(|schema| is_valid(root, schema, value)).unwrap_or(schema)
}

fn some<T>(list: &[T]) -> Option<&[T]> {
    (!list.is_empty()).then_some(list)
}

fn bounds(schema: &Value, least: &str, most: &str, usual: usize) -> (usize, usize) {
    let bound = |keyword: &str| {
        let bound = schema.get(keyword).and_then(Value::as_u64);
        bound.map(|bound| usize::try_from(bound).unwrap())
    };
    let least = bound(least).unwrap_or(0);
    (least, bound(most).unwrap_or(least + usual).max(least))
}

pub(crate) fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn required(schema: &Value) -> Vec<&str> {
    let names = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).collect()
}

/// The types that a schema names, those of its alternatives included.
fn types(root: &Value, schema: &Value) -> Vec<String> {
    let schema = resolve(root, schema);
    let mut words = match schema.get("type") {
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(word)) => vec![word.as_str()],
        _ => Vec::new(),
    };
    let values = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    for value in values.chain(schema.get("const")) {
        let all = ["null", "boolean", "string", "integer", "number", "array", "object"];
        words.extend(all.into_iter().filter(|word| type_fits(word, value)));
    }
    let mut types: Vec<_> = words.into_iter().map(str::to_owned).collect();
    for keyword in ["anyOf", "oneOf"] {
        let list = schema.get(keyword).and_then(Value::as_array).into_iter().flatten();
        types.extend(list.flat_map(|schema| self::types(root, schema)));
    }
    if types.is_empty() && schema.get("properties").is_some() {
        types.push("object".to_owned());
    }
    types
}
