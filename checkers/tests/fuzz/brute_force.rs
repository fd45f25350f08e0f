//! The definition of linearizability, tried order by order. It shares nothing with the checkers but the history's types.

use checkers::history::{Action, Completion, Operation, Value};
use checkers::model::{ModelKind, ModelSpec};

/// True when some order of the operations respects real time and the model.
pub fn linearizable(operations: &[Operation], spec: &ModelSpec) -> bool {
    let relevant: Vec<&Operation> =
        operations.iter().filter(|operation| operation.completion != Completion::Fail).collect();
    let mut left: Vec<bool> = vec![true; relevant.len()];
    extend(&relevant, &mut left, &start(spec), spec.model)
}

/// The state that an object of this model starts in.
pub fn start(spec: &ModelSpec) -> Value {
    match (spec.model, &spec.initial) {
        (ModelKind::ListAppend, Value::Nil) => Value::List(Vec::new()),
        (ModelKind::KeyValue, Value::Nil) => Value::Text(String::new()),
        (_, initial) => initial.clone(),
    }
}

fn extend(operations: &[&Operation], left: &mut [bool], state: &Value, model: ModelKind) -> bool {
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
        if let Some(after) = step(model, state, operations[next]) {
            left[next] = false;
            let found = extend(operations, left, &after, model);
            left[next] = true;
            if found {
                return true;
            }
        }
    }
    false
}

/// The state after `operation` in `state`, or `None` when it cannot have ended as it did. An unknown outcome is taken to have
/// happened; when it cannot have, it changes nothing.
pub fn step(model: ModelKind, state: &Value, operation: &Operation) -> Option<Value> {
    match (&operation.action, &operation.completion) {
        (_, Completion::Fail) | (Action::Read, Completion::Info | Completion::Ok(None)) => Some(state.clone()),
        (Action::Read, Completion::Ok(Some(seen))) => {
            let seen = start(&ModelSpec { model, initial: seen.clone() });
            (seen == *state).then_some(seen)
        }
        (Action::Write(new), _) => Some(new.clone()),
        (Action::Append(element), _) => match (state, element) {
            (Value::List(list), _) => Some(Value::List(list.iter().chain([element]).cloned().collect())),
            (Value::Text(text), Value::Text(more)) => Some(Value::Text(format!("{text}{more}"))),
            _ => None,
        },
        (Action::Cas { old, new }, Completion::Ok(_)) => (state == old).then(|| new.clone()),
        (Action::Cas { old, new }, Completion::Info) => Some(if state == old { new.clone() } else { state.clone() }),
        (Action::Cas { old, .. }, Completion::Mismatch { observed }) => {
            let agrees = observed.as_ref().is_none_or(|seen| seen == state);
            (state != old && agrees).then(|| state.clone())
        }
        _ => None,
    }
}
