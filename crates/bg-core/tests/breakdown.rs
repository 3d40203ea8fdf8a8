//! What work cost by name: bounded, and added once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bg_core::{Breakdown, Output, ToolUsage, Usage};

fn requests(count: u64) -> Usage {
    let mut usage = Usage::default();
    usage.requests = count;
    usage
}

fn all(breakdown: &Breakdown) -> u64 {
    breakdown.models.values().map(|usage| usage.requests).sum()
}

fn of(models: &[(&str, u64)]) -> Breakdown {
    let mut breakdown = Breakdown::default();
    for (model, count) in models {
        breakdown.add_turn(model, &requests(*count));
    }
    breakdown
}

#[test]
fn it_travels_with_the_output() {
    let mut breakdown = of(&[("large", 2)]);
    breakdown.add_call("Read", true);
    breakdown.add_call("Read", false);
    let output = Output::text("done").with_breakdown(breakdown.clone());
    let json = serde_json::to_value(&output).unwrap();
    assert_eq!(json["breakdown"]["tools"]["Read"], serde_json::json!({"calls": 2, "failed": 1}));
    let read: Output = serde_json::from_value(json).unwrap();
    assert_eq!(read, output);
    assert_eq!(read.breakdown(), Some(&breakdown));
}

#[test]
fn an_empty_one_is_none() {
    let output = Output::text("done").with_breakdown(Breakdown::default());
    assert_eq!(output, Output::text("done"));
    let mut output = Output::text("done").with_breakdown(of(&[("large", 1)]));
    output.set_breakdown(Breakdown::default());
    assert_eq!((output.breakdown(), &output), (None, &Output::text("done")));
    let read = r#"{"text": "done", "breakdown": {"models": {}}}"#;
    assert_eq!(serde_json::from_str::<Output>(read).unwrap(), output);
    assert!(!serde_json::to_string(&output).unwrap().contains("breakdown"));
}

#[test]
fn names_beyond_so_many_are_added_up_as_others() {
    let mut breakdown = Breakdown::default();
    for round in 0..2 {
        for number in 0..1000 {
            breakdown.add_call(&format!("tool_{number:04}"), round == 0);
        }
    }
    assert_eq!(breakdown.tools.len(), Breakdown::MAX_NAMES);
    let places = Breakdown::MAX_NAMES as u64 - 1;
    let other = breakdown.tools[Breakdown::OTHER];
    assert_eq!((other.calls, other.failed), (2 * (1000 - places), 1000 - places));
    assert_eq!(breakdown.tools["tool_0000"].calls, 2);
}

#[test]
fn a_long_name_is_cut() {
    let mut breakdown = Breakdown::default();
    breakdown.add_call(&"x".repeat(1 << 20), true);
    assert_eq!(breakdown.tools.keys().map(String::len).max(), Some(Breakdown::MAX_NAME_BYTES));
}

#[test]
fn a_report_with_more_names_than_places_is_added_once() {
    // A name that is far in front comes late: it must not push out one that has its place.
    let mut report = Breakdown::default();
    for number in 0..200 {
        report.models.insert(format!("model_{number}"), requests(1));
    }
    let (mut total, mut mark) = (of(&[("mine", 7)]), Breakdown::default());
    total.add_beyond(&report, &mut mark);
    assert_eq!(all(&total), 7 + 200);
    report.models.insert("a_model".to_owned(), requests(5));
    for _ in 0..3 {
        total.add_beyond(&report, &mut mark);
    }
    assert_eq!(total.models.len(), Breakdown::MAX_NAMES);
    assert_eq!(mark.models.len(), Breakdown::MAX_NAMES);
    assert_eq!(all(&total), 7 + 200 + 5);
}

#[test]
fn counts_stay_at_the_largest_number() {
    let mut breakdown = of(&[("large", u64::MAX), ("large", u64::MAX)]);
    assert_eq!(breakdown.models["large"].requests, u64::MAX);
    breakdown.tools.entry("Read".to_owned()).or_default().calls = u64::MAX;
    breakdown.add_call("Read", false);
    let ToolUsage { calls, failed, .. } = breakdown.tools["Read"];
    assert_eq!((calls, failed), (u64::MAX, 1));
    let (mut total, mut mark) = (breakdown.clone(), Breakdown::default());
    total.add_beyond(&breakdown, &mut mark);
    total.add_beyond(&breakdown, &mut mark);
    assert_eq!(total.models["large"].requests, u64::MAX);
}
