//! Differential fuzzing: every checker against a brute-force permuter and two outside checkers.
//!
//! `TRUELINE_FUZZ_CASES` sets the number of histories per model (default 20,000).

mod actions;
mod brute_force;
mod certificates;
mod corrupt;
mod generate;
mod object;
mod outside;

use checkers::certificate::Certificate;
use checkers::history::{Action, Completion, History, Operation, ProcessId, Value};
use checkers::model::{ModelKind, ModelSpec};
use checkers::verdict::Verdict;
use checkers::{Algorithm, CheckOptions, check_with};
use generate::{Case, Shape, generate};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

fn cases() -> u64 {
    std::env::var("TRUELINE_FUZZ_CASES")
        .ok()
        .map_or(20_000, |cases| cases.parse().expect("TRUELINE_FUZZ_CASES is a number"))
}

fn judge(operations: &[Operation], spec: &ModelSpec, algorithm: Algorithm) -> bool {
    let history = History::from_operations(operations.to_vec()).expect("generated histories are well-formed");
    let options = CheckOptions { threads: 1, ..CheckOptions::default() };
    let judgement = check_with(&history, spec, &options, algorithm).expect("generated histories fit their model");
    match judgement.verdict {
        Verdict::Valid => {
            if let Some(Certificate::Linearization(orders)) = &judgement.certificate {
                let order: Vec<usize> =
                    orders.iter().flat_map(|key| &key.order).map(|index| index.0 as usize).collect();
                if let Err(wrong) = brute_force::replay(&history.into_operations(), &order, spec) {
                    panic!("{algorithm:?} proves its verdict with {order:?}: {wrong}; {spec:?}: {operations:#?}");
                }
            }
            true
        }
        Verdict::Invalid => {
            let violation = judgement.violation.expect("an invalid verdict comes with a violation");
            assert!(!violation.operations.is_empty() && violation.operations.len() <= 6 + operations.len());
            assert!(violation.operations.iter().all(|index| (index.0 as usize) < operations.len()));
            assert_eq!(judgement.reason, violation.sentences[0]);
            assert!(!judgement.reason.contains("defect"), "{} on {operations:#?}", judgement.reason);
            assert!(violation.diagram.lines().count() > 1, "{} on {operations:#?}", violation.diagram);
            false
        }
        other => panic!("undecided ({other:?}: {}) on {operations:#?}", judgement.reason),
    }
}

/// Runs the small cases of one model; every checker must say what brute force says.
fn differential(kind: ModelKind) {
    let mut valid = 0;
    let cases = cases();
    for seed in 0..cases {
        let mut random = Pcg64::seed_from_u64(seed);
        let Case { operations, spec } = generate(kind, Shape::small(&mut random), &mut random);
        let truth = brute_force::linearizable(&operations, &spec);
        valid += u64::from(truth);
        let say = |name: &str, answer: bool| {
            assert_eq!(answer, truth, "{name} disagrees with brute force on seed {seed}, {spec:?}: {operations:#?}");
        };
        say("auto", judge(&operations, &spec, Algorithm::Auto));
        say("the frontier search", judge(&operations, &spec, Algorithm::Frontier));
        say("the depth-first search", judge(&operations, &spec, Algorithm::DepthFirst));
        if seed % 4 == 0 {
            say("stateright", outside::stateright(&operations, &spec));
        }
        if seed % 4 == 1 {
            say("porcupine-rs", outside::porcupine(&operations, &spec));
        }
    }
    assert!(valid * 5 > cases, "only {valid} of {cases} histories were linearizable: the fuzz proves little");
    assert!((cases - valid) * 5 > cases, "{valid} of {cases} histories were linearizable: the fuzz proves little");
}

#[test]
fn registers_agree_with_brute_force() {
    differential(ModelKind::Register);
}

#[test]
fn cas_registers_agree_with_brute_force() {
    differential(ModelKind::CasRegister);
}

#[test]
fn lists_agree_with_brute_force() {
    differential(ModelKind::ListAppend);
}

#[test]
fn texts_agree_with_brute_force() {
    differential(ModelKind::KeyValue);
}

#[test]
fn sets_agree_with_brute_force() {
    differential(ModelKind::Set);
}

#[test]
fn counters_agree_with_brute_force() {
    differential(ModelKind::Counter);
}

#[test]
fn queues_agree_with_brute_force() {
    differential(ModelKind::Queue);
}

#[test]
fn locks_agree_with_brute_force() {
    differential(ModelKind::Lock);
}

#[test]
fn multi_registers_agree_with_brute_force() {
    differential(ModelKind::MultiRegister);
}

/// Histories too long for brute force: the checkers among themselves, the competition, and an outside checker.
#[test]
fn longer_histories_agree_with_each_other_and_an_outside_checker() {
    for kind in ModelKind::ALL {
        let (mut valid, cases) = (0, (cases() / 40).max(100));
        for seed in 0..cases {
            let mut random = Pcg64::seed_from_u64(seed);
            let shape = Shape::long(kind, &mut random);
            let Case { operations, spec } = generate(kind, shape, &mut random);
            let truth = outside::porcupine(&operations, &spec);
            valid += u64::from(truth);
            for algorithm in [Algorithm::Auto, Algorithm::Search, Algorithm::Frontier, Algorithm::DepthFirst] {
                let answer = judge(&operations, &spec, algorithm);
                assert_eq!(answer, truth, "{algorithm:?} on seed {seed}, {spec:?}: {operations:#?}");
            }
        }
        assert!(valid * 10 > cases && (cases - valid) * 10 > cases, "{kind:?}: {valid} of {cases} valid");
    }
}

/// What must not change a verdict, and what must not make a valid history invalid.
#[test]
fn renaming_changes_nothing_and_slack_keeps_histories_valid() {
    for kind in ModelKind::ALL {
        for seed in 0..cases() / 10 {
            let mut random = Pcg64::seed_from_u64(seed);
            let Case { operations, spec } = generate(kind, Shape::small(&mut random), &mut random);
            let valid = judge(&operations, &spec, Algorithm::Auto);
            let renamed: Vec<Operation> = operations.iter().map(rename).collect();
            assert_eq!(judge(&renamed, &spec, Algorithm::Auto), valid, "renamed clients and keys, seed {seed}");
            if !valid {
                continue;
            }
            let mut wider = operations.clone();
            let at = random.random_range(0..wider.len());
            wider[at].invoke = wider[at].invoke.saturating_sub(random.random_range(0..20));
            wider[at].ret = wider[at].ret.saturating_add(random.random_range(0..20));
            let wider = on_own_processes(wider);
            assert!(judge(&wider, &spec, Algorithm::Auto), "a widened interval, seed {seed}: {wider:#?}");
            let is_read = |operation: &&Operation| {
                operation.action == Action::Read && matches!(operation.completion, Completion::Ok(Some(_)))
            };
            let read = operations.iter().find(is_read);
            if let Some(read) = read.cloned() {
                let mut more = operations.clone();
                more.push(read);
                assert!(judge(&on_own_processes(more), &spec, Algorithm::Auto), "a read done twice, seed {seed}");
            }
        }
    }
}

fn rename(operation: &Operation) -> Operation {
    let process = ProcessId(1000 - operation.process.0);
    Operation { process, key: Value::Text("renamed".into()), ..operation.clone() }
}

/// Every operation by a process of its own, so that no process overlaps itself.
fn on_own_processes(mut operations: Vec<Operation>) -> Vec<Operation> {
    for (process, operation) in (0u64..).zip(&mut operations) {
        operation.process = ProcessId(process);
    }
    operations
}
