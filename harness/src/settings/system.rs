//! `[system.NAME]`: a server described in words and not in code (`docs/own-system.md`).
//!
//! ```text
//!   [system.kv]                  command, ports, peers, env          ──> how it is started      (system/described.rs)
//!   [system.kv.ready], .status   questions to it                     ──> when the load begins, whom faults hit
//!   [system.kv.register.read] …  requests, and what answers mean     ──> clients                (workloads)
//! ```
//!
//! All of it is looked at when the file is read: a place that cannot be filled in, a request that cannot be meant, an answer that its
//! operation cannot have are errors with their lines, and not failures of a run.

use std::{borrow::Borrow, collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};
use workloads::client::described::{
    Api, Lists, Locks, Queues, Reads, Registers, Sums,
    answer::Rule,
    probe::{Ready, Status},
    template::{Template, Words},
};

use crate::config::SystemKind;

/// A name has at most so many characters.
const NAME_LENGTH_MAX: usize = 40;

/// How long servers take at least to miss a leader, unless it is said; faults are so long that they do.
const ELECTION_TIMEOUT_MS: u64 = 1_000;

/// The name of a system that is described: small letters, digits and dashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SystemName(String);

impl SystemName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SystemName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > NAME_LENGTH_MAX || !name.bytes().all(plain) || name.starts_with('-') {
            return Err(format!(
                "{name:?} is no name of a system: at most {NAME_LENGTH_MAX} small letters, digits and dashes"
            ));
        }
        match SystemKind::ALL.iter().find(|kind| kind.name() == name) {
            Some(kind) => Err(format!("{kind} is a system that Trueline knows; describe yours by another name")),
            None => Ok(Self(name)),
        }
    }
}

impl From<SystemName> for String {
    fn from(name: SystemName) -> Self {
        name.0
    }
}

impl Borrow<str> for SystemName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SystemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What can be filled in where one node is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfPeer;

impl Words for OfPeer {
    const ALL: &'static [&'static str] = &["id", "name", "host", "peer_port", "addr", "client_port"];
    const NEEDED: &'static [&'static str] = &[];
}

/// What can be filled in on the command line and in the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfNode;

impl Words for OfNode {
    const ALL: &'static [&'static str] = &[
        "id",
        "name",
        "host",
        "client_port",
        "client_addr",
        "peer_port",
        "addr",
        "peers",
        "others",
        "nodes",
        "data_dir",
        "config_dir",
        "cluster",
        "seed",
    ];
    const NEEDED: &'static [&'static str] = &[];
}

/// A server, as it is described.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Description {
    written: Written,
}

/// A description as it stands in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    /// The program, and its arguments.
    command: Vec<Template<OfNode>>,
    /// Where it listens for clients.
    client_port: u16,
    /// Where it listens for other nodes; clients and nodes may share one.
    #[serde(default)]
    peer_port: Option<u16>,
    /// Variables beside those that this program has.
    #[serde(default)]
    env: BTreeMap<String, Template<OfNode>>,
    /// How one node is named in `{peers}` and `{others}`.
    #[serde(default)]
    peer: Option<Template<OfPeer>>,
    /// Between two of them; a comma.
    #[serde(default)]
    peer_separator: Option<String>,
    /// Each node may be told other addresses of the nodes than the others are, so that relays fit between every two of them.
    #[serde(default)]
    proxy: bool,
    #[serde(default)]
    election_timeout_ms: Option<u64>,
    /// Ways to read, by name: what stands for `{reads}` in each.
    #[serde(default)]
    reads: Reads,
    /// The usual one of them.
    #[serde(default)]
    default_reads: Option<String>,
    #[serde(default)]
    ready: Option<Ready>,
    #[serde(default)]
    status: Option<Status>,
    /// What answers mean that no rule of the operation is for.
    #[serde(default)]
    answers: Vec<Rule>,
    #[serde(default)]
    register: Option<Registers>,
    #[serde(default)]
    append: Option<Lists>,
    #[serde(default)]
    set: Option<Sums>,
    #[serde(default)]
    counter: Option<Sums>,
    #[serde(default)]
    queue: Option<Queues>,
    #[serde(default)]
    lock: Option<Locks>,
}

impl TryFrom<Written> for Description {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let program = written.command.first().ok_or("the command has no program")?;
        if program.source().is_empty() || program.words().any(|word| word != "config_dir") {
            return Err(
                "the program, which comes first in the command, is the same for every node: only {config_dir} can \
                        be filled in there"
                    .to_owned(),
            );
        }
        let description = Self { written };
        let Written { client_port, peer_port, reads, default_reads, election_timeout_ms, .. } = &description.written;
        if *client_port == 0 || *peer_port == Some(0) {
            return Err("a port of 0 is none: nodes are reached at fixed ports".to_owned());
        }
        let names_peers = description.templates().any(|t| t.words().any(|word| matches!(word, "peers" | "others")));
        if names_peers != description.written.peer.is_some() {
            return Err(
                "{peers} and {others} need peer, which says how one node is named in them; and without them it is \
                        of no use"
                    .to_owned(),
            );
        }
        if names_peers && peer_port.is_none() {
            return Err(
                "nodes that are told of each other need a peer-port; it may be the same as the client-port".into()
            );
        }
        if *election_timeout_ms == Some(0) {
            return Err("an election-timeout-ms of 0: no leader could be kept".to_owned());
        }
        let api = description.api(None);
        if api.workloads().next().is_none() {
            return Err(
                "no workload can be done: describe register.read and register.write, or those of another one".into()
            );
        }
        match (api.says_reads(), default_reads) {
            (true, Some(name)) if reads.contains_key(name) => Ok(description),
            (false, None) if reads.is_empty() => Ok(description),
            (true, _) => {
                Err("{reads} needs reads, which says what stands for it by name, and default-reads, one of these \
                              names"
                    .to_owned())
            }
            (false, _) => Err("reads and default-reads are of no use: no read has {reads} in it".to_owned()),
        }
    }
}

impl From<Description> for Written {
    fn from(description: Description) -> Self {
        description.written
    }
}

impl Description {
    /// Everything that is filled in for a node.
    fn templates(&self) -> impl Iterator<Item = &Template<OfNode>> {
        self.written.command.iter().chain(self.written.env.values())
    }

    /// The program and its arguments.
    #[must_use]
    pub fn command(&self) -> &[Template<OfNode>] {
        &self.written.command
    }

    /// Variables of every node.
    #[must_use]
    pub fn env(&self) -> &BTreeMap<String, Template<OfNode>> {
        &self.written.env
    }

    /// How one node is named.
    #[must_use]
    pub fn peer(&self) -> Option<&Template<OfPeer>> {
        self.written.peer.as_ref()
    }

    /// Between two nodes that are named.
    #[must_use]
    pub fn peer_separator(&self) -> &str {
        self.written.peer_separator.as_deref().unwrap_or(",")
    }

    /// Where nodes listen for clients.
    #[must_use]
    pub fn client_port(&self) -> u16 {
        self.written.client_port
    }

    /// Where nodes listen for each other.
    #[must_use]
    pub fn peer_port(&self) -> u16 {
        self.written.peer_port.unwrap_or(self.written.client_port)
    }

    /// Whether relays can stand between every two nodes.
    #[must_use]
    pub fn fits_relays(&self) -> bool {
        self.written.proxy || self.written.peer.is_none()
    }

    /// How long servers take at least to miss a leader.
    #[must_use]
    pub fn election_timeout_ms(&self) -> u64 {
        self.written.election_timeout_ms.unwrap_or(ELECTION_TIMEOUT_MS)
    }

    /// Ways to read.
    #[must_use]
    pub fn reads(&self) -> &Reads {
        &self.written.reads
    }

    /// How a server is asked whether it serves.
    #[must_use]
    pub fn ready(&self) -> Option<&Ready> {
        self.written.ready.as_ref()
    }

    /// How a server is asked for its part.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        self.written.status.as_ref()
    }

    /// What clients can do, reading in this way, or in the usual one.
    #[must_use]
    pub fn api(&self, reads: Option<&str>) -> Api {
        let Written { register, append, set, counter, queue, lock, answers, .. } = self.written.clone();
        let name = reads.or(self.written.default_reads.as_deref());
        let reads = name.and_then(|name| self.written.reads.get(name).cloned());
        Api { register, append, set, counter, queue, lock, answers, reads }
    }
}

/// A system as a run has it: its description, and where that was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DescribedSystem {
    /// Its name.
    pub name: SystemName,
    /// The file that it is described in.
    pub config: PathBuf,
    /// Where that file is.
    pub config_dir: PathBuf,
    /// How reads are answered, if it was said.
    pub reads: Option<String>,
    /// What it is.
    pub description: Description,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    const KV: &str = r#"
[system.kv]
command = ["python3", "{config_dir}/kv.py", "--id={id}", "--peers={others}"]
client-port = 8000
peer-port = 8001
peer = "{id}@{addr}"

[system.kv.register.read]
path = "/kv/{key}"
answers = [{ status = 200, outcome = "ok", value = "body|integer" }, { status = 404, outcome = "ok", absent = true }]

[system.kv.register.write]
method = "PUT"
path = "/kv/{key}"
body = "{value}"
answers = [{ status = 200, outcome = "ok" }]
"#;

    fn parse(text: &str) -> Result<Description, String> {
        Settings::parse(text).map(|settings| settings.system.into_values().next().expect("a system"))
    }

    #[test]
    fn a_description_is_read_and_stored() {
        let kv = parse(KV).expect("a description");
        assert_eq!((kv.client_port(), kv.peer_port(), kv.peer_separator()), (8000, 8001, ","));
        assert!(!kv.fits_relays() && kv.election_timeout_ms() == 1_000);
        let workloads: Vec<_> = kv.api(None).workloads().map(|kind| kind.name()).collect();
        assert_eq!(workloads, ["register"]);
        let stored = serde_json::to_value(&kv).expect("JSON");
        assert_eq!(serde_json::from_value::<Description>(stored).expect("read back"), kv);
    }

    #[test]
    fn what_cannot_be_is_told_with_its_line() {
        let after = |line: &str, new: &str| {
            assert!(KV.contains(line), "{line}");
            KV.replacen(line, new, 1)
        };
        for (text, line, words) in [
            (after("{id}\"", "{ip}\""), 3, "{ip} cannot be filled in here; there are {id}"),
            (after("\"--id={id}\"", "\"--id={nr}\""), 3, "{nr} cannot be filled in here"),
            (after("@{addr}", "@{data_dir}"), 6, "{data_dir} cannot be filled in here"),
            (after("client-port", "client_port"), 4, "unknown field `client_port`"),
            (after("client-port = 8000", "client-port = 80000"), 4, "80000"),
            (after("path = \"/kv/{key}\"\nbody", "path = \"/kv/{kye}\"\nbody"), 14, "{kye} cannot be filled in here"),
            (after("body|integer", "body"), 10, "does not say what the bytes are"),
            (after("outcome = \"ok\" }]\n", "outcome = \"maybe\" }]\n"), 16, "unknown variant `maybe`"),
            (after("[system.kv]", "[system.etcd]"), 2, "etcd is a system that Trueline knows"),
            (after("[system.kv]", "[system.\"k v\"]"), 2, "no name of a system"),
        ] {
            let text = if text.contains("[system.kv]") { text } else { text.replace("system.kv.", "system.x.") };
            let error = parse(&text).expect_err(words);
            assert!(
                error.starts_with(&format!("line {line}, ")) && error.contains(words),
                "line {line}, {words}: {error}"
            );
        }
        for (text, words) in [
            (after("command = [\"python3\", ", "command = [\"python{id}\", "), "is the same for every node"),
            (after("peer = \"{id}@{addr}\"\n", ""), "need peer"),
            (after("peer-port = 8001\n", ""), "need a peer-port"),
            (after("client-port = 8000", "client-port = 0"), "a port of 0"),
            (after("client-port = 8000", "client-port = 8000\ndefault-reads = \"x\""), "of no use"),
            (after("path = \"/kv/{key}\"", "path = \"/kv/{key}{reads}\""), "{reads} needs reads"),
            (after("body = \"{value}\"\n", ""), "does not say {value}"),
            (KV[..KV.find("[system.kv.register.read]").expect("there")].to_owned(), "no workload can be done"),
            (KV[..KV.find("[system.kv.register.write]").expect("there")].to_owned(), "missing field `write`"),
        ] {
            let error = parse(&text).expect_err(words);
            assert!(error.starts_with("line ") && error.contains(words), "{words}: {error}");
        }
    }

    #[test]
    fn ways_to_read_have_names() {
        let with = KV.replacen("/kv/{key}\"", "/kv/{key}?at={reads}\"", 1);
        let with = with.replacen(
            "client-port",
            "reads = { primary = \"1\", any = \"0\" }\ndefault-reads = \"primary\"\nclient-port",
            1,
        );
        let kv = parse(&with).expect("a description");
        assert_eq!(kv.api(None).reads.as_deref(), Some("1"));
        assert_eq!(kv.api(Some("any")).reads.as_deref(), Some("0"));
        assert!(parse(&with.replace("default-reads = \"primary\"", "default-reads = \"some\"")).is_err());
    }
}
