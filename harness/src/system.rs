//! What can be tested. A new system is one file that implements [`System`], and one name in [`SystemKind`].
//!
//! ```text
//!   SystemKind ──> System ── program, arguments(node) ──> a process
//!                        ├── client(node)               ──> a client pinned to it
//!                        └── suffers(nemesis)           ──> what it can suffer
//! ```

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use nodes::protocol::ProtocolKind;
use workloads::client::{AnyClient, ClientError, NodeStatus};

use crate::{
    config::{NetworkKind, RunConfig, SystemKind},
    nemesis::NemesisKind,
    network::relay::Part,
};

mod described;
mod etcd;
mod native;

/// Where one node lives and whom it reaches how.
#[derive(Clone, Debug)]
pub struct NodePlace {
    /// The node's number, from 1.
    pub id: u32,
    /// Where it listens for clients.
    pub listen_client: SocketAddr,
    /// Where it listens for peers.
    pub listen_peer: SocketAddr,
    /// Under which address it reaches each node for peer traffic, itself included.
    pub peers: Vec<(u32, SocketAddr)>,
    /// With spare nodes: how many nodes, the first ones, found the cluster.
    pub founders: Option<u32>,
    /// Where it finds the faults that it is to have, if it is to have any.
    pub faults_file: Option<PathBuf>,
    /// Its own directory.
    pub data_dir: PathBuf,
    /// Names this run's cluster.
    pub cluster: String,
    /// Differs from node to node and run to run.
    pub seed: u64,
}

/// A system under test.
pub trait System: Send + Sync {
    /// Its standard port for clients.
    fn client_port(&self) -> u16;

    /// Its standard port for peers.
    fn peer_port(&self) -> u16;

    /// The executable that every node runs.
    fn program(&self) -> &Path;

    /// The arguments that one node is started with.
    fn arguments(&self, place: &NodePlace) -> Vec<String>;

    /// Whether the executable can be started under another name and from elsewhere.
    fn may_be_linked(&self) -> bool {
        true
    }

    /// Variables that one node has beside those of this program.
    fn environment(&self, _place: &NodePlace) -> Vec<(OsString, OsString)> {
        Vec::new()
    }

    /// Whether nodes are started in their data directories, for what they write without being told where.
    fn runs_in_its_directory(&self) -> bool {
        false
    }

    /// A client pinned to the node at this address.
    ///
    /// # Errors
    /// When the client cannot be built.
    fn client(&self, address: SocketAddr) -> Result<AnyClient, ClientError>;

    /// What the node at this address says of itself; none if it does not answer soon.
    fn status(&self, address: SocketAddr) -> StatusFuture;

    /// The same before the load: none also while it does not serve yet.
    fn ready(&self, address: SocketAddr) -> StatusFuture {
        self.status(address)
    }

    /// Whether it can suffer these faults and still be held to its promises.
    ///
    /// # Errors
    /// A sentence that says why not.
    fn suffers(&self, kind: NemesisKind) -> Result<(), String>;

    /// Whether these faults are part of the mix of all: some can be suffered only by builds that take optional parts of the contract.
    fn is_mixed(&self, kind: NemesisKind) -> bool {
        self.suffers(kind).is_ok()
    }

    /// Whether its nodes are known to read files of faults.
    fn reads_faults(&self) -> bool {
        false
    }

    /// Whether its nodes are known to speak in frames, which the relay reads.
    fn speaks_in_frames(&self) -> bool {
        false
    }

    /// What messages between its nodes are called, where the relay knows them.
    fn message_kinds(&self) -> &'static [&'static str] {
        &[]
    }

    /// Four of them that bring what others rest on: entries, acknowledgements, votes, and questions for votes; in this order.
    fn telling_kinds(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether its links must be first in, first out.
    fn is_in_order(&self) -> bool {
        false
    }

    /// Tells what part a message has in an election.
    fn part(&self) -> fn(&[u8]) -> Option<Part> {
        |_| None
    }

    /// The shortest election timeout, milliseconds.
    fn election_timeout_ms(&self) -> u64;

    /// Asks for another membership through the node at this address; whether the cluster agreed.
    fn change_membership(&self, _address: SocketAddr, _voters: Vec<u32>, _learners: Vec<u32>) -> AgreedFuture {
        Box::pin(std::future::ready(false))
    }

    /// Asks the node at this address to hand its leadership over, to this one or any; whether it said that it does.
    fn transfer_leadership(&self, _address: SocketAddr, _to: Option<u32>) -> AgreedFuture {
        Box::pin(std::future::ready(false))
    }

    /// Whether it can be tested over this network; the reason if not.
    ///
    /// # Errors
    /// A sentence that says why not.
    fn check_network(&self, _network: NetworkKind) -> Result<(), String> {
        Ok(())
    }
}

/// What [`System::status`] gives.
pub type StatusFuture = std::pin::Pin<Box<dyn Future<Output = Option<NodeStatus>> + Send>>;

/// What [`System::change_membership`] and [`System::transfer_leadership`] give.
pub type AgreedFuture = std::pin::Pin<Box<dyn Future<Output = bool> + Send>>;

/// The executable is not there.
#[derive(Debug, thiserror::Error)]
pub enum MissingBinary {
    /// The path that was given leads nowhere.
    #[error("--binary {} is not an executable file", .0.display())]
    Given(PathBuf),
    /// Not in PATH.
    #[error(
        "there is no `{program}` in PATH; install it (on Debian and Ubuntu: apt-get install {package}) or give its path with --binary"
    )]
    NotInPath {
        /// What was looked for.
        program: &'static str,
        /// What to install.
        package: &'static str,
    },
    /// The program of a system that is described.
    #[error("the program {program} of the system {system}, described in {}, is neither a file that can be executed nor to be found in PATH; \
             install it, mend the description's command, or give its path with --binary", config.display())]
    Described {
        /// The system.
        system: String,
        /// The first word of its command.
        program: String,
        /// Where it is described.
        config: PathBuf,
    },
    /// A stored run without the description that it needs.
    #[error("the run is of a system that was described, and has no description")]
    NotDescribed,
    /// The path of this program itself cannot be found.
    #[error("cannot find this program's own path to start nodes with: {0}; give it with --binary")]
    Myself(std::io::Error),
}

/// The system that a run asks for.
///
/// # Errors
/// When its executable is not there.
pub fn system(config: &RunConfig) -> Result<Box<dyn System>, MissingBinary> {
    match config.system {
        SystemKind::Raft => Ok(Box::new(native::Native::new(config, ProtocolKind::Raft)?)),
        SystemKind::MultiPaxos => Ok(Box::new(native::Native::new(config, ProtocolKind::MultiPaxos)?)),
        SystemKind::Zab => Ok(Box::new(native::Native::new(config, ProtocolKind::Zab)?)),
        SystemKind::Etcd => Ok(Box::new(etcd::Etcd::new(config)?)),
        SystemKind::Described => Ok(Box::new(described::Described::new(config)?)),
    }
}

/// Whether a server that does not know this harness can suffer these faults.
///
/// Not power loss: the page cache outlives the process, so `kill -9` loses nothing of what it wrote. And nothing that needs nodes which
/// know this harness.
fn unmodified_suffers(kind: NemesisKind) -> Result<(), String> {
    let why = match kind {
        NemesisKind::Power
        | NemesisKind::Torn
        | NemesisKind::Overruled
        | NemesisKind::Resync
        | NemesisKind::Wipe
        | NemesisKind::DiskError => {
            "what it has written outlives its process, so nothing that happens to the disk can be made from here"
        }
        NemesisKind::Lagging => {
            "it takes a snapshot only after many more writes than a run makes while a member is away"
        }
        NemesisKind::Membership => "this harness does not change its members",
        NemesisKind::Transfer | NemesisKind::LeadAgain => "this harness does not ask it to hand over",
        kind if kind.needs_relay() => "the relay does not know its messages",
        kind if kind.needs_node_faults() => "only the nodes in the box read a file of faults",
        _ => return Ok(()),
    };
    Err(why.to_owned())
}

/// The given executable, if it is one.
fn given(path: &Path) -> Result<PathBuf, MissingBinary> {
    let found = path.canonicalize().ok().filter(|path| is_executable(path));
    found.ok_or_else(|| MissingBinary::Given(path.to_owned()))
}

/// The executable of this name in PATH.
///
/// # Errors
/// When there is none; the message names the package that has it.
pub fn in_path(program: &'static str, package: &'static str) -> Result<PathBuf, MissingBinary> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|candidate| is_executable(candidate))
        .ok_or(MissingBinary::NotInPath { program, package })
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
