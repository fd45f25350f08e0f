//! The seeded plan of a run's faults: a pure function of the seed, the kinds and the time.

use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng, seq::IndexedRandom};
use rand_pcg::Pcg64;

use super::{
    NemesisKind,
    fault::{Aim, Fault, ScriptStep, Shape, Target},
};

/// A fault and the moment it begins, from the start of the faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When.
    pub at: Duration,
    /// What.
    pub fault: Fault,
}

/// Faults that are carried out one after the other. Lanes run beside each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// In order of time; the next begins after the one before has ended.
    pub faults: Vec<Planned>,
}

/// The shapes to choose from; the ones that most often bring out bugs stand here more than once.
const SHAPES: [Shape; 10] = [
    Shape::Leader,
    Shape::Leader,
    Shape::Leader,
    Shape::Halves,
    Shape::Halves,
    Shape::One,
    Shape::Ring,
    Shape::Bridge,
    Shape::LeaderMute,
    Shape::LeaderDeaf,
];

/// How long a fault lasts, milliseconds.
const HOLD_MS: std::ops::Range<u64> = 500..2_000;
/// How long everything is left alone between two faults of a lane, milliseconds.
const GAP_MS: std::ops::Range<u64> = 300..1_200;
/// How long a killed or powered-off node stays down, milliseconds.
const DOWN_MS: std::ops::Range<u64> = 100..1_200;

/// The lanes of a run: network faults beside process faults; one lane for all when a kind needs both hands.
///
/// The last fault of a lane may outlast `duration`: the run then heals it, so that recovery is measured from a real heal.
#[must_use]
pub fn plan(kinds: &[NemesisKind], duration: Duration, seed: u64) -> Vec<Lane> {
    let (network, process): (Vec<_>, Vec<_>) = kinds.iter().partition(|kind| **kind == NemesisKind::Partition);
    let groups: Vec<Vec<NemesisKind>> =
        if kinds.contains(&NemesisKind::StaleCandidate) { vec![kinds.to_vec()] } else { vec![network, process] };
    groups
        .into_iter()
        .filter(|kinds| !kinds.is_empty())
        .enumerate()
        .map(|(lane, kinds)| Lane { faults: lane_plan(&kinds, duration, seed, lane as u64) })
        .collect()
}

fn lane_plan(kinds: &[NemesisKind], duration: Duration, seed: u64, lane: u64) -> Vec<Planned> {
    let mut rng = Pcg64::seed_from_u64(seed.rotate_left(17) ^ lane);
    let mut faults = Vec::new();
    let mut at = millis(&mut rng, GAP_MS);
    let mut bag: Vec<NemesisKind> = Vec::new();
    while at < duration {
        // Drawing from a bag, refilled when empty, gives each kind its turn also in a short run.
        if bag.is_empty() {
            bag = kinds.to_vec();
        }
        let kind = bag.swap_remove(rng.random_range(0..bag.len()));
        let fault = fault(kind, &mut rng);
        let length: Duration = fault.script.iter().map(|step| step.after).sum();
        faults.push(Planned { at, fault });
        at += length + millis(&mut rng, GAP_MS);
    }
    faults
}

fn millis(rng: &mut Pcg64, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.random_range(range))
}

fn choose<T: Copy>(rng: &mut Pcg64, options: &[T]) -> T {
    *options.choose(rng).unwrap_or(&options[0])
}

fn fault(kind: NemesisKind, rng: &mut Pcg64) -> Fault {
    let hold = millis(rng, HOLD_MS);
    let down = millis(rng, DOWN_MS);
    let (name, script) = match kind {
        NemesisKind::Partition => {
            let shape = choose(rng, &SHAPES);
            (shape_name(shape).to_owned(), vec![now(Aim::Partition(shape)), after(hold, Aim::Mend)])
        }
        NemesisKind::Kill => {
            let target = choose(rng, &[Target::Leader, Target::Leader, Target::Follower, Target::FollowerMinority]);
            (process_name("kill", target), vec![now(Aim::Kill(target)), after(down, Aim::Revive)])
        }
        NemesisKind::Pause => {
            let target = choose(rng, &[Target::Leader, Target::Leader, Target::Follower, Target::Majority]);
            (process_name("pause", target), vec![now(Aim::Pause(target)), after(hold, Aim::Revive)])
        }
        NemesisKind::Power => {
            let target = choose(rng, &[Target::All, Target::Majority, Target::All]);
            (process_name("power", target), vec![now(Aim::PowerOff(target)), after(down, Aim::Revive)])
        }
        NemesisKind::StaleCandidate => (
            "stale-candidate".to_owned(),
            vec![
                now(Aim::CutOffFromLeader(Target::FollowerMinority)),
                after(hold, Aim::Kill(Target::Leader)),
                after(Duration::ZERO, Aim::Mend),
                after(Duration::from_millis(1_200), Aim::Revive),
            ],
        ),
    };
    Fault { name, script, pick: rng.next_u64() }
}

fn now(aim: Aim) -> ScriptStep {
    ScriptStep { after: Duration::ZERO, aim }
}

fn after(wait: Duration, aim: Aim) -> ScriptStep {
    ScriptStep { after: wait, aim }
}

fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Halves => "partition halves",
        Shape::One => "partition one",
        Shape::Ring => "partition ring",
        Shape::Bridge => "partition bridge",
        Shape::Leader => "partition leader",
        Shape::LeaderMute => "partition leader-mute",
        Shape::LeaderDeaf => "partition leader-deaf",
    }
}

fn process_name(what: &str, target: Target) -> String {
    let whom = match target {
        Target::Leader => "leader",
        Target::Follower => "follower",
        Target::FollowerMinority => "minority",
        Target::Majority => "majority",
        Target::All => "all",
    };
    format!("{what} {whom}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_MINUTE: Duration = Duration::from_secs(30);

    #[test]
    fn one_seed_gives_one_plan() {
        let kinds = NemesisKind::MIX;
        assert_eq!(plan(&kinds, HALF_MINUTE, 7), plan(&kinds, HALF_MINUTE, 7));
        assert_ne!(plan(&kinds, HALF_MINUTE, 7), plan(&kinds, HALF_MINUTE, 8));
    }

    #[test]
    fn every_kind_gets_its_turn_and_faults_of_a_lane_do_not_overlap() {
        for seed in 0..50 {
            let lanes = plan(&NemesisKind::MIX, HALF_MINUTE, seed);
            assert_eq!(lanes.len(), 2);
            let names: Vec<_> = lanes.iter().flat_map(|lane| &lane.faults).map(|p| p.fault.name.clone()).collect();
            for kind in NemesisKind::MIX {
                assert!(names.iter().any(|name| name.starts_with(kind.name())), "{kind} is missing in {names:?}");
            }
            for lane in lanes {
                let mut free = Duration::ZERO;
                for planned in lane.faults {
                    assert!(planned.at >= free, "two faults of a lane overlap");
                    assert!(planned.at < HALF_MINUTE);
                    free = planned.at + planned.fault.script.iter().map(|step| step.after).sum::<Duration>();
                }
            }
        }
    }

    #[test]
    fn every_script_undoes_what_it_does() {
        let mut rng = Pcg64::seed_from_u64(1);
        for kind in NemesisKind::ALL {
            for _ in 0..100 {
                let script = fault(kind, &mut rng).script;
                let mut cut = false;
                let mut down = false;
                for step in script {
                    match step.aim {
                        Aim::Partition(_) | Aim::CutOffFromLeader(_) => cut = true,
                        Aim::Mend => cut = false,
                        Aim::Kill(_) | Aim::Pause(_) | Aim::PowerOff(_) => down = true,
                        Aim::Revive => down = false,
                    }
                }
                assert!(!cut && !down, "{kind}");
            }
        }
    }

    #[test]
    fn no_kinds_no_lanes() {
        assert!(plan(&[], HALF_MINUTE, 1).is_empty());
    }
}
