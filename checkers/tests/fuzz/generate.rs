//! Random small histories: a simulated linearizable object, then often a corruption.

use checkers::history::{Action, Completion, Operation, ProcessId, Value};
use checkers::model::{ModelKind, ModelSpec};
use rand::RngExt;
use rand_pcg::Pcg64;

use crate::brute_force::{start, step};

pub struct Case {
    pub operations: Vec<Operation>,
    pub spec: ModelSpec,
}

/// How large and how concurrent.
pub struct Shape {
    pub processes: u64,
    pub operations_per_process: usize,
    /// The longest an operation lasts, and the longest pause: small numbers make equal times.
    pub duration_max: u64,
    pub pause_max: u64,
    /// In percent.
    pub unknown: u32,
    pub corrupt: u32,
}

impl Shape {
    pub fn small(random: &mut Pcg64) -> Self {
        let processes = random.random_range(1..=4);
        let operations_per_process = match processes {
            1 => random.random_range(1..=6),
            2 => random.random_range(1..=4),
            3 => random.random_range(1..=2),
            _ => random.random_range(1..=2),
        };
        Self {
            processes,
            operations_per_process,
            duration_max: random.random_range(0..=6),
            pause_max: random.random_range(0..=4),
            unknown: [0, 10, 30][random.random_range(0..3)],
            corrupt: 85,
        }
    }

    pub fn long(random: &mut Pcg64) -> Self {
        // More than a few words of bits, at times.
        let (processes, operations) = if random.random_range(0..5) == 0 {
            (random.random_range(1..=3), 240)
        } else {
            (random.random_range(2..=5), 40)
        };
        Self {
            processes,
            operations_per_process: operations / processes as usize,
            duration_max: random.random_range(1..=6),
            pause_max: random.random_range(1..=9),
            unknown: if operations > 40 { 0 } else { [0, 4, 8][random.random_range(0..3)] },
            corrupt: 70,
        }
    }
}

pub fn generate(kind: ModelKind, shape: Shape, random: &mut Pcg64) -> Case {
    let initial = match kind {
        ModelKind::Register | ModelKind::CasRegister => [Value::Nil, Value::Int(0)][random.random_range(0..2)].clone(),
        ModelKind::ListAppend => [Value::Nil, Value::List(vec![Value::Int(0)])][random.random_range(0..2)].clone(),
        ModelKind::KeyValue => [Value::Nil, Value::Text("a".into())][random.random_range(0..2)].clone(),
    };
    let spec = ModelSpec { model: kind, initial };
    // Small domains make duplicate values.
    let domain = [3, 5, 1_000_000][random.random_range(0..3)];
    let mut operations = simulate(&spec, &shape, domain, random);
    operations.sort_by_key(|operation| (operation.invoke, operation.ret));
    if random.random_range(0..100) < shape.corrupt {
        for _ in 0..random.random_range(1..=4) {
            corrupt(&mut operations, &spec, random);
        }
    }
    operations.sort_by_key(|operation| (operation.invoke, operation.ret));
    Case { operations, spec }
}

/// An operation to be done, with the moment at which it takes effect.
struct Planned {
    process: u64,
    invoke: u64,
    ret: u64,
    effect: Option<u64>,
}

fn simulate(spec: &ModelSpec, shape: &Shape, domain: i64, random: &mut Pcg64) -> Vec<Operation> {
    let mut planned = plan(shape, random);
    planned.sort_by_key(|plan| plan.effect.unwrap_or(u64::MAX));
    let mut state = start(spec);
    let mut written = vec![state.clone()];
    let mut operations = Vec::new();
    for (fresh, plan) in (101..).zip(planned) {
        let number = if domain > 1000 { fresh } else { random.random_range(0..domain) };
        let action = action(spec.model, number, &state, &written, random);
        if let Action::Write(new) | Action::Cas { new, .. } = &action {
            written.push(new.clone());
        }
        let mut operation = Operation {
            process: ProcessId(plan.process),
            key: Value::Nil,
            action,
            invoke: plan.invoke,
            ret: plan.ret,
            completion: Completion::Info,
        };
        if plan.effect.is_some() {
            let unknown = plan.ret == u64::MAX;
            let after = take_effect(spec.model, &mut operation, &state, random);
            if unknown {
                operation.completion = Completion::Info;
            }
            state = after;
        } else if plan.ret != u64::MAX {
            operation.completion = Completion::Fail;
        }
        operations.push(operation);
    }
    operations
}

fn plan(shape: &Shape, random: &mut Pcg64) -> Vec<Planned> {
    let mut planned = Vec::new();
    let mut spare_process = shape.processes;
    for client in 0..shape.processes {
        let mut process = client;
        let mut now = random.random_range(0..=shape.pause_max);
        for _ in 0..shape.operations_per_process {
            let invoke = now;
            let mut ret = invoke + random.random_range(0..=shape.duration_max);
            now = ret + random.random_range(0..=shape.pause_max);
            let mut effect = Some(random.random_range(invoke..=ret));
            let this_process = process;
            if random.random_range(0..100) < shape.unknown {
                effect = [None, Some(random.random_range(invoke..=invoke + 20))][random.random_range(0..2)];
                ret = u64::MAX;
                process = spare_process;
                spare_process += 1;
            } else if random.random_range(0..20) == 0 {
                effect = None;
            }
            planned.push(Planned { process: this_process, invoke, ret, effect });
        }
    }
    planned
}

fn action(kind: ModelKind, number: i64, state: &Value, written: &[Value], random: &mut Pcg64) -> Action {
    let value = match kind {
        ModelKind::KeyValue if number < 1000 => Value::Text(["a", "b", "ab", "", "ba"][(number % 5) as usize].into()),
        ModelKind::KeyValue => Value::Text(format!("<{number}>")),
        _ => Value::Int(number),
    };
    match (kind, random.random_range(0..10)) {
        (_, 0..=4) => Action::Read,
        (ModelKind::CasRegister, 5..=7) => {
            let guess = written[random.random_range(0..written.len())].clone();
            Action::Cas { old: [state.clone(), guess][random.random_range(0..2)].clone(), new: value }
        }
        (ModelKind::ListAppend, _) | (ModelKind::KeyValue, 5..=7) => Action::Append(value),
        _ => Action::Write(value),
    }
}

/// Sets the operation's completion to what the object answers in `state`, and returns the state after it.
fn take_effect(kind: ModelKind, operation: &mut Operation, state: &Value, random: &mut Pcg64) -> Value {
    operation.completion = match &operation.action {
        Action::Read if random.random_range(0..30) == 0 => Completion::Ok(None),
        Action::Read => Completion::Ok(Some(state.clone())),
        Action::Cas { old, .. } if old != state => match random.random_range(0..4) {
            0 => Completion::Mismatch { observed: None },
            1 => Completion::Fail,
            _ => Completion::Mismatch { observed: Some(state.clone()) },
        },
        _ => Completion::Ok(None),
    };
    step(kind, state, operation).expect("the object answers as the model does")
}

fn corrupt(operations: &mut [Operation], spec: &ModelSpec, random: &mut Pcg64) {
    let at = random.random_range(0..operations.len());
    let other = operations[random.random_range(0..operations.len())].completion.clone();
    let operation = &mut operations[at];
    match random.random_range(0..6) {
        0..=2 => {
            if let Completion::Ok(Some(seen)) | Completion::Mismatch { observed: Some(seen) } =
                &mut operation.completion
            {
                match other {
                    Completion::Ok(Some(value)) if random.random_range(0..2) == 0 => *seen = value,
                    _ => *seen = another(spec, seen, random),
                }
            } else if operation.ret != u64::MAX && !matches!(operation.action, Action::Read) {
                operation.completion = Completion::Fail;
            }
        }
        3 => operation.invoke = operation.ret.min(operation.invoke + random.random_range(0..4)),
        4 if operation.ret != u64::MAX => {
            operation.ret = operation.invoke.max(operation.ret.saturating_sub(random.random_range(0..4)));
        }
        _ => {
            if operation.completion == Completion::Info && !matches!(operation.action, Action::Read) {
                operation.completion = Completion::Ok(None);
                operation.ret = operation.invoke + random.random_range(0..9);
            } else if operation.ret != u64::MAX && matches!(operation.action, Action::Cas { .. }) {
                operation.completion = Completion::Ok(None);
            }
        }
    }
}

/// A value that the object might have answered, and did not.
fn another(spec: &ModelSpec, seen: &Value, random: &mut Pcg64) -> Value {
    match seen {
        Value::List(list) if !list.is_empty() => {
            let mut list = list.clone();
            let (a, b) = (random.random_range(0..list.len()), random.random_range(0..list.len()));
            match random.random_range(0..4) {
                0 => drop(list.remove(a)),
                1 => list.swap(a, b),
                2 => list.push(list[a].clone()),
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
