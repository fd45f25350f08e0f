//! Replays of the binary: what comes out again, what is told, and that nothing is left behind.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use results::{
    replay::{Outcome, ReplayReport},
    store::RunDir,
};
use rustix::process::{Pid, Signal, kill_process};
use trueline::nemesis::{fault::Step, schedule::CarriedOut};
use wait::wait_for;
use whole::{ends_with, processes};

#[path = "support/wait.rs"]
mod wait;
#[path = "support/whole.rs"]
mod whole;

/// Nodes of a replay must be up within this.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Everything must be gone within this after the replay was stopped.
const GONE_TIMEOUT: Duration = Duration::from_secs(15);

fn trueline(command: &str, store: &Path, flags: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_trueline"));
    program.args([command, "--quiet", "--store"]).arg(store).args(flags).output().expect("trueline can be started")
}

fn run(store: &Path, flags: &[&str]) -> Output {
    trueline("run", store, &[&["--nodes", "3", "--warm-up", "300ms", "--seed", "3"], flags].concat())
}

/// The directory of the one run in a store.
fn the_run(store: &Path) -> PathBuf {
    let runs: Vec<_> = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path()).collect();
    let runs: Vec<_> = runs.into_iter().filter(|path| path.join("manifest.json").exists()).collect();
    let [run] = &runs[..] else { panic!("one run, not {runs:?}") };
    run.clone()
}

fn is_replay(path: &Path) -> bool {
    path.file_name().unwrap().to_str().unwrap().starts_with("replay-")
}

fn replays(store: &Path) -> Vec<PathBuf> {
    fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path()).filter(|path| is_replay(path)).collect()
}

fn report(output: &Output) -> ReplayReport {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {output:?}"))
}

fn schedule(run: &Path) -> Vec<CarriedOut> {
    let text = fs::read_to_string(run.join("schedule.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_violation_comes_out_again_by_the_plan_and_by_the_record() {
    let store = tempfile::tempdir().unwrap();
    let flags = ["--mutant", "raft-read-any-node", "--nemesis", "partition", "--time", "10s", "--fail-fast"];
    ends_with(&run(store.path(), &flags), 1, &["INVALID"]);
    let name = the_run(store.path()).file_name().unwrap().to_str().unwrap().to_owned();
    for faults in ["planned", "recorded"] {
        let flags = ["latest", "--times", "2", "--json", "--faults", faults];
        let output = trueline("replay", store.path(), &flags);
        assert_eq!(output.status.code(), Some(1));
        let report = report(&output);
        assert_eq!((report.original.run.as_str(), report.faults.as_str()), (name.as_str(), faults));
        assert_eq!((report.times, report.reproduced, report.failed, report.rate), (2, 2, 0, Some(1.0)));
        assert!(report.low > 0.3 && report.low < 0.4 && report.high == 1.0, "{report:?}");
        assert!(report.notes.is_empty(), "the same build: {:?}", report.notes);
        for kept in &report.runs {
            let run = RunDir::open(Path::new(kept)).expect("a run");
            assert!(run.history_path().exists() && !run.path().join("data").exists());
        }
        assert_eq!(report.runs.len(), 2);
    }
    assert_eq!(replays(store.path()).len(), 2);
}

#[test]
fn a_valid_run_comes_out_valid_and_the_record_hits_who_leads_now() {
    let store = tempfile::tempdir().unwrap();
    ends_with(&run(store.path(), &["--nemesis", "kill-leader", "--time", "4s"]), 0, &["VALID"]);
    let recorded = schedule(&the_run(store.path()));
    let kills = |lines: &[CarriedOut]| -> Vec<(Vec<u32>, Option<u32>)> {
        let kill = |line: &CarriedOut| match &line.step {
            Step::Kill(nodes) => Some((nodes.clone(), line.leader)),
            _ => None,
        };
        lines.iter().filter_map(kill).collect()
    };
    let then = kills(&recorded);
    assert!(!then.is_empty() && then.iter().all(|(nodes, leader)| Some(nodes[0]) == *leader), "{then:?}");
    let output = trueline("replay", store.path(), &["latest", "--times", "1", "--json", "--faults", "recorded"]);
    let report = report(&output);
    assert_eq!((report.exit, report.reproduced, report.same_anomaly), (0, 1, 0), "{report:?}");
    let now = kills(&schedule(Path::new(&report.runs[0])));
    // As many faults, and each hits who leads at that moment, whatever its number.
    assert_eq!(now.len(), then.len());
    assert!(now.iter().all(|(nodes, leader)| Some(nodes[0]) == *leader), "{now:?}");
}

#[test]
fn what_cannot_be_carried_out_is_told_before_anything_starts() {
    let store = tempfile::tempdir().unwrap();
    ends_with(&run(store.path(), &["--nemesis", "kill", "--time", "2s"]), 0, &["VALID"]);
    let run = the_run(store.path());
    let schedule = fs::read_to_string(run.join("schedule.jsonl")).unwrap();
    let first = schedule.lines().next().unwrap().to_owned();
    let mut line: CarriedOut = serde_json::from_str(&first).unwrap();
    line.step = Step::Kill(vec![4]);
    fs::write(run.join("schedule.jsonl"), format!("{schedule}{}\n", serde_json::to_string(&line).unwrap())).unwrap();
    let wanted = format!("line {}: there is no node 4", schedule.lines().count() + 1);
    let recorded = ["latest", "--faults", "recorded"];
    ends_with(&trueline("replay", store.path(), &recorded), 254, &[&wanted]);
    ends_with(&trueline("replay", store.path(), &["no-such-run"]), 254, &["no run"]);
    // A manifest that asks for what cannot be.
    let manifest = fs::read_to_string(run.join("manifest.json")).unwrap();
    fs::write(run.join("manifest.json"), manifest.replace("\"concurrency\": 6", "\"concurrency\": 4000000000"))
        .unwrap();
    ends_with(&trueline("replay", store.path(), &["latest"]), 254, &["4000000000 clients"]);
    fs::write(run.join("manifest.json"), manifest.replace("\"nodes\": 3", "\"nodes\": 0")).unwrap();
    ends_with(&trueline("replay", store.path(), &["latest"]), 254, &["0 nodes"]);
    // Another build, and another version.
    let mut other: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert!(other["config"]["program"]["crc32c"].is_u64(), "the mark of what was tested");
    other["config"]["program"]["crc32c"] = 1.into();
    other["trueline"] = "9.0.0".into();
    assert!(replays(store.path()).is_empty());
    fs::write(run.join("manifest.json"), other.to_string()).unwrap();
    let output = trueline("replay", store.path(), &["latest", "--times", "1"]);
    ends_with(&output, 0, &["is another build than the one that was tested", "the run was made by Trueline 9.0.0"]);
    fs::remove_file(run.join("verdict.json")).unwrap();
    ends_with(&trueline("replay", store.path(), &["latest"]), 254, &["has no verdict"]);
}

#[test]
fn an_interrupted_replay_leaves_nothing_behind_and_is_no_pass() {
    let store = tempfile::tempdir().unwrap();
    ends_with(&run(store.path(), &["--nemesis", "kill", "--time", "6s"]), 0, &["VALID"]);
    let mut program = Command::new(env!("CARGO_BIN_EXE_trueline"));
    program.args(["replay", "latest", "--json", "--quiet", "--store"]).arg(store.path());
    let replay = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The replay, the run that it starts, twice, and its nodes.
    wait_for("nodes of a replay", START_TIMEOUT, || processes(store.path()).len() > 4);
    kill_process(Pid::from_raw(replay.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    let output = replay.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let report = report(&output);
    assert_eq!((report.not_run, report.rate), (5, None));
    assert!(report.replays.iter().all(|replay| replay.outcome == Outcome::NotRun));
    wait_for("all processes gone", GONE_TIMEOUT, || processes(store.path()).is_empty());
}
