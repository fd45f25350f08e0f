//! The same history for `porcupine-rs`.

use checkers::history::{Action, Completion, History, ValueId};
use rustc_hash::FxHashMap;

#[derive(Clone, Copy, Debug)]
pub enum Call {
    Read(ValueId),
    Write(ValueId),
}

/// A register for each key; nothing is there at first.
#[derive(Clone, Debug)]
pub struct Registers;

pub type Operation = porcupine_rs::Operation<Registers>;

impl porcupine_rs::Model for Registers {
    type State = ValueId;
    type Op = (ValueId, Call);
    type Metadata = ();

    fn partition_operations(history: &[Operation]) -> Vec<Vec<Operation>> {
        let mut places = FxHashMap::default();
        let mut by_key: Vec<Vec<Operation>> = Vec::new();
        for operation in history {
            let place = *places.entry(operation.op.0).or_insert_with(|| {
                by_key.push(Vec::new());
                by_key.len() - 1
            });
            by_key[place].push(operation.clone());
        }
        by_key
    }

    fn init() -> ValueId {
        ValueId::NIL
    }

    fn step(state: &ValueId, (_, call): &(ValueId, Call)) -> (bool, ValueId) {
        match *call {
            Call::Read(seen) => (seen == *state, *state),
            Call::Write(new) => (true, new),
        }
    }
}

/// A history of answered reads and writes in its form. Times are doubled: equal times are concurrent with us, so returns come later.
pub fn converted(history: &History) -> Vec<Operation> {
    let time = |time: u64| i64::try_from(2 * time).expect("simulated times are small");
    let operation = |operation: &checkers::history::Operation<ValueId>| {
        let call = match (operation.action, operation.completion) {
            (Action::Read, Completion::Ok(Some(seen))) => Call::Read(seen),
            (Action::Write(new), Completion::Ok(_)) => Call::Write(new),
            other => unreachable!("answered reads and writes only, not {other:?}"),
        };
        Operation {
            client_id: None,
            call_time: time(operation.invoke),
            return_time: time(operation.ret) + 1,
            op: (operation.key, call),
            metadata: None,
        }
    };
    history.operations().iter().map(operation).collect()
}
