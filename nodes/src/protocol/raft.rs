//! Raft. Being written.

use serde::{Deserialize, Serialize};

use super::{NodeId, Time};
use crate::machine::Command;

/// A term: at most one leader each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Term(pub u64);

/// A place in the log; the first entry is at 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogIndex(pub u64);

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The term in which a leader made it.
    pub term: Term,
    /// Its place.
    pub index: LogIndex,
    /// What it carries.
    pub payload: Payload,
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: the first entry of a leader's term.
    Noop,
    /// A command for the machine.
    Command(Command),
    /// The voters from here on (static for now).
    Membership(Vec<NodeId>),
}

/// What a test may look at: everything the invariants of Raft speak about.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// This node.
    pub id: NodeId,
    /// Current term.
    pub term: Term,
    /// Whether it leads in that term.
    pub is_leader: bool,
    /// Its vote in that term.
    pub voted_for: Option<NodeId>,
    /// Last index and term that the snapshot covers.
    pub snapshot: (LogIndex, Term),
    /// The entries after it.
    pub entries: &'a [Entry],
    /// Commit index.
    pub commit: LogIndex,
    /// Applied index.
    pub applied: LogIndex,
    /// A digest of the machine's state, equal iff the states are.
    pub machine_digest: u64,
    /// The node's clock at its last step.
    pub now: Time,
}
