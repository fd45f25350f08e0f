//! The searches where they have it hard: few values, many unknown outcomes, everything at once.
//!
//! Each verdict is compared with brute force or an outside checker, and each order is replayed. `TRUELINE_FUZZ_CASES` sets the number of
//! histories (default 20,000).

#[path = "../fuzz/brute_force.rs"]
mod brute_force;
mod generate;
#[path = "../fuzz/object.rs"]
mod object;
#[path = "../fuzz/outside.rs"]
mod outside;

use checkers::certificate::Certificate;
use checkers::history::{History, Operation, Value};
use checkers::model::{ModelKind, ModelSpec};
use checkers::verdict::Verdict;
use checkers::{Algorithm, CheckOptions, check_with};
use generate::{Size, generate};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

const SEARCHES: [Algorithm; 3] = [Algorithm::Search, Algorithm::Frontier, Algorithm::DepthFirst];

fn cases() -> u64 {
    std::env::var("TRUELINE_FUZZ_CASES")
        .ok()
        .map_or(20_000, |cases| cases.parse().expect("TRUELINE_FUZZ_CASES is a number"))
}

fn judge(operations: &[Operation], spec: &ModelSpec, algorithm: Algorithm) -> bool {
    let history = History::from_operations(operations.to_vec()).expect("generated histories are well-formed");
    let options = CheckOptions { threads: 1, ..CheckOptions::default() };
    let judgement = check_with(&history, spec, &options, algorithm).expect("generated histories fit their model");
    match (judgement.verdict, judgement.certificate) {
        (Verdict::Valid, Some(Certificate::Linearization(keys))) => {
            assert_eq!(keys.len(), 1);
            let order: Vec<usize> = keys[0].order.iter().map(|index| index.0 as usize).collect();
            if let Err(wrong) = brute_force::replay(&history.into_operations(), &order, spec) {
                panic!("{algorithm:?} proves its verdict with {order:?}: {wrong}; {spec:?}: {operations:#?}");
            }
            true
        }
        (Verdict::Invalid, _) => false,
        other => panic!("{algorithm:?}: {other:?}: {}", judgement.reason),
    }
}

fn spec(random: &mut Pcg64) -> ModelSpec {
    let initial = [Value::Nil, Value::Int(1)][random.random_range(0..2)].clone();
    ModelSpec { model: ModelKind::CasRegister, initial }
}

#[test]
fn small_domains_agree_with_brute_force_and_every_order_can_be_replayed() {
    let (mut valid, cases) = (0, cases());
    for seed in 0..cases {
        let mut random = Pcg64::seed_from_u64(seed);
        let spec = spec(&mut random);
        let operations = random.random_range(4..=8);
        let size = Size { operations, unknown_max: operations / 2, duration_max: random.random_range(1..=8) };
        let operations = generate(size, &spec.initial, &mut random);
        let truth = brute_force::linearizable(&operations, &spec);
        valid += u64::from(truth);
        for algorithm in SEARCHES {
            let answer = judge(&operations, &spec, algorithm);
            assert_eq!(answer, truth, "{algorithm:?} on seed {seed}, {spec:?}: {operations:#?}");
        }
        if seed % 8 == 0 {
            assert_eq!(outside::stateright(&operations, &spec), truth, "stateright on seed {seed}");
        }
    }
    assert!(valid * 5 > cases && (cases - valid) * 5 > cases, "{valid} of {cases} valid: the fuzz proves little");
}

#[test]
fn longer_small_domains_agree_with_an_outside_checker_and_every_order_can_be_replayed() {
    let (mut valid, cases) = (0, cases() / 10);
    for seed in 0..cases {
        let mut random = Pcg64::seed_from_u64(seed);
        let spec = spec(&mut random);
        let size = Size { operations: 40, unknown_max: 8, duration_max: random.random_range(2..=10) };
        let operations = generate(size, &spec.initial, &mut random);
        let truth = outside::porcupine(&operations, &spec);
        valid += u64::from(truth);
        for algorithm in SEARCHES {
            let answer = judge(&operations, &spec, algorithm);
            assert_eq!(answer, truth, "{algorithm:?} on seed {seed}, {spec:?}: {operations:#?}");
        }
    }
    assert!(valid * 10 > cases && (cases - valid) * 10 > cases, "{valid} of {cases} valid: the fuzz proves little");
}
