//! Where replays of a run are kept: a directory for all of them, with a small store for each.
//!
//! ```text
//!   results/runs/replay-20261121-011502-ab3f/
//!     1/output.txt                    what the first replay printed
//!     1/20261121-011503-77c1/         the run, if it is kept
//!     replay.json                     the report (written last)
//! ```

use std::path::{Path, PathBuf};

use super::{Store, StoreError, hunt::fresh_dir, write_json};
use crate::replay::ReplayReport;

/// The directory of the replays of a run.
#[derive(Clone, Debug)]
pub struct ReplayDir {
    path: PathBuf,
}

impl Store {
    /// A new directory for replays of a run.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create_replay(&self) -> Result<ReplayDir, StoreError> {
        Ok(ReplayDir { path: fresh_dir(&self.root, "replay")? })
    }
}

impl ReplayDir {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The store of the replay of this number, and of no other.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn run_store(&self, number: u32) -> Result<Store, StoreError> {
        Store::open(self.path.join(number.to_string()))
    }

    /// Writes the report, which ends the replay.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_report(&self, report: &ReplayReport) -> Result<PathBuf, StoreError> {
        write_json(&self.path, "replay.json", report)?;
        Ok(self.path.join("replay.json"))
    }
}
