//! The task tools ask the board and nothing else: through a board that owns no task, only a channel
//! to whoever does, every answer is the same.
//!
//! `BG_COUNT=1000000 cargo test --release -p bg-tools --test a_board_behind_a_channel_answers_alike`
//! for volume: it counts pairs of answers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use async_trait::async_trait;
use bg_core::{
    CancelOutcome, Chunk, Claim, ClaimError, Message, Output, Peek, Peeked, Registry, ResolveError,
    Scope, SendError, Snapshot, Task, TaskError, TaskId, WaitFor,
};
use bg_tools::{Piece, Seen, TaskBoard, ToolContext, Toolbox, task_tools};
use support::schema_gen::Volume;
use support::world::{Op, SMALL, Said, World, first_difference, on_paused_clock, script};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

const OPS: usize = 80;

type Reply<T> = oneshot::Sender<T>;

enum Request {
    Resolve(String, Reply<Result<TaskId, ResolveError>>),
    List(u64, usize, Reply<Result<Vec<Snapshot>, TaskError>>),
    Inspect(TaskId, Reply<Result<Snapshot, TaskError>>),
    Peek(TaskId, Peek, Reply<Result<Peeked, TaskError>>),
    Wait(Vec<TaskId>, WaitFor, Duration, Reply<Result<Seen, TaskError>>),
    Claim(TaskId, Reply<Result<Claim, ClaimError>>),
    Cancel(TaskId, String, Reply<Result<CancelOutcome, TaskError>>),
    Read(TaskId, Piece, Reply<Result<Chunk, TaskError>>),
    Send(TaskId, Message, Reply<Result<(), SendError>>),
}

/// A board that has nothing but a channel.
struct Remote(mpsc::Sender<Request>);

impl Remote {
    async fn ask<T, E: From<TaskError>>(
        &self,
        request: impl FnOnce(Reply<Result<T, E>>) -> Request,
    ) -> Result<T, E> {
        let (reply, answer) = oneshot::channel();
        // Whether the request or the answer gets lost: nobody is there.
        let _ = self.0.send(request(reply)).await;
        answer.await.unwrap_or_else(|_| Err(TaskError::Closed.into()))
    }
}

#[async_trait]
impl TaskBoard for Remote {
    async fn resolve(&self, written: &str) -> Result<TaskId, ResolveError> {
        self.ask(|reply| Request::Resolve(written.to_owned(), reply)).await
    }

    async fn list(&self, after: u64, max: usize) -> Result<Vec<Snapshot>, TaskError> {
        self.ask(|reply| Request::List(after, max, reply)).await
    }

    async fn inspect(&self, id: TaskId) -> Result<Snapshot, TaskError> {
        self.ask(|reply| Request::Inspect(id, reply)).await
    }

    async fn peek(&self, id: TaskId, peek: Peek) -> Result<Peeked, TaskError> {
        self.ask(|reply| Request::Peek(id, peek, reply)).await
    }

    async fn wait(
        &self,
        ids: &[TaskId],
        until: WaitFor,
        timeout: Duration,
    ) -> Result<Seen, TaskError> {
        self.ask(|reply| Request::Wait(ids.to_vec(), until, timeout, reply)).await
    }

    async fn claim(&self, id: TaskId) -> Result<Claim, ClaimError> {
        self.ask(|reply| Request::Claim(id, reply)).await
    }

    async fn cancel(&self, id: TaskId, reason: &str) -> Result<CancelOutcome, TaskError> {
        self.ask(|reply| Request::Cancel(id, reason.to_owned(), reply)).await
    }

    async fn read(&self, id: TaskId, piece: Piece) -> Result<Chunk, TaskError> {
        self.ask(|reply| Request::Read(id, piece, reply)).await
    }

    async fn send(&self, id: TaskId, message: Message) -> Result<(), SendError> {
        self.ask(|reply| Request::Send(id, message, reply)).await
    }
}

/// The other side: the owner of the tasks.
async fn serve(scope: Scope, mut requests: mpsc::Receiver<Request>) {
    // They go when this side goes.
    let mut waits = JoinSet::new();
    while let Some(request) = requests.recv().await {
        while waits.try_join_next().is_some() {}
        match request {
            // Others are not to wait for it, and it ends with the one who asked.
            Request::Wait(ids, until, timeout, mut reply) => {
                let scope = scope.clone();
                waits.spawn(async move {
                    tokio::select! {
                        biased;
                        () = reply.closed() => {}
                        seen = TaskBoard::wait(&scope, &ids, until, timeout) => {
                            let _ = reply.send(seen);
                        }
                    }
                });
            }
            other => answer(&scope, other).await,
        }
    }
}

/// Who has gone meanwhile gets no answer: a claim in it is dropped, which gives it back.
async fn answer(scope: &Scope, request: Request) {
    match request {
        Request::Resolve(written, reply) => {
            let _ = reply.send(TaskBoard::resolve(scope, &written).await);
        }
        Request::List(after, max, reply) => {
            let _ = reply.send(TaskBoard::list(scope, after, max).await);
        }
        Request::Inspect(id, reply) => {
            let _ = reply.send(TaskBoard::inspect(scope, id).await);
        }
        Request::Peek(id, peek, reply) => {
            let _ = reply.send(TaskBoard::peek(scope, id, peek).await);
        }
        Request::Claim(id, reply) => {
            let _ = reply.send(TaskBoard::claim(scope, id).await);
        }
        Request::Cancel(id, reason, reply) => {
            let _ = reply.send(TaskBoard::cancel(scope, id, &reason).await);
        }
        Request::Read(id, piece, reply) => {
            let _ = reply.send(TaskBoard::read(scope, id, piece).await);
        }
        Request::Send(id, message, reply) => {
            let _ = reply.send(TaskBoard::send(scope, id, message).await);
        }
        Request::Wait(..) => {}
    }
}

/// A caller on the near side of a channel. Its own scope is of a registry in which there is nothing,
/// so what went around the board would find nothing.
struct Far {
    world: World,
    server: AbortHandle,
    empty: Registry,
    _registry: Registry,
}

fn tools() -> Toolbox {
    Toolbox::new().with_all(task_tools()).unwrap()
}

fn far() -> Far {
    let (registry, empty) = (Registry::new(), Registry::new());
    let root = registry.root_scope();
    let (requests, inbound) = mpsc::channel(4);
    let server = tokio::spawn(serve(root.clone(), inbound)).abort_handle();
    let cx = ToolContext::new(empty.root_scope()).with_board(Remote(requests));
    Far { world: World::new(root, tools(), cx), server, empty, _registry: registry }
}

async fn through_the_channel(script: &[Op]) -> Vec<Said> {
    let mut far = far();
    let said = far.world.run(script).await;
    assert_eq!(far.empty.admin().snapshot().len(), 0);
    said
}

async fn locally(script: &[Op]) -> Vec<Said> {
    let registry = Registry::new();
    let root = registry.root_scope();
    World::new(root.clone(), tools(), ToolContext::new(root)).run(script).await
}

#[test]
fn no_answer_differs() {
    let answers = Volume::from_env_or(3000).run_up_to(|mut rng| {
        let mut ops = script(&mut rng, OPS, SMALL);
        ops.push(Op::Drain);
        let far = on_paused_clock(through_the_channel(&ops));
        let near = on_paused_clock(locally(&ops));
        first_difference("local", &near, "remote", &far)?;
        Ok(near.len() as u64)
    });
    println!("model far boards: {answers} answers");
}

/// Which tasks the far inbox has, in order.
fn arrived(far: &Far) -> Vec<u64> {
    let claims = far.world.root.inbox().take(9);
    claims.iter().map(|claim| claim.finished().id.number()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_was_claimed_from_afar_is_given_back_or_acknowledged() {
    let far = far();
    let World { root, tools, cx, .. } = &far.world;
    for text in ["one", "two"] {
        let (_, completer) = root.register(Task::agent("a", "p")).unwrap();
        completer.complete(Ok(Output::text(text)));
    }
    let wait = || tools.call(cx, "WaitTask", r#"{"task_id":1}"#);
    let called = wait().await;
    assert_eq!((called.claims.outcomes().len(), arrived(&far)), (1, vec![2]));
    drop(called);
    assert_eq!(arrived(&far), [1, 2], "in its place");
    let wire = wait().await.into_wire();
    assert!(wire.output.contains("one"), "{}", wire.output);
    assert_eq!(arrived(&far), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_dropped_ends_on_the_other_side_and_holds_nobody_up() {
    let far = far();
    let World { root, tools, cx, .. } = &far.world;
    let (id, completer) = root.register(Task::agent("a", "p")).unwrap();
    let wait = tools.call(cx, "WaitTask", r#"{"task_id":1,"timeout_secs":300}"#);
    assert!(tokio::time::timeout(Duration::from_secs(2), wait).await.is_err());
    let (first, second, list) = tokio::join!(
        tools.call(cx, "WaitTask", r#"{"task_id":1,"timeout_secs":300}"#),
        tools.call(cx, "WaitTasks", r#"{"task_ids":[1],"timeout_secs":300}"#),
        async {
            let list = tools.call(cx, "ListBackgroundTasks", "{}").await;
            completer.complete(Ok(Output::text("done")));
            list
        },
    );
    assert!(list.into_wire().output.contains("pending"));
    // Of the two one has claimed it; the other was told so.
    let held = [first, second].map(|called| called.claims.outcomes().len());
    assert_eq!(held.iter().sum::<usize>(), 1);
    assert_eq!(root.inbox().take(1).len(), 1, "what was dropped is there again");
    assert!(root.outcome(id).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_board_whose_other_side_is_gone_answers_with_an_error() {
    let far = far();
    let World { root, tools, cx, .. } = &far.world;
    let (_, _completer) = root.register(Task::agent("a", "p")).unwrap();
    far.server.abort();
    tokio::task::yield_now().await;
    for (tool, args) in [
        ("ListBackgroundTasks", "{}"),
        ("CancelTask", r#"{"task_id":1}"#),
        ("WaitTask", r#"{"task_id":"agent:1"}"#),
        ("WaitTasks", r#"{"task_ids":[1,"x"]}"#),
        ("ReadTaskOutput", r#"{"task_id":1}"#),
        ("SendToTask", r#"{"task_id":1,"message":"m"}"#),
        ("InspectTask", r#"{"task_id":1}"#),
    ] {
        let wire = tools.call(cx, tool, args).await.into_wire();
        let gone = (wire.success, wire.output.as_str());
        assert_eq!(gone, (false, "the registry is closed"), "{tool}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_whose_other_side_goes_away_ends_with_an_error() {
    let far = far();
    let World { root, tools, cx, .. } = &far.world;
    let (_, _completer) = root.register(Task::agent("a", "p")).unwrap();
    let (one, several, ()) = tokio::join!(
        tools.call(cx, "WaitTask", r#"{"task_id":1}"#),
        tools.call(cx, "WaitTasks", r#"{"task_ids":[1]}"#),
        async {
            tokio::time::advance(Duration::from_secs(2)).await;
            far.server.abort();
        },
    );
    for called in [one, several] {
        let wire = called.into_wire();
        assert_eq!((wire.success, wire.output.as_str()), (false, "the registry is closed"));
    }
}
