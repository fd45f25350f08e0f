//! The definition of linearizability, tried order by order. It shares nothing with the checkers but the history's types.

use checkers::history::{Completion, Operation, Value};
use checkers::model::ModelSpec;

use crate::object::{happened, start};

/// True when some order of the operations respects real time and the model.
pub fn linearizable(operations: &[Operation], spec: &ModelSpec) -> bool {
    linearization(operations, spec).is_some()
}

/// An order of the operations that respects real time and the model, or `None` when there is none.
pub fn linearization(operations: &[Operation], spec: &ModelSpec) -> Option<Vec<usize>> {
    let mut search = Search {
        operations,
        spec,
        left: operations.iter().map(|operation| operation.completion != Completion::Fail).collect(),
        order: Vec::new(),
    };
    search.extend(&start(spec)).then_some(search.order)
}

struct Search<'a> {
    operations: &'a [Operation],
    spec: &'a ModelSpec,
    left: Vec<bool>,
    order: Vec<usize>,
}

impl Search<'_> {
    fn must(&self, at: usize) -> bool {
        self.left[at] && self.operations[at].completion != Completion::Info
    }

    fn extend(&mut self, state: &Value) -> bool {
        let all = 0..self.operations.len();
        if !all.clone().any(|at| self.must(at)) {
            return true;
        }
        for next in all.clone().filter(|&at| self.operations[at].completion != Completion::Fail) {
            let invoke = self.operations[next].invoke;
            let comes_too_late = all.clone().any(|other| self.must(other) && self.operations[other].ret < invoke);
            if !self.left[next] || comes_too_late {
                continue;
            }
            // What of unknown outcome did nothing need not be there.
            if let Some(after) = happened(self.spec, state, &self.operations[next]) {
                self.left[next] = false;
                self.order.push(next);
                if self.extend(&after) {
                    return true;
                }
                self.order.pop();
                self.left[next] = true;
            }
        }
        false
    }
}

/// What is wrong with this order as a proof that the operations are linearizable. Nothing when all is well.
pub fn replay(operations: &[Operation], order: &[usize], spec: &ModelSpec) -> Result<(), String> {
    let mut placed = vec![false; operations.len()];
    let (mut state, mut latest) = (start(spec), 0);
    for &at in order {
        let operation = operations.get(at).ok_or_else(|| format!("there is no operation {at}"))?;
        if std::mem::replace(&mut placed[at], true) || operation.completion == Completion::Fail {
            return Err(format!("operation {at} is there twice, or failed"));
        }
        latest = latest.max(operation.invoke);
        if operation.ret < latest {
            return Err(format!("operation {at} returned before one of those before it was invoked"));
        }
        state = happened(spec, &state, operation).ok_or_else(|| format!("operation {at} is impossible in {state}"))?;
    }
    let says_nothing = |operation: &Operation| match operation.completion {
        Completion::Ok(None) => operation.action == checkers::history::Action::Read,
        Completion::Ok(Some(_)) | Completion::Mismatch { .. } => false,
        Completion::Fail | Completion::Info => true,
    };
    match (0..operations.len()).find(|&at| !placed[at] && !says_nothing(&operations[at])) {
        Some(at) => Err(format!("operation {at} is missing")),
        None => Ok(()),
    }
}
