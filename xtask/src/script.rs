//! `cargo xtask script [--length N] [--seed N] [--count N] [--sequence A,B,...]`: plays all sequences
//! of what a model can do, up to a length, against runs of an agent.
//!
//! - With a count so many of just that length are chosen at random, with a sequence that one alone.
//! - A failure prints the command that repeats its sequence.
//! - Up to the length of a test run the tests are built as `test` builds them, so nothing is built
//!   twice; what takes longer is worth an optimized build.

use crate::features;
use crate::repo::{Repo, Result};

const LONGER: &str = "--profile models -p bg-sessions --all-features";
const PLAY: &str = "--test every_sequence -- --nocapture a_run_ends_as_it_has_to";

const USAGE: &str = "[--length N] [--seed N] [--count N] [--sequence A,B,...]";

/// The length of a test run.
const LENGTH: u64 = 4;

/// More would not end: each further one takes ten times as long, and six take minutes.
const MAX_LENGTH: u64 = 9;

/// What was asked for, as the variables that tell it to the test.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    length: Option<u64>,
    seed: Option<u64>,
    count: Option<u64>,
    sequence: Option<String>,
}

impl Wanted {
    fn read(args: &[String]) -> Result<Self> {
        let mut wanted = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("`{arg}` needs a value"));
            match arg.as_str() {
                "--length" => wanted.length = Some(number(value()?)?),
                "--seed" => wanted.seed = Some(number(value()?)?),
                "--count" => wanted.count = Some(number(value()?)?),
                "--sequence" => wanted.sequence = Some(value()?.clone()),
                other => return Err(format!("no argument `{other}`: {USAGE}").into()),
            }
        }
        wanted.check()
    }

    fn check(self) -> Result<Self> {
        if !(1..=MAX_LENGTH).contains(&self.length()) {
            return Err(format!("a length is from 1 to {MAX_LENGTH}").into());
        }
        if self.seed.is_some() && self.count.is_none() {
            return Err("a seed is for a count: without one all sequences are played".into());
        }
        Ok(self)
    }

    fn length(&self) -> u64 {
        self.length.unwrap_or(LENGTH)
    }

    fn vars(&self) -> Vec<(&'static str, String)> {
        let text = |number: Option<u64>| number.map(|number| number.to_string());
        let vars = [
            ("BG_LENGTH", text(Some(self.length()))),
            ("BG_SEED", text(self.seed)),
            ("BG_COUNT", text(self.count)),
            ("BG_SEQUENCE", self.sequence.clone()),
        ];
        vars.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// The build that suits it, where that of the tests does not.
    fn build(&self) -> Option<&'static str> {
        (self.length() > LENGTH || self.count.is_some()).then_some(LONGER)
    }
}

fn number(text: &str) -> Result<u64> {
    Ok(text.replace(['_', ','], "").parse()?)
}

pub(crate) fn run(repo: &Repo, args: &[String]) -> Result {
    let wanted = Wanted::read(args)?;
    let build = wanted.build().map_or_else(|| features::workspace(repo), |own| Ok(own.to_owned()));
    let play = repo.cargo(&format!("test --quiet {} {PLAY}", build?));
    Ok(play.envs(wanted.vars()).run()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Wanted> {
        Wanted::read(&args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_test_run_is_built_like_the_tests_and_a_longer_one_is_optimized() {
        assert_eq!(read(&[]).unwrap().build(), None);
        assert_eq!(read(&["--sequence", "3,0,7,1"]).unwrap().build(), None);
        assert_eq!(read(&["--length", "6"]).unwrap().build(), Some(LONGER));
        assert_eq!(read(&["--count", "10_000"]).unwrap().build(), Some(LONGER));
    }

    #[test]
    fn what_was_asked_for_is_told_in_variables() {
        let wanted = read(&["--length", "8", "--count", "1_000", "--seed", "7"]).unwrap();
        let vars = [("BG_LENGTH", "8"), ("BG_SEED", "7"), ("BG_COUNT", "1000")];
        assert_eq!(wanted.vars(), vars.map(|(name, value)| (name, value.to_owned())));
        let wanted = read(&["--sequence", "3,0"]).unwrap();
        assert_eq!(wanted.vars()[1], ("BG_SEQUENCE", "3,0".to_owned()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in
            [&["--length", "0"][..], &["--length", "10"], &["--length"], &["--seed", "7"], &["-x"]]
        {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
