//! `cargo xtask planted [NAME]`: bugs put into `bg-core` on purpose, which its tests have to find.
//!
//! - The work tree is copied into `target/planted/tree`; nothing here changes the work tree itself.
//! - The suite is green without a bug, and with each of them red within a minute, builds not
//!   counted.
//! - The copy is restored after each bug, and only what a bug touches is built again.

use std::time::Duration;

use self::bugs::{BUGS, Bug};
use self::suite::{Suite, Verdict};
use self::tree::Tree;
use crate::repo::{Repo, Result};

mod bugs;
mod suite;
mod tree;

/// How long a suite may take to find a bug.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn run(repo: &Repo, name: Option<&str>) -> Result {
    let wanted = |bug: &&Bug| name.is_none_or(|name| bug.name == name);
    let bugs: Vec<&Bug> = BUGS.iter().filter(wanted).collect();
    if bugs.is_empty() {
        let names: Vec<&str> = BUGS.iter().map(|bug| bug.name).collect();
        return Err(format!("no such planted bug; there are {}", names.join(", ")).into());
    }
    let folder = repo.root().join("target/planted");
    let tree = Tree::copy(repo, &folder.join("tree"))?;
    let suite = Suite::new(Repo::at(tree.root())?, &folder);
    check_green(&suite)?;
    let mut found = 0;
    for bug in &bugs {
        found += usize::from(plant(&tree, &suite, bug)?);
    }
    println!("planted: {found} of {} found", bugs.len());
    if found == bugs.len() { Ok(()) } else { Err("a planted bug was not found".into()) }
}

/// A suite that is red without a bug finds nothing.
fn check_green(suite: &Suite) -> Result {
    match suite.run(Duration::MAX)? {
        Verdict::Green { took } => {
            println!("without a bug: green in {:.1} s", took.as_secs_f64());
            Ok(())
        }
        Verdict::Red { by, .. } => Err(format!("red without a planted bug: {by}").into()),
        Verdict::TooLong => Err("the suite does not end".into()),
    }
}

/// Plants a bug, runs the suite, takes the bug out again; returns whether it was found.
fn plant(tree: &Tree, suite: &Suite, bug: &Bug) -> Result<bool> {
    for edit in bug.edits {
        tree.edit(edit.file, edit.from, edit.to)?;
    }
    let verdict = suite.run(LIMIT);
    for edit in bug.edits {
        tree.restore(edit.file)?;
    }
    let (found, told) = match verdict? {
        Verdict::Red { by, took } => (true, format!("in {:.1} s by {by}", took.as_secs_f64())),
        Verdict::Green { .. } => (false, "NOT FOUND".to_owned()),
        Verdict::TooLong => (false, format!("NOT FOUND in {} s", LIMIT.as_secs())),
    };
    println!("{:<30} {told}\n{:<30}   ({})", bug.name, "", bug.breaks);
    Ok(found)
}

/// What is wrong with the table of bugs: a text that is not there once cannot be patched.
pub(crate) fn findings(read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for bug in BUGS {
        for edit in bug.edits {
            let count = read(edit.file).map_or(0, |text| text.matches(edit.from).count());
            findings.extend((count != 1).then(|| {
                format!(
                    "the text of the planted bug `{}` is there {count} times in {}, not once: \
                     aim it again in xtask/src/planted/bugs.rs",
                    bug.name, edit.file
                )
            }));
        }
    }
    findings
}
