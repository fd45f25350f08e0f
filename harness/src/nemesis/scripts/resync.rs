//! Stories of nodes that are brought up to date: by a leader that needs one of them at once, by a new leader that has to bring others
//! to its own history first, and of disks that did not keep what they were given.
//!
//! ```text
//!   rejoin   a leader that lacks a quorum ── a node comes back ──> what it says counts at once: is it true after a restart?
//!   resync   a new leader ── its history ──> others: what if it does not arrive, or half of it stays?
//! ```

use std::{ops::Range, time::Duration};

use rand::RngExt;
use rand_pcg::Pcg64;

use super::{ELECTION_MS, FEW_MS, after, millis, now};
use crate::nemesis::fault::{Aim, NodeFaults, ScriptStep, Shape, Target};

/// An election that takes long: after a disk that is slow, or a leader that only falls silent.
const SLOW_ELECTION_MS: u64 = 2_000;
/// Long enough that a follower no longer follows.
const AWAY_MS: Range<u64> = 650..900;
/// Longer than any story: what is held so long does not arrive.
const HELD_MS: u64 = 6_000;

/// A node comes back to a leader.
pub(super) fn rejoin(rng: &mut Pcg64) -> (&'static str, Vec<ScriptStep>) {
    match rng.random_range(0..4) {
        0 => ("rejoin with a slow disk", with_a_slow_disk(rng)),
        1 => ("rejoin and lead", and_leads(rng)),
        2 => ("rejoin by snapshot", by_snapshot(rng)),
        _ => ("rejoin with a tail", with_a_tail(rng)),
    }
}

/// A new leader brings the others to its history.
pub(super) fn resync(rng: &mut Pcg64) -> (&'static str, Vec<ScriptStep>) {
    match rng.random_bool(0.5) {
        true => ("resync half written", half_written(rng)),
        false => ("resync too late", too_late(rng)),
    }
}

fn slow(rng: &mut Pcg64, shortest_ms: u64, longest_ms: u64) -> NodeFaults {
    NodeFaults { sync_delay_ms: rng.random_range(shortest_ms..=longest_ms), ..NodeFaults::default() }
}

/// A follower is away for so long, and comes back when the leader has just lost all the others: it misses what is settled, and then
/// what is not.
fn needed_at_once(away: Duration) -> [ScriptStep; 3] {
    [now(Aim::CutOff(Target::Companion)), after(away, Aim::Mend), now(Aim::Partition(Shape::FirstPair))]
}

/// What a follower says about what it was sent counts at once, as the leader waits for it. It is killed before its slow disk can have
/// all that, the leader goes down, too, and those two meet that have it only if the first one waited.
fn with_a_slow_disk(rng: &mut Pcg64) -> Vec<ScriptStep> {
    let mut script = vec![now(Aim::Spoil(Target::Companion, slow(rng, 100, 180)))];
    script.extend(needed_at_once(millis(rng, AWAY_MS)));
    script.extend([
        now(Aim::AwaitWord(ELECTION_MS)),
        after(millis(rng, 20..100), Aim::Kill(Target::Companion)),
        now(Aim::Kill(Target::First)),
        now(Aim::Mend),
        now(Aim::CutOff(Target::First)),
        now(Aim::Revive),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, FEW_MS), Aim::Mend),
    ]);
    script
}

/// A follower that was brought up to date, also with what was not settled yet, is the one that must bring the third node up to date:
/// with all of that?
fn and_leads(rng: &mut Pcg64) -> Vec<ScriptStep> {
    let mut script = needed_at_once(millis(rng, AWAY_MS)).to_vec();
    script.extend([
        after(millis(rng, 200..450), Aim::Kill(Target::First)),
        now(Aim::Mend),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, FEW_MS), Aim::Revive),
    ]);
    script
}

/// A follower that was away for long, and was brought up to date, goes down, as does the leader, and is back without it. Had it stored
/// what it was sent?
fn by_snapshot(rng: &mut Pcg64) -> Vec<ScriptStep> {
    let mut script = needed_at_once(millis(rng, 1_000..1_700)).to_vec();
    script.extend([
        after(millis(rng, 200..500), Aim::Kill(Target::First)),
        now(Aim::Kill(Target::Companion)),
        now(Aim::Mend),
        now(Aim::Start(Target::Companion)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, FEW_MS), Aim::Revive),
    ]);
    script
}

/// The leader is cut off, and gathers what comes to nothing; it is started anew, and follows the next one. What of that tail does it
/// still show?
fn with_a_tail(rng: &mut Pcg64) -> Vec<ScriptStep> {
    vec![
        now(Aim::Partition(Shape::Leader)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        now(Aim::Kill(Target::First)),
        now(Aim::Start(Target::First)),
        after(millis(rng, 50..200), Aim::Mend),
        after(Duration::from_millis(500), Aim::Revive),
    ]
}

/// A follower that has missed much is brought up to date by a new leader when the power fails there: a beginning of what it was to
/// write survives. Then the new leader is gone, and that follower meets the one that led before: who of them knows more?
fn half_written(rng: &mut Pcg64) -> Vec<ScriptStep> {
    let slow = slow(rng, 100, 160);
    vec![
        now(Aim::CutOff(Target::Companion)),
        now(Aim::Spoil(Target::Companion, slow)),
        after(millis(rng, 300..800), Aim::Kill(Target::First)),
        now(Aim::Mend),
        now(Aim::AwaitWord(SLOW_ELECTION_MS)),
        after(millis(rng, 15..80), Aim::PowerOff(Target::Companion)),
        now(Aim::CutOff(Target::Bystander)),
        now(Aim::Revive),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, FEW_MS), Aim::Mend),
    ]
}

/// All are apart for so long that nobody leads, and the one that led has a tail of its own; so it leads again when it meets another one,
/// but what it sends of that does not arrive. When it leads, or could have for long, it is cut off, and the others have to do without. Did it take that tail for
/// more than it was?
fn too_late(rng: &mut Pcg64) -> Vec<ScriptStep> {
    vec![
        now(Aim::CutOff(Target::First)),
        now(Aim::CutOff(Target::Companion)),
        after(millis(rng, 750..950), Aim::Mend),
        now(Aim::Partition(Shape::FirstPair)),
        now(Aim::HoldKind("diff", HELD_MS, Target::First)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        now(Aim::Mend),
        now(Aim::CutOff(Target::First)),
        now(Aim::AwaitLeader(SLOW_ELECTION_MS)),
        after(millis(rng, FEW_MS), Aim::Mend),
        // It has to come back, and to be asked.
        after(Duration::from_millis(700), Aim::Mend),
    ]
}

/// A follower whose disk takes nothing any more is the only one that the leader has. If it goes on all the same, it has forgotten when
/// it is back, and the leader is cut off.
pub(super) fn forgotten_by_the_disk(rng: &mut Pcg64) -> Vec<ScriptStep> {
    let broken = NodeFaults { sync_error: true, ..NodeFaults::default() };
    vec![
        now(Aim::CutOff(Target::Bystander)),
        now(Aim::Spoil(Target::Companion, broken)),
        after(millis(rng, 200..500), Aim::Kill(Target::Companion)),
        now(Aim::Mend),
        now(Aim::CutOff(Target::First)),
        now(Aim::Revive),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, FEW_MS), Aim::Mend),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::*;

    #[test]
    fn every_story_is_told() {
        let mut rng = Pcg64::seed_from_u64(1);
        let names: BTreeSet<_> = (0..100).flat_map(|_| [rejoin(&mut rng).0, resync(&mut rng).0]).collect();
        assert_eq!(names.len(), 6);
    }

    /// Whoever is asked to remember is killed, and back before the leader is heard again.
    #[test]
    fn whoever_is_asked_to_remember_is_back_before_the_leader() {
        let mut rng = Pcg64::seed_from_u64(2);
        for script in [with_a_slow_disk(&mut rng), by_snapshot(&mut rng)] {
            let place = |aim: Aim| script.iter().rposition(|step| step.aim == aim);
            let killed = place(Aim::Kill(Target::Companion)).expect("a part of the story");
            let started = place(Aim::Start(Target::Companion)).or(place(Aim::Revive)).expect("it is started");
            let back = place(Aim::Revive).max(place(Aim::Mend)).expect("the leader is back");
            assert!(killed < started && started < back);
            assert_eq!(place(Aim::Start(Target::First)), None);
        }
    }
}
