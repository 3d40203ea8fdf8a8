//! No test is forgotten: a crate whose tests share a binary names each file of them.

use super::{Source, rules};

/// Where the tests of a crate share a binary.
const SHARED: &str = "it";

/// Every file of tests beside a `tests/it.rs` is a module of that, or has a binary of its own in the
/// manifest: nothing finds it there by itself.
pub(super) fn forgotten(sources: &[Source], read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let tests = sources.iter().filter_map(|source| rules::integration_test(&source.path));
    let beside = |(krate, _): &(&str, &str)| {
        let shared = format!("crates/{krate}/tests/{SHARED}.rs");
        sources.iter().any(|source| source.path == shared)
    };
    tests
        .filter(beside)
        .filter(|(krate, name)| !is_named(sources, krate, name, &read))
        .map(|(krate, name)| {
            format!(
                "crates/{krate}/tests/{name}.rs is not compiled: write `mod {name};` in its \
                 tests/{SHARED}.rs, or a `[[test]]` of that name in its Cargo.toml"
            )
        })
        .collect()
}

fn is_named(
    sources: &[Source],
    krate: &str,
    name: &str,
    read: &impl Fn(&str) -> Option<String>,
) -> bool {
    let shared = format!("crates/{krate}/tests/{SHARED}.rs");
    let shared = sources.iter().find(|source| source.path == shared);
    let module = format!("mod {name};");
    let is_module = shared.is_some_and(|it| it.text.lines().any(|line| line == module));
    let manifest = read(&format!("crates/{krate}/Cargo.toml")).unwrap_or_default();
    let own = format!("[[test]]\nname = \"{name}\"\n");
    is_module || manifest.contains(&own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::check;

    fn found(files: &[(&str, &str)], manifest: &str) -> Vec<String> {
        let source = |(path, text): &(&str, &str)| Source {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        let sources: Vec<_> = files.iter().map(source).collect();
        forgotten(&sources, |_| Some(manifest.to_owned()))
    }

    const IT: &str = "crates/x/tests/it.rs";
    const OWN: &str = "[[test]]\nname = \"it\"\n\n[[test]]\nname = \"b\"\n";

    #[test]
    fn a_file_beside_the_shared_binary_is_a_module_of_it_or_has_its_own() {
        let files = [(IT, "mod a;\n"), ("crates/x/tests/a.rs", ""), ("crates/x/tests/b.rs", "")];
        check(&found(&files, OWN), &[]);
        let files = [(IT, "// mod c;\n"), ("crates/x/tests/c.rs", "")];
        check(&found(&files, OWN), &["c.rs is not compiled", "`mod c;`"]);
    }

    #[test]
    fn where_no_binary_is_shared_cargo_finds_the_files() {
        check(&found(&[("crates/x/tests/a.rs", "")], ""), &[]);
        check(&found(&[(IT, ""), ("crates/y/tests/a.rs", "")], OWN), &[]);
    }
}
