//! From events to a [`History`]: pairs invocations with completions and checks every rule on the way.
//!
//! ```text
//!   Event ──> Order, Processes (the rules) ──┬─ invocation: a new operation, of unknown outcome
//!                                            └─ completion: fills in its return and answer
//! ```
//!
//! What is still open or unknown at the end has an unknown outcome and returns at `u64::MAX`.

use std::borrow::Borrow;

use super::rules::{Order, Processes, belongs};
use super::transaction;
use super::value::Interner;
use super::{
    Action, Completion, Event, EventKind, Function, History, HistoryError, Operation, ProcessId, Value, ValueId,
};

/// Builds a [`History`] from events in order.
///
/// If events have times, those order them: they must not decrease, and equal times are concurrent. Without times the
/// order of the events does, each after all before. Nemesis events are counted and otherwise passed over.
#[derive(Debug, Default)]
pub struct HistoryBuilder {
    operations: Vec<Operation<ValueId>>,
    values: Interner,
    /// Places in `operations`.
    open: Processes<usize>,
    order: Order,
    nemesis_events: u64,
    nil_read_observes_nothing: bool,
}

impl HistoryBuilder {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What an `ok` read of `Nil` means: the key was absent (`false`, the default), or the read observed nothing and
    /// constrains nothing (`true`, as knossos has it).
    #[must_use]
    pub fn nil_read_observes_nothing(self, nothing: bool) -> Self {
        Self { nil_read_observes_nothing: nothing, ..self }
    }

    /// How many events of the nemesis were passed over.
    #[must_use]
    pub fn nemesis_events(&self) -> u64 {
        self.nemesis_events
    }

    /// Takes the next event. After an error the history is not to be used.
    ///
    /// # Errors
    /// The rule that the event breaks, naming the event by its number.
    pub fn push(&mut self, event: Event) -> Result<(), HistoryError> {
        self.push_line(self.order.events() + 1, event)
    }

    /// [`push`](Self::push) for an event that stands on this line of a file.
    ///
    /// # Errors
    /// The rule that the event breaks, naming the line.
    pub fn push_line(&mut self, line: u64, event: Event) -> Result<(), HistoryError> {
        let Some((process, function)) = self.order.take(line, &event)? else {
            self.nemesis_events += 1;
            return Ok(());
        };
        let time = self.order.now();
        match event.kind {
            EventKind::Invoke => self.invoke(line, process, time, function, event),
            EventKind::Ok | EventKind::Fail | EventKind::Info => self.complete(line, process, time, function, event),
        }
    }

    /// The history of all events taken. Operations still open have an unknown outcome.
    #[must_use]
    pub fn finish(self) -> History {
        History::from_checked(self.operations, self.values, self.order.unit())
    }

    fn invoke(
        &mut self,
        line: u64,
        process: ProcessId,
        time: u64,
        function: Function,
        event: Event,
    ) -> Result<(), HistoryError> {
        self.open.may_invoke(line, process)?;
        let place = self.operations.len();
        if u32::try_from(place).is_err() {
            return Err(HistoryError::TooManyOperations { line });
        }
        let action = action_of(line, process, function, event.value)?;
        let completion = Completion::Info;
        let operation = Operation { process, key: event.key, action, invoke: time, ret: u64::MAX, completion };
        self.operations.push(operation.map(|value| self.values.intern(value)));
        self.open.invoked(line, process, place);
        Ok(())
    }

    fn complete(
        &mut self,
        line: u64,
        process: ProcessId,
        time: u64,
        function: Function,
        event: Event,
    ) -> Result<(), HistoryError> {
        let (&place, open_since) = self.open.completing(line, process)?;
        let (operation, values) = (&mut self.operations[place], &mut self.values);
        let invoked = (operation.action.function(), values.value(operation.key));
        belongs((line, process, open_since), invoked, (function, &event))?;
        match event.kind {
            EventKind::Invoke => unreachable!("completions only"),
            EventKind::Info => return self.open.given_up(line, process),
            EventKind::Ok => {
                let action = operation.action.map(|id| values.value(id));
                match Answer::to(&action, event.value, self.nil_read_observes_nothing) {
                    Answer::Nothing => operation.completion = Completion::Ok(None),
                    Answer::Value(value) => operation.completion = Completion::Ok(Some(values.intern(value))),
                    Answer::Differs(value) => {
                        let invoked = action.map(Value::clone).argument().to_string();
                        let (what, completed) = ("value", value.to_string());
                        return Err(HistoryError::Differs { line, process, open_since, what, invoked, completed });
                    }
                }
            }
            EventKind::Fail => operation.completion = failure_of(function, event).map(|value| values.intern(value)),
        }
        operation.ret = time;
        self.open.completed(process);
        Ok(())
    }
}

/// A failed compare-and-set that was answered "not equal" says more than "not done".
pub(crate) fn failure_of(function: Function, event: Event) -> Completion {
    let mismatch = event.observed.is_some() || event.reason.as_deref() == Some("mismatch");
    if function == Function::Cas && mismatch {
        Completion::Mismatch { observed: event.observed }
    } else {
        Completion::Fail
    }
}

/// What an invocation asks for.
pub(crate) fn action_of(
    line: u64,
    process: ProcessId,
    function: Function,
    value: Value,
) -> Result<Action, HistoryError> {
    let wrong = |what: String| Err(HistoryError::WrongValue { line, what });
    let owner = |value: Value| match (value, i64::try_from(process.0)) {
        (Value::Nil, Ok(process)) => Value::Int(process),
        (Value::Nil, Err(_)) => Value::Text(process.to_string()),
        (owner, _) => owner,
    };
    Ok(match (function, value) {
        // Jepsen's generators sometimes leave a value in the invocation of a read; it means nothing.
        (Function::Read, _) => Action::Read,
        (Function::Dequeue, _) => Action::Dequeue,
        (Function::Delete, _) => Action::Delete,
        (Function::Write, value) => Action::Write(value),
        (Function::Append | Function::Add | Function::Enqueue, Value::Nil) => {
            return wrong(format!("{function} needs a value to {function}"));
        }
        (Function::Append, value) => Action::Append(value),
        (Function::Add, value) => Action::Add(value),
        (Function::Enqueue, value) => Action::Enqueue(value),
        (Function::Acquire, value) => Action::Acquire(owner(value)),
        (Function::Release, value) => Action::Release(owner(value)),
        (Function::Cas, value) => match pair_of(value) {
            Ok([old, new]) => Action::Cas { old, new },
            Err(value) => return wrong(format!("cas needs the value [old, new], not {value}")),
        },
        (Function::Txn, value) => match transaction::check(&value, None) {
            Ok(()) => Action::Txn(value),
            Err(what) => return wrong(what),
        },
    })
}

fn pair_of(value: Value) -> Result<[Value; 2], Value> {
    match value {
        Value::List(list) => list.try_into().map_err(Value::List),
        other => Err(other),
    }
}

/// What an `ok` completion says.
pub(crate) enum Answer {
    /// That it was done.
    Nothing,
    /// This was returned.
    Value(Value),
    /// Something that is no answer to what was asked.
    Differs(Value),
}

impl Answer {
    pub(crate) fn to<V: Borrow<Value>>(action: &Action<V>, value: Value, nil_read_observes_nothing: bool) -> Self {
        match (action, &value) {
            (Action::Read, Value::Nil) if nil_read_observes_nothing => Answer::Nothing,
            (Action::Read | Action::Dequeue, _) => Answer::Value(value),
            // Nothing, or the argument again.
            (_, Value::Nil) => Answer::Nothing,
            (
                Action::Write(argument)
                | Action::Append(argument)
                | Action::Add(argument)
                | Action::Enqueue(argument)
                | Action::Acquire(argument)
                | Action::Release(argument),
                _,
            ) if *argument.borrow() == value => Answer::Nothing,
            (Action::Cas { old, new }, Value::List(pair)) if matches!(pair.as_slice(), [a, b] if a == old.borrow() && b == new.borrow()) => {
                Answer::Nothing
            }
            (Action::Txn(parts), _) if transaction::check(parts.borrow(), Some(&value)).is_ok() => Answer::Value(value),
            _ => Answer::Differs(value),
        }
    }
}
