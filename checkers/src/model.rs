//! What a history is judged against.
//!
//! ```text
//!   ModelSpec (a name and an initial value) ──> a sequential model: State, step(state, call) -> Option<State>
//!                                                   register::Register   read, write, cas
//!                                                   list::List           append, read of the whole list
//!                                                   text::Text           get, put, append
//! ```
//!
//! A model is data and pure functions, as in Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), section 2.

use serde::{Deserialize, Serialize};

use crate::history::Value;

pub(crate) mod list;
pub(crate) mod register;
pub(crate) mod text;

/// A sequential specification by name, with its initial state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Which model.
    pub model: ModelKind,
    /// The state every object starts in.
    pub initial: Value,
}

/// The models that can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// A register: read, write.
    Register,
    /// A register with compare-and-set.
    CasRegister,
    /// A list: append, read of the whole list.
    ListAppend,
    /// A text per key: read (get), write (put), append (concatenates).
    KeyValue,
}

/// A sequential object: the only thing that the searches know about what they judge.
///
/// A `Call` is an action together with its completion, values already interned. A call whose outcome is unknown is the
/// call as if it had succeeded: the other possibility, that nothing happened, is the search's to try.
pub(crate) trait Model: Sync {
    /// The object's state.
    type State: Clone + Eq + std::hash::Hash + Send;
    /// What was asked for and answered.
    type Call: Clone + Eq + std::hash::Hash + Send + Sync;

    /// The state the object starts in.
    fn initial(&self) -> Self::State;

    /// The state after `call`, or `None` when `call` cannot end this way in `state`.
    fn step(&self, state: &Self::State, call: &Self::Call) -> Option<Self::State>;

    /// True when `call` can end this way in `state`. Worth writing where [`Model::step`] is slow.
    fn allows(&self, state: &Self::State, call: &Self::Call) -> bool {
        self.step(state, call).is_some()
    }

    /// True when `call` never changes any state: it may then be placed as soon as it is possible.
    fn is_read(&self, call: &Self::Call) -> bool;

    /// True when `call` is possible in every state and the state after it does not depend on the state before.
    fn is_blind(&self, call: &Self::Call) -> bool;

    /// Bytes that `state` holds beyond its own size, for the memory budget.
    fn heap_bytes(&self, state: &Self::State) -> usize;
}
