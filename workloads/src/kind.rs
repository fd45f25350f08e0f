//! The workloads by name, and the model that judges each.

use std::{fmt, str::FromStr};

use checkers::{
    history::Value,
    model::{ModelKind, ModelSpec},
};
use serde::{Deserialize, Serialize};

use crate::generator::Mix;

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkloadKind {
    /// Registers by key: read, write, compare-and-set.
    Register,
    /// Lists by key: append one element, read the whole list.
    Append,
}

impl WorkloadKind {
    /// Every workload.
    pub const ALL: [Self; 2] = [Self::Register, Self::Append];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Append => "append",
        }
    }

    /// What its histories are judged against. Keys start absent.
    #[must_use]
    pub fn model(self) -> ModelSpec {
        let model = match self {
            Self::Register => ModelKind::CasRegister,
            Self::Append => ModelKind::ListAppend,
        };
        ModelSpec { model, initial: Value::Nil }
    }

    /// The usual mix of operations of clients that do not only read.
    #[must_use]
    pub fn mix(self) -> Mix {
        match self {
            Self::Register => Mix { reads: 30, writes: 45, cas: 25 },
            Self::Append => Mix { reads: 30, writes: 70, cas: 0 },
        }
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no workload's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no workload is called {0:?}; there are: register, append")]
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
    }
}
