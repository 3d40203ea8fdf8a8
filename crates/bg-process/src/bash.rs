//! The `Bash` tool.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bg_tools::{
    BoolArg, SecsArg, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, parse_args,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::error::ProcessError;
use crate::processes::Processes;
use crate::spec::{Inherit, ProcessSpec};

const NAME: &str = "Bash";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_TIMEOUT_SECS: u64 = 600;

/// Runs a shell command as a task of the caller's.
///
/// In the background it answers at once with the task id. In the foreground it answers with exit
/// code and output; a command that outlives its time goes on in the background, and the answer says
/// so. A foreground call that is dropped stops its command.
#[derive(Clone, Debug)]
pub struct Bash {
    folder: PathBuf,
    /// The host's variables that commands do not see.
    hidden: Vec<OsString>,
}

impl Bash {
    /// Runs commands in this folder; the `cwd` of a call is relative to it. This is a convenience and
    /// not a wall: a command can go wherever the host's user can.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self { folder: folder.as_ref().to_owned(), hidden: Vec::new() }
    }

    /// Keeps these of the host's variables from commands: keys, for example, that are not for whoever
    /// runs them. This is a convenience and not a wall: a command runs as the host's user, who may look
    /// into the host.
    pub fn hiding(mut self, variables: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.hidden.extend(variables.into_iter().map(Into::into));
        self
    }

    /// What is to run.
    fn spec(&self, args: &Args) -> ProcessSpec {
        let folder =
            args.cwd.as_ref().map_or_else(|| self.folder.clone(), |cwd| self.folder.join(cwd));
        let spec = ProcessSpec::shell(args.command.as_str()).cwd(folder);
        let spec = if self.hidden.is_empty() { spec } else { spec.inherit(self.inherited()) };
        let spec = args.stdin.as_deref().into_iter().fold(spec, ProcessSpec::input);
        if args.interactive == Some(BoolArg(true)) { spec.interactive() } else { spec }
    }
}

impl Bash {
    fn inherited(&self) -> Inherit {
        let names = std::env::vars_os().map(|(name, _)| name);
        Inherit::Only(names.filter(|name| !self.hidden.contains(name)).collect())
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    command: String,
    /// Return its task id at once.
    #[serde(default)]
    background: Option<BoolArg>,
    /// How long to wait for it, default 30; then it goes on in the background.
    #[serde(default)]
    timeout_secs: Option<SecsArg<MAX_TIMEOUT_SECS>>,
    /// Folder to run in.
    cwd: Option<String>,
    /// Text for its standard input.
    stdin: Option<String>,
    /// Keep stdin open for SendToTask.
    #[expect(clippy::doc_markdown, reason = "a model reads it, and pays for each sign")]
    #[serde(default)]
    interactive: Option<BoolArg>,
}

#[async_trait]
impl Tool for Bash {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<Args>(
            NAME,
            "Runs a shell command and returns its exit code and output. A slow one goes on in the \
             background by itself and its result arrives later: do not append &, and do not start \
             it again.",
        )
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let args: Args = parse_args(NAME, args)?;
        let background = args.background == Some(BoolArg(true));
        let spec = self.spec(&args);
        let spec = if background { spec } else { spec.foreground() };
        let id = Processes::new(cx.scope()).spawn(spec).map_err(refused)?;
        if background {
            return cx.background(id);
        }
        cx.foreground(id, args.timeout_secs.map_or(DEFAULT_TIMEOUT, SecsArg::duration)).await
    }

    fn deadline(&self) -> Option<Duration> {
        Some(Duration::from_secs(MAX_TIMEOUT_SECS + 30))
    }
}

fn refused(error: ProcessError) -> ToolError {
    match error {
        ProcessError::Spawn(error) => error.into(),
        other => ToolError::failed(other),
    }
}
