//! Text with holes in it.

use super::parse::ScriptProblem;

/// Text in which `{{n}}` stands for the output of the n-th call and `{{prompt}}` for the prompt. What
/// fills a hole is not looked at again: braces in an output stay braces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Hole(Hole),
}

/// What a hole stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hole {
    /// What a call has answered, by its number from 1.
    Output(usize),
    Prompt,
}

impl Template {
    /// Reads a text for a script of `calls` calls. An error comes with its offset in the text.
    pub(super) fn parse(text: &str, calls: usize) -> Result<Self, (usize, ScriptProblem)> {
        let mut pieces = Vec::new();
        let (mut done, mut from) = (0, 0);
        while let Some(open) = text[from..].find("{{").map(|at| from + at) {
            let Some(word) = word_of_hole(&text[open..]) else {
                from = open + 1;
                continue;
            };
            let hole = Hole::parse(word, calls).map_err(|problem| (open, problem))?;
            pieces.push(Piece::Text(text[done..open].to_owned()));
            pieces.push(Piece::Hole(hole));
            done = open + word.len() + "{{}}".len();
            from = done;
        }
        pieces.push(Piece::Text(text[done..].to_owned()));
        Ok(Self(pieces))
    }

    /// Writes the text with its holes filled.
    pub(super) fn fill(&self, filling: impl Fn(Hole) -> String) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Hole(hole) => filling(*hole),
        };
        self.0.iter().map(piece).collect()
    }
}

const PROMPT: &str = "prompt";

impl Hole {
    fn parse(word: &str, calls: usize) -> Result<Self, ScriptProblem> {
        if word == PROMPT {
            return Ok(Self::Prompt);
        }
        let number = word.parse().ok().filter(|number| (1..=calls).contains(number));
        let no_such_call = || ScriptProblem::NoSuchCall { call: word.to_owned(), calls };
        number.map(Self::Output).ok_or_else(no_such_call)
    }
}

/// Returns what stands in a hole that begins here, if one does: digits, or the one word there is.
fn word_of_hole(text: &str) -> Option<&str> {
    let (word, _) = text.strip_prefix("{{")?.split_once("}}")?;
    let is_number = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    (is_number || word == PROMPT).then_some(word)
}
