//! The loop of an agent. A turn that fails after a tool has answered loses no result.
//!
//! `cargo run -p bg-agents --example host --features script`

use bg_agents::sessions::{AgentSpec, Models, ScriptModel};
use bg_agents::tools::{Claims, manifest};
use bg_agents::{Background, ToolContext, format_outcome};

/// What the model calls in each turn, and whether the turn can be stored.
const TURNS: &[(&[(&str, &str)], bool)] = &[
    (
        &[
            ("InvokeAgent", r#"{"agent_name": "explore", "prompt": "map", "background": true}"#),
            ("Bash", r#"{"command": "cat", "background": true, "interactive": true}"#),
            ("WaitTask", r#"{"task_id": "agent:1"}"#),
        ],
        false,
    ),
    (&[("ListBackgroundTasks", "{}")], true),
    (
        &[
            ("SendToTask", r#"{"task_id": "process:2", "message": "hello"}"#),
            ("WaitTasks", r#"{"task_ids": [1, 2], "timeout_secs": 1}"#),
            ("InspectTask", r#"{"task_id": 2}"#),
            ("ReadTaskOutput", r#"{"task_id": 2}"#),
            ("CancelTask", r#"{"task_id": 2}"#),
        ],
        true,
    ),
];

struct Host {
    background: Background,
    /// One for the whole conversation: it remembers what the model has been told.
    cx: ToolContext,
}

impl Host {
    /// Plays a turn; on an error nothing that it has told counts as told.
    async fn turn(
        &self,
        calls: &[(&str, &str)],
        is_stored: bool,
    ) -> Result<(), Box<dyn std::error::Error>> {
        print!("{}", manifest(self.cx.scope(), self.background.budget()));
        let arrived = self.cx.scope().inbox().take(16);
        print!("{}", arrived.iter().map(|claim| format_outcome(claim)).collect::<String>());
        let mut told: Vec<Claims> = Vec::new();
        for (tool, args) in calls {
            let called = self.background.toolbox().call(&self.cx, tool, args).await;
            println!("{tool} {args}\n  {}", called.to_wire().output);
            told.push(called.claims);
        }
        if !is_stored {
            return Err("the provider is overloaded".into());
        }
        drop(arrived.into_iter().map(bg_agents::Claim::ack).collect::<Vec<_>>());
        drop(told.into_iter().map(Claims::ack).collect::<Vec<_>>());
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // First of all: what a killed host leaves behind is ended by its guard.
    bg_agents::process::guard_main();
    tokio::runtime::Runtime::new()?.block_on(run())
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let models = Models::new("script", ScriptModel::new("say 3 crates".parse()?));
    let agents = [AgentSpec::new("explore")];
    let background = Background::builder().folder(".").models(models).agents(agents).build()?;
    let host = Host { cx: background.context(&background.root_scope()), background };
    for (calls, is_stored) in TURNS {
        let stored = host.turn(calls, *is_stored).await;
        println!("--- the turn is stored: {stored:?}");
    }
    Ok(())
}
