//! One request, one answer, and what is known where there is none.

use std::{error::Error, io, time::Duration};

use reqwest::{
    Method, Url,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
    redirect, retry,
};
use tokio::time::{Instant, timeout_at};

/// A connection that is not up after this long is given up. Shorter than any sensible operation timeout, so that an unreachable node
/// gives a definite `fail` (nothing was sent) and not an unknown outcome.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(400);

/// Answers longer than this are refused: a broken server must not eat the controller's memory, and a line of a history, which holds
/// the value read, may have 16 MiB.
const BODY_BYTES_MAX: usize = 8 << 20;

/// A client that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not an address.
    #[error("{base_url:?} is no address of a server (wanted: http://HOST:PORT): {reason}")]
    BadUrl {
        /// What was given.
        base_url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP library refused.
    #[error("could not set up an HTTP client: {0}")]
    Setup(#[source] reqwest::Error),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoAnswer {
    /// Whether a byte of the request may have left: if not, it definitely had no effect.
    pub sent: bool,
    /// A stable code.
    pub reason: &'static str,
}

/// A request. The path may have a query.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub method: Method,
    pub path: String,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Option<Vec<u8>>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// One keep-alive connection to one server.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    base: Url,
}

impl Http {
    pub fn new(base_url: &str) -> Result<Self, ClientError> {
        let bad = |reason: String| ClientError::BadUrl { base_url: base_url.to_owned(), reason };
        let base = Url::parse(base_url).map_err(|error| bad(error.to_string()))?;
        if base.scheme() != "http" || base.host_str().is_none() {
            return Err(bad("only http:// with a host".to_owned()));
        }
        // A silent retry or a redirect falsifies the history: the operation would be done twice, or by another server. A proxy from
        // the environment would hide which server answered.
        let client = reqwest::Client::builder()
            .no_proxy()
            .retry(retry::never())
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(1)
            .tcp_nodelay(true)
            .build()
            .map_err(ClientError::Setup)?;
        Ok(Self { client, base })
    }

    /// Sends JSON, and waits for the answer until the deadline.
    pub async fn post(&self, path: &str, body: Vec<u8>, deadline: Instant) -> Result<Answer, NoAnswer> {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        self.send(Request { method: Method::POST, path: path.to_owned(), headers, body: Some(body) }, deadline).await
    }

    /// Asks, and waits for the answer until the deadline.
    pub async fn get(&self, path: &str, deadline: Instant) -> Result<Answer, NoAnswer> {
        let request = Request { method: Method::GET, path: path.to_owned(), headers: Vec::new(), body: None };
        self.send(request, deadline).await
    }

    /// Sends a request, and waits for the answer until the deadline.
    pub async fn send(&self, request: Request, deadline: Instant) -> Result<Answer, NoAnswer> {
        let mut url = self.base.clone();
        let (path, query) = match request.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (request.path.as_str(), None),
        };
        url.set_path(path);
        url.set_query(query);
        let mut builder = self.client.request(request.method, url);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        // Dropping the future closes the connection, so that a late answer is never taken for that of the next request.
        match timeout_at(deadline, receive(builder)).await {
            Ok(answer) => answer,
            // It may still have been connecting; that cannot be told from here, so take the careful side.
            Err(_) => Err(NoAnswer { sent: true, reason: "timeout" }),
        }
    }
}

async fn receive(request: reqwest::RequestBuilder) -> Result<Answer, NoAnswer> {
    let mut response = request.send().await.map_err(|error| classify(&error))?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(NoAnswer { sent: true, reason: "bad-answer" });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, body })
}

fn classify(error: &reqwest::Error) -> NoAnswer {
    if error.is_connect() {
        let reason = match (error.is_timeout(), io_kind(error)) {
            (true, _) => "connect-timeout",
            (_, Some(io::ErrorKind::ConnectionRefused)) => "connection-refused",
            _ => "connect-failed",
        };
        return NoAnswer { sent: false, reason };
    }
    // Anything else may have happened after the request had left: also a reused connection that the server had closed.
    NoAnswer { sent: true, reason: "connection-broken" }
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
}
