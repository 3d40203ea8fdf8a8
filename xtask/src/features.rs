//! The features with which the commands build.
//!
//! - All of all crates, so that a crate is built once for all commands.
//! - Except `genai`: it turns on features of other crates that would change what is tested (the order
//!   of fields in everything that models read, a clock that tests can stop). `cargo xtask genai` has it.

use serde_json::Value;

use crate::repo::{Repo, Result};

const APART: &str = "genai";

/// The arguments that stand for `--workspace --all-features`.
pub(crate) fn workspace(repo: &Repo) -> Result<String> {
    let line = "metadata --format-version 1 --no-deps";
    let metadata: Value = serde_json::from_str(&repo.cargo(line).quiet().read()?)?;
    Ok(format!("--workspace --features {}", all_but_apart(&metadata)?.join(",")))
}

/// Each feature with its crate, out of a `cargo metadata` document.
fn all_but_apart(metadata: &Value) -> Result<Vec<String>> {
    let packages = metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    let mut all = Vec::new();
    for package in packages {
        let name = package["name"].as_str().ok_or("cargo metadata has a package without a name")?;
        let features = package["features"].as_object().into_iter().flatten();
        let features = features.map(|(feature, _)| feature).filter(|feature| *feature != APART);
        all.extend(features.map(|feature| format!("{name}/{feature}")));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_features_of_all_crates_are_on_but_genai() {
        let metadata = json!({"packages": [
            {"name": "a", "features": {"default": ["x"], "genai": ["dep:genai"], "x": []}},
            {"name": "b", "features": {}},
            {"name": "c", "features": {"genai": ["a/genai"], "y": []}},
        ]});
        assert_eq!(all_but_apart(&metadata).unwrap(), ["a/default", "a/x", "c/y"]);
        assert!(all_but_apart(&json!({})).is_err());
    }
}
