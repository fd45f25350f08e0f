//! One key: which tests and searches may decide it, and in which order.

use super::fold::heavier;
use super::{Algorithm, KeyResult, Outcome};
use crate::describe::Clock;
use crate::explain::Finding;
use crate::fast::Decision;
use crate::fast::list::Lists;
use crate::fast::lock::Locks;
use crate::fast::queue::Queues;
use crate::fast::register::{Calls, Numbers};
use crate::fast::set::Sets;
use crate::fit::impossible_read;
use crate::key::KeyHistory;
use crate::model::{Model, ModelKind, ModelSpec, counter, list, lock, multi_register, queue, set, text};
use crate::search::{Found, Limits, Problem, Searches, decide};
use crate::verdict::Anomaly;

/// Judges keys, one after the other.
pub(super) struct Judge<'a> {
    spec: &'a ModelSpec,
    algorithm: Algorithm,
    /// For registers, made when the first one comes.
    numbers: Option<Numbers>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(spec: &'a ModelSpec, algorithm: Algorithm) -> Self {
        Self { spec, algorithm, numbers: None }
    }

    pub(super) fn judge(&mut self, key: KeyHistory<'_>, limits: Limits<'_>) -> KeyResult {
        let initial = &self.spec.initial;
        // A register holds any value.
        if let ModelKind::Register | ModelKind::CasRegister = self.spec.model {
            return self.register(key, limits);
        }
        if let Some(impossible) = impossible_read(key, self.spec.model) {
            return (Outcome::Invalid(impossible), "type-of-read");
        }
        match self.spec.model {
            ModelKind::Register | ModelKind::CasRegister => unreachable!("judged above"),
            ModelKind::ListAppend => {
                let lists = Lists::of(key, initial);
                self.either(key, limits, || (lists.judge(&limits), "list-order"), || list::problem(key, initial))
            }
            ModelKind::Set => {
                let sets = Sets::of(key, initial);
                self.either(key, limits, || (sets.judge(&limits), "set-order"), || set::problem(key, initial))
            }
            ModelKind::Counter => self.search(key, limits, &counter::problem(key, initial)),
            ModelKind::Queue => {
                let queues = Queues::of(key, initial);
                self.either(key, limits, || (queues.judge(&limits), "queue-order"), || queue::problem(key, initial))
            }
            ModelKind::Lock => {
                let locks = Locks::of(key, initial);
                self.either(key, limits, || (locks.judge(&limits), "lock-zones"), || lock::problem(key, initial))
            }
            ModelKind::MultiRegister => self.parts(key, limits, &multi_register::problems(key, initial)),
            ModelKind::KeyValue => self.search(key, limits, &text::problem(key, initial)),
        }
    }

    fn register(&mut self, key: KeyHistory<'_>, limits: Limits<'_>) -> KeyResult {
        // Taken out: after a panic the numbers are not what the next key needs.
        let mut numbers = self.numbers.take().unwrap_or_else(|| Numbers::of(key.history, &self.spec.initial));
        let calls = Calls::of(key, &mut numbers, &limits);
        self.numbers = Some(numbers);
        let mut calls = match calls {
            Ok(calls) => calls,
            Err(early) => return (outcome(early).expect("reading the operations decides or gives up"), "cas-chains"),
        };
        self.fast(|| calls.judge(&limits)).unwrap_or_else(|| self.search(key, limits, &calls.problem()))
    }

    /// The fast test where it is one of its cases, else the searches.
    fn either<M: Model>(
        &self,
        key: KeyHistory<'_>,
        limits: Limits<'_>,
        test: impl FnOnce() -> (Decision, &'static str),
        problem: impl FnOnce() -> Problem<M>,
    ) -> KeyResult {
        self.fast(test).unwrap_or_else(|| self.search(key, limits, &problem()))
    }

    /// What a fast test says, if it may say anything and the case is its own.
    fn fast(&self, test: impl FnOnce() -> (Decision, &'static str)) -> Option<KeyResult> {
        if self.algorithm != Algorithm::Auto {
            return None;
        }
        let (decision, decided_by) = test();
        outcome(decision).map(|outcome| (outcome, decided_by))
    }

    fn search<M: Model>(&self, key: KeyHistory<'_>, limits: Limits<'_>, problem: &Problem<M>) -> KeyResult {
        let searches = match self.algorithm {
            Algorithm::Auto | Algorithm::Search => Searches::Both,
            Algorithm::Frontier => Searches::Frontier,
            Algorithm::DepthFirst => Searches::DepthFirst,
        };
        let (found, decided_by) = decide(problem, limits, searches);
        let outcome = match found {
            Found::Linearizable(order) => Outcome::Valid(Some(order)),
            Found::GaveUp(how_far) => {
                let at = |time| Clock::of(key.time_unit(), vec![time]).at(time);
                Outcome::Unknown(how_far.in_words(at))
            }
            Found::Impossible(stuck) => Outcome::Invalid(Finding::new(Anomaly::NotLinearizable, vec![stuck.operation])),
        };
        (outcome, decided_by)
    }

    /// Parts of one key that have nothing to do with each other.
    fn parts(
        &self,
        key: KeyHistory<'_>,
        limits: Limits<'_>,
        parts: &[Problem<multi_register::MultiRegister>],
    ) -> KeyResult {
        let mut orders = Some(Vec::with_capacity(parts.len()));
        let (mut valid_by, mut undecided) = ("none", None);
        for part in parts {
            match self.search(key, limits, part) {
                (invalid @ Outcome::Invalid(_), by) => return (invalid, by),
                (unknown @ Outcome::Unknown(_), by) => undecided = undecided.or(Some((unknown, by))),
                (Outcome::Valid(order), by) => {
                    valid_by = heavier(valid_by, by);
                    orders = orders.zip(order).map(|(mut orders, order)| {
                        orders.push(order);
                        orders
                    });
                }
            }
        }
        undecided.unwrap_or_else(|| (Outcome::Valid(orders.map(|orders| multi_register::merge(key, orders))), valid_by))
    }
}

/// What a fast test decided; `None` when it left the case to the searches.
fn outcome(decision: Decision) -> Option<Outcome> {
    match decision {
        Decision::Valid(order) => Some(Outcome::Valid(Some(order))),
        Decision::Invalid(finding) => Some(Outcome::Invalid(finding)),
        Decision::GaveUp(why) => Some(Outcome::Unknown(why)),
        Decision::NotMine => None,
    }
}
