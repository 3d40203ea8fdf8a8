//! `estimate_tokens` against the o200k vocabulary: for what tools answer with it is not below, and at
//! most twice as much. The exceptions have names, and bounds of their own.
//!
//! With `--nocapture` it prints the table: tokens, the estimate, and their ratio.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::support;

use std::fmt::Write as _;
use std::path::Path;

use bg_tools::estimate_tokens;
use support::rng::Rng;
use tiktoken_rs::o200k_base_singleton;

/// How much of a text is counted: counting is slow in a debug build.
const MOST_BYTES: usize = 24_000;

/// Texts of one class.
struct Class {
    name: &'static str,
    text: String,
}

fn class(name: &'static str, text: impl Into<String>) -> Class {
    Class { name, text: text.into() }
}

/// Classes for which the estimate may be further off than from 1 to 2 times the tokens.
const EXCEPTIONS: [(&str, f64, f64); 8] = [
    ("Finnish", 0.75, 1.0),
    ("Polish", 0.9, 1.0),
    ("random words", 0.8, 1.0),
    ("any letters of two bytes", 0.45, 1.0),
    ("any letters of three bytes", 0.7, 1.0),
    ("rare CJK", 0.6, 1.0),
    ("rare hangul", 0.5, 1.0),
    ("one letter", 2.0, 7.0),
];

fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// So many times what a function makes of a number at random.
fn many(times: usize, mut part: impl FnMut(&mut Rng, usize) -> String) -> String {
    let mut rng = Rng(7);
    (0..times).map(|at| part(&mut rng, at)).collect()
}

fn letters(rng: &mut Rng, from: &[u8], len: usize) -> String {
    (0..len).map(|_| char::from(*rng.pick(from))).collect()
}

const HEX: &[u8] = b"0123456789abcdef";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

fn cargo_log() -> String {
    let crates = ["serde", "tokio", "syn", "quote", "bg-core", "proptest", "regex-automata"];
    let mut log = many(60, |rng, _| {
        let name = rng.pick(&crates);
        let (a, b, c) = (rng.below(9), rng.below(99), rng.below(300));
        format!("   Compiling {name} v{a}.{b}.{c}\n")
    });
    log += &many(20, |rng, _| {
        let line = rng.below(900);
        format!(
            "warning: unused variable: `value`\n  --> src/machine/finish.rs:{line}:13\n   |\n\
             {line} |     let value = 3;\n   |         ^^^^^ help: prefix it with an underscore\n\n"
        )
    });
    log += &many(40, |rng, at| {
        format!(
            "        PASS [   {}.{:03}s] ({at}/40) bg-core::delivery two_roots\n",
            at % 3,
            rng.below(999)
        )
    });
    log
}

fn json_text() -> String {
    many(60, |rng, at| {
        let (age, number) = (rng.below(5000), rng.below(1 << 40));
        serde_json::json!({
            "task_id": format!("agent:{at}"), "status": "completed", "age_secs": age,
            "offset": number, "tags": ["alpha", "beta"], "nested": {"ok": true, "error": null},
        })
        .to_string()
    })
}

fn uuid(rng: &mut Rng) -> String {
    let parts = [8, 4, 4, 4, 12].map(|len| letters(rng, HEX, len));
    parts.join("-") + "\n"
}

fn classes() -> Vec<Class> {
    let prose = ["README.md", "docs/ARCHITECTURE.md", "docs/guarantees.md", "docs/parity.md"];
    let sources =
        ["crates/bg-core/src/scope.rs", "crates/bg-tools/src/budget.rs", "xtask/src/main.rs"];
    let mut classes: Vec<Class> = prose.map(|path| class(path, file(path))).into();
    classes.extend(sources.map(|path| class(path, file(path))));
    classes.extend([
        class("Cargo.lock", file("Cargo.lock")),
        class("Cargo.toml", file("Cargo.toml")),
        class("json", json_text()),
        class("cargo log", cargo_log()),
        class("hex", many(1, |rng, _| letters(rng, HEX, 6000))),
        class("hex in lines", many(90, |rng, _| letters(rng, HEX, 64) + "\n")),
        class("hex dump", many(300, |rng, _| letters(rng, HEX, 2) + " ")),
        class("base64", many(1, |rng, _| letters(rng, BASE64, 6000))),
        class("base64 in lines", many(90, |rng, _| letters(rng, BASE64, 76) + "\n")),
        class("uuids", many(100, |rng, _| uuid(rng))),
        class("digits", many(1, |rng, _| letters(rng, b"0123456789", 6000))),
        class("numbers", many(900, |rng, at| format!("{}{}", rng.below(1 << (at % 40)), [" ", ", ", "\n"][at % 3]))),
        class("times", many(200, |rng, _| format!("2031-0{}-1{}T0{}:4{}:0{}.{:06}Z ", 1 + rng.below(9), rng.below(9), rng.below(9), rng.below(9), rng.below(9), rng.below(999_999)))),
        class("paths", many(200, |rng, _| format!("/usr/lib/{}/src/{}_{}.rs\n", rng.pick(&["core", "regex", "tokio"]), rng.pick(&["main", "state", "inner"]), rng.below(99)))),
        class("identifiers", many(300, |rng, _| format!("{}{} ", rng.pick(&["getUser", "HTTPServer", "XMLHttp", "is_ready_", "MAX_BYTES_"]), rng.pick(&["Request", "ByIdOrName", "PER_TOKEN", "v2", "Impl"])))),
        class("table", many(60, |rng, at| format!("| row {at} | `value_{}` | {} |\n|---|---|---|\n", rng.below(99), rng.below(9999)))),
        class("box drawing", "\u{250c}\u{2500}\u{2500}\u{252c}\u{2500}\u{2510}\n\u{2502} a \u{2502}\u{2514}\u{2534}\u{2518}\n\u{251c}\u{2550}\u{256c}\u{2588}\u{2591}\n".repeat(80)),
        class("arrows and signs", "\u{2192} \u{2713} \u{2717} \u{2022} \u{2026} \u{2014} \u{201c}x\u{201d} \u{b1}\u{d7} \u{20ac}5\n".repeat(80)),
        class("emoji", "\u{1F600}\u{1F680}\u{1F389} \u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467} \u{2764}\u{FE0F}\u{1F1E9}\u{1F1EA} \u{1F44D}\u{1F3FD}\n".repeat(60)),
        class("rare planes", many(400, |rng, _| {
            let c = 0x1_0000 + u32::try_from(rng.below(0x3000)).unwrap();
            char::from_u32(c).map(String::from).unwrap_or_default()
        })),
        class("any letters of two bytes", many(900, |rng, _| any_char(rng, 0x80, 0x780))),
        class("any letters of three bytes", many(900, |rng, _| any_char(rng, 0x800, 0xD000))),
        class("signs", many(1, |rng, _| letters(rng, b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", 3000))),
        class("rules", "-----\n=====\n#####\n*****\n....\n".repeat(60)),
        class("blanks", many(300, |rng, _| " ".repeat(rng.below(40)) + *rng.pick(&["x", "\n", "\t\t", "\n\n\n"]))),
        class("escaped json", many(80, |rng, _| format!("{{\\\"key\\\": \\\"line {}\\\\n\\u0001\\u202e\\\"}}", rng.below(99)))),
        class("random words", many(700, |rng, _| { let len = 3 + rng.below(8); letters(rng, LOWER, len) + " " })),
        class("random letters", many(1, |rng, _| letters(rng, LOWER, 4000))),
        class("random capitals", many(1, |rng, _| letters(rng, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 4000))),
        class("random letters of both cases", many(1, |rng, _| letters(rng, &BASE64[..52], 4000))),
        class("rows of signs", many(300, |rng, _| letters(rng, b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", 1).repeat(1 + rng.below(60)) + "\n")),
        class("replacement signs", many(300, |rng, _| "\u{FFFD}".repeat(1 + rng.below(3)) + *rng.pick(&["a", " ", "\u{1}", "\n"]))),
        class("tags and marks", many(300, |rng, _| rng.pick(&["\u{E0041}", "\u{202e}", "\u{200b}", "\u{feff}", "\u{301}"]).to_string())),
        class("rare CJK", many(500, |rng, _| any_char(rng, 0x4E00, 0xA000))),
        class("rare scripts", many(500, |rng, _| any_char(rng, 0x700, 0x900))),
        class("rare hangul", many(500, |rng, _| any_char(rng, 0xAC00, 0xD7A4))),
        class("one letter", "x".repeat(4000)),
    ]);
    classes.extend(LANGUAGES.iter().map(|(name, text)| class(name, text.repeat(30))));
    classes
}

fn any_char(rng: &mut Rng, from: u32, to: u32) -> String {
    let c = from + u32::try_from(rng.below(usize::try_from(to - from).unwrap())).unwrap();
    char::from_u32(c).map(String::from).unwrap_or_default()
}

/// A sentence or two in each.
const LANGUAGES: [(&str, &str); 34] = [
    (
        "Chinese",
        "\u{4eba}\u{4eba}\u{751f}\u{800c}\u{81ea}\u{7531}\u{ff0c}\u{5728}\u{5c0a}\u{4e25}\
         \u{548c}\u{6743}\u{5229}\u{4e0a}\u{4e00}\u{5f8b}\u{5e73}\u{7b49}\u{3002}\u{4ed6}\
         \u{4eec}\u{8d4b}\u{6709}\u{7406}\u{6027}\u{548c}\u{826f}\u{5fc3}\u{ff0c}\u{5e76}\
         \u{5e94}\u{4ee5}\u{5144}\u{5f1f}\u{5173}\u{7cfb}\u{7684}\u{7cbe}\u{795e}\u{76f8}\
         \u{5bf9}\u{5f85}\u{3002} ",
    ),
    (
        "Chinese (traditional)",
        "\u{4eba}\u{4eba}\u{751f}\u{800c}\u{81ea}\u{7531}\u{ff0c}\u{5728}\u{5c0a}\u{56b4}\
         \u{548c}\u{6b0a}\u{5229}\u{4e0a}\u{4e00}\u{5f8b}\u{5e73}\u{7b49}\u{3002}\u{4ed6}\
         \u{5011}\u{8ce6}\u{6709}\u{7406}\u{6027}\u{548c}\u{826f}\u{5fc3}\u{ff0c}\u{4e26}\
         \u{61c9}\u{4ee5}\u{5144}\u{5f1f}\u{95dc}\u{4fc2}\u{7684}\u{7cbe}\u{795e}\u{4e92}\
         \u{76f8}\u{5c0d}\u{5f85}\u{3002} ",
    ),
    (
        "Japanese",
        "\u{3059}\u{3079}\u{3066}\u{306e}\u{4eba}\u{9593}\u{306f}\u{3001}\u{751f}\u{307e}\
         \u{308c}\u{306a}\u{304c}\u{3089}\u{306b}\u{3057}\u{3066}\u{81ea}\u{7531}\u{3067}\
         \u{3042}\u{308a}\u{3001}\u{304b}\u{3064}\u{3001}\u{5c0a}\u{53b3}\u{3068}\u{6a29}\
         \u{5229}\u{3068}\u{306b}\u{3064}\u{3044}\u{3066}\u{5e73}\u{7b49}\u{3067}\u{3042}\
         \u{308b}\u{3002}\u{30bf}\u{30b9}\u{30af}\u{306f}\u{30d0}\u{30c3}\u{30af}\u{30b0}\
         \u{30e9}\u{30a6}\u{30f3}\u{30c9}\u{3067}\u{5b9f}\u{884c}\u{4e2d}\u{3067}\u{3059}\
         \u{3002} ",
    ),
    (
        "Korean",
        "\u{baa8}\u{b4e0} \u{c778}\u{ac04}\u{c740} \u{d0dc}\u{c5b4}\u{b0a0} \u{b54c}\u{bd80}\
         \u{d130} \u{c790}\u{c720}\u{b85c}\u{c6b0}\u{ba70} \u{adf8} \u{c874}\u{c5c4}\u{acfc} \
         \u{ad8c}\u{b9ac}\u{c5d0} \u{c788}\u{c5b4} \u{b3d9}\u{b4f1}\u{d558}\u{b2e4}. \u{c791}\
         \u{c5c5}\u{c774} \u{c644}\u{b8cc}\u{b418}\u{c5c8}\u{c2b5}\u{b2c8}\u{b2e4}. ",
    ),
    (
        "Russian",
        "\u{412}\u{441}\u{435} \u{43b}\u{44e}\u{434}\u{438} \u{440}\u{43e}\u{436}\u{434}\u{430}\
         \u{44e}\u{442}\u{441}\u{44f} \u{441}\u{432}\u{43e}\u{431}\u{43e}\u{434}\u{43d}\u{44b}\
         \u{43c}\u{438} \u{438} \u{440}\u{430}\u{432}\u{43d}\u{44b}\u{43c}\u{438} \u{432} \
         \u{441}\u{432}\u{43e}\u{451}\u{43c} \u{434}\u{43e}\u{441}\u{442}\u{43e}\u{438}\u{43d}\
         \u{441}\u{442}\u{432}\u{435} \u{438} \u{43f}\u{440}\u{430}\u{432}\u{430}\u{445}. \
         \u{41e}\u{43d}\u{438} \u{43d}\u{430}\u{434}\u{435}\u{43b}\u{435}\u{43d}\u{44b} \u{440}\
         \u{430}\u{437}\u{443}\u{43c}\u{43e}\u{43c} \u{438} \u{441}\u{43e}\u{432}\u{435}\u{441}\
         \u{442}\u{44c}\u{44e}. ",
    ),
    (
        "Ukrainian",
        "\u{412}\u{441}\u{456} \u{43b}\u{44e}\u{434}\u{438} \u{43d}\u{430}\u{440}\u{43e}\u{434}\
         \u{436}\u{443}\u{44e}\u{442}\u{44c}\u{441}\u{44f} \u{432}\u{456}\u{43b}\u{44c}\u{43d}\
         \u{438}\u{43c}\u{438} \u{456} \u{440}\u{456}\u{432}\u{43d}\u{438}\u{43c}\u{438} \
         \u{443} \u{441}\u{432}\u{43e}\u{457}\u{439} \u{433}\u{456}\u{434}\u{43d}\u{43e}\u{441}\
         \u{442}\u{456} \u{442}\u{430} \u{43f}\u{440}\u{430}\u{432}\u{430}\u{445}. \u{412}\
         \u{43e}\u{43d}\u{438} \u{43d}\u{430}\u{434}\u{456}\u{43b}\u{435}\u{43d}\u{456} \u{440}\
         \u{43e}\u{437}\u{443}\u{43c}\u{43e}\u{43c} \u{456} \u{441}\u{43e}\u{432}\u{456}\u{441}\
         \u{442}\u{44e}. ",
    ),
    (
        "Greek",
        "\u{38c}\u{3bb}\u{3bf}\u{3b9} \u{3bf}\u{3b9} \u{3ac}\u{3bd}\u{3b8}\u{3c1}\u{3c9}\u{3c0}\
         \u{3bf}\u{3b9} \u{3b3}\u{3b5}\u{3bd}\u{3bd}\u{3b9}\u{3bf}\u{3cd}\u{3bd}\u{3c4}\u{3b1}\
         \u{3b9} \u{3b5}\u{3bb}\u{3b5}\u{3cd}\u{3b8}\u{3b5}\u{3c1}\u{3bf}\u{3b9} \u{3ba}\u{3b1}\
         \u{3b9} \u{3af}\u{3c3}\u{3bf}\u{3b9} \u{3c3}\u{3c4}\u{3b7}\u{3bd} \u{3b1}\u{3be}\
         \u{3b9}\u{3bf}\u{3c0}\u{3c1}\u{3ad}\u{3c0}\u{3b5}\u{3b9}\u{3b1} \u{3ba}\u{3b1}\u{3b9} \
         \u{3c4}\u{3b1} \u{3b4}\u{3b9}\u{3ba}\u{3b1}\u{3b9}\u{3ce}\u{3bc}\u{3b1}\u{3c4}\u{3b1}. ",
    ),
    (
        "Arabic",
        "\u{64a}\u{648}\u{644}\u{62f} \u{62c}\u{645}\u{64a}\u{639} \u{627}\u{644}\u{646}\u{627}\
         \u{633} \u{623}\u{62d}\u{631}\u{627}\u{631}\u{64b}\u{627} \u{645}\u{62a}\u{633}\u{627}\
         \u{648}\u{64a}\u{646} \u{641}\u{64a} \u{627}\u{644}\u{643}\u{631}\u{627}\u{645}\u{629} \
         \u{648}\u{627}\u{644}\u{62d}\u{642}\u{648}\u{642}. \u{648}\u{642}\u{62f} \u{648}\
         \u{647}\u{628}\u{648}\u{627} \u{639}\u{642}\u{644}\u{627}\u{64b} \u{648}\u{636}\u{645}\
         \u{64a}\u{631}\u{64b}\u{627} \u{648}\u{639}\u{644}\u{64a}\u{647}\u{645} \u{623}\u{646} \
         \u{64a}\u{639}\u{627}\u{645}\u{644} \u{628}\u{639}\u{636}\u{647}\u{645} \u{628}\
         \u{639}\u{636}\u{64b}\u{627} \u{628}\u{631}\u{648}\u{62d} \u{627}\u{644}\u{625}\u{62e}\
         \u{627}\u{621}. ",
    ),
    (
        "Persian",
        "\u{62a}\u{645}\u{627}\u{645} \u{627}\u{641}\u{631}\u{627}\u{62f} \u{628}\u{634}\u{631} \
         \u{622}\u{632}\u{627}\u{62f} \u{628}\u{647} \u{62f}\u{646}\u{6cc}\u{627} \u{645}\
         \u{6cc}\u{200c}\u{622}\u{6cc}\u{646}\u{62f} \u{648} \u{627}\u{632} \u{644}\u{62d}\
         \u{627}\u{638} \u{62d}\u{6cc}\u{62b}\u{6cc}\u{62a} \u{648} \u{62d}\u{642}\u{648}\
         \u{642} \u{628}\u{627} \u{647}\u{645} \u{628}\u{631}\u{627}\u{628}\u{631}\u{646}\
         \u{62f}. ",
    ),
    (
        "Hebrew",
        "\u{5db}\u{5dc} \u{5d1}\u{5e0}\u{5d9} \u{5d4}\u{5d0}\u{5d3}\u{5dd} \u{5e0}\u{5d5}\
         \u{5dc}\u{5d3}\u{5d5} \u{5d1}\u{5e0}\u{5d9} \u{5d7}\u{5d5}\u{5e8}\u{5d9}\u{5df} \
         \u{5d5}\u{5e9}\u{5d5}\u{5d5}\u{5d9}\u{5dd} \u{5d1}\u{5e2}\u{5e8}\u{5db}\u{5dd} \u{5d5}\
         \u{5d1}\u{5d6}\u{5db}\u{5d5}\u{5d9}\u{5d5}\u{5ea}\u{5d9}\u{5d4}\u{5dd}. \u{5db}\u{5d5}\
         \u{5dc}\u{5dd} \u{5d7}\u{5d5}\u{5e0}\u{5e0}\u{5d5} \u{5d1}\u{5ea}\u{5d1}\u{5d5}\u{5e0}\
         \u{5d4} \u{5d5}\u{5d1}\u{5de}\u{5e6}\u{5e4}\u{5d5}\u{5df}. ",
    ),
    (
        "Hindi",
        "\u{938}\u{92d}\u{940} \u{92e}\u{928}\u{941}\u{937}\u{94d}\u{92f}\u{94b}\u{902} \u{915}\
         \u{94b} \u{917}\u{94c}\u{930}\u{935} \u{914}\u{930} \u{905}\u{927}\u{93f}\u{915}\
         \u{93e}\u{930}\u{94b}\u{902} \u{915}\u{947} \u{92e}\u{93e}\u{92e}\u{932}\u{947} \
         \u{92e}\u{947}\u{902} \u{91c}\u{928}\u{94d}\u{92e}\u{91c}\u{93e}\u{924} \u{938}\u{94d}\
         \u{935}\u{924}\u{928}\u{94d}\u{924}\u{94d}\u{930}\u{924}\u{93e} \u{914}\u{930} \u{938}\
         \u{92e}\u{93e}\u{928}\u{924}\u{93e} \u{92a}\u{94d}\u{930}\u{93e}\u{92a}\u{94d}\u{924} \
         \u{939}\u{948}\u{964} ",
    ),
    (
        "Bengali",
        "\u{9b8}\u{9ae}\u{9b8}\u{9cd}\u{9a4} \u{9ae}\u{9be}\u{9a8}\u{9c1}\u{9b7} \u{9b8}\u{9cd}\
         \u{9ac}\u{9be}\u{9a7}\u{9c0}\u{9a8}\u{9ad}\u{9be}\u{9ac}\u{9c7} \u{9b8}\u{9ae}\u{9be}\
         \u{9a8} \u{9ae}\u{9b0}\u{9cd}\u{9af}\u{9be}\u{9a6}\u{9be} \u{98f}\u{9ac}\u{982} \
         \u{985}\u{9a7}\u{9bf}\u{995}\u{9be}\u{9b0} \u{9a8}\u{9bf}\u{9af}\u{9bc}\u{9c7} \u{99c}\
         \u{9a8}\u{9cd}\u{9ae}\u{997}\u{9cd}\u{9b0}\u{9b9}\u{9a3} \u{995}\u{9b0}\u{9c7}\u{964} ",
    ),
    (
        "Tamil",
        "\u{bae}\u{ba9}\u{bbf}\u{ba4}\u{baa}\u{bcd} \u{baa}\u{bbf}\u{bb1}\u{bb5}\u{bbf}\u{baf}\
         \u{bbf}\u{ba9}\u{bb0}\u{bcd} \u{b9a}\u{b95}\u{bb2}\u{bb0}\u{bc1}\u{bae}\u{bcd} \u{b9a}\
         \u{bc1}\u{ba4}\u{ba8}\u{bcd}\u{ba4}\u{bbf}\u{bb0}\u{bae}\u{bbe}\u{b95}\u{bb5}\u{bc7} \
         \u{baa}\u{bbf}\u{bb1}\u{b95}\u{bcd}\u{b95}\u{bbf}\u{ba9}\u{bcd}\u{bb1}\u{ba9}\u{bb0}\
         \u{bcd}; \u{b85}\u{bb5}\u{bb0}\u{bcd}\u{b95}\u{bb3}\u{bcd} \u{bae}\u{ba4}\u{bbf}\
         \u{baa}\u{bcd}\u{baa}\u{bbf}\u{bb2}\u{bc1}\u{bae}\u{bcd} \u{b89}\u{bb0}\u{bbf}\u{bae}\
         \u{bc8}\u{b95}\u{bb3}\u{bbf}\u{bb2}\u{bc1}\u{bae}\u{bcd} \u{b9a}\u{bae}\u{bae}\u{bbe}\
         \u{ba9}\u{bb5}\u{bb0}\u{bcd}\u{b95}\u{bb3}\u{bcd}. ",
    ),
    (
        "Thai",
        "\u{e21}\u{e19}\u{e38}\u{e29}\u{e22}\u{e4c}\u{e17}\u{e31}\u{e49}\u{e07}\u{e2b}\u{e25}\
         \u{e32}\u{e22}\u{e40}\u{e01}\u{e34}\u{e14}\u{e21}\u{e32}\u{e21}\u{e35}\u{e2d}\u{e34}\
         \u{e2a}\u{e23}\u{e30}\u{e41}\u{e25}\u{e30}\u{e40}\u{e2a}\u{e21}\u{e2d}\u{e20}\u{e32}\
         \u{e04}\u{e01}\u{e31}\u{e19}\u{e43}\u{e19}\u{e40}\u{e01}\u{e35}\u{e22}\u{e23}\u{e15}\
         \u{e34}\u{e28}\u{e31}\u{e01}\u{e14}\u{e34}\u{e4c}\u{e41}\u{e25}\u{e30}\u{e2a}\u{e34}\
         \u{e17}\u{e18}\u{e34} \u{e15}\u{e48}\u{e32}\u{e07}\u{e21}\u{e35}\u{e40}\u{e2b}\u{e15}\
         \u{e38}\u{e1c}\u{e25}\u{e41}\u{e25}\u{e30}\u{e21}\u{e42}\u{e19}\u{e18}\u{e23}\u{e23}\
         \u{e21} ",
    ),
    (
        "Gujarati",
        "\u{aaa}\u{acd}\u{ab0}\u{aa4}\u{abf}\u{ab7}\u{acd}\u{aa0}\u{abe} \u{a85}\u{aa8}\u{ac7} \
         \u{a85}\u{aa7}\u{abf}\u{a95}\u{abe}\u{ab0}\u{acb}\u{aa8}\u{ac0} \u{aa6}\u{ac3}\u{ab7}\
         \u{acd}\u{a9f}\u{abf}\u{a8f} \u{ab8}\u{ab0}\u{acd}\u{ab5} \u{aae}\u{abe}\u{aa8}\u{ab5}\
         \u{acb} \u{a9c}\u{aa8}\u{acd}\u{aae}\u{aa5}\u{ac0} \u{ab8}\u{acd}\u{ab5}\u{aa4}\u{a82}\
         \u{aa4}\u{acd}\u{ab0} \u{a85}\u{aa8}\u{ac7} \u{ab8}\u{aae}\u{abe}\u{aa8} \u{ab9}\
         \u{acb}\u{aaf} \u{a9b}\u{ac7}. ",
    ),
    (
        "Punjabi",
        "\u{a38}\u{a3e}\u{a30}\u{a3e} \u{a2e}\u{a28}\u{a41}\u{a71}\u{a16}\u{a40} \u{a2a}\u{a30}\
         \u{a3f}\u{a35}\u{a3e}\u{a30} \u{a06}\u{a2a}\u{a23}\u{a40} \u{a2e}\u{a39}\u{a3f}\u{a2e}\
         \u{a3e}, \u{a38}\u{a3c}\u{a3e}\u{a28} \u{a05}\u{a24}\u{a47} \u{a39}\u{a71}\u{a15}\
         \u{a3e}\u{a02} \u{a26}\u{a47} \u{a2a}\u{a71}\u{a16}\u{a4b}\u{a02} \u{a1c}\u{a28}\
         \u{a2e} \u{a24}\u{a4b}\u{a02} \u{a39}\u{a40} \u{a06}\u{a1c}\u{a3c}\u{a3e}\u{a26} \
         \u{a39}\u{a48}. ",
    ),
    (
        "Telugu",
        "\u{c2a}\u{c4d}\u{c30}\u{c24}\u{c3f}\u{c2a}\u{c24}\u{c4d}\u{c24}\u{c3f}\u{c38}\u{c4d}\
         \u{c35}\u{c24}\u{c4d}\u{c35}\u{c2e}\u{c41}\u{c32} \u{c35}\u{c3f}\u{c37}\u{c2f}\u{c2e}\
         \u{c41}\u{c28} \u{c2e}\u{c3e}\u{c28}\u{c35}\u{c41}\u{c32}\u{c46}\u{c32}\u{c4d}\u{c32}\
         \u{c30}\u{c41}\u{c28}\u{c41} \u{c1c}\u{c28}\u{c4d}\u{c2e}\u{c24}\u{c03} \u{c38}\u{c4d}\
         \u{c35}\u{c24}\u{c02}\u{c24}\u{c4d}\u{c30}\u{c41}\u{c32}\u{c41}\u{c28}\u{c41} \u{c38}\
         \u{c2e}\u{c3e}\u{c28}\u{c41}\u{c32}\u{c41}\u{c28}\u{c41} \u{c28}\u{c17}\u{c41}\u{c26}\
         \u{c41}\u{c30}\u{c41}. ",
    ),
    (
        "Kannada",
        "\u{c8e}\u{cb2}\u{ccd}\u{cb2}\u{cbe} \u{cae}\u{cbe}\u{ca8}\u{cb5}\u{cb0}\u{cc2} \u{cb8}\
         \u{ccd}\u{cb5}\u{ca4}\u{c82}\u{ca4}\u{ccd}\u{cb0}\u{cb0}\u{cbe}\u{c97}\u{cbf}\u{caf}\
         \u{cc7} \u{c9c}\u{ca8}\u{cbf}\u{cb8}\u{cbf}\u{ca6}\u{ccd}\u{ca6}\u{cbe}\u{cb0}\u{cc6} \
         \u{cb9}\u{cbe}\u{c97}\u{cc2} \u{c98}\u{ca8}\u{ca4}\u{cc6} \u{cae}\u{ca4}\u{ccd}\u{ca4}\
         \u{cc1} \u{cb9}\u{c95}\u{ccd}\u{c95}\u{cc1}\u{c97}\u{cb3}\u{cb2}\u{ccd}\u{cb2}\u{cbf} \
         \u{cb8}\u{cae}\u{cbe}\u{ca8}\u{cb0}\u{cbe}\u{c97}\u{cbf}\u{ca6}\u{ccd}\u{ca6}\u{cbe}\
         \u{cb0}\u{cc6}. ",
    ),
    (
        "Malayalam",
        "\u{d2e}\u{d28}\u{d41}\u{d37}\u{d4d}\u{d2f}\u{d30}\u{d46}\u{d32}\u{d4d}\u{d32}\u{d3e}\
         \u{d35}\u{d30}\u{d41}\u{d02} \u{d24}\u{d41}\u{d32}\u{d4d}\u{d2f}\u{d3e}\u{d35}\u{d15}\
         \u{d3e}\u{d36}\u{d19}\u{d4d}\u{d19}\u{d33}\u{d4b}\u{d1f}\u{d41}\u{d02} \u{d05}\u{d28}\
         \u{d4d}\u{d24}\u{d38}\u{d4d}\u{d38}\u{d4b}\u{d1f}\u{d41}\u{d02} \u{d38}\u{d4d}\u{d35}\
         \u{d3e}\u{d24}\u{d28}\u{d4d}\u{d24}\u{d4d}\u{d30}\u{d4d}\u{d2f}\u{d24}\u{d4d}\u{d24}\
         \u{d4b}\u{d1f}\u{d41}\u{d02}\u{d15}\u{d42}\u{d1f}\u{d3f} \u{d1c}\u{d28}\u{d3f}\u{d1a}\
         \u{d4d}\u{d1a}\u{d3f}\u{d1f}\u{d4d}\u{d1f}\u{d41}\u{d33}\u{d4d}\u{d33}\u{d35}\u{d30}\
         \u{d3e}\u{d23}\u{d4d}. ",
    ),
    (
        "Sinhala",
        "\u{dc3}\u{dd2}\u{dba}\u{dbd}\u{dd4} \u{db8}\u{db1}\u{dd4}\u{dc2}\u{dca}\u{200d}\u{dba}\
         \u{dba}\u{ddd} \u{db1}\u{dd2}\u{daf}\u{dc4}\u{dc3}\u{dca}\u{dc0} \u{d8b}\u{db4}\u{dad} \
         \u{dbd}\u{db6}\u{dcf} \u{d87}\u{dad}. \u{d9c}\u{dbb}\u{dd4}\u{dad}\u{dca}\u{dc0}\
         \u{dba}\u{dd9}\u{db1}\u{dca} \u{dc4}\u{dcf} \u{d85}\u{dba}\u{dd2}\u{dad}\u{dd2}\u{dc0}\
         \u{dcf}\u{dc3}\u{dd2}\u{d9a}\u{db8}\u{dca}\u{dc0}\u{dbd}\u{dd2}\u{db1}\u{dca} \u{dc3}\
         \u{db8}\u{dcf}\u{db1} \u{dc0}\u{dd9}\u{dad}\u{dd2}. ",
    ),
    (
        "Burmese",
        "\u{101c}\u{1030}\u{1010}\u{102d}\u{102f}\u{1004}\u{103a}\u{1038}\u{101e}\u{100a}\
         \u{103a} \u{1010}\u{1030}\u{100a}\u{102e} \u{101c}\u{103d}\u{1010}\u{103a}\u{101c}\
         \u{1015}\u{103a}\u{101e}\u{1031}\u{102c} \u{1002}\u{102f}\u{100f}\u{103a}\u{101e}\
         \u{102d}\u{1000}\u{1039}\u{1001}\u{102c}\u{1016}\u{103c}\u{1004}\u{1037}\u{103a} \
         \u{101c}\u{100a}\u{103a}\u{1038}\u{1000}\u{1031}\u{102c}\u{1004}\u{103a}\u{1038}\
         \u{104a} \u{1010}\u{1030}\u{100a}\u{102e}\u{101c}\u{103d}\u{1010}\u{103a}\u{101c}\
         \u{1015}\u{103a}\u{101e}\u{1031}\u{102c} \u{1021}\u{1001}\u{103d}\u{1004}\u{1037}\
         \u{103a}\u{1021}\u{101b}\u{1031}\u{1038}\u{1019}\u{103b}\u{102c}\u{1038}\u{1016}\
         \u{103c}\u{1004}\u{1037}\u{103a} \u{101c}\u{100a}\u{103a}\u{1038}\u{1000}\u{1031}\
         \u{102c}\u{1004}\u{103a}\u{1038}\u{104a} \u{1019}\u{103d}\u{1031}\u{1038}\u{1016}\
         \u{103d}\u{102c}\u{1038}\u{101c}\u{102c}\u{101e}\u{1030}\u{1019}\u{103b}\u{102c}\
         \u{1038} \u{1016}\u{103c}\u{1005}\u{103a}\u{101e}\u{100a}\u{103a}\u{104b} ",
    ),
    (
        "Khmer",
        "\u{1798}\u{1793}\u{17bb}\u{179f}\u{17d2}\u{179f}\u{1791}\u{17b6}\u{17c6}\u{1784}\
         \u{17a2}\u{179f}\u{17cb}\u{1780}\u{17be}\u{178f}\u{1798}\u{1780}\u{1798}\u{17b6}\
         \u{1793}\u{179f}\u{17c1}\u{179a}\u{17b8}\u{1797}\u{17b6}\u{1796} \u{1793}\u{17b7}\
         \u{1784}\u{179f}\u{1798}\u{1797}\u{17b6}\u{1796}\u{1780}\u{17d2}\u{1793}\u{17bb}\
         \u{1784}\u{179f}\u{17c1}\u{1785}\u{1780}\u{17d2}\u{178a}\u{17b8}\u{1790}\u{17d2}\
         \u{179b}\u{17c3}\u{1790}\u{17d2}\u{1793}\u{17bc}\u{179a}\u{1793}\u{17b7}\u{1784}\
         \u{179f}\u{17b7}\u{1791}\u{17d2}\u{1792}\u{17b7}\u{17d4} ",
    ),
    (
        "Lao",
        "\u{ea1}\u{eb0}\u{e99}\u{eb8}\u{e94}\u{e97}\u{eb8}\u{e81}\u{e84}\u{ebb}\u{e99}\u{ec0}\
         \u{e81}\u{eb5}\u{e94}\u{ea1}\u{eb2}\u{ea1}\u{eb5}\u{eaa}\u{eb4}\u{e94}\u{ec0}\u{eaa}\
         \u{ea5}\u{eb5}\u{e9e}\u{eb2}\u{e9a} \u{ec1}\u{ea5}\u{eb0} \u{eaa}\u{eb0}\u{ec0}\u{edd}\
         \u{eb5}\u{edc}\u{ec9}\u{eb2}\u{e81}\u{eb1}\u{e99}\u{ec3}\u{e99}\u{e97}\u{eb2}\u{e87}\
         \u{e81}\u{ebd}\u{e94}\u{eaa}\u{eb1}\u{e81}\u{eaa}\u{eb5} \u{ec1}\u{ea5}\u{eb0} \u{eaa}\
         \u{eb4}\u{e94}\u{e94}\u{ec9}\u{ea7}\u{e8d}\u{ea1}\u{eb0}\u{ec2}\u{e99}\u{e97}\u{eb1}\
         \u{ea1}. ",
    ),
    (
        "Tibetan",
        "\u{f60}\u{f42}\u{fb2}\u{f7c}\u{f0b}\u{f56}\u{f0b}\u{f58}\u{f72}\u{f60}\u{f72}\u{f0b}\
         \u{f62}\u{f72}\u{f42}\u{f66}\u{f0b}\u{f62}\u{f92}\u{fb1}\u{f74}\u{f51}\u{f0b}\u{f61}\
         \u{f7c}\u{f44}\u{f66}\u{f0b}\u{f63}\u{f0b}\u{f66}\u{f90}\u{fb1}\u{f7a}\u{f66}\u{f0b}\
         \u{f59}\u{f58}\u{f0b}\u{f49}\u{f72}\u{f51}\u{f0b}\u{f53}\u{f66}\u{f0b}\u{f46}\u{f7a}\
         \u{f0b}\u{f58}\u{f50}\u{f7c}\u{f44}\u{f66}\u{f0b}\u{f51}\u{f44}\u{f0c}\u{f0d} ",
    ),
    (
        "Georgian",
        "\u{10e7}\u{10d5}\u{10d4}\u{10da}\u{10d0} \u{10d0}\u{10d3}\u{10d0}\u{10db}\u{10d8}\
         \u{10d0}\u{10dc}\u{10d8} \u{10d8}\u{10d1}\u{10d0}\u{10d3}\u{10d4}\u{10d1}\u{10d0} \
         \u{10d7}\u{10d0}\u{10d5}\u{10d8}\u{10e1}\u{10e3}\u{10e4}\u{10d0}\u{10da}\u{10d8} \
         \u{10d3}\u{10d0} \u{10d7}\u{10d0}\u{10dc}\u{10d0}\u{10e1}\u{10ec}\u{10dd}\u{10e0}\
         \u{10d8} \u{10d7}\u{10d0}\u{10d5}\u{10d8}\u{10e1}\u{10d8} \u{10e6}\u{10d8}\u{10e0}\
         \u{10e1}\u{10d4}\u{10d1}\u{10d8}\u{10d7}\u{10d0} \u{10d3}\u{10d0} \u{10e3}\u{10e4}\
         \u{10da}\u{10d4}\u{10d1}\u{10d4}\u{10d1}\u{10d8}\u{10d7}. ",
    ),
    (
        "Armenian",
        "\u{532}\u{578}\u{56c}\u{578}\u{580} \u{574}\u{561}\u{580}\u{564}\u{56b}\u{56f} \u{56e}\
         \u{576}\u{57e}\u{578}\u{582}\u{574} \u{565}\u{576} \u{561}\u{566}\u{561}\u{57f} \
         \u{578}\u{582} \u{570}\u{561}\u{57e}\u{561}\u{57d}\u{561}\u{580} \u{56b}\u{580}\u{565}\
         \u{576}\u{581} \u{561}\u{580}\u{56a}\u{561}\u{576}\u{561}\u{57a}\u{561}\u{57f}\u{57e}\
         \u{578}\u{582}\u{569}\u{575}\u{561}\u{574}\u{562} \u{578}\u{582} \u{56b}\u{580}\u{561}\
         \u{57e}\u{578}\u{582}\u{576}\u{584}\u{576}\u{565}\u{580}\u{578}\u{57e}\u{589} ",
    ),
    (
        "Amharic",
        "\u{12e8}\u{1230}\u{12cd} \u{120d}\u{1305} \u{1201}\u{1209} \u{1232}\u{12c8}\u{1208}\
         \u{12f5} \u{1290}\u{133b}\u{1293} \u{1260}\u{12ad}\u{1265}\u{122d}\u{1293} \u{1260}\
         \u{1218}\u{1265}\u{1275}\u{121d} \u{12a5}\u{12a9}\u{120d}\u{1290}\u{1275} \u{12eb}\
         \u{1208}\u{12cd} \u{1290}\u{12cd}\u{1362} ",
    ),
    (
        "German",
        "Alle Menschen sind frei und gleich an W\u{fc}rde und Rechten geboren. Sie sind mit Ver\
         nunft und Gewissen begabt und sollen einander im Geiste der Br\u{fc}derlichkeit begegn\
         en. ",
    ),
    (
        "French",
        "Tous les \u{ea}tres humains naissent libres et \u{e9}gaux en dignit\u{e9} et en droits\
         . Ils sont dou\u{e9}s de raison et de conscience et doivent agir les uns envers les au\
         tres dans un esprit de fraternit\u{e9}. ",
    ),
    (
        "Polish",
        "Wszyscy ludzie rodz\u{105} si\u{119} wolni i r\u{f3}wni pod wzgl\u{119}dem swej godno\
         \u{15b}ci i swych praw. S\u{105} oni obdarzeni rozumem i sumieniem. ",
    ),
    (
        "Turkish",
        "B\u{fc}t\u{fc}n insanlar h\u{fc}r, haysiyet ve haklar bak\u{131}m\u{131}ndan e\u{15f}i\
         t do\u{11f}arlar. Ak\u{131}l ve vicdana sahiptirler. ",
    ),
    (
        "Vietnamese",
        "T\u{1ea5}t c\u{1ea3} m\u{1ecd}i ng\u{1b0}\u{1edd}i sinh ra \u{111}\u{1ec1}u \u{111}\
         \u{1b0}\u{1ee3}c t\u{1ef1} do v\u{e0} b\u{ec}nh \u{111}\u{1eb3}ng v\u{1ec1} nh\u{e2}n \
         ph\u{1ea9}m v\u{e0} quy\u{1ec1}n l\u{1ee3}i. ",
    ),
    (
        "Finnish",
        "Kaikki ihmiset syntyv\u{e4}t vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Hei\
         lle on annettu j\u{e4}rki ja omatunto. ",
    ),
    (
        "Hungarian",
        "Minden emberi l\u{e9}ny szabadon sz\u{fc}letik \u{e9}s egyenl\u{151} m\u{e9}lt\u{f3}s\
         \u{e1}ga \u{e9}s joga van. Az emberek \u{e9}sszel \u{e9}s lelkiismerettel b\u{ed}rv\
         \u{e1}n. ",
    ),
];

#[test]
fn the_estimate_is_at_least_the_tokens_and_at_most_twice_as_much() {
    let vocabulary = o200k_base_singleton();
    let (mut table, mut faults) = (String::new(), Vec::new());
    for Class { name, text } in classes() {
        let text = bg_core::text::prefix(&text, MOST_BYTES);
        let tokens = u32::try_from(vocabulary.encode_ordinary(text).len()).unwrap();
        let estimate = u32::try_from(estimate_tokens(text)).unwrap();
        let ratio = f64::from(estimate) / f64::from(tokens);
        let exception = EXCEPTIONS.iter().find(|(class, ..)| *class == name);
        let (least, most) = exception.map_or((1.0, 2.0), |&(_, least, most)| (least, most));
        writeln!(table, "{name:32} {tokens:6} {estimate:6} {ratio:5.2}").unwrap();
        if !(least..=most).contains(&ratio) {
            faults.push(format!("{name}: {ratio:.3} times, not {least} to {most}"));
        }
    }
    println!("{table}");
    assert!(faults.is_empty(), "{}\n{table}", faults.join("\n"));
}
