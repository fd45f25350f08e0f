//! What the nodes say to each other. The names in brackets are the ones in the literature.
//!
//! | message | asks or says | answered by |
//! |---|---|---|
//! | `Ping` | would you hear a new proposer? | `Pong` |
//! | `Prepare` (1a) | promise this ballot, and tell what you accepted | `Promise` (1b), `Nack` |
//! | `Accept` (2a) | accept these values; without any, a heartbeat | `Accepted` (2b), `Nack`, `Unfit` |
//! | `CatchUp` | what is chosen from here on? | `Chosen`, or `SnapshotChunk` where that is gone |
//! | `TakeOver` | start phase 1 at once: leadership transfer | `Prepare` |
//! | `Forward` | put a client's command into a slot | `ForwardReply` |
//! | `ReadIndex` | how far must be applied before a read may be answered? | `ReadIndexReply` |
//! | `AskHighest` | what is the highest slot you accepted? | `Highest` |
//! | `Rinse` | see to it that the slots up to here are chosen | `Accept` |
//! | `Hello` | this is my disk's number; what do you know of me? | `Standing` |

use serde::{Deserialize, Serialize};

use super::{
    super::Refusal,
    types::{Ballot, Payload, Slot, Vote},
};
use crate::machine::{Answer, Command};

/// A message between nodes. The sender is known from the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Would you hear a new proposer?
    Ping {
        /// The ballot it would take.
        ballot: Ballot,
    },
    /// The answer.
    Pong {
        /// As asked.
        ballot: Ballot,
        /// No leader is heard here.
        granted: bool,
        /// What is promised here.
        promised: Ballot,
    },
    /// Phase 1a.
    Prepare(Prepare),
    /// Phase 1b.
    Promise(Promise),
    /// Phase 2a.
    Accept(Accept),
    /// Phase 2b.
    Accepted(Accepted),
    /// A higher ballot is promised here.
    Nack {
        /// The ballot refused.
        refused: Ballot,
        /// The one promised.
        promised: Ballot,
    },
    /// What is chosen from here on?
    CatchUp {
        /// From here on.
        from: Slot,
        /// This much is here of the snapshot up to that slot.
        have: Option<(Slot, u64)>,
    },
    /// These are chosen.
    Chosen {
        /// The first one's slot.
        first: Slot,
        /// The values, slot by slot.
        values: Vec<Payload>,
    },
    /// A piece of a snapshot.
    SnapshotChunk(SnapshotChunk),
    /// Start phase 1 at once.
    TakeOver {
        /// The ballot of the leader who says so.
        ballot: Ballot,
    },
    /// Put a client's command into a slot.
    Forward(Forward),
    /// The answer to it.
    ForwardReply {
        /// The life of the asking process.
        life: u64,
        /// The name of the command there.
        id: u64,
        /// What came of it.
        result: Result<Answer, Refusal>,
    },
    /// How far must be applied before a read that arrived before this may be answered?
    ReadIndex {
        /// The life of the asking process.
        life: u64,
        /// The name of the read there.
        id: u64,
    },
    /// The answer to it.
    ReadIndexReply {
        /// The life of the asking process.
        life: u64,
        /// The name of the read there.
        id: u64,
        /// This far; or none, when this is no leader.
        slot: Option<Slot>,
    },
    /// What is the highest slot you accepted?
    AskHighest {
        /// The life of the asking process.
        life: u64,
        /// The name of the read there.
        id: u64,
    },
    /// The answer to it.
    Highest {
        /// The life of the asking process.
        life: u64,
        /// The name of the read there.
        id: u64,
        /// The highest slot in which this node accepted or learned anything.
        slot: Slot,
    },
    /// See to it that all slots up to here are chosen.
    Rinse {
        /// The last of them.
        through: Slot,
    },
    /// A node that does not know yet whether it may vote asks for what is known of it.
    Hello {
        /// The number of its disk.
        incarnation: u64,
    },
    /// The answer to it.
    Standing(StandingReply),
    /// A node that lost its disk heard a leader, in whose ballot it must not vote.
    Unfit {
        /// The leader's ballot.
        ballot: Ballot,
        /// It may vote in a ballot above this one.
        floor: Ballot,
    },
}

/// Phase 1a.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// The ballot to be promised.
    pub ballot: Ballot,
    /// What was accepted from here on is asked for.
    pub from: Slot,
    /// The number of the proposer's disk: answers to one that was lost are not taken for answers to this one.
    pub incarnation: u64,
    /// The leader of this ballot wants this, and holds no lease in it any more.
    pub released: Option<Ballot>,
}

/// Phase 1b, or a piece of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// The ballot promised.
    pub ballot: Ballot,
    /// The asker's disk.
    pub incarnation: u64,
    /// The slot asked from.
    pub from: Slot,
    /// What was accepted there and above.
    pub votes: Vec<Vote>,
    /// There is more: ask again from here.
    pub more: Option<Slot>,
    /// All slots up to here are chosen, and what was accepted there is forgotten.
    pub snapshot: Slot,
}

/// Phase 2a, for slots that follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accept {
    /// The leader's ballot.
    pub ballot: Ballot,
    /// The first value's slot.
    pub first: Slot,
    /// The values; none in a heartbeat.
    pub values: Vec<Payload>,
    /// All slots up to here are chosen. The receiver knows what, where it accepted in this very ballot.
    pub commit: Slot,
    /// From here on the leader sends values; what lies before is to be asked for.
    pub begin: Slot,
    /// The last slot that phase 1 brought up: whatever was chosen in a lower ballot is at or below it.
    pub merged: Slot,
    /// The newest round of heartbeats that the leader had begun when it sent this.
    pub round: u64,
}

/// Phase 2b.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The ballot.
    pub ballot: Ballot,
    /// The round echoed: when this was said, no higher ballot was promised here.
    pub round: u64,
    /// The first slot accepted.
    pub first: Slot,
    /// How many.
    pub count: u64,
    /// All slots up to here are accepted in this ballot, or chosen; durably. None when that is not known yet.
    pub through: Option<Slot>,
}

/// A piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotChunk {
    /// The last slot the snapshot covers.
    pub slot: Slot,
    /// Where in the snapshot this piece begins.
    pub offset: u64,
    /// How long the whole snapshot is.
    pub total: u64,
    /// The piece.
    pub data: Vec<u8>,
}

/// A client's command on its way to the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The ballot in which the receiver is thought to lead. It must propose the command in this ballot or never.
    pub ballot: Ballot,
    /// The life of the forwarding process.
    pub life: u64,
    /// Names the command there: 1, 2, 3, …
    pub id: u64,
    /// The command.
    pub command: Command,
}

/// What a node knows of another one that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingReply {
    /// The disk of the node that asked.
    pub asked: u64,
    /// The disk of the node that answers.
    pub incarnation: u64,
    /// What the answering node is.
    pub says: Says,
    /// What is promised there.
    pub promised: Ballot,
}

/// What a node is, and what it knows of the one that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Says {
    /// It never voted.
    Blank,
    /// It lost its disk, and does not vote.
    Lost,
    /// It votes, and knows the asker by this number.
    Fit {
        /// The asker's disk when this node began to vote.
        knows: u64,
    },
}

/// Slots and names are counted up from 0: no cluster comes this far. A larger one is garbled or a lie, and would overflow when it
/// is counted on.
const COUNT_MAX: u64 = u64::MAX / 2;

fn counts(all: &[u64]) -> bool {
    all.iter().all(|&count| count <= COUNT_MAX)
}

fn ballots(all: &[Ballot]) -> bool {
    all.iter().all(|ballot| ballot.round <= Ballot::ROUND_MAX)
}

impl Message {
    /// The names of the kinds, in the order in which they are encoded.
    pub(super) const KINDS: &'static [&'static str] = &[
        "ping",
        "pong",
        "prepare",
        "promise",
        "accept",
        "accepted",
        "nack",
        "catch-up",
        "chosen",
        "snapshot-chunk",
        "take-over",
        "forward",
        "forward-reply",
        "read-index",
        "read-index-reply",
        "ask-highest",
        "highest",
        "rinse",
        "hello",
        "standing",
        "unfit",
    ];

    /// Whether no number in it lies beyond what counting can reach.
    pub(super) fn is_countable(&self) -> bool {
        match self {
            Self::Ping { ballot } | Self::TakeOver { ballot } => ballots(&[*ballot]),
            Self::Pong { ballot, promised, .. } => ballots(&[*ballot, *promised]),
            Self::Prepare(m) => ballots(&[m.ballot, m.released.unwrap_or_default()]) && counts(&[m.from.0]),
            Self::Promise(m) => {
                ballots(&[m.ballot])
                    && counts(&[m.from.0, m.more.unwrap_or_default().0, m.snapshot.0])
                    && m.votes.iter().all(|vote| ballots(&[vote.ballot]) && counts(&[vote.slot.0]))
            }
            Self::Accept(m) => ballots(&[m.ballot]) && counts(&[m.first.0, m.commit.0, m.begin.0, m.merged.0, m.round]),
            Self::Accepted(m) => {
                ballots(&[m.ballot]) && counts(&[m.first.0, m.count, m.round, m.through.unwrap_or_default().0])
            }
            Self::Nack { refused, promised } => ballots(&[*refused, *promised]),
            Self::CatchUp { from, have } => {
                let (slot, offset) = have.unwrap_or_default();
                counts(&[from.0, slot.0, offset])
            }
            Self::Chosen { first, .. } => counts(&[first.0]),
            Self::SnapshotChunk(m) => counts(&[m.slot.0, m.offset, m.total]),
            Self::Forward(m) => ballots(&[m.ballot]) && counts(&[m.life, m.id]),
            Self::ForwardReply { life, id, .. } | Self::ReadIndex { life, id } | Self::AskHighest { life, id } => {
                counts(&[*life, *id])
            }
            Self::ReadIndexReply { life, id, slot } => counts(&[*life, *id, slot.unwrap_or_default().0]),
            Self::Highest { life, id, slot } => counts(&[*life, *id, slot.0]),
            Self::Rinse { through } => counts(&[through.0]),
            Self::Hello { .. } => true,
            Self::Standing(m) => ballots(&[m.promised]),
            Self::Unfit { ballot, floor } => ballots(&[*ballot, *floor]),
        }
    }
}
