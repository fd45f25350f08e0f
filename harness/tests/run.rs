//! Whole runs of the binary: what they find, how they end, and that nothing is left behind.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use wait::wait_for;
use whole::{ends_with, processes};

#[path = "support/wait.rs"]
mod wait;
#[path = "support/whole.rs"]
mod whole;

/// Nodes must be up within this.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Everything must be gone within this after the harness was killed.
const GONE_TIMEOUT: Duration = Duration::from_secs(10);

fn command(store: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trueline"));
    command.args(["run", "--quiet", "--store"]).arg(store).args(flags);
    command
}

fn run(store: &Path, flags: &[&str]) -> Output {
    command(store, flags).output().expect("trueline can be started")
}

fn the_run(store: &Path) -> std::path::PathBuf {
    fs::read_dir(store).unwrap().next().expect("a run").unwrap().path()
}

fn start_and_wait_for_load(store: &Path, network: &str) -> Child {
    let flags = ["--time", "60s", "--nodes", "3", "--network", network, "--seed", "1"];
    let harness = command(store, &flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("operations in the history", START_TIMEOUT, || {
        let run = fs::read_dir(store).ok().and_then(|mut runs| runs.next()?.ok());
        run.and_then(|run| fs::metadata(run.path().join("history.jsonl")).ok()).is_some_and(|file| file.len() > 100_000)
    });
    harness
}

fn kill_9_leaves_nothing(network: &str) {
    let store = tempfile::tempdir().unwrap();
    let mut harness = start_and_wait_for_load(store.path(), network);
    assert!(processes(store.path()).len() > 3, "the nodes should be there by now");
    harness.kill().unwrap();
    harness.wait().unwrap();
    wait_for("all processes gone", GONE_TIMEOUT, || processes(store.path()).is_empty());

    // Nothing that was written is lost: the history up to there can be judged.
    let history = the_run(store.path()).join("history.jsonl");
    let output = Command::new(env!("CARGO_BIN_EXE_trueline"))
        .args(["check", "--keep-complete-lines"])
        .arg(history)
        .output()
        .unwrap();
    ends_with(&output, 0, &["valid"]);
}

#[test]
fn kill_9_of_the_harness_leaves_nothing_behind() {
    kill_9_leaves_nothing("auto");
}

#[test]
fn kill_9_of_the_harness_leaves_nothing_behind_with_relays() {
    kill_9_leaves_nothing("proxy");
}

#[test]
fn an_interrupted_run_heals_judges_and_cleans_up() {
    let store = tempfile::tempdir().unwrap();
    let harness = start_and_wait_for_load(store.path(), "auto");
    // To the outer process alone, as a supervisor would: it hands the signal down.
    kill_process(Pid::from_child(&harness), Signal::TERM).unwrap();
    let output = harness.wait_with_output().unwrap();
    ends_with(&output, 2, &["UNKNOWN", "interrupted after"]);
    assert_eq!(processes(store.path()), [""; 0]);
    assert!(the_run(store.path()).join("verdict.json").exists());
}

#[test]
fn a_correct_cluster_is_valid_and_leaves_no_data() {
    let store = tempfile::tempdir().unwrap();
    ends_with(&run(store.path(), &["--time", "5s", "--nodes", "3", "--seed", "11"]), 0, &["VALID"]);
    let run = the_run(store.path());
    for file in ["manifest.json", "history.jsonl.zst", "schedule.jsonl", "verdict.json", "latencies.hdr", "nodes/1.log"]
    {
        assert!(run.join(file).exists(), "{file} is missing");
    }
    assert!(!run.join("data").exists(), "the nodes' data was left behind");
}

#[test]
fn lists_through_relays_are_valid() {
    let store = tempfile::tempdir().unwrap();
    let flags = ["--time", "5s", "--nodes", "3", "--seed", "12", "--workload", "append", "--network", "proxy"];
    ends_with(&run(store.path(), &flags), 0, &["VALID"]);
}

#[test]
fn reads_answered_by_any_node_are_found() {
    let store = tempfile::tempdir().unwrap();
    let flags = ["--time", "5s", "--nodes", "3", "--seed", "13", "--mutant", "raft-read-any-node"];
    ends_with(&run(store.path(), &flags), 1, &["INVALID", "tale read", "raft-read-any-node"]);
    assert!(the_run(store.path()).join("data").exists(), "after a violation the nodes' data is kept");
}

#[test]
fn a_violation_ends_a_fail_fast_run_long_before_its_time() {
    let store = tempfile::tempdir().unwrap();
    let flags = ["--time", "5m", "--nodes", "3", "--seed", "13", "--mutant", "raft-read-any-node", "--fail-fast"];
    let begin = Instant::now();
    ends_with(&run(store.path(), &flags), 1, &["INVALID", "ended the run", "not looked at"]);
    assert!(begin.elapsed() < Duration::from_secs(100), "{:?}", begin.elapsed());
    assert_eq!(processes(store.path()), [""; 0]);
}

#[test]
fn a_correct_cluster_under_watch_is_valid() {
    let store = tempfile::tempdir().unwrap();
    let flags = ["--time", "5s", "--nodes", "3", "--seed", "16", "--fail-fast"];
    ends_with(&run(store.path(), &flags), 0, &["VALID", "events and saw no violation"]);
}

/// The steps that were carried out under a fault's name, as they stand in the schedule.
fn steps(store: &Path, fault: &str) -> Vec<serde_json::Value> {
    let schedule = fs::read_to_string(the_run(store).join("schedule.jsonl")).unwrap();
    let lines = schedule.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let is_of = |line: &serde_json::Value| line["name"].as_str().is_some_and(|name| name.starts_with(fault));
    lines.filter(is_of).map(|line| line["step"].clone()).collect()
}

#[test]
fn stories_of_several_steps_happen_as_told() {
    let store = tempfile::tempdir().unwrap();
    let flags = ["--time", "12s", "--nodes", "3", "--seed", "21", "--nemesis", "n9,n12,n14"];
    ends_with(&run(store.path(), &flags), 0, &["VALID", "voter-bounce", "lagging", "one-follower"]);

    // Who gave its word is killed and started at once.
    let bounced = |pair: &[serde_json::Value]| {
        let (killed, started) = (&pair[0]["kill"], &pair[1]["start"]);
        killed.is_array() && killed == started
    };
    assert!(steps(store.path(), "voter-bounce").windows(2).any(bounced), "nobody was overheard");
    // A leader keeps one follower, and is taken away.
    let story = steps(store.path(), "one-follower");
    assert!(story.iter().any(|step| step["cut"].is_array()) && story.contains(&"revive".into()));
    // With a snapshot every 30 entries, whoever was away needs one.
    let logs = (1..=3).map(|node| fs::read_to_string(the_run(store.path()).join(format!("nodes/{node}.log"))).unwrap());
    let snapshots: usize = logs.map(|log| log.matches("snapshot index=").count()).sum();
    assert!(snapshots > 10, "{snapshots}");
}

#[test]
fn a_changing_membership_keeps_its_promise() {
    let store = tempfile::tempdir().unwrap();
    let flags = ["--time", "8s", "--nodes", "3", "--seed", "22", "--nemesis", "membership"];
    ends_with(&run(store.path(), &flags), 0, &["VALID", "--spares 2"]);
    let agreed = |step: &&serde_json::Value| step["change-membership"]["agreed"] == true;
    let steps = steps(store.path(), "membership");
    assert!(steps.iter().filter(agreed).count() >= 2, "{steps:?}");
    assert!(the_run(store.path()).join("nodes/5.log").exists(), "the spare nodes run too");
}

#[test]
fn what_a_system_cannot_suffer_is_refused_with_the_reason() {
    let store = tempfile::tempdir().unwrap();
    let refused: [(&[&str], &[&str]); 7] = [
        (&["--nemesis", "wipe"], &["raft cannot suffer the nemesis wipe", "forgotten its votes"]),
        (&["--system", "zab", "--nemesis", "membership"], &["its membership is static"]),
        (&["--system", "etcd", "--binary", "/bin/true", "--nemesis", "n7"], &["the relay does not know"]),
        (&["--nemesis", "loss", "--network", "proxy"], &["needs --network fabric"]),
        (&["--reads", "serializable"], &["the nodes in the box offer quorum"]),
        (&["--spares", "2"], &["--nemesis membership"]),
        (&["--heartbeat-ms", "300"], &["must be below --election-timeout-ms"]),
    ];
    for (flags, words) in refused {
        ends_with(&run(store.path(), flags), 254, words);
    }
    let log = ["--time", "1s", "--nodes", "1", "--reads", "quorum-read"];
    ends_with(&run(store.path(), &log), 255, &["exit code 64", "raft offers"]);
}

#[test]
fn a_run_in_which_no_fault_can_land_is_vacuous() {
    let store = tempfile::tempdir().unwrap();
    let flags = ["--time", "3s", "--nodes", "1", "--seed", "14", "--nemesis", "partition"];
    ends_with(&run(store.path(), &flags), 3, &["VACUOUS", "none landed"]);
}

#[test]
fn a_run_in_which_nothing_was_concurrent_is_vacuous() {
    let store = tempfile::tempdir().unwrap();
    let flags = ["--time", "3s", "--nodes", "3", "--seed", "15", "--nemesis", "none", "--concurrency", "1"];
    ends_with(&run(store.path(), &flags), 3, &["VACUOUS", "no two operations"]);
}

#[test]
fn a_binary_that_is_no_node_is_a_harness_error_with_its_log() {
    let store = tempfile::tempdir().unwrap();
    let flags = ["--time", "3s", "--nodes", "1", "--binary", "/bin/false"];
    ends_with(&run(store.path(), &flags), 255, &["ended by itself", "node logs"]);
}
