//! What a gate runs, and in which order. Pure, but for looking whether servers are there.
//!
//! ```text
//!   Settings ─┐
//!   Choice ───┼──> [Planned]   scenarios of the profile, each with its command line, tried before anything is started
//!             └──> [Job { number, scenario, seed }]   the first seed of all scenarios, then the second, …
//!                    └──> partition p of n: the jobs whose number is p, n + p, 2n + p, …
//! ```
//!
//! Each job is in exactly one partition, and partitions differ by at most one job.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use results::gate::Expectation;

use crate::{
    child::bound_of,
    cli::run::RunArgs,
    config::{RunConfig, quoted},
    hunt::glob::Glob,
    run::kinds,
    settings::{
        Settings,
        profile::{DEFAULT, Profile},
        scenario::{Scenario, Seeds},
    },
    system::system,
};

/// Jobs of one gate: its report is written again after each of them.
const JOBS_MAX: usize = 10_000;

/// What of the settings is to be run.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The profile.
    pub profile: String,
    /// Only scenarios whose names fit one of these patterns, with `*` for anything; all, where there are none.
    pub scenarios: Vec<String>,
    /// Only this part of the jobs.
    pub partition: Option<Partition>,
    /// With which seeds.
    pub seeds: SeedChoice,
    /// The file of the settings, where it is not the usual one: runs look there for systems that are described.
    pub config: Option<PathBuf>,
}

/// Which seeds are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeedChoice {
    /// As scenarios and the profile say.
    AsSaid,
    /// This one for every scenario.
    One(u64),
    /// Drawn, as many as otherwise; where a scenario has a list of seeds, the list.
    Fresh,
}

/// One of several equal parts, e.g. `3/10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    part: usize,
    of: usize,
}

impl Partition {
    /// Whether the job of this number, from 1, is in it.
    #[must_use]
    pub fn has(self, number: usize) -> bool {
        number % self.of == self.part % self.of
    }
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((part, of)) if (1..=of).contains(&part) => Ok(Self { part, of }),
            _ => Err(format!("{text:?} is no partition: the first of ten is written 1/10, the last one 10/10")),
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

/// A scenario as it is run.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// What is expected.
    pub expected: Expectation,
    /// The flags of `trueline run`, but for the seed and where it is stored.
    pub arguments: Vec<String>,
    /// How long there is load.
    pub load: Duration,
    /// A run is killed after this.
    pub bound: Duration,
    /// A replay of a run is killed after this, whatever is said of runs.
    pub replay_bound: Duration,
    /// How long judging may take.
    pub check_time: Duration,
    /// How much memory judging may take, MiB.
    pub check_memory_mib: usize,
    /// How many jobs each of its jobs counts for.
    pub weight: u32,
}

impl Planned {
    /// The command line of its runs, but for the seed.
    #[must_use]
    pub fn command(&self) -> String {
        let words: Vec<String> = self.arguments.iter().map(|word| quoted(word)).collect();
        ["trueline run".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
    }

    /// The command line of its run with this seed.
    #[must_use]
    pub fn command_with(&self, seed: u64) -> String {
        format!("{} --seed {seed}", self.command())
    }
}

/// A run to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its place in the plan, from 1, over all partitions.
    pub number: u32,
    /// Which of the scenarios.
    pub scenario: usize,
    /// With which seed.
    pub seed: u64,
}

/// Everything that a gate runs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The profile, with what it inherits.
    pub profile: Profile,
    /// The scenarios.
    pub scenarios: Vec<Planned>,
    /// The jobs of this partition.
    pub jobs: Vec<Job>,
    /// The number of jobs of all partitions.
    pub planned: u32,
    /// Whether a seed was drawn.
    pub fresh_seeds: bool,
}

/// The settings make no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// No such profile.
    #[error("there is no [profile.{0}]; profiles: {1}")]
    Profile(String, String),
    /// A scenario belongs to a profile that there is not.
    #[error("line {line}: scenario {name} belongs to the profile {profile:?}, which there is not; profiles: {known}")]
    OfNoProfile {
        /// Where the scenario begins.
        line: usize,
        /// Its name.
        name: String,
        /// What it says.
        profile: String,
        /// Which there are.
        known: String,
    },
    /// Two by one name.
    #[error("line {line}: scenario {name} is there already, in line {first}")]
    Twice {
        /// Where the second one begins.
        line: usize,
        /// Its name.
        name: String,
        /// Where the first one begins.
        first: usize,
    },
    /// Its flags make no run.
    #[error("line {line}: scenario {name} is no run: {why}")]
    NoRun {
        /// Where it begins.
        line: usize,
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// Some of what was asked for is not there: a misspelt name must not make the gate smaller in silence.
    #[error("no scenario of the profile {profile} is called {pattern}; there are {known}")]
    NoScenario {
        /// What was asked for.
        pattern: String,
        /// In which profile.
        profile: String,
        /// The names of its scenarios.
        known: String,
    },
    /// Too much for one gate.
    #[error(
        "{0} jobs are more than the {JOBS_MAX} that one gate takes: take fewer seeds, or spread them with --partition"
    )]
    TooMany(usize),
}

impl Plan {
    /// The plan that the settings make. `draw` gives seeds where fresh ones are wanted.
    ///
    /// # Errors
    /// When a profile is not there, a name is there twice, a scenario of the profile is no run, or some of the patterns fit no name while
    /// others do.
    pub fn new(settings: &Settings, choice: &Choice, draw: impl FnMut() -> u64) -> Result<Self, PlanError> {
        let profile = profile(settings, &choice.profile)?;
        check_names(settings)?;
        let config = choice.config.as_deref().filter(|_| !settings.system.is_empty());
        let of_profile =
            |scenario: &&Scenario| scenario.profiles.is_empty() || scenario.profiles.contains(&choice.profile);
        let own: Vec<&Scenario> = settings.scenario.iter().filter(of_profile).collect();
        let globs = globs(choice, &own)?;
        let mut scenarios = Vec::new();
        let mut chosen = Vec::new();
        for scenario in own {
            let planned = planned(scenario, &profile, config)?;
            if globs.is_empty() || globs.iter().any(|glob| glob.matches(&scenario.name)) {
                scenarios.push(planned);
                chosen.push(scenario);
            }
        }
        let mut seeding = Seeding { choice: choice.seeds, profile: &profile, draw, drawn: false };
        let seeds: Vec<Vec<u64>> = chosen.into_iter().map(|scenario| seeding.of(scenario)).collect();
        let fresh_seeds = seeding.drawn;
        let jobs = jobs(&seeds);
        let planned = u32::try_from(jobs.len()).map_err(|_| PlanError::TooMany(jobs.len()))?;
        let mine = |job: &Job| choice.partition.is_none_or(|partition| partition.has(job.number as usize));
        let jobs: Vec<Job> = jobs.into_iter().filter(mine).collect();
        if jobs.len() > JOBS_MAX {
            return Err(PlanError::TooMany(jobs.len()));
        }
        Ok(Self { profile, scenarios, jobs, planned, fresh_seeds })
    }
}

fn profile(settings: &Settings, name: &str) -> Result<Profile, PlanError> {
    let base = settings.profile.get(DEFAULT).cloned().unwrap_or_default();
    match settings.profile.get(name) {
        Some(profile) => Ok(profile.over(&base)),
        None if name == DEFAULT => Ok(base),
        None => Err(PlanError::Profile(name.to_owned(), profile_names(settings))),
    }
}

fn profile_names(settings: &Settings) -> String {
    let names: BTreeSet<&str> = settings.profile.keys().map(String::as_str).chain([DEFAULT]).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// The patterns of what is chosen among these scenarios. Where none fits, nothing is chosen; where only some do, that is a mistake.
fn globs(choice: &Choice, scenarios: &[&Scenario]) -> Result<Vec<Glob>, PlanError> {
    let glob = |pattern: &String| {
        let Ok(glob) = pattern.parse::<Glob>();
        glob
    };
    let globs: Vec<Glob> = choice.scenarios.iter().map(glob).collect();
    let fits = |glob: &Glob| scenarios.iter().any(|scenario| glob.matches(&scenario.name));
    let idle = globs.iter().zip(&choice.scenarios).find(|&(glob, _)| !fits(glob)).map(|(_, pattern)| pattern);
    match idle {
        Some(pattern) if globs.iter().any(fits) => {
            let known = scenarios.iter().map(|scenario| scenario.name.as_str()).collect::<Vec<_>>().join(", ");
            Err(PlanError::NoScenario { pattern: pattern.clone(), profile: choice.profile.clone(), known })
        }
        _ => Ok(globs),
    }
}

fn check_names(settings: &Settings) -> Result<(), PlanError> {
    for (place, scenario) in settings.scenario.iter().enumerate() {
        let (line, name) = (scenario.line, scenario.name.clone());
        if let Some(first) = settings.scenario[..place].iter().find(|other| other.name == name) {
            return Err(PlanError::Twice { line, name, first: first.line });
        }
        let known = |profile: &&String| *profile == DEFAULT || settings.profile.contains_key(*profile);
        if let Some(profile) = scenario.profiles.iter().find(|profile| !known(profile)).cloned() {
            return Err(PlanError::OfNoProfile { line, name, profile, known: profile_names(settings) });
        }
    }
    Ok(())
}

/// Looks whether the scenario is a run, as `trueline run` would.
fn planned(scenario: &Scenario, profile: &Profile, config: Option<&Path>) -> Result<Planned, PlanError> {
    let no_run = |why: String| PlanError::NoRun { line: scenario.line, name: scenario.name.clone(), why };
    let mut arguments = scenario.flags.over(&profile.flags).arguments();
    if let Some(config) = config {
        arguments.splice(..0, ["--config".to_owned(), config.display().to_string()]);
    }
    let config = RunArgs::of_words(arguments.clone()).map_err(no_run)?.config();
    let config = config.map_err(|error| no_run(error.to_string()))?;
    check_system(&config).map_err(no_run)?;
    let load = config.warm_up + config.time;
    let bound = bound_of(&config);
    Ok(Planned {
        name: scenario.name.clone(),
        expected: scenario.expected.clone(),
        arguments,
        load,
        bound: scenario.timeout.or(profile.timeout).unwrap_or(bound),
        replay_bound: bound,
        check_time: config.check_time,
        check_memory_mib: config.check_memory_mib,
        weight: scenario.weight.unwrap_or(1),
    })
}

/// Whether the system can suffer its faults. One whose server is missing may be anything: that is told when it is run, as a failure of the
/// infrastructure.
fn check_system(config: &RunConfig) -> Result<(), String> {
    let Ok(system) = system(config) else { return Ok(()) };
    kinds(&config.nemeses, &*system).map_err(|why| format!("{} {why}", config.system_name()))?;
    system.check_network(config.network)
}

/// Where seeds come from.
struct Seeding<'a, D> {
    choice: SeedChoice,
    profile: &'a Profile,
    draw: D,
    drawn: bool,
}

impl<D: FnMut() -> u64> Seeding<'_, D> {
    fn of(&mut self, scenario: &Scenario) -> Vec<u64> {
        if let SeedChoice::One(seed) = self.choice {
            return vec![seed];
        }
        let count = match scenario.seeds.as_ref().or(self.profile.seeds.as_ref()) {
            Some(Seeds::List(list)) => return list.clone(),
            Some(Seeds::Count(count)) => *count,
            None => 1,
        };
        if self.choice == SeedChoice::Fresh || self.profile.fresh_seeds == Some(true) {
            self.drawn = true;
            return self.fresh(count);
        }
        let first = scenario.first_seed.or(self.profile.first_seed).unwrap_or(1);
        (0..u64::from(count)).map(|place| first.wrapping_add(place)).collect()
    }

    fn fresh(&mut self, count: u32) -> Vec<u64> {
        let mut seeds = Vec::new();
        while seeds.len() < count as usize {
            let seed = (self.draw)();
            if !seeds.contains(&seed) {
                seeds.push(seed);
            }
        }
        seeds
    }
}

/// Seed by seed: whatever ends a gate before its time, each scenario has had its turn as often as any other.
fn jobs(seeds: &[Vec<u64>]) -> Vec<Job> {
    let most = seeds.iter().map(Vec::len).max().unwrap_or(0);
    let of_all = |place: usize| {
        seeds.iter().enumerate().filter_map(move |(scenario, seeds)| Some((scenario, *seeds.get(place)?)))
    };
    let numbered = (1..).zip((0..most).flat_map(of_all));
    numbered.map(|(number, (scenario, seed))| Job { number, scenario, seed }).collect()
}

#[cfg(test)]
mod tests;
