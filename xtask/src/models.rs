//! Running what counts itself: the loom models, the shuttle mixes, the random driver.
//!
//! - Each says `model <name>: <n> <things>` when it is done; the sum is the figure of the command.
//! - Where a cfg rewires the locks they are built with `[profile.models]` into a target directory of
//!   their own, so that nothing else is built again. Otherwise only the crate itself is built anew,
//!   optimized, on top of what the tests are built on.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::features;
use crate::repo::{Repo, Result};

/// What is optimized of a crate in the build of the tests, as in `[profile.models]`.
const OPTIMIZED: &[&str] = &["opt-level=3", "codegen-units=4", "debug=false", "incremental=false"];

/// A test file that counts itself, of one crate or of several in which it has the same name.
pub(crate) struct Models {
    /// Its name as a test and as a command.
    pub(crate) name: &'static str,
    pub(crate) packages: &'static [&'static str],
    pub(crate) test: &'static str,
    /// The cfg under which it is built, which is also the name of its target directory.
    pub(crate) cfg: Option<&'static str>,
    /// What is counted.
    pub(crate) things: &'static str,
}

/// Where random choices begin, and how many there are.
#[derive(Clone, Copy)]
pub(crate) struct Volume {
    pub(crate) seed: u64,
    pub(crate) count: u64,
}

impl Volume {
    /// Reads `--seed N` and `--count N` over the defaults.
    pub(crate) fn read(mut self, args: &[String]) -> Result<Self> {
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let place = match arg.as_str() {
                "--seed" => &mut self.seed,
                "--count" => &mut self.count,
                other => {
                    return Err(format!("no argument `{other}`: [--seed N] [--count N]").into());
                }
            };
            let value = args.next().ok_or_else(|| format!("`{arg}` needs a number"))?;
            *place = value.replace(['_', ','], "").parse()?;
        }
        Ok(self)
    }
}

/// Builds and runs all models, with `vars` in the environment, and prints the figure.
pub(crate) fn run(repo: &Repo, models: &Models, vars: &[(&str, u64)], repeat: &str) -> Result {
    let rest = ["--", "--nocapture"];
    let mut command = match models.cfg {
        Some(_) => command(repo, models, &target(repo), &rest),
        None => shared(repo, models, &rest)?,
    };
    command.envs(vars.iter().map(|(name, value)| (*name, value.to_string())));
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let (mut count, mut sum) = (0_u64, 0_u64);
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line?;
        println!("{line}");
        let counted = counted(&line);
        count += u64::from(counted.is_some());
        sum += counted.unwrap_or(0);
    }
    let (name, things) = (models.name, models.things);
    if !child.wait()?.success() {
        return Err(format!("{name} failed; repeat it with: {repeat}").into());
    }
    if sum == 0 {
        return Err(format!("{name} counted nothing").into());
    }
    println!("{name}: {count} models, {} {things}, ok", grouped(sum));
    Ok(())
}

/// The cargo call that tests a file without a cfg.
fn shared(repo: &Repo, models: &Models, rest: &[&str]) -> Result<Command> {
    let line = format!("test {} --test {}", features::workspace(repo)?, models.test);
    let mut command = Command::from(repo.cargo(&line));
    for package in models.packages {
        let setting = |value: &&str| format!("--config=profile.dev.package.{package}.{value}");
        command.args(OPTIMIZED.iter().map(setting));
    }
    command.args(rest).current_dir(repo.root());
    Ok(command)
}

/// The cargo call that tests a file with a cfg; with `--no-run` among the rest it only builds.
pub(crate) fn command(repo: &Repo, models: &Models, target: &Path, rest: &[&str]) -> Command {
    let line = format!("test --profile models --test {}", models.test);
    let mut command = Command::from(repo.cargo(&line));
    command.args(models.packages.iter().flat_map(|package| ["-p", package]));
    let mut flags = env::var_os("RUSTFLAGS").unwrap_or_default();
    flags.extend(models.cfg.map(|cfg| OsString::from(format!(" --cfg {cfg}"))));
    command.env("RUSTFLAGS", flags).arg("--target-dir").arg(target.join(models.name));
    command.args(rest).current_dir(repo.root());
    command
}

/// The target directory of everything else.
fn target(repo: &Repo) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| repo.root().join("target"), PathBuf::from)
}

/// The number in `model <name>: <n> <things>`. The line may begin with the name of a test.
fn counted(line: &str) -> Option<u64> {
    let (_, said) = line.split_once("model ")?;
    let (_, count) = said.rsplit_once(": ")?;
    count.split(' ').next()?.parse().ok()
}

/// A number with commas: 31,402.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_model_is_counted_wherever_it_begins() {
        assert_eq!(counted("model giver, taker: 17739 executions"), Some(17_739));
        assert_eq!(counted("test it ... model pct depth 3: 5 executions"), Some(5));
        assert_eq!(counted("test result: ok. 2 passed"), None);
    }

    #[test]
    fn a_number_is_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (31_402, "31,402"), (1 << 20, "1,048,576")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_volume_is_read_over_its_defaults() {
        let args = ["--count", "10_000", "--seed", "7"].map(str::to_owned);
        let volume = Volume { seed: 1, count: 2 }.read(&args).unwrap();
        assert_eq!((volume.seed, volume.count), (7, 10_000));
        assert!(Volume { seed: 1, count: 2 }.read(&["--speed".to_owned()]).is_err());
    }
}
