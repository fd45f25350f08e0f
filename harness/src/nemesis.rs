//! Breaking things on purpose: which faults a run may suffer, when, and to whom.
//!
//! ```text
//!   seed, kinds ──> plan ──> [Planned { at, fault }] ──> lanes ──> steps ──> cluster, links
//!                   pure       targets by role            │ resolve against the roles of that moment
//!                                                         └──> schedule.jsonl (as carried out)
//! ```
//!
//! A fault is a short script of steps whose last ones undo the first. Whatever interrupts a lane, the run heals everything.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub mod fault;
pub mod lane;
pub mod plan;
pub mod schedule;

/// A family of faults that can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NemesisKind {
    /// Cut links between nodes: halves, one node, a ring, a bridge, the leader, one direction only.
    Partition,
    /// `kill -9` and start again: what was not synced is lost.
    Kill,
    /// Stop the process for a while and let it go on (SIGSTOP, SIGCONT).
    Pause,
    /// Power off a majority or all: unsynced data is gone, the last write may be torn.
    Power,
    /// Cut a minority of followers off from the leader, then kill it: will a node that missed writes be elected?
    StaleCandidate,
}

impl NemesisKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Partition, Self::Kill, Self::Pause, Self::Power, Self::StaleCandidate];

    /// What `all` stands for.
    pub const MIX: [Self; 4] = [Self::Partition, Self::Kill, Self::Pause, Self::Power];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Power => "power",
            Self::StaleCandidate => "stale-candidate",
        }
    }
}

impl fmt::Display for NemesisKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was asked for with `--nemesis`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Nemeses {
    /// Leave everything alone.
    None,
    /// The mix of every kind that the system can suffer.
    All,
    /// Just these.
    These(Vec<NemesisKind>),
}

/// A `--nemesis` that cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NemesisError {
    /// No such name.
    #[error(
        "no nemesis is called {0:?}; there are none, all, and any list of partition, kill, pause, power, stale-candidate (n2)"
    )]
    Unknown(String),
    /// `none` or `all` in a list.
    #[error("{0:?} stands alone; it cannot be part of a list")]
    NotInList(String),
}

impl FromStr for Nemeses {
    type Err = NemesisError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => return Ok(Self::None),
            "all" => return Ok(Self::All),
            _ => {}
        }
        let mut kinds = Vec::new();
        for name in text.split(',').map(str::trim) {
            if matches!(name, "none" | "all") {
                return Err(NemesisError::NotInList(name.to_owned()));
            }
            let kind = NemesisKind::ALL
                .into_iter()
                .find(|kind| kind.name() == name || (name == "n2" && *kind == NemesisKind::StaleCandidate))
                .ok_or_else(|| NemesisError::Unknown(name.to_owned()))?;
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        Ok(Self::These(kinds))
    }
}

impl fmt::Display for Nemeses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::All => f.write_str("all"),
            Self::These(kinds) => {
                let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for text in ["none", "all", "partition", "kill,pause", "stale-candidate"] {
            assert_eq!(text.parse::<Nemeses>().unwrap().to_string(), text);
        }
        assert_eq!("n2".parse(), Ok(Nemeses::These(vec![NemesisKind::StaleCandidate])));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!("kil".parse::<Nemeses>(), Err(NemesisError::Unknown("kil".into())));
        assert_eq!("kill,all".parse::<Nemeses>(), Err(NemesisError::NotInList("all".into())));
        assert!("".parse::<Nemeses>().is_err());
    }
}
