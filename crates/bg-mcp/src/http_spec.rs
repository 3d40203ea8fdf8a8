//! Where to listen for HTTP, and to whom.

use std::net::SocketAddr;

use crate::token::Token;

/// Where to listen, and who may call.
///
/// Without tokens there is one client, whoever calls; that is for addresses of this machine only.
/// With tokens each is a client, with a root of its own.
#[derive(Clone, Debug)]
pub struct Http {
    pub(crate) address: SocketAddr,
    pub(crate) tokens: Vec<Token>,
    pub(crate) hosts: Vec<String>,
    pub(crate) origins: Vec<String>,
}

/// It cannot be listened there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Anybody could run commands here.
    #[error("to listen on {0}, which others can reach, clients need a token")]
    Open(SocketAddr),
    /// Two clients could not be told apart.
    #[error("two clients have the same token")]
    SameToken,
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

impl Http {
    /// Listens on an address; port 0 is any that is free.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, tokens: Vec::new(), hosts: Vec::new(), origins: Vec::new() }
    }

    /// Knows clients by these tokens, and nobody else.
    pub fn tokens(mut self, tokens: impl IntoIterator<Item = Token>) -> Self {
        self.tokens = tokens.into_iter().collect();
        self
    }

    /// Takes requests for these hosts too, beside that of its address and `localhost`. A request for
    /// another one is refused: it may come from a page that has been given our address for its name.
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.hosts = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// Takes requests of pages from these origins, such as `http://localhost:6274`. By default none
    /// of a page is taken.
    pub fn origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// Checks what can be checked before it is listened.
    pub(crate) fn check(&self) -> Result<(), ListenError> {
        if self.tokens.is_empty() && !self.address.ip().is_loopback() {
            return Err(ListenError::Open(self.address));
        }
        let mut tokens = self.tokens.iter().enumerate();
        if tokens.any(|(nth, token)| self.tokens[..nth].contains(token)) {
            return Err(ListenError::SameToken);
        }
        Ok(())
    }

    /// All the hosts that requests may be for.
    pub(crate) fn all_hosts(&self) -> Vec<String> {
        let own = ["localhost".to_owned(), self.address.ip().to_string()];
        let loopback = ["127.0.0.1", "::1"].map(str::to_owned);
        own.into_iter().chain(loopback).chain(self.hosts.iter().cloned()).collect()
    }
}
