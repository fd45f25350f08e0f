//! Whole hunts of the binary: what they find, how they end, and that nothing is left behind.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use results::hunt::{HuntReport, RunOutcome};
use rustix::process::{Pid, Signal, kill_process};
use wait::wait_for;
use whole::{ends_with, processes};

#[path = "support/wait.rs"]
mod wait;
#[path = "support/whole.rs"]
mod whole;

/// Nodes of a hunt must be up within this.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Everything must be gone within this after the hunt was stopped or killed.
const GONE_TIMEOUT: Duration = Duration::from_secs(15);

fn command(store: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trueline"));
    command.args(["hunt", "--quiet", "--jobs", "2", "--store"]).arg(store).args(flags);
    command
}

fn hunt(store: &Path, flags: &[&str]) -> Output {
    command(store, flags).output().expect("trueline can be started")
}

/// The directory of the one hunt in the store.
fn the_hunt(store: &Path) -> PathBuf {
    let hunts: Vec<_> = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [hunt] = &hunts[..] else { panic!("one hunt, not {hunts:?}") };
    hunt.clone()
}

fn report(store: &Path) -> HuntReport {
    let text = fs::read_to_string(the_hunt(store).join("hunt.json")).expect("a report");
    serde_json::from_str(&text).expect("a report of this version")
}

#[test]
fn an_easy_mutant_is_found_in_every_run() {
    let store = tempfile::tempdir().unwrap();
    let figures = store.path().with_extension("json");
    let flags = ["--mutant", "raft-read-any-*", "--seeds", "2", "--json", figures.to_str().unwrap()];
    ends_with(&hunt(store.path(), &flags), 0, &["raft-read-any-node", "2 of 2", "tale-read"]);
    let report = report(store.path());
    let [target] = &report.targets[..] else { panic!("{report:?}") };
    assert_eq!((target.figures.detected, report.exit), (2, 0));
    for run in &target.runs {
        let kept = PathBuf::from(run.kept.as_ref().expect("what was found is kept"));
        assert!(kept.join("history.jsonl.zst").exists() && !kept.join("data").exists());
        assert!(run.replay.contains(&format!("--seed {}", run.seed)), "{}", run.replay);
    }
    let copy: HuntReport = serde_json::from_str(&fs::read_to_string(&figures).unwrap()).unwrap();
    fs::remove_file(figures).unwrap();
    assert_eq!(copy, report.in_figures());
}

#[test]
fn a_decoy_raises_no_alarm_and_is_not_kept() {
    let store = tempfile::tempdir().unwrap();
    let flags = ["--mutant", "raft-drop-10pct", "--rating", "decoy", "--seeds", "1", "--budget", "4s"];
    ends_with(&hunt(store.path(), &flags), 0, &["decoy", "alarms 0 of 1"]);
    let run = &report(store.path()).targets[0].runs[0];
    assert_eq!((&run.outcome, &run.kept), (&RunOutcome::Passed, &None));
    assert!(run.load_ms >= 4_000);
}

/// In no time nothing can be found.
#[test]
fn an_escape_is_told_with_the_command_that_does_it_again() {
    let store = tempfile::tempdir().unwrap();
    let flags = ["--mutant", "raft-vote-no-log-check", "--seeds", "1", "--budget", "100ms"];
    ends_with(&hunt(store.path(), &flags), 1, &["0 of 1", "never", "--mutant raft-vote-no-log-check", "--seed 1"]);
}

#[test]
fn wrong_selections_are_refused() {
    let store = tempfile::tempdir().unwrap();
    ends_with(&hunt(store.path(), &["--mutant", "raft-is-tired"]), 254, &["nothing is called so"]);
    ends_with(&hunt(store.path(), &["--system", "etcd"]), 254, &["etcd", "in the box"]);
    ends_with(&hunt(store.path(), &["--rating", "nasty"]), 254, &["nasty", "easy"]);
    ends_with(&hunt(store.path(), &["--correct", "--rating", "easy"]), 254, &["--rating"]);
    ends_with(&hunt(store.path(), &["--budget", "0s"]), 254, &["--budget"]);
    assert!(fs::read_dir(store.path()).unwrap().next().is_none(), "nothing was begun");
    ends_with(&hunt(Path::new("/proc/nowhere"), &[]), 255, &["/proc/nowhere"]);
}

/// A long hunt of something that is not found, once its first run has nodes.
fn long_hunt(store: &Path) -> std::process::Child {
    let flags = ["--mutant", "raft-drop-10pct", "--rating", "decoy", "--seeds", "3", "--budget", "5m"];
    let child = command(store, &flags).spawn().unwrap();
    wait_for("nodes", START_TIMEOUT, || processes(store).len() > 6);
    child
}

#[test]
fn an_interrupted_hunt_reports_what_there_is() {
    let store = tempfile::tempdir().unwrap();
    let mut child = long_hunt(store.path());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
    wait_for("an end of all processes", GONE_TIMEOUT, || processes(store.path()).is_empty());
    let report = report(store.path());
    assert!(report.interrupted);
    assert!(report.targets[0].runs.iter().all(|run| run.outcome == RunOutcome::NotRun), "{report:?}");
    assert_eq!(report.targets[0].runs.len(), 3);
}

#[test]
fn a_killed_hunt_leaves_nothing_running() {
    let store = tempfile::tempdir().unwrap();
    let mut child = long_hunt(store.path());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("an end of all processes", GONE_TIMEOUT, || processes(store.path()).is_empty());
}
