//! What hooks see of runs and sessions, and what they can change.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common;
use crate::common_sessions as talking;

use async_trait::async_trait;
use bg_core::{Output, Registry, Status};
use bg_sessions::{
    AgentHook, AgentSpec, Agents, BoxError, Hooks, Models, Part, Progress, Recorded, RecordingHook,
    RunInfo, RunInput, RunOptions, Told, Turn, TurnsModel,
};
use bg_tools::{Resource, ToolOutput};
use common::{AGENT, end_of, start_worker, tool, toolbox, turns};
use talking::{Caller, SESSION};

/// Rewrites, and refuses what is called `bad`.
struct House;

#[async_trait]
impl AgentHook for House {
    async fn before_run(&self, run: &RunInfo, input: &mut RunInput) -> Result<(), BoxError> {
        if input.prompt == "bad" {
            return Err(format!("{} must not", run.agent).into());
        }
        input.prompt.insert_str(0, "Politely: ");
        input.resources.retain(|resource| resource.name != "secret");
        Ok(())
    }

    async fn after_run(&self, _: &RunInfo, output: &mut Output) -> Result<(), BoxError> {
        if output.text == "rude" {
            return Err("no such words".into());
        }
        output.text.push('!');
        Ok(())
    }
}

fn agents(model: &Recorded<TurnsModel>, hooks: Hooks) -> Agents {
    let working = tool("Work", async |cx, _| {
        cx.progress("half done");
        Ok(ToolOutput::text("worked"))
    });
    let worker = AgentSpec::new(AGENT).with_tools(["Work"]).with_tags(["*"]);
    Agents::builder(Models::new("test", model.clone()))
        .toolbox(toolbox([working]))
        .agent(worker)
        .hooks(hooks)
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_hook_may_rewrite_what_a_run_is_asked_and_what_it_answers() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("yes")]);
    let agents = agents(&model, Hooks::new().with(House));
    let resource = |name: &str| Resource::new(name).with_text("x").with_tags(["any"]);
    let options = RunOptions::default();
    let options = options.with_resources(vec![resource("secret"), resource("notes")]);
    let id = agents.spawn(&root, AGENT, "go", options).unwrap();
    let finished = end_of(&root, id).await;
    assert_eq!(common::completed(&finished).text, "yes!");
    let parts = model.requests()[0].messages[0].parts.clone();
    assert_eq!(parts, [Part::text("Politely: go"), Part::resource(resource("notes"))]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_refused_asks_nobody_and_is_told_to_nobody() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (model, told) = (turns([]), RecordingHook::new());
    let agents = agents(&model, Hooks::new().with(House).with(told.clone()));
    let id = agents.spawn(&root, AGENT, "bad", RunOptions::default()).unwrap();
    let finished = end_of(&root, id).await;
    assert_eq!(finished.status(), Status::Failed);
    let why = "a hook refused the run: worker must not";
    assert_eq!(finished.outcome.reason().unwrap(), why);
    assert!(model.requests().is_empty());
    common::settle().await;
    assert!(told.told().is_empty(), "{:?}", told.told());
}

#[tokio::test(start_paused = true)]
async fn an_output_that_is_refused_is_a_failure_with_what_was_reached() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("rude")]);
    let id = start_worker(&agents(&model, Hooks::new().with(House)), &root);
    let finished = end_of(&root, id).await;
    let why = "a hook refused the output: no such words";
    assert_eq!(finished.outcome.reason().unwrap(), why);
    assert_eq!(finished.outcome.output().unwrap().usage().requests, 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_first_prompt_is_refused_is_not_there() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (model, told) = (turns([Turn::say("yes")]), RecordingHook::new());
    let agents = agents(&model, Hooks::new().with(House).with(told.clone()));
    let caller = Caller::new(&agents, &root);
    let refused = caller.ask("bad");
    assert_eq!(caller.reply(refused).await.status(), Status::Failed);
    common::settle().await;
    assert!(agents.sessions_of(&root, None).is_empty(), "its id is free");
    assert!(told.told().is_empty(), "{:?}", told.told());
    assert_eq!(caller.talk("go").await, "yes!");
    let refused = caller.ask("bad");
    assert_eq!(caller.reply(refused).await.status(), Status::Failed);
    common::settle().await;
    assert_eq!(agents.sessions_of(&root, None).len(), 1, "a later one is refused alone");
}

#[tokio::test(start_paused = true)]
async fn a_run_is_told_from_its_start_to_its_end() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (model, hook) =
        (turns([Turn::call("Work", "{}"), Turn::say("done")]), RecordingHook::new());
    let id = start_worker(&agents(&model, Hooks::new().with(hook.clone())), &root);
    end_of(&root, id).await;
    hook.ends(1).await;
    let told: Vec<String> = hook.told_of(id).iter().map(brief).collect();
    // What is asked after the run may be asked while something is still being told.
    let told: Vec<&str> = told.iter().map(String::as_str).filter(|told| *told != "after").collect();
    let expected = [
        "before go",
        "start",
        "tool start Work",
        "tool progress half done",
        "tool end worked",
        "progress done at 2 for 20",
        "end done",
    ];
    assert_eq!(told, expected);
}

/// Every prompt of a session is a run of its own, which names the session.
#[tokio::test(start_paused = true)]
async fn the_prompts_of_a_session_are_told_one_by_one() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("one"), Turn::Hang, Turn::Panic("broken")]);
    let hook = RecordingHook::new();
    let caller = Caller::new(&agents(&model, Hooks::new().with(hook.clone())), &root);
    let first = caller.ask("first");
    caller.reply(first).await;
    let second = caller.ask("second");
    common::settle().await;
    caller.command("/stop");
    let third = caller.ask("third");
    caller.reply(third).await;
    hook.ends(3).await;
    for (task, end) in [(first, "Completed"), (second, "Stopped"), (third, "Panicked")] {
        let told = hook.told_of(task);
        let ends = told.iter().filter(|told| matches!(told, Told::End(..))).count();
        assert_eq!(ends, 1, "{told:?}");
        let last = format!("{:?}", told.last().unwrap());
        assert!(last.starts_with(&format!("End({end}")), "{last}");
    }
    let is_of_session = |(run, _): &(RunInfo, Told)| run.session.as_deref() == Some(SESSION);
    assert!(hook.told().iter().all(is_of_session));
}

fn brief(told: &Told) -> String {
    match told {
        Told::Before(input) => format!("before {}", input.prompt),
        Told::After(_) => "after".to_owned(),
        Told::Start => "start".to_owned(),
        Told::ToolStart(call) => format!("tool start {}", call.name),
        Told::ToolProgress(_, text) => format!("tool progress {text}"),
        Told::ToolEnd(_, result) => format!("tool end {}", result.output),
        Told::Progress(Progress { text, step, usage, .. }) => {
            format!("progress {text} at {step} for {}", usage.input_tokens)
        }
        Told::End(end, 0) => format!("end {}", end.output().unwrap().text),
        other => format!("{other:?}"),
    }
}
