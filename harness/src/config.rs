//! A run as meant: every choice made, nothing left to guess. Made from the flags, stored in the manifest.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use workloads::{
    client::{EtcdReads, RETRY_TIMEOUTS},
    generator::WorkloadSpec,
};

use crate::nemesis::Nemeses;

/// Everything that decides what a run does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunConfig {
    /// Which system is tested.
    pub system: SystemKind,
    /// Its executable, if not the built-in one.
    pub binary: Option<PathBuf>,
    /// The one wrong rule switched on in every node, for testing the harness.
    pub mutant: Option<String>,
    /// How many nodes.
    pub nodes: u32,
    /// What clients do.
    pub workload: WorkloadSpec,
    /// How reads are asked for.
    pub reads: EtcdReads,
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
    /// Where runs are stored.
    pub store: PathBuf,
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

    /// The command line that means this run.
    #[must_use]
    pub fn command(&self) -> String {
        let mut words = vec!["trueline run".to_owned(), format!("--system {}", self.system)];
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
        add("reads", (self.reads != EtcdReads::Linearizable).then(|| self.reads.to_string()));
        add("concurrency", Some(self.concurrency.to_string()));
        add("rate", self.rate.map(|rate| rate.to_string()));
        add("nemesis", Some(self.nemeses.to_string()));
        for (flag, duration) in [
            ("timeout", self.timeout),
            ("warm-up", self.warm_up),
            ("time", self.time),
            ("recovery-bound", self.recovery_bound),
        ] {
            add(flag, Some(format!("{}ms", duration.as_millis())));
        }
        add("network", Some(self.network.to_string()));
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
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The systems that are known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemKind {
    /// The Raft nodes in the box, or another build with the same contract.
    Raft,
    /// An unmodified etcd server.
    Etcd,
}

impl SystemKind {
    /// Every system.
    pub const ALL: [Self; 2] = [Self::Raft, Self::Etcd];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raft => "raft",
            Self::Etcd => "etcd",
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
            .ok_or_else(|| format!("no system is called {text:?}; there are raft and etcd"))
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
