//! The seeded plan of a run's faults: a pure function of the seed, the kinds and the time.
//!
//! ```text
//!               chapter: few kinds        │ chapter: others
//!   network     ──[partition]──[partition]─│───────────────────────────
//!   process     ───────────────────────────│──[torn]────[kill]────[torn]    a lane for each hand that has work
//!   conditions  ──[messages]────[messages]─│──[slow-sync]──[slow-sync]───
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
const GAP_MS: Range<u64> = 200..800;

/// How long the same kinds of a mix take turns: some stories long.
const CHAPTER: Duration = Duration::from_secs(8);

/// One chapter of a mix in so many has every kind.
const ALL_ONE_IN: u32 = 4;

/// The other chapters have at most so many.
const FEW: usize = 3;

/// The kinds that take turns, chapter by chapter.
///
/// A mix of everything hides what one kind alone would bring out: each fault undoes what another one has prepared. So most chapters
/// leave most kinds out (Groce and others, "Swarm Testing", ISSTA 2012); one that topples leaders stays.
fn chapters(kinds: &[NemesisKind], duration: Duration, seed: u64) -> Vec<Vec<NemesisKind>> {
    let mut rng = Pcg64::seed_from_u64(seed.rotate_left(31));
    let count = duration.as_nanos().div_ceil(CHAPTER.as_nanos());
    (0..count).map(|_| cast(kinds, &mut rng)).collect()
}

fn cast(kinds: &[NemesisKind], rng: &mut Pcg64) -> Vec<NemesisKind> {
    if kinds.len() <= FEW || rng.random_ratio(1, ALL_ONE_IN) {
        return kinds.to_vec();
    }
    let wanted = rng.random_range(1..=FEW);
    let mut few: Vec<NemesisKind> = Vec::new();
    while few.len() < wanted {
        let fits = |kind: &NemesisKind| !few.contains(kind) && (!few.is_empty() || kind.topples_leaders());
        let left: Vec<_> = kinds.iter().copied().filter(fits).collect();
        let Ok(kind) = left.choose_weighted(rng, |kind| kind.turns()) else { return kinds.to_vec() };
        few.push(*kind);
    }
    few.sort_unstable();
    few
}

/// The lanes of a run: one for each hand that has something to do. A `mix` has chapters; otherwise all kinds take turns all the time.
///
/// The last fault of a lane may outlast `duration`: the run then heals it, so that recovery is measured from a real heal.
#[must_use]
pub fn plan(kinds: &[NemesisKind], mix: bool, duration: Duration, seed: u64) -> Vec<Lane> {
    let (chapters, length) = match mix {
        true => (chapters(kinds, duration, seed), CHAPTER),
        false => (vec![kinds.to_vec()], duration),
    };
    [Hand::Network, Hand::Process, Hand::Conditions, Hand::Membership]
        .into_iter()
        .filter(|hand| kinds.iter().any(|kind| kind.hand() == *hand))
        .zip(0..)
        .map(|(hand, lane)| {
            let of_hand = |kinds: &Vec<NemesisKind>| kinds.iter().copied().filter(|kind| kind.hand() == hand).collect();
            let chapters: Vec<Vec<_>> = chapters.iter().map(of_hand).collect();
            let mut rng = Pcg64::seed_from_u64(seed.rotate_left(17) ^ lane);
            Lane { faults: lane_plan(&chapters, length, duration, &mut rng) }
        })
        .collect()
}

fn lane_plan(chapters: &[Vec<NemesisKind>], length: Duration, duration: Duration, rng: &mut Pcg64) -> Vec<Planned> {
    let mut faults = Vec::new();
    let mut at = Duration::ZERO;
    for (kinds, end) in chapters.iter().zip((1..).map(|chapter| duration.min(length * chapter))) {
        let mut bag: Vec<NemesisKind> = Vec::new();
        at += millis(rng, GAP_MS);
        while at < end && !kinds.is_empty() {
            // Drawing from a bag, refilled when empty, gives each kind its turns also in a short run.
            if bag.is_empty() {
                bag = kinds.iter().flat_map(|kind| std::iter::repeat_n(*kind, turns(*kind, kinds))).collect();
            }
            let kind = bag.swap_remove(rng.random_range(0..bag.len()));
            let fault = fault(kind, rng);
            let length = fault.length();
            faults.push(Planned { at, fault });
            at += length + millis(rng, GAP_MS);
        }
        at = at.max(end);
    }
    faults
}

/// How often a kind lies in a bag. Turns are shared out for the mix of all; among few, each gets as many as the others.
fn turns(kind: NemesisKind, kinds: &[NemesisKind]) -> usize {
    if kinds.len() > FEW { kind.turns().max(1) } else { 1 }
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
        assert_eq!(plan(&mix(), true, HALF_MINUTE, 7), plan(&mix(), true, HALF_MINUTE, 7));
        assert_ne!(plan(&mix(), true, HALF_MINUTE, 7), plan(&mix(), true, HALF_MINUTE, 8));
    }

    #[test]
    fn without_chapters_every_kind_gets_its_turn() {
        for seed in 0..50 {
            let lanes = plan(&mix(), false, 6 * HALF_MINUTE, seed);
            assert_eq!(lanes.len(), 3);
            let names: Vec<_> = lanes.iter().flat_map(|lane| &lane.faults).map(|p| p.fault.name.clone()).collect();
            for kind in NemesisKind::mix() {
                assert!(names.iter().any(|name| name.starts_with(kind.name())), "{kind} is missing in {names:?}");
            }
        }
    }

    #[test]
    fn faults_of_a_lane_do_not_overlap() {
        for (seed, mixed) in (0..100).map(|seed| (seed, seed % 2 == 0)) {
            for lane in plan(&mix(), mixed, HALF_MINUTE, seed) {
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
    fn a_lane_keeps_to_its_chapters() {
        let chapters = [vec![NemesisKind::Kill], vec![], vec![NemesisKind::Power]];
        let faults = lane_plan(&chapters, CHAPTER, HALF_MINUTE, &mut Pcg64::seed_from_u64(1));
        let (early, late): (Vec<_>, Vec<_>) = faults.into_iter().partition(|planned| planned.at < CHAPTER);
        assert!(early.len() > 3 && early.iter().all(|planned| planned.fault.name.starts_with("kill")));
        assert!(late.len() > 2 && late.iter().all(|planned| planned.fault.name.starts_with("power")));
        assert!(late.iter().all(|planned| planned.at >= 2 * CHAPTER));
    }

    #[test]
    fn most_chapters_concentrate_on_few_kinds_and_always_topple_leaders() {
        let (mut few, mut all) = (0, 0);
        let mut seen = std::collections::BTreeSet::new();
        for kinds in chapters(&mix(), 300 * CHAPTER, 1) {
            assert!(kinds.iter().any(|kind| kind.topples_leaders()));
            match kinds.len() {
                1..=FEW => {
                    seen.extend(kinds);
                    few += 1;
                }
                _ => {
                    assert_eq!(kinds, mix());
                    all += 1;
                }
            }
        }
        assert!(few > 180 && all > 50, "{few} and {all}");
        assert_eq!(seen, mix().into_iter().collect());
        assert_eq!(chapters(&[NemesisKind::Kill, NemesisKind::Pause], CHAPTER, 3)[0].len(), 2);
    }

    #[test]
    fn no_kinds_no_lanes() {
        assert!(plan(&[], false, HALF_MINUTE, 1).is_empty());
    }
}
