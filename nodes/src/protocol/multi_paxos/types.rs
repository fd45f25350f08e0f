//! The words of Multi-Paxos: ballots, slots, what a slot may hold, and what is durable.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    super::{NodeId, Time},
    log::Log,
};
use crate::machine::Command;

/// A ballot: at most one proposer each, because its number is part of it. PMMC, section 2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ballot {
    /// Counted up; decides first.
    pub round: u64,
    /// The proposer; decides between equal rounds.
    pub node: NodeId,
}

impl Ballot {
    /// Below every ballot that anyone proposes in.
    pub const NONE: Self = Self { round: 0, node: NodeId(0) };

    /// Bits of a [`Self::number`] that tell the node.
    const NODE_BITS: u32 = 16;

    /// Nobody counts rounds up to here; more is garbled.
    pub(super) const ROUND_MAX: u64 = 1 << 46;

    /// One number that ascends with the ballot, for a status.
    #[must_use]
    pub fn number(self) -> u64 {
        (self.round << Self::NODE_BITS) | (self.node.0 & ((1 << Self::NODE_BITS) - 1))
    }
}

impl Default for Ballot {
    fn default() -> Self {
        Self::NONE
    }
}

/// A place in the sequence of commands; the first one is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u64);

impl Slot {
    /// The slot after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The slot before this one; 0, which holds nothing, comes before 1 and before itself.
    #[must_use]
    pub fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The slot `count` further on.
    #[must_use]
    pub fn plus(self, count: usize) -> Self {
        Self(self.0 + count as u64)
    }
}

/// What a slot may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: fills a hole.
    Noop,
    /// A command for the machine.
    Command(Command),
}

/// What an acceptor accepted in a slot, as it tells it in a 1b.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Where.
    pub slot: Slot,
    /// The ballot in which it accepted last.
    pub ballot: Ballot,
    /// What it accepted then.
    pub payload: Payload,
}

/// One unit of durable state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The disk was blank when this node first wrote to it, and this is the number drawn then.
    Born(u64),
    /// From here on the node votes. These are the numbers that it knows the voters by.
    Fit(BTreeMap<NodeId, u64>),
    /// No lower ballot is served from here on.
    Promise(Ballot),
    /// Counts the starts of this node, from the number of its disk on. Names its lives apart, so that an answer to an earlier life is never taken for one to this.
    Life(u64),
    /// A value accepted; implies the promise of its ballot.
    Accept(Vote),
}

/// What a snapshot holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SnapshotImage {
    /// Version of this format.
    pub format: u32,
    /// All slots up to here are chosen, and applied.
    pub slot: Slot,
    /// The voters.
    pub voters: Vec<NodeId>,
    /// The machine, client sessions included.
    pub machine: Vec<u8>,
}

impl SnapshotImage {
    /// The format written and understood.
    pub const FORMAT: u32 = 1;
}

/// A snapshot as it is stored and sent.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// The last slot it covers.
    pub slot: Slot,
    /// An encoded [`SnapshotImage`]; shared with the transfers that are under way.
    pub bytes: Arc<Vec<u8>>,
}

/// What a test may look at: everything the invariants of Multi-Paxos speak about.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// This node.
    pub id: NodeId,
    /// The highest ballot it promised.
    pub promised: Ballot,
    /// The ballot it leads in.
    pub leads: Option<Ballot>,
    /// Whether it votes: its disk is the one it was founded with, or it was let in again.
    pub votes: bool,
    /// All slots up to here are in its snapshot.
    pub snapshot: Slot,
    /// What it knows of the slots above.
    pub log: &'a Log,
    /// Its acceptances up to this number are durable.
    pub durable: u64,
    /// All slots up to here are known chosen, and applied.
    pub applied: Slot,
    /// A digest of the machine's state, equal iff the states are.
    pub machine_digest: u64,
    /// The node's clock at its last step.
    pub now: Time,
}
