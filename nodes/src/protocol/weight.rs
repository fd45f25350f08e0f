//! About how many bytes a command takes in a message: what bounds a batch.

use crate::machine::{Command, Operation, TxnStep, Value};

/// About how many bytes a command takes, beside a few for its envelope.
pub(super) fn command_weight(command: &Command) -> usize {
    match command {
        Command::OpenSession => 0,
        Command::Do { operation, .. } => match operation {
            Operation::Write { key, value } | Operation::Append { key, value } => key.len() + value_weight(value),
            Operation::Cas { key, old, new } => key.len() + value_weight(old) + value_weight(new),
            Operation::Txn { steps } => steps.iter().map(step_weight).sum(),
            Operation::Add { key, .. } => key.len() + 8,
            Operation::Pop { key } => key.len(),
        },
    }
}

fn step_weight(step: &TxnStep) -> usize {
    match step {
        TxnStep::Read { key } => key.len(),
        TxnStep::Write { key, value } | TxnStep::Append { key, value } => key.len() + value_weight(value),
    }
}

fn value_weight(value: &Value) -> usize {
    match value {
        Value::Nil | Value::Int(_) => 8,
        Value::Text(text) => text.len(),
        Value::List(items) => 8 + items.iter().map(value_weight).sum::<usize>(),
    }
}
