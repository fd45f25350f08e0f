//! Operations: invocation and completion brought together.

use rustc_hash::FxHashMap;

use super::transaction;
use super::value::Interner;
use super::{Function, HistoryError, ProcessId, Value, ValueId};

/// Position of an operation in its [`History`], in order of invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpIndex(pub u32);

/// What an operation asked for. `V` is [`Value`], or [`ValueId`] inside a [`History`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action<V = Value> {
    /// Read the value, the list, the set or the counter.
    Read,
    /// Overwrite the value.
    Write(V),
    /// Set `new` if the value is `old`.
    Cas {
        /// The value expected.
        old: V,
        /// The value to set.
        new: V,
    },
    /// Append to the list or text.
    Append(V),
    /// Make the key absent.
    Delete,
    /// Add an element to the set, or a number to the counter.
    Add(V),
    /// Put at the queue's end.
    Enqueue(V),
    /// Take the queue's first.
    Dequeue,
    /// Acquire the lock for this owner.
    Acquire(V),
    /// Release the lock that this owner holds.
    Release(V),
    /// Several micro-operations in one, as a list of `["r", key, nil]`, `["w", key, value]`, `["append", key, value]`.
    Txn(V),
}

impl<V> Action<V> {
    /// The function that it is an invocation of.
    #[must_use]
    pub fn function(&self) -> Function {
        match self {
            Action::Read => Function::Read,
            Action::Write(_) => Function::Write,
            Action::Cas { .. } => Function::Cas,
            Action::Append(_) => Function::Append,
            Action::Delete => Function::Delete,
            Action::Add(_) => Function::Add,
            Action::Enqueue(_) => Function::Enqueue,
            Action::Dequeue => Function::Dequeue,
            Action::Acquire(_) => Function::Acquire,
            Action::Release(_) => Function::Release,
            Action::Txn(_) => Function::Txn,
        }
    }

    /// The same action on other values.
    pub fn map<W>(self, mut of: impl FnMut(V) -> W) -> Action<W> {
        match self {
            Action::Read => Action::Read,
            Action::Write(new) => Action::Write(of(new)),
            Action::Cas { old, new } => Action::Cas { old: of(old), new: of(new) },
            Action::Append(new) => Action::Append(of(new)),
            Action::Delete => Action::Delete,
            Action::Add(new) => Action::Add(of(new)),
            Action::Enqueue(new) => Action::Enqueue(of(new)),
            Action::Dequeue => Action::Dequeue,
            Action::Acquire(owner) => Action::Acquire(of(owner)),
            Action::Release(owner) => Action::Release(of(owner)),
            Action::Txn(parts) => Action::Txn(of(parts)),
        }
    }
}

impl Action {
    /// The value of its invocation in a history.
    #[must_use]
    pub fn argument(&self) -> Value {
        match self {
            Action::Read | Action::Dequeue | Action::Delete => Value::Nil,
            Action::Cas { old, new } => Value::List(vec![old.clone(), new.clone()]),
            Action::Write(argument)
            | Action::Append(argument)
            | Action::Add(argument)
            | Action::Enqueue(argument)
            | Action::Acquire(argument)
            | Action::Release(argument)
            | Action::Txn(argument) => argument.clone(),
        }
    }
}

/// How an operation ended. `V` is [`Value`], or [`ValueId`] inside a [`History`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Completion<V = Value> {
    /// Done, with what was returned.
    ///
    /// | of | `Some(value)` | `None` |
    /// |---|---|---|
    /// | a read | it returned this | it observed nothing and constrains nothing |
    /// | a dequeue | it took this; `Nil`: it found the queue empty | it took something, nobody knows what |
    /// | a transaction | its parts with the results of its reads | its reads observed nothing |
    /// | any other | never | it was done |
    Ok(Option<V>),
    /// Definitely not done.
    Fail,
    /// A compare-and-set that definitely did not match: it was answered "not equal", with the value seen where that is known.
    Mismatch {
        /// The value that the register held instead, if the server said so.
        observed: Option<V>,
    },
    /// Unknown: may take effect at any time after the invocation, or never.
    Info,
}

impl<V> Completion<V> {
    /// The same completion with other values.
    pub fn map<W>(self, mut of: impl FnMut(V) -> W) -> Completion<W> {
        match self {
            Completion::Ok(value) => Completion::Ok(value.map(of)),
            Completion::Fail => Completion::Fail,
            Completion::Mismatch { observed } => Completion::Mismatch { observed: observed.map(&mut of) },
            Completion::Info => Completion::Info,
        }
    }
}

/// An operation with its closed interval of real time. `V` is [`Value`], or [`ValueId`] inside a [`History`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<V = Value> {
    /// The client process.
    pub process: ProcessId,
    /// The object, for models that are judged key by key.
    pub key: V,
    /// What was asked for.
    pub action: Action<V>,
    /// When it was invoked: nanoseconds, or the event's place in the order of lines. Equal times are concurrent.
    pub invoke: u64,
    /// When it returned, in the same unit; [`u64::MAX`] for [`Completion::Info`].
    pub ret: u64,
    /// How it ended.
    pub completion: Completion<V>,
}

impl<V> Operation<V> {
    /// True when the outcome is unknown: it may take effect at any time after its invocation, or never.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.completion, Completion::Info)
    }

    /// The same operation on other values.
    pub fn map<W>(self, mut of: impl FnMut(V) -> W) -> Operation<W> {
        Operation {
            process: self.process,
            key: of(self.key),
            action: self.action.map(&mut of),
            invoke: self.invoke,
            ret: self.ret,
            completion: self.completion.map(&mut of),
        }
    }
}

/// Hand-made operations, as tests and generators need them:
/// `Operation::invoked(3, Action::Read, 10).on("x").returned(20, 7)`.
impl Operation {
    /// An operation without a key whose outcome is unknown, until one of the methods below says otherwise.
    #[must_use]
    pub fn invoked(process: u64, action: Action, invoke: u64) -> Self {
        let process = ProcessId(process);
        Operation { process, key: Value::Nil, action, invoke, ret: u64::MAX, completion: Completion::Info }
    }

    /// On this key.
    #[must_use]
    pub fn on(self, key: impl Into<Value>) -> Self {
        Operation { key: key.into(), ..self }
    }

    /// Done at `ret`, without a result: a write, an append, a compare-and-set that matched.
    #[must_use]
    pub fn done(self, ret: u64) -> Self {
        Operation { ret, completion: Completion::Ok(None), ..self }
    }

    /// A read that returned `value` at `ret`.
    #[must_use]
    pub fn returned(self, ret: u64, value: impl Into<Value>) -> Self {
        Operation { ret, completion: Completion::Ok(Some(value.into())), ..self }
    }

    /// Definitely not done, known at `ret`.
    #[must_use]
    pub fn failed(self, ret: u64) -> Self {
        Operation { ret, completion: Completion::Fail, ..self }
    }

    /// A compare-and-set answered "not equal" at `ret`.
    #[must_use]
    pub fn mismatched(self, ret: u64, observed: Option<Value>) -> Self {
        Operation { ret, completion: Completion::Mismatch { observed }, ..self }
    }
}

/// What the times of a history count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeUnit {
    /// Nanoseconds from the run's start.
    Nanoseconds,
    /// Places in the order of events: the history had no clock.
    #[default]
    Order,
}

/// A validated history: every completion has its invocation, no process overlaps itself, times never go back.
///
/// It can only be made by the readers and builders of this module, which check all of that. Values are kept once each, and
/// operations name them by number: 48 bytes an operation.
#[derive(Clone, Debug)]
pub struct History {
    operations: Vec<Operation<ValueId>>,
    values: Vec<Value>,
    time_unit: TimeUnit,
}

impl Default for History {
    fn default() -> Self {
        Self::from_checked(Vec::new(), Interner::default(), TimeUnit::default())
    }
}

impl History {
    /// The operations in order of invocation.
    #[must_use]
    pub fn operations(&self) -> &[Operation<ValueId>] {
        &self.operations
    }

    /// The operation at this place, with its values.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn operation(&self, index: OpIndex) -> Operation {
        self.resolve(&self.operations[index.0 as usize])
    }

    /// An operation of this history with its values instead of their numbers.
    #[must_use]
    pub fn resolve(&self, operation: &Operation<ValueId>) -> Operation {
        operation.map(|id| self.value(id).clone())
    }

    /// The value with this number.
    ///
    /// # Panics
    /// When the number is of another history.
    #[must_use]
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.place()]
    }

    /// All values, by [`ValueId::place`].
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// How many operations it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// True when it has no operations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// What [`Operation::invoke`] and [`Operation::ret`] count.
    #[must_use]
    pub fn time_unit(&self) -> TimeUnit {
        self.time_unit
    }

    /// The operations themselves, to be changed and validated anew by [`History::from_operations`].
    #[must_use]
    pub fn into_operations(self) -> Vec<Operation> {
        self.operations.iter().map(|operation| self.resolve(operation)).collect()
    }

    /// A history of operations made elsewhere, in any order. They are put in order of invocation; equal ones keep their order.
    /// Values are kept once as they come, so a generator need not hold all operations.
    ///
    /// # Errors
    /// When an operation returns before it is invoked, has no return although its outcome is known (or the reverse), a
    /// mismatch although it is no compare-and-set, or begins while an earlier one of its process is open. Touching
    /// (invoked at the very time of the return before) is allowed.
    pub fn from_operations(operations: impl IntoIterator<Item = Operation>) -> Result<Self, HistoryError> {
        let operations = operations.into_iter();
        let mut interner = Interner::default();
        let mut interned: Vec<Operation<ValueId>> = Vec::with_capacity(operations.size_hint().0);
        for (place, operation) in operations.enumerate() {
            if u32::try_from(place).is_err() {
                return Err(HistoryError::TooManyOperations { line: place as u64 });
            }
            check_alone(&operation).map_err(|what| HistoryError::Operation { place, what })?;
            interned.push(operation.map(|value| interner.intern(value)));
        }
        let mut order: Vec<u32> = (0u32..).take(interned.len()).collect();
        order.sort_by_key(|&place| interned[place as usize].invoke);
        let mut busy_until: FxHashMap<ProcessId, u64> = FxHashMap::default();
        for &place in &order {
            let place = place as usize;
            let operation = &interned[place];
            let before = busy_until.insert(operation.process, operation.ret);
            if before.is_some_and(|before| operation.invoke < before) {
                let what = format!(
                    "process {} invokes it at {} while its operation before is still open",
                    operation.process, operation.invoke
                );
                return Err(HistoryError::Operation { place, what });
            }
        }
        interned.sort_by_key(|operation| operation.invoke);
        Ok(Self::from_checked(interned, interner, TimeUnit::Order))
    }

    /// For the builder, which has checked every rule event by event.
    pub(super) fn from_checked(mut operations: Vec<Operation<ValueId>>, values: Interner, time_unit: TimeUnit) -> Self {
        debug_assert!(
            operations.is_sorted_by_key(|operation| operation.invoke),
            "operations come in order of invocation"
        );
        operations.shrink_to_fit();
        History { operations, values: values.into_values(), time_unit }
    }
}

fn check_alone(operation: &Operation) -> Result<(), String> {
    let unknown = operation.is_unknown();
    if unknown != (operation.ret == u64::MAX) {
        return Err("an operation returns at u64::MAX exactly when its outcome is unknown".to_owned());
    }
    if operation.invoke > operation.ret {
        return Err(format!("invoked at {}, after its return at {}", operation.invoke, operation.ret));
    }
    if operation.invoke == u64::MAX {
        return Err("invoked at u64::MAX, which is kept for unknown returns".to_owned());
    }
    let cas = matches!(operation.action, Action::Cas { .. });
    if !cas && matches!(operation.completion, Completion::Mismatch { .. }) {
        return Err("only a cas can mismatch".to_owned());
    }
    if let Action::Txn(parts) = &operation.action {
        let answer = match &operation.completion {
            Completion::Ok(Some(answer)) => Some(answer),
            _ => None,
        };
        transaction::check(parts, answer)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_of_a_history_is_small() {
        assert_eq!(size_of::<Operation<ValueId>>(), 48);
    }

    #[test]
    fn values_are_kept_once_and_come_back() {
        let operations = vec![
            Operation::invoked(0, Action::Write("a".into()), 0).on("x").done(1),
            Operation::invoked(0, Action::Read, 2).on("x").returned(3, "a"),
            Operation::invoked(1, Action::Cas { old: "a".into(), new: Value::Nil }, 4).on("x").mismatched(5, None),
        ];
        let history = History::from_operations(operations.clone()).unwrap();
        assert_eq!(history.values(), [Value::Nil, "x".into(), "a".into()]);
        assert_eq!(history.operation(OpIndex(1)), operations[1]);
        assert_eq!(history.into_operations(), operations);
    }
}
