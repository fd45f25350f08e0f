//! `[profile.NAME]`: how a gate goes about its scenarios.
//!
//! ```toml
//! [profile.default]
//! seeds = 2
//! time = "8s"
//!
//! [profile.nightly]      # what is not said here is as in default
//! seeds = 20
//! time = "1m"
//! ```
//!
//! A profile says what holds for scenarios that do not say it themselves: what is nearer wins. The command line wins over the scenario, the
//! scenario over the profile, the profile over `default`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::MapAccess};

use super::{
    flags::{Flags, Table, table},
    scenario::{Number, Seeds, Time},
};

/// The profile that all others inherit from, and that is used unless another one is named.
pub const DEFAULT: &str = "default";

/// One profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Seeds of scenarios that say nothing of them.
    pub seeds: Option<Seeds>,
    /// The first of them, where only their number is given.
    pub first_seed: Option<u64>,
    /// Draw seeds instead.
    pub fresh_seeds: Option<bool>,
    /// Jobs at a time.
    pub jobs: Option<u32>,
    /// After so long no further job is begun.
    pub time_budget: Option<Duration>,
    /// How often a job is tried again whose infrastructure failed.
    pub infrastructure_retries: Option<u32>,
    /// How often an unexpected violation is replayed.
    pub replays: Option<u32>,
    /// A run is killed after this.
    pub timeout: Option<Duration>,
    /// Flags of `trueline run`.
    pub flags: Flags,
}

impl Profile {
    /// This one, and of `below` what it does not say.
    #[must_use]
    pub fn over(&self, below: &Self) -> Self {
        Self {
            seeds: self.seeds.clone().or(below.seeds.clone()),
            first_seed: self.first_seed.or(below.first_seed),
            fresh_seeds: self.fresh_seeds.or(below.fresh_seeds),
            jobs: self.jobs.or(below.jobs),
            time_budget: self.time_budget.or(below.time_budget),
            infrastructure_retries: self.infrastructure_retries.or(below.infrastructure_retries),
            replays: self.replays.or(below.replays),
            timeout: self.timeout.or(below.timeout),
            flags: self.flags.over(&below.flags),
        }
    }
}

impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        table(deserializer)
    }
}

impl Table for Profile {
    const OWN: &'static [&'static str] = &[
        "seeds",
        "first-seed",
        "fresh-seeds",
        "jobs",
        "time-budget",
        "infrastructure-retries",
        "replays",
        "run-timeout",
    ];

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "seeds" => self.seeds = Some(map.next_value()?),
            "first-seed" => self.first_seed = Some(map.next_value()?),
            "fresh-seeds" => self.fresh_seeds = Some(map.next_value()?),
            "jobs" => self.jobs = Some(map.next_value::<Number<1, 1_000>>()?.0),
            "time-budget" => self.time_budget = Some(map.next_value::<Time>()?.0),
            "infrastructure-retries" => self.infrastructure_retries = Some(map.next_value::<Number<0, 10>>()?.0),
            "replays" => self.replays = Some(map.next_value::<Number<0, 1_000>>()?.0),
            "run-timeout" => self.timeout = Some(map.next_value::<Time>()?.0),
            _ => unreachable!("the table's own keys are above"),
        }
        Ok(())
    }

    fn flags(&mut self) -> &mut Flags {
        &mut self.flags
    }
}
