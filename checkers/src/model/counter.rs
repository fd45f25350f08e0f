//! A counter: whole numbers are added, and the sum is read.

use super::{Model, entry};
use crate::history::{Action, Completion, Value};
use crate::key::KeyHistory;
use crate::search::Problem;

/// A counter, by the number it starts at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    pub(crate) initial: i64,
}

/// What was asked of a counter, and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// This much more, or less.
    Add(i64),
    /// A read that returned this.
    Read(i64),
}

impl Model for Counter {
    /// Wide enough for the sum of all additions of any history, so that no sum ever wraps round.
    type State = i128;
    type Call = Call;

    fn initial(&self) -> i128 {
        self.initial.into()
    }

    fn step(&self, state: &i128, call: &Call) -> Option<i128> {
        match *call {
            Call::Add(more) => Some(state + i128::from(more)),
            Call::Read(sum) => (*state == i128::from(sum)).then_some(*state),
        }
    }

    fn is_read(&self, call: &Call) -> bool {
        matches!(call, Call::Read(_) | Call::Add(0))
    }

    fn is_blind(&self, _: &Call) -> bool {
        false
    }

    fn heap_bytes(&self, _: &i128) -> usize {
        0
    }
}

/// A number as the history has it: absent is zero.
fn number(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        _ => 0,
    }
}

/// One key's operations on a counter.
pub(crate) fn problem(key: KeyHistory<'_>, initial: &Value) -> Problem<Counter> {
    let entries = key.operations().filter_map(|(index, operation)| {
        let call = match (operation.action, operation.completion) {
            (Action::Read, Completion::Ok(Some(seen))) => Call::Read(number(key.value(seen))),
            (Action::Add(more), Completion::Ok(_) | Completion::Info) => Call::Add(number(key.value(more))),
            _ => return None,
        };
        Some(entry(index, operation, call))
    });
    Problem::new(Counter { initial: number(initial) }, entries.collect())
}
