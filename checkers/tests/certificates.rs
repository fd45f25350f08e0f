//! Certificates: what the verifier accepts, what it must refuse, and that cores are minimal.

#[path = "fuzz/brute_force.rs"]
mod brute_force;
#[path = "fuzz/generate.rs"]
mod generate;

use checkers::certificate::{Certificate, Core, KeyOrder};
use checkers::history::{Completion, History, OpIndex, Operation};
use checkers::model::{ModelKind, ModelSpec};
use checkers::verdict::Verdict;
use checkers::verify::{Proven, Refuted, verify};
use checkers::{CheckOptions, check};
use generate::{Case, Shape, generate};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

const MODELS: [ModelKind; 3] =
    [ModelKind::Register, ModelKind::CasRegister, ModelKind::ListAppend];

fn seeds() -> u64 {
    std::env::var("TRUELINE_FUZZ_CASES").ok().map_or(300, |cases| cases.parse().expect("a number"))
}

fn case(kind: ModelKind, seed: u64) -> (History, ModelSpec, bool) {
    let mut random = Pcg64::seed_from_u64(seed);
    let Case { operations, spec } = generate(kind, Shape::small(&mut random), &mut random);
    let truth = brute_force::linearizable(&operations, &spec);
    (History::from_operations(operations).expect("generated histories are well-formed"), spec, truth)
}

/// All cores that keep some of these operations, with every cut that makes a difference and none.
fn cores<'a>(history: &'a History, within: &'a Core) -> impl Iterator<Item = Core> + 'a {
    let all = &within.operations;
    let mut cuts: Vec<Option<u64>> = all
        .iter()
        .flat_map(|index| {
            let operation = &history.operations()[index.0 as usize];
            [operation.invoke, operation.ret]
        })
        .filter(|&time| time < within.cut.unwrap_or(u64::MAX))
        .map(Some)
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts.push(within.cut);
    (1u32..1 << all.len()).flat_map(move |subset| {
        let operations: Vec<OpIndex> = (0..all.len()).filter(|at| subset >> at & 1 == 1).map(|at| all[at]).collect();
        let core = Core { operations, cut: None, ..within.clone() };
        cuts.clone().into_iter().map(move |cut| Core { cut, ..core.clone() })
    })
}

fn whole(history: &History) -> Core {
    let happened = (0u32..).map(OpIndex).zip(history.operations());
    let operations =
        happened.filter(|(_, operation)| operation.completion != Completion::Fail).map(|(index, _)| index).collect();
    let key = history.value(history.operations()[0].key).clone();
    Core { key, cut: None, operations, minimal: false }
}

/// The rules of deletion: nothing that they lead to from a linearizable history is impossible.
#[test]
fn no_core_of_a_linearizable_history_is_verified() {
    for kind in MODELS {
        let mut tried = 0u64;
        for seed in 0..seeds() {
            let (history, spec, linearizable) = case(kind, seed);
            if !linearizable || history.is_empty() || history.len() > 7 {
                continue;
            }
            for core in cores(&history, &whole(&history)) {
                tried += 1;
                let said = verify(&history, &spec, &Certificate::Core(core.clone()));
                assert!(
                    matches!(said, Err(Refuted::Wrong(_))),
                    "{kind:?} seed {seed}: {core:?} is said to be {said:?} of a linearizable history: {:#?}",
                    history.clone().into_operations()
                );
            }
        }
        assert!(tried > seeds(), "{kind:?}: only {tried} cores were tried");
    }
}

/// The search over a core, against the definition: the whole history is a core exactly when it is not linearizable.
#[test]
fn the_whole_of_an_impossible_history_is_a_core() {
    for kind in MODELS {
        for seed in 0..4 * seeds() {
            let (history, spec, linearizable) = case(kind, seed);
            if whole(&history).operations.is_empty() {
                continue;
            }
            let said = verify(&history, &spec, &Certificate::Core(whole(&history)));
            assert_eq!(said.is_err(), linearizable, "{kind:?} seed {seed}: {said:?}");
        }
    }
}

/// Every verdict has a certificate that holds, and no smaller core than the one given out is to be had by allowed deletions.
#[test]
fn cores_of_small_histories_are_verified_and_minimal() {
    for kind in MODELS {
        for seed in 0..seeds() {
            let (history, spec, linearizable) = case(kind, seed);
            if linearizable {
                continue;
            }
            let judgement = check(&history, &spec, &CheckOptions { threads: 1, ..CheckOptions::default() }).unwrap();
            assert_eq!(judgement.verdict, Verdict::Invalid);
            let Some(Certificate::Core(core)) = judgement.certificate else {
                panic!("{kind:?} seed {seed}: no core: {}: {:#?}", judgement.reason, history.into_operations())
            };
            let said = verify(&history, &spec, &Certificate::Core(core.clone()));
            let proven = Proven::NotLinearizable { operations: core.operations.len(), minimal: true };
            assert_eq!(said, Ok(proven), "{kind:?} seed {seed}: {core:?}");
            for smaller in cores(&history, &core) {
                if smaller.operations == core.operations && !cuts_something(&history, &core, &smaller) {
                    continue;
                }
                let said = verify(&history, &spec, &Certificate::Core(smaller.clone()));
                assert!(
                    said.is_err(),
                    "{kind:?} seed {seed}: {core:?} is said to be minimal, but {smaller:?} is smaller: {spec:?} {:#?}",
                    history.clone().into_operations()
                );
            }
        }
    }
}

/// True when the smaller core's cut lets an operation be open that returned before.
fn cuts_something(history: &History, core: &Core, smaller: &Core) -> bool {
    let (end, earlier) = (core.cut.unwrap_or(u64::MAX), smaller.cut.unwrap_or(u64::MAX));
    let returns = core.operations.iter().map(|index| history.operations()[index.0 as usize].ret);
    returns.into_iter().any(|ret| ret <= end && ret > earlier && ret < u64::MAX)
}

#[expect(dead_code, reason = "for now")]
fn unused(_: KeyOrder, _: Operation) {
    let _ = Pcg64::seed_from_u64(0).random_range(0..2);
}
