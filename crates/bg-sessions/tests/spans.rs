//! Spans, by the names of the OpenTelemetry conventions for generative AI.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bg_core::Registry;
use bg_sessions::{AgentSpec, Agents, ModelError, Models, Turn};
use common::{AGENT, echo, toolbox, turns};
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Instrument, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// A span as it was seen.
#[derive(Clone, Debug, Default)]
struct Seen {
    name: &'static str,
    fields: BTreeMap<&'static str, String>,
    parent: Option<u64>,
    follows: Vec<u64>,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

/// Keeps all spans.
#[derive(Clone, Default)]
struct Keep(Arc<Mutex<BTreeMap<u64, Seen>>>);

impl<S: Subscriber> Layer<S> for Keep {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let parent = attributes.parent().cloned();
        let parent = parent.or_else(|| cx.current_span().id().cloned());
        let mut seen = Seen {
            name: attributes.metadata().name(),
            parent: parent.map(|id| id.into_u64()),
            ..Seen::default()
        };
        attributes.record(&mut seen);
        self.0.lock().insert(id.into_u64(), seen);
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, _: Context<'_, S>) {
        if let Some(seen) = self.0.lock().get_mut(&id.into_u64()) {
            record.record(seen);
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, _: Context<'_, S>) {
        if let Some(seen) = self.0.lock().get_mut(&id.into_u64()) {
            seen.follows.push(follows.into_u64());
        }
    }
}

impl Keep {
    /// The spans of a name, with their ids.
    fn named(&self, name: &str) -> Vec<(u64, Seen)> {
        let spans = self.0.lock();
        let named = spans.iter().filter(|(_, seen)| seen.name == name);
        named.map(|(id, seen)| (*id, seen.clone())).collect()
    }
}

#[track_caller]
fn has(seen: &Seen, expected: &[(&str, &str)]) {
    for (field, value) in expected {
        assert_eq!(seen.fields.get(field).map(String::as_str), Some(*value), "{field} of {seen:?}");
    }
}

/// Runs the agent of the tests inside a span of the host's.
async fn seen(turns_of_it: Vec<Turn>) -> (Keep, u64) {
    let keep = Keep::default();
    let _on_this_thread =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(keep.clone()));
    let helper = AgentSpec::new("helper");
    let agents = Agents::builder(Models::new("test", turns(turns_of_it)))
        .toolbox(toolbox([echo()]))
        .agents([helper, AgentSpec::new(AGENT).with_tools(["Echo", "SA_helper"])])
        .build()
        .unwrap();
    let registry = Registry::new();
    let root = registry.root_scope();
    let host = tracing::info_span!("host");
    let host_id = host.id().unwrap().into_u64();
    agents.run(&root, AGENT, "go").instrument(host).await.unwrap();
    (keep, host_id)
}

#[tokio::test]
async fn a_run_its_requests_and_its_calls_have_spans_with_what_they_cost() {
    let turns =
        vec![Turn::calls([("Echo", r#"{"text": "hi"}"#), ("Nope", "{}")]), Turn::say("done")];
    let (keep, host) = seen(turns).await;
    let [(run, seen)] = &keep.named("invoke_agent")[..] else { panic!("not one run") };
    has(
        seen,
        &[
            ("otel.name", "invoke_agent worker"),
            ("gen_ai.operation.name", "invoke_agent"),
            ("gen_ai.agent.name", AGENT),
            ("gen_ai.request.model", "turns"),
            ("bg.task.id", "agent:1"),
            ("gen_ai.usage.input_tokens", "20"),
            ("gen_ai.usage.output_tokens", "2"),
        ],
    );
    assert_eq!((seen.parent, &seen.follows[..]), (None, &[host][..]));
    let chats = keep.named("chat");
    assert_eq!(chats.len(), 2);
    for (_, chat) in &chats {
        has(chat, &[("gen_ai.operation.name", "chat"), ("gen_ai.usage.input_tokens", "10")]);
        assert_eq!(chat.parent, Some(*run));
    }
    let calls = keep.named("execute_tool");
    let [(_, good), (_, bad)] = &calls[..] else { panic!("not two calls: {calls:?}") };
    has(
        good,
        &[
            ("otel.name", "execute_tool Echo"),
            ("gen_ai.operation.name", "execute_tool"),
            ("gen_ai.tool.name", "Echo"),
            ("gen_ai.tool.call.id", "0-Echo"),
        ],
    );
    assert_eq!((good.parent, good.fields.get("error.type")), (Some(*run), None));
    assert!(bad.fields["error.type"].contains("unknown tool"), "{bad:?}");
}

#[tokio::test]
async fn a_child_in_the_background_is_linked_to_the_call_that_started_it() {
    let (keep, _) = seen(vec![
        Turn::call("SA_helper", r#"{"prompt": "help", "background": true}"#),
        Turn::say("started"),
        Turn::say("helped"),
        Turn::say("done"),
    ])
    .await;
    let runs = keep.named("invoke_agent");
    let (_, child) =
        runs.iter().find(|(_, run)| run.fields["gen_ai.agent.name"] == "helper").unwrap();
    let [(call, _)] = &keep.named("execute_tool")[..] else { panic!("not one call") };
    assert_eq!((child.parent, &child.follows[..]), (None, &[*call][..]));
}

#[tokio::test]
async fn a_run_that_fails_says_why() {
    let (keep, _) = seen(vec![Turn::Fail(ModelError::fatal("wrong key"))]).await;
    let [(_, seen)] = &keep.named("invoke_agent")[..] else { panic!("not one run") };
    has(seen, &[("error.type", "the model failed"), ("gen_ai.usage.input_tokens", "0")]);
}
