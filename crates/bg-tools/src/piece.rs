//! Reading bytes as text, piece by piece, without breaking a letter in two.

use bg_core::{Chunk, TaskError, TaskId};

use crate::board::{Piece, TaskBoard};

/// A piece of an output as text.
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
    /// Reads a piece; a letter that is not complete yet is left for the next one.
    pub(crate) async fn of(
        board: &dyn TaskBoard,
        id: TaskId,
        piece: Piece,
    ) -> Result<Self, TaskError> {
        let chunk = board.read(id, piece).await?;
        let held_back = if chunk.eof { 0 } else { unfinished_letter(&chunk.bytes) };
        if held_back == 0 {
            return Ok(chunk.into());
        }
        let beyond = board.read(id, Piece { from: chunk.next, max: 0, ..piece }).await?;
        if beyond.omitted > 0 {
            // The rest of the letter was dropped: waiting for it would never end.
            return Ok(chunk.into());
        }
        // Only the board knows where the letter begins: other streams may lie behind it.
        let max = chunk.bytes.len() - held_back;
        Ok(board.read(id, Piece { max, ..piece }).await?.into())
    }
}

/// Takes a chunk as it is.
impl From<Chunk> for Reading {
    fn from(chunk: Chunk) -> Self {
        let (text, invalid) = lossy(&chunk.bytes);
        Self { text, next: chunk.next, omitted: chunk.omitted, eof: chunk.eof, invalid }
    }
}

/// Returns how many bytes at the end begin a letter that is not complete.
pub(crate) fn unfinished_letter(bytes: &[u8]) -> usize {
    let begins_letter = |tail: &[u8]| {
        std::str::from_utf8(tail)
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    let longest = bytes.len().min(3);
    (1..=longest).find(|&n| begins_letter(&bytes[bytes.len() - n..])).unwrap_or(0)
}

/// Returns how many bytes at the beginning are the end of a letter that began before them.
pub(crate) fn rest_of_letter(bytes: &[u8]) -> usize {
    bytes.iter().take(3).take_while(|&&byte| byte & 0xC0 == 0x80).count()
}

fn lossy(bytes: &[u8]) -> (String, u64) {
    let mut text = String::with_capacity(bytes.len());
    let mut invalid = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            invalid += chunk.invalid().len() as u64;
        }
    }
    (text, invalid)
}
