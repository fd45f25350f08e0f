//! The store in a browser: what there is, what came out, and why. Pages only; nothing can be changed through them.
//!
//! ```text
//!   request ──> guard: GET or HEAD? meant for this server? ──> place in the queue ──> handler ──> headers that forbid
//!                                                                                        │        everything not needed
//!   /                   runs: selected, sorted, a page at a time                          │
//!   /runs/ID            one run                                                           v
//!   /runs/ID/report     its report, alone in a sandbox                          Store, by a checked RunId
//!   /runs/ID/files/NAME one of the files that runs have                         and a known name only
//!   /collections        hunts, gates, benches, replays
//!   /trends             what changed over time
//! ```
//!
//! What lies in a store may have come from somebody else, and other pages in the same browser may try to reach this server. So:
//!
//! - The `Host` of a request must be an address or `localhost`, with this server's port: a page whose name was made to mean this address
//!   (DNS rebinding) gets nothing. Nothing is sent that another page may read or embed.
//! - Nothing of a URL becomes part of a path but a [`RunId`](results::store::RunId) that was parsed, and a name out of a fixed list.
//!   Files are opened without following links.
//! - Pages have no script, and their policy allows none; text is escaped, and characters that steer terminals or turn the direction of
//!   writing are shown as what they are. A report, which has scripts of its own, is shown in a sandbox: a document without an origin.
//! - There is a bound on how many runs a page has, how large a file may be, and how many requests are worked on at once.

use std::{future::Future, io, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use results::store::Store;
use tokio::{net::TcpListener, sync::Semaphore};

mod handlers;
mod list;
mod page;
mod run_page;
mod trends;

use page::problem;

/// Requests that are worked on at once; each may hold a file of [`SERVED_BYTES_MAX`](handlers::SERVED_BYTES_MAX) in memory.
const AT_ONCE: usize = 4;

/// How long a request waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(30);

/// What handlers share.
struct Shared {
    store: Store,
    port: u16,
    turns: Semaphore,
}

/// Serves until `stop` is done. Needs a tokio runtime.
///
/// # Errors
/// When the listener has no address, or can take no more connections.
pub async fn serve(
    store: Store,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let port = listener.local_addr()?.port();
    axum::serve(listener, router(store, port)).with_graceful_shutdown(stop).await
}

fn router(store: Store, port: u16) -> Router {
    let shared = Arc::new(Shared { store, port, turns: Semaphore::new(AT_ONCE) });
    Router::new()
        .route("/", get(handlers::runs))
        .route("/runs/{run}", get(handlers::run))
        .route("/runs/{run}/report", get(handlers::report))
        .route("/runs/{run}/files/{*name}", get(handlers::file))
        .route("/collections", get(handlers::collections))
        .route("/trends", get(handlers::trends))
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "There is no such page.") })
        .layer(from_fn_with_state(Arc::clone(&shared), guard))
        .with_state(shared)
}

/// What is said to browsers with every answer, whatever it is.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The policy of what has none of its own.
const NOTHING: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";

async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut response = match admit(&request, shared.port) {
        Err((status, why)) => problem(status, why),
        Ok(()) => match tokio::time::timeout(TURN_MAX, shared.turns.acquire()).await {
            Ok(_turn) => next.run(request).await,
            Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "Too much is asked for at once. Try again."),
        },
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(NOTHING));
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

/// Whether a request is one that is answered at all.
fn admit(request: &Request, port: u16) -> Result<(), (StatusCode, &'static str)> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "Here is only to be looked at."));
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, other) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next());
    // A request may name the host in its first line as well; that one counts as much.
    let authority = request.uri().authority().map(axum::http::uri::Authority::as_str);
    let is_ours = host.is_some_and(|host| is_ours(host, port)) && authority.is_none_or(|host| is_ours(host, port));
    if is_ours && other.is_none() {
        Ok(())
    } else {
        let why = "This server answers to its address or to localhost, and to no other name: a page elsewhere could have made it up.";
        Err((StatusCode::MISDIRECTED_REQUEST, why))
    }
}

/// Whether a host is an address, or this machine, at this port. No name that somebody else can give a meaning is.
fn is_ours(host: &str, port: u16) -> bool {
    let (name, said) = match host.rsplit_once(':') {
        // The colons within brackets are those of the address.
        Some((name, said)) if !said.ends_with(']') => (name, said.parse().ok()),
        _ => (host, Some(80)),
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    said == Some(port) && (name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok())
}

/// An answer that takes a while: reading files, not waiting for others.
async fn blocking(work: impl FnOnce() -> Response + Send + 'static) -> Response {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        // It panicked: a defect of this program, told on its standard error.
        problem(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here; the terminal says what.").into_response()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_this_machine() {
        for (host, port) in [
            ("127.0.0.1:7357", 7357),
            ("localhost:7357", 7357),
            ("LOCALHOST:7357", 7357),
            ("[::1]:7357", 7357),
            ("10.0.0.7:7357", 7357),
            ("127.0.0.1", 80),
            ("[::1]", 80),
        ] {
            assert!(is_ours(host, port), "{host}");
        }
        for host in [
            "",
            ":7357",
            "evil.example:7357",
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost",
            "localhost.evil.example:7357",
            "127.0.0.1.evil.example:7357",
            "127.0.0.1:7357:7357",
            "user@127.0.0.1:7357",
            "localhost:",
            "localhost:x",
            "[::1]",
            "[localhost]:7357x",
            "127.0.0.1:7357/",
            " 127.0.0.1:7357",
            "0x7f.1:7357",
            "[::1",
        ] {
            assert!(!is_ours(host, 7357), "{host}");
        }
    }
}
