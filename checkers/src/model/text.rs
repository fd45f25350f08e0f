//! A text that can be put, got and appended to.

use std::sync::Arc;

use super::Model;

/// A text, by what it starts with.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) initial: Arc<str>,
}

/// What was asked of a text, and answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// A get that returned this text.
    Get(Arc<str>),
    /// An overwrite.
    Put(Arc<str>),
    /// A concatenation at the end.
    Append(Arc<str>),
}

impl Model for Text {
    type State = Arc<str>;
    type Call = Call;

    fn initial(&self) -> Arc<str> {
        Arc::clone(&self.initial)
    }

    fn step(&self, state: &Arc<str>, call: &Call) -> Option<Arc<str>> {
        match call {
            Call::Get(text) => (state == text).then(|| Arc::clone(state)),
            Call::Put(text) => Some(Arc::clone(text)),
            Call::Append(text) => Some(format!("{state}{text}").into()),
        }
    }

    fn allows(&self, state: &Arc<str>, call: &Call) -> bool {
        match call {
            Call::Get(text) => state == text,
            Call::Put(_) | Call::Append(_) => true,
        }
    }

    fn is_read(&self, call: &Call) -> bool {
        matches!(call, Call::Get(_))
    }

    fn is_blind(&self, call: &Call) -> bool {
        matches!(call, Call::Put(_))
    }

    fn heap_bytes(&self, state: &Arc<str>) -> usize {
        16 + state.len()
    }
}
