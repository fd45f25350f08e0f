//! A run from its configuration to its verdict: everything around the phases.
//!
//! ```text
//!   RunConfig ──> store, network, cluster, recorder ──> Run::phases ──> history read back ──> check ──> checks ──> Summary
//! ```

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use checkers::{
    Budget, CheckOptions,
    certificate::CertificateFile,
    check,
    history::{Format, History, read},
    ladder::Ladder,
    lint,
    verdict::Judgement,
};
use results::{
    check::{Check, CheckName},
    exit::ExitCode,
    latency::Latencies,
    phases::phases,
    report::{self, REPORT_NAME},
    sink::HistorySink,
    store::{Manifest, RunDir, Store},
    summary::{MutantSummary, Phases, Summary},
    timeline::Timeline,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    cluster::{Cluster, ClusterError, ClusterPaths, ClusterPlan, Crash, PINNED, Readiness},
    config::RunConfig,
    journal::RunJournal,
    judge::{self, Found, checks},
    ladder,
    load::Tally,
    monitor::Monitor,
    nemesis::{NemesisKind, lane::Journal},
    network::{
        Kind, Network, NetworkPlan,
        relay::{Relay, RelayPlan},
    },
    progress::Progress,
    run::{FaultSource, Halt, Kinds, Run, RunError},
    system::System,
    watchdog::Watchdog,
};

/// Carries out the run that `config` means. Needs a tokio runtime.
///
/// # Errors
/// When the harness could not do its part. What was written until then stays in the store.
pub async fn conduct(
    config: &RunConfig,
    system: Box<dyn System>,
    kinds: &Kinds,
    faults: &FaultSource,
    network: Kind,
    progress: &Progress,
) -> anyhow::Result<(Summary, ExitCode)> {
    let (halter, halt) = watch::channel(None);
    interrupts(halter.clone())?;
    let store = Store::open(&config.store)?;
    let mut manifest = Manifest::here(config.seed, serde_json::to_value(config)?);
    manifest.labels = config.labels.clone();
    let dir = match &config.name {
        Some(name) => store.create_named(name.clone(), &manifest)?,
        None => store.create_run(&manifest)?,
    };
    let begin = Instant::now();
    let plan = NetworkPlan {
        nodes: config.nodes + config.spares,
        peer_port: system.peer_port(),
        client_port: system.client_port(),
        seed: config.seed,
        kind: network,
    };
    let network = Arc::new(Network::start(&plan).context("cannot make the network")?);
    // The servers are started in directories of their own, so relative paths would lead elsewhere.
    let run_path = dir.path().canonicalize().with_context(|| format!("cannot find {}", dir.path().display()))?;
    let paths = ClusterPaths { logs: run_path.join("nodes"), data: run_path.join("data") };
    let relay = takes_relay(kinds, &*system).then(|| message_relay(&network, &plan, &*system)).transpose()?;
    let node_faults = takes_node_faults(kinds, &*system);
    let cluster = ClusterPlan {
        system,
        network,
        relay,
        nodes: config.nodes,
        spares: config.spares,
        node_faults,
        seed: config.seed,
        name: dir.id().to_string(),
    };
    let cluster = Arc::new(Cluster::new(cluster, &paths)?);
    cluster.delay_links(config.link_delay);
    let model = config.workload.kind.model();
    let (watchdog, follower) = config.fail_fast.then(|| Watchdog::start(&model, halter)).transpose()?.unzip();
    let sink = HistorySink::start_followed(dir.create_history()?, &model, begin, follower)?;
    let journal = Arc::new(RunJournal::new(sink.recorder(), cluster.network().links().clone(), dir.schedule()?));
    let run = Run {
        config,
        faults,
        cluster: Arc::clone(&cluster),
        monitor: Monitor::writing(sink.recorder(), dir.node_lines()?),
        recorder: sink.recorder(),
        journal: Arc::clone(&journal) as Arc<dyn Journal>,
        progress,
        halt,
        logs: paths.logs.clone(),
    };
    let phases = run.phases(kinds).await;
    // Before they are all ended: a build that falls over stays one that does, whatever else went wrong.
    let crashes = cluster.crashes().unwrap_or_default();
    cluster.stop();
    // Whatever happened, what was recorded is made durable first.
    let finished = sink.finish();
    let watched = watchdog.map(Watchdog::finish);
    progress.phase("judging");
    let carried = journal.carried();
    let failure = phases.as_ref().err().map(ToString::to_string);
    let failure = failure.or_else(|| finished.as_ref().err().map(ToString::to_string));
    let failure = failure.or_else(|| carried.failure.as_ref().map(ToString::to_string));
    // A history cut short is one too, so a violation that is in it stays found whatever else went wrong.
    let (judgement, beside) = match judge(config, &dir) {
        Ok((judgement, beside)) => (Ok(judgement), beside),
        Err(error) => (Err(error), Beside::default()),
    };
    let history = beside.history;
    progress.finish();
    let mut timeline = None;
    let mut summarised = match (failure, phases, judgement) {
        (None, Ok(observed), Ok(judgement)) => {
            let phases = observed.phases;
            let mut summarised = summarise(config, &dir, &Found { observed, carried, judgement }, kinds);
            match disturbances(&dir, history, phases, &mut summarised.summary) {
                Ok(made) => timeline = Some(made),
                // The verdict does not hang on it.
                Err(error) => eprintln!("trueline: cannot tell what each fault did: {error:#}"),
            }
            summarised
        }
        (failure, phases, judgement) => {
            let failure = failure.unwrap_or_else(|| "the history cannot be judged".to_owned());
            let judgement = judgement.with_context(|| failure.clone())?;
            // What does not even start is no node, or is told something it does not know: that is for whoever started it.
            let started = !matches!(phases, Err(RunError::Cluster(ClusterError::NotReady { .. })));
            let crashes = if started { &crashes[..] } else { &[] };
            broken_off(config, &dir, &judgement, crashes, failure)
        }
    };
    summarised.summary.ladder = beside.ladder;
    summarised.summary.notes.extend(beside.notes);
    summarised.summary.fail_fast = watched;
    let written = write_down(config, &dir, summarised, &paths.data)?;
    // Last, and of no weight beside the verdict: a history that stays plain is as good.
    if let Err(error) = dir.compress_history() {
        eprintln!("trueline: {error}");
    }
    if config.report {
        let written = timeline.map_or_else(|| report::write(&dir), |timeline| report::write_with(&dir, &timeline));
        if let Err(error) = written {
            eprintln!("trueline: cannot write the report: {error}");
        }
    }
    Ok(written)
}

/// Whether the messages between the nodes pass a relay, for these kinds of faults.
#[must_use]
pub fn takes_relay(kinds: &Kinds, system: &dyn System) -> bool {
    let takes = |kind: &NemesisKind| kind.needs_relay() || kind.uses_relay() && system.speaks_in_frames();
    kinds.chosen.iter().any(takes)
}

/// Whether nodes are given files of faults, for these kinds.
#[must_use]
pub fn takes_node_faults(kinds: &Kinds, system: &dyn System) -> bool {
    let takes = |kind: &NemesisKind| kind.needs_node_faults() || kind.uses_node_faults() && system.reads_faults();
    kinds.chosen.iter().any(takes)
}

/// The relay that all messages between the nodes of a system are to pass. Needs a tokio runtime.
///
/// # Errors
/// When it cannot listen.
pub fn message_relay(network: &Network, plan: &NetworkPlan, system: &dyn System) -> anyhow::Result<Relay> {
    let (listen, dial_from) = network.relay_place().context("cannot give the message relay its address")?;
    let target = |node| SocketAddr::new(network.node_address(node), plan.peer_port);
    let plan = RelayPlan {
        listen,
        dial_from,
        targets: (1..=plan.nodes).map(target).collect(),
        kinds: system.message_kinds(),
        in_order: system.is_in_order(),
        part: system.part(),
        seed: plan.seed,
    };
    Relay::start(&plan, network.links().clone()).context("cannot make the message relay")
}

/// Writes down what came out, the verdict first.
fn write_down(
    config: &RunConfig,
    dir: &RunDir,
    summary: Summarised,
    data: &Path,
) -> anyhow::Result<(Summary, ExitCode)> {
    let Summarised { summary, exit, latencies } = summary;
    let stored = dir.write_verdict(&summary).and_then(|()| match &latencies {
        Some(latencies) => dir.write_latencies(latencies, Duration::from_millis(summary.duration_ms)),
        None => Ok(()),
    });
    match stored {
        // A violation is told even if it cannot be stored.
        Err(error) if exit == ExitCode::Invalid => eprintln!("trueline: {error}"),
        stored => stored?,
    }
    // The second name of the executable: a large file for whoever moves or weighs the run. Where there is none, it was none.
    let _ = fs::remove_file(data.join(PINNED));
    if exit == ExitCode::Valid
        && !config.keep_data
        && let Err(error) = fs::remove_dir_all(data)
    {
        eprintln!("trueline: cannot remove the nodes' data in {}: {error}", data.display());
    }
    Ok((summary, exit))
}

/// Signals closer together than this are one.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// Halts the run at the first Ctrl-C, SIGTERM or SIGHUP: the run heals, judges what there is, and ends.
fn interrupts(halter: watch::Sender<Option<Halt>>) -> anyhow::Result<()> {
    let mut int = signal(SignalKind::interrupt()).context("cannot take signals")?;
    let mut term = signal(SignalKind::terminate()).context("cannot take signals")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot take signals")?;
    tokio::spawn(async move {
        let mut asked: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = int.recv() => {},
                _ = term.recv() => {},
                _ = hangup.recv() => {},
            }
            if let Some(first) = asked {
                // One signal may come twice: to the whole process group, and handed down by the outer process.
                if first.elapsed() < SAME_SIGNAL {
                    continue;
                }
                // Asked twice: end now. The kernel takes the nodes and the namespaces with this process.
                eprintln!("trueline: ended at once, without a verdict; what was recorded is in the store");
                std::process::exit(ExitCode::HarnessError.code().into());
            }
            asked = Some(Instant::now());
            eprintln!("\ntrueline: healing and judging what there is; press Ctrl-C again to end at once");
            halter.send_if_modified(|halt| halt.replace(halt.unwrap_or(Halt::Interrupted)).is_none());
        }
    });
    Ok(())
}

/// Works out and writes down what each fault did to the service. Gives the run on its axis of time.
fn disturbances(dir: &RunDir, history: History, load: Phases, summary: &mut Summary) -> anyhow::Result<Timeline> {
    let timeline = Timeline::around(dir, history, Some(load))?;
    let (report, histograms) = phases(&timeline);
    dir.write_phases(&report, &histograms, Duration::from_nanos(load.end_ns))?;
    summary.unavailability = report.unavailability(load.load_start_ns);
    summary.outages = report.kinds.into_iter().map(|kind| kind.outage).collect();
    Ok(timeline)
}

/// What is said of a history beside its verdict, and the history itself.
#[derive(Default)]
struct Beside {
    history: History,
    /// What still holds, where it is not linearizable.
    ladder: Option<Ladder>,
    /// Notes on it.
    notes: Vec<String>,
}

/// Reads the history back from its file, so that what is judged is what is stored. Stores the verdict's certificate.
fn judge(config: &RunConfig, dir: &RunDir) -> anyhow::Result<(Judgement, Beside)> {
    let path = dir.history_path();
    let reading = || format!("cannot read back {}", path.display());
    let loaded = read(dir.open_history()?, Format::Jsonl).with_context(reading)?;
    let budget = Budget { time: config.check_time, memory_bytes: config.check_memory_mib.saturating_mul(1 << 20) };
    let spec = config.workload.kind.model();
    let mut judgement = check(&loaded.history, &spec, &CheckOptions { budget, threads: 0 })
        .with_context(|| format!("cannot judge {}", path.display()))?;
    if let Some(certificate) = judgement.certificate.take() {
        let certificate = CertificateFile::new(&loaded.history, &spec, certificate);
        let mut bytes = Vec::new();
        // The verdict counts more than its proof.
        let written = certificate.write(&mut bytes).map_err(anyhow::Error::from);
        if let Err(error) = written.and_then(|()| Ok(dir.write_certificate(&bytes)?)) {
            eprintln!("trueline: {error:#}");
        }
        judgement.certificate = Some(certificate.certificate);
    }
    let ladder = ladder::is_wanted(&judgement).then(|| ladder::after(&judgement, &loaded.history, &spec, budget));
    let notes = lint(&loaded.history, &spec).into_iter().map(|note| note.words).collect();
    Ok((judgement, Beside { history: loaded.history, ladder, notes }))
}

/// A summary and what goes with it.
struct Summarised {
    summary: Summary,
    exit: ExitCode,
    latencies: Option<Latencies>,
}

/// What is known of every run, also of one that was broken off.
fn outline(config: &RunConfig, dir: &RunDir, judgement: &Judgement) -> Summary {
    let mut summary = Summary::new(config.system_name(), config.workload.kind.name(), config.seed);
    summary.run = Some(dir.id().to_string());
    summary.nodes = config.nodes;
    summary.clients = config.concurrency;
    summary.judge(judgement);
    summary.files = [("run".to_owned(), dir.path().display().to_string())].into();
    if judgement.certificate.is_some() {
        summary.files.insert("certificate".to_owned(), dir.certificate_path().display().to_string());
    }
    if config.report {
        summary.files.insert("report".to_owned(), dir.path().join(REPORT_NAME).display().to_string());
    }
    summary.replay = Some(config.command());
    summary
}

/// A run that could not be carried through: no pass, but a violation in what there is of its history stays one, and so does a node that
/// ended by itself.
fn broken_off(
    config: &RunConfig,
    dir: &RunDir,
    judgement: &Judgement,
    crashes: &[Crash],
    failure: String,
) -> Summarised {
    let mut summary = outline(config, dir, judgement);
    summary.checks = vec![Check::new(CheckName::Consistency, judgement.verdict, judgement.reason.clone())];
    if !crashes.is_empty() {
        summary.checks.push(judge::crash(crashes));
    }
    summary.harness_error = Some(failure);
    let exit = summary.conclude();
    Summarised { summary, exit, latencies: None }
}

fn summarise(config: &RunConfig, dir: &RunDir, found: &Found, kinds: &Kinds) -> Summarised {
    let Found { observed, carried, judgement } = found;
    let mut summary = outline(config, dir, judgement);
    summary.duration_ms = millis(observed.load_time);
    summary.phases = Some(observed.phases);
    summary.checks = checks(config, found, !kinds.chosen.is_empty());
    summary.operations = observed.tally.operations.clone();
    summary.faults = carried.faults.clone();
    summary.leader_changes = observed.leader_changes;
    summary.throughput = observed.tally.throughput.summary(observed.load_time);
    summary.latencies = observed.tally.latencies.table();
    summary.recovery_ms = observed.recovery.map(millis);
    summary.mutant = config.mutant.clone().map(|name| MutantSummary { name, fired: observed.fired });
    if let Some(note) = backlog(&observed.tally) {
        summary.notes.push(note);
    }
    if observed.readiness == Readiness::Disputed {
        summary.notes.push("the nodes did not agree on who leads when the load began".to_owned());
    }
    let exit = summary.conclude();
    Summarised { summary, exit, latencies: Some(observed.tally.latencies.clone()) }
}

/// Operations of an open loop that nobody came to: their waits are in no percentile, which is told where they are many.
fn backlog(tally: &Tally) -> Option<String> {
    let begun = tally.operations.total();
    (tally.not_begun > begun / BACKLOG_PART).then(|| {
        format!(
            "{} operations were due and not begun when the load ended, beside {begun} that were: the rate was more than the clients could \
             keep up with, and latencies are longer than they look",
            tally.not_begun
        )
    })
}

/// One in so many operations may be due when the load ends: a client each is, as a rule.
const BACKLOG_PART: u64 = 100;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
