//! What models write for a type of argument: what is meant is taken, anything else is an error that
//! says what would be right.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::support;

use std::collections::BTreeMap;

use bg_tools::{BoolArg, CountArg, SecsArg, TaskIdArg, ToolDefinition, parse_args};
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use support::check_error;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct One<T> {
    it: T,
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    let it: Value = serde_json::from_str(json).unwrap();
    let read = parse_args::<One<T>>("Try", json!({"it": it}));
    read.map(|One { it }| it).map_err(|error| error.to_text())
}

#[track_caller]
fn refused<T: DeserializeOwned>(json: &str, expected: &str) {
    let error = read::<T>(json).err().unwrap();
    check_error(&error);
    assert_eq!(error, format!("Try: `it`: {expected}"), "{json}");
}

/// What is not a number in any way.
const NO_NUMBERS: [&str; 12] = [
    "true",
    "false",
    "[]",
    "[1]",
    "{}",
    r#""""#,
    r#"" ""#,
    r#""abc""#,
    r#""NaN""#,
    r#""1 2""#,
    r#""0x10""#,
    r#""1s""#,
];

#[test]
fn seconds_are_clamped_without_wrap() {
    let cases = [
        ("1", 1, false),
        ("300", 300, false),
        ("300.9", 300, false),
        ("1.99", 1, false),
        (r#"" 42 ""#, 42, false),
        (r#""\t4.2e1\n""#, 42, false),
        ("0", 1, true),
        ("-0.0", 1, true),
        ("0.999", 1, true),
        ("-1", 1, true),
        ("301", 300, true),
        ("4294967296", 300, true),
        ("4294967297", 300, true),
        ("18446744073709551615", 300, true),
        ("18446744073709551616", 300, true),
        ("18446744073709551617", 300, true),
        ("-9223372036854775808", 1, true),
        ("-9223372036854775809", 1, true),
        ("340282366920938463463374607431768211457", 300, true),
        ("1e308", 300, true),
        ("-1e308", 1, true),
        (r#""18446744073709551617""#, 300, true),
        (r#""340282366920938463463374607431768211457""#, 300, true),
        (r#""-340282366920938463463374607431768211457""#, 1, true),
        (r#""1e400""#, 300, true),
        (r#""inf""#, 300, true),
        (r#""-Infinity""#, 1, true),
    ];
    for (json, secs, was_clamped) in cases {
        let arg = read::<SecsArg<300>>(json).unwrap();
        assert_eq!((arg.duration().as_secs(), arg.was_clamped()), (secs, was_clamped), "{json}");
    }
    let widest = read::<SecsArg<{ u64::MAX }>>;
    assert_eq!(widest("18446744073709551615").unwrap().duration().as_secs(), u64::MAX);
    assert_eq!(widest("1e300").unwrap().duration().as_secs(), u64::MAX);
    assert_eq!(read::<SecsArg<1>>("7").unwrap().duration().as_secs(), 1);
}

#[test]
fn what_is_no_time_is_an_error() {
    for json in NO_NUMBERS.iter().chain(&["null", r#""nan""#]) {
        refused::<SecsArg<300>>(json, "expected seconds, a number from 1 to 300");
    }
}

#[test]
fn a_count_is_exact_and_clamped() {
    let cases = [
        ("0", 4, true),
        ("3", 4, true),
        ("4", 4, false),
        ("8000", 8000, false),
        ("8000.0", 8000, false),
        ("8e3", 8000, false),
        ("-0", 4, true),
        (r#"" 17 ""#, 17, false),
        (r#""0017""#, 17, false),
        ("8001", 8000, true),
        ("18446744073709551616", 8000, true),
        (r#""340282366920938463463374607431768211457""#, 8000, true),
        ("1e300", 8000, true),
    ];
    for (json, count, was_clamped) in cases {
        let arg = read::<CountArg<4, 8000>>(json).unwrap();
        assert_eq!((arg.get(), arg.was_clamped()), (count, was_clamped), "{json}");
    }
    let cursor = read::<CountArg<0, { u64::MAX }>>;
    for exact in [0, 1, (1 << 53) + 1, u64::MAX] {
        for json in [exact.to_string(), format!("\"{exact}\"")] {
            let arg = cursor(&json).unwrap();
            assert_eq!((arg.get(), arg.was_clamped()), (exact, false), "{json}");
        }
    }
    assert!(cursor("18446744073709551616").unwrap().was_clamped());
}

#[test]
fn what_is_no_count_is_an_error() {
    let others =
        ["null", "-1", "-1.0", "-1e300", "1.5", r#""-1""#, r#""+1""#, r#""1.0""#, r#""1e3""#];
    for json in NO_NUMBERS.iter().chain(&others) {
        refused::<CountArg<4, 8000>>(json, "expected a whole number from 4 to 8000");
        refused::<CountArg<1, { u64::MAX }>>(json, "expected a whole number from 1 on");
    }
}

#[test]
fn a_yes_or_no_may_be_a_word() {
    for json in ["true", r#""true""#, r#""True""#, r#""TRUE""#] {
        assert!(read::<BoolArg>(json).unwrap().0, "{json}");
    }
    for json in ["false", r#""false""#, r#""False""#, r#""FALSE""#] {
        assert!(!read::<BoolArg>(json).unwrap().0, "{json}");
    }
    let others = [
        "null",
        "0",
        "1",
        "[]",
        "{}",
        r#""""#,
        r#""yes""#,
        r#""1""#,
        r#"" true""#,
        r#""t""#,
        r#""tru\u0435""#,
    ];
    for json in others {
        refused::<BoolArg>(json, "expected true or false");
    }
}

#[test]
fn a_task_id_is_text_or_a_bare_number() {
    for (json, text) in [("7", "7"), (r#"" Agent:7 ""#, " Agent:7 "), (r#""x""#, "x")] {
        assert_eq!(read::<TaskIdArg>(json).unwrap().0, text);
    }
    assert_eq!(read::<TaskIdArg>("18446744073709551615").unwrap().0, u64::MAX.to_string());
    for number in ["0", "-1", "7.5", "7.0", "1000.0", "1e300", "1.8446744073709552e19"] {
        let shown = serde_json::from_str::<Value>(number).unwrap().to_string();
        let grammar = "a task id is \"kind:N\" or \"N\" (for example \"agent:7\")";
        refused::<TaskIdArg>(number, &format!("{grammar}, got \"{shown}\""));
    }
    for json in ["null", "true", "[]", "[7]", "{}"] {
        refused::<TaskIdArg>(json, "expected a task id such as \"agent:7\"");
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Optional {
    id: Option<TaskIdArg>,
    secs: Option<SecsArg<300>>,
    count: Option<CountArg<0, 9>>,
    flag: Option<BoolArg>,
}

#[test]
fn absent_and_null_both_mean_absent() {
    let nulls = json!({"id": null, "secs": null, "count": null, "flag": null});
    for args in [json!({}), nulls] {
        let read: Optional = parse_args("Try", args).unwrap();
        assert!(read.id.is_none() && read.secs.is_none());
        assert!(read.count.is_none() && read.flag.is_none());
    }
}

#[test]
fn schemas_are_short() {
    let of = |definition: ToolDefinition| definition.parameters["properties"].clone();
    let expected = json!({
        "id": {"type": ["string", "null"]},
        "secs": {"type": ["integer", "null"], "minimum": 1, "maximum": 300},
        "count": {"type": ["integer", "null"], "minimum": 0, "maximum": 9},
        "flag": {"type": ["boolean", "null"]},
    });
    assert_eq!(of(ToolDefinition::of::<Optional>("Try", "Tries.")), expected);
    let cursor = ToolDefinition::of::<One<CountArg<0, { u64::MAX }>>>("Try", "Tries.");
    assert_eq!(of(cursor), json!({"it": {"type": "integer", "minimum": 0}}));
}

#[test]
fn an_echo_is_bounded_and_the_end_is_kept() {
    let foul = "\u{202E}\n\u{1}".repeat(100_000);
    let args = json!({foul.clone(): 1});
    let error = parse_args::<One<bool>>("Try", args).unwrap_err().to_text();
    check_error(&error);
    assert!(error.ends_with("expected `it`"), "{error}");

    let error = parse_args::<BTreeMap<String, One<bool>>>("Try", json!({foul: {"it": 1}}))
        .unwrap_err()
        .to_text();
    check_error(&error);
    assert!(error.ends_with("expected a boolean"), "{error}");
}

proptest! {
    #[test]
    fn any_number_is_a_time(bits in any::<u64>(), int in any::<i128>()) {
        let float = f64::from_bits(bits);
        for text in [float.to_string(), int.to_string()] {
            match read::<SecsArg<300>>(&json!(text).to_string()) {
                Ok(arg) => prop_assert!((1..=300).contains(&arg.duration().as_secs())),
                Err(_) => prop_assert!(float.is_nan()),
            }
        }
        let arg = read::<SecsArg<300>>(&json!(int.to_string()).to_string()).unwrap();
        let meant = int.clamp(1, 300);
        prop_assert_eq!(i128::from(arg.duration().as_secs()), meant);
        prop_assert_eq!(arg.was_clamped(), meant != int);
    }

    #[test]
    fn any_text_is_read_or_refused_with_care(text in any::<String>()) {
        let json = json!(text).to_string();
        let errors = [
            read::<SecsArg<300>>(&json).err(),
            read::<CountArg<0, 9>>(&json).err(),
            read::<BoolArg>(&json).err(),
        ];
        for error in errors.into_iter().flatten() {
            check_error(&error);
            prop_assert!(error.starts_with("Try: `it`: expected "));
        }
    }
}
