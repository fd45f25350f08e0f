//! Correctness bugs that can be switched on by name in one process, each replacing exactly one rule. For testing the harness only.

use std::str::FromStr;

/// A mutant. The correct build has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// Any node answers reads from its applied state.
    RaftReadAnyNode,
    /// A leader answers reads from its applied state, without proving its leadership.
    RaftReadLocalLeader,
    /// A vote is granted without looking at the candidate's log.
    RaftVoteNoLogCheck,
    /// A follower acknowledges entries before they are durable, and nothing waits for their sync.
    RaftAckBeforeFsync,
}

impl Mutant {
    /// Every mutant.
    pub const ALL: [Self; 4] =
        [Self::RaftReadAnyNode, Self::RaftReadLocalLeader, Self::RaftVoteNoLogCheck, Self::RaftAckBeforeFsync];

    /// The name on the command line.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::RaftReadAnyNode => "raft-read-any-node",
            Self::RaftReadLocalLeader => "raft-read-local-leader",
            Self::RaftVoteNoLogCheck => "raft-vote-no-log-check",
            Self::RaftAckBeforeFsync => "raft-ack-before-fsync",
        }
    }
}

/// A name that is no mutant's.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no mutant is called {0:?}")]
pub struct UnknownMutant(pub String);

impl FromStr for Mutant {
    type Err = UnknownMutant;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|m| m.id() == id).ok_or_else(|| UnknownMutant(id.to_owned()))
    }
}
