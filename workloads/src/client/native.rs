//! Client of the nodes in the box, and of every build that offers the same interface ([`nodes::api`]).
//!
//! ```text
//!   set add ── append      enqueue ── append      acquire ── cas null -> owner
//!   counter add ── add     dequeue ── dequeue     release ── cas owner -> null
//! ```
//!
//! A client that retries opens a session and stamps what changes something: the nodes promise that such a pair takes effect once, and is
//! answered with its first answer (Ongaro's dissertation, section 6.3). So an answer to a retry counts as one to the operation. A
//! retry's own definite `fail` does not: it speaks of that copy only, and the first one may still be on its way.

use std::time::Duration;

use checkers::history::{Action, Completion, Value};
use nodes::api::{
    CasRequest, DequeueRequest, ErrorResponse, Outcome as ErrorOutcome, ReadRequest, SessionFields, SessionResponse,
    WriteRequest,
};
use nodes::machine;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use tokio::time::Instant;

use super::{
    Client, ClientError, Outcome, from_json,
    http::{Answer, Http},
};
use crate::{generator::Invocation, kind::WorkloadKind};

/// A client that retries gives an operation up after so many of its timeouts.
pub const RETRY_TIMEOUTS: u32 = 3;

/// A request is sent at most so many times.
const TRIES_MAX: u32 = 5;

/// Before the first retry; twice as long before each further one.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// One client's connection to one node.
#[derive(Clone, Debug)]
pub struct NativeClient {
    http: Http,
    workload: WorkloadKind,
    stamps: Option<Stamps>,
}

/// What a client that retries stamps its requests with.
#[derive(Clone, Copy, Debug, Default)]
struct Stamps {
    /// None before the first request, and after the nodes have forgotten the last one.
    session: Option<u64>,
    /// The number of the newest request in the session.
    seq: u64,
}

impl NativeClient {
    /// A client of the node at `http://HOST:PORT`. Connects at the first operation.
    ///
    /// # Errors
    /// When that is no address.
    pub fn new(base_url: &str) -> Result<Self, ClientError> {
        Ok(Self { http: Http::new(base_url)?, workload: WorkloadKind::Register, stamps: None })
    }

    /// See [`AnyClient::working`](super::AnyClient::working).
    #[must_use]
    pub fn working(self, workload: WorkloadKind, retries: bool) -> Self {
        Self { workload, stamps: retries.then(Stamps::default), ..self }
    }

    /// Sends a request once.
    async fn once(&self, invocation: &Invocation, stamp: SessionFields, deadline: Instant) -> Outcome {
        let Some((path, body)) = request(invocation, self.workload, stamp) else {
            return Outcome::fail(super::UNSUPPORTED);
        };
        match self.http.post(path, body, deadline).await {
            Ok(answer) => judge(&invocation.action, &answer),
            Err(no) if no.sent => Outcome::unanswered(&invocation.action, no.reason),
            Err(no) => Outcome::fail(no.reason),
        }
    }

    /// Sends a stamped request until there is an answer, a few times and for a bounded time.
    async fn insist(&mut self, invocation: &Invocation, timeout: Duration) -> Outcome {
        let end = Instant::now() + timeout * RETRY_TIMEOUTS;
        let stamp = match self.stamp(Instant::now() + timeout).await {
            Ok(stamp) => stamp,
            // Nothing was sent but the wish for a session.
            Err(reason) => return Outcome::fail(reason),
        };
        let mut outcome = self.once(invocation, stamp, end.min(Instant::now() + timeout)).await;
        let mut pause = RETRY_PAUSE;
        for _ in 1..TRIES_MAX {
            if outcome.completion != Completion::Info || Instant::now() + pause >= end {
                break;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            let again = self.once(invocation, stamp, end.min(Instant::now() + timeout)).await;
            if again.is_answer() {
                return again;
            }
            outcome = Outcome { completion: Completion::Info, reason: again.reason };
        }
        if outcome.reason.as_deref() == Some(machine::Answer::UNKNOWN_SESSION) {
            self.stamps = Some(Stamps::default());
        }
        outcome
    }

    /// The stamp of the next request; opens a session if there is none.
    async fn stamp(&mut self, deadline: Instant) -> Result<SessionFields, String> {
        let mut stamps = self.stamps.unwrap_or_default();
        if stamps.session.is_none() {
            let answer =
                self.http.post("/v1/session", b"{}".to_vec(), deadline).await.map_err(|no| no.reason.to_owned())?;
            let opened: Result<SessionResponse, _> = serde_json::from_slice(&answer.body);
            let Ok(SessionResponse { session }) = opened else {
                // Whatever became of it, only a session may have been opened.
                return Err(refusal(&Action::Read, &answer).reason.unwrap_or_default());
            };
            stamps = Stamps { session: Some(session), seq: 0 };
        }
        stamps.seq += 1;
        self.stamps = Some(stamps);
        Ok(SessionFields { session: stamps.session, seq: Some(stamps.seq) })
    }
}

impl Client for NativeClient {
    async fn invoke(&mut self, invocation: &Invocation, timeout: Duration) -> Outcome {
        if self.stamps.is_some() && invocation.action != Action::Read {
            return self.insist(invocation, timeout).await;
        }
        self.once(invocation, SessionFields::default(), Instant::now() + timeout).await
    }
}

/// The request, or `None` when the nodes have none for this action.
fn request(invocation: &Invocation, workload: WorkloadKind, stamp: SessionFields) -> Option<(&'static str, Vec<u8>)> {
    let key = invocation.key.clone();
    let write = |value: &Value| to_body(&WriteRequest { key: key.clone(), value: to_json(value), stamp });
    let cas = |old: &Value, new: &Value| {
        ("/v1/cas", to_body(&CasRequest { key: key.clone(), old: to_json(old), new: to_json(new), stamp }))
    };
    Some(match &invocation.action {
        Action::Read => ("/v1/read", to_body(&ReadRequest { key })),
        Action::Write(value) => ("/v1/write", write(value)),
        Action::Add(value) if workload == WorkloadKind::Counter => ("/v1/add", write(value)),
        Action::Append(value) | Action::Add(value) | Action::Enqueue(value) => ("/v1/append", write(value)),
        Action::Dequeue => ("/v1/dequeue", to_body(&DequeueRequest { key, stamp })),
        Action::Cas { old, new } => cas(old, new),
        Action::Acquire(owner) => cas(&Value::Nil, owner),
        Action::Release(owner) => cas(owner, &Value::Nil),
        Action::Delete | Action::Txn(_) => return None,
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
        Action::Read | Action::Dequeue => Some(Outcome::ok(Some(from_json(fields.remove("value")?)?))),
        Action::Write(_) | Action::Append(_) | Action::Add(_) | Action::Enqueue(_) => Some(Outcome::ok(None)),
        Action::Acquire(_) | Action::Release(_) => match fields.get("swapped")?.as_bool()? {
            true => Some(Outcome::ok(None)),
            false => Some(Outcome::fail(super::REFUSED)),
        },
        Action::Cas { .. } => match fields.get("swapped")?.as_bool()? {
            true => Some(Outcome::ok(None)),
            false => match fields.remove("observed") {
                None => Some(Outcome::mismatch(None)),
                Some(json) => Some(Outcome::mismatch(Some(from_json(json)?))),
            },
        },
        Action::Delete | Action::Txn(_) => None,
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
