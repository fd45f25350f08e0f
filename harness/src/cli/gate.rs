//! `trueline gate`.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::Args;
use results::{
    exit::ExitCode,
    gate::{GateReport, annotations::annotations, markdown, render},
    store::{DEFAULT_STORE, Store},
};

use super::parse_duration;
use crate::{
    failure::Failure,
    gate::{
        Conducted, GateConfig, conduct, default_jobs,
        plan::{Choice, Partition, Plan, SeedChoice},
    },
    progress::Progress,
    settings::{Settings, USUAL, profile::DEFAULT},
};

const EXAMPLES: &str = "\
Examples:
  trueline gate                                   the scenarios of trueline.toml in this directory
  trueline gate --list                            which there are, with their command lines
  trueline gate --profile ci --output target/gate junit.xml, summary.md and gate.json go there, too
  trueline gate --profile nightly --partition 3/10 --time-budget 50m
  trueline gate --scenario 'raft-*' --seed 17     one seed of some scenarios

Exit codes, the worst of all jobs in this order:
  1    an unexpected violation, or an expected one that was not found
  255  a run came to no verdict for reasons of the harness or the machine, also when it was tried again
  2    no answer, no time left, or interrupted
  3    nothing was tested: a vacuous run, or no job in the whole plan (an empty partition of a plan is 0)
  0    everything as expected
  254  the command line or trueline.toml is wrong; nothing was started
How to set it up in CI: docs/ci.md; what may be in the file: docs/settings.md.";

/// Flags of `trueline gate`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct GateArgs {
    /// The file with scenarios and profiles
    #[arg(long, default_value = USUAL, value_name = "FILE")]
    pub config: PathBuf,
    /// The profile: [profile.NAME] of the file
    #[arg(long, default_value = DEFAULT, value_name = "NAME")]
    pub profile: String,
    /// Only this part of the jobs, e.g. 3/10; each job is in exactly one part
    #[arg(long, value_name = "PART/OF")]
    pub partition: Option<Partition>,
    /// Only scenarios by these names; * stands for anything. Where one of several fits nothing, nothing is started
    #[arg(long, value_delimiter = ',', value_name = "GLOB")]
    pub scenario: Vec<String>,
    /// This seed for every scenario
    #[arg(long, value_name = "N", conflicts_with = "fresh_seeds")]
    pub seed: Option<u64>,
    /// Draw seeds, and print them; a scenario with a list of seeds keeps it
    #[arg(long)]
    pub fresh_seeds: bool,
    /// Jobs at a time [default: as the profile says, else half of the processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub jobs: Option<u32>,
    /// Begin no job whose load would not end within this; those that are left make the gate unknown
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub time_budget: Option<Duration>,
    /// Where runs and the gate itself are stored
    #[arg(long, default_value = DEFAULT_STORE, value_name = "DIR")]
    pub store: PathBuf,
    /// Write junit.xml, summary.md and gate.json there, too
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Only print what would be run
    #[arg(long)]
    pub list: bool,
    /// Neither a progress line nor a line for each job
    #[arg(long, short)]
    pub quiet: bool,
    /// Start this instead of this program: for tests of the gate
    #[arg(long, value_name = "PATH", hide = true)]
    pub program: Option<PathBuf>,
}

impl GateArgs {
    fn choice(&self) -> Choice {
        let seeds = match self.seed {
            Some(seed) => SeedChoice::One(seed),
            None if self.fresh_seeds => SeedChoice::Fresh,
            None => SeedChoice::AsSaid,
        };
        Choice {
            profile: self.profile.clone(),
            scenarios: self.scenario.clone(),
            partition: self.partition,
            seeds,
            config: (self.config != Path::new(USUAL)).then(|| self.config.clone()),
        }
    }

    fn plan(&self) -> Result<Plan, Failure> {
        let settings = Settings::read(&self.config).context(
            "a gate runs the scenarios of a file: docs/settings.md says what is in it, --config which file it is",
        );
        let settings = settings.map_err(Failure::usage)?;
        // Six digits, as `trueline run` draws them.
        let plan = Plan::new(&settings, &self.choice(), || rand::random_range(0..1_000_000));
        plan.with_context(|| self.config.display().to_string()).map_err(Failure::usage)
    }

    fn gate_config(&self, plan: &Plan) -> anyhow::Result<GateConfig> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().context("cannot find this program's own path to start runs with")?,
        };
        Ok(GateConfig {
            program,
            profile: self.profile.clone(),
            partition: self.partition.map(|partition| partition.to_string()),
            jobs: self.jobs.or(plan.profile.jobs).unwrap_or_else(default_jobs),
            time_budget: self.time_budget.or(plan.profile.time_budget),
            output: self.output.clone(),
        })
    }
}

/// Carries the gate out, stores its report, and prints it.
///
/// # Errors
/// When the command line or the file is wrong, or the harness fails.
pub fn execute(args: &GateArgs) -> Result<ExitCode, Failure> {
    let plan = args.plan()?;
    if args.list {
        print(&list(&plan)).map_err(Failure::harness)?;
        return Ok(if plan.planned == 0 { ExitCode::Vacuous } else { ExitCode::Valid });
    }
    let config = args.gate_config(&plan).map_err(Failure::harness)?;
    if let Some(output) = &args.output {
        let creating = || format!("cannot create {}", output.display());
        fs::create_dir_all(output).with_context(creating).map_err(Failure::harness)?;
    }
    let store = Store::open(&args.store).map_err(Failure::harness)?;
    let dir = store.create_gate().map_err(Failure::harness)?;
    if plan.fresh_seeds && !args.quiet {
        eprint!("{}", seeds(&plan));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime").map_err(Failure::harness)?;
    let progress = Progress::new(args.quiet);
    let conducted = runtime.block_on(conduct(&plan, &config, &store, &dir, &progress));
    progress.finish();
    let Conducted { report, unwritten } = conducted.map_err(Failure::harness)?;
    let exit = report.verdict();
    let shown = show(&report).and_then(|()| unwritten.map_or(Ok(()), |error| Err(error.into())));
    match shown {
        Ok(()) => eprintln!("trueline: the report is in {}", dir.path().display()),
        // A violation stays one, whoever listens.
        Err(error) if exit < ExitCode::HarnessError => return Err(Failure::harness(error)),
        Err(error) => eprintln!("trueline: {error:#}"),
    }
    Ok(exit)
}

/// Prints the report, and hands it to GitHub where that is what runs this.
fn show(report: &GateReport) -> anyhow::Result<()> {
    let on_github = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
    let notes = if on_github { annotations(report) } else { String::new() };
    print(&(render(report) + &notes))?;
    match std::env::var_os("GITHUB_STEP_SUMMARY") {
        Some(path) if !path.is_empty() => add_to_summary(Path::new(&path), report),
        _ => Ok(()),
    }
}

fn add_to_summary(path: &Path, report: &GateReport) -> anyhow::Result<()> {
    let file = File::options().create(true).append(true).open(path);
    let written = file.and_then(|mut file| file.write_all(markdown(report).as_bytes()));
    written.with_context(|| format!("cannot add to GITHUB_STEP_SUMMARY, {}", path.display()))
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| anyhow!("cannot print the report: {error}"))
}

/// Every job, with the command line of its run.
fn list(plan: &Plan) -> String {
    let mut text = String::new();
    let width = plan.scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0).max(8);
    for job in &plan.jobs {
        let planned = &plan.scenarios[job.scenario];
        let (number, name, expected) = (job.number, &planned.name, planned.expected.words());
        _ = writeln!(text, "{number:>5}  {name:width$}  {expected}\n       {}", planned.command_with(job.seed));
    }
    _ = writeln!(text, "{} of {} jobs", plan.jobs.len(), plan.planned);
    text
}

/// The seeds that were drawn.
fn seeds(plan: &Plan) -> String {
    let mut text = "seeds of this gate:\n".to_owned();
    for (place, scenario) in plan.scenarios.iter().enumerate() {
        let seeds = plan.jobs.iter().filter(|job| job.scenario == place).map(|job| job.seed.to_string());
        let seeds = seeds.collect::<Vec<_>>().join(", ");
        if !seeds.is_empty() {
            _ = writeln!(text, "  {}: {seeds}", scenario.name);
        }
    }
    text
}
