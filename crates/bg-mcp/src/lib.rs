//! Background work for any MCP host: the registry as a server, over stdio and HTTP.
//!
//! # What it guarantees
//!
//! - A client has a root of its own: what others run cannot be seen, guessed or heard of.
//! - A request that is cancelled, and a connection over HTTP that breaks, end a wait and no task. What an
//!   answer delivers is acknowledged when the answer was written, else given back.
//! - Over standard input the end of the client is the end of what it has started; over HTTP that is
//!   a root that nobody has asked for too long; everywhere, [`Server::close`].
//! - Whatever a client sends is answered, or ignored as the protocol says, in bounded memory: at most
//!   4 MiB a message, 256 requests under way, 1,024 connections.
//! - It listens to others than this machine with a token only, and no token is in an error or a log.
//!
//! # What it does not
//!
//! - It speaks no TLS, and does not keep clients apart in the system: whoever may call `Bash` runs commands
//!   as the user of the server.
//! - It announces no changes of the list of tools: clients ask for it.
//!
//! # Example
//!
//! See [`Server`] for one client, and this for many:
//!
//! ```no_run
//! use bg_agents::Background;
//! use bg_mcp::{Http, Server, Token};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A host that starts processes calls this first in its `main`, before the runtime.
//! bg_agents::process::guard_main();
//! let background = Background::builder().folder(".").build()?;
//! let server = Server::builder(background).allow(["Bash", "WaitTask"]).build()?;
//! let token = Token::of_variable("BG_TOKEN")?;
//! let http = Http::new("0.0.0.0:8737".parse()?).tokens([token]).hosts(["build.example.org"]);
//! server.listen(http).await?.serve().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Theory of operation
//!
//! rmcp speaks the protocol; a handler answers it from a client's root: a call goes to the toolbox as
//! a model wrote it, under a token that fires when the request is cancelled. Below rmcp stand a transport
//! of lines, and hyper. The repository's `docs/design/0009-mcp.md` has the decisions.
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
mod subscription;
mod tasks;
mod token;
mod tools;

pub use http_spec::{Http, ListenError};
pub use listen::Listening;
pub use server::{OnDisconnect, ServeError, Server, ServerBuilder};
pub use token::{Token, TokenError};
pub use tools::AllowError;
