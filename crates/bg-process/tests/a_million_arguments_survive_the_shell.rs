//! What a model quotes for a shell arrives byte for byte: through the JSON of a call, the `Bash` tool,
//! the shell, the pipe and the log. `BG_COUNT` says how many strings, `BG_SEED` which ones.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[macro_use]
mod support;

use std::iter::repeat_with;
use std::time::{Duration, Instant};

use bg_process::{Bash, ProcessError, use_guard_program};
use bg_tools::{ToolContext, ToolError, Toolbox};
use serde_json::{Value, json};
use support::fixture::PROGRAM;
use support::{Host, host};

#[path = "../fixtures/rng.rs"]
mod rng;
use rng::Rng;

const COUNT: u64 = 100_000;
const STRINGS: usize = 1000;
/// The system takes 128 KiB as one argument, which the command is.
const MAX_COMMAND: usize = 120 << 10;

/// What shells, printf, JSON and careless programs stumble over.
const ODD: &[&str] = &[
    "'",
    "''",
    "'\\''",
    "\"",
    "\\",
    "\\\\",
    "\\'",
    "`",
    "`id`",
    "$",
    "$$",
    "$(exit 7)",
    "${HOME}",
    "$'\\n'",
    "!",
    "!!",
    "!$",
    "#",
    "%",
    "%s",
    "%n",
    "%%",
    "%b",
    "\\0",
    "\\c",
    "\\x",
    "\\x00",
    "\\u",
    "\\u12",
    "\\ud800",
    "\\777",
    "-",
    "--",
    "-n",
    "-e",
    "--help",
    "*",
    "?",
    "[a-",
    "**/",
    "{a,b}",
    "~",
    "~root",
    "<",
    ">",
    "|",
    "&",
    ";",
    "&&",
    "||",
    "(",
    ")",
    "{",
    "}",
    "=",
    "a=b",
    " ",
    "\t",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\\\n",
    "EOF\n",
    "\u{1b}[31m",
    "\u{4}",
    "\u{7f}",
    "\u{80}",
    "\u{81}",
    "\u{88}",
    "\u{a0}",
    "\u{ad}",
    "\u{202e}",
    "\u{200f}",
    "\u{feff}",
    "\u{fffd}",
    "\u{ffff}",
    "e\u{301}",
    "\u{1f980}",
    "\u{10ffff}",
];

fn small(rng: &mut Rng, end: u64) -> u32 {
    u32::try_from(rng.below(end)).unwrap()
}

fn control(rng: &mut Rng) -> char {
    char::from_u32(1 + small(rng, 31)).unwrap()
}

fn plain(rng: &mut Rng) -> char {
    char::from_u32(0x20 + small(rng, 0x5f)).unwrap()
}

/// Any character, those of one byte in UTF-8 as often as those of four.
fn any(rng: &mut Rng) -> char {
    let end = rng.pick(&[0x80, 0x800, 0x1_0000, 0x11_0000]);
    repeat_with(|| char::from_u32(1 + small(rng, end - 1))).flatten().next().unwrap()
}

/// A string of one kind of pieces, or of all of them.
fn string(rng: &mut Rng) -> String {
    let (kind, pieces) = (rng.below(6), rng.below(16));
    let mut text = String::new();
    for _ in 0..pieces {
        match if kind < 4 { kind } else { rng.below(4) } {
            0 => text.push_str(rng.pick(ODD)),
            1 => text.push(plain(rng)),
            2 => text.push(control(rng)),
            _ => text.push(any(rng)),
        }
    }
    text
}

fn quoted(text: &str) -> String {
    format!(" '{}'", text.replace('\'', "'\\''"))
}

/// A command and what it prints.
struct Batch {
    strings: usize,
    command: String,
    printed: Vec<u8>,
}

fn batch(rng: &mut Rng, strings: usize) -> Batch {
    let (command, printed) = ("printf '%s\\0'".to_owned(), Vec::new());
    let mut batch = Batch { strings: 0, command, printed };
    while batch.strings < strings && batch.command.len() < MAX_COMMAND - 1024 {
        let text = string(rng);
        batch.command.push_str(&quoted(&text));
        batch.printed.extend_from_slice(text.as_bytes());
        batch.printed.push(0);
        batch.strings += 1;
    }
    assert!(batch.command.len() < MAX_COMMAND, "{}", batch.command.len());
    batch
}

struct Model {
    host: Host,
    cx: ToolContext,
    tools: Toolbox,
}

impl Model {
    fn new() -> Self {
        let host = host();
        let cx = ToolContext::new(host.root.clone());
        Self { host, cx, tools: Toolbox::new().with(Bash::new("/")).unwrap() }
    }

    /// What a command prints, by the log of its task.
    async fn prints(&self, command: &str) -> Vec<u8> {
        let args = json!({ "command": command }).to_string();
        let call =
            tokio::time::timeout(Duration::from_secs(60), self.tools.call(&self.cx, "Bash", &args));
        let wire = call.await.unwrap().into_wire();
        assert!(wire.success, "{}", wire.output);
        let answer: Value = serde_json::from_str(&wire.output).unwrap();
        assert_eq!(answer["exit_code"], 0, "{answer}");
        let id = self.host.root.resolve(answer["task_id"].as_str().unwrap()).unwrap();
        self.host.root.log(id).unwrap().unwrap().read(0, usize::MAX, None).bytes
    }
}

/// The first string that is not what it was.
fn difference(batch: &Batch, printed: &[u8]) -> String {
    let [expected, printed] = [&batch.printed[..], printed].map(|all| all.split(|byte| *byte == 0));
    let (sent, came) = expected.zip(printed).find(|(sent, came)| sent != came).unwrap_or_default();
    format!("\"{}\" came as \"{}\"", sent.escape_ascii(), came.escape_ascii())
}

fn from_env(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

async fn quote_many() {
    let (count, seed) = (from_env("BG_COUNT", COUNT), from_env("BG_SEED", 1));
    let (model, mut rng) = (Model::new(), Rng::new(seed));
    let (begin, mut done, mut calls, mut bytes) = (Instant::now(), 0, 0, 0);
    while done < count {
        let strings = usize::try_from(count - done).unwrap_or(STRINGS).min(STRINGS);
        let batch = batch(&mut rng, strings);
        let printed = model.prints(&batch.command).await;
        done += batch.strings as u64;
        assert!(
            printed == batch.printed,
            "seed {seed}: {}\nrepeat with: BG_SEED={seed} BG_COUNT={done} cargo nextest run \
             -p bg-process --all-features --test a_million_arguments_survive_the_shell",
            difference(&batch, &printed),
        );
        (calls, bytes) = (calls + 1, bytes + printed.len());
    }
    println!("{done} strings, {bytes} bytes, {calls} calls, {:?}", begin.elapsed());
}

#[tokio::test]
async fn what_is_quoted_arrives_byte_for_byte() {
    quote_many().await;
}

#[tokio::test]
async fn what_is_quoted_arrives_through_the_guard_too() {
    use_guard_program(PROGRAM);
    quote_many().await;
}

#[tokio::test]
async fn a_nul_in_a_command_is_an_error_of_its_own() {
    let model = Model::new();
    for args in [r#"{"command": "echo a\u0000b"}"#, r#"{"command": "\u0000", "background": true}"#]
    {
        let called = model.tools.call(&model.cx, "Bash", args).await;
        let Err(ToolError::Failed(failure)) = called.result else { panic!("{called:?}") };
        let cause = ProcessError::NulByte { what: "an argument" };
        assert_eq!(failure.to_string(), cause.to_string());
    }
    assert_eq!(model.host.root.live(), 0);
}
