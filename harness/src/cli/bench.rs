//! `trueline bench`.

use std::{fs, io::Write, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow};
use clap::{Args, Parser, Subcommand};
use results::{
    compare::{LEVEL, Options, gate::Threshold},
    exit::ExitCode,
    store::{CollectionKind, DEFAULT_STORE, Store},
    summary::one_line,
    trend::criterion,
};
use workloads::kind::WorkloadKind;

use super::{
    compare::{choose, parse_level},
    parse_duration,
    run::RunArgs,
};
use crate::{
    bench::{
        BenchConfig, conduct,
        plan::{Scenario, Setting, Side, common, flags, sides},
    },
    config::NetworkKind,
    failure::Failure,
    progress::Progress,
    system::system,
};

const EXAMPLES: &str = "\
Examples:
  trueline bench                                            Raft, three nodes, 32 clients, six runs
  trueline bench --system raft,multi-paxos,zab,etcd         in turn, and each against the first
  trueline bench --binary ./old --binary ./new --rounds 10  is the new build slower?
  trueline bench --side 'quorum=' --side 'lease=--reads lease' --scenario latency --rates 500,1000
  trueline bench --scenario recovery --time 20s             after the loss of a leader
  trueline bench --baseline 'label.bench=bench-20261121-011502-ab3f' --fail-on regression=10%
  trueline bench --side one= --side same= --rounds 8 --repeat 40 --time 2s     how often are equals told apart?
  trueline bench import target/criterion                    keep Criterion's last results, for `trueline trend`

Each measurement is a run in the store with the labels bench, side, setting, repeat and turn. What the words mean: docs/benchmarks.md.

Exit codes: 0 measured, every verdict valid, no bound broken; 1 a run was invalid, or something is worse than --fail-on allows, beyond
chance; 255 a run failed for reasons of the harness; 2 interrupted, a run without an answer, or a bound that could not be seen broken;
3 a run in which nothing happened; 254 wrong usage.";

/// The warm-up of a quick bench.
const QUICK_WARM_UP: Duration = Duration::from_millis(500);

/// Flags of `trueline bench`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct BenchArgs {
    /// Something else than measuring
    #[command(subcommand)]
    pub action: Option<BenchAction>,
    /// What is measured; several are compared, each with the first
    #[arg(long, value_delimiter = ',', default_value = "raft", value_name = "LIST")]
    pub system: Vec<String>,
    /// The server's executable; several are compared, each with the first
    #[arg(long, value_name = "PATH")]
    pub binary: Vec<PathBuf>,
    /// A side made by further flags of `trueline run`: NAME=FLAGS; several are compared, each with the first
    #[arg(long, value_name = "NAME=FLAGS")]
    pub side: Vec<String>,
    /// throughput (closed loop), latency (open loop), recovery (open loop, leaders killed), faults (open loop, all faults), or all
    #[arg(long, value_delimiter = ',', default_value = "throughput", value_parser = parse_scenario, value_name = "LIST")]
    pub scenario: Vec<Scenarios>,
    /// Runs of each side in each setting; with fewer than four nothing is claimed, and six are enough for up to 23 figures
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rounds: u32,
    /// Do everything so many times, each a comparison of its own, and count those that claim something
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeat: u32,
    /// Load of one run
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    pub time: Duration,
    /// Load before that, which counts, too: it lets connections and leaders settle before faults begin
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    pub warm_up: Duration,
    /// Open loop: operations a second
    #[arg(long, value_delimiter = ',', default_value = "500,1000,2000", value_name = "LIST", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rates: Vec<u32>,
    /// Closed loop: clients
    #[arg(long, value_delimiter = ',', default_value = "32", value_name = "LIST", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: Vec<u32>,
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub nodes: u32,
    /// What clients do (docs/workloads.md)
    #[arg(long, default_value = "register", value_name = "NAME")]
    pub workload: WorkloadKind,
    /// The first run's seed; the others count on from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How the nodes of a run are connected: fabric, proxy or auto
    #[arg(long, default_value = "auto", value_name = "KIND")]
    pub network: NetworkKind,
    /// Compare with these stored runs of the same machine and settings, instead of the first side
    #[arg(long, value_name = "RUNS")]
    pub baseline: Option<String>,
    /// Figures to compare [default: throughput, p50 and p99, times of faults]
    #[arg(long = "metric", value_delimiter = ',', value_name = "NAME")]
    pub metrics: Vec<String>,
    /// Fail where something is worse by more, beyond chance: regression=5%, p99=10%
    #[arg(long, value_delimiter = ',', value_name = "FIGURE=PERCENT")]
    pub fail_on: Vec<Threshold>,
    /// The chance of any false claim in one comparison
    #[arg(long, default_value_t = LEVEL, value_parser = parse_level, value_name = "P")]
    pub level: f64,
    /// Two short runs a side: figures, and no claims
    #[arg(long, conflicts_with_all = ["rounds", "time", "warm_up", "fail_on"])]
    pub quick: bool,
    /// Where runs are stored
    #[arg(long, default_value = DEFAULT_STORE, value_name = "DIR")]
    pub store: PathBuf,
    /// Write the report there, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Neither a progress line nor a line for each run
    #[arg(long, short)]
    pub quiet: bool,
}

/// What else there is.
#[derive(Clone, Debug, Subcommand)]
pub enum BenchAction {
    /// Keep the last results of Criterion's benchmarks in the store, for `trueline trend criterion.GROUP/NAME`
    Import(ImportArgs),
}

/// Flags of `trueline bench import`.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// Criterion's directory
    #[arg(default_value = "target/criterion", value_name = "DIR")]
    pub directory: PathBuf,
    /// Where to keep them
    #[arg(long, default_value = DEFAULT_STORE, value_name = "DIR")]
    pub store: PathBuf,
}

/// One word of a list of scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenarios {
    /// This one.
    One(Scenario),
    /// Every one.
    All,
}

fn parse_scenario(text: &str) -> Result<Scenarios, String> {
    let found = Scenario::ALL.into_iter().find(|scenario| scenario.name() == text).map(Scenarios::One);
    let found = found.or_else(|| (text == "all").then_some(Scenarios::All));
    found.ok_or_else(|| {
        format!("{text:?} is no scenario; there are {} and all", Scenario::ALL.map(Scenario::name).join(", "))
    })
}

/// Measures, compares, stores the report, and prints it.
///
/// # Errors
/// When flags make no sense, or the harness fails.
pub fn execute(args: &BenchArgs) -> Result<ExitCode, Failure> {
    if let Some(BenchAction::Import(import)) = &args.action {
        return take_in(import);
    }
    let store = Store::open(&args.store).map_err(Failure::harness)?;
    let config = args.config(&store)?;
    let dir = store.create_collection(CollectionKind::Bench).map_err(Failure::harness)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime").map_err(Failure::harness)?;
    let progress = Progress::new(args.quiet);
    let conducted = runtime.block_on(conduct(&config, &store, &dir, &progress));
    progress.finish();
    let (report, exit) = conducted.map_err(Failure::harness)?;
    let stored = dir.write_report(&report).map_err(anyhow::Error::from).and_then(|path| {
        if let Some(copy) = &args.json {
            fs::write(copy, format!("{}\n", serde_json::to_string_pretty(&report)?))
                .with_context(|| format!("cannot write the report to {}", copy.display()))?;
        }
        Ok(path)
    });
    let printed = std::io::stdout().write_all(report.render().as_bytes()).context("cannot print the report");
    match stored.and_then(|path| printed.map(|()| path)) {
        Ok(path) => {
            eprintln!("trueline: the report is in {}; its runs are label.bench={}", path.display(), report.bench)
        }
        // A violation or a regression stays one, whoever listens.
        Err(error) if exit != ExitCode::Invalid => return Err(Failure::harness(error)),
        Err(error) => eprintln!("trueline: {error:#}"),
    }
    Ok(exit)
}

fn take_in(args: &ImportArgs) -> Result<ExitCode, Failure> {
    let lines = criterion::read(&args.directory).map_err(Failure::usage)?;
    let store = Store::open(&args.store).map_err(Failure::harness)?;
    let new = criterion::import(&store, &lines).map_err(Failure::harness)?;
    let mut text = String::new();
    for line in &lines {
        text += &format!("criterion.{}\n", one_line(&line.name));
    }
    text += &format!("{new} of {} results were new\n", lines.len());
    std::io::stdout().write_all(text.as_bytes()).context("cannot print").map_err(Failure::harness)?;
    Ok(ExitCode::Valid)
}

impl BenchArgs {
    fn config(&self, store: &Store) -> Result<BenchConfig, Failure> {
        let (rounds, time, warm_up) = match self.quick {
            true => (2, Duration::from_secs(1), QUICK_WARM_UP),
            false => (self.rounds, self.time, self.warm_up),
        };
        let common = common(self.nodes, self.workload.name(), time, warm_up);
        let settings = self.settings();
        let all = sides(&self.system, &self.binary, &self.side).map_err(Failure::usage)?;
        let (mut sides, mut left_out) = (Vec::new(), Vec::new());
        for side in all {
            match self.check(&side, &settings, &common)? {
                // Of several systems one may not be installed here; of one that was asked for alone that is an error.
                Some(missing) if self.system.len() > 1 => left_out.push(format!("{}: {missing}", side.name)),
                Some(missing) => return Err(Failure::usage(anyhow!(missing))),
                None => sides.push(side),
            }
        }
        if !self.fail_on.is_empty() && !left_out.is_empty() {
            let what = format!("--fail-on cannot guard what is not here: {}", left_out.join("; "));
            return Err(Failure::usage(anyhow!(what)));
        }
        if sides.is_empty() {
            return Err(Failure::usage(anyhow!("none of these systems is here: {}", left_out.join("; "))));
        }
        if !self.fail_on.is_empty() && sides.len() < 2 && self.baseline.is_none() {
            return Err(Failure::usage(anyhow!(
                "--fail-on needs something to compare with: --baseline, or a second side"
            )));
        }
        let baseline = match &self.baseline {
            Some(text) => Some((text.clone(), choose(text, &store.entries().map_err(Failure::harness)?, store)?)),
            None => None,
        };
        Ok(BenchConfig {
            sides,
            left_out,
            settings,
            common,
            rounds,
            repeats: self.repeat,
            first_seed: self.seed,
            load: time + warm_up,
            network: self.network.to_string(),
            options: Options {
                metrics: self.metrics.clone(),
                guarded: self.fail_on.iter().map(|threshold| threshold.metric.clone()).collect(),
                level: self.level,
                ..Options::default()
            },
            fail_on: self.fail_on.clone(),
            baseline,
        })
    }

    fn settings(&self) -> Vec<Setting> {
        let wanted = |scenario: &Scenario| {
            self.scenario.contains(&Scenarios::All) || self.scenario.contains(&Scenarios::One(*scenario))
        };
        let of = |scenario: Scenario| scenario.settings(&self.concurrency, &self.rates);
        let mut settings: Vec<Setting> = Scenario::ALL.into_iter().filter(wanted).flat_map(of).collect();
        settings.dedup();
        settings
    }

    /// Whether `trueline run` would take the flags of a side in each setting, before any time is spent; says which program is missing, if
    /// one is.
    fn check(&self, side: &Side, settings: &[Setting], common: &[String]) -> Result<Option<String>, Failure> {
        #[derive(Parser)]
        #[command(name = "trueline run", no_binary_name = true)]
        struct Flags {
            #[command(flatten)]
            run: RunArgs,
        }
        for setting in settings {
            let flags = flags(common, setting, side);
            let wrong = |why: &str| Failure::usage(anyhow!("the side {}, {}: {why}", side.name, setting.name));
            let parsed = Flags::try_parse_from(&flags).map_err(|error| wrong(first_line(&error.to_string())))?;
            let config = parsed.run.config().map_err(|error| wrong(&error.to_string()))?;
            if let Err(missing) = system(&config) {
                return Ok(Some(missing.to_string()));
            }
        }
        Ok(None)
    }
}

/// What a message of the command line's parser says first; the rest is advice on other flags.
fn first_line(text: &str) -> &str {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or(text).trim_start_matches("error: ")
}
