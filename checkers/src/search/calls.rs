//! The searches for models of one's own: calls with their times in, an answer with its order out.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::{Entry, Found, HowFar, Limits, NEVER, Problem, Searches, decide};
use crate::check::CheckOptions;
use crate::history::OpIndex;
use crate::model::Model;

/// A call with its closed interval of real time, in any unit. Equal times are concurrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed<C> {
    /// What was asked for and answered; for an unknown outcome, as if it had succeeded.
    pub call: C,
    /// When it was invoked.
    pub invoke: u64,
    /// When it returned. `None` when its outcome is unknown: it may take effect at any time after the invocation, or never.
    pub ret: Option<u64>,
}

/// What [`check_calls`] found. Calls are named by their place in the list that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The calls are linearizable: these took effect, in this order. It has all but some of unknown outcome.
    Valid(Vec<usize>),
    /// No order explains the calls.
    Invalid(Impasse),
    /// A budget ended first.
    Unknown(HowFar),
    /// There was nothing to judge.
    Vacuous,
}

/// Where all orders ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impasse {
    /// No order that was tried gets past the return of this call.
    pub call: usize,
    /// The calls are impossible up to this time, whatever comes later.
    pub at: u64,
    /// True when no shorter part, up to an earlier return, is impossible.
    pub shortest: bool,
}

/// Calls that cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Its times are the wrong way round.
    #[error("call {call} returned before it was invoked; correct its times")]
    BackInTime {
        /// The call's place in the list.
        call: usize,
    },
    /// Its time is kept for unknown returns.
    #[error("call {call} has the time u64::MAX, which cannot be judged; correct its times")]
    TooLate {
        /// The call's place in the list.
        call: usize,
    },
    /// There are too many.
    #[error("{calls} calls are more than can be judged at a time (2^31)")]
    TooMany {
        /// How many.
        calls: usize,
    },
}

/// Judges calls on one object against a model of your own (see [`Model`]): both searches, within the budget of `options`. (Its
/// threads are for histories of many keys; here there are two at most.)
///
/// # Errors
/// When a call's times are impossible, or there are too many calls.
///
/// # Panics
/// When the model does.
pub fn check_calls<M: Model>(
    model: &M,
    calls: Vec<Timed<M::Call>>,
    options: &CheckOptions,
) -> Result<Answer, CallError> {
    let start = Instant::now();
    if calls.is_empty() {
        return Ok(Answer::Vacuous);
    }
    let count = u32::try_from(calls.len()).ok().filter(|count| *count < 1 << 31);
    let count = count.ok_or(CallError::TooMany { calls: calls.len() })?;
    let mut entries = Vec::with_capacity(calls.len());
    for (index, Timed { call, invoke, ret }) in (0..count).zip(calls) {
        let place = index as usize;
        if invoke == NEVER || ret == Some(NEVER) {
            return Err(CallError::TooLate { call: place });
        }
        if ret.is_some_and(|ret| ret < invoke) {
            return Err(CallError::BackInTime { call: place });
        }
        entries.push(Entry { index: OpIndex(index), invoke, ret: ret.unwrap_or(NEVER), call });
    }
    let limits = Limits {
        deadline: start + options.budget.time,
        memory_bytes: options.budget.memory_bytes,
        cancelled: &AtomicBool::new(false),
    };
    let (found, _) = decide(&Problem::new(model, entries), limits, Searches::Both);
    Ok(match found {
        Found::Linearizable(order) => Answer::Valid(order.into_iter().map(|index| index.0 as usize).collect()),
        Found::Impossible(stuck) => {
            Answer::Invalid(Impasse { call: stuck.operation.0 as usize, at: stuck.at, shortest: stuck.shortest })
        }
        Found::GaveUp(how_far) => Answer::Unknown(how_far),
    })
}
