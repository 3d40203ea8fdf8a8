//! Plays bytes as the life of some tasks and as calls of tools, and checks what must hold whatever
//! the bytes are. One driver for the fuzzer and for the tests on a stable toolchain.
//!
//! The first byte chooses the budget. Then operations follow: a byte that selects one, a byte for the
//! length of its text, the text.

use std::sync::OnceLock;
use std::time::Duration;

use bg_agents::core::{Completer, Exit, Failure, Output, Registry, Scope, Stream, Task};
use bg_agents::sessions::{AgentSpec, Models, ScriptModel};
use bg_agents::tools::{Budget, ToolError, manifest, parse_outcomes};
use bg_agents::{Background, ToolContext, Toolbox, format_outcome};

/// Operations on tasks, which are selected behind the tools.
const LIFE: usize = 11;

/// All tools, the fields of whose arguments a fuzzer may guess.
fn tools() -> &'static Toolbox {
    static TOOLS: OnceLock<Toolbox> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let script = "say done".parse().expect("a script");
        let builder = Background::builder().folder(".");
        let builder = builder.models(Models::new("script", ScriptModel::new(script)));
        let built = builder.agents([AgentSpec::new("explore")]).build();
        built.expect("they fit together").toolbox().clone()
    })
}

/// Returns the names of the tools, in the order of their selectors.
pub(crate) fn tool_names() -> Vec<&'static str> {
    tools().names().collect()
}

/// Plays the bytes; returns how many calls of tools there were.
///
/// # Panics
///
/// If something does not hold that must.
pub(crate) fn play(data: &[u8]) -> u64 {
    let builder = &mut tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let mut world = World::new(data.first().copied().unwrap_or(0)).await;
        let mut rest = data.get(1..).unwrap_or(&[]);
        while let [selector, len, behind @ ..] = rest {
            let (text, behind) = behind.split_at(usize::from(*len).min(behind.len()));
            rest = behind;
            world.step(usize::from(*selector), text).await;
        }
        world.calls
    })
}

/// Makes an operation that calls a tool.
#[allow(dead_code, reason = "the fuzzer has its own corpus")]
pub(crate) fn call(tool: &str, args: &str) -> Vec<u8> {
    let names = tool_names();
    let selector = names.iter().position(|name| *name == tool).expect("a tool");
    operation(selector, args.as_bytes())
}

/// Makes an operation on tasks.
#[allow(dead_code, reason = "the fuzzer has its own corpus")]
pub(crate) fn life(number: usize, text: &[u8]) -> Vec<u8> {
    operation(tool_names().len() + number, text)
}

fn operation(selector: usize, text: &[u8]) -> Vec<u8> {
    let text = &text[..text.len().min(255)];
    let head = [selector, text.len()].map(|byte| u8::try_from(byte).expect("small"));
    [&head, text].concat()
}

/// One caller and its tasks.
struct World {
    tools: Toolbox,
    budget: Budget,
    root: Scope,
    cx: ToolContext,
    /// In it nothing can be started: commands are checked and do not run.
    closed: ToolContext,
    live: Vec<Completer>,
    /// The turn fails: what its calls deliver is given back.
    fails: bool,
    calls: u64,
    _registries: [Registry; 2],
}

impl World {
    async fn new(choice: u8) -> Self {
        let registries = [Registry::new(), Registry::new()];
        let root = registries[0].root_scope();
        let closed = registries[1].root_scope();
        closed.close(Duration::ZERO).await;
        let budget = Budget::new(if choice.is_multiple_of(2) { 300 } else { 2000 });
        Self {
            tools: tools().clone().budget(budget.clone()),
            budget,
            cx: ToolContext::new(root.clone()),
            closed: ToolContext::new(closed),
            root,
            live: Vec::new(),
            fails: false,
            calls: 0,
            _registries: registries,
        }
    }

    async fn step(&mut self, selector: usize, text: &[u8]) {
        let names = tool_names();
        let selector = selector % (names.len() + LIFE);
        match names.get(selector) {
            Some(name) => self.call(name, &String::from_utf8_lossy(text)).await,
            None => self.live(selector - names.len(), text).await,
        }
    }

    async fn call(&mut self, name: &str, args: &str) {
        self.calls += 1;
        let cx = if name == "Bash" { &self.closed } else { &self.cx };
        let called = self.tools.call(cx, name, args).await;
        let wire = called.to_wire();
        assert!(self.budget.fits(&wire.output), "{name} {args}: {}", wire.output);
        assert_eq!(wire.output.chars().find(|&c| is_hidden(c)), None, "{}", wire.output);
        assert!(name != "Bash" || !wire.success, "{}", wire.output);
        if wire.success {
            let parsed = serde_json::from_str::<serde_json::Value>(&wire.output);
            assert!(parsed.is_ok() && wire.full_output.is_none(), "{}", wire.output);
        } else {
            assert!(wire.output.len() <= ToolError::MAX_BYTES && !wire.output.is_empty());
        }
        if !self.fails {
            called.claims.ack();
        }
    }

    async fn live(&mut self, operation: usize, text: &[u8]) {
        let words = String::from_utf8_lossy(text).into_owned();
        match operation {
            0 => self.spawn(Task::agent("explore", words)),
            1 => self.spawn(Task::agent(words, "p")),
            2 => self.spawn(Task::process("sh", words)),
            3 => self.end(Ok(Output::text(words))),
            4 => self.end(Err(Failure::new(words.clone()).with_partial(Output::text(words)))),
            5 => self.end(Ok(Output::exited(Exit { code: None, signal: Some(9) }))),
            6 => self.with_first(|task| task.context().log().write(Stream::Stdout, text)),
            7 => self.with_first(|task| task.context().trace(words.clone())),
            8 => self.deliver(),
            9 => self.fails = !self.fails,
            _ => tokio::time::advance(Duration::from_secs(1)).await,
        }
    }

    fn spawn(&mut self, task: Task) {
        // Refused past the limits.
        self.live.extend(self.root.register(task).map(|(_, completer)| completer));
    }

    fn with_first(&self, act: impl FnOnce(&Completer)) {
        if let Some(first) = self.live.first() {
            act(first);
        }
    }

    fn end(&mut self, result: Result<Output, Failure>) {
        if !self.live.is_empty() {
            self.live.remove(0).complete(result);
        }
    }

    /// Drains the inbox: each outcome is one envelope, and all of them are as many as they are.
    fn deliver(&self) {
        let listed = manifest(&self.root, &self.budget);
        assert!(self.budget.fits(&listed) && listed.chars().all(|c| !is_hidden(c)), "{listed}");
        let ended: Vec<_> = self.root.inbox().drain().collect();
        let text: String = ended.iter().map(|ended| format_outcome(ended)).collect();
        let ids: Vec<_> = ended.iter().map(|ended| ended.id.to_string()).collect();
        let parsed = parse_outcomes(&text);
        assert_eq!(
            parsed.iter().map(|envelope| envelope.task_id).collect::<Vec<_>>(),
            ids,
            "{text}"
        );
        assert!(text.chars().all(|c| !is_hidden(c)), "{text}");
    }
}

/// Controls, and what reorders a line or is not seen in it.
fn is_hidden(c: char) -> bool {
    let bidi = matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}');
    let invisible = matches!(c, '\u{200B}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}');
    let tags = matches!(c, '\u{E0000}'..='\u{E0FFF}');
    (c.is_control() && !matches!(c, '\n' | '\t')) || bidi || invisible || tags
}
