//! What a model was asked and said, as lines of JSON.
//!
//! A request is two lines: what was asked, then what was said or why nothing was. One that was
//! dropped has the first alone.

use std::fs::File;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use bg_agents::core::Usage;
use bg_agents::sessions::{Message, ModelError, ModelReply, ModelRequest, Part};
use serde::Serialize;

use super::save::Save;

/// A file of what one model was asked and said.
pub(crate) struct Transcript {
    name: String,
    save: Save,
    /// Made for the first line; nothing if that failed.
    file: OnceLock<Option<File>>,
    /// How many requests there were.
    requests: AtomicUsize,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line<'a> {
    Asked {
        request: usize,
        model: &'a str,
        instructions: &'a str,
        tools: Vec<&'a str>,
        messages: &'a [Message],
    },
    Said {
        request: usize,
        parts: &'a [Part],
        usage: Usage,
    },
    Failed {
        request: usize,
        error: String,
    },
}

impl Transcript {
    pub(super) fn new(name: String, save: Save) -> Self {
        Self { name, save, file: OnceLock::new(), requests: AtomicUsize::new(0) }
    }

    /// Returns the number of the request, counted from 1.
    pub(crate) fn asked(&self, model: &str, request: &ModelRequest) -> usize {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        self.line(&Line::Asked {
            request: number,
            model,
            instructions: &request.instructions,
            tools: request.tools.iter().map(|tool| tool.name.as_str()).collect(),
            messages: &request.messages,
        });
        number
    }

    pub(crate) fn answered(&self, request: usize, answer: &Result<ModelReply, ModelError>) {
        match answer {
            Ok(ModelReply { parts, usage, .. }) => {
                self.line(&Line::Said { request, parts, usage: *usage });
            }
            Err(error) => self.line(&Line::Failed { request, error: chain(error) }),
        }
    }

    fn line(&self, line: &Line<'_>) {
        // Strings, numbers and lists: there is nothing in it that JSON cannot hold.
        let text = serde_json::to_string(line).unwrap_or_default();
        let file = self.file.get_or_init(|| self.save.lines(&self.name));
        if let Some(file) = file {
            self.save.line(&self.name, file, &text);
        }
    }
}

fn chain(error: &ModelError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
