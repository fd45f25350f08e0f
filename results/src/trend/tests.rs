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

#[test]
fn a_gate_is_not_green_where_a_step_would_not_have_been_seen() {
    let bound = |percent: &str| vec![format!("regression={percent}").parse::<Threshold>().expect("a bound")];
    let said = |values: &[f64]| {
        let points = values.iter().enumerate().map(|(place, &value)| point(place, value)).collect();
        gate(&trend(metric(), points, Vec::new()), &bound("5%"))
    };
    let wave = [0.0, 120.0, -80.0, 60.0, -140.0, 90.0];
    let around = |middle: f64, scale: f64, count: usize| {
        (0..count).map(|place| middle + scale * wave[place % 6]).collect::<Vec<f64>>()
    };
    assert_eq!(
        said(&around(10_000.0, 1.0, 11)).0,
        GateResult::CannotTell,
        "a perfect step could not be told from chance"
    );
    assert_eq!(said(&around(10_000.0, 1.0, 12)).0, GateResult::Open);
    assert_eq!(said(&[0.0; 12]).0, GateResult::Open);
    let (result, why) = said(&around(10_000.0, 10.0, 24));
    assert!(result == GateResult::CannotTell && why.contains("scatter") && why.contains("5.0 % is allowed"), "{why}");
    // After a step for the better a new one needs its points, too.
    for since in [4, 5] {
        let (result, why) = said(&[around(10_000.0, 1.0, 20), around(13_000.0, 1.0, since)].concat());
        assert_eq!(result, GateResult::CannotTell, "{why}");
        assert!(why.contains(&format!("{since} points since the last step")), "{why}");
    }
    // What was found among few points was found.
    let found = trend(metric(), stepped(), Vec::new());
    let short = Trend { points: found.points[..11].to_vec(), ..found };
    assert_eq!(gate(&short, &bound("5%")).0, GateResult::Closed);
    assert_eq!(gate(&short, &bound("50%")).0, GateResult::CannotTell);
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
fn sides_of_a_bench_are_told_and_kept_apart() {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(root.path()).expect("a store");
    let measured = [("plain", 10.0), ("slow", 5.0), ("slow", 6.0), ("plain", 11.0)];
    for (place, (side, mean)) in measured.into_iter().enumerate() {
        let change = |manifest: &mut Manifest| {
            manifest.labels = [("side".to_owned(), side.to_owned())].into();
            manifest.directory_revision = Some("a".repeat(40));
        };
        add(&store, &format!("2026110{}-000000-0001", place + 1), json!({"rate": 500}), change, mean);
    }
    let entries = store.entries().expect("listed");
    let (_, points, notes) = series(&entries, "throughput", None, false).expect("a series");
    assert!(notes.iter().any(|note| note.contains("label.side=")), "{notes:?}");
    let merged = by_revision(&points);
    assert_eq!(merged.iter().map(|point| point.value).collect::<Vec<_>>(), [10.5, 5.5]);
    assert_eq!(merged.iter().map(|point| point.runs.len()).collect::<Vec<_>>(), [2, 2]);
    // One side is one series.
    let plain = [entries[0].clone(), entries[3].clone()];
    let (_, points, notes) = series(&plain, "throughput", None, false).expect("a series");
    assert_eq!((points.len(), notes), (2, Vec::new()));
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
    use std::{
        fs::{self, File},
        path::Path,
        slice,
        time::{Duration, SystemTime},
    };

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
            ("estimates.json", format!("{{\"x\":{}", "[".repeat(100_000)), "EOF"),
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
        for (text, words) in [
            (format!("{later}\n"), "format 2"),
            ("{\"format\":1\n".to_owned(), "line 1"),
            (format!("\n{{\n{later}\n"), "line 2"),
        ] {
            fs::write(root.path().join(FILE), text).expect("written");
            let error = stored(&store).expect_err("damaged").to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn an_import_that_was_killed_spoils_nothing() {
        let root = tempfile::tempdir().expect("a directory");
        let store = Store::open(root.path()).expect("a store");
        write(&root.path().join("c/new"), 5.0);
        let line = read(root.path()).expect("read").remove(0);
        let other = CriterionLine { name: "other".to_owned(), ..line.clone() };
        assert_eq!(import(&store, slice::from_ref(&line)).expect("imported"), 1);
        let file = root.path().join(FILE);
        let whole = fs::read_to_string(&file).expect("read");
        let next = serde_json::to_string(&other).expect("JSON");
        for torn in ["{", &next[..next.len() / 2], &next] {
            fs::write(&file, format!("{whole}\n  \n{torn}")).expect("written");
            assert_eq!(stored(&store).expect("read"), slice::from_ref(&line), "{torn}");
            assert_eq!(import(&store, &[line.clone(), other.clone()]).expect("imported"), 1, "{torn}");
            assert_eq!(stored(&store).expect("read"), [line.clone(), other.clone()], "{torn}");
        }
        let held = File::open(&file).expect("opened");
        held.lock().expect("nobody else holds it");
        let error = import(&store, &[other]).expect_err("held").to_string();
        assert!(error.contains("another import"), "{error}");
    }

    #[test]
    fn a_revision_is_stored_only_if_it_was_the_one_that_was_measured() {
        let root = tempfile::tempdir().expect("a directory");
        let (git, criterion) = (root.path().join(".git"), root.path().join("target/criterion"));
        let new = criterion.join("judge/registers/new");
        write(&new, 5.0);
        fs::create_dir_all(git.join("logs")).expect("made");
        fs::write(git.join("HEAD"), "a".repeat(40)).expect("written");
        let revision = || read(&criterion).expect("read").remove(0).revision;
        assert_eq!(revision(), None, "nobody knows since when it is checked out");
        let log = File::create(git.join("logs/HEAD")).expect("made");
        let since = |time: SystemTime| log.set_modified(time).expect("set");
        let measured = fs::metadata(new.join("estimates.json")).and_then(|file| file.modified()).expect("a time");
        since(measured - Duration::from_secs(3_600));
        assert_eq!(revision(), Some("a".repeat(40)));
        since(measured + Duration::from_secs(3_600));
        assert_eq!(revision(), None, "checked out after the measurement");
    }
}
