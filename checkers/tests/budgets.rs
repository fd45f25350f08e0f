//! Budgets end a check with `unknown`, never with a verdict; a violation ends it early.

use std::time::{Duration, Instant};

use checkers::history::{Action, History, Operation, Value};
use checkers::model::{ModelKind, ModelSpec};
use checkers::verdict::{Judgement, Verdict};
use checkers::{Budget, CheckOptions, check};

/// One client that writes new values and reads each.
fn writes_and_reads(key: i64, count: i64) -> impl Iterator<Item = Operation> {
    (0..count).map(move |number| {
        let time = 2 * number as u64;
        let operation = |action| Operation::invoked(key as u64, action, time).on(Value::Int(key));
        match number % 2 {
            0 => operation(Action::Write(Value::Int(number))).done(time + 1),
            _ => operation(Action::Read).returned(time + 1, Value::Int(number - 1)),
        }
    })
}

fn judge(operations: impl IntoIterator<Item = Operation>, budget: Budget) -> Judgement {
    let history = History::from_operations(operations).expect("it keeps the rules");
    let spec = ModelSpec { model: ModelKind::Register, initial: Value::Nil };
    check(&history, &spec, &CheckOptions { budget, threads: 1 }).expect("it fits the model")
}

#[test]
fn a_fast_test_that_needs_more_memory_than_it_may_have_says_how_much() {
    let budget = Budget { memory_bytes: 10_000, ..Budget::default() };
    let judgement = judge(writes_and_reads(7, 1000), budget);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    assert!(judgement.reason.contains("key 7: the memory budget is too small"), "{}", judgement.reason);
    assert!(judgement.reason.contains("it needs up to 1 MiB"), "{}", judgement.reason);
    assert_eq!(judge(writes_and_reads(7, 1000), Budget::default()).verdict, Verdict::Valid);
}

#[test]
fn a_fast_test_notices_in_time_that_its_time_is_over() {
    let budget = Budget { time: Duration::from_millis(1), ..Budget::default() };
    let start = Instant::now();
    let operations: Vec<Operation> = writes_and_reads(7, 300_000).collect();
    let to_make = start.elapsed();
    let judgement = judge(operations, budget);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    assert!(judgement.reason.contains("the time budget ended"), "{}", judgement.reason);
    assert!(judgement.elapsed < to_make + Duration::from_secs(1), "it took {:?}", judgement.elapsed);
}

#[test]
fn a_violation_on_one_key_stops_the_others_and_says_so() {
    let stale = Operation::invoked(99, Action::Read, 5000).on(1).returned(5001, 0);
    let operations = writes_and_reads(1, 1000).chain(writes_and_reads(2, 10)).chain([stale]);
    let judgement = judge(operations, Budget::default());
    assert_eq!(judgement.verdict, Verdict::Invalid);
    assert!(judgement.reason.ends_with("The check stopped there: 1 of 2 keys are undecided."), "{}", judgement.reason);
}
