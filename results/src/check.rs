//! The checks that make up a run's verdict.
//!
//! | check | asks | fails when |
//! |---|---|---|
//! | consistency | was it linearizable? | the judge says invalid |
//! | liveness | did it answer again after healing? | no answer within the bound |
//! | crash | did every node live until it was killed? | a node ended by itself |
//! | vacuity | was anything tested? | never: it makes the run vacuous |

use checkers::verdict::Verdict;
use serde::{Deserialize, Serialize};

use crate::tally::OperationTable;

/// Which check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckName {
    /// Linearizability.
    Consistency,
    /// Answers again after healing.
    Liveness,
    /// No node ended by itself.
    Crash,
    /// Something was tested.
    Vacuity,
}

impl CheckName {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Consistency => "consistency",
            Self::Liveness => "liveness",
            Self::Crash => "crash",
            Self::Vacuity => "vacuity",
        }
    }
}

/// One check with its result. There is always a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which.
    pub name: CheckName,
    /// What came out: [`Verdict::Invalid`] means failed.
    pub result: Verdict,
    /// One plain sentence: why.
    pub reason: String,
}

impl Check {
    /// A check with its result.
    #[must_use]
    pub fn new(name: CheckName, result: Verdict, reason: impl Into<String>) -> Self {
        Self { name, result, reason: reason.into() }
    }
}

/// The name of a verdict in reports.
#[must_use]
pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "valid",
        Verdict::Invalid => "invalid",
        Verdict::Unknown => "unknown",
        Verdict::Vacuous => "vacuous",
    }
}

/// The verdict of a run: the worst of its checks, and why. Worst is invalid, then unknown, then vacuous. Without any check it is unknown.
#[must_use]
pub fn conclude(checks: &[Check]) -> (Verdict, String) {
    let badness = |verdict| match verdict {
        Verdict::Valid => 0,
        Verdict::Vacuous => 1,
        Verdict::Unknown => 2,
        Verdict::Invalid => 3,
    };
    let Some(verdict) = checks.iter().map(|check| check.result).max_by_key(|&verdict| badness(verdict)) else {
        return (Verdict::Unknown, "no check was made".to_owned());
    };
    let reasons: Vec<String> = checks
        .iter()
        .filter(|check| check.result == verdict)
        // Where all is well, what a person wants to know is what the judge said.
        .filter(|check| verdict != Verdict::Valid || check.name == CheckName::Consistency)
        .map(|check| format!("{}: {}", check.name.name(), check.reason))
        .collect();
    if reasons.is_empty() {
        return (Verdict::Unknown, "consistency was not checked".to_owned());
    }
    (verdict, reasons.join("; "))
}

/// What says whether a run tested anything.
#[derive(Clone, Copy, Debug)]
pub struct Vacuity<'a> {
    /// Whether faults were asked for.
    pub faults_wanted: bool,
    /// How many faults had an effect.
    pub faults_landed: u64,
    /// The operations.
    pub operations: &'a OperationTable,
    /// The kinds of operations that the workload was to issue, by name.
    pub functions_wanted: &'a [&'a str],
    /// The most operations that were open at the same time.
    pub open_max: u64,
}

impl Vacuity<'_> {
    /// The check: valid only if something was really tested.
    #[must_use]
    pub fn check(&self) -> Check {
        let problems = self.problems();
        if problems.is_empty() {
            let reason = format!(
                "{} operations, up to {} at once, {} faults landed",
                self.operations.total(),
                self.open_max,
                self.faults_landed
            );
            return Check::new(CheckName::Vacuity, Verdict::Valid, reason);
        }
        Check::new(CheckName::Vacuity, Verdict::Vacuous, problems.join("; "))
    }

    fn problems(&self) -> Vec<String> {
        if self.operations.total() == 0 {
            return vec!["no operation was issued".to_owned()];
        }
        let mut problems = Vec::new();
        if self.faults_wanted && self.faults_landed == 0 {
            problems.push("faults were asked for and none landed".to_owned());
        }
        for &function in self.functions_wanted {
            if self.operations.by_function.get(function).is_none_or(|counts| counts.ok == 0) {
                problems.push(format!("no {function} ever succeeded"));
            }
        }
        if self.open_max < 2 {
            problems.push("no two operations were open at the same time".to_owned());
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use checkers::history::{Completion, Function};

    use super::*;

    fn checks(results: [Verdict; 4]) -> Vec<Check> {
        let names = [CheckName::Consistency, CheckName::Liveness, CheckName::Crash, CheckName::Vacuity];
        names.into_iter().zip(results).map(|(name, result)| Check::new(name, result, "r")).collect()
    }

    #[test]
    fn the_worst_check_decides() {
        use Verdict::{Invalid, Unknown, Vacuous, Valid};
        let cases = [
            ([Valid; 4], Valid, "consistency: r"),
            ([Valid, Valid, Valid, Vacuous], Vacuous, "vacuity: r"),
            ([Unknown, Valid, Valid, Vacuous], Unknown, "consistency: r"),
            ([Valid, Invalid, Valid, Vacuous], Invalid, "liveness: r"),
            ([Unknown, Valid, Invalid, Valid], Invalid, "crash: r"),
            ([Invalid, Valid, Invalid, Valid], Invalid, "consistency: r; crash: r"),
        ];
        for (results, verdict, reason) in cases {
            assert_eq!(conclude(&checks(results)), (verdict, reason.to_owned()));
        }
    }

    #[test]
    fn nothing_defaults_to_valid() {
        assert_eq!(conclude(&[]).0, Verdict::Unknown);
        assert_eq!(conclude(&[Check::new(CheckName::Crash, Verdict::Valid, "all lived")]).0, Verdict::Unknown);
    }

    #[test]
    fn a_run_that_tested_nothing_is_vacuous() {
        let mut operations = OperationTable::default();
        operations.add(Function::Read, &Completion::Ok(None), None);
        operations.add(Function::Write, &Completion::Ok(None), None);
        let good = Vacuity {
            faults_wanted: true,
            faults_landed: 1,
            operations: &operations,
            functions_wanted: &["read", "write"],
            open_max: 2,
        };
        assert_eq!(good.check().result, Verdict::Valid);
        assert_eq!(Vacuity { faults_wanted: false, faults_landed: 0, ..good }.check().result, Verdict::Valid);
        let empty = OperationTable::default();
        let bad = [
            (Vacuity { faults_landed: 0, ..good }, "none landed"),
            (Vacuity { open_max: 1, ..good }, "no two operations"),
            (Vacuity { functions_wanted: &["read", "cas"], ..good }, "no cas ever succeeded"),
            (Vacuity { operations: &empty, ..good }, "no operation was issued"),
        ];
        for (vacuity, reason) in bad {
            let check = vacuity.check();
            assert_eq!(check.result, Verdict::Vacuous);
            assert!(check.reason.contains(reason), "{}", check.reason);
        }
    }
}
