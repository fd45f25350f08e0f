//! The seeded plan of a run's faults: a pure function of the seed, the kinds and the time.
//!
//! ```text
//!   network     ──[partition]────[one-follower]──────[lagging]───
//!   process     ────[kill-leader]──[torn]───[voter-bounce]───────      a lane for each hand that has work
//!   conditions  ──[messages]──────[slow-sync]────[mute-answers]──
//! ```

use std::{ops::Range, time::Duration};

use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_pcg::Pcg64;

use super::{
    Hand, NemesisKind,
    fault::Fault,
    scripts::{fault, millis},
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

/// How long everything is left alone between two faults of a lane, milliseconds.
const GAP_MS: Range<u64> = 300..1_200;

/// A seed in so many concentrates on few kinds of the mix.
const FOCUS_ONE_IN: u32 = 3;

/// The kinds of a run that may use all of `kinds`, and whether they are a few of them only.
///
/// A mix of everything hides what one kind alone would bring out: each fault undoes what another one has prepared. So some seeds leave
/// most kinds out (Groce and others, "Swarm Testing", ISSTA 2012); one that topples leaders stays.
#[must_use]
pub fn focus(kinds: &[NemesisKind], seed: u64) -> (Vec<NemesisKind>, bool) {
    let mut rng = Pcg64::seed_from_u64(seed.rotate_left(31));
    let toppling: Vec<_> = kinds.iter().copied().filter(|kind| kind.topples_leaders()).collect();
    let first = toppling.choose(&mut rng);
    if !rng.random_ratio(1, FOCUS_ONE_IN) || kinds.len() <= 3 {
        return (kinds.to_vec(), false);
    }
    let mut few: Vec<_> = first.copied().into_iter().collect();
    let wanted = rng.random_range(2..=3);
    while few.len() < wanted {
        let kind = kinds[rng.random_range(0..kinds.len())];
        if !few.contains(&kind) {
            few.push(kind);
        }
    }
    few.sort_unstable();
    (few, true)
}

/// The lanes of a run: one for each hand that has something to do.
///
/// The last fault of a lane may outlast `duration`: the run then heals it, so that recovery is measured from a real heal.
#[must_use]
pub fn plan(kinds: &[NemesisKind], duration: Duration, seed: u64) -> Vec<Lane> {
    [Hand::Network, Hand::Process, Hand::Conditions, Hand::Membership]
        .into_iter()
        .map(|hand| kinds.iter().copied().filter(|kind| kind.hand() == hand).collect::<Vec<_>>())
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
        // Drawing from a bag, refilled when empty, gives each kind its turns also in a short run.
        if bag.is_empty() {
            bag = kinds.iter().flat_map(|kind| std::iter::repeat_n(*kind, turns(*kind, kinds))).collect();
        }
        let kind = bag.swap_remove(rng.random_range(0..bag.len()));
        let fault = fault(kind, &mut rng);
        let length = fault.length();
        faults.push(Planned { at, fault });
        at += length + millis(&mut rng, GAP_MS);
    }
    faults
}

/// How often a kind lies in a bag. Turns are shared out for the mix of all; among few, each gets as many as the others.
fn turns(kind: NemesisKind, kinds: &[NemesisKind]) -> usize {
    if kinds.len() > 3 { kind.turns().max(1) } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_MINUTE: Duration = Duration::from_secs(30);

    fn mix() -> Vec<NemesisKind> {
        NemesisKind::mix().collect()
    }

    #[test]
    fn one_seed_gives_one_plan() {
        assert_eq!(plan(&mix(), HALF_MINUTE, 7), plan(&mix(), HALF_MINUTE, 7));
        assert_ne!(plan(&mix(), HALF_MINUTE, 7), plan(&mix(), HALF_MINUTE, 8));
        assert_eq!(focus(&mix(), 7), focus(&mix(), 7));
    }

    #[test]
    fn every_kind_gets_its_turn_and_faults_of_a_lane_do_not_overlap() {
        for seed in 0..50 {
            let lanes = plan(&mix(), HALF_MINUTE, seed);
            assert_eq!(lanes.len(), 3);
            let names: Vec<_> = lanes.iter().flat_map(|lane| &lane.faults).map(|p| p.fault.name.clone()).collect();
            for kind in NemesisKind::mix() {
                assert!(names.iter().any(|name| name.starts_with(kind.name())), "{kind} is missing in {names:?}");
            }
            for lane in lanes {
                let mut free = Duration::ZERO;
                for planned in lane.faults {
                    assert!(planned.at >= free, "two faults of a lane overlap");
                    assert!(planned.at < HALF_MINUTE);
                    free = planned.at + planned.fault.length();
                }
            }
        }
    }

    #[test]
    fn some_seeds_concentrate_on_few_kinds_and_always_topple_leaders() {
        let (mut few, mut all) = (0, 0);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..300 {
            let (kinds, focused) = focus(&mix(), seed);
            assert!(kinds.iter().any(|kind| kind.topples_leaders()));
            match focused {
                true => {
                    assert!((2..=3).contains(&kinds.len()));
                    seen.extend(kinds);
                    few += 1;
                }
                false => {
                    assert_eq!(kinds, mix());
                    all += 1;
                }
            }
        }
        assert!(few > 60 && all > 150, "{few} of {}", few + all);
        assert_eq!(seen, mix().into_iter().collect());
        assert_eq!(focus(&[NemesisKind::Kill, NemesisKind::Pause], 3).0.len(), 2);
    }

    #[test]
    fn no_kinds_no_lanes() {
        assert!(plan(&[], HALF_MINUTE, 1).is_empty());
    }
}
