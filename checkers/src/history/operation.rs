//! Operations: invocation and completion brought together.

use super::{ProcessId, Value};

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

/// A validated history: every completion has its invocation, no process overlaps itself, times never go back.
///
/// It can only be made by the readers and builders of this module, which check all of that.
#[derive(Clone, Debug, Default)]
pub struct History {
    operations: Vec<Operation>,
}

impl History {
    /// The operations in order of invocation.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }
}
