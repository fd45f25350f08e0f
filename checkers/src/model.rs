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
/// A model of your own is a type with this trait; [`check_calls`](crate::check_calls) judges calls against it:
///
/// ```
/// use checkers::model::Model;
/// use checkers::{Answer, CheckOptions, Timed, check_calls};
///
/// /// A stack of numbers.
/// struct Stack;
///
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// enum Call {
///     Push(u32),
///     /// With what it returned: nothing when the stack was empty.
///     Pop(Option<u32>),
/// }
///
/// impl Model for Stack {
///     type State = Vec<u32>;
///     type Call = Call;
///
///     fn initial(&self) -> Vec<u32> {
///         Vec::new()
///     }
///
///     fn step(&self, state: &Vec<u32>, call: &Call) -> Option<Vec<u32>> {
///         match call {
///             Call::Push(number) => Some([state.as_slice(), &[*number]].concat()),
///             Call::Pop(seen) => (state.last() == seen.as_ref()).then(|| state[..state.len().max(1) - 1].to_vec()),
///         }
///     }
/// }
///
/// let at = |invoke, ret, call| Timed { call, invoke, ret: Some(ret) };
/// let mut calls = vec![at(0, 10, Call::Push(1)), at(5, 15, Call::Push(2)), at(20, 30, Call::Pop(Some(1)))];
/// let answer = check_calls(&Stack, calls.clone(), &CheckOptions::default()).unwrap();
/// assert!(matches!(answer, Answer::Valid(order) if order == [1, 0, 2]));
/// calls.push(at(40, 50, Call::Pop(Some(1))));
/// let answer = check_calls(&Stack, calls, &CheckOptions::default()).unwrap();
/// assert!(matches!(answer, Answer::Invalid(stuck) if stuck.call == 3));
/// ```
///
/// A `Call` is what was asked for, together with what was answered. A call whose outcome is unknown is the
/// call as if it had succeeded: the other possibility, that nothing happened, is the search's to try.
pub trait Model: Sync {
    /// The object's state. Equal states must behave alike.
    type State: Clone + Eq + std::hash::Hash + Send;
    /// What was asked for and answered. Equal calls must behave alike.
    type Call: Clone + Eq + std::hash::Hash + Send + Sync;

    /// The state the object starts in.
    fn initial(&self) -> Self::State;

    /// The state after `call`, or `None` when `call` cannot end this way in `state`.
    fn step(&self, state: &Self::State, call: &Self::Call) -> Option<Self::State>;

    /// True when `call` can end this way in `state`. Worth writing where [`Model::step`] is slow.
    fn allows(&self, state: &Self::State, call: &Self::Call) -> bool {
        self.step(state, call).is_some()
    }

    /// True when `call` never changes any state: it may then be placed as soon as it is possible. Saying so saves much
    /// searching; saying so wrongly makes verdicts wrong.
    fn is_read(&self, call: &Self::Call) -> bool {
        let _ = call;
        false
    }

    /// True when `call` is possible in every state and the state after it does not depend on the state before. Saying so saves
    /// much searching; saying so wrongly makes verdicts wrong.
    fn is_blind(&self, call: &Self::Call) -> bool {
        let _ = call;
        false
    }

    /// Bytes that `state` holds beyond its own size, for the memory budget.
    fn heap_bytes(&self, state: &Self::State) -> usize {
        let _ = state;
        0
    }
}

impl<M: Model> Model for &M {
    type State = M::State;
    type Call = M::Call;

    fn initial(&self) -> M::State {
        (**self).initial()
    }

    fn step(&self, state: &M::State, call: &M::Call) -> Option<M::State> {
        (**self).step(state, call)
    }

    fn allows(&self, state: &M::State, call: &M::Call) -> bool {
        (**self).allows(state, call)
    }

    fn is_read(&self, call: &M::Call) -> bool {
        (**self).is_read(call)
    }

    fn is_blind(&self, call: &M::Call) -> bool {
        (**self).is_blind(call)
    }

    fn heap_bytes(&self, state: &M::State) -> usize {
        (**self).heap_bytes(state)
    }
}
