//! The shape of a transaction: a list of micro-operations.
//!
//! ```text
//!   invoked    [["w", "x", 1], ["r", "y", nil]]
//!   answered   [["w", "x", 1], ["r", "y", 7]]      the same, with what the reads returned
//! ```
//!
//! As Elle has it: Kingsbury and Alvaro, "Elle: inferring isolation anomalies from experimental observations" (2020).

use super::Value;

/// One part of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MicroOperation<'v> {
    /// What it does.
    pub function: MicroFunction,
    /// Its register or list.
    pub key: &'v Value,
    /// What it writes, appends or, once answered, read.
    pub value: &'v Value,
}

/// What a part of a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MicroFunction {
    /// `"r"`: read.
    Read,
    /// `"w"`: overwrite.
    Write,
    /// `"append"`: append to the list, which is empty where the key is absent.
    Append,
}

/// The parts of a transaction.
///
/// # Errors
/// What is wrong with its shape.
pub fn micro_operations(parts: &Value) -> Result<Vec<MicroOperation<'_>>, String> {
    let wrong = || {
        format!("a txn is a list of [\"r\", key, null], [\"w\", key, value] or [\"append\", key, value], not {parts}")
    };
    let Value::List(parts) = parts else { return Err(wrong()) };
    parts.iter().map(|part| micro_operation(part).ok_or_else(wrong)).collect()
}

fn micro_operation(part: &Value) -> Option<MicroOperation<'_>> {
    let Value::List(part) = part else { return None };
    let [Value::Text(name), key, value] = part.as_slice() else { return None };
    let function = match name.as_str() {
        "r" => MicroFunction::Read,
        "w" => MicroFunction::Write,
        "append" => MicroFunction::Append,
        _ => return None,
    };
    Some(MicroOperation { function, key, value })
}

/// Checks the shape of what was invoked and, where there is one, that the answer is an answer to it.
pub(super) fn check(invoked: &Value, answered: Option<&Value>) -> Result<(), String> {
    let invoked = micro_operations(invoked)?;
    let Some(answered) = answered else { return Ok(()) };
    let answered = micro_operations(answered)?;
    let fits = |(asked, answer): (&MicroOperation<'_>, &MicroOperation<'_>)| {
        let same_value = asked.function == MicroFunction::Read || asked.value == answer.value;
        asked.function == answer.function && asked.key == answer.key && same_value
    };
    if invoked.len() == answered.len() && invoked.iter().zip(&answered).all(fits) {
        Ok(())
    } else {
        Err("the answer of a txn repeats its parts, with what the reads returned".to_owned())
    }
}
