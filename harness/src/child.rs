//! One run as a process of its own: it enters namespaces before it has threads, and nothing that goes wrong in one touches another.
//!
//! ```text
//!   trueline run --quiet … ──> ends by itself ──┬─> verdict.json? ──> its summary
//!        │ output.txt     └──> too late: killed ─┘        └─────────> why there is none
//!        └ stop: killed ────────────────────────────────────────────> stopped
//! ```
//!
//! What counts is what its verdict says. A child that ends otherwise is a failure of the harness and no finding, unless a violation had been
//! stored before: that stays one, whatever became of the child after it.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context;
use checkers::verdict::Verdict;
use results::{
    store::{RunDir, Store},
    summary::Summary,
};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::config::RunConfig;

/// What a run may take beyond the time of its load and its judging: coming up, recovery, final reads. A bound of the harness, not of the
/// system: a run that reaches it has hung.
pub const OVERHEAD_MAX: Duration = Duration::from_secs(240);

/// The last lines of a child's output that are told when it failed.
const TOLD_LINES: usize = 2;

/// Of a child's output, no more than its last bytes is looked at.
const TOLD_BYTES_MAX: u64 = 64 << 10;

/// What a run of this kind may take from its beginning to its end: one that takes longer has hung.
#[must_use]
pub fn bound_of(config: &RunConfig) -> Duration {
    config.warm_up + config.time + config.recovery_bound + config.check_time + OVERHEAD_MAX
}

/// A run to be done.
#[derive(Clone, Debug)]
pub struct ChildRun {
    /// This program.
    pub program: PathBuf,
    /// The subcommand and its flags, but for `--store` or what stands for it, and `--parent`.
    pub arguments: Vec<OsString>,
    /// A store of its own, or, with [`run_among`](Self::run_among), one of many runs.
    pub store: Store,
    /// The flag that names the store.
    pub store_flag: &'static str,
    /// It is killed after this.
    pub bound: Duration,
}

/// How it came to its end.
#[derive(Debug)]
pub enum Ended {
    /// With a verdict; if that is invalid, it may have hung or failed after it.
    Told(RunDir, Box<Summary>),
    /// Without one; in a sentence, why.
    Silent(String),
    /// It was told to stop, and killed.
    Stopped,
}

/// How a process came to its end.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It was killed when its time was over.
    TooLate,
    /// It was killed when it was told to stop.
    Stopped,
}

impl ChildRun {
    /// Does the run; never later than its bound. Needs a tokio runtime of one thread: children ask to end with the thread that started them.
    ///
    /// # Errors
    /// When it cannot be started, or what it left cannot be read.
    pub async fn run(&self, stop: watch::Receiver<bool>) -> anyhow::Result<Ended> {
        self.run_among(&self.store.path().join("output.txt"), || the_run(&self.store), stop).await
    }

    /// The same in a store that holds other runs, too: what it prints goes to `output`, and `find` finds its run afterwards.
    ///
    /// # Errors
    /// As of [`run`](Self::run), and those of `find`.
    pub async fn run_among(
        &self,
        output: &Path,
        find: impl FnOnce() -> anyhow::Result<Option<RunDir>>,
        stop: watch::Receiver<bool>,
    ) -> anyhow::Result<Ended> {
        let (code, how) = match self.wait(output, stop).await? {
            End::Exited(status) => (status.code(), format!("it ended with {status}")),
            End::TooLate => (None, format!("it had not ended after {} s", self.bound.as_secs())),
            End::Stopped => return Ok(Ended::Stopped),
        };
        let run = find().with_context(|| how.clone())?;
        let summary: Option<Summary> = run.as_ref().map(RunDir::verdict).transpose()?.flatten();
        // The exit code is the child's own word for what its verdict says; where they differ, something went wrong after it was written.
        // That makes a violation no less of one.
        let counts = |s: &Summary| s.verdict == Verdict::Invalid || code == Some(s.exit.into());
        Ok(match (run, summary.filter(counts)) {
            (Some(run), Some(summary)) => Ended::Told(run, Box::new(summary)),
            _ => Ended::Silent(format!("{how} and without a verdict: {}", last_words(output))),
        })
    }

    async fn wait(&self, output: &Path, stop: watch::Receiver<bool>) -> anyhow::Result<End> {
        let file = File::create(output).with_context(|| format!("cannot create {}", output.display()))?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(["--parent", &std::process::id().to_string()]);
        command.arg(self.store_flag).arg(self.store.path());
        command.stdout(file.try_clone()?).stderr(file);
        end_of(command, self.bound, stop).await.with_context(|| format!("cannot run {}", self.program.display()))
    }
}

/// Starts a process, and waits for its end; kills it and its group when its time is over, or when it is told to stop.
///
/// # Errors
/// When it cannot be started or waited for.
pub async fn end_of(mut command: Command, bound: Duration, mut stop: watch::Receiver<bool>) -> io::Result<End> {
    // A terminal's Ctrl-C is for the one that started it, which then kills its runs.
    command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let mut child = command.spawn()?;
    let ended = tokio::select! {
        status = child.wait() => return Ok(End::Exited(status?)),
        () = tokio::time::sleep(bound) => End::TooLate,
        _ = stop.wait_for(|&stop| stop) => End::Stopped,
    };
    // It has not been waited for, so its number is still its own. The kernel takes nodes and namespaces with it.
    if let Some(group) = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)) {
        // What is left of the group ends with the child itself, at the latest.
        let _ = kill_process_group(group, Signal::KILL);
    }
    child.kill().await?;
    Ok(ended)
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
#[must_use]
pub fn last_words(output: &Path) -> String {
    let bytes = last_bytes(output).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TOLD_LINES)..].join("; ")
}

/// No more than is looked at: a child may have printed a disk full.
fn last_bytes(output: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(output)?;
    let begin = file.metadata()?.len().saturating_sub(TOLD_BYTES_MAX);
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(TOLD_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
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

#[cfg(test)]
mod tests {
    use std::fs;

    use results::{
        check::{Check, CheckName},
        store::Manifest,
    };

    use super::*;

    /// How a child ended that left this verdict behind, if any, and then did what the script says.
    async fn ended(verdict: Option<Verdict>, script: &str) -> Ended {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("a store");
        if let Some(verdict) = verdict {
            let run = store.create_run(&Manifest::here(1, serde_json::json!({}))).expect("a run");
            let mut summary = Summary::new("raft", "register", 1);
            summary.checks = vec![Check::new(CheckName::Consistency, verdict, "x was read")];
            summary.conclude();
            run.write_verdict(&summary).expect("written");
        }
        let child = ChildRun {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into(), "sh".into()],
            store,
            store_flag: "--store",
            bound: if script.starts_with("sleep") { Duration::from_millis(300) } else { Duration::from_secs(60) },
        };
        let (_stopper, stop) = watch::channel(false);
        child.run(stop).await.expect("it can be started")
    }

    #[tokio::test]
    async fn a_stored_violation_counts_whatever_became_of_the_child() {
        for script in ["exit 1", "exit 255", "exit 0", "sleep 60", "kill -9 $$"] {
            let told = ended(Some(Verdict::Invalid), script).await;
            assert!(
                matches!(&told, Ended::Told(_, summary) if summary.verdict == Verdict::Invalid),
                "{script}: {told:?}"
            );
        }
    }

    #[tokio::test]
    async fn any_other_verdict_needs_the_exit_code_that_goes_with_it() {
        assert!(matches!(ended(Some(Verdict::Valid), "exit 0").await, Ended::Told(..)));
        for (verdict, script, words) in [
            (Some(Verdict::Valid), "echo no room; exit 255", "without a verdict: no room"),
            (Some(Verdict::Valid), "exit 1", "without a verdict"),
            (Some(Verdict::Valid), "sleep 60", "it had not ended after 0 s and without a verdict"),
            (None, "echo no such server; exit 254", "without a verdict: no such server"),
            (None, "sleep 60", "it had not ended after 0 s"),
        ] {
            let ended = ended(verdict, script).await;
            assert!(matches!(&ended, Ended::Silent(why) if why.contains(words)), "{script}: {ended:?}");
        }
    }

    #[test]
    fn the_last_words_are_the_end_of_a_file_of_any_size() {
        let dir = tempfile::tempdir().expect("a directory");
        let output = dir.path().join("output.txt");
        assert_eq!(last_words(&output), "");
        fs::write(&output, "first\n\nsecond\nthird\n").expect("written");
        assert_eq!(last_words(&output), "second; third");
        // A hole, which takes no room, and more than there is memory.
        let mut file = File::create(&output).expect("created");
        file.set_len(1 << 36).expect("a sparse file");
        file.seek(SeekFrom::End(0)).expect("the end");
        io::Write::write_all(&mut file, b"\nno room\nno verdict\n").expect("written");
        assert_eq!(last_words(&output), "no room; no verdict");
    }
}
