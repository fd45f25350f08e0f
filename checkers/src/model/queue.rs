//! A first-in-first-out queue over numbered values.
//!
//! ```text
//!   dequeue ──> 7, 3, 9 <── enqueue        a dequeue takes the first, or finds the queue empty
//! ```

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::{Model, Numbers, elements, entry};
use crate::history::{Action, Completion, Value, ValueId};
use crate::key::KeyHistory;
use crate::search::Problem;

/// A queue, by the values it starts with.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) initial: Arc<[u32]>,
}

/// What was asked of a queue, and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// A value at the end.
    Enqueue(u32),
    /// The first value out, which was this.
    Dequeue(u32),
    /// The first value out, whatever it was.
    Take,
    /// A dequeue that found nothing.
    Empty,
}

impl Model for Queue {
    type State = Arc<[u32]>;
    type Call = Call;

    fn initial(&self) -> Arc<[u32]> {
        Arc::clone(&self.initial)
    }

    fn step(&self, state: &Arc<[u32]>, call: &Call) -> Option<Arc<[u32]>> {
        match *call {
            Call::Enqueue(value) => Some(state.iter().copied().chain([value]).collect()),
            Call::Dequeue(value) => {
                state.split_first().filter(|(first, _)| **first == value).map(|(_, rest)| rest.into())
            }
            Call::Take => state.split_first().map(|(_, rest)| rest.into()),
            Call::Empty => state.is_empty().then(|| Arc::clone(state)),
        }
    }

    fn is_read(&self, call: &Call) -> bool {
        matches!(call, Call::Empty)
    }

    fn is_blind(&self, _: &Call) -> bool {
        false
    }

    fn heap_bytes(&self, state: &Arc<[u32]>) -> usize {
        16 + size_of_val::<[u32]>(state)
    }
}

/// One key's operations on a queue.
///
/// Where every dequeue is known, an enqueue of unknown outcome whose value none of them took is left out: in any order that has it,
/// its value stays, so no dequeue after it takes anything behind it or finds the queue empty. Without it the order is still one.
/// Values that no dequeue names are one value to the searches: nobody tells them apart.
pub(crate) fn problem(key: KeyHistory<'_>, initial: &Value) -> Problem<Queue> {
    let mut entries = Vec::with_capacity(key.places.len());
    let mut taken: FxHashSet<&Value> = FxHashSet::default();
    let mut takes_unknown = false;
    for (_, operation) in key.operations() {
        match (operation.action, operation.completion) {
            (Action::Dequeue, Completion::Ok(Some(value))) => drop(taken.insert(key.value(value))),
            (Action::Dequeue, Completion::Ok(None) | Completion::Info) => takes_unknown = true,
            _ => {}
        }
    }
    // No queue holds nil.
    let unnamed = &Value::Nil;
    let mut numbers = Numbers::default();
    let mut number = |value| numbers.of(if taken.contains(value) { value } else { unnamed });
    let initial = elements(initial).iter().map(&mut number).collect();
    for (index, operation) in key.operations() {
        let call = match (operation.action, operation.completion) {
            (Action::Enqueue(value), Completion::Info) if !takes_unknown && !taken.contains(key.value(value)) => {
                continue;
            }
            (Action::Enqueue(value), Completion::Ok(_) | Completion::Info) => Call::Enqueue(number(key.value(value))),
            (Action::Dequeue, Completion::Ok(Some(ValueId::NIL))) => Call::Empty,
            (Action::Dequeue, Completion::Ok(Some(value))) => Call::Dequeue(number(key.value(value))),
            (Action::Dequeue, Completion::Ok(None) | Completion::Info) => Call::Take,
            _ => continue,
        };
        entries.push(entry(index, operation, call));
    }
    Problem::new(Queue { initial }, entries)
}
