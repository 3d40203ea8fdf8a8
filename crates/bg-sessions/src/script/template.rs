//! Text with holes in it.

use super::parse::ScriptProblem;

/// Text in which `{{n}}` stands for the output of the n-th call. What fills a hole is not looked
/// at again: braces in an output stay braces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The number of a call, from 1.
    Output(usize),
}

impl Template {
    /// Reads a text for a script of `calls` calls. An error comes with its offset in the text.
    pub(super) fn parse(text: &str, calls: usize) -> Result<Self, (usize, ScriptProblem)> {
        let mut pieces = Vec::new();
        let (mut done, mut from) = (0, 0);
        while let Some(open) = text[from..].find("{{").map(|at| from + at) {
            let Some(digits) = hole(&text[open..]) else {
                from = open + 1;
                continue;
            };
            let no_such_call = || ScriptProblem::NoSuchCall { call: digits.to_owned(), calls };
            let number = digits.parse().ok().filter(|number| (1..=calls).contains(number));
            let number = number.ok_or_else(|| (open, no_such_call()))?;
            pieces.push(Piece::Text(text[done..open].to_owned()));
            pieces.push(Piece::Output(number));
            done = open + digits.len() + "{{}}".len();
            from = done;
        }
        pieces.push(Piece::Text(text[done..].to_owned()));
        Ok(Self(pieces))
    }

    /// Writes the text with its holes filled.
    pub(super) fn fill<'a>(&'a self, output: impl Fn(usize) -> &'a str) -> String {
        let piece = |piece: &'a Piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Output(number) => output(*number),
        };
        self.0.iter().map(piece).collect()
    }
}

/// Returns the digits of a hole that begins here, if one does.
fn hole(text: &str) -> Option<&str> {
    let (digits, _) = text.strip_prefix("{{")?.split_once("}}")?;
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then_some(digits)
}
