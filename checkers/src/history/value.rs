//! Values as clients wrote and read them.

use serde::{Deserialize, Serialize};

/// A value in a history: what was written, read or compared. `Nil` stands for "absent".
///
/// In JSON it is written bare: `null`, `true`, `17`, `"text"`, `[1, 2]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Absent: a key that was never written, an operation without a value.
    #[default]
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
    /// A list, as an append-list read returns it, or `[old, new]` of a compare-and-set.
    List(Vec<Value>),
}
