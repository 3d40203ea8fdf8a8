//! What rmcp asks of a server, answered from a client's root.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CustomRequest, CustomResult,
    ErrorCode, ErrorData, GetTaskParams, GetTaskResult, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool, UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};

use crate::call::{Call, delivery};
use crate::client::{Client, Closing, Visit};
use crate::{subscription, tasks};

/// Serves one client; any number of connections of it have one each.
#[derive(Clone)]
pub(crate) struct Handler(pub(crate) Arc<Client>);

/// What a model is told of the server as a whole.
const INSTRUCTIONS: &str = "Runs shell commands and sub-agents in the background. Start one with \
    `background: true`, go on with other work, and fetch its result with WaitTask once you need it; \
    ListBackgroundTasks shows what runs or has a result that you have not seen. A slow call goes on in \
    the background by itself and says so.";

impl From<Closing> for ErrorData {
    fn from(_: Closing) -> Self {
        Self::internal_error("the server is being closed", None)
    }
}

impl Handler {
    fn enter(&self) -> Result<Visit, ErrorData> {
        Ok(self.0.enter()?)
    }

    fn tools(&self) -> Vec<Tool> {
        let host = &self.0.host;
        host.allowed.list(host.background.toolbox())
    }

    fn unknown_tool(&self, name: &str) -> ErrorData {
        let tools = self.tools();
        let known: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
        let name: String = name.chars().take(64).flat_map(char::escape_default).collect();
        let problem = format!("unknown tool \"{name}\"; the tools are: {}", known.join(", "));
        ErrorData::invalid_params(problem, None)
    }
}

pub(crate) fn bad_params(method: &str) -> ErrorData {
    let problem = format!("the parameters of {method} are not what they have to be");
    ErrorData::invalid_params(problem, None)
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_tasks().build();
        let mut info = ServerConfig::new(capabilities).with_instructions(INSTRUCTIONS);
        info.server_info = Implementation::new("bg", env!("CARGO_PKG_VERSION"));
        info
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools().into_iter().find(|tool| tool.name == name)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let host = &self.0.host;
        let toolbox = host.background.toolbox();
        if !host.allowed.has(&request.name) || !toolbox.contains(&request.name) {
            return Err(self.unknown_tool(&request.name));
        }
        let visit = self.enter()?;
        let call = Call::new(&request.name, request.arguments);
        // A tool that says how long it may take is one that waits.
        let may_wait = toolbox.deadline_of(&call.tool).is_some();
        if may_wait && tasks::are_taken(&context) {
            return tasks::call(call, &visit, &context).await;
        }
        Ok(call.answer(&visit, &context).await.into())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let visit = self.enter()?;
        let task =
            visit.room().tasks.get(&request.task_id, &visit.room().scope, &delivery(&context))?;
        Ok(GetTaskResult::new(task))
    }

    /// Nothing that is asked here asks back.
    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.enter()?.room().tasks.has(&request.task_id)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.enter()?.room().tasks.cancel(&request.task_id)
    }

    /// A known method comes here when its parameters are not what they should be.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method = request.method;
        if subscription::is_listen(&method) {
            let visit = self.enter()?;
            return subscription::listen(request.params, &visit, &context).await;
        }
        if matches!(&*method, "tools/call" | "tasks/get" | "tasks/update" | "tasks/cancel") {
            return Err(bad_params(&method));
        }
        let method: String = method.chars().take(64).collect();
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, method, None))
    }
}
