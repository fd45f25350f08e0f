//! Stories of entries that came to nothing, and of entries that came twice: who holds which of them, at which moment.
//!
//! ```text
//!   first leader    1 … 9 │ 10 … 46   its tail, of its own term: on it alone, or on one follower, too
//!   next leader     1 … 9 │ 10 … 20   short, and of a later term
//!                                └──> the first one's log is cut; does anything still count, or come back, of 21 … 46?
//! ```
//!
//! All of them rest on a tail that is longer than what the next leader writes in its first moments: so many clients that each may
//! wait, and few operations a second.

use std::{ops::Range, time::Duration};

use rand::RngExt;
use rand_pcg::Pcg64;

use super::{
    super::fault::{Aim, Late, ScriptStep, Shape, Target},
    ELECTION_MS, after, millis, now,
};

/// How long the next leader may write, milliseconds, before what it has replaced is more than a tail.
const SHORT_MS: Range<u64> = 80..200;
/// How long what came of it all is left to be seen, milliseconds.
const LOOK_MS: Range<u64> = 150..300;

/// Who leads gathers, with one follower, entries that come to nothing, as the others, whom it still hears, elect another leader; who is
/// asked to hand back at once. In its second leadership it is heard by another follower only. What it knew in the first one of the
/// other's log, or hears of it late, is no longer so, and does not make a majority.
pub(super) fn lead_again(rng: &mut Pcg64) -> Vec<ScriptStep> {
    let mut script = Vec::new();
    if rng.random_bool(0.5) {
        // They come when it leads again.
        let late = rng.random_range(140..=200);
        script.push(now(Aim::Late(Late::AcknowledgementsOfOne, [late, late])));
    }
    script.extend([
        now(Aim::Partition(Shape::PairMute)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        now(Aim::Mend),
        now(Aim::HandBack),
        now(Aim::AwaitLeader(ELECTION_MS / 2)),
        now(Aim::Partition(Shape::OtherPairMute)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, LOOK_MS), Aim::Mend),
    ]);
    script
}

/// The leader is heard by nobody and gathers a tail. The next one has it replace the beginning of that, and nobody else hears of it;
/// then both are killed, and the first one starts again: with three nodes it alone knows what both had. Is its tail really gone, or does
/// it take others, who lack more, for newer?
pub(super) fn returns(rng: &mut Pcg64) -> Vec<ScriptStep> {
    vec![
        now(Aim::Partition(Shape::LeaderMute)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        now(Aim::Mend),
        now(Aim::Partition(Shape::FirstOnly)),
        after(millis(rng, SHORT_MS), Aim::Kill(Target::First)),
        now(Aim::Kill(Target::Leader)),
        now(Aim::Start(Target::First)),
        now(Aim::Mend),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, LOOK_MS), Aim::Revive),
    ]
}

/// The leader is heard by nobody and gathers a tail. When it hears of the others again, they have moved on, but not beyond that tail: so
/// far that it needs a snapshot, where nodes often take one. It is then the only one that hears of what the next leader writes, until
/// that one is killed.
pub(super) fn covered(rng: &mut Pcg64) -> Vec<ScriptStep> {
    vec![
        now(Aim::LoseEntries(100, Target::All)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        now(Aim::LoseEntries(100, Target::First)),
        after(millis(rng, SHORT_MS) + Duration::from_millis(50), Aim::Partition(Shape::FirstOnly)),
        // Some entries that nobody else has yet.
        after(millis(rng, SHORT_MS), Aim::LoseEntries(0, Target::First)),
        after(millis(rng, LOOK_MS), Aim::Kill(Target::Leader)),
        now(Aim::Mend),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, LOOK_MS), Aim::Revive),
    ]
}

/// The leader keeps one follower, to whom all that it is told comes again later; often it first needs a snapshot. Then the leader is
/// killed: with three nodes, what it had acknowledged is now on that follower only.
pub(super) fn echoes(rng: &mut Pcg64) -> Vec<ScriptStep> {
    let mut script = Vec::new();
    if rng.random_bool(0.6) {
        script.extend([now(Aim::CutOff(Target::Companion)), after(millis(rng, 300..700), Aim::Mend)]);
    }
    script.extend([
        now(Aim::Twice([30, 150], Target::Companion)),
        now(Aim::Partition(Shape::FirstPair)),
        after(millis(rng, 500..900), Aim::Kill(Target::First)),
        now(Aim::Mend),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, LOOK_MS), Aim::Revive),
    ]);
    script
}

/// The Raft paper's Figure 8. (a) The leader and one follower have a tail; (b) another one is elected, whose entries reach nobody, and
/// is killed; (c) one of the first two is elected and copies its tail to the others, one entry after the other, but is cut off before
/// any of its own term arrives; (d) the one that was killed is back, and newer than all those whom it sees.
pub(super) fn figure_eight(rng: &mut Pcg64) -> Vec<ScriptStep> {
    vec![
        now(Aim::Partition(Shape::FirstPair)),
        now(Aim::LoseEntries(100, Target::Remaining)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        // Its first entry gets to its own disk.
        after(Duration::from_millis(20), Aim::Kill(Target::Leader)),
        now(Aim::Mend),
        now(Aim::Late(Late::Entries, [5, 5])),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, 100..250), Aim::Partition(Shape::FirstPair)),
        now(Aim::Start(Target::Struck)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, LOOK_MS), Aim::Mend),
        now(Aim::Revive),
    ]
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// Where the story turns on who leads, it waits for that one.
    #[test]
    fn whoever_is_hit_next_was_waited_for() {
        let mut rng = Pcg64::seed_from_u64(5);
        for story in [lead_again, returns, covered, figure_eight] {
            for _ in 0..20 {
                let script = story(&mut rng);
                let waits = script.iter().filter(|step| matches!(step.aim, Aim::AwaitLeader(_))).count();
                assert!(waits >= 2, "{script:?}");
                let length: Duration = script.iter().map(|step| step.after).sum();
                assert!(length < Duration::from_secs(1), "short, so that there are many: {length:?}");
            }
        }
    }

    #[test]
    fn echoes_are_heard_with_and_without_a_snapshot() {
        let mut rng = Pcg64::seed_from_u64(6);
        let lags = (0..40).filter(|_| matches!(echoes(&mut rng)[0].aim, Aim::CutOff(_))).count();
        assert!((10..35).contains(&lags), "{lags}");
    }
}
