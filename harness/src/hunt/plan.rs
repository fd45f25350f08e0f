//! What is hunted, and in which order. Pure.
//!
//! ```text
//!   Selection ──> [Target]   mutants with their scenarios; or correct builds, one for each distinct scenario, and decoys
//!                    └──> [Job { target, seed }]   the first seed of all targets, then the second, …
//! ```

use std::time::Duration;

use nodes::{
    mutants::{self, Rating},
    protocol::ProtocolKind,
};
use results::hunt::Quarry;

use super::{
    glob::Glob,
    scenario::{self, SETTINGS, Scenario},
};

/// What to hunt.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Of these systems.
    pub systems: Vec<ProtocolKind>,
    /// By these names.
    pub names: Glob,
    /// Mutants and decoys of these ratings.
    pub ratings: Vec<Rating>,
    /// Correct builds and decoys instead of mutants.
    pub correct: bool,
    /// With the mix of everything instead of each target's own scenario.
    pub generic: bool,
    /// How long each run has, if not as its rating says.
    pub budget: Option<Duration>,
}

/// One thing that is hunted.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name in reports, and its directory's.
    pub name: String,
    /// What it is.
    pub quarry: Quarry,
    /// Its system.
    pub protocol: ProtocolKind,
    /// The mutant that is switched on.
    pub mutant: Option<&'static str>,
    /// Its own scenario.
    pub scenario: Scenario,
    /// Whether the generic mix takes the scenario's place.
    pub generic: bool,
    /// How long a run has.
    pub budget: Duration,
}

impl Target {
    /// The arguments of `trueline run` for this seed.
    #[must_use]
    pub fn arguments(&self, seed: u64) -> Vec<String> {
        let scenario = if self.generic { self.scenario.generic(seed) } else { self.scenario };
        scenario.arguments(self.protocol, self.mutant)
    }

    /// The command line of its runs, but for seed and time.
    #[must_use]
    pub fn command(&self) -> String {
        format!("trueline run {}", self.arguments(1).join(" "))
    }
}

/// How long a run may take to find something, by rating.
#[must_use]
pub fn budget(quarry: Quarry) -> Duration {
    Duration::from_secs(match quarry {
        Quarry::Easy | Quarry::Decoy | Quarry::Correct => 20,
        Quarry::Medium => 90,
        Quarry::Hard => 300,
    })
}

/// What a rating makes of a mutant.
#[must_use]
pub fn quarry(rating: Rating) -> Quarry {
    match rating {
        Rating::Decoy => Quarry::Decoy,
        Rating::Easy => Quarry::Easy,
        Rating::Medium => Quarry::Medium,
        Rating::Hard => Quarry::Hard,
    }
}

impl Selection {
    /// Everything that is selected.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let all = self.systems.iter().flat_map(|&protocol| {
            let mut targets = if self.correct { self.correct_builds(protocol) } else { self.mutants(protocol) };
            if self.correct || self.ratings.contains(&Rating::Decoy) {
                targets.extend(self.settings(protocol));
            }
            targets
        });
        all.filter(|target| self.names.matches(&target.name)).collect()
    }

    fn target(
        &self,
        name: String,
        quarry: Quarry,
        protocol: ProtocolKind,
        mutant: Option<&'static str>,
        scenario: Scenario,
    ) -> Target {
        let budget = self.budget.unwrap_or_else(|| budget(quarry));
        Target { name, quarry, protocol, mutant, scenario, generic: self.generic, budget }
    }

    /// The mutants, and of decoys those that are one.
    fn mutants(&self, protocol: ProtocolKind) -> Vec<Target> {
        let wanted =
            mutants::all().filter(|mutant| mutant.protocol == protocol && self.ratings.contains(&mutant.rating));
        wanted
            .map(|mutant| {
                let scenario = scenario::of(mutant.id);
                self.target(mutant.id.to_owned(), quarry(mutant.rating), protocol, Some(mutant.id), scenario)
            })
            .collect()
    }

    /// The correct build in every situation in which a mutant is looked for; and the mutants that are decoys.
    fn correct_builds(&self, protocol: ProtocolKind) -> Vec<Target> {
        let mut distinct: Vec<Scenario> = Vec::new();
        for mutant in mutants::all().filter(|mutant| mutant.protocol == protocol) {
            let scenario = scenario::of(mutant.id);
            // All that the generic mix takes of a scenario is its set-up.
            let same = |other: &Scenario| if self.generic { other.setup == scenario.setup } else { *other == scenario };
            if !distinct.iter().any(same) {
                distinct.push(scenario);
            }
        }
        let name = |number| format!("{protocol}-correct-{number}", protocol = protocol.name());
        let correct = (1..).zip(distinct).map(|(number, scenario): (u32, Scenario)| {
            self.target(name(number), Quarry::Correct, protocol, None, scenario)
        });
        let decoys = Self { ratings: vec![Rating::Decoy], ..self.clone() };
        correct.chain(decoys.mutants(protocol)).collect()
    }

    /// The decoys that are settings of the correct build.
    fn settings(&self, protocol: ProtocolKind) -> Vec<Target> {
        let settings = SETTINGS.into_iter().map(|(name, scenario)| {
            let name = format!("{}-{name}", protocol.name());
            // With other faults it would be another decoy.
            Target { generic: false, ..self.target(name, Quarry::Decoy, protocol, None, scenario) }
        });
        settings.collect()
    }
}

/// A run to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Which of the targets.
    pub target: usize,
    /// With which seed.
    pub seed: u64,
}

/// Every run of a hunt, seed by seed: whatever interrupts it, each target has had its turn as often as any other.
#[must_use]
pub fn jobs(targets: usize, first_seed: u64, seeds: u32) -> Vec<Job> {
    let of_all = |seed| (0..targets).map(move |target| Job { target, seed });
    (first_seed..first_seed.saturating_add(u64::from(seeds))).flat_map(of_all).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all() -> Selection {
        Selection {
            systems: ProtocolKind::ALL.into(),
            names: "*".parse().expect("a pattern"),
            ratings: Rating::ALL.into(),
            correct: false,
            generic: false,
            budget: None,
        }
    }

    #[test]
    fn a_selection_of_everything_has_every_mutant_once() {
        let targets = all().targets();
        let names: BTreeSet<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        assert_eq!(names.len(), targets.len());
        for mutant in mutants::all() {
            let target = targets.iter().find(|target| target.mutant == Some(mutant.id)).expect("it is there");
            assert_eq!((target.quarry, target.protocol), (quarry(mutant.rating), mutant.protocol));
            assert_eq!(target.budget, budget(target.quarry));
        }
        assert_eq!(targets.len(), mutants::all().count() + SETTINGS.len() * ProtocolKind::ALL.len());
    }

    #[test]
    fn names_ratings_and_systems_narrow_it() {
        let one = Selection { names: "raft-read-any-*".parse().expect("a pattern"), ..all() }.targets();
        assert_eq!(one.iter().map(|target| target.name.as_str()).collect::<Vec<_>>(), ["raft-read-any-node"]);
        let easy = Selection { ratings: vec![Rating::Easy], ..all() }.targets();
        assert!(!easy.is_empty() && easy.iter().all(|target| target.quarry == Quarry::Easy));
        let raft = Selection { systems: vec![ProtocolKind::Raft], ..all() }.targets();
        assert!(raft.iter().all(|target| target.protocol == ProtocolKind::Raft));
        let short = Selection { budget: Some(Duration::from_secs(3)), ..all() }.targets();
        assert!(short.iter().all(|target| target.budget == Duration::from_secs(3)));
    }

    #[test]
    fn correct_builds_have_no_bug_and_every_scenario() {
        let targets = Selection { correct: true, ..all() }.targets();
        for target in &targets {
            assert!(!target.quarry.is_mutant(), "{}", target.name);
            assert!(target.mutant.is_none() || target.quarry == Quarry::Decoy, "{}", target.name);
        }
        for mutant in mutants::all() {
            let scenario = scenario::of(mutant.id);
            let soaked = targets.iter().any(|target| {
                target.quarry == Quarry::Correct && target.scenario == scenario && target.protocol == mutant.protocol
            });
            assert!(soaked, "no correct build meets the scenario of {}", mutant.id);
        }
        let names: BTreeSet<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        assert_eq!(names.len(), targets.len());
    }

    #[test]
    fn seeds_come_one_after_the_other() {
        let order: Vec<(usize, u64)> = jobs(2, 7, 2).into_iter().map(|job| (job.target, job.seed)).collect();
        assert_eq!(order, [(0, 7), (1, 7), (0, 8), (1, 8)]);
    }
}
