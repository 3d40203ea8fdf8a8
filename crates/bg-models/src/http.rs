//! Where a server is, and the client that asks it.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::error::BuildError;

/// Reads a base URL.
///
/// # Errors
///
/// [`BuildError::BaseUrl`] if it is not an HTTP address, or holds what could be a secret.
pub(crate) fn base_url(text: &str) -> Result<Url, BuildError> {
    let wrong = |problem| BuildError::BaseUrl { problem };
    let url =
        Url::parse(text.trim()).map_err(|_| wrong("is not an address such as http://host/v1"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("has to begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("may not hold a user or a password: name a variable with the key"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("may not hold a query or a fragment"));
    }
    Ok(url)
}

/// A redirect would send the conversation to somebody whom nobody named, and a proxy has no business
/// with a server on this machine. What another crate of the build turns on in the HTTP client changes
/// nothing: a request that is dropped ends its connection, and what is read is what was sent.
pub(crate) fn client(url: &Url, connect: Duration) -> Result<Client, BuildError> {
    let client = Client::builder()
        .user_agent(concat!("bg-models/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .http1_only()
        .no_gzip()
        .connect_timeout(connect);
    let client = if is_loopback(url) { client.no_proxy() } else { client };
    client.build().map_err(|error| BuildError::Client(error.without_url().into()))
}

/// A client for another end in this process.
#[cfg(feature = "genai")]
pub(crate) fn plain_client() -> Result<Client, BuildError> {
    let client = Client::builder().http1_only().no_gzip().no_proxy().redirect(Policy::none());
    client.pool_max_idle_per_host(0).build().map_err(|error| BuildError::Client(error.into()))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_on_this_machine_are_asked_without_a_proxy() {
        let is_loopback = |url| is_loopback(&Url::parse(url).unwrap());
        assert!(is_loopback("http://127.0.0.1:1/v1") && is_loopback("http://[::1]/v1"));
        assert!(is_loopback("http://localhost/v1") && !is_loopback("http://10.0.0.1/v1"));
    }
}
