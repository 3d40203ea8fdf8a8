//! Attachments: who takes them, how large they may be, and what is shown of them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::support;

use async_trait::async_trait;
use bg_tools::{
    Resource, ResourceContent, ResourceError, Tool, ToolContext, ToolDefinition, ToolError,
    ToolOutput, Toolbox, select_resources,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::caller;

fn resource(name: &str, tags: &[&str]) -> Resource {
    Resource::new(name).with_text("x").with_tags(tags.iter().copied())
}

/// Checks which of four resources a receiver takes.
#[track_caller]
fn check(tags: &[&str], expected: &[&str]) {
    let all = [
        resource("chart", &["image", "data"]),
        resource("notes", &[]),
        resource("song", &[" Sound "]),
        resource("star", &["*", ""]),
    ];
    let tags: Vec<String> = tags.iter().map(|&tag| tag.to_owned()).collect();
    let mut left = all.to_vec();
    let taken = select_resources(&mut left, &tags);
    let names = |all: &[Resource]| all.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&taken), expected);
    let stays = all.iter().filter(|one| !expected.contains(&one.name.as_str()));
    assert_eq!(left, stays.cloned().collect::<Vec<_>>());
}

#[test]
fn no_tags_take_nothing() {
    check(&[], &[]);
    check(&["", "  "], &[]);
}

#[test]
fn a_star_takes_everything_wherever_it_stands() {
    for tags in [&["*"][..], &["text", " * "], &["*", "image"]] {
        check(tags, &["chart", "notes", "song", "star"]);
    }
    check(&["**"], &[]);
}

#[test]
fn a_tag_takes_what_has_it_in_any_case() {
    check(&["DATA"], &["chart"]);
    check(&["none", "\tsound"], &["song"]);
    check(&["sound", "image"], &["chart", "song"]);
    check(&["imag", "images"], &[]);
    let umlaut = resource("a", &["\u{C4}rger"]);
    assert!(umlaut.is_for(&["\u{E4}RGER".to_owned()]));
}

/// What the documentation says, a sentence a line.
fn reference(all: &[Resource], tags: &[String]) -> (Vec<Resource>, Vec<Resource>) {
    let norm = |tag: &String| tag.trim().to_lowercase();
    let tags: Vec<String> = tags.iter().map(norm).filter(|tag| !tag.is_empty()).collect();
    let takes = |one: &Resource| {
        tags.contains(&"*".to_owned()) || one.tags.iter().map(norm).any(|tag| tags.contains(&tag))
    };
    all.iter().cloned().partition(takes)
}

fn any_tags() -> impl Strategy<Value = Vec<String>> {
    vec("[ ]?[abAB\u{C4}\u{E4}]{0,2}[ ]?|\\*", 0..4)
}

fn any_name() -> impl Strategy<Value = String> {
    "[\\]\\[\"\\\\\n\r\u{85}\u{202E}\u{2028}a ,]{0,20}|(?s).{0,300}"
}

proptest! {
    #[test]
    fn what_is_moved_out_and_what_stays_is_that_of_the_reference(
        all in vec((any_tags(), "[a-z]{1,4}"), 0..12),
        tags in any_tags(),
    ) {
        let all: Vec<Resource> =
            all.into_iter().map(|(tags, name)| Resource::new(name).with_tags(tags)).collect();
        let (taken, stays) = reference(&all, &tags);
        let mut left = all.clone();
        prop_assert!(all.iter().all(|one| one.is_for(&tags) == taken.contains(one)));
        prop_assert_eq!(select_resources(&mut left, &tags), taken);
        prop_assert_eq!(left, stays);
    }

    #[test]
    fn a_resource_survives_being_written_and_read(
        bytes in vec(any::<u8>(), 0..40),
        text in ".{0,20}",
        uri in proptest::option::of(".{0,20}"),
        tags in any_tags(),
    ) {
        let mut linked = Resource::new(text.as_str()).with_tags(tags);
        linked.uri = uri;
        for one in [linked.clone().with_text(text), linked.clone().with_bytes(bytes), linked] {
            let json = serde_json::to_string(&one).unwrap();
            prop_assert_eq!(serde_json::from_str::<Resource>(&json).unwrap(), one);
        }
    }

    /// One line in one pair of brackets, in which nothing is hidden.
    #[test]
    fn no_name_leaves_its_line(name in any_name(), mime in any_name(), uri in any_name()) {
        let one = Resource::new(name).with_mime(mime).with_uri(uri);
        let shown = one.to_string();
        prop_assert!(shown.starts_with("[resource ") && shown.ends_with(']'), "{shown}");
        prop_assert!(shown.lines().count() == 1 && !shown.contains(char::is_control), "{shown}");
        let unquoted = shown.replace("\\\\", "").replace("\\\"", "");
        let outside: String = unquoted.split('"').step_by(2).collect();
        prop_assert_eq!(outside.matches([']', '[']).count(), 2, "{}", shown);
    }
}

#[test]
fn bytes_are_base64_in_json() {
    let one = Resource::new("a").with_mime("image/png").with_bytes([0, 255, 62]).with_tags(["t"]);
    let json =
        json!({"name": "a", "mime": "image/png", "content": {"bytes": "AP8+"}, "tags": ["t"]});
    assert_eq!(serde_json::to_value(&one).unwrap(), json);
    let linked = json!({"name": "a", "uri": "file:///a"});
    assert_eq!(serde_json::to_value(Resource::new("a").with_uri("file:///a")).unwrap(), linked);
    let wrong = json!({"name": "a", "content": {"bytes": "A-"}});
    let error = serde_json::from_value::<Resource>(wrong).unwrap_err().to_string();
    assert!(error.to_lowercase().contains("invalid"), "{error}");
}

#[test]
fn a_resource_is_complete() {
    assert_eq!(Resource::new(" \n").with_text("x").check(), Err(ResourceError::NoName));
    for one in [Resource::new("a"), Resource::new("a").with_uri(" ")] {
        let error = one.check().unwrap_err().to_string();
        assert!(error.ends_with(" needs a text, bytes or a uri"), "{error}");
    }
    assert_eq!(Resource::new("a").with_text("").check(), Ok(()));
    assert_eq!(Resource::new("a").with_uri("file:///a").check(), Ok(()));
}

/// Checks that a part may have this size and no more.
#[track_caller]
fn check_bound(part: &str, limit: usize, of_size: impl Fn(usize) -> Resource) {
    assert_eq!(of_size(limit).check(), Ok(()), "{part}");
    let error = of_size(limit + 1).check().unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("the {part} of [resource ")) && text.len() < 1000, "{text}");
    assert!(text.ends_with(&format!("is too large: {} of at most {limit}", limit + 1)), "{text}");
}

#[test]
fn each_part_has_a_bound() {
    let text = |bytes: usize| "x".repeat(bytes);
    let base = || Resource::new("a").with_text("x");
    check_bound("name", 256, |size| Resource::new(text(size)).with_text("x"));
    check_bound("uri", 8192, |size| base().with_uri(text(size)));
    check_bound("mime", 256, |size| base().with_mime(text(size)));
    check_bound("content", 16 << 20, |size| base().with_bytes(vec![0; size]));
    check_bound("tags", 32, |size| base().with_tags(vec!["t"; size]));
    check_bound("tag", 64, |size| base().with_tags([text(size)]));
}

#[test]
fn what_is_shown_names_it_and_has_none_of_its_content() {
    let secret = Resource::new("a.txt").with_mime("text/plain").with_text("secret");
    let cases = [
        (secret.clone(), "[resource a.txt text/plain, 6 bytes]"),
        (Resource::new("a").with_bytes([7; 3]), "[resource a, 3 bytes]"),
        (Resource::new("a").with_uri("file:///a.txt"), "[resource a, at file:///a.txt]"),
        (
            Resource::new("a").with_uri("DATA:text/plain,secret"),
            "[resource a, a data uri of 22 bytes]",
        ),
        (
            Resource::new("my \"[a]\"\n\u{202E}").with_text(""),
            "[resource \"my \\\"[a]\\\"\\n\\u{202e}\", 0 bytes]",
        ),
        (Resource::new(""), "[resource \"\"]"),
    ];
    for (one, expected) in cases {
        assert_eq!(one.to_string(), expected);
    }
    assert!(!format!("{secret:?}").contains("secret"));
}

#[test]
fn a_copy_shares_its_content() {
    let one = Resource::new("a").with_bytes(vec![7; 1000]);
    let (ResourceContent::Bytes(bytes), ResourceContent::Bytes(copy)) =
        (&one.content, one.clone().content)
    else {
        panic!("{one:?}")
    };
    assert!(std::sync::Arc::ptr_eq(bytes, &copy));
}

/// Answers with the names of what the call may hand on.
struct Names;

#[async_trait]
impl Tool for Names {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<()>("Names", "Names them.")
    }

    async fn call(&self, cx: &ToolContext, _: Value) -> Result<ToolOutput, ToolError> {
        let names: Vec<&str> = cx.resources().iter().map(|one| one.name.as_str()).collect();
        Ok(ToolOutput::text(names.join(" ")))
    }
}

#[tokio::test]
async fn a_call_sees_what_its_caller_has_attached() {
    let tools = Toolbox::new().with(Names).unwrap();
    let cx = caller().cx;
    assert_eq!(tools.call(&cx, "Names", "{}").await.into_wire().output, "");
    let cx = cx.with_resources(vec![resource("a", &[]), resource("b", &[])]);
    assert_eq!(tools.call(&cx, "Names", "{}").await.into_wire().output, "a b");
    assert!(std::ptr::eq(cx.resources(), cx.clone().resources()), "a copy shares them");
    let cx = cx.with_resources(Vec::new());
    assert!(cx.resources().is_empty());
}
