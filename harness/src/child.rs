//! One run as a process of its own: it enters namespaces before it has threads, and nothing that goes wrong in one touches another.
//!
//! ```text
//!   trueline run --quiet … ──> ends by itself ──> verdict.json? ──> its summary
//!        │ output.txt     └──> too late: killed ──────────────────> why there is none
//!        └ stop: killed ──────────────────────────────────────────> stopped
//! ```
//!
//! What counts is what its verdict says. A child that ends otherwise is a failure of the harness, never a finding.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context;
use results::{
    store::{RunDir, Store},
    summary::Summary,
};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// What a run may take beyond the time of its load and its judging: coming up, recovery, final reads. A bound of the harness, not of the
/// system: a run that reaches it has hung.
pub const OVERHEAD_MAX: Duration = Duration::from_secs(240);

/// The last lines of a child's output that are told when it failed.
const TOLD_LINES: usize = 2;

/// Of a child's output, no more than its last bytes is looked at.
const TOLD_BYTES_MAX: usize = 64 << 10;

/// A run to be done.
#[derive(Clone, Debug)]
pub struct ChildRun {
    /// This program.
    pub program: PathBuf,
    /// The subcommand and its flags, but for `--store` or what stands for it, and `--parent`.
    pub arguments: Vec<OsString>,
    /// A store of its own.
    pub store: Store,
    /// The flag that names the store.
    pub store_flag: &'static str,
    /// It is killed after this.
    pub bound: Duration,
}

/// How it came to its end.
#[derive(Debug)]
pub enum Ended {
    /// With a verdict.
    Told(RunDir, Box<Summary>),
    /// Without one; in a sentence, why.
    Silent(String),
    /// It was told to stop, and killed.
    Stopped,
}

enum End {
    Exited(ExitStatus),
    TooLate,
    Stopped,
}

impl ChildRun {
    /// Does the run; never later than its bound. Needs a tokio runtime of one thread: children ask to end with the thread that started them.
    ///
    /// # Errors
    /// When it cannot be started, or what it left cannot be read.
    pub async fn run(&self, stop: watch::Receiver<bool>) -> anyhow::Result<Ended> {
        let output = self.store.path().join("output.txt");
        let status = match self.wait(&output, stop).await? {
            End::Exited(status) => status,
            End::TooLate => {
                return Ok(Ended::Silent(format!("it had not ended after {} s", self.bound.as_secs())));
            }
            End::Stopped => return Ok(Ended::Stopped),
        };
        let run = the_run(&self.store)?;
        let summary: Option<Summary> = run.as_ref().map(RunDir::verdict).transpose()?.flatten();
        // The exit code is the child's own word for what its verdict says; where they differ, something went wrong after it was written.
        Ok(match (run, summary.filter(|s| status.code() == Some(s.exit.into()))) {
            (Some(run), Some(summary)) => Ended::Told(run, Box::new(summary)),
            _ => Ended::Silent(format!("it ended with {status} and without a verdict: {}", last_words(&output))),
        })
    }

    async fn wait(&self, output: &Path, mut stop: watch::Receiver<bool>) -> anyhow::Result<End> {
        let file = File::create(output).with_context(|| format!("cannot create {}", output.display()))?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(["--parent", &std::process::id().to_string()]);
        command.arg(self.store_flag).arg(self.store.path());
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // A terminal's Ctrl-C is for the one that started it, which then kills its runs.
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        let ended = tokio::select! {
            status = child.wait() => return Ok(End::Exited(status?)),
            () = tokio::time::sleep(self.bound) => End::TooLate,
            _ = stop.wait_for(|&stop| stop) => End::Stopped,
        };
        // The kernel takes nodes and namespaces with it.
        child.kill().await?;
        Ok(ended)
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
    let bytes = fs::read(output).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TOLD_BYTES_MAX)..]).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TOLD_LINES)..].join("; ")
}

/// Says `true` from the first Ctrl-C, SIGTERM or SIGHUP on: runs under way are to be killed, others not begun. Needs a tokio runtime.
///
/// # Errors
/// When signals cannot be taken.
pub fn stop_signals() -> anyhow::Result<watch::Receiver<bool>> {
    let (stopper, stop) = watch::channel(false);
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = signal(kind).context("cannot take signals")?;
        let stopper = stopper.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                stopper.send_replace(true);
            }
        });
    }
    Ok(stop)
}
