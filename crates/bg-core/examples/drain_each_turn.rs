//! A host that keeps everything in memory: each turn begins with what has ended since the last one.
//!
//! `cargo run -p bg-core --example drain_each_turn`

use std::error::Error;
use std::time::Duration;

use bg_core::{Failure, Output, Registry, Scope, Task};

/// Starts a sub-agent that takes so long and fails without a topic.
fn explore(root: &Scope, topic: &'static str, seconds: u64) -> Result<(), Box<dyn Error>> {
    let id = root.spawn(Task::agent("explore", topic), move |cx| async move {
        cx.step(1);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        if topic.is_empty() {
            return Err(Failure::new("there is nothing to look for"));
        }
        Ok(Output::text(format!("all about {topic}")))
    })?;
    println!("  started {id}: {topic:?}");
    Ok(())
}

/// A turn: the results first, then the words of the user. A model would answer.
fn turn(root: &Scope, user: &str) {
    for done in root.inbox().drain() {
        let result = match done.outcome.output() {
            Some(output) => output.text.clone(),
            None => done.outcome.reason().unwrap_or_default(),
        };
        println!("  {} {} after {:.0?}: {result}", done.id, done.status(), done.elapsed());
    }
    let running: Vec<_> = root.snapshot().iter().map(|task| task.id.to_string()).collect();
    println!("  the user says {user:?}; still running: {running:?}");
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    let root = registry.root_scope();
    for (number, user) in ["find the tests", "and?", "thank you"].into_iter().enumerate() {
        println!("turn {}", number + 1);
        turn(&root, user);
        if number == 0 {
            explore(&root, "tests", 30)?;
            explore(&root, "benchmarks", 90)?;
            explore(&root, "", 5)?;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    Ok(())
}
