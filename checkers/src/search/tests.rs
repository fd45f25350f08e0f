//! The searches from inside: sweeps so narrow that even small histories do not fit, every size of set, where they got stuck.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::frontier::widen;
use super::sets::{Bits, Mask};
use super::{DepthFirst, Entry, Found, Limits, Meter, NEVER, Problem, Stuck};
use crate::history::OpIndex;
use crate::model::Model;

/// A register of small numbers that starts at 0.
struct Register;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Call {
    Read(u8),
    Write(u8),
    Cas(u8, u8),
    NotEqual(u8),
}

impl Model for Register {
    type State = u8;
    type Call = Call;

    fn initial(&self) -> u8 {
        0
    }

    fn step(&self, state: &u8, call: &Call) -> Option<u8> {
        match *call {
            Call::Read(value) => (*state == value).then_some(*state),
            Call::Write(value) => Some(value),
            Call::Cas(old, new) => (*state == old).then_some(new),
            Call::NotEqual(value) => (*state != value).then_some(*state),
        }
    }

    fn is_read(&self, call: &Call) -> bool {
        matches!(call, Call::Read(_) | Call::NotEqual(_))
    }

    fn is_blind(&self, call: &Call) -> bool {
        matches!(call, Call::Write(_))
    }
}

/// Anything at any time: few of these are linearizable, so calls are few.
fn random_entries(random: &mut Pcg64) -> Vec<Entry<Call>> {
    let values = random.random_range(2..=3);
    let unknown = random.random_range(0..60);
    let mut entries: Vec<Entry<Call>> = (0..random.random_range(2..=7))
        .map(|_| {
            let invoke = random.random_range(0..14);
            let (a, b) = (random.random_range(0..values), random.random_range(0..values));
            let call = match random.random_range(0..8) {
                0..=2 => Call::Read(a),
                3..=4 => Call::Write(a),
                5..=6 if a != b => Call::Cas(a, b),
                _ => Call::NotEqual(a),
            };
            let ret = if random.random_range(0..100) < unknown { NEVER } else { invoke + random.random_range(0..9) };
            Entry { index: OpIndex(0), invoke, ret, call }
        })
        .collect();
    entries.sort_by_key(|entry| entry.invoke);
    (0..).map(OpIndex).zip(&mut entries).for_each(|(index, entry)| entry.index = index);
    entries
}

/// By definition, order by order.
fn possible(entries: &[Entry<Call>], left: &mut Vec<bool>, state: u8) -> bool {
    let must = |at: usize| entries[at].ret != NEVER;
    if (0..entries.len()).all(|at| !left[at] || !must(at)) {
        return true;
    }
    (0..entries.len()).any(|next| {
        let free = left[next]
            && (0..entries.len())
                .all(|other| !left[other] || entries[other].ret >= entries[next].invoke || !must(other));
        let Some(after) = Register.step(&state, &entries[next].call).filter(|_| free) else { return false };
        left[next] = false;
        let found = possible(entries, left, after);
        left[next] = true;
        found
    })
}

fn is_possible(entries: &[Entry<Call>]) -> bool {
    possible(entries, &mut vec![true; entries.len()], 0)
}

/// What had happened by `time`: returns at it included, or not.
fn up_to(entries: &[Entry<Call>], time: u64, included: bool) -> Vec<Entry<Call>> {
    let begun = entries.iter().filter(|entry| entry.invoke <= time).cloned();
    let late = |ret: u64| ret > time || (ret == time && !included);
    begun.map(|entry| if late(entry.ret) { Entry { ret: NEVER, ..entry } } else { entry }).collect()
}

fn replay(entries: &[Entry<Call>], order: &[OpIndex]) {
    let (mut state, mut latest_invoke) = (0, 0);
    let mut placed = vec![false; entries.len()];
    for index in order {
        let entry = &entries[index.0 as usize];
        assert!(!std::mem::replace(&mut placed[index.0 as usize], true), "once only");
        assert!(entry.ret >= latest_invoke, "real time is respected");
        latest_invoke = latest_invoke.max(entry.invoke);
        state = Register.step(&state, &entry.call).expect("the model accepts the order");
    }
    assert!(entries.iter().zip(placed).all(|(entry, placed)| placed || entry.is_unknown()), "all that must happen");
}

fn with_limits<T>(run: impl FnOnce(Limits<'_>, &AtomicBool) -> T) -> T {
    let never = AtomicBool::new(false);
    let deadline = Instant::now() + Duration::from_secs(60);
    run(Limits { deadline, memory_bytes: 1 << 24, cancelled: &never }, &never)
}

fn all_searches(entries: &[Entry<Call>]) -> Vec<Found> {
    let problem = Problem::new(Register, entries.to_vec());
    with_limits(|limits, never| {
        let mut meter = Meter::new(limits, never);
        vec![
            widen::<_, Mask<1>>(&problem, &mut meter, &[]),
            widen::<_, Mask<1>>(&problem, &mut meter, &[1, 2, 3]),
            widen::<_, Mask<4>>(&problem, &mut meter, &[2]),
            widen::<_, Bits>(&problem, &mut meter, &[1, 4]),
            DepthFirst::new(&problem, limits.memory_bytes).run(limits, never),
            // So little memory that the memo forgets all the time.
            DepthFirst::new(&problem, 12_000).run(limits, never),
        ]
    })
}

#[test]
fn every_kind_of_sweep_agrees_with_the_definition_and_says_where_it_got_stuck() {
    let cases = std::env::var("TRUELINE_FUZZ_CASES").map_or(4000, |cases| cases.parse().expect("a number"));
    let mut valid = 0;
    for seed in 0..cases {
        let entries = random_entries(&mut Pcg64::seed_from_u64(seed));
        let truth = is_possible(&entries);
        valid += u64::from(truth);
        for (search, found) in all_searches(&entries).into_iter().enumerate() {
            match found {
                Found::Linearizable(order) => {
                    assert!(truth, "search {search}, seed {seed}: {entries:?}");
                    replay(&entries, &order);
                }
                Found::Impossible(Stuck { at, shortest, operation }) => {
                    assert!(!truth, "search {search}, seed {seed}: {entries:?}");
                    assert!(!is_possible(&up_to(&entries, at, true)), "search {search}, seed {seed}: {entries:?}");
                    assert!(
                        !shortest || is_possible(&up_to(&entries, at, false)),
                        "search {search}, seed {seed}: {entries:?}"
                    );
                    assert!((operation.0 as usize) < entries.len());
                }
                Found::GaveUp(how_far) => panic!("search {search}, seed {seed}: {how_far}"),
            }
        }
    }
    assert!(valid * 5 > cases && (cases - valid) * 5 > cases, "{valid} of {cases} valid");
}
