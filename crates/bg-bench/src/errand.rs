//! What the workloads with processes start this program again for.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::sides::Which;
use crate::workloads::capture::{self, Shape};
use crate::workloads::proc_exit;

/// What to do instead of measuring all.
pub(crate) enum Errand {
    /// Write so many bytes to standard output.
    Produce(Shape, usize),
    /// Capture as many, written by another process, as one side does it.
    Capture(Which, Shape, usize),
    /// Write the time into a file and exit.
    ExitAt(PathBuf),
}

impl Errand {
    /// Reads an errand and its words; `None` for a word that is none.
    pub(crate) fn parse(
        word: &str,
        words: &mut impl Iterator<Item = String>,
    ) -> Option<Result<Self, String>> {
        match word {
            capture::PRODUCE => {
                Some(bytes(words).map(|(shape, bytes)| Self::Produce(shape, bytes)))
            }
            capture::CAPTURE => Some(captured(words)),
            proc_exit::EXIT_AT => {
                let path = words.next().ok_or_else(|| format!("`{word}` needs a file"));
                Some(path.map(|path| Self::ExitAt(path.into())))
            }
            _ => None,
        }
    }

    pub(crate) fn run(self) -> ExitCode {
        match self {
            Self::Produce(shape, bytes) => shape.produce(bytes),
            Self::Capture(side, shape, bytes) => {
                println!("{}", capture::measured(side, shape, bytes));
            }
            Self::ExitAt(path) => proc_exit::exit_at(&path),
        }
        ExitCode::SUCCESS
    }
}

fn captured(words: &mut impl Iterator<Item = String>) -> Result<Errand, String> {
    let side = Which::parse(words.next().as_deref())?;
    bytes(words).map(|(shape, bytes)| Errand::Capture(side, shape, bytes))
}

fn bytes(words: &mut impl Iterator<Item = String>) -> Result<(Shape, usize), String> {
    let shape = words.next().and_then(|word| Shape::parse(&word));
    let bytes = words.next().and_then(|word| word.parse().ok());
    shape.zip(bytes).ok_or_else(|| "a shape of text and a number of bytes are needed".to_owned())
}
