//! The ladder against the definitions of its levels, on many thousand random tiny histories.

use checkers::Budget;
use checkers::history::{Action, Completion, History, Operation, Value};
use checkers::ladder::{Answer, Ladder, Level, ladder};
use checkers::model::{ModelKind, ModelSpec};
use checkers::{CheckOptions, check, verdict::Verdict};
use rand::SeedableRng;
use rand_pcg::Pcg64;

mod brute_force;
mod generate;
mod litmus;
mod measures;

use generate::{Case, Shape, generate};

const JUDGED: [Level; 6] = [
    Level::Sequential,
    Level::Causal,
    Level::ReadYourWrites,
    Level::MonotonicReads,
    Level::MonotonicWrites,
    Level::WritesFollowReads,
];

fn climb(operations: &[Operation], spec: &ModelSpec) -> Ladder {
    let history = History::from_operations(operations.to_vec()).expect("the history is well formed");
    ladder(&history, spec, None, &Budget::default())
}

fn text(operations: &[Operation]) -> String {
    operations.iter().map(|operation| format!("{operation:?}\n")).collect()
}

/// True when the answers do not follow from what reads returned: the documented cases.
fn unclear(case: &Case) -> bool {
    let values = |operation: &Operation| match &operation.action {
        Action::Write(new) | Action::Append(new) | Action::Cas { new, .. } => {
            Some((operation.key.clone(), new.clone()))
        }
        _ => None,
    };
    let silent = |operation: &Operation| matches!(operation.completion, Completion::Mismatch { observed: None });
    let mut written: Vec<(Value, Value)> = case.operations.iter().filter_map(values).collect();
    let count = written.len();
    written.sort();
    written.dedup();
    written.len() < count
        || written.iter().any(|(_, value)| *value == case.spec.initial)
        || case.operations.iter().any(silent)
}

/// Compares every level with its definition. Gives how many answers were `holds`, `fails` and `unknown`, by level.
fn compare(seed: u64, histories: usize, shape: Shape) -> [[usize; 3]; 6] {
    let mut random = Pcg64::seed_from_u64(seed);
    let mut counts = [[0; 3]; 6];
    for number in 0..histories {
        let case = generate(shape, &mut random);
        let found = climb(&case.operations, &case.spec);
        let unclear = unclear(&case);
        for (place, level) in JUDGED.into_iter().enumerate() {
            let truth = || brute_force::holds(level, &case.operations, &case.spec);
            let context = || format!("history {number}, {}:\n{found}{}", level.name(), text(&case.operations));
            match found.answer(level) {
                Answer::Holds => {
                    assert!(truth(), "it does not hold: {}", context());
                    counts[place][0] += 1;
                }
                Answer::Fails(counterexample) => {
                    let lists_are_clear = shape.kind != ModelKind::ListAppend || !unclear;
                    assert!(!lists_are_clear || !truth(), "it holds: {}", context());
                    assert!(!counterexample.operations.is_empty(), "{}", context());
                    counts[place][1] += 1;
                }
                Answer::Unknown(_) => {
                    assert!(unclear && level != Level::Sequential, "it can be known: {}", context());
                    counts[place][2] += 1;
                }
            }
        }
        stronger_implies_weaker(&found);
    }
    counts
}

fn stronger_implies_weaker(found: &Ladder) {
    let holds = |level| *found.answer(level) == Answer::Holds;
    let may_hold = |level| !matches!(found.answer(level), Answer::Fails(_));
    if holds(Level::Sequential) {
        assert!(holds(Level::Causal), "{found}");
    }
    if holds(Level::Causal) {
        JUDGED[2..].iter().for_each(|level| assert!(holds(*level), "{found}"));
    }
    if may_hold(Level::Sequential) {
        assert!(may_hold(Level::Causal), "{found}");
    }
    if may_hold(Level::Causal) {
        JUDGED[2..].iter().for_each(|level| assert!(may_hold(*level), "{found}"));
    }
}

const SMALL: Shape = Shape {
    kind: ModelKind::CasRegister,
    operations: 6,
    unknown: 15,
    duplicates: 0,
    unwritten: 1,
    silent_refusals: false,
};

/// Every level must have been seen to hold and to fail, on its own too.
fn varied(counts: [[usize; 3]; 6], least: usize) {
    for (level, [holds, fails, _]) in JUDGED.into_iter().zip(counts) {
        assert!(holds >= least && fails >= least, "{}: {counts:?}", level.name());
    }
}

#[test]
fn registers_as_defined() {
    let counts = compare(1, 6_000, Shape { kind: ModelKind::Register, ..SMALL });
    varied(counts, 50);
    assert!(counts.iter().all(|[.., unknown]| *unknown == 0), "{counts:?}");
}

#[test]
fn compare_and_set_as_defined() {
    let counts = compare(2, 6_000, SMALL);
    varied(counts, 50);
    assert!(counts.iter().all(|[.., unknown]| *unknown == 0), "{counts:?}");
}

#[test]
fn lists_as_defined() {
    let counts = compare(3, 6_000, Shape { kind: ModelKind::ListAppend, ..SMALL });
    varied(counts, 50);
    assert!(counts.iter().all(|[.., unknown]| *unknown == 0), "{counts:?}");
}

#[test]
fn what_is_unclear_is_unknown_and_never_wrong() {
    let shape = Shape { duplicates: 40, silent_refusals: true, ..SMALL };
    let counts = compare(4, 4_000, shape);
    assert!(counts[1][2] > 50 && counts[1][1] > 50, "{counts:?}");
    assert_eq!(counts[0][2], 0, "small histories are searched: {counts:?}");
}

/// What is linearizable holds to all other levels, judged without being told so.
#[test]
fn linearizable_implies_the_rest() {
    let mut random = Pcg64::seed_from_u64(5);
    let mut valid = 0;
    for _ in 0..4_000 {
        for kind in [ModelKind::Register, ModelKind::CasRegister, ModelKind::ListAppend] {
            let case = generate(Shape { kind, ..SMALL }, &mut random);
            let history = History::from_operations(case.operations.clone()).expect("the history is well formed");
            let judgement = check(&history, &case.spec, &CheckOptions { threads: 1, ..CheckOptions::default() });
            if judgement.expect("the history fits the model").verdict == Verdict::Valid {
                let found = climb(&case.operations, &case.spec);
                JUDGED
                    .iter()
                    .for_each(|level| assert_eq!(*found.answer(*level), Answer::Holds, "{}", text(&case.operations)));
                assert!(!matches!(found.answer(Level::Convergence), Answer::Fails(_)), "{}", text(&case.operations));
                assert_eq!(found.staleness.expect("clear").stale, 0, "{}", text(&case.operations));
                valid += 1;
            }
        }
    }
    assert!(valid > 500, "only {valid} linearizable histories");
}
