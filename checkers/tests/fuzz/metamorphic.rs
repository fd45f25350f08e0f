//! What must not change a verdict, and what must not make a valid history invalid.
//!
//! ```text
//!   same verdict        clients, keys and values renamed
//!   a valid one stays   one more read of what was there · a read less · a wider interval · the last events cut off, what is open then
//!                       unknown · an answer that never came
//! ```

use checkers::Algorithm;
use checkers::history::{Action, Completion, Operation, ProcessId, Value};
use checkers::model::{ModelKind, ModelSpec};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::brute_force::linearization;
use crate::generate::{Case, Shape, generate};
use crate::object::{happened, start};
use crate::{cases, judge};

/// A change that keeps valid histories valid. `None` where there is nothing to change.
type Rule = fn(&[Operation], &ModelSpec, &mut Pcg64) -> Option<Vec<Operation>>;

const RULES: [(&str, Rule); 6] = [
    ("one more read", one_more_read),
    ("a read twice", a_read_twice),
    ("a read less", a_read_less),
    ("a wider interval", a_wider_interval),
    ("the last events cut off", a_prefix),
    ("an answer that never came", an_answer_less),
];

#[test]
fn harmless_changes_keep_valid_histories_valid() {
    let (mut changed, cases) = ([0; RULES.len()], cases() / 20);
    for kind in ModelKind::ALL {
        for seed in 0..cases {
            let mut random = Pcg64::seed_from_u64(seed);
            // Nothing else is interesting here, and corrupted histories are tried elsewhere.
            let shape = Shape { corrupt: 20, ..Shape::small(&mut random) };
            let Case { operations, spec } = generate(kind, shape, &mut random);
            if !judge(&operations, &spec, Algorithm::Auto) {
                continue;
            }
            for ((name, rule), changed) in RULES.iter().zip(&mut changed) {
                let Some(other) = rule(&operations, &spec, &mut random) else { continue };
                *changed += 1;
                // Every operation by a process of its own, so that no process overlaps itself.
                let processes = (0u64..).map(ProcessId);
                let other: Vec<Operation> = other
                    .into_iter()
                    .zip(processes)
                    .map(|(operation, process)| Operation { process, ..operation })
                    .collect();
                assert!(
                    judge(&other, &spec, Algorithm::Auto),
                    "{name} makes seed {seed} invalid, {spec:?}: {operations:#?} became {other:#?}"
                );
            }
        }
    }
    assert!(changed.iter().all(|&changed| changed > cases), "rules that change little prove little: {changed:?}");
}

#[test]
fn renaming_changes_nothing() {
    for kind in ModelKind::ALL {
        for seed in 0..cases() / 20 {
            let mut random = Pcg64::seed_from_u64(seed);
            let Case { operations, spec } = generate(kind, Shape::small(&mut random), &mut random);
            let valid = judge(&operations, &spec, Algorithm::Auto);
            let value = |value: Value| renamed(kind, value);
            let others: Vec<Operation> = operations
                .iter()
                .map(|operation| Operation {
                    process: ProcessId(1000 - operation.process.0),
                    key: "renamed".into(),
                    action: match operation.action.clone() {
                        Action::Txn(parts) => Action::Txn(renamed_parts(parts)),
                        action => action.map(value),
                    },
                    completion: match operation.completion.clone() {
                        Completion::Ok(Some(parts)) if kind == ModelKind::MultiRegister => {
                            Completion::Ok(Some(renamed_parts(parts)))
                        }
                        completion => completion.map(value),
                    },
                    ..operation.clone()
                })
                .collect();
            let other_spec = ModelSpec { model: kind, initial: value(spec.initial.clone()) };
            let answer = judge(&others, &other_spec, Algorithm::Auto);
            assert_eq!(answer, valid, "seed {seed}, {spec:?}: {operations:#?} became {others:#?}");
        }
    }
}

/// Another value for each value, in a way that the model cannot tell.
fn renamed(kind: ModelKind, value: Value) -> Value {
    match value {
        Value::Int(number) if kind == ModelKind::Counter => Value::Int(-7 * number),
        Value::Int(number) => Value::Text(format!("value {number}")),
        Value::Text(text) => Value::Text(text.chars().flat_map(|letter| [letter, '|']).collect()),
        Value::List(list) => Value::List(list.into_iter().map(|element| renamed(kind, element)).collect()),
        other => other,
    }
}

/// A transaction keeps the words for what its parts do.
fn renamed_parts(parts: Value) -> Value {
    let Value::List(parts) = parts else { unreachable!("a transaction is a list") };
    let part = |part: Value| {
        let Value::List(mut part) = part else { unreachable!("and so is each part") };
        for value in &mut part[1..] {
            *value = renamed(ModelKind::MultiRegister, std::mem::take(value));
        }
        Value::List(part)
    };
    Value::List(parts.into_iter().map(part).collect())
}

/// A read somewhere in an order that explains the history, of what was there at that moment.
fn one_more_read(operations: &[Operation], spec: &ModelSpec, random: &mut Pcg64) -> Option<Vec<Operation>> {
    let order = linearization(operations, spec).expect("a valid history has an order");
    let (mut state, mut now) = (start(spec), 0);
    for &at in &order[..random.random_range(0..=order.len())] {
        state = happened(spec, &state, &operations[at]).expect("the order explains the history");
        now = now.max(operations[at].invoke);
    }
    let read = match spec.model {
        ModelKind::Lock | ModelKind::MultiRegister => return None,
        ModelKind::Queue if state == Value::List(Vec::new()) => {
            Operation::invoked(0, Action::Dequeue, now).returned(now, Value::Nil)
        }
        ModelKind::Queue => return None,
        _ => Operation::invoked(0, Action::Read, now).returned(now, state),
    };
    Some(operations.iter().cloned().chain([read]).collect())
}

fn is_read(operation: &Operation) -> bool {
    operation.action == Action::Read && matches!(operation.completion, Completion::Ok(Some(_)))
}

fn a_read_twice(operations: &[Operation], _: &ModelSpec, _: &mut Pcg64) -> Option<Vec<Operation>> {
    let read = operations.iter().find(|operation| is_read(operation))?;
    Some(operations.iter().chain([read]).cloned().collect())
}

fn a_read_less(operations: &[Operation], _: &ModelSpec, _: &mut Pcg64) -> Option<Vec<Operation>> {
    let read = operations.iter().position(is_read)?;
    let mut less = operations.to_vec();
    less.remove(read);
    Some(less)
}

fn a_wider_interval(operations: &[Operation], _: &ModelSpec, random: &mut Pcg64) -> Option<Vec<Operation>> {
    let mut wider = operations.to_vec();
    let operation = &mut wider[random.random_range(0..operations.len())];
    operation.invoke = operation.invoke.saturating_sub(random.random_range(0..20));
    operation.ret = operation.ret.saturating_add(random.random_range(0..20));
    Some(wider)
}

fn a_prefix(operations: &[Operation], _: &ModelSpec, random: &mut Pcg64) -> Option<Vec<Operation>> {
    let latest = operations.iter().map(|operation| operation.invoke).max()?;
    let cut = random.random_range(0..=latest);
    let open = |operation: &Operation| match operation.ret > cut {
        true => Operation { ret: u64::MAX, completion: Completion::Info, ..operation.clone() },
        false => operation.clone(),
    };
    Some(operations.iter().filter(|operation| operation.invoke <= cut).map(open).collect())
}

fn an_answer_less(operations: &[Operation], _: &ModelSpec, random: &mut Pcg64) -> Option<Vec<Operation>> {
    let mut less = operations.to_vec();
    let operation = &mut less[random.random_range(0..operations.len())];
    (operation.ret, operation.completion) = (u64::MAX, Completion::Info);
    Some(less)
}
