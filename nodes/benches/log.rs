//! How many records a second become durable, by the number that share one sync.
//!
//! Measures the disk under `TMPDIR`; the gap between batch sizes is what group commit is for.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use nodes::storage::{Log, files::Owner};

/// About what one small write through Raft stores.
const RECORD: [u8; 64] = [7; 64];

fn append_and_sync(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let owner = Owner { cluster: "bench".to_owned(), node: 1 };
    let mut log = Log::open::<Vec<u8>>(dir.path(), &owner).expect("an empty log").log;
    let mut group = criterion.benchmark_group("append+sync");
    group.sample_size(20);
    for batch in [1_u64, 8, 64, 512] {
        group.throughput(Throughput::Elements(batch));
        group.bench_with_input(BenchmarkId::from_parameter(batch), &batch, |bencher, &batch| {
            bencher.iter(|| {
                for _ in 0..batch {
                    log.append(black_box(&RECORD.as_slice())).expect("a small record");
                }
                log.sync().expect("a working disk");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, append_and_sync);
criterion_main!(benches);
