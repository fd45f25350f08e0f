//! Where hunts are kept: a directory each, with a small store for every run.
//!
//! ```text
//!   results/runs/hunt-20261121-011502-ab3f/
//!     raft-no-dedup/seed-1/output.txt                what the run printed
//!     raft-no-dedup/seed-1/20261121-011503-77c1/     the run, if it is kept
//!     hunt.json                                      the report (written last)
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;

use super::{NAMES_TRIED_MAX, RunId, Store, StoreError, random_suffix, write_json};

/// The directory of one hunt.
#[derive(Clone, Debug)]
pub struct HuntDir {
    path: PathBuf,
}

impl Store {
    /// A new hunt.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn create_hunt(&self) -> Result<HuntDir, StoreError> {
        Ok(HuntDir { path: fresh_dir(&self.root, "hunt")? })
    }
}

/// A new directory for what is more than a run; its name begins with what it is.
pub(super) fn fresh_dir(root: &Path, what: &str) -> Result<PathBuf, StoreError> {
    let start = Timestamp::now();
    for _ in 0..NAMES_TRIED_MAX {
        let path = root.join(format!("{what}-{}", RunId::at(start, random_suffix())));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(StoreError::io("create the directory", &path, error)),
        }
    }
    Err(StoreError::Crowded(root.to_owned()))
}

impl HuntDir {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The store of one run of a target, and of no other.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn run_store(&self, target: &str, seed: u64) -> Result<Store, StoreError> {
        Store::open(self.path.join(target).join(format!("seed-{seed}")))
    }

    /// Writes the report, which ends the hunt.
    ///
    /// # Errors
    /// When it cannot be written; then there is no such file, or the one from before.
    pub fn write_report(&self, report: &impl Serialize) -> Result<PathBuf, StoreError> {
        write_json(&self.path, "hunt.json", report)?;
        Ok(self.path.join("hunt.json"))
    }
}

/// The second in which a run or hunt starts, in UTC, as files have it.
#[must_use]
pub fn now_in_words() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
