//! The nodes of a run: starting, breaking and watching them.
//!
//! ```text
//!            start ─────────> up ── kill, power_off ──> down ── revive ──> up
//!                             │  └─ pause ──> paused ── revive ──> up
//!                             └─ ended by itself ──> crashed (stays so: it is a finding)
//! ```

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use workloads::client::NodeStatus;

use crate::{
    nemesis::fault::{NodeNumber, Step},
    network::{Endpoint, Network},
    process::{ExitInfo, NodeCommand, NodeProcess, ProcessError, Spawner},
    system::{NodePlace, System},
};

/// How long a node may take to die of a power loss before it is reported.
const POWER_LOSS_TIMEOUT: Duration = Duration::from_secs(2);

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

enum State {
    Up(NodeProcess),
    Paused(NodeProcess),
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
            let place = NodePlace {
                id,
                listen_client: network.listen_client(id),
                listen_peer: network.listen_peer(id),
                peers: (1..=count).map(|to| (to, network.peer_address(id, to))).collect(),
                data_dir,
                cluster: cluster.to_owned(),
                seed: seed.wrapping_mul(1_000).wrapping_add(u64::from(id)),
            };
            nodes.push(Node {
                client_address: network.client_address(id),
                log_file: paths.logs.join(format!("{id}.log")),
                place,
                state: Mutex::new(State::Down),
            });
        }
        Ok(Self { system, network, spawner: Spawner::start(), nodes, crashes: Mutex::new(Vec::new()) })
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

    /// Starts every node that is down.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn start_all(&self) -> Result<(), ClusterError> {
        self.revive()
    }

    fn spawn(&self, node: &Node) -> Result<NodeProcess, ClusterError> {
        let invocation = self.system.command(&node.place);
        self.spawner
            .spawn(NodeCommand {
                program: invocation.program,
                args: invocation.args,
                env: Vec::new(),
                netns: self.network.namespace(node.place.id),
                log_file: node.log_file.clone(),
            })
            .map_err(|source| ClusterError::Process { node: node.place.id, source })
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
            Step::Kill(nodes) => self.each(nodes, Self::kill),
            Step::Pause(nodes) => self.each(nodes, Self::pause),
            Step::PowerOff(nodes) => self.power_off(nodes),
            Step::Revive => self.revive(),
        }
    }

    fn each(
        &self,
        nodes: &[NodeNumber],
        act: fn(&mut State) -> Result<(), ProcessError>,
    ) -> Result<(), ClusterError> {
        for id in nodes {
            self.reap(*id);
            act(&mut lock(&self.node(*id).state)).map_err(|source| ClusterError::Process { node: *id, source })?;
        }
        Ok(())
    }

    fn kill(state: &mut State) -> Result<(), ProcessError> {
        if let State::Up(process) | State::Paused(process) = state {
            process.kill()?;
            *state = State::Down;
        }
        Ok(())
    }

    fn pause(state: &mut State) -> Result<(), ProcessError> {
        if let State::Up(process) = state {
            process.pause()?;
            if let State::Up(process) = std::mem::replace(state, State::Down) {
                *state = State::Paused(process);
            }
        }
        Ok(())
    }

    /// Signals all of them before waiting for any: a power loss hits a rack at one moment.
    fn power_off(&self, nodes: &[NodeNumber]) -> Result<(), ClusterError> {
        let failed = |node: NodeNumber| move |source| ClusterError::Process { node, source };
        for id in nodes {
            self.reap(*id);
        }
        let mut states: Vec<_> = nodes.iter().map(|id| (*id, lock(&self.node(*id).state))).collect();
        for (id, state) in &states {
            if let State::Up(process) = &**state {
                process.send_power_loss().map_err(failed(*id))?;
            }
        }
        for (id, state) in &mut states {
            match &mut **state {
                State::Up(process) => process.wait_power_loss(POWER_LOSS_TIMEOUT).map_err(failed(*id))?,
                State::Paused(process) => process.kill().map_err(failed(*id))?,
                State::Down | State::Crashed => continue,
            }
            **state = State::Down;
        }
        Ok(())
    }

    fn revive(&self) -> Result<(), ClusterError> {
        for node in &self.nodes {
            let mut state = lock(&node.state);
            match &mut *state {
                State::Down => *state = State::Up(self.spawn(node)?),
                State::Paused(process) => {
                    process.resume().map_err(|source| ClusterError::Process { node: node.place.id, source })?;
                    if let State::Paused(process) = std::mem::replace(&mut *state, State::Down) {
                        *state = State::Up(process);
                    }
                }
                State::Up(_) | State::Crashed => {}
            }
        }
        Ok(())
    }

    /// Undoes every fault there may be.
    ///
    /// # Errors
    /// When a process cannot be resumed or started.
    pub fn heal(&self) -> Result<(), ClusterError> {
        self.network.links().heal_all();
        self.revive()
    }

    /// Notices a node that ended by itself.
    fn reap(&self, id: NodeNumber) {
        let mut state = lock(&self.node(id).state);
        if let State::Up(process) = &mut *state
            && let Some(exit) = process.try_exit()
        {
            lock(&self.crashes).push(Crash { node: id, exit });
            *state = State::Crashed;
        }
    }

    /// Every node that ended by itself so far. A node is looked at just before anything is done to it, so that an end
    /// of its own is never taken for one of ours.
    pub fn crashes(&self) -> Vec<Crash> {
        for id in 1..=self.count() {
            self.reap(id);
        }
        lock(&self.crashes).clone()
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
    pub async fn wait_ready(&self, bound: Duration, logs: &std::path::Path) -> Result<(), ClusterError> {
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
            let crashes = self.crashes();
            let detail = if let Some(crash) = crashes.first() {
                format!("node {} ended by itself ({})", crash.node, crash.exit)
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
            let mut state = lock(&node.state);
            if let State::Up(process) | State::Paused(process) = &mut *state {
                // Nothing more can be done here; the kernel ends the nodes with the harness at the latest.
                let _ = process.kill();
            }
            *state = State::Down;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}
