//! A host that loses no result: it acknowledges one when the turn that had it is written down.
//!
//! `cargo run -p bg-core --example careful_ack`

use std::error::Error;
use std::time::Duration;

use bg_core::{Output, Registry, Scope, Task};

/// The conversation as it is stored.
#[derive(Default)]
struct History(Vec<String>);

/// A turn: claims what has ended, asks the model, stores the answer, acknowledges. On an error the
/// claims are dropped, and their results are back in the inbox.
fn turn(root: &Scope, history: &mut History, model_answers: bool) -> Result<(), Box<dyn Error>> {
    let claims = root.inbox().take(16);
    let results: Vec<_> = claims.iter().filter_map(|claim| claim.outcome.output()).collect();
    let prompt = results.iter().map(|output| &output.text[..]).collect::<Vec<_>>().join(", ");
    println!("  the model reads {prompt:?}");
    if !model_answers {
        return Err("the provider is overloaded".into());
    }
    history.0.push(format!("read {prompt}"));
    for claim in claims {
        println!("  {} is stored and acknowledged", claim.ack().id);
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut history = History::default();
    for (name, seconds) in [("first", 1), ("second", 2)] {
        root.spawn(Task::agent(name, "find all tests"), move |_| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(Output::text(format!("the {name} report")))
        })?;
    }
    for (number, model_answers) in [false, true].into_iter().enumerate() {
        tokio::time::sleep(Duration::from_secs(2)).await;
        println!("turn {}", number + 1);
        if let Err(error) = turn(&root, &mut history, model_answers) {
            println!("  the turn failed: {error}");
        }
        println!("  waiting for a turn: {}", registry.admin().stats().undelivered);
    }
    println!("the history: {:?}", history.0);
    Ok(())
}
