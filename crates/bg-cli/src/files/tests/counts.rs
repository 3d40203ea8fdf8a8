//! Totals are those of git in a clean clone.

use super::*;

/// Ignored, hidden, binary and odd files; `needle` is in each kind of them.
fn repository() -> Tree {
    let tree = Tree::new(&[
        (".gitignore", "target/\n*.log\n*.tmp\n!keep.log\n/only-top\n# needle\n"),
        (".hidden/needle.txt", "needle\n"),
        (".env.example", "NEEDLE=needle\n"),
        ("target/debug/needle.txt", "needle\n"),
        ("a.log", "needle\n"),
        ("keep.log", "needle\n"),
        ("only-top", "needle\n"),
        ("deep/only-top", "needle\n"),
        ("deep/.gitignore", "*.here\n!/yes.tmp\n"),
        ("deep/no.tmp", "needle\n"),
        ("deep/a.here", "needle\n"),
        ("src/a.here", "needle\n"),
        ("deep/yes.tmp", "needle\n"),
        ("deep/er/yes.tmp", "needle\n"),
        (".ignore", "rules of another tool: not git's\nsrc\n"),
        ("src/main.rs", "fn needle() {\n    needle needle\n}\n"),
        ("src.rs", "needle"),
        ("src-old/a.rs", "no\nneedle\r\nno\r\nneedle\r\n"),
        ("empty", ""),
        ("no-end.md", "one\nneedle"),
        ("with space.txt", "needle\n"),
    ]);
    tree.write("binary.bin", b"needle\0needle\nneedle\n");
    tree.write("latin1.txt", b"caf\xe9 needle\nna\xefve\n");
    tree.write("late-nul.txt", [b"needle\n".repeat(1200), b"needle\0needle\n".to_vec()].concat());
    tree.write("one-line.json", "needle ".repeat(5_000_000 / 7));
    tree
}

fn ls_files(clone: &Path) -> Vec<Vec<u8>> {
    let names = git(clone, &["ls-files", "-z"]);
    let names = names.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names.map(<[u8]>::to_vec).collect()
}

/// Matching lines and files. `-I`: git counts in binary files otherwise.
fn git_grep(clone: &Path, word: &str) -> (u64, u64) {
    let rows = git(clone, &["grep", "-I", "-c", "-z", word]);
    let counts = str::from_utf8(&rows).unwrap().lines().map(|row| row.rsplit('\0').next().unwrap());
    let counts: Vec<u64> = counts.map(|count| count.parse().unwrap()).collect();
    (counts.iter().sum(), counts.len() as u64)
}

fn totals(answer: &str) -> (u64, u64) {
    let words: Vec<&str> = answer.lines().next().unwrap().split(' ').collect();
    (words[0].parse().unwrap(), words[4].parse().unwrap())
}

#[test]
fn the_files_and_their_order_are_those_of_git_ls_files() {
    let tree = repository();
    let clone = tree.clone_of_all();
    let names = ls_files(&clone);
    let expected: Vec<_> = names.iter().map(|name| str::from_utf8(name).unwrap()).collect();
    let answer = tree.list("{}");
    assert_eq!(first_column(&answer), expected);
    assert!(answer.starts_with(&format!("{} files, ", names.len())), "{answer}");
    assert_eq!(Folder::open(clone).unwrap().list(&ListArgs::default(), &|| false).unwrap(), answer);
}

#[test]
fn the_bytes_are_those_of_the_clone() {
    let tree = repository();
    let clone = tree.clone_of_all();
    let names = ls_files(&clone);
    let size =
        |name: &Vec<u8>| fs::metadata(clone.join(str::from_utf8(name).unwrap())).unwrap().len();
    let bytes: u64 = names.iter().map(size).sum();
    assert!(tree.list("{}").contains(&format!(" files, {bytes} bytes, ")));
}

#[test]
fn the_matches_are_those_of_git_grep() {
    let tree = repository();
    let clone = tree.clone_of_all();
    for word in ["needle", "fn", "one", "caf", "NEEDLE", "absent"] {
        assert_eq!(totals(&tree.search(word)), git_grep(&clone, word), "{word}");
        assert_eq!(totals(&tree.count(word)), git_grep(&clone, word), "{word}");
    }
}

#[test]
fn what_only_this_clone_ignores_is_ignored() {
    let tree = Tree::new(&[("a.txt", "a\n"), ("mine.txt", "a\n"), ("deep/mine.txt", "a\n")]);
    tree.write(".git/info/exclude", "mine.txt\n");
    assert_eq!(first_column(&tree.list("{}")), ["a.txt"]);
}

#[test]
fn rules_above_a_place_hold_in_it_and_rules_above_the_folder_do_not() {
    let tree =
        Tree::new(&[(".gitignore", "*.log\n"), ("deep/a.log", "a\n"), ("deep/b.txt", "b\n")]);
    fs::write(tree.dir.path().join(".gitignore"), "*.txt\n").unwrap();
    fs::create_dir(tree.dir.path().join(".git")).unwrap();
    assert_eq!(first_column(&tree.list(r#"{"path":"deep"}"#)), ["deep/b.txt"]);
}

#[test]
fn a_git_directory_in_a_subdirectory_is_not_shown() {
    let tree = Tree::new(&[
        ("sub/.git/config", "x\n"),
        ("sub/a.txt", "a\n"),
        ("tree/.git", "gitdir: /x\n"),
        ("tree/b.txt", "b\n"),
    ]);
    assert_eq!(first_column(&tree.list("{}")), ["sub/a.txt", "tree/b.txt"]);
}

#[test]
fn an_ignore_file_past_all_sense_is_reported_and_not_applied() {
    let tree = Tree::new(&[("a.txt", "a\n")]);
    tree.write("deep/.gitignore", "a".repeat(1024 * 1024 + 1));
    let answer = tree.list("{}");
    assert_eq!(answer.lines().last(), Some("1 file could not be read: deep/.gitignore"));
    assert_eq!(first_column(&answer), ["a.txt", "deep/.gitignore"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_utf8_is_listed_and_searched() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let tree = Tree::new(&[]);
    tree.write(OsStr::from_bytes(b"caf\xe9.txt"), "needle\n");
    let clone = tree.clone_of_all();
    assert_eq!(ls_files(&clone).len(), 1);
    assert_eq!(first_column(&tree.list("{}")), ["caf\\xe9.txt"]);
    check(&tree.search("needle"), &["1 matching line in 1 file", "caf\\xe9.txt:1: needle"]);
}
