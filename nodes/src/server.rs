//! One node as a process: arguments, threads, exit codes.
//!
//! ```text
//!   thread `io`      tokio, one thread: HTTP clients, peer links, signals of power failure and other faults
//!   thread `core`    the protocol: batches of steps                                          (driver)
//!   thread `storage` write-ahead log, group commit                                           (storage::writer)
//! ```
//!
//! There is no orderly end: a node may be killed at any moment, and is built for nothing else. A panic anywhere, a
//! failed sync, or a failed listener ends the whole process; half a node would lie to its peers.

use std::{
    fmt, io,
    net::SocketAddr,
    path::PathBuf,
    process::{self, ExitCode},
    str::FromStr,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

use self::{
    driver::{Clock, Driver, Event, INBOX_EVENTS_MAX, Parts},
    faults::FaultSwitch,
    http::Api,
    links::{Identity, Links},
    logging::Log,
};
use crate::{
    mutants::{Mutant, UnknownMutant},
    protocol::{
        Config, NodeId, Protocol, ReadMode, RestoreError, Ticket,
        multi_paxos::MultiPaxos,
        raft::{self, Raft},
        zab::{self, Zab},
    },
    storage::{
        self, AfterFailure, EXIT_IO, EXIT_POWER_LOSS, Opened, StorageError, TornTail, Writer, WriterOptions,
        files::Owner, writer::End,
    },
};

pub mod driver;
pub mod faults;
pub mod frame;
pub mod http;
pub mod links;
pub mod logging;

/// Exit code: the arguments contradict each other.
pub const EXIT_USAGE: u8 = 64;
/// Exit code: what is stored is damaged, foreign, or of a newer format.
pub const EXIT_DATA: u8 = 65;
/// Exit code: an assertion failed.
pub const EXIT_ASSERTION: u8 = 70;
/// Exit code: an address or another resource of the system was refused.
pub const EXIT_SYSTEM: u8 = 71;
/// Exit code: another process has the data directory.
pub const EXIT_LOCKED: u8 = 73;

const APPEND_BYTES_MAX: usize = 256 << 10;
const APPENDS_INFLIGHT_MAX: usize = 16;
const REQUESTS_PENDING_MAX: usize = 4096;

/// Everything `trueline node` takes. The comment of a field begins with its flag.
#[derive(Clone, Debug)]
pub struct NodeArgs {
    /// `--protocol raft`, `multi-paxos` or `zab`.
    pub protocol: String,
    /// `--id 1`: this node, counted from 1.
    pub id: NodeId,
    /// `--peers 1=127.0.0.1:7101,2=127.0.0.1:7102`: all nodes, this one included, each with the address under which THIS
    /// node reaches it. That may be a relay's, and may differ from node to node. Its own address here is not used.
    pub peers: Vec<(NodeId, SocketAddr)>,
    /// `--voters 1,2,3`: the nodes with which the cluster is founded; the same for all of them. Default, and when empty: all of
    /// `--peers`.
    pub voters: Vec<NodeId>,
    /// `--listen-peer 127.0.0.1:7101`: where peers connect to.
    pub listen_peer: SocketAddr,
    /// `--listen-client 127.0.0.1:8101`: where clients connect to.
    pub listen_client: SocketAddr,
    /// `--data-dir PATH`: made if it is not there.
    pub data_dir: PathBuf,
    /// `--cluster NAME`: nodes of other clusters are refused. Default `trueline`.
    pub cluster: String,
    /// `--heartbeat-ms 50`.
    pub heartbeat_ms: u64,
    /// `--election-timeout-ms 300`: the shortest; real ones are random up to twice as long.
    pub election_timeout_ms: u64,
    /// `--snapshot-every 10000`: entries applied between two snapshots.
    pub snapshot_every: u64,
    /// `--reads quorum`: how reads are answered; a protocol need not offer every way.
    pub reads: ReadMode,
    /// `--mutant ID`: switch on one correctness bug.
    pub mutant: Option<String>,
    /// `--allow-mutants`: without it `--mutant` is refused.
    pub allow_mutants: bool,
    /// `--seed N`: for election timeouts. Default: the node's number.
    pub seed: u64,
    /// `--faults-file PATH`: what is wrong with this node on purpose, read at start and at SIGUSR2.
    pub faults_file: Option<PathBuf>,
    /// Decides which prefix of the unsynced bytes survives SIGUSR1; `trueline node` takes the seed for it.
    pub power_loss_seed: u64,
}

/// Default of `--cluster`.
pub const DEFAULT_CLUSTER: &str = "trueline";
/// Default of `--heartbeat-ms`.
pub const DEFAULT_HEARTBEAT_MS: u64 = 50;
/// Default of `--election-timeout-ms`.
pub const DEFAULT_ELECTION_TIMEOUT_MS: u64 = 300;
/// Default of `--snapshot-every`.
pub const DEFAULT_SNAPSHOT_EVERY: u64 = 10_000;

impl NodeArgs {
    /// Arguments with the defaults for everything that has one.
    #[must_use]
    pub fn new(
        id: NodeId,
        peers: Vec<(NodeId, SocketAddr)>,
        listen_peer: SocketAddr,
        listen_client: SocketAddr,
        data_dir: PathBuf,
    ) -> Self {
        Self {
            protocol: "raft".to_owned(),
            id,
            peers,
            voters: Vec::new(),
            listen_peer,
            listen_client,
            data_dir,
            cluster: DEFAULT_CLUSTER.to_owned(),
            heartbeat_ms: DEFAULT_HEARTBEAT_MS,
            election_timeout_ms: DEFAULT_ELECTION_TIMEOUT_MS,
            snapshot_every: DEFAULT_SNAPSHOT_EVERY,
            reads: ReadMode::default(),
            mutant: None,
            allow_mutants: false,
            seed: id.0,
            faults_file: None,
            power_loss_seed: id.0,
        }
    }

    /// Nodes that were given the same seed must not have the same election timeouts.
    fn own_seed(&self) -> u64 {
        self.seed.wrapping_add(self.id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn config(&self) -> Result<Config, RunError> {
        let usage = |what: String| Err(RunError::Usage(what));
        let mut nodes: Vec<NodeId> = self.peers.iter().map(|(peer, _)| *peer).collect();
        nodes.sort_unstable();
        let names_twice = |nodes: &[NodeId]| nodes.windows(2).any(|pair| pair[0] == pair[1]);
        if names_twice(&nodes) {
            return usage("--peers names a node twice".to_owned());
        }
        if !nodes.contains(&self.id) || nodes.contains(&NodeId(0)) {
            return usage(format!("--peers must name node {} too, and nodes are counted from 1", self.id.0));
        }
        let mut voters = if self.voters.is_empty() { nodes.clone() } else { self.voters.clone() };
        voters.sort_unstable();
        if names_twice(&voters) {
            return usage("--voters names a node twice".to_owned());
        }
        if let Some(stranger) = voters.iter().find(|voter| !nodes.contains(voter)) {
            return usage(format!("--voters names node {}, which --peers does not", stranger.0));
        }
        if self.heartbeat_ms == 0 || self.heartbeat_ms >= self.election_timeout_ms || self.snapshot_every == 0 {
            return usage(
                "--heartbeat-ms must be above 0 and below --election-timeout-ms, --snapshot-every above 0".into(),
            );
        }
        let mutant = self.mutant.as_deref().map(Mutant::from_str).transpose()?;
        if let Some(mutant) = mutant
            && !self.allow_mutants
        {
            return usage(format!(
                "--mutant {} breaks a promise of this store on purpose; it needs --allow-mutants",
                mutant.id
            ));
        }
        Ok(Config {
            id: self.id,
            nodes,
            voters,
            heartbeat_ns: self.heartbeat_ms * 1_000_000,
            election_timeout_ns: self.election_timeout_ms * 1_000_000,
            snapshot_every: self.snapshot_every,
            max_append_bytes: APPEND_BYTES_MAX,
            max_inflight: APPENDS_INFLIGHT_MAX,
            max_pending: REQUESTS_PENDING_MAX,
            incarnation: incarnation(),
            reads: self.reads,
            mutant,
        })
    }
}

/// The wall clock's nanoseconds: no two disks of a node are given the same.
fn incarnation() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

/// A peer in `--peers` that does not read as `ID=HOST:PORT`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0:?} is not ID=ADDRESS:PORT, as in 2=127.0.0.1:7102")]
pub struct PeerSyntax(pub String);

/// Reads one element of `--peers`.
///
/// # Errors
/// When it is not `ID=ADDRESS:PORT`.
pub fn parse_peer(text: &str) -> Result<(NodeId, SocketAddr), PeerSyntax> {
    let parsed = text.split_once('=').and_then(|(id, address)| Some((NodeId(id.parse().ok()?), address.parse().ok()?)));
    parsed.ok_or_else(|| PeerSyntax(text.to_owned()))
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The arguments contradict each other.
    #[error("{0}")]
    Usage(String),
    /// No such mutant.
    #[error(transparent)]
    Mutant(#[from] UnknownMutant),
    /// What is stored cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What is stored contradicts itself.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The system refused an address, a thread or a signal handler.
    #[error("cannot {action}: {source}")]
    System {
        /// What was attempted.
        action: String,
        /// What the system said.
        source: io::Error,
    },
}

impl RunError {
    /// The exit code that goes with it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Mutant(_) => EXIT_USAGE,
            Self::Restore(_) => EXIT_DATA,
            Self::System { .. } => EXIT_SYSTEM,
            Self::Storage(StorageError::Locked { .. }) => EXIT_LOCKED,
            Self::Storage(StorageError::Io { .. } | StorageError::Encode(_)) => EXIT_IO,
            Self::Storage(_) => EXIT_DATA,
        }
    }

    fn system(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::System { action, source }
    }
}

/// Runs a node in this process until the process ends. Prints one line when it serves.
///
/// # Errors
/// When it cannot start; print the error, and exit with [`RunError::exit_code`].
pub fn run(args: &NodeArgs) -> Result<ExitCode, RunError> {
    exit_on_panic();
    let node = match args.protocol.as_str() {
        "raft" => Node::start::<Raft>(args)?,
        "multi-paxos" => Node::start::<MultiPaxos>(args)?,
        "zab" => Node::start::<Zab>(args)?,
        other => return Err(RunError::Usage(format!("--protocol {other:?}: there are raft, multi-paxos and zab"))),
    };
    let mutant = args.mutant.as_deref().unwrap_or("none");
    println!("ready id={} client={} peer={} mutant={mutant}", args.id.0, node.client_address, node.peer_address);
    node.wait();
    Ok(ExitCode::from(EXIT_ASSERTION))
}

/// A failed assertion in any thread ends the process: what it believed was not so, and its peers must not hear more of it.
fn exit_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        process::exit(EXIT_ASSERTION.into());
    }));
}

/// A running node.
pub struct Node {
    /// Where it serves clients.
    pub client_address: SocketAddr,
    /// Where it listens for peers.
    pub peer_address: SocketAddr,
    core: JoinHandle<()>,
    _io: Runtime,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("client_address", &self.client_address).finish_non_exhaustive()
    }
}

impl Node {
    /// Recovers what is stored, and starts the threads. When this returns, the node listens.
    ///
    /// # Errors
    /// When the arguments are wrong, the data directory cannot be used, or the system refuses something.
    pub fn start<P>(args: &NodeArgs) -> Result<Self, RunError>
    where
        P: Protocol + Send + 'static,
    {
        let config = args.config()?;
        if !P::READ_MODES.contains(&config.reads) {
            let offered: Vec<_> = P::READ_MODES.iter().map(|mode| mode.name()).collect();
            return Err(RunError::Usage(format!(
                "--reads {}: {} offers {}",
                config.reads.name(),
                P::KIND.name(),
                offered.join(", ")
            )));
        }
        if let Some(mutant) = config.mutant.filter(|mutant| mutant.protocol != P::KIND) {
            return Err(RunError::Usage(format!("--mutant {} is one of {}", mutant.id, mutant.protocol.name())));
        }
        let log = Log::new(args.id);
        let mutant = config.mutant.map_or("none", |m| m.id);
        log.line(format_args!("start protocol={} cluster={} mutant={mutant}", args.protocol, args.cluster));

        let owner = Owner { cluster: args.cluster.clone(), node: args.id.0 };
        let torn = torn_tail(config.mutant);
        let options = WriterOptions { after_failure: after_failure(config.mutant), ..WriterOptions::default() };
        let Opened { log: wal, stored, recovery } = storage::Log::open_with::<P::Record>(&args.data_dir, &owner, torn)?;
        log_recovery(log, &recovery);
        let clock = Clock::start();
        let nodes = config.nodes.clone();
        let protocol = P::restore(config, stored, clock.now(), args.own_seed())?;

        let (durable_sender, durable) = watch::channel(Ticket(0));
        let on_durable = move |ticket| {
            durable_sender.send_replace(ticket);
        };
        let writer = Writer::spawn(wal, options, on_durable, move |end| on_storage_end(end, log));
        let writer = writer.map_err(RunError::system("start the storage thread"))?;
        let power = writer.power_switch();

        let (inbox_sender, inbox) = mpsc::channel(INBOX_EVENTS_MAX);
        let fired_before = recovery.deviations;
        let mut first_status = protocol.status();
        first_status.fired += fired_before;
        let (status_sender, status) = watch::channel(first_status);
        let identity = Identity { cluster: args.cluster.clone(), me: args.id, nodes, log };
        let api = Api::new(inbox_sender.clone(), status);
        let switch = Arc::new(FaultSwitch::new(args.faults_file.clone(), writer.disk_faults(), log));
        let faults = switch.subscribe();
        let (seed, torn) = (args.power_loss_seed, Arc::clone(&switch));
        let cut_power = Box::new(move || if torn.is_torn() { power.cut_torn(seed) } else { power.cut(seed) });
        let front = Front { identity, inbox: inbox_sender, api, cut_power, faults: switch };
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("io").enable_all().build();
        let runtime = runtime.map_err(RunError::system("start the I/O thread"))?;
        let Listening { client, peer, links } = runtime.block_on(front.listen(args))?;

        let parts =
            Parts { protocol, fired_before, clock, inbox, durable, writer, links, status: status_sender, faults, log };
        let core = thread::Builder::new().name("core".to_owned()).spawn(move || run_core(parts));
        let core = core.map_err(RunError::system("start the core thread"))?;
        Ok(Self { client_address: client, peer_address: peer, core, _io: runtime })
    }

    /// Waits for a node that never ends: whatever ends in it ends the process.
    pub fn wait(self) {
        let _panicked = self.core.join();
    }
}

fn run_core<P: Protocol>(parts: Parts<P>) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a timer needs nothing from the system");
    runtime.block_on(Driver::new(parts).run());
}

/// How this process recovers from a torn tail: some mutants are the storage's.
fn torn_tail(mutant: Option<Mutant>) -> TornTail {
    match mutant {
        Some(mutant) if mutant == raft::mutants::WAL_TAIL_DROP => TornTail::DropSegment,
        Some(mutant) if mutant == raft::mutants::WAL_NO_CRC => TornTail::Accept,
        _ => TornTail::Cut,
    }
}

fn after_failure(mutant: Option<Mutant>) -> AfterFailure {
    match mutant {
        Some(mutant) if mutant == zab::mutants::FSYNC_ERROR_IGNORED => AfterFailure::GoOn,
        _ => AfterFailure::End,
    }
}

fn log_recovery(log: Log, recovery: &storage::Recovery) {
    let storage::Recovery { generation, snapshot_bytes, records, segments, cut, deviations } = recovery;
    log.line(format_args!(
        "recovered generation={generation} snapshot-bytes={snapshot_bytes} records={records} segments={segments}"
    ));
    if let Some((bytes, reason)) = cut {
        log.line(format_args!("cut a torn tail of {bytes} bytes: {reason}"));
    }
    if *deviations > 0 {
        log.line(format_args!("mutant fired {deviations} times during recovery"));
    }
}

fn on_storage_end(end: End, log: Log) {
    let code = match end {
        End::Closed => return,
        End::Failed(error) => {
            log.line(format_args!("fatal: {error}"));
            EXIT_IO
        }
        End::PowerLoss { unsynced, survive } => {
            log.line(format_args!("power loss: {survive} of {unsynced} unsynced bytes reached the file"));
            EXIT_POWER_LOSS
        }
    };
    process::exit(code.into());
}

/// What listens, and what it needs.
struct Front<M> {
    identity: Identity,
    inbox: mpsc::Sender<Event<M>>,
    api: Api,
    cut_power: Box<dyn Fn() + Send>,
    faults: Arc<FaultSwitch>,
}

struct Listening<M> {
    client: SocketAddr,
    peer: SocketAddr,
    links: Links<M>,
}

impl<M> Front<M>
where
    M: Serialize + DeserializeOwned + Send + 'static,
{
    /// Listens, and starts all tasks in the runtime of the caller.
    async fn listen(self, args: &NodeArgs) -> Result<Listening<M>, RunError> {
        let at = |address: SocketAddr| RunError::system(format!("listen on {address}"));
        let peers = TcpListener::bind(args.listen_peer).await.map_err(at(args.listen_peer))?;
        let clients = TcpListener::bind(args.listen_client).await.map_err(at(args.listen_client))?;
        let client = clients.local_addr().map_err(at(args.listen_client))?;
        let peer = peers.local_addr().map_err(at(args.listen_peer))?;

        let mut power = signal(SignalKind::user_defined1()).map_err(RunError::system("handle SIGUSR1"))?;
        let cut_power = self.cut_power;
        tokio::spawn(async move {
            while power.recv().await.is_some() {
                cut_power();
            }
        });
        let mut changes = signal(SignalKind::user_defined2()).map_err(RunError::system("handle SIGUSR2"))?;
        // Only now: a change that is told before this is in the file already, and one after it comes as a signal.
        self.faults.read_at_start();
        let faults = self.faults;
        tokio::spawn(async move {
            while changes.recv().await.is_some() {
                faults.read();
            }
        });
        let links = Links::start(&self.identity, &args.peers);
        tokio::spawn(links::accept(peers, self.identity, self.inbox));
        tokio::spawn(async move {
            let end = http::serve(clients, self.api).await;
            panic!("the client listener ended: {end:?}");
        });
        Ok(Listening { client, peer, links })
    }
}
