//! Answers that are to be JSON.

use serde_json::Value;

/// Longest problem that a model is told, in bytes.
const MAX_PROBLEM_BYTES: usize = 400;

/// Reads an answer, without the fence that models like to put around JSON.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn read(answer: &str) -> Result<Value, String> {
    let problem = |error: serde_json::Error| {
        bg_core::text::excerpt(&format!("it is not JSON: {error}"), MAX_PROBLEM_BYTES)
    };
    serde_json::from_str(without_fence(answer)).map_err(problem)
}

fn without_fence(answer: &str) -> &str {
    let answer = answer.trim();
    let inner = answer.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    // The first line names the language.
    inner.and_then(|inner| inner.split_once('\n')).map_or(answer, |(_, json)| json)
}

/// Asks for another answer.
pub(super) fn repair(problem: &str) -> String {
    format!(
        "[Your answer has to be JSON of the schema that you were given, and nothing else: {problem}. \
         Answer again.]"
    )
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_fence_is_no_part_of_an_answer() {
        let bare = read("{\"n\": 1}");
        assert_eq!(read("```json\n{\"n\": 1}\n```"), bare);
        assert_eq!(read(" ```\n{\"n\": 1}```\n"), bare);
        for not_json in ["", "one", "```json\n```", "{\"n\": 1} and more"] {
            assert!(read(not_json).is_err(), "{not_json}");
        }
    }
}
