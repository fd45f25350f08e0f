//! `trueline replay`.

use std::{io::Write, path::PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use results::{
    exit::ExitCode,
    replay::render,
    store::{CollectionKind, DEFAULT_STORE, Store},
};

use super::run::{Prepared, carry_out, end_with, prepare};
use crate::{
    failure::Failure,
    progress::Progress,
    replay::{Faults, ReplayConfig, Stored, conduct, find},
    run::FaultSource,
};

const EXAMPLES: &str = "\
Examples:
  trueline replay latest                        the newest run, five times: how often does it come out the same?
  trueline replay 336e --times 20 --jobs 2
  trueline replay 336e --faults recorded        the faults as they were carried out, at their moments, instead of the plan of its seed
  trueline replay path/to/20261121-184150-336e  a run from elsewhere: its program is started, so trust it first

A replay reproduces a run in which a check failed if the same check fails again, and any other run if the verdict is the same. Failures of
the harness, and replays that came to no answer or tested nothing, are told and not counted. How faults are carried out again, and how often that
brings a violation back: docs/replay.md.

Exit codes: the worst of the replays: 1 if one was invalid, then 255, 2, 3, 0; 254 wrong usage.";

/// Flags of `trueline replay`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ReplayArgs {
    /// The run: a name, the beginning of one, `latest`, or the path of its directory
    pub run: String,
    /// How often it is carried out
    #[arg(long, default_value_t = 5, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub times: u32,
    /// Where faults come from: planned (by the seed, aimed at the roles of the moment) or recorded (as they were carried out, at their moments, with the roles of now)
    #[arg(long, default_value = "planned", value_name = "KIND")]
    pub faults: Faults,
    /// Replays at a time; more than one make each other slower, which a violation may need or not bear
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub jobs: u32,
    /// Start the program that an imported run names
    #[arg(long)]
    pub trust: bool,
    /// Keep every replay whole (else violations without the nodes' data, and the first of the others)
    #[arg(long)]
    pub keep: bool,
    /// Where the run is, unless RUN is a path, and where replays go
    #[arg(long, default_value = DEFAULT_STORE, value_name = "DIR")]
    pub store: PathBuf,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
    /// Neither a progress line nor a line for each replay
    #[arg(long, short)]
    pub quiet: bool,
    /// Carry it out once, in this process, into this store of its own
    #[arg(long, value_name = "DIR", hide = true)]
    pub into: Option<PathBuf>,
    /// End as soon as this process ends, which must be the one that started this one
    #[arg(long, value_name = "PID", hide = true)]
    pub parent: Option<i32>,
}

/// Carries the run out again, and prints how often it came out the same.
///
/// # Errors
/// When the run cannot be replayed, or the harness fails.
pub fn execute(args: &ReplayArgs) -> Result<ExitCode, Failure> {
    if let Some(parent) = args.parent {
        end_with(parent).map_err(Failure::harness)?;
    }
    let stored = find(&args.store, &args.run).map_err(Failure::usage)?;
    let stored = Stored::read(stored).map_err(Failure::usage)?;
    if args.into.is_none() && !args.trust {
        stored.check_origin().map_err(Failure::usage)?;
    }
    let mut config = stored.config.clone();
    if let Some(into) = &args.into {
        (config.store, config.keep_data) = (into.clone(), false);
    }
    let prepared = prepare(config)?;
    let faults = faults(args.faults, &stored, &prepared).map_err(Failure::usage)?;
    match args.into {
        Some(_) => carry_out(prepared, &faults, true),
        None => replay(args, &stored, &prepared),
    }
}

fn faults(faults: Faults, stored: &Stored, prepared: &Prepared) -> anyhow::Result<FaultSource> {
    Ok(match faults {
        Faults::Planned => FaultSource::Planned,
        Faults::Recorded => FaultSource::Recorded(stored.schedule(prepared)?),
    })
}

fn replay(args: &ReplayArgs, stored: &Stored, prepared: &Prepared) -> Result<ExitCode, Failure> {
    let config = ReplayConfig { faults: args.faults, times: args.times, jobs: args.jobs, keep: args.keep };
    let dir = Store::open(&args.store)
        .and_then(|store| store.create_collection(CollectionKind::Replay))
        .map_err(Failure::harness)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime").map_err(Failure::harness)?;
    let progress = Progress::new(args.quiet);
    let report = runtime.block_on(conduct(stored, &config, &dir, stored.differences(prepared), &progress));
    progress.finish();
    let report = report.map_err(Failure::harness)?;
    let exit = report.exit();
    let stored = dir.write_report(&report).map_err(anyhow::Error::from);
    let json = || serde_json::to_string(&report).map(|json| json + "\n").map_err(|error| anyhow!(error));
    let text = if args.json { json() } else { Ok(render(&report)) };
    let print = |text: String| std::io::stdout().write_all(text.as_bytes()).context("cannot print the report");
    match stored.and_then(|path| text.and_then(print).map(|()| path)) {
        Ok(path) if !args.json => eprintln!("trueline: the report is in {}", path.display()),
        Ok(_) => {}
        // A violation stays one, whoever listens.
        Err(error) if exit != ExitCode::Invalid => return Err(Failure::harness(error)),
        Err(error) => eprintln!("trueline: {error:#}"),
    }
    Ok(exit)
}
