//! Proofs of verdicts, re-checkable by a verifier that shares nothing with the checkers.
//!
//! ```text
//!   valid     an order of the operations: the model accepts it, and it respects real time
//!   invalid   a core: a small impossible history, got from the whole one by harmless deletions only
//! ```

mod file;

pub use file::{CERTIFICATE_BYTES_MAX, CERTIFICATE_VERSION, CertificateError, CertificateFile, HistoryDigest};

use crate::history::{OpIndex, Value};

/// Proof of a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Valid: for each key an order.
    Linearization(Vec<KeyOrder>),
    /// Invalid: what cannot be.
    Core(Core),
}

/// Operations of one key that took effect, in an order that the model accepts and that respects real time.
///
/// Left out are only operations that definitely failed, reads that observed nothing, and operations of unknown outcome that
/// never took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOrder {
    /// The key.
    pub key: Value,
    /// Places in the history.
    pub order: Vec<OpIndex>,
}

/// A smallest impossible part of one key's history.
///
/// The rest was deleted by steps that cannot make a possible history impossible:
/// - a cut in time: linearizability is prefix-closed;
/// - operations that change nothing: reads, refused compare-and-sets, failed operations;
/// - registers: every operation that mentions a value of some set V (writes and reads of it, compare-and-sets to it or from it).
///   A compare-and-set from a to b may go when b is in V. Nothing that was answered "not equal" without a value is left then;
/// - lists, sets, queues: elements, taken out of everything: their append, add, enqueue or dequeue is deleted, and what reads
///   returned is taken without them. An element whose every possible addition is deleted is out; one that nobody can have added stays;
/// - locks: an acquisition with the release of the same owner after it, both acknowledged;
/// - multi-registers: whole registers, taken out of every transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// The key.
    pub key: Value,
    /// What happened after this moment is cut off; what was open then is of unknown outcome.
    pub cut: Option<u64>,
    /// What was kept: places in the history, in order of invocation.
    pub operations: Vec<OpIndex>,
    /// No further allowed deletion leaves it impossible. `false` where that was not found out in time.
    pub minimal: bool,
}
