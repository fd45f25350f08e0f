//! Stories of members that come and go.

use std::time::Duration;

use rand::RngExt;
use rand_pcg::Pcg64;

use super::{
    super::{
        NemesisKind,
        fault::{Aim, Members, ScriptStep, Shape, Target},
    },
    ELECTION_MS, after, choose, millis, named, now,
};

/// How long a leader that is no voter any more may take to be replaced.
const SETTLE: Duration = Duration::from_millis(700);

/// The cluster is asked for other voters. Sometimes its leader is cut off first: it may have begun its change when the next leader is
/// asked for another one. Or it is a story of founders, who were a majority once.
pub(super) fn membership(rng: &mut Pcg64, hold: Duration) -> (String, Vec<ScriptStep>) {
    let story = match rng.random_range(0..10) {
        0 | 1 => return (named(NemesisKind::Membership), vec![now(Aim::ChangeMembership(Members::Any(0)))]),
        2 => return (named(NemesisKind::Membership), change_while_cut(rng, hold)),
        3 | 4 => ("learners apart", learners_apart(rng, hold)),
        5 => ("founders restart", founders_restart(rng, hold)),
        6 | 7 => ("founder behind", founder_behind(rng, hold)),
        _ => ("two changes", two_changes(hold)),
    };
    let name = format!("{} {}", NemesisKind::Membership, story.0);
    // As at the beginning; a leader that is no founder gives up its place.
    let founders = Aim::ChangeMembership(Members::FoundersAndLearners);
    let begin = [now(founders), after(SETTLE, founders)];
    (name, begin.into_iter().chain(story.1).chain([now(Aim::Mend), after(SETTLE, founders)]).collect())
}

fn change_while_cut(rng: &mut Pcg64, hold: Duration) -> Vec<ScriptStep> {
    let shape = choose(rng, &[Shape::Leader, Shape::LeaderPair, Shape::OneFollower]);
    vec![
        now(Aim::Partition(shape)),
        after(millis(rng, 0..100), Aim::ChangeMembership(Members::Any(0))),
        now(Aim::ChangeMembership(Members::Any(1))),
        after(hold / 2, Aim::Mend),
    ]
}

/// Two founders are left to themselves while those beside the leader, who are learners, become voters (paper, Figure 10): they are a
/// majority of the founders, and the others one of all.
fn learners_apart(rng: &mut Pcg64, hold: Duration) -> Vec<ScriptStep> {
    let lead = millis(rng, 0..150);
    let change = Aim::ChangeMembership(Members::All);
    vec![now(Aim::Partition(Shape::TwoFounders)), after(lead, change), after(hold, Aim::Mend)]
}

/// Two founders, a majority once, start anew when all have become voters, and see each other only. What do they know of the others?
/// Sometimes so much of what they say to each other is lost that it is said again together with what came later.
fn founders_restart(rng: &mut Pcg64, hold: Duration) -> Vec<ScriptStep> {
    let mut script = vec![
        now(Aim::ChangeMembership(Members::All)),
        after(SETTLE, Aim::Kill(Target::TwoFounders)),
        now(Aim::Partition(Shape::TwoFounders)),
    ];
    if rng.random_bool(0.7) {
        script.push(now(Aim::LoseKind("append", 60, Target::Struck)));
    }
    script.extend([now(Aim::Revive), after(hold + hold / 2, Aim::Mend)]);
    script
}

/// A founder misses how all become voters, and gets a snapshot; then it sees only one of the other founders.
fn founder_behind(rng: &mut Pcg64, hold: Duration) -> Vec<ScriptStep> {
    vec![
        now(Aim::CutOff(Target::Founder)),
        now(Aim::ChangeMembership(Members::All)),
        after(hold, Aim::Mend),
        after(millis(rng, 200..800), Aim::Partition(Shape::TwoFounders)),
        after(hold + hold / 2, Aim::Mend),
    ]
}

/// The leader is cut off and begins one change; the next one, whose entries do not reach everybody, begins another (Ongaro, raft-dev,
/// July 2015). Then each is left with those who may think that it is enough.
fn two_changes(hold: Duration) -> Vec<ScriptStep> {
    vec![
        now(Aim::LoseKind("append", 100, Target::Companion)),
        now(Aim::Partition(Shape::FirstAside)),
        now(Aim::ChangeMembership(Members::FoundersBut(Target::Bystander))),
        now(Aim::AwaitLeader(ELECTION_MS)),
        now(Aim::ChangeMembership(Members::FoundersBut(Target::First))),
        now(Aim::Partition(Shape::FirstPair)),
        now(Aim::LoseKind("append", 0, Target::Companion)),
        after(hold + hold / 2, Aim::Mend),
    ]
}
