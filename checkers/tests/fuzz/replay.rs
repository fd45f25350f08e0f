//! Orders that prove valid verdicts, replayed: against real time, against the model, and for what they leave out.

use checkers::history::{Action, Completion, History, OpIndex, Operation};
use checkers::model::ModelSpec;

use crate::brute_force::{start, step};

/// What is wrong with this order of the only key's operations, or `Ok`.
pub fn replay(history: &History, spec: &ModelSpec, order: &[OpIndex]) -> Result<(), String> {
    let mut placed = vec![false; history.len()];
    let mut state = start(spec);
    let mut latest_invocation = 0;
    for &index in order {
        if std::mem::replace(&mut placed[index.0 as usize], true) {
            return Err(format!("{index:?} is there twice"));
        }
        let operation = history.operation(index);
        if operation.ret < latest_invocation {
            return Err(format!("{index:?} returned before one in front of it was invoked"));
        }
        latest_invocation = latest_invocation.max(operation.invoke);
        let took_effect = match operation.completion {
            Completion::Info => Operation { completion: Completion::Ok(None), ..operation },
            _ => operation,
        };
        state = step(spec.model, &state, &took_effect).ok_or(format!("the model refuses {index:?} in {state}"))?;
    }
    for (index, operation) in (0u32..).map(OpIndex).zip(history.operations()) {
        let may_be_missing = match operation.completion {
            Completion::Fail | Completion::Info => true,
            Completion::Ok(None) => operation.action == Action::Read,
            _ => false,
        };
        if !placed[index.0 as usize] && !may_be_missing {
            return Err(format!("{index:?} is missing"));
        }
    }
    Ok(())
}
