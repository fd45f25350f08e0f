//! The searches keep to their budgets, and make use of them.

#![expect(unsafe_code, reason = "an allocator that counts is one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use checkers::history::{Action, History, Operation, Value};
use checkers::model::{ModelKind, ModelSpec};
use checkers::verdict::{Judgement, Verdict};
use checkers::{Algorithm, Budget, CheckOptions, check_with};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// Counts what is allocated now, and the most that ever was.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn grew(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: everything is handed to the system's allocator as it came; counting does not touch the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grew(layout.size());
        // SAFETY: the caller's promise is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    // Large blocks are remapped, not copied: only the growth counts.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > layout.size() {
            grew(size - layout.size());
        } else {
            NOW.fetch_sub(layout.size() - size, Ordering::Relaxed);
        }
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The tests of this binary go one at a time: the counters are for all threads.
static ALONE: Mutex<()> = Mutex::new(());

/// Operations that are all concurrent, then a read of a value that only one of very many orders leaves, if any.
fn hopeless(operations: u64, unknown: u64, lists: bool) -> (History, ModelSpec) {
    let mut random = Pcg64::seed_from_u64(7);
    let any = |random: &mut Pcg64| Value::Int(random.random_range(1..=5));
    let mut all: Vec<Operation> = (0..operations)
        .map(|process| {
            let action = match random.random_range(0..4) {
                _ if lists => Action::Append(Value::Int(process.cast_signed())),
                0 => Action::Write(any(&mut random)),
                _ => Action::Cas { old: any(&mut random), new: any(&mut random) },
            };
            let operation = Operation::invoked(process, action, process);
            if process < unknown { operation } else { operation.done(1000 + process) }
        })
        .collect();
    let nobody_wrote = if lists { Value::List(vec![Value::Int(-1)]) } else { Value::Int(6) };
    all.push(Operation::invoked(5000, Action::Read, 3000).returned(4000, nobody_wrote));
    let model = if lists { ModelKind::ListAppend } else { ModelKind::CasRegister };
    (History::from_operations(all).expect("well-formed"), ModelSpec { model, initial: Value::Nil })
}

/// The judgement, and how much more memory than before was held at most.
fn measured(case: &(History, ModelSpec), algorithm: Algorithm, budget: Budget) -> (Judgement, usize) {
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let options = CheckOptions { budget, threads: 1 };
    let judgement = check_with(&case.0, &case.1, &options, algorithm).expect("the history fits the model");
    (judgement, MOST.load(Ordering::Relaxed) - before)
}

#[test]
fn a_search_that_gives_up_on_memory_used_its_budget_and_not_a_tenth_more() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // With few operations open, more than a word of them, more than four words, and states that are large themselves.
    let cases = [(40, 0, false), (80, 30, false), (300, 20, false), (30, 5, true)];
    for ((operations, unknown, lists), budgets) in cases.into_iter().zip([[1, 8], [2, 4], [4, 6], [1, 3]]) {
        let case = hopeless(operations, unknown, lists);
        for mebibytes in budgets {
            let budget = Budget { time: Duration::from_secs(300), memory_bytes: mebibytes << 20 };
            let (judgement, held) = measured(&case, Algorithm::Frontier, budget);
            let what = format!("{operations} operations, {mebibytes} MiB: held {held}, {}", judgement.reason);
            assert_eq!(judgement.verdict, Verdict::Unknown, "{what}");
            assert!(judgement.reason.contains("the memory budget ended at event"), "{what}");
            assert_eq!(judgement.reason.contains("with 0 operations of unknown"), unknown == 0 || lists, "{what}");
            assert!(10 * held <= 11 * budget.memory_bytes, "{what}");
            assert!(2 * held >= budget.memory_bytes, "{what}");
        }
    }
}

#[test]
fn searches_that_are_told_to_stop_are_back_in_time_and_within_their_memory() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (operations, unknown, lists) in [(40, 0, false), (300, 100, false), (300, 20, true)] {
        let case = hopeless(operations, unknown, lists);
        for algorithm in [Algorithm::Search, Algorithm::Frontier, Algorithm::DepthFirst] {
            let budget = Budget { time: Duration::from_millis(400), memory_bytes: 16 << 20 };
            let start = Instant::now();
            let (judgement, held) = measured(&case, algorithm, budget);
            let took = start.elapsed();
            let what = format!("{operations} operations, {algorithm:?}: {took:?}, held {held}, {}", judgement.reason);
            assert_eq!(judgement.verdict, Verdict::Unknown, "{what}");
            assert!(judgement.reason.contains("budget ended at event"), "{what}");
            // Half a second for other processes that want the processor.
            assert!(took <= budget.time * 11 / 10 + Duration::from_millis(500), "{what}");
            assert!(10 * held <= 11 * budget.memory_bytes, "{what}");
        }
    }
}
