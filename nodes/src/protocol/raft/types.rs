//! The words of Raft: terms, indexes, entries, and what is durable.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    super::{NodeId, Time},
    membership::Membership,
};
use crate::machine::Command;

/// A term: at most one leader each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Term(pub u64);

impl Term {
    /// The term after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A place in the log; the first entry is at 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogIndex(pub u64);

impl LogIndex {
    /// The place after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The place before this one; 0, where no entry is, comes before 1 and before itself.
    #[must_use]
    pub fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The place `count` further on.
    #[must_use]
    pub fn plus(self, count: usize) -> Self {
        Self(self.0 + count as u64)
    }
}

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
    /// The members from here on.
    Membership(Membership),
}

impl Payload {
    /// Whether the members that it names, if any, can be those of a cluster of these nodes.
    pub(super) fn is_sound(&self, nodes: &[NodeId]) -> bool {
        if let Self::Membership(membership) = self { membership.is_sound(nodes) } else { true }
    }
}

/// What must survive a crash apart from the log: Figure 2, "Persistent state on all servers". Written as one record, so that
/// a term never appears on disk with the vote of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    /// The latest term seen.
    pub term: Term,
    /// Who got this node's vote in it.
    pub voted_for: Option<NodeId>,
}

/// One unit of durable state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// Term and vote from here on.
    HardState(HardState),
    /// How often this node was started. Names its lives apart, so that an answer to an earlier life is never taken for one to this.
    Life(u64),
    /// The log begins behind this place (it lies at or below the snapshot's). Only as the first record behind a snapshot.
    Base(LogIndex, Term),
    /// Append an entry.
    Entry(Entry),
    /// Drop all entries from here on.
    Truncate(LogIndex),
}

/// What a snapshot holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SnapshotImage {
    /// Version of this format.
    pub format: u32,
    /// Last index it covers: `lastApplied` when it was taken.
    pub index: LogIndex,
    /// The term there.
    pub term: Term,
    /// The members at that index.
    pub membership: Membership,
    /// The machine, client sessions included.
    pub machine: Vec<u8>,
}

impl SnapshotImage {
    /// The format written and understood.
    pub const FORMAT: u32 = 2;
}

/// A snapshot as it is stored and sent.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// Last index it covers.
    pub index: LogIndex,
    /// The term there.
    pub term: Term,
    /// An encoded [`SnapshotImage`]; shared with the transfers that are under way.
    pub bytes: Arc<Vec<u8>>,
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
    /// Where the log begins: index and term of the entry before the first one kept. At or below what the snapshot covers, as
    /// some entries are kept for followers that lag a little.
    pub snapshot: (LogIndex, Term),
    /// The entries after it.
    pub entries: &'a [Entry],
    /// The membership that it goes by.
    pub membership: &'a Membership,
    /// Commit index.
    pub commit: LogIndex,
    /// Applied index.
    pub applied: LogIndex,
    /// A digest of the machine's state, equal iff the states are.
    pub machine_digest: u64,
    /// The node's clock at its last step.
    pub now: Time,
}
