//! Multi-Paxos in the simulation.

use nodes::protocol::multi_paxos::MultiPaxos;

use self::invariants::PaxosChecks;
use crate::{keeps_its_promises, same_seed_same_schedule, survives_a_crash_at_every_persist_point};

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
