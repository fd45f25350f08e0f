//! The replicated state machine: registers, numbers and lists by key, conditions, transactions, sessions. Pure and deterministic.
//!
//! ```text
//!   log index, Command ──> sessions: seen already? ──no──> store: conditions decided here ──> Answer
//!                              │yes                          (cas, wrong type)                  │
//!                              └──> the stored answer <───── remembered under the stamp ────────┘
//! ```
//!
//! Every replica applies the same commands at the same indexes, so every replica must compute the same: no clock, no
//! randomness, no iteration in an unspecified order. Whether a compare-and-set matches is decided here, never when it is
//! proposed. Sessions make a retried command take effect once (Ongaro's dissertation, section 6.3); they are part of
//! the state and of every snapshot. Bounds on keys and values are the API's business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod digest;
mod json;
mod nesting;
mod sessions;
mod store;
mod transaction;

pub use json::{VALUE_DEPTH_MAX, ValueError};
pub use nesting::STORED_DEPTH_MAX;
pub use sessions::{Dedup, SESSIONS_MAX};
pub use transaction::Transaction;

use sessions::{Sessions, Verdict};
use store::Store;

/// A stored value. In the client API it is bare JSON: `null`, `17`, `"text"`, `[…]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
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
    /// Add to a whole number; an absent key is 0.
    Add {
        /// Key.
        key: String,
        /// What is added; may be negative.
        delta: i64,
    },
    /// Take the first element of a list away; an absent key is an empty list, and a list that has become empty an absent key.
    Pop {
        /// Key.
        key: String,
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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Answer {
    /// Written, appended, added, or swapped.
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
    /// Refused by the machine, without effect: a stable code such as `wrong-type`, `too-large`, `unknown-session`, `stale-sequence`.
    Rejected(String),
    /// The first element of a list, taken away; `Nil` if there was none.
    Taken(Value),
}

impl Answer {
    /// An operation met a value of another type than it needs.
    pub const WRONG_TYPE: &str = "wrong-type";
    /// The session never was, or was evicted.
    pub const UNKNOWN_SESSION: &str = "unknown-session";
    /// A later request of the same session was already applied.
    pub const STALE_SEQUENCE: &str = "stale-sequence";

    /// A list would grow, or a transaction's reads would return, more than [`WEIGHT_MAX`]; or a number leave its 64 bits.
    pub const TOO_LARGE: &str = "too-large";

    fn rejected(code: &str) -> Self {
        Self::Rejected(code.to_owned())
    }
}

/// No list grows heavier than this by an append, and the reads of one transaction together return no more: about 16 MiB. Without
/// it, a few small commands could fill the memory of every replica alike.
pub const WEIGHT_MAX: u64 = 16 << 20;

/// The format that [`Machine::snapshot`] writes.
const SNAPSHOT_VERSION: u8 = 1;

/// A snapshot that is none.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MachineError {
    /// Written by another version of this program.
    #[error("the machine snapshot has format {found}, this program reads format {SNAPSHOT_VERSION}")]
    Version {
        /// The format found.
        found: u8,
    },
    /// It does not decode.
    #[error("the machine snapshot does not decode: {0}")]
    Decode(#[from] postcard::Error),
    /// It decodes to a state that no log leads to.
    #[error("the machine snapshot contradicts itself: {0}")]
    Inconsistent(&'static str),
}

/// The replicated state: every key, and every session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    store: Store,
    sessions: Sessions,
}

/// A snapshot, as it is written behind the version byte.
#[derive(Serialize)]
struct SnapshotRef<'a> {
    values: BTreeMap<&'a str, &'a Value>,
    sessions: &'a BTreeMap<u64, sessions::Session>,
}

/// A snapshot, as it is read: field by field what [`SnapshotRef`] writes.
#[derive(Deserialize)]
struct SnapshotOwned {
    values: BTreeMap<String, Value>,
    sessions: BTreeMap<u64, sessions::Session>,
}

impl Machine {
    /// The empty state.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The empty state of a machine that treats repeated commands so. Part of how it works, not of its state: no snapshot holds it.
    #[must_use]
    pub fn with_dedup(dedup: Dedup) -> Self {
        let mut machine = Self::default();
        machine.sessions.set_dedup(dedup, 0);
        machine
    }

    /// This state in a machine that works, and has counted, as `other`.
    #[must_use]
    pub fn in_place_of(mut self, other: &Self) -> Self {
        self.sessions.set_dedup(other.sessions.dedup(), other.sessions.repeats());
        self
    }

    /// Forgets the sessions last used behind this index: entries with other commands may be applied there now. For mutants.
    pub fn forget_sessions_after(&mut self, index: u64) {
        self.sessions.forget_after(index);
    }

    /// How often a repeated command took effect again, with [`Dedup::Off`].
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.sessions.repeats()
    }

    /// Applies the command at `index` of the log. Indexes ascend; each is applied once.
    pub fn apply(&mut self, index: u64, command: &Command) -> Answer {
        match command {
            Command::OpenSession => {
                self.sessions.open(index);
                Answer::Session(index)
            }
            Command::Do { stamp: None, operation } => self.store.perform(operation),
            Command::Do { stamp: Some(stamp), operation } => match self.sessions.look_up(index, *stamp) {
                Verdict::New => {
                    let answer = self.store.perform(operation);
                    self.sessions.remember(*stamp, &answer);
                    answer
                }
                Verdict::Duplicate(answer) => answer,
                Verdict::Stale => Answer::rejected(Answer::STALE_SEQUENCE),
                Verdict::Unknown => Answer::rejected(Answer::UNKNOWN_SESSION),
            },
        }
    }

    /// What a key holds; `Nil` if it is absent.
    #[must_use]
    pub fn read(&self, key: &str) -> Value {
        self.store.get(key).cloned().unwrap_or_default()
    }

    /// The whole state, sessions included, for [`Machine::restore`].
    ///
    /// # Panics
    /// Never: serialising maps of plain data into memory does not fail.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        self.snapshot_with(self.sessions.table())
    }

    /// As [`Machine::snapshot`], but without the sessions. For mutants.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn snapshot_without_sessions(&self) -> Vec<u8> {
        self.snapshot_with(&BTreeMap::new())
    }

    fn snapshot_with(&self, sessions: &BTreeMap<u64, sessions::Session>) -> Vec<u8> {
        let state = SnapshotRef { values: self.store.iter().collect(), sessions };
        postcard::to_extend(&state, vec![SNAPSHOT_VERSION]).expect("plain data in memory")
    }

    /// The state that a snapshot holds.
    ///
    /// # Errors
    /// When the bytes are no snapshot that this version reads.
    pub fn restore(snapshot: &[u8]) -> Result<Self, MachineError> {
        let (&version, body) = snapshot.split_first().ok_or(MachineError::Inconsistent("it is empty"))?;
        if version != SNAPSHOT_VERSION {
            return Err(MachineError::Version { found: version });
        }
        let (state, rest): (SnapshotOwned, &[u8]) = postcard::take_from_bytes(body)?;
        if !rest.is_empty() {
            return Err(MachineError::Inconsistent("bytes follow its end"));
        }
        Ok(Self { store: Store::from_values(state.values)?, sessions: Sessions::from_table(state.sessions)? })
    }

    /// A number that is equal for equal states and, but for accidents of 64 bits, different for different ones. The same in every process.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.store.digest().wrapping_add(self.sessions.digest())
    }
}
