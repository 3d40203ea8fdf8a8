//! What a model is told of the arguments is what the parser takes: whatever the schema allows is
//! parsed, and what it forbids is refused with an error that names the tool and the field.
//!
//! `BG_COUNT=1000000 cargo test --release -p bg-tools --test schemas_and_parsers_agree` for volume.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use bg_tools::{BoolArg, CountArg, SecsArg, TaskIdArg, ToolDefinition, ToolError, parse_args};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use support::schema_gen::{Volume, faulty_arguments_are_refused, valid_arguments_parse};

/// One field of each type.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is only read")]
struct Flat {
    task_id: TaskIdArg,
    timeout_secs: SecsArg<300>,
    cursor: CountArg<0, { u64::MAX }>,
    background: BoolArg,
    mode: Mode,
    prompt: String,
    lines: u16,
    offset: i64,
    exact: bool,
    maybe_id: Option<TaskIdArg>,
    maybe_secs: Option<SecsArg<3600>>,
    maybe_count: Option<CountArg<4, 8000>>,
    maybe_flag: Option<BoolArg>,
    maybe_mode: Option<Mode>,
    maybe_text: Option<String>,
    ratio: Option<f64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Any,
    All,
    FirstSuccess,
}

/// Lists, and objects in objects.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is only read")]
struct Nested {
    #[schemars(length(min = 1, max = 5))]
    task_ids: Vec<TaskIdArg>,
    modes: Option<Vec<Mode>>,
    target: Target,
    fallback: Option<Target>,
    more: Option<Vec<Target>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is only read")]
struct Target {
    task_id: TaskIdArg,
    limit: Option<CountArg<0, 50>>,
    recursive: Option<BoolArg>,
    mode: Option<Mode>,
}

fn parse<A: DeserializeOwned>(args: Value) -> Result<(), ToolError> {
    parse_args::<A>("Try", args).map(drop)
}

#[track_caller]
fn check<A: DeserializeOwned + JsonSchema>() {
    let tool = ToolDefinition::of::<A>("Try", "Tries.");
    valid_arguments_parse(&tool, parse::<A>, Volume::from_env());
    valid_arguments_parse(&tool.strict(), parse::<A>, Volume::from_env());
    faulty_arguments_are_refused(&tool, parse::<A>, Volume::from_env());
}

#[test]
fn each_type_of_argument_takes_what_its_schema_allows_and_nothing_else() {
    check::<Flat>();
}

#[test]
fn lists_and_objects_take_what_their_schemas_allow_and_nothing_else() {
    check::<Nested>();
}
