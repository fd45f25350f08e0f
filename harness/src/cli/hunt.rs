//! `trueline hunt`.

use std::{fs, io::Write, num::NonZeroUsize, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow};
use clap::Args;
use nodes::{mutants::Rating, protocol::ProtocolKind};
use results::{
    exit::ExitCode,
    hunt::{HuntReport, render},
    store::{CollectionDir, CollectionKind, DEFAULT_STORE, Store},
};

use super::parse_duration;
use crate::{
    config::NetworkKind,
    failure::Failure,
    hunt::{HuntConfig, conduct, glob::Glob, plan::Selection},
    progress::Progress,
};

const EXAMPLES: &str = "\
Examples:
  trueline hunt --rating easy                     every mutant rated easy, and what finds it, five seeds each
  trueline hunt --system zab --mutant 'zab-*read*'
  trueline hunt --generic --rating easy,medium    with the mix of everything instead: would your own bug be found?
  trueline hunt --correct --seeds 20              the correct builds and the decoys must raise no alarm
  trueline run --mutant raft-no-dedup …           one run, as the report's last column has it

Exit codes: 0 all as it should be; 1 a mutant rated easy or medium escaped in a run, or a decoy or a correct build raised an alarm;
255 a run failed for reasons of the harness; 2 interrupted, or a correct build without a verdict; 254 wrong usage.
What a mutant is, and which there are: docs/mutants.md.";

/// Flags of `trueline hunt`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct HuntArgs {
    /// Only these systems: raft, multi-paxos, zab [default: all]
    #[arg(long, value_delimiter = ',', value_parser = parse_system, value_name = "LIST")]
    pub system: Vec<ProtocolKind>,
    /// Only targets by these names; * stands for anything
    #[arg(long, default_value = "*", value_name = "GLOB")]
    pub mutant: Glob,
    /// Only mutants of these ratings: easy, medium, hard, decoy [default: all]
    #[arg(long, value_delimiter = ',', value_parser = parse_rating, value_name = "LIST")]
    pub rating: Vec<Rating>,
    /// The correct builds in every mutant's scenario, and the decoys, instead of the mutants
    #[arg(long, conflicts_with = "rating")]
    pub correct: bool,
    /// The mix of all faults instead of each mutant's own scenario; registers or lists and three or five nodes, by seed
    #[arg(long)]
    pub generic: bool,
    /// Runs of each target
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub seeds: u32,
    /// The first of the seeds
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    pub first_seed: u64,
    /// How long each run breaks things [default: by rating 20s, 90s, 300s; decoys and correct builds 20s]
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub budget: Option<Duration>,
    /// Runs at a time [default: twice the processors: runs mostly wait]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub jobs: Option<u32>,
    /// How the nodes of a run are connected: fabric, proxy or auto
    #[arg(long, default_value = "auto", value_name = "KIND")]
    pub network: NetworkKind,
    /// Where the hunt is stored
    #[arg(long, default_value = DEFAULT_STORE, value_name = "DIR")]
    pub store: PathBuf,
    /// Write the figures there, too: the report in the store has every run besides
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Keep every run whole (else not those that passed, and of found mutants not the nodes' data)
    #[arg(long)]
    pub keep_runs: bool,
    /// Neither a progress line nor a line for each run
    #[arg(long, short)]
    pub quiet: bool,
}

fn parse_system(text: &str) -> Result<ProtocolKind, String> {
    let names = ProtocolKind::ALL.map(ProtocolKind::name).join(", ");
    let found = ProtocolKind::ALL.into_iter().find(|kind| kind.name() == text);
    found.ok_or_else(|| format!("{text:?} has no mutants; the systems in the box are {names}"))
}

fn parse_rating(text: &str) -> Result<Rating, String> {
    let names = Rating::ALL.map(Rating::name).join(", ");
    let found = Rating::ALL.into_iter().find(|rating| rating.name() == text);
    found.ok_or_else(|| format!("{text:?} is no rating; there are {names}"))
}

fn all_if_none<T: Copy>(chosen: &[T], all: &[T]) -> Vec<T> {
    if chosen.is_empty() { all.to_vec() } else { chosen.to_vec() }
}

impl HuntArgs {
    fn selection(&self) -> Selection {
        Selection {
            systems: all_if_none(&self.system, &ProtocolKind::ALL),
            names: self.mutant.clone(),
            ratings: all_if_none(&self.rating, &Rating::ALL),
            correct: self.correct,
            generic: self.generic,
            budget: self.budget,
        }
    }

    fn config(&self) -> HuntConfig {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        HuntConfig {
            jobs: self.jobs.unwrap_or_else(|| u32::try_from(2 * processors).unwrap_or(u32::MAX)),
            first_seed: self.first_seed,
            seeds: self.seeds,
            generic: self.generic,
            network: self.network.to_string(),
            keep_runs: self.keep_runs,
        }
    }
}

/// Carries the hunt out, stores its report, and prints it.
///
/// # Errors
/// When nothing is selected, or the harness fails.
pub fn execute(args: &HuntArgs) -> Result<ExitCode, Failure> {
    if args.budget.is_some_and(|budget| budget.is_zero()) {
        return Err(Failure::usage(anyhow!("--budget must be longer than zero")));
    }
    let targets = args.selection().targets();
    if targets.is_empty() {
        let nothing =
            "nothing is called so, of these systems and ratings; `trueline node --list-mutants` lists all mutants";
        return Err(Failure::usage(anyhow!(nothing)));
    }
    let dir = Store::open(&args.store)
        .and_then(|store| store.create_collection(CollectionKind::Hunt))
        .map_err(Failure::harness)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime").map_err(Failure::harness)?;
    let progress = Progress::new(args.quiet);
    let report = runtime.block_on(conduct(&targets, &args.config(), &dir, &progress));
    progress.finish();
    let mut report = report.map_err(Failure::harness)?;
    let exit = report.conclude();
    let stored = store(args, &dir, &report);
    let printed = std::io::stdout().write_all(render(&report).as_bytes()).context("cannot print the report");
    match stored.and_then(|path| printed.map(|()| path)) {
        Ok(path) => eprintln!("trueline: the report is in {}", path.display()),
        // An escape or an alarm stays one, whoever listens.
        Err(error) if exit != ExitCode::Invalid => return Err(Failure::harness(error)),
        Err(error) => eprintln!("trueline: {error:#}"),
    }
    Ok(exit)
}

fn store(args: &HuntArgs, dir: &CollectionDir, report: &HuntReport) -> anyhow::Result<PathBuf> {
    let path = dir.write_report(report)?;
    if let Some(copy) = &args.json {
        let text = format!("{}\n", serde_json::to_string_pretty(&report.in_figures())?);
        fs::write(copy, text).with_context(|| format!("cannot write the report to {}", copy.display()))?;
    }
    Ok(path)
}
