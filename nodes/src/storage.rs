//! Durable state: a segmented write-ahead log with group commit, and snapshots.
//!
//! ```text
//!   core ──Job(ticket, compact?, records)──> storage thread ──> buffer in user space ──write + fdatasync──> segment
//!                                                │                                                       │
//!        <──────── Durable(ticket) ──────────────┘<──────────────────────────────────────────────────────┘
//!
//!   data-dir/  LOCK   meta   base-G (snapshot + records)   wal-G-0  wal-G-1 …      G: generation, one more with each compaction
//! ```
//!
//! - **Nothing reaches the kernel before it is to be synced**, so `kill -9` loses exactly what was not durable. Real page
//!   caches survive a killed process; without this a missing sync could never be seen.
//! - **Compaction**: `base-(G+1).tmp` is written and synced, renamed (this is the moment of change), the directory synced;
//!   then the next generation's segments begin, then the old files go. Recovery ignores tmp files and takes the newest base.
//! - **Recovery** cuts a torn tail and refuses damage; [`mod@format`] says which is which.
//! - **A failed write or sync ends the process.** After a failed sync nobody knows what is on the disk, and a second sync
//!   may report success for pages that the kernel has dropped (Rebello and others, "Can Applications Recover from fsync
//!   Failures?", USENIX ATC 2020).

use std::{io, path::PathBuf};

pub mod files;
pub mod format;
pub mod log;
pub mod writer;

pub use log::{Log, Opened, Recovery, TornTail};
pub use writer::{AfterFailure, Job, Writer, WriterOptions};

/// Exit code of a process whose storage failed.
pub const EXIT_IO: u8 = 74;
/// Exit code of a process that was told to lose its power.
pub const EXIT_POWER_LOSS: u8 = 75;

/// Why stored state could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, e.g. `sync`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds the directory.
    #[error("the data directory {} is in use by another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The directory holds the state of another node or cluster.
    #[error("{} belongs to {found}, but this is {wanted}: start it with the right --data-dir or --id", path.display())]
    OtherOwner {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asked.
        wanted: String,
    },
    /// A later program wrote it.
    #[error("{} has storage format {found}; this program reads format {known}", path.display())]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// What it has.
        found: u32,
        /// What this program reads.
        known: u32,
    },
    /// Something that was durable is bad or missing.
    #[error("{} is damaged: {detail}. Refusing to start: acknowledged data may be gone", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A record cannot be stored.
    #[error(transparent)]
    Encode(#[from] format::EncodeError),
}

impl StorageError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn damaged(path: impl Into<PathBuf>, detail: impl ToString) -> Self {
        Self::Damaged { path: path.into(), detail: detail.to_string() }
    }
}
