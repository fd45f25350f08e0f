//! The mutants of Zab.

use crate::{
    mutants::{
        Mutant,
        Rating::{self, Easy, Hard, Medium},
    },
    protocol::ProtocolKind,
};

const fn mutant(id: &'static str, rating: Rating, [bug, rule, seen_as, source]: [&'static str; 4]) -> Mutant {
    Mutant { id, protocol: ProtocolKind::Zab, rating, bug, rule, seen_as, source }
}

/// Every one of them.
pub const ALL: &[Mutant] = &[
    READ_LOCAL,
    SYNC_NO_QUORUM,
    ACK_BEFORE_FSYNC,
    NEW_LEADER_ACK_BEFORE_SYNC,
    EPOCH_BEFORE_HISTORY,
    ACCEPTED_EPOCH_VOLATILE,
    ELECT_BY_ID,
    SERVE_UNCOMMITTED_ON_RESTART,
    SNAP_NOT_PERSISTED,
    LOG_HOLE,
    SKIP_SYNC_PHASE,
    OLD_EPOCH_PROPOSAL,
    QUORUM_HALF,
    REPLY_AT_ACK,
    CAS_COMMITTED_STATE,
    FSYNC_ERROR_IGNORED,
];

/// See its text.
pub const READ_LOCAL: Mutant = mutant(
    "zab-read-local",
    Easy,
    [
        "any server answers reads from its own tree",
        "a linearizable read needs a sync before it (ZooKeeper's guide for programmers, consistency guarantees)",
        "stale read",
        "ZooKeeper's documented behaviour; ZOOKEEPER-3522; jepsen #399",
    ],
);

/// See its text.
pub const SYNC_NO_QUORUM: Mutant = mutant(
    "zab-sync-no-quorum",
    Medium,
    [
        "the leader answers a sync at once, without broadcasting it",
        "a sync is an operation of a quorum: only one that was committed proves who leads",
        "stale read after a sync, from a leader that was replaced",
        "ZOOKEEPER-3600 and its pull request 1137; jepsen #399",
    ],
);

/// See its text.
pub const ACK_BEFORE_FSYNC: Mutant = mutant(
    "zab-ack-before-fsync",
    Easy,
    [
        "a follower acknowledges proposals before they are durable, and nothing waits for their sync",
        "log, then ACK (DSN 2011, step f.3.1)",
        "lost writes after a power failure",
        "ZooKeeper's documentation of forceSync=no",
    ],
);

/// See its text.
pub const NEW_LEADER_ACK_BEFORE_SYNC: Mutant = mutant(
    "zab-newleader-ack-before-sync",
    Medium,
    [
        "a follower acknowledges NEWLEADER before the history that it was sent is durable",
        "history and epoch durable, then ACK-LD (DSN 2011, step f.2.1)",
        "committed transactions lost, when a follower dies right after it came back to a leader that waited for one. What was there \
         before the epoch is safe: every answer waits for a later transaction, which is durable at a quorum only behind all before it",
        "ZOOKEEPER-3911, -3023, -4646, -4685, -4785",
    ],
);

/// See its text.
pub const EPOCH_BEFORE_HISTORY: Mutant = mutant(
    "zab-epoch-before-history",
    Hard,
    [
        "a follower writes currentEpoch before the history of that epoch",
        "history first, then currentEpoch, then ACK-LD (Zab1.0, phase 2)",
        "committed transactions truncated: a server with a short log and a late epoch wins the election",
        "ZOOKEEPER-4643",
    ],
);

/// See its text.
pub const ACCEPTED_EPOCH_VOLATILE: Mutant = mutant(
    "zab-acceptedepoch-volatile",
    Hard,
    [
        "acceptedEpoch, and whose it is, is not written to disk",
        "acceptedEpoch durable before ACK-E (DSN 2011, step f.1.1)",
        "two leaders in one epoch: different transactions of one name, diverging servers",
        "DSN 2011, section IV; ZOOKEEPER-335, -2307",
    ],
);

/// See its text.
pub const ELECT_BY_ID: Mutant = mutant(
    "zab-elect-by-id",
    Easy,
    [
        "histories are not compared: the greatest number wins the election, and no leader gives way to a follower that knows more",
        "the most recent history leads (Zab1.0, phases 0 and 1)",
        "lost writes",
        "DSN 2011, step l.1.2; ZooKeeper's fast leader election",
    ],
);

/// See its text.
pub const SERVE_UNCOMMITTED_ON_RESTART: Mutant = mutant(
    "zab-serve-uncommitted-on-restart",
    Medium,
    [
        "a restarted server applies its whole log, and keeps the effects of what is truncated afterwards",
        "memory must follow the log",
        "servers that differ for ever; reads of what was never committed",
        "ZOOKEEPER-2845, -1549",
    ],
);

/// See its text.
pub const SNAP_NOT_PERSISTED: Mutant = mutant(
    "zab-snap-not-persisted",
    Medium,
    [
        "a snapshot from the leader stays in memory: it is not stored before NEWLEADER is acknowledged",
        "the whole history durable, then ACK-LD (DSN 2011, step f.2.1)",
        "committed transactions lost when such a server restarts",
        "ZOOKEEPER-3642, -5094",
    ],
);

/// See its text.
pub const LOG_HOLE: Mutant = mutant(
    "zab-log-hole",
    Medium,
    [
        "a DIFF leaves out what the sender itself got by synchronization (their places stay, so that the rest can follow)",
        "a leader sends its whole history (DSN 2011, step l.2.1)",
        "transactions missing at a third server, and lost when it leads",
        "ZOOKEEPER-4925, -2418",
    ],
);

/// See its text.
pub const SKIP_SYNC_PHASE: Mutant = mutant(
    "zab-skip-sync-phase",
    Medium,
    [
        "a leader broadcasts, and takes its history for committed, before a quorum acknowledged NEWLEADER",
        "the barrier of phase 2 (DSN 2011, step l.2.2)",
        "servers that differ: who led so, and lives on, keeps what it delivered. Answers are safe: they wait for a later transaction, \
         which a quorum takes only behind the whole history",
        "DSN 2011, section IV-A",
    ],
);

/// See its text.
pub const OLD_EPOCH_PROPOSAL: Mutant = mutant(
    "zab-old-epoch-proposal",
    Medium,
    [
        "a follower takes PROPOSE and COMMIT of an earlier epoch, from whomever",
        "only from the leader of its epoch (DSN 2011, steps f.3.1 and f.3.2)",
        "lost writes, diverging servers",
        "DSN 2011, section IV-A",
    ],
);

/// See its text.
pub const QUORUM_HALF: Mutant = mutant(
    "zab-quorum-half",
    Easy,
    [
        "half of the servers are a quorum",
        "any two quorums meet (DSN 2011, section III)",
        "split brain, lost writes: with 4 servers in two halves, with 3 or 5 as soon as a minority is cut off",
        "paxosmmc #11, for Multi-Paxos",
    ],
);

/// See its text.
pub const REPLY_AT_ACK: Mutant = mutant(
    "zab-reply-at-ack",
    Easy,
    [
        "a leader answers the client at the first acknowledgement, its own included",
        "commit once a quorum acknowledged, then answer (DSN 2011, step l.3.2)",
        "lost writes",
        "DSN 2011, section IV-A; Kingsbury, \"Jepsen: Redis\" (2013), for a system that answers so by design",
    ],
);

/// See its text.
pub const CAS_COMMITTED_STATE: Mutant = mutant(
    "zab-cas-committed-state",
    Easy,
    [
        "conditions are decided against the committed state, without what is proposed and outstanding",
        "outstanding changes count (DSN 2011, section II)",
        "lost updates: two compare-and-sets of the same value succeed",
        "ZooKeeper's request preparation, which keeps a list of outstanding changes for this",
    ],
);

/// See its text.
pub const FSYNC_ERROR_IGNORED: Mutant = mutant(
    "zab-fsync-error-ignored",
    Hard,
    [
        "after a failed write or sync of its log a server goes on, with memory ahead of its log, and acknowledges what it lost",
        "a failed sync ends the server (nodes' storage; Rebello and others, USENIX ATC 2020)",
        "committed transactions lost, when such a server restarts and others elect with it",
        "ZOOKEEPER-4882",
    ],
);
