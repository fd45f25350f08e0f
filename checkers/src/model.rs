//! What a history is judged against.

use serde::{Deserialize, Serialize};

use crate::history::Value;

/// A sequential specification by name, with its initial state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Which model.
    pub model: ModelKind,
    /// The state every object starts in.
    pub initial: Value,
}

/// The models that can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// A register: read, write.
    Register,
    /// A register with compare-and-set.
    CasRegister,
    /// A list: append, read of the whole list.
    ListAppend,
    /// A text per key: read (get), write (put), append (concatenates).
    KeyValue,
}
