//! The mutants of quorums and membership.

use super::mutant;
use crate::mutants::{
    Mutant,
    Rating::{Easy, Hard, Medium},
};

/// See its text.
pub const QUORUM_HALF: Mutant = mutant(
    "raft-quorum-half",
    Easy,
    [
        "half of the voters are enough, rounded down, but at least one",
        "more than half of them (paper, 5.2)",
        "split brain: lost writes, stale reads",
        "paxosmmc #11",
    ],
);

/// See its text.
pub const LEARNER_IN_QUORUM: Mutant = mutant(
    "raft-learner-in-quorum",
    Medium,
    [
        "what a learner acknowledges counts towards the majority of the voters",
        "learners never count (dissertation, 4.2.1)",
        "lost writes",
        "RedisLabs/raft #13",
    ],
);

/// See its text.
pub const MEMBER_NO_TERM_COMMIT: Mutant = mutant(
    "raft-member-no-term-commit",
    Hard,
    [
        "a new leader changes the membership before an entry of its own term is committed",
        "only after that (dissertation, 4.1, with Ongaro's correction of 2015)",
        "majorities that do not meet: lost writes",
        "Ongaro, raft-dev, July 2015; copycat #23; braft #182",
    ],
);

/// See its text.
pub const MEMBER_MULTI_STEP: Mutant = mutant(
    "raft-member-multi-step",
    Medium,
    [
        "several voters come and go in one step, without a joint configuration",
        "joint consensus (paper, 6)",
        "split brain: lost writes",
        "Raft paper, Figure 10",
    ],
);

/// See its text.
pub const MEMBER_AT_COMMIT: Mutant = mutant(
    "raft-member-at-commit",
    Hard,
    [
        "a membership is in force only once it is committed",
        "the latest one in the log is in force, committed or not (dissertation, 4.1)",
        "split brain: lost writes",
        "etcd #5004",
    ],
);

/// See its text.
pub const SNAPSHOT_STALE_MEMBERSHIP: Mutant = mutant(
    "raft-snapshot-stale-membership",
    Hard,
    [
        "the membership known before a snapshot is installed stays in force after it",
        "the snapshot's membership takes its place (paper, 7)",
        "majorities that do not meet: lost writes",
        "openraft #1808",
    ],
);
