//! The workloads by name, and the model that judges each.

use std::{fmt, str::FromStr};

use checkers::{
    history::Value,
    model::{ModelKind, ModelSpec},
};
use serde::{Deserialize, Serialize};

use crate::generator::Mix;

/// A workload. What each is good for stands in `docs/workloads.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadKind {
    /// Registers by key: read, write, compare-and-set.
    Register,
    /// Lists by key: append one element, read the whole list.
    Append,
    /// Counters by key: add a number, read the sum.
    Counter,
    /// Sets by key: add one element, read the whole set.
    Set,
    /// Registers by key that only compare-and-sets change, each from the value seen last to a fresh one: a chain.
    CasChain,
    /// First-in-first-out queues by key: enqueue, dequeue.
    Queue,
    /// Locks by key: acquire, release.
    Lock,
}

impl WorkloadKind {
    /// Every workload.
    pub const ALL: [Self; 7] =
        [Self::Register, Self::Append, Self::Counter, Self::Set, Self::CasChain, Self::Queue, Self::Lock];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Append => "append",
            Self::Counter => "counter",
            Self::Set => "set",
            Self::CasChain => "cas-chain",
            Self::Queue => "queue",
            Self::Lock => "lock",
        }
    }

    /// What its histories are judged against. Keys start absent.
    #[must_use]
    pub fn model(self) -> ModelSpec {
        let model = match self {
            Self::Register | Self::CasChain => ModelKind::CasRegister,
            Self::Append => ModelKind::ListAppend,
            Self::Counter => ModelKind::Counter,
            Self::Set => ModelKind::Set,
            Self::Queue => ModelKind::Queue,
            Self::Lock => ModelKind::Lock,
        };
        ModelSpec { model, initial: Value::Nil }
    }

    /// The usual mix of operations of clients that do not only read.
    #[must_use]
    pub fn mix(self) -> Mix {
        match self {
            Self::Register => Mix { reads: 30, writes: 45, cas: 25 },
            Self::Append | Self::Counter | Self::Set => Mix { reads: 30, writes: 70, cas: 0 },
            Self::CasChain => Mix { reads: 30, writes: 0, cas: 70 },
            Self::Queue => Mix { reads: 50, writes: 50, cas: 0 },
            Self::Lock => Mix { reads: 0, writes: 100, cas: 0 },
        }
    }

    /// How many operations go to a key before fresh ones take over. Lists and sets are read whole, so that reads cost the square;
    /// counters, and queues of which a dequeue was not answered, are decided by searches, which like short histories.
    #[must_use]
    pub fn ops_per_key(self) -> u32 {
        match self {
            Self::Register => 1_000,
            Self::Append | Self::Set | Self::CasChain => 300,
            Self::Counter | Self::Queue | Self::Lock => 100,
        }
    }

    /// What is done to every key at the end of a run.
    #[must_use]
    pub fn ending(self) -> Ending {
        match self {
            Self::Register | Self::Append | Self::Counter | Self::Set | Self::CasChain => Ending::Read,
            Self::Queue => Ending::Drain,
            Self::Lock => Ending::Leave,
        }
    }
}

/// What is done to every key at the end of a run, when all is healed: lost writes that nobody read show only there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is read, through every node.
    Read,
    /// It is taken from until nothing is left, through one node after the other.
    Drain,
    /// Nothing: it has no state that could be asked for.
    Leave,
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no workload's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no workload is called {0:?}; there are: {list}", list = WorkloadKind::ALL.map(WorkloadKind::name).join(", "))]
pub struct UnknownWorkload(pub String);

impl FromStr for WorkloadKind {
    type Err = UnknownWorkload;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| UnknownWorkload(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for kind in WorkloadKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "bank".parse::<WorkloadKind>().unwrap_err().to_string();
        for kind in WorkloadKind::ALL {
            assert!(error.contains(kind.name()), "{error}");
        }
    }

    #[test]
    fn each_is_judged_by_its_model_from_absent() {
        assert_eq!(WorkloadKind::Register.model(), ModelSpec { model: ModelKind::CasRegister, initial: Value::Nil });
        assert_eq!(WorkloadKind::Append.model(), ModelSpec { model: ModelKind::ListAppend, initial: Value::Nil });
        for kind in [WorkloadKind::Counter, WorkloadKind::Set, WorkloadKind::Queue, WorkloadKind::Lock] {
            assert_eq!(kind.model().model.name(), kind.name());
        }
    }
}
