//! What a task has been saying: a view of its recent messages.

use std::collections::VecDeque;
use std::fmt;

use serde::Serialize;

use crate::sync::Mutex;

/// The sort of a block of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BlockKind {
    /// What the user said.
    User,
    /// What the model said.
    Assistant,
    /// What the model thought.
    Thought,
    /// A tool call.
    ToolUse,
    /// What a tool answered.
    ToolResult,
    /// Anything else.
    Other,
}

/// A block of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Block {
    /// Its sort.
    pub kind: BlockKind,
    /// Its text, or the part of it that was asked for.
    pub text: String,
}

impl Block {
    /// Makes a block.
    pub fn new(kind: BlockKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// A view of a task's recent messages, attached with
/// [`TaskContext::attach_view`](crate::TaskContext::attach_view).
///
/// It is called outside the registry's lock, on the thread of whoever [peeks](crate::Scope::peek),
/// also after the task has ended. [`RecentBlocks`] is one that keeps the blocks itself; a host that
/// has a history implements it over that.
pub trait View: Send + Sync {
    /// Returns how many blocks there are in all.
    fn total(&self) -> usize;

    /// Returns the last `count` blocks, the oldest first. A copy of what is asked for, not of the
    /// whole: a history may be long.
    fn last(&self, count: usize) -> Vec<Block>;
}

/// What to see of a task's recent messages.
///
/// # Examples
///
/// ```
/// use bg_core::Peek;
///
/// let peek = Peek::default().blocks(3).chars(0);
/// assert_eq!(peek, Peek { blocks: 3, chars: 0 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    /// How many of the last blocks; 0 means 1.
    pub blocks: usize,
    /// How many characters of each text; what is cut is counted. With 0 the text is empty.
    pub chars: usize,
}

impl Default for Peek {
    /// The last 10 blocks, 200 characters of each.
    fn default() -> Self {
        Self { blocks: 10, chars: 200 }
    }
}

impl Peek {
    /// Sets how many blocks are wanted.
    pub fn blocks(mut self, blocks: usize) -> Self {
        self.blocks = blocks;
        self
    }

    /// Sets how many characters of each text are wanted.
    pub fn chars(mut self, chars: usize) -> Self {
        self.chars = chars;
        self
    }

    pub(crate) fn at(self, view: &dyn View) -> Peeked {
        let wanted = self.blocks.max(1);
        let mut blocks = view.last(wanted);
        blocks.drain(..blocks.len().saturating_sub(wanted));
        for block in &mut blocks {
            limit(&mut block.text, self.chars);
        }
        Peeked { total: view.total(), blocks }
    }
}

/// Cuts a text to a number of characters and says how many more there were: `abc+12 more`.
fn limit(text: &mut String, chars: usize) {
    if chars == 0 {
        return text.clear();
    }
    if let Some((at, _)) = text.char_indices().nth(chars) {
        let more = text[at..].chars().count();
        text.truncate(at);
        text.push_str(&format!("... (+{more} more)"));
    }
}

/// What a task's recent messages look like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Peeked {
    /// How many blocks there are in all; 0 also for a task without a view.
    pub total: usize,
    /// The last ones, the oldest first.
    pub blocks: Vec<Block>,
}

/// A view that keeps the last blocks itself, and counts the others.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use bg_core::{Block, BlockKind, Peek, RecentBlocks, Registry, Task};
///
/// let registry = Registry::new();
/// let root = registry.root_scope();
/// let (id, completer) = root.register(Task::agent("explore", "find all tests"))?;
/// let recent = Arc::new(RecentBlocks::new(100));
/// completer.context().attach_view(recent.clone());
/// recent.push(Block::new(BlockKind::User, "find all tests"));
/// recent.push(Block::new(BlockKind::Assistant, "I look at the folder first."));
/// let peeked = root.peek(id, Peek::default().blocks(1).chars(6))?;
/// assert_eq!((peeked.total, &*peeked.blocks[0].text), (2, "I look... (+21 more)"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RecentBlocks {
    cap: usize,
    /// The last blocks, and how many there were in all.
    inner: Mutex<(VecDeque<Block>, usize)>,
}

impl RecentBlocks {
    /// Makes a view that keeps at most `cap` blocks.
    pub fn new(cap: usize) -> Self {
        Self { cap, inner: Mutex::new((VecDeque::new(), 0)) }
    }

    /// Adds a block.
    pub fn push(&self, block: Block) {
        let mut inner = self.inner.lock();
        inner.1 += 1;
        if inner.0.len() == self.cap {
            inner.0.pop_front();
        }
        if self.cap > 0 {
            inner.0.push_back(block);
        }
    }
}

impl View for RecentBlocks {
    fn total(&self) -> usize {
        self.inner.lock().1
    }

    fn last(&self, count: usize) -> Vec<Block> {
        let inner = self.inner.lock();
        let skipped = inner.0.len().saturating_sub(count);
        inner.0.range(skipped..).cloned().collect()
    }
}

impl fmt::Debug for RecentBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecentBlocks").field("cap", &self.cap).finish_non_exhaustive()
    }
}
