use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::json;

use super::{
    gate::{Gate, GateResult, Threshold, gate},
    *,
};
use crate::{
    exit::ExitCode,
    latency::ThroughputSummary,
    store::{Manifest, Store},
};

/// Without bounds and resamples to speak of: what decides is the rank test.
fn quick() -> Options {
    Options { resamples: 40, ..Options::default() }
}

/// Normal, by the sum of twelve uniform values.
fn normal(rng: &mut Pcg64) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

fn row_of(operation: &str, p50_ms: f64, p99_ms: f64) -> LatencyRow {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few milliseconds")]
    let ns = |ms: f64| (ms * 1e6) as u64;
    LatencyRow {
        operation: operation.to_owned(),
        ending: Ending::Answered,
        measure: Measure::Response,
        count: 5_000,
        min_ns: 1,
        mean_ns: 1.0,
        p50_ns: ns(p50_ms),
        p90_ns: ns(2.0 * p50_ms),
        p99_ns: ns(p99_ms),
        p999_ns: ns(2.0 * p99_ms),
        max_ns: ns(3.0 * p99_ms),
    }
}

/// A run like those of three Raft nodes and 32 clients on two processors: 5 % from run to run that all its figures share, and of each
/// figure's own; a run in twenty met something (a slow disk, another process) that makes it a half slower.
fn run(rng: &mut Pcg64, slowdown: f64) -> Measured {
    let shared = (0.05 * normal(rng)).exp() * if rng.random_bool(0.05) { 1.5 } else { 1.0 } * slowdown;
    let mut own = |spread: f64| (spread * normal(rng)).exp();
    let mut summary = Summary::new("raft", "register", 1);
    summary.throughput = ThroughputSummary { mean: 10_500.0 / shared * own(0.01), lowest: 1, highest: 2 };
    summary.latencies = vec![
        row_of("read", 1.4 * shared * own(0.03), 6.0 * shared * own(0.15)),
        row_of("write", 2.9 * shared * own(0.02), 8.0 * shared * own(0.15)),
    ];
    Measured { run: "20261121-000000-0000".to_owned(), figures: figures(&summary) }
}

fn set(rng: &mut Pcg64, size: usize, slowdown: f64) -> Set {
    Set { name: "a set".to_owned(), runs: (0..size).map(|_| run(rng, slowdown)).collect(), left_out: Vec::new() }
}

fn claims(comparison: &Comparison) -> usize {
    comparison.rows.iter().filter(|row| matches!(row.conclusion, Conclusion::Better | Conclusion::Worse)).count()
}

/// Ten thousand comparisons of equals, five figures each: any claim at all is a false alarm, and they come no oftener than the level says.
/// Figures that hang together and a test of few values keep it below, but not far: what never rings is no alarm.
#[test]
fn equals_are_told_apart_no_oftener_than_the_level_says() {
    let mut rng = Pcg64::seed_from_u64(11);
    for (size, least) in [(8, 100), (12, 100)] {
        let alarms = (0..5_000)
            .filter(|_| {
                let found = compare(&set(&mut rng, size, 1.0), &set(&mut rng, size, 1.0), &quick());
                assert_eq!(found.rows.iter().filter(|row| row.p.is_some()).count(), 5);
                claims(&found) > 0
            })
            .count();
        // 250 of 5,000 are expected at most; 295 is three deviations more.
        assert!((least / 2..=295).contains(&alarms), "{alarms} of 5,000 with {size} runs a side");
    }
}

/// A fifth slower is found at least nine times in ten with ten runs a side: in the throughput and in the medians.
#[test]
fn a_slowdown_of_a_fifth_is_found() {
    let mut rng = Pcg64::seed_from_u64(12);
    let (mut found, mut wrong) = (0, 0);
    for _ in 0..500 {
        let comparison = compare(&set(&mut rng, 10, 1.0), &set(&mut rng, 10, 1.2), &quick());
        let is = |name: &str, conclusion| {
            comparison.rows.iter().any(|row| row.metric.name == name && row.conclusion == conclusion)
        };
        found += usize::from(is("throughput", Conclusion::Worse) && is("read.p50", Conclusion::Worse));
        wrong += comparison.rows.iter().filter(|row| row.conclusion == Conclusion::Better).count();
    }
    assert!(found >= 450 && wrong == 0, "{found} of 500 found, {wrong} told the wrong way");
}

/// What a comparison says it would have found, it finds at least as often as documented, among five figures.
#[test]
fn what_would_have_been_found_is_found() {
    let mut rng = Pcg64::seed_from_u64(13);
    for size in [8, 15] {
        let throughput = |found: &Comparison| found.rows[0].clone();
        let mut least = 0.0;
        for seed in 0..200 {
            let options = Options { resamples: 200, seed, ..Options::default() };
            let row = throughput(&compare(&set(&mut rng, size, 1.0), &set(&mut rng, size, 1.0), &options));
            least += row.detectable_percent.expect("enough runs") / 200.0;
        }
        // Slower by this makes a throughput of less by the same share.
        let slowdown = 1.0 / (1.0 - least / 100.0);
        let is_found = |found: &Comparison| throughput(found).conclusion == Conclusion::Worse;
        let found = (0..1_000)
            .filter(|_| is_found(&compare(&set(&mut rng, size, 1.0), &set(&mut rng, size, slowdown), &quick())))
            .count();
        assert!((700..=930).contains(&found), "{found} of 1,000 at {least} % with {size} runs a side");
    }
}

#[test]
fn too_few_runs_are_no_ground_for_a_claim() {
    let mut rng = Pcg64::seed_from_u64(14);
    for (a, b) in [(1, 1), (3, 20), (20, 3), (4, 4)] {
        // Ten times slower, and still.
        let found = compare(&set(&mut rng, a, 1.0), &set(&mut rng, b, 10.0), &quick());
        assert!(found.rows.iter().all(|row| row.conclusion == Conclusion::TooFew), "{a} and {b}");
        assert!(found.rows.iter().all(|row| row.detectable.is_none()));
    }
    // Of four and four the clearest difference has p = 0.029: enough for one question, not for five.
    let one = Options { metrics: vec!["throughput".to_owned()], ..quick() };
    let found = compare(&set(&mut rng, 4, 1.0), &set(&mut rng, 4, 10.0), &one);
    assert_eq!(found.rows.iter().map(|row| row.conclusion).collect::<Vec<_>>(), [Conclusion::Worse]);
}

#[test]
fn metrics_are_chosen_and_what_never_changes_asks_nothing() {
    let mut rng = Pcg64::seed_from_u64(15);
    let (a, b) = (set(&mut rng, 6, 1.0), set(&mut rng, 6, 1.0));
    let names =
        |options: &Options| compare(&a, &b, options).rows.into_iter().map(|row| row.metric.name).collect::<Vec<_>>();
    assert_eq!(names(&quick()), ["throughput", "read.p50", "read.p99", "write.p50", "write.p99"]);
    let asked = |metrics: &[&str], guarded: &[&str]| Options {
        metrics: metrics.iter().map(|name| (*name).to_owned()).collect(),
        guarded: guarded.iter().map(|name| (*name).to_owned()).collect(),
        ..quick()
    };
    assert_eq!(names(&asked(&["p99"], &["throughput"])), ["throughput", "read.p99", "write.p99"]);
    assert!(names(&asked(&[], &["lowest-second"])).contains(&"lowest-second".to_owned()));
    let all = compare(&a, &b, &asked(&["all"], &[]));
    let constant = all.rows.iter().find(|row| row.metric.name == "leader-changes").expect("all are there");
    assert_eq!((constant.p, constant.conclusion), (None, Conclusion::NoDifference));
    assert!(names(&asked(&["p98"], &[])).is_empty());
}

fn rows(a: f64, b: f64, size: usize) -> Vec<Row> {
    let mut rng = Pcg64::seed_from_u64(16);
    compare(&set(&mut rng, size, a), &set(&mut rng, size, b), &Options::default()).rows
}

/// A figure that has vanished from one side is not guarded by those that are left.
#[test]
fn a_figure_of_one_side_alone_keeps_the_gate_from_opening() {
    let mut rng = Pcg64::seed_from_u64(17);
    let (a, mut b) = (set(&mut rng, 12, 1.0), set(&mut rng, 12, 1.0));
    let gone = a.runs[0].figures[0].metric.clone();
    for run in &mut b.runs {
        run.figures.retain(|figure| figure.metric != gone);
    }
    let found = compare(&a, &b, &Options::default());
    assert_eq!(found.one_sided, std::slice::from_ref(&gone));
    assert!(found.rows.iter().all(|row| row.metric != gone));
    let bound: Threshold = "regression=90%".parse().expect("a bound");
    assert_eq!(gate(&found.rows, &[], std::slice::from_ref(&bound)).result, GateResult::Open);
    let said = gate(&found.rows, &found.one_sided, &[bound]);
    assert_eq!(said.result, GateResult::CannotTell);
    assert!(
        said.findings.iter().any(|finding| finding.metric == gone.name && finding.reason.contains("only one side"))
    );
}

fn told(rows: &[Row], thresholds: &[&str]) -> Gate {
    gate(rows, &[], &thresholds.iter().map(|text| text.parse::<Threshold>().expect("a bound")).collect::<Vec<_>>())
}

#[test]
fn a_gate_closes_for_what_is_worse_by_too_much_and_for_nothing_else() {
    let slower = rows(1.0, 1.3, 10);
    let closed = told(&slower, &["regression=5%"]);
    assert_eq!((closed.result, closed.exit()), (GateResult::Closed, ExitCode::Invalid));
    // So much is allowed for each figure: the most particular bound counts.
    assert_eq!(told(&slower, &["regression=80%"]).result, GateResult::Open);
    assert_eq!(told(&slower, &["regression=5%", "p50=80%", "p99=80%", "throughput=80%"]).result, GateResult::Open);
    assert_eq!(told(&slower, &["regression=80%", "p50=80%", "read.p50=5%"]).result, GateResult::Closed);
    let faster = rows(1.3, 1.0, 10);
    assert_eq!(told(&faster, &["throughput=1%"]).result, GateResult::Open);
}

/// A gate that could not see what it guards against is not open.
#[test]
fn a_gate_that_cannot_see_does_not_open() {
    let alike = rows(1.0, 1.0, 30);
    assert_eq!(told(&alike, &["throughput=15%"]).result, GateResult::Open);
    let blind = told(&alike, &["throughput=0.1%"]);
    assert_eq!((blind.result, blind.exit()), (GateResult::CannotTell, ExitCode::Unknown));
    assert!(blind.findings[0].reason.contains("may have been missed"), "{blind:?}");
    assert_eq!(told(&rows(1.0, 1.5, 3), &["throughput=15%"]).result, GateResult::CannotTell);
    assert_eq!(told(&alike, &["throughput=15%", "p98=5%"]).result, GateResult::CannotTell);
    assert_eq!(told(&[], &["regression=5%"]).result, GateResult::CannotTell);
    assert_eq!(told(&alike, &[]).result, GateResult::CannotTell);
}

#[test]
fn bounds_are_read() {
    let bound = |text: &str| text.parse::<Threshold>();
    assert_eq!(bound("p99=2.5%").expect("a bound"), Threshold { metric: "p99".to_owned(), percent: 2.5 });
    for wrong in ["", "p99", "p99=5", "=5%", "p99=-1%", "p99=x%", "p99=inf%", "p99=NaN%"] {
        let error = bound(wrong).expect_err(wrong).to_string();
        assert!(error.contains("regression=5%"), "{error}");
    }
}

#[test]
fn runs_that_broke_their_promise_do_not_count() {
    use checkers::verdict::Verdict;
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(root.path()).expect("a store");
    for (verdict, error) in [
        (Some(Verdict::Valid), None),
        (Some(Verdict::Invalid), None),
        (Some(Verdict::Valid), Some("broken")),
        (None, None),
    ] {
        let run = store.create_run(&Manifest::here(1, json!({}))).expect("a run");
        if let Some(verdict) = verdict {
            let mut summary = Summary::new("raft", "register", 1);
            (summary.verdict, summary.harness_error) = (verdict, error.map(str::to_owned));
            run.write_verdict(&summary).expect("written");
        }
    }
    let entries = store.entries().expect("listed");
    let (strict, all) = (Set::of("x", &entries, false), Set::of("x", &entries, true));
    assert_eq!((strict.runs.len(), strict.left_out.len()), (1, 3));
    assert_eq!((all.runs.len(), all.left_out.len()), (2, 2));
    let words = strict.left_out.join("; ");
    for why in ["its verdict is invalid", "it was broken off", "it has no verdict"] {
        assert!(words.contains(why), "{words}");
    }
}

#[test]
fn a_comparison_is_told_in_plain_words() {
    let mut rng = Pcg64::seed_from_u64(17);
    let (mut a, mut b) = (set(&mut rng, 10, 1.0), set(&mut rng, 10, 1.2));
    (a.name, b.name) = ("label.build=old".to_owned(), "label.build=new\u{1b}[2J".to_owned());
    for (place, run) in a.runs.iter_mut().enumerate() {
        run.run = format!("20261121-00000{place}-0000");
    }
    b.left_out = vec!["20261121-000000-ffff: its verdict is invalid".to_owned()];
    for run in &mut b.runs {
        run.run = "20261122-000000-0000".to_owned();
    }
    let mut comparison = compare(&a, &b, &Options::default());
    comparison.forced = vec!["rate: 500 in A, 1000 in B".to_owned()];
    comparison.gate = Some(told(&comparison.rows, &["regression=5%"]));
    insta::assert_snapshot!(render(&comparison));
    let text = serde_json::to_string(&comparison).expect("JSON");
    let read = serde_json::from_str::<Comparison>(&text).expect("a comparison");
    assert_eq!((read.a, read.b, read.rows.len()), (comparison.a, comparison.b, comparison.rows.len()));
}

#[test]
fn single_runs_are_described_and_no_more() {
    let summary = |p50| {
        let mut summary = Summary::new("raft", "register", 1);
        summary.latencies = vec![row_of("read", p50, 8.0)];
        summary
    };
    let mut rng = Pcg64::seed_from_u64(18);
    let mut comparison = compare(&set(&mut rng, 1, 1.0), &set(&mut rng, 1, 1.0), &quick());
    comparison.single = single_rows(&summary(1.0), &summary(1.5));
    let text = render(&comparison);
    assert!(text.contains("read    p50          1.00 ms     1.50 ms       +50 %"), "{text}");
    assert!(text.contains("one run a side") && !text.contains("SLOWER"), "{text}");
}
