//! What the command line asks for.

use crate::errand::Errand;
use crate::sides::Which;

/// What is measured, and how thoroughly.
#[derive(Debug, Default)]
pub(crate) struct Args {
    filter: Option<String>,
    /// Fewer rounds.
    pub(crate) quick: bool,
}

/// What this process is for.
pub(crate) enum Command {
    Measure(Args),
    /// Hidden: the memory of one side, measured in a process of its own.
    Rss(Which, usize),
    /// Hidden: what else a workload starts this program again for.
    Run(Errand),
}

impl Args {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Command, String> {
        let mut args = Self::default();
        let mut words = words;
        while let Some(word) = words.next() {
            if let Some(errand) = Errand::parse(&word, &mut words) {
                return errand.map(Command::Run);
            }
            match word.as_str() {
                "--quick" => args.quick = true,
                "--rss" => return rss(words),
                _ => args.take_filter(word)?,
            }
        }
        Ok(Command::Measure(args))
    }

    fn take_filter(&mut self, word: String) -> Result<(), String> {
        if word.starts_with('-') || self.filter.is_some() {
            return Err(format!("unexpected `{word}`; usage: [FILTER] [--quick]"));
        }
        self.filter = Some(word);
        Ok(())
    }

    /// Tells whether the filter is part of the name of a workload.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.filter.as_deref().is_none_or(|filter| name.contains(filter))
    }
}

fn rss(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    let side = Which::parse(words.next().as_deref())?;
    let phase = words.next().and_then(|word| word.parse().ok());
    Ok(Command::Rss(side, phase.ok_or("`--rss` needs a phase after the side")?))
}
