//! Runs that the monitor must reject, one for each kind of violation, and the event at which it must; and what it cannot tell.

use checkers::history::{Event, EventKind, Function, Value};
use checkers::model::{ModelKind, ModelSpec};
use checkers::stream::{Monitor, MonitorLimits, Spotted, Watch};
use checkers::verdict::Anomaly;

use EventKind::{Fail, Info, Invoke, Ok};
use Function::{Append, Cas, Read, Write};

fn fed(model: ModelKind, limits: MonitorLimits, events: &[Event]) -> Monitor {
    let mut monitor = Monitor::new(&ModelSpec { model, initial: Value::Nil }, limits);
    for event in events {
        monitor.feed(event.clone()).expect("the story keeps the rules");
    }
    monitor
}

/// The tests alone: nothing is kept to fall back to.
fn alone() -> MonitorLimits {
    MonitorLimits { first_operations: 0, ..MonitorLimits::default() }
}

/// The last event must be the one that cannot be, and the events before it fine.
fn rejected(model: ModelKind, anomaly: Anomaly, word: &str, events: &[Event]) {
    let (_, before) = events.split_last().expect("a story has events");
    assert_eq!(fed(model, alone(), before).finish(), Watch::Fine);
    match fed(model, alone(), events).state() {
        Watch::Violated(Spotted { anomaly: found, what, event, key }) => {
            assert_eq!((found, event, key), (anomaly, events.len() as u64, Value::Nil), "{what}");
            assert!(what.contains(word), "{word:?} is not in {what:?}");
        }
        other => panic!("{other:?}"),
    }
}

fn wrote(process: u64, value: i64) -> [Event; 2] {
    [Event::client(process, Invoke, Write, value), Event::client(process, Ok, Write, value)]
}

fn read(process: u64, value: impl Into<Value>) -> [Event; 2] {
    [Event::client(process, Invoke, Read, Value::Nil), Event::client(process, Ok, Read, value)]
}

fn cas(process: u64, kind: EventKind, old: i64, new: i64) -> Event {
    Event::client(process, kind, Cas, vec![Value::Int(old), Value::Int(new)])
}

fn append(process: u64, kind: EventKind, value: i64) -> Event {
    Event::client(process, kind, Append, value)
}

fn list(elements: &[i64]) -> Value {
    Value::List(elements.iter().map(|element| Value::Int(*element)).collect())
}

#[test]
fn a_stale_read_of_a_forgotten_value() {
    let events = [wrote(1, 7), wrote(2, 8), read(3, 8), read(3, 7)].concat();
    rejected(ModelKind::Register, Anomaly::NotLinearizable, "replaced before", &events);
}

#[test]
fn a_stale_read_of_a_value_that_an_open_read_keeps_alive() {
    let begun = [Event::client(9, Invoke, Read, Value::Nil)];
    let events = [&begun[..], &[wrote(1, 7), wrote(2, 8), read(3, 8), read(3, 7)].concat()].concat();
    rejected(ModelKind::Register, Anomaly::StaleRead, "overwritten by then", &events);
}

#[test]
fn a_read_of_a_value_whose_write_comes_later() {
    rejected(ModelKind::Register, Anomaly::NotLinearizable, "had not been written", &read(1, 7));
}

#[test]
fn a_failure_of_what_was_seen() {
    let events = [&[Event::client(1, Invoke, Write, 7)][..], &read(2, 7), &[Event::client(1, Fail, Write, 7)]];
    rejected(ModelKind::Register, Anomaly::Phantom, "definitely failed", &events.concat());
}

#[test]
fn a_late_failure_of_what_was_seen_and_forgotten() {
    let begun = [Event::client(1, Invoke, Write, 7), Event::client(1, Info, Write, 7)];
    let events = [&begun[..], &read(2, 7), &wrote(2, 8), &wrote(2, 9), &[Event::client(1, Fail, Write, 7)]];
    rejected(ModelKind::Register, Anomaly::Phantom, "definitely failed", &events.concat());
}

#[test]
fn a_second_winner() {
    let begun = [cas(2, Invoke, 7, 8), cas(3, Invoke, 7, 9), cas(2, Ok, 7, 8), cas(3, Ok, 7, 9)];
    rejected(ModelKind::CasRegister, Anomaly::LostUpdate, "two compare-and-sets", &[&wrote(1, 7)[..], &begun].concat());
}

#[test]
fn compare_and_sets_that_made_each_other_s_values() {
    let events = [cas(1, Invoke, 8, 7), cas(2, Invoke, 7, 8), cas(1, Ok, 8, 7)];
    rejected(ModelKind::CasRegister, Anomaly::ReadFromFuture, "could have made", &events);
}

#[test]
fn a_read_of_what_was_replaced_in_its_chain() {
    let open = [Event::client(9, Invoke, Read, Value::Nil)];
    let replaced = [cas(2, Invoke, 7, 8), cas(2, Ok, 7, 8)];
    let events = [&open[..], &wrote(1, 7), &replaced, &read(3, 7)].concat();
    rejected(ModelKind::CasRegister, Anomaly::StaleRead, "had been replaced", &events);
}

#[test]
fn a_refusal_that_saw_what_it_wanted() {
    let mut refused = cas(2, Fail, 7, 8);
    refused.observed = Some(7.into());
    let events = [&wrote(1, 7)[..], &[cas(2, Invoke, 7, 8), refused]].concat();
    rejected(ModelKind::CasRegister, Anomaly::NotLinearizable, "not equal", &events);
}

#[test]
fn lists_that_cannot_be() {
    let appended = [append(1, Invoke, 7), append(1, Ok, 7), append(1, Invoke, 8), append(1, Ok, 8)];
    let after = |seen: &[i64]| [&appended[..], &read(2, list(seen))].concat();
    rejected(ModelKind::ListAppend, Anomaly::LostWrite, "acknowledged 8 is missing", &after(&[7]));
    rejected(ModelKind::ListAppend, Anomaly::ReorderedAppend, "it holds 7 after", &after(&[8, 7]));
    rejected(ModelKind::ListAppend, Anomaly::DuplicatedAppend, "holds 7 twice", &after(&[7, 8, 7]));
    rejected(ModelKind::ListAppend, Anomaly::ReadOfUnwritten, "holds 9, which nobody", &after(&[7, 8, 9]));
    let parted = [&after(&[7, 8])[..], &read(2, list(&[8, 7]))].concat();
    rejected(ModelKind::ListAppend, Anomaly::ReorderedAppend, "disagrees", &parted);
    let stale = [&after(&[7, 8])[..], &read(2, list(&[7]))].concat();
    rejected(ModelKind::ListAppend, Anomaly::StaleRead, "longer list", &stale);
    rejected(ModelKind::ListAppend, Anomaly::ReadOfUnwritten, "not a list", &[&appended[..], &read(2, 7)].concat());
    let failed = [&[append(1, Invoke, 7)][..], &read(2, list(&[7])), &[append(1, Fail, 7)]].concat();
    rejected(ModelKind::ListAppend, Anomaly::Phantom, "definitely failed", &failed);
}

/// The horizon is a moment, and so is a return: the one that is earlier must not be forgotten for one that is at the horizon.
#[test]
fn a_stale_list_read_since_the_very_moment_of_a_longer_one() {
    let [begun, _] = read(3, Value::Nil);
    let [other, seen] = read(2, list(&[7, 8]));
    let events = [
        (1, append(1, Invoke, 7)),
        (2, append(1, Ok, 7)),
        (3, append(1, Invoke, 8)),
        (3, other),
        (5, begun),
        (5, seen),
        (6, Event::client(3, Ok, Read, list(&[]))),
    ];
    let events = events.map(|(time, event)| Event { time: Some(time), ..event });
    assert_eq!(fed(ModelKind::ListAppend, alone(), &events[..6]).finish(), Watch::Fine);
    assert!(matches!(fed(ModelKind::ListAppend, alone(), &events).finish(), Watch::Violated(_)));
}

/// An answer and an invocation at the same moment are concurrent, in whichever order they were recorded.
#[test]
fn an_answer_waits_for_its_moment_to_be_over() {
    let [begun, seen] = read(1, 7);
    let written = Event::client(2, Invoke, Write, 7);
    let at = |event: &Event, time| Event { time: Some(time), ..event.clone() };
    let monitor = fed(ModelKind::Register, alone(), &[at(&begun, 1), at(&seen, 2)]);
    assert_eq!(monitor.state(), Watch::Fine);
    assert!(matches!(monitor.finish(), Watch::Violated(_)), "were this all, it would be a read of nothing");
    let monitor = fed(ModelKind::Register, alone(), &[at(&begun, 1), at(&seen, 2), at(&written, 2)]);
    assert_eq!(monitor.finish(), Watch::Fine);
    let monitor = fed(ModelKind::Register, alone(), &[at(&begun, 1), at(&seen, 2), at(&written, 3)]);
    assert!(matches!(monitor.state(), Watch::Violated(_)));
}

/// A value that is dead may come again; one that may still be read may not, without the beginning of its key.
#[test]
fn a_value_that_comes_again() {
    let dead = [wrote(1, 7), wrote(1, 8), wrote(1, 9), wrote(1, 7), read(1, 7)].concat();
    assert_eq!(fed(ModelKind::Register, alone(), &dead).finish(), Watch::Fine);
    let alive = [wrote(1, 7), wrote(1, 7)].concat();
    let Watch::Unknown { why } = fed(ModelKind::Register, alone(), &alive).state() else { panic!("it cannot tell") };
    assert!(why.contains("the only object is no longer watched: a value was written again"), "{why}");
    assert_eq!(fed(ModelKind::Register, MonitorLimits::default(), &alive).finish(), Watch::Fine);
    let stale = [&alive[..], &read(1, Value::Nil)].concat();
    assert!(matches!(fed(ModelKind::Register, MonitorLimits::default(), &stale).finish(), Watch::Violated(_)));
}

/// A read that was given up, and whose key got crowded since: what it could have seen is forgotten.
#[test]
fn an_answer_that_comes_too_late() {
    let given_up = |kind| Event::client(99, kind, Read, Value::Nil);
    let mut events = vec![given_up(Invoke), given_up(Info)];
    events.extend((0..200).flat_map(|value| wrote(1, value)));
    let in_time = [&events[..100], &[Event::client(99, Ok, Read, 3)]].concat();
    assert_eq!(fed(ModelKind::Register, alone(), &in_time).finish(), Watch::Fine);
    events.push(Event::client(99, Ok, Read, 3));
    let Watch::Unknown { why } = fed(ModelKind::Register, alone(), &events).finish() else { panic!("it cannot tell") };
    assert!(why.contains("long after its operation had been given up"), "{why}");
}

/// Where values come again, one operation that ran alone tells the state: nothing before it is kept.
#[test]
fn judging_again_starts_anew_where_the_state_is_known() {
    let mut events: Vec<Event> =
        (0..5_000).flat_map(|value| [wrote(1, value % 2), read(2, value % 2)].concat()).collect();
    let spec = ModelSpec { model: ModelKind::KeyValue, initial: Value::from("") };
    let text = |value: &mut Value| {
        if let Value::Int(number) = value {
            *value = Value::from(number.to_string());
        }
    };
    events.iter_mut().for_each(|event| text(&mut event.value));
    let mut monitor = Monitor::new(&spec, MonitorLimits::default());
    for event in &events {
        monitor.feed(event.clone()).expect("the story keeps the rules");
        assert!(monitor.kept() < 50, "{}", monitor.kept());
    }
    assert_eq!(monitor.clone().finish(), Watch::Fine);
    let mut wrong = read(2, "7");
    wrong.iter_mut().for_each(|event| monitor.feed(event.clone()).expect("the story keeps the rules"));
    let Watch::Violated(spotted) = monitor.finish() else { panic!("nobody wrote 7") };
    assert_eq!(spotted.event, 20_002);
}

/// Values that come again and operations that never stand alone: the monitor says that it does not know.
#[test]
fn a_key_with_too_much_to_judge_again_is_not_watched() {
    let limits = MonitorLimits { replayed_operations: 100, ..MonitorLimits::default() };
    let open = [Event::client(9, Invoke, Write, 1)];
    let events = [&open[..], &(0..200).flat_map(|_| wrote(1, 1)).collect::<Vec<_>>()].concat();
    let Watch::Unknown { why } = fed(ModelKind::Register, limits, &events).finish() else { panic!("it cannot tell") };
    assert!(why.contains("too many operations"), "{why}");
}

#[test]
fn operations_that_the_model_has_not_are_unknown() {
    for (model, event) in
        [(ModelKind::Register, cas(1, Invoke, 1, 2)), (ModelKind::ListAppend, Event::client(1, Invoke, Write, 1))]
    {
        assert!(matches!(fed(model, alone(), &[event]).state(), Watch::Unknown { .. }));
    }
}

#[test]
fn events_that_break_a_rule_are_errors() {
    let mut monitor = fed(ModelKind::Register, alone(), &[Event::client(1, Invoke, Read, Value::Nil)]);
    let error = monitor.feed(Event::client(1, Invoke, Read, Value::Nil)).expect_err("it is open already");
    assert!(error.to_string().starts_with("line 2: process 1 invokes while its operation of line 1"), "{error}");
}
