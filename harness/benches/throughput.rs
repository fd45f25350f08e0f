//! Acknowledged writes a second of the systems that are here, side by side in one run: three and five nodes, 32 clients, synced to
//! disk.
//!
//! ```text
//!   cargo bench -p trueline --bench throughput     systems in turn, A B C D D C B A A B C D, then medians, spread and ratios
//! ```
//!
//! All systems get the same network, the same clients and the same directory, so that only they differ. Absolute figures are
//! those of this machine, clients included; the ratio is what to look at. etcd is left out where there is none in PATH.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use checkers::history::ProcessId;
use clap::Parser;
use results::sink::HistorySink;
use tokio::{sync::watch, task::JoinSet};
use trueline::{
    cli::run::RunArgs,
    cluster::{Cluster, ClusterPaths, ClusterPlan},
    config::{RunConfig, SystemKind},
    load::{Pace, Shared, Tally, Worker, work},
    network::{Kind, Network, NetworkPlan, enter::enter},
    system::system,
};
use workloads::generator::{Generator, Mix};

const CLIENTS: u32 = 32;
const SIZES: [u32; 2] = [3, 5];
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(5);
/// How often each system has its turn.
const ROUNDS: usize = 3;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    run: RunArgs,
}

fn main() -> anyhow::Result<()> {
    // Before there is any thread: the process forks into its namespaces.
    let network = Kind::Fabric(enter()?);
    let runtime = tokio::runtime::Runtime::new()?;
    for nodes in SIZES {
        runtime.block_on(compare(nodes, network))?;
    }
    Ok(())
}

/// All systems with so many nodes, in turn, forwards and backwards.
async fn compare(nodes: u32, network: Kind) -> anyhow::Result<()> {
    let mut systems = Vec::new();
    for kind in SystemKind::ALL {
        match system(&config(kind, nodes)?) {
            Ok(_) => systems.push(kind),
            Err(missing) => println!("{kind} is left out: {missing}"),
        }
    }
    let mut rates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    println!("\n{nodes} nodes");
    println!("{:>12}  {:>12}  {:>10}  {:>10}", "system", "ok writes/s", "p50 ms", "p99 ms");
    for _ in 0..ROUNDS {
        for &kind in &systems {
            let (rate, p50, p99) = measure(kind, nodes, network).await.with_context(|| format!("measuring {kind}"))?;
            println!("{:>12}  {rate:>12.0}  {p50:>10.2}  {p99:>10.2}", kind.name());
            rates.entry(kind.name()).or_default().push(rate);
        }
        systems.reverse();
    }
    for of_kind in rates.values_mut() {
        of_kind.sort_by(f64::total_cmp);
    }
    let fastest = rates.values().map(|of_kind| of_kind[of_kind.len() / 2]).fold(0.0, f64::max);
    for (name, of_kind) in &rates {
        let median = of_kind[of_kind.len() / 2];
        let (least, most) = (of_kind[0], of_kind[of_kind.len() - 1]);
        println!("median: {name:>12} {median:>7.0}  ({least:.0} to {most:.0})  {:.2} of the fastest", median / fastest);
    }
    Ok(())
}

fn config(kind: SystemKind, nodes: u32) -> anyhow::Result<RunConfig> {
    let (nodes, clients) = (nodes.to_string(), CLIENTS.to_string());
    let system = kind.to_string();
    // Cargo's own `--bench` is not for us, so the flags are made here. Nodes run from the binary, not from this bench.
    let mut words = vec!["bench", "--nodes", &nodes, "--concurrency", &clients, "--system", &system, "--seed", "1"];
    if kind != SystemKind::Etcd {
        words.extend(["--binary", env!("CARGO_BIN_EXE_trueline")]);
    }
    let mut config = Flags::parse_from(words).run.config()?;
    config.workload.mix = Mix { reads: 0, writes: 100, cas: 0 };
    Ok(config)
}

async fn measure(kind: SystemKind, nodes: u32, network: Kind) -> anyhow::Result<(f64, f64, f64)> {
    let config = config(kind, nodes)?;
    let system = system(&config)?;
    // Beside the crate, so that it is on the disk that runs are stored on, and not in memory.
    let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR"))?;
    let paths = ClusterPaths { logs: directory.path().join("logs"), data: directory.path().join("data") };
    std::fs::create_dir(&paths.logs)?;
    let plan =
        NetworkPlan { nodes, peer_port: system.peer_port(), client_port: system.client_port(), seed: 1, kind: network };
    let network = Arc::new(Network::start(&plan)?);
    let plan = ClusterPlan {
        system,
        network,
        relay: None,
        nodes,
        spares: 0,
        node_faults: false,
        seed: 1,
        name: "bench".to_owned(),
    };
    let cluster = Cluster::new(plan, &paths)?;
    cluster.revive(None)?;
    cluster.wait_ready(Duration::from_secs(20), &paths.logs).await?;

    let history = std::fs::File::create(directory.path().join("history.jsonl"))?;
    let sink = HistorySink::start(history, &config.workload.kind.model(), Instant::now())?;
    let shared = Shared {
        recorder: sink.recorder(),
        begun: Arc::new(AtomicU64::new(0)),
        counting: Arc::new(AtomicBool::new(true)),
        load_start: 0,
        timeout: config.timeout,
    };
    let run = async |length: Duration, first_process: u64| -> anyhow::Result<(Tally, Duration)> {
        let (stop, stopped) = watch::channel(false);
        let mut clients = JoinSet::new();
        let begin = Instant::now();
        for client in 0..CLIENTS {
            let worker = Worker {
                client: cluster.system().client(cluster.client_address(client % nodes + 1))?,
                process: ProcessId(first_process + u64::from(client)),
                stride: 1_000_000,
                shared: shared.clone(),
                tally: Tally::default(),
            };
            let generator = Generator::new(&config.workload, config.seed, client);
            clients.spawn(work(worker, generator, Pace::Closed, stopped.clone()));
        }
        tokio::time::sleep(length).await;
        stop.send_replace(true);
        let mut tally = Tally::default();
        while let Some(worked) = clients.join_next().await {
            tally.merge(worked??);
        }
        Ok((tally, begin.elapsed()))
    };
    run(WARM_UP, 0).await?;
    let (tally, took) = run(MEASURED, 1_000).await?;
    cluster.stop();
    sink.finish()?;
    let ok: u64 = tally.operations.by_function.values().map(|counts| counts.ok).sum();
    let row = tally.latencies.table().into_iter().next().context("no operation ended")?;
    Ok((ok as f64 / took.as_secs_f64(), row.p50_ns as f64 / 1e6, row.p99_ns as f64 / 1e6))
}
