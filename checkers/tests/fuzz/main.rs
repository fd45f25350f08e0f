//! Differential fuzzing: every checker against a brute-force permuter and two outside checkers.
//!
//! `TRUELINE_FUZZ_CASES` sets the number of histories per model (default 20,000).

mod actions;
mod brute_force;
mod certificates;
mod corrupt;
mod generate;
mod metamorphic;
mod object;
mod outside;

use checkers::certificate::Certificate;
use checkers::history::{History, Operation};
use checkers::model::{ModelKind, ModelSpec};
use checkers::verdict::Verdict;
use checkers::{Algorithm, CheckOptions, check_with};
use generate::{Case, Shape, generate};
use rand::SeedableRng;
use rand_pcg::Pcg64;

/// Fast tests by name.
const FAST: [&str; 6] = ["register-zones", "cas-chains", "list-order", "set-order", "queue-order", "lock-zones"];

fn cases() -> u64 {
    std::env::var("TRUELINE_FUZZ_CASES")
        .ok()
        .map_or(20_000, |cases| cases.parse().expect("TRUELINE_FUZZ_CASES is a number"))
}

/// Whether the judge calls the history linearizable. Its proofs and words are checked on the way.
fn judge(operations: &[Operation], spec: &ModelSpec, algorithm: Algorithm) -> bool {
    judged(operations, spec, algorithm).0
}

/// The verdict, and by which algorithm.
fn judged(operations: &[Operation], spec: &ModelSpec, algorithm: Algorithm) -> (bool, &'static str) {
    let history = History::from_operations(operations.to_vec()).expect("generated histories are well-formed");
    let options = CheckOptions { threads: 1, ..CheckOptions::default() };
    let judgement = check_with(&history, spec, &options, algorithm).expect("generated histories fit their model");
    let valid = match judgement.verdict {
        Verdict::Vacuous => operations.is_empty(),
        Verdict::Valid => {
            let Some(Certificate::Linearization(orders)) = &judgement.certificate else {
                panic!("{algorithm:?} has no proof: {spec:?}: {operations:#?}");
            };
            let order: Vec<usize> = orders.iter().flat_map(|key| &key.order).map(|index| index.0 as usize).collect();
            if let Err(wrong) = brute_force::replay(&history.into_operations(), &order, spec) {
                panic!("{algorithm:?} proves its verdict with {order:?}: {wrong}; {spec:?}: {operations:#?}");
            }
            true
        }
        Verdict::Invalid => {
            let violation = judgement.violation.expect("an invalid verdict comes with a violation");
            assert!(!violation.operations.is_empty() && violation.operations.len() <= operations.len());
            assert!(violation.operations.iter().all(|index| (index.0 as usize) < operations.len()));
            assert!(judgement.reason.starts_with(&violation.sentences[0]), "{}", judgement.reason);
            assert!(!judgement.reason.contains("defect"), "{} on {operations:#?}", judgement.reason);
            assert!(violation.diagram.lines().count() > 1, "{} on {operations:#?}", violation.diagram);
            false
        }
        Verdict::Unknown => panic!("undecided ({}) on {operations:#?}", judgement.reason),
    };
    (valid, judgement.decided_by)
}

/// Runs the small cases of one model; every checker must say what brute force says.
fn differential(kind: ModelKind) {
    let (mut valid, mut fast) = (0, 0);
    let cases = cases();
    for seed in 0..cases {
        let mut random = Pcg64::seed_from_u64(seed);
        let Case { operations, spec } = generate(kind, Shape::small(&mut random), &mut random);
        let truth = brute_force::linearizable(&operations, &spec);
        valid += u64::from(truth);
        let say = |name: &str, answer: bool| {
            assert_eq!(answer, truth, "{name} disagrees with brute force on seed {seed}, {spec:?}: {operations:#?}");
        };
        let (answer, by) = judged(&operations, &spec, Algorithm::Auto);
        fast += u64::from(FAST.contains(&by));
        say(by, answer);
        say("the frontier search", judge(&operations, &spec, Algorithm::Frontier));
        say("the depth-first search", judge(&operations, &spec, Algorithm::DepthFirst));
        say("stateright", outside::stateright(&operations, &spec));
        say("porcupine-rs", outside::porcupine(&operations, &spec));
    }
    assert!(valid * 5 > cases, "only {valid} of {cases} histories were linearizable: the fuzz proves little");
    assert!((cases - valid) * 5 > cases, "{valid} of {cases} histories were linearizable: the fuzz proves little");
    use ModelKind::{Counter, KeyValue, MultiRegister};
    let has_fast_test = !matches!(kind, Counter | KeyValue | MultiRegister);
    assert!(!has_fast_test || fast * 4 > cases, "only {fast} of {cases} histories were for the fast test");
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
        let (mut valid, cases) = (0, (cases() / 80).clamp(50, 250));
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
