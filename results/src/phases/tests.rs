use checkers::history::{Action, History, Operation, Value};
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::*;
use crate::{
    summary::{OpenLoop, Phases},
    timeline::ScheduleLine,
};

const MS: u64 = 1_000_000;

/// A write and a read every 10 ms for six seconds, 2 ms each, but none that is answered between 2 s and 2.5 s.
fn history() -> History {
    let mut operations = Vec::new();
    for place in 0..600 {
        let at = place * 10 * MS;
        let stalled = (2_000 * MS..2_500 * MS).contains(&at);
        let done = at + 2 * MS;
        let write = Operation::invoked(0, Action::Write(Value::Int(1)), at);
        let read = Operation::invoked(1, Action::Read, at + MS);
        if stalled {
            operations.push(write.failed(done));
            operations.push(read.failed(done + MS));
        } else {
            operations.push(write.done(done));
            operations.push(read.returned(done + MS, Value::Int(1)));
        }
    }
    History::from_operations(operations).expect("a history")
}

fn schedule(lines: &[(u64, u64, &str)]) -> Vec<ScheduleLine> {
    let line = |&(at, fault, step): &(u64, u64, &str)| {
        let text = format!(r#"{{"time":{at},"done":{at},"fault":{fault},"name":"kill leader","step":{step}}}"#);
        serde_json::from_str(&text).expect("a line")
    };
    lines.iter().map(line).collect()
}

fn whole() -> Phases {
    Phases { load_start_ns: 0, faults_start_ns: 0, healed_ns: 6_000 * MS, end_ns: 6_000 * MS, open_loop: None }
}

#[test]
fn a_fault_is_told_in_numbers() {
    let lines = schedule(&[(1_995 * MS, 1, r#"{"kill":[1]}"#), (3_000 * MS, 1, r#""revive""#)]);
    let timeline = Timeline::made_of(history(), Some(whole()), lines, Vec::new());
    let (report, histograms) = phases(&timeline);
    let fault = &report.faults[0];
    assert_eq!((fault.start_ns, fault.end_ns), (1_995 * MS, 3_000 * MS));
    // The write that begins at 2.5 s is answered at 2.502 s; the last answer before was at 1.993 s, but the fault began later.
    assert_eq!(fault.failover_ms, Some(507.0));
    assert_eq!(fault.recovery_ms, Some(2.0));
    assert_eq!((fault.longest_gap_ms, fault.unavailable_ms), (507.0, 507.0));
    let [before, during, after] = fault.answered_per_second;
    assert!((before - 200.0).abs() < 3.0 && (during - 100.0).abs() < 3.0 && (after - 200.0).abs() < 3.0, "{fault:?}");
    let count = |phase: Phase, operation: &str| {
        fault.latencies.iter().find(|row| row.phase == phase && row.operation == operation).map(|row| row.count)
    };
    assert_eq!(count(Phase::Before, "write"), Some(200));
    assert_eq!(count(Phase::During, "write"), Some(50));
    assert_eq!(count(Phase::After, "read"), Some(200));
    // From the last answer before, at 1.993 s, to the first after.
    assert_eq!(report.gaps, [Gap { start_ns: 1_993 * MS, length_ms: 509.0, faults: vec![1] }]);
    let all = report.unavailability(0).expect("a gap");
    assert_eq!((all.count, all.longest_ms, all.longest_at_ms), (1, 509.0, 1_993.0));
    assert_eq!(all.longest_under, ["kill leader"]);
    let load = |phase: Phase| report.load.iter().filter(|row| row.phase == phase).map(|row| row.count).sum::<u64>();
    assert_eq!((load(Phase::Quiet), load(Phase::Faulty)), (1_000, 100));
    assert_eq!(report.kinds.len(), 1);
    assert_eq!(report.kinds[0].outage.failover_ms, Some(Spread { median: 507.0, worst: 507.0 }));

    let mut log = Vec::new();
    histograms.write_log(&mut log, Duration::from_secs(6)).expect("written");
    let tag = |entry: LogEntry<'_>| match entry {
        LogEntry::Interval(interval) => interval.tag().map(|tag| tag.as_str().to_owned()),
        _ => None,
    };
    let tags: Vec<String> = IntervalLogIterator::new(&log).filter_map(|entry| tag(entry.expect("a line"))).collect();
    assert!(
        tags.contains(&"write.during.kill-leader".to_owned()) && tags.contains(&"read.quiet".to_owned()),
        "{tags:?}"
    );
}

#[test]
fn who_never_comes_back_has_not_recovered() {
    let operations = (0..20).map(|place| {
        let write = Operation::invoked(place, Action::Write(Value::Int(1)), place * 10 * MS);
        if place < 10 { write.done(place * 10 * MS + MS) } else { write }
    });
    let history = History::from_operations(operations).expect("a history");
    let healed_ns = 1_000 * MS;
    let phases_of = Phases { healed_ns, end_ns: healed_ns, ..whole() };
    let lines = schedule(&[(95 * MS, 1, r#"{"kill":[1]}"#)]);
    let (report, _) = phases(&Timeline::made_of(history, Some(phases_of), lines, Vec::new()));
    let fault = &report.faults[0];
    assert_eq!((fault.failover_ms, fault.recovery_ms), (None, None));
    assert_eq!(fault.end_ns, healed_ns);
    assert_eq!(fault.unavailable_ms, 905.0);
    assert_eq!(report.kinds[0].outage.recovery_ms, None);
}

/// Ten operations a second were meant; the client was held up for a second by one of them, and caught up.
#[test]
fn waiting_for_a_stalled_client_counts_from_the_intended_start() {
    let mut operations = vec![Operation::invoked(0, Action::Write(Value::Int(1)), 0).done(1_000 * MS)];
    for place in 1..20 {
        let invoke = (place * 100 * MS).max(1_000 * MS + place * MS);
        operations.push(Operation::invoked(0, Action::Write(Value::Int(1)), invoke).done(invoke + MS));
    }
    let history = History::from_operations(operations).expect("a history");
    let open_loop = Some(OpenLoop { interval_ns: 100 * MS, clients: 1, stride: 3 });
    let lines = schedule(&[(0, 1, r#"{"pause":[1]}"#), (1_000 * MS, 1, r#""revive""#)]);
    let at = |open_loop| {
        let phases_of = Phases { open_loop, ..whole() };
        let (report, _) = phases(&Timeline::made_of(history.clone(), Some(phases_of), lines.clone(), Vec::new()));
        let during: Vec<PhaseRow> =
            report.faults[0].latencies.iter().filter(|row| row.phase == Phase::During).cloned().collect();
        (during[0].count, during[0].p50_ns / MS)
    };
    // Ten waited, half of them more than half a second: the closed loop's view has only the one that hung.
    assert_eq!(at(open_loop).0, 10);
    assert!((500..650).contains(&at(open_loop).1), "{:?}", at(open_loop));
    assert_eq!(at(None).0, 1);
}

#[test]
fn a_run_without_faults_or_operations_has_nothing_to_tell() {
    let (report, _) = phases(&Timeline::made_of(History::default(), None, Vec::new(), Vec::new()));
    assert!(report.faults.is_empty() && report.kinds.is_empty() && report.load.is_empty());
    assert!(report.gaps.is_empty() && report.unavailability(0).is_none());
    let (report, _) = phases(&Timeline::made_of(history(), Some(whole()), Vec::new(), Vec::new()));
    assert_eq!(report.load.iter().map(|row| (row.phase, row.count)).max(), Some((Phase::Quiet, 550)));
}
