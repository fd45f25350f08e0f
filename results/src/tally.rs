//! How many operations of each kind ended in which way.

use std::collections::BTreeMap;

use checkers::history::{Completion, Function};
use serde::{Deserialize, Serialize};

/// How operations of one kind ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCounts {
    /// Done.
    pub ok: u64,
    /// Definitely not done.
    pub fail: u64,
    /// A compare-and-set answered "not equal".
    pub mismatch: u64,
    /// Unknown.
    pub info: u64,
}

impl OutcomeCounts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ok + self.fail + self.mismatch + self.info
    }
}

/// How many different reasons are told apart; a server that makes up a new code each time must not fill the memory.
const REASONS_MAX: usize = 64;

/// Operations by kind and outcome, and the reasons given where they did not succeed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationTable {
    /// Counts by the function's name.
    pub by_function: BTreeMap<String, OutcomeCounts>,
    /// How often each reason was given, mismatches left out; beyond a bound, `other`.
    pub reasons: BTreeMap<String, u64>,
}

impl OperationTable {
    /// Counts one completed operation.
    pub fn add(&mut self, function: Function, completion: &Completion, reason: Option<&str>) {
        let counts = self.by_function.entry(function.word().to_owned()).or_default();
        match completion {
            Completion::Ok(_) => counts.ok += 1,
            Completion::Fail => counts.fail += 1,
            Completion::Mismatch { .. } => counts.mismatch += 1,
            Completion::Info => counts.info += 1,
        }
        if let (Some(reason), Completion::Fail | Completion::Info) = (reason, completion) {
            self.add_reason(reason, 1);
        }
    }

    /// Adds the counts of another table, e.g. another client's.
    pub fn merge(&mut self, other: &Self) {
        for (function, theirs) in &other.by_function {
            let ours = self.by_function.entry(function.clone()).or_default();
            ours.ok += theirs.ok;
            ours.fail += theirs.fail;
            ours.mismatch += theirs.mismatch;
            ours.info += theirs.info;
        }
        for (reason, &count) in &other.reasons {
            self.add_reason(reason, count);
        }
    }

    /// All operations.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_function.values().map(OutcomeCounts::total).sum()
    }

    fn add_reason(&mut self, reason: &str, count: u64) {
        let known = self.reasons.contains_key(reason) || self.reasons.len() < REASONS_MAX;
        *self.reasons.entry(if known { reason } else { "other" }.to_owned()).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_by_kind_outcome_and_reason() {
        let mut table = OperationTable::default();
        table.add(Function::Cas, &Completion::Ok(None), None);
        table.add(Function::Cas, &Completion::Mismatch { observed: None }, Some("mismatch"));
        let mut other = OperationTable::default();
        other.add(Function::Cas, &Completion::Info, Some("timeout"));
        other.add(Function::Read, &Completion::Fail, Some("timeout"));
        table.merge(&other);
        assert_eq!(table.by_function["cas"], OutcomeCounts { ok: 1, fail: 0, mismatch: 1, info: 1 });
        assert_eq!(table.by_function["read"], OutcomeCounts { fail: 1, ..OutcomeCounts::default() });
        assert_eq!(table.reasons, BTreeMap::from([("timeout".to_owned(), 2)]));
        assert_eq!(table.total(), 4);
    }

    #[test]
    fn reasons_are_bounded() {
        let mut table = OperationTable::default();
        for number in 0..1_000 {
            table.add(Function::Read, &Completion::Fail, Some(&format!("odd-{number}")));
        }
        assert_eq!(table.reasons.len(), REASONS_MAX + 1);
        assert_eq!(table.reasons["other"], 1_000 - REASONS_MAX as u64);
    }
}
