use std::collections::HashSet;

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

fn int(value: i64) -> Value {
    Value::Int(value)
}

fn spec(kind: WorkloadKind, clients: u32, keys: u32, ops_per_key: u32) -> WorkloadSpec {
    WorkloadSpec { keys, ops_per_key, ..WorkloadSpec::new(kind, clients) }
}

fn take(spec: &WorkloadSpec, seed: u64, client: u32, count: usize) -> Vec<Invocation> {
    let mut generator = Generator::new(spec, seed, client);
    (0..count).map(|k| generator.next(k as u64 * u64::from(spec.clients))).collect()
}

fn written(action: &Action) -> Option<&Value> {
    match action {
        Action::Read | Action::Dequeue | Action::Release(_) => None,
        Action::Write(value)
        | Action::Append(value)
        | Action::Cas { new: value, .. }
        | Action::Add(value)
        | Action::Enqueue(value)
        | Action::Acquire(value) => Some(value),
        other => panic!("no workload makes {other:?}"),
    }
}

fn kinds() -> impl Strategy<Value = WorkloadKind> {
    prop::sample::select(&WorkloadKind::ALL[..])
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::with_cases(64)
    })]

    #[test]
    fn one_seed_gives_one_sequence(kind in kinds(), seed: u64, clients in 1..20_u32, pick: u32) {
        let spec = WorkloadSpec::new(kind, clients);
        let client = pick % clients;
        prop_assert_eq!(take(&spec, seed, client, 200), take(&spec, seed, client, 200));
    }

    #[test]
    fn values_are_distinct_over_all_clients(kind in kinds(), seed: u64, clients in 1..12_u32) {
        let spec = spec(kind, clients, 3, 50);
        let mut seen = HashSet::new();
        for client in 0..clients {
            for invocation in take(&spec, seed, client, 300) {
                if let Some(value) = written(&invocation.action) {
                    prop_assert!(seen.insert(value.clone()), "{:?} was written twice", value);
                }
            }
        }
    }

    #[test]
    fn keys_rotate_by_the_operations_begun(seed: u64, clients in 1..8_u32, keys in 1..6_u32, ops_per_key in 1..60_u32) {
        let spec = spec(WorkloadKind::Register, clients, keys, ops_per_key);
        let generation_ops = u64::from(keys * ops_per_key);
        for client in 0..clients {
            for (k, invocation) in (0_u64..).zip(take(&spec, seed, client, 200)) {
                let generation = k * u64::from(clients) / generation_ops;
                let number: u64 = invocation.key.strip_prefix('k').expect("a key").parse().expect("a number");
                prop_assert_eq!(number / u64::from(keys), generation);
            }
        }
    }

    #[test]
    fn results_change_nothing_but_the_expected_value(seed: u64) {
        let spec = WorkloadSpec::new(WorkloadKind::Register, 3);
        let (mut told, mut untold) = (Generator::new(&spec, seed, 1), Generator::new(&spec, seed, 1));
        for answer in 0..200 {
            let (a, b) = (told.next(0), untold.next(0));
            prop_assert_eq!(&a.key, &b.key);
            match (&a.action, &b.action) {
                (Action::Cas { new: a, .. }, Action::Cas { new: b, .. }) => prop_assert_eq!(a, b),
                (a, b) => prop_assert_eq!(a, b),
            }
            told.observe(&a, &Outcome::ok(Some(Value::Int(-answer))));
        }
    }
}

#[test]
fn clients_and_seeds_differ() {
    let spec = WorkloadSpec::new(WorkloadKind::Register, 4);
    let shape = |seed, client| -> Vec<(String, bool)> {
        take(&spec, seed, client, 100).into_iter().map(|i| (i.key, i.action == Action::Read)).collect()
    };
    let mut shapes = HashSet::new();
    for seed in 0..10 {
        for client in 0..4 {
            assert!(shapes.insert(shape(seed, client)), "seed {seed}, client {client} repeats another one");
        }
    }
}

/// Portable: the same operations on every machine and in every later version, or replays of stored seeds are lies.
#[test]
fn the_sequence_of_a_seed_is_pinned() {
    let spec = WorkloadSpec::new(WorkloadKind::Register, 2);
    let text: Vec<String> = take(&spec, 7, 1, 6).iter().map(|i| format!("{} {:?}", i.key, i.action)).collect();
    let pinned = [
        "k2 Write(Int(2))",
        "k2 Write(Int(4))",
        "k2 Cas { old: Nil, new: Int(6) }",
        "k4 Write(Int(8))",
        "k4 Cas { old: Nil, new: Int(10) }",
        "k0 Write(Int(12))",
    ];
    assert_eq!(text, pinned);
}

#[test]
fn the_mix_is_as_asked() {
    let spec =
        WorkloadSpec { mix: Mix { reads: 20, writes: 70, cas: 10 }, ..WorkloadSpec::new(WorkloadKind::Register, 1) };
    let (mut reads, mut writes, mut cas) = (0, 0, 0);
    for invocation in take(&spec, 1, 0, 10_000) {
        match invocation.action {
            Action::Read => reads += 1,
            Action::Write(_) => writes += 1,
            Action::Cas { .. } => cas += 1,
            other => panic!("{other:?} on a register"),
        }
    }
    // Three standard deviations of a binomial with n = 10,000 are below 140.
    for (count, wanted) in [(reads, 2_000_i32), (writes, 7_000), (cas, 1_000)] {
        assert!((count - wanted).abs() < 200, "{reads} reads, {writes} writes, {cas} cas");
    }
}

#[test]
fn a_reader_only_reads() {
    let mut reader = Generator::new(&WorkloadSpec::new(WorkloadKind::Register, 2), 1, 1).reads_only();
    assert!((0..1_000).all(|begun| reader.next(begun).action == Action::Read));
}

#[test]
fn appends_are_appends_and_reads() {
    let spec = WorkloadSpec::new(WorkloadKind::Append, 1);
    let operations = take(&spec, 3, 0, 500);
    assert!(operations.iter().all(|i| matches!(i.action, Action::Read | Action::Append(_))));
    assert!(operations.iter().any(|i| i.action == Action::Read));
    assert!(operations.iter().any(|i| i.action != Action::Read));
}

#[test]
fn a_cas_expects_what_the_client_last_saw_in_that_key() {
    let spec = WorkloadSpec { keys: 2, ..WorkloadSpec::new(WorkloadKind::Register, 2) };
    let mut generator = Generator::new(&spec, 9, 0);
    let mut seen: HashMap<String, Value> = HashMap::new();
    let (mut compared, mut known) = (0, 0);
    for answer in 0..500_i64 {
        let invocation = generator.next(0);
        let outcome = match &invocation.action {
            Action::Cas { old, .. } => {
                compared += 1;
                known += i32::from(*old != Value::Nil);
                assert_eq!(old, seen.get(&invocation.key).unwrap_or(&Value::Nil));
                // Every way to learn something, and the two ways to learn nothing.
                match answer % 4 {
                    0 => Outcome::ok(None),
                    1 => Outcome::mismatch(Some(Value::Int(-answer))),
                    2 => Outcome::mismatch(None),
                    _ => Outcome::info("timeout"),
                }
            }
            Action::Read if answer % 3 == 0 => Outcome::fail("timeout"),
            Action::Read => Outcome::ok(Some(Value::Int(-answer))),
            _ if answer % 3 == 0 => Outcome::info("timeout"),
            _ => Outcome::ok(None),
        };
        generator.observe(&invocation, &outcome);
        let learned = match (&invocation.action, &outcome.completion) {
            (Action::Read, Completion::Ok(value)) => value.clone(),
            (action, Completion::Ok(_)) => written(action).cloned(),
            (_, Completion::Mismatch { observed }) => observed.clone(),
            _ => None,
        };
        if let Some(value) = learned {
            seen.insert(invocation.key.clone(), value);
        }
    }
    assert!(compared > 40 && known > compared / 2, "{known} of {compared} expected a value");
}

/// Against registers that do what they are told, clients in turn: a good share of compare-and-sets must win.
#[test]
fn a_good_share_of_cas_wins() {
    let spec = WorkloadSpec::new(WorkloadKind::Register, 5);
    let mut generators: Vec<Generator> = (0..5).map(|client| Generator::new(&spec, 5, client)).collect();
    let mut registers: HashMap<String, Value> = HashMap::new();
    let (mut won, mut lost) = (0, 0);
    for turn in 0..5_000 {
        let generator = &mut generators[turn % 5];
        let invocation = generator.next(turn as u64);
        let register = registers.entry(invocation.key.clone()).or_default();
        let outcome = match &invocation.action {
            Action::Read => Outcome::ok(Some(register.clone())),
            Action::Cas { old, .. } if old != register => {
                lost += 1;
                Outcome::mismatch(Some(register.clone()))
            }
            action => {
                won += i32::from(matches!(action, Action::Cas { .. }));
                *register = written(action).expect("a write").clone();
                Outcome::ok(None)
            }
        };
        generator.observe(&invocation, &outcome);
    }
    assert!(won * 3 > won + lost, "only {won} of {} won", won + lost);
    assert!(lost > 0, "none lost: the keys are not contended");
}

/// No lock stays taken for want of a release: whoever may hold one releases it until the lock was asked and said so.
#[test]
fn a_lock_that_may_be_held_is_released() {
    let spec = WorkloadSpec::new(WorkloadKind::Lock, 1);
    let outcomes = [Outcome::ok(None), Outcome::info("timeout"), Outcome::fail("no-leader"), Outcome::fail(REFUSED)];
    for acquired in &outcomes {
        let mut generator = Generator::new(&spec, 3, 0);
        let acquire = generator.next(0);
        let Action::Acquire(owner) = acquire.action.clone() else { panic!("{acquire:?}") };
        generator.observe(&acquire, acquired);
        let next = generator.next(1);
        if acquired.completion == Completion::Fail {
            assert!(matches!(next.action, Action::Acquire(_)), "{acquired:?}: {next:?}");
            continue;
        }
        let release = Invocation { key: acquire.key.clone(), action: Action::Release(owner) };
        for ended in &outcomes {
            let mut generator = generator.clone();
            generator.observe(&release, ended);
            let again = generator.next(10_000) == release;
            assert_eq!(again, !ended.is_answer(), "{ended:?}");
        }
        assert_eq!(next, release);
    }
}

/// A client that only reads is of no use where nothing is read.
#[test]
fn clients_of_queues_and_locks_all_work() {
    for kind in [WorkloadKind::Queue, WorkloadKind::Lock] {
        let mut generator = Generator::new(&WorkloadSpec::new(kind, 1), 1, 0).reads_only();
        assert!((0..50).any(|begun| !matches!(generator.next(begun).action, Action::Read | Action::Dequeue)));
    }
}

/// Links of a chain are contended: the clients expect the same value, and one of them wins.
#[test]
fn a_chain_is_one_for_all_clients() {
    let spec = WorkloadSpec { keys: 1, ..WorkloadSpec::new(WorkloadKind::CasChain, 2) };
    let mut generators = [0, 1].map(|client| Generator::new(&spec, 4, client));
    let next_cas = |generator: &mut Generator| loop {
        let invocation = generator.next(0);
        match &invocation.action {
            Action::Cas { old, .. } => break (invocation.clone(), old.clone()),
            _ => generator.observe(&invocation, &Outcome::ok(Some(int(7)))),
        }
    };
    for generator in &mut generators {
        generator.observe(&Invocation { key: key_name(0), action: Action::Read }, &Outcome::ok(Some(int(7))));
    }
    let expected = generators.each_mut().map(|generator| next_cas(generator).1);
    assert_eq!(expected, [int(7), int(7)]);
}

/// Whatever is issued is announced, and the other way round.
#[test]
fn the_kinds_of_operations_are_known_beforehand() {
    let half = Mix { reads: 0, writes: 50, cas: 50 };
    let specs = WorkloadKind::ALL.map(|kind| WorkloadSpec::new(kind, 1));
    let halves = WorkloadSpec { mix: half, ..WorkloadSpec::new(WorkloadKind::Register, 1) };
    for spec in specs.into_iter().chain([halves]) {
        let mut generator = Generator::new(&spec, 1, 0);
        let mut issued = HashSet::new();
        for begun in 0..1_000 {
            let invocation = generator.next(begun);
            generator.observe(&invocation, &Outcome::ok(None));
            issued.insert(invocation.action.function());
        }
        assert_eq!(issued, spec.functions().into_iter().collect());
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let good = WorkloadSpec::new(WorkloadKind::Append, 2);
    assert_eq!(good.validate(), Ok(()));
    assert_eq!(WorkloadSpec { clients: 0, ..good.clone() }.validate(), Err(SpecError::Zero("clients")));
    assert_eq!(WorkloadSpec { keys: 0, ..good.clone() }.validate(), Err(SpecError::Zero("keys")));
    assert!(WorkloadSpec { ops_per_key: 0, ..good.clone() }.validate().is_err());
    let mix = |reads, writes, cas| WorkloadSpec { mix: Mix { reads, writes, cas }, ..good.clone() };
    assert_eq!(mix(50, 49, 0).validate(), Err(SpecError::MixNotWhole(99)));
    assert_eq!(mix(u32::MAX, 1, 0).validate(), Err(SpecError::MixNotWhole(1 << 32)));
    let not_its = |workload, operations| Err(SpecError::NotItsOperation { workload, operations });
    assert_eq!(mix(50, 40, 10).validate(), not_its(WorkloadKind::Append, "compare-and-sets"));
    let lock = WorkloadSpec::new(WorkloadKind::Lock, 2);
    let read = WorkloadSpec { mix: Mix { reads: 10, writes: 90, cas: 0 }, ..lock };
    assert_eq!(read.validate(), not_its(WorkloadKind::Lock, "reads"));
    for kind in WorkloadKind::ALL {
        assert_eq!(WorkloadSpec::new(kind, 2).validate(), Ok(()));
    }
}
