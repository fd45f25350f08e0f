//! `trueline run`.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::{Args, FromArgMatches};
use nodes::{
    mutants::{self, Mutant, UnknownMutant},
    server::{DEFAULT_ELECTION_TIMEOUT_MS, DEFAULT_HEARTBEAT_MS},
};
use results::{
    exit::ExitCode,
    store::{DEFAULT_STORE, Label, LabelError, RunId, labels},
    summary::render,
};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use workloads::{
    client::EtcdClient,
    generator::{Mix, WorkloadSpec},
    kind::WorkloadKind,
};

use super::{parse_delay, parse_duration};
use crate::{
    conduct::conduct,
    config::{NetworkKind, NodeOptions, Reads, RunConfig, SystemKind},
    failure::Failure,
    nemesis::{Nemeses, NemesisKind},
    network::{Kind, enter::enter},
    program::Program,
    progress::Progress,
    run::{FaultSource, Kinds, kinds},
    settings::{
        Settings, SettingsError, USUAL,
        system::{DescribedSystem, SystemName},
    },
    system::{System, system},
};

const EXAMPLES: &str = "\
Examples:
  trueline run                                          five Raft nodes, mixed faults, half a minute
  trueline run --nemesis partition,kill --time 2m --seed 7
  trueline run --workload append --nodes 3 --rate 500
  trueline run --mutant raft-read-any-node --fail-fast  ends within seconds, at the first violation
  trueline run --binary ./target/debug/mynode           your own build (docs/node-contract.md)
  trueline run --system etcd --nemesis partition,kill   an unmodified etcd from PATH
  trueline run --system mine --nemesis partition        a server that trueline.toml describes (docs/own-system.md)";

/// Flags of `trueline run`.
#[derive(Args, Clone, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\nNemeses (docs/nemeses.md): {}.", NemesisKind::names()))]
pub struct RunArgs {
    /// The system under test: raft, multi-paxos, zab, etcd, or one that trueline.toml describes (docs/own-system.md)
    #[arg(long, default_value = "raft", value_name = "NAME")]
    pub system: String,
    /// The file that describes systems [default: trueline.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The server's executable [default: this program for the nodes in the box, `etcd` from PATH for etcd, the command's first word for a system that is described]
    #[arg(long, value_name = "PATH")]
    pub binary: Option<PathBuf>,
    /// Switch one correctness bug on in every node, to see the harness find it
    #[arg(long, value_name = "ID")]
    pub mutant: Option<String>,
    /// How many nodes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub nodes: u32,
    /// What clients do: register, append (lists), counter, set, cas-chain, queue or lock (docs/workloads.md)
    #[arg(long, default_value = "register", value_name = "NAME")]
    pub workload: WorkloadKind,
    /// How many keys are in use at a time [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub keys: Option<u32>,
    /// After about this many operations a key is left and a fresh one taken [default: 1000; append, set and cas-chain: 300; others: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub ops_per_key: Option<u32>,
    /// How reads are answered: quorum, log, lease, quorum-read or local by the nodes in the box (not every protocol offers all), linearizable or serializable by etcd, what its description names by any other [default: quorum, linearizable, what the description says]
    #[arg(long, value_name = "KIND")]
    pub reads: Option<String>,
    /// The nodes in the box take a snapshot after this many entries [default: 10000; with the nemesis lagging 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub snapshot_every: Option<u64>,
    /// Between two heartbeats of a leader in the box, milliseconds [default: 50]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub heartbeat_ms: Option<u64>,
    /// Shortest election timeout of the nodes in the box, milliseconds [default: 300]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(2..=600_000))]
    pub election_timeout_ms: Option<u64>,
    /// How many clients, each pinned to one node [default: two for every node]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: Option<u32>,
    /// Open loop: this many operations a second over all clients [default: closed loop, as fast as answers come]
    #[arg(long, value_name = "OPS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: Option<u32>,
    /// A client gives up an operation after this
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Clients send what was not answered again, in a session that makes it take effect once, for up to three timeouts
    #[arg(long)]
    pub retry: bool,
    /// What to break: none, all (a mix of what the system can suffer), or a list of names, below
    #[arg(long, default_value = "all", value_name = "LIST")]
    pub nemesis: Nemeses,
    /// With the nemesis membership: nodes that may join beside --nodes [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10))]
    pub spares: Option<u32>,
    /// How long to work the cluster under faults
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    pub time: Duration,
    /// Load without faults before that
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    pub warm_up: Duration,
    /// After healing, every node must answer within this
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub recovery_bound: Duration,
    /// Watch the run while it goes on, and end it at the first violation instead of after --time
    #[arg(long)]
    pub fail_fast: bool,
    /// Decides operations and fault plan [default: drawn, and printed]
    #[arg(long)]
    pub seed: Option<u64>,
    /// fabric (network namespaces), proxy (relays on loopback), or auto: fabric where the kernel allows it
    #[arg(long, default_value = "auto", value_name = "KIND")]
    pub network: NetworkKind,
    /// A slower network: every link, also that of a client to its node, takes this much longer in each direction: 300us, 5ms
    #[arg(long, default_value = "0us", hide_default_value = true, value_parser = parse_delay, value_name = "TIME")]
    pub link_delay: Duration,
    /// Where runs are stored
    #[arg(long, default_value = DEFAULT_STORE, value_name = "DIR")]
    pub store: PathBuf,
    /// Call the run so, to find it again: label.KEY=VALUE in `trueline runs`, `compare` and `trend`; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<Label>,
    /// Write no report.html
    #[arg(long)]
    pub no_report: bool,
    /// Keep the nodes' data directories (they are always kept when the verdict is not valid)
    #[arg(long)]
    pub keep_data: bool,
    /// How long judging may take
    #[arg(long, default_value = "2m", value_parser = parse_duration)]
    pub check_time: Duration,
    /// How much memory judging may take, MiB
    #[arg(long, default_value_t = 4096, value_name = "MIB")]
    pub check_memory: usize,
    /// No progress line
    #[arg(long, short)]
    pub quiet: bool,
    /// The run's name, drawn by a gate that wants to know it from the beginning
    #[arg(long, value_name = "ID", hide = true)]
    pub name: Option<RunId>,
    /// End as soon as this process ends, which must be the one that started this one: runs of a hunt must not outlive it
    #[arg(long, value_name = "PID", hide = true)]
    pub parent: Option<i32>,
}

/// Flags that do not go together.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Reads that the system does not offer.
    #[error("{0}")]
    Reads(String),
    /// A mutant of somebody else's binary.
    #[error("--mutant switches a bug on in the nodes in the box; it goes with --system raft, multi-paxos or zab")]
    Mutant,
    /// The file that describes systems cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Nobody knows it.
    #[error("no system is called {name:?}; there are {known}{described}")]
    NoSuchSystem {
        /// What was asked for.
        name: String,
        /// Those that this program knows.
        known: String,
        /// Those that are described, and where.
        described: String,
    },
    /// A workload that etcd's interface cannot do.
    #[error("{0} needs what etcd's gateway does not offer; with --system etcd the workloads are {list}", list = EtcdClient::WORKLOADS.map(WorkloadKind::name).join(", "))]
    EtcdWorkload(WorkloadKind),
    /// A workload that is not described.
    #[error("the workload {workload} needs {missing} in the description of {system}, in {}", config.display())]
    NotDescribed {
        /// The workload.
        workload: WorkloadKind,
        /// What would have to be described.
        missing: String,
        /// Of which system.
        system: String,
        /// Where.
        config: PathBuf,
    },
    /// Retries without sessions.
    #[error(
        "--retry needs sessions, which only the nodes in the box have: an operation that was sent twice could be done twice"
    )]
    NoSessions,
    /// A mutant of another protocol.
    #[error("--mutant {0} is one of {1}; it goes with --system {1}")]
    OtherMutant(&'static str, &'static str),
    /// A choice that only the nodes in the box are given.
    #[error("--{0} is for the nodes in the box; other systems do not take it")]
    NodeOption(&'static str),
    /// Spare nodes that nobody takes.
    #[error("--spares is for --nemesis membership")]
    Spares,
    /// Timers that no leader could keep.
    #[error("--heartbeat-ms must be below --election-timeout-ms: {0} is not below {1}")]
    Timers(u64, u64),
    /// A workload that cannot be.
    #[error(transparent)]
    Workload(#[from] workloads::generator::SpecError),
    /// No such mutant.
    #[error("{0}; there are {list}", list = mutants::all().map(|m| m.id).collect::<Vec<_>>().join(", "))]
    NoSuchMutant(#[from] UnknownMutant),
    /// Labels that do not go together.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// Time that does not add up.
    #[error("--{0} must be longer than zero")]
    Zero(&'static str),
}

impl RunArgs {
    /// From words of a command line, without the program's name and the subcommand's.
    ///
    /// # Errors
    /// What is wrong with them, in a line.
    pub fn of_words(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let command = Self::augment_args(clap::Command::new("trueline run")).no_binary_name(true);
        let matches = command.try_get_matches_from(words).and_then(|matches| Self::from_arg_matches(&matches));
        matches.map_err(|error| {
            let text = error.to_string();
            // After the first empty line there is only how to get help.
            let told: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            told.join(" ").trim_start_matches("error: ").to_owned()
        })
    }

    /// The run that these flags mean.
    ///
    /// # Errors
    /// When flags contradict each other.
    pub fn config(self) -> Result<RunConfig, UsageError> {
        let (system, described) = self.system()?;
        let reads = match &self.reads {
            Some(name) if described.is_none() => Reads::parse(system, name).map_err(UsageError::Reads)?,
            _ => Reads::of(system),
        };
        if system == SystemKind::Etcd && !EtcdClient::WORKLOADS.contains(&self.workload) {
            return Err(UsageError::EtcdWorkload(self.workload));
        }
        if system.protocol().is_none() && self.retry {
            return Err(UsageError::NoSessions);
        }
        self.check_mutant(system)?;
        let (node_options, spares) = (self.node_options(system)?, self.spares()?);
        for (name, value) in [("time", self.time), ("timeout", self.timeout), ("recovery-bound", self.recovery_bound)] {
            if value.is_zero() {
                return Err(UsageError::Zero(name));
            }
        }
        let concurrency = self.concurrency.unwrap_or(2 * self.nodes);
        // After healing, one probe for each node issues operations too.
        let mut workload = WorkloadSpec::new(self.workload, concurrency + self.nodes);
        workload.keys = self.keys.unwrap_or(workload.keys);
        workload.ops_per_key = self.ops_per_key.unwrap_or(workload.ops_per_key);
        if let Some(described) = &described {
            fit(&mut workload, described)?;
        }
        workload.validate()?;
        Ok(RunConfig {
            system,
            described,
            binary: self.binary,
            program: None,
            mutant: self.mutant,
            nodes: self.nodes,
            workload,
            reads,
            node_options,
            concurrency,
            rate: self.rate,
            timeout: self.timeout,
            retry: self.retry,
            nemeses: self.nemesis,
            spares,
            warm_up: self.warm_up,
            time: self.time,
            recovery_bound: self.recovery_bound,
            fail_fast: self.fail_fast,
            // Six digits are enough to tell runs apart, and short enough to say aloud.
            seed: self.seed.unwrap_or_else(|| rand::random_range(0..1_000_000)),
            network: self.network,
            link_delay: self.link_delay,
            store: self.store,
            labels: labels(self.labels)?,
            name: self.name,
            report: !self.no_report,
            keep_data: self.keep_data,
            check_time: self.check_time,
            check_memory_mib: self.check_memory,
        })
    }
}

/// Snapshots so often that a node which was away a moment needs one.
const LAGGING_SNAPSHOT_EVERY: u64 = 30;
/// Nodes that may join, unless it is said otherwise.
const DEFAULT_SPARES: u32 = 2;

/// Registers that cannot be compared and set are read and written.
const WITHOUT_CAS: Mix = Mix { reads: 40, writes: 60, cas: 0 };

/// Looks whether a system that is described can do the workload, and leaves out what it cannot.
fn fit(workload: &mut WorkloadSpec, described: &DescribedSystem) -> Result<(), UsageError> {
    let api = described.description.api(None);
    let missing = api.missing(workload.kind);
    if !missing.is_empty() {
        return Err(UsageError::NotDescribed {
            workload: workload.kind,
            missing: missing.join(" and "),
            system: described.name.to_string(),
            config: described.config.clone(),
        });
    }
    if workload.kind == WorkloadKind::Register && !api.has_cas() {
        workload.mix = WITHOUT_CAS;
    }
    Ok(())
}

impl RunArgs {
    /// The system that is meant, with its description if it is one that is described.
    fn system(&self) -> Result<(SystemKind, Option<DescribedSystem>), UsageError> {
        if let Ok(kind) = self.system.parse() {
            return Ok((kind, None));
        }
        let mut settings = Settings::find(self.config.as_deref())?;
        let config = self.config.clone().unwrap_or_else(|| PathBuf::from(USUAL));
        let Some((name, description)) = settings.system.remove_entry(self.system.as_str()) else {
            let names: Vec<&str> = settings.system.keys().map(SystemName::as_str).collect();
            let described = match &names[..] {
                [] => format!(", and {} describes none", config.display()),
                names => format!(", and in {} {}", config.display(), names.join(", ")),
            };
            let known = SystemKind::ALL.map(SystemKind::name).join(", ");
            return Err(UsageError::NoSuchSystem { name: self.system.clone(), known, described });
        };
        if let Some(reads) = self.reads.as_ref().filter(|reads| !description.reads().contains_key(*reads)) {
            let names: Vec<&str> = description.reads().keys().map(String::as_str).collect();
            let offered = if names.is_empty() { "one way to read".to_owned() } else { names.join(", ") };
            return Err(UsageError::Reads(format!("--reads {reads}: {name} offers {offered}")));
        }
        // The file has been read, so it is there.
        let config = config.canonicalize().unwrap_or(config);
        let config_dir = config.parent().map_or_else(PathBuf::new, PathBuf::from);
        let described = DescribedSystem { name, config, config_dir, reads: self.reads.clone(), description };
        Ok((SystemKind::Described, Some(described)))
    }

    fn check_mutant(&self, system: SystemKind) -> Result<(), UsageError> {
        let Some(mutant) = &self.mutant else { return Ok(()) };
        let protocol = system.protocol().ok_or(UsageError::Mutant)?;
        // Another build may have mutants of its own.
        if self.binary.is_some() {
            return Ok(());
        }
        let mutant = mutant.parse::<Mutant>()?;
        match mutant.protocol == protocol {
            true => Ok(()),
            false => Err(UsageError::OtherMutant(mutant.id, mutant.protocol.name())),
        }
    }

    fn node_options(&self, system: SystemKind) -> Result<NodeOptions, UsageError> {
        let given = [
            ("snapshot-every", self.snapshot_every),
            ("heartbeat-ms", self.heartbeat_ms),
            ("election-timeout-ms", self.election_timeout_ms),
        ];
        if let (None, Some((name, _))) = (system.protocol(), given.iter().find(|(_, value)| value.is_some())) {
            return Err(UsageError::NodeOption(name));
        }
        let heartbeat_ms = self.heartbeat_ms.unwrap_or(DEFAULT_HEARTBEAT_MS);
        let election_timeout_ms = self.election_timeout_ms.unwrap_or(DEFAULT_ELECTION_TIMEOUT_MS);
        if heartbeat_ms >= election_timeout_ms {
            return Err(UsageError::Timers(heartbeat_ms, election_timeout_ms));
        }
        Ok(NodeOptions {
            snapshot_every: self.snapshot_every,
            heartbeat_ms: self.heartbeat_ms,
            election_timeout_ms: self.election_timeout_ms,
        })
    }

    fn spares(&self) -> Result<u32, UsageError> {
        match (self.nemesis.names(NemesisKind::Membership), self.spares) {
            (true, spares) => Ok(spares.unwrap_or(DEFAULT_SPARES)),
            (false, None | Some(0)) => Ok(0),
            (false, Some(_)) => Err(UsageError::Spares),
        }
    }
}

/// Carries a run out from set-up to summary, and prints it.
///
/// # Errors
/// When flags make no sense, or the harness fails.
pub fn execute(args: RunArgs) -> Result<ExitCode, Failure> {
    if let Some(parent) = args.parent {
        end_with(parent).map_err(Failure::harness)?;
    }
    let quiet = args.quiet;
    let prepared = prepare(args.config().map_err(Failure::usage)?)?;
    carry_out(prepared, &FaultSource::Planned, quiet)
}

/// A run that can be started.
pub struct Prepared {
    /// What is asked for.
    pub config: RunConfig,
    /// What is tested.
    pub system: Box<dyn System>,
    /// What it suffers.
    pub kinds: Kinds,
}

/// Looks whether the run that `config` means can be carried out, and fills in what follows from the rest.
///
/// # Errors
/// When its program is missing, or its system cannot suffer its faults.
pub fn prepare(mut config: RunConfig) -> Result<Prepared, Failure> {
    let kinds = kinds(&config.nemeses, &*system(&config).map_err(Failure::usage)?)
        .map_err(|why| Failure::usage(anyhow!("{} {why}", config.system_name())))?;
    if kinds.chosen.contains(&NemesisKind::Lagging) {
        config.node_options.snapshot_every.get_or_insert(LAGGING_SNAPSHOT_EVERY);
    }
    let system = system(&config).map_err(Failure::usage)?;
    system.check_network(config.network).map_err(|why| Failure::usage(anyhow!(why)))?;
    let reading = || format!("cannot read {}, which is to be tested", system.program().display());
    config.program = Some(Program::of(system.program()).with_context(reading).map_err(Failure::usage)?);
    Ok(Prepared { config, system, kinds })
}

/// Carries a run out from set-up to summary, and prints it. To be called while this process has one thread: it forks into its namespaces.
///
/// # Errors
/// When there is no network for it, or the harness fails.
pub fn carry_out(prepared: Prepared, faults: &FaultSource, quiet: bool) -> Result<ExitCode, Failure> {
    let Prepared { config, system, kinds } = prepared;
    let network = choose_network(&config, &*system)?;
    let loses = match faults {
        FaultSource::Planned => kinds.chosen.contains(&NemesisKind::Loss),
        FaultSource::Recorded(recorded) => recorded.loses_packets(),
    };
    if matches!(network, Kind::Proxy) && loses {
        let why =
            "the nemesis loss needs --network fabric: relays carry streams of bytes, and cannot lose packets of them";
        return Err(Failure::usage(anyhow!(why)));
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime").map_err(Failure::harness)?;
    let progress = Progress::new(quiet);
    let conducted = runtime.block_on(conduct(&config, system, &kinds, faults, network, &progress));
    progress.finish();
    // A status question that is still waiting must not delay the end.
    runtime.shutdown_background();
    let (summary, exit) = conducted.map_err(Failure::harness)?;
    let colour = std::io::stdout().is_terminal();
    let printed = std::io::stdout().write_all(render(&summary, colour).as_bytes()).context("cannot print the summary");
    match printed {
        // A violation stays one, whoever listens.
        Err(error) if exit != ExitCode::Invalid => Err(Failure::harness(error)),
        _ => Ok(exit),
    }
}

/// Asks the kernel to end this process when its parent ends.
///
/// # Errors
/// When it cannot be asked, or that process is not the parent.
pub fn end_with(parent: i32) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .context("cannot ask to be ended with the process that started this one")?;
    // It may have ended before.
    match getppid().map(Pid::as_raw_nonzero) {
        Some(pid) if pid.get() == parent => Ok(()),
        _ => Err(anyhow!("the process {parent}, which this one was to end with, is not its parent")),
    }
}

/// The fabric where it is wanted and to be had, else the proxy, with a notice of what is missing.
fn choose_network(config: &RunConfig, system: &dyn System) -> Result<Kind, Failure> {
    let unavailable = match config.network {
        NetworkKind::Proxy => return Ok(Kind::Proxy),
        NetworkKind::Fabric | NetworkKind::Auto => match enter() {
            Ok(entered) => return Ok(Kind::Fabric(entered)),
            Err(unavailable) => unavailable,
        },
    };
    if config.network == NetworkKind::Fabric {
        return Err(Failure::harness(unavailable));
    }
    system.check_network(NetworkKind::Proxy).map_err(|why| Failure::usage(anyhow!("{unavailable}; {why}")))?;
    eprintln!(
        "trueline: {unavailable}\ntrueline: going on with --network proxy: relays on loopback, which can cut and delay links \
         but not lose, double or reorder single packets"
    );
    Ok(Kind::Proxy)
}
