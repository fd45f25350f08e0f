//! Raft in the simulation.

use nodes::protocol::raft::Raft;

use self::invariants::RaftChecks;
use crate::{keeps_its_promises, same_seed_same_schedule, survives_a_crash_at_every_persist_point};

mod checks_can_fail;
mod hunts;
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
