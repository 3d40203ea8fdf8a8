//! The rules behind `cargo xtask layers`: parsed data in, findings out, each naming its fix.

use std::collections::BTreeSet;

use super::{Crate, Dependency};

/// Each workspace crate and the workspace crates it may need. An arrow only points up the table.
const ALLOWED: &[(&str, &[&str])] = &[
    ("bg-core", &[]),
    ("bg-tools", &["bg-core"]),
    ("bg-process", &["bg-core", "bg-tools"]),
    ("bg-sessions", &["bg-core", "bg-tools"]),
    ("bg-models", &["bg-core", "bg-tools", "bg-sessions"]),
    ("bg-agents", &["bg-core", "bg-tools", "bg-process", "bg-sessions"]),
    ("bg-mcp", &["bg-agents"]),
    ("bg-cli", &["bg-agents", "bg-models", "bg-mcp"]),
    ("xtask", &[]),
];

/// HTTP, process and UI code, and what usually brings it along.
const DENIED_IN_CORE: &str = "
    actix-web axum clap command-group console crossterm curl dialoguer duct h2 h3 hyper
    hyper-util indicatif isahc mio native-tls nix openssl portable-pty process-wrap quinn
    ratatui reqwest rustix rustls signal-hook socket2 termion tokio-tungstenite tonic
    tower-http tungstenite ureq warp
";

const DENIED_TOKIO_FEATURES: &[&str] = &["net", "process"];

/// Every arrow between workspace crates is one that the table allows.
pub(super) fn arrows(crates: &[Crate]) -> Vec<String> {
    let names: BTreeSet<&str> = crates.iter().map(|krate| krate.name.as_str()).collect();
    crates.iter().flat_map(|krate| arrows_of(krate, &names)).collect()
}

fn arrows_of(krate: &Crate, names: &BTreeSet<&str>) -> Vec<String> {
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == krate.name) else {
        let name = &krate.name;
        return vec![format!(
            "`{name}` is not in the table of layers: add it to `ALLOWED` in \
             xtask/src/layers/rules.rs"
        )];
    };
    krate
        .dependencies
        .iter()
        .filter(|dependency| names.contains(dependency.name.as_str()))
        .filter_map(|dependency| wrong_arrow(&krate.name, dependency, allowed))
        .collect()
}

fn wrong_arrow(from: &str, to: &Dependency, allowed: &[&str]) -> Option<String> {
    let name = to.name.as_str();
    if to.dev {
        // A crate may name itself among its dev-dependencies to switch on its own test features.
        let wrong = from == "bg-core" && name != from;
        return wrong.then(|| {
            format!("`{from}` may not dev-depend on `{name}`: move that test to `{name}`")
        });
    }
    (!allowed.contains(&name)).then(|| {
        let may = allowed.join(", ");
        format!(
            "`{from}` may not depend on `{name}` (allowed: {may}): move the shared code up to a \
             crate that both may use, or the caller down"
        )
    })
}

/// Every crate is held to the workspace's lints and to its Rust version.
pub(super) fn inheritance(crates: &[Crate]) -> Vec<String> {
    crates.iter().flat_map(inheritance_of).collect()
}

fn inheritance_of(krate: &Crate) -> Vec<String> {
    let required =
        [("[lints]", "workspace = true"), ("[package]", "rust-version.workspace = true")];
    required
        .into_iter()
        .filter(|(section, line)| !has_line(&krate.manifest, section, line))
        .map(|(section, line)| {
            let name = &krate.name;
            format!("`{name}`: write `{line}` under `{section}` in its Cargo.toml")
        })
        .collect()
}

fn has_line(manifest: &str, section: &str, line: &str) -> bool {
    manifest
        .lines()
        .map(str::trim)
        .skip_while(|candidate| *candidate != section)
        .skip(1)
        .take_while(|candidate| !candidate.starts_with('['))
        .any(|candidate| candidate == line)
}

/// `bg-core` pulls in no HTTP, process or UI code. `tree` has a line `name version|feature,feature`
/// for each package.
pub(super) fn core_closure(tree: &str) -> Vec<String> {
    let mut findings = BTreeSet::new();
    let mut seen_core = false;
    for line in tree.lines() {
        let (name, features) = package(line);
        seen_core |= name == "bg-core";
        findings.extend(denied_package(name));
        findings.extend(denied_features(name, features));
    }
    if !seen_core {
        findings.insert("cargo tree does not list `bg-core`: correct the call in layers.rs".into());
    }
    findings.into_iter().collect()
}

fn package(line: &str) -> (&str, &str) {
    let (id, features) = line.split_once('|').unwrap_or((line, ""));
    let name = id.split(' ').next().unwrap_or(id);
    (name, features.trim_end_matches("(*)").trim_end())
}

fn denied_package(name: &str) -> Option<String> {
    let mut denied = DENIED_IN_CORE.split_whitespace();
    denied.any(|denied| denied == name).then(|| {
        format!(
            "`bg-core` pulls in `{name}`: `cargo tree -p bg-core --all-features -e normal \
             --target all -i {name}` shows through what; move the code that needs it to a crate \
             below"
        )
    })
}

fn denied_features(name: &str, features: &str) -> Vec<String> {
    features
        .split(',')
        .filter(|feature| name == "tokio" && DENIED_TOKIO_FEATURES.contains(feature))
        .map(|feature| {
            format!(
                "`bg-core` turns on tokio's `{feature}`: take it out of the features that \
                 `bg-core` names, and move the code that needs it to a crate below"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::layers::crates;
    use crate::repo::check;

    const MANIFEST: &str =
        "[package]\nrust-version.workspace = true\n\n[lints]\nworkspace = true\n\n[dependencies]\n";

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
        let dependencies: Vec<Value> =
            dependencies.iter().map(|(name, kind)| json!({ "name": name, "kind": kind })).collect();
        json!({ "name": name, "manifest_path": name, "dependencies": dependencies })
    }

    fn parse(packages: &[Value], manifest: &str) -> Vec<Crate> {
        let metadata = json!({ "packages": packages });
        crates(&metadata, |_| Ok(manifest.to_owned())).unwrap()
    }

    #[track_caller]
    fn check_arrow(from: &str, to: &str, kind: Option<&str>, words: &[&str]) {
        let mut packages = vec![package(from, &[(to, kind), ("serde", None)])];
        if from != to {
            packages.push(package(to, &[]));
        }
        check(&arrows(&parse(&packages, MANIFEST)), words);
    }

    #[test]
    fn an_arrow_up_the_table_is_allowed() {
        check_arrow("bg-tools", "bg-core", None, &[]);
        check_arrow("bg-agents", "bg-process", None, &[]);
        check_arrow("bg-cli", "bg-agents", None, &[]);
        check_arrow("bg-cli", "bg-models", None, &[]);
    }

    #[test]
    fn an_arrow_down_the_table_is_reported_with_the_crates_it_may_use() {
        let words = ["may not depend on `bg-agents`", "allowed: bg-core"];
        check_arrow("bg-tools", "bg-agents", None, &words);
        check_arrow("bg-core", "bg-tools", None, &["move the shared code up"]);
        check_arrow("bg-cli", "bg-core", None, &["allowed: bg-agents"]);
        check_arrow("xtask", "bg-core", None, &["`xtask` may not"]);
    }

    #[test]
    fn a_build_dependency_is_held_to_the_table() {
        check_arrow("bg-core", "bg-tools", Some("build"), &["may not depend"]);
    }

    #[test]
    fn a_dev_dependency_may_point_down_but_not_from_core() {
        check_arrow("bg-tools", "bg-agents", Some("dev"), &[]);
        check_arrow("bg-core", "bg-core", Some("dev"), &[]);
        check_arrow("bg-core", "bg-tools", Some("dev"), &["move that test"]);
    }

    #[test]
    fn a_crate_outside_the_table_is_reported_with_the_file_to_edit() {
        let findings = arrows(&parse(&[package("bg-new", &[])], MANIFEST));
        check(&findings, &["`bg-new`", "add it to `ALLOWED`"]);
    }

    #[track_caller]
    fn check_manifest(manifest: &str, words: &[&str]) {
        let crates = parse(&[package("bg-core", &[])], manifest);
        check(&inheritance(&crates), words);
    }

    #[test]
    fn a_crate_that_inherits_lints_and_rust_version_passes() {
        check_manifest(MANIFEST, &[]);
    }

    #[test]
    fn a_crate_without_the_workspace_lints_is_told_what_to_write() {
        let manifest = MANIFEST.replace("[lints]", "[badges]");
        check_manifest(&manifest, &["`workspace = true` under `[lints]`"]);
    }

    #[test]
    fn a_crate_with_its_own_rust_version_is_told_what_to_write() {
        let manifest = MANIFEST.replace(".workspace = true\n\n[lints]", " = \"1.80\"\n\n[lints]");
        check_manifest(&manifest, &["write `rust-version.workspace = true`"]);
    }

    #[track_caller]
    fn check_closure(below_core: &str, words: &[&str]) {
        let tree = format!("bg-core v0.1.0 (/bg)|default\n{below_core}");
        check(&core_closure(&tree), words);
    }

    #[test]
    fn a_core_without_denied_packages_passes() {
        check_closure("tokio v1.54.0|rt,sync,time\nmio-like v1.0.0|", &[]);
    }

    #[test]
    fn a_denied_package_below_core_is_reported_once_with_the_way_to_find_it() {
        let words = ["pulls in `hyper`", "-i hyper"];
        check_closure("hyper v1.0.0|\nhyper v1.0.0| (*)", &words);
    }

    #[test]
    fn a_denied_tokio_feature_in_core_is_reported() {
        let words = ["tokio's `process`", "take it out"];
        check_closure("tokio v1.54.0|process,rt", &words);
        check_closure("tokio v1.54.0|net (*)", &["tokio's `net`"]);
    }

    #[test]
    fn the_same_feature_name_of_another_package_is_none_of_tokio() {
        check_closure("other v1.0.0|net,process", &[]);
    }

    #[test]
    fn a_tree_without_core_is_not_taken_for_a_clean_one() {
        check(&core_closure(""), &["does not list `bg-core`"]);
    }
}
