//! Zab in the simulation. Its messages are lost, doubled and reordered like all others: no rule of this implementation rests on
//! channels that keep the order.

use nodes::protocol::zab::Zab;

use self::invariants::ZabChecks;
use crate::{keeps_its_promises, same_seed_same_schedule, survives_a_crash_at_every_persist_point};

mod checks_can_fail;
mod invariants;
mod mutants;

#[test]
fn zab_keeps_its_promises_in_every_schedule() {
    if let Some((count, stats)) = keeps_its_promises::<Zab, ZabChecks>() {
        assert!(stats.truncations >= count / 20, "only {} histories were cut in {count} schedules", stats.truncations);
    }
}

#[test]
fn the_same_seed_is_the_same_schedule() {
    same_seed_same_schedule::<Zab, ZabChecks>();
}

#[test]
fn zab_survives_a_crash_at_every_persist_point() {
    survives_a_crash_at_every_persist_point::<Zab, ZabChecks>();
}
