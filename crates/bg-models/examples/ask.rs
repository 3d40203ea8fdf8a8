//! Asks a model behind a server that speaks the OpenAI chat protocol, and shows what came.
//!
//! `ask BASE_URL MODEL PROMPT`; the variable `BG_KEY_VARIABLE` may name the one that holds a key.

use std::env;
use std::error::Error;

use bg_models::OpenAiCompatible;
use bg_sessions::{Message, Model, ModelRequest, Part};
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [base_url, model, prompt] = &args[..] else {
        return Err("usage: ask BASE_URL MODEL PROMPT".into());
    };
    let mut builder = OpenAiCompatible::builder(base_url, model);
    if let Ok(variable) = env::var("BG_KEY_VARIABLE") {
        builder = builder.key_from_env(variable);
    }
    let request = ModelRequest::new(vec![Message::user(vec![Part::text(prompt)])]);
    match builder.build()?.complete(request, CancellationToken::new()).await {
        Ok(reply) => println!("{}\n{:?}", reply.text(), reply.usage),
        Err(error) => println!("{}", bg_core::Failure::from(error)),
    }
    Ok(())
}
