//! What holds for every answer: names that forge nothing, bounds, stops, and files that vanish.

use std::cell::Cell;

use super::*;

#[cfg(unix)]
#[test]
fn a_name_cannot_forge_a_row() {
    let tree = Tree::new(&[]);
    for name in [
        "a\nb\t9\t9",
        "c\u{1b}[2J",
        "d\u{202e}gpj.exe",
        "e\u{2067}f",
        "g\u{2028}h",
        "i\rj",
        "k\u{7f}",
    ] {
        tree.write(name, "needle\n");
    }
    let names = [
        "a\\u{a}b\\u{9}9\\u{9}9",
        "c\\u{1b}[2J",
        "d\\u{202e}gpj.exe",
        "e\\u{2067}f",
        "g\\u{2028}h",
        "i\\u{d}j",
        "k\\u{7f}",
    ];
    assert_eq!(first_column(&tree.list("{}")), names);
    let rows: Vec<String> = names.iter().map(|name| format!("{name}:1: needle")).collect();
    let rows: Vec<&str> = std::iter::once("7 matching lines in 7 files")
        .chain(rows.iter().map(String::as_str))
        .collect();
    check(&tree.search("needle"), &rows);
    check(&tree.read("a\nb\t9\t9"), &["a\\u{a}b\\u{9}9\\u{9}9: lines 1-1 of 1", "needle"]);
    check_error(tree.try_read("x\ny\u{202e}"), "no such file: `x\\u{a}y\\u{202e}`");
}

#[test]
fn text_cannot_forge_a_row_of_a_search() {
    let tree = Tree::new(&[("a", "needle\nb:1: forged needle\n")]);
    check(
        &tree.search("needle"),
        &["2 matching lines in 1 file", "a:1: needle", "a:2: b:1: forged needle"],
    );
}

#[test]
fn no_answer_is_longer_than_64_kib() {
    let tree = Tree::new(&[]);
    for number in 0..600 {
        let name = format!("{}/{}/{number:04}", "d".repeat(200), "e".repeat(200));
        tree.write(name, "x".repeat(190));
    }
    for answer in [
        tree.list(r#"{"limit":2000}"#),
        tree.try_search(&SearchArgs {
            pattern: "x".to_owned(),
            limit: Some(1000),
            ..SearchArgs::default()
        })
        .unwrap(),
    ] {
        assert!(answer.len() <= 64 * 1024 && answer.len() > 50_000, "{}", answer.len());
        assert!(answer.starts_with("600 "), "{answer}");
        let last = answer.lines().last().unwrap();
        let shown = answer.lines().filter(|row| row.starts_with('d')).count();
        let cut: usize = last.split(' ').nth(2).unwrap().parse().unwrap();
        assert_eq!(shown + cut, 600, "{last}");
    }
}

/// `stop` is asked; once it says yes, nothing more is done.
#[track_caller]
fn check_stops(
    tree: &Tree,
    at: u32,
    call: impl Fn(&Folder, &dyn Fn() -> bool) -> Result<String, FileError>,
) {
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() >= at
    };
    let result = call(&tree.folder(), &stop);
    assert!(matches!(result, Err(FileError::Stopped)), "{result:?}");
    assert!(asked.get() <= at + 3, "{}", asked.get());
}

#[test]
fn a_stop_ends_every_operation_between_files_and_within_one() {
    let tree =
        Tree::new(&[("a", "x\n"), ("b", "x\n"), ("c", "x\n"), ("large", &"x\n".repeat(1_000_000))]);
    let search = SearchArgs { pattern: "x".to_owned(), ..SearchArgs::default() };
    let read = ReadArgs { path: "large".to_owned(), ..ReadArgs::default() };
    for at in [1, 2, 4, 10, 15] {
        check_stops(&tree, at, |folder, stop| folder.list(&ListArgs::default(), stop));
        check_stops(&tree, at, |folder, stop| folder.search(&search, stop));
        check_stops(&tree, at, |folder, stop| folder.read(&read, stop));
    }
}

/// Runs `call` on files `0` to `9`, all but the first of which go away once it has looked around.
fn with_vanishing_files(
    call: impl Fn(&Folder, &dyn Fn() -> bool) -> Result<String, FileError>,
) -> String {
    let tree = Tree::new(&[]);
    (0..8).for_each(|number| tree.write(number.to_string(), "x\n"));
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        if asked.get() == 2 {
            (1..8)
                .for_each(|number| fs::remove_file(tree.root().join(number.to_string())).unwrap());
        }
        false
    };
    call(&tree.folder(), &stop).unwrap()
}

#[test]
fn files_that_vanish_in_mid_walk_are_named_at_the_end() {
    let note = "7 files could not be read: 1, 2, 3, 4, 5 and 2 more";
    let listed = with_vanishing_files(|folder, stop| folder.list(&ListArgs::default(), stop));
    check(&listed, &["1 file, 2 bytes, 1 line", "path\tbytes\tlines", "0\t2\t1", note]);
    let search = SearchArgs { pattern: "x".to_owned(), ..SearchArgs::default() };
    let found = with_vanishing_files(|folder, stop| folder.search(&search, stop));
    check(&found, &["1 matching line in 1 file", "0:1: x", note]);
}

#[cfg(unix)]
#[test]
fn what_may_not_be_read_is_counted_and_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let tree = Tree::new(&[("a", "x\n"), ("closed", "x\n"), ("dir/b", "x\n")]);
    for name in ["closed", "dir"] {
        fs::set_permissions(tree.root().join(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    // The superuser may read everything; then there is nothing to see here.
    let is_closed = fs::read(tree.root().join("closed")).is_err();
    let (listed, found, read) = (tree.list("{}"), tree.search("x"), tree.try_read("closed"));
    fs::set_permissions(tree.root().join("dir"), fs::Permissions::from_mode(0o700)).unwrap();
    if is_closed {
        let note = "2 files could not be read: closed, dir";
        check(
            &listed,
            &[
                "2 files, 4 bytes, 1 line",
                "path\tbytes\tlines",
                "a\t2\t1",
                "closed\t2\tunread",
                note,
            ],
        );
        check(&found, &["1 matching line in 1 file", "a:1: x", note]);
        check_error(read, "cannot read `closed`: permission denied");
    }
}

#[test]
fn arguments_are_typed_and_strict() {
    assert!(serde_json::from_str::<ListArgs>("{}").is_ok());
    assert!(
        serde_json::from_str::<ListArgs>(r#"{"path":null,"limit":null,"group_by":null}"#).is_ok()
    );
    for (error, said) in [
        (serde_json::from_str::<ListArgs>(r#"{"paht":"a"}"#).err(), "unknown field `paht`"),
        (serde_json::from_str::<ListArgs>(r#"{"limit":-1}"#).err(), "invalid value: integer `-1`"),
        (
            serde_json::from_str::<ListArgs>(r#"{"group_by":"size"}"#).err(),
            "unknown variant `size`",
        ),
        (serde_json::from_str::<ReadArgs>("{}").err(), "missing field `path`"),
        (serde_json::from_str::<SearchArgs>("{}").err(), "missing field `pattern`"),
    ] {
        let error = error.unwrap().to_string();
        assert!(error.contains(said), "{error}");
    }
}
