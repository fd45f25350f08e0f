//! The mutants of Raft.
//!
//! Each names a rule of [`rules`](super::rules); two are the storage's (`raft-wal-…`), and one the machine's (`raft-no-dedup`).

use crate::{
    mutants::{
        Mutant,
        Rating::{self, Decoy, Easy, Hard, Medium},
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
    READINDEX_NO_TERM_COMMIT,
    READINDEX_STALE_ACK,
    READ_BEFORE_APPLY,
    LEASE_NO_BOUND,
    LEASE_WALL_CLOCK,
    LEASE_SURVIVES_TRANSFER,
    VOTEDFOR_VOLATILE,
    TERM_VOLATILE,
    VOTE_REPLY_BEFORE_FSYNC,
    VOTE_TERM_NONATOMIC,
    VOTE_NO_LOG_CHECK,
    VOTE_STALE_TERM_REPLY,
    VOTE_COUNT_DUPLICATES,
    REPLY_BEFORE_COMMIT,
    APPLY_BEFORE_COMMIT,
    FIG8_COMMIT_OLD_TERM,
    APPEND_NO_PREV_CHECK,
    TRUNCATE_ALWAYS,
    COMMIT_NO_MIN,
    MATCHINDEX_NOT_RESET,
    ACK_STALE_REPLIES,
    ACK_BEFORE_FSYNC,
    LEADER_SELF_COUNT,
    WAL_TAIL_DROP,
    WAL_NO_CRC,
    TRUNCATE_NOT_DURABLE,
    APPLIED_INDEX_NONATOMIC,
    NO_DEDUP,
    DEDUP_LEADER_CACHE,
    SNAPSHOT_DROPS_SESSIONS,
    SNAPSHOT_CLAIMS_LASTLOG,
    SNAPSHOT_INSTALL_REGRESS,
    SNAPSHOT_KEEP_CONFLICT,
    QUORUM_HALF,
    LEARNER_IN_QUORUM,
    MEMBER_NO_TERM_COMMIT,
    MEMBER_MULTI_STEP,
    MEMBER_AT_COMMIT,
    SNAPSHOT_STALE_MEMBERSHIP,
    NO_PREVOTE,
    NO_STICKINESS,
    NO_CHECKQUORUM,
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
pub const READINDEX_NO_TERM_COMMIT: Mutant = mutant(
    "raft-readindex-no-term-commit",
    Medium,
    [
        "a new leader answers reads at the commit index it has inherited, before an entry of its own term is committed",
        "ReadIndex, step 1: an entry of the leader's own term must be committed (dissertation, 6.4)",
        "stale read soon after a change of leader",
        "etcd #7331; tikv #6340 and #9239; RedisRaft #22",
    ],
);

/// See its text.
pub const READINDEX_STALE_ACK: Mutant = mutant(
    "raft-readindex-stale-ack",
    Medium,
    [
        "any answer that comes after a read arrived confirms it, even one to a heartbeat sent before",
        "ReadIndex, step 3: a round begun after the read arrived (dissertation, 6.4)",
        "stale read at a leader that was paused or cut off",
        "etcd #20418; etcd-io/raft #397",
    ],
);

/// See its text.
pub const READ_BEFORE_APPLY: Mutant = mutant(
    "raft-read-before-apply",
    Easy,
    [
        "a follower that was told where to read answers before it has applied that far",
        "ReadIndex, step 4: wait until the read index is applied (dissertation, 6.4)",
        "stale read; a client that misses its own write",
        "dissertation, 6.4; compare etcd #3879",
    ],
);

/// See its text.
pub const LEASE_NO_BOUND: Mutant = mutant(
    "raft-lease-no-bound",
    Medium,
    [
        "a lease counts from when the answers came, and lasts as long as the shortest election timeout (only with lease reads)",
        "a lease counts from when its heartbeat was sent, and is shorter than any election timeout (dissertation, 6.4.1)",
        "stale read at a leader that was paused",
        "dissertation, 6.4.1; tikv #964; SOFAJRaft #25 and #34",
    ],
);

/// See its text.
pub const LEASE_WALL_CLOCK: Mutant = mutant(
    "raft-lease-wall-clock",
    Medium,
    [
        "leases are measured on the clock that people set (only with lease reads)",
        "leases rest on the rate of clocks that nobody sets (dissertation, 6.4.1)",
        "stale read after that clock was set back",
        "tikv #964; SOFAJRaft #24",
    ],
);

/// See its text.
pub const LEASE_SURVIVES_TRANSFER: Mutant = mutant(
    "raft-lease-survives-transfer",
    Hard,
    [
        "a leader keeps its lease after it told another server to stand for election (only with lease reads)",
        "a transfer makes voters break the promise that the lease rests on: drop it (dissertation, 3.10 and 6.4.1)",
        "stale read after leadership was handed over",
        "raft-rs #234; etcd #12704",
    ],
);

/// See its text.
pub const VOTEDFOR_VOLATILE: Mutant = mutant(
    "raft-votedfor-volatile",
    Hard,
    [
        "a server that starts again has forgotten its vote",
        "votedFor is persistent state (paper, Figure 2)",
        "two leaders in one term: lost writes, replicas that differ",
        "PySyncObj #202; hashicorp/raft #661",
    ],
);

/// See its text.
pub const TERM_VOLATILE: Mutant = mutant(
    "raft-term-volatile",
    Medium,
    [
        "a server that starts again begins at term 0, its vote forgotten",
        "currentTerm is persistent state (paper, Figure 2)",
        "lost writes, once most servers have started again",
        "PySyncObj #202",
    ],
);

/// See its text.
pub const VOTE_REPLY_BEFORE_FSYNC: Mutant = mutant(
    "raft-vote-reply-before-fsync",
    Hard,
    [
        "a vote is told before it is durable",
        "update stable storage before responding (paper, Figure 2)",
        "two leaders in one term: lost writes, replicas that differ",
        "nodedb #161; robustmq #2039; a review of valkey #3887",
    ],
);

/// See its text.
pub const VOTE_TERM_NONATOMIC: Mutant = mutant(
    "raft-vote-term-nonatomic",
    Hard,
    [
        "term and vote are recorded one after the other, and only the term is waited for",
        "a vote belongs to its term: one record (paper, Figure 2)",
        "two leaders in one term: lost writes, replicas that differ",
        "hashicorp/raft #661",
    ],
);

/// See its text.
pub const VOTE_NO_LOG_CHECK: Mutant = mutant(
    "raft-vote-no-log-check",
    Easy,
    [
        "votes are granted without a look at the candidate's log",
        "vote only for a log at least as up-to-date (paper, 5.4.1)",
        "lost writes",
        "Raft paper, 5.4.1; NuRaft #185",
    ],
);

/// See its text.
pub const VOTE_STALE_TERM_REPLY: Mutant = mutant(
    "raft-vote-stale-term-reply",
    Medium,
    [
        "a candidate counts votes that were given for an earlier term",
        "votes count in the term they were asked for (paper, 5.2)",
        "two leaders in one term: lost writes, replicas that differ",
        "the Students' Guide to Raft, \"term confusion\"",
    ],
);

/// See its text.
pub const VOTE_COUNT_DUPLICATES: Mutant = mutant(
    "raft-vote-count-duplicates",
    Medium,
    [
        "a candidate counts answers, not voters",
        "votes from a majority of distinct servers (paper, 5.2)",
        "a leader on each side of a partition: lost writes",
        "van Renesse and Altinbuken, \"Paxos Made Moderately Complex\": the set that a leader waits for",
    ],
);

/// See its text.
pub const REPLY_BEFORE_COMMIT: Mutant = mutant(
    "raft-reply-before-commit",
    Easy,
    [
        "a leader answers writes and appends once they are in its own log",
        "answer once the entry is committed and applied (paper, 5.3)",
        "lost writes",
        "Raft paper, 5.3; Redis in Kingsbury, \"Jepsen: Redis\" (2013)",
    ],
);

/// See its text.
pub const APPLY_BEFORE_COMMIT: Mutant = mutant(
    "raft-apply-before-commit",
    Easy,
    [
        "every server applies (and the leader answers) what is in its log, committed or not, and never undoes it",
        "apply what is committed (paper, Figure 2, all servers)",
        "values read that no surviving write wrote; lost writes; replicas that differ",
        "Raft paper, 5.3; \"Jepsen: Redis-Raft\" (2020)",
    ],
);

/// See its text.
pub const FIG8_COMMIT_OLD_TERM: Mutant = mutant(
    "raft-fig8-commit-old-term",
    Hard,
    [
        "a leader commits entries of earlier terms by counting copies (entries travel one by one, and what was applied is not taken back)",
        "commit by counting only in the own term (paper, 5.4.2)",
        "replicas that differ, lost writes, after several short leaderships",
        "Raft paper, Figure 8; logcabin #44",
    ],
);

/// See its text.
pub const APPEND_NO_PREV_CHECK: Mutant = mutant(
    "raft-append-no-prev-check",
    Easy,
    [
        "a follower takes entries behind one that the leader does not have",
        "the entry before the new ones must match (paper, 5.3)",
        "replicas that differ",
        "Raft paper, 5.3",
    ],
);

/// See its text.
pub const TRUNCATE_ALWAYS: Mutant = mutant(
    "raft-truncate-always",
    Medium,
    [
        "a follower drops what follows the entries of a message, although nothing in it differs",
        "delete only on conflict (paper, Figure 2, AppendEntries rule 3)",
        "lost writes where messages overtake each other",
        "CCF #5991 and #6016; the Students' Guide to Raft",
    ],
);

/// See its text.
pub const COMMIT_NO_MIN: Mutant = mutant(
    "raft-commit-no-min",
    Medium,
    [
        "a follower commits up to the leader's commit index, whatever the message vouches for (and does not take back what it applied)",
        "min(leaderCommit, index of last new entry) (paper, Figure 2, AppendEntries rule 5)",
        "replicas that differ",
        "scylladb #9965 and #10578; etcd-io/raft #139",
    ],
);

/// See its text.
pub const MATCHINDEX_NOT_RESET: Mutant = mutant(
    "raft-matchindex-not-reset",
    Medium,
    [
        "a leader remembers from its last leadership how far the followers' logs matched",
        "matchIndex begins at 0 after each election (paper, Figure 2, leaders)",
        "lost writes; with three servers never, for there what a follower has acknowledged is committed",
        "Raft paper, Figure 2",
    ],
);

/// See its text.
pub const ACK_STALE_REPLIES: Mutant = mutant(
    "raft-ack-stale-replies",
    Medium,
    [
        "a leader counts acknowledgements that were given in an earlier term",
        "drop replies of another term (paper, 5.1)",
        "lost writes; with three servers hardly, for there what one follower has acknowledged is on a majority",
        "the Students' Guide to Raft, \"term confusion\"",
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

/// See its text.
pub const LEADER_SELF_COUNT: Mutant = mutant(
    "raft-leader-self-count",
    Hard,
    [
        "a leader counts its own copy before it is durable, and nothing waits for its sync",
        "a leader may write in parallel, but counts what is durable (dissertation, 10.2.1)",
        "lost writes; with one server at the first kill",
        "etcd #14370",
    ],
);

/// See its text.
pub const WAL_TAIL_DROP: Mutant = mutant(
    "raft-wal-tail-drop",
    Medium,
    [
        "a torn last record makes recovery drop the whole segment, with what was durable in it",
        "only what was never synced may go",
        "lost writes, once it happens to a majority",
        "Alagappan and others, \"Protocol-Aware Recovery\" (FAST 2018); Jepsen: NATS 2.12.1",
    ],
);

/// See its text.
pub const WAL_NO_CRC: Mutant = mutant(
    "raft-wal-no-crc",
    Medium,
    [
        "recovery checks no checksum, and takes a torn last record for whole, the missing bytes as zeros",
        "a record counts only if its checksum is right",
        "values that nobody wrote; replicas that differ",
        "Alagappan and others, \"Protocol-Aware Recovery\" (FAST 2018)",
    ],
);

/// See its text.
pub const TRUNCATE_NOT_DURABLE: Mutant = mutant(
    "raft-truncate-not-durable",
    Medium,
    [
        "entries are cut from the log in memory only: those not overwritten since are back after a restart",
        "the log is persistent state, cuts included (paper, Figure 2)",
        "lost writes; replicas that differ",
        "asked for in a review of valkey #3887",
    ],
);

/// See its text.
pub const APPLIED_INDEX_NONATOMIC: Mutant = mutant(
    "raft-applied-index-nonatomic",
    Medium,
    [
        "a snapshot's machine is ahead of its index, so entries are applied twice after a restart",
        "machine and applied index are one (paper, 7)",
        "appends done twice; replicas that differ. Not where every command carries a session stamp",
        "etcd 3.5 #13766 and its postmortem",
    ],
);

/// See its text.
pub const NO_DEDUP: Mutant = mutant(
    "raft-no-dedup",
    Easy,
    [
        "a command repeated under its session stamp takes effect again",
        "sessions: once only (paper, 8; dissertation, 6.3)",
        "operations done twice, where clients repeat stamped commands",
        "\"Jepsen: jetcd 0.8.2\"; etcd #18424; curvine #676",
    ],
);

/// See its text.
pub const DEDUP_LEADER_CACHE: Mutant = mutant(
    "raft-dedup-leader-cache",
    Easy,
    [
        "only the leader's memory knows which stamped commands were done",
        "the session table is replicated state (dissertation, 6.3)",
        "operations done twice, where clients repeat stamped commands at a new leader",
        "curvine #676",
    ],
);

/// See its text.
pub const SNAPSHOT_DROPS_SESSIONS: Mutant = mutant(
    "raft-snapshot-drops-sessions",
    Medium,
    [
        "snapshots do not hold the sessions",
        "the session table is replicated state (dissertation, 6.3)",
        "stamped commands refused that were done; replicas that differ, where clients stamp their commands",
        "dissertation, 6.3",
    ],
);

/// See its text.
pub const SNAPSHOT_CLAIMS_LASTLOG: Mutant = mutant(
    "raft-snapshot-claims-lastlog",
    Easy,
    [
        "a snapshot claims the whole log, although its machine has applied less",
        "lastIncludedIndex is the last applied one (paper, 7)",
        "writes missing at a server that started from the snapshot",
        "Raft paper, 7",
    ],
);

/// See its text.
pub const SNAPSHOT_INSTALL_REGRESS: Mutant = mutant(
    "raft-snapshot-install-regress",
    Medium,
    [
        "any snapshot that arrives is installed, and the whole log dropped",
        "ignore what is no news, keep what follows the snapshot (paper, 7, Figure 13)",
        "lost writes where messages are doubled or late",
        "camunda #6092; RedisLabs/raft #49; redisraft #60",
    ],
);

/// See its text.
pub const SNAPSHOT_KEEP_CONFLICT: Mutant = mutant(
    "raft-snapshot-keep-conflict",
    Hard,
    [
        "entries behind an installed snapshot stay, although the log conflicts with it; the server acknowledges its log to the end",
        "discard a log that does not hold the snapshot's last entry (paper, 7, Figure 13)",
        "lost writes. Not where only the snapshot is acknowledged: then the leader's next entries cut what stayed before anything counts on it",
        "openraft #559, #561 and #753",
    ],
);

/// See its text.
pub const NO_PREVOTE: Mutant = mutant(
    "raft-no-prevote",
    Decoy,
    [
        "elections begin without the question whether they can be won",
        "pre-vote (dissertation, 9.6)",
        "nothing but more elections",
        "dissertation, 9.6",
    ],
);

/// See its text.
pub const NO_STICKINESS: Mutant = mutant(
    "raft-no-stickiness",
    Decoy,
    [
        "voters answer candidates although they hear from a leader (except with lease reads, which rest on it)",
        "sticky voters (dissertation, 4.2.3)",
        "nothing but more elections",
        "dissertation, 4.2.3",
    ],
);

/// See its text.
pub const NO_CHECKQUORUM: Mutant = mutant(
    "raft-no-checkquorum",
    Decoy,
    [
        "a leader that no quorum answers goes on",
        "check-quorum (dissertation, 6.2)",
        "nothing: it answers no read and commits nothing",
        "dissertation, 6.2",
    ],
);
