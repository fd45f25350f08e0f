//! Reading a history: a million operations in the form that a run writes, 235 MB, from memory.

use std::hint::black_box;
use std::time::Duration;

use checkers::history::{Event, EventKind, Format, Function, HistoryWriter, Value, read};
use checkers::model::{ModelKind, ModelSpec};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const OPERATIONS: u64 = 1_000_000;

/// Writes, reads and compare-and-sets of ten clients on a thousand keys, as a run records them.
fn written() -> Vec<u8> {
    let model = ModelSpec { model: ModelKind::CasRegister, initial: Value::Nil };
    let mut writer = HistoryWriter::new(Vec::new(), &model).expect("memory takes everything");
    let mut put = |place: u64, event: Event| {
        // A quarter of a millisecond between events, from a run that has lasted for a while.
        let (index, time) = (Some(place), Some(1_000_000_000 + place * 250_017));
        writer.write(&Event { index, time, ..event }).expect("memory takes everything");
    };
    for operation in 0..OPERATIONS {
        let key = Value::Text(format!("key-{}", operation * 7_919 % 1_000));
        let number = i64::try_from(operation).expect("a million fits");
        let (function, argument, result) = match operation % 4 {
            0 => (Function::Write, number.into(), number.into()),
            1 => {
                let pair = Value::List(vec![(number - 1).into(), number.into()]);
                (Function::Cas, pair.clone(), pair)
            }
            _ => (Function::Read, Value::Nil, (number - number % 4).into()),
        };
        let invoke = Event { key, ..Event::client(operation % 10, EventKind::Invoke, function, argument) };
        let ok = Event { kind: EventKind::Ok, value: result, ..invoke.clone() };
        put(2 * operation, invoke);
        put(2 * operation + 1, ok);
    }
    writer.into_inner()
}

/// The same lines as a person would write them: blanks between the members, so that nothing is as expected.
fn reformatted(bytes: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).expect("JSON is UTF-8");
    let lines = text.lines().map(|line| {
        let (members, _) = line.split_once(",\"crc\"").expect("every line that is written has a checksum");
        format!("{}}}\n", members.replace(",\"", ", \""))
    });
    lines.collect::<String>().into_bytes()
}

fn reading(criterion: &mut Criterion) {
    let own = written();
    let foreign = reformatted(&own);
    let mut group = criterion.benchmark_group("read");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(10));
    for (name, bytes) in [("as written by trueline", &own), ("as written by others", &foreign)] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_with_input(BenchmarkId::new(name, OPERATIONS), bytes, |bencher, bytes| {
            bencher.iter(|| black_box(read(&bytes[..], Format::Jsonl).expect("it was written so")));
        });
    }
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
