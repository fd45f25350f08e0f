//! The nodes of a run: starting, breaking and watching them.
//!
//! ```text
//!            revive ────────> up ── kill, power off ──> down ── revive ──> up
//!                             │  └─ pause, revive: stands still, goes on
//!                             └─ ended by itself ──> crashed (stays so: it is a finding)
//! ```
//!
//! Only the fault that ended or paused a node, and the heal of the run, bring it back.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use results::life::NodeState;
use workloads::client::NodeStatus;

use self::standing::{FaultNumber, Standing};
use crate::{
    nemesis::fault::{NodeNumber, Scene, Step},
    network::{Network, links::Endpoint, relay::Relay},
    process::{ExitCause, ExitInfo, NodeCommand, NodeProcess, PowerLoss, ProcessError, Spawner},
    system::{NodePlace, System},
};

mod readiness;
pub mod standing;

pub use readiness::Readiness;

/// What can go wrong with a node, other than what is done to it on purpose.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// It could not be started, signalled or waited for.
    #[error("node {node}: {source}")]
    Process {
        /// Which.
        node: NodeNumber,
        /// Why.
        source: ProcessError,
    },
    /// It took the signal of a power loss and went on: its binary does not model it.
    #[error(
        "node {0} did not end on SIGUSR1, which stands for a power loss (docs/node-contract.md); leave `power` out of --nemesis"
    )]
    PowerLossIgnored(NodeNumber),
    /// Its network namespace could not be handed on.
    #[error("cannot start node {node} in its network namespace: {source}")]
    Namespace {
        /// Which.
        node: NodeNumber,
        /// Why.
        source: std::io::Error,
    },
    /// Its directory could not be made.
    #[error("cannot make the data directory {}: {source}", path.display())]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What a node has on its disk, or its file of faults, could not be changed.
    #[error("cannot {attempted} {}: {source}", path.display())]
    File {
        /// What was to be done.
        attempted: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// They did not become a cluster.
    #[error("the cluster was not ready after {waited:?}: {detail}; see the node logs in {}", logs.display())]
    NotReady {
        /// How long was waited.
        waited: Duration,
        /// What was missing.
        detail: String,
        /// Where the logs are.
        logs: PathBuf,
    },
}

/// A node that ended without being told to.
#[derive(Clone, Debug)]
pub struct Crash {
    /// Which.
    pub node: NodeNumber,
    /// With what.
    pub exit: ExitInfo,
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} ended by itself, ", self.node)?;
        match (self.exit.code, self.exit.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => write!(f, "how is not known"),
        }
    }
}

enum State {
    /// Running, or standing still after a pause.
    Up {
        process: NodeProcess,
        paused_by: Option<FaultNumber>,
    },
    /// Not started yet, or ended by a fault.
    Down {
        by: Option<FaultNumber>,
    },
    Crashed,
}

impl State {
    fn running(process: NodeProcess) -> Self {
        Self::Up { process, paused_by: None }
    }
}

struct Node {
    place: NodePlace,
    client_address: SocketAddr,
    log_file: PathBuf,
    state: Mutex<State>,
}

/// The cluster of one run. Dropping it kills all nodes.
pub struct Cluster {
    system: Box<dyn System>,
    program: PathBuf,
    network: Arc<Network>,
    relay: Option<Relay>,
    spawner: Spawner,
    founders: u32,
    nodes: Vec<Node>,
    standing: Mutex<Standing>,
    crashes: Mutex<Vec<Crash>>,
}

/// What a cluster is made of.
pub struct ClusterPlan {
    /// What is tested.
    pub system: Box<dyn System>,
    /// The network between the nodes.
    pub network: Arc<Network>,
    /// What their messages pass, where single ones are to be broken.
    pub relay: Option<Relay>,
    /// How many nodes found the cluster.
    pub nodes: u32,
    /// How many more there are that may join it.
    pub spares: u32,
    /// Whether nodes are given files of faults.
    pub node_faults: bool,
    /// Decides their timers.
    pub seed: u64,
    /// Names the cluster.
    pub name: String,
}

/// Where the files of a cluster go.
#[derive(Clone, Debug)]
pub struct ClusterPaths {
    /// Directory of the nodes' logs.
    pub logs: PathBuf,
    /// Directory of their data directories.
    pub data: PathBuf,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere must not keep the cluster from being healed and stopped.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The executable's second name, beside the nodes' data.
pub const PINNED: &str = "program";

/// A second name for the executable, inside the run: a build that replaces it meanwhile must not change what is tested. Where the
/// file system refuses one, nodes are started from where it is.
fn pin(program: &Path, data: &Path) -> PathBuf {
    let pinned = data.join(PINNED);
    match std::fs::hard_link(program, &pinned) {
        Ok(()) => pinned,
        Err(_) => program.to_owned(),
    }
}

impl Cluster {
    /// Prepares the nodes; none is started yet.
    ///
    /// # Errors
    /// When a directory cannot be made.
    pub fn new(plan: ClusterPlan, paths: &ClusterPaths) -> Result<Self, ClusterError> {
        let ClusterPlan { system, network, relay, .. } = &plan;
        let places = plan.nodes + plan.spares;
        let mut nodes = Vec::new();
        for id in 1..=places {
            let data_dir = paths.data.join(id.to_string());
            std::fs::create_dir_all(&data_dir)
                .map_err(|source| ClusterError::DataDir { path: data_dir.clone(), source })?;
            let address = network.node_address(id);
            let listen_peer = SocketAddr::new(address, system.peer_port());
            let reach = |to| match relay {
                _ if to == id => listen_peer,
                Some(relay) => relay.address(id, to),
                None => network.peer_address(id, to, system.peer_port()),
            };
            let place = NodePlace {
                id,
                listen_client: SocketAddr::new(address, system.client_port()),
                listen_peer,
                peers: (1..=places).map(|to| (to, reach(to))).collect(),
                founders: (plan.spares > 0).then_some(plan.nodes),
                faults_file: plan.node_faults.then(|| paths.data.join(format!("{id}.faults.json"))),
                data_dir,
                cluster: plan.name.clone(),
                seed: plan.seed.wrapping_mul(1_000).wrapping_add(u64::from(id)),
            };
            nodes.push(Node {
                client_address: network.client_address(id, system.client_port()),
                log_file: paths.logs.join(format!("{id}.log")),
                place,
                state: Mutex::new(State::Down { by: None }),
            });
        }
        let spawner = Spawner::start().map_err(|source| ClusterError::Process { node: 0, source })?;
        let program = match system.may_be_linked() {
            true => pin(system.program(), &paths.data),
            false => system.program().to_owned(),
        };
        let ClusterPlan { system, network, relay, nodes: founders, .. } = plan;
        let (standing, crashes) = (Mutex::default(), Mutex::default());
        Ok(Self { system, program, network, relay, spawner, founders, nodes, standing, crashes })
    }

    /// Makes every link this much slower in each direction, those of the clients included, for good.
    pub fn delay_links(&self, delay: Duration) {
        self.change_links(|standing| standing.delay_all(delay));
    }

    /// How many nodes founded the cluster, and serve clients.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.founders
    }

    /// How many nodes there are, those included that may join.
    #[must_use]
    pub fn places(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// What faults find: everything but the roles of the moment.
    #[must_use]
    pub fn scene(&self) -> Scene {
        Scene {
            founders: self.founders,
            message_kinds: if self.relay.is_some() { self.system.message_kinds() } else { &[] },
            telling_kinds: self.system.telling_kinds(),
            in_order: self.system.is_in_order(),
            election_timeout_ms: self.system.election_timeout_ms(),
            can_spoil: self.nodes.iter().all(|node| node.place.faults_file.is_some()),
            ..Scene::of(self.places())
        }
    }

    /// What messages between nodes pass, if they pass a relay.
    #[must_use]
    pub fn relay(&self) -> Option<&Relay> {
        self.relay.as_ref()
    }

    /// Whether the network carries traffic as it should.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.network.is_running() && self.relay.as_ref().is_none_or(Relay::is_running)
    }

    /// Whether a node runs; none while something is being done to it, for whoever asks is not to wait.
    #[must_use]
    pub fn node_state(&self, id: NodeNumber) -> Option<NodeState> {
        let state = self.node(id).state.try_lock().ok()?;
        Some(match &*state {
            State::Up { process, .. } if process.is_paused() => NodeState::Paused,
            State::Up { .. } => NodeState::Up,
            State::Down { .. } => NodeState::Down,
            State::Crashed => NodeState::Crashed,
        })
    }

    /// The nodes that a node is cut off from.
    #[must_use]
    pub fn cut_from(&self, id: NodeNumber) -> Vec<NodeNumber> {
        lock(&self.standing).cut_from(id)
    }

    /// What is tested.
    #[must_use]
    pub fn system(&self) -> &dyn System {
        &*self.system
    }

    /// The network between them.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    fn node(&self, id: NodeNumber) -> &Node {
        &self.nodes[id as usize - 1]
    }

    /// Where clients reach a node.
    #[must_use]
    pub fn client_address(&self, id: NodeNumber) -> SocketAddr {
        self.node(id).client_address
    }

    fn spawn(&self, node: &Node) -> Result<NodeProcess, ClusterError> {
        let id = node.place.id;
        let context = self.network.spawn_context(id).map_err(|source| ClusterError::Namespace { node: id, source })?;
        self.spawner
            .spawn(NodeCommand {
                program: self.program.clone(),
                args: self.system.arguments(&node.place).into_iter().map(Into::into).collect(),
                env: self.system.environment(&node.place),
                dir: self.system.runs_in_its_directory().then(|| node.place.data_dir.clone()),
                netns: context.netns,
                log_file: node.log_file.clone(),
            })
            .map_err(|source| ClusterError::Process { node: id, source })
    }

    /// Carries out one step of a fault; without a fault it is the heal of the run.
    ///
    /// # Errors
    /// When a process cannot be signalled or started, or a file not be changed.
    pub fn carry_out(&self, fault: Option<FaultNumber>, step: &Step) -> Result<(), ClusterError> {
        let by = fault.unwrap_or_default();
        match step {
            Step::Cut(links) => {
                let links = links.iter().map(|(from, to)| (Endpoint::Node(*from), Endpoint::Node(*to)));
                self.change_links(|standing| standing.cut(by, links));
                Ok(())
            }
            Step::Split(links) => {
                let links = links.iter().map(|(from, to)| (Endpoint::Node(*from), Endpoint::Node(*to)));
                self.change_links(|standing| standing.split(by, links));
                Ok(())
            }
            Step::Mute(nodes) => {
                let links = nodes.iter().map(|node| (Endpoint::Node(*node), Endpoint::Clients));
                self.change_links(|standing| standing.cut(by, links));
                Ok(())
            }
            Step::Lose(percent) => {
                self.change_links(|standing| standing.lose(by, *percent));
                Ok(())
            }
            Step::Garble(rules) => {
                self.change_links(|standing| standing.garble(by, rules));
                Ok(())
            }
            Step::Mend => {
                self.change_links(|standing| standing.mend(fault));
                Ok(())
            }
            Step::Kill(nodes) => nodes.iter().try_for_each(|id| self.kill(*id, fault)),
            Step::Pause(nodes) => nodes.iter().try_for_each(|id| self.pause(*id, fault)),
            Step::PowerOff(nodes) => self.power_off(nodes, fault),
            Step::Wipe(nodes) => nodes.iter().try_for_each(|id| self.wipe(*id, fault)),
            Step::Spoil(nodes, faults) => {
                lock(&self.standing).spoil(by, nodes, *faults);
                nodes.iter().try_for_each(|id| self.tell_faults(*id))
            }
            Step::Start(nodes) => nodes.iter().try_for_each(|id| self.start(*id, fault)),
            Step::Revive => self.revive(fault),
            // Asked of the cluster, not done to it.
            Step::ChangeMembership { .. } | Step::Transfer { .. } => Ok(()),
        }
    }

    fn change_links(&self, change: impl FnOnce(&mut Standing)) {
        let mut standing = lock(&self.standing);
        change(&mut standing);
        standing.apply(self.network.links());
        if let Some(relay) = &self.relay {
            relay.set_rules(&standing.message_rules());
        }
    }

    /// Ends a node that is up. How it really ended is looked at: it may have crashed the moment before.
    fn end(
        &self,
        id: NodeNumber,
        fault: Option<FaultNumber>,
        how: impl FnOnce(&NodeProcess) -> Result<Option<ExitInfo>, ProcessError>,
    ) -> Result<(), ClusterError> {
        self.reap(id)?;
        let mut state = lock(&self.node(id).state);
        if let State::Up { process, .. } = &*state {
            let exit = how(process).map_err(|source| ClusterError::Process { node: id, source })?;
            let exit = exit.ok_or(ClusterError::PowerLossIgnored(id))?;
            *state = self.ended(id, exit, fault);
        }
        Ok(())
    }

    /// The state of a node that ended like this. One whose disk was broken on purpose has ended as it should.
    fn ended(&self, node: NodeNumber, exit: ExitInfo, fault: Option<FaultNumber>) -> State {
        if exit.cause != ExitCause::ByItself {
            return State::Down { by: fault };
        }
        let breaker = lock(&self.standing).disk_breaker(node);
        if exit.code == Some(i32::from(nodes::storage::EXIT_IO)) && breaker.is_some() {
            return State::Down { by: breaker };
        }
        lock(&self.crashes).push(Crash { node, exit });
        State::Crashed
    }

    fn kill(&self, id: NodeNumber, fault: Option<FaultNumber>) -> Result<(), ClusterError> {
        self.end(id, fault, |process| process.kill().map(Some))
    }

    fn pause(&self, id: NodeNumber, fault: Option<FaultNumber>) -> Result<(), ClusterError> {
        if let State::Up { process, paused_by } = &mut *lock(&self.node(id).state)
            && !process.is_paused()
        {
            process.pause().map_err(|source| ClusterError::Process { node: id, source })?;
            *paused_by = fault;
        }
        Ok(())
    }

    /// All at once, each from a thread of its own: a power loss hits a rack at one moment.
    fn power_off(&self, nodes: &[NodeNumber], fault: Option<FaultNumber>) -> Result<(), ClusterError> {
        let power_loss = |process: &NodeProcess| match process.power_loss()? {
            PowerLoss::Gone(exit) => Ok(Some(exit)),
            PowerLoss::HadToBeKilled(_) => Ok(None),
        };
        std::thread::scope(|scope| {
            let ends: Vec<_> = nodes.iter().map(|id| scope.spawn(move || self.end(*id, fault, power_loss))).collect();
            ends.into_iter().try_for_each(|end| end.join().expect("ending a node does not panic"))
        })
    }

    /// Only what this fault has ended is wiped: a node that another one ended may be started at any moment.
    fn wipe(&self, id: NodeNumber, fault: Option<FaultNumber>) -> Result<(), ClusterError> {
        self.kill(id, fault)?;
        let state = lock(&self.node(id).state);
        if matches!(&*state, State::Down { by } if *by == fault) {
            let path = &self.node(id).place.data_dir;
            std::fs::remove_dir_all(path).map_err(|source| ClusterError::File {
                attempted: "remove the directory",
                path: path.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// Writes the file of a node's faults, whole or not at all, and tells the node to read it.
    fn tell_faults(&self, id: NodeNumber) -> Result<(), ClusterError> {
        let node = self.node(id);
        let Some(path) = &node.place.faults_file else { return Ok(()) };
        let failed = |source| ClusterError::File { attempted: "write the faults file", path: path.clone(), source };
        let unfinished = path.with_extension("tmp");
        let standing = lock(&self.standing);
        std::fs::write(&unfinished, standing.faults_of(id).file()).map_err(failed)?;
        std::fs::rename(&unfinished, path).map_err(failed)?;
        drop(standing);
        match &*lock(&node.state) {
            State::Up { process, .. } => {
                process.faults_changed().map_err(|source| ClusterError::Process { node: id, source })
            }
            State::Down { .. } | State::Crashed => Ok(()),
        }
    }

    /// Starts a node that this fault, or any, has ended, and resumes one that it has paused.
    fn start(&self, id: NodeNumber, fault: Option<FaultNumber>) -> Result<(), ClusterError> {
        let node = self.node(id);
        let mut state = lock(&node.state);
        if let State::Up { process, paused_by } = &mut *state
            && process.is_paused()
            && (fault.is_none() || *paused_by == fault)
        {
            process.resume().map_err(|source| ClusterError::Process { node: id, source })?;
        }
        if matches!(&*state, State::Down { by } if fault.is_none() || *by == fault) {
            *state = State::running(self.spawn(node)?);
        }
        Ok(())
    }

    /// Takes away the faults that a fault gave to nodes, starts what it has ended, and resumes what it has paused; without a fault,
    /// whatever there is.
    ///
    /// # Errors
    /// When a node cannot be started or resumed.
    pub fn revive(&self, fault: Option<FaultNumber>) -> Result<(), ClusterError> {
        // With a broken disk a node may be about to end; while its fault stands that is no crash.
        let broken: Vec<NodeNumber> = (1..=self.places())
            .filter(|id| self.breaker(*id).is_some_and(|by| fault.is_none_or(|f| f == by)))
            .collect();
        broken.iter().try_for_each(|id| self.kill(*id, self.breaker(*id)))?;
        let spoiled = lock(&self.standing).unspoil(fault);
        spoiled.iter().try_for_each(|id| self.tell_faults(*id))?;
        self.nodes.iter().try_for_each(|node| self.start(node.place.id, fault))
    }

    fn breaker(&self, id: NodeNumber) -> Option<FaultNumber> {
        lock(&self.standing).disk_breaker(id)
    }

    /// Notices a node that ended by itself.
    fn reap(&self, id: NodeNumber) -> Result<(), ClusterError> {
        let mut state = lock(&self.node(id).state);
        if let State::Up { process, .. } = &*state {
            let exit = process.try_exit().map_err(|source| ClusterError::Process { node: id, source })?;
            if let Some(exit) = exit {
                // Nobody asked for this end, whatever its exit code looks like.
                *state = self.ended(id, ExitInfo { cause: ExitCause::ByItself, ..exit }, None);
            }
        }
        Ok(())
    }

    /// Every node that ended by itself so far. A node is looked at just before anything is done to it, so that an end
    /// of its own is never taken for one of ours.
    ///
    /// # Errors
    /// When the state of a process cannot be asked for.
    pub fn crashes(&self) -> Result<Vec<Crash>, ClusterError> {
        (1..=self.places()).try_for_each(|id| self.reap(id))?;
        Ok(lock(&self.crashes).clone())
    }

    /// What a node says of itself; none if it does not answer soon.
    pub async fn status(&self, id: NodeNumber) -> Option<NodeStatus> {
        self.system.status(self.client_address(id)).await
    }

    /// Asks the cluster for another membership, through one node; whether that was agreed to.
    pub async fn change_membership(&self, through: NodeNumber, voters: &[NodeNumber], learners: &[NodeNumber]) -> bool {
        self.system.change_membership(self.client_address(through), voters.to_vec(), learners.to_vec()).await
    }

    /// Asks a leader to hand over, to this node or any; whether it said that it does.
    pub async fn transfer_leadership(&self, from: NodeNumber, to: Option<NodeNumber>) -> bool {
        self.system.transfer_leadership(self.client_address(from), to).await
    }

    /// Kills every node.
    pub fn stop(&self) {
        for node in &self.nodes {
            // Dropping a process kills it.
            *lock(&node.state) = State::Down { by: None };
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}
