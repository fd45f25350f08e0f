//! Random tiny histories: nobody keeps any order, so every level breaks often and holds often.

use checkers::history::{Action, Operation, Value};
use checkers::model::{ModelKind, ModelSpec};
use rand::RngExt;
use rand_pcg::Pcg64;

pub struct Case {
    pub operations: Vec<Operation>,
    pub spec: ModelSpec,
}

/// What may be in a history.
#[derive(Clone, Copy)]
pub struct Shape {
    pub kind: ModelKind,
    pub operations: usize,
    /// In percent.
    pub unknown: u32,
    pub duplicates: u32,
    pub unwritten: u32,
    pub silent_refusals: bool,
}

pub fn generate(shape: Shape, random: &mut Pcg64) -> Case {
    let sessions = random.random_range(1..=3usize);
    let keys = random.random_range(1..=2i64);
    let count = random.random_range(1..=shape.operations);
    let spec = ModelSpec { model: shape.kind, initial: initial(shape.kind, random) };
    let mut clock = vec![0u64; sessions];
    let mut dead = vec![false; sessions];
    let mut operations: Vec<Operation> = Vec::new();
    // All writes first, so that reads may see what comes later.
    let mut plan: Vec<(usize, i64, bool, i64)> = (0..count)
        .map(|number| {
            let write = random.random_range(0..100) < 55;
            let duplicate = random.random_range(0..100) < shape.duplicates;
            let value = if duplicate { random.random_range(1..=2) } else { 10 + number as i64 };
            (random.random_range(0..sessions), random.random_range(0..keys), write, value)
        })
        .collect();
    plan.sort_by_key(|(session, ..)| *session);
    let plan = interleave(plan, random);
    let writes: Vec<(i64, i64)> = plan.iter().filter(|step| step.2).map(|step| (step.1, step.3)).collect();
    for (session, key, write, value) in plan {
        if dead[session] {
            continue;
        }
        let invoke = clock[session] + random.random_range(0..4);
        let ret = invoke + random.random_range(0..4);
        // Apart by one at least: what touches is concurrent to the judge, and in order to a session.
        clock[session] = ret + random.random_range(1..3);
        let of_key: Vec<i64> = writes.iter().filter(|(other, _)| *other == key).map(|(_, value)| *value).collect();
        let mut operation = match (write, shape.kind) {
            (false, _) => read(session, invoke, ret, &spec, &of_key, shape, random),
            (true, ModelKind::ListAppend) => {
                Operation::invoked(session as u64, Action::Append(value.into()), invoke).done(ret)
            }
            (true, ModelKind::CasRegister) if random.random_range(0..3) == 0 => {
                let action = Action::Cas { old: seen(&spec, &of_key, shape, random), new: value.into() };
                Operation::invoked(session as u64, action, invoke).done(ret)
            }
            (true, _) => Operation::invoked(session as u64, Action::Write(value.into()), invoke).done(ret),
        };
        if write && random.random_range(0..100) < shape.unknown {
            operation = Operation::invoked(session as u64, operation.action, invoke);
            dead[session] = true;
        } else if write && random.random_range(0..25) == 0 {
            operation = operation.failed(ret);
        }
        operations.push(operation.on(key));
    }
    operations.sort_by_key(|operation| operation.invoke);
    Case { operations, spec }
}

fn initial(kind: ModelKind, random: &mut Pcg64) -> Value {
    match kind {
        ModelKind::ListAppend => [Value::Nil, Value::List(vec![Value::Int(0)])][random.random_range(0..2)].clone(),
        _ => [Value::Nil, Value::Int(0)][random.random_range(0..2)].clone(),
    }
}

fn interleave<T: Clone>(mut steps: Vec<T>, random: &mut Pcg64) -> Vec<T> {
    for at in (1..steps.len()).rev() {
        steps.swap(at, random.random_range(0..=at));
    }
    steps
}

fn read(
    session: usize,
    invoke: u64,
    ret: u64,
    spec: &ModelSpec,
    of_key: &[i64],
    shape: Shape,
    random: &mut Pcg64,
) -> Operation {
    let session = session as u64;
    if shape.kind == ModelKind::CasRegister && random.random_range(0..5) == 0 {
        let old = seen(spec, of_key, shape, random);
        let observed = match shape.silent_refusals && random.random_range(0..2) == 0 {
            true => None,
            false => Some(seen(spec, of_key, shape, random)),
        };
        return Operation::invoked(session, Action::Cas { old, new: 99.into() }, invoke).mismatched(ret, observed);
    }
    if random.random_range(0..25) == 0 {
        return Operation::invoked(session, Action::Read, invoke).done(ret);
    }
    Operation::invoked(session, Action::Read, invoke).returned(ret, seen(spec, of_key, shape, random))
}

/// What a read might return: nothing is kept but that somebody writes it, and even that not always.
fn seen(spec: &ModelSpec, of_key: &[i64], shape: Shape, random: &mut Pcg64) -> Value {
    if shape.kind == ModelKind::ListAppend {
        let mut list = if let Value::List(initial) = &spec.initial { initial.clone() } else { Vec::new() };
        // Mostly in the order of writing, so that lists agree often enough.
        let mut elements: Vec<i64> = of_key.to_vec();
        if random.random_range(0..4) == 0 {
            elements = interleave(elements, random);
        }
        let keep = random.random_range(0..=elements.len());
        list.extend(elements.into_iter().take(keep).filter(|_| random.random_range(0..6) > 0).map(Value::Int));
        if random.random_range(0..100) < shape.unwritten {
            list.push(77.into());
        }
        return Value::List(list);
    }
    if random.random_range(0..100) < shape.unwritten {
        return 77.into();
    }
    match random.random_range(0..=of_key.len()) {
        0 => spec.initial.clone(),
        at => of_key[at - 1].into(),
    }
}
