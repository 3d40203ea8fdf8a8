//! What plays the agents: the scripts of the plan, or a language model behind a server.
//!
//! It is chosen and set up before anything starts, from the command line and the plan together.

use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;
use std::sync::Arc;

use bg_agents::sessions::Model;
use bg_models::{BuildError, OpenAiCompatible};
use serde::Deserialize;

use crate::secret::Secret;

/// What the command line says of the model.
#[derive(clap::Args)]
pub(crate) struct ModelArgs {
    /// What plays the agents: `script`, which is the script of each task; `openai:NAME`, a model
    /// behind a server that speaks the `OpenAI` chat protocol; or `genai:VENDOR::NAME`, a model of a
    /// vendor with a protocol of its own, in a `bg` that was built with it. Unless the plan says it,
    /// `script`.
    #[arg(long, value_name = "MODEL")]
    model: Option<ModelName>,
    /// Where the model's server is: `http://127.0.0.1:8080/v1`, for example. A vendor's own is known.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The environment variable that holds the server's key.
    #[arg(long, value_name = "VAR")]
    key_env: Option<String>,
    /// How many tokens a request and its answer may have together.
    #[arg(long, value_name = "N")]
    context_window: Option<NonZeroU64>,
    /// How many tokens one answer may have; what is longer is cut by the server.
    #[arg(long, value_name = "N")]
    max_output_tokens: Option<NonZeroU32>,
}

/// What `--model` can be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ModelName {
    Script,
    Server(Protocol, String),
}

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    OpenAi,
    Genai,
}

impl Protocol {
    /// Reads a name with its protocol.
    fn of(text: &str) -> Option<(Self, &str)> {
        let openai = text.strip_prefix("openai:").map(|name| (Self::OpenAi, name));
        openai.or_else(|| text.strip_prefix("genai:").map(|name| (Self::Genai, name)))
    }
}

/// This is no model.
#[derive(Debug, thiserror::Error)]
#[error("a model is `script`, `openai:NAME` or `genai:VENDOR::NAME`")]
pub(crate) struct ModelNameError;

impl FromStr for ModelName {
    type Err = ModelNameError;

    fn from_str(text: &str) -> Result<Self, ModelNameError> {
        match Protocol::of(text) {
            Some((protocol, name)) if !name.trim().is_empty() => {
                Ok(Self::Server(protocol, name.to_owned()))
            }
            None if text == "script" => Ok(Self::Script),
            _ => Err(ModelNameError),
        }
    }
}

/// What a plan says of the model.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlannedModel {
    name: String,
    base_url: Option<String>,
    key_env: Option<String>,
    context_window: Option<NonZeroU64>,
    max_output_tokens: Option<NonZeroU32>,
}

/// What plays the agents.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Script,
    Server(Server),
}

/// A model behind a server, which is not asked yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) name: String,
    protocol: Protocol,
    /// There is one unless it is the vendor's.
    base_url: Option<String>,
    key_env: Option<String>,
    context_window: Option<NonZeroU64>,
    max_output_tokens: Option<NonZeroU32>,
}

/// What was said of the model does not fit together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ChoiceError {
    #[error(
        "{0} says something of a language model, and scripts play the agents: add --model openai:NAME"
    )]
    OnlyForServer(&'static str),
    #[error(
        "where is the server of the model \"{0}\"? Add --base-url URL, or `base_url` to [model]"
    )]
    NoBaseUrl(String),
    #[error(
        "this bg was built without the protocols of vendors, which the model \"{0}\" needs: build it \
         with `cargo build -p bg-cli --features genai`"
    )]
    WithoutGenai(String),
}

impl ModelArgs {
    /// Whether anything was said of the model.
    #[cfg(feature = "mcp")]
    pub(crate) fn is_given(&self) -> bool {
        self.model.is_some() || self.server_option().is_some()
    }

    /// Chooses the model. What the command line says wins over what the plan says, each by itself.
    pub(crate) fn choose(&self, planned: Option<PlannedModel>) -> Result<Choice, ChoiceError> {
        let (protocol, name) = match (&self.model, &planned) {
            (Some(ModelName::Server(protocol, name)), _) => (*protocol, name.clone()),
            (None, Some(planned)) => {
                // Both spellings are understood: that of the option, and the bare name.
                let bare = (Protocol::OpenAi, planned.name.as_str());
                let (protocol, name) = Protocol::of(&planned.name).unwrap_or(bare);
                (protocol, name.to_owned())
            }
            (Some(ModelName::Script), _) | (None, None) => return self.script(),
        };
        let planned = planned.unwrap_or_default();
        let base_url = self.base_url.clone().or(planned.base_url);
        match protocol {
            Protocol::OpenAi if base_url.is_none() => return Err(ChoiceError::NoBaseUrl(name)),
            Protocol::Genai if cfg!(not(feature = "genai")) => {
                return Err(ChoiceError::WithoutGenai(name));
            }
            Protocol::OpenAi | Protocol::Genai => {}
        }
        Ok(Choice::Server(Server {
            name,
            protocol,
            base_url,
            key_env: self.key_env.clone().or(planned.key_env),
            context_window: self.context_window.or(planned.context_window),
            max_output_tokens: self.max_output_tokens.or(planned.max_output_tokens),
        }))
    }

    fn script(&self) -> Result<Choice, ChoiceError> {
        match self.server_option() {
            Some(option) => Err(ChoiceError::OnlyForServer(option)),
            None => Ok(Choice::Script),
        }
    }

    /// The first option that was given and says something of a server.
    fn server_option(&self) -> Option<&'static str> {
        let given = [
            (self.base_url.is_some(), "--base-url"),
            (self.key_env.is_some(), "--key-env"),
            (self.context_window.is_some(), "--context-window"),
            (self.max_output_tokens.is_some(), "--max-output-tokens"),
        ];
        given.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
    }
}

impl Choice {
    /// Sets the model up, if it is one. Connects to nothing.
    pub(crate) fn build(&self) -> Result<Option<Arc<dyn Model>>, BuildError> {
        match self {
            Self::Script => Ok(None),
            Self::Server(server) => server.build().map(Some),
        }
    }

    /// The environment variable that holds the key.
    #[cfg(feature = "mcp")]
    pub(crate) fn key_variable(&self) -> Option<&str> {
        match self {
            Self::Script => None,
            Self::Server(server) => server.key_env.as_deref(),
        }
    }

    /// The key, to be kept out of everything that is printed or saved.
    pub(crate) fn secret(&self) -> Secret {
        match self {
            Self::Script => Secret::default(),
            Self::Server(server) => server.secret(),
        }
    }
}

impl Server {
    fn build(&self) -> Result<Arc<dyn Model>, BuildError> {
        match self.protocol {
            Protocol::OpenAi => self.openai(),
            Protocol::Genai => self.genai(),
        }
    }

    fn openai(&self) -> Result<Arc<dyn Model>, BuildError> {
        let base_url = self.base_url.as_deref().unwrap_or_default();
        let mut builder = OpenAiCompatible::builder(base_url, self.name.as_str());
        if let Some(variable) = &self.key_env {
            builder = builder.key_from_env(variable.as_str());
        }
        if let Some(tokens) = self.context_window {
            builder = builder.context_window(tokens.get());
        }
        if let Some(tokens) = self.max_output_tokens {
            builder = builder.max_output_tokens(tokens);
        }
        Ok(Arc::new(builder.build()?))
    }

    #[cfg(feature = "genai")]
    fn genai(&self) -> Result<Arc<dyn Model>, BuildError> {
        let mut builder = bg_models::Genai::builder(self.name.as_str());
        if let Some(base_url) = &self.base_url {
            builder = builder.base_url(base_url.as_str());
        }
        if let Some(variable) = &self.key_env {
            builder = builder.key_from_env(variable.as_str());
        }
        if let Some(tokens) = self.context_window {
            builder = builder.context_window(tokens.get());
        }
        if let Some(tokens) = self.max_output_tokens {
            builder = builder.max_output_tokens(tokens);
        }
        Ok(Arc::new(builder.build()?))
    }

    /// Nobody comes here: it is not chosen without the feature.
    #[cfg(not(feature = "genai"))]
    fn genai(&self) -> Result<Arc<dyn Model>, BuildError> {
        self.openai()
    }

    fn secret(&self) -> Secret {
        self.key_env.as_deref().map(Secret::of_variable).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(model: Option<&str>, base_url: Option<&str>) -> ModelArgs {
        ModelArgs {
            model: model.map(|model| model.parse().unwrap()),
            base_url: base_url.map(str::to_owned),
            key_env: None,
            context_window: None,
            max_output_tokens: None,
        }
    }

    fn planned(text: &str) -> PlannedModel {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_command_line_wins_field_by_field() {
        let plan = "name = \"small\"\nbase_url = \"http://a/v1\"\ncontext_window = 4096\nmax_output_tokens = 9\n";
        let choice = asked(Some("openai:large"), None).choose(Some(planned(plan)));
        let Ok(Choice::Server(server)) = choice else { panic!("{choice:?}") };
        assert_eq!((&*server.name, server.base_url.as_deref()), ("large", Some("http://a/v1")));
        assert_eq!(server.context_window, NonZeroU64::new(4096));
        assert_eq!(server.max_output_tokens, NonZeroU32::new(9));
        assert_eq!(asked(Some("script"), None).choose(Some(planned(plan))), Ok(Choice::Script));
        assert_eq!(asked(None, None).choose(None), Ok(Choice::Script));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let wrong = asked(None, Some("http://a")).choose(None);
        assert_eq!(wrong, Err(ChoiceError::OnlyForServer("--base-url")));
        let wrong = asked(None, None).choose(Some(planned("name = \"openai:x\"")));
        assert_eq!(wrong, Err(ChoiceError::NoBaseUrl("x".to_owned())));
        for name in ["", "x", "openai:", "openai: ", "genai:", "Script"] {
            assert!(name.parse::<ModelName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_vendors_model_needs_a_bg_that_was_built_for_it_and_no_address() {
        let by_option = asked(Some("genai:ollama::x"), None).choose(None);
        let by_plan = asked(None, None).choose(Some(planned("name = \"genai:ollama::x\"")));
        assert_eq!(by_option, by_plan);
        if cfg!(feature = "genai") {
            assert!(by_option.unwrap().build().unwrap().is_some());
        } else {
            assert_eq!(by_option, Err(ChoiceError::WithoutGenai("ollama::x".to_owned())));
        }
    }
}
