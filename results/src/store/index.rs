//! Finding runs: by a short name, and by what they are of.
//!
//! ```text
//!   20261121-184150-336e     its name, which sorts by time
//!                   └┬─┘
//!                   33       short: as many of the last digits' beginning as tell it from every other run of the store
//! ```
//!
//! As in jj, what a person types is as short as it can be without doubt: the beginning of the four random digits (then of the time, should
//! they be the same), or the beginning of the whole name. `latest` is the newest one.

use std::{fmt, path::Path};

use serde_json::Value as Json;

use super::{Manifest, RunDir, RunId, RunState, Store, StoreError};
use crate::summary::Summary;

/// The word for the newest run.
pub const LATEST: &str = "latest";

/// Runs that an error names.
const NAMED_MAX: usize = 5;

impl RunId {
    /// What short names are beginnings of: the random digits, then the time.
    #[must_use]
    pub fn short_key(&self) -> String {
        let (time, digits) = self.0.rsplit_once('-').expect("a run's name has dashes");
        format!("{digits}-{time}")
    }
}

/// A run, as far as lists go.
#[derive(Clone, Debug)]
pub struct RunEntry {
    /// Its directory.
    pub dir: RunDir,
    /// The shortest name that means it and no other run of the store.
    pub short: String,
    /// What it is of; why not, where that cannot be read.
    pub manifest: Result<Manifest, String>,
    /// What came out; none while it goes on, or if it was broken off.
    pub summary: Option<Summary>,
    /// Why a summary that is there cannot be read.
    pub unread: Option<String>,
    /// How far it has come.
    pub state: RunState,
    /// It came here in an archive.
    pub is_imported: bool,
}

impl RunEntry {
    /// A setting of the run, e.g. `system`, by its name in the stored configuration.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&Json> {
        self.manifest.as_ref().ok()?.config.get(name)
    }
}

/// The run that was meant is not clear.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchName {
    /// None fits.
    #[error("no run in {store} is called {name:?}; `trueline runs` lists them")]
    None {
        /// What was asked for.
        name: String,
        /// Where.
        store: String,
    },
    /// More than one fits.
    #[error("{name:?} may be {candidates}; write more of it")]
    Many {
        /// What was asked for.
        name: String,
        /// Those that fit.
        candidates: Candidates,
    },
}

/// Some runs, for an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates(Vec<RunId>);

impl fmt::Display for Candidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<&str> = self.0.iter().take(NAMED_MAX).map(RunId::as_str).collect();
        f.write_str(&named.join(", "))?;
        match self.0.len().saturating_sub(NAMED_MAX) {
            0 => Ok(()),
            more => write!(f, " or one of {more} more"),
        }
    }
}

impl Store {
    /// The run that a short name, the beginning of a name, or `latest` means.
    ///
    /// # Errors
    /// When none or more than one fits, and when the store cannot be read.
    pub fn resolve(&self, name: &str) -> Result<RunDir, StoreError> {
        let runs = self.runs()?;
        let fits: Vec<RunId> = match name {
            LATEST => runs.last().cloned().into_iter().collect(),
            "" => Vec::new(),
            _ => runs.into_iter().filter(|id| id.0.starts_with(name) || id.short_key().starts_with(name)).collect(),
        };
        match &fits[..] {
            [] => Err(NoSuchName::None { name: name.to_owned(), store: self.root.display().to_string() }.into()),
            [one] => self.run(one.as_str()),
            _ => Err(NoSuchName::Many { name: name.to_owned(), candidates: Candidates(fits) }.into()),
        }
    }

    /// All runs with what is known of them, the oldest first. Time is linear in their number.
    ///
    /// # Errors
    /// When the store cannot be read. Runs that cannot be read are in the list, and say why.
    pub fn entries(&self) -> Result<Vec<RunEntry>, StoreError> {
        let runs = self.runs()?;
        let shorts = short_names(&runs);
        let entry = |(id, short): (RunId, String)| entry_of(RunDir::at(self.root.join(id.as_str()), id), short);
        Ok(runs.into_iter().zip(shorts).map(entry).collect())
    }

    /// The run that a person means: a name as [`resolve`](Self::resolve) has it, or the path of a run's directory.
    ///
    /// # Errors
    /// As `resolve`, and when there is no run at that path.
    pub fn find(&self, name: &str) -> Result<RunDir, StoreError> {
        match name.contains('/') || name == "." {
            true => RunDir::open(Path::new(name)),
            false => self.resolve(name),
        }
    }

    /// One run with what is known of it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn entry(&self, run: &RunDir) -> Result<RunEntry, StoreError> {
        let runs = self.runs()?;
        let place = runs.iter().position(|id| id == run.id());
        let short = place.map_or_else(|| run.id().to_string(), |place| short_names(&runs).swap_remove(place));
        Ok(entry_of(run.clone(), short))
    }
}

fn entry_of(dir: RunDir, short: String) -> RunEntry {
    // The state first: a run that ends meanwhile has its verdict then.
    let state = dir.state();
    let manifest = dir.manifest().map_err(|error| error.to_string());
    let (summary, unread) = match dir.verdict() {
        Ok(summary) => (summary, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let is_imported = dir.is_imported();
    RunEntry { dir, short, manifest, summary, unread, state, is_imported }
}

/// The shortest beginning of each one's key that no other has; none is a whole word like `latest`.
pub(super) fn short_names(runs: &[RunId]) -> Vec<String> {
    let keys: Vec<String> = runs.iter().map(RunId::short_key).collect();
    let mut sorted: Vec<&str> = keys.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let common = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    // A beginning of the whole name means a run, too: the years of all of them.
    let like_a_time = |short: &str| runs.iter().any(|id| id.0.starts_with(short));
    keys.iter()
        .map(|key| {
            let place = sorted.binary_search(&key.as_str()).expect("every key is among them");
            let before = place.checked_sub(1).map_or(0, |at| common(key, sorted[at]));
            let after = sorted.get(place + 1).map_or(0, |next| common(key, next));
            let mut length = before.max(after) + 1;
            while length < key.len() && like_a_time(&key[..length]) {
                length += 1;
            }
            key[..length.min(key.len())].to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> RunId {
        name.parse().expect("a name")
    }

    #[test]
    fn short_names_are_short_and_without_doubt() {
        let runs = ["20261121-184150-336e", "20261121-184151-33ff", "20261121-184151-a000", "20261122-000000-2026"];
        let runs: Vec<RunId> = runs.into_iter().map(id).collect();
        assert_eq!(short_names(&runs), ["336", "33f", "a", "2026-"]);
        let root = tempfile::tempdir().expect("a directory");
        let store = Store::open(root.path()).expect("a store");
        let manifest = Manifest::here(1, Json::Null);
        for run in &runs {
            store.create_named(run.clone(), &manifest).expect("a run");
        }
        for entry in store.entries().expect("listed") {
            assert_eq!(store.resolve(&entry.short).expect("one run").id(), entry.dir.id());
            assert!(entry.manifest.is_ok() && entry.summary.is_none());
        }
        assert_eq!(store.resolve(LATEST).expect("one run").id(), &runs[3]);
        assert_eq!(store.resolve("20261121-184150").expect("one run").id(), &runs[0]);
        for (name, words) in
            [("33", "336e, 20261121-184151-33ff"), ("b", "trueline runs"), ("../x", "no run"), ("", "")]
        {
            let error = store.resolve(name).expect_err("not one run").to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
