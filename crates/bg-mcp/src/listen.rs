//! Clients over HTTP.
//!
//! # Invariants
//!
//! - H1: a request reaches rmcp with a token that is known, if any is, and as its client's alone: each
//!   client has a service, sessions and a root of its own.
//! - H2: so many connections are open at most, and so many requests of a client are under way; the next
//!   ones wait.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::transport::streamable_http_server::session::local::{LocalSessionManager, SessionConfig};
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::body::Delivered;
use crate::client::{Client, Host};
use crate::delivery::Delivery;
use crate::handler::Handler;
use crate::http_spec::{Http, ListenError};
use crate::limits::{
    BODY_PATIENCE, HEAD_PATIENCE, MAX_CALLS, MAX_CONNECTIONS, MAX_MESSAGE_BYTES, MAX_SESSIONS,
};
use crate::server::{ServeError, Server};
use crate::subscription;
use crate::token::{Token, borne};

/// The one path that is served.
const PATH: &str = "/mcp";

/// How long connections may take to end once all roots are closed.
const LAST: Duration = Duration::from_millis(500);

/// A server that listens, and takes nobody yet.
#[must_use = "nobody is served until `serve` is called"]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    clients: Arc<[Known]>,
    host: Arc<Host>,
}

/// A client, and what serves it.
struct Known {
    /// `None` for whoever calls.
    token: Option<Token>,
    service: StreamableHttpService<Handler, LocalSessionManager>,
    sessions: Arc<LocalSessionManager>,
    places: Arc<Semaphore>,
}

impl Server {
    /// Listens for HTTP. Clients may connect from here on, and are served by
    /// [`Listening::serve`].
    ///
    /// # Errors
    ///
    /// [`ListenError`]: others can reach the address and need no token, two tokens are the same, the
    /// address cannot be had.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop.
    pub async fn listen(&self, http: Http) -> Result<Listening, ListenError> {
        http.check()?;
        let failed = |source| ListenError::Bind { address: http.address, source };
        let listener = TcpListener::bind(http.address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tokens = http.tokens.iter().cloned().map(Some);
        let tokens: Vec<_> = if http.tokens.is_empty() { vec![None] } else { tokens.collect() };
        let clients =
            tokens.into_iter().map(|token| Known::new(&self.host, token, &http)).collect();
        Ok(Listening { listener, address, clients, host: self.host.clone() })
    }
}

impl Listening {
    /// Returns the address, with the port that was free.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns where clients find it.
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Serves clients until the server is closed. That a client goes away ends nothing: it finds its
    /// tasks again, by its token, until its root was idle for too long.
    ///
    /// # Errors
    ///
    /// [`ServeError`] if no connection can be taken any more.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the connections, and leaves the roots to [`Server::close`].
    pub async fn serve(self) -> Result<(), ServeError> {
        let Self { listener, clients, host, .. } = self;
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = async {
                let place = places.clone().acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                accepted = accepted => accepted,
                () = host.closing.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (clients, host) = (clients.clone(), host.clone());
                    connections.spawn(async move {
                        serve(stream, clients, &host).await;
                        drop(place);
                    });
                }
                // It passes: a connection that broke at once, descriptors that are all in use.
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        host.closed.cancelled().await;
        let _ =
            tokio::time::timeout(LAST, async { while connections.join_next().await.is_some() {} })
                .await;
        Ok(())
    }
}

async fn serve(stream: TcpStream, clients: Arc<[Known]>, host: &Host) {
    // Answers are small, and somebody waits for each.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let clients = clients.clone();
        async move { Ok::<_, Infallible>(answer(&clients, request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(64 << 10);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let closed = tokio::select! {
        _ = &mut connection => return,
        () = host.closing.cancelled() => host.closed.cancelled(),
    };
    connection.as_mut().graceful_shutdown();
    let ended = tokio::select! {
        _ = &mut connection => true,
        () = closed => false,
    };
    if !ended {
        // What was answered in the end is still written.
        let _ = tokio::time::timeout(LAST, connection).await;
    }
}

async fn answer(clients: &[Known], request: Request<Incoming>) -> Response<Delivered> {
    let (found, is_path) = (known(clients, &request), request.uri().path() == PATH);
    match found {
        None => refusal(StatusCode::UNAUTHORIZED, "a token that is known is needed"),
        Some(_) if !is_path => refusal(StatusCode::NOT_FOUND, "there is only /mcp"),
        Some(client) => client.answer(request).await,
    }
}

fn known<'a>(clients: &'a [Known], request: &Request<Incoming>) -> Option<&'a Known> {
    if let [client @ Known { token: None, .. }] = clients {
        return Some(client);
    }
    let tokens = clients.iter().filter_map(|client| client.token.as_ref());
    clients.get(borne(request.headers(), tokens)?)
}

impl Known {
    fn new(host: &Arc<Host>, token: Option<Token>, http: &Http) -> Self {
        let client = Client::new(host, Some(host.idle));
        let mut sessions = LocalSessionManager::default();
        let mut session = SessionConfig::default();
        session.keep_alive = Some(host.idle);
        sessions.session_config = session;
        let sessions = Arc::new(sessions);
        let config = StreamableHttpServerConfig::default()
            .with_allowed_hosts(http.all_hosts())
            .with_allowed_origins(http.origins.iter().cloned())
            .enforce_origin_validation()
            .with_json_response(true)
            .with_max_request_body_bytes(MAX_MESSAGE_BYTES)
            .with_cancellation_token(host.closed.child_token());
        let handler = move || Ok(Handler(client.clone()));
        let service = StreamableHttpService::new(handler, sessions.clone(), config);
        Self { token, service, sessions, places: Arc::new(Semaphore::new(MAX_CALLS)) }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Delivered> {
        if self.opens_too_many(&request).await {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, "too many sessions are open");
        }
        // What only listens waits for nothing of ours. A body is kept by those who have a place alone.
        let place = match *request.method() {
            Method::POST => self.places.clone().acquire_owned().await.ok(),
            _ => None,
        };
        let mut request = match received(request).await {
            Ok(request) => request,
            Err((status, problem)) => return refusal(status, problem),
        };
        // Without the token: whoever shows a request shows its headers.
        request.headers_mut().remove(http::header::AUTHORIZATION);
        let delivery = Delivery::new(place);
        request.extensions_mut().insert(delivery.clone());
        let response = self.service.handle(request).await;
        response.map(|body| Delivered::new(body, delivery))
    }

    /// A request without a session may open one, unless it is of a protocol that has none.
    async fn opens_too_many(&self, request: &Request<Incoming>) -> bool {
        let headers = request.headers();
        !headers.contains_key("mcp-session-id")
            && headers.get("mcp-protocol-version").is_none_or(|version| version < "2026-07-28")
            && self.sessions.sessions.read().await.len() >= MAX_SESSIONS
    }
}

/// Receives the body of a request.
async fn received(
    request: Request<Incoming>,
) -> Result<Request<Full<Bytes>>, (StatusCode, &'static str)> {
    let (mut head, body) = request.into_parts();
    let body = Limited::new(body, MAX_MESSAGE_BYTES).collect();
    let body = match tokio::time::timeout(BODY_PATIENCE, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, "a message has at most 4 MiB"));
        }
        Ok(Err(_)) => return Err((StatusCode::BAD_REQUEST, "the body is not whole")),
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    };
    let body = subscription::renamed_body(&mut head.headers, body);
    Ok(Request::from_parts(head, Full::new(body)))
}

fn refusal(status: StatusCode, problem: &'static str) -> Response<Delivered> {
    let body = Full::new(Bytes::from_static(problem.as_bytes())).boxed();
    let mut response = Response::new(Delivered::new(body, Delivery::new(None)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
    }
    response
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").field("address", &self.address).finish_non_exhaustive()
    }
}
