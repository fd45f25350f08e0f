//! What each nemesis does: scripts of steps, drawn from a seeded generator.
//!
//! ```text
//!   fault(kind, rng) ──> name, [ (after 0, Kill leader), (after 340 ms, Revive) ]       the last steps undo the first
//! ```

use std::{ops::Range, time::Duration};

use rand::{Rng, RngExt, seq::IndexedRandom};
use rand_pcg::Pcg64;

use super::{
    NemesisKind,
    fault::{Aim, Fault, Late, NodeFaults, ScriptStep, Shape, Target},
};

mod ballots;
mod hardware;
mod members;
mod resync;
mod tails;
mod words;

/// The shapes to choose from; the ones that most often bring out bugs stand here more than once.
const SHAPES: [Shape; 11] = [
    Shape::Leader,
    Shape::Leader,
    Shape::Leader,
    Shape::Halves,
    Shape::Halves,
    Shape::One,
    Shape::Ring,
    Shape::Bridge,
    Shape::LeaderPair,
    Shape::LeaderMute,
    Shape::LeaderDeaf,
];

/// How long a fault lasts, milliseconds.
const HOLD_MS: Range<u64> = 500..2_000;
/// How long a killed or powered-off node stays down, milliseconds.
const DOWN_MS: Range<u64> = 100..1_200;
/// How long the leader of the moment is left with one follower: enough for some entries, too short to be noticed and replaced.
const FEW_MS: Range<u64> = 150..350;
/// How long an election may take before a story goes on without one.
const ELECTION_MS: u64 = 1_200;
/// One packet in so many hundred is lost under [`NemesisKind::Loss`].
const LOSS_PERCENT: u8 = 10;

/// A fault of this kind.
pub(super) fn fault(kind: NemesisKind, rng: &mut Pcg64) -> Fault {
    let hold = millis(rng, HOLD_MS);
    let down = millis(rng, DOWN_MS);
    let (name, script) = match kind {
        NemesisKind::Partition => {
            let shape = choose(rng, &SHAPES);
            (format!("partition {}", shape.name()), cut_for(Aim::Partition(shape), hold))
        }
        NemesisKind::LeaderCut => (named(kind), leader_cut(rng, hold)),
        NemesisKind::Bridge => {
            let shape = choose(rng, &[Shape::Bridge, Shape::LeaderBridge]);
            (named(kind), cut_for(Aim::Partition(shape), hold))
        }
        NemesisKind::OneFollower => (named(kind), one_follower(rng)),
        NemesisKind::LateNews => (named(kind), late_news(rng, hold)),
        NemesisKind::LateWords => (named(kind), late_words(rng)),
        NemesisKind::Transfer => (named(kind), words::handed_on(rng)),
        NemesisKind::LateEntries => (named(kind), cut_for(Aim::Late(Late::EntriesToFollower, [40, 90]), hold)),
        NemesisKind::LeadAgain => (named(kind), tails::lead_again(rng)),
        NemesisKind::TailReturns => (named(kind), tails::returns(rng)),
        NemesisKind::TailCovered => (named(kind), tails::covered(rng)),
        NemesisKind::Echoes => (named(kind), tails::echoes(rng)),
        NemesisKind::FigureEight => (named(kind), tails::figure_eight(rng)),
        NemesisKind::Rivals => (named(kind), ballots::rivals(rng)),
        NemesisKind::Comeback => ballots::comeback(rng),
        NemesisKind::Overruled => ballots::overruled(rng),
        NemesisKind::StaleCandidate => (named(kind), stale_candidate(hold)),
        NemesisKind::Lagging => (named(kind), lagging(rng, hold)),
        NemesisKind::Kill => {
            let target = choose(rng, &[Target::Leader, Target::Leader, Target::Follower, Target::FollowerMinority]);
            (aimed(kind, target), down_for(Aim::Kill(target), down))
        }
        NemesisKind::KillLeader => (named(kind), down_for(Aim::Kill(Target::Leader), down)),
        NemesisKind::Pause => {
            let target = choose(rng, &[Target::Leader, Target::Leader, Target::Follower, Target::Majority]);
            (aimed(kind, target), down_for(Aim::Pause(target), hold))
        }
        NemesisKind::PauseLeader => {
            // About as long as an election takes, or much longer.
            let range = choose(rng, &[(350, 650), (500, 3_000)]);
            (named(kind), down_for(Aim::Pause(Target::Leader), millis(rng, range.0..range.1)))
        }
        NemesisKind::Power => {
            let target = choose(rng, &[Target::All, Target::Majority, Target::All]);
            let mut script = vec![now(Aim::PowerOff(target))];
            script.extend(hardware::power_returns(rng, target, down));
            (aimed(kind, target), script)
        }
        NemesisKind::Torn => hardware::torn(rng, down),
        NemesisKind::VoterBounce => (named(kind), words::voter_bounce(rng)),
        NemesisKind::TwoCandidates => (named(kind), words::two_candidates(rng)),
        NemesisKind::LateVotes => (named(kind), words::late_votes(rng)),
        NemesisKind::AskedTwice => (named(kind), words::asked_twice(rng)),
        NemesisKind::TakenBack => (named(kind), words::taken_back(rng)),
        NemesisKind::DiskError => (named(kind), hardware::disk_error(rng, down)),
        NemesisKind::Wipe => (named(kind), hardware::wipe(rng, down)),
        NemesisKind::SlowSync => {
            let target = choose(rng, &[Target::All, Target::Majority, Target::FollowerMinority, Target::Leader]);
            let slow = NodeFaults { sync_delay_ms: rng.random_range(10..=80), ..NodeFaults::default() };
            (aimed(kind, target), down_for(Aim::Spoil(target, slow), 2 * hold))
        }
        NemesisKind::Clock => (named(kind), hardware::clocks(rng, hold, true)),
        NemesisKind::WallClock if rng.random_bool(0.6) => (named(kind), hardware::set_back(rng, hold)),
        NemesisKind::WallClock => (named(kind), hardware::clocks(rng, hold, false)),
        NemesisKind::LastWords => (named(kind), words::last_words(rng)),
        NemesisKind::Messages => (named(kind), cut_for(Aim::Garble, hold + hold / 2)),
        NemesisKind::MuteAnswers => {
            let target = choose(rng, &[Target::Leader, Target::Follower, Target::Majority, Target::All]);
            (aimed(kind, target), cut_for(Aim::Mute(target), millis(rng, 200..1_200)))
        }
        NemesisKind::Loss => (named(kind), cut_for(Aim::Lose(LOSS_PERCENT), 4 * hold)),
        NemesisKind::Membership => members::membership(rng, hold),
        NemesisKind::Rejoin => titled(resync::rejoin(rng)),
        NemesisKind::Resync => titled(resync::resync(rng)),
    };
    Fault { name, script, pick: rng.next_u64() }
}

fn named(kind: NemesisKind) -> String {
    kind.name().to_owned()
}

fn titled((name, script): (&'static str, Vec<ScriptStep>)) -> (String, Vec<ScriptStep>) {
    (name.to_owned(), script)
}

fn aimed(kind: NemesisKind, target: Target) -> String {
    format!("{kind} {}", target.name())
}

/// The leader alone. Sometimes only until the next one leads: does the old one, which may not know yet, still find hearers? Then the
/// next one may be cut off in its place, so that nothing else tells the old one.
fn leader_cut(rng: &mut Pcg64, hold: Duration) -> Vec<ScriptStep> {
    if rng.random_bool(0.5) {
        return cut_for(Aim::Partition(Shape::Leader), hold);
    }
    let mut script = vec![now(Aim::Partition(Shape::Leader)), now(Aim::AwaitLeader(ELECTION_MS)), now(Aim::Mend)];
    if rng.random_bool(0.7) {
        script.extend(cut_for(Aim::Partition(Shape::Leader), millis(rng, 200..700)));
    }
    script
}

/// What nodes are told comes late. The leader hears all the others as they were one, two, then three election timeouts ago when nobody
/// hears it any more: does it still believe in itself? Or a follower gets entries late: does it know that it does not know them?
fn late_news(rng: &mut Pcg64, hold: Duration) -> Vec<ScriptStep> {
    if rng.random_bool(0.5) {
        return cut_for(Aim::Late(Late::EntriesToFollower, [40, 90]), hold);
    }
    vec![
        now(Aim::Late(Late::ToLeader, [90, 90])),
        after(Duration::from_millis(450), Aim::Late(Late::ToLeader, [180, 180])),
        after(Duration::from_millis(600), Aim::Late(Late::ToLeader, [270, 270])),
        after(Duration::from_millis(900), Aim::Partition(Shape::LeaderMute)),
        after(Duration::from_millis(1_200), Aim::Mend),
    ]
}

/// Votes, acknowledgements or entries arrive in another term than they were sent in, while leaders are killed.
fn late_words(rng: &mut Pcg64) -> Vec<ScriptStep> {
    let mut script = vec![now(Aim::Late(Late::Words, [20, 300]))];
    for _ in 0..2 {
        script.push(after(millis(rng, 200..600), Aim::Kill(Target::Leader)));
        script.push(after(millis(rng, 600..1_800), Aim::Revive));
    }
    script.push(after(millis(rng, 200..800), Aim::Mend));
    script
}

/// The leader keeps one follower, alone or apart from the others; then it is killed or cut off, and comes back in the term of the
/// next one, to whom the same happens. So entries of old terms lie on few nodes when their leaders return (Raft's Figure 8).
fn one_follower(rng: &mut Pcg64) -> Vec<ScriptStep> {
    match rng.random_range(0..4) {
        0 => return alone_with_a_slow_disk(rng),
        1 => return pair_comes_back(rng),
        _ => {}
    }
    let mut script = Vec::new();
    for _ in 0..rng.random_range(2..=4) {
        let shape = choose(rng, &[Shape::OneFollower, Shape::LeaderPair]);
        script.push(now(Aim::Partition(shape)));
        let few = millis(rng, FEW_MS);
        let mends = rng.random_bool(0.5);
        // The others elect, with or without the one that was kept; who led before comes back when the next one leads.
        if rng.random_bool(0.7) {
            script.push(after(few, Aim::Kill(Target::Leader)));
            script.extend(mends.then(|| now(Aim::Mend)));
        } else if mends {
            script.extend([after(few, Aim::Mend), now(Aim::Partition(Shape::Leader))]);
        } else {
            script.push(after(few, Aim::Partition(Shape::Leader)));
        }
        script.push(now(Aim::AwaitLeader(ELECTION_MS)));
        script.extend([now(Aim::Mend), now(Aim::Revive)]);
    }
    script
}

/// The leader and the one follower that it kept come back when the next leader has served for a moment, and has just been killed:
/// two of them have what is old, and of those that have what replaced it one is missing.
fn pair_comes_back(rng: &mut Pcg64) -> Vec<ScriptStep> {
    vec![
        now(Aim::Partition(Shape::LeaderPair)),
        after(millis(rng, FEW_MS), Aim::Kill(Target::Leader)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, FEW_MS), Aim::Kill(Target::Leader)),
        now(Aim::Start(Target::First)),
        now(Aim::Mend),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, FEW_MS), Aim::Revive),
    ]
}

/// The leader, whose disk is slow, keeps one follower and is killed; it comes back at once, but the follower is cut off. Was anything
/// acknowledged that only the follower had on disk?
fn alone_with_a_slow_disk(rng: &mut Pcg64) -> Vec<ScriptStep> {
    let slow = NodeFaults { sync_delay_ms: rng.random_range(40..=120), ..NodeFaults::default() };
    vec![
        now(Aim::Spoil(Target::Leader, slow)),
        after(millis(rng, 50..150), Aim::Partition(Shape::OneFollower)),
        after(millis(rng, FEW_MS), Aim::Kill(Target::First)),
        // Nobody else leads yet, so this is the follower that was kept.
        now(Aim::CutOff(Target::Follower)),
        now(Aim::Start(Target::First)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, 100..400), Aim::Mend),
        now(Aim::Revive),
    ]
}

fn stale_candidate(hold: Duration) -> Vec<ScriptStep> {
    vec![
        now(Aim::CutOffFromLeader(Target::FollowerMinority)),
        after(hold, Aim::Kill(Target::Leader)),
        now(Aim::Mend),
        after(Duration::from_millis(ELECTION_MS), Aim::Revive),
    ]
}

/// A follower is cut off or down for long enough to need a snapshot; when it has just begun to catch up, the leader is killed, or
/// the follower once more.
fn lagging(rng: &mut Pcg64, hold: Duration) -> Vec<ScriptStep> {
    if rng.random_bool(0.4) {
        return caught_up_alone(rng, hold);
    }
    let away = match rng.random_bool(0.5) {
        true => Aim::CutOff(Target::Follower),
        false => Aim::Kill(Target::Follower),
    };
    let mut script = vec![now(away), after(hold, Aim::Mend), now(Aim::Revive)];
    let soon = millis(rng, 20..400);
    let down = millis(rng, 200..900);
    match rng.random_range(0..4) {
        0 | 1 => script.extend([after(soon, Aim::Kill(Target::Leader)), after(down, Aim::Revive)]),
        2 => script.extend([after(soon, Aim::Kill(Target::Follower)), after(down, Aim::Revive)]),
        _ => {}
    }
    script
}

/// A follower that has just caught up is the only one that the leader sees; then both are killed, and the follower is back without the
/// leader. Did it store what it was sent at once?
fn caught_up_alone(rng: &mut Pcg64, hold: Duration) -> Vec<ScriptStep> {
    vec![
        now(Aim::CutOff(Target::Companion)),
        after(hold + hold / 2, Aim::Mend),
        now(Aim::Partition(Shape::FirstPair)),
        after(millis(rng, 50..250), Aim::Kill(Target::First)),
        now(Aim::Kill(Target::Companion)),
        now(Aim::Mend),
        now(Aim::Start(Target::Companion)),
        now(Aim::AwaitLeader(ELECTION_MS)),
        after(millis(rng, 100..400), Aim::Revive),
    ]
}

fn cut_for(aim: Aim, hold: Duration) -> Vec<ScriptStep> {
    vec![now(aim), after(hold, Aim::Mend)]
}

fn down_for(aim: Aim, down: Duration) -> Vec<ScriptStep> {
    vec![now(aim), after(down, Aim::Revive)]
}

pub(super) fn millis(rng: &mut Pcg64, range: Range<u64>) -> Duration {
    Duration::from_millis(rng.random_range(range))
}

fn choose<T: Copy>(rng: &mut Pcg64, options: &[T]) -> T {
    *options.choose(rng).unwrap_or(&options[0])
}

fn now(aim: Aim) -> ScriptStep {
    ScriptStep { after: Duration::ZERO, aim }
}

fn after(wait: Duration, aim: Aim) -> ScriptStep {
    ScriptStep { after: wait, aim }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::{super::fault::Members, *};

    #[test]
    fn every_script_undoes_what_it_does() {
        let mut rng = Pcg64::seed_from_u64(1);
        for kind in NemesisKind::all() {
            for _ in 0..100 {
                let script = fault(kind, &mut rng).script;
                let mut cut = false;
                let mut down = false;
                let mut asked = false;
                for step in script {
                    match step.aim {
                        Aim::Partition(_)
                        | Aim::CutOffFromLeader(_)
                        | Aim::Split(_)
                        | Aim::LoseKinds(_)
                        | Aim::CutOff(_)
                        | Aim::Mute(_)
                        | Aim::Lose(_)
                        | Aim::Late(..)
                        | Aim::LoseKind(..)
                        | Aim::LoseEntries(..)
                        | Aim::Twice(..)
                        | Aim::Hold(..)
                        | Aim::HoldKind(..)
                        | Aim::Poll(_)
                        | Aim::LateKind(..)
                        | Aim::Garble => cut = true,
                        Aim::Mend => cut = false,
                        Aim::Kill(_) | Aim::Pause(_) | Aim::PowerOff(_) | Aim::Wipe(_) | Aim::Spoil(..) => down = true,
                        Aim::Revive => down = false,
                        Aim::ChangeMembership(_) => asked = true,
                        Aim::Hurry
                        | Aim::Start(_)
                        | Aim::AwaitLeader(_)
                        | Aim::AwaitWord(_)
                        | Aim::HandOver
                        | Aim::HandBack
                        | Aim::HandTo(_) => {}
                    }
                }
                assert!(!cut && !down, "{kind}");
                // The founders become the voters again when the run heals.
                assert_eq!(asked, kind == NemesisKind::Membership);
            }
        }
    }

    #[test]
    fn no_script_lasts_longer_than_a_short_run_can_wait() {
        let mut rng = Pcg64::seed_from_u64(2);
        for kind in NemesisKind::all() {
            for _ in 0..100 {
                let fault = fault(kind, &mut rng);
                assert!(fault.length() < Duration::from_secs(10), "{kind} {:?}", fault.length());
                assert!(fault.name.starts_with(kind.name()));
            }
        }
    }

    #[test]
    fn every_story_of_members_is_told_and_ends_with_the_founders() {
        let mut rng = Pcg64::seed_from_u64(4);
        let mut names = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let Fault { name, script, .. } = fault(NemesisKind::Membership, &mut rng);
            let founders = Aim::ChangeMembership(Members::FoundersAndLearners);
            assert!(name == "membership" || script.last().is_some_and(|step| step.aim == founders), "{name}");
            names.insert(name);
        }
        assert_eq!(names.len(), 5);
    }

    #[test]
    fn wiping_leaves_time_to_be_taken_back() {
        let mut rng = Pcg64::seed_from_u64(3);
        for _ in 0..20 {
            let script = fault(NemesisKind::Wipe, &mut rng).script;
            assert_eq!(script.iter().filter(|step| matches!(step.aim, Aim::Wipe(_))).count(), 1);
            let last = script.last().map(|step| (step.after, step.aim));
            assert_eq!(last, Some((Duration::from_secs(3), Aim::Revive)));
        }
    }
}
