//! The catalogue of mutants: correctness bugs that can be switched on by name in one process, each replacing exactly one rule.
//! For testing the harness only; the correct build has none switched on.
//!
//! ```text
//!   protocol/raft/mutants.rs ──────┐
//!   protocol/multi_paxos/mutants.rs├──> all() ──> `--mutant ID`, `--list-mutants`, docs/mutants.md, `trueline hunt`
//!   protocol/zab/mutants.rs ───────┘
//! ```
//!
//! A mutant is data: what is wrong, which rule that breaks, and where such a bug was met or is warned of. The rule itself asks the
//! process's [`Switch`] which way to decide.

use std::{fmt, str::FromStr};

use crate::protocol::{ProtocolKind, multi_paxos, raft, zab};

/// A mutant of the catalogue. Two are equal when their names are.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// The name on the command line.
    pub id: &'static str,
    /// Whose rule it replaces.
    pub protocol: ProtocolKind,
    /// How hard it is to find; or that it breaks no promise at all.
    pub rating: Rating,
    /// What is wrong.
    pub bug: &'static str,
    /// The rule that is broken, with its place in the literature.
    pub rule: &'static str,
    /// What clients see of it.
    pub seen_as: &'static str,
    /// Where such a bug was met, or who warns of it.
    pub source: &'static str,
}

/// How much fault time it takes to find a mutant from the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rating {
    /// Costs liveness at most: no history may be called wrong because of it.
    Decoy,
    /// Seconds.
    Easy,
    /// Up to a minute.
    Medium,
    /// Minutes.
    Hard,
}

impl Rating {
    /// Every rating.
    pub const ALL: [Self; 4] = [Self::Decoy, Self::Easy, Self::Medium, Self::Hard];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Decoy => "decoy",
            Self::Easy => "easy",
            Self::Medium => "medium",
            Self::Hard => "hard",
        }
    }
}

impl fmt::Display for Rating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl PartialEq for Mutant {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Mutant {}

/// Every mutant, protocol by protocol.
pub fn all() -> impl Iterator<Item = Mutant> {
    raft::mutants::ALL.iter().chain(multi_paxos::mutants::ALL).chain(zab::mutants::ALL).copied()
}

/// A name that is no mutant's.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no mutant is called {0:?}")]
pub struct UnknownMutant(pub String);

impl FromStr for Mutant {
    type Err = UnknownMutant;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        all().find(|m| m.id == id).ok_or_else(|| UnknownMutant(id.to_owned()))
    }
}

/// Which way the rules of this process decide: all right, or one of them wrong.
#[derive(Clone, Debug)]
pub struct Switch {
    mutant: Option<Mutant>,
    fired: u64,
}

impl Switch {
    /// The switch of a process with this mutant, if any.
    #[must_use]
    pub fn new(mutant: Option<Mutant>) -> Self {
        Self { mutant, fired: 0 }
    }

    /// How often the mutated rule decided otherwise than the correct one.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.fired
    }

    /// Whether one rule is wrong here, so that what the others guarantee need not hold.
    #[must_use]
    pub fn is_mutated(&self) -> bool {
        self.mutant.is_some_and(|m| m.rating != Rating::Decoy)
    }

    /// Whether this mutant is switched on.
    #[must_use]
    pub fn is_on(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// The decision: the right one, or, where `mutant` is switched on, the wrong one. Counts where they differ.
    pub fn decide<T: PartialEq>(&mut self, mutant: Mutant, right: T, wrong: impl FnOnce() -> T) -> T {
        if !self.is_on(mutant) {
            return right;
        }
        let wrong = wrong();
        self.fired += u64::from(right != wrong);
        wrong
    }

    /// Counts a wrong decision that [`Switch::decide`] cannot see.
    pub fn fire(&mut self) {
        self.fired += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_lead_back() {
        let ids: BTreeSet<_> = all().map(|m| m.id).collect();
        assert_eq!(ids.len(), all().count());
        for mutant in all() {
            assert_eq!(mutant.id.parse::<Mutant>().expect("known"), mutant);
            for text in [mutant.bug, mutant.rule, mutant.seen_as, mutant.source] {
                assert!(!text.is_empty(), "{}", mutant.id);
            }
        }
        assert!("raft-no-such-mutant".parse::<Mutant>().is_err());
    }
}
