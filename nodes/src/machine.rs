//! The replicated state machine: registers and lists by key, conditions, transactions, sessions. Pure and deterministic.

use serde::{Deserialize, Serialize};

/// A stored value. In the client API it is bare JSON: `null`, `17`, `"text"`, `[…]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Value {
    /// Absent.
    #[default]
    Nil,
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
}

/// What the log carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Open a session; the answer names it.
    OpenSession,
    /// Do an operation, exactly once if it carries a stamp.
    Do {
        /// Session and sequence number.
        stamp: Option<Stamp>,
        /// What to do.
        operation: Operation,
    },
}

/// Makes a retried command take effect once: the client numbers its requests within a session (Ongaro's dissertation, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The session.
    pub session: u64,
    /// 1, 2, 3, … within it.
    pub seq: u64,
}

/// One operation on the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Overwrite.
    Write {
        /// Key.
        key: String,
        /// New value.
        value: Value,
    },
    /// Set `new` if the key holds `old`; decided when applied.
    Cas {
        /// Key.
        key: String,
        /// Expected value.
        old: Value,
        /// New value.
        new: Value,
    },
    /// Append to a list; an absent key is an empty list.
    Append {
        /// Key.
        key: String,
        /// Element.
        value: Value,
    },
    /// Several steps at once, all or nothing.
    Txn {
        /// The steps, in order.
        steps: Vec<TxnStep>,
    },
}

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnStep {
    /// Read a key, with the effects of earlier steps.
    Read {
        /// Key.
        key: String,
    },
    /// Overwrite a key.
    Write {
        /// Key.
        key: String,
        /// Value.
        value: Value,
    },
    /// Append to a list.
    Append {
        /// Key.
        key: String,
        /// Element.
        value: Value,
    },
}

/// What the machine says to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Written, appended, or swapped.
    Done,
    /// A compare-and-set did not match; this is what the key held.
    NotEqual {
        /// The value seen.
        observed: Value,
    },
    /// A transaction was done; one value a step, `Nil` where it was not a read.
    Txn(Vec<Value>),
    /// A session was opened.
    Session(u64),
    /// Refused by the machine, without effect: a stable code such as `wrong-type`, `unknown-session`, `stale-sequence`.
    Rejected(String),
}
