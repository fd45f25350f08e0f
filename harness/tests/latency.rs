//! What a run says about time: that the stored figures follow from the stored history, and that faults show in them.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use checkers::history::{Completion, Function, OpIndex};
use results::{
    latency::{Ending, LatencyRow, Measure},
    life::NodeState,
    phases::PhaseReport,
    store::{RunDir, Store},
    timeline::Timeline,
};
use serde::de::DeserializeOwned;
use whole::{ends_with, processes};

#[path = "support/whole.rs"]
mod whole;

fn run(store: &Path, flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trueline"))
        .args(["run", "--quiet", "--store"])
        .arg(store)
        .args(flags)
        .output()
        .expect("trueline can be started")
}

fn the_run(store: &Path) -> RunDir {
    Store::open(store).unwrap().resolve("latest").unwrap()
}

fn read<T: DeserializeOwned>(run: &RunDir, file: &str) -> T {
    serde_json::from_slice(&fs::read(run.path().join(file)).unwrap()).unwrap()
}

/// The figure that so many thousandths do not exceed.
fn quantile(sorted: &[u64], thousandths: usize) -> u64 {
    sorted[(sorted.len() * thousandths).div_ceil(1_000).max(1) - 1]
}

#[test]
fn an_open_loop_under_pauses_waits_from_the_intended_start() {
    let store = tempfile::tempdir().unwrap();
    let flags = ["--time", "8s", "--nodes", "3", "--seed", "31", "--rate", "300", "--nemesis", "pause-leader"];
    ends_with(&run(store.path(), &flags), 0, &["VALID", "no answers   for up to", "under pause-leader"]);
    let run = the_run(store.path());
    let timeline = Timeline::of(&run).unwrap();

    // The clients measured what follows from the history and the pace alone.
    let rows: Vec<LatencyRow> = read(&run, "latencies.json");
    let row = |measure| {
        let is =
            |row: &&LatencyRow| row.operation == "write" && row.ending == Ending::Answered && row.measure == measure;
        rows.iter().find(is).unwrap()
    };
    let mut response: Vec<u64> = (0..)
        .zip(timeline.history.operations())
        .filter(|(_, operation)| operation.action.function() == Function::Write)
        .filter(|(_, operation)| matches!(operation.completion, Completion::Ok(_)))
        .filter(|(_, operation)| operation.ret < timeline.phases.healed_ns)
        .map(|(place, operation)| operation.ret - timeline.intended_ns(OpIndex(place)))
        .collect();
    response.sort_unstable();
    let stored = row(Measure::Response);
    assert!(stored.count.abs_diff(response.len() as u64) <= 6, "{} and {}", stored.count, response.len());
    for (said, thousandths) in [(stored.p50_ns, 500), (stored.p90_ns, 900)] {
        let found = quantile(&response, thousandths);
        assert!(said.abs_diff(found) <= found / 20 + 100_000, "p{thousandths}: {said} and {found}");
    }
    // A stall is felt by all who were meant to start in it, not only by those that were under way.
    assert!(stored.p90_ns > 2 * row(Measure::Service).p90_ns, "{stored:?}");

    let report: PhaseReport = read(&run, "phases.json");
    assert!(report.faults.len() >= 3, "{report:?}");
    for fault in &report.faults {
        assert!(fault.start_ns < fault.end_ns);
        let paused = |node: &u32| {
            let is = |line: &results::life::NodeLine| {
                line.node == *node
                    && line.state == NodeState::Paused
                    && (fault.start_ns..fault.end_ns).contains(&line.time)
            };
            timeline.nodes.iter().any(is)
        };
        let span = timeline.faults.iter().find(|span| span.number == fault.number).unwrap();
        assert!(span.nodes.iter().any(paused), "nobody was seen paused in {fault:?}");
    }
    // With the leader paused nobody changes anything until another one leads: more than half an election timeout, 150 ms.
    let outage = &report.kinds[0].outage;
    assert_eq!((outage.name.as_str(), outage.count), ("pause-leader", report.faults.len()));
    assert!(outage.failover_ms.unwrap().worst > 150.0, "{outage:?}");
    assert!(run.path().join("phases.hdr").exists());
}

#[test]
fn a_run_without_faults_has_no_outage() {
    let store = tempfile::tempdir().unwrap();
    let flags = ["--time", "2s", "--nodes", "3", "--seed", "32", "--nemesis", "none"];
    let output = run(store.path(), &flags);
    ends_with(&output, 0, &["VALID"]);
    let report: PhaseReport = read(&the_run(store.path()), "phases.json");
    assert!(report.faults.is_empty() && !report.load.is_empty());
    assert_eq!(processes(store.path()), [""; 0]);
}
