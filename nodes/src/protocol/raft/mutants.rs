//! The mutants of Raft.

use crate::{
    mutants::{
        Mutant,
        Rating::{self, Easy},
    },
    protocol::ProtocolKind,
};

mod membership;

pub use membership::{
    LEARNER_IN_QUORUM, MEMBER_AT_COMMIT, MEMBER_MULTI_STEP, MEMBER_NO_TERM_COMMIT, QUORUM_HALF,
    SNAPSHOT_STALE_MEMBERSHIP,
};

const fn mutant(id: &'static str, rating: Rating, [bug, rule, seen_as, source]: [&'static str; 4]) -> Mutant {
    Mutant { id, protocol: ProtocolKind::Raft, rating, bug, rule, seen_as, source }
}

/// Every one of them.
pub const ALL: &[Mutant] = &[
    READ_ANY_NODE,
    READ_LOCAL_LEADER,
    VOTE_NO_LOG_CHECK,
    ACK_BEFORE_FSYNC,
    QUORUM_HALF,
    LEARNER_IN_QUORUM,
    MEMBER_NO_TERM_COMMIT,
    MEMBER_MULTI_STEP,
    MEMBER_AT_COMMIT,
    SNAPSHOT_STALE_MEMBERSHIP,
];

/// See its text.
pub const READ_ANY_NODE: Mutant = mutant(
    "raft-read-any-node",
    Easy,
    [
        "any node answers reads from its applied state",
        "ReadIndex: prove leadership for each read (dissertation, 6.4)",
        "stale read",
        "etcd's serializable reads; Consul's stale mode; Kingsbury, \"Jepsen: etcd and Consul\" (2014)",
    ],
);

/// See its text.
pub const READ_LOCAL_LEADER: Mutant = mutant(
    "raft-read-local-leader",
    Easy,
    [
        "a leader answers reads from its applied state, without proving its leadership",
        "ReadIndex: prove leadership for each read (dissertation, 6.4)",
        "stale read",
        "Raft paper, section 8; etcd 0.4 in Kingsbury, \"Jepsen: etcd and Consul\" (2014)",
    ],
);

/// See its text.
pub const VOTE_NO_LOG_CHECK: Mutant = mutant(
    "raft-vote-no-log-check",
    Easy,
    [
        "votes are granted without a look at the candidate's log",
        "vote only for a log at least as up-to-date (paper, 5.4.1)",
        "lost writes; or a node's assertion",
        "Raft paper, 5.4.1; NuRaft #185",
    ],
);

/// See its text.
pub const ACK_BEFORE_FSYNC: Mutant = mutant(
    "raft-ack-before-fsync",
    Easy,
    [
        "a follower acknowledges entries before they are durable, and nothing waits for their sync",
        "update stable storage before responding (paper, Figure 2)",
        "lost writes",
        "Jepsen: NATS 2.12.1; robustmq #2039",
    ],
);
