//! The verifier against the definition, and certificates against the verifier.

use checkers::certificate::{Certificate, Core, KeyOrder};
use checkers::history::{Completion, History, OpIndex};
use checkers::model::{ModelKind, ModelSpec};
use checkers::verify::{Proven, Refuted, verify};
use checkers::{CheckOptions, check};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::brute_force;
use crate::cases;
use crate::generate::{Case, Shape, generate};

fn case(kind: ModelKind, seed: u64) -> (History, ModelSpec, bool) {
    let mut random = Pcg64::seed_from_u64(seed);
    let Case { operations, spec } = generate(kind, Shape::small(&mut random), &mut random);
    let truth = brute_force::linearizable(&operations, &spec);
    (History::from_operations(operations).expect("generated histories are well-formed"), spec, truth)
}

/// All cores that keep some of this one's operations, with every cut that makes a difference and its own.
fn cores<'a>(history: &'a History, within: &'a Core) -> impl Iterator<Item = Core> + 'a {
    let all = &within.operations;
    let times = |index: &OpIndex| {
        let operation = &history.operations()[index.0 as usize];
        [operation.invoke, operation.ret]
    };
    let mut cuts: Vec<u64> = all.iter().flat_map(times).filter(|&time| time < within.cut.unwrap_or(u64::MAX)).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let cuts: Vec<Option<u64>> = cuts.into_iter().map(Some).chain([within.cut]).collect();
    (1u32..1 << all.len()).flat_map(move |subset| {
        let operations: Vec<OpIndex> = (0..all.len()).filter(|at| subset >> at & 1 == 1).map(|at| all[at]).collect();
        let core = Core { operations, ..within.clone() };
        cuts.clone().into_iter().map(move |cut| Core { cut, ..core.clone() })
    })
}

/// What a core can have at most.
fn whole(history: &History) -> Core {
    let happened = (0u32..).map(OpIndex).zip(history.operations());
    let happened = happened.filter(|(_, operation)| operation.completion != Completion::Fail);
    let key = history.value(history.operations()[0].key).clone();
    Core { key, cut: None, operations: happened.map(|(index, _)| index).collect(), minimal: false }
}

/// The rules of deletion: nothing that they lead to from a linearizable history is impossible.
#[test]
fn no_core_of_a_linearizable_history_is_verified() {
    for kind in ModelKind::ALL {
        let mut tried = 0u64;
        for seed in 0..cases() / 40 {
            let (history, spec, linearizable) = case(kind, seed);
            if !linearizable || history.is_empty() || history.len() > 7 {
                continue;
            }
            for core in cores(&history, &whole(&history)) {
                tried += 1;
                let said = verify(&history, &spec, &Certificate::Core(core.clone()));
                assert!(
                    matches!(said, Err(Refuted::Wrong(_))),
                    "{kind:?} seed {seed}: {core:?} is said to be {said:?} of a linearizable history: {spec:?} {:#?}",
                    history.clone().into_operations()
                );
            }
        }
        assert!(tried > cases() / 20, "{kind:?}: only {tried} cores were tried");
    }
}

/// The search over a core, against the definition: the whole history is a core exactly when it is not linearizable.
#[test]
fn the_whole_of_a_history_is_a_core_when_it_is_impossible() {
    for kind in ModelKind::ALL {
        for seed in 0..cases() / 10 {
            let (history, spec, linearizable) = case(kind, seed);
            if whole(&history).operations.is_empty() {
                continue;
            }
            let said = verify(&history, &spec, &Certificate::Core(whole(&history)));
            assert_eq!(said.is_err(), linearizable, "{kind:?} seed {seed}: {said:?}");
        }
    }
}

/// Every invalid verdict has a core, and no smaller one is to be had by allowed deletions.
#[test]
fn cores_are_verified_and_minimal() {
    for kind in ModelKind::ALL {
        for seed in 0..cases() / 40 {
            let (history, spec, linearizable) = case(kind, seed);
            if linearizable {
                continue;
            }
            let judgement = check(&history, &spec, &CheckOptions { threads: 1, ..CheckOptions::default() }).unwrap();
            let Some(Certificate::Core(core)) = judgement.certificate else {
                panic!("{kind:?} seed {seed}: {}: {spec:?} {:#?}", judgement.reason, history.into_operations())
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
    let mut returns = core.operations.iter().map(|index| history.operations()[index.0 as usize].ret);
    returns.any(|ret| ret <= end && ret > earlier && ret < u64::MAX)
}

/// Orders: what a verdict gives is accepted, and of others exactly those that the definition accepts.
#[test]
fn orders_are_accepted_when_the_definition_accepts_them() {
    let (mut accepted, mut refused) = (0, 0);
    for kind in ModelKind::ALL {
        for seed in 0..cases() / 10 {
            let (history, spec, linearizable) = case(kind, seed);
            if !linearizable || history.is_empty() {
                continue;
            }
            let operations = history.clone().into_operations();
            let key = operations[0].key.clone();
            let judgement = check(&history, &spec, &CheckOptions { threads: 1, ..CheckOptions::default() }).unwrap();
            let order = match judgement.certificate {
                Some(Certificate::Linearization(orders)) => {
                    let said = verify(&history, &spec, &Certificate::Linearization(orders.clone()));
                    assert!(said.is_ok(), "{kind:?} seed {seed}: {said:?} of {orders:?}: {operations:#?}");
                    orders.into_iter().flat_map(|key| key.order).collect()
                }
                _ => whole(&history).operations,
            };
            let mut random = Pcg64::seed_from_u64(seed);
            for _ in 0..8 {
                let order = tampered(&order, operations.len(), &mut random);
                let places: Vec<usize> = order.iter().map(|index| index.0 as usize).collect();
                let truth = brute_force::replay(&operations, &places, &spec).is_ok();
                let orders = vec![KeyOrder { key: key.clone(), order }];
                let said = verify(&history, &spec, &Certificate::Linearization(orders));
                assert_eq!(
                    said.is_ok(),
                    truth,
                    "{kind:?} seed {seed}: {said:?} of {places:?}: {spec:?} {operations:#?}"
                );
                *(if truth { &mut accepted } else { &mut refused }) += 1;
            }
        }
    }
    assert!(
        accepted > 1000 && refused > 1000,
        "{accepted} were accepted and {refused} refused: the fuzz proves little"
    );
}

fn tampered(order: &[OpIndex], operations: usize, random: &mut Pcg64) -> Vec<OpIndex> {
    let mut order = order.to_vec();
    let place = |order: &[OpIndex], random: &mut Pcg64| random.random_range(0..order.len().max(1));
    match random.random_range(0..6) {
        0 if order.len() > 1 => {
            let (a, b) = (place(&order, random), place(&order, random));
            order.swap(a, b);
        }
        1 if !order.is_empty() => drop(order.remove(place(&order, random))),
        2 => order.shuffle(random),
        3 if !order.is_empty() => order.push(order[place(&order, random)]),
        4 => order.insert(place(&order, random), OpIndex(random.random_range(0..operations as u32 + 1))),
        _ => {}
    }
    order
}
