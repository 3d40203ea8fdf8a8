//! `cargo xtask fuzz [--smoke | --seconds N] [--seed N] [--count N]`: any bytes as arguments of all
//! tools, and as what tasks leave.
//!
//! With cargo-fuzz and a nightly toolchain the fuzz target runs, guided by coverage. Without them,
//! and whenever a seed or a count is given, the same driver runs on the stable toolchain, with random
//! changes of the same corpus.

use crate::repo::{Repo, Result};

const TARGET: &str = "fuzz run tools --fuzz-dir crates/bg-agents/fuzz -- -max_len=4096";
const DRIVER: &str = "test --quiet --profile models -p bg-agents --all-features \
                      --test tools_survive_any_bytes -- --nocapture random";

/// How long a smoke test takes.
const SMOKE_SECONDS: u64 = 60;

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    seconds: Option<u64>,
    seed: Option<u64>,
    count: Option<u64>,
}

impl Wanted {
    fn read(args: &[String]) -> Result<Self> {
        let mut wanted = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let place = match arg.as_str() {
                "--smoke" => {
                    wanted.seconds = Some(SMOKE_SECONDS);
                    continue;
                }
                "--seconds" => &mut wanted.seconds,
                "--seed" => &mut wanted.seed,
                "--count" => &mut wanted.count,
                other => {
                    let usage = "[--smoke | --seconds N] [--seed N] [--count N]";
                    return Err(format!("no argument `{other}`: {usage}").into());
                }
            };
            let value = args.next().ok_or_else(|| format!("`{arg}` needs a number"))?;
            *place = Some(value.replace(['_', ','], "").parse()?);
        }
        Ok(wanted)
    }

    /// A fuzzer chooses for itself what it runs.
    fn is_repeatable(&self) -> bool {
        self.seed.is_some() || self.count.is_some()
    }
}

pub(crate) fn run(repo: &Repo, args: &[String]) -> Result {
    let wanted = Wanted::read(args)?;
    if wanted.is_repeatable() {
        return drive(repo, &wanted);
    }
    let seconds = wanted.seconds.unwrap_or(SMOKE_SECONDS);
    if !has_fuzzer(repo) {
        println!("cargo-fuzz or a nightly is not installed: the same driver runs on stable");
        return drive(repo, &Wanted { seconds: Some(seconds), ..wanted });
    }
    let target = repo.nightly_cargo(TARGET).arg(format!("-max_total_time={seconds}"));
    Ok(target.run()?)
}

fn has_fuzzer(repo: &Repo) -> bool {
    let version = repo.nightly_cargo("fuzz --version");
    version.quiet().ignore_stderr().read().is_ok()
}

fn drive(repo: &Repo, wanted: &Wanted) -> Result {
    let vars =
        [("BG_SECONDS", wanted.seconds), ("BG_SEED", wanted.seed), ("BG_COUNT", wanted.count)];
    let set = vars.iter().filter_map(|(name, value)| Some((name, value.as_ref()?.to_string())));
    Ok(set.fold(repo.cargo(DRIVER), |driver, (name, value)| driver.env(name, value)).run()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Wanted> {
        Wanted::read(&args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_smoke_test_is_a_minute() {
        assert_eq!(read(&["--smoke"]).unwrap().seconds, Some(60));
        assert!(!read(&["--seconds", "7"]).unwrap().is_repeatable());
    }

    #[test]
    fn a_failure_is_repeated_by_its_seed() {
        let wanted = read(&["--seed", "7", "--count", "1"]).unwrap();
        assert_eq!((wanted.seed, wanted.count), (Some(7), Some(1)));
        assert!(wanted.is_repeatable());
        assert!(read(&["--speed"]).is_err() && read(&["--seed"]).is_err());
    }
}
