//! The gate: the scenarios of `trueline.toml`, each with its seeds, and one answer for all of them.
//!
//! ```text
//!   Settings, Choice ──> Plan ──> jobs ──┬─ child: trueline run … ──> verdict.json ──> JobReport ─┐
//!                                        ├─ child ── infrastructure failed ──> check, child       ├──> GateReport
//!                                        └─ child ── a violation ──> trueline replay …            ┘      │
//!                                                                                    gate.json, junit.xml, summary.md
//! ```
//!
//! A run is a process of its own, in the same store as any other run, and under a name that the gate knows from the beginning. The report is
//! written whenever something has happened, so that a gate that is killed has told what it knew.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::PathBuf,
    time::{Duration, Instant},
};

use results::{
    gate::{GATE_FORMAT, GateReport, JobReport, Outcome, ScenarioReport, complaint, unannotated},
    hunt::seconds,
    store::{GateDir, Machine, Store, StoreError, now_in_words},
    summary::one_line,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{child::stop_signals, progress::Progress};

mod job;
pub mod plan;

use job::{JobRun, Judging, Step};
use plan::{Job, Plan};

/// How often the progress line is renewed.
const SHOW_INTERVAL: Duration = Duration::from_millis(200);

/// Runs that the progress line names.
const SHOWN_MAX: usize = 3;

/// Attempts after the first one, unless it is said otherwise.
const DEFAULT_RETRIES: u32 = 1;

/// Replays of a violation, unless it is said otherwise.
const DEFAULT_REPLAYS: u32 = 5;

/// How a gate is carried out.
#[derive(Clone, Debug)]
pub struct GateConfig {
    /// What is started: this program, as a rule.
    pub program: PathBuf,
    /// The profile's name.
    pub profile: String,
    /// Which part of the plan, for the report.
    pub partition: Option<String>,
    /// Jobs at a time.
    pub jobs: u32,
    /// After so long no further job is begun.
    pub time_budget: Option<Duration>,
    /// Where the report goes beside the gate's own directory.
    pub output: Option<PathBuf>,
}

/// Jobs at a time, unless it is said otherwise: half of the processors, for a cluster that gets too few is late for reasons of the machine.
#[must_use]
pub fn default_jobs() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    u32::try_from(processors / 2).unwrap_or(u32::MAX).max(1)
}

/// What a gate came to.
#[derive(Debug)]
pub struct Conducted {
    /// The report, concluded.
    pub report: GateReport,
    /// The first time that it could not be written.
    pub unwritten: Option<StoreError>,
}

/// Carries the plan out. Needs a tokio runtime of one thread: children ask to end with the thread that started them.
///
/// # Errors
/// When signals cannot be taken.
pub async fn conduct(
    plan: &Plan,
    config: &GateConfig,
    store: &Store,
    dir: &GateDir,
    progress: &Progress,
) -> anyhow::Result<Conducted> {
    let stop = stop_signals()?;
    let (steps, stepped) = mpsc::unbounded_channel();
    let (report, places) = empty_report(plan, config);
    let begin = Instant::now();
    let running = BTreeMap::new();
    let mut gate =
        Gate { plan, config, store, dir, progress, stop, steps, begin, report, places, running, unwritten: None };
    progress.phase("gate");
    gate.write();
    gate.run_all(stepped).await;
    gate.finish();
    Ok(Conducted { report: gate.report, unwritten: gate.unwritten })
}

/// The report before anything has happened, and where in it each job is: its scenario, and its place there.
fn empty_report(plan: &Plan, config: &GateConfig) -> (GateReport, Vec<(usize, usize)>) {
    let scenario = |planned: &plan::Planned| ScenarioReport {
        name: planned.name.clone(),
        command: planned.command(),
        expected: planned.expected.clone(),
        jobs: Vec::new(),
    };
    let mut scenarios: Vec<ScenarioReport> = plan.scenarios.iter().map(scenario).collect();
    let mut places = Vec::new();
    for job in &plan.jobs {
        let again = plan.scenarios[job.scenario].command_with(job.seed);
        let jobs = &mut scenarios[job.scenario].jobs;
        places.push((job.scenario, jobs.len()));
        jobs.push(JobReport::waiting(job.number, job.seed, again));
    }
    let report = GateReport {
        format: GATE_FORMAT,
        trueline: env!("CARGO_PKG_VERSION").to_owned(),
        started: now_in_words(),
        machine: Machine::here(),
        command: std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        profile: config.profile.clone(),
        partition: config.partition.clone(),
        fresh_seeds: plan.fresh_seeds,
        planned: plan.planned,
        jobs_at_once: config.jobs,
        time_budget_ms: config.time_budget.map(millis),
        duration_ms: 0,
        interrupted: false,
        exit: None,
        scenarios,
    };
    (report, places)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A job under way.
struct Running {
    since: Instant,
    weight: u32,
    replaying: bool,
}

/// A gate under way.
struct Gate<'a> {
    plan: &'a Plan,
    config: &'a GateConfig,
    store: &'a Store,
    dir: &'a GateDir,
    progress: &'a Progress,
    stop: watch::Receiver<bool>,
    steps: mpsc::UnboundedSender<(usize, Step)>,
    begin: Instant,
    report: GateReport,
    /// Where in the report each job is.
    places: Vec<(usize, usize)>,
    /// By job.
    running: BTreeMap<usize, Running>,
    unwritten: Option<StoreError>,
}

impl Gate<'_> {
    async fn run_all(&mut self, mut stepped: mpsc::UnboundedReceiver<(usize, Step)>) {
        let mut waiting = (0..self.plan.jobs.len()).peekable();
        let mut tasks: JoinSet<(usize, JobReport)> = JoinSet::new();
        loop {
            while let Some(&index) = waiting.peek()
                && !*self.stop.borrow()
                && self.has_room(index)
            {
                waiting.next();
                match self.out_of_time(index) {
                    Some(why) => self.leave_out(index, why),
                    None => {
                        let (job, report) = self.begin(index);
                        tasks.spawn(async move { (index, job.run(report).await) });
                    }
                }
            }
            self.show();
            tokio::select! {
                Some((index, step)) = stepped.recv() => self.step(index, &step),
                ended = tasks.join_next() => {
                    let Some(ended) = ended else { break };
                    let (index, report) = ended.expect("a job's task does not panic");
                    self.running.remove(&index);
                    self.tell(index, &report);
                    *self.job(index) = report;
                    self.write();
                },
                () = tokio::time::sleep(SHOW_INTERVAL) => {},
            }
        }
        for index in waiting {
            self.leave_out(index, "the gate was interrupted before".to_owned());
        }
    }

    fn finish(&mut self) {
        self.report.interrupted = *self.stop.borrow();
        let names: Vec<String> = self.report.jobs().filter_map(|(_, job)| job.run.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // They are a convenience: without them the whole names are shown.
        let shorts = self.store.short_names(&names).unwrap_or_default();
        let shorts: BTreeMap<&str, String> =
            names.iter().zip(shorts).filter_map(|(name, short)| Some((*name, short?))).collect();
        for job in self.report.scenarios.iter_mut().flat_map(|scenario| &mut scenario.jobs) {
            job.short = job.run.as_deref().and_then(|run| shorts.get(run)).cloned();
        }
        self.report.conclude();
        self.write();
    }

    fn job(&mut self, index: usize) -> &mut JobReport {
        let (scenario, place) = self.places[index];
        &mut self.report.scenarios[scenario].jobs[place]
    }

    fn planned(&self, index: usize) -> (&plan::Planned, Job) {
        let job = self.plan.jobs[index];
        (&self.plan.scenarios[job.scenario], job)
    }

    /// Whether another job may go on beside those under way; one that counts for more than all together goes on alone.
    fn has_room(&self, index: usize) -> bool {
        let taken: u32 = self.running.values().map(|running| running.weight).sum();
        taken == 0 || taken.saturating_add(self.planned(index).0.weight) <= self.config.jobs
    }

    fn deadline(&self) -> Option<Instant> {
        self.config.time_budget.map(|budget| self.begin + budget)
    }

    /// Why this job is not begun any more, if so: its load at least is to end within the budget.
    fn out_of_time(&self, index: usize) -> Option<String> {
        let (planned, _) = self.planned(index);
        let late = self.deadline().is_some_and(|deadline| Instant::now() + planned.load > deadline);
        let budget = self.config.time_budget.unwrap_or_default().as_secs();
        late.then(|| {
            format!("of the time budget of {budget} s less was left than its load of {} s", planned.load.as_secs())
        })
    }

    fn leave_out(&mut self, index: usize, why: String) {
        let job = self.job(index);
        (job.outcome, job.reason) = (Outcome::NotRun, why);
        let report = job.clone();
        self.tell(index, &report);
    }

    fn begin(&mut self, index: usize) -> (JobRun, JobReport) {
        let (planned, job) = self.planned(index);
        let mut arguments = planned.arguments.clone();
        arguments.extend(["--seed".to_owned(), job.seed.to_string()]);
        let profile = &self.plan.profile;
        let run = JobRun {
            index,
            program: self.config.program.clone(),
            store: self.store.clone(),
            dir: self.dir.clone(),
            arguments,
            expected: planned.expected.clone(),
            bound: planned.bound,
            replay_bound: planned.replay_bound,
            judging: Judging { time: planned.check_time, memory_mib: planned.check_memory_mib },
            retries: profile.infrastructure_retries.unwrap_or(DEFAULT_RETRIES),
            replays: profile.replays.unwrap_or(DEFAULT_REPLAYS),
            deadline: self.deadline(),
            steps: self.steps.clone(),
            stop: self.stop.clone(),
        };
        self.running.insert(index, Running { since: Instant::now(), weight: planned.weight, replaying: false });
        let job = self.job(index);
        job.outcome = Outcome::Running;
        "it was under way".clone_into(&mut job.reason);
        (run, job.clone())
    }

    fn step(&mut self, index: usize, step: &Step) {
        // One that has ended has reported itself.
        let Some(running) = self.running.get_mut(&index) else { return };
        match step {
            Step::Began(run) => {
                self.job(index).run = Some(run.to_string());
                self.write();
            }
            Step::Replaying => {
                running.replaying = true;
                let name = self.label(index);
                self.progress.note(&format!("{name}: a violation nobody expected; replaying it"));
            }
        }
    }

    fn label(&self, index: usize) -> String {
        let (planned, job) = self.planned(index);
        format!("{} seed {}", planned.name, job.seed)
    }

    fn show(&self) {
        let mut names: Vec<String> = self
            .running
            .iter()
            .take(SHOWN_MAX)
            .map(|(&index, running)| {
                let doing = if running.replaying { ", replaying" } else { "" };
                format!("{}{doing} {} s", self.label(index), running.since.elapsed().as_secs())
            })
            .collect();
        if self.running.len() > SHOWN_MAX {
            names.push(format!("{} more", self.running.len() - SHOWN_MAX));
        }
        let done = self.report.jobs().filter(|(_, job)| !matches!(job.outcome, Outcome::Waiting | Outcome::Running));
        let (done, all) = (done.count(), self.plan.jobs.len());
        self.progress.say(format!("{done} of {all} jobs; running: {}", names.join(", ")));
    }

    fn tell(&self, index: usize, report: &JobReport) {
        let (planned, _) = self.planned(index);
        let complaint = complaint(&planned.expected, &report.outcome);
        let how = match complaint {
            None => format!("{}, as expected", report.came_out()),
            Some(complaint) => format!("{complaint}: {}", report.reason),
        };
        let flaky = if report.is_flaky() { ", after its infrastructure had failed" } else { "" };
        let line = format!("{}: {how}{flaky}; {}", self.label(index), seconds(report.duration_ms));
        self.progress.note(&unannotated(&one_line(&line).to_string()));
    }

    /// Writes the report; the first time that this fails is remembered, and the gate goes on.
    fn write(&mut self) {
        self.report.duration_ms = millis(self.begin.elapsed());
        if let Err(error) = self.dir.write(&self.report, self.config.output.as_deref()) {
            self.unwritten.get_or_insert(error);
        }
    }
}
