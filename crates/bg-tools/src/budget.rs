//! How large an answer may be.
//!
//! Answers are measured in tokens, because that is what a host pays for and what fills a context. The
//! host may bring the tokenizer of its model; without one they are estimated.

use std::fmt;
use std::sync::Arc;

use bg_core::text;

use crate::error::ToolError;

/// Most bytes that one token is taken to stand for: what is longer is not even tried.
const MAX_BYTES_PER_TOKEN: usize = 16;

/// How many tokens an answer may have, and how they are counted.
///
/// Every answer of a toolbox is at most as long, by this count: the task tools write as much as
/// fits and say how to read on; an answer of another tool is cut, with a count of what is missing.
///
/// # Examples
///
/// ```
/// use bg_tools::{Budget, Toolbox, task_tools};
///
/// # fn tokenizer(text: &str) -> usize { text.len().div_ceil(3) }
/// let budget = Budget::new(500).counted_by(|text| tokenizer(text));
/// let toolbox = Toolbox::new().with_all(task_tools())?.budget(budget);
/// # Ok::<(), bg_tools::ToolboxError>(())
/// ```
#[derive(Clone)]
pub struct Budget {
    tokens: usize,
    count: Arc<Counter>,
}

type Counter = dyn Fn(&str) -> usize + Send + Sync;

impl Budget {
    /// Tokens of an answer unless the host says otherwise.
    pub const DEFAULT_TOKENS: usize = 2000;

    /// Fewest tokens of an answer: less would not hold the fields that every answer has.
    pub const MIN_TOKENS: usize = 300;

    /// Makes a budget of so many tokens, at least [`MIN_TOKENS`](Self::MIN_TOKENS), counted by
    /// [`estimate_tokens`].
    pub fn new(tokens: usize) -> Self {
        Self { tokens: tokens.max(Self::MIN_TOKENS), count: Arc::new(estimate_tokens) }
    }

    /// Counts with this function, such as the tokenizer of the host's model. It is called several
    /// times an answer, with text up to a few times as long as the budget.
    pub fn counted_by(mut self, count: impl Fn(&str) -> usize + Send + Sync + 'static) -> Self {
        self.count = Arc::new(count);
        self
    }

    /// Returns a budget that counts alike and has so many tokens.
    pub fn with_tokens(&self, tokens: usize) -> Self {
        Self { tokens: tokens.max(Self::MIN_TOKENS), count: self.count.clone() }
    }

    /// Returns how many tokens an answer may have.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Counts the tokens of a text.
    pub fn count(&self, text: &str) -> usize {
        (self.count)(text)
    }

    /// Returns whether a text is within the budget.
    pub fn fits(&self, text: &str) -> bool {
        self.count(text) <= self.tokens
    }

    /// Returns the most bytes that are worth trying.
    pub(crate) fn most_bytes(&self) -> usize {
        self.tokens.saturating_mul(MAX_BYTES_PER_TOKEN)
    }

    /// Returns how many bytes to try next, if an answer with `room` bytes of free text has come out
    /// too long. In proportion to what it is over, and less by an eighth at least, so that it ends.
    pub(crate) fn smaller(&self, room: usize, answer: &str) -> Option<usize> {
        let tokens = self.count(answer);
        if tokens <= self.tokens || room == 0 {
            return None;
        }
        let proportional = room.saturating_mul(self.tokens) / tokens;
        Some(proportional.min(room - room.div_ceil(8)))
    }

    /// Writes an answer with as much free text as fits: `write` gets the most bytes of it.
    pub(crate) fn fit<T>(
        &self,
        most: usize,
        write: impl Fn(usize) -> Result<(String, T), ToolError>,
    ) -> Result<(String, T), ToolError> {
        let mut room = most.min(self.most_bytes());
        loop {
            let answer = write(room)?;
            match self.smaller(room, &answer.0) {
                Some(less) => room = less,
                None => return Ok(answer),
            }
        }
    }

    /// Cuts a text to the budget and says how much is missing.
    pub(crate) fn cut(&self, full: &str) -> String {
        let cut = |room| Ok((text::excerpt(full, room), ()));
        self.fit(full.len(), cut).map(|(text, ())| text).unwrap_or_default()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Self::DEFAULT_TOKENS)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

/// Estimates how many tokens a text has, from its words, numbers and signs.
///
/// Meant to err on the high side: for English prose, source code, JSON, logs, tables, numbers,
/// hexadecimal and base64 text, emoji, and for most other languages it is not below what the o200k
/// vocabulary gives, and at most twice as much; for prose and sources it is about a quarter above. A
/// vocabulary knows some things better or worse: made-up words and Finnish prose can have a quarter
/// more tokens than the estimate, letters of other scripts at random about twice as many, and one
/// letter a thousand times a sixth of them.
///
/// # Examples
///
/// ```
/// assert_eq!(bg_tools::estimate_tokens("three short words"), 3);
/// ```
pub fn estimate_tokens(text: &str) -> usize {
    let mut quarters = 0;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (run, cost) = run(rest, first);
        quarters += cost;
        rest = &rest[run..];
    }
    usize::div_ceil(quarters, 4)
}

/// Returns how many bytes at the beginning of a text belong together, and their cost in quarters of
/// a token. The costs are measured: see the test that compares the sum with a real vocabulary.
fn run(text: &str, first: char) -> (usize, usize) {
    let same = |of: &dyn Fn(u8) -> bool| text.bytes().take_while(|&byte| of(byte)).count();
    // Numbers are cut off from what stands before them.
    let before_number = |len: usize| text[len..].starts_with(|c: char| c.is_ascii_digit());
    match first {
        'a'..='z' | 'A'..='Z' => {
            let len = word(text.as_bytes());
            (len, word_cost(&text.as_bytes()[..len], before_number(len)))
        }
        '0'..='9' => {
            let len = same(&|byte| byte.is_ascii_digit());
            (len, 4 * len.div_ceil(3))
        }
        ' ' => match same(&|byte| byte == b' ') {
            // It goes with the word behind it.
            1 if text.len() > 1 && !before_number(1) => (1, 0),
            len => (len, 4 + len / 4),
        },
        '\n' | '\r' | '\t' => {
            let len = same(&|byte| matches!(byte, b'\n' | b'\r' | b'\t'));
            (len, 4 + len / 4)
        }
        _ if first.is_ascii() => {
            let len = same(&|byte| char::from(byte) == first);
            // Rules and headings are known at any length.
            let more = match len {
                1 => 0,
                _ if "-=*#._/".contains(first) => 1 + len / 8,
                _ => len - 1,
            };
            let stands_alone = before_number(len) || text[len..].starts_with(' ');
            (len, 3 + more + usize::from(stands_alone))
        }
        _ => (first.len_utf8(), sign_cost(first)),
    }
}

/// The letters up to where the case rises: vocabularies cut there too.
fn word(bytes: &[u8]) -> usize {
    let ends = |pair: &[u8]| {
        !pair[1].is_ascii_alphabetic()
            || (pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
    };
    bytes.windows(2).position(ends).map_or(bytes.len(), |at| at + 1)
}

fn word_cost(word: &[u8], before_number: bool) -> usize {
    match word.len() {
        0..=2 => 4,
        len if before_number || !is_pronounceable(word) => 3 * len,
        3..=4 => 4,
        len => 4 + (len - 4) * 7 / 8,
    }
}

/// Vocabularies know words; letters at random come in pieces of two.
fn is_pronounceable(word: &[u8]) -> bool {
    let is_vowel =
        |byte: &u8| matches!(byte.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
    let vowels = word.iter().filter(|byte| is_vowel(byte)).count();
    let consonants = word.split(is_vowel).map(<[u8]>::len).max().unwrap_or(0);
    let capitals = word.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    let is_mixed = capitals > 1 && capitals < word.len();
    word.len() <= 20 && 5 * vowels >= word.len() && consonants <= 4 && !is_mixed
}

fn sign_cost(sign: char) -> usize {
    match sign {
        // Latin letters with marks.
        '\0'..='\u{36F}' | '\u{FFFD}' => 4,
        // Punjabi, Sinhala, Burmese, Khmer.
        '\u{A00}'..='\u{A7F}'
        | '\u{D80}'..='\u{DFF}'
        | '\u{1000}'..='\u{109F}'
        | '\u{1780}'..='\u{17FF}' => 3,
        // What has words in the vocabulary: Greek to Arabic, Hindi to Thai, Georgian, Vietnamese.
        '\0'..='\u{6FF}'
        | '\u{900}'..='\u{E7F}'
        | '\u{10A0}'..='\u{10FF}'
        | '\u{1E00}'..='\u{1EFF}' => 2,
        // Kana, CJK, hangul.
        '\u{3040}'..='\u{30FF}' | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}' => 5,
        // Lao and Tibetan; punctuation, arrows, boxes.
        '\u{E80}'..='\u{FFF}'
        | '\u{2000}'..='\u{2BFF}'
        | '\u{3000}'..='\u{303F}'
        | '\u{FE00}'..='\u{FE0F}' => 8,
        // Pictures.
        '\u{1F000}'..='\u{1FAFF}' => 10,
        // A token a byte.
        other => 4 * other.len_utf8(),
    }
}
