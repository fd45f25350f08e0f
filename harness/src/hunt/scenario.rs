//! How each mutant is found: which faults, which workload, and what the nodes must be set to so that the rule is in use at all.
//!
//! ```text
//!   mutant's id ──> Scenario { setup, nodes, nemesis, workload, flags } ──> arguments of `trueline run`
//!                              └── of the nodes: also where everything else is the generic mix
//! ```
//!
//! Written by hand, from what the literature says of each bug: a nemesis that makes the situation in which the wrong rule
//! decides wrongly, and a workload in which that shows. Runs have a moderate load unless a bug needs more: a hunt does several at once.

use nodes::protocol::ProtocolKind;
use workloads::kind::WorkloadKind::{self, Append, CasChain, Register};

/// Operations a second over all clients of a run of a hunt.
const RATE: u32 = 400;

/// Where a bug needs many operations under way.
const HIGH_RATE: u32 = 1_500;

/// Where a node that was sent a snapshot must not take one of its own at once.
const LOW_RATE: u32 = 100;

/// Clients of a run of a hunt.
const CONCURRENCY: u32 = 10;

/// Clients where a leader must be able to gather a long tail of entries that are not committed.
const CROWD: u32 = 60;

/// What makes up a run, but for seed and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// How many nodes.
    pub nodes: u32,
    /// What is broken: a `--nemesis`.
    pub nemesis: &'static str,
    /// What clients do.
    pub workload: WorkloadKind,
    /// Operations a second.
    pub rate: u32,
    /// How many clients.
    pub concurrency: u32,
    /// Whether clients retry in sessions.
    pub retry: bool,
    /// How the nodes are set: flags that the rule in question needs, whatever the faults.
    pub setup: &'static [&'static str],
}

/// Never with the nemesis `clock`: a lease promises something only while clocks run at about the same rate.
const LEASE: &[&str] = &["--reads", "lease"];
/// The same, where clients must have time to see what an old leader does.
const LONG_LEASE: &[&str] = &["--reads", "lease", "--election-timeout-ms", "600"];
const QUORUM_READ: &[&str] = &["--reads", "quorum-read"];
const SNAPSHOTS: &[&str] = &["--snapshot-every", "30"];
/// A node that was sent one is to live for a while before it takes its own.
const FEWER_SNAPSHOTS: &[&str] = &["--snapshot-every", "60"];
/// So that a snapshot may end among a few entries.
const SMALL_SNAPSHOTS: &[&str] = &["--snapshot-every", "8"];
/// Where a candidate or a leader must wait until a voter was started again.
const PATIENT: &[&str] = &["--election-timeout-ms", "600"];
/// What was lost is sent again soon: for stories in which that must happen while a leader does not know yet that it was replaced.
const BRISK: &[&str] = &["--heartbeat-ms", "25"];

/// What nodes disagree about is still asked for when they are all back.
const LASTING_KEYS: &[&str] = &["--ops-per-key", "2000"];
/// The next leader is found well before the one that was cut off gives up.
const OVERLAP: &[&str] = &["--heartbeat-ms", "20", "--election-timeout-ms", "500"];

const fn scenario(workload: WorkloadKind, nodes: u32, nemesis: &'static str) -> Scenario {
    Scenario { nodes, nemesis, workload, rate: RATE, concurrency: CONCURRENCY, retry: false, setup: &[] }
}

/// Registers: what shows stale reads best.
const fn register(nodes: u32, nemesis: &'static str) -> Scenario {
    scenario(Register, nodes, nemesis)
}

/// Lists: what shows lost, doubled and reordered writes best.
const fn append(nodes: u32, nemesis: &'static str) -> Scenario {
    scenario(Append, nodes, nemesis)
}

impl Scenario {
    const fn with(self, setup: &'static [&'static str]) -> Self {
        Self { setup, ..self }
    }

    const fn retried(self) -> Self {
        Self { retry: true, ..self }
    }

    const fn loaded(self) -> Self {
        Self { rate: HIGH_RATE, ..self }
    }

    /// Many clients: long tails of entries that are not committed when a leader is cut off.
    const fn crowded(self) -> Self {
        Self { rate: 2 * RATE, concurrency: CROWD, ..self }
    }

    /// Many clients that wait, few operations: a tail that no new leader's first moments outgrow.
    const fn patient(self) -> Self {
        Self { rate: LOW_RATE, concurrency: CROWD, ..self }
    }

    /// Many clients, each seldom: some have not asked yet for what a leader without followers cannot do when the next one leads.
    const fn sparse(self) -> Self {
        Self { rate: RATE / 2, concurrency: CROWD, ..self }
    }

    const fn calm(self) -> Self {
        Self { rate: LOW_RATE, ..self }
    }

    /// The mix of everything, by seed: registers or lists, three or five nodes, few clients that retry in sessions or many that do not,
    /// for retries hide what is done twice by mistake. What is set up stays.
    #[must_use]
    pub fn generic(self, seed: u64) -> Self {
        let nodes = if (seed / 2).is_multiple_of(2) { 5 } else { 3 };
        let kind = if seed.is_multiple_of(2) { register(nodes, "all") } else { append(nodes, "all") };
        let retry = matches!(seed % 4, 1 | 2);
        let concurrency = if retry { CONCURRENCY } else { CROWD };
        Self { retry, concurrency, ..kind }.with(self.setup)
    }

    /// The arguments of `trueline run` that mean it.
    #[must_use]
    pub fn arguments(&self, protocol: ProtocolKind, mutant: Option<&str>) -> Vec<String> {
        let mut arguments = vec!["--system".to_owned(), protocol.name().to_owned()];
        let mut add = |flag: &str, value: &str| arguments.extend([format!("--{flag}"), value.to_owned()]);
        if let Some(mutant) = mutant {
            add("mutant", mutant);
        }
        add("nodes", &self.nodes.to_string());
        add("nemesis", self.nemesis);
        add("workload", self.workload.name());
        add("rate", &self.rate.to_string());
        add("concurrency", &self.concurrency.to_string());
        arguments.extend(self.retry.then(|| "--retry".to_owned()));
        arguments.extend(self.setup.iter().map(|&word| word.to_owned()));
        arguments
    }
}

/// Settings, not rules, that cost liveness at most: no history may be called wrong because of them. By name, for every protocol.
pub const SETTINGS: [(&str, Scenario); 3] = [
    ("slow-fsync", append(5, "slow-sync")),
    (
        "heartbeat-near-timeout",
        append(5, "partition,kill-leader").with(&["--heartbeat-ms", "250", "--election-timeout-ms", "300"]),
    ),
    ("drop-10pct", append(5, "loss")),
];

/// What finds the mutant by this name: the mix of everything, unless something better is known. Decoys have to bear that.
#[must_use]
pub fn of(mutant: &str) -> Scenario {
    own(mutant).unwrap_or(append(5, "all"))
}

fn own(mutant: &str) -> Option<Scenario> {
    TABLES.into_iter().flatten().find(|(id, _)| *id == mutant).map(|(_, scenario)| *scenario)
}

type Table = &'static [(&'static str, Scenario)];

const TABLES: [Table; 3] = [RAFT, MULTI_PAXOS, ZAB];

const RAFT: Table = &[
    ("raft-read-local-leader", register(5, "leader-cut,pause-leader")),
    ("raft-read-any-node", register(5, "partition")),
    ("raft-readindex-no-term-commit", register(5, "kill-leader,leader-cut,messages")),
    ("raft-readindex-stale-ack", register(5, "late-news").crowded()),
    ("raft-lease-no-bound", register(5, "late-news").crowded().with(LEASE)),
    ("raft-lease-wall-clock", register(5, "wall-clock").with(LEASE)),
    ("raft-read-before-apply", register(3, "late-entries")),
    ("raft-lease-survives-transfer", register(3, "transfer").crowded().with(LONG_LEASE)),
    ("raft-votedfor-volatile", append(3, "two-candidates").with(PATIENT)),
    ("raft-term-volatile", append(3, "two-candidates").with(PATIENT)),
    ("raft-vote-reply-before-fsync", append(3, "two-candidates").with(PATIENT)),
    ("raft-vote-term-nonatomic", append(3, "two-candidates").with(PATIENT)),
    ("raft-vote-no-log-check", append(5, "stale-candidate")),
    ("raft-vote-stale-term-reply", append(3, "late-votes")),
    ("raft-vote-count-duplicates", append(5, "asked-twice")),
    ("raft-quorum-half", append(3, "leader-cut,partition")),
    ("raft-reply-before-commit", append(5, "leader-cut")),
    ("raft-apply-before-commit", append(5, "leader-cut")),
    ("raft-fig8-commit-old-term", append(5, "figure-8").patient()),
    ("raft-append-no-prev-check", append(5, "one-follower").crowded()),
    ("raft-truncate-always", append(3, "echoes")),
    ("raft-commit-no-min", append(3, "tail-covered").patient()),
    ("raft-matchindex-not-reset", append(5, "lead-again").patient()),
    ("raft-ack-stale-replies", append(5, "lead-again").patient()),
    ("raft-learner-in-quorum", append(3, "membership")),
    ("raft-ack-before-fsync", append(3, "power,slow-sync")),
    ("raft-leader-self-count", append(1, "power,kill")),
    ("raft-wal-tail-drop", append(3, "torn")),
    ("raft-wal-no-crc", append(3, "torn")),
    ("raft-truncate-not-durable", append(3, "tail-returns").patient()),
    ("raft-applied-index-nonatomic", append(3, "kill,power").with(SNAPSHOTS)),
    ("raft-no-dedup", append(5, "mute-answers,kill-leader").retried()),
    ("raft-dedup-leader-cache", append(5, "mute-answers,kill-leader").retried()),
    ("raft-snapshot-drops-sessions", append(5, "lagging,mute-answers,kill-leader").retried().with(SNAPSHOTS)),
    ("raft-session-expiry-local-clock", append(5, "clock,mute-answers").retried()),
    ("raft-snapshot-claims-lastlog", append(5, "lagging,kill-leader,power").with(SNAPSHOTS)),
    ("raft-snapshot-install-regress", append(3, "echoes").with(SNAPSHOTS)),
    ("raft-snapshot-keep-conflict", append(3, "tail-covered").patient().with(SMALL_SNAPSHOTS)),
    ("raft-snapshot-stale-membership", append(3, "membership").with(SNAPSHOTS)),
    ("raft-member-no-term-commit", append(4, "membership")),
    ("raft-member-multi-step", append(3, "membership")),
    ("raft-member-at-commit", append(3, "membership").loaded()),
    ("raft-no-checkquorum", register(5, "all")),
];

const MULTI_PAXOS: Table = &[
    ("pax-promise-volatile", append(3, "voter-bounce")),
    ("pax-accept-before-fsync", append(3, "torn")),
    ("pax-accept-below-promise", append(3, "rivals")),
    ("pax-accept-no-bump", append(5, "comeback").crowded().with(BRISK)),
    ("pax-own-value", append(3, "one-follower")),
    ("pax-most-common-value", append(5, "comeback").crowded().with(BRISK)),
    ("pax-vbal-is-promise", append(5, "comeback").crowded().with(BRISK)),
    ("pax-ballot-not-unique", append(3, "two-candidates").with(PATIENT)),
    ("pax-ballot-reuse-restart", append(3, "overruled").crowded().with(SNAPSHOTS)),
    ("pax-mixed-2b", append(3, "overruled")),
    ("pax-quorum-half", append(3, "leader-cut,partition")),
    ("pax-learn-first-2b", append(5, "leader-cut")),
    ("pax-apply-gaps", append(5, "messages")),
    ("pax-noop-over-value", append(3, "one-follower")),
    ("pax-phase1-one-slot", append(3, "rivals")),
    ("pax-local-read", register(5, "leader-cut,pause-leader")),
    ("pax-lease-no-margin", register(5, "late-news").crowded().with(LEASE)),
    ("pax-read-no-rinse", register(5, "messages").with(QUORUM_READ)),
    ("pax-read-accepted", register(5, "one-follower,messages").with(QUORUM_READ)),
    ("pax-follower-lease-commit-majority", register(5, "leader-cut,partition").with(LEASE)),
    ("pax-no-dedup", append(5, "mute-answers,kill-leader").retried()),
    ("pax-catchup-accepted", append(5, "comeback").crowded().with(BRISK)),
    ("pax-compact-forget", append(3, "stale-candidate").with(SNAPSHOTS)),
    ("pax-lost-disk-rejoin", append(3, "wipe")),
];

const ZAB: Table = &[
    ("zab-read-local", register(5, "partition")),
    ("zab-sync-no-quorum", register(5, "leader-cut,pause-leader").sparse().with(OVERLAP)),
    ("zab-ack-before-fsync", append(3, "power,slow-sync")),
    ("zab-newleader-ack-before-sync", append(3, "rejoin").crowded()),
    ("zab-epoch-before-history", append(3, "resync")),
    ("zab-acceptedepoch-volatile", append(3, "taken-back").with(PATIENT)),
    ("zab-elect-by-id", append(5, "stale-candidate")),
    ("zab-serve-uncommitted-on-restart", append(3, "rejoin")),
    ("zab-snap-not-persisted", append(3, "rejoin").calm().with(FEWER_SNAPSHOTS)),
    ("zab-log-hole", append(3, "rejoin")),
    ("zab-skip-sync-phase", append(3, "resync").sparse().with(LASTING_KEYS)),
    ("zab-old-epoch-proposal", append(3, "last-words")),
    ("zab-quorum-half", append(5, "partition,one-follower")),
    ("zab-reply-at-ack", append(5, "leader-cut")),
    ("zab-cas-committed-state", scenario(CasChain, 3, "none").loaded()),
    ("zab-fsync-error-ignored", append(3, "disk-error")),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser;
    use nodes::mutants;

    use super::*;
    use crate::cli::run::RunArgs;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: RunArgs,
    }

    /// That the run takes these arguments, and finds nothing wrong with them.
    #[track_caller]
    fn is_a_run(name: &str, arguments: Vec<String>) {
        let line = Line::try_parse_from(std::iter::once("run".to_owned()).chain(arguments.clone()));
        let line = line.unwrap_or_else(|error| panic!("{name}: {arguments:?}: {error}"));
        line.run.config().unwrap_or_else(|error| panic!("{name}: {arguments:?}: {error}"));
    }

    #[test]
    fn every_mutant_has_a_scenario_that_is_a_run() {
        for mutant in mutants::all() {
            let has_one = own(mutant.id).is_some() || mutant.rating == mutants::Rating::Decoy;
            assert!(has_one, "{} has no scenario", mutant.id);
            let scenario = of(mutant.id);
            is_a_run(mutant.id, scenario.arguments(mutant.protocol, Some(mutant.id)));
            for seed in 0..4 {
                is_a_run(mutant.id, scenario.generic(seed).arguments(mutant.protocol, Some(mutant.id)));
            }
        }
    }

    /// Wrong rates break the assumption that leases rest on: the correct build would be accused of what it does not promise.
    #[test]
    fn leases_are_not_hunted_with_wrong_clock_rates() {
        for (id, scenario) in TABLES.into_iter().flatten() {
            let nemeses: Vec<&str> = scenario.nemesis.split(',').collect();
            assert!(!scenario.setup.contains(&"lease") || !nemeses.contains(&"clock"), "{id}");
        }
    }

    #[test]
    fn every_setting_is_a_run_of_every_protocol() {
        for protocol in ProtocolKind::ALL {
            for (name, scenario) in SETTINGS {
                is_a_run(name, scenario.arguments(protocol, None));
            }
        }
    }

    #[test]
    fn names_are_distinct() {
        let names: Vec<&str> = TABLES.into_iter().flatten().map(|(id, _)| *id).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert_eq!(own("raft-is-tired"), None);
    }

    #[test]
    fn the_generic_mix_has_every_combination() {
        let base = append(4, "partition").with(LEASE);
        let mixes: BTreeSet<_> = (1..=4)
            .map(|seed| base.generic(seed))
            .map(|mix| {
                assert_eq!((mix.nemesis, mix.setup), ("all", LEASE));
                (mix.workload.name(), mix.nodes, mix.retry)
            })
            .collect();
        let all = [("append", 3, false), ("append", 5, true), ("register", 3, true), ("register", 5, false)];
        assert_eq!(mixes, all.into());
    }
}
