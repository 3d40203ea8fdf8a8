//! What an answer in JSON has to be.
//!
//! Without the feature `validate` an answer has to be JSON, whatever the schema says: the schema is for
//! the model. With it the answer has to be of the schema, and a definition whose schema cannot be used
//! is refused when it is made.

use std::sync::Arc;

use bg_core::text;
use serde_json::Value;

/// Longest problem that a model is told, in bytes, beside the notes of what was left out.
const MAX_PROBLEM_BYTES: usize = 400;

/// The schema of an answer, ready to be used.
#[derive(Debug)]
pub(crate) struct AnswerSchema {
    schema: Arc<Value>,
    #[cfg(feature = "validate")]
    validator: jsonschema::Validator,
}

impl AnswerSchema {
    /// # Errors
    ///
    /// Why it cannot be used as a schema.
    pub(crate) fn new(schema: &Value) -> Result<Self, String> {
        Ok(Self {
            schema: Arc::new(schema.clone()),
            #[cfg(feature = "validate")]
            validator: validate::validator(schema)?,
        })
    }

    pub(crate) fn schema(&self) -> &Arc<Value> {
        &self.schema
    }

    /// Reads an answer, without the fence that models like to put around JSON.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in a few words.
    pub(crate) fn read(&self, answer: &str) -> Result<Value, String> {
        let answer = serde_json::from_str(without_fence(answer)).map_err(|error| {
            text::excerpt(&format!("it is not JSON: {error}"), MAX_PROBLEM_BYTES)
        })?;
        #[cfg(feature = "validate")]
        validate::check(&self.validator, &answer)?;
        Ok(answer)
    }
}

fn without_fence(answer: &str) -> &str {
    let answer = answer.trim();
    let inner = answer.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    // The first line names the language.
    inner.and_then(|inner| inner.split_once('\n')).map_or(answer, |(_, json)| json)
}

#[cfg(feature = "validate")]
mod validate {
    use bg_core::text;
    use jsonschema::{PatternOptions, ValidationError, Validator};
    use serde_json::Value;

    use super::MAX_PROBLEM_BYTES;

    /// Most problems of one answer that a model is told.
    const MAX_PROBLEMS: usize = 4;

    /// Prepares a schema. Its patterns take time in proportion to the text, whoever wrote them: there is
    /// no looking around and no looking back in them. Nothing is fetched for it.
    pub(super) fn validator(schema: &Value) -> Result<Validator, String> {
        jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex())
            .build(schema)
            .map_err(|error| text::excerpt(&problem(&error), MAX_PROBLEM_BYTES))
    }

    pub(super) fn check(validator: &Validator, answer: &Value) -> Result<(), String> {
        let mut problems = validator.iter_errors(answer).map(|error| problem(&error));
        let first: Vec<_> = problems.by_ref().take(MAX_PROBLEMS).collect();
        if first.is_empty() {
            return Ok(());
        }
        // A long one does not hide the others.
        let each = MAX_PROBLEM_BYTES / first.len();
        let mut told: Vec<_> = first.iter().map(|problem| text::excerpt(problem, each)).collect();
        if problems.next().is_some() {
            told.push("and more".to_owned());
        }
        Err(told.join("; "))
    }

    fn problem(error: &ValidationError<'_>) -> String {
        match error.instance_path().as_str() {
            "" => error.to_string(),
            place => format!("at {place}: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{AnswerSchema, MAX_PROBLEM_BYTES};

    fn read(answer: &str) -> Result<Value, String> {
        AnswerSchema::new(&json!({})).unwrap().read(answer)
    }

    #[test]
    fn a_fence_is_no_part_of_an_answer() {
        let bare = read("{\"n\": 1}");
        assert_eq!(bare, Ok(json!({"n": 1})));
        assert_eq!(read("```json\n{\"n\": 1}\n```"), bare);
        assert_eq!(read(" ```\n{\"n\": 1}```\n"), bare);
        for not_json in ["", "one", "```json\n```", "{\"n\": 1} and more"] {
            assert!(read(not_json).is_err(), "{not_json}");
        }
    }

    #[cfg(feature = "validate")]
    #[test]
    fn what_is_wrong_with_an_answer_is_told_with_its_place() {
        let schema = json!({
            "type": "object",
            "required": ["findings"],
            "properties": {"findings": {"type": "array", "items": {"type": "integer"}}},
        });
        let schema = AnswerSchema::new(&schema).unwrap();
        assert_eq!(schema.read("{\"findings\": [1]}"), Ok(json!({"findings": [1]})));
        assert_eq!(schema.read("{}"), Err("\"findings\" is a required property".to_owned()));
        let wrong = schema.read("{\"findings\": [1, \"two\", 3, null]}");
        let told = "at /findings/1: \"two\" is not of type \"integer\"; \
                    at /findings/3: null is not of type \"integer\"";
        assert_eq!(wrong, Err(told.to_owned()));
    }

    #[cfg(feature = "validate")]
    #[test]
    fn what_is_told_is_bounded() {
        let schema = AnswerSchema::new(&json!({"items": {"maxLength": 3}})).unwrap();
        let answer = json!(vec!["long ".repeat(10_000); 50]).to_string();
        let told = schema.read(&answer).unwrap_err();
        assert!(told.len() < 2 * MAX_PROBLEM_BYTES, "{}", told.len());
        assert!(told.starts_with("at /0: ") && told.contains("; at /3: "), "{told}");
        assert!(told.ends_with("; and more"), "{told}");
    }

    #[cfg(feature = "validate")]
    #[test]
    fn what_is_no_schema_is_refused() {
        let wrong = [
            json!({"type": "number of things"}),
            json!({"pattern": "(unclosed"}),
            json!({"pattern": "(a+)\\1"}),
            json!({"$ref": "http://127.0.0.1:1/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "#/definitions/none"}),
            json!(7),
        ];
        for schema in wrong {
            let problem = AnswerSchema::new(&schema).expect_err("it is no schema");
            assert!(problem.len() < 2 * MAX_PROBLEM_BYTES, "{schema}: {problem}");
        }
    }

    #[cfg(feature = "validate")]
    #[test]
    fn a_pattern_takes_time_in_proportion_to_the_text() {
        let schema = AnswerSchema::new(&json!({"pattern": "^(a|a)*(a*)*$"})).unwrap();
        // Would take longer than the universe has been there with a regex that backtracks.
        let answer = json!(format!("{}!", "a".repeat(20_000))).to_string();
        assert!(schema.read(&answer).is_err());
    }
}
