//! A stored run, carried out again several times: does it come out the same?
//!
//! ```text
//!   runs/ID ──> Stored ── config, seed, schedule.jsonl
//!                 │
//!                 ├──> child: trueline replay ID --into … ──> verdict.json ──> Replayed ─┐
//!                 ├──> child                                                            ├──> ReplayReport
//!                 └──> child     (as many at a time as were asked for)                  ┘
//! ```
//!
//! Operations follow from the seed, as they did then. Faults come from the schedule as it was carried out, with the roles of the moment
//! ([`Roles`](crate::nemesis::schedule::Roles)), or once more from the plan that the seed gives. Which of both finds a bug again more often
//! was measured: `docs/replay.md`.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use checkers::verdict::Verdict;
use results::{
    replay::{Original, Outcome, ReplayReport, Replayed},
    store::CollectionDir,
};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    child::{ChildRun, Ended, bound_of, stop_signals},
    progress::Progress,
};

mod stored;

pub use stored::{Stored, find};

/// How often the progress line is renewed.
const SHOW_INTERVAL: std::time::Duration = std::time::Duration::from_millis(200);

/// Where the faults of a replay come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// The schedule as it was carried out, at its moments, with the roles of now.
    Recorded,
    /// The plan that follows from the seed.
    Planned,
}

impl Faults {
    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Planned => "planned",
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = [Self::Recorded, Self::Planned].into_iter().find(|faults| faults.name() == name);
        found.ok_or_else(|| format!("no faults are called {name:?}; there are recorded and planned"))
    }
}

/// How replays are carried out.
#[derive(Clone, Copy, Debug)]
pub struct ReplayConfig {
    /// Where faults come from.
    pub faults: Faults,
    /// How often.
    pub times: u32,
    /// How many at a time.
    pub jobs: u32,
    /// Keep every replay whole.
    pub keep: bool,
}

/// Carries the run out again, so many times. Needs a tokio runtime of one thread: children ask to end with the thread that started them.
///
/// # Errors
/// When signals cannot be taken, or this program cannot be found.
pub async fn conduct(
    stored: &Stored,
    config: &ReplayConfig,
    dir: &CollectionDir,
    notes: Vec<String>,
    progress: &Progress,
) -> anyhow::Result<ReplayReport> {
    let program = std::env::current_exe().context("cannot find this program's own path to start runs with")?;
    let run = fs::canonicalize(stored.dir.path()).context("cannot find the run")?;
    let original = Original::of(stored.dir.id().to_string(), &stored.summary);
    let one = Arc::new(One { program, run, stored: stored.clone(), original, faults: config.faults, dir: dir.clone() });
    progress.phase("replay");
    let replays = Replays { one, config, stop: stop_signals()?, progress, kept_usual: false, done: BTreeMap::new() };
    let (original, replays) = replays.run_all().await;
    Ok(ReplayReport::new(original, config.faults.name(), notes, replays))
}

/// What every replay needs.
struct One {
    program: PathBuf,
    run: PathBuf,
    stored: Stored,
    original: Original,
    faults: Faults,
    dir: CollectionDir,
}

impl One {
    /// Carries it out once, and says how it ended; never later than its bound.
    async fn carry_out(&self, number: u32, stop: watch::Receiver<bool>) -> Replayed {
        match self.try_carry_out(number, stop).await {
            Ok(replayed) => replayed,
            Err(error) => Replayed::without_summary(number, Outcome::Failed, format!("{error:#}")),
        }
    }

    async fn try_carry_out(&self, number: u32, stop: watch::Receiver<bool>) -> anyhow::Result<Replayed> {
        let store = self.dir.run_store(number.to_string())?;
        let arguments = ["replay".into(), self.run.clone().into(), "--faults".into(), self.faults.name().into()];
        let child = ChildRun {
            program: self.program.clone(),
            arguments: Vec::<OsString>::from(arguments),
            store: store.clone(),
            store_flag: "--into",
            bound: bound_of(&self.stored.config),
        };
        Ok(match child.run(stop).await? {
            Ended::Told(run, summary) => {
                let kept = Some(run.path().display().to_string());
                Replayed { kept, ..Replayed::of(number, &self.original, &summary) }
            }
            Ended::Silent(why) => {
                let kept = Some(store.path().display().to_string());
                Replayed { kept, ..Replayed::without_summary(number, Outcome::Failed, why) }
            }
            Ended::Stopped => Replayed::without_summary(number, Outcome::NotRun, "interrupted".to_owned()),
        })
    }
}

/// Replays under way.
struct Replays<'a> {
    one: Arc<One>,
    config: &'a ReplayConfig,
    stop: watch::Receiver<bool>,
    progress: &'a Progress,
    /// Whether one was kept that came out as nobody looks for.
    kept_usual: bool,
    done: BTreeMap<u32, Replayed>,
}

impl Replays<'_> {
    async fn run_all(mut self) -> (Original, Vec<Replayed>) {
        let mut waiting = 1..=self.config.times;
        let mut running: JoinSet<Replayed> = JoinSet::new();
        let begin = Instant::now();
        loop {
            while running.len() < self.config.jobs as usize
                && !*self.stop.borrow()
                && let Some(number) = waiting.next()
            {
                let (one, stop) = (Arc::clone(&self.one), self.stop.clone());
                running.spawn(async move { one.carry_out(number, stop).await });
            }
            let (done, all) = (self.done.len(), self.config.times);
            self.progress.say(format!("{done} of {all}, {} s", begin.elapsed().as_secs()));
            tokio::select! {
                ended = running.join_next() => {
                    let Some(ended) = ended else { break };
                    let replayed = self.tidy(ended.expect("a child's task does not panic"));
                    self.progress.note(&results::replay::line(&replayed, &self.one.original));
                    self.done.insert(replayed.number, replayed);
                },
                () = tokio::time::sleep(SHOW_INTERVAL) => {},
            }
        }
        let interrupted = |number| Replayed::without_summary(number, Outcome::NotRun, "interrupted before".to_owned());
        self.done.extend(waiting.map(|number| (number, interrupted(number))));
        (self.one.original.clone(), self.done.into_values().collect())
    }

    /// Keeps what somebody will want to look at: violations, and what came to no answer, without what their nodes had on disk; of the
    /// others the first, to compare with.
    fn tidy(&mut self, replayed: Replayed) -> Replayed {
        let Some(kept) = replayed.kept.clone().filter(|_| !self.config.keep) else { return replayed };
        let usual = match self.one.original.verdict {
            Verdict::Invalid => Outcome::Otherwise,
            _ => Outcome::Reproduced,
        };
        if replayed.outcome == usual && self.kept_usual {
            return match fs::remove_dir_all(&kept) {
                Ok(()) => Replayed { kept: None, ..replayed },
                // It is still there, and is told to be.
                Err(_) => replayed,
            };
        }
        self.kept_usual |= replayed.outcome == usual;
        if matches!(replayed.outcome, Outcome::Reproduced | Outcome::Otherwise) {
            // What is left of it costs room and nothing else.
            let _ = fs::remove_dir_all(Path::new(&kept).join("data"));
        }
        replayed
    }
}
