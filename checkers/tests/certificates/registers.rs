//! Histories of a simulated register with a new value in each write, by seed.

use checkers::history::{Action, Completion, History, Operation, ProcessId, Value};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// What to simulate. Clients are nearly always busy.
pub struct Registers {
    pub operations: usize,
    pub clients: u64,
    /// How many writes have an unknown outcome, about.
    pub unknown: usize,
    /// True to make one read after the middle return a value that was overwritten before.
    pub stale: bool,
}

impl Registers {
    pub fn history(&self, seed: u64) -> History {
        let mut random = Pcg64::seed_from_u64(seed);
        let mut clients: Vec<(u64, u64)> =
            (0..self.clients).map(|client| (client, random.random_range(0..1000))).collect();
        let mut spare = self.clients;
        let mut planned = Vec::with_capacity(self.operations);
        for number in 0..self.operations {
            let (process, invoke) = &mut clients[number % self.clients as usize];
            let ret = *invoke + random.random_range(100..2000);
            let moment = random.random_range(*invoke..=ret);
            let unknown = random.random_range(0..self.operations) < self.unknown;
            planned.push((moment, *process, *invoke, if unknown { u64::MAX } else { ret }));
            *invoke = ret + random.random_range(1..20);
            if unknown {
                *process = spare;
                spare += 1;
            }
        }
        planned.sort_unstable();
        self.simulate(&planned, &mut random)
    }

    fn simulate(&self, planned: &[(u64, u64, u64, u64)], random: &mut Pcg64) -> History {
        let mut state = Value::Nil;
        let mut past = Vec::new();
        let mut stale_left = self.stale;
        let mut operations = Vec::with_capacity(planned.len());
        for (number, &(_, process, invoke, ret)) in planned.iter().enumerate() {
            let unknown = ret == u64::MAX;
            let mut operation = Operation {
                process: ProcessId(process),
                key: Value::Nil,
                action: Action::Read,
                invoke,
                ret,
                completion: Completion::Info,
            };
            if unknown || random.random_range(0..2) == 0 {
                let value = Value::Int(i64::try_from(number).expect("few operations"));
                operation.action = Action::Write(value.clone());
                if !unknown {
                    operation.completion = Completion::Ok(None);
                }
                if !unknown || random.random_range(0..2) == 0 {
                    past.push(std::mem::replace(&mut state, value));
                }
            } else {
                let is_stale = stale_left && number > planned.len() / 2 && past.len() > 200;
                stale_left &= !is_stale;
                let seen =
                    if is_stale { past[past.len() - random.random_range(60..200)].clone() } else { state.clone() };
                operation.completion = Completion::Ok(Some(seen));
            }
            operations.push(operation);
        }
        History::from_operations(operations).expect("the simulation keeps the rules")
    }
}
