//! Whether a history is one that a model can judge, and whether what was read is anything that the model can hold.
//!
//! ```text
//!   asked for what the model has not, or cannot hold    an error: not a verdict; the history or the model is the wrong one
//!   answered with what the model cannot hold            a violation: the server is the wrong one
//! ```

use rustc_hash::{FxHashMap, FxHashSet};

use crate::check::CheckError;
use crate::explain::Finding;
use crate::history::{
    Action, Completion, Function, History, MicroFunction, OpIndex, Operation, Value, ValueId, micro_operations,
};
use crate::key::KeyHistory;
use crate::model::{ModelKind, ModelSpec, multi_register};
use crate::verdict::Anomaly;

/// A test of values, in words and as a function.
type Test = (&'static str, fn(&Value) -> bool);

/// What an object of the model can hold, and so what it can start as and what a read can return.
pub(crate) fn states(model: ModelKind) -> Test {
    match model {
        ModelKind::Register | ModelKind::CasRegister => ("a value", |_| true),
        ModelKind::ListAppend => ("a list", |value| matches!(value, Value::Nil | Value::List(_))),
        ModelKind::Set => ("a list of different elements", is_set),
        ModelKind::Counter => ("a whole number", |value| matches!(value, Value::Nil | Value::Int(_))),
        ModelKind::Queue => ("a list without null", |value| match value {
            Value::Nil => true,
            value => matches!(value, Value::List(values) if !values.contains(&Value::Nil)),
        }),
        ModelKind::Lock => ("an owner or null", |_| true),
        ModelKind::MultiRegister => ("a list of [register, value] pairs, each register once", is_map),
        ModelKind::KeyValue => ("a text", is_text),
    }
}

/// What an operation of the model can put in.
fn arguments(model: ModelKind) -> Test {
    match model {
        ModelKind::Counter => ("a whole number", |value| matches!(value, Value::Int(_))),
        ModelKind::Queue => ("a value other than null", |value| !value.is_nil()),
        ModelKind::KeyValue => ("a text", is_text),
        _ => ("a value", |_| true),
    }
}

fn is_text(value: &Value) -> bool {
    matches!(value, Value::Nil | Value::Text(_))
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::List(elements) => first_twice(elements).is_none(),
        _ => false,
    }
}

fn is_map(value: &Value) -> bool {
    multi_register::initial_pairs(value).is_some_and(|pairs| {
        let mut registers = FxHashSet::default();
        pairs.into_iter().all(|(register, _)| registers.insert(register))
    })
}

/// The first element that is there twice.
fn first_twice(elements: &[Value]) -> Option<&Value> {
    let mut seen = FxHashSet::with_capacity_and_hasher(elements.len(), rustc_hash::FxBuildHasher);
    elements.iter().find(|element| !seen.insert(*element))
}

/// What can be asked of an object of the model.
fn functions(model: ModelKind) -> &'static [Function] {
    match model {
        ModelKind::Register => &[Function::Read, Function::Write],
        ModelKind::CasRegister => &[Function::Read, Function::Write, Function::Cas],
        ModelKind::ListAppend => &[Function::Read, Function::Append],
        ModelKind::Set | ModelKind::Counter => &[Function::Read, Function::Add],
        ModelKind::Queue => &[Function::Enqueue, Function::Dequeue],
        ModelKind::Lock => &[Function::Acquire, Function::Release],
        ModelKind::MultiRegister => &[Function::Txn],
        ModelKind::KeyValue => &[Function::Read, Function::Write, Function::Append, Function::Cas, Function::Delete],
    }
}

/// Refuses a history, or an initial value, that the model cannot hold. O(n).
///
/// # Errors
/// The first operation that does not fit, and why.
pub(crate) fn fits(history: &History, spec: &ModelSpec) -> Result<(), CheckError> {
    let model = spec.model;
    let (expected, holds) = states(model);
    if !holds(&spec.initial) {
        return Err(CheckError::ForeignInitial { expected, model });
    }
    let functions = functions(model);
    let (expected, takes) = arguments(model);
    for (operation, known) in (0u32..).map(OpIndex).zip(history.operations()) {
        let action = known.action.function();
        if !functions.contains(&action) {
            return Err(CheckError::ForeignAction { operation, action, model });
        }
        if !put_in(known.action).into_iter().flatten().all(|value| takes(history.value(value))) {
            return Err(CheckError::ForeignValue { operation, expected, model });
        }
        if matches!(known.completion, Completion::Mismatch { .. }) && action != Function::Cas {
            return Err(CheckError::ForeignCompletion { operation });
        }
    }
    match model {
        ModelKind::MultiRegister => lists_are_lists(history, spec),
        _ => Ok(()),
    }
}

/// The values that an operation puts in or expects.
fn put_in(action: Action<ValueId>) -> [Option<ValueId>; 2] {
    match action {
        Action::Read | Action::Dequeue | Action::Delete => [None, None],
        Action::Write(value)
        | Action::Append(value)
        | Action::Add(value)
        | Action::Enqueue(value)
        | Action::Acquire(value)
        | Action::Release(value)
        | Action::Txn(value) => [Some(value), None],
        Action::Cas { old, new } => [Some(old), Some(new)],
    }
}

/// What is appended to holds nothing but lists: by its key and its register.
fn lists_are_lists(history: &History, spec: &ModelSpec) -> Result<(), CheckError> {
    let model = spec.model;
    let is_list = |value: &Value| matches!(value, Value::Nil | Value::List(_));
    let parts = |parts: ValueId| micro_operations(history.value(parts)).unwrap_or_default();
    let mut lists: FxHashSet<(ValueId, &Value)> = FxHashSet::default();
    let mut written: FxHashMap<(ValueId, &Value), OpIndex> = FxHashMap::default();
    for (index, operation) in (0u32..).map(OpIndex).zip(history.operations()) {
        let Action::Txn(asked) = operation.action else { continue };
        for part in parts(asked) {
            let register = (operation.key, part.key);
            match part.function {
                MicroFunction::Append => drop(lists.insert(register)),
                MicroFunction::Write if !is_list(part.value) => drop(written.entry(register).or_insert(index)),
                MicroFunction::Write | MicroFunction::Read => {}
            }
        }
    }
    let misfit = written.iter().filter(|(register, _)| lists.contains(register)).map(|(_, index)| *index).min();
    if let Some(operation) = misfit {
        let expected = "a list or null, to a register that is also appended to";
        return Err(CheckError::ForeignValue { operation, expected, model });
    }
    let appended: FxHashSet<&Value> = lists.into_iter().map(|(_, register)| register).collect();
    let starts_wrong = |(register, value): &(&Value, &Value)| appended.contains(register) && !is_list(value);
    if multi_register::initial_pairs(&spec.initial).unwrap_or_default().iter().any(starts_wrong) {
        let expected = "a list of [register, value] pairs with lists where there are appends";
        return Err(CheckError::ForeignInitial { expected, model });
    }
    Ok(())
}

/// A read that returned what no object of the model can hold. That is not a wrong history but a wrong server.
pub(crate) fn impossible_read(key: KeyHistory<'_>, model: ModelKind) -> Option<Finding> {
    if matches!(model, ModelKind::Register | ModelKind::CasRegister | ModelKind::Lock) {
        return None;
    }
    let (_, holds) = states(model);
    let seen = |operation: &Operation<ValueId>| match (operation.action, operation.completion) {
        (Action::Read, Completion::Ok(seen)) | (Action::Cas { .. }, Completion::Mismatch { observed: seen }) => {
            seen.map(|seen| key.value(seen))
        }
        _ => None,
    };
    let is_foreign = |(_, operation): &(OpIndex, &Operation<ValueId>)| seen(operation).is_some_and(|seen| !holds(seen));
    let (index, operation) = key.operations().find(is_foreign)?;
    let is_list = matches!(seen(operation), Some(Value::List(_)));
    // A list is no set only when it has an element twice.
    let anomaly = if model == ModelKind::Set && is_list { Anomaly::DuplicatedAppend } else { Anomaly::ReadOfUnwritten };
    Some(Finding::new(anomaly, vec![index]))
}
