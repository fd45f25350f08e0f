//! One run of a hunt: what it is started with, and what is kept of it.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use results::{
    hunt::{RunOutcome, RunReport},
    store::{CollectionDir, RunDir},
};
use tokio::sync::watch;

use super::plan::Target;
use crate::child::{ChildRun, Ended, OVERHEAD_MAX};

/// Load without faults before the faults of a run.
const WARM_UP: Duration = Duration::from_millis(500);

/// How long judging may take.
const CHECK_TIME: Duration = Duration::from_secs(60);

/// A run to be done.
pub(super) struct Child {
    pub program: Arc<PathBuf>,
    pub target: Target,
    pub seed: u64,
    pub dir: CollectionDir,
    pub network: String,
    /// Keep the run's directory whatever it says.
    pub keep: bool,
}

/// The command line that does a run again.
pub(super) fn command(target: &Target, seed: u64) -> String {
    format!("trueline run {}", arguments(target, seed).join(" "))
}

fn arguments(target: &Target, seed: u64) -> Vec<String> {
    let mut arguments = target.arguments(seed);
    arguments.push("--fail-fast".to_owned());
    for (flag, value) in [
        ("--seed", seed.to_string()),
        ("--time", format!("{}ms", target.budget.as_millis())),
        ("--warm-up", format!("{}ms", WARM_UP.as_millis())),
    ] {
        arguments.extend([flag.to_owned(), value]);
    }
    arguments
}

impl Child {
    /// Does the run, and says how it ended; never later than its bound.
    pub(super) async fn run(self, stop: watch::Receiver<bool>) -> RunReport {
        match self.try_run(stop).await {
            Ok(report) => report,
            Err(error) => self.without_summary(RunOutcome::Failed, format!("{error:#}")),
        }
    }

    fn without_summary(&self, outcome: RunOutcome, reason: String) -> RunReport {
        RunReport::without_summary(self.seed, outcome, reason, command(&self.target, self.seed))
    }

    async fn try_run(&self, stop: watch::Receiver<bool>) -> anyhow::Result<RunReport> {
        let (run, summary) = match self.child_run()?.run(stop).await? {
            Ended::Told(run, summary) => (run, summary),
            Ended::Silent(why) => return Ok(self.without_summary(RunOutcome::Failed, why)),
            Ended::Stopped => {
                let reason = "the hunt was interrupted, and the run killed".to_owned();
                return Ok(self.without_summary(RunOutcome::NotRun, reason));
            }
        };
        let warm_up_ms = u64::try_from(WARM_UP.as_millis()).expect("half a second");
        let mut report = RunReport::of(&summary, warm_up_ms, command(&self.target, self.seed));
        report.kept = self.tidy(&run, &report)?;
        Ok(report)
    }

    fn child_run(&self) -> anyhow::Result<ChildRun> {
        let check_time = format!("{}ms", CHECK_TIME.as_millis());
        let beside = ["--quiet", "--no-report", "--check-time", &check_time, "--network", &self.network];
        let all = ["run".to_owned()].into_iter().chain(arguments(&self.target, self.seed));
        Ok(ChildRun {
            program: self.program.to_path_buf(),
            arguments: all.chain(beside.map(str::to_owned)).map(OsString::from).collect(),
            store: self.dir.run_store(format!("{}/seed-{}", self.target.name, self.seed))?,
            store_flag: "--store",
            bound: self.target.budget + OVERHEAD_MAX,
        })
    }

    /// Keeps what somebody will want to look at, and says where: not runs that went as they should and brought nothing, and of a found
    /// mutant not what its nodes had on disk.
    fn tidy(&self, run: &RunDir, report: &RunReport) -> anyhow::Result<Option<String>> {
        let remove =
            |path: &Path| fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()));
        if !self.keep && report.outcome == RunOutcome::Passed {
            remove(run.path())?;
            return Ok(None);
        }
        let data = run.path().join("data");
        let found = self.target.quarry.is_mutant() && matches!(report.outcome, RunOutcome::Detected { .. });
        if !self.keep && found && data.exists() {
            remove(&data)?;
        }
        Ok(Some(run.path().display().to_string()))
    }
}
