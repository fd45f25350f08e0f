//! Multi-Paxos in the simulation.

use nodes::{
    mutants::Mutant,
    protocol::multi_paxos::{MultiPaxos, mutants},
};

use self::invariants::PaxosChecks;
use crate::{
    hunt, hunt_in, keeps_its_promises, run_all, same_seed_same_schedule,
    schedule::{MILLISECOND, Schedule},
    survives_a_crash_at_every_persist_point,
};

mod checks_can_fail;
mod invariants;

#[test]
fn multi_paxos_keeps_its_promises_in_every_schedule() {
    if let Some((count, stats)) = keeps_its_promises::<MultiPaxos, PaxosChecks>() {
        assert!(stats.disks_lost >= count / 10, "only {} disks were lost in {count} schedules", stats.disks_lost);
    }
}

#[test]
fn the_same_seed_is_the_same_schedule() {
    same_seed_same_schedule::<MultiPaxos, PaxosChecks>();
}

#[test]
fn multi_paxos_survives_a_crash_at_every_persist_point() {
    survives_a_crash_at_every_persist_point::<MultiPaxos, PaxosChecks>();
}

/// What a schedule may say of a bug in what is chosen.
const DIVERGES: &[&str] = &["was chosen in", "a quorum accepted", "and elsewhere", "two values in", "nobody chose"];
/// Of a bug in what is applied.
const MISAPPLIED: &[&str] = &["its machine at index", "nobody chose", "a quorum accepted"];
/// Of a node that forgot what it had told others.
const FORGOTTEN: &[&str] = &["after its restart: it"];
/// Of a read.
const MISREAD: &[&str] = &["stale read", "never held"];

/// Leaders that fall soon and stand again, and messages that come late: what an earlier ballot's answer would need to be taken for a
/// later one's.
fn late(seed: u64, mutant: Mutant) -> Schedule {
    Schedule {
        nodes: 3,
        storm: 1500 * MILLISECOND,
        max_append_bytes: 1 << 20,
        loss: 0.0,
        delay_max: 30 * MILLISECOND,
        straggle: 0.15,
        straggle_max: 400 * MILLISECOND,
        sync_max: 60 * MILLISECOND,
        fault_every: 150 * MILLISECOND,
        deposition: 0.9,
        down_max: 5 * MILLISECOND,
        ..Schedule::of(seed, Some(mutant))
    }
}

/// Leaders that are cut off with a late answer under way, quick successors, and many reads.
fn leased(seed: u64, mutant: Mutant) -> Schedule {
    Schedule {
        storm: 6000 * MILLISECOND,
        delay_max: MILLISECOND,
        sync_max: MILLISECOND,
        clients: 4,
        think_max: 5 * MILLISECOND,
        reads: 0.7,
        ..late(seed, mutant)
    }
}

fn hunt_all(bugs: &[(Mutant, &[&str])]) {
    for (mutant, words) in bugs {
        hunt::<MultiPaxos, PaxosChecks>(*mutant, words);
    }
}

#[test]
fn a_forgetful_acceptor_is_found_out() {
    hunt_all(&[
        (mutants::PROMISE_VOLATILE, FORGOTTEN),
        (mutants::ACCEPT_BEFORE_FSYNC, FORGOTTEN),
        (mutants::ACCEPT_NO_BUMP, FORGOTTEN),
        (mutants::LOST_DISK_REJOIN, &["does not know that it may", "was chosen in"]),
        (mutants::COMPACT_FORGET, DIVERGES),
    ]);
}

#[test]
fn an_acceptor_that_breaks_its_promise_is_found_out() {
    hunt_all(&[(mutants::ACCEPT_BELOW_PROMISE, DIVERGES), (mutants::PHASE1_ONE_SLOT, DIVERGES)]);
}

#[test]
fn a_proposer_of_unsafe_values_is_found_out() {
    hunt_all(&[
        (mutants::OWN_VALUE, DIVERGES),
        (mutants::NOOP_OVER_VALUE, DIVERGES),
        (mutants::VBAL_IS_PROMISE, DIVERGES),
        (mutants::MOST_COMMON_VALUE, DIVERGES),
    ]);
}

#[test]
fn a_proposer_of_ballots_that_are_in_use_is_found_out() {
    hunt_all(&[(mutants::BALLOT_NOT_UNIQUE, &["has two leaders"])]);
    hunt_in::<MultiPaxos, PaxosChecks>(mutants::BALLOT_REUSE_RESTART, DIVERGES, late);
}

#[test]
fn a_decision_without_a_quorum_is_found_out() {
    hunt_all(&[
        (mutants::QUORUM_HALF, DIVERGES),
        (mutants::LEARN_FIRST_2B, DIVERGES),
        (mutants::CATCHUP_ACCEPTED, DIVERGES),
    ]);
    hunt_in::<MultiPaxos, PaxosChecks>(mutants::MIXED_2B, DIVERGES, late);
}

#[test]
fn a_replica_that_applies_wrongly_is_found_out() {
    hunt_all(&[(mutants::APPLY_GAPS, MISAPPLIED), (mutants::NO_DEDUP, MISAPPLIED)]);
}

#[test]
fn a_careless_read_is_found_out() {
    hunt_all(&[
        (mutants::LOCAL_READ, MISREAD),
        (mutants::READ_NO_RINSE, MISREAD),
        (mutants::READ_ACCEPTED, MISREAD),
        (mutants::FOLLOWER_LEASE_COMMIT_MAJORITY, MISREAD),
    ]);
    hunt_in::<MultiPaxos, PaxosChecks>(mutants::LEASE_NO_MARGIN, MISREAD, leased);
}

/// What costs liveness at most must not be called wrong.
#[test]
fn a_decoy_keeps_its_promises() {
    let schedule = |seed| Schedule::of(seed, Some(mutants::NO_PING));
    let stats = run_all::<MultiPaxos, PaxosChecks>(1_000, schedule);
    stats.unwrap_or_else(|violation| panic!("{violation}"));
}
