//! What the judge says, and why. Never a bool; nothing defaults to valid.

use serde::{Deserialize, Serialize};

use crate::certificate::Certificate;
use crate::history::{OpIndex, Value};

/// The four answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Linearizable.
    Valid,
    /// Not linearizable.
    Invalid,
    /// A budget ended, or a checker crashed, before either was known.
    Unknown,
    /// There was nothing to judge.
    Vacuous,
}

/// A verdict with its reason.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The answer.
    pub verdict: Verdict,
    /// One plain sentence: why.
    pub reason: String,
    /// For [`Verdict::Invalid`]: what was found.
    pub violation: Option<Violation>,
    /// Proof of the answer, re-checkable by an independent verifier.
    pub certificate: Option<Certificate>,
    /// Which algorithm decided, e.g. `register-zones`, `cas-chains`, `list-order`, `frontier`, `depth-first`.
    pub decided_by: &'static str,
    /// How many operations and keys were judged.
    pub operations: usize,
    /// How many keys were judged.
    pub keys: usize,
    /// Time spent checking, reading of the file not included.
    pub elapsed: std::time::Duration,
}

/// A violation of linearizability: the operations that cannot all be, on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What kind.
    pub anomaly: Anomaly,
    /// The key it is on.
    pub key: Value,
    /// The operations involved, by place in the history.
    pub operations: Vec<OpIndex>,
    /// Plain sentences with clients, values and times, at least one. The first is the judgement's reason.
    pub sentences: Vec<String>,
    /// The operations on a time axis, one lane a client: lines of at most 100 columns, for a fixed-width font.
    pub diagram: String,
}

/// The field's names for what can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anomaly {
    /// A read returned a value that had been overwritten before the read was invoked.
    StaleRead,
    /// An acknowledged write is missing from what was read later.
    LostWrite,
    /// A read returned a value that nobody wrote.
    ReadOfUnwritten,
    /// A read returned a value before its write was invoked.
    ReadFromFuture,
    /// The effect of an operation that definitely failed was seen.
    Phantom,
    /// An element is in a list twice.
    DuplicatedAppend,
    /// Two reads disagree on the order of a list.
    ReorderedAppend,
    /// Two compare-and-sets won from one value.
    LostUpdate,
    /// After all activity had ended, the last reads of two clients disagree.
    DivergedFinalReads,
    /// An element was taken from a queue twice.
    DuplicatedDequeue,
    /// Elements left a queue in another order than they came.
    ReorderedDequeue,
    /// Two owners held one lock at the same time, or one released what it did not hold.
    BrokenLock,
    /// No order of the operations explains all results (found by search, not further classified).
    NotLinearizable,
}
