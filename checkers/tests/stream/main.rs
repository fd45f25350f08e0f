//! The monitor against the judge: on every prefix of random runs, and what it keeps on long ones.
//!
//! `TRUELINE_FUZZ_CASES` sets the number of runs of each style (default 1,500).

mod events;
mod long;
mod stories;

use checkers::history::{Event, History, HistoryBuilder, Value};
use checkers::model::{ModelKind, ModelSpec};
use checkers::stream::{Monitor, MonitorLimits, Watch};
use checkers::verdict::Verdict;
use checkers::{CheckOptions, check};
use events::{Style, generate};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

fn cases() -> u64 {
    std::env::var("TRUELINE_FUZZ_CASES")
        .ok()
        .map_or(1_500, |cases| cases.parse().expect("TRUELINE_FUZZ_CASES is a number"))
}

fn history(events: &[Event]) -> History {
    let mut builder = HistoryBuilder::new();
    for event in events {
        builder.push(event.clone()).expect("generated events keep the rules");
    }
    builder.finish()
}

/// A line for each event.
fn show(events: &[Event]) -> String {
    events.iter().fold(String::new(), |text, event| {
        let Event { time, process, kind, function, key, value, observed, reason, .. } = event;
        text + &format!("\n{time:?} {process:?} {kind:?} {function:?} on {key}: {value} {observed:?} {reason:?}")
    })
}

fn offline(events: &[Event], spec: &ModelSpec) -> Verdict {
    check(&history(events), spec, &CheckOptions { threads: 1, ..CheckOptions::default() })
        .expect("generated operations fit their model")
        .verdict
}

#[derive(Debug, Default)]
struct Counts {
    prefixes: u64,
    unknown: u64,
    valid_runs: u64,
    invalid_runs: u64,
}

/// Feeds a run event by event, and compares the verdict of every prefix.
fn compare(events: &[Event], spec: &ModelSpec, limits: MonitorLimits, counts: &mut Counts) {
    let mut monitor = Monitor::new(spec, limits);
    let mut invalid = false;
    for (place, event) in events.iter().enumerate() {
        monitor.feed(event.clone()).expect("generated events keep the rules");
        let prefix = &events[..=place];
        let said = monitor.clone().finish();
        counts.prefixes += 1;
        // The judge is not asked again on a run that was seen to be impossible, but what the monitor says for good must hold.
        let verdict = offline(prefix, spec);
        match (&said, verdict) {
            (Watch::Fine, Verdict::Valid) | (Watch::Violated(_), Verdict::Invalid) => {}
            (Watch::Unknown { .. }, _) => counts.unknown += 1,
            _ => panic!("the monitor says {said:?}, the judge {verdict:?}, on {spec:?} and{}", show(prefix)),
        }
        let so_far = monitor.state();
        if let Watch::Violated(spotted) = &so_far {
            assert_eq!(verdict, Verdict::Invalid, "{spotted:?} is taken back:{}", show(prefix));
            assert!(spotted.event <= place as u64 + 1);
            assert_eq!(monitor.violation(), Some(spotted));
        } else if event.time.is_none() && said != Watch::Fine {
            assert!(!matches!(said, Watch::Violated(_)) || so_far != Watch::Fine, "{so_far:?} though {said:?}");
        }
        if verdict == Verdict::Invalid {
            // A few events more, to see that nothing is taken back.
            if std::mem::replace(&mut invalid, true) {
                break;
            }
        }
    }
    if invalid {
        counts.invalid_runs += 1;
    } else {
        counts.valid_runs += 1;
    }
}

fn fuzz(model: ModelKind, unique: bool, limits: MonitorLimits) -> Counts {
    let mut counts = Counts::default();
    for seed in 0..cases() {
        let mut random = Pcg64::seed_from_u64(seed);
        let style = Style {
            model,
            clients: random.random_range(1..=5),
            events: random.random_range(4..=40),
            domain: if unique { 0 } else { [3, 8, 20][random.random_range(0..3)] },
            wrong: [0, 5, 20, 50][random.random_range(0..4)],
            unknown: [0, 5, 20][random.random_range(0..3)],
            wordless: if unique { 0 } else { 30 },
            late: 10,
            same_times: random.random_range(0..2) == 0,
            timed: random.random_range(0..3) > 0,
            keys: random.random_range(1..=2),
        };
        let initial = match model {
            ModelKind::ListAppend => [Value::Nil, Value::List(vec![Value::Int(1)])][random.random_range(0..2)].clone(),
            ModelKind::KeyValue => Value::Text(String::new()),
            _ => [Value::Nil, Value::Int(0)][random.random_range(0..2)].clone(),
        };
        let spec = ModelSpec { model, initial };
        compare(&generate(style, &spec, &mut random), &spec, limits, &mut counts);
    }
    println!("{model:?}, unique {unique}: {counts:?}");
    assert!(counts.valid_runs * 5 > cases() && counts.invalid_runs * 5 > cases(), "the fuzz proves little: {counts:?}");
    counts
}

/// The tests alone: nothing is kept to fall back to.
fn no_replay() -> MonitorLimits {
    MonitorLimits { first_operations: 0, ..MonitorLimits::default() }
}

#[test]
fn registers_with_unique_values_agree_with_the_judge_on_every_prefix() {
    let counts = fuzz(ModelKind::Register, true, no_replay());
    assert_eq!(counts.unknown, 0);
}

#[test]
fn chains_of_compare_and_set_agree_with_the_judge_on_every_prefix() {
    let counts = fuzz(ModelKind::CasRegister, true, no_replay());
    assert_eq!(counts.unknown, 0);
}

#[test]
fn lists_agree_with_the_judge_on_every_prefix() {
    let counts = fuzz(ModelKind::ListAppend, true, no_replay());
    assert_eq!(counts.unknown, 0);
}

/// Values that come again once they are dead are still for the fast tests; the others are not.
#[test]
fn values_that_come_again_agree_with_the_judge_or_are_unknown() {
    for model in [ModelKind::Register, ModelKind::CasRegister, ModelKind::ListAppend] {
        let counts = fuzz(model, false, no_replay());
        assert!(counts.unknown > 0 && counts.unknown < counts.prefixes, "{counts:?}");
    }
}

#[test]
fn what_falls_back_agrees_with_the_judge_on_every_prefix() {
    for model in [ModelKind::Register, ModelKind::CasRegister, ModelKind::ListAppend, ModelKind::KeyValue] {
        let counts = fuzz(model, false, MonitorLimits::default());
        assert_eq!(counts.unknown, 0);
    }
}
