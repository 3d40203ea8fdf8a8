//! What the tests of this crate share.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use bg_core::{Completer, Output, Registry, Scope, Task, TaskId};
use bg_tools::{ToolContext, Toolbox, Wire, task_tools};
use serde_json::Value;

/// Somebody who calls the task tools.
pub(crate) struct Caller {
    /// Declared first: what it owns is dropped before the registry.
    pub(crate) root: Scope,
    pub(crate) tools: Toolbox,
    pub(crate) cx: ToolContext,
    pub(crate) registry: Registry,
}

pub(crate) fn caller() -> Caller {
    let registry = Registry::new();
    let root = registry.root_scope();
    let tools = Toolbox::new().with_all(task_tools()).unwrap();
    Caller { cx: ToolContext::new(root.clone()), root, tools, registry }
}

impl Caller {
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

/// Control characters, and those that reorder a line.
pub(crate) fn is_foul(c: char) -> bool {
    let bidi =
        matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    c.is_control() || bidi || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{061C}')
}
