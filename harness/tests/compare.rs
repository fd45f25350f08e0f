//! `trueline compare`, `trend` and `bench` as a user meets them: which sets they take, what they refuse, and how they end.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use checkers::verdict::Verdict;
use results::{
    compare::Comparison,
    latency::{Ending, LatencyRow, Measure, ThroughputSummary},
    store::{Manifest, Store},
    summary::Summary,
    trend::Trend,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use wait::wait_for;
use whole::{ends_with, processes};

#[path = "support/wait.rs"]
mod wait;
#[path = "support/whole.rs"]
mod whole;

/// Nodes of a bench must be up within this, and gone after it was stopped.
const BOUND: Duration = Duration::from_secs(60);

fn trueline(command: &str, store: &Path, flags: &[&str]) -> Output {
    let mut trueline = Command::new(env!("CARGO_BIN_EXE_trueline"));
    trueline.arg(command).args(flags).arg("--store").arg(store);
    trueline.output().expect("trueline can be started")
}

fn compare(store: &Path, flags: &[&str]) -> Output {
    trueline("compare", store, flags)
}

/// What a made-up run is like.
struct Made {
    day: u32,
    build: &'static str,
    rate: u32,
    throughput: f64,
    verdict: Verdict,
}

/// A stored run with these figures; numbers tell runs of a day apart.
fn make(store: &Store, number: usize, made: &Made, change: impl FnOnce(&mut Manifest)) {
    let config =
        json!({"system": "raft", "nodes": 3, "rate": made.rate, "seed": number, "workload": {"kind": "register"}});
    let mut manifest = Manifest::here(7, config);
    manifest.labels = [("build".to_owned(), made.build.to_owned())].into();
    manifest.started = format!("2026-11-{:02}T10:00:{number:02}Z", made.day);
    manifest.directory_revision = Some(format!("{:040x}", made.day));
    change(&mut manifest);
    let name = format!("202611{:02}-1000{number:02}-{:04x}", made.day, made.day as usize * 256 + number);
    let run = store.create_named(name.parse().expect("a name"), &manifest).expect("a run");
    let mut summary = Summary::new("raft", "register", 7);
    summary.verdict = made.verdict;
    summary.throughput = ThroughputSummary { mean: made.throughput, lowest: 1, highest: 2 };
    summary.latencies = vec![LatencyRow {
        operation: "read".to_owned(),
        ending: Ending::Answered,
        measure: Measure::Response,
        count: 20_000,
        min_ns: 1,
        mean_ns: 1.0,
        p50_ns: (1e10 / made.throughput) as u64,
        p90_ns: (2e10 / made.throughput) as u64,
        p99_ns: (4e10 / made.throughput) as u64,
        p999_ns: (8e10 / made.throughput) as u64,
        max_ns: (9e10 / made.throughput) as u64,
    }];
    run.write_verdict(&summary).expect("written");
}

/// Ten runs of a build on one day, around a throughput.
fn build(store: &Store, day: u32, build: &'static str, throughput: f64) {
    let wave = [0.0, 31.0, -22.0, 14.0, -37.0, 25.0, -9.0, 40.0, -28.0, 7.0];
    for (number, more) in wave.into_iter().enumerate() {
        let made = Made { day, build, rate: 500, throughput: throughput + more, verdict: Verdict::Valid };
        make(store, number, &made, |_| {});
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).expect("a store");
    (root, store)
}

#[test]
fn a_slower_build_is_found_and_closes_the_gate() {
    let (root, store) = store();
    build(&store, 1, "old", 1_000.0);
    build(&store, 2, "new", 800.0);
    build(&store, 3, "same", 1_003.0);
    let (old, new, same) = ("label.build=old", "label.build=new", "label.build=same");
    ends_with(&compare(root.path(), &[old, new]), 0, &["throughput", "WORSE: less by 20 %", "read.p99", "SLOWER"]);
    let gated = ["--baseline", old, new, "--fail-on", "regression=5%"];
    ends_with(&compare(root.path(), &gated), 1, &["gate: REGRESSION", "more than 5.0 %"]);
    ends_with(&compare(root.path(), &[new, old, "--fail-on", "regression=5%"]), 0, &["gate: ok", "it is better"]);
    ends_with(
        &compare(root.path(), &[old, same, "--fail-on", "throughput=10%"]),
        0,
        &["no difference found", "gate: ok"],
    );
    // Half a percent would not have been seen: that is no pass.
    let blind = compare(root.path(), &[old, same, "--fail-on", "throughput=0.5%"]);
    ends_with(&blind, 2, &["CANNOT TELL", "may have been missed"]);
    let told = compare(root.path(), &[old, new, "--json", "--metric", "p99,throughput"]);
    let told: Comparison = serde_json::from_slice(&told.stdout).expect("a comparison");
    assert_eq!(told.rows.iter().map(|row| row.metric.name.as_str()).collect::<Vec<_>>(), ["throughput", "read.p99"]);
    assert_eq!((told.a.runs.len(), told.b.runs.len()), (10, 10));
}

#[test]
fn what_must_not_be_compared_is_refused_unless_it_is_forced() {
    let (root, store) = store();
    build(&store, 1, "old", 1_000.0);
    let of = |day, build, rate| Made { day, build, rate, throughput: 900.0, verdict: Verdict::Valid };
    for number in 0..5 {
        make(&store, number, &of(2, "rate", 1_000), |_| {});
        make(&store, number, &of(3, "machine", 500), |manifest| manifest.machine.cpus += 6);
    }
    let rates = compare(root.path(), &["label.build=old", "label.build=rate"]);
    ends_with(&rates, 254, &["rate: 1000 in B, 500 in A", "--across"]);
    assert!(rates.stdout.is_empty());
    ends_with(&compare(root.path(), &["label.build=old", "label.build=rate", "--across", "rate"]), 0, &["throughput"]);
    ends_with(&compare(root.path(), &["label.build=old", "label.build=machine"]), 254, &["machine, cpus: "]);
    let forced = compare(root.path(), &["label.build=old", "label.build=machine", "--force"]);
    ends_with(&forced, 0, &["FORCED", "machine, cpus: "]);
    ends_with(&compare(root.path(), &["label.build=old", "system=raft rate=500"]), 254, &["10 runs are in both sets"]);
}

#[test]
fn sets_that_hold_nothing_to_compare_end_otherwise_than_green() {
    let (root, store) = store();
    build(&store, 1, "old", 1_000.0);
    make(
        &store,
        0,
        &Made { day: 2, build: "wrong", rate: 500, throughput: 9_000.0, verdict: Verdict::Invalid },
        |_| {},
    );
    ends_with(&compare(root.path(), &["label.build=old", "label.build=none"]), 254, &["none of the 11 runs"]);
    ends_with(&compare(root.path(), &["label.build=old", "sytem=raft"]), 254, &["nothing can be selected by"]);
    ends_with(&compare(root.path(), &["label.build=old"]), 254, &["two sets"]);
    ends_with(&compare(root.path(), &["label.build=old", ""]), 254, &["an empty selection"]);
    // Fast and wrong is no figure.
    ends_with(&compare(root.path(), &["label.build=old", "label.build=wrong"]), 3, &["its verdict is invalid"]);
    let all = compare(root.path(), &["label.build=old", "label.build=wrong", "--include-all"]);
    ends_with(&all, 0, &["too few runs to tell (10 and 1)"]);
    ends_with(&compare(&root.path().join("nowhere"), &["a", "b"]), 254, &["there is no store"]);
}

#[test]
fn single_runs_are_described_without_a_claim() {
    let (root, store) = store();
    build(&store, 1, "old", 1_000.0);
    build(&store, 2, "new", 500.0);
    let runs = ["20261101-100000-0100", "20261102-100000-0200"];
    ends_with(&compare(root.path(), &runs), 0, &["p999", "+100 %", "one run a side"]);
    ends_with(&compare(root.path(), &[runs[0], runs[1], "--fail-on", "regression=5%"]), 2, &["CANNOT TELL"]);
}

#[test]
fn a_trend_shows_its_step_and_leaves_strangers_out() {
    let (root, store) = store();
    build(&store, 1, "old", 1_000.0);
    build(&store, 2, "new", 800.0);
    let other = Made { day: 3, build: "x", rate: 500, throughput: 5.0, verdict: Verdict::Valid };
    make(&store, 0, &other, |manifest| manifest.machine.cpus += 6);
    let (svg, html) = (root.path().join("trend.svg"), root.path().join("trend.html"));
    let files = ["throughput", "--svg", svg.to_str().unwrap(), "--html", html.to_str().unwrap()];
    let wanted =
        ["20 points", "┤", "2026-11-02T10:00:00Z  WORSE -19.9 %", "build=new", "1 run of other machines left out"];
    ends_with(&trueline("trend", root.path(), &files), 0, &wanted);
    for file in [svg, html] {
        let text = fs::read_to_string(file).unwrap();
        assert_eq!((text.matches("<circle").count(), text.contains("<script")), (20, false));
    }
    let gated = trueline("trend", root.path(), &["throughput", "--fail-on", "regression=5%"]);
    ends_with(&gated, 1, &["for the worse by 20 %"]);
    let wide = trueline("trend", root.path(), &["throughput", "--fail-on", "regression=50%"]);
    ends_with(&wide, 0, &["for the worse by 20 %, and 50 % is allowed"]);
    // Ten points are too few for a green light.
    let early = ["throughput", "label.build=old", "--fail-on", "regression=5%", "--json"];
    let early = trueline("trend", root.path(), &early);
    assert_eq!(early.status.code(), Some(2));
    let early: Trend = serde_json::from_slice(&early.stdout).expect("a trend");
    assert_eq!((early.points.len(), early.changes.len()), (10, 0));
    let few = ["throughput", "latest:3", "--like", "20261102-100000-0200", "--fail-on", "regression=5%"];
    ends_with(&trueline("trend", root.path(), &few), 2, &["too few"]);
    ends_with(&trueline("trend", root.path(), &["p98"]), 254, &["there are throughput"]);
    ends_with(&trueline("trend", root.path(), &["throughput", "--since", "2027-01-01"]), 254, &["none of the 21 runs"]);
    ends_with(&trueline("trend", root.path(), &["criterion.judge"]), 254, &["bench import"]);
}

#[test]
fn benchmarks_of_criterion_are_kept_and_followed() {
    let (root, _store) = store();
    let criterion = root.path().join("criterion");
    let new = criterion.join("judge/registers/new");
    fs::create_dir_all(&new).unwrap();
    let write = |median: f64| {
        let interval = json!({"lower_bound": median - 1.0, "upper_bound": median + 1.0});
        let mean = json!({"mean": {"confidence_interval": interval, "point_estimate": median}});
        fs::write(new.join("estimates.json"), mean.to_string()).unwrap();
        let sample = json!({"iters": [1.0, 2.0], "times": [median, 2.0 * median]});
        fs::write(new.join("sample.json"), sample.to_string()).unwrap();
    };
    let import = || trueline("bench", root.path(), &["import", criterion.to_str().unwrap()]);
    for (median, told) in [(1_500.0, "1 of 1 results were new"), (1_500.0, "0 of 1"), (1_600.0, "1 of 1")] {
        // Written once: the time of the file is a part of what was measured.
        if told != "0 of 1" {
            write(median);
        }
        ends_with(&import(), 0, &["criterion.judge/registers", told]);
    }
    ends_with(&trueline("trend", root.path(), &["criterion.judge/registers"]), 0, &["2 points", "1.60 µs", "1.50 µs"]);
    ends_with(&trueline("trend", root.path(), &["criterion.x"]), 254, &["there are criterion.judge/registers"]);
    fs::write(new.join("sample.json"), "{}").unwrap();
    ends_with(&import(), 254, &["sample.json", "missing field"]);
}

#[test]
fn a_bench_stores_its_runs_and_its_report() {
    let (root, _store) = store();
    let json = root.path().join("copy.json");
    let flags = [
        "--quick",
        "--quiet",
        "--concurrency",
        "4",
        "--side",
        "plain=",
        "--side",
        "slow=--link-delay 20ms",
        "--network",
        "proxy",
        "--json",
        json.to_str().unwrap(),
    ];
    let output = trueline("bench", root.path(), &flags);
    ends_with(&output, 0, &["throughput-c4", "A  2 runs: plain", "too few runs to tell (2 and 2)"]);
    assert_eq!(processes(root.path()), [""; 0]);
    let report: Json = serde_json::from_slice(&fs::read(json).unwrap()).expect("JSON");
    let median = |side: usize| {
        report["settings"][0]["sides"][side]["figures"][0]["values"]["median"].as_f64().expect("a figure")
    };
    // Eight hundredths of a second there and back at least, against next to nothing.
    assert!(median(1) < median(0) / 2.0 && median(1) > 0.0, "{} and {}", median(0), median(1));
    let entries = Store::open(root.path()).unwrap().entries().unwrap();
    let turns: Vec<&str> = entries.iter().map(|run| run.manifest.as_ref().unwrap().labels["turn"].as_str()).collect();
    let sides: Vec<&str> = entries.iter().map(|run| run.manifest.as_ref().unwrap().labels["side"].as_str()).collect();
    assert_eq!((turns, sides), (vec!["0", "1", "2", "3"], vec!["plain", "slow", "slow", "plain"]));
    assert_eq!(processes(root.path()), [""; 0], "nothing is left behind");
    // The same runs once more, by their labels.
    let again = ["label.side=plain", "label.side=slow", "--across", "link-delay"];
    ends_with(&compare(root.path(), &again), 0, &["too few runs to tell (2 and 2)"]);
}

#[test]
fn an_interrupted_bench_says_so_and_leaves_nothing_behind() {
    let (root, _store) = store();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trueline"));
    command.args(["bench", "--quiet", "--time", "60s", "--concurrency", "4", "--store"]).arg(root.path());
    let bench = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("a run under way", BOUND, || processes(root.path()).len() > 3);
    let pid = Pid::from_raw(i32::try_from(bench.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let output = bench.wait_with_output().unwrap();
    ends_with(&output, 2, &["interrupted: not all turns were taken"]);
    wait_for("all processes gone", BOUND, || processes(root.path()).is_empty());
}

#[test]
fn a_bench_that_cannot_be_is_refused_before_anything_runs() {
    let (root, _store) = store();
    for (flags, words) in [
        (&["--side", "x=--no-such-flag"][..], "the side x, throughput-c32: unexpected argument"),
        (&["--side", "x=--workload nonsense"], "the side x"),
        (&["--scenario", "speed"], "is no scenario"),
        (&["--system", "raft,zab", "--side", "x="], "three ways"),
        (&["--binary", "/nowhere/server"], "/nowhere/server"),
        (&["--fail-on", "regression=5%"], "something to compare with"),
        (&["--baseline", "label.bench=none"], "none of the 0 runs"),
        (&["import", "/nowhere"], "/nowhere"),
    ] {
        ends_with(&trueline("bench", root.path(), flags), 254, &[words]);
    }
    assert!(fs::read_dir(root.path()).unwrap().next().is_none(), "nothing was begun");
}
