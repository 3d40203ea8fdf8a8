//! No path and no link leads out of the folder, and no answer says what is there.

use super::*;

fn outside(path: &str) -> String {
    format!("`{path}` is outside the folder: paths are relative to it and stay in it")
}

/// All three operations refuse the path alike.
#[track_caller]
fn check_all(tree: &Tree, path: &str, expected: &str) {
    let list = ListArgs { path: Some(path.to_owned()), ..ListArgs::default() };
    let search = SearchArgs {
        pattern: "a".to_owned(),
        path: Some(path.to_owned()),
        ..SearchArgs::default()
    };
    check_error(tree.try_read(path), expected);
    check_error(tree.folder().list(&list, &|| false), expected);
    check_error(tree.try_search(&search), expected);
}

#[test]
fn an_absolute_path_is_outside_even_if_it_names_a_file_inside() {
    let tree = Tree::new(&[("a.txt", "a")]);
    check_all(&tree, "/etc/passwd", &outside("/etc/passwd"));
    check_all(&tree, "/", &outside("/"));
    let inside = tree.folder().root().join("a.txt").to_str().unwrap().to_owned();
    check_all(&tree, &inside, &outside(&inside));
}

#[test]
fn dots_that_leave_are_outside_and_dots_that_stay_are_not() {
    let tree = Tree::new(&[("src/a.txt", "a\n"), ("b.txt", "b\n")]);
    for path in ["..", "../", "../inside/b.txt", "src/../..", "src/../../inside/b.txt", "./../x"] {
        check_all(&tree, path, &outside(path));
    }
    check(&tree.read("src/../b.txt"), &["b.txt: lines 1-1 of 1", "b"]);
    check(&tree.read("./src/./a.txt"), &["src/a.txt: lines 1-1 of 1", "a"]);
}

#[test]
fn the_empty_path_and_a_dot_are_the_folder() {
    let tree = Tree::new(&[("a.txt", "a\n")]);
    let all = tree.list("{}");
    assert_eq!(tree.list(r#"{"path":""}"#), all);
    assert_eq!(tree.list(r#"{"path":"."}"#), all);
    assert_eq!(tree.list(r#"{"path":"./"}"#), all);
}

#[test]
fn a_nul_byte_is_no_path() {
    let tree = Tree::new(&[("a", "a")]);
    check_all(&tree, "a\0/../../x", "`a\\u{0}/../../x` is not a path: it has a NUL byte");
}

#[test]
fn a_path_of_any_length_gives_a_short_error() {
    let tree = Tree::new(&[]);
    for path in ["x".repeat(300), "x/".repeat(1_000_000), "\u{1b}".repeat(4000)] {
        let error = tree.try_read(&path).unwrap_err().to_string();
        assert!(error.starts_with("no such file: `"), "{error}");
        assert!(error.len() < 400, "{}", error.len());
    }
}

#[test]
fn a_part_that_is_no_directory_makes_the_file_missing() {
    let tree = Tree::new(&[("a.txt", "a")]);
    check_all(&tree, "a.txt/b", "no such file: `a.txt/b`");
    check_all(&tree, "no/such", "no such file: `no/such`");
}

#[cfg(unix)]
#[test]
fn a_link_to_the_outside_is_refused_at_each_component() {
    let tree = Tree::new(&[("a/b/c.txt", "c")]);
    fs::write(tree.dir.path().join("secret.txt"), "secret").unwrap();
    fs::create_dir_all(tree.dir.path().join("out/b")).unwrap();
    fs::write(tree.dir.path().join("out/b/c.txt"), "secret").unwrap();
    tree.link("first", "../out");
    tree.link("a/second", "../../out/b");
    tree.link("a/b/third.txt", "../../../secret.txt");
    tree.link("absolute", tree.dir.path().join("out"));
    tree.link("up", "..");
    for path in [
        "first/b/c.txt",
        "first",
        "a/second/c.txt",
        "a/b/third.txt",
        "absolute/b/c.txt",
        "up/inside/a/b/c.txt",
    ] {
        check_all(&tree, path, &outside(path));
    }
}

#[cfg(unix)]
#[test]
fn what_is_outside_cannot_be_told_from_what_is_not() {
    let tree = Tree::new(&[]);
    fs::write(tree.dir.path().join("secret.txt"), "secret").unwrap();
    tree.link("l", "../secret.txt");
    let there = tree.try_read("l").unwrap_err().to_string();
    fs::remove_file(tree.dir.path().join("secret.txt")).unwrap();
    assert_eq!(tree.try_read("l").unwrap_err().to_string(), there);
    assert_eq!(there, outside("l"));
}

#[cfg(unix)]
#[test]
fn a_link_that_leaves_and_comes_back_is_outside() {
    let tree = Tree::new(&[("a.txt", "a")]);
    tree.link("back", "../inside/a.txt");
    check_all(&tree, "back", &outside("back"));
}

#[cfg(unix)]
#[test]
fn a_link_inside_is_followed_by_each_way_to_spell_it() {
    let tree = Tree::new(&[("a/b/c.txt", "c\n")]);
    tree.link("near", "a/b");
    tree.link("a/up", "../near/c.txt");
    tree.link("whole", tree.folder().root().join("a"));
    for path in ["near/c.txt", "a/up", "whole/b/c.txt", "near/../b/c.txt"] {
        check(&tree.read(path), &["a/b/c.txt: lines 1-1 of 1", "c"]);
    }
    check(
        &tree.list(r#"{"path":"near"}"#),
        &["1 file, 2 bytes, 1 line", "path\tbytes\tlines", "a/b/c.txt\t2\t1"],
    );
}

#[cfg(unix)]
#[test]
fn an_absolute_link_inside_cannot_climb_out() {
    let tree = Tree::new(&[]);
    tree.link("climb", tree.folder().root().join("../secret.txt"));
    check_all(&tree, "climb", &outside("climb"));
}

#[cfg(unix)]
#[test]
fn links_that_go_in_circles_end() {
    let tree = Tree::new(&[]);
    tree.link("a", "b");
    tree.link("b", "a");
    tree.link("self", "self/self");
    check_all(&tree, "a", "too many symbolic links on the way to `a`");
    check_all(&tree, "self", "too many symbolic links on the way to `self`");
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_inside_is_missing() {
    let tree = Tree::new(&[]);
    tree.link("gone", "nothing.txt");
    check_all(&tree, "gone", "no such file: `gone`");
}

#[cfg(unix)]
#[test]
fn a_walk_lists_links_and_reads_none() {
    let tree = Tree::new(&[("a.txt", "secret\n")]);
    fs::write(tree.dir.path().join("secret.txt"), "secret\nsecret\n").unwrap();
    tree.link("dir", "..");
    tree.link("loop", ".");
    tree.link("out", "../secret.txt");
    check(
        &tree.list("{}"),
        &[
            "4 files, 23 bytes, 1 line, 3 links",
            "path\tbytes\tlines",
            "a.txt\t7\t1",
            "dir\t2\tlink",
            "loop\t1\tlink",
            "out\t13\tlink",
        ],
    );
    check(
        &tree.search("secret"),
        &["1 matching line in 1 file", "a.txt:1: secret", "3 links not searched"],
    );
}

#[cfg(unix)]
#[test]
fn an_ignore_file_that_is_a_link_is_not_followed() {
    let tree = Tree::new(&[("a.txt", "a\n")]);
    fs::write(tree.dir.path().join("rules"), "a.txt\n").unwrap();
    tree.link(".gitignore", "../rules");
    tree.link("endless/.gitignore", "/dev/zero");
    assert_eq!(first_column(&tree.list("{}")), [".gitignore", "a.txt", "endless/.gitignore"]);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_neither_listed_nor_opened() {
    let tree = Tree::new(&[("a.txt", "a\n")]);
    let made = Command::new("mkfifo").arg(tree.root().join("pipe")).status().unwrap();
    assert!(made.success());
    assert_eq!(first_column(&tree.list("{}")), ["a.txt"]);
    check_error(tree.try_read("pipe"), "`pipe` is not a regular file");
    check(&tree.search("a"), &["1 matching line in 1 file", "a.txt:1: a"]);
}

#[test]
fn what_git_ignores_can_be_read_by_no_path() {
    let tree = Tree::new(&[
        (".gitignore", "/target\n*.key\n"),
        ("target/x/a.txt", "a"),
        ("b.key", "k"),
        (".git/config", "token"),
    ]);
    for path in
        ["target", "target/x/a.txt", "b.key", ".git", ".git/config", "target/../.git/config"]
    {
        check_all(&tree, path, &format!("`{path}` is ignored by git and cannot be read here"));
    }
}

#[test]
fn a_folder_must_be_a_directory() {
    let tree = Tree::new(&[("a.txt", "a")]);
    let path = tree.root().join("a.txt");
    let said = Folder::open(&path).unwrap_err().to_string();
    assert_eq!(said, format!("cannot open the folder `{}`: not a directory", path.display()));
    assert!(
        Folder::open(tree.root().join("none"))
            .unwrap_err()
            .to_string()
            .ends_with("entity not found")
    );
}
