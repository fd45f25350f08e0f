//! Where gates are kept: a directory each, beside the runs that they started.
//!
//! ```text
//!   results/runs/gate-20261121-011502-ab3f/
//!     gate.json                the report      (all three are written again after each job)
//!     junit.xml
//!     summary.md
//!     logs/7-1.txt             what the run of job 7 printed at the first attempt
//!     logs/7-replay.txt        what came of replaying it
//!   results/runs/20261121-011503-77c1/         a run, as any other
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    CollectionDir, CollectionKind, NAMES_TRIED_MAX, RunId, Store, StoreError, index::short_names, random_suffix,
    write_json, write_whole,
};
use crate::gate::{GateReport, junit, markdown};

/// The directory of one gate.
#[derive(Clone, Debug)]
pub struct GateDir(CollectionDir);

impl Store {
    /// A new gate.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn create_gate(&self) -> Result<GateDir, StoreError> {
        let dir = self.create_collection(CollectionKind::Gate)?;
        let logs = dir.path().join("logs");
        fs::create_dir(&logs).map_err(|error| StoreError::io("create the gate", &logs, error))?;
        Ok(GateDir(dir))
    }

    /// A name that no run has, for one that starts now and is told it. Whoever else starts a run in the same moment may draw the same one of
    /// 65,536; then making the directory fails for one of both, long before the other one has a verdict.
    ///
    /// # Errors
    /// When none was found.
    pub fn free_name(&self) -> Result<RunId, StoreError> {
        let start = Timestamp::now();
        let names = (0..NAMES_TRIED_MAX).map(|_| RunId::at(start, random_suffix()));
        let free = names.into_iter().find(|id| !self.root.join(id.as_str()).exists());
        free.ok_or_else(|| StoreError::Crowded(self.root.clone()))
    }

    /// The shortest names of these runs that mean them and no others of the store; none for a run that is not there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn short_names(&self, wanted: &[&str]) -> Result<Vec<Option<String>>, StoreError> {
        let runs = self.runs()?;
        let shorts = short_names(&runs);
        let short =
            |name: &&str| runs.binary_search_by(|id| id.as_str().cmp(name)).ok().map(|place| shorts[place].clone());
        Ok(wanted.iter().map(short).collect())
    }
}

impl GateDir {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where the output of something goes that belongs to the job of this number.
    #[must_use]
    pub fn log_path(&self, job: u32, what: &str) -> PathBuf {
        self.path().join("logs").join(format!("{job}-{what}"))
    }

    /// Writes the report in all its forms, here and in `also`. Each file is whole at every moment.
    ///
    /// # Errors
    /// When one cannot be written; then it is as it was before.
    pub fn write(&self, report: &GateReport, also: Option<&Path>) -> Result<(), StoreError> {
        let xml = junit(report)
            .map_err(|error| StoreError::io("make", &self.path().join("junit.xml"), std::io::Error::other(error)))?;
        let page = markdown(report);
        for directory in [Some(self.path()), also].into_iter().flatten() {
            write_json(directory, "gate.json", report)?;
            write_whole(directory, "junit.xml", xml.as_bytes())?;
            write_whole(directory, "summary.md", page.as_bytes())?;
        }
        Ok(())
    }
}
