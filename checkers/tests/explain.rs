//! What is said of each kind of violation: one small history a kind, with its sentences and its diagram.

use checkers::history::{Action, Event, EventKind, History, HistoryBuilder, Operation, Process, Value};
use checkers::model::{ModelKind, ModelSpec};
use checkers::verdict::Verdict;
use checkers::{CheckOptions, check};
use insta::assert_snapshot;

/// Milliseconds from the run's start, as the histories below have their times.
const MS: u64 = 1_000_000;

/// The operations, whose times are milliseconds, as a history with a clock.
fn timed(operations: &[Operation]) -> History {
    let mut events: Vec<(u64, bool, Event)> = Vec::new();
    for operation in operations {
        let event = |kind, time, value| Event {
            time: Some(time * MS),
            key: operation.key.clone(),
            process: Process::Client(operation.process),
            ..Event::client(0, kind, operation.action.function(), value)
        };
        let argument = operation.action.argument();
        events.push((operation.invoke, false, event(EventKind::Invoke, operation.invoke, argument.clone())));
        use checkers::history::Completion::{Fail, Info, Mismatch, Ok};
        let end = match &operation.completion {
            Ok(Some(result)) => event(EventKind::Ok, operation.ret, result.clone()),
            Ok(None) => event(EventKind::Ok, operation.ret, argument),
            Mismatch { observed } => {
                let end = event(EventKind::Fail, operation.ret, argument);
                Event { observed: observed.clone(), reason: Some("mismatch".to_owned()), ..end }
            }
            Fail => Event { reason: Some("refused".to_owned()), ..event(EventKind::Fail, operation.ret, argument) },
            Info => continue,
        };
        events.push((operation.ret, true, end));
    }
    events.sort_by_key(|(time, is_end, _)| (*time, *is_end));
    let mut builder = HistoryBuilder::new();
    for (_, _, event) in events {
        builder.push(event).expect("a well-formed history");
    }
    builder.finish()
}

fn told_of(history: &History, model: ModelKind, initial: Value) -> String {
    let judgement = check(history, &ModelSpec { model, initial }, &CheckOptions::default()).expect("it fits the model");
    assert_eq!(judgement.verdict, Verdict::Invalid, "{}", judgement.reason);
    let violation = judgement.violation.expect("an invalid verdict has a violation");
    assert!(judgement.reason.starts_with(&violation.sentences[0]), "{}", judgement.reason);
    let anomaly = serde_json::to_value(violation.anomaly).expect("written");
    format!("{}\n\n{}\n\n{}", anomaly.as_str().expect("a name"), violation.sentences.join("\n"), violation.diagram)
}

/// What is said of a history that starts with nil.
fn told(model: ModelKind, operations: &[Operation]) -> String {
    told_of(&timed(operations), model, Value::Nil)
}

fn read(process: u64, invoke: u64, ret: u64, value: impl Into<Value>) -> Operation {
    Operation::invoked(process, Action::Read, invoke).on("x").returned(ret, value)
}

fn write(process: u64, invoke: u64, ret: u64, value: i64) -> Operation {
    Operation::invoked(process, Action::Write(value.into()), invoke).on("x").done(ret)
}

fn cas(process: u64, invoke: u64, old: impl Into<Value>, new: i64) -> Operation {
    Operation::invoked(process, Action::Cas { old: old.into(), new: new.into() }, invoke).on("x")
}

fn append(process: u64, invoke: u64, ret: u64, value: i64) -> Operation {
    Operation::invoked(process, Action::Append(value.into()), invoke).on("x").done(ret)
}

fn list(elements: &[i64]) -> Value {
    Value::List(elements.iter().map(|element| Value::Int(*element)).collect())
}

use ModelKind::{CasRegister, Counter, KeyValue, ListAppend, Lock, Queue, Register, Set};

#[test]
fn a_stale_read() {
    let operations = [write(1, 10_000, 10_500, 17), write(2, 11_004, 11_020, 23), read(4, 12_310, 12_313, 17)];
    assert_snapshot!(told(Register, &operations), @r"
    stale-read

    Client 4 read x=17 at 12.310 s, but client 2's write of x=23 had been acknowledged at 11.020 s and nothing wrote 17 again by then: a stale read, at least 1.290 s old.

    seconds   10.000       10.500  11.004       11.020  12.310      12.313
    client 1  ├─ write 17 ─┤
    client 2                       ├─ write 23 ─┤
    client 4                                            ├─ read 17 ─┤
                                                        ^ stale: 23 was there since 11.020
    ");
}

#[test]
fn a_stale_read_of_the_initial_value() {
    assert_snapshot!(told(Register, &[write(2, 0, 16, 23), read(4, 1_300, 1_305, Value::Nil)]), @r"
    stale-read

    Client 4 read x=nil at 1.300 s, but client 2's write of x=23 had been acknowledged at 0.016 s and nil was there only at the start: a stale read, at least 1.284 s old.

    seconds   0.000        0.016  1.300        1.305
    client 2  ├─ write 23 ─┤
    client 4                      ├─ read nil ─┤  <- stale: 23 was there since 0.016
    ");
}

#[test]
fn a_stale_read_that_another_read_gave_away() {
    let operations =
        [write(1, 0, 900, 17), write(2, 5, 950, 23), read(3, 20, 30, 17), read(3, 40, 55, 23), read(4, 100, 110, 17)];
    assert_snapshot!(told(Register, &operations), @r"
    stale-read

    Client 4 read x=17 at 0.100 s, but client 3's read of x=23 had returned at 0.055 s: a stale read, at least 0.045 s old.
    That 23 came after 17 shows in this: client 3's read of x=17 had returned at 0.030 s before client 3's read of x=23 was invoked at 0.040 s.

    seconds   0.000  0.005  0.020       0.030  0.040       0.055  0.100       0.110  0.900  0.950
    client 1  ├─ write 17 ───────────────────────────────────────────────────────────┤
    client 2         ├─ write 23 ───────────────────────────────────────────────────────────┤
    client 3                ├─ read 17 ─┤      ├─ read 23 ─┤
    client 4                                                      ├─ read 17 ─┤
                                                                  ^ stale: 23 was there since 0.055
    ");
}

#[test]
fn a_stale_read_behind_a_compare_and_set() {
    let operations = [write(1, 0, 10, 1), cas(2, 5, 1, 2).done(30), read(3, 40, 50, 1)];
    assert_snapshot!(told(CasRegister, &operations), @r"
    stale-read

    Client 3 read x=1 at 0.040 s, but client 2's compare-and-set of x from 1 to 2 had been acknowledged at 0.030 s and nothing wrote 1 again by then: a stale read, at least 0.010 s old.

    seconds   0.000  0.005  0.010  0.030  0.040      0.050
    client 1  ├─ write 1 ───┤
    client 2         ├─ cas 1→2 ───┤
    client 3                              ├─ read 1 ─┤  <- stale: 2 was there since 0.030
    ");
}

#[test]
fn a_stale_read_of_a_value_written_twice() {
    let operations = [write(1, 0, 10, 1), write(1, 20, 30, 2), write(1, 40, 50, 1), read(2, 60, 70, 2)];
    assert_snapshot!(told(Register, &operations), @r"
    stale-read

    Client 2 read x=2 at 0.060 s, but client 1's write of x=1 had been acknowledged at 0.050 s and nothing wrote 2 again by then: a stale read, at least 0.010 s old.

    seconds   0.000       0.010  0.020       0.030  0.040       0.050  0.060      0.070
    client 1  ├─ write 1 ─┤      ├─ write 2 ─┤      ├─ write 1 ─┤
    client 2                                                           ├─ read 2 ─┤
                                        stale: 1 was there since 0.050 ^
    ");
}

#[test]
fn a_lost_write() {
    let operations = [write(1, 0, 10, 17), write(2, 20, 30, 18), read(3, 40, 50, 17), read(4, 60, 70, 17)];
    assert_snapshot!(told(Register, &operations), @r"
    lost-write

    Client 2's write of x=18 was acknowledged at 0.030 s, but nobody ever read 18; clients 3 and 4 still read x=17 after it, the first at 0.040 s: a lost write.

    seconds   0.000        0.010  0.020        0.030  0.040       0.050  0.060       0.070
    client 1  ├─ write 17 ─┤
    client 2                      ├─ write 18 ─┤  <- lost: nobody ever read it
    client 3                                          ├─ read 17 ─┤
    client 4                                                             ├─ read 17 ─┤
    ");
}

#[test]
fn a_read_of_a_value_never_written() {
    assert_snapshot!(told(Register, &[write(1, 0, 10, 17), read(3, 40, 50, 99)]), @r"
    read-of-unwritten

    Client 3 read x=99 at 0.040 s, but nobody ever wrote 99: a read of a value never written.

    seconds   0.040       0.050
    client 3  ├─ read 99 ─┤  <- nobody wrote 99
    ");
}

#[test]
fn a_read_of_what_another_key_was_given() {
    let operations = [write(1, 0, 10, 17), write(2, 0, 10, 99).on("y"), read(3, 40, 50, 99)];
    assert_snapshot!(told(Register, &operations), @r#"
    read-of-unwritten

    Client 3 read x=99 at 0.040 s, but nobody ever wrote 99: a read of a value never written.
    Client 2's write of 99 was on key "y".

    seconds   0.040       0.050
    client 3  ├─ read 99 ─┤  <- nobody wrote 99
    "#);
}

#[test]
fn a_read_from_the_future() {
    assert_snapshot!(told(Register, &[read(3, 0, 10, 17), write(1, 20, 30, 17)]), @r"
    read-from-future

    Client 3's read of x=17 had returned at 0.010 s, before client 1's write of x=17 was invoked at 0.020 s, and nothing made 17 earlier: a read from the future, at least 0.010 s early.

    seconds   0.000       0.010  0.020        0.030
    client 3  ├─ read 17 ─┤  <- from the future: 17 was not there yet
    client 1                     ├─ write 17 ─┤
    ");
}

#[test]
fn a_read_from_a_chain_that_began_later() {
    let operations = [cas(2, 0, 1, 2).done(100), read(3, 5, 10, 2), write(1, 20, 30, 1)];
    assert_snapshot!(told(CasRegister, &operations), @r"
    read-from-future

    Client 3's read of x=2 had returned at 0.010 s, but 2 came through 1 compare-and-set from client 1's write of x=1, which was invoked at 0.020 s: a read from the future, at least 0.010 s early.

    seconds   0.000  0.005      0.010  0.020       0.030  0.100
    client 2  ├─ cas 1→2 ─────────────────────────────────┤
    client 3         ├─ read 2 ─┤  <- from the future
    client 1                           ├─ write 1 ─┤
    ");
}

#[test]
fn compare_and_sets_that_made_each_others_values() {
    assert_snapshot!(told(CasRegister, &[cas(1, 0, 1, 2).done(90), cas(2, 0, 2, 1).done(90)]), @r"
    read-from-future

    2 compare-and-sets won from values that only they made, and no write began it; one is client 2's compare-and-set of x from 2 to 1 (invoked at 0.000 s, returned at 0.090 s): a read from the future.

    seconds   0.000       0.090
    client 1  ├─ cas 1→2 ─┤
    client 2  ├─ cas 2→1 ─┤  <- its value came from itself
    ");
}

#[test]
fn a_phantom() {
    let failed = Operation::invoked(1, Action::Write(17.into()), 0).on("x").failed(10);
    assert_snapshot!(told(Register, &[failed, read(3, 40, 50, 17)]), @r"
    phantom

    Client 3 read x=17 at 0.040 s, but the only operation that could have made it, client 1's write of x=17, definitely failed at 0.010 s: a phantom.

    seconds   0.000               0.010  0.040       0.050
    client 1  ├─ write 17 FAILED ─┤
    client 3                             ├─ read 17 ─┤  <- phantom: the write of 17 failed
    ");
}

#[test]
fn a_lost_update() {
    let operations = [write(1, 0, 10, 1), cas(2, 20, 1, 2).done(90), cas(3, 25, 1, 3).done(95)];
    assert_snapshot!(told(CasRegister, &operations), @r"
    lost-update

    Client 2's compare-and-set of x from 1 to 2 (invoked at 0.020 s, returned at 0.090 s) and client 3's compare-and-set of x from 1 to 3 (invoked at 0.025 s, returned at 0.095 s) both won, but x=1 was there only once: a lost update.

    seconds   0.020  0.025  0.090  0.095
    client 2  ├─ cas 1→2 ───┤
    client 3         ├─ cas 1→3 ───┤  <- lost update: 1 had been replaced
    ");
}

#[test]
fn diverged_final_reads() {
    let operations = [write(1, 0, 10, 17), write(2, 20, 30, 23), read(3, 100, 110, 17), read(4, 102, 115, 23)];
    assert_snapshot!(told(Register, &operations), @r"
    diverged-final-reads

    After the last change at 0.030 s client 3's last read, at 0.100 s, returned x=17, but client 4's last read, at 0.102 s, returned x=23: diverged final reads.
    Client 3 read x=17 at 0.100 s, but client 2's write of x=23 had been acknowledged at 0.030 s and nothing wrote 17 again by then.

    seconds   0.000        0.010  0.020        0.030  0.100  0.102  0.110  0.115
    client 1  ├─ write 17 ─┤
    client 2                      ├─ write 23 ─┤
    client 3                                          ├─ read 17 ───┤
                                                      ^ stale: 23 was there since 0.030
    client 4                                                 ├─ read 23 ───┤
    ");
}

#[test]
fn a_refused_compare_and_set_that_saw_what_it_expected() {
    assert_snapshot!(told(CasRegister, &[write(1, 0, 10, 1), cas(2, 20, 1, 2).mismatched(30, Some(1.into()))]), @r"
    not-linearizable

    Client 2 at 0.020 s was refused a compare-and-set from 1 to 2 although it saw x=1, the value it expected.

    seconds   0.000       0.010  0.020             0.030
    client 1  ├─ write 1 ─┤
    client 2                     ├─ cas 1→2 saw 1 ─┤  <- it saw what it expected
    ");
}

#[test]
fn a_refused_compare_and_set_that_no_order_explains() {
    let operations = [write(1, 0, 10, 1), cas(2, 40, 1, 8).mismatched(50, None), read(3, 60, 70, 1)];
    assert_snapshot!(told(CasRegister, &operations), @r#"
    not-linearizable

    Client 2's refused compare-and-set of x from 1 to 8 was answered "not equal" at 0.040 s, but it was x=1 all the while: client 1's write of x=1 had been acknowledged at 0.010 s and nothing else was written since.

    seconds   0.000       0.010  0.040                 0.050
    client 1  ├─ write 1 ─┤
    client 2                     ├─ cas 1→8 not equal ─┤  <- x=1 was there
    "#);
}

#[test]
fn a_duplicated_append() {
    assert_snapshot!(told(ListAppend, &[append(1, 0, 10, 1), read(2, 20, 30, list(&[1, 1]))]), @r"
    duplicated-append

    Client 2's read of x=[1, 1] at 0.020 s holds 1 twice, but it was appended once, by client 1, invoked at 0.000 s: a duplicated append.

    seconds   0.000        0.010  0.020           0.030
    client 1  ├─ append 1 ─┤
    client 2                      ├─ read [1, 1] ─┤  <- holds 1 twice
    ");
}

#[test]
fn reordered_appends_in_two_reads() {
    let operations =
        [append(1, 0, 90, 1), append(2, 0, 90, 2), read(3, 100, 110, list(&[1, 2])), read(3, 120, 130, list(&[2, 1]))];
    assert_snapshot!(told(ListAppend, &operations), @r"
    reordered-append

    Client 3's read of x=[1, 2] (invoked at 0.100 s, returned at 0.110 s) and client 3's read of x=[2, 1] (invoked at 0.120 s, returned at 0.130 s) disagree: one holds 1 before 2, the other after it: reordered appends.

    seconds   0.000        0.090  0.100           0.110  0.120           0.130
    client 1  ├─ append 1 ─┤
    client 2  ├─ append 2 ─┤
    client 3                      ├─ read [1, 2] ─┤      ├─ read [2, 1] ─┤
                                                         ^ the two reads disagree
    ");
}

#[test]
fn appends_reordered_against_real_time() {
    let operations = [append(1, 0, 10, 1), append(2, 20, 30, 2), read(3, 40, 50, list(&[2, 1]))];
    assert_snapshot!(told(ListAppend, &operations), @r"
    reordered-append

    Client 1's append of 1 to x had been acknowledged at 0.010 s before client 2's append of 2 to x was invoked at 0.020 s, but client 3's read of x=[2, 1] at 0.040 s holds 2 before 1: reordered appends.

    seconds   0.000        0.010  0.020        0.030  0.040           0.050
    client 1  ├─ append 1 ─┤
    client 2                      ├─ append 2 ─┤
    client 3                                          ├─ read [2, 1] ─┤  <- 2 came after 1
    ");
}

#[test]
fn a_lost_append() {
    let operations = [append(1, 0, 10, 1), append(2, 20, 30, 2), read(3, 40, 50, list(&[2]))];
    assert_snapshot!(told(ListAppend, &operations), @r"
    lost-write

    Client 1's append of 1 to x had been acknowledged at 0.010 s, but client 3's read of x=[2] at 0.040 s does not hold it, nor does any other read: a lost write.

    seconds   0.000        0.010  0.040        0.050
    client 1  ├─ append 1 ─┤
    client 3                      ├─ read [2] ─┤  <- 1 is missing
    ");
}

#[test]
fn a_stale_list() {
    let operations = [append(1, 0, 10, 1), read(2, 20, 30, list(&[])), read(2, 40, 50, list(&[1]))];
    assert_snapshot!(told(ListAppend, &operations), @r"
    stale-read

    Client 1's append of 1 to x had been acknowledged at 0.010 s, but client 2's read of x=[] at 0.020 s does not hold it: a stale read, at least 0.010 s old.

    seconds   0.000        0.010  0.020       0.030  0.040        0.050
    client 1  ├─ append 1 ─┤
    client 2                      ├─ read [] ─┤      ├─ read [1] ─┤
                                  ^ 1 is missing
    ");
}

#[test]
fn a_list_that_shrank() {
    let operations = [append(1, 0, 100, 1), read(2, 20, 30, list(&[1])), read(3, 40, 50, list(&[]))];
    assert_snapshot!(told(ListAppend, &operations), @r"
    stale-read

    Client 2's read of x=[1] had returned at 0.030 s, and held 1, but client 3's read of x=[] at 0.040 s does not: a stale read, at least 0.010 s old.

    seconds   0.020        0.030  0.040       0.050
    client 2  ├─ read [1] ─┤
    client 3                      ├─ read [] ─┤  <- stale: 1 is missing
    ");
}

#[test]
fn a_list_from_the_future() {
    assert_snapshot!(told(ListAppend, &[read(2, 0, 10, list(&[1])), append(1, 20, 30, 1)]), @r"
    read-from-future

    Client 2's read of x=[1] had returned at 0.010 s, before client 1's append of 1 to x was invoked at 0.020 s: a read from the future, at least 0.010 s early.

    seconds   0.000        0.010  0.020        0.030
    client 2  ├─ read [1] ─┤  <- 1 was not there yet
    client 1                      ├─ append 1 ─┤
    ");
}

#[test]
fn a_list_with_an_element_that_nobody_appended() {
    assert_snapshot!(told(ListAppend, &[read(2, 0, 10, list(&[7]))]), @r"
    read-of-unwritten

    Client 2's read of x=[7] at 0.000 s holds 7, which nobody ever added: a read of a value never written.

    seconds   0.000        0.010
    client 2  ├─ read [7] ─┤  <- nobody added 7
    ");
}

#[test]
fn a_list_with_a_phantom() {
    let failed = Operation::invoked(1, Action::Append(7.into()), 0).on("x").failed(10);
    assert_snapshot!(told(ListAppend, &[failed, read(2, 20, 30, list(&[7]))]), @r"
    phantom

    Client 2's read of x=[7] at 0.020 s holds 7, but client 1's append of 7 to x, the only one of it, definitely failed at 0.010 s: a phantom.

    seconds   0.000               0.010  0.020        0.030
    client 1  ├─ append 7 FAILED ─┤
    client 2                             ├─ read [7] ─┤  <- phantom: the append of 7 failed
    ");
}

#[test]
fn two_lists_that_parted() {
    let operations = [
        append(1, 0, 200, 1),
        append(2, 0, 200, 2),
        append(4, 0, 200, 3),
        read(3, 100, 110, list(&[1])),
        read(3, 120, 130, list(&[2, 3])),
    ];
    assert_snapshot!(told(ListAppend, &operations), @r"
    lost-write

    Client 3's read of x=[1] (invoked at 0.100 s, returned at 0.110 s) and client 3's read of x=[2, 3] (invoked at 0.120 s, returned at 0.130 s) disagree: one begins with 1, the other 2, and a list only grows: a lost write.

    seconds   0.000  0.100        0.110  0.120           0.130  0.200
    client 1  ├─ append 1 ──────────────────────────────────────┤
    client 2  ├─ append 2 ──────────────────────────────────────┤
    client 3         ├─ read [1] ─┤      ├─ read [2, 3] ─┤  <- the two reads disagree
    ");
}

#[test]
fn a_list_that_is_none() {
    assert_snapshot!(told(ListAppend, &[append(1, 0, 10, 1), read(2, 20, 30, 17)]), @r"
    read-of-unwritten

    Client 2 read x=17 at 0.020 s, which is not a list, and nothing else was ever there.

    seconds   0.020       0.030
    client 2  ├─ read 17 ─┤  <- 17 is not a list
    ");
}

#[test]
fn a_text_that_lost_an_append() {
    let text = |process, invoke, ret, piece: &str| {
        Operation::invoked(process, Action::Append(piece.into()), invoke).on("x").done(ret)
    };
    let operations = [text(1, 0, 10, "x"), text(1, 20, 30, "y"), read(2, 40, 50, "y")];
    assert_snapshot!(told_of(&timed(&operations), KeyValue, "".into()), @r#"
    lost-write

    Client 1's append of "x" to x had been acknowledged at 0.010 s, but client 2's read of x="y" at 0.040 s does not hold it, nor does any other read: a lost write.

    seconds   0.000          0.010  0.020          0.030  0.040        0.050
    client 1  ├─ append "x" ─┤      ├─ append "y" ─┤
    client 2                                              ├─ read "y" ─┤  <- "x" is missing
    "#);
}

fn add(process: u64, invoke: u64, ret: u64, value: i64) -> Operation {
    Operation::invoked(process, Action::Add(value.into()), invoke).on("x").done(ret)
}

fn enqueue(process: u64, invoke: u64, ret: u64, value: i64) -> Operation {
    Operation::invoked(process, Action::Enqueue(value.into()), invoke).on("x").done(ret)
}

fn dequeue(process: u64, invoke: u64, ret: u64, value: impl Into<Value>) -> Operation {
    Operation::invoked(process, Action::Dequeue, invoke).on("x").returned(ret, value)
}

fn acquire(process: u64, invoke: u64, ret: u64) -> Operation {
    Operation::invoked(process, Action::Acquire((process as i64).into()), invoke).on("x").done(ret)
}

fn release(process: u64, invoke: u64, ret: u64) -> Operation {
    Operation::invoked(process, Action::Release((process as i64).into()), invoke).on("x").done(ret)
}

#[test]
fn a_text_that_holds_an_append_twice() {
    let once = Operation::invoked(1, Action::Append("ab".into()), 0).on("x").done(10);
    assert_snapshot!(told_of(&timed(&[once, read(2, 20, 30, "abab")]), KeyValue, "".into()), @r#"
    duplicated-append

    Client 2's read of x="abab" at 0.020 s holds "ab" twice, but it was appended once, by client 1, invoked at 0.000 s: a duplicated append.

    seconds   0.000           0.010  0.020           0.030
    client 1  ├─ append "ab" ─┤
    client 2                         ├─ read "abab" ─┤  <- holds "ab" 2 times
    "#);
}

#[test]
fn a_set_that_lost_an_element() {
    assert_snapshot!(told(Set, &[add(1, 0, 10, 1), add(2, 0, 10, 2), read(3, 20, 30, list(&[2]))]), @r"
    lost-write

    Client 1's addition of 1 to x had been acknowledged at 0.010 s, but client 3's read of x=[2] at 0.020 s does not hold it, nor does any other read: a lost write.

    seconds   0.000     0.010  0.020        0.030
    client 1  ├─ add 1 ─┤
    client 3                   ├─ read [2] ─┤  <- 1 is missing
    ");
}

#[test]
fn a_set_that_shrank() {
    let operations = [add(1, 0, 100, 1), read(2, 20, 30, list(&[1])), read(3, 40, 50, list(&[]))];
    assert_snapshot!(told(Set, &operations), @r"
    stale-read

    Client 2's read of x=[1] had returned at 0.030 s, and held 1, but client 3's read of x=[] at 0.040 s does not: a stale read, at least 0.010 s old.

    seconds   0.000  0.020        0.030  0.040       0.050  0.100
    client 1  ├─ add 1 ─────────────────────────────────────┤
    client 2         ├─ read [1] ─┤
    client 3                             ├─ read [] ─┤  <- stale: 1 is missing
    ");
}

#[test]
fn two_sets_of_which_neither_holds_the_other() {
    let operations = [add(1, 0, 100, 1), add(2, 0, 100, 2), read(3, 20, 30, list(&[1])), read(4, 25, 35, list(&[2]))];
    assert_snapshot!(told(Set, &operations), @r"
    not-linearizable

    Client 3's read of x=[1] (invoked at 0.020 s, returned at 0.030 s) holds 1 and not 2, client 4's read of x=[2] (invoked at 0.025 s, returned at 0.035 s) the reverse, but a set only grows, so one of the two must hold the other.

    seconds   0.000  0.020  0.025  0.030  0.035  0.100
    client 1  ├─ add 1 ──────────────────────────┤
    client 2  ├─ add 2 ──────────────────────────┤
    client 3         ├─ read [1] ──┤
    client 4                ├─ read [2] ──┤  <- neither holds the other
    ");
}

#[test]
fn a_set_with_an_element_that_nobody_added() {
    assert_snapshot!(told(Set, &[add(1, 0, 10, 1), read(3, 20, 30, list(&[1, 7]))]), @r"
    read-of-unwritten

    Client 3's read of x=[1, 7] at 0.020 s holds 7, which nobody ever added: a read of a value never written.

    seconds   0.020           0.030
    client 3  ├─ read [1, 7] ─┤  <- nobody added 7
    ");
}

#[test]
fn a_counter_that_lost_an_addition() {
    assert_snapshot!(told(Counter, &[add(1, 0, 10, 2), add(2, 5, 15, 3), read(3, 20, 30, 2)]), @r"
    lost-write

    Client 3 read x=2 at 0.020 s, but what had been acknowledged by then makes at least 5: an addition was lost, or the read is stale.

    seconds   0.020      0.030
    client 3  ├─ read 2 ─┤  <- possible: 5
    ");
}

#[test]
fn a_counter_that_is_too_high() {
    let unknown = Operation::invoked(2, Action::Add(3.into()), 5).on("x");
    assert_snapshot!(told(Counter, &[add(1, 0, 10, 2), unknown, read(3, 20, 30, 6)]), @r"
    not-linearizable

    Client 3 read x=6 at 0.020 s, but all that had been asked for by then makes at most 5.

    seconds   0.005  0.020      0.030
    client 2  ├─ add 3 ──────────┄┄┄
    client 3         ├─ read 6 ─┤  <- possible: 2 to 5
    ");
}

#[test]
fn a_queue_that_gave_an_element_twice() {
    let operations = [enqueue(1, 0, 10, 5), dequeue(2, 20, 30, 5), dequeue(3, 25, 40, 5)];
    assert_snapshot!(told(Queue, &operations), @r"
    duplicated-dequeue

    Client 2's dequeue of 5 (invoked at 0.020 s, returned at 0.030 s) and client 3's dequeue of 5 (invoked at 0.025 s, returned at 0.040 s) took the same element, which was put in once: a duplicated dequeue.

    seconds   0.000         0.010  0.020  0.025  0.030  0.040
    client 1  ├─ enqueue 5 ─┤
    client 2                       ├─ dequeue 5 ─┤
    client 3                              ├─ dequeue 5 ─┤  <- 5 was taken twice
    ");
}

#[test]
fn a_queue_that_let_one_overtake() {
    let operations = [enqueue(1, 0, 10, 5), enqueue(1, 20, 30, 6), dequeue(2, 40, 50, 6), dequeue(2, 60, 70, 5)];
    assert_snapshot!(told(Queue, &operations), @r"
    reordered-dequeue

    Client 1's enqueue of 5 had been acknowledged at 0.010 s before client 1's enqueue of 6 was invoked at 0.020 s, but client 2's dequeue of 6 had returned at 0.050 s, before client 2's dequeue of 5 at 0.060 s: 6 left the queue before 5.

    seconds   0.000         0.010  0.020         0.030  0.040         0.050  0.060         0.070
    client 1  ├─ enqueue 5 ─┤      ├─ enqueue 6 ─┤
    client 2                                            ├─ dequeue 6 ─┤      ├─ dequeue 5 ─┤
                                                        ^ 5 was before 6
    ");
}

#[test]
fn a_queue_that_lost_an_element() {
    let operations = [enqueue(1, 0, 10, 5), enqueue(1, 20, 30, 6), dequeue(2, 40, 50, 6)];
    assert_snapshot!(told(Queue, &operations), @r"
    lost-write

    Client 1's enqueue of 5 had been acknowledged at 0.010 s before client 1's enqueue of 6 was invoked at 0.020 s, but client 2's dequeue of 6 had returned at 0.050 s, and nobody ever took 5: 5 was lost.

    seconds   0.000         0.010  0.020         0.030  0.040         0.050
    client 1  ├─ enqueue 5 ─┤      ├─ enqueue 6 ─┤
    client 2                                            ├─ dequeue 6 ─┤  <- 5 was before 6
    ");
}

#[test]
fn a_queue_that_was_not_empty() {
    assert_snapshot!(told(Queue, &[enqueue(1, 0, 10, 5), dequeue(2, 40, 50, Value::Nil)]), @r"
    lost-write

    Client 2 found nothing in the queue at 0.040 s, but client 1's enqueue of 5 had been acknowledged at 0.010 s and nobody ever took 5.

    seconds   0.000         0.010  0.040              0.050
    client 1  ├─ enqueue 5 ─┤
    client 2                       ├─ dequeue: empty ─┤  <- 5 was in the queue
    ");
}

#[test]
fn a_queue_that_gave_what_nobody_put_in() {
    assert_snapshot!(told(Queue, &[enqueue(1, 0, 10, 5), dequeue(2, 40, 50, 7)]), @r"
    read-of-unwritten

    Client 2 took 7 at 0.040 s, which nobody ever put in: a read of a value never written.

    seconds   0.040         0.050
    client 2  ├─ dequeue 7 ─┤  <- nobody put 7 in
    ");
}

#[test]
fn a_lock_with_two_holders() {
    assert_snapshot!(told(Lock, &[acquire(1, 0, 10), acquire(2, 20, 30), release(1, 40, 50)]), @r"
    broken-lock

    Client 1's acquisition for 1 (invoked at 0.000 s, returned at 0.010 s) and client 2's acquisition for 2 (invoked at 0.020 s, returned at 0.030 s) both hold the lock, and no release by 1 can lie between: a broken lock.

    seconds   0.000         0.010  0.020         0.030  0.040         0.050
    client 1  ├─ acquire 1 ─┤                           ├─ release 1 ─┤
    client 2                       ├─ acquire 2 ─┤  <- 1 holds it
    ");
}

#[test]
fn a_lock_that_was_released_by_one_who_never_asked_for_it() {
    assert_snapshot!(told(Lock, &[acquire(1, 0, 10), release(2, 20, 30)]), @r"
    broken-lock

    Client 2's release by 2 was acknowledged at 0.030 s, but nobody had asked to acquire the lock for that owner before: a broken lock.

    seconds   0.020         0.030
    client 2  ├─ release 2 ─┤  <- released what was not held
    ");
}

/// Where there is no clock, moments are places in the order of events; keys without a plain name are said first.
#[test]
fn without_a_clock_and_with_an_odd_key() {
    let operations = vec![write(1, 0, 1, 17).on(7), write(2, 2, 3, 23).on(7), read(4, 4, 5, 17).on(7)];
    let history = History::from_operations(operations).expect("a well-formed history");
    assert_snapshot!(told_of(&history, Register, Value::Nil), @r"
    stale-read

    On key 7, client 4 read 17 at event 4, but client 2's write of 23 had been acknowledged at event 3 and nothing wrote 17 again by then: a stale read, at least 1 event old.

    event     0            1  2            3  4           5
    client 1  ├─ write 17 ─┤
    client 2                  ├─ write 23 ─┤
    client 4                                  ├─ read 17 ─┤  <- stale: 23 was there since 3
    ");
}

/// An unknown outcome has no end; the write of what was read may be it.
#[test]
fn an_unknown_outcome_is_open_to_the_right() {
    let unknown = Operation::invoked(5, Action::Write(23.into()), 20).on("x");
    let operations = [write(1, 0, 10, 17), unknown, read(3, 40, 50, 23), read(4, 60, 70, 17)];
    assert_snapshot!(told(Register, &operations), @r"
    diverged-final-reads

    After the last change was asked for (its outcome is unknown) at 0.020 s client 4's last read, at 0.060 s, returned x=17, but client 3's last read, at 0.040 s, returned x=23: diverged final reads.
    Client 4 read x=17 at 0.060 s, but client 3's read of x=23 had returned at 0.050 s and nothing wrote 17 again by then.

    seconds   0.000        0.010  0.020  0.040       0.050  0.060       0.070
    client 1  ├─ write 17 ─┤
    client 5                      ├─ write 23 ───────────────────────────┄┄┄
    client 3                             ├─ read 23 ─┤
    client 4                                                ├─ read 17 ─┤
                                                            ^ stale: 23 was there since 0.050
    ");
}

/// What a server says must not move the cursor, paint over the verdict or turn the direction of writing.
#[test]
fn a_hostile_history_is_harmless() {
    let hostile = |text: &str| Value::Text(format!("\x1b[2J\x1b]0;t\x07{text}\r\n\u{9b}31m\u{202e}\0"));
    let write = |process, invoke, ret, text: &str| {
        Operation::invoked(process, Action::Write(hostile(text)), invoke).on(hostile("key")).done(ret)
    };
    let read = Operation::invoked(3, Action::Read, 40).on(hostile("key")).returned(50, hostile("a"));
    let told = told(Register, &[write(1, 0, 10, "a"), write(2, 20, 30, "b"), read]);
    assert!(!told.replace('\n', "").contains(|letter: char| letter.is_control()), "{told:?}");
    assert!(!told.contains('\u{202e}') && !told.contains('\u{2066}'), "{told:?}");
}

/// Long values, many clients: no line is wider than a screen, and what is left out is said.
#[test]
fn diagrams_are_bounded() {
    let long = |number: usize| Value::Text(format!("{number}{}", "long ".repeat(1_000)));
    let element =
        |number: usize| Operation::invoked(number as u64, Action::Append(long(number)), 0).on("x").done(1_000);
    let mut operations: Vec<Operation> = (0..40).map(element).collect();
    let all: Vec<Value> = (0..40).map(long).collect();
    operations.push(read(50, 1_010, 1_020, Value::List(all.clone())));
    operations.push(read(51, 1_030, 1_040, Value::List(all.into_iter().rev().collect())));
    let told = told(ListAppend, &operations);
    assert!(told.lines().skip(4).all(|line| line.chars().count() <= 100), "{told}");
    assert!(told.lines().count() < 20, "{told}");
    assert!(told.len() < 2_000, "{told}");
}
