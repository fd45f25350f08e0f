//! Convergence and staleness against their definitions.

use super::*;
use checkers::ladder::StaleUnit;

const REGISTER: ModelSpec = ModelSpec { model: ModelKind::Register, initial: Value::Nil };

fn write(process: u64, invoke: u64, ret: u64, value: i64) -> Operation {
    Operation::invoked(process, Action::Write(value.into()), invoke).done(ret)
}

fn read(process: u64, invoke: u64, ret: u64, value: i64) -> Operation {
    Operation::invoked(process, Action::Read, invoke).returned(ret, value)
}

fn convergence(operations: &[Operation]) -> Answer {
    climb(operations, &REGISTER).answer(Level::Convergence).clone()
}

#[test]
fn final_reads_that_differ() {
    let writes = [write(0, 0, 5, 1), write(1, 0, 5, 2)];
    let with = |reads: &[Operation]| [&writes[..], reads].concat();
    assert_eq!(convergence(&with(&[read(2, 6, 7, 2), read(3, 6, 7, 2)])), Answer::Holds);
    let Answer::Fails(why) = convergence(&with(&[read(2, 6, 7, 2), read(3, 6, 7, 1)])) else { panic!("they differ") };
    assert_eq!(why.operations, [2, 3]);
    // A session's last read counts, and only reads after the last write on any key.
    assert_eq!(convergence(&with(&[read(2, 6, 7, 1), read(2, 8, 9, 2), read(3, 6, 7, 2)])), Answer::Holds);
    assert!(matches!(convergence(&with(&[read(2, 5, 7, 1), read(3, 6, 7, 2)])), Answer::Unknown(_)));
    let late = write(4, 8, 9, 3).on("another");
    assert!(matches!(convergence(&with(&[read(2, 6, 7, 1), read(3, 6, 7, 2), late])), Answer::Unknown(_)));
}

#[test]
fn final_reads_around_an_unknown_write() {
    let unknown = Operation::invoked(1, Action::Write(2.into()), 0);
    let with = |reads: &[Operation]| [&[write(0, 0, 5, 1), unknown.clone()][..], reads].concat();
    // It may have taken effect between them, but not have been undone.
    assert!(matches!(convergence(&with(&[read(2, 6, 7, 1), read(3, 8, 9, 2)])), Answer::Unknown(_)));
    assert!(matches!(convergence(&with(&[read(2, 6, 7, 2), read(3, 8, 9, 1)])), Answer::Fails(_)));
    assert!(matches!(convergence(&with(&[read(2, 6, 7, 1), read(3, 8, 9, 3)])), Answer::Fails(_)));
    let list = |process, elements: &[i64]| {
        let list = elements.iter().copied().map(Value::Int).collect::<Vec<_>>();
        Operation::invoked(process, Action::Read, 6).returned(7, list)
    };
    for model in [ModelKind::ListAppend, ModelKind::Set] {
        let spec = ModelSpec { model, initial: Value::Nil };
        let insert = |process, value: i64| {
            let new = value.into();
            let action = if model == ModelKind::Set { Action::Add(new) } else { Action::Append(new) };
            Operation::invoked(process, action, 0)
        };
        let with = |a: &[i64], b: &[i64]| {
            let operations = [insert(0, 1).done(5), insert(4, 3).done(5), insert(1, 2), list(2, a), list(3, b)];
            climb(&operations, &spec).answer(Level::Convergence).clone()
        };
        assert_eq!(with(&[1, 3], &[1, 3]), Answer::Holds);
        // A set's elements may be listed in any order.
        match model {
            ModelKind::Set => assert_eq!(with(&[1, 3], &[3, 1]), Answer::Holds),
            _ => assert!(matches!(with(&[1, 3], &[3, 1]), Answer::Fails(_))),
        }
        assert!(matches!(with(&[1, 3], &[1, 3, 2]), Answer::Unknown(_)), "{model:?}");
        assert!(matches!(with(&[], &[1]), Answer::Fails(_)), "{model:?}");
    }
}

#[test]
fn staleness_by_hand() {
    let operations = [write(0, 0, 1, 1), write(0, 2, 3, 2), write(0, 4, 9, 3), read(1, 5, 6, 1), read(1, 10, 11, 1)];
    let found = climb(&operations, &REGISTER).staleness.expect("clear");
    assert_eq!((found.reads, found.stale, found.unit), (2, 2, StaleUnit::Events));
    let (writes, time) = (found.writes.expect("stale"), found.time.expect("stale"));
    assert_eq!((writes.p50, writes.max), (1, 2));
    assert_eq!((time.p50, time.max), (2, 7));
    assert_eq!(found.worst, Some(4));
}

/// Newer for sure: invoked after the source was known, returned before the read was invoked.
#[test]
fn staleness_as_defined() {
    let mut random = Pcg64::seed_from_u64(7);
    let mut stale_seen = 0;
    for number in 0..4_000 {
        let kind = [ModelKind::Register, ModelKind::ListAppend][number % 2];
        let case = generate(Shape { kind, operations: 12, unwritten: 0, ..SMALL }, &mut random);
        let found = climb(&case.operations, &case.spec).staleness.expect("registers and lists are judged");
        let (mut stale, mut writes_max, mut time_max) = (0, 0, 0);
        for read in case.operations.iter().filter(|operation| operation.action == Action::Read) {
            let Completion::Ok(Some(seen)) = &read.completion else { continue };
            let newer = newer(&case, read, seen);
            if let Some(earliest) = newer.iter().map(|write| write.ret).min() {
                stale += 1;
                writes_max = writes_max.max(newer.len() as u64);
                time_max = time_max.max(read.invoke - earliest);
            }
        }
        stale_seen += stale;
        assert_eq!(found.stale, stale, "{}", text(&case.operations));
        assert_eq!(found.writes.map_or(0, |writes| writes.max), writes_max, "{}", text(&case.operations));
        assert_eq!(found.time.map_or(0, |time| time.max), time_max, "{}", text(&case.operations));
    }
    assert!(stale_seen > 1_000, "only {stale_seen} stale reads");
}

fn newer<'a>(case: &'a Case, read: &Operation, seen: &Value) -> Vec<&'a Operation> {
    let written = |operation: &Operation| match &operation.action {
        Action::Write(new) | Action::Append(new) => Some(new.clone()),
        _ => None,
    };
    let of_key = || case.operations.iter().filter(|operation| operation.key == read.key);
    let done = |write: &&Operation| {
        written(write).is_some() && matches!(write.completion, Completion::Ok(_)) && write.ret < read.invoke
    };
    if let Value::List(list) = seen {
        if list.len() > list.iter().collect::<std::collections::BTreeSet<_>>().len() {
            return Vec::new();
        }
        // A read of something that was never appended has no source.
        let appended = |element: &Value| {
            of_key().any(|write| write.completion != Completion::Fail && written(write).as_ref() == Some(element))
        };
        let initial: &[Value] = if let Value::List(initial) = &case.spec.initial { initial } else { &[] };
        if !list.starts_with(initial) || !list[initial.len()..].iter().all(appended) {
            return Vec::new();
        }
        return of_key().filter(done).filter(|write| !list.contains(&written(write).expect("a write"))).collect();
    }
    let knows = |operation: &&Operation| {
        written(operation).as_ref() == Some(seen) && operation.completion != Completion::Fail
            || operation.completion == Completion::Ok(Some(seen.clone()))
    };
    let from_nowhere = *seen != case.spec.initial
        && !of_key().any(|write| written(write).as_ref() == Some(seen) && write.completion != Completion::Fail);
    if from_nowhere {
        return Vec::new();
    }
    let known = of_key().filter(knows).map(|operation| operation.ret).min().unwrap_or(0);
    let is_initial = *seen == case.spec.initial;
    of_key().filter(done).filter(|write| is_initial || write.invoke > known).collect()
}
