//! Moving a run from store to store: an archive of its files, tar compressed with zstd.
//!
//! ```text
//!   RunDir ──> Export ──> 20261121-184150-336e/manifest.json   ──> zstd ──> 20261121-184150-336e.tar.zst
//!                         20261121-184150-336e/history.jsonl.zst
//!                         20261121-184150-336e/nodes/1.log …
//!
//!   archive ──> bounded ──> entry by entry: known name, plain file, once, not too large ──> .import-77c1/ID/
//!               decoder                                                                     │ all of it read, manifest and
//!                                                                                           v summary of this version
//!                                                                              results/runs/ID/, marked as imported
//! ```
//!
//! An archive comes from somebody else, so nothing of it is believed: only names that this program gives are taken, and only plain files
//! and directories; how much comes out has a bound, as have the window of the decoder and the number of entries. Until all of it was
//! found good it lies in a hidden directory, which is removed otherwise.

use std::io;

use super::{RunId, StoreError};

mod export;
mod import;

pub use export::Export;
pub use import::Imported;

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Something else.
    #[error("it is no archive of runs: those are tar compressed with zstd, as `trueline runs export` writes them")]
    NotAnArchive,
    /// It ends too early.
    #[error("it ends in the middle: it was cut short on its way here; fetch it again")]
    CutShort,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// Something is in it that is never in an archive of runs.
    #[error("its entry {name:?} {why}; nothing was taken")]
    Entry {
        /// As it is called there.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// There are more than anyone has.
    #[error("it has more than {0}; nothing was taken")]
    TooMany(&'static str),
    /// It is empty.
    #[error("there is no run in it")]
    Empty,
    /// A run in it is not as runs are.
    #[error("the run {id} in it {why}; nothing was taken")]
    Run {
        /// Which.
        id: RunId,
        /// What is wrong.
        why: String,
    },
    /// A run that is not over.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ArchiveError {
    /// A read that failed.
    fn reading(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutShort,
            _ => Self::Unreadable(error),
        }
    }
}

#[cfg(test)]
mod tests;
