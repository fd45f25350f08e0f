//! `trueline trend`.

use std::{
    fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::Args;
use results::{
    compare::gate::Threshold,
    exit::ExitCode,
    metrics::Metric,
    store::{DEFAULT_STORE, Machine, RunEntry, Selection, Store},
    summary::one_line,
    trend::{Point, Trend, by_revision, chart, criterion, exit, gate, page, series, the_metric, trend},
};

use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  trueline trend throughput                             runs like the newest one of this machine
  trueline trend read.p99 system=raft rate=1000 since=2026-11-01
  trueline trend throughput --like 336e --by-revision --html trend.html
  trueline trend throughput --fail-on regression=5%     1 if the last step is one for the worse by more
  trueline bench import target/criterion; trueline trend criterion.judge/registers

Figures: throughput, lowest-second, unanswered, recovery, leader-changes, KIND.p50, .p99, .p999 for each kind of operation,
failover.FAULT, recovery.FAULT, unavailable.FAULT, criterion.GROUP/NAME. Which runs: as with `trueline compare`.

Exit codes: 0 shown, and no bound broken; 1 the last step is for the worse by more than --fail-on allows; 2 with --fail-on: fewer than
12 points, or the points since the last step are too few or scatter too much for a step that large to be seen among the last four;
254 wrong usage, no such run or figure; 255 the store cannot be read.";

/// The width of a chart that goes to no terminal.
const USUAL_WIDTH: usize = 100;

/// Flags of `trueline trend`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TrendArgs {
    /// The figure to follow
    #[arg(value_name = "FIGURE")]
    pub metric: String,
    /// Only these runs [default: all, of which those count that are like the newest one]
    #[arg(value_name = "RUNS")]
    pub selection: Vec<String>,
    /// Only runs of then or later: 2026-11-01, 2026-11-01T12:30
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only runs of then or earlier
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Follow runs of the machine and configuration of this one [default: the newest one of this machine]
    #[arg(long, value_name = "RUN")]
    pub like: Option<String>,
    /// One point for the runs of a revision (and side of a bench) that follow each other: their median
    #[arg(long)]
    pub by_revision: bool,
    /// Fail if the last step is for the worse by more than this, or if one that large might not have been seen: regression=5%
    #[arg(long, value_name = "FIGURE=PERCENT", value_delimiter = ',')]
    pub fail_on: Vec<Threshold>,
    /// Count runs whose verdict is not valid, too
    #[arg(long)]
    pub include_all: bool,
    /// Write the picture there
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Write a page there, with picture, steps and points
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Where the runs are
    #[arg(long, default_value = DEFAULT_STORE, value_name = "DIR")]
    pub store: PathBuf,
    /// Print the trend as JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows a figure over time.
///
/// # Errors
/// When there is no such figure or run, or files cannot be read or written.
pub fn execute(args: &TrendArgs) -> Result<ExitCode, Failure> {
    if !args.store.is_dir() {
        return Err(Failure::usage(anyhow!("there is no store in {}; --store names another", args.store.display())));
    }
    let store = Store::open(&args.store).map_err(Failure::harness)?;
    let (metric, points, notes) = match args.metric.starts_with("criterion.") {
        true => benchmarks(args, &store)?,
        false => runs(args, &store)?,
    };
    let points = if args.by_revision { by_revision(&points) } else { points };
    let found = trend(metric, points, notes);
    for (path, text) in [(&args.svg, page::svg as fn(&Trend) -> String), (&args.html, page::html)] {
        if let Some(path) = path {
            write(path, &text(&found)).map_err(Failure::harness)?;
        }
    }
    let said = (!args.fail_on.is_empty()).then(|| gate(&found, &args.fail_on));
    let code = said.as_ref().map_or(ExitCode::Valid, |(result, _)| exit(*result));
    let text = match args.json {
        true => format!(
            "{}\n",
            serde_json::to_string_pretty(&found).context("cannot write JSON").map_err(Failure::harness)?
        ),
        false => chart::render(&found, width()),
    };
    let printed = std::io::stdout().write_all(text.as_bytes()).context("cannot print the trend");
    if let Some((_, why)) = &said {
        eprintln!("trueline: {}", one_line(why));
    }
    match printed {
        // A regression stays one, whoever listens.
        Err(error) if code != ExitCode::Invalid => Err(Failure::harness(error)),
        _ => Ok(code),
    }
}

type Series = (Metric, Vec<Point>, Vec<String>);

fn runs(args: &TrendArgs, store: &Store) -> Result<Series, Failure> {
    let mut terms = args.selection.clone();
    terms.extend(args.since.iter().map(|time| format!("since={time}")));
    terms.extend(args.until.iter().map(|time| format!("until={time}")));
    let selection = Selection::of(&terms).map_err(Failure::usage)?;
    let entries = store.entries().map_err(Failure::harness)?;
    let chosen = selection.choose(&entries).map_err(Failure::usage)?;
    if chosen.is_empty() {
        let all = entries.len();
        return Err(Failure::usage(anyhow!("none of the {all} runs in {} fits {selection}", store.path().display())));
    }
    let like = args.like.as_deref().map(|name| like(name, store, &entries)).transpose()?;
    series(&chosen, &args.metric, like, args.include_all).map_err(Failure::usage)
}

fn like<'a>(name: &str, store: &Store, entries: &'a [RunEntry]) -> Result<&'a RunEntry, Failure> {
    let dir = store.resolve(name).map_err(Failure::usage)?;
    let entry = entries.iter().find(|entry| entry.dir.id() == dir.id());
    entry.ok_or_else(|| Failure::usage(anyhow!("the run {} has just gone", dir.id())))
}

fn benchmarks(args: &TrendArgs, store: &Store) -> Result<Series, Failure> {
    if !args.selection.is_empty() || args.since.is_some() || args.until.is_some() || args.like.is_some() {
        return Err(Failure::usage(anyhow!(
            "terms, --since, --until and --like select runs; a benchmark's results are no runs"
        )));
    }
    let lines = criterion::stored(store).map_err(Failure::harness)?;
    if lines.is_empty() {
        let none = "no benchmark of Criterion's was imported; `trueline bench import target/criterion` takes them in";
        return Err(Failure::usage(anyhow!(none)));
    }
    let metric = the_metric(criterion::metrics(&lines).iter(), &args.metric).map_err(Failure::usage)?;
    let (points, elsewhere) = criterion::points(&lines, &metric, &Machine::here());
    let notes = (elsewhere > 0).then(|| format!("{elsewhere} points of other machines left out")).into_iter().collect();
    Ok((metric, points, notes))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The terminal's, if it is one.
fn width() -> usize {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return USUAL_WIDTH;
    }
    rustix::termios::tcgetwinsize(stdout).map_or(USUAL_WIDTH, |size| usize::from(size.ws_col))
}
