//! Stories of power, disks and clocks.

use std::time::Duration;

use rand::RngExt;
use rand_pcg::Pcg64;

use super::{
    super::{
        NemesisKind,
        fault::{Aim, NodeFaults, ScriptStep, Shape, Target},
    },
    ELECTION_MS, FEW_MS, after, aimed, choose, millis, now, resync,
};

/// A slow disk makes sure that something is unsynced when the power fails.
pub(super) fn torn(rng: &mut Pcg64, down: Duration) -> (String, Vec<ScriptStep>) {
    let target = choose(rng, &[Target::All, Target::Majority, Target::All]);
    let faults = NodeFaults { torn: true, sync_delay_ms: rng.random_range(5..=40), ..NodeFaults::default() };
    let lead = millis(rng, 100..400);
    let mut script = vec![now(Aim::Spoil(target, faults)), after(lead, Aim::PowerOff(Target::Struck))];
    script.extend(power_returns(rng, target, down));
    (aimed(NemesisKind::Torn, target), script)
}

/// All start again; often the one that led is cut off for a while, so that the others have nothing but what they promised to keep.
pub(super) fn power_returns(rng: &mut Pcg64, target: Target, down: Duration) -> Vec<ScriptStep> {
    if target != Target::All || rng.random_bool(0.4) {
        return vec![after(down, Aim::Revive)];
    }
    vec![
        now(Aim::CutOff(Target::First)),
        after(down, Aim::Revive),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, FEW_MS), Aim::Mend),
    ]
}

/// A correct node ends at its next sync. One that goes on is ended later, so that what it holds in memory alone is lost.
pub(super) fn disk_error(rng: &mut Pcg64, down: Duration) -> Vec<ScriptStep> {
    if rng.random_bool(0.6) {
        return resync::forgotten_by_the_disk(rng);
    }
    let target = choose(rng, &[Target::Leader, Target::Follower, Target::Follower]);
    let broken = NodeFaults { sync_error: true, ..NodeFaults::default() };
    let lead = millis(rng, 300..1_500);
    vec![now(Aim::Spoil(target, broken)), after(lead, Aim::Kill(Target::Struck)), after(down, Aim::Revive)]
}

/// One node at a time, and time for it to be taken back: more lost disks at once than the cluster tolerates would lose data rightly.
///
/// Mostly it is a follower that the leader kept for itself, and the leader is then cut off: what the two of them alone had, the
/// others do not hear of from the one that forgot it.
pub(super) fn wipe(rng: &mut Pcg64, down: Duration) -> Vec<ScriptStep> {
    let taken_back = after(Duration::from_millis(3_000), Aim::Revive);
    if rng.random_bool(0.3) {
        let target = choose(rng, &[Target::Leader, Target::Follower, Target::Follower]);
        return vec![now(Aim::Wipe(target)), after(down, Aim::Revive), taken_back];
    }
    vec![
        now(Aim::Partition(Shape::OneFollower)),
        // The one that was kept, as long as the leader is the same.
        after(millis(rng, FEW_MS), Aim::Wipe(Target::Follower)),
        now(Aim::Partition(Shape::Leader)),
        now(Aim::Start(Target::Struck)),
        after(Duration::from_millis(ELECTION_MS), Aim::Mend),
        now(Aim::Revive),
        taken_back,
    ]
}

/// The leader's clocks, mostly, and often a cut in the middle: does it believe in a lease that others think is over?
pub(super) fn clocks(rng: &mut Pcg64, hold: Duration, rate: bool) -> Vec<ScriptStep> {
    let clock_percent = if rate { choose(rng, &[50, 50, 60, 75, 140, 200]) } else { 100 };
    let jump = !rate || rng.random_bool(0.5);
    let wall_clock_offset_ms = if jump { choose(rng, &[-2_000, -1_000, -500, 500, 1_000]) } else { 0 };
    let wrong = NodeFaults { clock_percent, wall_clock_offset_ms, ..NodeFaults::default() };
    let target = choose(rng, &[Target::Leader, Target::Leader, Target::Leader, Target::Follower]);
    let mut script = vec![now(Aim::Spoil(target, wrong))];
    if rng.random_bool(0.7) {
        let lead = millis(rng, 50..500);
        script.extend([after(lead, Aim::Partition(Shape::Leader)), after(hold, Aim::Mend), now(Aim::Revive)]);
    } else {
        script.push(after(hold, Aim::Revive));
    }
    script
}

/// The leader's wall clock is set back when it has just been cut off: is what it was told last still new to it?
pub(super) fn set_back(rng: &mut Pcg64, hold: Duration) -> Vec<ScriptStep> {
    let back = NodeFaults { wall_clock_offset_ms: choose(rng, &[-2_000, -1_000, -500]), ..NodeFaults::default() };
    vec![
        now(Aim::Partition(Shape::Leader)),
        after(millis(rng, 20..150), Aim::Spoil(Target::First, back)),
        after(hold, Aim::Mend),
        now(Aim::Revive),
    ]
}
