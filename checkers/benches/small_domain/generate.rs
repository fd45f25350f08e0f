//! Histories of a register over few values, by seed: the ones that no fast test decides.
//!
//! A simulated register answers clients that are nearly always busy. Everything else varies with the seed: how many clients, how
//! many unknown outcomes, the mix of reads, writes and compare-and-sets, whether a refusal says what it saw, and, in every
//! second seed, one violation.

use checkers::history::{Action, Completion, History, Operation, ProcessId, Value};
use checkers::model::{ModelKind, ModelSpec};
use rand::RngExt;
use rand::SeedableRng;
use rand_pcg::Pcg64;

/// Values are 1 to this.
const VALUES: i64 = 5;

/// What a history is made from. All of it follows from the seed.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub operations: usize,
    /// 5 to 20.
    pub clients: usize,
    /// 0 to 30 writes and compare-and-sets of unknown outcome, at random places.
    pub unknown: usize,
    pub violation: Option<Injected>,
    /// How many operations the violation spoils, or how long it lasts.
    pub strength: usize,
    /// In percent; the rest are compare-and-sets.
    reads: u32,
    writes: u32,
    /// In percent: refused compare-and-sets that say what they saw.
    tells: u32,
    /// In percent: compare-and-sets that expect what the register holds.
    informed: u32,
}

/// What is wrong with a history. With many clients and many unknown outcomes it may still be linearizable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injected {
    /// Reads and refused compare-and-sets saw another value than there was.
    ChangedValue,
    /// Compare-and-sets that were refused are reported as won, or the reverse.
    FlippedCas,
    /// Writes that were acknowledged never took effect.
    LostWrite,
    /// For a while every third client reads from a replica that no longer changes.
    StaleReplica,
}

/// A history with what it was made from.
pub struct Case {
    pub shape: Shape,
    pub spec: ModelSpec,
    pub operations: Vec<Operation>,
}

impl Case {
    pub fn history(&self) -> History {
        History::from_operations(self.operations.clone()).expect("the simulation keeps the rules")
    }
}

/// The history of `seed`; odd seeds have a violation injected.
pub fn generate(seed: u64, operations: usize) -> Case {
    let mut random = Pcg64::seed_from_u64(seed);
    let kinds = [Injected::ChangedValue, Injected::FlippedCas, Injected::LostWrite, Injected::StaleReplica];
    let shape = Shape {
        operations,
        clients: random.random_range(5..=20),
        unknown: random.random_range(0..=30),
        violation: (seed % 2 == 1).then(|| kinds[random.random_range(0..kinds.len())]),
        strength: [1, 16, 64, 128][random.random_range(0..4)],
        reads: [20, 40, 50, 60][random.random_range(0..4)],
        writes: [5, 15, 20, 35][random.random_range(0..4)],
        tells: [0, 50, 100][random.random_range(0..3)],
        informed: [30, 60, 90][random.random_range(0..3)],
    };
    let initial = [Value::Nil, Value::Int(1)][random.random_range(0..2)].clone();
    let spec = ModelSpec { model: ModelKind::CasRegister, initial };
    let operations = simulate(shape, &spec.initial, &mut random);
    Case { shape, spec, operations }
}

/// An operation to be done, with the moment at which it takes effect.
struct Planned {
    client: usize,
    process: u64,
    invoke: u64,
    ret: u64,
    effect: Option<u64>,
}

fn plan(shape: Shape, random: &mut Pcg64) -> Vec<Planned> {
    let mut is_unknown = vec![false; shape.operations];
    for _ in 0..shape.unknown.min(shape.operations) {
        let mut at = random.random_range(0..shape.operations);
        while is_unknown[at] {
            at = random.random_range(0..shape.operations);
        }
        is_unknown[at] = true;
    }
    let mut clients: Vec<(u64, u64)> =
        (0..shape.clients as u64).map(|client| (client, random.random_range(0..1000))).collect();
    let mut spare_process = shape.clients as u64;
    let mut planned = Vec::with_capacity(shape.operations);
    for is_unknown in is_unknown {
        // The client that is free first.
        let client = (0..clients.len()).min_by_key(|&client| clients[client].1).expect("there are clients");
        let (process, invoke) = clients[client];
        let ret = invoke + random.random_range(100..2000);
        clients[client].1 = ret + random.random_range(1..20);
        if is_unknown {
            clients[client].0 = spare_process;
            spare_process += 1;
            // May take effect long after the client gave up.
            let happens = random.random_range(0..2) == 0;
            let effect = happens.then(|| invoke + random.random_range(0..20_000));
            planned.push(Planned { client, process, invoke, ret: u64::MAX, effect });
        } else {
            let effect = Some(random.random_range(invoke..=ret));
            planned.push(Planned { client, process, invoke, ret, effect });
        }
    }
    planned.sort_by_key(|plan| plan.effect.unwrap_or(u64::MAX));
    planned
}

fn simulate(shape: Shape, initial: &Value, random: &mut Pcg64) -> Vec<Operation> {
    let mut register = initial.clone();
    let mut replica: Option<Value> = None;
    let mut left = shape.strength;
    let from = random.random_range(shape.operations / 5..=shape.operations * 4 / 5);
    let until = from + 40 + 3 * shape.strength;
    let mut operations = Vec::with_capacity(shape.operations);
    for (place, plan) in plan(shape, random).into_iter().enumerate() {
        let unknown = plan.ret == u64::MAX;
        let action = action(shape, unknown, &register, random);
        let due = (from..until).contains(&place);
        if due && shape.violation == Some(Injected::StaleReplica) {
            replica.get_or_insert_with(|| register.clone());
        } else {
            replica = None;
        }
        let mut completion = Completion::Ok(None);
        let mut lost = false;
        if plan.effect.is_some() {
            completion = match (&action, &replica) {
                (Action::Read, Some(stale)) if plan.client % 3 == 0 => Completion::Ok(Some(stale.clone())),
                (Action::Read, _) => Completion::Ok(Some(register.clone())),
                (Action::Cas { old, .. }, _) if *old != register => {
                    let tells = random.random_range(0..100) < shape.tells;
                    Completion::Mismatch { observed: tells.then(|| register.clone()) }
                }
                _ => Completion::Ok(None),
            };
            if due && !unknown && left > 0 && inject(shape.violation, &action, &mut completion, random) {
                left -= 1;
                lost = shape.violation == Some(Injected::LostWrite);
            }
        }
        let won = plan.effect.is_some() && !lost;
        match &action {
            Action::Write(new) if won => register = new.clone(),
            Action::Cas { old, new } if won && *old == register => register = new.clone(),
            _ => {}
        }
        if unknown {
            completion = Completion::Info;
        }
        let Planned { process, invoke, ret, .. } = plan;
        operations.push(Operation { process: ProcessId(process), key: Value::Nil, action, invoke, ret, completion });
    }
    operations
}

fn action(shape: Shape, unknown: bool, register: &Value, random: &mut Pcg64) -> Action {
    let any = |random: &mut Pcg64| Value::Int(random.random_range(1..=VALUES));
    let dice = random.random_range(0..100);
    // A read of unknown outcome says nothing; it would only be dropped.
    if dice < shape.reads && !unknown {
        Action::Read
    } else if dice < shape.reads + shape.writes {
        Action::Write(any(random))
    } else {
        let informed = random.random_range(0..100) < shape.informed;
        let old = if informed { register.clone() } else { any(random) };
        Action::Cas { old, new: any(random) }
    }
}

/// Spoils this operation where the violation can be put on it. True when it was.
fn inject(violation: Option<Injected>, action: &Action, completion: &mut Completion, random: &mut Pcg64) -> bool {
    match (violation, action, &mut *completion) {
        (
            Some(Injected::ChangedValue),
            _,
            Completion::Ok(Some(seen)) | Completion::Mismatch { observed: Some(seen) },
        ) => {
            let other = Value::Int(random.random_range(1..=VALUES));
            let refused = matches!(action, Action::Cas { old, .. } if *old == other);
            let changes = other != *seen && !refused;
            if changes {
                *seen = other;
            }
            changes
        }
        (Some(Injected::FlippedCas), Action::Cas { .. }, Completion::Mismatch { .. }) => {
            *completion = Completion::Ok(None);
            true
        }
        (Some(Injected::FlippedCas), Action::Cas { .. }, Completion::Ok(_)) => {
            *completion = Completion::Mismatch { observed: None };
            true
        }
        (Some(Injected::LostWrite), Action::Write(_), _) => true,
        _ => false,
    }
}
