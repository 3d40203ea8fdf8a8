//! What `ReadFile` says.

use super::*;

fn numbered(lines: u32) -> String {
    let lines: Vec<String> = (1..=lines).map(|line| format!("line {line}\n")).collect();
    lines.concat()
}

#[test]
fn a_page_says_which_lines_of_how_many_and_how_to_read_on() {
    let tree = Tree::new(&[("a.txt", &numbered(512))]);
    let answer = tree.read("a.txt");
    let (head, text) = answer.split_once('\n').unwrap();
    assert_eq!(head, "a.txt: lines 1-200 of 512; read on with from_line 201");
    assert_eq!(text, numbered(200));
    let answer = tree.read_from("a.txt", Some(511), Some(5)).unwrap();
    check(&answer, &["a.txt: lines 511-512 of 512", "line 511", "line 512"]);
    let answer = tree.read_from("a.txt", Some(3), Some(1)).unwrap();
    check(&answer, &["a.txt: lines 3-3 of 512; read on with from_line 4", "line 3"]);
}

#[test]
fn pages_read_on_give_the_whole_file() {
    let lines: Vec<String> = (0..5000).map(|line| "x".repeat(line % 97) + "\n").collect();
    let content = lines.concat();
    let tree = Tree::new(&[("a.txt", &content)]);
    let (mut whole, mut from) = (String::new(), Some(1));
    while let Some(line) = from {
        let answer = tree.read_from("a.txt", Some(line), Some(2000)).unwrap();
        assert!(answer.len() <= 64 * 1024);
        let (head, text) = answer.split_once('\n').unwrap();
        whole.push_str(text);
        from = head.rsplit_once("from_line ").map(|(_, next)| next.parse().unwrap());
    }
    assert!(whole == content);
}

#[test]
fn numbers_out_of_range_are_clamped_or_past_the_end() {
    let tree = Tree::new(&[("a.txt", &numbered(3)), ("empty", "")]);
    check(
        &tree.read_from("a.txt", Some(0), Some(0)).unwrap(),
        &["a.txt: lines 1-1 of 3; read on with from_line 2", "line 1"],
    );
    check(
        &tree.read_from("a.txt", Some(4), None).unwrap(),
        &["a.txt: 3 lines; from_line 4 is past the end"],
    );
    check(
        &tree.read_from("a.txt", Some(u64::MAX), Some(u32::MAX)).unwrap(),
        &["a.txt: 3 lines; from_line 18446744073709551615 is past the end"],
    );
    check(&tree.read("empty"), &["empty: 0 lines"]);
}

#[test]
fn text_is_raw_to_its_last_byte() {
    let tree =
        Tree::new(&[("crlf", "a\r\nb\r\n"), ("open", "a\nb"), ("raw", "\u{1b}[31m\u{202e}x\n")]);
    assert_eq!(tree.read("crlf"), "crlf: lines 1-2 of 2\na\r\nb\r\n");
    assert_eq!(tree.read("open"), "open: lines 1-2 of 2\na\nb");
    assert_eq!(tree.read("raw"), "raw: lines 1-1 of 1\n\u{1b}[31m\u{202e}x\n");
}

#[test]
fn invalid_utf8_is_replaced_and_counted() {
    let tree = Tree::new(&[]);
    tree.write("a.txt", b"caf\xe9\nna\xefve \xff\n");
    check(
        &tree.read("a.txt"),
        &[
            "a.txt: lines 1-2 of 2; 3 invalid UTF-8 sequences replaced",
            "caf\u{fffd}",
            "na\u{fffd}ve \u{fffd}",
        ],
    );
    tree.write("b.txt", b"\xff\n\xff\n");
    let answer = tree.read_from("b.txt", None, Some(1)).unwrap();
    check(
        &answer,
        &[
            "b.txt: lines 1-1 of 2; 1 invalid UTF-8 sequence replaced; read on with from_line 2",
            "\u{fffd}",
        ],
    );
}

#[test]
fn a_character_on_the_border_of_two_chunks_is_whole() {
    let content = format!("{}\n", "\u{1f980}".repeat(3)).repeat(20_000);
    let tree = Tree::new(&[("a.txt", &content)]);
    for from in [600, 5040, 10_082, 19_000] {
        let answer = tree.read_from("a.txt", Some(from), Some(2000)).unwrap();
        assert!(!answer.contains("replaced"), "{}", &answer[..100]);
    }
}

#[test]
fn a_line_longer_than_an_answer_is_cut_and_the_next_can_be_read() {
    let tree = Tree::new(&[("a.txt", &format!("short\n{}\nlast\n", "\u{e9}".repeat(2_500_000)))]);
    let first = tree.read("a.txt");
    check(&first, &["a.txt: lines 1-1 of 3; read on with from_line 2", "short"]);
    let long = tree.read_from("a.txt", Some(2), None).unwrap();
    let (head, text) = long.split_once('\n').unwrap();
    assert_eq!(
        head,
        "a.txt: lines 2-2 of 3; line 2 is cut, it has 5000001 bytes; read on with from_line 3"
    );
    assert!(text.len() > 50_000 && text.chars().all(|c| c == '\u{e9}'));
    assert!(long.len() <= 64 * 1024);
    check(&tree.read_from("a.txt", Some(3), None).unwrap(), &["a.txt: lines 3-3 of 3", "last"]);
}

#[test]
fn replacements_cannot_make_an_answer_too_long() {
    let tree = Tree::new(&[]);
    tree.write("a.txt", vec![0xff; 60_000]);
    let answer = tree.read("a.txt");
    assert!(answer.len() <= 64 * 1024, "{}", answer.len());
    assert!(
        answer.starts_with("a.txt: lines 1-1 of 1; line 1 is cut, it has 60000 bytes; "),
        "{}",
        &answer[..100]
    );
}

#[test]
fn a_file_of_one_line_of_five_megabytes_is_read_in_part() {
    let tree = Tree::new(&[("a.json", &"x".repeat(5_000_000))]);
    let answer = tree.read("a.json");
    assert!(answer.starts_with("a.json: lines 1-1 of 1; line 1 is cut, it has 5000000 bytes\nxxx"));
    assert!(answer.len() <= 64 * 1024);
}

#[test]
fn what_is_not_a_text_file_is_an_error() {
    let tree = Tree::new(&[("src/a.rs", "a")]);
    tree.write("b.bin", b"\0\x01\x02");
    check_error(tree.try_read("src"), "`src` is a directory: use ListFiles");
    check_error(tree.try_read(""), "`` is a directory: use ListFiles");
    check_error(tree.try_read("b.bin"), "`b.bin` is a binary file of 3 bytes");
    check_error(tree.try_read("none.rs"), "no such file: `none.rs`");
}

#[test]
fn a_nul_byte_past_the_first_8000_is_text_as_in_git() {
    let tree = Tree::new(&[
        ("late", &format!("{}\0\n", "x".repeat(8000))),
        ("early", &format!("{}\0\n", "x".repeat(7999))),
    ]);
    assert!(tree.read("late").starts_with("late: lines 1-1 of 1\n"));
    check_error(tree.try_read("early"), "`early` is a binary file of 8001 bytes");
}
