//! What becomes of an answer. One that is to be JSON and is not what was asked for may be given once more;
//! one whose end is missing says so.

use bg_core::Output;

use super::Run;
use crate::error::RunError;
use crate::message::Part;

/// Behind an answer whose end is missing.
const CUT: &str = "\n[cut here: the model reached its limit of output tokens]";

impl Run {
    /// Takes what the model said last as its answer, if it is one. Otherwise the model is told what is
    /// wrong with it, the first time. Returns whether the answer was taken.
    pub(super) fn take_answer(&mut self) -> Result<bool, RunError> {
        let Some(schema) = &self.spec.output_schema else { return Ok(true) };
        let problem = match schema.read(&self.output.text) {
            Ok(data) => {
                self.data = Some(data);
                return Ok(true);
            }
            Err(problem) if self.is_cut => {
                format!("{problem}; it reached the limit of output tokens")
            }
            Err(problem) => problem,
        };
        if std::mem::replace(&mut self.is_repaired, true) {
            return Err(RunError::NotOfSchema(problem));
        }
        self.reports.trace(&format!("answer not taken: {problem}"));
        self.give(vec![Part::Text(repair(&problem))], Vec::new());
        Ok(false)
    }

    /// Completes the output of a turn that has its answer.
    pub(super) fn answered(&mut self, mut output: Output) -> Output {
        match self.data.take() {
            Some(data) => output.with_data(data),
            None if self.is_cut => {
                output.text.push_str(CUT);
                output
            }
            None => output,
        }
    }
}

/// Asks for another answer.
fn repair(problem: &str) -> String {
    format!(
        "[Your answer has to be JSON of the schema that you were given, and nothing else: {problem}. \
         Answer again.]"
    )
}
