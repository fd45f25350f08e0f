//! Raft in the simulation.

use nodes::protocol::raft::{Raft, mutants};

use self::invariants::RaftChecks;
use crate::{hunt, keeps_its_promises, same_seed_same_schedule, survives_a_crash_at_every_persist_point};

mod checks_can_fail;
mod invariants;

#[test]
fn raft_keeps_its_promises_in_every_schedule() {
    if let Some((count, stats)) = keeps_its_promises::<Raft, RaftChecks>() {
        assert!(stats.truncations >= count / 20, "only {} logs were cut in {count} schedules", stats.truncations);
    }
}

#[test]
fn the_same_seed_is_the_same_schedule() {
    same_seed_same_schedule::<Raft, RaftChecks>();
}

#[test]
fn raft_survives_a_crash_at_every_persist_point() {
    survives_a_crash_at_every_persist_point::<Raft, RaftChecks>();
}

#[test]
fn a_read_at_any_node_is_found_out() {
    hunt::<Raft, RaftChecks>(mutants::READ_ANY_NODE, &["stale read"]);
}

#[test]
fn a_read_without_proof_of_leadership_is_found_out() {
    hunt::<Raft, RaftChecks>(mutants::READ_LOCAL_LEADER, &["stale read"]);
}

#[test]
fn a_vote_without_a_look_at_the_log_is_found_out() {
    hunt::<Raft, RaftChecks>(mutants::VOTE_NO_LOG_CHECK, &["the leader of term"]);
}

#[test]
fn an_acknowledgement_before_the_sync_is_found_out() {
    hunt::<Raft, RaftChecks>(mutants::ACK_BEFORE_FSYNC, &["the leader of term", "is committed with term"]);
}
