//! The nodes of a run: starting, breaking and watching them.
//!
//! ```text
//!            revive ────────> up ── kill, power off ──> down ── revive ──> up
//!                             │  └─ pause, revive: stands still, goes on
//!                             └─ ended by itself ──> crashed (stays so: it is a finding)
//! ```

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use workloads::client::NodeStatus;

use crate::{
    nemesis::fault::{NodeNumber, Step},
    network::{Network, links::Endpoint},
    process::{ExitCause, ExitInfo, NodeCommand, NodeProcess, PowerLoss, ProcessError, Spawner},
    system::{NodePlace, System},
};

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
    Up(NodeProcess),
    Down,
    Crashed,
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
    spawner: Spawner,
    nodes: Vec<Node>,
    crashes: Mutex<Vec<Crash>>,
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

/// A second name for the executable, inside the run: a build that replaces it meanwhile must not change what is tested. Where the
/// file system refuses one, nodes are started from where it is.
fn pin(program: &Path, data: &Path) -> PathBuf {
    let pinned = data.join("program");
    match std::fs::hard_link(program, &pinned) {
        Ok(()) => pinned,
        Err(_) => program.to_owned(),
    }
}

impl Cluster {
    /// Prepares `count` nodes; none is started yet.
    ///
    /// # Errors
    /// When a directory cannot be made.
    pub fn new(
        system: Box<dyn System>,
        network: Arc<Network>,
        count: u32,
        seed: u64,
        cluster: &str,
        paths: &ClusterPaths,
    ) -> Result<Self, ClusterError> {
        let mut nodes = Vec::new();
        for id in 1..=count {
            let data_dir = paths.data.join(id.to_string());
            std::fs::create_dir_all(&data_dir)
                .map_err(|source| ClusterError::DataDir { path: data_dir.clone(), source })?;
            let address = network.node_address(id);
            let listen_peer = SocketAddr::new(address, system.peer_port());
            let reach = |to| if to == id { listen_peer } else { network.peer_address(id, to, system.peer_port()) };
            let place = NodePlace {
                id,
                listen_client: SocketAddr::new(address, system.client_port()),
                listen_peer,
                peers: (1..=count).map(|to| (to, reach(to))).collect(),
                data_dir,
                cluster: cluster.to_owned(),
                seed: seed.wrapping_mul(1_000).wrapping_add(u64::from(id)),
            };
            nodes.push(Node {
                client_address: network.client_address(id, system.client_port()),
                log_file: paths.logs.join(format!("{id}.log")),
                place,
                state: Mutex::new(State::Down),
            });
        }
        let spawner = Spawner::start().map_err(|source| ClusterError::Process { node: 0, source })?;
        let program = pin(system.program(), &paths.data);
        Ok(Self { system, program, network, spawner, nodes, crashes: Mutex::new(Vec::new()) })
    }

    /// How many nodes there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
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
                env: Vec::new(),
                netns: context.netns,
                log_file: node.log_file.clone(),
            })
            .map_err(|source| ClusterError::Process { node: id, source })
    }

    /// Carries out one step of a fault.
    ///
    /// # Errors
    /// When a process cannot be signalled or started.
    pub fn carry_out(&self, step: &Step) -> Result<(), ClusterError> {
        match step {
            Step::Cut(links) => {
                for (from, to) in links {
                    self.network.links().block(Endpoint::Node(*from), Endpoint::Node(*to));
                }
                Ok(())
            }
            Step::Mend => {
                self.network.links().heal_all();
                Ok(())
            }
            Step::Kill(nodes) => nodes.iter().try_for_each(|id| self.end(*id, |process| process.kill().map(Some))),
            Step::Pause(nodes) => nodes.iter().try_for_each(|id| self.pause(*id)),
            Step::PowerOff(nodes) => self.power_off(nodes),
            Step::Revive => self.revive(),
        }
    }

    /// Ends a node that is up. How it really ended is looked at: it may have crashed the moment before.
    fn end(
        &self,
        id: NodeNumber,
        how: impl FnOnce(&NodeProcess) -> Result<Option<ExitInfo>, ProcessError>,
    ) -> Result<(), ClusterError> {
        self.reap(id)?;
        let mut state = lock(&self.node(id).state);
        if let State::Up(process) = &*state {
            let exit = how(process).map_err(|source| ClusterError::Process { node: id, source })?;
            let exit = exit.ok_or(ClusterError::PowerLossIgnored(id))?;
            *state = self.ended(id, exit);
        }
        Ok(())
    }

    /// The state of a node that ended like this.
    fn ended(&self, node: NodeNumber, exit: ExitInfo) -> State {
        if exit.cause == ExitCause::ByItself {
            lock(&self.crashes).push(Crash { node, exit });
            State::Crashed
        } else {
            State::Down
        }
    }

    fn pause(&self, id: NodeNumber) -> Result<(), ClusterError> {
        match &*lock(&self.node(id).state) {
            State::Up(process) => process.pause().map_err(|source| ClusterError::Process { node: id, source }),
            State::Down | State::Crashed => Ok(()),
        }
    }

    /// All at once, each from a thread of its own: a power loss hits a rack at one moment.
    fn power_off(&self, nodes: &[NodeNumber]) -> Result<(), ClusterError> {
        let power_loss = |process: &NodeProcess| match process.power_loss()? {
            PowerLoss::Gone(exit) => Ok(Some(exit)),
            PowerLoss::HadToBeKilled(_) => Ok(None),
        };
        std::thread::scope(|scope| {
            let ends: Vec<_> = nodes.iter().map(|id| scope.spawn(move || self.end(*id, power_loss))).collect();
            ends.into_iter().try_for_each(|end| end.join().expect("ending a node does not panic"))
        })
    }

    /// Starts every node that is down, and resumes every one that is paused.
    ///
    /// # Errors
    /// When one cannot be started or resumed.
    pub fn revive(&self) -> Result<(), ClusterError> {
        for node in &self.nodes {
            let mut state = lock(&node.state);
            match &*state {
                State::Down => *state = State::Up(self.spawn(node)?),
                State::Up(process) if process.is_paused() => {
                    process.resume().map_err(|source| ClusterError::Process { node: node.place.id, source })?;
                }
                State::Up(_) | State::Crashed => {}
            }
        }
        Ok(())
    }

    /// Notices a node that ended by itself.
    fn reap(&self, id: NodeNumber) -> Result<(), ClusterError> {
        let mut state = lock(&self.node(id).state);
        if let State::Up(process) = &*state {
            let exit = process.try_exit().map_err(|source| ClusterError::Process { node: id, source })?;
            if let Some(exit) = exit {
                // Nobody asked for this end, whatever its exit code looks like.
                *state = self.ended(id, ExitInfo { cause: ExitCause::ByItself, ..exit });
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
        (1..=self.count()).try_for_each(|id| self.reap(id))?;
        Ok(lock(&self.crashes).clone())
    }

    /// What every node says of itself, asked all at once.
    pub async fn statuses(&self) -> Vec<Option<NodeStatus>> {
        let mut asked = Vec::new();
        for node in &self.nodes {
            asked.push(tokio::spawn(self.system.status(node.client_address)));
        }
        let mut statuses = Vec::new();
        for answer in asked {
            statuses.push(answer.await.ok().flatten());
        }
        statuses
    }

    /// Waits until every node answers and all agree on a leader.
    ///
    /// # Errors
    /// When that does not happen within `bound`, or a node ends.
    pub async fn wait_ready(&self, bound: Duration, logs: &Path) -> Result<(), ClusterError> {
        const POLL: Duration = Duration::from_millis(50);
        let begin = Instant::now();
        loop {
            let statuses = self.statuses().await;
            let silent: Vec<usize> = (1..=statuses.len()).filter(|id| statuses[id - 1].is_none()).collect();
            let leaders: std::collections::BTreeSet<_> =
                statuses.iter().flatten().map(|status| status.leader).collect();
            if silent.is_empty() && leaders.len() == 1 && !leaders.contains(&None) {
                return Ok(());
            }
            let crashes = self.crashes()?;
            let detail = if let Some(crash) = crashes.first() {
                crash.to_string()
            } else if silent.is_empty() {
                "no leader that all nodes agree on".to_owned()
            } else {
                format!("no answer from nodes {silent:?}")
            };
            if begin.elapsed() > bound || !crashes.is_empty() {
                return Err(ClusterError::NotReady { waited: begin.elapsed(), detail, logs: logs.to_owned() });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Kills every node.
    pub fn stop(&self) {
        for node in &self.nodes {
            // Dropping a process kills it.
            *lock(&node.state) = State::Down;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}
