//! What the streaming tests cannot judge is judged again and again as it grows.
//!
//! ```text
//!   operations  1 ─ … ─ 16 judged ─ … ─ 20 judged ─ … ─ 25 judged ─ …        in between: undecided
//!                                          one operation all alone: its value is the state, all before is dropped
//! ```
//!
//! The key's operations are kept, up to a limit; each judgement waits until there are a quarter more of them, so that
//! all judgements together cost a small multiple of the last. Where an operation ran all alone, with nothing unknown
//! outstanding, and tells what the object held afterwards, everything up to it is replaced by that value:
//! linearizability of what comes then depends on nothing else.
//!
//! This is the simplest thing that gives the judge's own verdict. A frontier of configurations that moves on as soon as
//! what is open at a point is answered would keep less and be asked less often; it would have the same four methods.

use super::Stop;
use crate::check::{Budget, CheckOptions, check};
use crate::history::{Action, Completion, History, Operation, ProcessId, Value};
use crate::model::{ModelKind, ModelSpec};
use crate::verdict::Verdict;

/// No key is judged again before it has so many operations.
const OPERATIONS_MIN: usize = 16;

/// The operations of one key since its state was known.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    spec: ModelSpec,
    operations: Vec<Operation>,
    /// How many came before these.
    dropped: u64,
    /// How many have no answer.
    open: usize,
    /// How many there will be at the next judgement.
    next: usize,
    decided: bool,
}

impl Replay {
    pub(super) fn new(spec: ModelSpec) -> Self {
        Self { spec, operations: Vec::new(), dropped: 0, open: 0, next: OPERATIONS_MIN, decided: true }
    }

    /// Takes an invocation; gives its number.
    pub(super) fn invoked(&mut self, operation: Operation) -> u64 {
        let number = self.dropped + self.operations.len() as u64;
        // A process of its own: its process before may have an answer of this very moment that is still to be taken.
        self.operations.push(Operation { process: ProcessId(number), ..operation });
        self.open += 1;
        number
    }

    /// Takes an answer to the operation of that number. Does not judge.
    pub(super) fn completed(&mut self, number: u64, completion: &Completion, ret: u64) {
        let place = usize::try_from(number - self.dropped).expect("what is open is not dropped");
        let operation = &mut self.operations[place];
        operation.completion = completion.clone();
        operation.ret = ret;
        self.open -= 1;
        self.decided = false;
    }

    /// Judges if it is time to. `last` is the number of the operation that was answered last.
    pub(super) fn judge_at_times(&mut self, last: u64, budget: Budget) -> Result<(), Stop> {
        let state = self.known_after(last).filter(|_| self.operations.len() >= OPERATIONS_MIN);
        if state.is_none() && self.operations.len() < self.next {
            return Ok(());
        }
        self.judge(budget)?;
        self.next = self.operations.len() + (self.operations.len() / 4).max(OPERATIONS_MIN);
        if let Some(state) = state {
            self.spec.initial = state;
            self.dropped += self.operations.len() as u64;
            self.operations.clear();
            self.next = OPERATIONS_MIN;
        }
        Ok(())
    }

    /// Judges what there is.
    pub(super) fn judge(&mut self, budget: Budget) -> Result<(), Stop> {
        if self.decided {
            return Ok(());
        }
        let history = History::from_operations(self.operations.clone()).expect("the events kept every rule");
        match check(&history, &self.spec, &CheckOptions { budget, threads: 1 }) {
            Err(unfit) => Err(Stop::Undecided(unfit.to_string())),
            Ok(judgement) => match (judgement.verdict, judgement.violation) {
                (Verdict::Valid | Verdict::Vacuous, _) => {
                    self.decided = true;
                    Ok(())
                }
                (Verdict::Invalid, Some(violation)) => {
                    let what = "with it the operations on the key fit no order".into();
                    Err(Stop::Violation { anomaly: violation.anomaly, what })
                }
                (Verdict::Invalid | Verdict::Unknown, _) => Err(Stop::Undecided(judgement.reason)),
            },
        }
    }

    /// Whether everything answered so far was judged.
    pub(super) fn is_decided(&self) -> bool {
        self.decided
    }

    /// How many operations are kept.
    pub(super) fn len(&self) -> usize {
        self.operations.len()
    }

    /// What the object holds, if this operation tells and was alone between all others before it and the present.
    fn known_after(&self, last: u64) -> Option<Value> {
        let place = usize::try_from(last - self.dropped).expect("what was just answered is not dropped");
        let operation = &self.operations[place];
        let others = self.operations.iter().enumerate().filter(|(other, _)| *other != place);
        if self.open > 0 || !others.map(|(_, other)| other.ret).all(|ret| ret < operation.invoke) {
            return None;
        }
        let tells = matches!(self.spec.model, ModelKind::Register | ModelKind::CasRegister | ModelKind::KeyValue);
        match (&operation.action, &operation.completion) {
            _ if !tells => None,
            (Action::Read, Completion::Ok(Some(value))) | (Action::Write(value), Completion::Ok(_)) => {
                Some(value.clone())
            }
            (Action::Cas { new, .. }, Completion::Ok(_)) => Some(new.clone()),
            _ => None,
        }
    }
}
