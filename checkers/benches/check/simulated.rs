//! Histories of simulated linearizable registers, by seed. They come operation by operation: ten million fit into memory once.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use checkers::history::{Action, Completion, History, Operation, ProcessId, Value};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// What to simulate. Clients are nearly always busy.
#[derive(Clone, Copy)]
pub struct Simulated {
    pub operations: usize,
    pub clients: u64,
    /// How many registers; each operation is on one of them by chance.
    pub keys: usize,
    /// How many writes or compare-and-sets have an unknown outcome, spread evenly.
    pub unknown: usize,
    /// True to make one read near the middle return an overwritten value.
    pub stale: bool,
    /// Compare-and-sets too; those that are refused are not told what was there.
    pub cas: bool,
    /// Values below this; `None` for a new value each time.
    pub domain: Option<i64>,
}

impl Simulated {
    /// One register, clients that are all answered, new values.
    pub fn register(operations: usize, clients: u64) -> Self {
        Self { operations, clients, keys: 1, unknown: 0, stale: false, cas: false, domain: None }
    }

    pub fn history(self, seed: u64) -> History {
        let mut random = Pcg64::seed_from_u64(seed);
        let mut simulation = Simulation {
            simulated: self,
            clients: Vec::new(),
            by_effect: BinaryHeap::new(),
            planned: 0,
            registers: vec![(Value::Nil, VecDeque::new()); self.keys],
            stale_left: self.stale,
            spare_process: self.clients,
            random: Pcg64::seed_from_u64(random.random()),
            taken: 0,
            waiting: Vec::new(),
        };
        for process in 0..self.clients {
            let free_at = random.random_range(0..1000);
            simulation.clients.push(None);
            simulation.plan(process as usize, process, free_at);
        }
        let batches = std::iter::from_fn(|| simulation.batch());
        History::from_operations(batches.flatten()).expect("the simulation keeps the rules")
    }
}

/// An operation to be done.
struct Planned {
    process: u64,
    invoke: u64,
    ret: u64,
    /// Its outcome will be unknown; this says whether it takes effect at all.
    unknown: Option<bool>,
}

struct Simulation {
    simulated: Simulated,
    /// What each client has open; nothing once all operations are planned.
    clients: Vec<Option<Planned>>,
    by_effect: BinaryHeap<Reverse<(u64, usize)>>,
    planned: usize,
    /// Each register's value, and those before it.
    registers: Vec<(Value, VecDeque<Value>)>,
    stale_left: bool,
    spare_process: u64,
    random: Pcg64,
    /// How many took effect, which is also the next new value.
    taken: usize,
    /// Done, but something invoked before may still come.
    waiting: Vec<Operation>,
}

/// How many old values of a register are remembered.
const PAST: usize = 50;

impl Simulation {
    fn plan(&mut self, client: usize, process: u64, free_at: u64) {
        if self.planned == self.simulated.operations {
            return;
        }
        let invoke = free_at + self.random.random_range(1..20);
        let ret = invoke + self.random.random_range(100..2000);
        let effect = self.random.random_range(invoke..=ret);
        let every = self.simulated.operations.checked_div(self.simulated.unknown).unwrap_or(usize::MAX);
        let unknown = (self.planned % every == every / 2).then(|| self.random.random_range(0..2) == 0);
        self.planned += 1;
        self.by_effect.push(Reverse((effect, client)));
        self.clients[client] = Some(Planned { process, invoke, ret, unknown });
    }

    /// Some operations in order of invocation, all before those of the next batch.
    fn batch(&mut self) -> Option<Vec<Operation>> {
        for _ in 0..4096 {
            self.step();
        }
        let open_since = self.clients.iter().flatten().map(|plan| plan.invoke).min().unwrap_or(u64::MAX);
        self.waiting.sort_by_key(|operation| operation.invoke);
        let ready = self.waiting.partition_point(|operation| operation.invoke < open_since);
        (open_since < u64::MAX || ready > 0).then(|| self.waiting.drain(..ready).collect())
    }

    /// The next operation takes effect, and its client plans another.
    fn step(&mut self) {
        let Some(Reverse((_, client))) = self.by_effect.pop() else { return };
        let plan = self.clients[client].take().expect("it was planned");
        let process = if plan.unknown.is_some() {
            self.spare_process += 1;
            self.spare_process
        } else {
            plan.process
        };
        self.plan(client, process, plan.ret);
        let operation = self.take_effect(plan);
        self.waiting.push(operation);
        self.taken += 1;
    }

    fn take_effect(&mut self, plan: Planned) -> Operation {
        let register = self.random.random_range(0..self.registers.len());
        let state = self.registers[register].0.clone();
        let action = match self.action(register) {
            Action::Read if plan.unknown.is_some() => Action::Write(self.value()),
            action => action,
        };
        let mut completion = Completion::Ok(None);
        if plan.unknown != Some(false) {
            match &action {
                Action::Read => completion = Completion::Ok(Some(self.read(register))),
                Action::Cas { old, .. } if *old != state => completion = Completion::Mismatch { observed: None },
                Action::Write(new) | Action::Cas { new, .. } => self.set(register, new.clone()),
                _ => unreachable!("registers only"),
            }
        }
        let Planned { process, invoke, mut ret, .. } = plan;
        if plan.unknown.is_some() {
            (ret, completion) = (u64::MAX, Completion::Info);
        }
        let key = if self.registers.len() == 1 { Value::Nil } else { Value::Int(register as i64) };
        Operation { process: ProcessId(process), key, action, invoke, ret, completion }
    }

    fn read(&mut self, register: usize) -> Value {
        let (state, past) = &self.registers[register];
        if self.stale_left && self.taken > self.simulated.operations / 2 && past.len() == PAST {
            self.stale_left = false;
            return past.iter().find(|value| *value != state).expect("values change").clone();
        }
        state.clone()
    }

    fn set(&mut self, register: usize, new: Value) {
        let (state, past) = &mut self.registers[register];
        past.push_back(std::mem::replace(state, new));
        if past.len() > PAST {
            past.pop_front();
        }
    }

    fn value(&mut self) -> Value {
        match self.simulated.domain {
            Some(domain) => Value::Int(self.random.random_range(0..domain)),
            None => Value::Int(i64::try_from(self.taken).expect("few operations")),
        }
    }

    fn action(&mut self, register: usize) -> Action {
        let new = self.value();
        match self.random.random_range(0..10) {
            0..=4 => Action::Read,
            5..=7 if self.simulated.cas => Action::Cas { old: self.guess(register), new },
            _ => Action::Write(new),
        }
    }

    /// What is there, or else any value of the domain, or one that was there shortly before.
    fn guess(&mut self, register: usize) -> Value {
        if self.random.random_range(0..2) == 0 {
            return self.registers[register].0.clone();
        }
        if self.simulated.domain.is_some() {
            return self.value();
        }
        let (state, past) = &self.registers[register];
        past.iter().rev().nth(self.random.random_range(0..3)).unwrap_or(state).clone()
    }
}
