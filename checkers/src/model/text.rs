//! One key of a map from keys to texts: get, put, append, compare-and-set, delete.
//!
//! ```text
//!   absent ── put "a" ──> "a" ── append "b" ──> "ab" ── cas "ab" "c" ──> "c" ── delete ──> absent ── append "d" ──> "d"
//! ```
//!
//! An object that starts as the empty text knows no difference between that and an absent key. To any other the two are two states.

use std::sync::Arc;

use super::{Model, entry};
use crate::history::{Action, Completion, Operation, Value, ValueId};
use crate::key::KeyHistory;
use crate::search::Problem;

/// A text, or none where the key is absent.
pub(crate) type MaybeText = Option<Arc<str>>;

/// A key, by the text it starts with.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) initial: MaybeText,
    /// The empty text is no text.
    pub(crate) empty_is_absent: bool,
}

/// What was asked of a key, and answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// A get that returned this.
    Get(MaybeText),
    /// An overwrite. A deletion is one with nothing.
    Put(MaybeText),
    /// A concatenation at the end; to an absent key, a put.
    Append(Arc<str>),
    /// A compare-and-set that won.
    Cas {
        /// What was there.
        old: MaybeText,
        /// What is there from then on.
        new: MaybeText,
    },
    /// A compare-and-set that was answered "not equal": this was not there.
    NotEqual(MaybeText),
    /// A compare-and-set that was answered "not equal" because it saw the very text that it expected.
    Impossible,
}

impl Text {
    /// An object that starts as this value.
    pub(crate) fn new(initial: &Value) -> Self {
        let empty_is_absent = matches!(initial, Value::Text(text) if text.is_empty());
        let mut model = Self { initial: None, empty_is_absent };
        model.initial = model.text(initial);
        model
    }

    fn text(&self, value: &Value) -> MaybeText {
        match value {
            Value::Text(text) if !(self.empty_is_absent && text.is_empty()) => Some(text.as_str().into()),
            _ => None,
        }
    }

    /// What the operation asked and was answered; none when that constrains nothing.
    fn call(&self, key: KeyHistory<'_>, operation: &Operation<ValueId>) -> Option<Call> {
        let text = |id: ValueId| self.text(key.value(id));
        Some(match (operation.action, operation.completion) {
            (_, Completion::Fail) => return None,
            (Action::Read, Completion::Ok(Some(seen))) => Call::Get(text(seen)),
            (Action::Write(new), _) => Call::Put(text(new)),
            (Action::Delete, _) => Call::Put(None),
            (Action::Append(more), _) => Call::Append(text(more).unwrap_or_default()),
            (Action::Cas { old, .. }, Completion::Mismatch { observed: None }) => Call::NotEqual(text(old)),
            (Action::Cas { old, .. }, Completion::Mismatch { observed: Some(seen) }) => {
                if text(old) == text(seen) {
                    Call::Impossible
                } else {
                    Call::Get(text(seen))
                }
            }
            (Action::Cas { old, new }, _) => Call::Cas { old: text(old), new: text(new) },
            _ => return None,
        })
    }
}

impl Model for Text {
    type State = MaybeText;
    type Call = Call;

    fn initial(&self) -> MaybeText {
        self.initial.clone()
    }

    fn step(&self, state: &MaybeText, call: &Call) -> Option<MaybeText> {
        match call {
            Call::Get(text) => (state == text).then(|| state.clone()),
            Call::Put(text) => Some(text.clone()),
            Call::Append(more) if more.is_empty() && (state.is_some() || self.empty_is_absent) => Some(state.clone()),
            Call::Append(more) => Some(Some(format!("{}{more}", state.as_deref().unwrap_or_default()).into())),
            Call::Cas { old, new } => (state == old).then(|| new.clone()),
            Call::NotEqual(text) => (state != text).then(|| state.clone()),
            Call::Impossible => None,
        }
    }

    fn is_read(&self, call: &Call) -> bool {
        match call {
            Call::Get(_) | Call::NotEqual(_) | Call::Impossible => true,
            Call::Cas { old, new } => old == new,
            Call::Put(_) | Call::Append(_) => false,
        }
    }

    fn is_blind(&self, call: &Call) -> bool {
        matches!(call, Call::Put(_))
    }

    fn heap_bytes(&self, state: &MaybeText) -> usize {
        state.as_ref().map_or(0, |text| 16 + text.len())
    }
}

/// One key's operations on a text.
pub(crate) fn problem(key: KeyHistory<'_>, initial: &Value) -> Problem<Text> {
    let model = Text::new(initial);
    let entries = key
        .operations()
        .filter_map(|(index, operation)| Some(entry(index, operation, model.call(key, operation)?)))
        .collect();
    Problem::new(model, entries)
}
