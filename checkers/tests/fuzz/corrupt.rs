//! Small changes to a history that may make it impossible.

use checkers::history::{Action, Completion, Operation, Value};
use checkers::model::{ModelKind, ModelSpec};
use rand::RngExt;
use rand_pcg::Pcg64;

/// Changes one operation: what it was answered, when it ran, or how it ended.
pub fn corrupt(operations: &mut [Operation], spec: &ModelSpec, random: &mut Pcg64) {
    let at = random.random_range(0..operations.len());
    let other = operations[random.random_range(0..operations.len())].clone();
    let operation = &mut operations[at];
    match random.random_range(0..6) {
        0..=2 => corrupt_answer(operation, &other, spec, random),
        3 => operation.invoke = operation.ret.min(operation.invoke + random.random_range(0..4)),
        4 if operation.ret != u64::MAX => {
            operation.ret = operation.invoke.max(operation.ret.saturating_sub(random.random_range(0..4)));
        }
        _ => {
            if operation.completion == Completion::Info && !matches!(operation.action, Action::Read) {
                operation.completion = Completion::Ok(None);
                operation.ret = operation.invoke + random.random_range(0..9);
            } else if operation.ret != u64::MAX && !matches!(operation.action, Action::Read | Action::Dequeue) {
                operation.completion = Completion::Ok(None);
            }
        }
    }
}

fn corrupt_answer(operation: &mut Operation, other: &Operation, spec: &ModelSpec, random: &mut Pcg64) {
    match &mut operation.completion {
        Completion::Ok(Some(Value::List(parts))) if spec.model == ModelKind::MultiRegister => {
            let at = random.random_range(0..parts.len());
            if let Value::List(part) = &mut parts[at]
                && part[0] == Value::from("r")
            {
                part[2] = match part[2] {
                    Value::Nil => [Value::Int(1), Value::List(vec![Value::Int(2)])][random.random_range(0..2)].clone(),
                    _ => another(spec, &part[2], random),
                };
            }
        }
        Completion::Ok(Some(seen)) | Completion::Mismatch { observed: Some(seen) } => match &other.completion {
            Completion::Ok(Some(value)) if random.random_range(0..2) == 0 => *seen = value.clone(),
            _ => *seen = another(spec, seen, random),
        },
        Completion::Ok(None) if operation.action != Action::Read => operation.completion = Completion::Fail,
        _ => {}
    }
}

/// A value that the object might have answered, and did not.
fn another(spec: &ModelSpec, seen: &Value, random: &mut Pcg64) -> Value {
    match seen {
        _ if spec.model == ModelKind::Queue => {
            [Value::Nil, Value::Int(random.random_range(0..4)), Value::Int(random.random_range(100..108))]
                [random.random_range(0..3)]
            .clone()
        }
        Value::List(list) if !list.is_empty() => {
            let mut list = list.clone();
            let (a, b) = (random.random_range(0..list.len()), random.random_range(0..list.len()));
            match random.random_range(0..5) {
                0 => drop(list.remove(a)),
                1 => list.swap(a, b),
                2 => list.push(list[a].clone()),
                3 => list.push(Value::Int(random.random_range(100..108))),
                _ => list.truncate(a),
            }
            Value::List(list)
        }
        Value::List(_) => Value::List(vec![Value::Int(random.random_range(0..3))]),
        Value::Text(text) if random.random_range(0..2) == 0 => Value::Text(text.chars().skip(1).collect()),
        Value::Text(text) => Value::Text(format!("{text}b")),
        _ if random.random_range(0..4) == 0 => spec.initial.clone(),
        Value::Int(number) => Value::Int(number - random.random_range(0..3)),
        _ => Value::Int(random.random_range(0..104)),
    }
}
