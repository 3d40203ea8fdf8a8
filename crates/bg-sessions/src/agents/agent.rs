//! One agent of a host.

use std::sync::Arc;

use bg_tools::{Resource, Toolbox, ToolboxError, select_resources};

use super::options::RunOptions;
use crate::agent_tool::AgentTool;
use crate::answer_schema::AnswerSchema;
use crate::error::{AgentsError, InvokeError};
use crate::invoke::InvokeAgent;
use crate::manager::ManageAgents;
use crate::model::Model;
use crate::models::Models;
use crate::spec::AgentSpec;

/// A definition with what it names.
pub(crate) struct Agent {
    pub(crate) spec: AgentSpec,
    pub(super) tools: Toolbox,
    pub(super) model: Arc<dyn Model>,
    pub(super) output_schema: Option<Arc<AnswerSchema>>,
    /// The tools of ours that it names. They are not kept here: they hold the agents, and would keep
    /// them alive for ever.
    pub(super) ours: Vec<String>,
}

impl Agent {
    /// Selects what the agent receives of what is attached to a prompt, and checks it.
    pub(crate) fn attached(
        &self,
        mut resources: Vec<Resource>,
    ) -> Result<Vec<Resource>, InvokeError> {
        let taken = select_resources(&mut resources, &self.spec.tags);
        let sizes = taken.iter().filter_map(|resource| resource.content.size_bytes());
        let bytes = sizes.fold(0_usize, usize::saturating_add);
        if taken.len() > RunOptions::MAX_RESOURCES || bytes > RunOptions::MAX_RESOURCE_BYTES {
            return Err(InvokeError::TooManyResources { resources: taken.len(), bytes });
        }
        taken.iter().try_for_each(Resource::check)?;
        Ok(taken)
    }

    pub(super) fn new(
        spec: AgentSpec,
        toolbox: &Toolbox,
        models: &Models,
    ) -> Result<Self, AgentsError> {
        let (ours, theirs): (Vec<&String>, Vec<&String>) =
            spec.tools.iter().partition(|name| is_ours(name) && !toolbox.contains(name));
        let ours = ours.into_iter().cloned().collect();
        let wrong_tool = |source: ToolboxError| {
            let agent = spec.name.clone();
            AgentsError::Tools { agent, source }
        };
        let tools = toolbox.select(theirs.into_iter().map(String::as_str)).map_err(wrong_tool)?;
        let model = match &spec.model {
            None => models.default_model(),
            Some(label) => models
                .get(label)
                .map_err(|source| AgentsError::Model { agent: spec.name.clone(), source })?,
        };
        let output_schema = spec.output_schema.as_ref().map(AnswerSchema::new).transpose();
        let output_schema = output_schema.map_err(|problem| {
            let agent = spec.name.clone();
            AgentsError::OutputSchema { agent, problem }
        })?;
        Ok(Self { spec, tools, model, output_schema: output_schema.map(Arc::new), ours })
    }
}

/// Returns whether a tool is one by which agents are run.
fn is_ours(name: &str) -> bool {
    let is_agent = || AgentTool::agent_of(name).is_some_and(crate::spec::is_agent_name);
    name == InvokeAgent::NAME || name == ManageAgents::NAME || is_agent()
}
