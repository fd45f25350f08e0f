//! Whole gates of the binary. Most start a script in place of runs, so that each ending can be had at once; three start real runs.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use checkers::{
    history::Value,
    verdict::{Anomaly, Verdict},
};
use results::{
    check::{Check, CheckName},
    gate::{GateReport, JobReport, Outcome, Replayed},
    replay::{Original, ReplayReport},
    store::Store,
    summary::{Summary, ViolationSummary},
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use wait::wait_for;
use whole::{ends_with, processes};

#[path = "support/wait.rs"]
mod wait;
#[path = "support/whole.rs"]
mod whole;

/// Nodes of a real run must be up within this.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Everything must be gone within this after the gate was stopped or killed.
const GONE_TIMEOUT: Duration = Duration::from_secs(15);

/// Settings, a store, and a program that stands for `trueline`.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new(settings: &str) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::write(place.path("trueline.toml"), settings).unwrap();
        fs::create_dir(place.path("store")).unwrap();
        place
    }

    /// With prepared verdicts and the script that leaves them behind.
    fn with_fake_runs(settings: &str) -> Self {
        let place = Self::new(settings);
        let script = place.path("fake_run.sh");
        fs::write(&script, include_str!("support/fake_run.sh")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        for verdict in [Verdict::Valid, Verdict::Invalid, Verdict::Unknown, Verdict::Vacuous] {
            let name = format!("{}.json", results::check::verdict_name(verdict));
            fs::write(place.path(&name), summary(verdict, None)).unwrap();
        }
        fs::write(place.path("broken.json"), summary(Verdict::Valid, Some("the network is gone"))).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trueline"));
        command.args(["gate", "--config"]).arg(self.path("trueline.toml"));
        command.arg("--store").arg(self.path("store")).args(flags);
        command.env_remove("GITHUB_ACTIONS").env_remove("GITHUB_STEP_SUMMARY");
        if self.path("fake_run.sh").exists() {
            command.arg("--program").arg(self.path("fake_run.sh"));
        }
        command
    }

    fn gate(&self, flags: &[&str]) -> Output {
        self.command(flags).output().expect("trueline can be started")
    }

    fn start(&self, flags: &[&str]) -> Child {
        self.command(flags).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("trueline can be started")
    }

    /// The directory of the one gate in the store.
    fn gate_dir(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(self.path("store")).unwrap().map(|entry| entry.unwrap().path());
        let is_gate = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("gate-");
        let gates: Vec<PathBuf> = entries.filter(is_gate).collect();
        assert!(gates.len() <= 1, "one gate, not {gates:?}");
        gates.into_iter().next()
    }

    fn report(&self) -> GateReport {
        read(&self.gate_dir().expect("a gate").join("gate.json"))
    }

    /// What became of the only scenario's job with this seed.
    fn job(&self, seed: u64) -> JobReport {
        let report = self.report();
        let job = report.jobs().map(|(_, job)| job).find(|job| job.seed == seed).expect("a job with this seed");
        job.clone()
    }
}

fn read(path: &Path) -> GateReport {
    serde_json::from_str(&fs::read_to_string(path).expect("a report")).expect("a report of this version")
}

/// A verdict as a run leaves it behind, with RUN in place of its name.
fn summary(verdict: Verdict, harness_error: Option<&str>) -> String {
    let mut summary = Summary::new("raft", "register", 0);
    summary.run = Some("RUN".to_owned());
    summary.checks = vec![Check::new(CheckName::Consistency, verdict, "x was read after ]]> | ::error::y")];
    summary.harness_error = harness_error.map(str::to_owned);
    if verdict == Verdict::Invalid {
        summary.violation = Some(ViolationSummary {
            anomaly: Anomaly::StaleRead,
            key: Value::Nil,
            sentences: vec!["Client 2 read 17 after 18.".to_owned()],
            diagram: vec!["c2 |--r 17--|".to_owned()],
            operations: Vec::new(),
        });
    }
    summary.conclude();
    serde_json::to_string(&summary).unwrap()
}

/// One scenario with these seeds, of which these verdicts are expected.
fn scenario(seeds: &str, expect: &str) -> String {
    format!(
        "[profile.default]\njobs = 4\n[[scenario]]\nname = 'one'\nseeds = {seeds}\nexpect = {expect}\ntime = '1s'\n"
    )
}

/// Every ending of a process, against every expected verdict: the gate's exit code, and how many attempts failed.
#[test]
fn exit_codes_by_how_runs_end() {
    // By seed: exit codes where valid, invalid, unknown, vacuous are expected, and failed attempts.
    let table: [(u64, [i32; 4], usize); 14] = [
        (1, [0, 1, 1, 1], 0),
        (2, [1, 0, 1, 1], 0),
        (3, [2, 2, 0, 2], 0),
        (4, [3, 3, 3, 0], 0),
        (5, [255, 255, 255, 255], 2),
        (7, [0, 1, 1, 1], 1),
        (8, [255, 255, 255, 255], 2),
        (9, [255, 255, 255, 255], 2),
        // Tried again, it would be just as wrong.
        (10, [255, 255, 255, 255], 1),
        // Violations, whatever else went wrong; where no verdict says of which kind, they are not the expected ones.
        (11, [1, 0, 1, 1], 0),
        (12, [1, 1, 1, 1], 0),
        (14, [1, 0, 1, 1], 1),
        (15, [255, 255, 255, 255], 2),
        (16, [1, 1, 1, 1], 0),
    ];
    for (seed, codes, failures) in table {
        for (expect, code) in ["'valid'", "'invalid'", "'unknown'", "'vacuous'"].into_iter().zip(codes) {
            let place = Place::with_fake_runs(&scenario(&format!("[{seed}]"), expect));
            ends_with(&place.gate(&[]), code, &[&format!("exit code {code}")]);
            let job = place.job(seed);
            assert_eq!(job.failures.len(), failures, "seed {seed}: {job:?}");
            assert_eq!(place.report().exit.map(i32::from), Some(code));
            assert_eq!(matches!(job.outcome, Outcome::Infrastructure), code == 255, "seed {seed}: {job:?}");
        }
    }
}

#[test]
fn a_verdict_of_another_run_is_none() {
    let place = Place::with_fake_runs(&scenario("[13, 17]", "'valid'"));
    ends_with(&place.gate(&[]), 1, &["one seed 13: infrastructure failed", "one seed 17: violation"]);
    assert!(place.job(17).reason.contains("left no verdict that does"), "an exit code that says invalid counts");
}

/// In place of `trueline`: runs die before their verdict and leave a history whose last line is torn; histories are judged by the real one.
fn dying_runs(value_read: u32) -> String {
    let event = |process: u32, kind: &str, f: &str, value: u32| {
        format!(r#"{{"process":{process},"type":"{kind}","f":"{f}","key":"x","value":{value}}}"#)
    };
    let history = [
        r#"{"trueline_history":1,"model":"register","initial":null}"#.to_owned(),
        event(0, "invoke", "write", 1),
        event(0, "ok", "write", 1),
        event(0, "invoke", "write", 2),
        event(0, "ok", "write", 2),
        r#"{"process":1,"type":"invoke","f":"read","key":"x"}"#.to_owned(),
        event(1, "ok", "read", value_read),
        r#"{"process":1,"ty"#.to_owned(),
    ];
    format!(
        "#!/bin/sh\n[ \"$1\" = check ] && exec '{}' \"$@\"\n[ \"$1\" = run ] || exit 254\n\
         while [ $# -gt 0 ]; do case $1 in --store) store=$2 ;; --name) name=$2 ;; esac; shift; done\n\
         mkdir -p \"$store/$name\"\nprintf '%s' '{}' >\"$store/$name/history.jsonl\"\necho no memory\nexit 255\n",
        env!("CARGO_BIN_EXE_trueline"),
        history.join("\n"),
    )
}

#[test]
fn what_the_history_of_a_failed_attempt_shows_counts() {
    // Of a stale read there is no second attempt; without it there is nothing but two failures.
    for (value_read, code, attempts) in [(1, 1, 1), (2, 255, 2)] {
        let place = Place::with_fake_runs(&scenario("[1]", "'valid'"));
        fs::write(place.path("fake_run.sh"), dying_runs(value_read)).unwrap();
        let words = if code == 1 { "judged after the run had failed" } else { "infrastructure failed" };
        ends_with(&place.gate(&[]), code, &[words]);
        let job = place.job(1);
        assert_eq!(job.failures.len(), attempts, "{job:?}");
        for failure in &job.failures {
            let (_, run) = failure.split_once("no memory (run ").expect("the run's name");
            assert!(place.path("store").join(run.trim_end_matches(')')).join("history.jsonl").exists(), "{failure}");
        }
        match &job.outcome {
            Outcome::Ended(finding) => {
                assert_eq!(
                    (code, finding.verdict, &finding.failed[..]),
                    (1, Verdict::Invalid, &[CheckName::Consistency][..])
                );
                assert!(finding.anomaly.is_some() && !job.sentences.is_empty(), "{job:?}");
                assert_eq!(job.replay, None, "without a verdict there is nothing to come out again");
            }
            outcome => assert_eq!((code, outcome), (255, &Outcome::Infrastructure)),
        }
    }
}

#[test]
fn the_worst_job_decides() {
    for (seeds, code) in [("[1]", 0), ("[1, 4]", 3), ("[1, 4, 3]", 2), ("[1, 4, 3, 5]", 255), ("[1, 4, 3, 5, 2]", 1)] {
        let place = Place::with_fake_runs(&scenario(seeds, "'valid'"));
        ends_with(&place.gate(&["--quiet"]), code, &[&format!("exit code {code}")]);
    }
}

#[test]
fn another_violation_than_expected_is_red() {
    for (kind, code) in [
        ("expect-anomaly = 'stale-read'", 0),
        ("expect-anomaly = ['lost-write', 'stale-read']", 0),
        ("expect-anomaly = 'lost-write'", 1),
        ("expect-check = 'consistency'", 0),
        ("expect-check = 'crash'", 1),
    ] {
        let place = Place::with_fake_runs(&format!("{}{kind}\n", scenario("[2]", "'invalid'")));
        let words: &[&str] = if code == 1 { &["another violation than expected"] } else { &["as expected"] };
        ends_with(&place.gate(&[]), code, words);
    }
}

#[test]
fn retries_are_for_infrastructure_and_told() {
    let place = Place::with_fake_runs(&scenario("[7, 14, 5, 10]", "'valid'"));
    let words =
        ["flaky infrastructure", "attempt 1 failed", "no network namespace today", "no disk space", "no such server"];
    ends_with(&place.gate(&["--output", place.path("out").to_str().unwrap()]), 1, &words);
    let xml = fs::read_to_string(place.path("out/junit.xml")).unwrap();
    assert!(xml.contains("<system-err>attempt 1 failed"), "{xml}");
    assert!(fs::read_to_string(place.path("out/summary.md")).unwrap().contains("Flaky infrastructure"));
    assert_eq!(read(&place.path("out/gate.json")), place.report());
    // Without retries the first failure stays.
    let settings = scenario("[7]", "'valid'").replace("jobs = 4", "infrastructure-retries = 0");
    let place = Place::with_fake_runs(&settings);
    ends_with(&place.gate(&[]), 255, &["infrastructure failed"]);
    assert_eq!(place.job(7).failures.len(), 1);
}

#[test]
fn an_unexpected_violation_is_replayed_and_stays_one() {
    let place = Place::with_fake_runs(&scenario("[2]", "'valid'"));
    let original = Original { run: "RUN".to_owned(), verdict: Verdict::Invalid, check: None, anomaly: None };
    let mut replays = ReplayReport::new(original, "recorded", Vec::new(), Vec::new());
    (replays.reproduced, replays.otherwise, replays.times) = (4, 1, 5);
    let json = serde_json::to_string(&replays).unwrap().replace("\"times\":5", "\"times\":TIMES");
    fs::write(place.path("replay.json"), json).unwrap();
    let words = [
        "found again 4 of 5 times (true rate 38-96 %)",
        "Client 2 read 17 after 18.",
        "trueline run --time 1s --seed 2",
    ];
    ends_with(&place.gate(&[]), 1, &words);
    let job = place.job(2);
    assert!(matches!(job.replayed, Some(Replayed::Done { times: 5, reproduced: 4, .. })), "{job:?}");
    // A violation is looked at: nothing of its run is thrown away. Of one that was expected, its nodes' data is.
    let run = place.path("store").join(job.run.as_ref().unwrap());
    assert!(run.join("data").exists());
    assert!(place.path("store").join(job.run.unwrap()).join("verdict.json").exists());
    let expected = Place::with_fake_runs(&scenario("[2]", "'invalid'"));
    ends_with(&expected.gate(&[]), 0, &["1 of 1 jobs as expected"]);
    let job = expected.job(2);
    assert_eq!(job.replayed, None, "what was expected is not replayed");
    assert!(!expected.path("store").join(job.run.unwrap()).join("data").exists());
}

#[test]
fn a_replay_that_fails_leaves_the_verdict_alone() {
    let place = Place::with_fake_runs(&scenario("[2]", "'valid'"));
    ends_with(&place.gate(&[]), 1, &["not replayed: `trueline replay` ended with", "nothing to replay with"]);
    let late = Place::with_fake_runs(&scenario("[12]", "'valid'"));
    ends_with(&late.gate(&[]), 1, &["not replayed: it has left nothing in the store"]);
    assert_eq!(late.job(12).run, None);
    let place = Place::with_fake_runs(&scenario("[2]", "'valid'").replace("jobs = 4", "replays = 0"));
    ends_with(&place.gate(&[]), 1, &["violation"]);
    assert_eq!(place.job(2).replayed, None);
}

#[test]
fn a_run_that_hangs_is_killed_and_no_verdict() {
    let settings = scenario("[6]", "'valid'").replace("jobs = 4", "infrastructure-retries = 1\nrun-timeout = '300ms'");
    let place = Place::with_fake_runs(&settings);
    ends_with(&place.gate(&[]), 255, &["had not ended after"]);
    assert_eq!(place.job(6).failures.len(), 2);
    assert_eq!(processes(&place.path("store")), [""; 0]);
}

#[test]
fn partitions_share_the_jobs() {
    let place = Place::with_fake_runs(&scenario("[1, 2, 20]", "['valid', 'invalid']"));
    let mut seen = Vec::new();
    for part in 1..=4 {
        ends_with(&place.gate(&["--partition", &format!("{part}/4")]), 0, &[]);
        let report = place.report();
        assert_eq!(report.planned, 3);
        seen.extend(report.jobs().map(|(_, job)| job.seed));
        let empty = report.jobs().next().is_none();
        assert_eq!(empty, part == 4);
        assert_eq!(report.sentence().contains("partition 4/4 is empty: the plan has 3 jobs"), empty);
        fs::remove_dir_all(place.gate_dir().unwrap()).unwrap();
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 20]);
}

#[test]
fn nothing_selected_is_vacuous() {
    let place = Place::with_fake_runs(&scenario("[1]", "'valid'"));
    ends_with(&place.gate(&["--scenario", "two"]), 3, &["nothing is selected"]);
    ends_with(&place.gate(&["--scenario", "two", "--list"]), 3, &["0 of 0 jobs"]);
    // Beside one that is there, it is a slip that would make the gate smaller.
    ends_with(&place.gate(&["--scenario", "one,two"]), 254, &["is called two", "there are one"]);
    ends_with(&Place::with_fake_runs("").gate(&["--partition", "1/2"]), 3, &["nothing is selected"]);
}

#[test]
fn a_time_budget_leaves_jobs_out() {
    let place = Place::with_fake_runs(&scenario("[1]", "'valid'").replace("time = '1s'", "time = '1h'"));
    ends_with(&place.gate(&["--time-budget", "1m"]), 2, &["not run", "of the time budget of 60 s less was left"]);
    let xml = fs::read_to_string(place.gate_dir().unwrap().join("junit.xml")).unwrap();
    assert!(xml.contains("<skipped "), "{xml}");
}

#[test]
fn heavy_jobs_go_on_alone() {
    for (weight, code) in [(1, 255), (2, 0), (4, 0), (9, 0)] {
        let scenario = |name| format!("[[scenario]]\nname = '{name}'\nseeds = [18]\nweight = {weight}\n");
        let scenarios = ["a", "b", "c"].map(scenario).concat();
        let settings = format!("[profile.default]\njobs = 3\ninfrastructure-retries = 0\n{scenarios}");
        ends_with(&Place::with_fake_runs(&settings).gate(&[]), code, &[]);
    }
}

/// The gate of this project, and its documentation.
#[test]
fn the_settings_of_this_project_are_plans() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for profile in ["default", "ci", "nightly", "etcd"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trueline"));
        let output = command.current_dir(root).args(["gate", "--list", "--profile", profile]).output().unwrap();
        ends_with(&output, 0, &["canary-raft-read-any-node", "invalid (consistency)", "vacuous"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.contains("--system etcd"), profile == "nightly" || profile == "etcd");
    }
    let docs = fs::read_to_string(root.join("docs/settings.md")).unwrap();
    let example = docs.split_once("```toml\n").and_then(|(_, rest)| rest.split_once("```")).expect("an example").0;
    let place = Place::with_fake_runs(example);
    ends_with(&place.gate(&["--list", "--profile", "nightly"]), 0, &["--reads local", "40 of 40 jobs"]);
}

/// The gates that the documentation shows.
#[test]
fn the_examples_are_plans() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for name in ["correct", "broken"] {
        let file = root.join("docs/examples/gate").join(name).with_extension("toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_trueline"));
        let output = command.current_dir(root).args(["gate", "--list", "--config"]).arg(file).output().unwrap();
        ends_with(&output, 0, &["registers-under-partitions-and-kills", "2 of 2 jobs"]);
    }
    let example = fs::read_to_string(root.join("docs/examples/gate/correct.toml")).unwrap();
    let table = example.find("[[scenario]]").map(|at| example[at..].trim_end()).expect("a scenario");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    assert!(readme.contains(table), "README.md shows another gate than docs/examples/gate/correct.toml");
}

#[test]
fn fresh_seeds_are_printed_and_stored() {
    let place = Place::with_fake_runs("[[scenario]]\nname = 'one'\nseeds = 3\n");
    let output = place.gate(&["--fresh-seeds"]);
    let text = String::from_utf8(output.stderr).unwrap();
    let report = place.report();
    assert!(report.fresh_seeds);
    let seeds: Vec<String> = report.jobs().map(|(_, job)| job.seed.to_string()).collect();
    assert_eq!(seeds.len(), 3);
    assert!(text.contains(&format!("one: {}", seeds.join(", "))), "{text}");
}

#[test]
fn mistakes_start_nothing() {
    for (settings, flags, words) in [
        ("[[scenario]]\nname = 'a'\nnodez = 3\n", &[][..], ["trueline.toml, line 3", "nodez"]),
        ("[[scenario]]\nname = 'a'\ntime = '5'\n", &[], ["trueline.toml, line 3", "no duration"]),
        ("[[scenario]]\nname = 'a'\nsystem = 'etcd'\nretry = true\n", &[], ["trueline.toml: line 1", "--retry"]),
        ("", &["--profile", "ci"], ["no [profile.ci]", "default"]),
        ("", &["--partition", "4/3"], ["4/3", "1/10"]),
        ("", &["--seed", "1", "--fresh-seeds"], ["--seed", "--fresh-seeds"]),
        ("", &["--config", "/nowhere/trueline.toml"], ["/nowhere/trueline.toml", "docs/settings.md"]),
    ] {
        let place = Place::with_fake_runs(settings);
        let mut command = place.command(&[]);
        // Given twice, a flag would be refused for that alone.
        let output = match flags {
            ["--config", path] => {
                Command::new(env!("CARGO_BIN_EXE_trueline")).args(["gate", "--config", path]).output().unwrap()
            }
            flags => command.args(flags).output().unwrap(),
        };
        ends_with(&output, 254, &words);
        assert!(fs::read_dir(place.path("store")).unwrap().next().is_none(), "nothing was begun");
    }
}

/// A system that the gate's own file describes; its runs are told where that file is.
#[test]
fn described_systems_are_found() {
    let described = "[system.kv]\ncommand = ['sh', '--id={id}']\nclient-port = 8000\n\
                     [system.kv.register.read]\npath = '/kv/{key}'\nanswers = [{ status = 200, outcome = 'ok', value = 'body|integer' }]\n\
                     [system.kv.register.write]\nmethod = 'PUT'\npath = '/kv/{key}'\nbody = '{value}'\n\
                     answers = [{ status = 200, outcome = 'ok' }]\n\
                     [[scenario]]\nname = 'one'\nsystem = 'kv'\nnodes = 1\nnemesis = 'pause'\n";
    let place = Place::with_fake_runs(described);
    let config = format!("trueline run --config {} --nemesis pause", place.path("trueline.toml").display());
    ends_with(&place.gate(&["--list"]), 0, &[&config, "--system kv"]);
    ends_with(&place.gate(&[]), 0, &["1 of 1 jobs as expected"]);
    let wrong = Place::with_fake_runs(&described.replace("system = 'kv'", "system = 'kvv'"));
    ends_with(&wrong.gate(&[]), 254, &["line 12: scenario one", "no system is called \"kvv\"", "kv"]);
    let wrong = Place::with_fake_runs(&described.replace("nemesis = 'pause'", "workload = 'queue'"));
    ends_with(&wrong.gate(&[]), 254, &["line 12: scenario one", "the workload queue needs"]);
}

#[test]
fn a_list_starts_nothing() {
    let place = Place::with_fake_runs(&scenario("[1, 2]", "'valid'"));
    ends_with(&place.gate(&["--list"]), 0, &["trueline run --time 1s --seed 2", "2 of 2 jobs"]);
    assert!(fs::read_dir(place.path("store")).unwrap().next().is_none());
}

#[test]
fn github_gets_annotations_and_a_summary() {
    let place = Place::with_fake_runs(&scenario("[1, 2]", "'valid'"));
    let page = place.path("step.md");
    fs::write(&page, "before\n").unwrap();
    let mut command = place.command(&[]);
    let output = command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &page).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let commands: Vec<&str> = text.lines().filter(|line| line.trim_start().starts_with("::")).collect();
    let [command] = &commands[..] else { panic!("one command, not {commands:?}") };
    assert!(command.starts_with("::error title=trueline%3A one seed 2%3A violation::"), "{command}");
    let page = fs::read_to_string(&page).unwrap();
    assert!(page.starts_with("before\n## Trueline gate failed\n"), "{page}");
    // Elsewhere nothing of the kind.
    let elsewhere = Place::with_fake_runs(&scenario("[2]", "'valid'")).gate(&[]);
    assert!(!String::from_utf8(elsewhere.stdout).unwrap().contains("::error title"));
}

#[test]
fn a_report_that_cannot_be_written_is_told() {
    let place = Place::with_fake_runs(&scenario("[1]", "'valid'"));
    // A directory is in the way of the file.
    fs::create_dir_all(place.path("out/junit.xml")).unwrap();
    let out = place.path("out");
    let flags = ["--output", out.to_str().unwrap()];
    ends_with(&place.gate(&flags), 255, &["junit.xml"]);
    let red = Place::with_fake_runs(&scenario("[2]", "'valid'"));
    ends_with(&red.gate(&flags), 1, &["junit.xml", "violation"]);
}

#[test]
fn an_interrupted_gate_reports_what_there_is() {
    let place = Place::with_fake_runs(&scenario("[1, 6, 6000]", "'valid'").replace("jobs = 4", "jobs = 1"));
    let mut child = place.start(&[]);
    let running = |job: &JobReport| job.seed == 6 && job.outcome == Outcome::Running && job.run.is_some();
    wait_for("the run that hangs", START_TIMEOUT, || {
        place.gate_dir().is_some_and(|dir| dir.join("gate.json").exists())
            && place.report().jobs().any(|(_, job)| running(job))
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
    let report = place.report();
    assert!(report.interrupted);
    let outcomes: Vec<&str> = report.jobs().map(|(_, job)| job.came_out()).collect();
    assert_eq!(outcomes, ["valid", "not run", "not run"]);
    wait_for("an end of all processes", GONE_TIMEOUT, || processes(place.dir.path()).is_empty());
}

/// The real thing, and SIGKILL: the report tells what was known, the store can be read, and nothing goes on.
#[test]
fn a_killed_gate_leaves_a_readable_store() {
    let place = Place::new(
        "[profile.default]\nnodes = 3\nwarm-up = '200ms'\nnemesis = 'kill'\njobs = 1\n\
         [[scenario]]\nname = 'short'\ntime = '2s'\n[[scenario]]\nname = 'long'\ntime = '5m'\n",
    );
    let mut child = place.start(&[]);
    let found = |name: &str, wanted: fn(&JobReport) -> bool| {
        place.report().jobs().any(|(scenario, job)| scenario.name == name && wanted(job))
    };
    wait_for("nodes of the long run", START_TIMEOUT, || {
        place.gate_dir().is_some_and(|dir| dir.join("gate.json").exists())
            && found("long", |job| job.outcome == Outcome::Running && job.run.is_some())
            && processes(&place.path("store")).len() > 4
    });
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("an end of all processes", GONE_TIMEOUT, || processes(&place.path("store")).is_empty());
    let report = place.report();
    assert_eq!(report.exit, None, "it never came to an end");
    assert!(found("short", |job| matches!(&job.outcome, Outcome::Ended(finding) if finding.verdict == Verdict::Valid)));
    assert!(found("long", |job| job.outcome == Outcome::Running));
    let dir = place.gate_dir().unwrap();
    assert!(fs::read_to_string(dir.join("junit.xml")).unwrap().trim_end().ends_with("</testsuites>"));
    assert!(fs::read_to_string(dir.join("summary.md")).unwrap().contains("short"));
    // Both runs are in the store; the one that was broken off has no verdict.
    let entries = Store::open(place.path("store")).unwrap().entries().unwrap();
    let verdicts: Vec<Option<Verdict>> = entries.iter().map(|entry| Some(entry.summary.as_ref()?.verdict)).collect();
    assert_eq!(verdicts, [Some(Verdict::Valid), None]);
    assert!(entries.iter().all(|entry| entry.manifest.is_ok()));
    let named: Vec<String> = report.jobs().filter_map(|(_, job)| job.run.clone()).collect();
    assert_eq!(named, entries.iter().map(|entry| entry.dir.id().to_string()).collect::<Vec<_>>());
}

/// A correct build, and one with a bug that is expected to be found, as real runs.
#[test]
fn real_runs_come_out_as_expected() {
    let place = Place::new(
        "[profile.default]\nwarm-up = '500ms'\njobs = 2\n\
         [[scenario]]\nname = 'correct'\nnodes = 3\ntime = '3s'\nnemesis = ['partition', 'kill']\n\
         [[scenario]]\nname = 'canary'\nmutant = 'raft-read-any-node'\nfail-fast = true\ntime = '30s'\n\
         expect = 'invalid'\nexpect-check = 'consistency'\n",
    );
    let begin = Instant::now();
    ends_with(&place.gate(&[]), 0, &["2 of 2 jobs as expected", "canary", "invalid (consistency)"]);
    assert!(begin.elapsed() < Duration::from_secs(120), "{:?}", begin.elapsed());
    let report = place.report();
    for (scenario, job) in report.jobs() {
        let run = Store::open(place.path("store")).unwrap().resolve(job.short.as_ref().expect("a short name")).unwrap();
        assert_eq!(Some(run.id().as_str()), job.run.as_deref(), "{}", scenario.name);
        assert!(run.history_path().parent().unwrap().join("manifest.json").exists());
    }
}
