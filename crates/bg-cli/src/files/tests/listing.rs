//! What `ListFiles` says.

use super::*;

#[test]
fn each_file_has_a_row_below_exact_totals() {
    let tree = Tree::new(&[("b.txt", "one\ntwo"), ("a/x.rs", "fn x() {}\n"), ("empty", "")]);
    tree.write("c.png", b"\x89PNG\0");
    check(
        &tree.list("{}"),
        &[
            "4 files, 22 bytes, 3 lines, 1 binary",
            "path\tbytes\tlines",
            "a/x.rs\t10\t1",
            "b.txt\t7\t2",
            "c.png\t5\tbinary",
            "empty\t0\t0",
        ],
    );
}

#[test]
fn one_of_anything_is_singular() {
    check(
        &Tree::new(&[("a", "\n")]).list("{}"),
        &["1 file, 1 byte, 1 line", "path\tbytes\tlines", "a\t1\t1"],
    );
}

#[test]
fn an_empty_folder_and_a_glob_without_a_match_say_so() {
    let nothing = ["0 files, 0 bytes, 0 lines", "nothing there: empty, ignored, or no match"];
    check(&Tree::new(&[]).list("{}"), &nothing);
    check(&Tree::new(&[]).list(r#"{"group_by":"language"}"#), &nothing);
    check(&Tree::new(&[("a.rs", "a")]).list(r#"{"glob":"*.md"}"#), &nothing);
}

#[test]
fn the_largest_come_first_and_equals_stay_by_path() {
    let tree =
        Tree::new(&[("a", "1\n"), ("b", "1\n2\n3\n"), ("c", "long line\n"), ("d", "1\n2\n3\n")]);
    assert_eq!(first_column(&tree.list(r#"{"sort_by":"size"}"#)), ["c", "b", "d", "a"]);
    assert_eq!(first_column(&tree.list(r#"{"sort_by":"lines"}"#)), ["b", "d", "a", "c"]);
    assert_eq!(first_column(&tree.list(r#"{"sort_by":"path"}"#)), ["a", "b", "c", "d"]);
}

#[test]
fn rows_are_cut_and_counted_and_totals_are_not() {
    let tree = Tree::new(&[]);
    for number in 0..250 {
        tree.write(format!("{number:03}"), "x\n".repeat(number));
    }
    let lines = (0..250).sum::<usize>();
    let total = format!("250 files, {} bytes, {lines} lines", 2 * lines);
    let answer = tree.list("{}");
    assert_eq!(answer.lines().next(), Some(&*total));
    assert_eq!(answer.lines().last(), Some("... and 50 more files"));
    assert_eq!(first_column(&answer).len(), 200);

    let largest = tree.list(r#"{"sort_by":"lines","limit":3}"#);
    assert_eq!(first_column(&largest), ["249", "248", "247"]);
    assert_eq!(largest.lines().next(), Some(&*total));
    assert_eq!(tree.list(r#"{"limit":249}"#).lines().last(), Some("... and 1 more file"));
}

#[test]
fn the_limit_is_clamped() {
    let tree = Tree::new(&[("a", ""), ("b", "")]);
    assert_eq!(first_column(&tree.list(r#"{"limit":0}"#)), ["a"]);
    assert_eq!(first_column(&tree.list(r#"{"limit":4294967295}"#)), ["a", "b"]);
}

#[test]
fn languages_are_summed_most_lines_first() {
    let tree = Tree::new(&[
        ("a.rs", "1\n2\n"),
        ("b.rs", "1\n"),
        ("README.md", "1\n2\n3\n"),
        ("Makefile", "1\n"),
        ("LICENSE-MIT", "1\n"),
        ("LICENSE.md", "1\n"),
        ("license.rs", ""),
        ("x.unheard", ""),
        ("plain", ""),
        ("odd.a b", ""),
        (".gitignore", ""),
    ]);
    check(
        &tree.list(r#"{"group_by":"language"}"#),
        &[
            "11 files, 18 bytes, 9 lines",
            "language\tfiles\tlines\tbytes",
            "Rust\t3\t3\t6",
            "Markdown\t1\t3\t6",
            "License\t2\t2\t4",
            "Makefile\t1\t1\t2",
            "Git\t1\t0\t0",
            "no extension\t1\t0\t0",
            "other\t1\t0\t0",
            "other (.unheard)\t1\t0\t0",
        ],
    );
    assert_eq!(
        tree.list(r#"{"group_by":"language","limit":7}"#).lines().last(),
        Some("... and 1 more language")
    );
}

#[test]
fn a_glob_without_a_slash_matches_names_anywhere() {
    let tree =
        Tree::new(&[("a.rs", ""), ("src/b.rs", ""), ("src/deep/c.rs", ""), ("src/d.md", "")]);
    for (glob, expected) in [
        ("*.rs", &["a.rs", "src/b.rs", "src/deep/c.rs"][..]),
        ("src/*.rs", &["src/b.rs"]),
        ("./src/*.rs", &["src/b.rs"]),
        ("/*.rs", &["a.rs", "src/b.rs", "src/deep/c.rs"]),
        ("src/**/*.rs", &["src/b.rs", "src/deep/c.rs"]),
        ("*.{md,txt}", &["src/d.md"]),
        ("", &["a.rs", "src/b.rs", "src/d.md", "src/deep/c.rs"]),
    ] {
        let answer = tree
            .folder()
            .list(&ListArgs { glob: Some(glob.to_owned()), ..ListArgs::default() }, &|| false);
        assert_eq!(first_column(&answer.unwrap()), expected, "{glob}");
    }
}

#[test]
fn a_path_to_a_file_lists_that_file() {
    let tree = Tree::new(&[("src/a.rs", "a\n"), ("src/b.rs", "b\n")]);
    assert_eq!(first_column(&tree.list(r#"{"path":"src/a.rs"}"#)), ["src/a.rs"]);
}

#[test]
fn a_bad_glob_is_an_error() {
    let tree = Tree::new(&[]);
    let error = tree.try_list(r#"{"glob":"a{b"}"#).unwrap_err();
    assert!(matches!(error, FileError::BadGlob { .. }), "{error}");
    assert!(error.to_string().starts_with("bad glob: "), "{error}");
}
