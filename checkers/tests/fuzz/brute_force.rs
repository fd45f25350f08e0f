//! The definition of linearizability, tried order by order. It shares nothing with the checkers but the history's types.

use checkers::history::{Completion, Operation, Value};
use checkers::model::ModelSpec;

use crate::object::{happened, start, step};

/// True when some order of the operations respects real time and the model.
pub fn linearizable(operations: &[Operation], spec: &ModelSpec) -> bool {
    let relevant: Vec<&Operation> =
        operations.iter().filter(|operation| operation.completion != Completion::Fail).collect();
    let mut left: Vec<bool> = vec![true; relevant.len()];
    extend(&relevant, &mut left, &start(spec), spec)
}

fn extend(operations: &[&Operation], left: &mut [bool], state: &Value, spec: &ModelSpec) -> bool {
    let must = |at: usize| operations[at].completion != Completion::Info;
    if !(0..operations.len()).any(|at| left[at] && must(at)) {
        return true;
    }
    for next in 0..operations.len() {
        let comes_too_late = (0..operations.len())
            .any(|other| left[other] && must(other) && operations[other].ret < operations[next].invoke);
        if !left[next] || comes_too_late {
            continue;
        }
        if let Some(after) = step(spec, state, operations[next]) {
            left[next] = false;
            let found = extend(operations, left, &after, spec);
            left[next] = true;
            if found {
                return true;
            }
        }
    }
    false
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
