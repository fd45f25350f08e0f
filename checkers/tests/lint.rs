//! Notes on histories: each kind where it belongs, and none where nothing is odd.

use checkers::history::{Action, Completion, Event, EventKind, Function, History, HistoryBuilder, Operation, Value};
use checkers::model::{ModelKind, ModelSpec};
use checkers::{Lint, LintKind, lint};

fn notes_from(model: ModelKind, operations: Vec<Operation>) -> Vec<Lint> {
    let history = History::from_operations(operations).expect("a well-formed history");
    lint(&history, &ModelSpec { model, initial: Value::Nil })
}

/// The one note that there must be, and some of its words.
fn one(notes: &[Lint], kind: LintKind, words: &[&str]) {
    assert_eq!(notes.iter().map(|note| note.kind).collect::<Vec<_>>(), [kind], "{notes:#?}");
    for word in words {
        assert!(notes[0].words.contains(word), "{word:?} is missing: {}", notes[0].words);
    }
}

fn read(invoke: u64, value: impl Into<Value>) -> Operation {
    Operation::invoked(9, Action::Read, invoke).on("x").returned(invoke + 1, value)
}

fn write(invoke: u64, value: i64) -> Operation {
    Operation::invoked(1, Action::Write(value.into()), invoke).on("x").done(invoke + 1)
}

fn cas(invoke: u64, old: i64, new: i64) -> Operation {
    Operation::invoked(1, Action::Cas { old: old.into(), new: new.into() }, invoke).on("x")
}

#[test]
fn nothing_is_said_of_a_plain_history() {
    let failed = Operation::invoked(2, Action::Write(7.into()), 0).on("x").failed(1);
    let mut operations = vec![failed];
    for number in 0..20 {
        operations.extend([write(10 * number, number as i64), read(10 * number + 5, number as i64)]);
        // The same value on another key is not repeated.
        operations
            .push(Operation { process: checkers::history::ProcessId(3), ..write(10 * number, number as i64) }.on("y"));
        operations.push(
            Operation { process: checkers::history::ProcessId(4), ..read(10 * number + 5, number as i64) }.on("y"),
        );
    }
    assert_eq!(notes_from(ModelKind::CasRegister, operations), []);
    assert_eq!(notes_from(ModelKind::Register, Vec::new()), []);
}

#[test]
fn a_failed_write_that_was_read() {
    let failed = Operation::invoked(2, Action::Write(7.into()), 0).on("x").failed(1);
    let notes = notes_from(ModelKind::Register, vec![failed.clone(), read(2, 7)]);
    one(&notes, LintKind::FailedButSeen, &["client 2's write of 7", "client 9's read of 7", "dirty read", "`info`"]);
    assert_eq!(notes[0].operations.iter().map(|index| index.0).collect::<Vec<_>>(), [0, 1]);
    // Another write of it may be what was read.
    assert_eq!(notes_from(ModelKind::Register, vec![failed, write(2, 7), read(5, 7)]), []);
}

#[test]
fn a_failed_append_that_is_in_a_list() {
    let failed = Operation::invoked(2, Action::Append(7.into()), 0).on("x").failed(1);
    let whole = Value::List(vec![7.into()]);
    one(
        &notes_from(ModelKind::ListAppend, vec![failed.clone(), read(2, whole)]),
        LintKind::FailedButSeen,
        &["append of 7"],
    );
    assert_eq!(notes_from(ModelKind::ListAppend, vec![failed, read(2, Value::List(vec![]))]), []);
}

#[test]
fn a_failed_enqueue_that_was_taken() {
    let failed = Operation::invoked(2, Action::Enqueue(7.into()), 0).on("x").failed(1);
    let taken = Operation::invoked(3, Action::Dequeue, 2).on("x").returned(3, 7);
    one(&notes_from(ModelKind::Queue, vec![failed, taken]), LintKind::FailedButSeen, &["enqueue of 7"]);
}

#[test]
fn a_value_of_another_key() {
    let operations = vec![write(0, 1), write(2, 2).on("y"), read(4, 2)];
    one(&notes_from(ModelKind::Register, operations), LintKind::ValueOfAnotherKey, &["key \"x\"", "2", "key \"y\""]);
}

#[test]
fn reads_that_never_have_a_value() {
    let nothing = |invoke| Operation { completion: Completion::Ok(None), ..read(invoke, 0) };
    let operations: Vec<Operation> = (0..10).map(|number| nothing(2 * number)).collect();
    one(&notes_from(ModelKind::Register, operations), LintKind::ReadsWithoutValues, &["of the 10"]);
}

#[test]
fn reads_that_all_find_nothing() {
    let mut operations: Vec<Operation> = (0..10).map(|number| read(2 * number, Value::Nil)).collect();
    assert_eq!(notes_from(ModelKind::Register, operations.clone()), []);
    operations.push(write(0, 1));
    one(&notes_from(ModelKind::Register, operations), LintKind::ReadsAllNil, &["10", "1 change "]);
}

#[test]
fn refusals_that_saw_what_they_expected() {
    let mut operations: Vec<Operation> =
        (0..10).map(|number| cas(2 * number, 1, 2).mismatched(2 * number + 1, Some(1.into()))).collect();
    operations.push(cas(30, 1, 2).done(31));
    one(&notes_from(ModelKind::CasRegister, operations), LintKind::RefusedWhatTheySaw, &["10 refused"]);
}

#[test]
fn compare_and_sets_of_which_none_won() {
    let operations = (0..10).map(|number| cas(2 * number, 1, 2).mismatched(2 * number + 1, Some(3.into()))).collect();
    one(&notes_from(ModelKind::CasRegister, operations), LintKind::NoneWon, &["10 compare-and-sets"]);
}

#[test]
fn values_written_twice() {
    let operations = vec![write(0, 1), write(2, 2), write(4, 1)];
    one(&notes_from(ModelKind::Register, operations), LintKind::RepeatedValues, &["1 operation put in", "key \"x\""]);
    let other_key = vec![write(0, 1), write(2, 1).on("y")];
    assert_eq!(notes_from(ModelKind::Register, other_key), []);
}

fn with_times(times: impl Iterator<Item = u64>) -> Vec<Lint> {
    let mut builder = HistoryBuilder::new();
    for (number, time) in times.enumerate() {
        let kind = if number % 2 == 0 { EventKind::Invoke } else { EventKind::Ok };
        let event = Event { time: Some(time), ..Event::client(1, kind, Function::Write, (number / 2) as i64) };
        builder.push(event).expect("a well-formed history");
    }
    lint(&builder.finish(), &ModelSpec { model: ModelKind::Register, initial: Value::Nil })
}

#[test]
fn times_that_cannot_be_nanoseconds() {
    one(&with_times((0..40).map(|number| 1_000 + number / 4)), LintKind::TimesTooClose, &["20 operations", "9 ns"]);
    one(&with_times((0..40).map(|number| number * 1_000_000)), LintKind::CoarseClock, &["milliseconds"]);
    assert_eq!(with_times((0..40).map(|number| number * 1_000_003)), []);
}

/// Whatever a history holds, notes have no control characters.
#[test]
fn a_hostile_history_is_harmless() {
    let hostile = Value::Text("\x1b[2J\r\n\u{202e}".to_owned());
    let failed = Operation::invoked(2, Action::Write(hostile.clone()), 0).on(hostile.clone()).failed(1);
    let notes = notes_from(ModelKind::Register, vec![failed, read(2, hostile.clone()).on(hostile)]);
    one(&notes, LintKind::FailedButSeen, &[]);
    assert!(!notes[0].words.contains(|letter: char| letter.is_control() || letter == '\u{202e}'), "{notes:?}");
}
