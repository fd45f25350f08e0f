//! Client of etcd, by the JSON gateway of its v3 interface.
//!
//! | operation | request |
//! |---|---|
//! | read | `range`, with `serializable` on demand |
//! | write | `put` |
//! | cas from a value | `txn`: value equal? put : range |
//! | cas from absent | `txn`: version 0? put : range |
//! | append, add to a set | `range`, then `txn`: modification revision as read? put of the longer list; again a few times if not |
//!
//! Values are stored as JSON text. Protobuf's JSON form has keys and values in base64, integers as strings, and leaves out
//! whatever is false, zero or empty: `succeeded` that is missing means false, `kvs` that is missing means no such key. So an
//! answer without its `header` is not trusted at all, or `{}` would pass for a successful one.

use std::{fmt, str::FromStr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use checkers::history::{Action, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::{
    Client, ClientError, Outcome,
    http::{Answer, Http},
};
use crate::{generator::Invocation, kind::WorkloadKind};

/// An append whose comparison fails definitely did nothing, so it may be tried again: so often, and within its own timeout.
const APPEND_ATTEMPTS_MAX: u32 = 16;

/// How reads are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EtcdReads {
    /// Through the leader, as is usual.
    #[default]
    Linearizable,
    /// From the member's own state: stale by design.
    Serializable,
}

/// A way to read that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reads cannot be {0:?}; they can be: linearizable, serializable")]
pub struct UnknownReads(pub String);

impl FromStr for EtcdReads {
    type Err = UnknownReads;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "linearizable" => Ok(Self::Linearizable),
            "serializable" => Ok(Self::Serializable),
            _ => Err(UnknownReads(name.to_owned())),
        }
    }
}

impl fmt::Display for EtcdReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Linearizable => "linearizable",
            Self::Serializable => "serializable",
        })
    }
}

/// One client's connection to one member.
#[derive(Clone, Debug)]
pub struct EtcdClient {
    http: Http,
    reads: EtcdReads,
}

impl EtcdClient {
    /// The workloads that it can do. The gateway has no sums, no queues, and no compare-and-set to absent as a lock needs it.
    pub const WORKLOADS: [WorkloadKind; 4] =
        [WorkloadKind::Register, WorkloadKind::Append, WorkloadKind::Set, WorkloadKind::CasChain];

    /// A client of the member at `http://HOST:PORT`. Connects at the first operation.
    ///
    /// # Errors
    /// When that is no address.
    pub fn new(base_url: &str, reads: EtcdReads) -> Result<Self, ClientError> {
        Ok(Self { http: Http::new(base_url)?, reads })
    }

    async fn read(&self, key: &str, deadline: Instant) -> Outcome {
        match self.range(key, self.reads, deadline).await {
            Ok(found) => Outcome::ok(Some(found.value)),
            Err(problem) => Outcome::fail(problem.reason),
        }
    }

    async fn write(&self, key: &str, value: &Value, deadline: Instant) -> Outcome {
        match self.post::<Json>("/v3/kv/put", &put(key, value), deadline).await {
            Ok(_) => Outcome::ok(None),
            Err(problem) => problem.of_a_change(),
        }
    }

    async fn cas(&self, key: &str, old: &Value, new: &Value, deadline: Instant) -> Outcome {
        let compare = match old {
            Value::Nil => json!({"key": text(key), "target": "VERSION", "result": "EQUAL", "version": "0"}),
            old => json!({"key": text(key), "target": "VALUE", "result": "EQUAL", "value": encode(old)}),
        };
        let body = json!({
            "compare": [compare],
            "success": [{"requestPut": put(key, new)}],
            "failure": [{"requestRange": {"key": text(key)}}],
        });
        match self.post::<TxnAnswer>("/v3/kv/txn", &body, deadline).await {
            Ok(answer) if answer.succeeded => Outcome::ok(None),
            Ok(answer) => match answer.responses.into_iter().find_map(|response| response.range).map(Found::of) {
                Some(Ok(found)) => Outcome::mismatch(Some(found.value)),
                // A txn that took neither branch is no answer to what was asked.
                Some(Err(_)) | None => Outcome::info("bad-answer"),
            },
            Err(problem) => problem.of_a_change(),
        }
    }

    async fn append(&self, key: &str, element: &Value, deadline: Instant) -> Outcome {
        for _ in 0..APPEND_ATTEMPTS_MAX {
            // Whatever happened so far had no effect, so a read that fails is a definite fail of the append. It is never a serializable
            // one: that would be safe behind the comparison, but lose most comparisons.
            let found = match self.range(key, EtcdReads::Linearizable, deadline).await {
                Ok(found) => found,
                Err(problem) => return Outcome::fail(problem.reason),
            };
            let mut list = match found.value {
                Value::Nil => Vec::new(),
                Value::List(list) => list,
                _ => return Outcome::fail("not-a-list"),
            };
            list.push(element.clone());
            let body = json!({
                "compare": [{"key": text(key), "target": "MOD", "result": "EQUAL", "mod_revision": found.revision.to_string()}],
                "success": [{"requestPut": put(key, &Value::List(list))}],
            });
            match self.post::<TxnAnswer>("/v3/kv/txn", &body, deadline).await {
                Ok(answer) if answer.succeeded => return Outcome::ok(None),
                Ok(_) => {}
                Err(problem) => return problem.of_a_change(),
            }
        }
        Outcome::fail("contended")
    }

    async fn range(&self, key: &str, reads: EtcdReads, deadline: Instant) -> Result<Found, Problem> {
        let body = match reads {
            EtcdReads::Linearizable => json!({"key": text(key)}),
            EtcdReads::Serializable => json!({"key": text(key), "serializable": true}),
        };
        Found::of(self.post::<RangeAnswer>("/v3/kv/range", &body, deadline).await?)
    }

    async fn post<T: for<'a> Deserialize<'a>>(&self, path: &str, body: &Json, deadline: Instant) -> Result<T, Problem> {
        let answer = self
            .http
            .post(path, body.to_string().into_bytes(), deadline)
            .await
            .map_err(|no| Problem { definite: !no.sent, reason: no.reason.to_owned() })?;
        if answer.status != 200 {
            return Err(refusal(&answer));
        }
        let json: Json = serde_json::from_slice(&answer.body).map_err(|_| Problem::bad_answer())?;
        if !json.get("header").is_some_and(Json::is_object) {
            return Err(Problem::bad_answer());
        }
        serde_json::from_value(json).map_err(|_| Problem::bad_answer())
    }
}

impl Client for EtcdClient {
    async fn invoke(&mut self, invocation: &Invocation, timeout: Duration) -> Outcome {
        let deadline = Instant::now() + timeout;
        let key = invocation.key.as_str();
        match &invocation.action {
            Action::Read => self.read(key, deadline).await,
            Action::Write(value) => self.write(key, value, deadline).await,
            Action::Cas { old, new } => self.cas(key, old, new, deadline).await,
            // Of a set: a run with counters is refused beforehand.
            Action::Append(element) | Action::Add(element) => self.append(key, element, deadline).await,
            _ => Outcome::fail(super::UNSUPPORTED),
        }
    }
}

fn put(key: &str, value: &Value) -> Json {
    json!({"key": text(key), "value": encode(value)})
}

fn text(key: &str) -> String {
    BASE64.encode(key)
}

fn encode(value: &Value) -> String {
    BASE64.encode(serde_json::to_vec(value).expect("a value is always JSON"))
}

fn decode(base64: &str) -> Option<Value> {
    serde_json::from_slice(&BASE64.decode(base64).ok()?).ok()
}

/// Why a request did not succeed.
#[derive(Debug)]
struct Problem {
    /// Whether it certainly had no effect.
    definite: bool,
    reason: String,
}

impl Problem {
    fn bad_answer() -> Self {
        Self { definite: false, reason: "bad-answer".to_owned() }
    }

    fn of_a_change(self) -> Outcome {
        if self.definite { Outcome::fail(self.reason) } else { Outcome::info(self.reason) }
    }
}

/// The gateway's error body.
#[derive(Debug, Deserialize)]
struct ErrorAnswer {
    /// gRPC's status code.
    code: u64,
    #[serde(default)]
    message: String,
}

/// gRPC's codes by which etcd refuses before anything is proposed to Raft.
const INVALID_ARGUMENT: u64 = 3;
const PERMISSION_DENIED: u64 = 7;
const RESOURCE_EXHAUSTED: u64 = 8;
const UNIMPLEMENTED: u64 = 12;
const UNAUTHENTICATED: u64 = 16;

/// The one kind of exhaustion that etcd reports before it proposes. "Database space exceeded" is no such kind: the quota is looked at
/// when a request is applied, after it was carried out. Others come from gRPC's message size limit, where only the answer was too long.
const REFUSED_BEFORE_PROPOSING: &str = "etcdserver: too many requests";

fn refusal(answer: &Answer) -> Problem {
    let Ok(error) = serde_json::from_slice::<ErrorAnswer>(&answer.body) else {
        return Problem { definite: false, reason: format!("http-{}", answer.status) };
    };
    let definite = match error.code {
        INVALID_ARGUMENT | PERMISSION_DENIED | UNIMPLEMENTED | UNAUTHENTICATED => true,
        RESOURCE_EXHAUSTED => error.message.starts_with(REFUSED_BEFORE_PROPOSING),
        // Among them 14, unavailable: no leader, a lost leader and a timeout after the proposal all look like this.
        _ => false,
    };
    Problem { definite, reason: format!("grpc-{}", error.code) }
}

#[derive(Debug, Default, Deserialize)]
struct RangeAnswer {
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Debug, Deserialize)]
struct KeyValue {
    #[serde(default)]
    value: String,
    mod_revision: String,
}

#[derive(Debug, Deserialize)]
struct TxnAnswer {
    #[serde(default)]
    succeeded: bool,
    #[serde(default)]
    responses: Vec<TxnResponse>,
}

#[derive(Debug, Deserialize)]
struct TxnResponse {
    /// The gateway writes field names as in the protocol file; newer ones may use camel case.
    #[serde(default, rename = "response_range", alias = "responseRange")]
    range: Option<RangeAnswer>,
}

/// What a key holds.
#[derive(Debug)]
struct Found {
    value: Value,
    /// Revision of the last change; 0 for a key that is absent, which is also what a comparison takes for it.
    revision: u64,
}

impl Found {
    fn of(answer: RangeAnswer) -> Result<Self, Problem> {
        let Some(kv) = answer.kvs.first() else {
            return Ok(Self { value: Value::Nil, revision: 0 });
        };
        let (Some(value), Ok(revision)) = (decode(&kv.value), kv.mod_revision.parse()) else {
            return Err(Problem::bad_answer());
        };
        Ok(Self { value, revision })
    }
}
