//! What holds runs of its own: hunts, gates, benches, replays. A directory each, beside the runs.
//!
//! ```text
//!   results/runs/hunt-20261121-011502-ab3f/     hunt.json when it is over, and stores of runs, a directory each
//!   └────┬─────┘ └─┬┘ └───────┬──────────┘
//!      store     kind     when it began, as of a run
//! ```

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    DirLock, NAMES_TRIED_MAX, RunId, RunState, Store, StoreError, random_suffix,
    remove::{bytes_on_disk, is_busy},
    write_json,
};

/// What holds runs of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CollectionKind {
    /// Of `trueline hunt`.
    Hunt,
    /// Of `trueline gate`.
    Gate,
    /// Of `trueline bench`.
    Bench,
    /// Of `trueline replay`.
    Replay,
}

impl CollectionKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Hunt, Self::Gate, Self::Bench, Self::Replay];

    /// The word that its directories begin with.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hunt => "hunt",
            Self::Gate => "gate",
            Self::Bench => "bench",
            Self::Replay => "replay",
        }
    }
}

impl fmt::Display for CollectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Runs that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    kind: CollectionKind,
    id: RunId,
    path: PathBuf,
}

impl Collection {
    /// What of.
    #[must_use]
    pub fn kind(&self) -> CollectionKind {
        self.kind
    }

    /// When it began, and its digits.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The name of its directory.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", self.kind, self.id)
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How far it has come: its report is written last.
    #[must_use]
    pub fn state(&self) -> RunState {
        let report = self.path.join(format!("{}.json", self.kind));
        match is_busy(&self.path) {
            Ok(true) => RunState::Running,
            Ok(false) | Err(_) if report.symlink_metadata().is_ok() => RunState::Done,
            Ok(false) | Err(_) => RunState::BrokenOff,
        }
    }

    /// The room it takes on the disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        bytes_on_disk(&self.path)
    }
}

/// The directory of what is under way: held until it is dropped with all its copies.
#[derive(Clone, Debug)]
pub struct CollectionDir {
    kind: CollectionKind,
    path: PathBuf,
    _lock: DirLock,
}

impl CollectionDir {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A store below it, for one run and no other: the run is found without its name.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn run_store(&self, below: impl AsRef<Path>) -> Result<Store, StoreError> {
        Store::open(self.path.join(below))
    }

    /// Writes the report, which is what is written last: `hunt.json` of a hunt.
    ///
    /// # Errors
    /// When it cannot be written; then there is no such file, or the one from before.
    pub fn write_report(&self, report: &impl Serialize) -> Result<PathBuf, StoreError> {
        let name = format!("{}.json", self.kind);
        write_json(&self.path, &name, report)?;
        Ok(self.path.join(name))
    }
}

/// The kind and digits that a directory's name says.
pub(super) fn parse(name: &str) -> Option<(CollectionKind, RunId)> {
    let (word, id) = name.split_once('-')?;
    let kind = CollectionKind::ALL.into_iter().find(|kind| kind.name() == word)?;
    Some((kind, id.parse().ok()?))
}

impl Store {
    /// A new directory for runs that belong together.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create_collection(&self, kind: CollectionKind) -> Result<CollectionDir, StoreError> {
        let start = Timestamp::now();
        for _ in 0..NAMES_TRIED_MAX {
            let path = self.root.join(format!("{kind}-{}", RunId::at(start, random_suffix())));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(CollectionDir { kind, _lock: DirLock::hold(&path)?, path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::io("create the directory", &path, error)),
            }
        }
        Err(StoreError::Crowded(self.root.clone()))
    }

    /// All hunts, gates, benches and replays, the oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn collections(&self) -> Result<Vec<Collection>, StoreError> {
        let failed = |error| StoreError::io("list the store", &self.root, error);
        let mut collections = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if let Some((kind, id)) = name.to_str().and_then(parse)
                && entry.file_type().is_ok_and(|kind| kind.is_dir())
            {
                collections.push(Collection { kind, id, path: entry.path() });
            }
        }
        collections.sort_by(|a, b| (&a.id, a.kind).cmp(&(&b.id, b.kind)));
        Ok(collections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_collections() {
        let (kind, id) = parse("gate-20261121-011502-ab3f").expect("a gate");
        assert_eq!((kind, id.as_str()), (CollectionKind::Gate, "20261121-011502-ab3f"));
        for wrong in ["", "hunt", "hunt-", "hunt-../x", "20261121-011502-ab3f", "party-20261121-011502-ab3f"] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
