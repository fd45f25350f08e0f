//! The report of a run: `report.html`, one file that opens in any browser, without a network and without a server.
//!
//! ```text
//!   Summary, Manifest ──> story ────────────┐   verdict, checks, ladder, figures: plain HTML, readable without script
//!   violation ──────────> counterexample ───┼──> page ──> report.html
//!   Timeline ──> columns ──> deflate, base64┘   lanes: every operation, drawn by page/*.js on canvases
//! ```
//!
//! Nothing that a server, a client or a file says can run in the page: what is HTML is escaped as it is written, everything else is
//! inert base64, shown by the script as text only; and the page's policy allows its own script and style alone, by a number drawn
//! anew for each file. The file never grows beyond [`FILE_BYTES_MAX`]: of a history too long for that a drawn sample is kept, and the page says so.

use std::path::{Path, PathBuf};

use rand::RngExt;

use crate::{
    store::{Manifest, RunDir, StoreError, write_whole},
    summary::Summary,
    timeline::{Timeline, TimelineError},
};

mod columns;
mod counterexample;
mod endings;
mod lanes;
mod layout;
mod page;
mod story;
mod values;

pub use endings::{Ending, Endings};

/// The report's name in a run's directory.
pub const REPORT_NAME: &str = "report.html";

/// No report is larger, bytes.
pub const FILE_BYTES_MAX: usize = 25_000_000;

/// Of which the data may take so much once it is base64; the rest is the page itself.
const DATA_BYTES_MAX: usize = 24_000_000;

/// Operations that are shown; of more a sample is drawn.
const OPERATIONS_MAX: usize = 2_000_000;

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The run cannot be put on an axis of time.
    #[error(transparent)]
    Timeline(#[from] TimelineError),
    /// A file of the run cannot be read, or the report not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a report is made of.
#[derive(Clone, Debug)]
pub struct Material<'a> {
    /// The run's name.
    pub run: String,
    /// What it is of; why not, where that cannot be read.
    pub manifest: Result<&'a Manifest, String>,
    /// What came out; none of a run that goes on or was broken off.
    pub summary: Option<&'a Summary>,
    /// Everything on one axis.
    pub timeline: &'a Timeline,
    /// Why operations failed and when their clients gave up.
    pub endings: &'a Endings,
}

/// Writes the report of a run into its directory, and tells where it is.
///
/// Time and space are linear in the run's files.
///
/// # Errors
/// When the run's history, schedule or nodes' lines cannot be read, and when the report cannot be written. A summary or a manifest that is missing is
/// told in the page.
pub fn write(run: &RunDir) -> Result<PathBuf, ReportError> {
    let path = run.path().join(REPORT_NAME);
    write_to(run, &path)?;
    Ok(path)
}

/// The same, of a run whose files have been put on an axis already: a long history is not read again for it.
///
/// # Errors
/// As [`write()`].
pub fn write_with(run: &RunDir, timeline: &Timeline) -> Result<PathBuf, ReportError> {
    write_whole(run.path(), REPORT_NAME, page_with(run, timeline)?.as_bytes())?;
    Ok(run.path().join(REPORT_NAME))
}

/// Writes the report of a run into this file. Whoever opens it meanwhile sees the one from before, or none.
///
/// # Errors
/// As [`write()`].
pub fn write_to(run: &RunDir, path: &Path) -> Result<(), ReportError> {
    let page = page_of(run)?;
    let name = path.file_name().map_or_else(|| REPORT_NAME.into(), |name| name.to_string_lossy());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(write_whole(directory, &name, page.as_bytes())?)
}

/// The report of a run as text.
///
/// # Errors
/// When the run's history, schedule or nodes' lines cannot be read.
pub fn page_of(run: &RunDir) -> Result<String, ReportError> {
    page_with(run, &Timeline::of(run)?)
}

fn page_with(run: &RunDir, timeline: &Timeline) -> Result<String, ReportError> {
    let endings = Endings::of(run)?;
    let (manifest, summary) = (run.manifest(), run.verdict::<Summary>()?);
    Ok(page(&Material {
        run: run.id().to_string(),
        manifest: manifest.as_ref().map_err(ToString::to_string),
        summary: summary.as_ref(),
        timeline,
        endings: &endings,
    }))
}

/// The report of what is given. Its number for the page's policy is drawn anew each time; all else depends on the material alone.
#[must_use]
pub fn page(material: &Material<'_>) -> String {
    page::render(material, &format!("{:032x}", rand::rng().random::<u128>()))
}
