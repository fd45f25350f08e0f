//! One history per anomaly that must be rejected, by name, and what the judge says around it.

use std::time::Duration;

use checkers::history::{Action, Completion, Function, History, OpIndex, Operation, Value};
use checkers::model::{ModelKind, ModelSpec};
use checkers::verdict::{Anomaly, Judgement, Verdict};
use checkers::{Algorithm, Budget, CheckError, CheckOptions, check, check_with};

fn spec(model: ModelKind) -> ModelSpec {
    ModelSpec { model, initial: Value::Nil }
}

fn judge(model: ModelKind, operations: Vec<Operation>) -> Judgement {
    let history = History::from_operations(operations).expect("a well-formed history");
    check(&history, &spec(model), &CheckOptions::default()).expect("the history fits the model")
}

/// The judgement must be invalid, of this kind, decided by this algorithm, and name these operations and words.
fn rejected(judgement: &Judgement, anomaly: Anomaly, by: &str, operations: &[u32], words: &[&str]) {
    assert_eq!(judgement.verdict, Verdict::Invalid, "{}", judgement.reason);
    assert_eq!(judgement.decided_by, by);
    let violation = judgement.violation.as_ref().expect("an invalid verdict has a violation");
    assert_eq!(violation.anomaly, anomaly, "{:?}", violation.sentences);
    for operation in operations {
        assert!(violation.operations.contains(&OpIndex(*operation)), "{operation} is missing: {violation:?}");
    }
    let told = violation.sentences.join(" ");
    for word in words {
        assert!(told.contains(word), "{word:?} is missing: {told}");
    }
    assert!(judgement.reason.starts_with(&violation.sentences[0]), "{}", judgement.reason);
}

fn read(process: u64, invoke: u64, ret: u64, value: impl Into<Value>) -> Operation {
    Operation::invoked(process, Action::Read, invoke).returned(ret, value)
}

fn write(process: u64, invoke: u64, ret: u64, value: i64) -> Operation {
    Operation::invoked(process, Action::Write(value.into()), invoke).done(ret)
}

fn cas(process: u64, invoke: u64, old: impl Into<Value>, new: i64) -> Operation {
    Operation::invoked(process, Action::Cas { old: old.into(), new: new.into() }, invoke)
}

fn append(process: u64, invoke: u64, ret: u64, value: i64) -> Operation {
    Operation::invoked(process, Action::Append(value.into()), invoke).done(ret)
}

fn list(elements: &[i64]) -> Value {
    Value::List(elements.iter().map(|element| Value::Int(*element)).collect())
}

#[test]
fn a_stale_read() {
    let operations = vec![write(1, 0, 1, 17), write(2, 2, 3, 18), read(3, 4, 5, 17)];
    let judgement = judge(ModelKind::Register, operations);
    rejected(&judgement, Anomaly::StaleRead, "register-zones", &[0, 1, 2], &["Client 3 read 17", "18", "stale read"]);
}

#[test]
fn a_stale_read_of_the_initial_value() {
    let judgement = judge(ModelKind::Register, vec![write(1, 0, 1, 17), read(3, 4, 5, Value::Nil)]);
    rejected(&judgement, Anomaly::StaleRead, "register-zones", &[0, 1], &["read nil", "at the start"]);
}

#[test]
fn a_stale_read_inside_a_chain() {
    let operations = vec![write(1, 0, 1, 1), cas(2, 2, 1, 2).done(3), read(3, 4, 5, 1)];
    let judgement = judge(ModelKind::CasRegister, operations);
    rejected(&judgement, Anomaly::StaleRead, "cas-chains", &[0, 1, 2], &["Client 3 read 1"]);
}

#[test]
fn a_lost_write_of_a_register() {
    let operations = vec![write(1, 0, 1, 17), write(2, 2, 3, 18), read(3, 4, 5, 17), read(4, 6, 7, 17)];
    rejected(&judge(ModelKind::Register, operations), Anomaly::LostWrite, "register-zones", &[1, 3], &["write of 18"]);
}

#[test]
fn a_read_of_an_unwritten_value() {
    let judgement = judge(ModelKind::Register, vec![write(1, 0, 1, 17), read(3, 4, 5, 99)]);
    rejected(&judgement, Anomaly::ReadOfUnwritten, "register-zones", &[1], &["99", "nobody ever wrote"]);
}

#[test]
fn a_read_from_the_future() {
    let judgement = judge(ModelKind::Register, vec![read(3, 0, 1, 17), write(1, 2, 3, 17)]);
    rejected(&judgement, Anomaly::ReadFromFuture, "register-zones", &[0, 1], &["Client 3's read of 17", "future"]);
}

#[test]
fn compare_and_sets_that_made_each_other_s_values() {
    let operations = vec![cas(1, 0, 1, 2).done(9), cas(2, 0, 2, 1).done(9)];
    rejected(&judge(ModelKind::CasRegister, operations), Anomaly::ReadFromFuture, "cas-chains", &[0, 1], &[]);
}

#[test]
fn unanswered_compare_and_sets_that_could_only_have_made_each_other_s_values_never_took_effect() {
    let unknown = |process, old, new| cas(process, 0, old, new);
    let judgement = judge(ModelKind::CasRegister, vec![unknown(1, 13, 19), unknown(2, 19, 13), write(3, 1, 2, 16)]);
    assert_eq!(judgement.verdict, Verdict::Valid, "{}", judgement.reason);
}

#[test]
fn a_phantom() {
    let failed = Operation::invoked(1, Action::Write(17.into()), 0).failed(1);
    let judgement = judge(ModelKind::Register, vec![failed, read(3, 4, 5, 17)]);
    rejected(&judgement, Anomaly::Phantom, "register-zones", &[0, 1], &["definitely failed"]);
}

#[test]
fn a_lost_update() {
    let operations = vec![write(1, 0, 1, 1), cas(2, 2, 1, 2).done(9), cas(3, 2, 1, 3).done(9)];
    rejected(&judge(ModelKind::CasRegister, operations), Anomaly::LostUpdate, "cas-chains", &[1, 2], &["both won"]);
}

#[test]
fn a_refused_compare_and_set_that_saw_what_it_expected() {
    let operations = vec![write(1, 0, 1, 1), cas(2, 2, 1, 2).mismatched(3, Some(1.into()))];
    rejected(&judge(ModelKind::CasRegister, operations), Anomaly::NotLinearizable, "cas-chains", &[1], &["refused"]);
}

#[test]
fn a_refused_compare_and_set_observes_what_it_saw() {
    let operations = vec![write(1, 0, 1, 1), write(1, 2, 3, 2), cas(2, 4, 7, 8).mismatched(5, Some(1.into()))];
    rejected(
        &judge(ModelKind::CasRegister, operations),
        Anomaly::StaleRead,
        "register-zones",
        &[0, 1, 2],
        &["which saw 1"],
    );
}

#[test]
fn a_refused_compare_and_set_without_a_value_says_that_old_was_not_there() {
    // Nothing is written after 1: the register holds it, whether that is observed once more or not.
    let mut operations = vec![write(1, 0, 1, 1), cas(2, 4, 1, 8).mismatched(5, None), read(3, 6, 7, 1)];
    for _ in 0..2 {
        let judgement = judge(ModelKind::CasRegister, operations.clone());
        rejected(&judgement, Anomaly::NotLinearizable, "cas-chains", &[0, 1], &["Client 2"]);
        operations.pop();
    }
    // A write of unknown outcome may have replaced it, though nobody read what it wrote.
    let unknown = Operation::invoked(4, Action::Write(9.into()), 3);
    operations.insert(1, unknown);
    operations.push(cas(2, 4, 1, 8).mismatched(5, None));
    let judgement = judge(ModelKind::CasRegister, operations);
    assert_eq!((judgement.verdict, judgement.decided_by), (Verdict::Valid, "cas-chains"));
}

#[test]
fn repeated_values_are_left_to_the_searches() {
    let operations = vec![write(1, 0, 1, 1), write(1, 2, 3, 2), write(1, 4, 5, 1), read(2, 6, 7, 2)];
    rejected(&judge(ModelKind::Register, operations), Anomaly::StaleRead, "depth-first", &[3], &["read 2"]);
}

#[test]
fn a_duplicated_append() {
    let judgement = judge(ModelKind::ListAppend, vec![append(1, 0, 1, 1), read(2, 2, 3, list(&[1, 1]))]);
    rejected(&judgement, Anomaly::DuplicatedAppend, "list-order", &[0, 1], &["twice"]);
}

#[test]
fn a_reordered_append() {
    let operations =
        vec![append(1, 0, 9, 1), append(2, 0, 9, 2), read(3, 10, 11, list(&[1, 2])), read(3, 12, 13, list(&[2, 1]))];
    rejected(&judge(ModelKind::ListAppend, operations), Anomaly::ReorderedAppend, "list-order", &[2, 3], &["disagree"]);
}

#[test]
fn an_append_before_one_that_had_returned() {
    let operations = vec![append(1, 0, 1, 1), append(2, 2, 3, 2), read(3, 4, 5, list(&[2, 1]))];
    rejected(&judge(ModelKind::ListAppend, operations), Anomaly::ReorderedAppend, "list-order", &[0, 1], &[]);
}

#[test]
fn a_lost_append() {
    let operations = vec![append(1, 0, 1, 1), append(2, 2, 3, 2), read(3, 4, 5, list(&[2]))];
    rejected(
        &judge(ModelKind::ListAppend, operations),
        Anomaly::LostWrite,
        "list-order",
        &[0],
        &["append of 1 had been acknowledged"],
    );
}

#[test]
fn a_stale_list() {
    let operations = vec![append(1, 0, 1, 1), read(2, 2, 3, list(&[])), read(2, 4, 5, list(&[1]))];
    rejected(&judge(ModelKind::ListAppend, operations), Anomaly::StaleRead, "list-order", &[0, 1], &["stale read"]);
}

#[test]
fn a_list_from_the_future() {
    let operations = vec![read(2, 0, 1, list(&[1])), append(1, 2, 3, 1)];
    rejected(&judge(ModelKind::ListAppend, operations), Anomaly::ReadFromFuture, "list-order", &[0, 1], &["future"]);
}

#[test]
fn an_element_that_nobody_appended_and_one_whose_append_failed() {
    let judgement = judge(ModelKind::ListAppend, vec![read(2, 0, 1, list(&[7]))]);
    rejected(&judgement, Anomaly::ReadOfUnwritten, "list-order", &[0], &["7"]);
    let failed = Operation::invoked(1, Action::Append(7.into()), 0).failed(1);
    let judgement = judge(ModelKind::ListAppend, vec![failed, read(2, 2, 3, list(&[7]))]);
    rejected(&judgement, Anomaly::Phantom, "list-order", &[0, 1], &["definitely failed"]);
}

#[test]
fn two_lists_that_parted() {
    let operations = vec![
        append(1, 0, 20, 1),
        append(2, 0, 20, 2),
        append(4, 0, 20, 3),
        read(3, 10, 11, list(&[1])),
        read(3, 12, 13, list(&[2, 3])),
    ];
    rejected(&judge(ModelKind::ListAppend, operations), Anomaly::LostWrite, "list-order", &[3, 4], &["disagree"]);
}

#[test]
fn a_text_that_lost_an_append() {
    let text = |text: &str| Value::Text(text.into());
    let operations = vec![
        Operation::invoked(1, Action::Append(text("x")), 0).done(1),
        Operation::invoked(1, Action::Append(text("y")), 2).done(3),
        read(2, 4, 5, "y"),
    ];
    rejected(&judge(ModelKind::KeyValue, operations), Anomaly::LostWrite, "depth-first", &[2], &["client 2"]);
}

#[test]
fn an_empty_history_is_vacuous_and_says_so() {
    let judgement = judge(ModelKind::Register, Vec::new());
    assert_eq!((judgement.verdict, judgement.operations, judgement.keys), (Verdict::Vacuous, 0, 0));
    assert!(!judgement.reason.is_empty());
}

#[test]
fn one_bad_key_among_good_ones_is_named() {
    let mut operations: Vec<Operation> = (0..20).map(|key: i64| write(key as u64, 0, 1, 1).on(key)).collect();
    operations.push(read(30, 2, 3, Value::Nil).on(7));
    let judgement = judge(ModelKind::Register, operations);
    rejected(&judgement, Anomaly::StaleRead, "register-zones", &[7, 20], &["key 7"]);
    assert_eq!((judgement.keys, judgement.operations), (20, 21));
    assert_eq!(judgement.violation.expect("it is invalid").key, Value::Int(7));
}

/// Everything overlaps, and the last read makes it impossible: neither search can be done soon.
fn hard() -> Vec<Operation> {
    let mut operations = Vec::new();
    for process in 0..40u64 {
        let text = Value::Text(format!("<{process}>"));
        operations.push(Operation::invoked(process, Action::Append(text), 0).done(100));
    }
    operations.push(read(50, 200, 201, "impossible"));
    operations
}

#[test]
fn when_the_time_is_up_the_verdict_is_unknown_and_says_how_far_it_got() {
    let history = History::from_operations(hard()).expect("a well-formed history");
    for algorithm in [Algorithm::Auto, Algorithm::Frontier, Algorithm::DepthFirst] {
        let budget = Budget { time: Duration::from_millis(50), memory_bytes: 1 << 30 };
        let options = CheckOptions { budget, threads: 1 };
        let judgement = check_with(&history, &spec(ModelKind::KeyValue), &options, algorithm).expect("it fits");
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert!(judgement.reason.contains("time budget") && judgement.reason.contains("event"), "{}", judgement.reason);
        assert!(judgement.certificate.is_none() && judgement.violation.is_none());
    }
}

#[test]
fn when_the_memory_is_used_up_the_frontier_stops_and_depth_first_forgets() {
    let history = History::from_operations(hard()).expect("a well-formed history");
    let budget = Budget { time: Duration::from_secs(600), memory_bytes: 1 << 20 };
    let options = CheckOptions { budget, threads: 1 };
    let judgement = check_with(&history, &spec(ModelKind::KeyValue), &options, Algorithm::Frontier).expect("it fits");
    assert_eq!(judgement.verdict, Verdict::Unknown);
    assert!(judgement.reason.contains("memory budget"), "{}", judgement.reason);
    let budget = Budget { time: Duration::from_millis(300), memory_bytes: 1 << 20 };
    let options = CheckOptions { budget, threads: 1 };
    let judgement = check_with(&history, &spec(ModelKind::KeyValue), &options, Algorithm::DepthFirst).expect("it fits");
    assert!(judgement.reason.contains("time budget"), "{}", judgement.reason);
}

#[test]
fn what_does_not_fit_the_model_is_an_error_and_no_verdict() {
    let try_on = |model, operation: Operation, initial: Value| {
        let history = History::from_operations(vec![operation]).expect("a well-formed history");
        check(&history, &ModelSpec { model, initial }, &CheckOptions::default()).map(|judgement| judgement.verdict)
    };
    let operation = OpIndex(0);
    assert_eq!(
        try_on(ModelKind::Register, append(1, 0, 1, 1), Value::Nil),
        Err(CheckError::ForeignAction { operation, action: Function::Append, model: ModelKind::Register })
    );
    assert!(matches!(
        try_on(ModelKind::Register, cas(1, 0, 1, 2).done(1), Value::Nil),
        Err(CheckError::ForeignAction { action: Function::Cas, .. })
    ));
    assert!(matches!(
        try_on(ModelKind::ListAppend, write(1, 0, 1, 2), Value::Nil),
        Err(CheckError::ForeignAction { action: Function::Write, .. })
    ));
    assert_eq!(try_on(ModelKind::ListAppend, read(1, 0, 1, 2), Value::Nil), Ok(Verdict::Invalid));
    assert!(matches!(try_on(ModelKind::KeyValue, write(1, 0, 1, 2), Value::Nil), Err(CheckError::ForeignValue { .. })));
    assert!(matches!(
        try_on(ModelKind::KeyValue, read(1, 0, 1, ""), Value::Int(3)),
        Err(CheckError::ForeignInitial { expected: "a text", .. })
    ));
}

#[test]
fn reads_without_an_answer_constrain_nothing() {
    let nothing = Operation { completion: Completion::Ok(None), ..read(1, 4, 5, 1) };
    let lost = Operation::invoked(2, Action::Read, 4);
    let failed = Operation::invoked(3, Action::Read, 4).failed(5);
    let judgement = judge(ModelKind::Register, vec![write(1, 0, 1, 17), nothing, lost, failed]);
    assert_eq!(judgement.verdict, Verdict::Valid, "{}", judgement.reason);
}

/// A server that answers a read of a list with something else is wrong; the history is not.
#[test]
fn a_read_of_another_type() {
    let operations = vec![append(1, 0, 1, 1), read(2, 2, 3, 17)];
    let judgement = judge(ModelKind::ListAppend, operations);
    rejected(&judgement, Anomaly::ReadOfUnwritten, "type-of-read", &[1], &["17", "not a list"]);
}
