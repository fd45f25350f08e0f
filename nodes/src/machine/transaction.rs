//! Transactions: what a command does to the state, worked out once, by whoever orders it.
//!
//! ```text
//!   Command ── prepare, on the state with all that is outstanding ──> Answer, and Transaction
//!                                                                                 │ ordered
//!   every replica:  apply_transaction ── keys set, lists extended, a session ─────┘ no condition is left to decide
//! ```
//!
//! Zab broadcasts these (Junqueira, Reed and Serafini, DSN 2011, section I: "incremental state changes"). Applied to any state before it, a
//! transaction would be wrong; applied twice, it does what it does once. One that only says that a condition failed is empty.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Answer, Command, Machine, Stamp, Value, sessions::Session};

/// What one command does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// A session as it is afterwards: opened, used, or with its newest answer.
    session: Option<(u64, Session)>,
    /// At most one for each key.
    changes: Vec<Change>,
}

/// What becomes of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Change {
    /// It holds this.
    Set {
        /// Key.
        key: String,
        /// `Nil` to make it absent.
        value: Value,
    },
    /// It holds a list, and these elements are in it from place `at` on.
    Extend {
        /// Key.
        key: String,
        /// The length before.
        at: u64,
        /// New elements.
        elements: Vec<Value>,
    },
}

/// Which keys a command touched: `None` for one that was set, or the length of a list that only grew.
pub(super) type Touched = BTreeMap<String, Option<usize>>;

/// Beside what a change carries, in a message.
const CHANGE_BYTES: usize = 16;

impl Transaction {
    /// About how many bytes it takes in a message.
    #[must_use]
    pub fn weight(&self) -> usize {
        let session = self.session.as_ref().map_or(0, |(_, session)| session.weight());
        session + self.changes.iter().map(Change::weight).sum::<usize>()
    }
}

impl Change {
    fn weight(&self) -> usize {
        CHANGE_BYTES
            + match self {
                Self::Set { key, value } => key.len() + bytes_of(value),
                Self::Extend { key, elements, .. } => key.len() + elements.iter().map(bytes_of).sum::<usize>(),
            }
    }
}

/// About how many bytes a value takes in a message.
pub(super) fn bytes_of(value: &Value) -> usize {
    match value {
        Value::Nil | Value::Int(_) => 8,
        Value::Text(text) => 8 + text.len(),
        Value::List(elements) => 8 + elements.iter().map(bytes_of).sum::<usize>(),
    }
}

impl Machine {
    /// Does a command here, and says what the others have to do: the answer, and the transaction that makes of the state before
    /// the state after. Conditions are decided now.
    pub fn prepare(&mut self, index: u64, command: &Command) -> (Answer, Transaction) {
        self.store.note_touched();
        let answer = self.apply(index, command);
        let changes = self.store.touched().into_iter().map(|(key, grew_from)| self.change(key, grew_from)).collect();
        let session = match command {
            Command::OpenSession => Some(index),
            Command::Do { stamp, .. } => stamp.map(|Stamp { session, .. }| session),
        };
        let session = session.and_then(|id| self.sessions.table().get(&id).map(|session| (id, session.clone())));
        (answer, Transaction { session, changes })
    }

    fn change(&self, key: String, grew_from: Option<usize>) -> Change {
        match (grew_from, self.store.get(&key)) {
            (Some(at), Some(Value::List(elements))) => {
                Change::Extend { key, at: at as u64, elements: elements[at..].to_vec() }
            }
            (_, value) => Change::Set { value: value.cloned().unwrap_or_default(), key },
        }
    }

    /// Does what was worked out. Says whether the state was one that it was worked out for, as far as can be seen;
    /// what did not fit was left out.
    #[must_use]
    pub fn apply_transaction(&mut self, transaction: &Transaction) -> bool {
        if let Some((id, session)) = &transaction.session {
            self.sessions.put(*id, session.clone());
        }
        transaction.changes.iter().filter(|change| !self.store.put(change)).count() == 0
    }
}
