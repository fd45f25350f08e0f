//! One job of a gate: its run, as a process; again, where the infrastructure failed; and replays of what nobody expected.
//!
//! ```text
//!   attempt 1: trueline run --name ID … ──┬─> a verdict ───────────────┬─> as expected, or no violation: done
//!              │ logs/N-1.txt             │                            └─> a violation: trueline replay ID --times K
//!              │    infrastructure failed ┴─> its history, if it left one: trueline check … ──> a violation: the same
//!   attempt 2  └<─── not wrong usage, nor a cluster that was never ready ───────┘ none
//! ```
//!
//! A violation is never tried away: whatever else went wrong with a run, an invalid verdict in the store counts, and so do an exit code
//! that says invalid, should the verdict be missing, and a history that shows one, should nobody have judged it.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use checkers::verdict::Verdict;
use results::{
    exit::ExitCode,
    gate::{Expectation, Finding, JobReport, Outcome, Replayed},
    replay::ReplayReport,
    report::REPORT_NAME,
    store::{DEFAULT_STORE, GateDir, RunDir, RunId, Store},
    summary::Summary,
};
use tokio::{
    process::Command,
    sync::{mpsc, watch},
};

use super::millis;
use crate::{
    child::{End, OVERHEAD_MAX, end_of, last_words},
    config::quoted,
};

mod history;

use history::judged;

/// What a child prints as JSON is not longer.
const REPORT_BYTES_MAX: u64 = 16 << 20;

/// What a run says whose nodes never became a cluster. Its build may be at fault, and so it is not tried until it comes up.
const NOT_READY: &str = "the cluster was not ready after";

/// What is told while a job is under way.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// An attempt has begun, and its run has this name.
    Began(RunId),
    /// Its violation is being replayed.
    Replaying,
}

/// How histories are judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judging {
    /// For so long.
    pub time: Duration,
    /// With so much memory, MiB.
    pub memory_mib: usize,
}

/// A job to be done.
pub(super) struct JobRun {
    /// Which of the jobs, for the steps.
    pub index: usize,
    pub program: PathBuf,
    pub store: Store,
    pub dir: GateDir,
    /// The flags of `trueline run`, with the seed.
    pub arguments: Vec<String>,
    pub expected: Expectation,
    pub bound: Duration,
    /// What one replay may take, as `trueline replay` itself reckons it.
    pub replay_bound: Duration,
    pub judging: Judging,
    /// Further attempts where the infrastructure failed.
    pub retries: u32,
    pub replays: u32,
    /// After this no further attempt is begun, and nothing is replayed.
    pub deadline: Option<Instant>,
    pub steps: mpsc::UnboundedSender<(usize, Step)>,
    pub stop: watch::Receiver<bool>,
}

/// What came of an attempt.
enum Tried {
    /// It has a verdict.
    Told(Box<Summary>),
    /// It says invalid, and has no verdict.
    Invalid(String),
    /// It has none.
    Failed { why: String, again: bool },
    /// The gate was interrupted.
    Stopped,
}

impl JobRun {
    /// Does the job; never later than its bounds.
    pub(super) async fn run(self, mut report: JobReport) -> JobReport {
        let begin = Instant::now();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let tried = match self.attempt(attempts, &mut report).await {
                Ok(tried) => tried,
                Err(error) => Tried::Failed { why: format!("{error:#}"), again: true },
            };
            match tried {
                Tried::Told(summary) => report.take(&summary),
                Tried::Invalid(why) => {
                    let (verdict, failed) = (Verdict::Invalid, Vec::new());
                    report.take_finding(Finding { verdict, failed, anomaly: None, fired: None }, &why);
                }
                Tried::Stopped => {
                    report.outcome = Outcome::NotRun;
                    "the gate was interrupted, and the run killed".clone_into(&mut report.reason);
                }
                Tried::Failed { why, again } => {
                    // One that failed before it began has left nothing.
                    let left = report.run.as_deref().and_then(|run| self.store.run(run).ok());
                    report.take_failure(&why, left.as_ref().map(|run| run.id().as_str()));
                    if let Some(summary) = self.judge(attempts, report.number, left.as_ref()).await {
                        report.take(&summary);
                        break;
                    }
                    if again && attempts <= self.retries && !self.is_late() && !*self.stop.borrow() {
                        continue;
                    }
                    report.outcome = Outcome::Infrastructure;
                }
            }
            break;
        }
        // One that failed before it began has left nothing.
        report.run = report.run.filter(|run| self.store.run(run).is_ok());
        self.tidy(&report);
        let run = report.run.as_deref().and_then(|run| self.store.run(run).ok());
        let page = run.map(|run| run.path().join(REPORT_NAME)).filter(|page| page.is_file());
        report.page = page.map(|page| page.display().to_string());
        report.replay = self.replay_command(&report);
        report.replayed = self.replay(&report).await;
        report.duration_ms = millis(begin.elapsed());
        report
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn tell(&self, step: Step) {
        // Nobody listens only when the gate itself is gone.
        let _ = self.steps.send((self.index, step));
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(subcommand);
        command.args(["--quiet", "--parent", &std::process::id().to_string()]);
        command.arg("--store").arg(self.store.path());
        command
    }

    async fn attempt(&self, number: u32, report: &mut JobReport) -> anyhow::Result<Tried> {
        let name = self.store.free_name()?;
        report.run = Some(name.to_string());
        self.tell(Step::Began(name.clone()));
        let output = self.dir.log_path(report.number, &format!("{number}.txt"));
        let file = File::create(&output).with_context(|| format!("cannot create {}", output.display()))?;
        let mut command = self.command("run");
        command.args(&self.arguments).args(["--name", name.as_str()]);
        command.stdout(file.try_clone()?).stderr(file);
        let starting = || format!("cannot run {}", self.program.display());
        let end = end_of(command, self.bound, self.stop.clone()).await.with_context(starting)?;
        let summary = self.store.run(name.as_str()).ok().map(|run| run.verdict::<Summary>());
        Ok(told(end, summary.transpose().map(Option::flatten), &name, self.bound, &output))
    }

    /// What the history shows that a failed attempt left behind, if that is a violation. That it cannot be judged changes nothing: the
    /// attempt has failed already.
    async fn judge(&self, attempt: u32, number: u32, left: Option<&RunDir>) -> Option<Summary> {
        let history = left.map(RunDir::history_path).filter(|history| history.is_file())?;
        let [out, errors] = ["json", "txt"].map(|kind| self.dir.log_path(number, &format!("{attempt}-check.{kind}")));
        let mut command = Command::new(&self.program);
        command.args(["check", "--keep-complete-lines", "--json", "--no-ladder"]);
        command.args(["--time", &format!("{}ms", self.judging.time.as_millis())]);
        command.args(["--memory", &self.judging.memory_mib.to_string()]).arg(&history);
        command.stdout(File::create(&out).ok()?).stderr(File::create(errors).ok()?);
        let bound = self.judging.time.saturating_add(OVERHEAD_MAX);
        match end_of(command, bound, self.stop.clone()).await {
            Ok(End::Exited(status)) if status.code() == Some(ExitCode::Invalid.code().into()) => Some(judged(&out)),
            _ => None,
        }
    }

    /// What came out as expected needs no data of its nodes any more.
    fn tidy(&self, report: &JobReport) {
        let Outcome::Ended(finding) = &report.outcome else { return };
        let wanted = self.arguments.iter().any(|word| word == "--keep-data");
        if let Some(run) = report.run.as_deref().and_then(|run| self.store.run(run).ok())
            && self.expected.is_met_by(finding)
            && !wanted
        {
            // A correct run has removed it itself; and what is left of it costs room and nothing else.
            let _ = fs::remove_dir_all(run.path().join("data"));
        }
    }

    fn is_surprise(&self, report: &JobReport) -> bool {
        let violation = |finding: &Finding| finding.verdict == Verdict::Invalid && !self.expected.is_met_by(finding);
        matches!(&report.outcome, Outcome::Ended(finding) if violation(finding))
    }

    fn replay_command(&self, report: &JobReport) -> Option<String> {
        // What has no verdict cannot be carried out again.
        let is_told = |run: &&String| self.store.run(run).is_ok_and(|run| run.verdict_path().is_file());
        let run = report.run.as_ref().filter(|_| self.is_surprise(report)).filter(is_told)?;
        let store = self.store.path();
        let elsewhere = store != Path::new(DEFAULT_STORE);
        let store =
            if elsewhere { format!(" --store {}", quoted(&store.display().to_string())) } else { String::new() };
        Some(format!("trueline replay {run}{store}"))
    }

    /// Carries an unexpected violation out again, at once, and says how often it was there again.
    async fn replay(&self, report: &JobReport) -> Option<Replayed> {
        if !self.is_surprise(report) || self.replays == 0 {
            return None;
        }
        let replayed = match report.run.as_deref() {
            None => Err("it has left nothing in the store".to_owned()),
            Some(_) if self.is_late() => Err("the time budget is used up".to_owned()),
            Some(run) => self.try_replay(report.number, run).await.unwrap_or_else(|error| Err(format!("{error:#}"))),
        };
        Some(replayed.unwrap_or_else(|why| Replayed::Failed { why }))
    }

    async fn try_replay(&self, number: u32, run: &str) -> anyhow::Result<Result<Replayed, String>> {
        self.tell(Step::Replaying);
        let (out, errors) = (self.dir.log_path(number, "replay.json"), self.dir.log_path(number, "replay.txt"));
        let create = |path: &Path| File::create(path).with_context(|| format!("cannot create {}", path.display()));
        let mut command = self.command("replay");
        command.args(["--json", "--times", &self.replays.to_string(), run]);
        command.stdout(create(&out)?).stderr(create(&errors)?);
        let bound = self.replay_bound.saturating_mul(self.replays).saturating_add(OVERHEAD_MAX);
        let ended = end_of(command, bound, self.stop.clone()).await.context("cannot start `trueline replay`")?;
        let status = match ended {
            End::Exited(status) => status,
            End::TooLate => return Ok(Err(format!("the replays had not ended after {} s", bound.as_secs()))),
            End::Stopped => return Ok(Err("the gate was interrupted".to_owned())),
        };
        let mut text = String::new();
        File::open(&out)?.take(REPORT_BYTES_MAX).read_to_string(&mut text)?;
        Ok(match serde_json::from_str::<ReplayReport>(&text) {
            Ok(report) => Replayed::of(&report, run),
            Err(_) => Err(format!("`trueline replay` ended with {status} and no report: {}", last_words(&errors))),
        })
    }
}

/// What an attempt came to, by how its process ended and what it left behind.
fn told(
    end: End,
    summary: Result<Option<Summary>, impl std::fmt::Display>,
    name: &RunId,
    bound: Duration,
    output: &Path,
) -> Tried {
    let code = match end {
        End::Exited(status) => status.code(),
        End::TooLate | End::Stopped => None,
    };
    let ended = || match end {
        End::Exited(status) => format!("it ended with {status}"),
        End::TooLate => format!("it had not ended after {} s", bound.as_secs()),
        End::Stopped => "the gate was interrupted".to_owned(),
    };
    let words = || match last_words(output) {
        words if words.is_empty() => "it printed nothing".to_owned(),
        words => words,
    };
    let summary = match summary {
        Ok(summary) => summary.filter(|summary| summary.run.as_deref() == Some(name.as_str())),
        // What it says itself counts more than what cannot be read.
        Err(_) if code == Some(ExitCode::Invalid.code().into()) || matches!(end, End::Stopped) => None,
        Err(error) => return Tried::Failed { why: format!("{}, and {error}", ended()), again: true },
    };
    match summary {
        // Whatever came after it.
        Some(summary) if summary.verdict == Verdict::Invalid => Tried::Told(Box::new(summary)),
        Some(summary) if code == Some(summary.exit.into()) => match summary.harness_error {
            Some(error) => Tried::Failed { again: !error.contains(NOT_READY), why: error },
            None if ExitCode::from(summary.verdict).code() == summary.exit => Tried::Told(Box::new(summary)),
            None => {
                Tried::Failed { why: format!("its verdict and its exit code {} differ", summary.exit), again: true }
            }
        },
        _ if matches!(end, End::Stopped) => Tried::Stopped,
        _ if code == Some(ExitCode::Invalid.code().into()) => {
            Tried::Invalid(format!("it says invalid, and left no verdict that does: {}", words()))
        }
        _ => {
            let again = code != Some(ExitCode::Usage.code().into());
            Tried::Failed { why: format!("{} and without a verdict: {}", ended(), words()), again }
        }
    }
}

#[cfg(test)]
mod tests;
