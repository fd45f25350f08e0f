//! Stories of a leader, of who leads in its place, and of quorums of few that know only a part of what both did.
//!
//! ```text
//!   five nodes:   First, Companion │ Next, Witness, one more        who led, with one follower │ who leads in its place
//!   three nodes:  First            │ Next, Witness
//! ```
//!
//! The nodes are split again and again, so that it is known who accepted what, and who makes the next quorum.

use std::time::Duration;

use rand::RngExt;
use rand_pcg::Pcg64;

use super::{Aim, ELECTION_MS, NemesisKind, NodeFaults, ScriptStep, Target, after, millis, now};

/// How long a node that is asked to lead may take to do so.
const HANDED_MS: u64 = 300;

/// Messages that are lost, by kind and receiver.
type Lost = &'static [(&'static str, Target)];

/// Nobody tells the witness that it may lead.
const NO_WITNESS: Lost = &[("pong", Target::Witness), ("vote-reply", Target::Witness)];
/// And the witness does not hear who wants to.
const NO_HEARER: Lost = &[
    ("pong", Target::Witness),
    ("vote-reply", Target::Witness),
    ("prepare", Target::Witness),
    ("request-vote", Target::Witness),
];
/// The companion is not elected.
const NO_COMPANION: Lost = &[("pong", Target::Companion), ("vote-reply", Target::Companion)];
/// Nor does it hear who is, and nobody hears yet what that one wants to have accepted.
const UNHEARD_OF: Lost = &[
    ("pong", Target::Companion),
    ("vote-reply", Target::Companion),
    ("prepare", Target::Companion),
    ("request-vote", Target::Companion),
    ("accept", Target::All),
    ("append", Target::All),
];
/// Whoever leads is not heard by anybody.
const UNHEARD: Lost = &[("accept", Target::All), ("append", Target::All)];
/// And who led first is not elected again.
const UNHEARD_NOT_FIRST: Lost =
    &[("accept", Target::All), ("append", Target::All), ("pong", Target::First), ("vote-reply", Target::First)];

/// The leader is cut off. When another one leads, the others see both, and only those two do not see each other: whom do they serve?
pub(super) fn rivals(rng: &mut Pcg64) -> Vec<ScriptStep> {
    vec![
        now(Aim::Split(&[&[Target::First], &[Target::Others]])),
        now(Aim::AwaitLeader(ELECTION_MS)),
        now(Aim::Split(&[&[Target::First, Target::Others], &[Target::Next, Target::Others]])),
        after(millis(rng, 200..500), Aim::Mend),
    ]
}

/// A leader that was cut off comes back among few. For five nodes.
pub(super) fn comeback(rng: &mut Pcg64) -> (String, Vec<ScriptStep>) {
    let (story, script) = match rng.random_range(0..5) {
        0 | 1 => ("with a restarted follower", with_a_restarted_follower(rng)),
        2 => ("of a pair", pair(rng, false)),
        3 => ("of a pair after failed elections", pair(rng, true)),
        _ => ("to one that missed the election", to_one_that_missed_the_election(rng)),
    };
    (format!("{} {story}", NemesisKind::Comeback), script)
}

/// The follower that the leader kept is killed and started, and catches up with a leader who gets nothing done; then it is asked to lead.
fn with_a_restarted_follower(rng: &mut Pcg64) -> Vec<ScriptStep> {
    vec![
        now(Aim::Split(&[&[Target::First, Target::Companion], &[Target::Others]])),
        after(millis(rng, 60..160), Aim::Kill(Target::Companion)),
        now(Aim::Start(Target::Companion)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, 50..150), Aim::Mend),
        after(millis(rng, 60..150), Aim::HandTo(Target::Companion)),
        now(Aim::AwaitLeader(HANDED_MS)),
        after(millis(rng, 150..300), Aim::Revive),
    ]
}

/// The leader and the follower that it kept come back when the next one has served for a moment, and see only one of those who heard
/// it: what the two have is more common than what replaced it. Sometimes they stand for election in vain before that one hears them, and so have
/// promised more than it has.
fn pair(rng: &mut Pcg64, in_vain: bool) -> Vec<ScriptStep> {
    let mut script = vec![
        now(Aim::Split(&[&[Target::First, Target::Companion], &[Target::Others]])),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, 60..250), Aim::LoseKinds(if in_vain { NO_HEARER } else { NO_WITNESS })),
        now(Aim::Split(&[&[Target::First, Target::Companion, Target::Witness], &[Target::Next, Target::Others]])),
    ];
    if in_vain {
        script.push(after(millis(rng, 1_300..1_700), Aim::LoseKinds(NO_WITNESS)));
    }
    script.extend([now(Aim::AwaitLeader(ELECTION_MS)), after(millis(rng, 100..300), Aim::Mend)]);
    script
}

/// The companion misses the election of the next leader, but accepts what that one says, and then what the first leader, who does not
/// know yet that it was replaced, had said before. Then these two see only one who missed what the next leader said.
fn to_one_that_missed_the_election(rng: &mut Pcg64) -> Vec<ScriptStep> {
    vec![
        now(Aim::Split(&[&[Target::First], &[Target::Others]])),
        now(Aim::LoseKinds(UNHEARD_OF)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        now(Aim::Split(&[&[Target::First], &[Target::Witness], &[Target::Next, Target::Companion, Target::Others]])),
        now(Aim::LoseKinds(NO_COMPANION)),
        after(
            millis(rng, 60..100),
            Aim::Split(&[
                &[Target::First, Target::Companion],
                &[Target::Witness],
                &[Target::Next, Target::Companion, Target::Others],
            ]),
        ),
        after(
            millis(rng, 40..80),
            Aim::Split(&[&[Target::First, Target::Companion, Target::Witness], &[Target::Next, Target::Others]]),
        ),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, 100..250), Aim::Mend),
    ]
}

/// What one node took for decided is overruled by the others, and then that node is asked to lead. For three nodes.
pub(super) fn overruled(rng: &mut Pcg64) -> (String, Vec<ScriptStep>) {
    let (story, script) = match rng.random_bool(0.5) {
        true => ("in an earlier life", in_an_earlier_life(rng)),
        false => ("unheard", unheard(rng)),
    };
    (format!("{} {story}", NemesisKind::Overruled), script)
}

/// A leader of whom one node never hears loses what only the other one has on disk. It starts again, sees that first node only, and leads
/// anew: if in its old ballot, then what it says there now differs from what the other one heard, who leads next without it.
fn in_an_earlier_life(rng: &mut Pcg64) -> Vec<ScriptStep> {
    let slow = NodeFaults { sync_delay_ms: rng.random_range(40..=100), ..NodeFaults::default() };
    vec![
        now(Aim::Split(&[&[Target::First, Target::Companion], &[Target::Others]])),
        after(millis(rng, 60..120), Aim::HandTo(Target::Companion)),
        now(Aim::AwaitLeader(HANDED_MS)),
        now(Aim::Spoil(Target::Next, slow)),
        after(millis(rng, 120..250), Aim::PowerOff(Target::Next)),
        now(Aim::LoseKinds(NO_WITNESS)),
        now(Aim::Split(&[&[Target::First], &[Target::Next, Target::Others]])),
        now(Aim::Start(Target::Next)),
        now(Aim::AwaitLeader(ELECTION_MS + HANDED_MS)),
        // Two syncs, at least, and what phase 1 brought up before.
        after(millis(rng, 250..500), Aim::Split(&[&[Target::First, Target::Others], &[Target::Next]])),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, 150..300), Aim::Mend),
        now(Aim::Revive),
    ]
}

/// Three leaders, one after the other, none of whom the others hear. The third one knows what the first one wanted; then it is cut off,
/// and the other two know what the second one wanted, too.
fn unheard(rng: &mut Pcg64) -> Vec<ScriptStep> {
    vec![
        now(Aim::Split(&[&[Target::First], &[Target::Others]])),
        now(Aim::LoseKinds(UNHEARD)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, 20..60), Aim::LoseKinds(UNHEARD_NOT_FIRST)),
        now(Aim::Split(&[&[Target::First, Target::Witness], &[Target::Next, Target::Others]])),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, 30..80), Aim::LoseKinds(&[])),
        now(Aim::Split(&[&[Target::First, Target::Next], &[Target::Witness]])),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, 100..200), Aim::Mend),
        after(millis(rng, 60..150), Aim::HandTo(Target::Witness)),
        now(Aim::AwaitLeader(HANDED_MS)),
        after(Duration::from_millis(200), Aim::Revive),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use nodes::protocol::{Protocol, multi_paxos::MultiPaxos, raft::Raft};
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn every_story_is_told_and_ends_soon() {
        let mut rng = Pcg64::seed_from_u64(1);
        let mut names = BTreeSet::new();
        for _ in 0..100 {
            for (name, script) in [comeback(&mut rng), overruled(&mut rng)] {
                names.insert(name);
                let length: Duration = script.iter().map(|step| step.after).sum();
                assert!(length < Duration::from_secs(3));
            }
        }
        assert_eq!(names.len(), 4 + 2, "{names:?}");
    }

    #[test]
    fn what_is_lost_is_known_to_some_protocol() {
        let known = [MultiPaxos::MESSAGE_KINDS, Raft::MESSAGE_KINDS].concat();
        for (kind, _) in [NO_WITNESS, NO_HEARER, NO_COMPANION, UNHEARD_OF, UNHEARD, UNHEARD_NOT_FIRST].concat() {
            assert!(known.contains(&kind), "{kind}");
        }
    }
}
