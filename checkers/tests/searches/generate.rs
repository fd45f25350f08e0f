//! Small histories of a register over few values: many unknown outcomes, much concurrency, at times a lie.

use checkers::history::{Action, Completion, Operation, ProcessId, Value};
use rand::RngExt;
use rand_pcg::Pcg64;

/// Sizes of histories.
#[derive(Clone, Copy)]
pub struct Size {
    pub operations: usize,
    pub unknown_max: usize,
    /// The longest an operation lasts; the shorter, the fewer are open at a time.
    pub duration_max: u64,
}

/// A history whose operations are each by a process of its own.
pub fn generate(size: Size, initial: &Value, random: &mut Pcg64) -> Vec<Operation> {
    let values = random.random_range(2..=4);
    let unknown = random.random_range(0..=size.unknown_max);
    let mut planned: Vec<(u64, u64, u64, bool)> = Vec::new();
    for number in 0..size.operations {
        let invoke = random.random_range(0..=2 * size.operations as u64);
        let ret = invoke + random.random_range(0..=size.duration_max);
        let effect = random.random_range(invoke..=ret + if number < unknown { 9 } else { 0 });
        planned.push((effect, invoke, ret, number < unknown));
    }
    planned.sort_unstable();
    let mut register = initial.clone();
    let lies = [0, 0, 1, 2, 5][random.random_range(0..5)];
    let mut operations = Vec::new();
    for (process, (_, invoke, ret, unknown)) in (0..).zip(planned) {
        let lie = random.random_range(0..size.operations) < lies;
        let any = Value::Int(random.random_range(1..=values));
        let old = [register.clone(), Value::Int(random.random_range(1..=values))][random.random_range(0..2)].clone();
        let action = match random.random_range(0..10) {
            0..=3 if !unknown => Action::Read,
            4..=6 => Action::Write(any.clone()),
            _ => Action::Cas { old, new: any.clone() },
        };
        let mut completion = Completion::Ok(None);
        let mut after = None;
        match &action {
            Action::Read => completion = Completion::Ok(Some(if lie { any } else { register.clone() })),
            Action::Write(new) => after = Some(new.clone()),
            Action::Cas { old, new } if (*old == register) != lie => after = Some(new.clone()),
            _ => {
                let seen = random.random_range(0..2) == 0 && !lie;
                completion = Completion::Mismatch { observed: seen.then(|| register.clone()) };
            }
        }
        // Half of the unknown ones never happen; a write may be lost.
        let happens = if unknown { random.random_range(0..2) == 0 } else { !lie || random.random_range(0..2) == 0 };
        if let (true, Some(after)) = (happens, after) {
            register = after;
        }
        let (ret, completion) = if unknown { (u64::MAX, Completion::Info) } else { (ret, completion) };
        operations.push(Operation { process: ProcessId(process), key: Value::Nil, action, invoke, ret, completion });
    }
    operations.sort_by_key(|operation| operation.invoke);
    operations
}
