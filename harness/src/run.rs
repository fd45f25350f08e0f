//! One run, phase by phase.
//!
//! ```text
//!   set-up ─> warm-up ─> load with faults ─> heal ─> recovery ─> final reads ─> judging ─> summary
//!     │          └──────── clients work ─────────────────┘
//!     └ processes, network                     Ctrl-C: straight to heal; a violation seen with --fail-fast: to heal and judging
//! ```

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use checkers::history::{Action, ProcessId};
use results::{
    sink::{Recorder, SinkCounts, SinkError},
    summary::{OpenLoop, Phases},
};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use workloads::{client::ClientError, generator::Generator, kind::Ending};

use crate::{
    cluster::{Cluster, ClusterError, Crash, Readiness},
    config::RunConfig,
    load::{FinalReads, Pace, Shared, Tally, Worker, probe, read_all, work},
    monitor::Monitor,
    nemesis::{
        Nemeses, NemesisKind,
        lane::{self, Journal, LaneContext},
        plan::plan,
        schedule::Recorded,
    },
    progress::Progress,
    system::System,
};

/// How long the cluster may take to come up.
const READY_BOUND: Duration = Duration::from_secs(20);

/// How long clients may take to finish their last operation, beyond their own timeout.
const CLIENTS_END_SLACK: Duration = Duration::from_secs(5);

/// How often the progress line is renewed.
const SHOW_INTERVAL: Duration = Duration::from_millis(200);

/// Between two attempts to make the founders the voters again.
const MEMBERSHIP_PAUSE: Duration = Duration::from_millis(50);

/// The final reads together take no longer than this.
const FINAL_READS_MAX: Duration = Duration::from_secs(60);

/// Why a run could not be carried through.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A node could not be handled.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A client could not be made.
    #[error("cannot make a client: {0}")]
    Client(#[from] ClientError),
    /// The history could not be kept.
    #[error(transparent)]
    History(#[from] SinkError),
    /// The network between the nodes broke down, and not on purpose.
    #[error("the network of the run has stopped working; nothing can be said about the system")]
    NetworkDown,
    /// A client did not come back from an operation.
    #[error("clients were still busy {0:?} after they were told to stop, although each operation has a timeout")]
    ClientsHang(Duration),
}

/// What the phases have brought to light, before anything is judged.
#[derive(Debug)]
pub struct Observed {
    /// Whether the nodes agreed who leads when the load began.
    pub readiness: Readiness,
    /// What the clients counted from the first operation until the heal.
    pub tally: Tally,
    /// What the history held at the heal.
    pub load_counts: SinkCounts,
    /// How long the clients worked.
    pub load_time: Duration,
    /// When what began.
    pub phases: Phases,
    /// From the last heal until every node had answered; none if one did not within the bound.
    pub recovery: Option<Duration>,
    /// Nodes that did not answer within the bound.
    pub silent_nodes: Vec<u32>,
    /// What became of the final reads, over all nodes.
    pub final_reads: FinalReads,
    /// Nodes that ended by themselves.
    pub crashes: Vec<Crash>,
    /// How often leadership passed on.
    pub leader_changes: u64,
    /// How often a mutated rule decided otherwise than the correct one, at least.
    pub fired: u64,
    /// Ctrl-C or SIGTERM came before the faults were over.
    pub interrupted: bool,
    /// The watchdog saw a violation, so that recovery or final reads may have been left out.
    pub violated: bool,
}

/// Why a run ends before its time: the first reason there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// A violation was seen, and one is enough.
    Violated,
}

/// Where the faults of a run come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultSource {
    /// The plan that follows from the seed; it aims at roles.
    Planned,
    /// What another run has carried out.
    Recorded(Recorded),
}

/// A run whose faults were recorded goes on so much longer than the one that they are of: what it brought about may come a little later.
const RECORDED_SLACK: Duration = Duration::from_secs(2);

impl FaultSource {
    /// How long faults go on, if they would for `time`.
    fn time(&self, time: Duration) -> Duration {
        match self {
            Self::Planned => time,
            Self::Recorded(recorded) => time.min(recorded.healed + RECORDED_SLACK),
        }
    }
}

/// What every phase needs.
pub struct Run<'a> {
    /// What was asked for.
    pub config: &'a RunConfig,
    /// Where its faults come from.
    pub faults: &'a FaultSource,
    /// Whom to work and break.
    pub cluster: Arc<Cluster>,
    /// Who leads.
    pub monitor: Monitor,
    /// Where operations are written down.
    pub recorder: Recorder,
    /// Where faults are written down.
    pub journal: Arc<dyn Journal>,
    /// Where people look.
    pub progress: &'a Progress,
    /// Why the run is to end before its time.
    pub halt: watch::Receiver<Option<Halt>>,
    /// Where the nodes' logs are.
    pub logs: PathBuf,
}

/// The kinds of faults of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds {
    /// In the order of the catalogue or of the command line.
    pub chosen: Vec<NemesisKind>,
    /// Whether they are the mix of all, which has chapters.
    pub mix: bool,
}

/// The kinds of faults that a run asks for and its system can suffer.
///
/// # Errors
/// A sentence about the kind asked for by name that the system cannot suffer.
pub fn kinds(nemeses: &Nemeses, system: &dyn System) -> Result<Kinds, String> {
    match nemeses {
        Nemeses::None => Ok(Kinds { chosen: Vec::new(), mix: false }),
        Nemeses::All => {
            let chosen = NemesisKind::mix().filter(|kind| system.is_mixed(*kind)).collect();
            Ok(Kinds { chosen, mix: true })
        }
        Nemeses::These(kinds) => {
            for kind in kinds {
                system.suffers(*kind).map_err(|why| format!("cannot suffer the nemesis {kind}: {why}"))?;
            }
            Ok(Kinds { chosen: kinds.clone(), mix: false })
        }
    }
}

impl Run<'_> {
    /// Whether this is why the run is to end.
    fn is_halted(&self, why: Halt) -> bool {
        *self.halt.borrow() == Some(why)
    }

    /// Clients, probes and final readers all have process numbers of their own.
    fn stride(&self) -> u64 {
        u64::from(self.config.concurrency) + 2 * u64::from(self.cluster.count())
    }

    fn shared(&self) -> Shared {
        Shared {
            recorder: self.recorder.clone(),
            begun: Arc::new(AtomicU64::new(0)),
            counting: Arc::new(AtomicBool::new(true)),
            load_start: self.recorder.now(),
            timeout: self.config.timeout,
        }
    }

    fn worker(&self, node: u32, process: u64, shared: &Shared) -> Result<Worker, RunError> {
        Ok(Worker {
            client: self
                .cluster
                .system()
                .client(self.cluster.client_address(node))?
                .working(self.config.workload.kind, self.config.retry),
            process: ProcessId(process),
            stride: self.stride(),
            shared: shared.clone(),
            tally: Tally::default(),
        })
    }

    fn pace(&self, client: u32) -> Pace {
        self.open_loop().map_or(Pace::Closed, |open| Pace::Open {
            interval: Duration::from_nanos(open.interval_ns),
            offset: Duration::from_nanos(open.offset_ns(client.into())),
        })
    }

    fn open_loop(&self) -> Option<OpenLoop> {
        let clients = u64::from(self.config.concurrency);
        let interval_ns = clients * 1_000_000_000 / u64::from(self.config.rate?);
        Some(OpenLoop { interval_ns, clients, stride: self.stride() })
    }

    /// The clients, at work until `stop`.
    fn start_clients(
        &self,
        shared: &Shared,
        stop: &watch::Receiver<bool>,
    ) -> Result<JoinSet<Result<Tally, SinkError>>, RunError> {
        let mut clients = JoinSet::new();
        for client in 0..self.config.concurrency {
            let worker = self.worker(client % self.cluster.count() + 1, u64::from(client), shared)?;
            let mut generator = Generator::new(&self.config.workload, self.config.seed, client);
            // Every second client of a node is a reader.
            if client / self.cluster.count() % 2 == 1 {
                generator = generator.reads_only();
            }
            clients.spawn(work(worker, generator, self.pace(client), stop.clone()));
        }
        Ok(clients)
    }

    /// Carries the faults out, and heals in any case.
    async fn break_things(&self, kinds: &Kinds, shared: &Shared) -> Result<(), RunError> {
        let context = LaneContext {
            cluster: Arc::clone(&self.cluster),
            monitor: self.monitor.clone(),
            journal: Arc::clone(&self.journal),
            numbers: Arc::new(Mutex::new(0)),
        };
        let start = Instant::now();
        let end = start + self.faults.time(self.config.time);
        let (stop, stopped) = watch::channel(false);
        let mut lanes = JoinSet::new();
        match self.faults {
            FaultSource::Planned => {
                for lane in plan(&kinds.chosen, kinds.mix, self.config.time, self.config.seed) {
                    lanes.spawn(lane::run(lane, context.clone(), start, stopped.clone()));
                }
            }
            FaultSource::Recorded(recorded) => {
                for fault in recorded.faults.iter().cloned() {
                    lanes.spawn(lane::again(fault, context.clone(), start, stopped.clone()));
                }
            }
        }
        let mut failed = None;
        let mut halt = self.halt.clone();
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(end) => break,
                _ = halt.wait_for(Option::is_some) => break,
                Some(ended) = lanes.join_next() => {
                    if let Err(error) = ended.expect("a lane does not panic") {
                        failed = Some(error);
                        break;
                    }
                },
                () = tokio::time::sleep(SHOW_INTERVAL) => {
                    self.show(start.elapsed(), shared);
                    // Without a history there is nothing to go on for; the clients, who stop at it, say why.
                    if self.recorder.failed().is_some() || !self.cluster.is_connected() {
                        break;
                    }
                },
            }
        }
        // The receivers are in the lanes; if all have ended there is nobody left to tell.
        let _ = stop.send(true);
        while let Some(ended) = lanes.join_next().await {
            failed = failed.or(ended.expect("a lane does not panic").err());
        }
        let healed = context.heal().await;
        failed.map_or(healed, Err)?;
        Ok(())
    }

    fn show(&self, elapsed: Duration, shared: &Shared) {
        self.progress.say(format!(
            "{:>2.0} of {} s, {} operations, {} leader changes",
            elapsed.as_secs_f64(),
            self.faults.time(self.config.time).as_secs(),
            shared.begun.load(Ordering::Relaxed),
            self.monitor.leader_changes(),
        ));
    }

    /// Probes every node until it answers; gives the time since the heal and the nodes that stayed silent.
    async fn recover(&self, shared: &Shared, tally: &mut Tally) -> Result<(Option<Duration>, Vec<u32>), RunError> {
        let healed = Instant::now();
        let deadline = healed + self.config.recovery_bound;
        if self.config.spares > 0 {
            self.take_founders_back(deadline).await;
        }
        let mut probes = Vec::new();
        for node in 1..=self.cluster.count() {
            let client = self.config.concurrency + node - 1;
            let worker = self.worker(node, u64::from(client), shared)?;
            let generator = Generator::new(&self.config.workload, self.config.seed, client);
            probes.push((node, tokio::spawn(probe(worker, generator, deadline))));
        }
        let mut slowest = Some(Duration::ZERO);
        let mut silent = Vec::new();
        for (node, probe) in probes {
            let (answered, theirs) = probe.await.expect("a probe does not panic")?;
            tally.merge(theirs);
            if answered.is_none() {
                silent.push(node);
            }
            slowest = slowest.zip(answered).map(|(slowest, at)| slowest.max(at - healed));
        }
        Ok((slowest, silent))
    }

    /// After changes of the membership, the founders are to be the voters again: those that are not serve nobody.
    async fn take_founders_back(&self, deadline: Instant) {
        let founders: Vec<u32> = (1..=self.cluster.count()).collect();
        // Whether they are is seen by the probes that follow.
        while Instant::now() < deadline {
            let through = self.monitor.leader().unwrap_or(1);
            if self.cluster.change_membership(through, &founders, &[]).await {
                return;
            }
            tokio::time::sleep(MEMBERSHIP_PAUSE).await;
        }
    }

    /// Reads every key through every node that has answered; queues are emptied, through one node after the other.
    async fn final_reads(&self, shared: &Shared, keys: &Tally, silent: &[u32]) -> Result<FinalReads, RunError> {
        let (action, in_turn) = match self.config.workload.kind.ending() {
            Ending::Read => (Action::Read, false),
            Ending::Drain => (Action::Dequeue, true),
            Ending::Leave => return Ok(FinalReads::default()),
        };
        let keys = Arc::new(keys.keys.clone());
        let deadline = Instant::now() + FINAL_READS_MAX;
        let mut readers = JoinSet::new();
        let mut all = FinalReads::default();
        for node in (1..=self.cluster.count()).filter(|node| !silent.contains(node)) {
            let process = self.config.concurrency + self.cluster.count() + node - 1;
            let worker = self.worker(node, u64::from(process), shared)?;
            let (action, keys) = (action.clone(), Arc::clone(&keys));
            readers.spawn(read_all(worker, action, keys, self.config.recovery_bound, deadline));
            while in_turn && let Some(reads) = readers.join_next().await {
                all.add(reads.expect("a reader does not panic")?);
            }
        }
        while let Some(reads) = readers.join_next().await {
            all.add(reads.expect("a reader does not panic")?);
        }
        Ok(all)
    }

    /// Waits for the clients to finish the operation they are at.
    async fn gather(&self, clients: &mut JoinSet<Result<Tally, SinkError>>, tally: &mut Tally) -> Result<(), RunError> {
        let bound = self.config.operation_max() + CLIENTS_END_SLACK;
        let all = async {
            while let Some(ended) = clients.join_next().await {
                tally.merge(ended.expect("a client does not panic")?);
            }
            Ok(())
        };
        tokio::time::timeout(bound, all).await.map_err(|_| RunError::ClientsHang(bound))?
    }

    /// All phases with clients in them, from starting the nodes to stopping them.
    ///
    /// # Errors
    /// When nodes, clients or history cannot be handled; nothing is known about the system then.
    pub async fn phases(mut self, kinds: &Kinds) -> Result<Observed, RunError> {
        self.progress.phase("set-up");
        self.cluster.revive(None)?;
        let readiness = self.cluster.wait_ready(READY_BOUND, &self.logs).await?;

        let (stop_clients, clients_stopped) = watch::channel(false);
        let (stop_monitor, monitor_stopped) = watch::channel(false);
        let monitor = tokio::spawn(self.monitor.clone().watch(Arc::clone(&self.cluster), monitor_stopped));
        let shared = self.shared();
        let load_start = Instant::now();
        let mut clients = self.start_clients(&shared, &clients_stopped)?;

        self.progress.phase("warm-up");
        tokio::select! {
            () = tokio::time::sleep(self.config.warm_up) => {},
            _ = self.halt.wait_for(Option::is_some) => {},
        }
        self.progress.phase("faults");
        let mut phases = Phases {
            load_start_ns: shared.load_start,
            faults_start_ns: self.recorder.now(),
            open_loop: self.open_loop(),
            ..Phases::default()
        };
        self.break_things(kinds, &shared).await?;
        phases.healed_ns = self.recorder.now();
        shared.counting.store(false, Ordering::Relaxed);
        let load_time = load_start.elapsed();
        let load_counts = self.recorder.counts();
        let interrupted = self.is_halted(Halt::Interrupted);

        self.progress.phase("recovery");
        let mut tally = Tally::default();
        // Whether the cluster recovers is another question, which a run without a violation answers.
        let (recovery, silent_nodes) = match self.is_halted(Halt::Violated) {
            true => (None, Vec::new()),
            false => self.recover(&shared, &mut tally).await?,
        };
        // The receivers live in the clients, which end with it.
        let _ = stop_clients.send(true);
        self.gather(&mut clients, &mut tally).await?;

        self.progress.phase("final reads");
        let final_reads = match self.is_halted(Halt::Violated) {
            true => FinalReads::default(),
            false => self.final_reads(&shared, &tally, &silent_nodes).await?,
        };
        phases.end_ns = self.recorder.now();
        let _ = stop_monitor.send(true);
        monitor.await.expect("the monitor does not panic");
        let crashes = self.cluster.crashes()?;
        if !self.cluster.is_connected() {
            return Err(RunError::NetworkDown);
        }
        self.cluster.stop();
        Ok(Observed {
            readiness,
            tally,
            load_counts,
            load_time,
            phases,
            recovery,
            silent_nodes,
            final_reads,
            crashes,
            leader_changes: self.monitor.leader_changes(),
            fired: self.monitor.fired(),
            interrupted,
            violated: self.is_halted(Halt::Violated),
        })
    }
}
