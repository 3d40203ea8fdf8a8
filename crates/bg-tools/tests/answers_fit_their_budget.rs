//! Whatever tasks were asked and have left, every answer is within the budget by the count of a real
//! vocabulary, and whole; what it leaves out is counted and can be read.
//!
//! `BG_COUNT=100000 cargo test --release -p bg-tools --test answers_fit_their_budget` for volume: it
//! counts answers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use bg_core::{LogCaps, Output, OutputLog, Stream, Task};
use bg_tools::{Budget, Toolbox, format_outcome_within, manifest, parse_outcomes, task_tools};
use serde_json::{Value, json};
use support::rng::Rng;
use support::schema_gen::Volume;
use support::text::{CLASSES, text_of};
use support::world::{Op, Said, Sizes, World, on_paused_clock, script};
use support::{Caller, caller};
use tiktoken_rs::o200k_base_singleton;

const TOKENS: [usize; 4] = [300, 500, 1000, 2000];

const LARGE: Sizes = Sizes { line: 4000, prompt: 100_000, output: 30_000, receipt: 60 };

fn tokens(text: &str) -> usize {
    o200k_base_singleton().encode_ordinary(text).len()
}

fn exactly(most: usize) -> Budget {
    Budget::new(most).counted_by(tokens)
}

fn with_budget(caller: Caller, budget: Budget) -> Caller {
    let tools = Toolbox::new().with_all(task_tools()).unwrap().budget(budget);
    Caller { tools, ..caller }
}

/// Says what is wrong with what a model was told.
fn fault(said: &Said, most: usize) -> Option<String> {
    let Said { what, text, success, full } = said;
    let count = tokens(text);
    if count > most {
        return Some(format!("{count} tokens, not {most}"));
    }
    if full.is_some() {
        return Some("it was cut".to_owned());
    }
    let is_json = serde_json::from_str::<Value>(text).is_ok();
    match *what {
        "manifest" => None,
        "outcome" => (parse_outcomes(text).len() != 1).then(|| "not one envelope".to_owned()),
        _ => (*success && !is_json).then(|| "no JSON".to_owned()),
    }
}

async fn answers(mut rng: Rng) -> Result<u64, String> {
    let most = *rng.pick(&TOKENS);
    let Caller { root, tools, cx, registry: _registry } = with_budget(caller(), exactly(most));
    let mut world = World::new(root, tools, cx);
    world.budget = exactly(most);
    let mut answers = 0;
    for op in script(&mut rng, 60, LARGE).iter().chain([&Op::Manifest, &Op::Drain]) {
        for said in world.apply(op).await {
            answers += 1;
            if let Some(fault) = fault(&said, most) {
                let Said { what, text, .. } = said;
                return Err(format!("{what}: {fault}: {}", text.escape_debug()));
            }
        }
    }
    Ok(answers)
}

#[test]
fn every_answer_is_whole_and_within_the_budget() {
    let answers = Volume::from_env_or(400).run_up_to(|rng| on_paused_clock(answers(rng)));
    println!("model budgets: {answers} answers");
}

/// The smallest budget, and texts that cost the most: nothing may be left out for good.
#[tokio::test(start_paused = true)]
async fn the_smallest_budget_holds_the_worst_of_everything() {
    let worst = ["\u{1}", "\u{202e}", "\u{E0041}", "\u{10FFFD}", "\\", "\u{1F469}\u{200D}"];
    for text in worst.map(|part| part.repeat(120)) {
        let caller = with_budget(caller(), exactly(300));
        let fail = || Err(bg_core::Failure::new(text.clone()));
        for _ in 0..4 {
            let (_, completer) = caller.agent(&text, &text);
            completer.context().trace(text.clone());
            completer.complete(fail());
        }
        let (_, process) = caller.root.register(Task::process("sh", text.clone())).unwrap();
        process.complete(fail());
        let work: Vec<_> = (0..3).map(|_| caller.agent(&text, &text)).collect();
        for (_, completer) in &work {
            completer.context().trace(text.clone());
            completer.context().log().write(Stream::Stdout, text.as_bytes());
        }
        list_to_the_end(&caller).await;
        for ids in [json!([6, 7, 8]), json!([&text, &text, &text]), json!([1, 5, 6])] {
            let args = json!({"task_ids": ids, "timeout_secs": 1}).to_string();
            check(&caller, "WaitTasks", &args).await;
            check(&new_to_it(&caller), "WaitTasks", &args).await;
        }
        for id in 1..=8 {
            for tool in ["InspectTask", "WaitTask", "ReadTaskOutput", "CancelTask"] {
                check(&new_to_it(&caller), tool, &json!({"task_id": id}).to_string()).await;
                check(&caller, tool, &json!({"task_id": id}).to_string()).await;
            }
        }
    }
}

/// The same caller, who has been told nothing yet.
fn new_to_it(caller: &Caller) -> Caller {
    with_budget(caller.anew(), exactly(300))
}

async fn check(caller: &Caller, tool: &'static str, args: &str) -> Value {
    let wire = caller.wire(tool, args).await;
    let said =
        Said { what: tool, text: wire.output, success: wire.success, full: wire.full_output };
    let shown = bg_core::text::prefix(&said.text, 1500);
    assert_eq!(fault(&said, 300), None, "{tool}: {}", shown.escape_debug());
    serde_json::from_str(&said.text).unwrap()
}

/// Lists page by page; each page gets further.
async fn list_to_the_end(caller: &Caller) {
    let mut after = 0;
    while after < 8 {
        let page = check(caller, "ListBackgroundTasks", &json!({"after": after}).to_string()).await;
        let shown =
            page.as_array().unwrap().iter().filter(|row| row["task_id"].is_string()).count();
        assert!(shown > 0, "nothing behind {after}: {page}");
        after += shown;
    }
}

/// Texts without anything that is not shown as it is: escape signs and carriage returns.
fn plain_texts() -> Vec<String> {
    let mut rng = Rng(3);
    let texts = CLASSES.map(|class| text_of(&mut rng, class, 4000).replace(['\u{1b}', '\r'], "-"));
    let no_csi = |text: String| text.replace('\u{9b}', "-");
    texts.into_iter().map(no_csi).collect()
}

/// Reads page by page from a cursor to the end.
async fn read_on(caller: &Caller, from: &Value) -> String {
    let (mut text, mut cursor) = (String::new(), from.as_u64().unwrap());
    loop {
        let args = json!({"task_id": 1, "cursor": cursor}).to_string();
        let page = caller.json("ReadTaskOutput", &args).await;
        text += page["text"].as_str().unwrap();
        assert_eq!(page["omitted_bytes"], 0);
        if page["eof"] == true {
            return text;
        }
        let next = page["next_cursor"].as_u64().unwrap();
        assert!(next > cursor, "stuck at {cursor}: {page}");
        cursor = next;
    }
}

#[track_caller]
fn check_same(one: &str, other: &str) {
    assert!(one == other, "{} and {} bytes", one.len(), other.len());
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_of_an_agents_text_is_counted_and_can_be_read() {
    for (at, text) in plain_texts().into_iter().enumerate() {
        let most = TOKENS[at % 2];
        let caller = with_budget(caller(), exactly(most));
        caller.completed(&text);
        let done = caller.root.inbox().take(1).pop().unwrap().finished().clone();
        let waited = caller.json("WaitTask", r#"{"task_id":1}"#).await;
        let shown = waited["output"].as_str().unwrap();
        let omitted = waited["omitted_bytes"].as_u64().unwrap_or(0);
        assert_eq!(shown.len() as u64 + omitted, text.len() as u64);
        if omitted > 0 {
            let rest = read_on(&caller, &waited["next_cursor"]).await;
            check_same(&(shown.to_owned() + &rest), &text);
        }
        check_same(&read_on(&caller, &json!(0)).await, &text);
        check_envelope(&format_outcome_within(&done, &exactly(most)), &text, most);
    }
}

/// An envelope shows the begin of the text, and says how many bytes follow, and where to read them.
#[track_caller]
fn check_envelope(envelope: &str, text: &str, most: usize) {
    assert!(tokens(envelope) <= most);
    let parsed = parse_outcomes(envelope);
    assert_eq!(parsed.len(), 1);
    let Some((_, cursor)) = parsed[0].output.rsplit_once(" from cursor ") else {
        return assert!(parsed[0].output.len() >= text.len());
    };
    let cursor: usize = cursor.trim_end_matches(')').parse().unwrap();
    let omitted = text.len() - cursor;
    let mark = format!("\n({omitted} more bytes: ReadTaskOutput agent:1 from cursor {cursor})");
    assert!(parsed[0].output.ends_with(&mark), "{envelope}");
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_of_a_processs_output_is_counted_and_can_be_read() {
    for (at, text) in plain_texts().into_iter().enumerate() {
        let caller = with_budget(caller(), exactly(TOKENS[at % 2]));
        let (_, completer) = caller.root.register(Task::process("sh", "make")).unwrap();
        completer.context().log().write(Stream::Stdout, text.as_bytes());
        completer.complete(Ok(Output::default()));
        let waited = caller.json("WaitTask", r#"{"task_id":1}"#).await;
        let omitted = usize::try_from(waited["output"]["omitted_bytes"].as_u64().unwrap()).unwrap();
        check_same(waited["output"]["text"].as_str().unwrap(), &text[omitted..]);
        assert_eq!(waited["output"]["next_cursor"], text.len());
        check_same(&read_on(&caller, &json!(0)).await, &text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_of_five_megabytes_is_answered_within_the_budget() {
    let text = "0123456789abcdef".repeat(5 << 16);
    let caller = with_budget(caller(), exactly(500));
    let (_, process) = caller.root.register(Task::process("sh", "make")).unwrap();
    process
        .context()
        .log_with(LogCaps { head: 1 << 23, tail: 0 })
        .write(Stream::Stdout, text.as_bytes());
    process.complete(Ok(Output::default()));
    caller.completed(&text);
    for claim in caller.root.inbox().take(2) {
        assert!(tokens(&format_outcome_within(claim.finished(), &exactly(500))) <= 500);
    }
    for id in [1, 2] {
        for tool in ["WaitTask", "ReadTaskOutput", "InspectTask"] {
            let answer = caller.answer(tool, &json!({"task_id": id}).to_string()).await;
            assert!(tokens(&answer) <= 500, "{tool}");
        }
    }
    let cursor = text.len() - 9000;
    check_same(&read_on(&caller, &json!(cursor)).await, &text[cursor..]);
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_of_a_description_is_counted() {
    for (at, prompt) in plain_texts().into_iter().enumerate() {
        let most = TOKENS[at % 2];
        let caller = with_budget(caller(), exactly(most));
        let (_, _completer) = caller.agent("explore", &prompt);
        let whole = format!("explore: {prompt}");
        let list = caller.json("ListBackgroundTasks", "{}").await;
        let inspected = caller.json("InspectTask", r#"{"task_id":1}"#).await;
        for shown in [&list[0]["description"], &inspected["description"]] {
            let (kept, more) = shown.as_str().unwrap().rsplit_once("... (+").unwrap();
            assert!(whole.starts_with(kept));
            assert_eq!(more, format!("{})", whole.len() - kept.len()));
        }
        assert!(tokens(&manifest(&caller.root, &exactly(most))) <= most);
    }
}

/// Pages of a list, one after the other, show each task once.
#[tokio::test(start_paused = true)]
async fn a_root_with_a_hundred_thousand_tasks_is_listed_page_by_page() {
    let caller = with_budget(caller(), exactly(1000));
    let _work: Vec<_> = (0..100_000)
        .map(|_| caller.root.register(Task::process("sh", "cargo test --workspace")).unwrap())
        .collect();
    let (mut after, mut seen) = (0, 0);
    for _ in 0..20 {
        let args = json!({"after": after}).to_string();
        let answer = caller.answer("ListBackgroundTasks", &args).await;
        assert!(tokens(&answer) <= 1000);
        let mut page: Vec<Value> = serde_json::from_str(&answer).unwrap();
        let rest = page.pop().unwrap();
        assert!(page.len() > 10, "a page is worth a call");
        for task in &page {
            seen += 1;
            assert_eq!(task["task_id"], format!("process:{seen}"));
        }
        assert_eq!(rest["and_more"], true);
        assert_eq!(rest["omitted_tasks"], 1000 - page.len());
        after = rest["after"].as_u64().unwrap();
        assert_eq!(after, seen);
    }
    assert!(tokens(&manifest(&caller.root, &exactly(1000))) <= 1000);
}
/// A log of which the middle is gone says so in every answer, to the byte.
#[test]
fn what_a_log_has_dropped_is_counted_too() {
    let log = OutputLog::new(LogCaps { head: 1000, tail: 1000 });
    log.write(Stream::Stdout, "0123456789".repeat(5000).as_bytes());
    let view = bg_tools::LogView::of(&log, 700);
    assert_eq!((view.text.len(), view.omitted_bytes), (700, 50_000 - 700));
}
