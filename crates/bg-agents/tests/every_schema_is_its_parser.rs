//! What a model is told of each tool's arguments is what the tool takes: whatever the schema allows
//! is read, in the strict form too, and what it forbids is refused with an error that names the tool
//! and the field.
//!
//! `BG_COUNT=1000000 cargo test --release --all-features -p bg-agents --test
//! every_schema_is_its_parser` for volume.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "../../bg-tools/tests/support/mod.rs"]
mod support;

use std::time::Duration;

use bg_agents::sessions::{AgentSpec, Models, ScriptModel};
use bg_agents::tools::{ToolDefinition, ToolError};
use bg_agents::{Background, ToolContext};
use serde_json::Value;
use support::schema_gen::{Volume, faulty_arguments_are_refused, valid_arguments_parse};
use tokio::runtime::Runtime;

/// Cases of each tool and each test.
const CASES: u64 = 1000;

/// All tools, and a caller that can start nothing: commands are read and do not run.
struct Host {
    runtime: Runtime,
    background: Background,
    closed: ToolContext,
}

impl Host {
    fn new() -> Self {
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        let model = ScriptModel::new("say x".parse().unwrap());
        let builder = Background::builder().folder(".").models(Models::new("script", model));
        let background = builder.agents([AgentSpec::new("explore")]).build().unwrap();
        let scope = background.root_scope();
        runtime.block_on(scope.close(Duration::ZERO));
        let closed = background.context(&scope);
        Self { runtime, background, closed }
    }

    /// Calls a tool. What fails once the arguments are read is no concern of the schema.
    fn read(&self, tool: &str, args: &Value) -> Result<(), ToolError> {
        let call = self.background.toolbox();
        let called = self.runtime.block_on(call.call(&self.closed, tool, &args.to_string()));
        let starts = ["Bash", "InvokeAgent"].contains(&tool);
        assert!(!starts || called.result.is_err(), "{tool} has started something: {args}");
        match called.result {
            Err(ToolError::Arguments { problem, .. })
                if problem.starts_with("`agent_name`: there is no agent")
                    || problem.starts_with("`model`: there is no model") =>
            {
                Ok(())
            }
            Ok(_)
            | Err(
                ToolError::Resolve(_)
                | ToolError::Task(_)
                | ToolError::Send(_)
                | ToolError::Spawn(_)
                | ToolError::Failed(_),
            ) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Runs a check for each of the tools.
#[track_caller]
fn check(check: impl Fn(&ToolDefinition, &dyn Fn(Value) -> Result<(), ToolError>, Volume)) {
    let host = Host::new();
    let definitions = host.background.toolbox().definitions();
    assert_eq!(definitions.len(), 9);
    for tool in definitions {
        check(&tool, &|args| host.read(&tool.name, &args), Volume::from_env_or(CASES));
    }
}

#[test]
fn every_tool_reads_what_its_schema_allows() {
    check(|tool, read, volume| valid_arguments_parse(tool, read, volume));
}

#[test]
fn every_tool_reads_what_its_strict_schema_allows() {
    check(|tool, read, volume| valid_arguments_parse(&tool.strict(), read, volume));
}

#[test]
fn every_tool_refuses_what_its_schema_forbids_and_names_the_field() {
    check(|tool, read, volume| faulty_arguments_are_refused(tool, read, volume));
}
