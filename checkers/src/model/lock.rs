//! A lock that knows its owner.
//!
//! ```text
//!   free ── acquire by a ──> held by a ── release by a ──> free        nothing else is possible: a second acquire waits or fails
//! ```
//!
//! It is not reentrant. A refused acquire or release is a failed operation and says nothing.

use super::{Model, Numbers, entry};
use crate::history::{Action, Completion, Value};
use crate::key::KeyHistory;
use crate::search::Problem;

/// A lock, by who holds it at first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lock {
    pub(crate) initial: Option<u32>,
}

/// What was asked of a lock, and done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// This owner got it.
    Acquire(u32),
    /// This owner gave it back.
    Release(u32),
}

impl Model for Lock {
    /// Who holds it.
    type State = Option<u32>;
    type Call = Call;

    fn initial(&self) -> Option<u32> {
        self.initial
    }

    fn step(&self, state: &Option<u32>, call: &Call) -> Option<Option<u32>> {
        match *call {
            Call::Acquire(owner) => state.is_none().then_some(Some(owner)),
            Call::Release(owner) => (*state == Some(owner)).then_some(None),
        }
    }

    fn is_read(&self, _: &Call) -> bool {
        false
    }

    fn is_blind(&self, _: &Call) -> bool {
        false
    }

    fn heap_bytes(&self, _: &Option<u32>) -> usize {
        0
    }
}

/// One key's operations on a lock.
pub(crate) fn problem(key: KeyHistory<'_>, initial: &Value) -> Problem<Lock> {
    let mut numbers = Numbers::default();
    let initial = (!initial.is_nil()).then(|| numbers.of(initial));
    let entries = key.operations().filter_map(|(index, operation)| {
        let call = match (operation.action, operation.completion) {
            (Action::Acquire(owner), Completion::Ok(_) | Completion::Info) => {
                Call::Acquire(numbers.of(key.value(owner)))
            }
            (Action::Release(owner), Completion::Ok(_) | Completion::Info) => {
                Call::Release(numbers.of(key.value(owner)))
            }
            _ => return None,
        };
        Some(entry(index, operation, call))
    });
    Problem::new(Lock { initial }, entries.collect())
}
