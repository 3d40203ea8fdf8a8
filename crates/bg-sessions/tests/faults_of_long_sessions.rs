//! What sessions of other systems get wrong the longer they live, and what holds here instead.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common;
use crate::common_sessions as talking;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bg_core::{Output, Registry, Task};
use bg_sessions::{
    AgentHook, AgentSpec, Agents, BoxError, CompactionSpec, Hooks, Model, ModelError, ModelInfo,
    ModelReply, ModelRequest, Models, Percent, Recorded, RecordingHook, RunEnd, RunInfo, RunInput,
    SessionAnswer, SessionStatus, Told, Turn, TurnsModel, WithSummaries,
};
use bg_tools::{Budget, ToolOutput};
use common::{
    AGENT, agents, blob, blob_call, completed, pause, settle, texts, tool, toolbox, turns,
};
use talking::{Answering, Caller};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

fn status(caller: &Caller) -> Box<SessionStatus> {
    match caller.command("/status") {
        SessionAnswer::Status(status) => status,
        other => panic!("no status: {other:?}"),
    }
}

/// Panics where it is told to.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Before,
    After,
    Start,
    Progress,
    ToolStart,
    ToolEnd,
    End,
}

#[async_trait]
impl AgentHook for At {
    async fn before_run(&self, _: &RunInfo, _: &mut RunInput) -> Result<(), BoxError> {
        self.panic_at(Self::Before);
        Ok(())
    }

    async fn after_run(&self, _: &RunInfo, _: &mut Output) -> Result<(), BoxError> {
        self.panic_at(Self::After);
        Ok(())
    }

    async fn on_start(&self, _: &RunInfo) {
        self.panic_at(Self::Start);
    }

    async fn on_progress(&self, _: &RunInfo, _: &bg_sessions::Progress) {
        self.panic_at(Self::Progress);
    }

    async fn on_tool_start(&self, _: &RunInfo, _: &bg_sessions::ToolCall) {
        self.panic_at(Self::ToolStart);
    }

    async fn on_tool_end(
        &self,
        _: &RunInfo,
        _: &bg_sessions::ToolCall,
        _: &bg_sessions::ToolResult,
    ) {
        self.panic_at(Self::ToolEnd);
    }

    async fn on_end(&self, _: &RunInfo, _: &RunEnd, _: u64) {
        self.panic_at(Self::End);
    }
}

impl At {
    const ALL: [Self; 7] = [
        Self::Before,
        Self::After,
        Self::Start,
        Self::Progress,
        Self::ToolStart,
        Self::ToolEnd,
        Self::End,
    ];

    fn panic_at(self, here: Self) {
        assert!(self != here, "a hook of a test");
    }
}

/// An agent with a hook that panics before one that keeps what it is told.
fn hooked(model: impl Model, at: Option<At>) -> (Agents, RecordingHook) {
    let (recording, bad) = (RecordingHook::new(), tool("Bad", async |_, _| panic!("a tool")));
    let hooks = at.map_or_else(Hooks::new, |at| Hooks::new().with(at)).with(recording.clone());
    let agents = Agents::builder(Models::new("test", model))
        .toolbox(toolbox([bad]))
        .agent(AgentSpec::new(AGENT).with_tools(["Bad"]))
        .hooks(hooks)
        .build()
        .unwrap();
    (agents, recording)
}

/// The ends of a recording, in order.
fn ends(recording: &RecordingHook) -> Vec<RunEnd> {
    let told = recording.told().into_iter();
    told.filter_map(|(_, told)| if let Told::End(end, _) = told { Some(end) } else { None })
        .collect()
}

/// E13: there, a panic in the model leaves no end: whoever waits for one waits for ever.
#[tokio::test(start_paused = true)]
async fn a_turn_whose_model_panics_has_a_reply_and_its_end_is_told_once() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::Panic("broken"), Turn::say("two")]);
    let (agents, recording) = hooked(model, None);
    let caller = Caller::new(&agents, &root);
    let first = caller.ask("first");
    assert_eq!(caller.reply(first).await.outcome.reason().unwrap(), "panicked: broken");
    assert_eq!(caller.talk("second").await, "two");
    recording.ends(2).await;
    settle().await;
    let ends = ends(&recording);
    assert!(matches!(&ends[..], [RunEnd::Panicked(_), RunEnd::Completed(_)]), "{ends:?}");
}

/// E13: there, nothing answers for what a session that is torn down was doing.
#[test]
fn a_session_whose_runtime_ends_answers_for_its_turn_and_for_what_waits() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    let registry = Registry::new();
    let root = registry.root_scope();
    let agents = agents(turns([Turn::Hang]), toolbox([]));
    let caller = Caller::new(&agents, &root);
    let (turn, waiting) = runtime.block_on(async {
        let turn = caller.ask("first");
        settle().await;
        (turn, caller.ask("second"))
    });
    drop(runtime);
    for task in [turn, waiting] {
        let done = root.claim(task).unwrap().ack();
        assert_eq!(done.outcome.reason().unwrap(), "not processed: its session has ended");
    }
    assert!(agents.sessions_of(&root, None).is_empty());
    assert_eq!(root.live(), 0);
}

/// A model that does not even say its name.
struct Nameless(AtomicUsize);

#[async_trait]
impl Model for Nameless {
    fn info(&self) -> ModelInfo {
        let calls = self.0.fetch_add(1, Ordering::Relaxed);
        assert!(calls < 3, "no name");
        ModelInfo::new("nameless")
    }

    async fn complete(
        &self,
        _: ModelRequest,
        _: CancellationToken,
    ) -> Result<ModelReply, ModelError> {
        Ok(ModelReply::say("one"))
    }
}

/// E13: code of the host's that panics where nobody expects it costs one prompt at most.
#[tokio::test(start_paused = true)]
async fn a_model_that_panics_when_it_is_asked_its_name_leaves_nobody_without_a_reply() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let agents = agents(Nameless(AtomicUsize::new(0)), toolbox([]));
    let caller = Caller::new(&agents, &root);
    for prompt in ["first", "second", "third"] {
        let task = caller.ask(prompt);
        let waited = root.wait([task]).timeout(Duration::from_secs(1)).await.unwrap();
        assert!(waited.pending.is_empty(), "{prompt} has no reply");
    }
    pause(130_000).await;
    assert!(agents.sessions_of(&root, None).is_empty());
    assert_eq!(root.live(), 0);
}

/// E13: a hook that panics takes nothing from the session, nor from the other hooks.
#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_anywhere_costs_a_session_and_the_other_hooks_nothing() {
    for at in At::ALL {
        let registry = Registry::new();
        let root = registry.root_scope();
        let model = turns([Turn::call("Bad", "{}"), Turn::say("one"), Turn::say("two")]);
        let (agents, recording) = hooked(model, Some(at));
        let caller = Caller::new(&agents, &root);
        assert_eq!(caller.talk("first").await, "one");
        assert_eq!(caller.talk("second").await, "two");
        recording.ends(2).await;
        settle().await;
        let starts = recording.told().iter().filter(|(_, told)| *told == Told::Start).count();
        assert_eq!((ends(&recording).len(), starts), (2, 2));
        assert_eq!(root.live(), 1, "the session");
    }
}

/// Takes away what is asked, where that is to go.
struct Blanks;

#[async_trait]
impl AgentHook for Blanks {
    async fn before_run(&self, _: &RunInfo, input: &mut RunInput) -> Result<(), BoxError> {
        if input.prompt.contains("nothing") {
            input.prompt.clear();
        }
        Ok(())
    }
}

/// A hook that leaves nothing of a prompt: no model is asked an empty or a broken conversation.
#[tokio::test(start_paused = true)]
async fn a_prompt_of_which_hooks_leave_nothing_fails_and_the_conversation_is_whole() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("one"), Turn::say("two")]);
    let agents = Agents::builder(Models::new("test", model.clone()))
        .agent(AgentSpec::new(AGENT))
        .hooks(Hooks::new().with(Blanks))
        .build()
        .unwrap();
    let why = "the hooks left nothing of the prompt";
    let run = agents.run(&root, AGENT, "nothing").await.unwrap();
    assert_eq!(run.outcome.reason().unwrap(), why);
    let caller = Caller::new(&agents, &root);
    for (asked, reply) in [("first", Some("one")), ("nothing", None), ("second", Some("two"))] {
        let task = caller.ask(asked);
        let done = caller.reply(task).await;
        assert_eq!(done.outcome.output().map(|output| &*output.text), reply);
        assert!(reply.is_some() || done.outcome.reason().unwrap() == why);
    }
    assert_eq!(model.requests().len(), 2);
}

const WINDOW: u64 = 8_000;

/// A model that reads 1,500 tokens in each turn, and says something about them.
fn blobs(says: &str) -> Recorded<TurnsModel> {
    let turns = (0..10).flat_map(|_| [blob_call(3_000), Turn::say_uncounted(says)]);
    Recorded::new(TurnsModel::new(turns).with_context_window(WINDOW))
}

/// Agents whose long conversations are summarized by a model.
fn summarizing(work: Recorded<TurnsModel>, summaries: impl Model) -> Agents {
    let spec = AgentSpec::new(AGENT)
        .with_tools(["Blob"])
        .with_instructions("Work.")
        .with_output_schema(serde_json::json!({"type": "object"}));
    let tools = toolbox([blob()]).budget(Budget::new(10_000_000));
    let compaction = CompactionSpec::default().with_shorten_at(Percent::new(100).unwrap());
    Agents::builder(Models::new("test", WithSummaries::new(work, summaries)))
        .toolbox(tools)
        .agent(spec)
        .compaction(compaction)
        .build()
        .unwrap()
}

/// E15: there, a compaction that fails or is empty ends the session, and its schema is lost.
#[tokio::test(start_paused = true)]
async fn a_session_whose_summaries_fail_goes_on_and_stays_what_it_was() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let work = blobs(r#"{"n": 1}"#);
    let summaries = TurnsModel::new([Turn::say(" "), Turn::Fail(ModelError::fatal("no"))]);
    let agents = summarizing(work.clone(), summaries);
    let caller = Caller::new(&agents, &root);
    for _ in 0..8 {
        let task = caller.ask("more");
        let done = caller.reply(task).await;
        assert_eq!(completed(&done).data().unwrap()["n"], 1);
    }
    assert_eq!(agents.sessions_of(&root, None)[0].turns, 8, "one session");
    let requests = work.requests();
    assert!(requests.iter().all(|request| request.output_schema.is_some()));
    assert!(requests.iter().all(|request| common::tokens(request) <= WINDOW));
    assert!(requests[15].messages.len() < 20, "{} messages", requests[15].messages.len());
}

/// How many summaries are asked for at the same time.
#[derive(Clone, Default)]
struct Counts {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

#[async_trait]
impl Model for Counts {
    fn info(&self) -> ModelInfo {
        ModelInfo::new("counts")
    }

    async fn complete(
        &self,
        _: ModelRequest,
        _: CancellationToken,
    ) -> Result<ModelReply, ModelError> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        pause(5_000).await;
        self.now.fetch_sub(1, Ordering::Relaxed);
        Ok(ModelReply::say("so far so good"))
    }
}

/// D18: there, a second compaction begins while the first is under way, and cuts the history twice.
#[tokio::test(start_paused = true)]
async fn one_summary_at_a_time_is_asked_for_whatever_is_said_meanwhile() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (work, counts) = (blobs("{}"), Counts::default());
    let caller = Caller::new(&summarizing(work.clone(), counts.clone()), &root);
    let mut asked = Vec::new();
    while counts.now.load(Ordering::Relaxed) == 0 {
        asked.push(caller.ask(&format!("prompt {}", asked.len())));
        pause(100).await;
        assert!(asked.len() < 7, "there is no summary");
    }
    asked.push(caller.ask("meanwhile"));
    caller.command("/status");
    caller.command("/ping");
    for task in asked {
        caller.text(task).await;
    }
    caller.talk("after").await;
    assert_eq!(counts.most.load(Ordering::Relaxed), 1);
    let told: Vec<_> = work.requests().iter().flat_map(texts).collect();
    for said in ["prompt 0", "prompt 1", "meanwhile", "after"] {
        assert!(told.iter().any(|told| told == said), "{said}: {told:?}");
    }
}

/// E18: there, idle time is that of the wall clock, looked at once a second.
#[tokio::test(start_paused = true)]
async fn an_idle_hour_is_one_of_the_monotonic_clock_to_the_millisecond() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let spec = AgentSpec::new(AGENT).with_idle_timeout_secs(3600);
    let agents = Agents::builder(Models::new("test", turns([Turn::say("one")])))
        .agent(spec)
        .build()
        .unwrap();
    let (began, wall) = (Instant::now(), SystemTime::now());
    Caller::new(&agents, &root).talk("first").await;
    root.inbox().next().await.unwrap().ack();
    assert_eq!(began.elapsed().as_secs(), 3600);
    assert!(began.elapsed().subsec_millis() <= 1, "{:?}", began.elapsed());
    assert!(wall.elapsed().unwrap() < Duration::from_secs(60), "the wall clock did not count");
}

/// E21: there, every look at a session takes the lock of all of them to write.
#[tokio::test(start_paused = true)]
async fn a_thousand_looks_at_a_session_change_nothing_about_it() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("one"), Turn::say("two").after(Duration::from_secs(5))]);
    let caller = Caller::new(&agents(model.clone(), toolbox([])), &root);
    caller.talk("first").await;
    let second = caller.ask("second");
    pause(1_000).await;
    let began = Instant::now();
    for _ in 0..1_000 {
        assert!(status(&caller).busy);
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(caller.text(second).await, "two");
    for _ in 0..10 {
        pause(5_990).await;
        (0..100).for_each(|_| assert!(!status(&caller).busy));
    }
    pause(200).await;
    assert_eq!((root.live(), model.requests().len()), (0, 2), "looking does not keep it");
}

/// E29: there, what is shown of a child and of a turn has no bound.
#[tokio::test(start_paused = true)]
async fn a_status_is_small_whatever_a_turn_and_its_children_say() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let loud = tool("Start", async |cx, _| {
        for _ in 0..100 {
            cx.scope().spawn(
                Task::new("x".repeat(10_000), "y".repeat(10_000)),
                |cx| async move {
                    cx.trace("z".repeat(1 << 20));
                    std::future::pending().await
                },
            )?;
        }
        Ok(ToolOutput::text("started"))
    });
    let model = turns([Turn::call("Start", "{}"), Turn::say("\u{e9}".repeat(5 << 20))]);
    let caller = Caller::new(&agents(model, toolbox([loud])), &root);
    let task = caller.ask("go");
    root.wait([task]).await.unwrap();
    settle().await;
    let status = status(&caller);
    assert_eq!((status.children_total, status.children.len()), (100, 16));
    assert!(status.last_progress.ends_with("\u{e9}\u{2026}"));
    assert!(status.last_progress.len() <= 2_003, "{}", status.last_progress.len());
    let json = serde_json::to_string(&status).unwrap();
    assert!(json.len() < 8_000, "{} bytes", json.len());
}

/// E28: there, attempts that failed are counted as turns.
#[tokio::test(start_paused = true)]
async fn turns_that_failed_are_not_counted() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let fails = Arc::new(AtomicUsize::new(0));
    let model = Answering(move |_: &ModelRequest| match fails.fetch_add(1, Ordering::Relaxed) {
        number if number < 100 => Turn::Fail(ModelError::fatal("no")),
        _ => Turn::say("one"),
    });
    let caller = Caller::new(&agents(model, toolbox([])), &root);
    for _ in 0..100 {
        let task = caller.ask("go");
        caller.reply(task).await;
    }
    assert_eq!(caller.talk("go").await, "one");
    assert_eq!(status(&caller).turns, 1);
}
