//! How long the judge takes.

mod simulated;

use checkers::history::{History, Value};
use checkers::model::{ModelKind, ModelSpec};
use checkers::verdict::Verdict;
use checkers::{CheckOptions, check};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use simulated::Simulated;

fn judge(history: &History, model: ModelKind, expected: Verdict) {
    let spec = ModelSpec { model, initial: Value::Nil };
    let judgement = check(history, &spec, &CheckOptions::default()).expect("the history fits the model");
    assert_eq!(judgement.verdict, expected, "{}", judgement.reason);
}

fn benches(criterion: &mut Criterion) {
    let base = Simulated { operations: 0, clients: 10, unknown: 0, stale: false, cas_domain: None };
    let cases = [
        ("register, 1M", Simulated { operations: 1_000_000, ..base }),
        ("register, 100k, 1000 unknown", Simulated { operations: 100_000, unknown: 1000, ..base }),
        ("register, 1M, one stale read", Simulated { operations: 1_000_000, stale: true, ..base }),
        ("cas over 5 values, 1k", Simulated { operations: 1000, cas_domain: Some(5), ..base }),
        ("cas over 5 values, 1k, 30 unknown", Simulated { operations: 1000, unknown: 30, cas_domain: Some(5), ..base }),
    ];
    let mut group = criterion.benchmark_group("check");
    group.sample_size(10);
    for (name, case) in cases {
        let history = case.history(1);
        let model = if case.cas_domain.is_some() { ModelKind::CasRegister } else { ModelKind::Register };
        let expected = if case.stale { Verdict::Invalid } else { Verdict::Valid };
        group.bench_with_input(BenchmarkId::from_parameter(name), &history, |bencher, history| {
            bencher.iter(|| judge(history, model, expected));
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
