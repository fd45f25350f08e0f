//! Stories of words: votes, promises, epochs, leases. One word must not be given twice, nor count for what it was not given for.
//!
//! ```text
//!   candidate A <──X──> candidate B        both see only the voter between them, and ask it in one term
//!          \              /
//!           \            /                 it gives its word to one of them, is killed, started, and asked by the other
//!            v          v
//!            voter between
//! ```

use std::{ops::Range, time::Duration};

use rand::RngExt;
use rand_pcg::Pcg64;

use super::{
    super::fault::{Aim, Late, NodeFaults, Poll, ScriptStep, Shape, Target},
    ELECTION_MS, after, millis, now,
};

/// How late questions for votes are, in hundredths of an election timeout. Two candidates that stand within this time of each other stand
/// in one term, for each was told before that it could win; and there is time left for the one who is refused to ask again.
const QUESTIONS: u64 = 50;
/// The same where the first candidate is to stand again, and the voter is to be asked by the second one before it is asked by the first.
const SLOWER_QUESTIONS: u64 = 75;
/// How late words are, so that they find their candidate standing again, after one or two election timeouts, and not before the other
/// one has got its word.
const WORDS: u64 = 275;
/// How long an election with such delays may take, milliseconds.
const SLOW_ELECTION_MS: u64 = 2_500;
/// How long the voter in between may then hear both sides: two leaders, if there are any, must each get something done.
const BOTH_MS: Range<u64> = 250..500;
/// The time between a kill and a start, so that others notice.
const DOWN: Duration = Duration::from_millis(30);

/// Nodes that see each other only through one, which votes and does not stand.
fn apart(bridge: Shape, poll: Poll) -> [ScriptStep; 4] {
    [
        now(Aim::Poll(poll)),
        now(Aim::Partition(bridge)),
        now(Aim::Kill(Target::First)),
        after(DOWN, Aim::Start(Target::First)),
    ]
}

/// The leader has voted for itself; its companion maybe for the one who asks it now, but it may lack something that the others have.
fn voter_between(rng: &mut Pcg64) -> (Shape, Target) {
    match rng.random_bool(0.5) {
        true => (Shape::FirstBridge, Target::First),
        false => (Shape::CompanionBridge, Target::Companion),
    }
}

/// Two candidates ask one voter in the same term; it is killed when it has given its word to the first, who then is cut off until the
/// second one has been answered, too. Does the voter remember? Sometimes its disk is so slow that it can only if it waited.
pub(super) fn two_candidates(rng: &mut Pcg64) -> Vec<ScriptStep> {
    let (bridge, between) = voter_between(rng);
    let poll = Poll { questions: QUESTIONS, silent: between, unheard: None, words: 0, words_to: Target::Chosen };
    let mut script: Vec<_> = apart(bridge, poll).into();
    if rng.random_bool(0.6) {
        let slow = NodeFaults { sync_delay_ms: rng.random_range(30..=80), ..NodeFaults::default() };
        script.push(now(Aim::Spoil(between, slow)));
    }
    script.extend([
        now(Aim::AwaitWord(SLOW_ELECTION_MS)),
        now(Aim::Kill(Target::Caught)),
        now(Aim::CutOff(Target::Chosen)),
        now(Aim::Hurry),
        now(Aim::Start(Target::Caught)),
        now(Aim::AwaitWord(ELECTION_MS / 2)),
        now(Aim::Mend),
        now(Aim::Partition(bridge)),
        after(millis(rng, BOTH_MS), Aim::Mend),
        now(Aim::Revive),
    ]);
    script
}

/// Two nodes are cut off, and a candidate among them is answered so late that it asks more than once; then the cut ends.
pub(super) fn asked_twice(rng: &mut Pcg64) -> Vec<ScriptStep> {
    vec![
        now(Aim::LateKind("vote-reply", 55)),
        now(Aim::Partition(Shape::TwoFounders)),
        after(millis(rng, 900..1_400), Aim::Mend),
    ]
}

/// Two candidates share the voter between them, and what it tells the first one comes when this one stands again, in a later term, in
/// which the voter votes for the other, the only one that it hears.
pub(super) fn late_votes(rng: &mut Pcg64) -> Vec<ScriptStep> {
    let (bridge, between) = voter_between(rng);
    let late =
        Poll { questions: SLOWER_QUESTIONS, silent: between, unheard: None, words: WORDS, words_to: Target::All };
    let mut script: Vec<_> = apart(bridge, late).into();
    script.extend([
        now(Aim::AwaitWord(SLOW_ELECTION_MS)),
        now(Aim::Poll(Poll { unheard: Some(Target::Chosen), words_to: Target::Chosen, ..late })),
        after(Duration::from_millis(1_600), Aim::Mend),
        now(Aim::Revive),
    ]);
    script
}

/// All start anew. A voter gives its word to one candidate, who is then cut off, and is killed. It works with the third node for a while;
/// then it is killed once more, and comes back to the one that had its word first, and that may still wait for it.
pub(super) fn taken_back(rng: &mut Pcg64) -> Vec<ScriptStep> {
    vec![
        now(Aim::CutOff(Target::First)),
        // What follows a word, where anything does, is not to arrive before the kill.
        now(Aim::LateKind("new-leader", 30)),
        now(Aim::Kill(Target::All)),
        now(Aim::Start(Target::All)),
        now(Aim::AwaitWord(ELECTION_MS)),
        now(Aim::Kill(Target::Caught)),
        now(Aim::Mend),
        now(Aim::CutOff(Target::Chosen)),
        now(Aim::Start(Target::Caught)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, 80..250), Aim::Kill(Target::Caught)),
        now(Aim::Mend),
        now(Aim::CutOff(Target::First)),
        now(Aim::Start(Target::Caught)),
        after(millis(rng, 350..600), Aim::Mend),
        now(Aim::Revive),
    ]
}

/// Leaders are asked to hand over, one after the other, and hear a part of an election timeout late what came of it: so late that each
/// goes on for a while beside the next one, not so late that a lease ends for want of answers.
pub(super) fn handed_on(rng: &mut Pcg64) -> Vec<ScriptStep> {
    let mut script = Vec::new();
    for _ in 0..3 {
        let late = rng.random_range(20..=60);
        script.extend([
            now(Aim::Late(Late::ToLeader, [late, late])),
            after(millis(rng, 200..400), Aim::HandOver),
            after(millis(rng, 300..600), Aim::Mend),
        ]);
    }
    script
}

/// An election is provoked, and whoever gives its word is killed and started again at once: does it remember? Sometimes with disks
/// so slow that its word can only be remembered if it waited; sometimes with two halves that see only the node between them, so
/// that two candidates ask for the same word.
pub(super) fn voter_bounce(rng: &mut Pcg64) -> Vec<ScriptStep> {
    if rng.random_bool(0.3) {
        return bounce_to_the_old_leader(rng);
    }
    let mut script = Vec::new();
    if rng.random_bool(0.6) {
        let slow = NodeFaults { sync_delay_ms: rng.random_range(20..=80), ..NodeFaults::default() };
        script.push(now(Aim::Spoil(Target::All, slow)));
    }
    let bridge = rng.random_bool(0.6);
    if bridge {
        script.push(after(millis(rng, 0..300), Aim::Partition(Shape::LeaderBridge)));
    }
    script.push(after(millis(rng, 20..200), Aim::Kill(Target::First)));
    if bridge {
        // The node between the halves must be there to be asked.
        script.push(after(Duration::from_millis(30), Aim::Start(Target::First)));
    }
    for bounce in 0..rng.random_range(1..=3) {
        // Those who give theirs after the first one do so soon, or not in this election.
        let patience_ms = if bounce == 0 { ELECTION_MS } else { ELECTION_MS / 4 };
        script.extend([
            now(Aim::AwaitWord(patience_ms)),
            now(Aim::Kill(Target::Caught)),
            now(Aim::Start(Target::Caught)),
        ]);
    }
    script.extend([after(millis(rng, 100..600), Aim::Mend), now(Aim::Revive)]);
    script
}

/// The leader falls silent, and what it said last arrives when the next one has led for a while and is just gone: so nobody repairs what
/// it may do. Then the first leader and those who heard it are among themselves.
pub(super) fn last_words(rng: &mut Pcg64) -> Vec<ScriptStep> {
    // Longer than an election, shorter than a silence that breaks connections.
    let late = 1_800;
    let lead = rng.random_range(50..=150);
    vec![
        now(Aim::Hold(late, Target::First)),
        after(Duration::from_millis(lead), Aim::Pause(Target::First)),
        // Its followers have not missed it yet when the old words come.
        after(Duration::from_millis(late - lead - rng.random_range(30..=150)), Aim::Kill(Target::Leader)),
        after(Duration::from_millis(350), Aim::Mend),
        now(Aim::Start(Target::First)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, 200..500), Aim::Revive),
    ]
}

/// The leader is cut off, and may not know for a while that it was replaced. Whoever helped to replace it is killed and started, and
/// sees the old leader and not the new one: whom does it follow?
fn bounce_to_the_old_leader(rng: &mut Pcg64) -> Vec<ScriptStep> {
    vec![
        now(Aim::Partition(Shape::Leader)),
        now(Aim::AwaitWord(ELECTION_MS)),
        now(Aim::Kill(Target::Caught)),
        now(Aim::Start(Target::Caught)),
        after(millis(rng, 10..60), Aim::Mend),
        now(Aim::Partition(Shape::Leader)),
        after(millis(rng, 200..700), Aim::Mend),
        now(Aim::Revive),
    ]
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn place(script: &[ScriptStep], aim: Aim) -> usize {
        script.iter().position(|step| step.aim == aim).unwrap_or_else(|| panic!("no {aim:?} in {script:?}"))
    }

    #[test]
    fn whoever_got_the_word_hears_nothing_until_the_other_was_answered() {
        for seed in 0..20 {
            let script = two_candidates(&mut Pcg64::seed_from_u64(seed));
            let cut = place(&script, Aim::CutOff(Target::Chosen));
            let started = place(&script, Aim::Start(Target::Caught));
            assert!(place(&script, Aim::Kill(Target::Caught)) < cut && cut < started);
            let words: Vec<_> = (0..script.len()).filter(|at| matches!(script[*at].aim, Aim::AwaitWord(_))).collect();
            assert!(words[0] < cut && started < words[1] && words[1] < place(&script, Aim::Mend));
        }
    }

    #[test]
    fn words_are_late_for_all_until_one_is_given_and_then_for_its_candidate() {
        let script = late_votes(&mut Pcg64::seed_from_u64(1));
        let polls =
            script.iter().filter_map(|step| if let Aim::Poll(poll) = step.aim { Some(poll.words_to) } else { None });
        assert_eq!(polls.collect::<Vec<_>>(), [Target::All, Target::Chosen]);
    }

    #[test]
    fn a_voter_that_is_taken_back_is_with_one_at_a_time() {
        for seed in 0..20 {
            let script = taken_back(&mut Pcg64::seed_from_u64(seed));
            let cuts: Vec<_> = script.iter().filter(|step| matches!(step.aim, Aim::CutOff(_))).map(|s| s.aim).collect();
            let [first, chosen] = [Target::First, Target::Chosen].map(Aim::CutOff);
            assert_eq!(cuts, [first, chosen, first]);
        }
    }

    #[test]
    fn every_leader_that_hands_over_hears_late_of_it() {
        let script = handed_on(&mut Pcg64::seed_from_u64(1));
        for round in script.chunks(3) {
            assert!(matches!(round[0].aim, Aim::Late(Late::ToLeader, _)));
            assert_eq!((round[1].aim, round[2].aim), (Aim::HandOver, Aim::Mend));
        }
    }
}
