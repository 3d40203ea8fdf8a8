//! Reading scripts.

use std::fmt;

use bg_tools::is_tool_name;
use serde_json::Value;

use super::template::Template;
use super::{End, Script, numbered_call};
use crate::message::ToolCall;

/// A text is not a script.
///
/// # Examples
///
/// ```
/// use bg_sessions::Script;
///
/// let error = "call Read {}\nshout hello".parse::<Script>().unwrap_err();
/// assert_eq!(error.line, 2);
/// assert_eq!(
///     error.to_string(),
///     "line 2: unknown word \"shout\": a line begins with call, also, say or fail",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1, where that says more than the line alone.
    pub column: Option<usize>,
    /// What is wrong there.
    pub problem: ScriptProblem,
}

/// What is wrong with a line of a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptProblem {
    /// The line begins with none of the four words.
    #[error("unknown word \"{}\": a line begins with call, also, say or fail", .0.escape_debug())]
    UnknownWord(String),
    /// `also` comes before any `call`.
    #[error("`also` adds to the call before it, and there is none")]
    NothingToAddTo,
    /// What follows `call` or `also` cannot be the name of a tool.
    #[error("\"{}\" cannot be the name of a tool", .0.escape_debug())]
    ToolName(String),
    /// What follows the name of the tool is not JSON.
    #[error("the arguments are not JSON: {0}")]
    NotJson(String),
    /// What follows the name of the tool is JSON of another kind, or nothing.
    #[error("the arguments are not a JSON object")]
    NotAnObject,
    /// There is something behind the arguments.
    #[error("there is text after the arguments")]
    TextAfterCall,
    /// A hole in the answer stands for a call that the script does not make.
    #[error("{{{{{call}}}}} stands for call {call}, but the calls are {calls}")]
    NoSuchCall {
        /// The number as it is written.
        call: String,
        /// How many calls there are.
        calls: usize,
    },
    /// The script ends without `say TEXT` or `fail TEXT`.
    #[error("nothing is said: a script ends with say TEXT or fail TEXT")]
    NothingSaid,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for ScriptError {}

pub(super) fn parse(text: &str) -> Result<Script, ScriptError> {
    let mut turns: Vec<Vec<ToolCall>> = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let calls = turns.iter().map(Vec::len).sum();
        let next = start + line.len();
        let line = Line { text, start, end: start + line.trim_end().len() };
        let word = line.word();
        match word {
            "call" => turns.push(vec![line.call(calls + 1)?]),
            "also" => {
                let turn = turns.last_mut().ok_or(ScriptProblem::NothingToAddTo);
                turn.map_err(|problem| line.error(problem))?.push(line.call(calls + 1)?);
            }
            "say" => {
                return Ok(Script { turns, end: End::Say(line.said(calls)?) });
            }
            "fail" => {
                return Ok(Script { turns, end: End::Fail(line.said(calls)?) });
            }
            _ if word.is_empty() || word.starts_with('#') => {}
            _ => return Err(line.error(ScriptProblem::UnknownWord(word.to_owned()))),
        }
        start = next;
    }
    let start = text.trim_end().len();
    Err(Line { text, start, end: start }.error(ScriptProblem::NothingSaid))
}

/// A line of a script without the blanks at its end, by its place in the whole text.
#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    start: usize,
    end: usize,
}

impl<'a> Line<'a> {
    /// Returns the first word.
    fn word(self) -> &'a str {
        self.text[self.start..self.end].split_whitespace().next().unwrap_or("")
    }

    /// Returns where the word that begins at or after `from` does, and where it ends.
    fn word_at(self, from: usize) -> (usize, usize) {
        let rest = &self.text[from..self.end];
        let begin = rest.len() - rest.trim_start().len();
        let len = rest[begin..].find(char::is_whitespace).unwrap_or(rest.len() - begin);
        (from + begin, from + begin + len)
    }

    /// Reads the line as a call.
    fn call(self, number: usize) -> Result<ToolCall, ScriptError> {
        let (_, after_verb) = self.word_at(self.start);
        let (begin, end) = self.word_at(after_verb);
        let tool = &self.text[begin..end];
        if !is_tool_name(tool) {
            return Err(self.error(ScriptProblem::ToolName(tool.to_owned())));
        }
        let (args, _) = self.word_at(end);
        Ok(numbered_call(number, tool, self.object_at(args)?))
    }

    /// Reads the rest of the line as one JSON object; returns it as it is written.
    fn object_at(self, begin: usize) -> Result<&'a str, ScriptError> {
        let args = &self.text[begin..self.end];
        let mut values = serde_json::Deserializer::from_str(args).into_iter::<Value>();
        let value = values.next().unwrap_or(Ok(Value::Null));
        let value = value.map_err(|error| self.not_json(begin, &error))?;
        if !value.is_object() {
            return Err(self.error_at(begin, ScriptProblem::NotAnObject));
        }
        let len = values.byte_offset();
        if len < args.len() {
            let (behind, _) = self.word_at(begin + len);
            return Err(self.error_at(behind, ScriptProblem::TextAfterCall));
        }
        Ok(args)
    }

    /// Reads the rest of the line, and all lines after it, as what is said.
    fn said(self, calls: usize) -> Result<Template, ScriptError> {
        let (_, after_verb) = self.word_at(self.start);
        let separated = &self.text[after_verb..];
        let said = separated.strip_prefix("\r\n");
        let said = said.or_else(|| separated.strip_prefix(char::is_whitespace)).unwrap_or("");
        let begin = self.text.len() - said.len();
        if said.trim().is_empty() {
            return Err(self.error(ScriptProblem::NothingSaid));
        }
        Template::parse(said.trim_end_matches(['\r', '\n']), calls)
            .map_err(|(at, problem)| self.error_at(begin + at, problem))
    }

    fn not_json(self, begin: usize, error: &serde_json::Error) -> ScriptError {
        // The parser counts from the beginning of the arguments; the place is told by the script.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let what = error.to_string().replace(&place, "");
        self.error_at(begin + error.column().saturating_sub(1), ScriptProblem::NotJson(what))
    }

    fn error(self, problem: ScriptProblem) -> ScriptError {
        ScriptError { column: None, ..self.error_at(self.start, problem) }
    }

    /// Makes an error about the character at an offset of the text.
    fn error_at(self, at: usize, problem: ScriptProblem) -> ScriptError {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let line = before.split(|&b| b == b'\n').count();
        let is_letter_start = |b: &&u8| **b & 0xC0 != 0x80;
        let column = 1 + before[line_start..].iter().filter(is_letter_start).count();
        ScriptError { line, column: Some(column), problem }
    }
}
