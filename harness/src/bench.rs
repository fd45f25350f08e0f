//! Many runs that take turns, to find out how fast something is, and whether it is faster than something else.
//!
//! ```text
//!   Side × Setting ──> turns A B B A … ──> child: trueline run --label bench=… --label side=A …  ──> a stored run each
//!                                          one at a time                                               │
//!   bench.json, table  <── compare: each side against the first, or against a baseline  <──────────────┘
//! ```
//!
//! Every measurement is a run like any other, with history and verdict: a figure of a run that was not linearizable does not count. They
//! are found again by their labels, for `trueline compare` and `trueline trend`.

use std::{collections::BTreeSet, ffi::OsString, path::PathBuf, time::Duration};

use anyhow::Context;
use results::{
    compare::{
        Comparison, Options, Set, compare,
        fit::differences,
        gate::{Threshold, gate},
        usable,
    },
    exit::ExitCode,
    store::{CollectionDir, Machine, RunDir, RunEntry, Store, now_in_words},
    summary::Summary,
};
use tokio::sync::watch;

use crate::{
    child::{ChildRun, Ended, OVERHEAD_MAX, stop_signals},
    progress::Progress,
};

pub mod plan;
pub mod report;

use plan::{Setting, Side, Turn, turns};
use report::{BENCH_FORMAT, BenchReport, SettingReport, SideReport};

/// How long judging a run may take.
const CHECK_TIME: Duration = Duration::from_secs(120);

/// So many failures of the harness in a row, and it gives up: the next would fail as well.
const FAILURES_MAX: usize = 3;

/// What to do.
#[derive(Clone, Debug)]
pub struct BenchConfig {
    /// What is measured against what; the first is what the others are compared with.
    pub sides: Vec<Side>,
    /// Sides that were left out, and why.
    pub left_out: Vec<String>,
    /// Under which conditions.
    pub settings: Vec<Setting>,
    /// Common flags of all runs.
    pub common: Vec<String>,
    /// Runs of each side in each comparison.
    pub rounds: u32,
    /// How often everything is done anew, as a comparison of its own.
    pub repeats: u32,
    /// The first run's seed; the others count on from it.
    pub first_seed: u64,
    /// Load of one run.
    pub load: Duration,
    /// How the nodes of a run are connected.
    pub network: String,
    /// How to compare.
    pub options: Options,
    /// What must not be.
    pub fail_on: Vec<Threshold>,
    /// Stored runs to compare with, instead of the first side.
    pub baseline: Option<(String, Vec<RunEntry>)>,
}

/// Carries the bench out. Needs a tokio runtime of one thread: children ask to end with the thread that started them.
///
/// # Errors
/// When signals cannot be taken, this program cannot be found, or the store cannot be read.
pub async fn conduct(
    config: &BenchConfig,
    store: &Store,
    dir: &CollectionDir,
    progress: &Progress,
) -> anyhow::Result<(BenchReport, ExitCode)> {
    let program = std::env::current_exe().context("cannot find this program's own path to start runs with")?;
    let name = dir.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stop = stop_signals()?;
    let started = now_in_words();
    let bench = Bench { config, store, dir, progress, program, name: name.clone() };
    let done = bench.run_all(stop).await?;
    let entries = store.entries()?;
    let settings = bench.compare_all(&done, &entries);
    let mut report = BenchReport {
        format: BENCH_FORMAT,
        trueline: env!("CARGO_PKG_VERSION").to_owned(),
        bench: name,
        started,
        command: std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        machine: Machine::here(),
        rounds: config.rounds,
        left_out: config.left_out.clone(),
        settings,
        failures: done.failures,
        interrupted: done.interrupted,
        exit: ExitCode::HarnessError.code(),
    };
    let exit = report.conclude(done.worst);
    Ok((report, exit))
}

/// A bench under way.
struct Bench<'a> {
    config: &'a BenchConfig,
    store: &'a Store,
    dir: &'a CollectionDir,
    progress: &'a Progress,
    program: PathBuf,
    name: String,
}

/// What came of the runs.
struct Done {
    /// Which run was whose turn.
    runs: Vec<(Turn, String)>,
    /// Which do not count, and why.
    failures: Vec<String>,
    worst: ExitCode,
    interrupted: bool,
}

impl Bench<'_> {
    async fn run_all(&self, stop: watch::Receiver<bool>) -> anyhow::Result<Done> {
        let BenchConfig { sides, settings, rounds, repeats, .. } = self.config;
        let turns = turns(*repeats, settings.len(), sides.len(), *rounds);
        let all = turns.len();
        let mut done = Done { runs: Vec::new(), failures: Vec::new(), worst: ExitCode::Valid, interrupted: false };
        let mut failed_in_a_row = 0;
        self.progress.phase("bench");
        for (place, turn) in turns.into_iter().enumerate() {
            let name = format!("{} {}", sides[turn.side].name, settings[turn.setting].name);
            self.progress.say(format!("run {} of {all}: {name}", place + 1));
            match self.run_one(place, turn, stop.clone()).await? {
                Ended::Stopped => {
                    done.interrupted = true;
                    break;
                }
                Ended::Silent(why) => {
                    done.failures.push(format!("run {}, {name}: {why}", place + 1));
                    done.worst = done.worst.max(ExitCode::HarnessError);
                    failed_in_a_row += 1;
                    self.progress.note(&format!("{name}: failed, {why}"));
                    if failed_in_a_row == FAILURES_MAX {
                        done.failures.push(format!("given up after {FAILURES_MAX} failures in a row"));
                        break;
                    }
                }
                Ended::Told(run, summary) => {
                    failed_in_a_row = 0;
                    self.tell(&name, &run, &summary);
                    if let Some(code) = ExitCode::ALL.into_iter().find(|code| code.code() == summary.exit) {
                        done.worst = done.worst.max(code);
                        if code != ExitCode::Valid {
                            done.failures.push(format!("{}, {name}: {}", run.id(), summary.reason));
                        }
                    }
                    done.runs.push((turn, run.id().to_string()));
                }
            }
        }
        Ok(done)
    }

    fn tell(&self, name: &str, run: &RunDir, summary: &Summary) {
        let verdict = results::check::verdict_name(summary.verdict);
        self.progress.note(&format!("{name}: {:.0} ok a second, {verdict}, {}", summary.throughput.mean, run.id()));
    }

    async fn run_one(&self, place: usize, turn: Turn, stop: watch::Receiver<bool>) -> anyhow::Result<Ended> {
        let BenchConfig { sides, settings, common, first_seed, load, network, .. } = self.config;
        let (side, setting) = (&sides[turn.side], &settings[turn.setting]);
        let mut arguments = vec!["run".to_owned(), "--quiet".to_owned(), "--no-report".to_owned()];
        arguments.extend(plan::flags(common, setting, side));
        // Each run has its own operations: what one seed has in it must not look like a difference.
        let seed = first_seed.wrapping_add(place as u64).to_string();
        let check_time = format!("{}ms", CHECK_TIME.as_millis());
        arguments.extend(["--seed", &seed, "--check-time", &check_time, "--network", network].map(str::to_owned));
        let turn_label = place.to_string();
        let labels = [
            ("bench", self.name.as_str()),
            ("side", &side.name),
            ("setting", &setting.name),
            ("repeat", &turn.repeat.to_string()),
            ("turn", &turn_label),
        ]
        .map(|(name, value)| format!("{name}={value}"));
        arguments.extend(labels.into_iter().flat_map(|label| ["--label".to_owned(), label]));
        let child = ChildRun {
            program: self.program.clone(),
            arguments: arguments.into_iter().map(OsString::from).collect(),
            store: self.store.clone(),
            store_flag: "--store",
            bound: *load + CHECK_TIME + OVERHEAD_MAX,
        };
        let before: BTreeSet<_> = self.store.runs()?.into_iter().collect();
        let output = self.dir.path().join(format!("run-{place}.txt"));
        let find = || {
            let new = self.store.runs()?.into_iter().filter(|id| !before.contains(id));
            for id in new {
                let run = self.store.run(id.as_str())?;
                // Another process may have begun a run in this store meanwhile, and have no manifest yet.
                let is_ours = run.manifest().is_ok_and(|manifest| {
                    manifest.labels.get("bench") == Some(&self.name) && manifest.labels.get("turn") == Some(&turn_label)
                });
                if is_ours {
                    return Ok(Some(run));
                }
            }
            Ok(None)
        };
        child.run_among(&output, find, stop).await
    }

    /// Every setting of every repetition, of which there are runs.
    fn compare_all(&self, done: &Done, entries: &[RunEntry]) -> Vec<SettingReport> {
        let mut reports = Vec::new();
        for repeat in 0..self.config.repeats {
            for place in 0..self.config.settings.len() {
                let of = |side: usize| -> Vec<RunEntry> {
                    let wanted = Turn { repeat, setting: place, side };
                    let ids: BTreeSet<&str> =
                        done.runs.iter().filter(|(turn, _)| *turn == wanted).map(|(_, id)| id.as_str()).collect();
                    entries.iter().filter(|entry| ids.contains(entry.dir.id().as_str())).cloned().collect()
                };
                let runs: Vec<Vec<RunEntry>> = (0..self.config.sides.len()).map(of).collect();
                if runs.iter().any(|runs| !runs.is_empty()) {
                    reports.push(self.compare_setting(&self.config.settings[place].name, repeat, &runs));
                }
            }
        }
        reports
    }

    fn compare_setting(&self, setting: &str, repeat: u32, runs: &[Vec<RunEntry>]) -> SettingReport {
        let sets: Vec<Set> =
            self.config.sides.iter().zip(runs).map(|(side, runs)| Set::of(&side.name, runs, false)).collect();
        let sides = sets.iter().map(|set| SideReport::of(&set.name, set)).collect();
        let (mut comparisons, mut notes) = (Vec::new(), Vec::new());
        match &self.config.baseline {
            Some((name, stored)) => {
                for (set, runs) in sets.iter().zip(runs) {
                    let alike = self.alike(stored, runs);
                    if alike.is_empty() {
                        notes.push(format!(
                            "no run of the baseline {name:?} is of the machine and settings of {}",
                            set.name
                        ));
                    }
                    comparisons.push(self.compare_two(&Set::of(name, &alike, false), set));
                }
            }
            None => {
                let (first, others) = sets.split_first().expect("there is a side");
                comparisons.extend(others.iter().map(|other| self.compare_two(first, other)));
            }
        }
        SettingReport { setting: setting.to_owned(), repeat, sides, comparisons, notes }
    }

    /// Runs of the baseline that may be compared with these.
    fn alike(&self, stored: &[RunEntry], runs: &[RunEntry]) -> Vec<RunEntry> {
        let counting: Vec<RunEntry> = runs.iter().filter(|run| usable(run, false).is_ok()).cloned().collect();
        let fits = |run: &&RunEntry| {
            usable(run, false).is_ok()
                && !counting.is_empty()
                && differences(&[(*run).clone()], &counting, &[]).is_empty()
        };
        stored.iter().filter(fits).cloned().collect()
    }

    fn compare_two(&self, a: &Set, b: &Set) -> Comparison {
        let mut comparison = compare(a, b, &self.config.options);
        if !self.config.fail_on.is_empty() {
            comparison.gate = Some(gate(&comparison.rows, &comparison.one_sided, &self.config.fail_on));
        }
        comparison
    }
}
