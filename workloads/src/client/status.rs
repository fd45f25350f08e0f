//! What a node tells about itself: for faults that aim at a role, and for counting changes of leader.

use std::time::Duration;

use nodes::protocol::Status;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::http::{Answer, Http};

/// A node that does not answer within this is as good as down for whoever asks.
pub(super) const STATUS_TIMEOUT: Duration = Duration::from_millis(300);

/// The part a node plays, as it believes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It leads.
    Leader,
    /// It follows a leader it knows.
    Follower,
    /// It knows no leader, or tries to become one.
    Candidate,
}

/// What a node of any system tells about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node's own number in its system.
    pub id: u64,
    /// Its part.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// The leader it believes in, by number.
    pub leader: Option<u64>,
    /// Highest index known committed.
    pub commit: u64,
    /// Highest index applied.
    pub applied: u64,
    /// The mutant in the process, if it has one.
    pub mutant: Option<String>,
    /// How often the mutated rule decided otherwise than the correct one.
    pub fired: u64,
}

/// No status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// Not an address.
    #[error("{0}")]
    BadUrl(String),
    /// The node did not answer; it may be down, paused or cut off.
    #[error("{base_url} did not tell its status: {reason}")]
    NoAnswer {
        /// Who was asked.
        base_url: String,
        /// A stable code.
        reason: &'static str,
    },
    /// The node answered something else.
    #[error("{base_url} answered with HTTP {status} and something that is no status")]
    BadAnswer {
        /// Who was asked.
        base_url: String,
        /// The HTTP status.
        status: u16,
    },
}

/// Asks a node in the box (or another build with its interface).
///
/// # Errors
/// When it does not answer soon, or not with a status.
pub async fn status(base_url: &str) -> Result<NodeStatus, StatusError> {
    status_within(base_url, STATUS_TIMEOUT).await
}

pub(super) async fn status_within(base_url: &str, timeout: Duration) -> Result<NodeStatus, StatusError> {
    let answer = open(base_url)?.get("/v1/status", Instant::now() + timeout).await;
    let status: Status = parse(base_url, answer)?;
    let role = match status.role.as_str() {
        "leader" => Role::Leader,
        "follower" => Role::Follower,
        _ => Role::Candidate,
    };
    Ok(NodeStatus {
        id: status.id.0,
        role,
        term: status.term,
        leader: status.leader.map(|id| id.0),
        commit: status.commit,
        applied: status.applied,
        mutant: status.mutant,
        fired: status.fired,
    })
}

/// Asks a member of an etcd cluster.
///
/// # Errors
/// When it does not answer soon, or not with a status.
pub async fn status_etcd(base_url: &str) -> Result<NodeStatus, StatusError> {
    status_etcd_within(base_url, STATUS_TIMEOUT).await
}

pub(super) async fn status_etcd_within(base_url: &str, timeout: Duration) -> Result<NodeStatus, StatusError> {
    let answer = open(base_url)?.post("/v3/maintenance/status", b"{}".to_vec(), Instant::now() + timeout).await;
    let status: EtcdStatus = parse(base_url, answer)?;
    let id = status.header.member_id.0;
    let leader = Some(status.leader.0).filter(|&leader| leader != 0);
    let role = match leader {
        Some(leader) if leader == id => Role::Leader,
        Some(_) => Role::Follower,
        None => Role::Candidate,
    };
    let term = status.term.0;
    let (commit, applied) = (status.index.0, status.applied.0);
    Ok(NodeStatus { id, role, term, leader, commit, applied, mutant: None, fired: 0 })
}

/// An own connection for each question: asking must not wake, hold or depend on a client's connection.
fn open(base_url: &str) -> Result<Http, StatusError> {
    Http::new(base_url).map_err(|error| StatusError::BadUrl(error.to_string()))
}

fn parse<T: for<'a> Deserialize<'a>>(
    base_url: &str,
    answer: Result<Answer, super::http::NoAnswer>,
) -> Result<T, StatusError> {
    let answer = answer.map_err(|no| StatusError::NoAnswer { base_url: base_url.to_owned(), reason: no.reason })?;
    let bad = || StatusError::BadAnswer { base_url: base_url.to_owned(), status: answer.status };
    if answer.status != 200 {
        return Err(bad());
    }
    serde_json::from_slice(&answer.body).map_err(|_| bad())
}

/// etcd's answer. What is zero is left out.
#[derive(Debug, Deserialize)]
struct EtcdStatus {
    header: EtcdHeader,
    #[serde(default)]
    leader: Number,
    #[serde(default, rename = "raftTerm")]
    term: Number,
    #[serde(default, rename = "raftIndex")]
    index: Number,
    #[serde(default, rename = "raftAppliedIndex")]
    applied: Number,
}

#[derive(Debug, Deserialize)]
struct EtcdHeader {
    member_id: Number,
}

/// A 64-bit integer as protobuf's JSON form has it: in quotes.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(try_from = "String")]
struct Number(u64);

impl TryFrom<String> for Number {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}
