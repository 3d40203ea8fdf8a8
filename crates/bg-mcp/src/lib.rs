//! Background work for any MCP host: the registry as a server, over stdio and HTTP.
#![deny(unsafe_code)]

mod body;
mod call;
mod client;
mod delivery;
mod handler;
mod http_spec;
mod id_scan;
mod limits;
mod lines;
mod listen;
mod progress;
mod refused;
mod server;
mod tasks;
mod token;
mod tools;

pub use http_spec::{Http, ListenError};
pub use listen::Listening;
pub use server::{OnDisconnect, ServeError, Server, ServerBuilder};
pub use token::{Token, TokenError};
pub use tools::AllowError;
