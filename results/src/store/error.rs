//! What can go wrong with the store: what was attempted, on which path, and what to do.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("could not {action} {}: {source}. {}", path.display(), advice(source))]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is a run by this name.
    #[error("{} is there already: a run's directory is never used twice. Choose another name, or remove it", path.display())]
    Taken {
        /// Its directory.
        path: PathBuf,
    },
    /// No free name was found.
    #[error("found no free name for a run in {}: too many runs are started there in the same second", .0.display())]
    Crowded(PathBuf),
    /// Not a run's name.
    #[error("{0:?} is no run's name; they look like 20261121-011502-ab3f")]
    BadId(String),
    /// No run by this name.
    #[error("there is no run in {}", path.display())]
    NoSuchRun {
        /// Where it would be.
        path: PathBuf,
    },
    /// Somebody is at work there.
    #[error("{} is still going on: wait for its end, or end it first", path.display())]
    Busy {
        /// Its directory.
        path: PathBuf,
    },
    /// What was typed means no run, or more than one.
    #[error(transparent)]
    Name(#[from] super::NoSuchName),
    /// Another version's file.
    #[error("{} has format {format}, and this program reads format {known}: use the version that wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its version; 0 if it has none.
        format: u64,
        /// The version that is read.
        known: u32,
    },
    /// Not the JSON that belongs there.
    #[error("{} does not hold what belongs there: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "Make room, or name another store; nothing that was written before is lost"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "Give yourself write permission there, or name another store"
        }
        io::ErrorKind::NotFound => "Look whether the path is right and the run is complete",
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            "Something else is in the way: move it, or name another store"
        }
        _ => "Nothing that was written before is lost",
    }
}
