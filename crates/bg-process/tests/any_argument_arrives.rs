//! Arguments reach a program byte for byte: no shell, no quoting, no character that means something.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use support::fixture::{FENCES, Fenced, PROGRAM};

/// Strings of a case, which one process gets together.
const STRINGS: usize = 500;
const CASES: u32 = 200;

/// What shells, terminals and careless programs stumble over.
const ODD: &[&str] = &[
    "",
    " ",
    "\n",
    "\t",
    "'",
    "\"",
    "\\",
    "`",
    "$(exit 7)",
    "${HOME}",
    "*",
    "?",
    "~",
    "-",
    "--",
    ";",
    "&&",
    "|",
    "<",
    ">",
    "!",
    "#",
    "%s",
    "%",
    "\u{202e}",
    "\u{200f}",
    "\u{feff}",
    "\u{0}a".split_at(1).1,
    "\x1b[31m",
    "\r\n",
    "=",
    "a=b",
    "{a,b}",
    "\\n",
    "\u{1f980}",
    "\x7f",
];

/// Made from two numbers: a tree of single bytes would shrink better and cost more than the processes.
fn argument() -> impl Strategy<Value = Vec<u8>> {
    (any::<u64>(), 0..24_usize).prop_map(|(seed, len)| {
        let numbers = std::iter::successors(Some(seed), |last| {
            Some(
                last.wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407),
            )
        });
        let mut numbers = numbers.skip(1).filter_map(|number| u32::try_from(number >> 33).ok());
        match seed % 3 {
            0 => numbers.take(len).map(|number| number.to_le_bytes()[0].max(1)).collect(),
            1 => numbers.filter_map(any_char).take(len).collect::<String>().into_bytes(),
            _ => {
                let mut odd = || ODD[numbers.next().unwrap_or(0) as usize % ODD.len()];
                (0..len / 4).map(|_| odd()).collect::<String>().into_bytes()
            }
        }
    })
}

fn any_char(number: u32) -> Option<char> {
    char::from_u32(number % 0x11_0000).filter(|char| *char != '\0')
}

async fn echoed(fenced: &Fenced, args: &[Vec<u8>]) -> Vec<u8> {
    let words = args.iter().map(|arg| OsString::from_vec(arg.clone()));
    let spec = bg_process::ProcessSpec::new(PROGRAM).arg("echo-args").args(words);
    let id = fenced.start_spec(spec);
    let done = fenced.host.end(id).await;
    done.log().unwrap().read(0, 1 << 20, None).bytes.clone()
}

#[test]
fn a_hundred_thousand_strings_are_echoed_byte_for_byte() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fences = FENCES.iter().filter_map(|fence| runtime.block_on(Fenced::new(*fence)));
    let fences: Vec<Fenced> = fences.collect();
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..Default::default() };
    let cases = (0..fences.len(), vec(argument(), STRINGS));
    TestRunner::new(config)
        .run(&cases, |(fence, args)| {
            let mut expected = args.join(&0);
            expected.push(0);
            let echoed = runtime.block_on(echoed(&fences[fence], &args));
            prop_assert!(echoed == expected, "{:?}", echoed.escape_ascii().to_string());
            Ok(())
        })
        .unwrap();
}
