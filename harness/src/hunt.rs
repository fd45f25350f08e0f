//! Many runs, to find out what the harness finds: every mutant a number of seeds, the correct builds as well.
//!
//! ```text
//!   Selection ──> targets ──> jobs ──┬─ child: trueline run --fail-fast … ──> verdict.json ──> RunReport ─┐
//!                                    ├─ child                                                            ├──> HuntReport
//!                                    └─ child     (as many at a time as were asked for)                  ┘
//! ```
//!
//! A run is a process of its own: it enters namespaces before it has threads, and nothing that goes wrong in one touches another. What
//! counts is what its verdict says. A child that ends otherwise is a failure of the harness, never a detection.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use results::{
    hunt::{Figures, HUNT_FORMAT, HuntReport, RunOutcome, RunReport, TargetReport},
    store::{CollectionDir, Machine, now_in_words},
};
use tokio::{sync::watch, task::JoinSet};

use crate::{child::stop_signals, progress::Progress};

mod child;
pub mod docs;
pub mod glob;
pub mod plan;
pub mod scenario;

use child::Child;
use plan::{Job, Target};

/// How often the progress line is renewed.
const SHOW_INTERVAL: Duration = Duration::from_millis(200);

/// Runs that the progress line names.
const SHOWN_MAX: usize = 3;

/// How a hunt is carried out.
#[derive(Clone, Debug)]
pub struct HuntConfig {
    /// Runs at a time.
    pub jobs: u32,
    /// The first seed.
    pub first_seed: u64,
    /// How many seeds for each target.
    pub seeds: u32,
    /// Whether the generic mix takes the place of scenarios.
    pub generic: bool,
    /// A `--network` for every run.
    pub network: String,
    /// Keep also runs that brought nothing to light.
    pub keep_runs: bool,
}

/// Carries the hunt out. Needs a tokio runtime of one thread: children ask to end with the thread that started them.
///
/// # Errors
/// When signals cannot be taken, or this program cannot be found.
pub async fn conduct(
    targets: &[Target],
    config: &HuntConfig,
    dir: &CollectionDir,
    progress: &Progress,
) -> anyhow::Result<HuntReport> {
    let program = std::env::current_exe().context("cannot find this program's own path to start runs with")?;
    let stop = stop_signals()?;
    let (started, begin) = (now_in_words(), Instant::now());
    let mut hunt = Hunt { targets, config, dir, program: Arc::new(program), stop, progress, done: BTreeMap::new() };
    progress.phase("hunt");
    hunt.run_all().await;
    let interrupted = *hunt.stop.borrow();
    let mut report = HuntReport {
        format: HUNT_FORMAT,
        trueline: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        machine: Machine::here(),
        command: std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        generic: config.generic,
        jobs: config.jobs,
        duration_ms: millis(begin.elapsed()),
        interrupted,
        exit: 255,
        targets: hunt.reports(),
    };
    report.conclude();
    Ok(report)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A hunt under way.
struct Hunt<'a> {
    targets: &'a [Target],
    config: &'a HuntConfig,
    dir: &'a CollectionDir,
    program: Arc<std::path::PathBuf>,
    stop: watch::Receiver<bool>,
    progress: &'a Progress,
    /// By target and seed.
    done: BTreeMap<(usize, u64), RunReport>,
}

impl Hunt<'_> {
    async fn run_all(&mut self) {
        let mut waiting = plan::jobs(self.targets.len(), self.config.first_seed, self.config.seeds).into_iter();
        let all = waiting.len();
        let mut running: JoinSet<(Job, RunReport)> = JoinSet::new();
        let mut since: BTreeMap<(usize, u64), Instant> = BTreeMap::new();
        loop {
            while running.len() < self.config.jobs as usize
                && !*self.stop.borrow()
                && let Some(job) = waiting.next()
            {
                since.insert((job.target, job.seed), Instant::now());
                let (child, stop) = (self.child(job), self.stop.clone());
                running.spawn(async move { (job, child.run(stop).await) });
            }
            self.show(&since, all);
            tokio::select! {
                ended = running.join_next() => {
                    let Some(ended) = ended else { break };
                    let (job, report) = ended.expect("a child's task does not panic");
                    since.remove(&(job.target, job.seed));
                    self.tell(job, &report);
                    self.done.insert((job.target, job.seed), report);
                },
                () = tokio::time::sleep(SHOW_INTERVAL) => {},
            }
        }
        for job in waiting {
            let (target, seed) = (&self.targets[job.target], job.seed);
            let reason = "the hunt was interrupted before".to_owned();
            let report = RunReport::without_summary(seed, RunOutcome::NotRun, reason, child::command(target, seed));
            self.done.insert((job.target, seed), report);
        }
    }

    fn child(&self, job: Job) -> Child {
        Child {
            program: Arc::clone(&self.program),
            target: self.targets[job.target].clone(),
            seed: job.seed,
            dir: self.dir.clone(),
            network: self.config.network.clone(),
            keep: self.config.keep_runs,
        }
    }

    fn show(&self, since: &BTreeMap<(usize, u64), Instant>, all: usize) {
        let found = self.done.values().filter(|run| matches!(run.outcome, RunOutcome::Detected { .. })).count();
        let mut names: Vec<String> = since
            .iter()
            .take(SHOWN_MAX)
            .map(|(&(target, seed), begin)| {
                format!("{} #{seed} {} s", self.targets[target].name, begin.elapsed().as_secs())
            })
            .collect();
        if since.len() > SHOWN_MAX {
            names.push(format!("{} more", since.len() - SHOWN_MAX));
        }
        let done = self.done.len();
        self.progress.say(format!("{done} of {all} runs, {found} detected; running: {}", names.join(", ")));
    }

    fn tell(&self, job: Job, report: &RunReport) {
        let how = match &report.outcome {
            RunOutcome::Detected { anomaly, after_ms } => {
                format!("detected after {}: {anomaly}", results::hunt::seconds(*after_ms))
            }
            RunOutcome::Passed => "passed".to_owned(),
            RunOutcome::Crashed => format!("crashed: {}", report.reason),
            RunOutcome::Stuck => format!("stuck: {}", report.reason),
            RunOutcome::Unclear => format!("unclear: {}", report.reason),
            RunOutcome::Failed => format!("harness error: {}", report.reason),
            RunOutcome::NotRun => "interrupted".to_owned(),
        };
        self.progress.note(&format!("{} #{}: {how}; fired {}", self.targets[job.target].name, job.seed, report.fired));
    }

    fn reports(self) -> Vec<TargetReport> {
        let mut runs: Vec<Vec<RunReport>> = vec![Vec::new(); self.targets.len()];
        for ((target, _), report) in self.done {
            runs[target].push(report);
        }
        let of = |(target, runs): (&Target, Vec<RunReport>)| TargetReport {
            name: target.name.clone(),
            quarry: target.quarry,
            system: target.protocol.name().to_owned(),
            scenario: target.command(),
            budget_ms: millis(target.budget),
            figures: Figures::of(&runs),
            runs,
        };
        self.targets.iter().zip(runs).map(of).collect()
    }
}
