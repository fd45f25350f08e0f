//! An append-only list over interned elements.

use std::sync::Arc;

use super::Model;

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
