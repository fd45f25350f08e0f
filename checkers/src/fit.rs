//! Whether a history is one that a model can judge.

use crate::check::{CheckError, Outcome};
use crate::history::{Action, Completion, History, OpIndex, Operation, Value, ValueId};
use crate::key::KeyHistory;
use crate::model::{ModelKind, ModelSpec};
use crate::verdict::Anomaly;

/// What an object of the model can hold: in words, and as a test.
pub(crate) fn states(model: ModelKind) -> (&'static str, fn(&Value) -> bool) {
    match model {
        ModelKind::Register | ModelKind::CasRegister => ("a value", |_| true),
        ModelKind::ListAppend => ("a list", |value| matches!(value, Value::Nil | Value::List(_))),
        ModelKind::KeyValue => ("a text", |value| matches!(value, Value::Nil | Value::Text(_))),
    }
}

/// A read that returned what no object of the model can hold. That is not a wrong history but a wrong server.
pub(crate) fn impossible_read(key: KeyHistory<'_>, model: ModelKind) -> Option<Outcome> {
    let (_, holds) = states(model);
    let foreign = |operation: &Operation<ValueId>| {
        operation.action == Action::Read
            && matches!(operation.completion, Completion::Ok(Some(value)) if !holds(key.value(value)))
    };
    let (index, _) = key.operations().find(|(_, operation)| foreign(operation))?;
    Some(Outcome::invalid(Anomaly::ReadOfUnwritten, vec![index]))
}

/// Refuses a history, or an initial value, that the model cannot hold.
pub(crate) fn fits(history: &History, spec: &ModelSpec) -> Result<(), CheckError> {
    let model = spec.model;
    let (expected, holds) = states(model);
    if !holds(&spec.initial) {
        return Err(CheckError::ForeignInitial { expected, model });
    }
    for (operation, known) in (0u32..).map(OpIndex).zip(history.operations()) {
        let foreign_value = |value: ValueId| !holds(history.value(value));
        let action = known.action;
        match (action, model) {
            (Action::Read, _) => {}
            (Action::Write(_), ModelKind::ListAppend) => {
                return Err(CheckError::ForeignAction { operation, action: action.function(), model });
            }
            (Action::Write(value) | Action::Append(value), ModelKind::KeyValue) if foreign_value(value) => {
                return Err(CheckError::ForeignValue { operation, expected, model });
            }
            (Action::Cas { .. }, ModelKind::CasRegister) | (Action::Write(_), _) => {}
            (Action::Append(_), ModelKind::ListAppend | ModelKind::KeyValue) => {}
            _ => return Err(CheckError::ForeignAction { operation, action: action.function(), model }),
        }
        if matches!(known.completion, Completion::Mismatch { .. }) && !matches!(action, Action::Cas { .. }) {
            return Err(CheckError::ForeignCompletion { operation });
        }
    }
    Ok(())
}
