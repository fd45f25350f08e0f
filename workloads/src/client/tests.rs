//! Fake servers on loopback, one for each way an operation can end. Every test runs the same table for both clients.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

mod etcd;
mod native;
mod transport;

/// Long enough never to be met by a server that answers.
const PATIENT: Duration = Duration::from_secs(30);
/// For servers that never answer.
const SHORT: Duration = Duration::from_millis(150);

fn int(value: i64) -> Value {
    Value::Int(value)
}

fn read() -> Invocation {
    Invocation { key: "k1".to_owned(), action: Action::Read }
}

fn write(value: i64) -> Invocation {
    Invocation { key: "k1".to_owned(), action: Action::Write(int(value)) }
}

fn cas(old: Value, new: i64) -> Invocation {
    Invocation { key: "k1".to_owned(), action: Action::Cas { old, new: int(new) } }
}

fn append(value: i64) -> Invocation {
    Invocation { key: "k1".to_owned(), action: Action::Append(int(value)) }
}

fn on(action: Action) -> Invocation {
    Invocation { key: "k1".to_owned(), action }
}

fn changes() -> [Invocation; 3] {
    [write(1), cas(int(1), 2), append(3)]
}

/// A server that answers `handle(path, body)`; its address.
async fn serve<F>(handle: F) -> String
where
    F: Fn(&str, Json) -> (u16, String) + Clone + Send + Sync + 'static,
{
    let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let handle = handle.clone();
        async move {
            let path = request.uri().path().to_owned();
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.expect("a body");
            let (status, text) = handle(&path, serde_json::from_slice(&body).unwrap_or(Json::Null));
            (axum::http::StatusCode::from_u16(status).expect("a status"), text)
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// A server that always answers the same.
async fn always(status: u16, body: Json) -> String {
    serve(move |_, _| (status, body.to_string())).await
}

/// A server of raw bytes: `answer(connection)` after the first whole request on it was received. Counts connections.
async fn raw<F, T>(answer: F) -> (String, Arc<AtomicUsize>)
where
    F: Fn(TcpStream) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    raw_by(move |_, stream| answer(stream)).await
}

/// The same, where the answer depends on the request.
async fn raw_by<F, T>(answer: F) -> (String, Arc<AtomicUsize>)
where
    F: Fn(String, TcpStream) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            if let Some(request) = receive_request(&mut stream).await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer(request, stream));
            }
        }
    });
    (format!("http://{address}"), requests)
}

/// Reads one request with its body; none if the connection ended before.
async fn receive_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
    }
}

/// An address on loopback at which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address: SocketAddr = listener.local_addr().expect("an address");
    drop(listener);
    format!("http://{address}")
}

fn both(base_url: &str) -> [AnyClient; 2] {
    [
        AnyClient::Native(NativeClient::new(base_url).expect("an address")),
        AnyClient::Etcd(EtcdClient::new(base_url, EtcdReads::Linearizable).expect("an address")),
    ]
}
