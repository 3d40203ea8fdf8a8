//! Background work for any MCP host: the registry as a server, over stdio and HTTP.
#![deny(unsafe_code)]

mod call;
mod client;
mod delivery;
mod handler;
mod id_scan;
mod limits;
mod lines;
mod progress;
mod refused;
mod server;
mod tasks;
mod tools;

pub use server::{OnDisconnect, ServeError, Server, ServerBuilder};
pub use tools::AllowError;
