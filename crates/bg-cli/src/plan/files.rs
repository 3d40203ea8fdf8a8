//! What the files of an item are called when a run is saved.

use std::collections::BTreeSet;

use super::Item;

/// The files of what the plan does not name: agents that others call.
pub(crate) const UNPLANNED: &str = "called";

/// Longest name, in letters.
const LONGEST: usize = 60;

/// Gives every item a name of its own that any file system takes.
pub(super) fn name_files(items: &mut [Item]) {
    let mut taken = BTreeSet::from([UNPLANNED.to_owned()]);
    for item in items {
        let plain = plain(&item.label);
        let names = (2..).map(|number| format!("{plain}-{number}"));
        let mut names = std::iter::once(plain.clone()).chain(names);
        // There are systems to which "A" and "a" are the same.
        let free = names.find(|name| taken.insert(name.to_lowercase()));
        item.file = free.unwrap_or(plain);
    }
}

fn plain(label: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let name: String = label.chars().map(|c| if is_plain(&c) { c } else { '-' }).collect();
    let pieces: Vec<&str> = name.split('-').filter(|piece| !piece.is_empty()).collect();
    let name: String = pieces.join("-").chars().take(LONGEST).collect();
    if name.is_empty() { "task".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_of_one_folder() {
        assert_eq!(plain("overview 1/2"), "overview-1-2");
        assert_eq!(plain("../../etc/passwd"), "etc-passwd");
        assert_eq!(plain("...\u{e9}"), "task");
        assert_eq!(plain(&"x".repeat(500)).len(), LONGEST);
    }
}
