//! What comes of a stream.

use bg_sessions::{ModelReply, Part};
use serde_json::{Value, json};

use crate::support::{self, LAST_PIECE, STREAM_HEAD, Server, Step, ask, piece};
use crate::vendors::{
    answer, anthropic, builder, close, delta, event, finish, open, start, streamed, text,
};

async fn reply(answer: Vec<u8>) -> ModelReply {
    let server = Server::answering(vec![answer]).await;
    ask(&anthropic(&server)).await.unwrap()
}

fn counts(reply: &ModelReply) -> (u64, u64, u64, u64) {
    let usage = reply.usage;
    (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.requests)
}

fn calls(reply: &ModelReply) -> Vec<(&str, &str, &str)> {
    let calls = reply.tool_calls();
    calls.map(|call| (call.id.as_str(), call.name.as_str(), call.args.as_str())).collect()
}

fn called(index: u64, id: &str, name: &str, args: &[&str]) -> Vec<Value> {
    let mut events =
        vec![open(index, json!({"type": "tool_use", "id": id, "name": name, "input": {}}))];
    let piece =
        |args: &&str| delta(index, json!({"type": "input_json_delta", "partial_json": args}));
    events.extend(args.iter().map(piece));
    events.push(close(index));
    events
}

#[tokio::test]
async fn a_text_has_its_cost_and_what_was_in_the_cache_is_part_of_the_input() {
    let reply = reply(answer("h\u{e4}")).await;
    assert_eq!(reply.text(), "h\u{e4}");
    assert_eq!(counts(&reply), (10, 5, 3, 1));
}

#[tokio::test]
async fn an_answer_that_is_cut_by_the_limit_of_tokens_says_so() {
    for (why, is_cut) in [("max_tokens", true), ("end_turn", false)] {
        let mut events = text("once upon");
        events.splice(4.., finish(why, 5));
        let reply = reply(streamed(&events)).await;
        assert_eq!((&*reply.text(), reply.is_cut), ("once upon", is_cut));
    }
}

#[tokio::test]
async fn thoughts_text_and_parallel_calls_come_in_this_order() {
    let mut events = vec![
        start(7, 0),
        open(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
        delta(0, json!({"type": "signature_delta", "signature": "sig"})),
        close(0),
        open(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "I look."})),
        close(1),
    ];
    events.extend(called(2, "a", "Read", &["{\"z\": 1,", " \"a\": 2}"]));
    events.extend(called(3, "b", "Grep", &[]));
    events.extend(called(4, "b", "Odd", &["{\"x\""]));
    events.extend(finish("tool_use", 9));
    let reply = reply(streamed(&events)).await;
    let Part::Thinking(thinking) = &reply.parts[0] else { panic!("{reply:?}") };
    assert_eq!((thinking.text.as_str(), thinking.signature.as_deref()), ("hm", Some("sig")));
    assert_eq!(reply.parts[1], Part::text("I look."));
    let expected =
        [("a", "Read", "{\"z\":1,\"a\":2}"), ("b", "Grep", "{}"), ("call_1_2", "Odd", "{\"x\"")];
    assert_eq!(calls(&reply), expected);
    assert_eq!(counts(&reply), (7, 9, 0, 1));
}

#[tokio::test]
async fn an_answer_that_was_cut_by_a_limit_of_tokens_is_an_answer() {
    let mut events =
        vec![start(1, 0), open(0, json!({"type": "tool_use", "id": "a", "name": "Read"}))];
    events.push(delta(0, json!({"type": "input_json_delta", "partial_json": "{\"path"})));
    events.extend(finish("max_tokens", 2));
    assert_eq!(calls(&reply(streamed(&events)).await), [("a", "Read", "{\"path")]);
}

#[tokio::test]
async fn a_stream_of_single_bytes_is_the_same_answer() {
    let events: String = text("a\u{1f600}b").iter().map(event).collect();
    let mut script = vec![Step::Read, Step::Send(STREAM_HEAD.as_bytes().to_vec())];
    script.extend(events.bytes().map(|byte| Step::Send(piece(&[byte]))));
    script.push(Step::Send(LAST_PIECE.as_bytes().to_vec()));
    let server = Server::start(vec![script]).await;
    let reply = ask(&anthropic(&server)).await.unwrap();
    assert_eq!(reply.text(), "a\u{1f600}b");
    assert_eq!(counts(&reply), (10, 5, 3, 1));
}

#[tokio::test]
async fn gemini_is_understood_too() {
    let part = |part: Value| json!({"candidates": [{"content": {"parts": [part]}}]});
    let call = |name: &str| json!({"functionCall": {"name": name, "args": {"b": 1, "a": 2}}});
    let mut last = part(call("Grep"));
    last["candidates"][0]["finishReason"] = json!("STOP");
    last["usageMetadata"] = json!({"promptTokenCount": 10, "candidatesTokenCount": 4,
        "thoughtsTokenCount": 2, "cachedContentTokenCount": 3});
    let events = [
        part(json!({"text": "hm", "thought": true})),
        part(json!({"text": "I look."})),
        part(call("Read")),
        last,
    ];
    let body: String = events.iter().map(support::event).collect();
    let server = Server::answering(vec![support::stream([body.as_bytes()])]).await;
    let model = builder(&server, "gemini").build().unwrap();
    let reply = ask(&model).await.unwrap();
    assert_eq!((reply.thoughts().as_deref(), reply.text().as_str()), (Some("hm"), "I look."));
    let made: Vec<_> = calls(&reply).into_iter().map(|(_, name, args)| (name, args)).collect();
    assert_eq!(made, [("Read", "{\"b\":1,\"a\":2}"), ("Grep", "{\"b\":1,\"a\":2}")]);
    assert_eq!(counts(&reply), (10, 6, 3, 1));
    let line = server.requests()[0].lines().next().unwrap().to_owned();
    assert_eq!(line, "POST /v1/models/tiny:streamGenerateContent?alt=sse HTTP/1.1");
}

#[tokio::test]
async fn ollamas_lines_are_understood_too() {
    let lines = [
        json!({"message": {"role": "assistant", "content": "he"}, "done": false}),
        json!({"message": {"role": "assistant", "content": "y"}, "done": false}),
        json!({"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop",
            "prompt_eval_count": 4, "eval_count": 2}),
    ];
    let body = lines.map(|line| line.to_string()).join("\n") + "\n";
    let answer = support::http("200 OK", &["content-type: application/x-ndjson"], &body);
    let server = Server::answering(vec![answer]).await;
    let model = builder(&server, "ollama").build().unwrap();
    let reply = ask(&model).await.unwrap();
    assert_eq!(reply.text(), "hey");
    assert_eq!(counts(&reply), (4, 2, 0, 1));
}
