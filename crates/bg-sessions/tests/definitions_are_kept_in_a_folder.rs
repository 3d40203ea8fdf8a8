//! Definitions as files: what is persisted is there after a restart, and a broken file is skipped.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use bg_sessions::{AgentSpec, Agents, ChangeError, Models, ScriptModel};

fn open(folder: &Path) -> Agents {
    let models = Models::new("script", ScriptModel::new("say x".parse().unwrap()));
    Agents::builder(models).folder(folder).build().unwrap()
}

fn names(agents: &Agents) -> Vec<String> {
    agents.specs().into_iter().map(|spec| spec.name).collect()
}

fn files(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    let mut files: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn what_was_persisted_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("agents");
    let agents = open(&folder);
    let spec = AgentSpec::new("explore").with_instructions("Look.").with_tags(["a", "b"]);
    assert!(agents.upsert(spec.clone(), true).await.unwrap().is_persisted);
    agents.upsert(AgentSpec::new("passing"), false).await.unwrap();
    let again = open(&folder);
    assert_eq!((names(&again), again.get("explore")), (vec!["explore".to_owned()], Some(spec)));
    assert_eq!(files(&folder), ["explore.json"]);
}

#[tokio::test]
async fn a_definition_that_was_removed_is_gone_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let agents = open(folder.path());
    agents.upsert(AgentSpec::new("explore"), true).await.unwrap();
    assert!(agents.remove("Explore").await.unwrap());
    assert!(!agents.remove("explore").await.unwrap());
    assert_eq!((names(&agents), names(&open(folder.path()))), (vec![], vec![]));
}

#[tokio::test]
async fn a_broken_file_is_named_and_skipped() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).upsert(AgentSpec::new("good"), true).await.unwrap();
    let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
    write("broken.json", b"{\"name\": \"broken\", ");
    write("bytes.json", &[0xFF, 0xFE, 0]);
    write("empty.json", b"");
    write("huge.json", &vec![b' '; (256 << 10) + 1]);
    write("other.json", br#"{"name": "good"}"#);
    write("tool.json", br#"{"name": "tool", "tools": ["Fly"]}"#);
    write("unknown.json", br#"{"name": "unknown", "colour": "red"}"#);
    write("notes.txt", b"not ours");
    write("good.1.part", b"an interrupted write");
    fs::create_dir(folder.path().join("folder.json")).unwrap();
    let agents = open(folder.path());
    assert_eq!(names(&agents), ["good"]);
    let mut skipped: Vec<_> = agents.skipped().iter().map(ToString::to_string).collect();
    skipped.sort();
    assert_eq!(skipped.len(), 8, "{skipped:?}");
    assert!(skipped.iter().all(|line| line.contains(" was skipped: ")), "{skipped:?}");
    assert!(files(folder.path()).contains(&"broken.json".to_owned()), "it is left where it is");
}

#[tokio::test]
async fn a_write_that_fails_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let agents = open(folder.path());
    agents.upsert(AgentSpec::new("a").with_description("old"), true).await.unwrap();
    // In the place of the file is a folder that is not empty: no rename replaces it.
    fs::create_dir_all(folder.path().join("b.json/x")).unwrap();
    let error = agents.upsert(AgentSpec::new("b"), true).await.unwrap_err();
    assert!(matches!(error, ChangeError::Store(_)), "{error}");
    let huge = AgentSpec::new("a").with_instructions("x".repeat(300 << 10));
    let error = agents.upsert(huge, true).await.unwrap_err();
    assert!(matches!(error, ChangeError::Store(_)), "{error}");
    assert_eq!(names(&agents), ["a"]);
    assert_eq!(agents.get("a").unwrap().description, "old");
    assert_eq!(files(folder.path()), ["a.json", "b.json"], "nothing is left of the attempts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_changes_what_is_stored_is_what_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let agents = open(folder.path());
    let changes: Vec<_> = (0..32)
        .map(|number| {
            let agents = agents.clone();
            let spec = AgentSpec::new("a").with_description(number.to_string());
            tokio::spawn(async move { agents.upsert(spec, true).await.unwrap() })
        })
        .collect();
    let mut new = 0;
    for change in changes {
        new += u32::from(change.await.unwrap().is_new);
    }
    assert_eq!(new, 1);
    assert_eq!(open(folder.path()).get("a"), agents.get("a"));
}
