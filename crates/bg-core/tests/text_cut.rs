//! A text is cut between two graphemes and never over its limit.

use bg_core::text::{cut, prefix};
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

/// Text of what is hard to cut: accents, joined emoji, flags, jamo, controls, conjuncts.
fn hard() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "a",
        " ",
        "\r",
        "\n",
        "e\u{301}",
        "\u{301}",
        "\u{200d}",
        "\u{1f468}",
        "\u{1f3fd}",
        "\u{1f1e9}",
        "\u{1f1ea}",
        "\u{1100}",
        "\u{1161}",
        "\u{11a8}",
        "\u{915}",
        "\u{94d}",
        "\u{937}",
        "\u{600}",
        "\u{fe0f}",
        "\u{10ffff}",
        "\0",
    ];
    let hard = proptest::collection::vec(proptest::sample::select(PIECES), 0..40);
    prop_oneof![any::<String>(), hard.prop_map(|pieces| pieces.concat())]
}

/// The longest prefix, found by trying every border.
fn longest(text: &str, max: usize) -> &str {
    let ends = text.grapheme_indices(true).map(|(at, grapheme)| at + grapheme.len());
    &text[..ends.take_while(|&end| end <= max).last().unwrap_or(0)]
}

proptest! {
    #[test]
    fn a_prefix_is_the_longest_that_ends_between_graphemes(text in hard(), max in 0..200_usize) {
        let kept = prefix(&text, max);
        prop_assert!(kept.len() <= max);
        prop_assert_eq!(kept, longest(&text, max));
        prop_assert_eq!(prefix(kept, max), kept);
        prop_assert_eq!(prefix(&text, kept.len()), kept);
    }

    #[test]
    fn a_cut_text_says_exactly_how_much_is_missing(text in hard(), max in 0..200_usize) {
        let kept = prefix(&text, max);
        let shown = cut(text.clone(), max);
        if kept == text {
            prop_assert_eq!(&shown, &text);
        } else {
            let missing = text.len() - kept.len();
            prop_assert_eq!(&shown, &format!("{kept}... (+{missing} more bytes)"));
            prop_assert!(shown.len() <= max + 40);
        }
        prop_assert_eq!(cut(shown.clone(), shown.len()), shown);
    }
}

#[test]
fn what_fits_exactly_is_not_cut() {
    for text in ["", "a", "e\u{301}", "\u{1f1e9}\u{1f1ea}"] {
        assert_eq!(prefix(text, text.len()), text);
        assert_eq!(cut(text.to_owned(), text.len()), text);
        assert_eq!(prefix(text, usize::MAX), text);
    }
}

#[test]
fn a_cut_text_does_not_keep_the_memory_of_what_was_cut() {
    let shown = cut("x".repeat(1 << 20), 10);
    assert!(shown.capacity() < 100, "{}", shown.capacity());
}
