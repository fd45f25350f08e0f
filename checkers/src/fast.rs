//! Fast tests: where every value is written at most once, the order follows from what was read, in O(n log n) or better.
//!
//! ```text
//!   register, cas-register ──> register ──> chains ──> zones ──> refusals ─┐
//!   list-append ─────────────> list ────────────────────────────────────────┤
//!   set ─────────────────────> set ─────────────────────────────────────────┤
//!   queue ───────────────────> queue ───────────────────────────────────────┤
//!   lock ────────────────────> lock ───────────────────> zones ─────────────┴──> Decision
//! ```
//!
//! A test says what it found, with proof either way, or that the case is not its own. Who decides then is not its business.

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::explain::Finding;
use crate::history::OpIndex;
use crate::search::Limits;
use crate::verdict::Anomaly;

pub(crate) mod chains;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod queue;
mod refusals;
pub(crate) mod register;
pub(crate) mod set;
pub(crate) mod zones;

/// What a fast test found out about one key.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// Linearizable, in this order: see [`crate::certificate::KeyOrder`].
    Valid(Vec<OpIndex>),
    /// Not linearizable, as these few operations show.
    Invalid(Finding),
    /// A budget ended first; why, and how far the test got.
    GaveUp(String),
    /// Not a case for this test.
    NotMine,
}

impl Decision {
    /// A violation: its kind, and the operations that show it.
    pub(crate) fn invalid(anomaly: Anomaly, operations: Vec<OpIndex>) -> Self {
        Self::Invalid(Finding::new(anomaly, operations))
    }
}

/// Steps between two looks at the limits: some hundred microseconds.
const STEPS_PER_LOOK: usize = 1 << 14;

impl Limits<'_> {
    /// Must be called in every step of a long loop. `Err` when a limit was reached; it says which, and how far `doing` got.
    #[inline]
    pub(crate) fn step(&self, doing: &'static str, step: usize, steps: usize) -> Result<(), Decision> {
        if step.is_multiple_of(STEPS_PER_LOOK) { self.look(doing, step, steps) } else { Ok(()) }
    }

    #[cold]
    pub(crate) fn look(&self, doing: &'static str, step: usize, steps: usize) -> Result<(), Decision> {
        let why = if self.cancelled.load(Ordering::Relaxed) {
            "the test was stopped because another key is in violation"
        } else if Instant::now() >= self.deadline {
            "the time budget ended"
        } else {
            return Ok(());
        };
        Err(Decision::GaveUp(format!("{why} while the fast test was {doing}: {step} of {steps} done")))
    }

    /// Must be called before the memory is taken. `Err` when the budget has not this much.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<(), Decision> {
        if bytes <= self.memory_bytes {
            return Ok(());
        }
        let mib = |bytes: usize| bytes.div_ceil(1 << 20);
        Err(Decision::GaveUp(format!(
            "the memory budget is too small for the fast test: it needs up to {} MiB, and this key may have {} MiB",
            mib(bytes),
            mib(self.memory_bytes)
        )))
    }
}
