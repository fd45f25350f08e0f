//! Operations: invocation and completion brought together.

use rustc_hash::FxHashMap;

use super::{HistoryError, ProcessId, Value};

/// Position of an operation in its [`History`], in order of invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpIndex(pub u32);

/// What an operation asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read the value.
    Read,
    /// Overwrite the value.
    Write(Value),
    /// Set `new` if the value is `old`.
    Cas {
        /// The value expected.
        old: Value,
        /// The value to set.
        new: Value,
    },
    /// Append to the list or text.
    Append(Value),
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Completion {
    /// Done; for a read, with the value returned (`None`: the read observed nothing and constrains nothing).
    Ok(Option<Value>),
    /// Definitely not done.
    Fail,
    /// A compare-and-set that definitely did not match: it was answered "not equal", with the value seen where that is known.
    Mismatch {
        /// The value that the register held instead, if the server said so.
        observed: Option<Value>,
    },
    /// Unknown: may take effect at any time after the invocation, or never.
    Info,
}

/// An operation with its closed interval of real time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The client process.
    pub process: ProcessId,
    /// The object, for models that are judged key by key.
    pub key: Value,
    /// What was asked for.
    pub action: Action,
    /// When it was invoked: nanoseconds, or the event's place in the order of lines. Equal times are concurrent.
    pub invoke: u64,
    /// When it returned, in the same unit; [`u64::MAX`] for [`Completion::Info`].
    pub ret: u64,
    /// How it ended.
    pub completion: Completion,
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
/// It can only be made by the readers and builders of this module, which check all of that.
#[derive(Clone, Debug, Default)]
pub struct History {
    operations: Vec<Operation>,
    time_unit: TimeUnit,
}

impl History {
    /// The operations in order of invocation.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// What [`Operation::invoke`] and [`Operation::ret`] count.
    #[must_use]
    pub fn time_unit(&self) -> TimeUnit {
        self.time_unit
    }

    /// The operations themselves, to be changed and validated anew by [`History::from_operations`].
    #[must_use]
    pub fn into_operations(self) -> Vec<Operation> {
        self.operations
    }

    /// A history of operations made elsewhere. They are put in order of invocation; equal ones keep their order.
    ///
    /// # Errors
    /// When an operation returns before it is invoked, has no return although its outcome is known (or the reverse), a
    /// mismatch although it is no compare-and-set, or begins while an earlier one of its process is open. Touching
    /// (invoked at the very time of the return before) is allowed.
    pub fn from_operations(operations: Vec<Operation>) -> Result<Self, HistoryError> {
        if u32::try_from(operations.len()).is_err() {
            return Err(HistoryError::TooManyOperations { line: operations.len() as u64 });
        }
        for (place, operation) in operations.iter().enumerate() {
            check_alone(operation).map_err(|what| HistoryError::Operation { place, what })?;
        }
        let mut order: Vec<usize> = (0..operations.len()).collect();
        order.sort_by_key(|&place| operations[place].invoke);
        let mut busy_until: FxHashMap<ProcessId, u64> = FxHashMap::default();
        for &place in &order {
            let operation = &operations[place];
            let before = busy_until.insert(operation.process, operation.ret);
            if before.is_some_and(|before| operation.invoke < before) {
                let what = format!(
                    "process {} invokes it at {} while its operation before is still open",
                    operation.process, operation.invoke
                );
                return Err(HistoryError::Operation { place, what });
            }
        }
        let mut operations = operations;
        operations.sort_by_key(|operation| operation.invoke);
        Ok(History { operations, time_unit: TimeUnit::Order })
    }

    /// For the builder, which has checked every rule event by event.
    pub(super) fn from_checked(operations: Vec<Operation>, time_unit: TimeUnit) -> Self {
        debug_assert!(
            operations.is_sorted_by_key(|operation| operation.invoke),
            "operations come in order of invocation"
        );
        History { operations, time_unit }
    }
}

fn check_alone(operation: &Operation) -> Result<(), String> {
    let unknown = operation.completion == Completion::Info;
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
    Ok(())
}
