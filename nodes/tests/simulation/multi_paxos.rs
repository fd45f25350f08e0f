//! Multi-Paxos in the simulation.

use nodes::protocol::multi_paxos::MultiPaxos;

use self::invariants::PaxosChecks;
use crate::{keeps_its_promises, same_seed_same_schedule, survives_a_crash_at_every_persist_point};

mod invariants;

#[test]
fn multi_paxos_keeps_its_promises_in_every_schedule() {
    if let Some((count, stats)) = keeps_its_promises::<MultiPaxos, PaxosChecks>() {
        assert!(stats.disks_lost >= count / 10, "only {} disks were lost in {count} schedules", stats.disks_lost);
    }
}

#[test]
fn the_same_seed_is_the_same_schedule() {
    same_seed_same_schedule::<MultiPaxos, PaxosChecks>();
}

#[test]
fn multi_paxos_survives_a_crash_at_every_persist_point() {
    survives_a_crash_at_every_persist_point::<MultiPaxos, PaxosChecks>();
}

#[test]
fn explore() {
    use nodes::protocol::multi_paxos::mutants;
    let only = std::env::var("ONLY").unwrap_or_default();
    for mutant in mutants::ALL.iter().filter(|m| m.id.contains(&only)) {
        let mut kinds: std::collections::BTreeMap<String, (u64, u64, String)> = Default::default();
        let count = crate::from_environment("TRUELINE_SIM_SCHEDULES").unwrap_or(300);
        let mut found = 0;
        for seed in 0..count {
            if let Err(v) =
                crate::run::<MultiPaxos, PaxosChecks>(crate::schedule::Schedule::of(seed, Some(*mutant)), false)
            {
                found += 1;
                let words: String = v.what.chars().filter(|c| c.is_alphabetic() || *c == ' ').take(60).collect();
                let entry = kinds.entry(words).or_insert((0, seed, v.what.chars().take(150).collect()));
                entry.0 += 1;
            }
        }
        eprintln!("## {} {found} of {count}", mutant.id);
        let mut kinds: Vec<_> = kinds.into_values().collect();
        kinds.sort_by_key(|k| std::cmp::Reverse(k.0));
        for (n, seed, what) in kinds.into_iter().take(4) {
            eprintln!("   {n} seed {seed}: {what}");
        }
    }
}
