//! The client API: HTTP/1.1 with JSON. Documented for other builds in `docs/node-contract.md`.
//!
//! | request | body | 200 |
//! |---|---|---|
//! | `POST /v1/read` | `{"key":"x"}` | `{"value":17}` |
//! | `POST /v1/write` | `{"key":"x","value":17}` | `{}` |
//! | `POST /v1/cas` | `{"key":"x","old":1,"new":2}` | `{"swapped":true}` or `{"swapped":false,"observed":3}` |
//! | `POST /v1/append` | `{"key":"x","value":4}` | `{}` |
//! | `POST /v1/add` | `{"key":"x","value":-4}` | `{}` |
//! | `POST /v1/dequeue` | `{"key":"x"}` | `{"value":17}`; `null` when there was nothing |
//! | `POST /v1/txn` | `{"ops":[["append","x",1],["r","y",null],["w","z",3]]}` | `{"ops":[["append","x",1],["r","y",[1,2]],["w","z",3]]}` |
//! | `POST /v1/session` | `{}` | `{"session":7}` |
//! | `POST /v1/transfer` | `{"to":2}` or `{}` | `{}` |
//! | `POST /v1/membership` | `{"voters":[1,2,4],"learners":[5]}` | `{}` |
//! | `GET /v1/status` | | [`Status`](crate::protocol::Status) |
//!
//! Requests that change something may carry `"session":7,"seq":3`. Anything else than 200 carries
//! `{"error":{"code":"no-leader","outcome":"fail","message":"…"}}`: `fail` is definitely not done, `info` is unknown.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// `POST /v1/read`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadRequest {
    /// Key.
    pub key: String,
}

/// Answer to a read, or to a dequeue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadResponse {
    /// `null` when absent, or when there was nothing to take.
    pub value: Json,
}

/// Exactly-once stamp of a request that changes something; both fields or none.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct SessionFields {
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
    /// The number within it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// `POST /v1/write`, `POST /v1/append` and `POST /v1/add`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WriteRequest {
    /// Key.
    pub key: String,
    /// Value, element, or what is added.
    pub value: Json,
    /// Exactly-once stamp.
    #[serde(flatten)]
    pub stamp: SessionFields,
}

/// `POST /v1/dequeue`. Unlike a read it changes something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DequeueRequest {
    /// Key.
    pub key: String,
    /// Exactly-once stamp.
    #[serde(flatten)]
    pub stamp: SessionFields,
}

/// `POST /v1/cas`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CasRequest {
    /// Key.
    pub key: String,
    /// Expected value.
    pub old: Json,
    /// New value.
    pub new: Json,
    /// Exactly-once stamp.
    #[serde(flatten)]
    pub stamp: SessionFields,
}

/// Answer to a compare-and-set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CasResponse {
    /// Whether it was done.
    pub swapped: bool,
    /// If not: what the key held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Json>,
}

/// `POST /v1/txn`, and its answer with the reads filled in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Txn {
    /// `["append", key, element]`, `["w", key, value]` or `["r", key, null]`.
    pub ops: Vec<(String, String, Json)>,
    /// Exactly-once stamp.
    #[serde(flatten)]
    pub stamp: SessionFields,
}

/// Answer to `POST /v1/session`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionResponse {
    /// The new session.
    pub session: u64,
}

/// `POST /v1/transfer`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TransferRequest {
    /// The wanted leader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// `POST /v1/membership`: the members that the cluster is to have.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MembershipRequest {
    /// Who is to vote.
    pub voters: Vec<u64>,
    /// Who is to get the log without a vote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learners: Vec<u64>,
}

/// Body of every answer that is not 200.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorResponse {
    /// What went wrong.
    pub error: ErrorBody,
}

/// What went wrong, and what it says about the request's effect.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A stable code, e.g. `no-leader`, `timeout`, `bad-request`.
    pub code: String,
    /// Whether the operation is definitely not done.
    pub outcome: Outcome,
    /// For people.
    pub message: String,
}

/// What an error says about the request's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Definitely not done, now or ever.
    Fail,
    /// Unknown: it may take effect at any later time, or never.
    Info,
}
