//! A host whose agent answers by itself when background work ends while the user is silent.
//!
//! `cargo run -p bg-core --example woken_while_idle`

use std::error::Error;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bg_core::{Claim, Driver, Output, Registry, Task, TurnEnd, TurnSlot};
use tokio::time::{Instant, sleep};

struct Host {
    begun: Instant,
}

impl Host {
    fn say(&self, what: &str) {
        println!("{:3} s  {what}", self.begun.elapsed().as_secs());
    }
}

/// A turn that the driver starts. It holds the host weakly, so that the driver ends with it.
async fn turn(host: Weak<Host>, claims: Vec<Claim>) -> (Vec<Claim>, TurnEnd) {
    let Some(host) = host.upgrade() else { return (claims, TurnEnd::Over) };
    let ids: Vec<_> = claims.iter().map(|claim| claim.id.to_string()).collect();
    host.say(&format!("the agent speaks up: {} ended", ids.join(" and ")));
    sleep(Duration::from_secs(2)).await; // a model answers
    (claims, TurnEnd::Committed)
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let (registry, slot) = (Registry::new(), TurnSlot::new());
    let root = registry.root_scope();
    let host = Arc::new(Host { begun: Instant::now() });
    let weak = Arc::downgrade(&host);
    let driver = Driver::new(&root, slot.clone()).run(move |claims| turn(weak.clone(), claims));
    let driver = tokio::spawn(driver);

    for seconds in [5, 20, 30] {
        root.spawn(Task::new("build", "cargo build"), move |_| async move {
            sleep(Duration::from_secs(seconds)).await;
            Ok(Output::text("built"))
        })?;
    }
    sleep(Duration::from_secs(15)).await;
    let users = slot.acquire().await;
    host.say("the user's turn begins; what ends now waits for its end");
    sleep(Duration::from_secs(20)).await;
    host.say("the user's turn is over");
    drop(users);
    sleep(Duration::from_secs(5)).await;
    drop(root);
    driver.await?;
    host.say("nobody has the root any more: the driver is over");
    Ok(())
}
