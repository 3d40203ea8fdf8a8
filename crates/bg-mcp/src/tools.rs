//! Which tools a client sees, and as what.

use std::sync::Arc;

use bg_agents::Toolbox;
use bg_agents::tools::ToolDefinition;
use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value};

/// A name that is to be allowed is that of no tool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no tool \"{name}\" to be allowed; the tools are: {known}")]
pub struct AllowError {
    /// What was to be allowed.
    pub name: String,
    /// What could have been, in words.
    pub known: String,
}

/// The tools that a client may call: all, those whose names are on a list, or all but those.
#[derive(Clone, Debug)]
pub(crate) enum Allowed {
    Only(Vec<String>),
    AllBut(Vec<String>),
}

impl Default for Allowed {
    fn default() -> Self {
        Self::AllBut(Vec::new())
    }
}

impl Allowed {
    /// Checks the names of a list; `SA_*` stands for all that begin so.
    pub(crate) fn check(&self, toolbox: &Toolbox) -> Result<(), AllowError> {
        // What is not there cannot be called anyway.
        let Self::Only(names) = self else { return Ok(()) };
        let unknown = names.iter().find(|name| !name.ends_with('*') && !toolbox.contains(name));
        if let Some(name) = unknown {
            let known = toolbox.names().collect::<Vec<_>>().join(", ");
            return Err(AllowError { name: name.clone(), known });
        }
        Ok(())
    }

    pub(crate) fn has(&self, tool: &str) -> bool {
        let fits = |name: &String| match name.strip_suffix('*') {
            Some(begin) => tool.starts_with(begin),
            None => tool == name,
        };
        match self {
            Self::Only(names) => names.iter().any(fits),
            Self::AllBut(names) => !names.iter().any(fits),
        }
    }

    /// Returns the tools that there are now.
    pub(crate) fn list(&self, toolbox: &Toolbox) -> Vec<Tool> {
        let all = toolbox.definitions().into_iter();
        all.filter(|definition| self.has(&definition.name)).map(tool).collect()
    }
}

fn tool(definition: ToolDefinition) -> Tool {
    let ToolDefinition { name, description, parameters, .. } = definition;
    let schema = match parameters {
        Value::Object(schema) => schema,
        _ => Map::new(),
    };
    let hints = hints(&name);
    Tool::new(name, description, Arc::new(schema)).with_annotations(hints)
}

/// What a host may show or ask before a call. What is not known to be harmless is not called so: a
/// command, an agent with tools, a line for a shell can do anything.
fn hints(tool: &str) -> ToolAnnotations {
    let hints = ToolAnnotations::new();
    match tool {
        "ListBackgroundTasks"
        | "InspectTask"
        | "ReadTaskOutput"
        | "ListFiles"
        | "ReadFile"
        | "SearchFiles" => hints.read_only(true).open_world(false),
        // They deliver a result, once: no file and no task is other than before.
        "WaitTask" | "WaitTasks" => {
            hints.read_only(false).destructive(false).idempotent(true).open_world(false)
        }
        "CancelTask" => hints.read_only(false).destructive(true).idempotent(true).open_world(false),
        _ => hints.read_only(false).destructive(true).idempotent(false).open_world(true),
    }
}

#[cfg(test)]
mod tests {
    use bg_agents::Background;

    use super::*;

    #[test]
    fn a_schema_is_the_same_bytes_and_hints_promise_nothing_that_is_not_so() {
        let background = Background::builder().folder(".").build().unwrap();
        let tools = Allowed::default().list(background.toolbox());
        for (tool, definition) in tools.iter().zip(background.toolbox().definitions()) {
            assert_eq!(*tool.name, definition.name);
            let schema = serde_json::to_string(&tool.input_schema).unwrap();
            assert_eq!(schema, definition.parameters.to_string());
        }
        let read_only = |tool: &&Tool| {
            tool.annotations.as_ref().is_some_and(|hints| hints.read_only_hint == Some(true))
        };
        let names: Vec<&str> = tools.iter().filter(read_only).map(|tool| &*tool.name).collect();
        assert_eq!(names, ["InspectTask", "ListBackgroundTasks", "ReadTaskOutput"]);
    }

    #[test]
    fn what_is_not_allowed_is_not_there() {
        let background = Background::builder().folder(".").build().unwrap();
        let allow = |names: &[&str]| {
            let names = names.iter().map(|&name| name.to_owned()).collect();
            let allowed = Allowed::Only(names);
            allowed.check(background.toolbox()).map(|()| allowed)
        };
        let some = allow(&["Bash", "SA_*"]).unwrap();
        assert!(some.has("Bash") && some.has("SA_x") && !some.has("CancelTask"));
        assert_eq!(some.list(background.toolbox()).len(), 1);
        assert_eq!(allow(&["bash"]).unwrap_err().name, "bash");
        let most = Allowed::AllBut(vec!["Bash".to_owned()]);
        assert!(!most.has("Bash") && most.has("CancelTask"));
    }
}
