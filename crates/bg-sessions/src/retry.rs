//! Asking a model again when it could not answer.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::RunError;
use crate::model::{Model, ModelError, ModelReply, ModelRequest};
use crate::runner::report::Reports;

/// How long to wait before each further attempt, unless the provider says.
const BACK_OFF: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// Longest wait that a provider can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

/// Asks a model, and asks again with the same request after errors that may pass.
pub(crate) async fn complete_with_retries(
    model: &dyn Model,
    reports: &Reports,
    request: ModelRequest,
    token: &CancellationToken,
) -> Result<ModelReply, RunError> {
    for back_off in BACK_OFF {
        let error = match model.complete(request.clone(), token.clone()).await {
            Err(error @ ModelError::Retryable { .. }) => error,
            result => return result.map_err(RunError::Model),
        };
        let delay = delay(&error, back_off);
        reports.trace(&format!("asking the model again in {} ms: {error}", delay.as_millis()));
        tokio::time::sleep(delay).await;
    }
    let last = model.complete(request, token.clone()).await;
    last.map_err(|source| match source {
        ModelError::Retryable { .. } => {
            RunError::Exhausted { attempts: BACK_OFF.len() + 1, source }
        }
        source => RunError::Model(source),
    })
}

fn delay(error: &ModelError, back_off: Duration) -> Duration {
    match error {
        ModelError::Retryable { retry_after: Some(after), .. } => (*after).min(MAX_RETRY_AFTER),
        _ => back_off,
    }
}
