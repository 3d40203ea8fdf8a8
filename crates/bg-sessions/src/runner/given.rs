//! What a turn begins with.

use bg_core::Claim;
use bg_tools::Resource;

use crate::background::Burst;
use crate::hooks::RunInput;
use crate::message::Part;

/// What the worker is given to read: what it was asked comes first, then what is attached, then what
/// children have left.
#[derive(Default)]
pub(crate) struct Given {
    /// What it is asked to do; none if it is only told something.
    pub(crate) prompts: Vec<String>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) burst: Burst,
}

impl Given {
    /// A prompt with what is attached to it.
    pub(crate) fn prompt(prompt: String, resources: Vec<Resource>) -> Self {
        let prompts = if prompt.trim().is_empty() { Vec::new() } else { vec![prompt] };
        Self { prompts, resources, ..Self::default() }
    }

    /// The task in words.
    pub(crate) fn task(&self) -> String {
        self.prompts.join("\n\n")
    }

    /// Returns whether there is nothing to read, which no model can be asked about.
    pub(super) fn is_empty(&self) -> bool {
        self.prompts.is_empty() && self.resources.is_empty() && self.burst.text.is_empty()
    }

    /// What hooks may look at and change.
    pub(super) fn input(&self) -> RunInput {
        RunInput::new(self.task()).with_resources(self.resources.clone())
    }

    /// Takes what hooks have made of it.
    pub(super) fn rewritten(mut self, input: RunInput) -> Self {
        let RunInput { prompt, resources } = input;
        if prompt != self.task() {
            self.prompts = if prompt.trim().is_empty() { Vec::new() } else { vec![prompt] };
        }
        Self { resources, ..self }
    }

    pub(super) fn into_parts(self) -> (Vec<Part>, Vec<Claim>) {
        let Self { prompts, resources, burst } = self;
        let told = Some(burst.text).filter(|text| !text.is_empty());
        let prompts = prompts.into_iter().map(Part::Text);
        let attached = resources.into_iter().map(Part::Resource);
        (prompts.chain(attached).chain(told.map(Part::Text)).collect(), burst.claims)
    }
}
