//! A run as meant: every choice made, nothing left to guess. Made from the flags, stored in the manifest.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use nodes::protocol::{ProtocolKind, ReadMode};
use results::store::{Labels, RunId};
use serde::{Deserialize, Serialize};
use workloads::{
    client::{EtcdReads, RETRY_TIMEOUTS},
    generator::WorkloadSpec,
};

use crate::{nemesis::Nemeses, program::Program, settings::system::DescribedSystem};

/// Everything that decides what a run does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunConfig {
    /// Which system is tested.
    pub system: SystemKind,
    /// If it is one that is described: all of its description.
    #[serde(default)]
    pub described: Option<DescribedSystem>,
    /// Its executable, if not the built-in one.
    pub binary: Option<PathBuf>,
    /// The mark of what the nodes really run; none before it is known.
    #[serde(default)]
    pub program: Option<Program>,
    /// The one wrong rule switched on in every node, for testing the harness.
    pub mutant: Option<String>,
    /// How many nodes.
    pub nodes: u32,
    /// What clients do.
    pub workload: WorkloadSpec,
    /// How reads are answered.
    pub reads: Reads,
    /// What the nodes in the box are told beside.
    #[serde(default)]
    pub node_options: NodeOptions,
    /// Closed loop: how many clients. With a rate: how many share it.
    pub concurrency: u32,
    /// Open loop: operations a second over all clients.
    pub rate: Option<u32>,
    /// A client gives up an operation after this; one that retries, a try.
    pub timeout: Duration,
    /// Clients send what was not answered again, under a stamp that makes it take effect once.
    #[serde(default)]
    pub retry: bool,
    /// What is broken.
    pub nemeses: Nemeses,
    /// Nodes that may join while the membership changes.
    #[serde(default)]
    pub spares: u32,
    /// Load without faults, before them.
    pub warm_up: Duration,
    /// How long faults go on.
    pub time: Duration,
    /// After the last heal, every node must answer within this.
    pub recovery_bound: Duration,
    /// End the faults at the first violation that is seen.
    #[serde(default)]
    pub fail_fast: bool,
    /// Decides the operations and the fault plan.
    pub seed: u64,
    /// How nodes are connected.
    pub network: NetworkKind,
    /// How much longer everything takes from one end of a link to the other.
    #[serde(default)]
    pub link_delay: Duration,
    /// Where runs are stored.
    pub store: PathBuf,
    /// What the run is called by: in the manifest beside this, for it decides nothing.
    #[serde(skip)]
    pub labels: Labels,
    /// The run's name, if whoever asked for it chose one. No part of what a run is.
    #[serde(skip)]
    pub name: Option<RunId>,
    /// Write a page about it.
    #[serde(skip)]
    pub report: bool,
    /// Keep the nodes' data directories even when the verdict is valid.
    pub keep_data: bool,
    /// How long the checkers may take.
    pub check_time: Duration,
    /// How much memory they may take, MiB.
    pub check_memory_mib: usize,
}

impl RunConfig {
    /// The longest that one operation of a client can take.
    #[must_use]
    pub fn operation_max(&self) -> Duration {
        // Opening a session comes before the tries.
        if self.retry { self.timeout * (RETRY_TIMEOUTS + 1) } else { self.timeout }
    }

    /// What the system is called.
    #[must_use]
    pub fn system_name(&self) -> &str {
        self.described.as_ref().map_or(self.system.name(), |described| described.name.as_str())
    }

    /// The command line that means this run.
    #[must_use]
    pub fn command(&self) -> String {
        let mut words = vec!["trueline run".to_owned()];
        let described = self.described.as_ref();
        let file = described.map(|described| format!("--config {}", quoted(&described.config.display().to_string())));
        words.extend(file);
        words.push(format!("--system {}", self.system_name()));
        let mut add = |flag: &str, value: Option<String>| {
            if let Some(value) = value {
                words.push(format!("--{flag} {value}"));
            }
        };
        add("binary", self.binary.as_ref().map(|path| quoted(&path.display().to_string())));
        add("mutant", self.mutant.clone());
        add("nodes", Some(self.nodes.to_string()));
        add("workload", Some(self.workload.kind.to_string()));
        add("keys", Some(self.workload.keys.to_string()));
        add("ops-per-key", Some(self.workload.ops_per_key.to_string()));
        let reads = described.and_then(|described| described.reads.clone());
        add("reads", reads.or_else(|| (!self.reads.is_default()).then(|| self.reads.to_string())));
        let NodeOptions { snapshot_every, heartbeat_ms, election_timeout_ms } = self.node_options;
        add("snapshot-every", snapshot_every.map(|every| every.to_string()));
        add("heartbeat-ms", heartbeat_ms.map(|ms| ms.to_string()));
        add("election-timeout-ms", election_timeout_ms.map(|ms| ms.to_string()));
        add("concurrency", Some(self.concurrency.to_string()));
        add("rate", self.rate.map(|rate| rate.to_string()));
        add("nemesis", Some(self.nemeses.to_string()));
        add("spares", (self.spares > 0).then(|| self.spares.to_string()));
        for (flag, duration) in [
            ("timeout", self.timeout),
            ("warm-up", self.warm_up),
            ("time", self.time),
            ("recovery-bound", self.recovery_bound),
        ] {
            add(flag, Some(format!("{}ms", duration.as_millis())));
        }
        add("network", Some(self.network.to_string()));
        add("link-delay", (!self.link_delay.is_zero()).then(|| format!("{}us", self.link_delay.as_micros())));
        add("seed", Some(self.seed.to_string()));
        if self.retry {
            words.push("--retry".to_owned());
        }
        if self.fail_fast {
            words.push("--fail-fast".to_owned());
        }
        words.join(" ")
    }
}

/// A word as a shell takes it for one.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// How reads are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// By the nodes in the box, in one of their ways.
    Nodes(ReadMode),
    /// By etcd, as it was asked to.
    Etcd(EtcdReads),
    /// As the description of the system has it.
    Described,
}

impl Reads {
    /// What a system does when it is not told otherwise.
    #[must_use]
    pub fn of(system: SystemKind) -> Self {
        match system {
            SystemKind::Raft | SystemKind::MultiPaxos | SystemKind::Zab => Self::Nodes(ReadMode::default()),
            SystemKind::Etcd => Self::Etcd(EtcdReads::Linearizable),
            SystemKind::Described => Self::Described,
        }
    }

    /// The way that is called `name` with this system.
    ///
    /// # Errors
    /// A sentence with the names there are.
    pub fn parse(system: SystemKind, name: &str) -> Result<Self, String> {
        if system.protocol().is_none() {
            let reads = [EtcdReads::Linearizable, EtcdReads::Serializable].into_iter().find(|r| r.to_string() == name);
            let unknown = || format!("--reads {name}: {system} offers linearizable and serializable");
            return reads.map(Self::Etcd).ok_or_else(unknown);
        }
        let reads = ReadMode::ALL.into_iter().find(|mode| mode.name() == name);
        let names = ReadMode::ALL.map(ReadMode::name).join(", ");
        reads.map(Self::Nodes).ok_or_else(|| {
            format!("--reads {name}: the nodes in the box offer {names}, and not every protocol all of them; linearizable and serializable are for --system etcd")
        })
    }

    /// Whether this system answers reads so.
    #[must_use]
    pub fn is_of(self, system: SystemKind) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&Self::of(system))
    }

    fn is_default(self) -> bool {
        matches!(self, Self::Nodes(ReadMode::Quorum) | Self::Etcd(EtcdReads::Linearizable) | Self::Described)
    }
}

impl fmt::Display for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(mode) => f.write_str(mode.name()),
            Self::Etcd(reads) => reads.fmt(f),
            Self::Described => f.write_str("described"),
        }
    }
}

/// What the nodes in the box are told; what is left out is their own choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeOptions {
    /// Entries applied between two snapshots.
    pub snapshot_every: Option<u64>,
    /// Between two heartbeats of a leader, milliseconds.
    pub heartbeat_ms: Option<u64>,
    /// The shortest election timeout, milliseconds.
    pub election_timeout_ms: Option<u64>,
}

/// The systems that are known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemKind {
    /// The Raft nodes in the box, or another build with the same contract.
    Raft,
    /// The Multi-Paxos nodes in the box.
    MultiPaxos,
    /// The Zab nodes in the box.
    Zab,
    /// An unmodified etcd server.
    Etcd,
    /// One that `trueline.toml` describes.
    Described,
}

impl SystemKind {
    /// Every system that is known by name.
    pub const ALL: [Self; 4] = [Self::Raft, Self::MultiPaxos, Self::Zab, Self::Etcd];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raft => ProtocolKind::Raft.name(),
            Self::MultiPaxos => ProtocolKind::MultiPaxos.name(),
            Self::Zab => ProtocolKind::Zab.name(),
            Self::Etcd => "etcd",
            Self::Described => "described",
        }
    }

    /// The protocol that the nodes in the box speak for it.
    #[must_use]
    pub fn protocol(self) -> Option<ProtocolKind> {
        match self {
            Self::Raft => Some(ProtocolKind::Raft),
            Self::MultiPaxos => Some(ProtocolKind::MultiPaxos),
            Self::Zab => Some(ProtocolKind::Zab),
            Self::Etcd | Self::Described => None,
        }
    }
}

impl fmt::Display for SystemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SystemKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| format!("no system is called {text:?}; there are raft, multi-paxos, zab and etcd"))
    }
}

/// How nodes are to be connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkKind {
    /// Network namespaces and a switch for every packet.
    Fabric,
    /// Relays on loopback.
    Proxy,
    /// The fabric where the kernel allows it, else the proxy.
    Auto,
}

impl fmt::Display for NetworkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fabric => "fabric",
            Self::Proxy => "proxy",
            Self::Auto => "auto",
        })
    }
}

impl FromStr for NetworkKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Fabric, Self::Proxy, Self::Auto]
            .into_iter()
            .find(|kind| kind.to_string() == text)
            .ok_or_else(|| format!("no network is called {text:?}; there are fabric, proxy and auto"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(quoted("./target/debug/my-node"), "./target/debug/my-node");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
