//! Carrying an operation to a server, and saying honestly how it ended.
//!
//! ```text
//!   Invocation ──> AnyClient ─┬─ NativeClient  POST /v1/…            ┐
//!                             ├─ EtcdClient    POST /v3/kv/…         ├──> http ──> one connection, no retry, no redirect
//!                             └─ DescribedClient  as it is described ┘
//! ```
//!
//! | what came back | a write | a read |
//! |---|---|---|
//! | no connection came about: nothing was sent | `fail` | `fail` |
//! | the server says "definitely not done" | `fail` | `fail` |
//! | "not equal" to a compare-and-set | mismatch | |
//! | the same, where it stands for a lock's acquisition or release | `fail`, refused | |
//! | no answer in time, a broken connection, an answer that makes no sense | `info` | `fail` |
//!
//! A write is `fail` only where it is certain that it had no effect and never will. A connection that is used again and
//! breaks says nothing about the request on it, so that is `info` too.

use std::time::Duration;

use checkers::history::{Action, Completion, Value};

use crate::{generator::Invocation, kind::WorkloadKind, record::MISMATCH};

pub mod described;
pub mod etcd;
mod http;
mod membership;
pub mod native;
mod status;

pub use described::DescribedClient;
pub use etcd::{EtcdClient, EtcdReads};
pub use http::ClientError;
pub use membership::{change_membership, transfer_leadership};
pub use native::{NativeClient, RETRY_TIMEOUTS};
pub use status::{NodeStatus, Role, StatusError, status, status_etcd};

/// The reason of an operation that a client has no request for. Nothing was sent.
pub const UNSUPPORTED: &str = "unsupported";

/// The reason of an acquisition of a lock that another one holds, and of a release by one that does not hold it. The lock was asked.
pub const REFUSED: &str = "refused";

/// How an operation ended, and why if it did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Ok, fail, mismatch or info.
    pub completion: Completion,
    /// A stable code such as `timeout`, `no-leader`, `connection-refused`; none when ok.
    pub reason: Option<String>,
}

impl Outcome {
    /// Done; for a read with the value.
    #[must_use]
    pub fn ok(value: Option<Value>) -> Self {
        Self { completion: Completion::Ok(value), reason: None }
    }

    /// Definitely not done.
    #[must_use]
    pub fn fail(reason: impl Into<String>) -> Self {
        Self { completion: Completion::Fail, reason: Some(reason.into()) }
    }

    /// Unknown.
    #[must_use]
    pub fn info(reason: impl Into<String>) -> Self {
        Self { completion: Completion::Info, reason: Some(reason.into()) }
    }

    /// A compare-and-set that did not match.
    #[must_use]
    pub fn mismatch(observed: Option<Value>) -> Self {
        Self { completion: Completion::Mismatch { observed }, reason: Some(MISMATCH.to_owned()) }
    }

    /// Whether the server did what was asked, or said why a condition did not hold.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        match self.completion {
            Completion::Ok(_) | Completion::Mismatch { .. } => true,
            Completion::Fail => self.reason.as_deref() == Some(REFUSED),
            Completion::Info => false,
        }
    }

    /// What an operation is whose answer did not come, or made no sense: a read constrains nothing, anything else may have happened.
    #[must_use]
    pub fn unanswered(action: &Action, reason: impl Into<String>) -> Self {
        if *action == Action::Read { Self::fail(reason) } else { Self::info(reason) }
    }
}

/// One client's connection to the one server it is pinned to. No redirects, and no retries but those of a client that was told to.
pub trait Client: Send {
    /// Does one operation, and takes no longer than `timeout`; where it retries, [`RETRY_TIMEOUTS`] times as long.
    ///
    /// A write whose answer did not come is `Info`, never `Fail`; a read whose answer did not come is `Fail`.
    fn invoke(&mut self, invocation: &Invocation, timeout: Duration) -> impl Future<Output = Outcome> + Send;
}

/// A client of any kind of server.
#[derive(Debug)]
pub enum AnyClient {
    /// Of a node in the box, or of another build with the same interface.
    Native(NativeClient),
    /// Of etcd.
    Etcd(EtcdClient),
    /// Of a server that is described in words.
    Described(DescribedClient),
}

impl AnyClient {
    /// The same client, to do the operations of this workload; with `retries` it sends what was not answered again, under a stamp
    /// that makes it take effect once. Only with nodes in the box: others know no stamps.
    #[must_use]
    pub fn working(self, workload: WorkloadKind, retries: bool) -> Self {
        match self {
            Self::Native(client) => Self::Native(client.working(workload, retries)),
            Self::Etcd(client) => Self::Etcd(client),
            Self::Described(client) => Self::Described(client.working(workload)),
        }
    }
}

impl Client for AnyClient {
    async fn invoke(&mut self, invocation: &Invocation, timeout: Duration) -> Outcome {
        match self {
            Self::Native(client) => client.invoke(invocation, timeout).await,
            Self::Etcd(client) => client.invoke(invocation, timeout).await,
            Self::Described(client) => client.invoke(invocation, timeout).await,
        }
    }
}

/// How a JSON value of a server is a value of a history: none where a history has no such value.
fn from_json(json: serde_json::Value) -> Option<Value> {
    serde_json::from_value(json).ok()
}

#[cfg(test)]
mod tests;
