//! `cargo xtask killer [--points N] [--seed N] [--double]`: kills hosts in the middle of what they
//! do, and looks for what is left of what they had started.
//!
//! The killer is a program of bg-process's own fixtures, which its tests run as well. A failure
//! prints the command that repeats it alone.

use crate::repo::{Repo, Result};

const RUN: &str = "run --quiet -p bg-process --features test-util --bin bg-fixture -- killer";

const USAGE: &str = "[--points N] [--seed N] [--double]";

pub(crate) fn run(repo: &Repo, args: &[String]) -> Result {
    Ok(repo.cargo(RUN).args(translated(args)?).run()?)
}

/// The arguments as the fixture takes them.
fn translated(args: &[String]) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        words.push(match arg.as_str() {
            "--double" => "double".to_owned(),
            "--points" | "--seed" => {
                let value = args.next().ok_or_else(|| format!("`{arg}` needs a number"))?;
                format!("{}={value}", arg.trim_start_matches('-'))
            }
            other => return Err(format!("no argument `{other}`: {USAGE}").into()),
        });
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_those_of_the_fixture() {
        let args = ["--points", "10_000", "--double"].map(str::to_owned);
        assert_eq!(translated(&args).unwrap(), ["points=10_000", "double"]);
        for wrong in ["--points", "--pints"] {
            assert!(translated(&[wrong.to_owned()]).is_err());
        }
    }
}
