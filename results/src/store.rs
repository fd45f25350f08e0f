//! Where runs are kept: one directory a run, whose name sorts by time.
//!
//! ```text
//!   results/runs/20261121-011502-ab3f/
//!     lock              held while the run goes on
//!     manifest.json     what was asked for, of which program, on which machine    (written first)
//!     history.jsonl     every event, as it happens; history.jsonl.zst when the run is over
//!     schedule.jsonl    the faults as carried out, as they happen
//!     nodes.jsonl       how each node stood: up, paused, its role, as it was seen
//!     nodes/1.log …     what each node wrote
//!     latencies.hdr     whole histograms;  latencies.json: the readable table
//!     phases.hdr        the same before, during and after each kind of fault;  phases.json: each fault in numbers
//!     certificate.json  the verdict's proof, for `trueline verify`
//!     verdict.json      the summary                                               (written last but the report)
//!     report.html       all of it to look at, made of the other files
//! ```
//!
//! Creating the directory keeps runs apart: two that are started at once get two directories. Whole files are written beside and
//! renamed, so that a reader sees all of one or none; files that grow are appended to line by line. Every name is fixed or made of
//! numbers, so nothing that a server or a client says can lead out of the directory; and files are opened without following links, so
//! nothing that lies in a store leads out of it either.

use std::{
    fmt,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    latency::Latencies,
    phases::{PhaseHistograms, PhaseReport},
    summary::SUMMARY_FORMAT,
};

mod archive;
mod collection;
mod error;
mod files;
mod gate;
mod history;
mod index;
mod inside;
mod keep;
mod label;
mod lock;
mod machine;
mod remove;
mod select;

use inside::{open_inside, read_inside};

pub use archive::{ArchiveError, Export, Imported};
pub use collection::{Collection, CollectionDir, CollectionKind};
pub use error::StoreError;
pub use gate::GateDir;
pub use history::{HISTORY_BYTES_MAX, HistoryFile, history_in};
pub use index::{Candidates, LATEST, NoSuchName, RunEntry};
pub use keep::{Item, Keep, Weight, beyond};
pub use label::{Label, LabelError, Labels, labels};
pub use lock::{DirLock, RunState};
pub(crate) use machine::git_directory;
pub use machine::{Machine, git_revision};
pub use remove::bytes_on_disk;
pub use select::{Selection, SelectionError};

/// Where runs go unless told otherwise.
pub const DEFAULT_STORE: &str = "results/runs";

/// Version of the files in a run's directory.
pub const STORE_FORMAT: u32 = 1;

/// What is read of a manifest at most, bytes.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// What is read of a summary at most, bytes. The largest part, a violation's sentences and diagram, is a few kilobytes.
const VERDICT_BYTES_MAX: u64 = 16 << 20;

/// Names tried for a new run. Two in the same second are told apart by sixteen random bits.
const NAMES_TRIED_MAX: u32 = 64;

/// Of schedules and lines of nodes no more is read: a run of a week writes a tenth of it.
const LINES_BYTES_MAX: u64 = 1 << 28;

/// The name of a run: the second in which it started, in UTC, and four hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    fn at(start: Timestamp, suffix: u16) -> Self {
        Self(format!("{}-{suffix:04x}", start.strftime("%Y%m%d-%H%M%S")))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for RunId {
    type Err = StoreError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let shape = |(place, byte): (usize, u8)| match place {
            8 | 15 => byte == b'-',
            0..15 => byte.is_ascii_digit(),
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        };
        if name.len() == 20 && name.bytes().enumerate().all(shape) {
            Ok(Self(name.to_owned()))
        } else {
            Err(StoreError::BadId(name.to_owned()))
        }
    }
}

impl TryFrom<String> for RunId {
    type Error = StoreError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

/// What a run is of: enough to do it again, and to know what not to compare it with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`STORE_FORMAT`] of the program that wrote it.
    pub format: u32,
    /// Version of this program.
    pub trueline: String,
    /// Git revision of the directory it was started in: that of the system under development, as a rule.
    pub directory_revision: Option<String>,
    /// When, in UTC.
    pub started: String,
    /// The command line.
    pub command: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// What a person calls it by.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Everything that was configured.
    pub config: serde_json::Value,
    /// Where.
    pub machine: Machine,
}

impl Manifest {
    /// Of a run that starts now, here, by this process's command line; without labels.
    #[must_use]
    pub fn here(seed: u64, config: serde_json::Value) -> Self {
        Self {
            format: STORE_FORMAT,
            trueline: env!("CARGO_PKG_VERSION").to_owned(),
            directory_revision: std::env::current_dir().ok().as_deref().and_then(git_revision),
            started: now_in_words(),
            command: std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
            seed,
            labels: Labels::new(),
            config,
            machine: Machine::here(),
        }
    }
}

/// All runs.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store in this directory, which is made if need be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|error| StoreError::io("create the store", &root, error))?;
        Ok(Self { root })
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// A new run, with its manifest.
    ///
    /// # Errors
    /// When the directory cannot be made or written to.
    pub fn create_run(&self, manifest: &Manifest) -> Result<RunDir, StoreError> {
        let start = Timestamp::now();
        for _ in 0..NAMES_TRIED_MAX {
            match self.create_named(RunId::at(start, random_suffix()), manifest) {
                Err(StoreError::Taken { .. }) => {}
                done => return done,
            }
        }
        Err(StoreError::Crowded(self.root.clone()))
    }

    /// A new run by this name.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when there is one already; and when the directory cannot be made or written to.
    pub fn create_named(&self, id: RunId, manifest: &Manifest) -> Result<RunDir, StoreError> {
        let path = self.root.join(id.as_str());
        // Not create_dir_all: that it fails on a directory that is there is what keeps two runs apart.
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(StoreError::Taken { path }),
            made => made.map_err(|error| StoreError::io("create the run", &path, error))?,
        }
        let run = RunDir { id, _lock: Some(DirLock::hold(&path)?), path };
        let nodes = run.path.join("nodes");
        fs::create_dir(&nodes).map_err(|error| StoreError::io("create the run", &nodes, error))?;
        write_json(&run.path, "manifest.json", manifest)?;
        Ok(run)
    }

    /// The run by this name.
    ///
    /// # Errors
    /// When the name is none or there is no such run.
    pub fn run(&self, name: &str) -> Result<RunDir, StoreError> {
        let id: RunId = name.parse()?;
        let path = self.root.join(id.as_str());
        // A link may lead anywhere.
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => Ok(RunDir::at(path, id)),
            _ => Err(StoreError::NoSuchRun { path }),
        }
    }

    /// All runs, the oldest first. Whatever else lies in the directory is passed over.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn runs(&self) -> Result<Vec<RunId>, StoreError> {
        let failed = |error| StoreError::io("list the store", &self.root, error);
        let mut runs = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok())
                && entry.file_type().is_ok_and(|kind| kind.is_dir())
            {
                runs.push(id);
            }
        }
        runs.sort();
        Ok(runs)
    }
}

fn random_suffix() -> u16 {
    use std::hash::{BuildHasher, Hasher};
    // Seeded by the system for each value; nothing of a run's behaviour hangs on it.
    std::collections::hash_map::RandomState::new().build_hasher().finish() as u16
}

/// The second in which a run or hunt starts, in UTC, as files have it.
#[must_use]
pub fn now_in_words() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The directory of one run.
#[derive(Clone, Debug)]
pub struct RunDir {
    id: RunId,
    path: PathBuf,
    /// Held by the process that carries the run out.
    _lock: Option<DirLock>,
}

impl PartialEq for RunDir {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for RunDir {}

impl RunDir {
    fn at(path: PathBuf, id: RunId) -> Self {
        Self { id, path, _lock: None }
    }

    /// The run whose directory this is, in whatever store.
    ///
    /// # Errors
    /// When it is no directory, or not called as runs are.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let no_such_run = || StoreError::NoSuchRun { path: path.to_owned() };
        // So that `.` has a name, too.
        let path = path.canonicalize().map_err(|_| no_such_run())?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let id: RunId = name.parse()?;
        if path.is_dir() { Ok(Self::at(path, id)) } else { Err(no_such_run()) }
    }

    /// The room it takes on the disk, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        bytes_on_disk(&self.path)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The summary's file.
    #[must_use]
    pub fn verdict_path(&self) -> PathBuf {
        self.path.join("verdict.json")
    }

    /// The file of the verdict's certificate.
    #[must_use]
    pub fn certificate_path(&self) -> PathBuf {
        self.path.join("certificate.json")
    }

    /// What a node writes; nodes count from 1.
    #[must_use]
    pub fn node_log_path(&self, node: u64) -> PathBuf {
        self.path.join("nodes").join(format!("{node}.log"))
    }

    /// Writes the verdict's certificate, as it stands on disk.
    ///
    /// # Errors
    /// When it cannot be written; then there is no such file, or the one from before.
    pub fn write_certificate(&self, bytes: &[u8]) -> Result<(), StoreError> {
        write_whole(&self.path, "certificate.json", bytes)
    }

    /// A new file for the history.
    ///
    /// # Errors
    /// When it cannot be made, or is there already.
    pub fn create_history(&self) -> Result<File, StoreError> {
        let path = self.path.join(history::PLAIN);
        if self.path.join(history::COMPRESSED).exists() {
            return Err(StoreError::io("create the history", &path, io::ErrorKind::AlreadyExists.into()));
        }
        File::create_new(&path).map_err(|error| StoreError::io("create the history", &path, error))
    }

    /// The file for what a node writes; a node that is started again goes on in the same file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open_node_log(&self, node: u64) -> Result<File, StoreError> {
        append_to(&self.node_log_path(node), "open the node's log")
    }

    /// The schedule: faults as carried out.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn schedule(&self) -> Result<LineFile, StoreError> {
        LineFile::open(self.path.join("schedule.jsonl"))
    }

    /// The same to be read. Neither is a link followed, nor does a pipe hold the caller up: a stored run may come from anywhere.
    ///
    /// # Errors
    /// When there is none, or it is no plain file.
    pub fn open_schedule(&self) -> Result<File, StoreError> {
        let name = "schedule.jsonl";
        open_inside(&self.path, name).map_err(|error| StoreError::io("open", &self.path.join(name), error))
    }

    /// How each node stood: lines of [`NodeLine`](crate::life::NodeLine).
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn node_lines(&self) -> Result<LineFile, StoreError> {
        LineFile::open(self.path.join("nodes.jsonl"))
    }

    /// The lines of one of the run's files, in their order; none where there is no such file. A last line that was torn is left out.
    ///
    /// # Errors
    /// When it cannot be read, or a line is not what belongs there.
    pub(crate) fn read_lines<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>, StoreError> {
        let path = self.path.join(name);
        let file = match open_inside(&self.path, name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("open", &path, error)),
        };
        let mut reader = BufReader::new(file.take(LINES_BYTES_MAX));
        let (mut lines, mut line) = (Vec::new(), Vec::new());
        while reader.read_until(b'\n', &mut line).map_err(|error| StoreError::io("read", &path, error))? > 0 {
            match serde_json::from_slice(&line) {
                Ok(value) => lines.push(value),
                Err(_) if line.last() != Some(&b'\n') => break,
                Err(source) => return Err(StoreError::Json { path, source }),
            }
            line.clear();
        }
        Ok(lines)
    }

    /// Writes the summary, which ends the run.
    ///
    /// # Errors
    /// When it cannot be written; then there is no such file, or the one from before.
    pub fn write_verdict(&self, verdict: &impl Serialize) -> Result<(), StoreError> {
        write_json(&self.path, "verdict.json", verdict)
    }

    /// Writes whole histograms and the readable table.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write_latencies(&self, latencies: &Latencies, duration: Duration) -> Result<(), StoreError> {
        let mut log = Vec::new();
        latencies.write_log(&mut log, duration).expect("memory takes everything");
        write_whole(&self.path, "latencies.hdr", &log)?;
        write_json(&self.path, "latencies.json", &latencies.table())
    }

    /// Writes what each fault did: figures, and the whole histograms behind them.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write_phases(
        &self,
        report: &PhaseReport,
        histograms: &PhaseHistograms,
        duration: Duration,
    ) -> Result<(), StoreError> {
        let mut log = Vec::new();
        histograms.write_log(&mut log, duration).expect("memory takes everything");
        write_whole(&self.path, "phases.hdr", &log)?;
        write_json(&self.path, "phases.json", report)
    }

    /// The manifest.
    ///
    /// # Errors
    /// When it cannot be read, or was written by another version.
    pub fn manifest(&self) -> Result<Manifest, StoreError> {
        self.read_json("manifest.json", MANIFEST_BYTES_MAX, STORE_FORMAT)
    }

    /// The summary, if the run got that far: a [`Summary`](crate::summary::Summary), or as much of it as `T` takes.
    ///
    /// # Errors
    /// When there is one that cannot be read, or was written by another version.
    pub fn verdict<T: DeserializeOwned>(&self) -> Result<Option<T>, StoreError> {
        match self.read_json("verdict.json", VERDICT_BYTES_MAX, SUMMARY_FORMAT) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str, bytes_max: u64, known: u32) -> Result<T, StoreError> {
        let path = self.path.join(name);
        let bytes = read_inside(&self.path, name, bytes_max).map_err(|error| StoreError::io("read", &path, error))?;
        match read_version(&bytes, known) {
            Ok(value) => Ok(value),
            Err(Unread::Format(format)) => Err(StoreError::Format { path, format, known }),
            Err(Unread::Json(source)) => Err(StoreError::Json { path, source }),
        }
    }
}

/// Why a file of ours was not read.
enum Unread {
    /// It is of another version; 0 if it has none.
    Format(u64),
    /// It is not what belongs there.
    Json(serde_json::Error),
}

/// What a file with a `format` holds. The version is looked at first: the rest of another one may not fit.
fn read_version<T: DeserializeOwned>(bytes: &[u8], known: u32) -> Result<T, Unread> {
    #[derive(Deserialize)]
    struct Version {
        #[serde(default)]
        format: u64,
    }
    let Version { format } = serde_json::from_slice(bytes).map_err(Unread::Json)?;
    if format != u64::from(known) {
        return Err(Unread::Format(format));
    }
    serde_json::from_slice(bytes).map_err(Unread::Json)
}

/// Readers see the whole file or none, also after a power failure.
pub(crate) fn write_whole(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path = directory.join(name);
    let beside = directory.join(format!("{name}.tmp"));
    let write = || -> io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|error| {
        // It may not be there; and what is reported is the first error.
        _ = fs::remove_file(&beside);
        StoreError::io("write", &path, error)
    })
}

fn write_json(directory: &Path, name: &str, value: &impl Serialize) -> Result<(), StoreError> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|source| StoreError::Json { path: directory.join(name), source })?;
    text.push(b'\n');
    write_whole(directory, name, &text)
}

/// A file of one JSON object a line. Each line is with the kernel when `write` returns.
#[derive(Debug)]
pub struct LineFile {
    file: File,
    path: PathBuf,
}

impl LineFile {
    fn open(path: PathBuf) -> Result<Self, StoreError> {
        Ok(Self { file: append_to(&path, "open")?, path })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, value: &impl Serialize) -> Result<(), StoreError> {
        let mut line =
            serde_json::to_vec(value).map_err(|source| StoreError::Json { path: self.path.clone(), source })?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(|error| StoreError::io("add a line to", &self.path, error))
    }
}

fn append_to(path: &Path, action: &'static str) -> Result<File, StoreError> {
    File::options().create(true).append(true).open(path).map_err(|error| StoreError::io(action, path, error))
}

#[cfg(test)]
mod tests;
