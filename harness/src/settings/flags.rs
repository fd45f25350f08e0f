//! Flags of `trueline run` as keys of a table: `nemesis = ["partition", "kill"]` is `--nemesis partition,kill`, `retry = true` is `--retry`.
//!
//! Which there are, and what they take, is asked of the command line itself, so that nothing here can fall behind it. Each value is tried as
//! soon as it is read: what is wrong is told at its place in the file.

use std::{collections::BTreeMap, fmt};

use clap::{Args, Command};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::cli::run::RunArgs;

/// Flags that are no matter of a scenario: a gate gives them itself.
const TAKEN: [&str; 5] = ["seed", "store", "config", "quiet", "help"];

/// Flags with their values, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags(BTreeMap<String, Flag>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Flag {
    /// One that takes no value, and whether it is given.
    Switch(bool),
    /// One with its value, as on the command line.
    Value(String),
}

impl Flags {
    /// These, and of `below` those that are not among them.
    #[must_use]
    pub fn over(&self, below: &Self) -> Self {
        let mut flags = below.0.clone();
        flags.extend(self.0.clone());
        Self(flags)
    }

    /// As on the command line.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (name, flag) in &self.0 {
            match flag {
                Flag::Switch(false) => {}
                Flag::Switch(true) => words.push(format!("--{name}")),
                Flag::Value(value) => words.extend([format!("--{name}"), value.clone()]),
            }
        }
        words
    }
}

/// The names of all flags that a scenario can have, with whether they take a value.
fn known() -> BTreeMap<String, bool> {
    let command = RunArgs::augment_args(Command::new("run"));
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let named =
        shown.filter_map(|argument| Some((argument.get_long()?.to_owned(), argument.get_action().takes_values())));
    named.filter(|(name, _)| !TAKEN.contains(&name.as_str())).collect()
}

/// A table whose keys are some of its own and flags.
pub(super) trait Table: Default {
    /// Its own keys.
    const OWN: &'static [&'static str];

    /// Takes the value of one of its own keys.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;

    /// Where its flags go.
    fn flags(&mut self) -> &mut Flags;

    /// Looks at the whole.
    fn finish(self) -> Result<Self, String> {
        Ok(self)
    }
}

/// Reads such a table.
pub(super) fn table<'de, T: Table, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Reader<T>(T);
    impl<'de, T: Table> Visitor<'de> for Reader<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<T, A::Error> {
            while let Some((key, takes_value)) = map.next_key_seed(Key { own: T::OWN })? {
                match takes_value {
                    None => self.0.take(&key, &mut map)?,
                    Some(takes_value) => {
                        let flag = map.next_value_seed(Value { name: &key, takes_value })?;
                        self.0.flags().0.insert(key, flag);
                    }
                }
            }
            self.0.finish().map_err(A::Error::custom)
        }
    }
    deserializer.deserialize_map(Reader(T::default()))
}

/// A key: of a flag with whether it takes a value, or the table's own.
struct Key {
    own: &'static [&'static str],
}

impl<'de> DeserializeSeed<'de> for Key {
    type Value = (String, Option<bool>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let key = <String as serde::Deserialize>::deserialize(deserializer)?;
        if self.own.contains(&key.as_str()) {
            return Ok((key, None));
        }
        if TAKEN.contains(&key.as_str()) {
            return Err(D::Error::custom(format!("`{key}` is given by the gate itself (docs/settings.md)")));
        }
        match known().get(&key) {
            Some(takes_value) => Ok((key, Some(*takes_value))),
            None => Err(D::Error::custom(unknown(&key, self.own))),
        }
    }
}

/// A key that nobody knows, with the one that was meant, if that can be guessed, else with all.
fn unknown(key: &str, own: &[&str]) -> String {
    let known = known();
    let names = || own.iter().copied().chain(known.keys().map(String::as_str));
    let as_flag = key.trim_start_matches('-').replace('_', "-");
    match names().find(|name| *name == as_flag) {
        Some(name) => format!("unknown key `{key}`: write `{name}`"),
        None => {
            let own = own.join(", ");
            let flags = known.keys().cloned().collect::<Vec<_>>().join(", ");
            format!("unknown key `{key}`; there are {own}, and the flags of `trueline run`: {flags}")
        }
    }
}

/// The value of a flag.
struct Value<'a> {
    name: &'a str,
    takes_value: bool,
}

impl Value<'_> {
    fn value<E: Error>(&self, value: String) -> Result<Flag, E> {
        if !self.takes_value {
            return Err(E::custom(format!("`{}` takes no value: write true or false", self.name)));
        }
        RunArgs::of_words([format!("--{}", self.name), value.clone()]).map_err(E::custom)?;
        Ok(Flag::Value(value))
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Flag;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Flag, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Flag;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.takes_value { "text, a whole number, or a list of names" } else { "true or false" })
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Flag, E> {
        match self.takes_value {
            false => Ok(Flag::Switch(value)),
            true => Err(E::invalid_type(serde::de::Unexpected::Bool(value), &self)),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Flag, E> {
        self.value(value.to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Flag, E> {
        self.value(value.to_owned())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Flag, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = items.next_element::<String>()? {
            names.push(name);
        }
        self.value(names.join(","))
    }
}
