//! What the tests of this crate share.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

pub(crate) mod attacks;
pub(crate) mod rng;
pub(crate) mod schema_gen;
pub(crate) mod some_schema;
pub(crate) mod text;
pub(crate) mod validator;
pub(crate) mod world;

use std::sync::Arc;

use bg_core::{Completer, Output, Registry, Scope, Task, TaskId};
use bg_tools::{ToolContext, Toolbox, Wire, task_tools};
use serde_json::Value;

/// Somebody who calls the task tools.
pub(crate) struct Caller {
    /// Declared first: what it owns is dropped before the registry.
    pub(crate) root: Scope,
    pub(crate) tools: Toolbox,
    pub(crate) cx: ToolContext,
    pub(crate) registry: Arc<Registry>,
}

pub(crate) fn caller() -> Caller {
    let registry = Arc::new(Registry::new());
    let root = registry.root_scope();
    let tools = Toolbox::new().with_all(task_tools()).unwrap();
    Caller { cx: ToolContext::new(root.clone()), root, tools, registry }
}

impl Caller {
    /// The same caller in a conversation that has been told nothing yet.
    pub(crate) fn anew(&self) -> Self {
        let (root, tools) = (self.root.clone(), self.tools.clone());
        Self { cx: ToolContext::new(root.clone()), root, tools, registry: self.registry.clone() }
    }

    pub(crate) async fn wire(&self, tool: &str, args: &str) -> Wire {
        self.tools.call(&self.cx, tool, args).await.into_wire()
    }

    /// The text of an answer.
    pub(crate) async fn answer(&self, tool: &str, args: &str) -> String {
        let wire = self.wire(tool, args).await;
        assert!(wire.success, "{tool} {args}: {}", wire.output);
        wire.output
    }

    pub(crate) async fn json(&self, tool: &str, args: &str) -> Value {
        serde_json::from_str(&self.answer(tool, args).await).expect("an answer is JSON")
    }

    /// The text of an error.
    pub(crate) async fn error(&self, tool: &str, args: &str) -> String {
        let wire = self.wire(tool, args).await;
        assert!(!wire.success, "{tool} {args}: {}", wire.output);
        wire.output
    }

    /// Registers an agent, to be ended through its completer.
    #[track_caller]
    pub(crate) fn agent(&self, label: &str, prompt: &str) -> (TaskId, Completer) {
        self.root.register(Task::agent(label.to_owned(), prompt.to_owned())).unwrap()
    }

    /// Registers an agent that has completed.
    #[track_caller]
    pub(crate) fn completed(&self, text: &str) -> TaskId {
        let (id, completer) = self.agent("explore", "map repo");
        completer.complete(Ok(Output::text(text)));
        id
    }

    pub(crate) fn drained(&self) -> Vec<u64> {
        self.root.inbox().drain().map(|finished| finished.id.number()).collect()
    }
}

/// Checks what holds for every error that a model reads.
#[track_caller]
pub(crate) fn check_error(text: &str) {
    assert!(!text.is_empty());
    assert!(text.len() <= 2048, "{} bytes", text.len());
    let foul = text.chars().find(|&c| is_foul(c));
    assert_eq!(foul, None, "{text:?}");
}

/// What no line of ours may hold: what is hidden, and what would end the line.
pub(crate) fn is_foul(c: char) -> bool {
    is_hidden(c) || matches!(c, '\n' | '\t')
}

/// Characters that are not seen, or that reorder what is seen: controls, marks of direction, blanks
/// without a width, tags.
pub(crate) fn is_hidden(c: char) -> bool {
    let bidi = matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}');
    let separators = matches!(c, '\u{2028}' | '\u{2029}');
    let without_width = matches!(c, '\u{AD}' | '\u{180E}' | '\u{200B}' | '\u{FEFF}');
    let invisible = matches!(c, '\u{2060}'..='\u{206F}' | '\u{FFF9}'..='\u{FFFB}');
    let tags = matches!(c, '\u{E0000}'..='\u{E0FFF}');
    let controls = c.is_control() && !matches!(c, '\n' | '\t');
    controls || bidi || separators || without_width || invisible || tags
}

/// A text in which what is hidden is written as an escape.
pub(crate) fn visible(text: &str) -> String {
    let escape =
        |c: char| if is_hidden(c) { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}
