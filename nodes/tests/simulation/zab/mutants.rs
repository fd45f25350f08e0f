//! Each mutant of Zab breaks a promise that the simulation watches.

use nodes::{
    mutants::Mutant,
    protocol::zab::{Zab, mutants},
};

use super::ZabChecks;

fn hunt(mutant: Mutant, words: &[&str]) {
    crate::hunt::<Zab, ZabChecks>(mutant, words);
}

/// What is committed is in no later leader's history, or something else is committed in its place.
const LOST: &[&str] = &["; the leader of Epoch", "is committed as"];
/// After a crash a server does not know what it told others of.
const FORGOTTEN: &[&str] = &["; the leader of Epoch", "is committed as", "it told others of epochs", "it acknowledged"];
const STALE: &[&str] = &["stale read"];
const TWO_LEADERS: &[&str] = &["has two leaders", "two transactions are named", "it told others of epochs"];

#[test]
fn a_read_at_any_server_is_found_out() {
    hunt(mutants::READ_LOCAL, STALE);
}

#[test]
fn a_sync_without_a_quorum_is_found_out() {
    hunt(mutants::SYNC_NO_QUORUM, STALE);
}

#[test]
fn an_acknowledgement_before_the_disk_is_found_out() {
    hunt(mutants::ACK_BEFORE_FSYNC, FORGOTTEN);
}

#[test]
fn an_acknowledged_new_leader_before_the_disk_is_found_out() {
    hunt(mutants::NEW_LEADER_ACK_BEFORE_SYNC, FORGOTTEN);
}

#[test]
fn an_epoch_before_its_history_is_found_out() {
    hunt(mutants::EPOCH_BEFORE_HISTORY, LOST);
}

#[test]
fn a_forgotten_promise_is_found_out() {
    hunt(mutants::ACCEPTED_EPOCH_VOLATILE, TWO_LEADERS);
}

#[test]
fn an_election_by_number_is_found_out() {
    hunt(mutants::ELECT_BY_ID, LOST);
}

#[test]
fn a_memory_that_does_not_follow_the_log_is_found_out() {
    hunt(mutants::SERVE_UNCOMMITTED_ON_RESTART, LOST);
}

#[test]
fn a_snapshot_that_is_not_stored_is_found_out() {
    hunt(mutants::SNAP_NOT_PERSISTED, LOST);
}

#[test]
fn a_hole_in_a_diff_is_found_out() {
    hunt(mutants::LOG_HOLE, &["two transactions are named", "its machine at index"]);
}

#[test]
fn a_broadcast_without_synchronization_is_found_out() {
    hunt(mutants::SKIP_SYNC_PHASE, LOST);
}

#[test]
fn a_proposal_of_an_old_epoch_is_found_out() {
    hunt(mutants::OLD_EPOCH_PROPOSAL, LOST);
}

#[test]
fn half_a_cluster_is_found_out() {
    hunt(mutants::QUORUM_HALF, LOST);
}

#[test]
fn an_answer_before_the_commit_is_found_out() {
    hunt(mutants::REPLY_AT_ACK, &["answered"]);
}

#[test]
fn a_condition_on_the_committed_state_is_found_out() {
    hunt(mutants::CAS_COMMITTED_STATE, &["answered", "its machine at index"]);
}
