//! The protocol cores in a seeded simulation: thousands of schedules of lost, doubled and late messages, partitions, pauses,
//! slow disks, and crashes at every persist point; the protocol's invariants and the clients' view are checked after every step.
//!
//! ```text
//!   seed ──> schedule (knobs) ──> world (events, disks, network, clients) ──> checks (invariants)
//!                                                                        └──> oracle (what clients may see)
//! ```
//!
//! `TRUELINE_SIM_SEED=n` replays one schedule and prints all of it; `TRUELINE_SIM_SCHEDULES=n` runs that many; with
//! `TRUELINE_SIM_MUTANT=id` the replayed schedule has that bug.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use nodes::{mutants::Mutant, protocol::Protocol};

use crate::{
    checks::Checks,
    schedule::{Point, Schedule},
    world::{Stats, Violation, World},
};

mod checks;
mod client;
mod disk;
mod multi_paxos;
mod network;
mod oracle;
mod raft;
mod schedule;
mod world;
mod zab;

/// How many schedules of each protocol a plain test run tries.
const SCHEDULES: u64 = 10_000;
/// A mutant that this many schedules do not expose counts as overlooked.
const SCHEDULES_FOR_MUTANT: u64 = 3_000;

/// A decoy is run through so many schedules.
const SCHEDULES_FOR_DECOY: u64 = 2_000;
/// A mutant's nodes must go on running in so many schedules.
const SCHEDULES_BLIND: u64 = 60;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value:?}")))
}

/// Runs one schedule; a failed assertion of the core is a violation like any other.
fn run<P: Protocol, C: Checks<P>>(schedule: Schedule, trace: bool) -> Result<Stats, Violation> {
    let seed = schedule.seed;
    catch_unwind(AssertUnwindSafe(|| World::<P, C>::run(schedule, trace))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let what = format!("panic: {}", text.unwrap_or_default());
        Err(Violation { seed, at: 0, what })
    })
}

fn add(sum: &mut Stats, one: &Stats) {
    sum.steps += one.steps;
    sum.kills += one.kills;
    sum.power_losses += one.power_losses;
    sum.crashes_before_sync += one.crashes_before_sync;
    sum.crashes_before_send += one.crashes_before_send;
    sum.crashes_before_told += one.crashes_before_told;
    sum.disks_lost += one.disks_lost;
    sum.restarts += one.restarts;
    sum.pauses += one.pauses;
    sum.partitions += one.partitions;
    sum.depositions += one.depositions;
    sum.dropped += one.dropped;
    sum.duplicated += one.duplicated;
    sum.leaders += one.leaders;
    sum.snapshots_sent += one.snapshots_sent;
    sum.snapshots_installed += one.snapshots_installed;
    sum.truncations += one.truncations;
    sum.changes += one.changes;
    sum.memberships += one.memberships;
    sum.joint_memberships += one.joint_memberships;
    sum.committed += one.committed;
    sum.answers += one.answers;
    sum.reads += one.reads;
    sum.refusals += one.refusals;
    sum.definite_refusals += one.definite_refusals;
    sum.recovery_max = sum.recovery_max.max(one.recovery_max);
}

/// Runs the schedules `0..count` of this kind on all processors, until one fails.
fn run_all<P: Protocol, C: Checks<P>>(
    count: u64,
    schedule: impl Fn(u64) -> Schedule + Sync,
) -> Result<Stats, Violation> {
    let next = AtomicU64::new(0);
    let worker = || {
        let mut sum = Stats::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                return Ok(sum);
            }
            match run::<P, C>(schedule(seed), false) {
                Ok(stats) => add(&mut sum, &stats),
                Err(violation) => {
                    next.store(count, Ordering::Relaxed);
                    return Err(violation);
                }
            }
        }
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<Result<Stats, Violation>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().expect("panics of the core are caught")).collect()
    });
    let mut sum = Stats::default();
    for result in results {
        add(&mut sum, &result?);
    }
    Ok(sum)
}

/// Many schedules, or the one that the environment asks for. Says what happened in them.
fn keeps_its_promises<P: Protocol, C: Checks<P>>() -> Option<(u64, Stats)> {
    let protocol = P::KIND.name();
    if let Some(seed) = from_environment("TRUELINE_SIM_SEED") {
        let mutant = std::env::var("TRUELINE_SIM_MUTANT").ok().map(|id| id.parse::<Mutant>().expect("a mutant"));
        if mutant.is_some_and(|mutant| mutant.protocol != P::KIND) {
            return None;
        }
        match run::<P, C>(Schedule::of(seed, mutant), true) {
            Ok(stats) => eprintln!("{protocol}: {stats:#?}"),
            Err(violation) => panic!("{protocol}: {violation}"),
        }
        return None;
    }
    let count = from_environment("TRUELINE_SIM_SCHEDULES").unwrap_or(SCHEDULES);
    let stats = run_all::<P, C>(count, |seed| Schedule::of(seed, None));
    let stats = stats.unwrap_or_else(|violation| panic!("{protocol}: {violation}"));
    eprintln!("{protocol}: {count} schedules: {stats:#?}");
    not_vacuous(count, &stats);
    Some((count, stats))
}

/// A simulation in which little happens proves little.
fn not_vacuous(count: u64, stats: &Stats) {
    for (what, happened, at_least) in [
        ("leaders", stats.leaders, 2 * count),
        ("kills", stats.kills, count),
        ("power losses", stats.power_losses, count),
        ("crashes before a sync", stats.crashes_before_sync, count / 10),
        ("crashes before a send", stats.crashes_before_send, count / 10),
        ("crashes before the core was told", stats.crashes_before_told, count / 10),
        ("pauses", stats.pauses, count / 2),
        ("partitions", stats.partitions, count),
        ("depositions", stats.depositions, count / 10),
        ("dropped messages", stats.dropped, count),
        ("duplicated messages", stats.duplicated, count),
        ("snapshots installed", stats.snapshots_installed, count / 20),
        ("entries committed", stats.committed, 5 * count),
        ("commands answered", stats.answers, 5 * count),
        ("reads answered", stats.reads, 2 * count),
        ("definite refusals", stats.definite_refusals, count / 10),
    ] {
        assert!(happened >= at_least, "{what}: only {happened} in {count} schedules");
    }
}

fn same_seed_same_schedule<P: Protocol, C: Checks<P>>() {
    for seed in 0..20 {
        let one = run::<P, C>(Schedule::of(seed, None), false).unwrap_or_else(|violation| panic!("{violation}"));
        let two = run::<P, C>(Schedule::of(seed, None), false).unwrap_or_else(|violation| panic!("{violation}"));
        assert_eq!(one, two, "seed {seed}");
    }
}

/// One quiet schedule again and again, each time with a crash at the next of its persist points.
fn survives_a_crash_at_every_persist_point<P: Protocol, C: Checks<P>>() {
    for seed in 0..3 {
        let quiet = Schedule::with_one_crash(seed, None);
        let (_, points) =
            World::<P, C>::run_counting_points(quiet, false).unwrap_or_else(|violation| panic!("{violation}"));
        for point in Point::ALL {
            let count = points[point as usize];
            assert!(count > 20, "only {count} persist points of kind {point:?}");
            let crashed = run_all::<P, C>(count, |at| Schedule::with_one_crash(seed, Some((point, at + 1))));
            let stats = crashed.unwrap_or_else(|violation| panic!("a crash at some {point:?}: {violation}"));
            assert_eq!(stats.kills + stats.power_losses, count, "one crash each");
        }
    }
}

/// Looks for a schedule that exposes the bug in one of these words, and says how.
fn hunt<P: Protocol, C: Checks<P>>(mutant: Mutant, words: &[&str]) {
    hunt_in::<P, C>(mutant, words, |seed, mutant| Schedule::of(seed, Some(mutant)));
}

/// The same, in schedules of this kind.
fn hunt_in<P: Protocol, C: Checks<P>>(mutant: Mutant, words: &[&str], schedule: impl Fn(u64, Mutant) -> Schedule) {
    for seed in 0..SCHEDULES_FOR_MUTANT {
        let Err(violation) = run::<P, C>(schedule(seed, mutant), false) else { continue };
        if words.iter().any(|words| violation.what.contains(words)) {
            eprintln!("{}: seed {seed}: {}", mutant.id, violation.what);
            return;
        }
    }
    panic!("{} stayed hidden in {SCHEDULES_FOR_MUTANT} schedules", mutant.id);
}

/// A decoy costs liveness at most: no schedule exposes anything.
fn is_harmless<P: Protocol, C: Checks<P>>(decoy: Mutant) {
    let stats = run_all::<P, C>(SCHEDULES_FOR_DECOY, |seed| Schedule::of(seed, Some(decoy)));
    let stats = stats.unwrap_or_else(|violation| panic!("{}: {violation}", decoy.id));
    eprintln!("{}: {SCHEDULES_FOR_DECOY} schedules, at most {} ns to recover", decoy.id, stats.recovery_max);
}

/// A mutant's harm is to be seen by clients, so the node itself must not stop: not on an assertion, and not at its next start.
fn goes_on_running<P: Protocol, C: Checks<P>>(mutant: Mutant) {
    for seed in 0..SCHEDULES_BLIND {
        let schedule = Schedule { blind: true, ..Schedule::of(seed, Some(mutant)) };
        let Err(violation) = run::<P, C>(schedule, false) else { continue };
        let stopped = ["panic:", "does not start"].iter().any(|words| violation.what.contains(words));
        assert!(!stopped, "{} stops its node: {violation}", mutant.id);
    }
}
