//! Notifications of the Tasks extension over `bg mcp`: who listens is told, and needs to ask for nothing.
#![cfg(all(target_os = "linux", feature = "mcp"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use support::mcp::{Client, Long};
use support::mcp_http::{self, Server};
use support::{Folder, until};

const SOON: Duration = Duration::from_secs(20);
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
const ONE: &str = "one-0123456789abcdef";
const TWO: &str = "two-0123456789abcdef";

fn filter(ids: &[&str]) -> Value {
    json!({"notifications": {"taskIds": ids, "toolsListChanged": true}})
}

/// What a notification or the result of a subscription belongs to.
fn subscription(message: &Value) -> &Value {
    let part = if message["method"].is_null() { "result" } else { "params" };
    &message[part]["_meta"][SUBSCRIPTION]
}

/// Opens a subscription; returns its id, and what was agreed to.
#[track_caller]
fn listen(client: &mut Client, ids: &[&str]) -> (i64, Value) {
    let id = client.send("subscriptions/listen", filter(ids));
    let first = next(client, id);
    assert_eq!(first["method"], ACKNOWLEDGED, "{first}");
    (id, first["params"]["notifications"].clone())
}

/// The next message of a subscription.
fn next(client: &mut Client, id: i64) -> Value {
    client.hear_one(|message| *subscription(message) == json!(id) || message["id"] == json!(id))
}

/// A task as a notification tells it.
fn told(mut message: Value) -> Value {
    assert_eq!(message["method"], "notifications/tasks", "{message}");
    let mut task = message["params"].take();
    task.as_object_mut().unwrap().remove("_meta");
    task
}

/// The same as the answer to a question tells it.
fn got(mut answer: Value) -> Value {
    let mut task = answer["result"].take();
    task.as_object_mut().unwrap().retain(|key, _| key != "_meta" && key != "resultType");
    task
}

#[test]
fn who_listens_is_told_what_asking_would_tell_and_has_its_result() {
    let folder = Folder::new();
    let mut client = Client::latest(&folder, true);
    let first = Long::start(&mut client, "read line; echo got $line");
    let second = Long::start(&mut client, "read line; exit 3");
    let unknown = "0".repeat(32);
    let (id, agreed) = listen(&mut client, &[&first.id, &second.id, &first.id, &unknown]);
    let mut own = [&first.id, &second.id];
    own.sort();
    assert_eq!(agreed, json!({"taskIds": own}));
    let mut working = [told(next(&mut client, id)), told(next(&mut client, id))];
    working.sort_by_key(|task| task["taskId"] == json!(second.id));
    for (task, long) in working.iter_mut().zip([&first, &second]) {
        let mut asked = got(long.get(&mut client));
        // What is at work was updated just now.
        assert!(task["lastUpdatedAt"].take().as_str() <= asked["lastUpdatedAt"].take().as_str());
        assert_eq!(*task, asked);
        assert_eq!(task["status"], "working");
        assert!(task["statusMessage"].as_str().unwrap().contains("running"), "{task}");
    }
    // The second one first.
    client.does("SendToTask", json!({"task_id": 2, "message": ""}));
    let ended = told(next(&mut client, id));
    assert_eq!((&ended["taskId"], &ended["status"]), (&json!(second.id), &json!("completed")));
    client.does("SendToTask", json!({"task_id": 1, "message": "it"}));
    let ended = told(next(&mut client, id));
    assert!(ended["result"]["content"][0]["text"].as_str().unwrap().contains("got it"), "{ended}");
    // There is nothing more to tell.
    let over = next(&mut client, id);
    assert_eq!((&over["id"], subscription(&over)), (&json!(id), &json!(id)));
    assert_eq!(over["result"]["resultType"], "complete");
    // It was told, so it was delivered; and it can still be asked for.
    assert_eq!(client.does("ListBackgroundTasks", json!({})), json!([]));
    assert_eq!(got(first.get(&mut client)), ended);
}

#[test]
fn what_has_ended_is_told_at_once_and_without_a_task_there_is_nothing_to_hear() {
    let folder = Folder::new();
    let mut client = Client::latest(&folder, true);
    let long = Long::start(&mut client, "read line; echo $line");
    client.does("SendToTask", json!({"task_id": 1, "message": "it"}));
    let ended = long.ended(&mut client, "completed");
    let (id, _) = listen(&mut client, &[&long.id]);
    assert_eq!(told(next(&mut client, id))["result"], ended["result"]);
    assert_eq!(next(&mut client, id)["result"]["resultType"], "complete");

    let (id, agreed) = listen(&mut client, &["no such task"]);
    assert_eq!(agreed, json!({}));
    assert_eq!(next(&mut client, id)["result"]["resultType"], "complete");
}

#[test]
fn a_task_that_is_stopped_is_told_as_cancelled() {
    let folder = Folder::new();
    let mut client = Client::latest(&folder, true);
    let long = Long::start(&mut client, "sleep 1000; :");
    let (id, _) = listen(&mut client, &[&long.id]);
    assert_eq!(told(next(&mut client, id))["status"], "working");
    client.ask("tasks/cancel", json!({"taskId": long.id}));
    assert_eq!(told(next(&mut client, id))["status"], "cancelled");
    assert_eq!(next(&mut client, id)["result"]["resultType"], "complete");
}

#[test]
fn a_stream_ends_with_the_time_of_its_task() {
    let folder = Folder::new();
    let mut client = Client::latest_with(&folder, true, &["--task-ttl", "2"]);
    let long = Long::start(&mut client, "read line");
    let (id, _) = listen(&mut client, &[&long.id]);
    assert_eq!(told(next(&mut client, id))["status"], "working");
    // It may still be told that the task was stopped, or be gone before that.
    let mut last = next(&mut client, id);
    if last["method"] == "notifications/tasks" {
        assert_eq!(told(last)["status"], "cancelled");
        last = next(&mut client, id);
    }
    assert_eq!(last["result"]["resultType"], "complete", "{last}");
}

#[test]
fn a_subscription_that_is_cancelled_ends_and_nothing_else_does() {
    let folder = Folder::new();
    let mut client = Client::latest(&folder, true);
    let long = Long::start(&mut client, "read line; echo got $line");
    let open: Vec<i64> = (0..64).map(|_| listen(&mut client, &[&long.id]).0).collect();
    let many = client.ask("subscriptions/listen", filter(&[&long.id]));
    assert_eq!(many["error"]["code"], -32600, "{many}");
    for id in &open {
        client.cancel(*id);
    }
    let mut id = 0;
    until("there is a place", SOON, || {
        id = client.send("subscriptions/listen", filter(&[&long.id]));
        next(&mut client, id)["error"].is_null()
    });
    assert_eq!(told(next(&mut client, id))["status"], "working");
    client.does("SendToTask", json!({"task_id": 1, "message": "it"}));
    assert_eq!(told(next(&mut client, id))["status"], "completed");
    next(&mut client, id);
    // The others were told how it was, and no more.
    for id in open {
        assert_eq!(told(next(&mut client, id))["status"], "working");
        assert!(!client.has_heard(|message| *subscription(message) == json!(id)));
    }
}

#[test]
fn who_may_not_listen_or_says_it_badly_is_told_why() {
    let folder = Folder::new();
    let mut client = Client::latest(&folder, false);
    let missing = client.ask("subscriptions/listen", filter(&["x"]));
    assert_eq!(missing["error"]["code"], -32021, "{missing}");
    let tasks = &missing["error"]["data"]["requiredCapabilities"]["extensions"];
    assert_eq!(*tasks, json!({"io.modelcontextprotocol/tasks": {}}));

    let mut client = Client::latest(&folder, true);
    for bad in [
        json!({}),
        json!({"notifications": 1}),
        json!({"notifications": {"taskIds": "x"}}),
        json!({"notifications": {"taskIds": [1]}}),
    ] {
        let refused = client.ask("subscriptions/listen", bad);
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
    }
    let mut client = Client::handshaken(&folder, &[]);
    let refused = client.ask("subscriptions/listen", filter(&["x"]));
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
}

/// The stream of a subscription over HTTP.
struct Stream {
    stream: TcpStream,
    seen: String,
}

impl Stream {
    fn open(client: &mcp_http::Client, ids: &[&str]) -> Self {
        let (request, body) = client.request("subscriptions/listen", filter(ids));
        let stream = request.send("POST", &body);
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self { stream, seen: String::new() }
    }

    /// Reads until this was in it.
    #[track_caller]
    fn until(&mut self, what: &str) {
        let mut bytes = [0; 4096];
        while !self.seen.contains(what) {
            let read = self.stream.read(&mut bytes).unwrap();
            assert!(read > 0, "the stream ended: {}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }

    /// Reads to the end; returns all that was in it.
    fn rest(&mut self) -> [Value; 4] {
        // The end is what says that all of it was taken.
        self.stream.read_to_string(&mut self.seen).unwrap();
        let events = self.seen.lines().filter_map(|line| line.strip_prefix("data: "));
        let messages: Vec<Value> =
            events.map(|event| serde_json::from_str(event).unwrap()).collect();
        messages.try_into().unwrap()
    }
}

fn start(client: &mcp_http::Client) -> Long {
    let args =
        json!({"command": "read line; echo got $line", "timeout_secs": 600, "interactive": true});
    Long::of(&client.ask("tools/call", json!({"name": "Bash", "arguments": args})))
}

#[test]
fn over_http_a_stream_tells_of_the_clients_own_tasks_and_ends_with_the_last() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[("ONE", ONE), ("TWO", TWO)], &[]);
    let mut client = server.client().bearing(ONE);
    client.with_tasks = true;
    let mut other = server.client().bearing(TWO);
    other.with_tasks = true;
    let long = start(&client);
    let foreign = Stream::open(&other, &[&long.id]);
    let foreign = mcp_http::reply(foreign.stream).messages();
    assert_eq!(foreign[0]["params"]["notifications"], json!({}), "{foreign:?}");
    assert_eq!(foreign.len(), 2, "{foreign:?}");

    let mut stream = Stream::open(&client, &[&long.id]);
    stream.until("\"working\"");
    client.does("SendToTask", json!({"task_id": 1, "message": "it"}));
    let [acknowledged, working, ended, over] = stream.rest();
    assert_eq!(acknowledged["params"]["notifications"], json!({"taskIds": [long.id]}));
    assert_eq!(told(working)["status"], "working");
    assert_eq!(told(ended.clone())["status"], "completed");
    assert!(ended["params"]["result"].to_string().contains("got it"), "{ended}");
    assert_eq!((&over["id"], &over["result"]["resultType"]), (&json!(1), &json!("complete")));
    until("it counts as delivered", SOON, || {
        client.does("ListBackgroundTasks", json!({})) == json!([])
    });
}

#[test]
fn over_http_a_stream_that_breaks_ends_nothing_and_its_result_is_still_to_be_had() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[], &[]);
    let mut client = server.client();
    client.with_tasks = true;
    let (long, second) = (start(&client), start(&client));
    let mut stream = Stream::open(&client, &[&long.id, &second.id]);
    stream.until("\"working\"");
    client.does("SendToTask", json!({"task_id": 1, "message": "it"}));
    stream.until("got it");
    // The second one is still at work, so this is not the end of it.
    stream.stream.shutdown(Shutdown::Both).unwrap();
    until("it is to be delivered again", SOON, || {
        let tasks = client.does("ListBackgroundTasks", json!({}));
        tasks.as_array().unwrap().iter().any(|task| task["task_id"] == "process:1")
    });
    let got = client.ask("tasks/get", json!({"taskId": long.id}));
    assert_eq!(got["result"]["status"], "completed", "{got}");
    let at_work = client.ask("tasks/get", json!({"taskId": second.id}));
    assert_eq!(at_work["result"]["status"], "working", "{at_work}");
}

#[test]
fn over_http_a_header_that_says_something_else_is_refused() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[], &[]);
    let mut client = server.client();
    client.with_tasks = true;
    let (request, body) = client.request("subscriptions/listen", filter(&[]));
    let refused = request.with("Mcp-Method", "tools/list").exchange("POST", &body);
    assert_eq!(refused.status, 400, "{refused:?}");
}
