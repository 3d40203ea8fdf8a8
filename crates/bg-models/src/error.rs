//! Errors of setting a model up. Messages are fragments that fit "could not set up: {error}".

use bg_sessions::BoxError;

/// A model could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// This is not the address of a server. The address is not shown: it may hold a password.
    #[error("the base URL {problem}")]
    BaseUrl {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The model names no vendor that is known, with `::` behind it.
    #[cfg(feature = "genai")]
    #[error("the model needs a vendor, as in \"anthropic::NAME\": one of {known}")]
    NoVendor {
        /// The vendors.
        known: String,
    },
    /// The model has no name.
    #[error("the model needs a name")]
    NoModel,
    /// The variable that is to hold the key is not set, or blank.
    #[error("the key is missing: set the environment variable {variable}")]
    NoKey {
        /// The name of the variable.
        variable: String,
    },
    /// The variable holds something that cannot be sent as a key.
    #[error("the environment variable {variable} holds characters that no key has")]
    UnusableKey {
        /// The name of the variable.
        variable: String,
    },
    /// The HTTP client could not be made: TLS has no roots, for example.
    #[error("the HTTP client could not be made")]
    Client(#[source] BoxError),
}
