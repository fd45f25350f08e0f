//! A run from its configuration to its verdict: everything around the phases.
//!
//! ```text
//!   RunConfig ──> store, network, cluster, recorder ──> Run::phases ──> history read back ──> check ──> checks ──> Summary
//! ```

use std::{
    fs,
    io::BufReader,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use checkers::{
    Budget, CheckOptions, check,
    history::{Format, read},
    verdict::{Judgement, Verdict},
};
use results::{
    sink::{HistorySink, SinkCounts},
    store::{Manifest, RunDir, Store},
    exit::ExitCode,
    summary::{FaultCounts, MutantSummary, Summary},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    cluster::{Cluster, ClusterPaths},
    config::RunConfig,
    journal::{Carried, RunJournal},
    judge::checks,
    monitor::Monitor,
    nemesis::{NemesisKind, lane::Journal},
    network::{Kind, Network, NetworkPlan},
    progress::Progress,
    run::{Observed, Run},
    system::System,
};

/// Carries out the run that `config` means. Needs a tokio runtime.
///
/// # Errors
/// When the harness could not do its part. What was written until then stays in the store.
pub async fn conduct(
    config: &RunConfig,
    system: Box<dyn System>,
    kinds: &[NemesisKind],
    network: Kind,
    progress: &Progress,
) -> anyhow::Result<(Summary, ExitCode)> {
    let interrupt = interrupts()?;
    let store = Store::open(&config.store)?;
    let dir = store.create_run(&Manifest::here(config.seed, serde_json::to_value(config)?))?;
    let begin = Instant::now();
    let plan = NetworkPlan {
        nodes: config.nodes,
        peer_port: system.peer_port(),
        client_port: system.client_port(),
        seed: config.seed,
        kind: network,
    };
    let network = Arc::new(Network::start(&plan).context("cannot make the network")?);
    // The servers are started in directories of their own, so relative paths would lead elsewhere.
    let run_path = dir.path().canonicalize().with_context(|| format!("cannot find {}", dir.path().display()))?;
    let paths = ClusterPaths { logs: run_path.join("nodes"), data: run_path.join("data") };
    let cluster = Arc::new(Cluster::new(system, network, config.nodes, config.seed, dir.id().as_str(), &paths)?);
    let sink = HistorySink::start(dir.create_history()?, &config.workload.kind.model(), begin)?;
    let journal = Arc::new(RunJournal::new(sink.recorder(), dir.schedule()?));
    let run = Run {
        config,
        cluster: Arc::clone(&cluster),
        monitor: Monitor::default(),
        recorder: sink.recorder(),
        journal: Arc::clone(&journal) as Arc<dyn Journal>,
        progress,
        interrupt,
        logs: paths.logs.clone(),
        begun: Arc::new(AtomicU64::new(0)),
    };
    let phases = run.phases(kinds).await;
    cluster.stop();
    // Whatever happened, what was recorded is made durable first.
    let counts = sink.finish();
    let observed = phases.with_context(|| format!("the run in {} could not be carried through", dir.path().display()))?;
    let counts = counts?;
    let carried = journal.carried();
    if let Some(failure) = &carried.failure {
        bail!("the faults could not be written down: {failure}");
    }

    progress.phase("judging");
    let judgement = judge(config, &dir)?;
    progress.finish();
    let found = Found { observed, carried, counts, judgement };
    let mut summary = summarise(config, &dir, &found, !kinds.is_empty());
    let exit = summary.conclude();
    dir.write_latencies(&found.observed.tally.latencies, found.observed.load_time)?;
    dir.write_verdict(&summary)?;
    if summary.verdict == Verdict::Valid && !config.keep_data {
        remove_data(&paths.data)?;
    }
    Ok((summary, exit))
}

fn remove_data(data: &Path) -> anyhow::Result<()> {
    fs::remove_dir_all(data).with_context(|| format!("cannot remove the nodes' data in {}", data.display()))
}

/// Turns true at the first Ctrl-C or SIGTERM: the run heals, judges what there is, and ends.
fn interrupts() -> anyhow::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let mut int = signal(SignalKind::interrupt()).context("cannot take signals")?;
    let mut term = signal(SignalKind::terminate()).context("cannot take signals")?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = int.recv() => {},
                _ = term.recv() => {},
            }
            if *sender.borrow() {
                // Asked twice: end now. The kernel takes the nodes and the namespaces with this process.
                std::process::exit(ExitCode::HarnessError.code().into());
            }
            eprintln!("\ntrueline: healing and judging what there is; press Ctrl-C again to end at once");
            sender.send_replace(true);
        }
    });
    Ok(receiver)
}

/// Reads the history back from its file, so that what is judged is what is stored.
fn judge(config: &RunConfig, dir: &RunDir) -> anyhow::Result<Judgement> {
    let path = dir.history_path();
    let reading = || format!("cannot read back {}", path.display());
    let file = fs::File::open(&path).with_context(reading)?;
    let loaded = read(BufReader::with_capacity(1 << 16, file), Format::Jsonl).with_context(reading)?;
    let budget = Budget { time: config.check_time, memory_bytes: config.check_memory_mib.saturating_mul(1 << 20) };
    check(&loaded.history, &config.workload.kind.model(), &CheckOptions { budget, threads: 0 })
        .with_context(|| format!("cannot judge {}", path.display()))
}

/// Everything that a verdict is made of.
pub struct Found {
    /// What the phases brought to light.
    pub observed: Observed,
    /// The faults as carried out.
    pub carried: Carried,
    /// What the history holds.
    pub counts: SinkCounts,
    /// What the judge says of it.
    pub judgement: Judgement,
}

fn summarise(config: &RunConfig, dir: &RunDir, found: &Found, faults_wanted: bool) -> Summary {
    let Found { observed, carried, judgement, .. } = found;
    let mut summary = Summary::new(config.system.name(), config.workload.kind.name(), config.seed);
    summary.run = Some(dir.id().to_string());
    summary.nodes = config.nodes;
    summary.clients = config.concurrency;
    summary.duration_ms = millis(observed.load_time);
    summary.judge(judgement);
    summary.checks = checks(config, found, faults_wanted);
    summary.operations = observed.tally.operations.clone();
    summary.faults = carried
        .faults
        .iter()
        .map(|(name, count)| {
            let landed = if observed.landed(name) { *count } else { 0 };
            (name.clone(), FaultCounts { started: *count, landed })
        })
        .collect();
    summary.leader_changes = observed.leader_changes;
    summary.throughput = observed.tally.throughput.summary();
    summary.latencies = observed.tally.latencies.table();
    summary.recovery_ms = observed.recovery.map(millis);
    summary.mutant = config.mutant.clone().map(|name| MutantSummary { name, fired: observed.fired });
    let file = |name: &str| dir.path().join(name).display().to_string();
    summary.files = [("run", "."), ("history", "history.jsonl"), ("faults", "schedule.jsonl"), ("node logs", "nodes")]
        .map(|(what, name)| (what.to_owned(), file(name)))
        .into();
    summary.replay = Some(config.command());
    summary
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
