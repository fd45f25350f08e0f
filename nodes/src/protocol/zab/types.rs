//! The words of Zab: epochs, zxids, places in the history, and what is durable.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    machine::{Command, Transaction},
    protocol::{NodeId, Time},
};

/// An epoch: at most one leader each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(pub u32);

/// Names a transaction: the epoch in which a leader proposed it, and its number among those of that epoch, from 1 on.
/// The order is that of the broadcast. DSN 2011, section III.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Zxid {
    /// The epoch.
    pub epoch: Epoch,
    /// The number.
    pub counter: u32,
}

/// Where in the history a transaction stands: 1, 2, 3, …, through all epochs. Not in the paper; it makes a gap visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position(pub u64);

impl Position {
    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The one before; 0, where nothing stands, comes before 1.
    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// A position and what stands there. Two histories that agree on one agree on everything before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Where.
    pub position: Position,
    /// What.
    pub zxid: Zxid,
}

/// One transaction of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Its name.
    pub zxid: Zxid,
    /// What it does.
    pub payload: Payload,
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: whoever has applied it has applied all that came before.
    Sync,
    /// Changes the machine.
    Transaction(Transaction),
}

/// What must survive a crash apart from the history. One record, so that the two epochs never contradict each other on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epochs {
    /// The epoch of the last NEWEPOCH that was acknowledged: `f.p` of the paper.
    pub accepted: Epoch,
    /// Who proposed it. Only its acknowledgement may be repeated.
    pub accepted_from: Option<NodeId>,
    /// The epoch of the last NEWLEADER that was acknowledged: `f.a` of the paper.
    pub current: Epoch,
}

/// One unit of durable state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The epochs from here on.
    Epochs(Epochs),
    /// How often this node was started.
    Life(u64),
    /// The history is kept from behind this place on (at or below the snapshot's). Only as the first record behind a snapshot.
    Base(Place),
    /// The next transaction of the history.
    Proposal(Proposal),
    /// Drop everything behind this position: TRUNC.
    Truncate(Position),
}

/// How recent a history is: the epoch in which it was last synchronized, and its last transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Recency {
    /// `currentEpoch`.
    pub epoch: Epoch,
    /// `lastZxid`.
    pub zxid: Zxid,
}

/// A vote for a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who is to lead.
    pub leader: NodeId,
    /// How recent its history is.
    pub recency: Recency,
}

/// What a snapshot holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Image {
    /// Version of this format.
    pub format: u32,
    /// The last transaction in it.
    pub place: Place,
    /// All servers.
    pub voters: Vec<NodeId>,
    /// The machine.
    pub machine: Vec<u8>,
}

impl Image {
    /// The format written and understood.
    pub const FORMAT: u32 = 1;
}

/// A snapshot as it is stored and sent.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// The last transaction in it.
    pub place: Place,
    /// An encoded [`Image`].
    pub bytes: Arc<Vec<u8>>,
}

/// What a test may look at: everything the invariants of Zab speak about.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// This node.
    pub id: NodeId,
    /// Its epochs.
    pub epochs: Epochs,
    /// Whether it leads, in phase 3, in `epochs.current`.
    pub is_leader: bool,
    /// Where the kept part of the history begins.
    pub base: Place,
    /// What is kept behind it.
    pub history: &'a [Proposal],
    /// Committed up to here.
    pub commit: Position,
    /// Applied up to here.
    pub applied: Position,
    /// A digest of the machine's state, equal iff the states are.
    pub machine_digest: u64,
    /// The commands for which this node made a transaction in its last step, and where that stands.
    pub prepared: &'a [(Position, Command)],
    /// The node's clock at its last step.
    pub now: Time,
}
