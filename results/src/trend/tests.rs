use serde_json::json;

use super::{chart::render, *};
use crate::{
    latency::ThroughputSummary,
    store::{RunDir, Store},
    summary::Summary,
};

fn metric() -> Metric {
    figures(&Summary::new("raft", "register", 1)).remove(0).metric
}

fn point(place: usize, value: f64) -> Point {
    Point {
        time: format!("2026-11-{:02}T10:00:00Z", place % 28 + 1),
        runs: vec![format!("202611{:02}-100000-0000", place % 28 + 1)],
        revision: Some(format!("{:040x}", place / 2 + 1)),
        labels: Labels::new(),
        value,
    }
}

/// Twelve around 10,000, then twelve a fifth lower.
fn stepped() -> Vec<Point> {
    let wave = [0.0, 120.0, -80.0, 60.0, -140.0, 90.0];
    (0..24).map(|place| point(place, if place < 12 { 10_000.0 } else { 8_000.0 } + wave[place % 6])).collect()
}

#[test]
fn a_step_is_named_with_its_date_revision_and_size() {
    let mut points = stepped();
    points[12].labels = [("build".to_owned(), "new".to_owned())].into();
    let found = trend(metric(), points, Vec::new());
    let [change] = &found.changes[..] else { panic!("{:?}", found.changes) };
    assert_eq!((change.at, change.time.as_str(), change.is_worse), (12, "2026-11-13T10:00:00Z", true));
    assert_eq!(change.revision, Some(format!("{:040x}", 7)));
    assert_eq!(change.revision_before, Some(format!("{:040x}", 6)));
    let shift = change.shift_percent.expect("not from zero");
    assert!(shift.low <= -20.0 && -20.0 <= shift.high && shift.low > -23.0 && shift.high < -17.0, "{shift:?}");
    insta::assert_snapshot!(render(&found, 60));
    let text = serde_json::to_string(&found).expect("JSON");
    assert_eq!(serde_json::from_str::<Trend>(&text).expect("a trend").points, found.points);
}

#[test]
fn charts_keep_to_their_width() {
    for count in [0, 1, 7, 100, 2_000] {
        let found =
            trend(metric(), (0..count).map(|place| point(place, 5.0 + (place % 2) as f64)).collect(), Vec::new());
        for width in [0, 40, 80, 1_000] {
            let text = render(&found, width);
            let chart = text.lines().filter(|line| line.contains('┤'));
            let widest = chart.map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(widest <= width.clamp(30, 300), "{widest} of {width}:\n{text}");
        }
    }
    // Many points in few columns still show their step.
    let many: Vec<Point> =
        (0..400).map(|place| point(place, if place < 200 { 5.0 } else { 6.0 } + (place % 3) as f64 / 10.0)).collect();
    let text = render(&trend(metric(), many, Vec::new()), 40);
    assert!(text.contains('┊') && text.contains("better +"), "{text}");
}

#[test]
fn runs_of_one_revision_can_be_one_point() {
    let mut points: Vec<Point> =
        [3.0, 1.0, 2.0, 9.0].into_iter().enumerate().map(|(place, value)| point(place, value)).collect();
    for (place, revision) in [(0, Some("a")), (1, Some("a")), (2, None), (3, None)] {
        points[place].revision = revision.map(str::to_owned);
    }
    let merged = by_revision(&points);
    assert_eq!(merged.iter().map(|point| point.value).collect::<Vec<_>>(), [2.0, 2.0, 9.0]);
    assert_eq!(merged[0].runs.len(), 2);
}

#[test]
fn a_gate_closes_for_the_last_step_and_cannot_tell_of_few_points() {
    let bound = |text: &str| vec![text.parse::<Threshold>().expect("a bound")];
    let down = trend(metric(), stepped(), Vec::new());
    assert_eq!(gate(&down, &bound("regression=5%")).0, GateResult::Closed);
    assert_eq!(gate(&down, &bound("throughput=50%")).0, GateResult::Open);
    assert_eq!(gate(&down, &bound("p99=5%")).0, GateResult::CannotTell);
    let up = trend(metric(), stepped().into_iter().rev().collect(), Vec::new());
    assert_eq!(gate(&up, &bound("regression=5%")).0, GateResult::Open);
    let few = trend(metric(), stepped()[..7].to_vec(), Vec::new());
    assert_eq!(gate(&few, &bound("regression=5%")).0, GateResult::CannotTell);
    assert!(few.notes[0].contains("too few"), "{:?}", few.notes);
}

fn add(store: &Store, name: &str, config: serde_json::Value, change: impl FnOnce(&mut Manifest), mean: f64) -> RunDir {
    let mut manifest = Manifest::here(1, config);
    change(&mut manifest);
    let run = store.create_named(name.parse().expect("a name"), &manifest).expect("a run");
    let mut summary = Summary::new("raft", "register", 1);
    summary.verdict = if mean > 0.0 { checkers::verdict::Verdict::Valid } else { checkers::verdict::Verdict::Invalid };
    summary.throughput = ThroughputSummary { mean, lowest: 0, highest: 0 };
    run.write_verdict(&summary).expect("written");
    run
}

#[test]
fn a_series_is_of_one_machine_and_one_configuration() {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(root.path()).expect("a store");
    let (slow, fast) = (json!({"rate": 500}), json!({"rate": 1000}));
    let elsewhere = |manifest: &mut Manifest| manifest.machine.cpus += 1;
    add(&store, "20261101-000000-0001", slow.clone(), |_| {}, 1.0);
    add(&store, "20261102-000000-0002", fast.clone(), |_| {}, 2.0);
    add(&store, "20261103-000000-0003", slow.clone(), elsewhere, 3.0);
    add(&store, "20261104-000000-0004", slow.clone(), |_| {}, -1.0);
    add(&store, "20261105-000000-0005", slow.clone(), |_| {}, 5.0);
    add(&store, "20261106-000000-0006", slow, elsewhere, 6.0);
    let entries = store.entries().expect("listed");
    let values = |like: Option<&RunEntry>| {
        let (_, points, notes) = series(&entries, "throughput", like, false).expect("a series");
        (points.iter().map(|point| point.value).collect::<Vec<_>>(), notes.join("; "))
    };
    let (here, notes) = values(None);
    assert_eq!(here, [1.0, 5.0]);
    for told in ["2 runs of other machines", "1 run of other settings", "1 run left out whose verdict is not valid"] {
        assert!(notes.contains(told), "{notes}");
    }
    assert_eq!(values(Some(&entries[1])).0, [2.0]);
    assert_eq!(values(Some(&entries[5])).0, [3.0, 6.0]);
    let error = |name: &str| series(&entries, name, None, false).expect_err("no series").to_string();
    assert!(error("p99").contains("throughput, lowest-second"), "{}", error("p99"));
    assert!(error("all").contains("a trend is of one figure"), "{}", error("all"));
    let strangers: Vec<RunEntry> = vec![entries[2].clone(), entries[5].clone()];
    let error = series(&strangers, "throughput", None, false).expect_err("no series").to_string();
    assert!(error.contains("--like"), "{error}");
}

#[test]
fn pages_run_nothing_that_a_file_says() {
    let mut points = stepped();
    let evil = "<script>alert(1)</script>\"'&\u{1b}[2J";
    points[12].revision = Some(evil.to_owned());
    points[12].labels = [(evil.to_owned(), evil.to_owned())].into();
    points[12].time = evil.to_owned();
    let found = trend(Metric { name: evil.to_owned(), ..metric() }, points, vec![evil.to_owned()]);
    assert_eq!(found.changes.len(), 1);
    for text in [page::html(&found), page::svg(&found), render(&found, 80)] {
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    for text in [page::html(&found), page::svg(&found)] {
        assert!(!text.contains("<script") && text.contains("&lt;script&gt;"), "{text}");
        assert_eq!(text.matches("<circle").count(), 24);
        assert_eq!(text.matches("class=\"worse\"").count(), 1);
    }
    // Nothing to show is no panic.
    let empty = trend(metric(), Vec::new(), Vec::new());
    assert!(page::html(&empty).contains("None was found") && page::svg(&empty).contains("<svg"));
}

mod criterion_files {
    use std::{fs, path::Path};

    use super::super::criterion::{CRITERION_FORMAT, CriterionLine, FILE, import, metrics, points, read, stored};
    use super::*;

    fn write(new: &Path, median: f64) {
        fs::create_dir_all(new).expect("made");
        let mean = json!({"confidence_interval": {"confidence_level": 0.95, "lower_bound": median - 1.0, "upper_bound": median + 1.0},
            "point_estimate": median, "standard_error": 0.5});
        let files = [
            ("estimates.json", json!({"mean": mean, "median": mean, "slope": null})),
            (
                "sample.json",
                json!({"sampling_mode": "Linear", "iters": [1.0, 2.0, 4.0], "times": [median - 1.0, 2.0 * median, 4.0 * median + 8.0]}),
            ),
            ("benchmark.json", json!({"group_id": "judge", "full_id": "judge/registers"})),
        ];
        for (name, value) in files {
            fs::write(new.join(name), value.to_string()).expect("written");
        }
    }

    #[test]
    fn results_are_taken_in_once_and_followed() {
        let root = tempfile::tempdir().expect("a directory");
        let (criterion, store) =
            (root.path().join("criterion"), Store::open(root.path().join("store")).expect("a store"));
        write(&criterion.join("judge/registers/new"), 100.0);
        write(&criterion.join("judge/registers/base"), 50.0);
        let lines = read(&criterion).expect("read");
        assert_eq!(lines.len(), 1, "only the last result, not the base");
        assert_eq!((lines[0].name.as_str(), lines[0].median_ns, lines[0].samples), ("judge/registers", 100.0, 3));
        assert_eq!(import(&store, &lines).expect("imported"), 1);
        assert_eq!(import(&store, &lines).expect("imported"), 0);
        let later = CriterionLine { measured: "2999-01-01T00:00:00Z".to_owned(), ..lines[0].clone() };
        let mut elsewhere = later.clone();
        elsewhere.machine.cpus += 1;
        elsewhere.median_ns = 7.0;
        assert_eq!(import(&store, &[later, elsewhere]).expect("imported"), 2);
        let all = stored(&store).expect("read");
        let metric = the_metric(metrics(&all).iter(), "criterion.judge/registers").expect("one");
        let (here, strangers) = points(&all, &metric, &Machine::here());
        assert_eq!((here.len(), strangers), (2, 1));
    }

    #[test]
    fn strange_files_are_errors_that_name_them() {
        let root = tempfile::tempdir().expect("a directory");
        let new = root.path().join("a/new");
        assert!(read(root.path()).expect_err("nothing").to_string().contains("cargo bench"));
        for (file, text, words) in [
            ("estimates.json", format!("{{\"x\":{}", "[".repeat(100_000)), "recursion"),
            ("estimates.json", "{}".to_owned(), "missing field"),
            ("sample.json", r#"{"iters":[1.0],"times":[1.0,2.0]}"#.to_owned(), "as many times"),
            ("sample.json", r#"{"iters":[0.0],"times":[1.0]}"#.to_owned(), "not above zero"),
            ("sample.json", r#"{"iters":[1.0],"times":[-1.0]}"#.to_owned(), "not above zero"),
            ("sample.json", "x".repeat((16 << 20) + 2), "16 MiB"),
            ("benchmark.json", r#"{"full_id":7}"#.to_owned(), "expected a string"),
        ] {
            write(&new, 5.0);
            fs::write(new.join(file), text).expect("written");
            let error = read(root.path()).expect_err(file).to_string();
            assert!(error.contains(words) && error.contains(file), "{file}: {error}");
        }
        write(&new, 5.0);
        fs::remove_file(new.join("sample.json")).expect("removed");
        std::os::unix::fs::symlink("/dev/zero", new.join("sample.json")).expect("linked");
        assert!(read(root.path()).expect_err("a link").to_string().contains("sample.json"));
        // A directory that is a link is not followed, round and round.
        write(&new, 5.0);
        fs::remove_file(new.join("sample.json")).expect("removed");
        write(&new, 5.0);
        std::os::unix::fs::symlink(root.path(), root.path().join("loop")).expect("linked");
        assert_eq!(read(root.path()).expect("read").len(), 1);
    }

    #[test]
    fn a_damaged_store_is_told() {
        let root = tempfile::tempdir().expect("a directory");
        let store = Store::open(root.path()).expect("a store");
        assert!(stored(&store).expect("nothing yet").is_empty());
        write(&root.path().join("c/new"), 5.0);
        let line = read(root.path()).expect("read").remove(0);
        let later = serde_json::to_string(&CriterionLine { format: CRITERION_FORMAT + 1, ..line }).expect("JSON");
        for (text, words) in
            [(format!("{later}\n"), "format 2"), ("{\"format\":1\n".to_owned(), "line 1"), ("{".to_owned(), "line 1")]
        {
            fs::write(root.path().join(FILE), text).expect("written");
            let error = stored(&store).expect_err("damaged").to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
