//! The mutants of Raft in the simulation: each that it can expose, it does; none stops its node; decoys break no promise.
//!
//! Two are the storage's, which the simulation replaces: `nodes/tests/wal.rs` has them.

use nodes::{
    mutants::{Mutant, Rating},
    protocol::raft::{Raft, mutants},
};

use super::invariants::{HarmChecks, RaftChecks};
use crate::{
    goes_on_running, hunt_in, is_harmless, run_all,
    schedule::{MILLISECOND, Schedule},
};

fn hunt(mutant: Mutant, words: &[&str]) {
    crate::hunt::<Raft, RaftChecks>(mutant, words);
}

fn hunt_among(mutant: Mutant, words: &[&str], change: impl Fn(Schedule) -> Schedule) {
    hunt_in::<Raft, RaftChecks>(mutant, words, |seed, mutant| change(Schedule::of(seed, Some(mutant))));
}

/// Three nodes, and many clients who ask all the time and wait long: for reads at leaders that are none any more.
fn busy(schedule: Schedule) -> Schedule {
    Schedule {
        nodes: 3,
        storm: 6000 * MILLISECOND,
        clients: 8,
        reads: 0.6,
        think_max: 5 * MILLISECOND,
        patience: 600 * MILLISECOND,
        max_pending: 64,
        delay_max: 30 * MILLISECOND,
        loss: 0.0,
        crash: 0.0,
        transfers: 0.0,
        fault_every: 150 * MILLISECOND,
        ..schedule
    }
}

/// Leases and quick answers, so that another may lead before one is over.
fn leases(schedule: Schedule) -> Schedule {
    Schedule { leases: true, delay_max: MILLISECOND, sync_max: MILLISECOND, ..busy(schedule) }
}

/// Five nodes whose leaders seldom last, so that one leads again while what it learnt in an earlier leadership is about.
fn short_reigns(schedule: Schedule) -> Schedule {
    Schedule {
        nodes: 5,
        spares: 0,
        change_every: u64::MAX,
        storm: 12_000 * MILLISECOND,
        snapshot_every: 1000,
        max_append_bytes: 1,
        max_pending: 64,
        loss: 0.0,
        delay_max: 30 * MILLISECOND,
        sync_max: MILLISECOND,
        crash: 0.0,
        fault_every: 150 * MILLISECOND,
        deposition: 0.9,
        clients: 8,
        think_max: 20 * MILLISECOND,
        reads: 0.1,
        transfers: 0.0,
        ..schedule
    }
}

const STALE: &[&str] = &["stale read"];

#[test]
fn wrong_reads_are_found_out() {
    hunt(mutants::READ_ANY_NODE, STALE);
    hunt(mutants::READ_LOCAL_LEADER, STALE);
    hunt(mutants::READINDEX_NO_TERM_COMMIT, STALE);
    hunt_among(mutants::READINDEX_STALE_ACK, STALE, busy);
    hunt(mutants::READ_BEFORE_APPLY, STALE);
}

#[test]
fn wrong_leases_are_found_out() {
    hunt_among(mutants::LEASE_NO_BOUND, STALE, |schedule| Schedule { leases: true, ..busy(schedule) });
    hunt_among(mutants::LEASE_WALL_CLOCK, STALE, |schedule| Schedule { wall_clock: 0.8, ..leases(schedule) });
    let handed_on = |schedule| Schedule { transfers: 0.1, fault_every: 60 * MILLISECOND, ..leases(schedule) };
    hunt_among(mutants::LEASE_SURVIVES_TRANSFER, STALE, handed_on);
}

#[test]
fn wrong_elections_are_found_out() {
    const BROKEN_PROMISE: &[&str] = &["it voted for", "it told others of term"];
    const TWO_LEADERS: &[&str] = &["has two leaders", "the leader of term"];
    hunt(mutants::VOTEDFOR_VOLATILE, BROKEN_PROMISE);
    hunt(mutants::TERM_VOLATILE, BROKEN_PROMISE);
    hunt(mutants::VOTE_REPLY_BEFORE_FSYNC, BROKEN_PROMISE);
    hunt(mutants::VOTE_TERM_NONATOMIC, BROKEN_PROMISE);
    hunt(mutants::VOTE_NO_LOG_CHECK, TWO_LEADERS);
    hunt(mutants::VOTE_STALE_TERM_REPLY, TWO_LEADERS);
    hunt(mutants::VOTE_COUNT_DUPLICATES, TWO_LEADERS);
}

#[test]
fn wrong_replication_is_found_out() {
    const LOST: &[&str] = &["the leader of term", "is committed with term", "is committed, which"];
    const DIFFERENT: &[&str] = &["two entries at", "is committed with term", "terms fall"];
    hunt(mutants::REPLY_BEFORE_COMMIT, &["answered Done"]);
    hunt(mutants::APPLY_BEFORE_COMMIT, &["is beyond commit"]);
    hunt(mutants::FIG8_COMMIT_OLD_TERM, LOST);
    hunt(mutants::APPEND_NO_PREV_CHECK, DIFFERENT);
    hunt(mutants::TRUNCATE_ALWAYS, &["commit went back", "the leader of term"]);
    hunt(mutants::COMMIT_NO_MIN, DIFFERENT);
    hunt_among(mutants::MATCHINDEX_NOT_RESET, LOST, short_reigns);
    let with_stragglers = |schedule| Schedule {
        delay_max: MILLISECOND,
        straggle: 0.3,
        straggle_max: 1000 * MILLISECOND,
        deposition: 0.5,
        transfers: 0.1,
        ..short_reigns(schedule)
    };
    hunt_among(mutants::ACK_STALE_REPLIES, LOST, with_stragglers);
}

#[test]
fn wrong_durability_is_found_out() {
    const LOST: &[&str] = &["the leader of term", "is committed with term"];
    hunt(mutants::ACK_BEFORE_FSYNC, LOST);
    hunt(mutants::LEADER_SELF_COUNT, LOST);
    hunt(mutants::TRUNCATE_NOT_DURABLE, &["terms fall", "two entries at"]);
    hunt(mutants::APPLIED_INDEX_NONATOMIC, &["its machine at index"]);
}

#[test]
fn wrong_sessions_and_snapshots_are_found_out() {
    const MACHINE: &[&str] = &["its machine at index"];
    hunt(mutants::NO_DEDUP, MACHINE);
    hunt(mutants::DEDUP_LEADER_CACHE, &["its machine at index", "answered"]);
    hunt(mutants::SNAPSHOT_DROPS_SESSIONS, MACHINE);
    hunt(mutants::SNAPSHOT_CLAIMS_LASTLOG, MACHINE);
    hunt(mutants::SNAPSHOT_INSTALL_REGRESS, &["went back"]);
    hunt(mutants::SNAPSHOT_KEEP_CONFLICT, &["terms fall"]);
}

/// What a wrong membership does harm to: two leaders in a term, or what was committed is not there, or is not the same.
const HARM: [&str; 4] = ["has two leaders", "the leader of term", "is committed with term", "stale read"];

#[test]
fn half_of_the_voters_for_a_quorum_is_found_out() {
    crate::hunt::<Raft, HarmChecks>(mutants::QUORUM_HALF, &HARM);
}

#[test]
fn a_learner_in_a_quorum_is_found_out() {
    crate::hunt::<Raft, HarmChecks>(mutants::LEARNER_IN_QUORUM, &HARM);
}

#[test]
fn a_change_before_a_commit_of_the_own_term_is_found_out() {
    let hasty = |seed, mutant| Schedule::with_hasty_changes(seed, Some(mutant));
    hunt_in::<Raft, HarmChecks>(mutants::MEMBER_NO_TERM_COMMIT, &HARM, hasty);
}

/// Where that bug is found, the correct build keeps its promises.
#[test]
fn hasty_changes_do_no_harm() {
    let outcome = run_all::<Raft, RaftChecks>(1_000, |seed| Schedule::with_hasty_changes(seed, None));
    let stats = outcome.unwrap_or_else(|violation| panic!("{violation}"));
    assert!(stats.memberships > 1_000, "only {} memberships were committed", stats.memberships);
}

#[test]
fn several_voters_in_one_step_are_found_out() {
    crate::hunt::<Raft, HarmChecks>(mutants::MEMBER_MULTI_STEP, &HARM);
}

#[test]
fn a_membership_in_force_only_once_committed_is_found_out() {
    crate::hunt::<Raft, HarmChecks>(mutants::MEMBER_AT_COMMIT, &HARM);
}

#[test]
fn a_membership_older_than_the_snapshot_is_found_out() {
    crate::hunt::<Raft, HarmChecks>(mutants::SNAPSHOT_STALE_MEMBERSHIP, &HARM);
}

#[test]
fn decoys_break_no_promise() {
    for decoy in mutants::ALL.iter().filter(|mutant| mutant.rating == Rating::Decoy) {
        is_harmless::<Raft, RaftChecks>(*decoy);
    }
}

#[test]
fn mutants_do_not_stop_their_nodes() {
    for mutant in mutants::ALL.iter().filter(|mutant| mutant.rating != Rating::Decoy) {
        goes_on_running::<Raft, RaftChecks>(*mutant);
    }
}
