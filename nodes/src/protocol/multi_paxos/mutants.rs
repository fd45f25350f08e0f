//! The mutants of Multi-Paxos. The abbreviations of papers are those of [`super::rules`].

use crate::{
    mutants::{
        Mutant,
        Rating::{self, Decoy, Easy, Hard, Medium},
    },
    protocol::{ProtocolKind, ReadMode},
};

const fn mutant(id: &'static str, rating: Rating, [bug, rule, seen_as, source]: [&'static str; 4]) -> Mutant {
    Mutant { id, protocol: ProtocolKind::MultiPaxos, rating, bug, rule, seen_as, source }
}

/// Every one of them.
pub const ALL: &[Mutant] = &[
    PROMISE_VOLATILE,
    ACCEPT_BEFORE_FSYNC,
    ACCEPT_BELOW_PROMISE,
    ACCEPT_NO_BUMP,
    OWN_VALUE,
    MOST_COMMON_VALUE,
    VBAL_IS_PROMISE,
    BALLOT_NOT_UNIQUE,
    BALLOT_REUSE_RESTART,
    MIXED_2B,
    QUORUM_HALF,
    LEARN_FIRST_2B,
    APPLY_GAPS,
    NOOP_OVER_VALUE,
    PHASE1_ONE_SLOT,
    LOCAL_READ,
    LEASE_NO_MARGIN,
    READ_NO_RINSE,
    READ_ACCEPTED,
    FOLLOWER_LEASE_COMMIT_MAJORITY,
    NO_DEDUP,
    CATCHUP_ACCEPTED,
    COMPACT_FORGET,
    LOST_DISK_REJOIN,
    NO_PING,
];

/// The way of reading in which a mutant's rule is asked: the default one for all that do not touch reads.
#[must_use]
pub fn reads_of(mutant: Mutant) -> ReadMode {
    if [LEASE_NO_MARGIN, FOLLOWER_LEASE_COMMIT_MAJORITY].contains(&mutant) {
        ReadMode::Lease
    } else if [READ_NO_RINSE, READ_ACCEPTED].contains(&mutant) {
        ReadMode::QuorumRead
    } else {
        ReadMode::Quorum
    }
}

/// See its text.
pub const PROMISE_VOLATILE: Mutant = mutant(
    "pax-promise-volatile",
    Hard,
    [
        "an acceptor forgets its promise when it restarts",
        "what an acceptor promised is on stable storage before it answers (PMS, 2.5)",
        "two values for one slot: replicas diverge",
        "PMS, 2.5; PML, 5.1",
    ],
);

/// See its text.
pub const ACCEPT_BEFORE_FSYNC: Mutant = mutant(
    "pax-accept-before-fsync",
    Easy,
    [
        "an acceptor says that it accepted before that is durable, and nothing waits for the sync",
        "what an acceptor accepted is on stable storage before it answers (PMS, 2.5)",
        "lost writes",
        "PMS, 2.5; the same in NATS JetStream: Jepsen, NATS 2.12.1",
    ],
);

/// See its text.
pub const ACCEPT_BELOW_PROMISE: Mutant = mutant(
    "pax-accept-below-promise",
    Medium,
    [
        "an acceptor accepts in ballots below its promise",
        "accept unless a higher ballot is promised (PMS, 2.2, P1a)",
        "lost writes, replicas diverge",
        "PMS, 2.2",
    ],
);

/// See its text.
pub const ACCEPT_NO_BUMP: Mutant = mutant(
    "pax-accept-no-bump",
    Hard,
    [
        "to accept in a ballot above the promise leaves the promise where it was",
        "accepting in a ballot promises it (PMMC, 2.2)",
        "a late value of a lower ballot replaces a chosen one",
        "Brooker, \"The Bug in Paxos Made Simple\" (2021); Apache Cassandra, CASSANDRA-17162 (not a bug there)",
    ],
);

/// See its text.
pub const OWN_VALUE: Mutant = mutant(
    "pax-own-value",
    Easy,
    [
        "a new leader ignores the values that others report, and proposes what it accepted itself, or nothing",
        "propose the value accepted in the highest ballot (PMS, 2.2, P2c)",
        "lost writes",
        "PMS, 2.2",
    ],
);

/// See its text.
pub const MOST_COMMON_VALUE: Mutant = mutant(
    "pax-most-common-value",
    Hard,
    [
        "a new leader proposes the value that most acceptors report, not the one of the highest ballot",
        "propose the value accepted in the highest ballot (PMS, 2.2, P2c)",
        "lost writes; needs five nodes and duels",
        "PMS, 2.2",
    ],
);

/// See its text.
pub const VBAL_IS_PROMISE: Mutant = mutant(
    "pax-vbal-is-promise",
    Hard,
    [
        "one variable for two ballots: a 1b reports the promised ballot as the one in which the value was accepted",
        "the ballot of a value is the one in which it was accepted (PMS, 2.2)",
        "the wrong value is chosen; needs duels",
        "Sutra, \"On the correctness of Egalitarian Paxos\" (2019)",
    ],
);

/// See its text.
pub const BALLOT_NOT_UNIQUE: Mutant = mutant(
    "pax-ballot-not-unique",
    Medium,
    [
        "a ballot is a counter without the node's number, so two proposers may share one",
        "proposers choose from disjoint sets of numbers (PMS, 2.5)",
        "replicas diverge",
        "PMS, 2.5",
    ],
);

/// See its text.
pub const BALLOT_REUSE_RESTART: Mutant = mutant(
    "pax-ballot-reuse-restart",
    Hard,
    [
        "a proposer counts its ballots from 1 again after a restart",
        "a new ballot is above every one that was used (PMS, 2.5)",
        "two values in one ballot: replicas diverge",
        "phxpaxos #145, where it is asked about",
    ],
);

/// See its text.
pub const MIXED_2B: Mutant = mutant(
    "pax-mixed-2b",
    Medium,
    [
        "acceptances of one slot in different ballots are added up, those that a 1b tells of included",
        "a value is chosen by a quorum in one ballot (PMMC, 2.2, commander)",
        "decided without a quorum: lost writes",
        "PMMC, 2.2",
    ],
);

/// See its text.
pub const QUORUM_HALF: Mutant = mutant(
    "pax-quorum-half",
    Easy,
    [
        "half of the nodes, rounded down, count as a quorum",
        "any two quorums meet (PMS, 2.2)",
        "split brain",
        "PMS, 2.2; paxosmmc #11",
    ],
);

/// See its text.
pub const LEARN_FIRST_2B: Mutant = mutant(
    "pax-learn-first-2b",
    Easy,
    [
        "the first acceptance decides",
        "a value is chosen once a quorum accepted it (PMS, 2.2 and 2.3)",
        "lost writes",
        "PMS, 2.3",
    ],
);

/// See its text.
pub const APPLY_GAPS: Mutant = mutant(
    "pax-apply-gaps",
    Easy,
    [
        "a replica applies what is chosen although the slot before it is undecided",
        "apply slot by slot (PMMC, 2.1, replica)",
        "replicas see different orders and lose commands",
        "PMMC, 2.1",
    ],
);

/// See its text.
pub const NOOP_OVER_VALUE: Mutant = mutant(
    "pax-noop-over-value",
    Medium,
    [
        "a new leader takes a slot for a hole unless every acceptor of its quorum reports a value there",
        "a no-op goes only where no value is reported (PMS, 3)",
        "lost writes",
        "PMS, 3",
    ],
);

/// See its text.
pub const PHASE1_ONE_SLOT: Mutant = mutant(
    "pax-phase1-one-slot",
    Medium,
    [
        "a promise binds an acceptor only in the first slot asked about",
        "one phase 1 covers all later slots (PMS, 3)",
        "an old leader's values are accepted in later slots: replicas diverge",
        "PMS, 3",
    ],
);

/// See its text.
pub const LOCAL_READ: Mutant = mutant(
    "pax-local-read",
    Easy,
    [
        "a leader answers reads from its applied state, without a round or a lease",
        "a read needs a proof that no other node leads (PML, 5.2)",
        "stale read",
        "PML, 5.2",
    ],
);

/// See its text.
pub const LEASE_NO_MARGIN: Mutant = mutant(
    "pax-lease-no-margin",
    Medium,
    [
        "the leader's lease is as long as the acceptors', and counted from their answer",
        "the leader's lease is shorter than what the acceptors grant (PML, 5.2)",
        "stale read, with leases",
        "PML, 5.2; sofa-jraft #25",
    ],
);

/// See its text.
pub const READ_NO_RINSE: Mutant = mutant(
    "pax-read-no-rinse",
    Medium,
    [
        "a quorum read is answered before the highest accepted slot is applied",
        "wait until the highest slot seen is executed (PQR, 3)",
        "stale read, with quorum reads",
        "Charapko, Ailijiang, Demirbas, \"Linearizable Quorum Reads in Paxos\" (HotStorage 2019)",
    ],
);

/// See its text.
pub const READ_ACCEPTED: Mutant = mutant(
    "pax-read-accepted",
    Medium,
    [
        "a quorum read takes values that are accepted here for chosen",
        "finish a value's round before showing it (PQR, 3)",
        "a value is read and then not there; or a stale read, with quorum reads",
        "Apache Cassandra, CASSANDRA-12126; ScyllaDB #6299",
    ],
);

/// See its text.
pub const FOLLOWER_LEASE_COMMIT_MAJORITY: Mutant = mutant(
    "pax-follower-lease-commit-majority",
    Medium,
    [
        "followers answer reads while they hear the leader, though the leader commits on a mere majority",
        "who reads under a lease must be asked for every commit (PML, 5.2)",
        "stale read, with leases",
        "Ceph #7736, monitors",
    ],
);

/// See its text.
pub const NO_DEDUP: Mutant = mutant(
    "pax-no-dedup",
    Easy,
    [
        "a command chosen in two slots is applied twice",
        "a replica applies each command once (PMMC, 2.1)",
        "a retried operation takes effect twice",
        "PMMC, 2.1",
    ],
);

/// See its text.
pub const CATCHUP_ACCEPTED: Mutant = mutant(
    "pax-catchup-accepted",
    Medium,
    [
        "a node that lags is sent what is accepted and not chosen, too",
        "learners learn what is chosen (PMS, 2.3)",
        "replicas diverge",
        "PML, 5.1",
    ],
);

/// See its text.
pub const COMPACT_FORGET: Mutant = mutant(
    "pax-compact-forget",
    Medium,
    [
        "an acceptor that dropped what its snapshot covers does not say so in phase 1",
        "phase 1 tells which slots are forgotten because they are chosen (PMMC, 4.2)",
        "chosen slots are filled with no-ops: lost writes",
        "PMMC, 4.2",
    ],
);

/// See its text.
pub const LOST_DISK_REJOIN: Mutant = mutant(
    "pax-lost-disk-rejoin",
    Easy,
    [
        "a node whose disk was wiped votes at once",
        "a node that lost its disk does not vote until a later ballot is settled without it (PML, 5.1)",
        "lost writes, after a wipe",
        "PML, 5.1",
    ],
);

/// See its text.
pub const NO_PING: Mutant = mutant(
    "pax-no-ping",
    Decoy,
    [
        "a node that hears no leader begins phase 1 without asking whether others hear one",
        "none: the round of questions only spares a working leader",
        "leaders change more often than needed",
        "Ongaro, \"Consensus: Bridging Theory and Practice\", 9.6, on pre-votes",
    ],
);
