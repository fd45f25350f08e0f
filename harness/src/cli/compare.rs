//! `trueline compare`.

use std::{io::Write, path::PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use results::{
    compare::{
        Comparison, LEVEL, Options, Set, compare, fit, gate::Threshold, gate::gate, render, single_rows, usable,
    },
    exit::ExitCode,
    store::{DEFAULT_STORE, RunEntry, Selection, Store},
};

use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  trueline compare label.build=old label.build=new
  trueline compare 'system=raft rate=1000' 'system=zab rate=1000' --across system
  trueline compare --baseline label.bench=main 'revision=5e63d20 since=2026-11-01' --fail-on regression=5%
  trueline compare 336e 4a01                            two single runs: described, without a claim

A set of runs is written as terms with spaces between them (docs/benchmarks.md): system=raft, workload=append, rate=500,
verdict=valid, label.KEY=VALUE, revision=5e63d20, since=2026-11-01, until=…, machine=here, names of runs with commas, latest:20.

Exit codes: 0 compared, and no bound broken; 1 worse than --fail-on allows, beyond chance; 2 a bound that could not be seen broken with
so few runs; 3 no run counts; 254 wrong usage, or sets that must not be compared; 255 the store cannot be read.";

/// Flags of `trueline compare`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CompareArgs {
    /// Which runs: A, then B; with --baseline only B
    #[arg(required = true, num_args = 1..=2, value_name = "RUNS")]
    pub sets: Vec<String>,
    /// What to compare with: another way to write A
    #[arg(long, value_name = "RUNS")]
    pub baseline: Option<String>,
    /// Figures to compare: throughput, read.p99, p99 of all operations, all …; repeatable [default: throughput, p50 and p99, times of faults]
    #[arg(long = "metric", value_name = "NAME", value_delimiter = ',')]
    pub metrics: Vec<String>,
    /// Settings that may differ, because they are what is compared: system, nodes, rate, link-delay …; repeatable
    #[arg(long, value_name = "SETTING", value_delimiter = ',')]
    pub across: Vec<String>,
    /// Fail where B is worse by more, beyond chance: regression=5% for every figure, p99=10% for some; repeatable
    #[arg(long, value_name = "FIGURE=PERCENT", value_delimiter = ',')]
    pub fail_on: Vec<Threshold>,
    /// The chance of any false claim, over all figures together
    #[arg(long, default_value_t = LEVEL, value_parser = parse_level, value_name = "P")]
    pub level: f64,
    /// Count runs whose verdict is not valid, too
    #[arg(long)]
    pub include_all: bool,
    /// Compare what should not be compared: other machines, other settings
    #[arg(long)]
    pub force: bool,
    /// Where the runs are
    #[arg(long, default_value = DEFAULT_STORE, value_name = "DIR")]
    pub store: PathBuf,
    /// Print the comparison as JSON
    #[arg(long)]
    pub json: bool,
}

/// A level of a test.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_level(text: &str) -> Result<f64, String> {
    let level = text.parse::<f64>().ok().filter(|level| *level > 0.0 && *level < 0.5);
    level.ok_or_else(|| format!("{text:?} is no level; write a chance between 0 and 0.5, as in 0.05"))
}

/// The runs that a text selects; that there are some is seen to.
///
/// # Errors
/// When it selects none, or is no selection.
pub fn choose(text: &str, entries: &[RunEntry], store: &Store) -> Result<Vec<RunEntry>, Failure> {
    let selection = Selection::parse(text).map_err(Failure::usage)?;
    if selection.is_all() {
        return Err(Failure::usage(anyhow!("an empty selection would mean every run; say which, as in system=raft")));
    }
    let chosen = selection.choose(entries).map_err(Failure::usage)?;
    match chosen.is_empty() {
        true => Err(Failure::usage(anyhow!(
            "none of the {} runs in {} fits {text:?}; `trueline runs` lists them",
            entries.len(),
            store.path().display()
        ))),
        false => Ok(chosen),
    }
}

impl CompareArgs {
    fn two_sets(&self) -> Result<(&str, &str), Failure> {
        match (&self.baseline, &self.sets[..]) {
            (Some(a), [b]) | (None, [a, b]) => Ok((a, b)),
            (Some(_), _) => Err(Failure::usage(anyhow!("with --baseline there is one other set of runs, not two"))),
            (None, _) => {
                Err(Failure::usage(anyhow!("two sets of runs are compared: write A and B, or --baseline A and B")))
            }
        }
    }

    /// What is to be looked at.
    fn options(&self) -> Options {
        let guarded = self.fail_on.iter().map(|threshold| threshold.metric.clone()).collect();
        Options { metrics: self.metrics.clone(), guarded, level: self.level, ..Options::default() }
    }
}

/// Compares two sets of runs, and prints what came out.
///
/// # Errors
/// When a set is none, or both should not be compared; and when the store cannot be read.
pub fn execute(args: &CompareArgs) -> Result<ExitCode, Failure> {
    let (name_a, name_b) = args.two_sets()?;
    if !args.store.is_dir() {
        return Err(Failure::usage(anyhow!("there is no store in {}; --store names another", args.store.display())));
    }
    let store = Store::open(&args.store).map_err(Failure::harness)?;
    let entries = store.entries().map_err(Failure::harness)?;
    let (a, b) = (choose(name_a, &entries, &store)?, choose(name_b, &entries, &store)?);
    check_apart(&a, &b)?;
    let counting = |runs: &[RunEntry]| {
        runs.iter().filter(|run| usable(run, args.include_all).is_ok()).cloned().collect::<Vec<RunEntry>>()
    };
    let (set_a, set_b) = (Set::of(name_a, &a, args.include_all), Set::of(name_b, &b, args.include_all));
    let (a, b) = (counting(&a), counting(&b));
    for (name, set) in [("A", &set_a), ("B", &set_b)] {
        if set.runs.is_empty() {
            let why = set.left_out.first().map_or("", String::as_str);
            eprintln!(
                "trueline: no run of {name} counts, {} do not: {}",
                set.left_out.len(),
                results::summary::one_line(why)
            );
            return Ok(ExitCode::Vacuous);
        }
    }
    let differences = fit::differences(&a, &b, &args.across);
    if !differences.is_empty() && !args.force {
        let what = differences.join("; ");
        return Err(Failure::usage(anyhow!(
            "these runs are not to be compared as they are, for they differ in {what}. Narrow the sets, say --across SETTING for what you mean to \
             compare, or --force"
        )));
    }
    let mut comparison = compare(&set_a, &set_b, &args.options());
    comparison.forced = differences;
    if let ([one], [other]) = (&a[..], &b[..])
        && let (Some(one), Some(other)) = (&one.summary, &other.summary)
    {
        comparison.single = single_rows(one, other);
    }
    if !args.fail_on.is_empty() {
        comparison.gate = Some(gate(&comparison.rows, &comparison.one_sided, &args.fail_on));
    }
    let exit = comparison.gate.as_ref().map_or(ExitCode::Valid, |gate| gate.exit());
    match print(args, &comparison) {
        // A regression stays one, whoever listens.
        Err(error) if exit != ExitCode::Invalid => Err(Failure::harness(error)),
        _ => Ok(exit),
    }
}

/// A run on both sides would be compared with itself.
fn check_apart(a: &[RunEntry], b: &[RunEntry]) -> Result<(), Failure> {
    let both: Vec<&str> = a
        .iter()
        .map(|run| run.dir.id())
        .filter(|id| b.iter().any(|run| run.dir.id() == *id))
        .map(|id| id.as_str())
        .collect();
    match &both[..] {
        [] => Ok(()),
        [one] => Err(Failure::usage(anyhow!("the run {one} is in both sets"))),
        [first, ..] => Err(Failure::usage(anyhow!("{} runs are in both sets, the first is {first}", both.len()))),
    }
}

fn print(args: &CompareArgs, comparison: &Comparison) -> anyhow::Result<()> {
    let text = match args.json {
        true => format!("{}\n", serde_json::to_string_pretty(comparison)?),
        false => render(comparison),
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot print the comparison")
}
