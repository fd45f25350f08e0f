//! What a history is judged against.
//!
//! ```text
//!   ModelSpec (a name and an initial value) ──> a sequential model: State, step(state, call) -> Option<State>
//!                                                   register::Register              read, write, cas
//!                                                   list::List                      append, read of the whole list
//!                                                   set::Set                        add, read of the whole set
//!                                                   counter::Counter                add of whole numbers, read of the sum
//!                                                   queue::Queue                    enqueue, dequeue
//!                                                   lock::Lock                      acquire, release
//!                                                   multi_register::MultiRegister   transactions
//!                                                   text::Text                      get, put, append, cas, delete
//! ```
//!
//! A model is data and pure functions, as in Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), section 2.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::history::{OpIndex, Operation, Value, ValueId};
use crate::search::Entry;

pub(crate) mod counter;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod multi_register;
pub(crate) mod queue;
pub(crate) mod register;
pub(crate) mod set;
pub(crate) mod text;

/// A sequential specification by name, with its initial state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// A register: read, write. Starts as any value.
    Register,
    /// A register with compare-and-set. Starts as any value.
    CasRegister,
    /// A list: append, read of the whole list. Starts as a list; nil is the empty one.
    ListAppend,
    /// A set that only grows: add, read of the whole set, whose elements may come in any order but each once. Starts as a list of its
    /// elements; nil is the empty set.
    Set,
    /// A counter: add of a whole number, which may be negative, and read of the sum. Starts as a whole number; nil is 0.
    Counter,
    /// A first-in-first-out queue: enqueue of anything but nil, dequeue, which may find it empty. Starts as a list, first value first;
    /// nil is the empty queue.
    Queue,
    /// A lock that is not reentrant: acquire where it is free, release by its owner. Starts as the owner; nil is free.
    Lock,
    /// Several registers and lists in one object, under transactions of read, write and append. Starts as a list of
    /// `[register, value]` pairs; nil is none. A register that is absent, nil or the empty list is in one and the same state.
    MultiRegister,
    /// A text per key: read (get), write (put), append (concatenates), compare-and-set, delete. Starts as a text or absent (nil). Where
    /// it starts as the empty text, that and absent are one state; else they are two. Appending to an absent key is putting.
    KeyValue,
}

impl ModelKind {
    /// Every model.
    pub const ALL: [Self; 9] = [
        Self::Register,
        Self::CasRegister,
        Self::ListAppend,
        Self::Set,
        Self::Counter,
        Self::Queue,
        Self::Lock,
        Self::MultiRegister,
        Self::KeyValue,
    ];

    /// Its name, as headers of histories and the command line have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::CasRegister => "cas-register",
            Self::ListAppend => "list-append",
            Self::Set => "set",
            Self::Counter => "counter",
            Self::Queue => "queue",
            Self::Lock => "lock",
            Self::MultiRegister => "multi-register",
            Self::KeyValue => "key-value",
        }
    }
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

/// Numbers for values: equal values have equal numbers, from 0 and without gaps.
#[derive(Debug, Default)]
pub(crate) struct Numbers<'h>(FxHashMap<&'h Value, u32>);

impl<'h> Numbers<'h> {
    pub(crate) fn of(&mut self, value: &'h Value) -> u32 {
        let next = u32::try_from(self.0.len()).expect("values are counted in u32");
        *self.0.entry(value).or_insert(next)
    }

    /// The numbers of these values, one by one.
    pub(crate) fn all(&mut self, values: &'h [Value]) -> Arc<[u32]> {
        values.iter().map(|value| self.of(value)).collect()
    }

    /// The numbers of these values in ascending order, each once.
    pub(crate) fn ascending(&mut self, values: &'h [Value]) -> Arc<[u32]> {
        let mut numbers: Vec<u32> = values.iter().map(|value| self.of(value)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A list as the history has it: absent is empty.
pub(crate) fn elements(value: &Value) -> &[Value] {
    match value {
        Value::List(elements) => elements,
        _ => &[],
    }
}

/// An operation for the searches.
pub(crate) fn entry<C>(index: OpIndex, operation: &Operation<ValueId>, call: C) -> Entry<C> {
    Entry { index, invoke: operation.invoke, ret: operation.ret, call }
}

#[cfg(test)]
mod tests {
    use super::ModelKind;

    #[test]
    fn names_are_those_of_the_headers() {
        for model in ModelKind::ALL {
            assert_eq!(serde_json::to_string(&model).unwrap(), format!("\"{}\"", model.name()));
        }
    }
}
