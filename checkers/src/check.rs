//! The judge's front door: one key at a time, fast tests first, searches for the rest.
//!
//! ```text
//!   History ── split by key ──> pool: worst key first ──> judge, per key: fast test ─┬─ decided ─────────────────┬──> fold
//!                                                                                    └─ not its case: searches ─┘
//!   invalid anywhere: stop the rest.   invalid > unknown > valid.   no operations: vacuous.
//! ```
//!
//! Linearizability is local, so keys are judged on their own: Herlihy and Wing, "Linearizability: a correctness condition for
//! concurrent objects" (1990), section 3.1.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::explain::Finding;
use crate::fit::fits;
use crate::history::{Function, History, OpIndex};
use crate::key::Keys;
use crate::model::{ModelKind, ModelSpec};
use crate::search::Limits;
use crate::shrink;
use crate::verdict::Judgement;

mod fold;
mod judge;
mod pool;

/// What a check may spend. Hard: at the end of either the verdict is `unknown`.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Wall-clock time for the whole check.
    pub time: Duration,
    /// Memory for the tests and searches, all keys together. The history itself is not counted.
    pub memory_bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { time: Duration::from_secs(60), memory_bytes: 2 << 30 }
    }
}

/// How to check.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions {
    /// What the check may spend.
    pub budget: Budget,
    /// How many keys are judged at a time; 0 for as many as there are processors.
    pub threads: usize,
}

/// Which algorithm may decide. Only tests and benchmarks need anything but [`Algorithm::Auto`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// The fast test where it applies, else both searches.
    #[default]
    Auto,
    /// Both searches, even where a fast test applies.
    Search,
    /// The frontier search alone.
    Frontier,
    /// The depth-first search alone.
    DepthFirst,
}

/// The history and the model do not fit each other. Not a verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The model has no such action.
    #[error("operation {} ({action}) cannot be judged against the model {model:?}: it has no such action; choose another model", .operation.0)]
    ForeignAction {
        /// Which operation.
        operation: OpIndex,
        /// Its action.
        action: Function,
        /// The model.
        model: ModelKind,
    },
    /// The operation has a value that the model cannot hold.
    #[error("operation {} has a value that is not {expected}, as the model {model:?} needs; choose another model or correct the history", .operation.0)]
    ForeignValue {
        /// Which operation.
        operation: OpIndex,
        /// What the model needs.
        expected: &'static str,
        /// The model.
        model: ModelKind,
    },
    /// The operation ended in a way that its action cannot end.
    #[error("operation {} is not a compare-and-set, but was answered \"not equal\"; correct the history", .operation.0)]
    ForeignCompletion {
        /// Which operation.
        operation: OpIndex,
    },
    /// The initial value is not one that the model can hold.
    #[error("the initial value is not {expected}, as the model {model:?} needs")]
    ForeignInitial {
        /// What the model needs.
        expected: &'static str,
        /// The model.
        model: ModelKind,
    },
}

/// Judges `history` against `spec`.
///
/// # Errors
/// When an operation, or the initial value, does not fit the model.
pub fn check(history: &History, spec: &ModelSpec, options: &CheckOptions) -> Result<Judgement, CheckError> {
    check_with(history, spec, options, Algorithm::Auto)
}

/// Like [`check`], with a say in which algorithm decides.
///
/// # Errors
/// When an operation, or the initial value, does not fit the model.
pub fn check_with(
    history: &History,
    spec: &ModelSpec,
    options: &CheckOptions,
    algorithm: Algorithm,
) -> Result<Judgement, CheckError> {
    let start = Instant::now();
    fits(history, spec)?;
    let keys = Keys::of(history);
    let keys = pool::worst_first(keys.histories(history));
    let results = pool::judge_all(&keys, spec, algorithm, options, start);
    // The other algorithms are for tests, which want the verdict only.
    let cores_until = (algorithm == Algorithm::Auto).then(|| shrink::deadline(start + options.budget.time));
    let mut judgement = fold::fold(results, &keys, spec, history.len(), cores_until);
    judgement.elapsed = start.elapsed();
    Ok(judgement)
}

/// Whether no order of a history is possible; `None` when that was not found out. For parts of a history, as cores are made of them.
pub(crate) fn is_impossible(
    history: &History,
    spec: &ModelSpec,
    deadline: Instant,
    memory_bytes: usize,
) -> Option<bool> {
    let never = AtomicBool::new(false);
    let limits = Limits { deadline, memory_bytes, cancelled: &never };
    let mut judge = judge::Judge::new(spec, Algorithm::Auto);
    let keys = Keys::of(history);
    let mut possible = Some(false);
    for key in keys.histories(history) {
        match judge.judge(key, limits).0 {
            Outcome::Invalid(_) => return Some(true),
            Outcome::Unknown(_) => possible = None,
            Outcome::Valid(_) => {}
        }
    }
    possible
}

/// What was found out about one key.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// With an order of the operations, where the test made one.
    Valid(Option<Vec<OpIndex>>),
    /// With the few operations that show it; [`crate::explain`] finds the words.
    Invalid(Finding),
    /// A budget ended first, or a checker crashed: why.
    Unknown(String),
}

/// An outcome and the algorithm that found it.
type KeyResult = (Outcome, &'static str);
