//! What another root does changes no byte of what a caller is told: no answer, no error, no list, no
//! outcome, no manifest.
//!
//! `BG_COUNT=1000000 cargo test --release -p bg-tools --test other_roots_change_nothing` for volume:
//! it counts pairs of answers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use bg_core::{Limits, Output, Registry, Retention, Task};
use bg_tools::{Called, ToolContext, Toolbox, task_tools};
use serde_json::json;
use support::caller;
use support::rng::Rng;
use support::schema_gen::Volume;
use support::world::{Fate, Op, SMALL, Said, World, first_difference, on_paused_clock, script};
use tokio::task::JoinHandle;

const OPS: usize = 80;

/// What the host allows: nothing in particular, or so little that roots would feel each other if
/// they shared it.
fn registry(rng: &mut Rng) -> Registry {
    if rng.one_in(2) {
        return Registry::new();
    }
    let limits = Limits::default().running(3).queued(4).undelivered(5, 9000).output_bytes(4000);
    Registry::builder().limits(limits).retention(Retention::new(2, Duration::from_secs(20))).build()
}

fn world(registry: &Registry) -> World {
    let root = registry.root_scope();
    let tools = Toolbox::new().with_all(task_tools()).unwrap();
    World::new(root.clone(), tools, ToolContext::new(root))
}

/// Somebody else, with a script of their own. Their calls run beside the caller's, for a wait would
/// change the caller's time.
struct Neighbour {
    world: World,
    script: Vec<Op>,
    calls: Vec<(&'static str, Fate, JoinHandle<Called>)>,
    answered: usize,
}

impl Neighbour {
    async fn go_on(&mut self, ops: usize) {
        for _ in 0..ops {
            match self.script.pop() {
                Some(Op::Call { tool, args, fate }) => self.call(tool, args, fate).await,
                Some(Op::Advance(_)) | None => {}
                Some(op) => drop(self.world.apply(&op).await),
            }
        }
        let (over, calls): (Vec<_>, Vec<_>) =
            self.calls.drain(..).partition(|(.., call)| call.is_finished());
        self.calls = calls;
        for (tool, fate, call) in over {
            self.world.settle(tool, call.await.unwrap(), fate);
            self.answered += 1;
        }
    }

    async fn call(&mut self, tool: &'static str, args: String, fate: Fate) {
        let (tools, cx) = (self.world.tools.clone(), self.world.cx.clone());
        let call = tokio::spawn(async move { tools.call(&cx, tool, &args).await });
        tokio::task::yield_now().await;
        self.calls.push((tool, fate, call));
    }
}

/// Runs a seed's script, alone or beside somebody else's; returns what the caller was told, and how
/// much the other one was answered meanwhile.
async fn told(seed: Rng, has_neighbour: bool) -> (Vec<Said>, usize) {
    let mut rng = seed;
    let registry = registry(&mut rng);
    let ops = script(&mut rng, OPS, SMALL);
    let others = script(&mut rng, 2 * OPS, SMALL);
    let is_first = rng.one_in(2);
    let neighbour = || world(&registry);
    let early = (has_neighbour && is_first).then(neighbour);
    let mut own = world(&registry);
    let other = early.or_else(|| has_neighbour.then(neighbour));
    let mut other =
        other.map(|world| Neighbour { world, script: others, calls: Vec::new(), answered: 0 });
    let mut told = Vec::new();
    for op in &ops {
        if let Some(other) = &mut other {
            other.go_on(1 + rng.below(3)).await;
        }
        told.extend(own.apply(op).await);
    }
    told.extend(own.apply(&Op::Drain).await);
    (told, other.map_or(0, |other| other.answered))
}

#[test]
fn no_answer_differs() {
    let mut others = 0;
    let answers = Volume::from_env_or(3000).run_up_to(|rng| {
        let (alone, _) = on_paused_clock(told(Rng(rng.0), false));
        let (beside, answered) = on_paused_clock(told(Rng(rng.0), true));
        others += answered;
        first_difference("alone", &alone, "beside", &beside)?;
        Ok(alone.len() as u64)
    });
    println!("model other roots: {answers} answers");
    assert!(others as u64 > answers / 10, "the other root was answered {others} times only");
}

/// Inside one root it may be said that there is such a task: it is another scope's, not another
/// conversation's.
#[tokio::test(start_paused = true)]
async fn a_task_of_another_scope_is_forbidden_and_one_that_never_was_is_not_found() {
    let caller = caller();
    let (_, parent) = caller.agent("parent", "p");
    let (_, child) = parent.context().scope().register(Task::new("secret", "secret")).unwrap();
    child.context().trace("secret");
    child.complete(Ok(Output::text("secret")));
    let tools = ["CancelTask", "WaitTask", "ReadTaskOutput", "SendToTask", "InspectTask"];
    for tool in tools {
        let ask = |id| json!({"task_id": id, "message": "m"});
        let args = |id| {
            let mut args = ask(id);
            if tool != "SendToTask" {
                args.as_object_mut().unwrap().remove("message");
            }
            args.to_string()
        };
        let foreign = caller.error(tool, &args("task:2")).await;
        assert_eq!(foreign, "task task:2 is not owned by this caller", "{tool}");
        let bare = caller.error(tool, &args("2")).await;
        assert_eq!(bare, "task 2 is not owned by this caller", "{tool}");
        let none = caller.error(tool, &args("task:3")).await;
        assert_eq!(none, "no background task with id task:3", "{tool}");
    }
    let waited = caller.json("WaitTasks", r#"{"task_ids":["task:2","task:3"]}"#).await;
    let expected = json!([
        {"task_id": "task:2", "status": "forbidden"},
        {"task_id": "task:3", "status": "not_found"},
    ]);
    assert_eq!(waited["tasks"], expected);
    assert!(!caller.answer("ListBackgroundTasks", "{}").await.contains("secret"));
    assert_eq!(parent.context().scope().inbox().drain().count(), 1, "nothing was consumed");
}
