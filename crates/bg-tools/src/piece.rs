//! Reading bytes as text, piece by piece, without breaking a letter or an escape sequence in two.

use bg_core::{Chunk, TaskError, TaskId};

use crate::board::{Piece, TaskBoard};
use crate::terminal::{MAX_ESCAPE_BYTES, overwrites, shown, unfinished};

/// A piece of an output as text. Its offsets are those of the bytes as they were written.
pub(crate) struct Reading {
    pub(crate) text: String,
    /// Where to read on.
    pub(crate) next: u64,
    /// Bytes that were dropped between what was asked for and what came.
    pub(crate) omitted: u64,
    pub(crate) eof: bool,
    /// Bytes that are not UTF-8; each run of them shows as U+FFFD.
    pub(crate) invalid: u64,
}

impl Reading {
    /// Reads a piece; a letter or an escape sequence that is not complete yet is left for the next
    /// one.
    pub(crate) async fn of(
        board: &dyn TaskBoard,
        id: TaskId,
        piece: Piece,
    ) -> Result<Self, TaskError> {
        let chunk = whole(board, id, piece).await?;
        // In the middle of a log it goes on with what an earlier piece may have shown.
        let goes_on = piece.from > 0 && chunk.omitted == 0 && overwrites(&chunk.bytes);
        let (mut text, invalid) = shown(&chunk.bytes);
        if goes_on {
            text.insert(0, '\n');
        }
        Ok(Self { text, next: chunk.next, omitted: chunk.omitted, eof: chunk.eof, invalid })
    }
}

/// Reads a piece that ends where text can end.
async fn whole(board: &dyn TaskBoard, id: TaskId, piece: Piece) -> Result<Chunk, TaskError> {
    let chunk = board.read(id, piece).await?;
    let held_back = held_back(&chunk);
    if held_back == 0 {
        return Ok(chunk);
    }
    let beyond = board.read(id, Piece { from: chunk.next, max: 0, ..piece }).await?;
    if beyond.omitted > 0 {
        // The rest was dropped: waiting for it would never end.
        return Ok(chunk);
    }
    // Only the board knows where the letter begins: other streams may lie behind it.
    let shorter = board.read(id, Piece { max: chunk.bytes.len() - held_back, ..piece }).await?;
    if !shorter.bytes.is_empty() && unfinished(&shorter.bytes) == 0 {
        return Ok(shorter);
    }
    longer(board, id, piece, chunk.bytes.len()).await
}

/// Reads a piece of at least so many bytes: what it begins with is longer. Sequences are bounded, so
/// an end is not waited for in vain; until it is there, the piece is empty.
async fn longer(
    board: &dyn TaskBoard,
    id: TaskId,
    piece: Piece,
    least: usize,
) -> Result<Chunk, TaskError> {
    let max = piece.max.saturating_add(MAX_ESCAPE_BYTES);
    let more = board.read(id, Piece { max, ..piece }).await?;
    let is_whole = |end: &usize| unfinished(&more.bytes[..*end]) == 0;
    let rest = if more.eof { more.bytes.len() } else { 0 };
    let max = (least.max(1)..=more.bytes.len()).find(is_whole).unwrap_or(rest);
    board.read(id, Piece { max, ..piece }).await
}

fn held_back(chunk: &Chunk) -> usize {
    if chunk.eof { 0 } else { unfinished(&chunk.bytes) }
}
