//! Each model with histories that must be rejected, one a category, and with some that look wrong and are not.

use checkers::history::{Action, History, OpIndex, Operation, Value};
use checkers::model::{ModelKind, ModelSpec};
use checkers::verdict::{Anomaly, Judgement, Verdict};
use checkers::{Algorithm, CheckError, CheckOptions, check, check_with};

fn spec(model: ModelKind, initial: impl Into<Value>) -> ModelSpec {
    ModelSpec { model, initial: initial.into() }
}

/// All algorithms must agree; the judgement is that of the one which decides by itself.
fn judge(spec: &ModelSpec, operations: &[Operation]) -> Judgement {
    let history = History::from_operations(operations.to_vec()).expect("a well-formed history");
    let judge = |algorithm| {
        check_with(&history, spec, &CheckOptions::default(), algorithm).expect("the history fits the model")
    };
    let judgement = judge(Algorithm::Auto);
    for algorithm in [Algorithm::Frontier, Algorithm::DepthFirst] {
        assert_eq!(judge(algorithm).verdict, judgement.verdict, "{algorithm:?}: {operations:#?}");
    }
    judgement
}

fn accepted(spec: &ModelSpec, operations: &[Operation]) {
    let judgement = judge(spec, operations);
    assert_eq!(judgement.verdict, Verdict::Valid, "{}", judgement.reason);
}

/// Invalid, decided by this algorithm, of this kind, with these operations among those named.
fn rejected(spec: &ModelSpec, operations: &[Operation], by: &str, anomaly: Anomaly, named: &[u32]) {
    let judgement = judge(spec, operations);
    assert_eq!(judgement.verdict, Verdict::Invalid, "{}", judgement.reason);
    assert_eq!(judgement.decided_by, by, "{}", judgement.reason);
    let violation = judgement.violation.expect("an invalid verdict has a violation");
    assert_eq!(violation.anomaly, anomaly, "{:?}", violation.sentences);
    for operation in named {
        assert!(violation.operations.contains(&OpIndex(*operation)), "{operation} is missing: {violation:?}");
    }
}

fn refused(spec: &ModelSpec, operations: &[Operation]) -> CheckError {
    let history = History::from_operations(operations.to_vec()).expect("a well-formed history");
    check(&history, spec, &CheckOptions::default()).expect_err("the history does not fit the model")
}

/// An operation of a process of its own, since only real time matters here.
fn operation(action: Action, invoke: u64) -> Operation {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Operation::invoked(NEXT.fetch_add(1, Ordering::Relaxed), action, invoke)
}

fn read(invoke: u64, ret: u64, value: impl Into<Value>) -> Operation {
    operation(Action::Read, invoke).returned(ret, value)
}

fn list(elements: &[i64]) -> Value {
    Value::List(elements.iter().map(|element| Value::Int(*element)).collect())
}

mod sets {
    use super::*;

    const BY: &str = "set-order";

    fn set() -> ModelSpec {
        spec(ModelKind::Set, Value::Nil)
    }

    fn add(invoke: u64, ret: u64, element: i64) -> Operation {
        operation(Action::Add(element.into()), invoke).done(ret)
    }

    fn holds(invoke: u64, ret: u64, elements: &[i64]) -> Operation {
        read(invoke, ret, list(elements))
    }

    #[test]
    fn a_lost_element() {
        let history = [add(0, 1, 1), add(0, 2, 2), holds(3, 4, &[2])];
        rejected(&set(), &history, BY, Anomaly::LostWrite, &[0, 2]);
    }

    #[test]
    fn a_lost_initial_element() {
        let history = [add(0, 1, 1), holds(3, 4, &[1])];
        rejected(&spec(ModelKind::Set, list(&[7])), &history, BY, Anomaly::LostWrite, &[1]);
    }

    #[test]
    fn a_stale_read() {
        let history = [add(0, 9, 1), holds(1, 2, &[1]), holds(3, 4, &[]), holds(5, 6, &[1])];
        rejected(&set(), &history, BY, Anomaly::StaleRead, &[0, 1, 2]);
        let history = [add(0, 1, 1), holds(2, 3, &[]), holds(4, 5, &[1])];
        rejected(&set(), &history, BY, Anomaly::StaleRead, &[0, 1]);
    }

    #[test]
    fn a_read_of_what_nobody_added() {
        rejected(&set(), &[add(0, 1, 1), holds(2, 3, &[1, 5])], BY, Anomaly::ReadOfUnwritten, &[1]);
    }

    #[test]
    fn a_phantom() {
        let history = [operation(Action::Add(1.into()), 0).failed(1), holds(2, 3, &[1])];
        rejected(&set(), &history, BY, Anomaly::Phantom, &[0, 1]);
    }

    #[test]
    fn a_read_from_the_future() {
        rejected(&set(), &[holds(0, 1, &[1]), add(2, 3, 1)], BY, Anomaly::ReadFromFuture, &[0, 1]);
    }

    #[test]
    fn an_element_twice() {
        let history = [add(0, 1, 1), holds(2, 3, &[1, 1])];
        rejected(&set(), &history, "type-of-read", Anomaly::DuplicatedAppend, &[1]);
    }

    #[test]
    fn two_reads_neither_inside_the_other() {
        // Element by element nothing is wrong with it.
        let history = [add(0, 9, 1), add(0, 9, 2), holds(1, 8, &[1]), holds(1, 8, &[2])];
        rejected(&set(), &history, BY, Anomaly::NotLinearizable, &[2, 3]);
    }

    #[test]
    fn additions_in_the_wrong_order() {
        let history = [add(0, 1, 1), holds(0, 9, &[2]), add(2, 3, 2), holds(4, 5, &[1, 2])];
        rejected(&set(), &history, BY, Anomaly::StaleRead, &[0, 1, 2]);
    }

    #[test]
    fn what_looks_wrong_and_is_not() {
        // The order inside a set means nothing; touching intervals are concurrent; an unanswered addition may have happened, or not.
        accepted(&set(), &[add(0, 1, 1), add(2, 3, 2), holds(4, 5, &[2, 1])]);
        accepted(&set(), &[add(0, 1, 1), holds(1, 2, &[])]);
        accepted(&set(), &[operation(Action::Add(1.into()), 0), holds(1, 2, &[]), holds(3, 4, &[1])]);
        accepted(&set(), &[operation(Action::Add(1.into()), 0), holds(1, 2, &[]), holds(3, 4, &[])]);
        accepted(&set(), &[add(0, 1, 1), add(2, 3, 1), holds(4, 5, &[1])]);
    }
}

mod queues {
    use super::*;

    const BY: &str = "queue-order";

    fn queue() -> ModelSpec {
        spec(ModelKind::Queue, Value::Nil)
    }

    fn put(invoke: u64, ret: u64, value: i64) -> Operation {
        operation(Action::Enqueue(value.into()), invoke).done(ret)
    }

    fn take(invoke: u64, ret: u64, value: impl Into<Value>) -> Operation {
        operation(Action::Dequeue, invoke).returned(ret, value)
    }

    fn nothing(invoke: u64, ret: u64) -> Operation {
        take(invoke, ret, Value::Nil)
    }

    #[test]
    fn a_value_that_nobody_put_in() {
        rejected(&queue(), &[put(0, 1, 1), take(2, 3, 5)], BY, Anomaly::ReadOfUnwritten, &[1]);
    }

    #[test]
    fn a_phantom() {
        let history = [operation(Action::Enqueue(1.into()), 0).failed(1), take(2, 3, 1)];
        rejected(&queue(), &history, BY, Anomaly::Phantom, &[0, 1]);
    }

    #[test]
    fn a_value_from_the_future() {
        rejected(&queue(), &[take(0, 1, 1), put(2, 3, 1)], BY, Anomaly::ReadFromFuture, &[0, 1]);
    }

    #[test]
    fn a_value_taken_twice() {
        let history = [put(0, 1, 1), take(2, 3, 1), take(2, 3, 1)];
        rejected(&queue(), &history, BY, Anomaly::DuplicatedDequeue, &[0, 1, 2]);
    }

    #[test]
    fn two_values_in_the_wrong_order() {
        let history = [put(0, 1, 1), put(2, 3, 2), take(4, 5, 2), take(6, 7, 1)];
        rejected(&queue(), &history, BY, Anomaly::ReorderedDequeue, &[0, 1, 2, 3]);
    }

    #[test]
    fn a_lost_value() {
        let history = [put(0, 1, 1), put(2, 3, 2), take(4, 5, 2)];
        rejected(&queue(), &history, BY, Anomaly::LostWrite, &[0, 1, 2]);
        // An initial value that is passed over.
        let judgement = judge(&spec(ModelKind::Queue, list(&[7])), &[put(0, 1, 1), take(2, 3, 1)]);
        assert_eq!((judgement.verdict, judgement.decided_by), (Verdict::Invalid, BY), "{}", judgement.reason);
    }

    #[test]
    fn found_empty_though_a_value_stays_in_it() {
        rejected(&queue(), &[put(0, 1, 1), nothing(2, 3)], BY, Anomaly::LostWrite, &[0, 1]);
    }

    #[test]
    fn found_empty_though_at_every_moment_some_value_was_there() {
        let history =
            [put(0, 1, 1), nothing(2, 9), put(3, 4, 2), take(5, 6, 1), put(6, 6, 3), take(7, 8, 2), take(10, 11, 3)];
        rejected(&queue(), &history, BY, Anomaly::StaleRead, &[1]);
        // One moment between 1 and 2 is enough.
        let history = [put(0, 1, 1), nothing(2, 9), take(3, 5, 1), put(5, 6, 2), take(10, 11, 2)];
        accepted(&queue(), &history);
    }

    #[test]
    fn what_looks_wrong_and_is_not() {
        // Put in at the same time, or taken at the same time; an unanswered enqueue that was taken, or not.
        accepted(&queue(), &[put(0, 2, 1), put(1, 3, 2), take(4, 5, 2), take(6, 7, 1)]);
        accepted(&queue(), &[put(0, 1, 1), put(2, 3, 2), take(4, 6, 2), take(5, 7, 1)]);
        accepted(&queue(), &[operation(Action::Enqueue(1.into()), 0), nothing(1, 2), take(3, 4, 1), nothing(5, 6)]);
        accepted(&queue(), &[operation(Action::Enqueue(1.into()), 0), put(1, 2, 2), take(3, 4, 2), nothing(5, 6)]);
        accepted(&spec(ModelKind::Queue, list(&[7, 8])), &[take(0, 1, 7), put(0, 1, 1), take(2, 3, 8), take(4, 5, 1)]);
    }

    #[test]
    fn unknown_dequeues_are_for_the_searches() {
        let unanswered = operation(Action::Dequeue, 2);
        let passed_over = [put(0, 1, 1), unanswered.clone(), put(2, 3, 2), take(4, 5, 2)];
        accepted(&queue(), &passed_over);
        let judgement = judge(&queue(), &[put(0, 1, 1), put(2, 3, 2), put(4, 5, 3), unanswered, take(6, 7, 3)]);
        assert_eq!(judgement.verdict, Verdict::Invalid);
        assert_eq!(judgement.decided_by, "depth-first");
        // One that took something, nobody knows what, needs something to take.
        assert_eq!(judge(&queue(), &[operation(Action::Dequeue, 2).done(3)]).verdict, Verdict::Invalid);
    }
}

mod counters {
    use super::*;

    fn counter() -> ModelSpec {
        spec(ModelKind::Counter, Value::Nil)
    }

    fn add(invoke: u64, ret: u64, more: i64) -> Operation {
        operation(Action::Add(more.into()), invoke).done(ret)
    }

    #[test]
    fn a_lost_addition() {
        let judgement = judge(&counter(), &[add(0, 1, 2), add(0, 1, 3), read(2, 3, 3)]);
        assert_eq!(judgement.verdict, Verdict::Invalid);
    }

    #[test]
    fn a_sum_that_goes_back() {
        // Within the bounds of each read: only their order is wrong.
        let history = [operation(Action::Add(1.into()), 0), read(1, 2, 1), read(3, 4, 0)];
        assert_eq!(judge(&counter(), &history).verdict, Verdict::Invalid);
        let history = [operation(Action::Add(1.into()), 0), read(1, 2, 0), read(3, 4, 1)];
        accepted(&counter(), &history);
    }

    #[test]
    fn sums_do_not_wrap_round() {
        let history = [add(0, 1, i64::MAX), add(2, 3, i64::MAX), add(4, 5, 2), read(6, 7, 0)];
        assert_eq!(judge(&counter(), &history).verdict, Verdict::Invalid);
        let history = [add(0, 1, i64::MAX), add(2, 3, i64::MAX), add(4, 5, -i64::MAX), read(6, 7, i64::MAX)];
        accepted(&counter(), &history);
    }

    #[test]
    fn text_is_an_error_where_it_was_added_and_a_violation_where_it_was_read() {
        assert!(matches!(
            refused(&counter(), &[operation(Action::Add("1".into()), 0).done(1)]),
            CheckError::ForeignValue { operation: OpIndex(0), .. }
        ));
        rejected(&counter(), &[read(0, 1, "1")], "type-of-read", Anomaly::ReadOfUnwritten, &[0]);
    }
}

mod locks {
    use super::*;

    fn lock() -> ModelSpec {
        spec(ModelKind::Lock, Value::Nil)
    }

    fn acquire(invoke: u64, ret: u64, owner: i64) -> Operation {
        operation(Action::Acquire(owner.into()), invoke).done(ret)
    }

    fn release(invoke: u64, ret: u64, owner: i64) -> Operation {
        operation(Action::Release(owner.into()), invoke).done(ret)
    }

    const BY: &str = "lock-zones";

    #[test]
    fn two_holders() {
        let history = [acquire(0, 1, 1), acquire(2, 3, 2), release(4, 5, 1), release(6, 7, 2)];
        rejected(&lock(), &history, BY, Anomaly::BrokenLock, &[0, 1]);
        // Neither gives it back.
        rejected(&lock(), &[acquire(0, 9, 1), acquire(0, 9, 2)], BY, Anomaly::BrokenLock, &[0, 1]);
        let judgement = judge(&spec(ModelKind::Lock, 7), &[acquire(0, 1, 1)]);
        assert_eq!((judgement.verdict, judgement.decided_by), (Verdict::Invalid, BY), "{}", judgement.reason);
    }

    #[test]
    fn a_short_hold_inside_a_longer_one() {
        let history = [acquire(0, 1, 1), acquire(2, 5, 2), release(6, 7, 2), release(8, 9, 1)];
        rejected(&lock(), &history, BY, Anomaly::BrokenLock, &[]);
    }

    #[test]
    fn a_release_by_another() {
        rejected(&lock(), &[acquire(0, 1, 1), release(2, 3, 2)], BY, Anomaly::BrokenLock, &[1]);
    }

    #[test]
    fn a_second_acquisition_by_the_owner() {
        let judgement = judge(&lock(), &[acquire(0, 1, 1), acquire(2, 3, 1)]);
        assert_eq!((judgement.verdict, judgement.decided_by), (Verdict::Invalid, BY), "{}", judgement.reason);
    }

    #[test]
    fn what_looks_wrong_and_is_not() {
        // Both wait, one gets it when the other gives it back; an unanswered release may have happened; a refusal says nothing.
        accepted(&lock(), &[acquire(0, 1, 1), acquire(2, 9, 2), release(3, 4, 1)]);
        accepted(&lock(), &[acquire(0, 1, 1), operation(Action::Release(1.into()), 2), acquire(3, 4, 2)]);
        accepted(&lock(), &[acquire(0, 1, 1), operation(Action::Acquire(2.into()), 2).failed(3), release(4, 5, 1)]);
        accepted(&spec(ModelKind::Lock, 7), &[release(0, 1, 7), acquire(2, 3, 1)]);
    }
}

mod multi_registers {
    use super::*;

    fn object() -> ModelSpec {
        spec(ModelKind::MultiRegister, Value::Nil)
    }

    fn part(function: &str, register: &str, value: impl Into<Value>) -> Value {
        Value::List(vec![function.into(), register.into(), value.into()])
    }

    /// The answer is what was asked, with the results of reads.
    fn txn(invoke: u64, ret: u64, answer: &[Value]) -> Operation {
        let asked = answer.iter().map(|part| match part {
            Value::List(part) if part[0] == Value::from("r") => {
                Value::List(vec![part[0].clone(), part[1].clone(), Value::Nil])
            }
            part => part.clone(),
        });
        operation(Action::Txn(Value::List(asked.collect())), invoke).returned(ret, answer.to_vec())
    }

    #[test]
    fn half_a_transaction() {
        let history = [
            txn(0, 9, &[part("w", "x", 1), part("w", "y", 1)]),
            txn(1, 2, &[part("r", "x", 1), part("r", "y", Value::Nil)]),
        ];
        assert_eq!(judge(&object(), &history).verdict, Verdict::Invalid);
    }

    #[test]
    fn a_lost_append() {
        let history =
            [txn(0, 1, &[part("append", "l", 1)]), txn(2, 3, &[part("append", "l", 2), part("r", "l", list(&[2]))])];
        assert_eq!(judge(&object(), &history).verdict, Verdict::Invalid);
    }

    #[test]
    fn a_violation_in_one_of_two_parts() {
        let good = |at| txn(at, at + 1, &[part("w", "a", 1), part("r", "b", Value::Nil)]);
        let stale = [txn(0, 1, &[part("w", "x", 1)]), good(2), txn(4, 5, &[part("r", "x", Value::Nil)])];
        assert_eq!(judge(&object(), &stale).verdict, Verdict::Invalid);
        let fresh = [txn(0, 1, &[part("w", "x", 1)]), good(2), txn(4, 5, &[part("r", "x", 1)])];
        accepted(&object(), &fresh);
    }

    #[test]
    fn what_looks_wrong_and_is_not() {
        // Its own writes are seen; the empty list is absent; a transaction without an answer may have happened.
        accepted(&object(), &[txn(0, 1, &[part("r", "x", Value::Nil), part("w", "x", 1), part("r", "x", 1)])]);
        accepted(&object(), &[txn(0, 1, &[part("r", "l", list(&[]))]), txn(2, 3, &[part("append", "l", 1)])]);
        let unanswered = operation(Action::Txn(vec![part("w", "x", 1)].into()), 0);
        accepted(&object(), &[unanswered, txn(1, 2, &[part("r", "x", 1)])]);
        let initial: Value = vec![Value::List(vec!["x".into(), 5.into()])].into();
        accepted(&spec(ModelKind::MultiRegister, initial), &[txn(0, 1, &[part("r", "x", 5)])]);
    }

    #[test]
    fn a_register_is_no_list() {
        let history = [txn(0, 1, &[part("w", "x", 1)]), txn(2, 3, &[part("append", "x", 2)])];
        assert!(matches!(refused(&object(), &history), CheckError::ForeignValue { operation: OpIndex(0), .. }));
        assert!(matches!(refused(&spec(ModelKind::MultiRegister, 3), &[]), CheckError::ForeignInitial { .. }));
    }
}

mod texts {
    use super::*;

    fn absent() -> ModelSpec {
        spec(ModelKind::KeyValue, Value::Nil)
    }

    fn put(invoke: u64, ret: u64, text: &str) -> Operation {
        operation(Action::Write(text.into()), invoke).done(ret)
    }

    fn cas(invoke: u64, old: impl Into<Value>, new: &str) -> Operation {
        operation(Action::Cas { old: old.into(), new: new.into() }, invoke)
    }

    fn delete(invoke: u64, ret: u64) -> Operation {
        operation(Action::Delete, invoke).done(ret)
    }

    fn append(invoke: u64, ret: u64, text: &str) -> Operation {
        operation(Action::Append(text.into()), invoke).done(ret)
    }

    #[test]
    fn a_stale_get_after_a_deletion() {
        let judgement = judge(&absent(), &[put(0, 1, "a"), delete(2, 3), read(4, 5, "a")]);
        assert_eq!(judgement.verdict, Verdict::Invalid);
        accepted(
            &absent(),
            &[put(0, 1, "a"), delete(2, 3), read(4, 5, Value::Nil), append(6, 7, "b"), read(8, 9, "b")],
        );
    }

    #[test]
    fn two_that_won_from_one_text() {
        let history = [put(0, 1, "a"), cas(2, "a", "b").done(3), cas(4, "a", "c").done(5)];
        assert_eq!(judge(&absent(), &history).verdict, Verdict::Invalid);
    }

    #[test]
    fn refusals_with_and_without_what_was_seen() {
        let a = |ret| put(0, ret, "a");
        accepted(&absent(), &[a(1), cas(2, "b", "c").mismatched(3, Some("a".into()))]);
        accepted(&absent(), &[a(1), cas(2, "b", "c").mismatched(3, None)]);
        for wrong in [Some("b".into()), Some("d".into()), Some(Value::Nil)] {
            let history = [a(1), cas(2, "b", "c").mismatched(3, wrong)];
            assert_eq!(judge(&absent(), &history).verdict, Verdict::Invalid);
        }
        assert_eq!(judge(&absent(), &[a(1), cas(2, "a", "c").mismatched(3, None)]).verdict, Verdict::Invalid);
    }

    #[test]
    fn absent_and_empty_are_one_state_where_the_key_starts_empty() {
        let history = [delete(0, 1), read(2, 3, ""), cas(4, Value::Nil, "a").done(5), read(6, 7, "a")];
        accepted(&spec(ModelKind::KeyValue, ""), &history);
        assert_eq!(judge(&absent(), &history).verdict, Verdict::Invalid);
        assert_eq!(judge(&spec(ModelKind::KeyValue, "b"), &history).verdict, Verdict::Invalid);
        accepted(&absent(), &[append(0, 1, ""), read(2, 3, "")]);
        assert_eq!(judge(&absent(), &[append(0, 1, ""), read(2, 3, Value::Nil)]).verdict, Verdict::Invalid);
    }
}

#[test]
fn what_a_model_has_not_is_an_error() {
    let foreign = |model, action| {
        assert!(matches!(
            refused(&spec(model, Value::Nil), &[operation(action, 0)]),
            CheckError::ForeignAction { operation: OpIndex(0), .. }
        ));
    };
    foreign(ModelKind::Register, Action::Cas { old: 1.into(), new: 2.into() });
    foreign(ModelKind::CasRegister, Action::Delete);
    foreign(ModelKind::ListAppend, Action::Write(1.into()));
    foreign(ModelKind::Set, Action::Append(1.into()));
    foreign(ModelKind::Counter, Action::Write(1.into()));
    foreign(ModelKind::Queue, Action::Read);
    foreign(ModelKind::Lock, Action::Read);
    foreign(ModelKind::MultiRegister, Action::Read);
    foreign(ModelKind::KeyValue, Action::Add(1.into()));
}

#[test]
fn an_initial_value_that_the_model_cannot_hold_is_an_error() {
    let foreign = |model, initial: Value| {
        assert!(matches!(refused(&spec(model, initial), &[]), CheckError::ForeignInitial { .. }));
    };
    foreign(ModelKind::ListAppend, 1.into());
    foreign(ModelKind::Set, list(&[1, 1]));
    foreign(ModelKind::Counter, "1".into());
    foreign(ModelKind::Queue, vec![Value::Nil].into());
    foreign(ModelKind::MultiRegister, list(&[1]));
    foreign(ModelKind::KeyValue, 1.into());
}
