//! One run of a hunt, as a process.
//!
//! ```text
//!   trueline run --fail-fast --quiet …  ──> ends by itself ──> verdict.json? ──> its RunReport
//!        │ output.txt                  └──> too late: killed ──────────────────> failed
//!        └ stop: killed ───────────────────────────────────────────────────────> not run
//! ```

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use results::{
    hunt::{RunOutcome, RunReport},
    store::{HuntDir, RunDir, Store},
    summary::Summary,
};
use tokio::{process::Command, sync::watch};

use super::plan::Target;

/// Load without faults before the faults of a run.
const WARM_UP: Duration = Duration::from_millis(500);

/// How long judging may take.
const CHECK_TIME: Duration = Duration::from_secs(60);

/// What a run may take beyond its budget: coming up, recovery, final reads, judging. A bound of the harness, not of the system: a run that
/// reaches it has hung.
const OVERHEAD_MAX: Duration = Duration::from_secs(240);

/// The last lines of a child's output that are told when it failed.
const TOLD_LINES: usize = 2;

/// A run to be done.
pub(super) struct Child {
    pub program: Arc<PathBuf>,
    pub target: Target,
    pub seed: u64,
    pub dir: HuntDir,
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

/// How a child came to its end.
enum Ended {
    /// By itself.
    Exited(ExitStatus),
    /// It hung, and was killed.
    TooLate,
    /// The hunt was stopped, and it was killed.
    Stopped,
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
        let store = self.dir.run_store(&self.target.name, self.seed)?;
        let output = store.path().join("output.txt");
        let status = match self.wait(&store, &output, stop).await? {
            Ended::Exited(status) => status,
            Ended::TooLate => {
                let bound = (self.target.budget + OVERHEAD_MAX).as_secs();
                return Ok(self.without_summary(RunOutcome::Failed, format!("it had not ended after {bound} s")));
            }
            Ended::Stopped => {
                let reason = "the hunt was interrupted, and the run killed".to_owned();
                return Ok(self.without_summary(RunOutcome::NotRun, reason));
            }
        };
        let run = the_run(&store)?;
        let summary: Option<Summary> = run.as_ref().map(RunDir::verdict).transpose()?.flatten();
        // The exit code is the child's own word for what its verdict says; where they differ, something went wrong after it was written.
        let (Some(run), Some(summary)) = (run, summary.filter(|s| status.code() == Some(s.exit.into()))) else {
            let reason = format!("it ended with {status} and without a verdict: {}", last_words(&output));
            return Ok(self.without_summary(RunOutcome::Failed, reason));
        };
        let warm_up_ms = u64::try_from(WARM_UP.as_millis()).expect("half a second");
        let mut report = RunReport::of(&summary, warm_up_ms, command(&self.target, self.seed));
        report.kept = self.tidy(&run, &report)?;
        Ok(report)
    }

    async fn wait(&self, store: &Store, output: &Path, mut stop: watch::Receiver<bool>) -> anyhow::Result<Ended> {
        let file = File::create(output).with_context(|| format!("cannot create {}", output.display()))?;
        let mut command = Command::new(&*self.program);
        command.arg("run").args(arguments(&self.target, self.seed));
        command.args(["--quiet", "--check-time", &format!("{}ms", CHECK_TIME.as_millis())]);
        command.args(["--network", &self.network, "--parent", &std::process::id().to_string()]);
        command.arg("--store").arg(store.path());
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // A terminal's Ctrl-C is for the hunt, which then kills its runs.
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        let ended = tokio::select! {
            status = child.wait() => return Ok(Ended::Exited(status?)),
            () = tokio::time::sleep(self.target.budget + OVERHEAD_MAX) => Ended::TooLate,
            _ = stop.wait_for(|&stop| stop) => Ended::Stopped,
        };
        // The kernel takes nodes and namespaces with it.
        child.kill().await?;
        Ok(ended)
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

/// The one run in a store of its own.
fn the_run(store: &Store) -> anyhow::Result<Option<RunDir>> {
    match &store.runs()?[..] {
        [] => Ok(None),
        [run] => Ok(Some(store.run(run.as_str())?)),
        runs => anyhow::bail!("{} runs in {}, which was made for one", runs.len(), store.path().display()),
    }
}

/// The end of what a child printed.
fn last_words(output: &Path) -> String {
    let text = fs::read_to_string(output).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TOLD_LINES)..].join("; ")
}
