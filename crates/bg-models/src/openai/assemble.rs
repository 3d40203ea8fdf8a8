//! Puts an answer together from its pieces.

use bg_sessions::{ModelReply, Part, Thinking, ToolCall};
use serde_json::Value;

use super::wire::{CallDelta, Choice, Chunk, Delta, FunctionDelta, WireUsage};
use crate::body::MAX_ANSWER_BYTES;
use crate::calls::{Calls, nameless};
use crate::fault::Fault;

/// An answer that is being received.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    text: String,
    thinking: String,
    refusal: String,
    calls: Calls,
    usage: Option<WireUsage>,
    finish: Option<String>,
}

impl Answer {
    /// Adds a piece. Of several alternatives only the first is looked at: one is asked for.
    pub(crate) fn add(&mut self, chunk: Chunk) -> Result<(), Fault> {
        // Servers that count as they go send the sum so far each time.
        self.usage = chunk.usage.or(self.usage);
        let choices = chunk.choices.into_iter().flatten();
        for choice in choices.filter(|choice| choice.index.unwrap_or_default() == 0) {
            self.add_choice(choice)?;
        }
        Ok(())
    }

    fn add_choice(&mut self, choice: Choice) -> Result<(), Fault> {
        self.add_delta(choice.delta.unwrap_or_default());
        self.finish = choice.finish_reason.or(self.finish.take());
        let bytes = [&self.text, &self.thinking, &self.refusal].map(String::len);
        if bytes.iter().sum::<usize>() + self.calls.bytes() > MAX_ANSWER_BYTES {
            return Err(Fault::TooLarge { what: "the answer", limit: MAX_ANSWER_BYTES });
        }
        Ok(())
    }

    fn add_delta(&mut self, delta: Delta) {
        // A server that sends both names sends the same under both.
        let thinking = delta.reasoning_content.or(delta.reasoning);
        self.thinking.push_str(thinking.as_deref().unwrap_or_default());
        self.text.extend(delta.content.map(super::wire::Content::into_text));
        self.refusal.push_str(delta.refusal.as_deref().unwrap_or_default());
        for call in delta.tool_calls.into_iter().flatten() {
            self.add_call(call);
        }
    }

    fn add_call(&mut self, call: CallDelta) {
        let CallDelta { index, id, function } = call;
        let FunctionDelta { name, arguments } = function.unwrap_or_default();
        let args = match arguments {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(object) => object.to_string(),
        };
        self.calls.add(index, id.unwrap_or_default(), name.unwrap_or_default(), &args);
    }

    /// Returns whether anything of the answer is there. Many servers open it before the model begins.
    pub(crate) fn has_begun(&self) -> bool {
        let texts = [&self.text, &self.thinking, &self.refusal];
        texts.iter().any(|text| !text.is_empty()) || self.calls.bytes() > 0 || self.is_finished()
    }

    /// Returns whether the model has said that it is done. What may follow is what it cost.
    pub(crate) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Ends the answer. Ids that the server did not give, or gave twice, are made from `turn`, which
    /// tells the turns of a conversation apart.
    pub(crate) fn end(self, turn: usize) -> Result<ModelReply, Fault> {
        if !self.refusal.is_empty() {
            return Err(Fault::Refused { reason: self.refusal });
        }
        if self.finish.as_deref() == Some("content_filter") {
            let reason = "a filter of the provider stopped the answer".to_owned();
            return Err(Fault::Refused { reason });
        }
        let is_cut = self.finish.as_deref() == Some("length");
        let calls = self.calls.end(turn).ok_or_else(nameless)?;
        let reply = ModelReply::new(parts(self.thinking, self.text, calls))
            .with_usage(WireUsage::usage(self.usage));
        Ok(if is_cut { reply.cut() } else { reply })
    }
}

/// The order is the one in which a model makes them.
fn parts(thinking: String, text: String, calls: Vec<ToolCall>) -> Vec<Part> {
    let thinking = (!thinking.is_empty()).then(|| Part::Thinking(Thinking::new(thinking)));
    let text = (!text.is_empty()).then_some(Part::Text(text));
    let calls = calls.into_iter().map(Part::ToolCall);
    thinking.into_iter().chain(text).chain(calls).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    /// Adds the same piece until it is too much; returns how often that went well.
    fn fill(delta: &Value) -> usize {
        let mut answer = Answer::default();
        let chunk = json!({"choices": [{"delta": delta}]});
        (0..100).take_while(|_| answer.add(Chunk::deserialize(&chunk).unwrap()).is_ok()).count()
    }

    #[test]
    fn every_part_of_an_answer_counts_for_its_bound() {
        let mebibyte = "x".repeat(1 << 20);
        assert_eq!(fill(&json!({"content": mebibyte})), 16);
        assert_eq!(fill(&json!({"content": [{"type": "text", "text": mebibyte}]})), 16);
        assert_eq!(fill(&json!({"reasoning_content": mebibyte})), 16);
        assert_eq!(fill(&json!({"refusal": mebibyte})), 16);
        let call = json!({"index": 0, "function": {"arguments": mebibyte}});
        assert_eq!(fill(&json!({"tool_calls": [call]})), 16);
    }

    #[test]
    fn the_last_count_is_what_the_answer_costs() {
        let mut answer = Answer::default();
        for count in [5, 7] {
            let chunk = json!({"usage": {"prompt_tokens": 3, "completion_tokens": count}});
            answer.add(Chunk::deserialize(&chunk).unwrap()).unwrap();
            answer.add(Chunk::deserialize(json!({"usage": null})).unwrap()).unwrap();
        }
        assert_eq!(answer.end(0).unwrap().usage.output_tokens, 7);
    }
}
