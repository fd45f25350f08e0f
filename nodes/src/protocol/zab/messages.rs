//! What the servers say to each other.
//!
//! | message | phase | says | answered by |
//! |---|---|---|---|
//! | `Notification` | 0 | whom the sender wants to lead, or follows | `Notification` |
//! | `FollowerInfo` | 1 | CEPOCH: this follower wants to follow, and has accepted this epoch | `NewEpoch` |
//! | `NewEpoch` | 1 | the epoch in which the sender wants to lead | `AckEpoch` |
//! | `AckEpoch` | 1 | no earlier epoch is followed any more; how recent the history is | `Diff`, `SnapshotChunk` |
//! | `Diff` | 2 | TRUNC and DIFF: behind this place comes this, and nothing else | `Have` |
//! | `SnapshotChunk` | 2, 3 | SNAP: a piece of a snapshot, for a follower whose place is gone | `HaveChunk`, `Have` |
//! | `NewLeader` | 2 | the history is whole | `AckNewLeader` |
//! | `AckNewLeader` | 2 | history and epoch are durable | `UpToDate` |
//! | `UpToDate` | 2 | a quorum has the history: serve clients | |
//! | `Propose` | 3 | transactions, behind this place | `Ack`, or `Have` at a gap |
//! | `Ack` | 3 | durable up to here | |
//! | `Commit` | 3 | committed up to here | |
//! | `Ping` | 2, 3 | what was sent and committed so far | `Pong`, or `Have` at a gap |
//! | `Forward` | 3 | order a client's command | `ForwardReply` |
//! | `Sync` | 3 | what must be applied before a read may be answered? | `SyncReply` |
//!
//! The paper's channels lose nothing and keep the order. Here every message that adds to a history names the place that it follows:
//! what comes twice is passed over, and a gap is answered with `Have`, from where the leader goes on. All others may come late, twice
//! or never: they say what stays true within the epoch that they name.

use serde::{Deserialize, Serialize};

use super::types::{Epoch, Place, Position, Proposal, Recency, Vote, Zxid};
use crate::{
    machine::{Answer, Command},
    protocol::{NodeId, Refusal},
};

/// A message between servers. The sender is known from the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Phase 0.
    Notification(Notification),
    /// CEPOCH.
    FollowerInfo {
        /// The follower's acceptedEpoch.
        accepted: Epoch,
        /// Whose it was.
        from: Option<NodeId>,
    },
    /// NEWEPOCH.
    NewEpoch {
        /// The epoch that the sender wants to lead in.
        epoch: Epoch,
    },
    /// ACK-E.
    AckEpoch {
        /// The epoch accepted.
        epoch: Epoch,
        /// How recent the follower's history is.
        recency: Recency,
        /// Where it ends.
        last: Position,
    },
    /// TRUNC and DIFF.
    Diff(Batch),
    /// SNAP.
    SnapshotChunk(SnapshotChunk),
    /// The follower's history ends here, or agrees no further; nothing is said about durability.
    Have {
        /// The leader's epoch.
        epoch: Epoch,
        /// The position that the leader's message followed: what is answered twice, or late, is known by it.
        asked: Position,
        /// Here.
        place: Place,
    },
    /// This much of a snapshot is here.
    HaveChunk {
        /// The leader's epoch.
        epoch: Epoch,
        /// The snapshot.
        place: Place,
        /// Bytes of it.
        offset: u64,
    },
    /// NEWLEADER.
    NewLeader {
        /// The leader's epoch.
        epoch: Epoch,
        /// Where the history that was sent ends.
        last: Place,
    },
    /// ACK-LD.
    AckNewLeader {
        /// The leader's epoch.
        epoch: Epoch,
        /// Where the history that is durable ends, or later.
        last: Place,
    },
    /// UPTODATE.
    UpToDate {
        /// The leader's epoch.
        epoch: Epoch,
        /// Committed up to here.
        commit: Position,
    },
    /// PROPOSE.
    Propose(Batch),
    /// ACK: durable up to here.
    Ack {
        /// The leader's epoch.
        epoch: Epoch,
        /// Here.
        upto: Position,
    },
    /// COMMIT.
    Commit {
        /// The leader's epoch.
        epoch: Epoch,
        /// Committed up to here.
        upto: Position,
    },
    /// The leader lives.
    Ping {
        /// Its epoch.
        epoch: Epoch,
        /// What was proposed to this follower so far.
        sent: Position,
        /// Committed up to here.
        commit: Position,
    },
    /// The follower lives.
    Pong {
        /// The leader's epoch.
        epoch: Epoch,
        /// Durable up to here, since this follower acknowledged NEWLEADER.
        upto: Position,
        /// Whether UPTODATE came.
        is_up_to_date: bool,
    },
    /// Order a client's command.
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
    /// What must be applied before a read that arrived before this may be answered?
    Sync {
        /// The life of the asking process.
        life: u64,
        /// The name of the read there.
        id: u64,
    },
    /// The answer to it.
    SyncReply {
        /// The life of the asking process.
        life: u64,
        /// The name of the read there.
        id: u64,
        /// This must be; or none, when the asked one does not lead.
        upto: Option<Position>,
    },
}

/// What a server says in phase 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The round of election of the sender.
    pub round: u64,
    /// Its vote.
    pub vote: Vote,
    /// Whether it still looks for a leader; if not, the vote is for the one that it leads as or follows.
    pub is_looking: bool,
}

/// Some transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// The place that they follow.
    pub after: Place,
    /// The transactions.
    pub proposals: Vec<Proposal>,
}

/// A piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotChunk {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// The last transaction in the snapshot.
    pub place: Place,
    /// Where in it this piece begins.
    pub offset: u64,
    /// How long all of it is.
    pub total: u64,
    /// The piece.
    pub data: Vec<u8>,
}

/// A client's command on its way to the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The epoch in which the receiver is thought to lead. It must order the command in this epoch or never.
    pub epoch: Epoch,
    /// The life of the forwarding process.
    pub life: u64,
    /// Names the command there.
    pub id: u64,
    /// The command.
    pub command: Command,
}

/// No cluster counts this far: a larger number is garbled or a lie, and would overflow when it is counted on.
const COUNT_MAX: u64 = u64::MAX / 2;
/// Nor elects this often.
pub(super) const EPOCH_MAX: Epoch = Epoch(u32::MAX / 2);

/// Whether numbers lie within what counting can reach.
#[derive(Clone, Copy)]
struct Sane(bool);

impl Sane {
    fn counts(self, counts: &[u64]) -> Self {
        Self(self.0 && counts.iter().all(|&count| count <= COUNT_MAX))
    }

    fn epoch(self, epoch: Epoch) -> Self {
        Self(self.0 && epoch <= EPOCH_MAX)
    }

    fn zxid(self, zxid: Zxid) -> Self {
        self.epoch(zxid.epoch)
    }

    fn place(self, place: Place) -> Self {
        self.counts(&[place.position.0]).zxid(place.zxid)
    }

    fn recency(self, recency: Recency) -> Self {
        self.epoch(recency.epoch).zxid(recency.zxid)
    }
}

impl Message {
    /// The names of the kinds, in the order in which they are encoded.
    pub(super) const KINDS: &'static [&'static str] = &[
        "notification",
        "follower-info",
        "new-epoch",
        "ack-epoch",
        "diff",
        "snapshot-chunk",
        "have",
        "have-chunk",
        "new-leader",
        "ack-new-leader",
        "up-to-date",
        "propose",
        "ack",
        "commit",
        "ping",
        "pong",
        "forward",
        "forward-reply",
        "sync",
        "sync-reply",
    ];

    /// Whether no number in it lies beyond what counting can reach.
    pub(super) fn is_countable(&self) -> bool {
        let sane = Sane(true);
        let sane = match self {
            Self::Notification(n) => sane.counts(&[n.round]).recency(n.vote.recency),
            Self::FollowerInfo { accepted: epoch, .. } | Self::NewEpoch { epoch } => sane.epoch(*epoch),
            Self::AckEpoch { epoch, recency, last } => sane.epoch(*epoch).recency(*recency).counts(&[last.0]),
            Self::Diff(batch) | Self::Propose(batch) => {
                let sane = sane.epoch(batch.epoch).place(batch.after);
                batch.proposals.iter().fold(sane, |sane, proposal| sane.zxid(proposal.zxid))
            }
            Self::SnapshotChunk(m) => sane.epoch(m.epoch).place(m.place).counts(&[m.offset, m.total]),
            Self::HaveChunk { epoch, place, offset } => sane.epoch(*epoch).place(*place).counts(&[*offset]),
            Self::Have { epoch, asked, place } => sane.epoch(*epoch).counts(&[asked.0]).place(*place),
            Self::NewLeader { epoch, last } | Self::AckNewLeader { epoch, last } => sane.epoch(*epoch).place(*last),
            Self::UpToDate { epoch, commit: upto }
            | Self::Ack { epoch, upto }
            | Self::Commit { epoch, upto }
            | Self::Pong { epoch, upto, .. } => sane.epoch(*epoch).counts(&[upto.0]),
            Self::Ping { epoch, sent, commit } => sane.epoch(*epoch).counts(&[sent.0, commit.0]),
            Self::Forward(m) => sane.epoch(m.epoch).counts(&[m.life, m.id]),
            Self::ForwardReply { life, id, .. } | Self::Sync { life, id } => sane.counts(&[*life, *id]),
            Self::SyncReply { life, id, upto } => sane.counts(&[*life, *id, upto.map_or(0, |upto| upto.0)]),
        };
        sane.0
    }

    /// The epoch of a leader's message to its followers.
    pub(super) fn leaders_epoch(&self) -> Option<Epoch> {
        match self {
            Self::Diff(batch) | Self::Propose(batch) => Some(batch.epoch),
            Self::SnapshotChunk(m) => Some(m.epoch),
            Self::NewLeader { epoch, .. }
            | Self::UpToDate { epoch, .. }
            | Self::Commit { epoch, .. }
            | Self::Ping { epoch, .. } => Some(*epoch),
            _ => None,
        }
    }

    /// The epoch of a follower's message to its leader, from its promise on.
    pub(super) fn followers_epoch(&self) -> Option<Epoch> {
        match self {
            Self::AckEpoch { epoch, .. }
            | Self::Have { epoch, .. }
            | Self::HaveChunk { epoch, .. }
            | Self::AckNewLeader { epoch, .. }
            | Self::Ack { epoch, .. }
            | Self::Pong { epoch, .. } => Some(*epoch),
            _ => None,
        }
    }
}

impl Vote {
    /// A vote for `leader`.
    pub(super) fn of(leader: NodeId, recency: Recency) -> Self {
        Self { leader, recency }
    }
}
