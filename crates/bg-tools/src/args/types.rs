//! Types of arguments.

use std::borrow::Cow;
use std::time::Duration;

use bg_core::TaskRef;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

/// The id of a task as a model writes it: text, or a whole JSON number for the bare form.
///
/// Text is taken as it is; [`TaskBoard::resolve`](crate::TaskBoard::resolve) judges it. A number
/// that cannot be an id (`-1`, `7.5`, `1e3`) is an error that shows the grammar.
///
/// # Examples
///
/// ```
/// use bg_tools::TaskIdArg;
///
/// let read = serde_json::from_str::<TaskIdArg>;
/// assert_eq!(read("7").unwrap().0, "7");
/// assert_eq!(read(r#""agent:7""#).unwrap().0, "agent:7");
/// assert!(read("7.5").unwrap_err().to_string().contains(r#"a task id is "kind:N" or "N""#));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskIdArg(pub String);

impl<'de> Deserialize<'de> for TaskIdArg {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Self::bare(number.to_string()),
            _ => Err(D::Error::custom("expected a task id such as \"agent:7\"")),
        }
    }
}

impl TaskIdArg {
    fn bare<E: Error>(number: String) -> Result<Self, E> {
        number.parse::<TaskRef>().map_err(E::custom)?;
        Ok(Self(number))
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

/// A number of seconds as a model writes it: any number, also as text, rounded down and clamped to
/// `1..=MAX`.
///
/// `MAX` is at least 1; anything else does not compile.
///
/// # Examples
///
/// ```
/// use bg_tools::SecsArg;
///
/// let read = |json| serde_json::from_str::<SecsArg<300>>(json).unwrap();
/// assert_eq!(read("7").duration().as_secs(), 7);
/// assert_eq!(read(r#"" 7.9 ""#).duration().as_secs(), 7);
/// assert!(!read("7.9").was_clamped());
///
/// let long = read("4294967296");
/// assert_eq!(long.duration().as_secs(), 300);
/// assert!(long.was_clamped());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecsArg<const MAX: u64> {
    secs: u64,
    was_clamped: bool,
}

impl<const MAX: u64> SecsArg<MAX> {
    /// Returns the time.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.secs)
    }

    /// Returns whether another time was asked for: less than a second, or more than `MAX`. An
    /// answer had better say so.
    pub fn was_clamped(self) -> bool {
        self.was_clamped
    }

    fn of(secs: i128) -> Self {
        const { assert!(MAX >= 1) };
        let within = secs.clamp(1, i128::from(MAX));
        let was_clamped = within != secs;
        Self { secs: u64::try_from(within).unwrap_or(MAX), was_clamped }
    }
}

impl<'de, const MAX: u64> Deserialize<'de> for SecsArg<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secs = match Value::deserialize(deserializer)? {
            Value::Number(number) => number.as_i128().or_else(|| number.as_f64().map(floor)),
            Value::String(text) => floor_of_text(text.trim()),
            _ => None,
        };
        let expected = || format!("expected seconds, a number from 1 to {MAX}");
        secs.map(Self::of).ok_or_else(|| D::Error::custom(expected()))
    }
}

fn floor_of_text(text: &str) -> Option<i128> {
    let number = || text.parse().ok().filter(|number: &f64| !number.is_nan());
    text.parse().ok().or_else(|| number().map(floor))
}

#[expect(clippy::cast_possible_truncation, reason = "it saturates: there is nothing to wrap")]
fn floor(number: f64) -> i128 {
    number.floor() as i128
}

impl<const MAX: u64> JsonSchema for SecsArg<MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Seconds_{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": MAX})
    }
}

/// A count, a size or an offset as a model writes it: a whole number from 0 on, also as text,
/// clamped to `MIN..=MAX`.
///
/// What is negative or has a fraction is an error: there is no telling what it means. `MIN` is at
/// most `MAX`; anything else does not compile.
///
/// # Examples
///
/// ```
/// use bg_tools::CountArg;
///
/// let read = serde_json::from_str::<CountArg<4, 8000>>;
/// assert_eq!(read("100").unwrap().get(), 100);
/// assert_eq!(read(r#"" 100 ""#).unwrap().get(), 100);
/// assert_eq!(read("0").unwrap().get(), 4);
/// assert!(read("1e30").unwrap().was_clamped());
/// let error = read("-1").unwrap_err().to_string();
/// assert_eq!(error, "expected a whole number from 4 to 8000");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountArg<const MIN: u64, const MAX: u64> {
    count: u64,
    was_clamped: bool,
}

impl<const MIN: u64, const MAX: u64> CountArg<MIN, MAX> {
    /// Returns the number.
    pub fn get(self) -> u64 {
        self.count
    }

    /// Returns whether another number was asked for, one outside of `MIN..=MAX`.
    pub fn was_clamped(self) -> bool {
        self.was_clamped
    }

    fn of(number: u128) -> Self {
        const { assert!(MIN <= MAX) };
        let within = number.clamp(u128::from(MIN), u128::from(MAX));
        let was_clamped = within != number;
        Self { count: u64::try_from(within).unwrap_or(MAX), was_clamped }
    }

    fn expected() -> String {
        if MAX == u64::MAX {
            return format!("expected a whole number from {MIN} on");
        }
        format!("expected a whole number from {MIN} to {MAX}")
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for CountArg<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = match Value::deserialize(deserializer)? {
            Value::Number(number) => whole(&number),
            Value::String(text) => whole_of_text(text.trim()),
            _ => None,
        };
        number.map(Self::of).ok_or_else(|| D::Error::custom(Self::expected()))
    }
}

/// Reads `8000` and what means the same: `8000.0`, and `1e30` with everything else that is too
/// large for an integer of serde's.
fn whole(number: &Number) -> Option<u128> {
    let float = || number.as_f64().filter(|float| *float >= 0.0 && float.fract() == 0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    number.as_u128().or_else(|| float().map(|float| float as u128))
}

fn whole_of_text(text: &str) -> Option<u128> {
    // `u128::from_str` alone would take a plus sign. Of digits alone, it refuses too many only.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u128::MAX))
}

impl<const MIN: u64, const MAX: u64> JsonSchema for CountArg<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Count_{MIN}_{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        if MAX == u64::MAX {
            return json_schema!({"type": "integer", "minimum": MIN});
        }
        json_schema!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

/// A yes or no as a model writes it: a boolean, or the words `true` and `false` as text in any
/// case.
///
/// # Examples
///
/// ```
/// use bg_tools::BoolArg;
///
/// let read = serde_json::from_str::<BoolArg>;
/// assert!(read("true").unwrap().0 && !read(r#""False""#).unwrap().0);
/// assert_eq!(read("1").unwrap_err().to_string(), "expected true or false");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoolArg(pub bool);

impl<'de> Deserialize<'de> for BoolArg {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let says = |word| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(word));
        match value {
            Value::Bool(flag) => Ok(Self(flag)),
            _ if says("true") => Ok(Self(true)),
            _ if says("false") => Ok(Self(false)),
            _ => Err(D::Error::custom("expected true or false")),
        }
    }
}

impl JsonSchema for BoolArg {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Bool".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "boolean"})
    }
}
