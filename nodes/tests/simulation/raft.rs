//! Raft in the simulation.

use nodes::protocol::raft::{Raft, mutants};

use self::invariants::{HarmChecks, RaftChecks};
use crate::{
    hunt, hunt_among, keeps_its_promises, run_all, same_seed_same_schedule, schedule::Schedule,
    survives_a_crash_at_every_persist_point,
};

mod checks_can_fail;
mod invariants;

#[test]
fn raft_keeps_its_promises_in_every_schedule() {
    if let Some((count, stats)) = keeps_its_promises::<Raft, RaftChecks>() {
        assert!(stats.truncations >= count / 20, "only {} logs were cut in {count} schedules", stats.truncations);
        let (memberships, joint) = (stats.memberships, stats.joint_memberships);
        assert!(
            memberships >= count && joint >= count / 10,
            "only {memberships} memberships were committed, {joint} joint"
        );
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

/// What a wrong membership does harm to: two leaders in a term, or what was committed is not there, or is not the same.
const HARM: [&str; 4] = ["has two leaders", "the leader of term", "is committed with term", "stale read"];

#[test]
fn half_of_the_voters_for_a_quorum_is_found_out() {
    hunt::<Raft, HarmChecks>(mutants::QUORUM_HALF, &HARM);
}

#[test]
fn a_learner_in_a_quorum_is_found_out() {
    hunt::<Raft, HarmChecks>(mutants::LEARNER_IN_QUORUM, &HARM);
}

#[test]
fn a_change_before_a_commit_of_the_own_term_is_found_out() {
    hunt_among::<Raft, HarmChecks>(Schedule::with_hasty_changes, mutants::MEMBER_NO_TERM_COMMIT, &HARM);
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
    hunt::<Raft, HarmChecks>(mutants::MEMBER_MULTI_STEP, &HARM);
}

#[test]
fn a_membership_in_force_only_once_committed_is_found_out() {
    hunt::<Raft, HarmChecks>(mutants::MEMBER_AT_COMMIT, &HARM);
}

#[test]
fn a_membership_older_than_the_snapshot_is_found_out() {
    hunt::<Raft, HarmChecks>(mutants::SNAPSHOT_STALE_MEMBERSHIP, &HARM);
}
