//! Client of the nodes in the box, and of every build that offers the same interface ([`nodes::api`]).

use std::time::Duration;

use checkers::history::{Action, Value};
use nodes::api::{CasRequest, ErrorResponse, Outcome as ErrorOutcome, ReadRequest, SessionFields, WriteRequest};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use tokio::time::Instant;

use super::{
    Client, ClientError, Outcome, from_json,
    http::{Answer, Http},
};
use crate::generator::Invocation;

/// One client's connection to one node.
#[derive(Clone, Debug)]
pub struct NativeClient {
    http: Http,
}

impl NativeClient {
    /// A client of the node at `http://HOST:PORT`. Connects at the first operation.
    ///
    /// # Errors
    /// When that is no address.
    pub fn new(base_url: &str) -> Result<Self, ClientError> {
        Ok(Self { http: Http::new(base_url)? })
    }
}

impl Client for NativeClient {
    async fn invoke(&mut self, invocation: &Invocation, timeout: Duration) -> Outcome {
        let deadline = Instant::now() + timeout;
        let Some((path, body)) = request(invocation) else { return Outcome::fail(super::UNSUPPORTED) };
        match self.http.post(path, body, deadline).await {
            Ok(answer) => judge(&invocation.action, &answer),
            Err(no) if no.sent => Outcome::unanswered(&invocation.action, no.reason),
            Err(no) => Outcome::fail(no.reason),
        }
    }
}

/// The request, or `None` when the nodes have none for this action.
fn request(invocation: &Invocation) -> Option<(&'static str, Vec<u8>)> {
    let key = invocation.key.clone();
    let stamp = SessionFields::default();
    Some(match &invocation.action {
        Action::Read => ("/v1/read", to_body(&ReadRequest { key })),
        Action::Write(value) => ("/v1/write", to_body(&WriteRequest { key, value: to_json(value), stamp })),
        Action::Append(value) => ("/v1/append", to_body(&WriteRequest { key, value: to_json(value), stamp })),
        Action::Cas { old, new } => {
            ("/v1/cas", to_body(&CasRequest { key, old: to_json(old), new: to_json(new), stamp }))
        }
        _ => return None,
    })
}

fn to_body(request: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(request).expect("a request is always JSON")
}

fn to_json(value: &Value) -> Json {
    serde_json::to_value(value).expect("a value is always JSON")
}

fn judge(action: &Action, answer: &Answer) -> Outcome {
    if answer.status != 200 {
        return refusal(action, answer);
    }
    done(action, &answer.body).unwrap_or_else(|| Outcome::unanswered(action, "bad-answer"))
}

/// Reads a 200; none if it makes no sense. By hand, because a field that is `null` and one that is missing mean different things.
fn done(action: &Action, body: &[u8]) -> Option<Outcome> {
    let mut fields: Map<String, Json> = serde_json::from_slice(body).ok()?;
    if fields.contains_key("error") {
        return None;
    }
    match action {
        Action::Read => Some(Outcome::ok(Some(from_json(fields.remove("value")?)?))),
        Action::Write(_) | Action::Append(_) => Some(Outcome::ok(None)),
        Action::Cas { .. } => match fields.get("swapped")?.as_bool()? {
            true => Some(Outcome::ok(None)),
            false => match fields.remove("observed") {
                None => Some(Outcome::mismatch(None)),
                Some(json) => Some(Outcome::mismatch(Some(from_json(json)?))),
            },
        },
        _ => None,
    }
}

/// The longest code that is kept, bytes.
const CODE_BYTES_MAX: usize = 64;

/// A code as it may stand in a history; a server's free text is none.
fn stable(code: String) -> String {
    let plain = code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if plain && (1..=CODE_BYTES_MAX).contains(&code.len()) { code } else { "bad-code".to_owned() }
}

/// A node's word on what an error means is taken; without one the request may have been done.
fn refusal(action: &Action, answer: &Answer) -> Outcome {
    match serde_json::from_slice::<ErrorResponse>(&answer.body) {
        Ok(ErrorResponse { error }) => match error.outcome {
            ErrorOutcome::Fail => Outcome::fail(stable(error.code)),
            ErrorOutcome::Info => Outcome::unanswered(action, stable(error.code)),
        },
        Err(_) => Outcome::unanswered(action, format!("http-{}", answer.status)),
    }
}
