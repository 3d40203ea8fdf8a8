//! A run over the wire: what goes wrong on the way is asked for again, and paid once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use crate::support;

use bg_core::{Outcome, Registry};
use bg_sessions::{AgentSpec, Agents, Models};
use bg_tools::{Toolbox, task_tools};
use serde_json::json;
use support::{Server, delta, finish, http, say, stream, streamed, usage};

fn agents(server: &Server) -> Agents {
    Agents::builder(Models::new("wire", server.model()))
        .toolbox(Toolbox::new().with_all(task_tools()).unwrap())
        .agent(AgentSpec::new("watch").with_tools(["ListBackgroundTasks"]))
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_limit_and_a_cut_stream_are_met_between_two_calls_and_the_answer() {
    let call = |index: u64| {
        let function = json!({"name": "ListBackgroundTasks", "arguments": "{}"});
        delta(json!({"tool_calls": [{"index": index, "id": "same", "function": function}]}))
    };
    let half = support::event(&say("they a"));
    let server = Server::answering(vec![
        http("429 x", &["retry-after: 0"], "slow down"),
        streamed(&[call(0), call(1), finish("tool_calls"), usage(20, 7, 5)]),
        stream([half.as_bytes()]),
        streamed(&[say("they are none"), finish("stop"), usage(30, 9, 20)]),
    ])
    .await;
    let registry = Registry::new();
    let done = agents(&server).run(&registry.root_scope(), "watch", "which?").await.unwrap();
    let output = done.outcome.output().unwrap();
    assert_eq!(output.text, "they are none");
    let cost = output.usage();
    assert_eq!((cost.input_tokens, cost.output_tokens, cost.cached_tokens), (50, 16, 25));
    assert_eq!((cost.requests, cost.tool_calls), (2, 2));
    let messages = &server.bodies()[3]["messages"];
    let ids: Vec<_> = (2..4).map(|at| messages[at]["tool_call_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["same", "call_1_1"]);
    assert_eq!(messages[1]["tool_calls"][1]["id"], "call_1_1");
}

#[tokio::test]
async fn a_run_that_fails_names_what_the_server_said() {
    let error = json!({"error": {"message": "no such model", "code": "model_not_found"}});
    let server = Server::answering(vec![http("404 x", &[], &error.to_string())]).await;
    let registry = Registry::new();
    let done = agents(&server).run(&registry.root_scope(), "watch", "which?").await.unwrap();
    let Outcome::Failed(failure) = &done.outcome else { panic!("{done:?}") };
    let line = "the model failed: the server does not take the request: HTTP 404 \
                (model_not_found): no such model";
    assert_eq!(failure.to_string(), line);
}
