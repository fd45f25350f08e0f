//! The judge's front door: one key at a time, fast tests first, searches for the rest.
//!
//! ```text
//!   History ── split by key ──> worst key first, on a bounded pool ──> per key: fast test ─┬─ decided
//!                                                                                          └─ not its case: two searches
//!   invalid anywhere: stop the rest.   invalid > unknown > valid.   no operations: vacuous.
//! ```
//!
//! Linearizability is local, so keys are judged on their own: Herlihy and Wing, "Linearizability: a correctness condition for
//! concurrent objects" (1990), section 3.1.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::certificate::{Certificate, KeyOrder};
use crate::describe::key_phrase;
use crate::explain::{self, Finding};
use crate::fast::{list, register};
use crate::fit::{fits, impossible_read};
use crate::history::{Function, History, OpIndex};
use crate::key::{KeyHistory, Keys};
use crate::model::{ModelKind, ModelSpec};
use crate::search::{Found, Limits, Problem, Searches, decide};
use crate::verdict::{Anomaly, Judgement, Verdict};

/// What a check may spend. Hard: at the end of either the verdict is `unknown`.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Wall-clock time for the whole check.
    pub time: Duration,
    /// Memory for the searches, all keys together. The history itself is not counted.
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
    let split = Keys::of(history);
    let mut keys = split.histories(history);
    // The key that promises the most work first.
    keys.sort_by_cached_key(|key| std::cmp::Reverse(promised_work(key)));
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
    .min(keys.len().max(1));
    let pool = Pool {
        spec,
        algorithm,
        keys: &keys,
        deadline: start + options.budget.time,
        memory_bytes: options.budget.memory_bytes / threads,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        results: Mutex::new(Vec::with_capacity(keys.len())),
    };
    let results = pool.run(threads);
    let mut judgement = fold(results, &keys, spec, history.len());
    judgement.elapsed = start.elapsed();
    Ok(judgement)
}

/// What was found out about one key.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// With an order of the operations, where the test made one.
    Valid(Option<Vec<OpIndex>>),
    /// With the few operations that show it; [`explain`] finds the words.
    Invalid(Finding),
    Unknown(String),
}

/// An outcome and the algorithm that found it.
type KeyResult = (Outcome, &'static str);

/// More for more operations, and much more for unknown outcomes, which stay concurrent with everything after them.
fn promised_work(key: &KeyHistory<'_>) -> usize {
    let unknown = key.operations().filter(|(_, operation)| operation.is_unknown()).count();
    key.places.len().saturating_mul(1 + unknown)
}

struct Pool<'a, 'h> {
    spec: &'a ModelSpec,
    algorithm: Algorithm,
    keys: &'a [KeyHistory<'h>],
    deadline: Instant,
    memory_bytes: usize,
    next: AtomicUsize,
    stop: AtomicBool,
    results: Mutex<Vec<(usize, KeyResult)>>,
}

impl Pool<'_, '_> {
    fn run(self, threads: usize) -> Vec<(usize, KeyResult)> {
        if threads <= 1 {
            self.work();
        } else {
            match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
                Ok(pool) => pool.scope(|scope| (0..threads).for_each(|_| scope.spawn(|_| self.work()))),
                // No threads to be had: one is enough for an answer.
                Err(_) => self.work(),
            }
        }
        let mut results = self.results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        results.sort_by_key(|(place, _)| *place);
        results
    }

    fn work(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(key) = self.keys.get(place) else { return };
            let result = if Instant::now() >= self.deadline {
                (Outcome::Unknown("the time budget ended before this key's turn".into()), "none")
            } else {
                let judged = catch_unwind(AssertUnwindSafe(|| self.judge(*key)));
                judged.unwrap_or_else(|panic| (Outcome::Unknown(crash(&*panic)), "none"))
            };
            if matches!(result.0, Outcome::Invalid(_)) {
                self.stop.store(true, Ordering::Relaxed);
            }
            let mut results = self.results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let result = match result {
                (Outcome::Unknown(why), by) => (Outcome::Unknown(format!("{}: {why}", key_phrase(key.key))), by),
                other => other,
            };
            results.push((place, result));
        }
    }

    fn judge(&self, key: KeyHistory<'_>) -> KeyResult {
        let searcher = Searcher {
            limits: Limits { deadline: self.deadline, memory_bytes: self.memory_bytes, cancelled: &self.stop },
            algorithm: self.algorithm,
        };
        if let Some(impossible) = impossible_read(key, self.spec.model) {
            return (impossible, "type-of-read");
        }
        match self.spec.model {
            ModelKind::Register | ModelKind::CasRegister => register::judge(key, &self.spec.initial, searcher),
            ModelKind::ListAppend => list::judge(key, &self.spec.initial, searcher),
            ModelKind::KeyValue => list::judge_text(key, &self.spec.initial, searcher),
        }
    }
}

/// Runs the searches that may be run.
#[derive(Clone, Copy)]
pub(crate) struct Searcher<'a> {
    limits: Limits<'a>,
    algorithm: Algorithm,
}

impl Searcher<'_> {
    /// True when the fast tests may decide.
    pub(crate) fn may_be_fast(self) -> bool {
        self.algorithm == Algorithm::Auto
    }

    pub(crate) fn search<M: crate::model::Model>(self, problem: &Problem<M>) -> KeyResult {
        let searches = match self.algorithm {
            Algorithm::Auto | Algorithm::Search => Searches::Both,
            Algorithm::Frontier => Searches::Frontier,
            Algorithm::DepthFirst => Searches::DepthFirst,
        };
        let (found, decided_by) = decide(problem, self.limits, searches);
        let outcome = match found {
            Found::Linearizable => Outcome::Valid(None),
            Found::GaveUp(why) => Outcome::Unknown(why),
            Found::Impossible(index) => Outcome::invalid(Anomaly::NotLinearizable, vec![index]),
        };
        (outcome, decided_by)
    }
}

fn crash(panic: &(dyn std::any::Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the checker crashed ({}); this is a defect of the checker", message.unwrap_or("no message"))
}

/// Brings the keys' results together: invalid wins over unknown, unknown over valid.
fn fold(
    results: Vec<(usize, KeyResult)>,
    histories: &[KeyHistory<'_>],
    spec: &ModelSpec,
    operations: usize,
) -> Judgement {
    let keys = histories.len();
    let mut judgement = Judgement {
        verdict: Verdict::Vacuous,
        reason: "The history holds no operations.".into(),
        violation: None,
        certificate: None,
        decided_by: "none",
        operations,
        keys,
        elapsed: Duration::ZERO,
    };
    if operations == 0 {
        return judgement;
    }
    judgement.verdict = Verdict::Valid;
    judgement.reason = match keys {
        1 => format!("All {operations} operations fit one linear order."),
        _ => format!("On each of {keys} keys the operations fit one linear order ({operations} operations in all)."),
    };
    let judged = results.len();
    let mut undecided = 0;
    let mut orders = Some(Vec::with_capacity(keys));
    for (place, (outcome, decided_by)) in results {
        match outcome {
            Outcome::Valid(order) if judgement.verdict == Verdict::Valid => {
                judgement.decided_by = heavier(judgement.decided_by, decided_by);
                let order = order.map(|order| KeyOrder { key: histories[place].key.clone(), order });
                orders = orders.zip(order).map(|(mut orders, order)| {
                    orders.push(order);
                    orders
                });
            }
            Outcome::Unknown(why) if judgement.verdict != Verdict::Invalid => {
                undecided += 1;
                if judgement.verdict == Verdict::Valid {
                    judgement.verdict = Verdict::Unknown;
                    judgement.reason = why;
                    judgement.decided_by = decided_by;
                }
            }
            Outcome::Invalid(finding) if judgement.verdict != Verdict::Invalid => {
                let violation = explain::violation(histories[place], spec, &finding);
                judgement.verdict = Verdict::Invalid;
                judgement.reason.clone_from(&violation.sentences[0]);
                judgement.violation = Some(violation);
                judgement.decided_by = decided_by;
            }
            _ => {}
        }
    }
    assert!(
        judged == keys || judgement.verdict == Verdict::Invalid,
        "every key has a result unless a violation stopped the rest"
    );
    if judgement.verdict == Verdict::Valid {
        judgement.certificate = orders.map(Certificate::Linearization);
    }
    if judgement.verdict == Verdict::Unknown && undecided > 1 {
        judgement.reason = format!("{undecided} of {keys} keys are undecided; {}", judgement.reason);
    }
    judgement
}

/// Over several keys the algorithm that is named is the one that had to do the most.
fn heavier(a: &'static str, b: &'static str) -> &'static str {
    let order = ["none", "register-zones", "cas-chains", "list-order", "depth-first", "frontier"];
    let rank = |name| order.iter().position(|other| *other == name);
    if rank(a) >= rank(b) { a } else { b }
}

impl Outcome {
    /// A violation: its kind, and the operations that show it.
    pub(crate) fn invalid(anomaly: Anomaly, operations: Vec<OpIndex>) -> Self {
        Self::Invalid(Finding::new(anomaly, operations))
    }
}
