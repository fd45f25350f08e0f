//! How long the judge takes, and how much memory.
//!
//! First the bars, each measured in a process of its own and printed with its limit; then criterion's benches.

mod bars;
mod outside;
mod simulated;

use checkers::history::{History, Value};
use checkers::model::{ModelKind, ModelSpec};
use checkers::verdict::{Judgement, Verdict};
use checkers::{CheckOptions, check};
use criterion::{BenchmarkId, Criterion, criterion_group};
use simulated::Simulated;

fn judge(history: &History, model: ModelKind, expected: Verdict) -> Judgement {
    let spec = ModelSpec { model, initial: Value::Nil };
    let judgement = check(history, &spec, &CheckOptions::default()).expect("the history fits the model");
    assert_eq!(judgement.verdict, expected, "{}", judgement.reason);
    judgement
}

fn benches(criterion: &mut Criterion) {
    let cases = [
        ("register, 1M", Simulated::register(1_000_000, 10)),
        ("register, 100k, 1000 unknown", Simulated { unknown: 1000, ..Simulated::register(100_000, 10) }),
        ("register, 1M, one stale read", Simulated { stale: true, ..Simulated::register(1_000_000, 10) }),
        (
            "cas, 100k, refused without a value, 100 unknown",
            Simulated { cas: true, unknown: 100, ..Simulated::register(100_000, 10) },
        ),
        ("cas over 5 values, 1k", Simulated { cas: true, domain: Some(5), ..Simulated::register(1000, 10) }),
        (
            "cas over 5 values, 1k, 30 unknown",
            Simulated { unknown: 30, cas: true, domain: Some(5), ..Simulated::register(1000, 10) },
        ),
    ];
    let mut group = criterion.benchmark_group("check");
    group.sample_size(10);
    for (name, case) in cases {
        let history = case.history(1);
        let model = if case.cas { ModelKind::CasRegister } else { ModelKind::Register };
        let expected = if case.stale { Verdict::Invalid } else { Verdict::Valid };
        group.bench_with_input(BenchmarkId::from_parameter(name), &history, |bencher, history| {
            bencher.iter(|| judge(history, model, expected));
        });
    }
    group.finish();
}

criterion_group!(all, benches);

fn main() {
    if bars::is_child() {
        bars::measure();
        return;
    }
    // Cargo passes `--bench` when the figures are wanted, and not when it only tests that benches run.
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == "--bench") && arguments.count() == 1 {
        bars::print();
    }
    all();
    Criterion::default().configure_from_args().final_summary();
}
