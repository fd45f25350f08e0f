//! What a random client asks of an object of each model, and what the object answers.

use checkers::history::{Action, Completion, Operation, Value};
use checkers::model::{ModelKind, ModelSpec};
use rand::RngExt;
use rand_pcg::Pcg64;

use crate::object::{step, transact};

/// The next action; mostly one that can succeed in `state`.
pub fn action(kind: ModelKind, number: i64, state: &Value, written: &[Value], random: &mut Pcg64) -> Action {
    let guess = |random: &mut Pcg64| {
        let guess = written[random.random_range(0..written.len())].clone();
        [state.clone(), guess][random.random_range(0..2)].clone()
    };
    let choice = random.random_range(0..10);
    match kind {
        ModelKind::Lock => return lock_action(state, random),
        ModelKind::MultiRegister => return Action::Txn(transaction(number, random)),
        ModelKind::Queue if choice < 5 => return Action::Dequeue,
        ModelKind::Queue => return Action::Enqueue(Value::Int(number)),
        _ if choice < 5 => return Action::Read,
        _ => {}
    }
    let value = match kind {
        ModelKind::KeyValue if number < 1000 => Value::Text(["a", "b", "ab", "", "ba"][(number % 5) as usize].into()),
        ModelKind::KeyValue => Value::Text(format!("<{number}>")),
        _ => Value::Int(number),
    };
    match (kind, choice) {
        (ModelKind::CasRegister, 5..=7) => Action::Cas { old: guess(random), new: value },
        (ModelKind::ListAppend, _) => Action::Append(value),
        (ModelKind::Set, _) => Action::Add(value),
        (ModelKind::Counter, _) => Action::Add(Value::Int(random.random_range(-2..=3))),
        (ModelKind::KeyValue, 5 | 6) => Action::Append(value),
        (ModelKind::KeyValue, 7) => Action::Cas { old: guess(random), new: value },
        (ModelKind::KeyValue, 8) => Action::Delete,
        _ => Action::Write(value),
    }
}

fn lock_action(state: &Value, random: &mut Pcg64) -> Action {
    let someone = Value::Int(random.random_range(0..3));
    match (state, random.random_range(0..10)) {
        (_, 0) => Action::Acquire(someone),
        (_, 1) => Action::Release(someone),
        (Value::Nil, _) => Action::Acquire(someone),
        (owner, _) => Action::Release(owner.clone()),
    }
}

fn transaction(number: i64, random: &mut Pcg64) -> Value {
    let part = |at: i64, random: &mut Pcg64| {
        let (word, register, value) = match random.random_range(0..8) {
            0..=3 => ("r", ["x", "y", "l", "m"][random.random_range(0..4)], Value::Nil),
            4 | 5 => ("w", ["x", "y"][random.random_range(0..2)], Value::Int(number * 3 + at)),
            6 if random.random_range(0..6) == 0 => ("w", "l", Value::List(vec![Value::Int(number)])),
            _ => ("append", ["l", "m"][random.random_range(0..2)], Value::Int(number * 3 + at)),
        };
        Value::List(vec![word.into(), register.into(), value])
    };
    let parts = random.random_range(1..=3);
    Value::List((0..parts).map(|at| part(at, random)).collect())
}

/// Sets the operation's completion to what the object answers in `state`, and returns the state after it.
pub fn answer(
    spec: &ModelSpec,
    operation: &mut Operation,
    state: &Value,
    dequeues_are_known: bool,
    random: &mut Pcg64,
) -> Value {
    let first = match state {
        Value::List(list) => list.first().cloned().unwrap_or_default(),
        _ => Value::Nil,
    };
    let rarely = random.random_range(0..30) == 0;
    operation.completion = match &operation.action {
        Action::Read | Action::Txn(_) if rarely => Completion::Ok(None),
        Action::Dequeue if rarely && !dequeues_are_known && !first.is_nil() => Completion::Ok(None),
        Action::Read => Completion::Ok(Some(spelled(spec, state, random))),
        Action::Dequeue => Completion::Ok(Some(first)),
        Action::Txn(asked) => Completion::Ok(Some(transact(state, asked).1)),
        _ => Completion::Ok(None),
    };
    if let Some(after) = step(spec, state, operation) {
        return after;
    }
    operation.completion = match (&operation.action, random.random_range(0..4)) {
        (Action::Cas { .. }, 0) => Completion::Mismatch { observed: None },
        (Action::Cas { .. }, 2..) => Completion::Mismatch { observed: Some(state.clone()) },
        _ => Completion::Fail,
    };
    state.clone()
}

/// A state as a server may spell it.
fn spelled(spec: &ModelSpec, state: &Value, random: &mut Pcg64) -> Value {
    match (spec.model, state) {
        (ModelKind::Set, Value::List(elements)) if elements.len() > 1 => {
            let mut elements = elements.clone();
            let (a, b) = (random.random_range(0..elements.len()), random.random_range(0..elements.len()));
            elements.swap(a, b);
            Value::List(elements)
        }
        (ModelKind::KeyValue, Value::Nil) if !spec.initial.is_nil() => {
            let empty_is_absent = spec.initial == Value::Text(String::new());
            if empty_is_absent && random.random_range(0..2) == 0 { "".into() } else { Value::Nil }
        }
        (ModelKind::Counter, Value::Int(0)) if random.random_range(0..4) == 0 => Value::Nil,
        _ => state.clone(),
    }
}
