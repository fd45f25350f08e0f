//! The sequential objects once more, over plain values: written for the referees, sharing nothing with the models under test.

use checkers::history::{Action, Completion, Operation, Value};
use checkers::model::{ModelKind, ModelSpec};

/// The state that an object of this model starts in.
pub fn start(spec: &ModelSpec) -> Value {
    normal(spec, &spec.initial)
}

/// One value for each state, however a client spells it.
fn normal(spec: &ModelSpec, value: &Value) -> Value {
    match (spec.model, value) {
        (ModelKind::ListAppend | ModelKind::Queue, Value::Nil) => Value::List(Vec::new()),
        (ModelKind::Set, value) => {
            let mut elements = list(value).to_vec();
            elements.sort();
            Value::List(elements)
        }
        (ModelKind::Counter, Value::Nil) => Value::Int(0),
        (ModelKind::KeyValue, Value::Text(text)) if text.is_empty() && spec.initial == Value::Text(String::new()) => {
            Value::Nil
        }
        (ModelKind::MultiRegister, value) => {
            let is_there = |pair: &&Value| !is_absent(&list(pair)[1]);
            let mut registers: Vec<Value> = list(value).iter().filter(is_there).cloned().collect();
            registers.sort();
            Value::List(registers)
        }
        _ => value.clone(),
    }
}

fn list(value: &Value) -> &[Value] {
    match value {
        Value::List(elements) => elements,
        _ => &[],
    }
}

fn is_absent(value: &Value) -> bool {
    matches!(value, Value::Nil) || *value == Value::List(Vec::new())
}

/// The state after `operation` in `state`, or `None` when it cannot have ended as it did. An unknown outcome is taken to have
/// happened; when it cannot have, it changes nothing.
pub fn step(spec: &ModelSpec, state: &Value, operation: &Operation) -> Option<Value> {
    match &operation.completion {
        Completion::Fail => Some(state.clone()),
        Completion::Info => Some(effect(spec, state, &operation.action, None).unwrap_or_else(|| state.clone())),
        Completion::Ok(answer) => effect(spec, state, &operation.action, answer.as_ref()),
        Completion::Mismatch { observed } => {
            let Action::Cas { old, .. } = &operation.action else { return None };
            let agrees = observed.as_ref().is_none_or(|seen| normal(spec, seen) == *state);
            (normal(spec, old) != *state && agrees).then(|| state.clone())
        }
    }
}

/// The state after `operation` where an unknown outcome did take effect, as one in an order must have.
pub fn happened(spec: &ModelSpec, state: &Value, operation: &Operation) -> Option<Value> {
    match operation.completion {
        Completion::Info => effect(spec, state, &operation.action, None),
        _ => step(spec, state, operation),
    }
}

/// The state after `action`, if it can be done in `state` and be answered like this.
fn effect(spec: &ModelSpec, state: &Value, action: &Action, answer: Option<&Value>) -> Option<Value> {
    match action {
        Action::Read => {
            let is_set =
                |seen: &Value| !list(seen).iter().enumerate().any(|(at, value)| list(seen)[..at].contains(value));
            let same = |seen: &Value| normal(spec, seen) == *state && (spec.model != ModelKind::Set || is_set(seen));
            answer.is_none_or(same).then(|| state.clone())
        }
        Action::Write(new) => Some(normal(spec, new)),
        Action::Delete => Some(Value::Nil),
        Action::Cas { old, new } => (normal(spec, old) == *state).then(|| normal(spec, new)),
        Action::Append(Value::Text(more)) if spec.model == ModelKind::KeyValue => match state {
            Value::Text(text) => Some(Value::Text(format!("{text}{more}"))),
            _ => Some(normal(spec, &Value::Text(more.clone()))),
        },
        Action::Append(element) | Action::Enqueue(element) => Some(with(state, element)),
        Action::Add(Value::Int(more)) if spec.model == ModelKind::Counter => match state {
            Value::Int(sum) => Some(Value::Int(sum + more)),
            _ => None,
        },
        Action::Add(element) if list(state).contains(element) => Some(state.clone()),
        Action::Add(element) => Some(normal(spec, &with(state, element))),
        Action::Dequeue => match (list(state).split_first(), answer) {
            (None, Some(Value::Nil)) => Some(state.clone()),
            (Some((first, rest)), answer) if answer.is_none_or(|taken| taken == first) => {
                Some(Value::List(rest.to_vec()))
            }
            _ => None,
        },
        Action::Acquire(owner) => (*state == Value::Nil).then(|| owner.clone()),
        Action::Release(owner) => (state == owner).then_some(Value::Nil),
        Action::Txn(asked) => {
            let (after, done) = transact(state, asked);
            answer.is_none_or(|answer| agree(&done, answer)).then_some(after)
        }
    }
}

fn with(state: &Value, element: &Value) -> Value {
    Value::List(list(state).iter().chain([element]).cloned().collect())
}

/// The registers after a transaction, and its parts with what its reads return.
pub fn transact(state: &Value, asked: &Value) -> (Value, Value) {
    let mut registers: std::collections::BTreeMap<Value, Value> =
        list(state).iter().map(|pair| (list(pair)[0].clone(), list(pair)[1].clone())).collect();
    let mut done = Vec::new();
    for part in list(asked) {
        let (function, register, value) = (&list(part)[0], &list(part)[1], &list(part)[2]);
        let held = registers.get(register).cloned().unwrap_or_default();
        let result = match function {
            Value::Text(word) if word == "r" => held,
            Value::Text(word) if word == "w" => {
                registers.insert(register.clone(), value.clone());
                value.clone()
            }
            _ => {
                registers.insert(register.clone(), with(&held, value));
                value.clone()
            }
        };
        done.push(Value::List(vec![function.clone(), register.clone(), result]));
    }
    let held = registers.into_iter().filter(|(_, value)| !is_absent(value));
    (Value::List(held.map(|(register, value)| Value::List(vec![register, value])).collect()), Value::List(done))
}

/// Nil and the empty list are one.
fn agree(done: &Value, answer: &Value) -> bool {
    list(done).iter().zip(list(answer)).all(|(done, answer)| {
        let (done, answer) = (&list(done)[2], &list(answer)[2]);
        done == answer || (is_absent(done) && is_absent(answer))
    })
}
