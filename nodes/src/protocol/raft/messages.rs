//! What the servers say to each other.
//!
//! | message | asks or says | answered by |
//! |---|---|---|
//! | `RequestVote` | a vote, or (`pre`) whether one would be given | `VoteReply` |
//! | `Append` | entries; without any, a heartbeat | `AppendReply` |
//! | `SnapshotChunk` | a piece of a snapshot, for a follower whose next entry is gone | `AppendReply` |
//! | `TimeoutNow` | stand for election at once: leadership transfer | `RequestVote` |
//! | `Forward` | put a client's command into the log | `ForwardReply` |
//! | `ReadIndex` | how far must be applied before a read may be answered | `ReadIndexReply` |

use serde::{Deserialize, Serialize};

use super::{
    super::Refusal,
    types::{Entry, LogIndex, Term},
};
use crate::machine::{Answer, Command};

/// A message between servers. The sender is known from the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Figure 2, RequestVote RPC; with `pre` the question of the dissertation's section 9.6.
    RequestVote(RequestVote),
    /// The answer to it.
    VoteReply(VoteReply),
    /// Figure 2, AppendEntries RPC.
    Append(Append),
    /// A piece of a snapshot: Figure 13, InstallSnapshot RPC.
    SnapshotChunk(SnapshotChunk),
    /// The answer to both.
    AppendReply(AppendReply),
    /// Stand for election at once: dissertation, section 3.10.
    TimeoutNow {
        /// The term of the leader who says so.
        term: Term,
    },
    /// Put a client's command into the log.
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
        index: Option<LogIndex>,
    },
}

/// A candidate asks for a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestVote {
    /// Only ask whether the vote would be granted; nobody changes anything.
    pub pre: bool,
    /// The candidate's term; with `pre` the one it would take.
    pub term: Term,
    /// Index of its last entry.
    pub last_index: LogIndex,
    /// Term of its last entry.
    pub last_term: Term,
    /// The leader itself wants this election: a voter who still hears it must not be sticky.
    pub transfer: bool,
}

/// A voter answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteReply {
    /// As asked.
    pub pre: bool,
    /// The voter's term.
    pub term: Term,
    /// The term that was asked for.
    pub asked: Term,
    /// Whether it was granted.
    pub granted: bool,
}

/// A leader replicates entries, or only says that it leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Append {
    /// The leader's term.
    pub term: Term,
    /// The index just before the entries.
    pub prev_index: LogIndex,
    /// The term there.
    pub prev_term: Term,
    /// The entries; none in a heartbeat.
    pub entries: Vec<Entry>,
    /// The leader's commit index.
    pub commit: LogIndex,
    /// The newest read round that the leader had begun when it sent this.
    pub round: u64,
}

/// A piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotChunk {
    /// The leader's term.
    pub term: Term,
    /// The newest read round that the leader had begun when it sent this.
    pub round: u64,
    /// Last index the snapshot covers.
    pub index: LogIndex,
    /// The term there.
    pub index_term: Term,
    /// Where in the snapshot this piece begins.
    pub offset: u64,
    /// How long the whole snapshot is.
    pub total: u64,
    /// The piece.
    pub data: Vec<u8>,
}

/// A follower answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendReply {
    /// The follower's term.
    pub term: Term,
    /// The round echoed: when this was said, the follower still took the sender for the leader of `term`.
    pub round: u64,
    /// What became of the message.
    pub outcome: AppendOutcome,
}

/// What a follower says to entries or a piece of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppendOutcome {
    /// The log is the leader's up to here, and durable.
    Match(LogIndex),
    /// The entry before the first one sent is missing or another.
    Conflict {
        /// The `prev_index` refused.
        prev_index: LogIndex,
        /// The term found there, if anything was.
        term: Option<Term>,
        /// The first index of that term; or the one after the last entry.
        first: LogIndex,
    },
    /// This much of a snapshot is here.
    Chunk {
        /// The snapshot, by the last index it covers.
        index: LogIndex,
        /// Bytes of it that came so far.
        offset: u64,
    },
    /// The sender's term is over.
    StaleTerm,
}

/// A client's command on its way to the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The term in which the receiver is thought to lead. It must put the command into the log in this term or never.
    pub term: Term,
    /// The life of the forwarding process.
    pub life: u64,
    /// Names the command there: 1, 2, 3, …
    pub id: u64,
    /// The command.
    pub command: Command,
}

/// Terms and indexes are counted up from 0: no cluster comes this far. A larger one is garbled or a lie, and would overflow when
/// it is counted on.
const COUNT_MAX: u64 = u64::MAX / 2;

impl Message {
    /// The names of the kinds, in the order in which they are encoded.
    pub(super) const KINDS: &'static [&'static str] = &[
        "request-vote",
        "vote-reply",
        "append",
        "snapshot-chunk",
        "append-reply",
        "timeout-now",
        "forward",
        "forward-reply",
        "read-index",
        "read-index-reply",
    ];

    /// Whether no number in it lies beyond what counting can reach.
    pub(super) fn is_countable(&self) -> bool {
        let all = |counts: &[u64]| counts.iter().all(|&count| count <= COUNT_MAX);
        match self {
            Self::RequestVote(m) => all(&[m.term.0, m.last_index.0, m.last_term.0]),
            Self::VoteReply(m) => all(&[m.term.0, m.asked.0]),
            Self::Append(m) => {
                all(&[m.term.0, m.prev_index.0, m.prev_term.0, m.commit.0, m.round])
                    && m.entries.iter().all(|entry| all(&[entry.term.0, entry.index.0]))
            }
            Self::SnapshotChunk(m) => all(&[m.term.0, m.round, m.index.0, m.index_term.0, m.offset, m.total]),
            Self::AppendReply(m) => all(&[m.term.0, m.round]) && all(&m.outcome.counts()),
            Self::TimeoutNow { term } => all(&[term.0]),
            Self::Forward(m) => all(&[m.term.0, m.life, m.id]),
            Self::ForwardReply { life, id, .. } | Self::ReadIndex { life, id } => all(&[*life, *id]),
            Self::ReadIndexReply { life, id, index } => all(&[*life, *id, index.map_or(0, |index| index.0)]),
        }
    }
}

impl AppendOutcome {
    fn counts(&self) -> [u64; 3] {
        match *self {
            Self::Match(index) => [index.0, 0, 0],
            Self::Conflict { prev_index, term, first } => [prev_index.0, term.map_or(0, |term| term.0), first.0],
            Self::Chunk { index, offset } => [index.0, offset, 0],
            Self::StaleTerm => [0; 3],
        }
    }
}
