//! `[[scenario]]`: what a gate runs, and what it expects.
//!
//! ```toml
//! [[scenario]]
//! name = "raft-partitions"
//! system = "raft"
//! nemesis = ["partition", "kill"]
//! seeds = 3
//! expect = "valid"
//! ```
//!
//! All keys but a few are the long flags of `trueline run`.

use std::{fmt, time::Duration};

use results::gate::Expectation;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor},
};
use toml::Spanned;

use super::flags::{Flags, Table, table};
use crate::cli::parse_duration;

/// Seeds of one scenario.
const SEEDS_MAX: u64 = 100_000;

/// Letters of a name: it is part of tables and of names of test cases.
const NAME_MAX: usize = 80;

/// One scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scenario {
    /// Its name; unique in a file.
    pub name: String,
    /// The line in the file where it begins; set when the file has been read.
    pub line: usize,
    /// Where it begins, in bytes.
    pub(super) start: usize,
    /// What is expected of its runs.
    pub expected: Expectation,
    /// Its seeds, if it says so itself.
    pub seeds: Option<Seeds>,
    /// The first of the seeds, where only their number is given.
    pub first_seed: Option<u64>,
    /// The profiles it belongs to; none: all.
    pub profiles: Vec<String>,
    /// How many jobs it counts for.
    pub weight: Option<u32>,
    /// A run is killed after this.
    pub timeout: Option<Duration>,
    /// Flags of `trueline run`.
    pub flags: Flags,
}

/// Which seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// So many.
    Count(u32),
    /// These, whatever else is said.
    List(Vec<u64>),
}

impl<'de> Deserialize<'de> for Scenario {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Body>::deserialize(deserializer)?;
        let start = spanned.span().start;
        Ok(Self { start, ..spanned.into_inner().0 })
    }
}

/// A scenario that does not know where it is.
struct Body(Scenario);

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        table(deserializer).map(Self)
    }
}

impl Table for Scenario {
    const OWN: &'static [&'static str] = &[
        "name",
        "expect",
        "expect-check",
        "expect-anomaly",
        "seeds",
        "first-seed",
        "profiles",
        "weight",
        "run-timeout",
    ];

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "name" => self.name = map.next_value::<Name>()?.0,
            "expect" => self.expected.verdicts = map.next_value::<OneOrMore<_>>()?.0,
            "expect-check" => self.expected.checks = map.next_value::<OneOrMore<_>>()?.0,
            "expect-anomaly" => self.expected.anomalies = map.next_value::<OneOrMore<_>>()?.0,
            "seeds" => self.seeds = Some(map.next_value()?),
            "first-seed" => self.first_seed = Some(map.next_value()?),
            "profiles" => self.profiles = map.next_value::<OneOrMore<_>>()?.0,
            "weight" => self.weight = Some(map.next_value::<Number<1, 1_000>>()?.0),
            "run-timeout" => self.timeout = Some(map.next_value::<Time>()?.0),
            _ => unreachable!("the table's own keys are above"),
        }
        Ok(())
    }

    fn flags(&mut self) -> &mut Flags {
        &mut self.flags
    }

    fn finish(self) -> Result<Self, String> {
        if self.name.is_empty() {
            return Err("this scenario has no `name`".to_owned());
        }
        let kinds = !self.expected.checks.is_empty() || !self.expected.anomalies.is_empty();
        if kinds && !self.expected.verdicts.contains(&checkers::verdict::Verdict::Invalid) {
            return Err("`expect-check` and `expect-anomaly` go with `expect = \"invalid\"`".to_owned());
        }
        Ok(self)
    }
}

/// A name that is a word in every format that it is written in.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        match !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(plain) {
            true => Ok(Self(name)),
            false => Err(D::Error::custom(format!(
                "{name:?} is no name for a scenario: up to {NAME_MAX} letters from a to z, digits, `-`, `_` and `.`"
            ))),
        }
    }
}

/// A whole number with bounds.
pub(super) struct Number<const MIN: u32, const MAX: u32>(pub u32);

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Number<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        let fits = u32::try_from(number).ok().filter(|number| (MIN..=MAX).contains(number));
        fits.map(Self).ok_or_else(|| D::Error::custom(format!("{number} is not in {MIN} to {MAX}")))
    }
}

/// A duration, as on the command line.
pub(super) struct Time(pub Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = parse_duration(&String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        if time.is_zero() {
            return Err(D::Error::custom("it must be longer than zero"));
        }
        Ok(Self(time))
    }
}

/// A word, or a list of them, each once.
struct OneOrMore<T>(Vec<T>);

impl<'de, T: DeserializeOwned + PartialEq> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words<T>(std::marker::PhantomData<T>);
        impl<'de, T: DeserializeOwned + PartialEq> Visitor<'de> for Words<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word, or a list of words")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Vec<T>, E> {
                T::deserialize(word.into_deserializer()).map(|word| vec![word])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = items.next_element::<T>()? {
                    if words.contains(&word) {
                        return Err(A::Error::custom("a word is there twice"));
                    }
                    words.push(word);
                }
                if words.is_empty() { Err(A::Error::custom("the list is empty")) } else { Ok(words) }
            }
        }
        deserializer.deserialize_any(Words(std::marker::PhantomData)).map(Self)
    }
}

impl<'de> Deserialize<'de> for Seeds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Seeds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("how many seeds, or a list of seeds")
            }

            fn visit_i64<E: Error>(self, count: i64) -> Result<Seeds, E> {
                let fits = u32::try_from(count).ok().filter(|count| (1..=SEEDS_MAX).contains(&u64::from(*count)));
                fits.map(Seeds::Count).ok_or_else(|| E::custom(format!("{count} is not in 1 to {SEEDS_MAX}")))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Seeds, A::Error> {
                let mut seeds = Vec::new();
                while let Some(seed) = items.next_element::<u64>()? {
                    if seeds.contains(&seed) {
                        return Err(A::Error::custom(format!("seed {seed} is there twice")));
                    }
                    seeds.push(seed);
                }
                match seeds.is_empty() {
                    true => Err(A::Error::custom("a list of seeds has at least one: no run is not a pass")),
                    false => Ok(Seeds::List(seeds)),
                }
            }
        }
        deserializer.deserialize_any(Numbers)
    }
}
