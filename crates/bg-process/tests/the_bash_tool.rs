//! The `Bash` tool as a model uses it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use bg_process::Bash;
use bg_tools::{ToolContext, Toolbox, Wire, task_tools};
use serde_json::{Value, json};
use support::{Host, all_dead, host, numbers};

struct Caller {
    host: Host,
    tools: Toolbox,
    cx: ToolContext,
}

fn caller() -> Caller {
    let host = host();
    let tools = Toolbox::new().with(Bash::new("/")).unwrap().with_all(task_tools()).unwrap();
    let cx = ToolContext::new(host.root.clone());
    Caller { host, tools, cx }
}

impl Caller {
    async fn call(&self, tool: &str, args: Value) -> Wire {
        self.tools.call(&self.cx, tool, &args.to_string()).await.into_wire()
    }

    async fn answer(&self, tool: &str, args: Value) -> Value {
        let wire = self.call(tool, args).await;
        assert!(wire.success, "{}", wire.output);
        serde_json::from_str(&wire.output).unwrap()
    }
}

#[tokio::test]
async fn a_foreground_command_answers_with_its_exit_code_and_output() {
    let caller = caller();
    let answer = caller.answer("Bash", json!({"command": "pwd; exit 3", "cwd": "tmp"})).await;
    assert_eq!(answer["status"], "exited");
    assert_eq!(answer["exit_code"], 3);
    assert_eq!(answer["output"]["text"], "/tmp\n");
    assert_eq!(caller.host.root.inbox().drain().count(), 0, "the answer delivered it");
}

#[tokio::test]
async fn a_slow_command_goes_on_in_the_background_and_says_so() {
    let caller = caller();
    let args = json!({"command": "echo begun; sleep 1000", "timeout_secs": 1});
    let answer = caller.answer("Bash", args).await;
    assert_eq!(answer["status"], "running");
    assert_eq!(answer["output"]["text"], "begun\n");
    assert!(answer["note"].as_str().unwrap().contains("background"));
    let id = &answer["task_id"];
    let stopped = caller.answer("CancelTask", json!({"task_id": id})).await;
    let receipt = json!({
        "requested": {"grace_ms": 5000}, "signals": ["SIGTERM"], "exit_code": null, "signal": 15,
        "containment": "marked", "survivors": [], "unattributed": [],
        "verdict": "gone_as_far_as_seen",
    });
    let expected =
        json!({"task_id": id, "cancelled": true, "status": "killed", "receipt": receipt});
    assert_eq!(stopped, expected);
    let waited = caller.answer("WaitTask", json!({"task_id": id})).await;
    assert_eq!(waited["status"], "killed");
    assert_eq!((&waited["exit_code"], &waited["signal"]), (&Value::Null, &json!(15)));
    assert_eq!(waited["receipt"], receipt);
}

#[tokio::test]
async fn a_background_command_answers_with_its_task_id() {
    let caller = caller();
    let answer = caller.answer("Bash", json!({"command": "echo x", "background": true})).await;
    assert_eq!(answer["task_id"], "process:1");
    let waited = caller.answer("WaitTask", json!({"task_id": "1", "timeout_secs": "20"})).await;
    let output = json!({"text": "x\n", "omitted_bytes": 0, "next_cursor": 2});
    let expected =
        json!({"task_id": "process:1", "status": "exited", "exit_code": 0, "output": output});
    assert_eq!(waited, expected);
    let read = caller.answer("ReadTaskOutput", json!({"task_id": 1, "cursor": 1})).await;
    assert_eq!(read["text"], "\n");
    assert_eq!(read["eof"], true);
}

#[tokio::test]
async fn the_list_shows_a_process_by_its_command() {
    let caller = caller();
    caller.answer("Bash", json!({"command": "exit 5", "background": true})).await;
    let id = "process:1".parse().unwrap();
    caller.host.root.wait([id]).await.unwrap();
    let mut list = caller.answer("ListBackgroundTasks", json!({})).await;
    list[0]["age_secs"] = json!(0);
    let entry = json!({
        "task_id": "process:1", "task_type": "process", "description": "exit 5",
        "status": "exited", "age_secs": 0, "exit_code": 5,
    });
    assert_eq!(list, json!([entry]));
}

#[tokio::test]
async fn a_call_that_is_dropped_stops_its_command() {
    let caller = caller();
    let args = json!({"command": "echo $$ begun; exec sleep 1000"}).to_string();
    let mut call = Box::pin(caller.tools.call(&caller.cx, "Bash", &args));
    let id = "process:1".parse().unwrap();
    let text = tokio::select! {
        _ = &mut call => panic!("it does not end by itself"),
        text = async {
            while caller.host.root.log(id).ok().flatten().is_none() {
                tokio::task::yield_now().await;
            }
            caller.host.output_with(id, "begun").await
        } => text,
    };
    drop(call);
    all_dead(&numbers(&text), std::time::Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_cannot_run_is_an_error_that_says_why() {
    let caller = caller();
    let wire = caller.call("Bash", json!({"command": "true", "cwd": "no/such"})).await;
    assert!(!wire.success);
    assert!(wire.output.contains("/no/such"), "{}", wire.output);
    let wire = caller.call("Bash", json!({})).await;
    assert_eq!(wire.output, "Bash: missing required field `command`");
}

#[tokio::test]
async fn an_output_that_is_not_complete_says_who_holds_the_pipe() {
    let caller = caller();
    let command = "setsid sleep 47 & echo $!; exit 4";
    let answer = caller.answer("Bash", json!({"command": command})).await;
    let holder = &answer["output_incomplete"]["holders"][0];
    assert_eq!((&answer["exit_code"], &holder["command"]), (&json!(4), &json!("sleep 47")));
    let pid: u32 = answer["output"]["text"].as_str().unwrap().trim().parse().unwrap();
    assert_eq!(holder["pid"], pid);
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
