//! One call of a tool.

use bg_agents::tools::Wire;
use bg_agents::{Called, ToolContext, Toolbox};
use rmcp::RoleServer;
use rmcp::model::{CallToolResult, ContentBlock, JsonObject};
use rmcp::service::RequestContext;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::client::Visit;
use crate::delivery::{Delivery, Held};
use crate::progress::{Followed, Progress};

/// A call as it came in.
pub(crate) struct Call {
    pub(crate) tool: String,
    pub(crate) args: Value,
}

impl Call {
    pub(crate) fn new(tool: &str, args: Option<JsonObject>) -> Self {
        Self { tool: tool.to_owned(), args: Value::Object(args.unwrap_or_default()) }
    }

    /// Calls the tool as a model would.
    pub(crate) async fn run(&self, toolbox: &Toolbox, cx: &ToolContext) -> Called {
        toolbox.call(cx, &self.tool, &self.args.to_string()).await
    }

    /// Calls the tool and tells of it meanwhile, if the client has asked for that. A request that is
    /// cancelled ends the wait at once, and nothing else.
    pub(crate) async fn answer(
        &self,
        visit: &Visit,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResult {
        let started = Followed::default();
        let called = with_progress(self, &started, visit, context, async |cx| {
            let cx = started.heard_by(released_by(cx, &context.ct));
            self.run(visit.host().background.toolbox(), &cx).await
        });
        let called = called.await;
        let wire = called.to_wire();
        delivery(context).put(Held::Claims(called.claims));
        result(wire)
    }
}

/// Has a call answered at once when this fires, and leave what it has started.
pub(crate) fn released_by(cx: ToolContext, token: &CancellationToken) -> ToolContext {
    cx.with_token(token.clone()).with_release(token.clone())
}

/// Makes a call with the client's context, and tells how far it is if the client has asked for that:
/// what the tasks do that it names, and those that it has `started`.
pub(crate) async fn with_progress<T>(
    call: &Call,
    started: &Followed,
    visit: &Visit,
    context: &RequestContext<RoleServer>,
    made: impl AsyncFnOnce(ToolContext) -> T,
) -> T {
    let cx = visit.room().cx.clone();
    let Some(token) = context.meta.get_progress_token() else { return made(cx).await };
    let events = visit.host().background.registry().events();
    started.add_named(&call.args, cx.scope());
    let to = (context.peer.clone(), token);
    let (progress, cx) = Progress::new(to, events, cx, started.clone());
    let tell = async {
        progress.tell().await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        made = made(cx) => made,
        never = tell => never,
    }
}

/// Returns who sees to it that what the answer delivers is acknowledged.
pub(crate) fn delivery(context: &RequestContext<RoleServer>) -> Delivery {
    let parts = context.extensions.get::<http::request::Parts>();
    let of_http = || parts.and_then(|parts| parts.extensions.get::<Delivery>());
    let found = context.extensions.get::<Delivery>().or_else(of_http);
    // Without one it is given back: better twice than never.
    found.cloned().unwrap_or_else(|| Delivery::new(None))
}

/// The answer as a client reads it.
pub(crate) fn result(wire: Wire) -> CallToolResult {
    let content = vec![ContentBlock::text(wire.output)];
    if wire.success { CallToolResult::success(content) } else { CallToolResult::error(content) }
}
