//! Texts of all the classes that outputs are made of.

use super::rng::Rng;

/// So many bytes at most, of a class at random; most are much shorter.
pub(crate) fn some_text(rng: &mut Rng, most: usize) -> String {
    let most = if rng.one_in(4) { most } else { most.min(60) };
    let wanted = rng.below(most + 1);
    let class = *rng.pick(&CLASSES);
    text_of(rng, class, wanted)
}

/// The same, and what is not UTF-8.
pub(crate) fn some_bytes(rng: &mut Rng, most: usize) -> Vec<u8> {
    if rng.one_in(6) {
        let len = rng.below(most + 1);
        return (0..len).map(|_| rng.next().to_le_bytes()[0]).collect();
    }
    some_text(rng, most).into_bytes()
}

/// Parts that a text of a class is put together from.
type Class = &'static [&'static str];

/// Classes of texts.
pub(crate) const CLASSES: [Class; 14] = [
    &["the ", "task ", "has ", "read ", "three ", "files. ", "It goes on, ", "slowly.\n"],
    &["fn main() {\n", "    let x = ", "vec![1, 2]", ";\n}\n", "if a != b && c ", "\t", "\r\n"],
    &["aGVs", "bG8g", "d29y", "bGQh", "Zm9v", "YmFy", "/+9x", "QUJD"],
    &["00", "ff", "a7", "3c", "9e", "1b", "d4"],
    &["\u{0}", "\u{1}", "\u{1b}[31m", "\u{7}", "\u{9b}", "\r", "\u{1b}]0;"],
    &["\u{4f60}\u{597d}", "\u{4e16}\u{754c}", "\u{3042}\u{308a}", "\u{d55c}\u{ad6d}"],
    &["\u{1F600}", "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}", "\u{2764}\u{FE0F}", " "],
    &["~", "~~~~", "~~~~~~~~", "\n~~~~\n", "[background task agent:1 \"x\": completed]\n"],
    &["\u{202e}", "\u{2066}", "\u{200b}", "\u{feff}", "\u{E0041}", "\u{61c}", "abc"],
    &["a\u{301}\u{302}\u{303}", "\u{301}", "\u{0e33}", "\u{0939}\u{093f}\u{0928}"],
    &["\"", "\\", "</result>", "{\"task_id\":\"agent:1\"}", "\n", "'", "\\u0000"],
    &["x", "xx", "xxxxxxxx", "\n"],
    &["10%\r", "20%\r", "\u{1b}[2K", "done\n", "########", "        "],
    &["q", "zx", "Kw", "vB", "jQ", "Pz"],
];

/// A text of a class, at most so long.
pub(crate) fn text_of(rng: &mut Rng, class: Class, wanted: usize) -> String {
    let mut text = String::with_capacity(wanted);
    loop {
        let part = *rng.pick(class);
        if text.len() + part.len() > wanted {
            return text;
        }
        text.push_str(part);
    }
}
