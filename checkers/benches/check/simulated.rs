//! Histories of a simulated linearizable register, by seed.

use checkers::history::{Action, Completion, History, Operation, ProcessId, Value};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// What to simulate. Clients are nearly always busy.
#[derive(Clone, Copy)]
pub struct Simulated {
    pub operations: usize,
    pub clients: u64,
    /// How many writes or compare-and-sets have an unknown outcome, spread evenly.
    pub unknown: usize,
    /// True to make one read near the middle return an overwritten value.
    pub stale: bool,
    /// `None` for a new value in each write, `Some(n)` for values below n and compare-and-sets.
    pub cas_domain: Option<i64>,
}

struct Planned {
    process: u64,
    invoke: u64,
    ret: u64,
    effect: Option<u64>,
}

impl Simulated {
    pub fn history(self, seed: u64) -> History {
        let mut random = Pcg64::seed_from_u64(seed);
        let mut planned = self.plan(&mut random);
        planned.sort_by_key(|plan| plan.effect.unwrap_or(u64::MAX));
        let mut state = Value::Nil;
        let mut past = vec![state.clone()];
        let mut stale_left = self.stale;
        let mut operations = Vec::with_capacity(planned.len());
        for (place, plan) in planned.into_iter().enumerate() {
            let action = self.action(&state, place, &mut random);
            let unknown = plan.ret == u64::MAX;
            let action = match action {
                Action::Read if unknown => Action::Write(self.value(place, &mut random)),
                action => action,
            };
            let mut completion = Completion::Ok(None);
            if plan.effect.is_some() {
                match &action {
                    Action::Read if stale_left && place > self.operations / 2 && past.len() > 60 => {
                        stale_left = false;
                        let stale =
                            past[past.len() - 50..].iter().find(|value| **value != state).expect("values change");
                        completion = Completion::Ok(Some(stale.clone()));
                    }
                    Action::Read => completion = Completion::Ok(Some(state.clone())),
                    Action::Cas { old, .. } if *old != state => {
                        completion = Completion::Mismatch { observed: None };
                    }
                    Action::Write(new) | Action::Cas { new, .. } => {
                        state = new.clone();
                        past.push(state.clone());
                    }
                    _ => unreachable!("registers only"),
                }
            }
            if unknown {
                completion = Completion::Info;
            }
            let process = ProcessId(plan.process);
            operations.push(Operation {
                process,
                key: Value::Nil,
                action,
                invoke: plan.invoke,
                ret: plan.ret,
                completion,
            });
        }
        History::from_operations(operations).expect("the simulation keeps the rules")
    }

    fn plan(self, random: &mut Pcg64) -> Vec<Planned> {
        let mut planned = Vec::with_capacity(self.operations);
        let every = self.operations.checked_div(self.unknown).unwrap_or(usize::MAX);
        let mut clients: Vec<(u64, u64)> =
            (0..self.clients).map(|client| (client, random.random_range(0..1000))).collect();
        let mut spare_process = self.clients;
        for number in 0..self.operations {
            let client = number % clients.len();
            let (process, invoke) = clients[client];
            let ret = invoke + random.random_range(100..2000);
            let effect = random.random_range(invoke..=ret);
            clients[client].1 = ret + random.random_range(1..20);
            if number % every == every / 2 {
                clients[client].0 = spare_process;
                spare_process += 1;
                let happened = random.random_range(0..2) == 0;
                planned.push(Planned { process, invoke, ret: u64::MAX, effect: happened.then_some(effect) });
            } else {
                planned.push(Planned { process, invoke, ret, effect: Some(effect) });
            }
        }
        planned
    }

    fn value(self, place: usize, random: &mut Pcg64) -> Value {
        match self.cas_domain {
            Some(domain) => Value::Int(random.random_range(0..domain)),
            None => Value::Int(i64::try_from(place).expect("few operations")),
        }
    }

    fn action(self, state: &Value, place: usize, random: &mut Pcg64) -> Action {
        let new = self.value(place, random);
        match (self.cas_domain, random.random_range(0..10)) {
            (_, 0..=4) => Action::Read,
            (Some(_), 5..=7) => {
                let old = if random.random_range(0..2) == 0 { state.clone() } else { self.value(place, random) };
                Action::Cas { old, new }
            }
            _ => Action::Write(new),
        }
    }
}
