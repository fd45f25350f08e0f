//! From the few operations that show a violation to words.
//!
//! ```text
//!   fast test ──┐
//!               ├─> Finding: anomaly + operations ──> violation(): sentences, diagram
//!   search ─────┘        in no order, without roles; the words come from the operations themselves
//! ```

use crate::describe::{Clock, deed_with_times, key_phrase};
use crate::history::OpIndex;
use crate::key::KeyHistory;
use crate::model::ModelSpec;
use crate::verdict::{Anomaly, Violation};

/// What a test or a search found: what it takes it for, and the operations that show it.
///
/// The operations are those that a person must see: for each value involved its write, the operation that was too early or too
/// late, and the one that it contradicts. They need no order and no roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What the test takes it for; [`Anomaly::NotLinearizable`] where it cannot say.
    pub(crate) anomaly: Anomaly,
    /// Places in the history, sorted, each once.
    pub(crate) operations: Vec<OpIndex>,
}

impl Finding {
    pub(crate) fn new(anomaly: Anomaly, mut operations: Vec<OpIndex>) -> Self {
        operations.sort_unstable();
        operations.dedup();
        Self { anomaly, operations }
    }
}

/// The violation in words.
pub(crate) fn violation(key: KeyHistory<'_>, _spec: &ModelSpec, finding: &Finding) -> Violation {
    let clock = Clock::of(key);
    let deeds: Vec<String> =
        finding.operations.iter().map(|&index| deed_with_times(&key.operation(index), clock)).collect();
    let sentence = format!("{:?} on {}: no order explains {}.", finding.anomaly, key_phrase(key.key), deeds.join("; "));
    Violation {
        anomaly: finding.anomaly,
        key: key.key.clone(),
        operations: finding.operations.clone(),
        sentences: vec![sentence],
        diagram: String::new(),
    }
}
