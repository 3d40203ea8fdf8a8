//! Answers that are to be JSON. One that is not what was asked for may be given once more.

use super::Run;
use crate::error::RunError;
use crate::message::Part;

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
            Err(problem) => problem,
        };
        if std::mem::replace(&mut self.is_repaired, true) {
            return Err(RunError::NotOfSchema(problem));
        }
        self.reports.trace(&format!("answer not taken: {problem}"));
        self.give(vec![Part::Text(repair(&problem))], Vec::new());
        Ok(false)
    }
}

/// Asks for another answer.
fn repair(problem: &str) -> String {
    format!(
        "[Your answer has to be JSON of the schema that you were given, and nothing else: {problem}. \
         Answer again.]"
    )
}
