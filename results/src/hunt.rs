//! What a hunt brought in: run by run, target by target, and how it ends.
//!
//! ```text
//!   RunReport ─┐
//!   RunReport ─┼─> TargetReport ─┐   detected k of n, interval, times, anomalies
//!   RunReport ─┘                 ├─> HuntReport ──> hunt.json, the table on the terminal, ExitCode
//!              …    TargetReport ┘
//! ```
//!
//! | run of a | detected | crashed | stuck | unclear | failed | not run |
//! |---|---|---|---|---|---|---|
//! | mutant, easy or medium | as it should be | 1: escaped | 1: escaped | 1: escaped | 255 | 2 |
//! | mutant, hard | as it should be | told | told | told | 255 | 2 |
//! | decoy | 1: false alarm | 1: alarm | told | 2 | 255 | 2 |
//! | correct build | 1: false alarm | 1: alarm | 1: alarm | 2 | 255 | 2 |
//!
//! A run that passes lets an easy or medium mutant escape (1), and is what a decoy or a correct build should do. *Detected* rests on what
//! clients saw alone: a history that is not linearizable. A node that stopped on an assertion of its own is *crashed*, one that did not
//! answer again after the faults *stuck*; both are worth knowing, and neither is a detection.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    check::CheckName,
    exit::ExitCode,
    statistics::{Interval, median, wilson},
    store::Machine,
    summary::Summary,
};
use checkers::verdict::Verdict;

mod render;

pub use render::{interval, long, render, seconds};

/// Version of `hunt.json`.
pub const HUNT_FORMAT: u32 = 1;

/// What is hunted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quarry {
    /// A build with a bug, rated by how hard it is to find.
    Easy,
    /// See [`Quarry::Easy`].
    Medium,
    /// See [`Quarry::Easy`].
    Hard,
    /// A build, or a setting, that costs liveness at most.
    Decoy,
    /// A build without a known bug.
    Correct,
}

impl Quarry {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Easy => "easy",
            Self::Medium => "medium",
            Self::Hard => "hard",
            Self::Decoy => "decoy",
            Self::Correct => "correct",
        }
    }

    /// Whether there is something to be found.
    #[must_use]
    pub fn is_mutant(self) -> bool {
        matches!(self, Self::Easy | Self::Medium | Self::Hard)
    }
}

/// How one run of a hunt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// Clients saw what cannot be.
    Detected {
        /// The field's name for it.
        anomaly: String,
        /// From the start of the faults until it was seen; until the end of the faults where only the final reads showed it.
        after_ms: u64,
    },
    /// Every check passed.
    Passed,
    /// A node ended by itself.
    Crashed,
    /// It did not answer again when all faults were over.
    Stuck,
    /// The judge came to no verdict, or the run tested nothing.
    Unclear,
    /// The harness failed, or the run did not end in its time.
    Failed,
    /// The hunt was interrupted before or in it.
    NotRun,
}

/// One run of a hunt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReport {
    /// Its seed.
    pub seed: u64,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Whether a node ended by itself, whatever else was found.
    pub crashed: bool,
    /// How often the mutated rule decided otherwise than the correct one.
    pub fired: u64,
    /// How long there was load.
    pub load_ms: u64,
    /// How often leadership passed on.
    pub leader_changes: u64,
    /// Why it ended as it did, in a sentence.
    pub reason: String,
    /// The command that does it again.
    pub replay: String,
    /// Where it is kept, if it is.
    pub kept: Option<String>,
}

impl RunReport {
    /// The report of a run that came to a summary. `warm_up_ms` of its load were without faults.
    #[must_use]
    pub fn of(summary: &Summary, warm_up_ms: u64, replay: String) -> Self {
        let failed = |name| summary.checks.iter().find(|check| check.name == name && check.result == Verdict::Invalid);
        let crashed = failed(CheckName::Crash).is_some();
        let (outcome, reason) = if let Some(check) = failed(CheckName::Consistency) {
            let anomaly = summary.violation.as_ref().map_or_else(|| "unexplained".to_owned(), |v| word(&v.anomaly));
            let after_ms = summary.duration_ms.saturating_sub(warm_up_ms);
            (RunOutcome::Detected { anomaly, after_ms }, check.reason.clone())
        } else if let Some(error) = &summary.harness_error {
            (RunOutcome::Failed, error.clone())
        } else if let Some(check) = failed(CheckName::Crash) {
            (RunOutcome::Crashed, check.reason.clone())
        } else if let Some(check) = failed(CheckName::Liveness) {
            (RunOutcome::Stuck, check.reason.clone())
        } else if summary.verdict == Verdict::Valid {
            (RunOutcome::Passed, summary.reason.clone())
        } else {
            (RunOutcome::Unclear, summary.reason.clone())
        };
        Self {
            seed: summary.seed,
            outcome,
            crashed,
            fired: summary.mutant.as_ref().map_or(0, |mutant| mutant.fired),
            load_ms: summary.duration_ms,
            leader_changes: summary.leader_changes,
            reason,
            replay,
            kept: None,
        }
    }

    /// The report of a run that came to no summary.
    #[must_use]
    pub fn without_summary(seed: u64, outcome: RunOutcome, reason: String, replay: String) -> Self {
        let (crashed, fired, load_ms, leader_changes) = (false, 0, 0, 0);
        Self { seed, outcome, crashed, fired, load_ms, leader_changes, reason, replay, kept: None }
    }

    fn is_finished(&self) -> bool {
        !matches!(self.outcome, RunOutcome::Failed | RunOutcome::NotRun)
    }
}

/// The name of something in files.
fn word(named: &impl Serialize) -> String {
    match serde_json::to_value(named) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "unexplained".to_owned(),
    }
}

/// The runs of one target in figures. Runs that failed or did not run are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Runs in which it was detected.
    pub detected: u32,
    /// Runs that ended.
    pub of: u32,
    /// What that says of the true share, at 95 % (Wilson).
    pub interval: Interval,
    /// Half of the runs needed no longer; none where that was longer than the budget.
    pub median_ms: Option<u64>,
    /// Every run needed no longer; none where one needed longer than the budget.
    pub worst_ms: Option<u64>,
    /// How often the mutated rule decided otherwise than the correct one, over all runs.
    pub fired: u64,
    /// What was seen, in how many runs.
    pub anomalies: BTreeMap<String, u32>,
    /// Runs in which a node ended by itself.
    pub crashed: u32,
    /// Runs that were stuck.
    pub stuck: u32,
    /// How long there was load, over all runs.
    pub load_ms: u64,
}

impl Figures {
    /// Of these runs.
    #[must_use]
    pub fn of(runs: &[RunReport]) -> Self {
        let finished: Vec<&RunReport> = runs.iter().filter(|run| run.is_finished()).collect();
        let mut times = Vec::new();
        let mut anomalies = BTreeMap::new();
        for run in &finished {
            if let RunOutcome::Detected { anomaly, after_ms } = &run.outcome {
                times.push(*after_ms);
                *anomalies.entry(anomaly.clone()).or_default() += 1;
            }
        }
        let number = |count: usize| u32::try_from(count).expect("fewer than 2^32 runs");
        let (detected, of) = (number(times.len()), number(finished.len()));
        let missed = finished.len() - times.len();
        Self {
            detected,
            of,
            interval: wilson(detected, of),
            worst_ms: times.iter().copied().max().filter(|_| missed == 0),
            median_ms: median(times, missed),
            fired: finished.iter().map(|run| run.fired).sum(),
            anomalies,
            crashed: number(finished.iter().filter(|run| run.crashed).count()),
            stuck: number(finished.iter().filter(|run| run.outcome == RunOutcome::Stuck).count()),
            load_ms: finished.iter().map(|run| run.load_ms).sum(),
        }
    }
}

/// One target of a hunt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    /// The mutant's, or what else tells it from the others.
    pub name: String,
    /// What it is.
    pub quarry: Quarry,
    /// The system.
    pub system: String,
    /// The command line of its runs, but for seed and time.
    pub scenario: String,
    /// How long each run had.
    pub budget_ms: u64,
    /// The runs in figures.
    pub figures: Figures,
    /// The runs, by seed; left out where only figures are of interest.
    #[serde(default)]
    pub runs: Vec<RunReport>,
}

impl TargetReport {
    /// How this target makes the hunt end.
    #[must_use]
    pub fn exit(&self) -> ExitCode {
        let codes = self.runs.iter().map(|run| exit_of(self.quarry, &run.outcome));
        ExitCode::worst(codes).unwrap_or(ExitCode::Unknown)
    }
}

/// See the table above.
fn exit_of(quarry: Quarry, outcome: &RunOutcome) -> ExitCode {
    use Quarry::{Correct, Decoy, Easy, Hard, Medium};
    match (outcome, quarry) {
        (RunOutcome::Failed, _) => ExitCode::HarnessError,
        (RunOutcome::NotRun, _) => ExitCode::Unknown,
        (RunOutcome::Detected { .. }, Easy | Medium | Hard) => ExitCode::Valid,
        (_, Easy | Medium) => ExitCode::Invalid,
        (_, Hard) => ExitCode::Valid,
        (RunOutcome::Detected { .. } | RunOutcome::Crashed, Decoy | Correct) => ExitCode::Invalid,
        (RunOutcome::Stuck, Correct) => ExitCode::Invalid,
        (RunOutcome::Stuck, Decoy) => ExitCode::Valid,
        (RunOutcome::Unclear, Decoy | Correct) => ExitCode::Unknown,
        (RunOutcome::Passed, Decoy | Correct) => ExitCode::Valid,
    }
}

/// A whole hunt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HuntReport {
    /// [`HUNT_FORMAT`] of the program that wrote it.
    pub format: u32,
    /// Version of this program.
    pub trueline: String,
    /// When, in UTC.
    pub started: String,
    /// Where.
    pub machine: Machine,
    /// The command line.
    pub command: Vec<String>,
    /// Whether every target was hunted with the generic mix, and not with its own scenario.
    pub generic: bool,
    /// Runs at a time.
    pub jobs: u32,
    /// How long it took.
    pub duration_ms: u64,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// What the process returned.
    pub exit: u8,
    /// The targets.
    pub targets: Vec<TargetReport>,
}

impl HuntReport {
    /// The same without single runs.
    #[must_use]
    pub fn in_figures(&self) -> Self {
        let mut report = self.clone();
        for target in &mut report.targets {
            target.runs.clear();
        }
        report
    }

    /// Sets the exit code from what the targets brought; says how the process is to end. Without any target it is unknown.
    pub fn conclude(&mut self) -> ExitCode {
        let interrupted = self.interrupted.then_some(ExitCode::Unknown);
        let codes = self.targets.iter().map(TargetReport::exit).chain(interrupted);
        let exit = ExitCode::worst(codes).unwrap_or(ExitCode::Unknown);
        self.exit = exit.code();
        exit
    }
}

#[cfg(test)]
mod tests;
