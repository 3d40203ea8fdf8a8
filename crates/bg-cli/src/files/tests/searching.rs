//! What `SearchFiles` says.

use std::cell::RefCell;
use std::io::Read as _;

use super::super::long_lines::{LINE_MAX, ShortLines};
use super::*;

fn args(pattern: &str) -> SearchArgs {
    SearchArgs { pattern: pattern.to_owned(), ..SearchArgs::default() }
}

#[test]
fn each_matching_line_has_one_row_below_exact_totals() {
    let tree =
        Tree::new(&[("a.rs", "foo foo\nbar\nfoo"), ("b/c.rs", "x\nfoo\r\n"), ("d.rs", "FOO\n")]);
    check(
        &tree.search("foo"),
        &["3 matching lines in 2 files", "a.rs:1: foo foo", "a.rs:3: foo", "b/c.rs:2: foo"],
    );
    check(&tree.count("foo"), &["3 matching lines in 2 files", "a.rs: 2", "b/c.rs: 1"]);
    check(&tree.search("absent"), &["0 matching lines in 0 files"]);
}

#[test]
fn a_pattern_sees_one_line_at_a_time_without_its_end() {
    let tree = Tree::new(&[("a", "one\r\ntwo\nthree")]);
    check(
        &tree.search("^(one|two|three)$"),
        &["3 matching lines in 1 file", "a:1: one", "a:2: two", "a:3: three"],
    );
    check(&tree.search(r"e\s+t"), &["0 matching lines in 0 files"]);
    check(&tree.search(""), &["3 matching lines in 1 file", "a:1: one", "a:2: two", "a:3: three"]);
}

#[test]
fn rows_are_cut_and_counted_and_totals_are_not() {
    let tree = Tree::new(&[("a", &"x\n".repeat(150)), ("b", "x\n"), ("c", "x\n")]);
    let answer = tree.search("x");
    assert_eq!(answer.lines().next(), Some("152 matching lines in 3 files"));
    assert_eq!(answer.lines().count(), 102);
    assert_eq!(answer.lines().last(), Some("... and 52 more matching lines"));
    let answer =
        tree.try_search(&SearchArgs { limit: Some(1), count_only: true, ..args("x") }).unwrap();
    check(&answer, &["152 matching lines in 3 files", "a: 150", "... and 2 more files"]);
    let answer = tree.try_search(&SearchArgs { limit: Some(0), ..args("x") }).unwrap();
    check(&answer, &["152 matching lines in 3 files", "a:1: x", "... and 151 more matching lines"]);
}

#[test]
fn path_and_glob_narrow_a_search() {
    let tree = Tree::new(&[("a.rs", "x\n"), ("src/a.rs", "x\n"), ("src/a.md", "x\n")]);
    let narrowed =
        SearchArgs { path: Some("src".to_owned()), glob: Some("*.rs".to_owned()), ..args("x") };
    check(&tree.try_search(&narrowed).unwrap(), &["1 matching line in 1 file", "src/a.rs:1: x"]);
    let file = SearchArgs { path: Some("src/a.md".to_owned()), ..args("x") };
    check(&tree.try_search(&file).unwrap(), &["1 matching line in 1 file", "src/a.md:1: x"]);
    let nothing = SearchArgs { glob: Some("*.py".to_owned()), ..args("x") };
    check(
        &tree.try_search(&nothing).unwrap(),
        &[
            "0 matching lines in 0 files",
            "no text file there: empty, ignored, or no match for the glob",
        ],
    );
}

#[test]
fn binary_files_are_counted_and_not_searched() {
    let tree = Tree::new(&[("a", "x\n")]);
    tree.write("b", b"x\0\n");
    tree.write("c", b"\0x\n");
    check(
        &tree.search("x"),
        &["1 matching line in 1 file", "a:1: x", "2 binary files not searched"],
    );
}

#[test]
fn a_bad_pattern_says_what_is_wrong_with_it_on_few_bytes() {
    let tree = Tree::new(&[]);
    for pattern in ["a(b", "[z-a]", "a\nb", "\\", &"(".repeat(5000), r"\w{500}"] {
        let error = tree.try_search(&args(pattern)).unwrap_err();
        assert!(matches!(error, FileError::BadPattern { .. }), "{error}");
        assert!(error.to_string().starts_with("bad pattern: "), "{error}");
        assert!(error.to_string().len() < 320, "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[test]
fn a_row_is_cut_between_two_graphemes_with_a_mark() {
    // A family of 25 bytes, joined to one grapheme: the border of 200 falls into the second one.
    let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}";
    let line = format!("{}{family}{family}", "x".repeat(165));
    let tree = Tree::new(&[
        ("a", &format!("{line}\n")),
        ("exact", &"y".repeat(200)),
        ("over", &"y".repeat(201)),
    ]);
    let kept = format!("a:1: {}{family}... [line of 215 bytes]", "x".repeat(165));
    check(&tree.search("x"), &["1 matching line in 1 file", &kept]);
    let (exact, over) = (
        format!("exact:1: {}", "y".repeat(200)),
        format!("over:1: {}... [line of 201 bytes]", "y".repeat(200)),
    );
    check(&tree.search("y"), &["2 matching lines in 2 files", &exact, &over]);
}

#[test]
fn one_grapheme_without_end_is_cut_too() {
    let tree = Tree::new(&[("a", &format!("x{}\n", "\u{301}".repeat(5000)))]);
    let answer = tree.search("x");
    assert!(answer.len() < 300, "{}", answer.len());
    assert!(answer.ends_with("... [line of 10001 bytes]\n"), "{answer}");
}

#[test]
fn a_line_of_five_megabytes_is_searched_to_its_end() {
    let tree = Tree::new(&[("a.json", &format!("{}needle", "x".repeat(5_000_000)))]);
    assert_eq!(tree.count("needle$"), "1 matching line in 1 file\na.json: 1\n");
}

#[test]
fn a_longer_line_is_left_out_and_counted_and_the_rest_is_searched() {
    let long = format!("needle {} needle", "x".repeat(9 * 1024 * 1024));
    let tree = Tree::new(&[
        ("a", &format!("needle 1\n{long}\nneedle 3\n{long}\nneedle 5\n")),
        ("b", &long),
    ]);
    check(
        &tree.search("needle"),
        &[
            "3 matching lines in 1 file",
            "a:1: needle 1",
            "a:3: needle 3",
            "a:5: needle 5",
            "3 lines longer than 8388608 bytes not searched",
        ],
    );
    // Neither does a pattern that matches nothing but the shortened line count it.
    assert!(tree.search("x$").starts_with("0 matching lines in 0 files\n"));
}

#[test]
fn a_line_of_just_the_longest_length_is_searched() {
    for (length, lines) in [(8 * 1024 * 1024, 1), (8 * 1024 * 1024 + 1, 0)] {
        let tree = Tree::new(&[("a", &format!("{}\nend\n", "x".repeat(length)))]);
        assert!(tree.count("^x+$").starts_with(&format!("{lines} matching line")), "{length}");
        assert!(tree.search("end").contains("a:2: end\n"));
    }
}

#[test]
fn a_long_line_is_shortened_even_where_a_whole_read_is_too_much() {
    let text = format!("a\n{}\nb", "x".repeat(LINE_MAX + 100_000));
    let (long, mut short, mut chunk) = (RefCell::new(Vec::new()), Vec::new(), [0; 1000]);
    let mut reader = ShortLines::new(text.as_bytes(), &long);
    loop {
        match reader.read(&mut chunk).unwrap() {
            0 => break,
            filled => short.extend_from_slice(&chunk[..filled]),
        }
    }
    assert!(short == format!("a\n{}\nb", "x".repeat(LINE_MAX)).into_bytes());
    assert_eq!(*long.borrow(), [2]);
}
