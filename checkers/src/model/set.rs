//! A set that only grows, over numbered elements.
//!
//! ```text
//!   {} ── add 3 ──> {3} ── add 1 ──> {1, 3} ── add 3 ──> {1, 3}        a read returns the whole set, in any order
//! ```

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::{Model, Numbers, elements, entry};
use crate::history::{Action, Completion, Value};
use crate::key::KeyHistory;
use crate::search::Problem;

/// A set, by the elements it starts with.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    /// Ascending.
    pub(crate) initial: Arc<[u32]>,
}

/// What was asked of a set, and answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// An element in.
    Add(u32),
    /// A read that returned these, ascending.
    Read(Arc<[u32]>),
}

impl Model for Set {
    /// Ascending.
    type State = Arc<[u32]>;
    type Call = Call;

    fn initial(&self) -> Arc<[u32]> {
        Arc::clone(&self.initial)
    }

    fn step(&self, state: &Arc<[u32]>, call: &Call) -> Option<Arc<[u32]>> {
        match call {
            Call::Add(element) => Some(match state.binary_search(element) {
                Ok(_) => Arc::clone(state),
                Err(place) => state[..place].iter().chain([element]).chain(&state[place..]).copied().collect(),
            }),
            Call::Read(set) => (state == set).then(|| Arc::clone(state)),
        }
    }

    fn is_read(&self, call: &Call) -> bool {
        matches!(call, Call::Read(_))
    }

    fn is_blind(&self, _: &Call) -> bool {
        false
    }

    fn heap_bytes(&self, state: &Arc<[u32]>) -> usize {
        16 + size_of_val::<[u32]>(state)
    }
}

/// One key's operations on a set.
///
/// An addition of unknown outcome whose element no read holds is left out: sets only grow, so in any order that has it, it comes
/// after all reads.
pub(crate) fn problem(key: KeyHistory<'_>, initial: &Value) -> Problem<Set> {
    let mut numbers = Numbers::default();
    let initial = numbers.ascending(elements(initial));
    let mut entries = Vec::with_capacity(key.places.len());
    let mut read = FxHashSet::default();
    for (index, operation) in key.operations() {
        if let (Action::Read, Completion::Ok(Some(seen))) = (operation.action, operation.completion) {
            let set = numbers.ascending(elements(key.value(seen)));
            read.extend(set.iter().copied());
            entries.push(entry(index, operation, Call::Read(set)));
        }
    }
    for (index, operation) in key.operations() {
        if let (Action::Add(new), Completion::Ok(_) | Completion::Info) = (operation.action, operation.completion) {
            let element = numbers.of(key.value(new));
            if !operation.is_unknown() || read.contains(&element) {
                entries.push(entry(index, operation, Call::Add(element)));
            }
        }
    }
    Problem::new(Set { initial }, entries)
}
