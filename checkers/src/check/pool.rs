//! Keys on a bounded pool of threads, worst first, until all are judged or one is in violation.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::judge::Judge;
use super::{Algorithm, CheckOptions, KeyResult, Outcome};
use crate::describe::key_phrase;
use crate::key::KeyHistory;
use crate::model::ModelSpec;
use crate::search::Limits;

/// More for more operations, and much more for unknown outcomes, which stay concurrent with everything after them.
fn promised_work(key: &KeyHistory<'_>) -> usize {
    key.places.len().saturating_mul(1 + key.unknown)
}

/// The key that promises the most work first.
pub(super) fn worst_first(mut keys: Vec<KeyHistory<'_>>) -> Vec<KeyHistory<'_>> {
    keys.sort_by_cached_key(|key| std::cmp::Reverse(promised_work(key)));
    keys
}

/// Judges the keys in their order. Each result comes with the place of its key; those of keys that were left out because another is
/// in violation are missing.
pub(super) fn judge_all(
    keys: &[KeyHistory<'_>],
    spec: &ModelSpec,
    algorithm: Algorithm,
    options: &CheckOptions,
    start: Instant,
) -> Vec<(usize, KeyResult)> {
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
    .clamp(1, keys.len().max(1));
    let pool = Pool {
        spec,
        algorithm,
        keys,
        deadline: start + options.budget.time,
        memory: Shares::of(options.budget.memory_bytes, threads, keys),
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        results: Mutex::new(Vec::with_capacity(keys.len())),
    };
    pool.run(threads)
}

/// How much memory a key may use: half of the budget is shared evenly by the keys that are judged at a time, half by the work that
/// they promise. Together they stay within the budget, since no keys judged at a time promise more than the worst ones.
struct Shares {
    even: usize,
    by_work: usize,
    work_at_a_time: u128,
}

impl Shares {
    /// The keys come worst first.
    fn of(bytes: usize, threads: usize, keys: &[KeyHistory<'_>]) -> Self {
        let work_at_a_time: u128 = keys.iter().take(threads).map(|key| promised_work(key) as u128).sum();
        Self { even: bytes / 2 / threads, by_work: bytes / 2, work_at_a_time: work_at_a_time.max(1) }
    }

    fn of_key(&self, key: &KeyHistory<'_>) -> usize {
        let share = self.by_work as u128 * promised_work(key) as u128 / self.work_at_a_time;
        self.even + usize::try_from(share).unwrap_or(self.by_work)
    }
}

struct Pool<'a, 'h> {
    spec: &'a ModelSpec,
    algorithm: Algorithm,
    keys: &'a [KeyHistory<'h>],
    deadline: Instant,
    memory: Shares,
    next: AtomicUsize,
    stop: AtomicBool,
    results: Mutex<Vec<(usize, KeyResult)>>,
}

impl Pool<'_, '_> {
    fn run(self, threads: usize) -> Vec<(usize, KeyResult)> {
        if threads <= 1 {
            self.work();
        } else {
            match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
                Ok(pool) => pool.scope(|scope| (0..threads).for_each(|_| scope.spawn(|_| self.work()))),
                // No threads to be had: one is enough for an answer.
                Err(_) => self.work(),
            }
        }
        let mut results = self.results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_by_key(|(place, _)| *place);
        results
    }

    fn work(&self) {
        let mut judge = Judge::new(self.spec, self.algorithm);
        while !self.stop.load(Ordering::Relaxed) {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(key) = self.keys.get(place) else { return };
            let result = match self.judge(&mut judge, key) {
                (Outcome::Unknown(why), by) => (Outcome::Unknown(format!("{}: {why}", key_phrase(key.key))), by),
                other => other,
            };
            if matches!(result.0, Outcome::Invalid(_)) {
                self.stop.store(true, Ordering::Relaxed);
            }
            self.results.lock().unwrap_or_else(PoisonError::into_inner).push((place, result));
        }
    }

    fn judge(&self, judge: &mut Judge<'_>, key: &KeyHistory<'_>) -> KeyResult {
        if Instant::now() >= self.deadline {
            return (Outcome::Unknown("the time budget ended before this key's turn".into()), "none");
        }
        let limits = Limits { deadline: self.deadline, memory_bytes: self.memory.of_key(key), cancelled: &self.stop };
        catch_unwind(AssertUnwindSafe(|| judge.judge(*key, limits)))
            .unwrap_or_else(|panic| (Outcome::Unknown(crash(&*panic)), "none"))
    }
}

fn crash(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the checker crashed ({}); this is a defect of the checker", message.unwrap_or("no message"))
}
