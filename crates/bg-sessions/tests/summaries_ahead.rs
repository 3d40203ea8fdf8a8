//! Summaries that are written while the work goes on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common;

use std::sync::Arc;
use std::time::Duration;

use bg_core::{Finished, Outcome, Registry};
use bg_sessions::{
    Agents, CompactionSpec, ModelError, Models, Percent, Recorded, RunOptions, Turn, TurnsModel,
    WithSummaries,
};
use bg_tools::{Budget, Toolbox};
use common::{
    AGENT, blob, blob_call, completed, end_of, first_texts, pause, tokens, toolbox, turns, worker,
};

/// The window; a summary is asked for past 5,600 tokens, and due past 6,400.
const WINDOW: u64 = 8000;

/// So many results of 200 tokens, a second each, and an answer.
fn work(results: usize) -> Recorded<TurnsModel> {
    let blob = || blob_call(400).after(Duration::from_secs(1));
    let turns = std::iter::repeat_with(blob).take(results).chain([Turn::say_uncounted("done")]);
    Recorded::new(TurnsModel::new(turns).with_context_window(WINDOW))
}

fn agents(work: &Recorded<TurnsModel>, summaries: &Recorded<TurnsModel>) -> Agents {
    let tools: Toolbox = toolbox([blob()]).budget(Budget::new(10_000_000));
    let model = WithSummaries::new(work.clone(), summaries.clone());
    let spec = CompactionSpec::default().with_shorten_at(Percent::new(100).unwrap());
    let worker = worker(&tools);
    let builder = Agents::builder(Models::new("test", model)).toolbox(tools).agent(worker);
    builder.compaction(spec).build().unwrap()
}

async fn run(work: &Recorded<TurnsModel>, summaries: &Recorded<TurnsModel>) -> Arc<Finished> {
    let registry = Registry::new();
    agents(work, summaries).run(&registry.root_scope(), AGENT, "go").await.unwrap()
}

fn trace<'a>(finished: &'a Finished, start: &str) -> Vec<&'a String> {
    finished.trace().iter().filter(|line| line.starts_with(start)).collect()
}

/// The summary takes as long as two steps. The work never waits, and the turns of that time stay.
#[tokio::test(start_paused = true)]
async fn the_work_goes_on_and_what_is_said_meanwhile_stays() {
    let summary = Turn::say("so far so good").after(Duration::from_millis(2500));
    let (work, summaries) = (work(30), turns([summary]));
    let begin = tokio::time::Instant::now();
    let finished = run(&work, &summaries).await;
    assert_eq!(completed(&finished).text, "done");
    assert_eq!(begin.elapsed(), Duration::from_secs(30), "nothing waited for the summary");
    assert_eq!(trace(&finished, "asked for a summary ahead").len(), 1);
    assert_eq!(trace(&finished, "compacted: ").len(), 1);
    assert_eq!(completed(&finished).usage().requests, 1, "a summary is booked");
    let requests = work.requests();
    let sizes: Vec<_> = requests.iter().map(tokens).collect();
    assert!(sizes.iter().all(|size| *size <= 6400), "{sizes:?}");
    let asked = sizes.iter().position(|size| *size > 5600).unwrap();
    let taken = sizes.windows(2).position(|pair| pair[1] < pair[0]).unwrap() + 1;
    assert_eq!(taken - asked, 3, "{sizes:?}");
    let [_, summary] = &first_texts(&requests[taken])[..] else { panic!("not two parts") };
    assert!(summary.contains("> so far so good"), "{summary}");
    let (before, after) = (&requests[taken - 1].messages, &requests[taken].messages);
    let kept = &after[1..after.len() - 2];
    assert!(before.ends_with(kept) && kept.len() >= 6, "the last turns stay as they were");
}

/// One that comes to nothing is not asked for again before the conversation has grown, and the
/// conversation is compacted when that is due.
#[tokio::test(start_paused = true)]
async fn one_that_comes_to_nothing_costs_one_request() {
    for useless in [
        Turn::say(""),
        Turn::Fail(ModelError::fatal("wrong key")),
        Turn::Panic("broken"),
        Turn::call("Blob", "{}"),
    ] {
        let (work, summaries) = (work(30), turns([useless, Turn::say("so far so good")]));
        let finished = run(&work, &summaries).await;
        assert_eq!(completed(&finished).text, "done");
        assert_eq!(summaries.requests().len(), 2);
        assert_eq!(trace(&finished, "a summary that was asked for ahead").len(), 1);
        assert_eq!(trace(&finished, "compacted: ").len(), 1);
        assert!(work.requests().iter().map(tokens).all(|size| size <= WINDOW));
    }
}

/// A summary that is still on its way when it is due is waited for, and no second one asked for.
#[tokio::test(start_paused = true)]
async fn one_that_is_late_is_waited_for() {
    let summary = Turn::say("so far so good").after(Duration::from_secs(60));
    let (work, summaries) = (work(30), turns([summary]));
    let finished = run(&work, &summaries).await;
    assert_eq!(completed(&finished).text, "done");
    assert_eq!(summaries.requests().len(), 1);
    assert!(work.requests().iter().map(tokens).all(|size| size <= 6400));
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_it_is_waited_for_takes_effect_at_once() {
    let (work, summaries) = (work(30), turns([Turn::Hang]));
    let registry = Registry::new();
    let root = registry.root_scope();
    let options = RunOptions::default();
    let id = agents(&work, &summaries).spawn(&root, AGENT, "go", options).unwrap();
    pause(60_000).await;
    assert_eq!(root.live(), 1);
    let begin = tokio::time::Instant::now();
    root.cancel(id, "enough").unwrap();
    let finished = end_of(&root, id).await;
    assert!(matches!(finished.outcome, Outcome::Cancelled(_)));
    assert!(begin.elapsed() < Duration::from_millis(50), "{:?}", begin.elapsed());
}
