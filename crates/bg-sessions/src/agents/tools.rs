//! The tools by which a model runs agents.

use std::sync::Arc;

use bg_tools::{Tool, ToolSource};

use super::Agents;
use crate::agent_tool::AgentTool;
use crate::invoke::InvokeAgent;
use crate::manager::ManageAgents;

/// Tools that come and go with the agents.
pub(super) struct AgentTools {
    pub(super) agents: Agents,
    pub(super) managing: bool,
}

impl ToolSource for AgentTools {
    fn tools(&self) -> Vec<Arc<dyn Tool>> {
        let names = self.agents.0.agents.read().keys().cloned().collect::<Vec<_>>();
        let each = names.iter().map(|name| AgentTool::name_of(name));
        let all =
            [InvokeAgent::NAME, ManageAgents::NAME].map(str::to_owned).into_iter().chain(each);
        all.filter_map(|name| self.tool(&name)).collect()
    }

    fn tool(&self, name: &str) -> Option<Arc<dyn Tool>> {
        if name == ManageAgents::NAME && !self.managing {
            return None;
        }
        self.agents.tool(name)
    }
}
