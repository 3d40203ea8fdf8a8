//! `cargo xtask layers`: which crate may depend on which.
//!
//! - Arrows between the crates are read from the manifests, optional dependencies and every target
//!   included, so no choice of features can hide one.
//! - What `bg-core` pulls in is read from `cargo tree -p bg-core`, which resolves features for that
//!   crate alone. `cargo metadata` resolves them for the whole workspace: there `bg-core` would
//!   seem to use every feature of tokio that any other crate asks for. All of its own features are
//!   on: the promise holds for each of them.

use std::fs;

use serde_json::Value;

use crate::repo::{Repo, Result, conclude};

mod rules;

/// What the rules know of a workspace crate.
struct Crate {
    name: String,
    /// The text of its `Cargo.toml`: metadata does not tell what was inherited.
    manifest: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    dev: bool,
}

pub(crate) fn run(repo: &Repo) -> Result {
    let line = "metadata --format-version 1 --no-deps";
    let metadata = serde_json::from_str(&repo.cargo(line).quiet().read()?)?;
    let crates = crates(&metadata, |path| Ok(fs::read_to_string(path)?))?;
    let mut findings = rules::arrows(&crates);
    findings.extend(rules::inheritance(&crates));
    findings.extend(rules::core_closure(&core_tree(repo)?));
    conclude("layers", &format!("{} crates", crates.len()), &findings)
}

fn core_tree(repo: &Repo) -> Result<String> {
    let line = "tree -p bg-core -e normal --all-features --target all --prefix none --format";
    Ok(repo.cargo(line).arg("{p}|{f}").quiet().read()?)
}

/// The workspace crates of a `cargo metadata` document.
fn crates(metadata: &Value, read: impl Fn(&str) -> Result<String>) -> Result<Vec<Crate>> {
    let packages = metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    packages.iter().map(|package| workspace_crate(package, &read)).collect()
}

fn workspace_crate(package: &Value, read: impl Fn(&str) -> Result<String>) -> Result<Crate> {
    let dependencies =
        package["dependencies"].as_array().ok_or("cargo metadata names no dependencies")?;
    Ok(Crate {
        name: text(package, "name")?,
        manifest: read(&text(package, "manifest_path")?)?,
        dependencies: dependencies.iter().map(dependency).collect::<Result<_>>()?,
    })
}

/// A build dependency counts as a normal one: it has to be there to build the crate.
fn dependency(value: &Value) -> Result<Dependency> {
    Ok(Dependency { name: text(value, "name")?, dev: value["kind"] == "dev" })
}

fn text(value: &Value, key: &str) -> Result<String> {
    let missing = || format!("cargo metadata has no `{key}` where one belongs");
    Ok(value[key].as_str().ok_or_else(missing)?.to_owned())
}
