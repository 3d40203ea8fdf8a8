//! A caller's tasks and its tool calls as a script: the same script in two worlds can be compared
//! answer by answer.

use std::collections::VecDeque;
use std::time::Duration;

use bg_core::{
    Block, BlockKind, Completer, Exit, Failure, Kind, Mailbox, Output, Phase, RecentBlocks, Scope,
    Stream, Task,
};
use bg_tools::{Budget, Called, ToolContext, Toolbox, format_outcome_within, manifest};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::rng::Rng;
use super::text::{some_bytes, some_text};

/// What happens to tasks, and what is asked of them. Tasks are meant by their place, counted round.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Register {
        kind: Kind,
        label: String,
        prompt: String,
        takes_messages: bool,
    },
    Child(usize),
    Panic,
    Step(usize, u32),
    Phase(usize, Phase),
    Trace(usize, String),
    Block(usize, String),
    Write(usize, Stream, Vec<u8>),
    Receive(usize),
    End(usize, End),
    Stop(u64),
    Advance(u64),
    Call {
        tool: &'static str,
        args: String,
        fate: Fate,
    },
    /// What becomes of the turn that was held longest.
    Settle(bool),
    /// What has arrived enters the conversation.
    Drain,
    Manifest,
    /// The user asks for something else, or no longer.
    Interrupt,
}

/// How a task ends.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Text(String),
    Exit(Option<i32>, Value),
    Stopped(Value),
    Fail(String, Option<String>),
    Drop,
}

/// What becomes of the turn to which an answer belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Committed,
    Failed,
    Held,
}

/// How large what a script holds may be, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) line: usize,
    pub(crate) prompt: usize,
    pub(crate) output: usize,
    /// Parts of a receipt.
    pub(crate) receipt: usize,
}

pub(crate) const SMALL: Sizes = Sizes { line: 30, prompt: 90, output: 3000, receipt: 3 };

const TOOLS: [&str; 7] = [
    "ListBackgroundTasks",
    "CancelTask",
    "WaitTask",
    "WaitTasks",
    "ReadTaskOutput",
    "SendToTask",
    "InspectTask",
];

const KINDS: [Kind; 4] = [Kind::AGENT, Kind::PROCESS, Kind::TASK, Kind::SESSION];

/// A script of so many operations.
pub(crate) fn script(rng: &mut Rng, ops: usize, sizes: Sizes) -> Vec<Op> {
    // Most ids that are asked for are those of tasks that there are: their kinds are remembered.
    let mut kinds = Vec::new();
    (0..ops).map(|_| some_op(rng, &mut kinds, sizes)).collect()
}

fn some_op(rng: &mut Rng, kinds: &mut Vec<Kind>, sizes: Sizes) -> Op {
    let at = rng.below(16);
    match rng.below(40) {
        0..=4 => {
            let kind = *rng.pick(&KINDS);
            kinds.push(kind);
            let (label, prompt) = (some_text(rng, sizes.prompt), some_text(rng, sizes.prompt));
            Op::Register { kind, label, prompt, takes_messages: rng.one_in(2) }
        }
        5 => {
            kinds.push(Kind::TASK);
            Op::Child(at)
        }
        6 if rng.one_in(4) => {
            kinds.push(Kind::AGENT);
            Op::Panic
        }
        6 | 7 => Op::Step(at, u32::try_from(rng.below(5)).unwrap()),
        8 => Op::Phase(at, *rng.pick(&[Phase::Working, Phase::WaitingForTool])),
        9 => Op::Trace(at, some_text(rng, sizes.line)),
        10 => Op::Block(at, some_text(rng, sizes.line)),
        11..=13 => {
            let stream = *rng.pick(&[Stream::Stdout, Stream::Stderr]);
            Op::Write(at, stream, some_bytes(rng, sizes.output))
        }
        14 => Op::Receive(at),
        15 | 16 => Op::End(at, some_end(rng, sizes)),
        17 => Op::Stop(rng.next() % 16),
        18 | 19 => Op::Advance(rng.next() % 5000),
        20 => Op::Settle(rng.one_in(2)),
        21 => Op::Drain,
        22 => Op::Manifest,
        23 if rng.one_in(3) => Op::Interrupt,
        _ => {
            let tool = *rng.pick(&TOOLS);
            let args = some_args(rng, tool, kinds, sizes);
            let fate = *rng.pick(&[Fate::Committed, Fate::Committed, Fate::Failed, Fate::Held]);
            Op::Call { tool, args, fate }
        }
    }
}

fn some_end(rng: &mut Rng, sizes: Sizes) -> End {
    match rng.below(8) {
        0..=2 => End::Text(some_text(rng, sizes.output)),
        3 | 4 => {
            let code = (!rng.one_in(3)).then_some(i32::from(rng.one_in(2)));
            End::Exit(code, some_receipt(rng, sizes))
        }
        5 => End::Stopped(some_receipt(rng, sizes)),
        6 => {
            let partial = rng.one_in(2).then(|| some_text(rng, sizes.output));
            End::Fail(some_text(rng, sizes.line), partial)
        }
        _ => End::Drop,
    }
}

fn some_receipt(rng: &mut Rng, sizes: Sizes) -> Value {
    let holders: Vec<Value> = (0..rng.below(sizes.receipt))
        .map(|_| json!({"pid": rng.next() % 99_999, "command": some_text(rng, sizes.line)}))
        .collect();
    match rng.below(4) {
        0 => Value::Null,
        1 => json!({"receipt": {"signals": ["SIGTERM"], "survivors": holders}}),
        2 => json!({"output_incomplete": {"holders": holders}}),
        _ => json!({"receipt": {"survivors": holders}, "output_incomplete": {"holders": holders}}),
    }
}

fn some_args(rng: &mut Rng, tool: &str, kinds: &[Kind], sizes: Sizes) -> String {
    let id = |rng: &mut Rng| some_id(rng, kinds);
    if rng.one_in(30) {
        return rng.pick(&["", "[]", "{\"task_id\":", "{\"task\":1}", "null"]).to_string();
    }
    let number = |rng: &mut Rng| *rng.pick(&[0, 1, 3, 7, 50, 400, 100_000, u64::MAX]);
    let mut args = json!({});
    if !matches!(tool, "ListBackgroundTasks" | "WaitTasks") {
        args["task_id"] = id(rng);
    }
    match tool {
        "ListBackgroundTasks" if rng.one_in(2) => args["after"] = json!(number(rng) % 20),
        "WaitTask" if rng.one_in(2) => args["timeout_secs"] = json!(number(rng)),
        "WaitTasks" => {
            args["task_ids"] = (0..=rng.below(4)).map(|_| id(rng)).collect();
            args["until"] = json!(rng.pick(&["any", "all", "first_success"]));
            args["timeout_secs"] = json!(number(rng));
        }
        "ReadTaskOutput" => {
            if rng.one_in(2) {
                args["cursor"] = json!(number(rng));
            }
            if rng.one_in(3) {
                args["max_bytes"] = json!(number(rng));
            }
            if rng.one_in(3) {
                args["stream"] = json!(rng.pick(&["stdout", "stderr"]));
            }
        }
        "SendToTask" => args["message"] = json!(some_text(rng, sizes.line)),
        "InspectTask" if rng.one_in(2) => args["recent_blocks"] = json!(number(rng)),
        _ => {}
    }
    args.to_string()
}

fn some_id(rng: &mut Rng, kinds: &[Kind]) -> Value {
    let number = rng.below(kinds.len() + 2);
    let word = match number.checked_sub(1).and_then(|index| kinds.get(index)) {
        Some(kind) if !rng.one_in(12) => kind.to_string(),
        _ => rng.pick(&KINDS).to_string(),
    };
    let foul = some_text(rng, 90);
    match rng.below(36) {
        0 => json!(rng.pick(&["mcp:1", "agent:", "", "agent:abc", "process:-1", "agent:1\n[x"])),
        1 => json!(foul),
        2 => json!(format!("{word}:{}", u64::MAX)),
        3 => json!(number),
        4 => json!(format!(" {}:{number} ", word.to_uppercase())),
        _ => json!(format!("{word}:{number}")),
    }
}

/// What came to a model: the answer to a call, an outcome, the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// The tool, or what else it is.
    pub(crate) what: &'static str,
    pub(crate) text: String,
    pub(crate) success: bool,
    pub(crate) full: Option<String>,
}

impl Said {
    fn plain(what: &'static str, text: String) -> Self {
        Self { what, text, success: true, full: None }
    }
}

/// Compares what two worlds said, and shows where they part.
pub(crate) fn first_difference(
    one: &str,
    said: &[Said],
    other: &str,
    others: &[Said],
) -> Result<(), String> {
    let longest = said.len().max(others.len());
    match (0..longest).find(|&at| said.get(at) != others.get(at)) {
        Some(at) => {
            let (said, others) = (said.get(at), others.get(at));
            Err(format!("answer {at}\n{one}: {said:?}\n{other}: {others:?}"))
        }
        None => Ok(()),
    }
}

/// Runs a world in which time passes only while everybody waits.
pub(crate) fn on_paused_clock<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(work)
}

/// A caller and its tasks.
pub(crate) struct World {
    /// Where its tasks are; the answers come from the context's board.
    pub(crate) root: Scope,
    pub(crate) tools: Toolbox,
    pub(crate) cx: ToolContext,
    pub(crate) budget: Budget,
    works: Vec<Work>,
    held: VecDeque<Called>,
}

struct Work {
    completer: Option<Completer>,
    view: std::sync::Arc<RecentBlocks>,
    mailbox: Option<Mailbox>,
}

impl World {
    pub(crate) fn new(root: Scope, tools: Toolbox, cx: ToolContext) -> Self {
        let budget = Budget::default();
        Self { root, tools, cx, budget, works: Vec::new(), held: VecDeque::new() }
    }

    pub(crate) async fn run(&mut self, script: &[Op]) -> Vec<Said> {
        let mut said = Vec::new();
        for op in script {
            said.extend(self.apply(op).await);
        }
        said
    }

    pub(crate) async fn apply(&mut self, op: &Op) -> Vec<Said> {
        match op {
            Op::Advance(ms) => tokio::time::advance(Duration::from_millis(*ms)).await,
            Op::Call { tool, args, fate } => {
                let called = self.tools.call(&self.cx, tool, args).await;
                return vec![self.settle(tool, called, *fate)];
            }
            Op::Drain => {
                let inbox = self.root.inbox();
                let said = |done: &_| format_outcome_within(done, &self.budget);
                return inbox.drain().map(|done| Said::plain("outcome", said(&done))).collect();
            }
            Op::Manifest => {
                return vec![Said::plain("manifest", manifest(&self.root, &self.budget))];
            }
            Op::Panic => {
                let task = Task::agent("panics", "now");
                // Not `panic!`, which would write to the test's own output.
                let panics = || std::panic::resume_unwind(Box::new("as it was told"));
                // There may be no room for it.
                let _ = self.root.spawn(task, move |_| async move { panics() });
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
            }
            other => self.happen(other),
        }
        Vec::new()
    }

    pub(crate) fn settle(&mut self, tool: &'static str, called: Called, fate: Fate) -> Said {
        let wire = called.to_wire();
        match fate {
            Fate::Committed => drop(called.claims.ack()),
            Fate::Failed => drop(called),
            Fate::Held => self.held.push_back(called),
        }
        Said { what: tool, text: wire.output, success: wire.success, full: wire.full_output }
    }

    /// What takes no time.
    pub(crate) fn happen(&mut self, op: &Op) {
        match op {
            Op::Register { kind, label, prompt, takes_messages } => {
                let task = Task::of_kind(*kind, label.clone(), prompt.clone());
                self.register(&self.root.clone(), task, *takes_messages);
            }
            Op::Child(at) => {
                let parent = self.live(*at).map(|completer| completer.context().scope());
                // The number has to be used up in any case: scripts count on it.
                let scope = parent.unwrap_or_else(|| self.root.clone());
                self.register(&scope, Task::new("child", "p"), false);
            }
            Op::Stop(number) => {
                let written = number.to_string();
                if let Ok(id) = self.root.resolve(&written) {
                    let _ = self.root.cancel(id, "by the user");
                }
            }
            Op::Settle(commit) => match self.held.pop_front() {
                Some(called) if *commit => drop(called.claims.ack()),
                other => drop(other),
            },
            Op::Interrupt => {
                let token = CancellationToken::new();
                if !self.cx.token().is_cancelled() {
                    token.cancel();
                }
                self.cx = self.cx.clone().with_token(token);
            }
            Op::Receive(at) => {
                if let Some(mailbox) = self.work(*at).and_then(|work| work.mailbox.as_ref()) {
                    mailbox.try_recv();
                }
            }
            Op::Block(at, text) => {
                if let Some(work) = self.work(*at) {
                    work.view.push(Block::new(BlockKind::Assistant, text.clone()));
                }
            }
            Op::End(at, end) => {
                let completer = self.work(*at).and_then(|work| work.completer.take());
                if let Some(completer) = completer {
                    end.apply(completer, &self.root);
                }
            }
            other => {
                let Some(completer) = self.live(other.place()) else { return };
                let cx = completer.context();
                match other {
                    Op::Step(_, step) => cx.step(*step),
                    Op::Phase(_, phase) => cx.phase(*phase),
                    Op::Trace(_, line) => cx.trace(line.clone()),
                    Op::Write(_, stream, bytes) => cx.log().write(*stream, bytes),
                    _ => {}
                }
            }
        }
    }

    fn register(&mut self, scope: &Scope, task: Task, takes_messages: bool) {
        // Under a parent that has been stopped there is no room; the root has it.
        let registered = scope.register(task.clone()).or_else(|_| self.root.register(task));
        let Ok((_, completer)) = registered else { return };
        let view = std::sync::Arc::new(RecentBlocks::new(20));
        completer.context().attach_view(view.clone());
        let mailbox = takes_messages.then(|| completer.context().mailbox());
        self.works.push(Work { completer: Some(completer), view, mailbox });
    }

    fn work(&mut self, at: usize) -> Option<&mut Work> {
        let index = at.checked_rem(self.works.len())?;
        self.works.get_mut(index)
    }

    fn live(&mut self, at: usize) -> Option<&Completer> {
        self.work(at)?.completer.as_ref()
    }
}

impl Op {
    fn place(&self) -> usize {
        match self {
            Self::Step(at, _) | Self::Phase(at, _) | Self::Trace(at, _) | Self::Write(at, ..) => {
                *at
            }
            _ => 0,
        }
    }
}

impl End {
    fn apply(&self, completer: Completer, root: &Scope) {
        match self {
            Self::Text(text) => completer.complete(Ok(Output::text(text.as_str()))),
            Self::Exit(code, data) => {
                let signal = code.is_none().then_some(9);
                let output = Output::exited(Exit { code: *code, signal });
                completer.complete(Ok(output.with_data(data.clone())));
            }
            Self::Stopped(data) => {
                // Who has asked for the token may end in its own way.
                let _token = completer.context().token();
                let _ = root.cancel(completer.context().id(), "stopped");
                let output = Output::default().with_data(data.clone());
                completer.complete(Err(Failure::new("stopped").with_partial(output)));
            }
            Self::Fail(message, partial) => {
                let failure = Failure::new(message.as_str());
                completer.complete(Err(match partial {
                    Some(partial) => failure.with_partial(Output::text(partial.as_str())),
                    None => failure,
                }));
            }
            Self::Drop => drop(completer),
        }
    }
}
