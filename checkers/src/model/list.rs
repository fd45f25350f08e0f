//! An append-only list over interned elements.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::{Model, Numbers, elements, entry};
use crate::history::{Action, Completion, Value};
use crate::key::KeyHistory;
use crate::search::Problem;

/// A list, by the elements it starts with.
#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) initial: Arc<[u32]>,
}

/// What was asked of a list, and answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// An element at the end.
    Append(u32),
    /// A read that returned this list.
    Read(Arc<[u32]>),
}

impl Model for List {
    type State = Arc<[u32]>;
    type Call = Call;

    fn initial(&self) -> Arc<[u32]> {
        Arc::clone(&self.initial)
    }

    fn step(&self, state: &Arc<[u32]>, call: &Call) -> Option<Arc<[u32]>> {
        match call {
            Call::Append(element) => Some(state.iter().copied().chain([*element]).collect()),
            Call::Read(list) => (state == list).then(|| Arc::clone(state)),
        }
    }

    fn allows(&self, state: &Arc<[u32]>, call: &Call) -> bool {
        match call {
            Call::Append(_) => true,
            Call::Read(list) => state == list,
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

/// One key's operations on a list.
///
/// An append of unknown outcome whose element no read holds is left out: a list only grows, so in any order that has it, it comes
/// after all reads.
pub(crate) fn problem(key: KeyHistory<'_>, initial: &Value) -> Problem<List> {
    let mut numbers = Numbers::default();
    let initial = numbers.all(elements(initial));
    let mut entries = Vec::with_capacity(key.places.len());
    let mut read = FxHashSet::default();
    for (index, operation) in key.operations() {
        if let (Action::Read, Completion::Ok(Some(seen))) = (operation.action, operation.completion) {
            let list = numbers.all(elements(key.value(seen)));
            read.extend(list.iter().copied());
            entries.push(entry(index, operation, Call::Read(list)));
        }
    }
    for (index, operation) in key.operations() {
        if let (Action::Append(new), Completion::Ok(_) | Completion::Info) = (operation.action, operation.completion) {
            let element = numbers.of(key.value(new));
            if !operation.is_unknown() || read.contains(&element) {
                entries.push(entry(index, operation, Call::Append(element)));
            }
        }
    }
    Problem::new(List { initial }, entries)
}
