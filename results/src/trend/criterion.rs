//! Benchmarks of Criterion's, taken into the store: a line each in `criterion.jsonl`.
//!
//! ```text
//!   target/criterion/GROUP/NAME/new/estimates.json ─┐
//!                                   benchmark.json ─┼─> CriterionLine ──> STORE/criterion.jsonl ──> trend criterion.GROUP/NAME
//!                                   sample.json    ─┘     with revision and machine
//! ```
//!
//! Criterion itself keeps the last result and the one before; here they stay. Its files are read as a stranger's: bounded in number, depth
//! and size, links not followed, and a file that is not what it should be is an error that names it.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Point;
use crate::{
    metrics::{Metric, NAME_MAX},
    statistics::shift::median_of,
    store::{Machine, Store, git_directory, git_revision},
};

/// Version of the lines.
pub const CRITERION_FORMAT: u32 = 1;

/// The file in the store.
pub const FILE: &str = "criterion.jsonl";

/// Directories that are looked at.
const DIRECTORIES_MAX: usize = 20_000;

/// How deep they may lie.
const DEPTH_MAX: usize = 8;

/// A file of Criterion's is no larger.
const FILE_MAX: u64 = 16 << 20;

/// Measurements of one sample.
const SAMPLES_MAX: usize = 1_000_000;

/// Of the file in the store no more is read.
const STORED_MAX: u64 = 1 << 28;

/// One benchmark's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CriterionLine {
    /// [`CRITERION_FORMAT`].
    pub format: u32,
    /// Group and name.
    pub name: String,
    /// When it was measured, UTC.
    pub measured: String,
    /// The revision of the directory it was imported from, if that is still the one that was measured.
    pub revision: Option<String>,
    /// Where it was imported, and thus measured, for all that is known.
    pub machine: Machine,
    /// The median time of an iteration, nanoseconds.
    pub median_ns: f64,
    /// Criterion's estimate of the mean, with its bounds.
    pub mean_ns: [f64; 3],
    /// How many measurements there are.
    pub samples: usize,
}

/// A benchmark cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum CriterionError {
    /// The file system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not what belongs there.
    #[error("{} is none of Criterion's: {what}", path.display())]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Nothing there.
    #[error("no result of Criterion's below {}; `cargo bench` leaves them in target/criterion", .0.display())]
    Nothing(PathBuf),
    /// Too much there.
    #[error("more than {DIRECTORIES_MAX} directories below {}; name one of Criterion's", .0.display())]
    TooMany(PathBuf),
}

#[derive(Deserialize)]
struct Estimates {
    mean: EstimateOf,
}

#[derive(Deserialize)]
struct EstimateOf {
    confidence_interval: Bounds,
    point_estimate: f64,
}

#[derive(Deserialize)]
struct Bounds {
    lower_bound: f64,
    upper_bound: f64,
}

#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
}

/// Reads every last result below a directory, in the order of their paths.
///
/// # Errors
/// When there is none, or a file is not what it should be.
pub fn read(directory: &Path) -> Result<Vec<CriterionLine>, CriterionError> {
    let mut found = Vec::new();
    let mut open = vec![(directory.to_owned(), 0)];
    let mut looked_at = 0;
    while let Some((path, depth)) = open.pop() {
        looked_at += 1;
        if looked_at > DIRECTORIES_MAX {
            return Err(CriterionError::TooMany(directory.to_owned()));
        }
        let failed = |source| CriterionError::Io { path: path.clone(), source };
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // Of the entry itself: a link is none.
            if !entry.file_type().map_err(failed)?.is_dir() {
                continue;
            }
            match entry.file_name() == "new" && is_file(&entry.path().join("estimates.json")) {
                true => found.push(entry.path()),
                false if depth < DEPTH_MAX => open.push((entry.path(), depth + 1)),
                false => {}
            }
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(CriterionError::Nothing(directory.to_owned()));
    }
    let (checkout, machine) = (Checkout::of(&absolute(directory)), Machine::here());
    found.iter().map(|new| line(directory, new, checkout.as_ref(), machine.clone())).collect()
}

/// What is checked out, and since when.
struct Checkout {
    revision: String,
    since: SystemTime,
}

impl Checkout {
    /// Of the repository that this directory is in. None where no log of Git's says when another revision was checked out or committed
    /// for the last time: then nobody knows what was measured.
    fn of(directory: &Path) -> Option<Self> {
        let revision = git_revision(directory)?;
        let since = fs::metadata(git_directory(directory)?.join("logs/HEAD")).and_then(|log| log.modified()).ok()?;
        Some(Self { revision, since })
    }

    /// What a measurement of this moment was of; none if something else was checked out then.
    fn at(&self, measured: SystemTime) -> Option<String> {
        (self.since <= measured).then(|| self.revision.clone())
    }
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

fn line(
    directory: &Path,
    new: &Path,
    checkout: Option<&Checkout>,
    machine: Machine,
) -> Result<CriterionLine, CriterionError> {
    let path = new.join("estimates.json");
    let estimates: Estimates = read_json(&path)?;
    let EstimateOf { confidence_interval: Bounds { lower_bound, upper_bound }, point_estimate } = estimates.mean;
    let mean_ns = [point_estimate, lower_bound, upper_bound];
    if mean_ns.iter().any(|value| !value.is_finite() || *value <= 0.0) {
        return Err(CriterionError::Wrong { path, what: "a time that is not above zero".to_owned() });
    }
    let measured = fs::metadata(&path).and_then(|metadata| metadata.modified());
    let measured = measured.map_err(|source| CriterionError::Io { path: path.clone(), source })?;
    let revision = checkout.and_then(|checkout| checkout.at(measured));
    let measured = Timestamp::try_from(measured)
        .map_err(|error| CriterionError::Wrong { path: path.clone(), what: error.to_string() })?;
    let per_iteration = per_iteration(&new.join("sample.json"))?;
    let name = match new.join("benchmark.json") {
        path if is_file(&path) => read_json::<Benchmark>(&path)?.full_id,
        _ => {
            let inner = new.parent().and_then(|parent| parent.strip_prefix(directory).ok());
            inner.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
        }
    };
    Ok(CriterionLine {
        format: CRITERION_FORMAT,
        name: name.chars().take(NAME_MAX).collect(),
        measured: measured.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        revision,
        machine,
        median_ns: median_of(&mut per_iteration.clone()),
        mean_ns,
        samples: per_iteration.len(),
    })
}

/// The time of an iteration in each measurement.
fn per_iteration(path: &Path) -> Result<Vec<f64>, CriterionError> {
    let sample: Sample = read_json(path)?;
    let wrong = |what: &str| CriterionError::Wrong { path: path.to_owned(), what: what.to_owned() };
    if sample.iters.len() != sample.times.len() || sample.iters.is_empty() || sample.iters.len() > SAMPLES_MAX {
        return Err(wrong("as many times as numbers of iterations belong there, and some"));
    }
    let times: Vec<f64> = sample.times.iter().zip(&sample.iters).map(|(time, iterations)| time / iterations).collect();
    match times.iter().all(|time| time.is_finite() && *time > 0.0) {
        true => Ok(times),
        false => Err(wrong("a time of an iteration that is not above zero")),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, CriterionError> {
    let failed = |source| CriterionError::Io { path: path.to_owned(), source };
    let wrong = |what: String| CriterionError::Wrong { path: path.to_owned(), what };
    if !is_file(path) {
        return Err(wrong("no such file, or none that may be read".to_owned()));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(wrong(format!("it has more than {} MiB", FILE_MAX >> 20)));
    }
    serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))
}

/// All lines in the store, the oldest first; none where nothing was imported. The rest of an import that was killed while it wrote, a last
/// line without its end, is passed over.
///
/// # Errors
/// When the file cannot be read, or a line is not what belongs there.
pub fn stored(store: &Store) -> Result<Vec<CriterionLine>, CriterionError> {
    let path = store.path().join(FILE);
    let failed = |source| CriterionError::Io { path: path.clone(), source };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut lines = Kept::read(&file, &path)?.lines;
    lines.sort_by(|one, other| one.measured.cmp(&other.measured));
    Ok(lines)
}

/// What the file in the store holds.
struct Kept {
    lines: Vec<CriterionLine>,
    /// Bytes up to the end of the last whole line.
    whole: u64,
    /// Bytes behind it: a line that was not written to its end.
    torn: u64,
}

impl Kept {
    /// Reads an open file from where it stands, its beginning.
    fn read(file: &File, path: &Path) -> Result<Self, CriterionError> {
        let failed = |source| CriterionError::Io { path: path.to_owned(), source };
        let wrong = |what: String| CriterionError::Wrong { path: path.to_owned(), what };
        let mut reader = BufReader::new(file.take(STORED_MAX + 1));
        let (mut kept, mut line, mut number) = (Self { lines: Vec::new(), whole: 0, torn: 0 }, Vec::new(), 0);
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line).map_err(failed)? as u64;
            if kept.whole + length > STORED_MAX {
                return Err(wrong(format!("it has more than {} MiB", STORED_MAX >> 20)));
            }
            if !line.ends_with(b"\n") {
                kept.torn = length;
                return Ok(kept);
            }
            (kept.whole, number) = (kept.whole + length, number + 1);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let read: CriterionLine =
                serde_json::from_slice(&line).map_err(|error| wrong(format!("line {number}: {error}")))?;
            if read.format != CRITERION_FORMAT {
                let format = read.format;
                return Err(wrong(format!(
                    "line {number} has format {format}, and this program reads {CRITERION_FORMAT}"
                )));
            }
            if !read.median_ns.is_finite() {
                return Err(wrong(format!("line {number} has a time that is none")));
            }
            kept.lines.push(read);
        }
    }
}

/// Takes results into the store; those that are there already are not taken twice. Says how many were new.
///
/// # Errors
/// When the file cannot be read or written, or another import is just writing it.
pub fn import(store: &Store, lines: &[CriterionLine]) -> Result<usize, CriterionError> {
    let key = |line: &CriterionLine| (line.name.clone(), line.measured.clone(), line.median_ns.to_bits());
    let path = store.path().join(FILE);
    let failed = |source| CriterionError::Io { path: path.clone(), source };
    let mut file = File::options().create(true).read(true).append(true).open(&path).map_err(failed)?;
    // Until the file is closed: what another import is still writing is not torn.
    file.try_lock().map_err(|error| match error {
        TryLockError::Error(source) => failed(source),
        TryLockError::WouldBlock => failed(io::Error::other("another import is writing it; try again")),
    })?;
    let kept = Kept::read(&file, &path)?;
    if kept.torn > 0 {
        // Of an import that was killed. What it has not written to the end it has not taken in, so that it can be taken in now.
        file.set_len(kept.whole).map_err(failed)?;
    }
    let there: BTreeSet<_> = kept.lines.iter().map(key).collect();
    let mut text = Vec::new();
    let mut new = 0;
    for line in lines.iter().filter(|line| !there.contains(&key(line))) {
        serde_json::to_writer(&mut text, line).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        new += 1;
    }
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(new)
}

/// The metrics of imported benchmarks, each once.
#[must_use]
pub fn metrics(lines: &[CriterionLine]) -> Vec<Metric> {
    let names: BTreeSet<&str> = lines.iter().map(|line| line.name.as_str()).collect();
    names.into_iter().map(Metric::criterion).collect()
}

/// The series of one benchmark on a machine like this one, and how many points of other machines there are besides.
#[must_use]
pub fn points(lines: &[CriterionLine], metric: &Metric, machine: &Machine) -> (Vec<Point>, usize) {
    let of_metric = lines.iter().filter(|line| Metric::criterion(&line.name) == *metric);
    let (here, elsewhere): (Vec<_>, Vec<_>) = of_metric.partition(|line| line.machine.differences(machine).is_empty());
    let point = |line: &CriterionLine| Point {
        time: line.measured.clone(),
        runs: Vec::new(),
        revision: line.revision.clone(),
        labels: crate::store::Labels::new(),
        value: line.median_ns,
    };
    (here.into_iter().map(point).collect(), elsewhere.len())
}
