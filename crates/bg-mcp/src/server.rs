//! The server: what all its clients share, and the ways to it.

use std::sync::Arc;
use std::time::Duration;

use bg_agents::Background;
use bg_agents::core::CloseReport;
use futures_util::future::join_all;
use parking_lot::Mutex;
use rmcp::service::ServerInitializeError;
use rmcp::transport::stdio_pipes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Host};
use crate::handler::Handler;
use crate::lines::Lines;
use crate::tools::{AllowError, Allowed};

/// Serves background work to MCP hosts. Clones are the same server.
///
/// Each client has a root of its own, so no client can tell that there are others.
///
/// # Examples
///
/// A server on standard input and output:
///
/// ```no_run
/// use std::time::Duration;
///
/// use bg_agents::Background;
/// use bg_mcp::{OnDisconnect, Server};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let background = Background::builder().folder(".").build()?;
/// let server = Server::builder(background).build()?;
/// server.serve_stdio(OnDisconnect::Stop { grace: Duration::from_secs(2) }).await?;
/// server.close(Duration::ZERO).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a server does nothing until it serves"]
pub struct Server {
    pub(crate) host: Arc<Host>,
}

/// Puts a [`Server`] together.
#[must_use = "a builder does nothing until `build` is called"]
pub struct ServerBuilder {
    background: Background,
    allowed: Allowed,
    idle: Duration,
    ttl: Duration,
}

/// What becomes of a client's tasks when its connection ends, where that is the end of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDisconnect {
    /// They are stopped, and have so long to end by themselves.
    Stop {
        /// From the request to the end by force.
        grace: Duration,
    },
    /// They go on, and the server with them, until the last one has ended.
    Finish,
}

/// A connection could not be served to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The client has not begun as the protocol wants it.
    #[error("the client began with something else than a request of the protocol")]
    Handshake,
    /// The server has broken.
    #[error("the connection broke")]
    Broken,
    /// The client's first message could not be answered, or the stream broke.
    #[error("cannot speak with the client: {0}")]
    Io(#[from] std::io::Error),
}

impl ServerBuilder {
    /// Lets clients call these tools only; `SA_*` stands for all that begin so. By default they may
    /// call all that the background has.
    pub fn allow(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allowed = Allowed::Only(names.into_iter().map(Into::into).collect());
        self
    }

    /// Lets clients call all tools but these, in place of a list.
    pub fn deny(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allowed = Allowed::AllBut(names.into_iter().map(Into::into).collect());
        self
    }

    /// Sets how long the root of a client over HTTP may be without a request until it is closed, with
    /// all that runs in it. By default an hour.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Sets how long a task of the Tasks extension, and its result, is kept. By default an hour.
    pub fn task_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Puts it together.
    ///
    /// # Errors
    ///
    /// [`AllowError`] if a name that is to be allowed is that of no tool.
    pub fn build(self) -> Result<Server, AllowError> {
        let Self { background, allowed, idle, ttl } = self;
        allowed.check(background.toolbox())?;
        let (closing, closed) = (CancellationToken::new(), CancellationToken::new());
        let clients = Mutex::default();
        let host = Host { background, allowed, idle, ttl, closing, closed, clients };
        Ok(Server { host: Arc::new(host) })
    }
}

impl Server {
    /// How long a root, a task of the extension or its result is kept unless it is said otherwise.
    pub const DEFAULT_KEPT: Duration = Duration::from_secs(3600);

    /// Starts to put one together, over the background work of a host.
    pub fn builder(background: Background) -> ServerBuilder {
        let (idle, ttl) = (Self::DEFAULT_KEPT, Self::DEFAULT_KEPT);
        ServerBuilder { background, allowed: Allowed::default(), idle, ttl }
    }

    /// Serves one client on standard input and output, until it has gone or the server is closed.
    ///
    /// # Errors
    ///
    /// [`ServeError`]; the client's root is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the connection, and leaves the root to [`close`](Self::close).
    pub async fn serve_stdio(&self, on_disconnect: OnDisconnect) -> Result<(), ServeError> {
        let (reader, writer) = stdio_pipes();
        self.serve_stream(reader, writer, on_disconnect).await
    }

    /// Serves one client on a pair of streams, until it has gone or the server is closed.
    ///
    /// # Errors
    ///
    /// [`ServeError`]; the client's root is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the connection, and leaves the root to [`close`](Self::close).
    pub async fn serve_stream<R, W>(
        &self,
        reader: R,
        writer: W,
        on_disconnect: OnDisconnect,
    ) -> Result<(), ServeError>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let client = Client::new(&self.host, None);
        let gone = CancellationToken::new();
        let lines = Lines::new(reader, writer, gone.clone());
        // Boxed: it is large, and there is one for a client.
        let served = Box::pin(serve(client.clone(), lines, self.host.closed.child_token()));
        let closed = async {
            gone.cancelled().await;
            match on_disconnect {
                OnDisconnect::Stop { grace } => client.close(grace).await,
                OnDisconnect::Finish => {
                    client.finished().await;
                    client.close(Duration::ZERO).await
                }
            }
        };
        let watched = async {
            let served = served.await;
            // The end of the service is that of the client, whoever has seen it first.
            gone.cancel();
            served
        };
        let (served, _) = tokio::join!(watched, closed);
        served
    }

    /// Closes every root: nothing is started any more, and what runs is stopped with one deadline for
    /// all. Returns by `grace` and one second more, with a report for each.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop: the stop goes on, only the reports are lost.
    pub async fn close(&self, grace: Duration) -> Vec<CloseReport> {
        self.host.closing.cancel();
        let clients: Vec<_> =
            self.host.clients.lock().iter().filter_map(std::sync::Weak::upgrade).collect();
        let reports = join_all(clients.iter().map(|client| client.close(grace))).await;
        self.host.closed.cancel();
        reports
    }
}

async fn serve<R, W>(
    client: Arc<Client>,
    lines: Lines<R, W>,
    closed: CancellationToken,
) -> Result<(), ServeError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let handler = Handler(client);
    match rmcp::service::serve_server_with_ct(handler, lines, closed).await {
        Ok(running) => match running.waiting().await {
            Ok(_) => Ok(()),
            Err(_) => Err(ServeError::Broken),
        },
        // It came and went.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => {
            Ok(())
        }
        Err(ServerInitializeError::TransportError { error, .. }) => {
            Err(std::io::Error::other(error).into())
        }
        // Without what the client has sent.
        Err(_) => Err(ServeError::Handshake),
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("allowed", &self.host.allowed).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerBuilder").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}
