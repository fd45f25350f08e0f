//! What a gate brought in: job by job, scenario by scenario, and how it ends.
//!
//! ```text
//!   Summary of a run ─> JobReport ─┐  came out, as expected or not, replayed k times
//!                       JobReport ─┼─> ScenarioReport ─┐
//!                            …     ┘   ScenarioReport ─┼─> GateReport ──┬─> gate.json, and the ExitCode
//!                                               …      ┘                ├─> junit.xml
//!                                                                       ├─> summary.md, and GitHub's step summary
//!                                                                       ├─> annotations, on GitHub
//!                                                                       └─> the table on the terminal
//! ```
//!
//! How a job makes the gate end, by what was expected (rows) and what came out (columns):
//!
//! | expected | valid | invalid | unknown | vacuous | infrastructure failed | not run, or not finished |
//! |---|---|---|---|---|---|---|
//! | valid | 0 | 1 | 2 | 3 | 255 | 2 |
//! | invalid | 1 | 0 | 2 | 3 | 255 | 2 |
//! | unknown | 1 | 1 | 0 | 3 | 255 | 2 |
//! | vacuous | 1 | 1 | 2 | 0 | 255 | 2 |
//!
//! With several expected verdicts each of them is 0. A violation of another kind than the expected one is 1: where none is named, consistency
//! is meant, for a crash or a slow recovery is not what anybody means who just says invalid. So is one of a run whose bug was switched on and
//! never acted, for it shows something else. Attempts that failed before, for reasons of the infrastructure, change nothing about that: they
//! are told apart. Over several jobs the worst wins, in the order 1, 255, 2,
//! 3, 0. A plan without any job is 3, for no run is not a pass; a partition that is empty of a plan that is not is 0.

use checkers::verdict::{Anomaly, Verdict};
use serde::{Deserialize, Serialize};

use crate::{
    check::{CheckName, verdict_name},
    exit::ExitCode,
    replay::ReplayReport,
    statistics::{Interval, wilson},
    store::Machine,
    summary::Summary,
};

pub mod annotations;
mod junit;
mod markdown;
mod render;

pub use junit::{JunitError, junit};
pub use markdown::markdown;
pub use render::{render, unannotated};

/// Version of `gate.json`.
pub const GATE_FORMAT: u32 = 1;

/// Sentences of a violation that are kept; the run's own files have them all.
const SENTENCES_MAX: usize = 12;

/// Lines of its diagram that are kept.
const DIAGRAM_LINES_MAX: usize = 60;

/// Letters of a sentence, or of a line, that are kept.
const LETTERS_MAX: usize = 600;

/// What is expected of every run of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// One of these verdicts.
    pub verdicts: Vec<Verdict>,
    /// Of an invalid run: that one of these checks failed. Consistency, where there are none and no anomalies either.
    #[serde(default)]
    pub checks: Vec<CheckName>,
    /// Of an invalid run: that one of these was found. Any or none, where there are none.
    #[serde(default)]
    pub anomalies: Vec<Anomaly>,
}

impl Default for Expectation {
    fn default() -> Self {
        Self { verdicts: vec![Verdict::Valid], checks: Vec::new(), anomalies: Vec::new() }
    }
}

impl Expectation {
    /// Whether this is what was expected.
    #[must_use]
    pub fn is_met_by(&self, finding: &Finding) -> bool {
        let is_shown = || self.is_of_kind(finding) && !finding.is_bug_idle();
        self.verdicts.contains(&finding.verdict) && (finding.verdict != Verdict::Invalid || is_shown())
    }

    /// Whether a violation is one of those that are expected.
    fn is_of_kind(&self, finding: &Finding) -> bool {
        let checks: &[CheckName] = match &self.checks[..] {
            // Whatever else fails must be expected by its name.
            [] if self.anomalies.is_empty() => &[CheckName::Consistency],
            checks => checks,
        };
        let failed = checks.is_empty() || checks.iter().any(|check| finding.failed.contains(check));
        let anomalies = self.anomalies.is_empty() || finding.anomaly.is_some_and(|it| self.anomalies.contains(&it));
        failed && anomalies
    }

    /// In words: `valid`, `invalid (consistency, stale-read)`, `valid or unknown`.
    #[must_use]
    pub fn words(&self) -> String {
        let verdicts: Vec<&str> = self.verdicts.iter().copied().map(verdict_name).collect();
        let checks = self.checks.iter().map(|check| check.name().to_owned());
        let kinds: Vec<String> = checks.chain(self.anomalies.iter().map(word)).collect();
        let verdicts = verdicts.join(" or ");
        if kinds.is_empty() { verdicts } else { format!("{verdicts} ({})", kinds.join(", ")) }
    }
}

/// The name of something in files.
fn word(named: &impl Serialize) -> String {
    match serde_json::to_value(named) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "unnamed".to_owned(),
    }
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its verdict.
    pub verdict: Verdict,
    /// The checks that failed.
    #[serde(default)]
    pub failed: Vec<CheckName>,
    /// What the judge found.
    #[serde(default)]
    pub anomaly: Option<Anomaly>,
    /// How often the bug that was switched on decided wrongly; none where none was, or where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fired: Option<u64>,
}

impl Finding {
    /// Of a run's summary.
    #[must_use]
    pub fn of(summary: &Summary) -> Self {
        let failed = summary.checks.iter().filter(|check| check.result == Verdict::Invalid).map(|check| check.name);
        let anomaly = summary.violation.as_ref().map(|violation| violation.anomaly);
        let fired = summary.mutant.as_ref().map(|mutant| mutant.fired);
        Self { verdict: summary.verdict, failed: failed.collect(), anomaly, fired }
    }

    /// Whether a bug was switched on, and never acted: what was found is then not its doing.
    fn is_bug_idle(&self) -> bool {
        self.fired == Some(0)
    }
}

/// How far a job came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Outcome {
    /// It has not begun.
    Waiting,
    /// It is under way; or was, when the gate was killed.
    Running,
    /// Its run came to a verdict.
    Ended(Finding),
    /// No attempt came to a verdict, for reasons of the harness or the machine.
    Infrastructure,
    /// There was no time left for it, or the gate was interrupted.
    NotRun,
}

/// How a job makes the gate end; see the table above.
#[must_use]
pub fn exit_of(expected: &Expectation, outcome: &Outcome) -> ExitCode {
    match outcome {
        Outcome::Ended(finding) if expected.is_met_by(finding) => ExitCode::Valid,
        Outcome::Ended(finding) => match finding.verdict {
            Verdict::Valid | Verdict::Invalid => ExitCode::Invalid,
            Verdict::Unknown => ExitCode::Unknown,
            Verdict::Vacuous => ExitCode::Vacuous,
        },
        Outcome::Infrastructure => ExitCode::HarnessError,
        Outcome::NotRun | Outcome::Waiting | Outcome::Running => ExitCode::Unknown,
    }
}

/// What came of replaying a violation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "replay", rename_all = "kebab-case")]
pub enum Replayed {
    /// It was carried out again.
    Done {
        /// So many times.
        times: u32,
        /// So many of which came to an answer.
        judged: u32,
        /// In so many of those the same check failed again.
        reproduced: u32,
        /// What that says of the true share, at 95 % (Wilson).
        interval: Interval,
    },
    /// It could not be; the verdict stays.
    Failed {
        /// Why.
        why: String,
    },
}

impl Replayed {
    /// What `trueline replay` found.
    ///
    /// # Errors
    /// In a sentence: when the report is of another run, or does not add up.
    pub fn of(report: &ReplayReport, run: &str) -> Result<Self, String> {
        let ReplayReport { times, reproduced, otherwise, .. } = *report;
        let judged = reproduced.checked_add(otherwise).filter(|judged| *judged <= times);
        if report.original.run != run {
            return Err(format!("what was replayed is {}, not {run}", report.original.run));
        }
        let Some(judged) = judged else { return Err(format!("{reproduced} and {otherwise} are more than {times}")) };
        Ok(Self::Done { times, judged, reproduced, interval: wilson(reproduced, judged) })
    }

    /// A sentence.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Done { times, judged: 0, .. } => {
                format!("replayed at once: none of {times} replays came to an answer")
            }
            Self::Done { times, judged, reproduced, interval: Interval { low, high } } => {
                let (low, high) = (low * 100.0, high * 100.0);
                let unclear = match times - judged {
                    0 => String::new(),
                    more => format!("; {more} more came to no answer"),
                };
                let of = format!("{reproduced} of {judged}");
                format!("replayed at once: found again {of} times (true rate {low:.0}-{high:.0} %){unclear}")
            }
            Self::Failed { why } => format!("not replayed: {why}"),
        }
    }
}

/// One run of a scenario: with one seed, and as many attempts as its infrastructure needed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobReport {
    /// Its place in the plan, from 1, over all partitions.
    pub number: u32,
    /// Its seed.
    pub seed: u64,
    /// What came out.
    pub outcome: Outcome,
    /// Why the attempts before the last one came to no verdict, and the last one if it did not either.
    pub failures: Vec<String>,
    /// From its beginning until its verdict, attempts and all.
    pub duration_ms: u64,
    /// The name of its run in the store; of the last attempt's.
    pub run: Option<String>,
    /// The shortest name that meant it when the gate ended.
    pub short: Option<String>,
    /// One sentence: why.
    pub reason: String,
    /// The violation in plain sentences.
    pub sentences: Vec<String>,
    /// Its diagram, line by line, for a fixed-width font.
    pub diagram: Vec<String>,
    /// The command that does it again, from its seed.
    pub again: String,
    /// The command that carries out again what happened, faults and all; none where there is no violation to be seen again.
    #[serde(default)]
    pub replay: Option<String>,
    /// The page of its run, where there is one.
    #[serde(default)]
    pub page: Option<String>,
    /// An unexpected violation is replayed at once.
    pub replayed: Option<Replayed>,
}

impl JobReport {
    /// A job that waits for its turn.
    #[must_use]
    pub fn waiting(number: u32, seed: u64, again: String) -> Self {
        Self {
            number,
            seed,
            outcome: Outcome::Waiting,
            failures: Vec::new(),
            duration_ms: 0,
            run: None,
            short: None,
            reason: "it has not begun".to_owned(),
            sentences: Vec::new(),
            diagram: Vec::new(),
            again,
            replay: None,
            page: None,
            replayed: None,
        }
    }

    /// Takes over what came out, and why.
    pub fn take_finding(&mut self, finding: Finding, reason: &str) {
        self.outcome = Outcome::Ended(finding);
        self.reason = clipped(reason);
    }

    /// Takes over why an attempt came to no verdict, and the name of what is left of its run, if anything is.
    pub fn take_failure(&mut self, why: &str, run: Option<&str>) {
        let run = run.map_or_else(String::new, |run| format!(" (run {run})"));
        self.reason = clipped(why) + &run;
        self.failures.push(self.reason.clone());
    }

    /// Takes over what a run came to.
    pub fn take(&mut self, summary: &Summary) {
        self.take_finding(Finding::of(summary), &summary.reason);
        if let Some(violation) = &summary.violation {
            self.sentences = violation.sentences.iter().take(SENTENCES_MAX).map(|text| clipped(text)).collect();
            self.diagram = violation.diagram.iter().take(DIAGRAM_LINES_MAX).map(|line| clipped(line)).collect();
        }
    }

    /// What came out, in a word.
    #[must_use]
    pub fn came_out(&self) -> &'static str {
        match &self.outcome {
            Outcome::Ended(finding) => verdict_name(finding.verdict),
            Outcome::Infrastructure => "no verdict",
            Outcome::NotRun => "not run",
            Outcome::Waiting => "waiting",
            Outcome::Running => "running",
        }
    }

    /// Why the attempts failed that came before what is told of the job.
    #[must_use]
    pub fn failures_before(&self) -> &[String] {
        match (&self.outcome, &self.failures[..]) {
            // The last one is its reason.
            (Outcome::Infrastructure, [before @ .., _]) => before,
            (_, failures) => failures,
        }
    }

    /// Whether it came to a verdict only after its infrastructure had failed.
    #[must_use]
    pub fn is_flaky(&self) -> bool {
        matches!(self.outcome, Outcome::Ended(_)) && !self.failures.is_empty()
    }
}

/// The beginning of a text, with a mark where more follows.
fn clipped(text: &str) -> String {
    match text.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What is wrong with a job, in a few words; none where it came out as expected.
#[must_use]
pub fn complaint(expected: &Expectation, outcome: &Outcome) -> Option<&'static str> {
    Some(match outcome {
        Outcome::Ended(finding) if expected.is_met_by(finding) => return None,
        Outcome::Ended(finding) => match finding.verdict {
            Verdict::Invalid if !expected.verdicts.contains(&Verdict::Invalid) => "violation",
            Verdict::Invalid if expected.is_of_kind(finding) => "the bug that was switched on never acted",
            Verdict::Invalid => "another violation than expected",
            Verdict::Valid if expected.verdicts.contains(&Verdict::Invalid) => "expected violation not found",
            Verdict::Valid => "valid, which was not expected",
            Verdict::Unknown => "no answer",
            Verdict::Vacuous => "nothing was tested",
        },
        Outcome::Infrastructure => "infrastructure failed",
        Outcome::NotRun => "not run",
        Outcome::Waiting | Outcome::Running => "not finished",
    })
}

/// One scenario of a gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioReport {
    /// Its name.
    pub name: String,
    /// The command line of its runs, but for the seed.
    pub command: String,
    /// What was expected.
    pub expected: Expectation,
    /// Its jobs in this partition.
    pub jobs: Vec<JobReport>,
}

/// A whole gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateReport {
    /// [`GATE_FORMAT`] of the program that wrote it.
    pub format: u32,
    /// Version of this program.
    pub trueline: String,
    /// When it began, in UTC.
    pub started: String,
    /// Where.
    pub machine: Machine,
    /// The command line.
    pub command: Vec<String>,
    /// The profile.
    pub profile: String,
    /// Which part of the plan, e.g. `3/10`; none for all of it.
    pub partition: Option<String>,
    /// Whether seeds were drawn.
    pub fresh_seeds: bool,
    /// Jobs in the plan, over all partitions.
    pub planned: u32,
    /// Jobs at a time.
    pub jobs_at_once: u32,
    /// After so long no further job was begun.
    pub time_budget_ms: Option<u64>,
    /// How long it has taken.
    pub duration_ms: u64,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// What the gate came to; the process may still return 255 when results cannot be printed. None while it goes on, and when it was killed.
    pub exit: Option<u8>,
    /// The scenarios.
    pub scenarios: Vec<ScenarioReport>,
}

impl GateReport {
    /// Every job with its scenario.
    pub fn jobs(&self) -> impl Iterator<Item = (&ScenarioReport, &JobReport)> {
        self.scenarios.iter().flat_map(|scenario| scenario.jobs.iter().map(move |job| (scenario, job)))
    }

    /// How the gate is to end.
    #[must_use]
    pub fn verdict(&self) -> ExitCode {
        let none = if self.planned == 0 { ExitCode::Vacuous } else { ExitCode::Valid };
        let interrupted = self.interrupted.then_some(ExitCode::Unknown);
        let jobs = self.jobs().map(|(scenario, job)| exit_of(&scenario.expected, &job.outcome));
        ExitCode::worst(jobs.chain(interrupted)).unwrap_or(none)
    }

    /// Sets the exit code from what the jobs brought; says how the process is to end.
    pub fn conclude(&mut self) -> ExitCode {
        let exit = self.verdict();
        self.exit = Some(exit.code());
        exit
    }

    /// How many jobs came out as expected, and of how many.
    #[must_use]
    pub fn as_expected(&self) -> (usize, usize) {
        let met =
            |(scenario, job): &(&ScenarioReport, &JobReport)| complaint(&scenario.expected, &job.outcome).is_none();
        (self.jobs().filter(met).count(), self.jobs().count())
    }

    /// What the gate says as a whole, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (met, all) = self.as_expected();
        let flaky = self.jobs().filter(|(_, job)| job.is_flaky()).count();
        let mut text = match (all, &self.partition) {
            (0, Some(partition)) if self.planned > 0 => {
                format!("partition {partition} is empty: the plan has {} jobs, and none of them is in it", self.planned)
            }
            (0, _) => "nothing is selected, so nothing was tested".to_owned(),
            _ => format!("{met} of {all} jobs as expected"),
        };
        if flaky > 0 {
            text += &format!(", {flaky} of them after their infrastructure had failed");
        }
        if self.interrupted {
            text += ", interrupted";
        }
        text
    }
}

#[cfg(test)]
mod tests;
