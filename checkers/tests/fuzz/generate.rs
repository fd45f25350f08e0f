//! Random small histories: a simulated linearizable object, then often a corruption.

use checkers::history::{Action, Completion, Operation, ProcessId, Value};
use checkers::model::{ModelKind, ModelSpec};
use rand::RngExt;
use rand_pcg::Pcg64;

use crate::actions::{action, answer};
use crate::corrupt::corrupt;
use crate::object::start;

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

    pub fn long(kind: ModelKind, random: &mut Pcg64) -> Self {
        use ModelKind::{Counter, Lock, MultiRegister, Queue};
        let (processes, operations) = match kind {
            // What is added or enqueued at the same time may have come in any order, and long after it still may: no search can
            // forget much.
            Counter | Lock | MultiRegister | Queue => (random.random_range(2..=3), 20),
            // More than a few words of bits, at times.
            _ if random.random_range(0..5) == 0 => (random.random_range(1..=3), 240),
            _ => (random.random_range(2..=5), 40),
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
    let choices = initials(kind);
    let spec = ModelSpec { model: kind, initial: choices[random.random_range(0..choices.len())].clone() };
    // Small domains make duplicate values; the large one makes them unique, as the fast tests need them.
    let domain = match kind {
        ModelKind::Set | ModelKind::Queue => [3, 1_000_000, 1_000_000][random.random_range(0..3)],
        _ => [3, 5, 1_000_000][random.random_range(0..3)],
    };
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

fn initials(kind: ModelKind) -> Vec<Value> {
    let pair = |register: &str, value: Value| Value::List(vec![register.into(), value]);
    match kind {
        ModelKind::Register | ModelKind::CasRegister | ModelKind::Lock => vec![Value::Nil, Value::Int(0)],
        ModelKind::ListAppend | ModelKind::Set => vec![Value::Nil, Value::List(vec![Value::Int(0)])],
        ModelKind::Queue => vec![Value::Nil, Value::List(vec![]), Value::List(vec![Value::Int(0), Value::Int(90)])],
        ModelKind::Counter => vec![Value::Nil, Value::Int(2)],
        ModelKind::MultiRegister => vec![
            Value::Nil,
            Value::List(vec![
                pair("x", Value::Int(0)),
                pair("l", Value::List(vec![Value::Int(0)])),
                pair("z", Value::Nil),
            ]),
        ],
        ModelKind::KeyValue => vec![Value::Nil, "".into(), "a".into()],
    }
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
    // An unknown dequeue leaves the fast path, so that many histories must have none.
    let dequeues_are_known = random.random_range(0..3) > 0;
    let mut state = start(spec);
    let mut written = vec![state.clone()];
    let mut operations = Vec::new();
    for (fresh, plan) in (101..).zip(planned) {
        let number = if domain > 1000 { fresh } else { random.random_range(0..domain) };
        let mut action = action(spec.model, number, &state, &written, random);
        if action == Action::Dequeue && dequeues_are_known && plan.ret == u64::MAX {
            action = Action::Enqueue(Value::Int(number));
        }
        if let Action::Write(new) | Action::Cas { new, .. } = &action {
            written.push(new.clone());
        }
        let completion = Completion::Info;
        let (process, key) = (ProcessId(plan.process), Value::Nil);
        let mut operation = Operation { process, key, action, invoke: plan.invoke, ret: plan.ret, completion };
        if plan.effect.is_some() {
            let unknown = plan.ret == u64::MAX;
            state = answer(spec, &mut operation, &state, dequeues_are_known, random);
            if unknown {
                operation.completion = Completion::Info;
            }
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
