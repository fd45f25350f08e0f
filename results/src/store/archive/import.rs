//! Reading an archive that somebody else may have made.

use std::{
    collections::{BTreeSet, HashSet},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use tar::{Archive, Entry, EntryType};

use super::ArchiveError;
use crate::{
    store::{
        DirLock, RunDir, RunId, Store, StoreError,
        files::{DATA, bytes_max, is_data},
        history::{Bounded, COMPRESSED, PLAIN, WINDOW_LOG_MAX, first_bytes, is_zstd},
        now_in_words, random_suffix,
        remove::{IMPORTING, remove_tree},
        write_json,
    },
    summary::Summary,
};

/// Files and directories of an archive.
const ENTRIES_MAX: usize = 100_000;

/// Runs of an archive.
const RUNS_MAX: usize = 1_000;

/// The file that says that a run came in an archive.
const MARK: &str = "imported.json";

/// Version of that file.
const MARK_FORMAT: u32 = 1;

/// What is said of a run that came in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Version of this file.
    pub format: u32,
    /// When, in UTC.
    pub at: String,
}

impl RunDir {
    /// Whether it came here in an archive.
    #[must_use]
    pub fn is_imported(&self) -> bool {
        self.path.join(MARK).symlink_metadata().is_ok()
    }
}

impl Store {
    /// Takes the runs of an archive in, all or none; `bytes_max` is how much may come out of it. Memory does not grow with it.
    ///
    /// # Errors
    /// When it is damaged, too large, or holds what no archive of runs holds; [`StoreError::Taken`] when there is one of the runs already.
    /// Then the store is as before.
    pub fn import(&self, input: impl Read, bytes_max: u64) -> Result<Vec<RunDir>, ArchiveError> {
        let staging = Staging::new(self)?;
        let ids = unpack(input, bytes_max, self, &staging.path)?;
        for id in &ids {
            inspect(&staging.path, id)?;
        }
        self.take_over(&staging.path, &ids)
    }

    fn take_over(&self, staging: &Path, ids: &BTreeSet<RunId>) -> Result<Vec<RunDir>, ArchiveError> {
        let mut taken: Vec<RunDir> = Vec::new();
        for id in ids {
            let path = self.root.join(id.as_str());
            let moved = rename_to_new(&staging.join(id.as_str()), &path);
            if let Err(error) = moved {
                // Somebody was faster. All or none: what was moved goes again.
                for run in &taken {
                    self.remove_run(run)?;
                }
                return Err(error.into());
            }
            taken.push(RunDir::at(path, id.clone()));
        }
        let durable = File::open(&self.root).and_then(|root| root.sync_all());
        durable.map_err(|error| StoreError::io("write", &self.root, error))?;
        Ok(taken)
    }
}

/// Where an archive is unpacked: a hidden directory of the store, gone when this is dropped.
struct Staging {
    path: PathBuf,
    _lock: DirLock,
}

impl Staging {
    fn new(store: &Store) -> Result<Self, StoreError> {
        let path = store.root.join(format!("{IMPORTING}{}-{:04x}", std::process::id(), random_suffix()));
        fs::create_dir(&path).map_err(|error| StoreError::io("import into", &path, error))?;
        Ok(Self { _lock: DirLock::hold(&path)?, path })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is swept later.
        _ = remove_tree(&self.path);
    }
}

/// Unpacks everything below `staging`, and says which runs there are.
fn unpack(
    mut input: impl Read,
    bytes_max: u64,
    store: &Store,
    staging: &Path,
) -> Result<BTreeSet<RunId>, ArchiveError> {
    let magic = first_bytes(&mut input, 4).map_err(ArchiveError::reading)?;
    if !is_zstd(&magic) {
        return Err(ArchiveError::NotAnArchive);
    }
    let mut decoder = zstd::Decoder::new(io::Cursor::new(magic).chain(input)).map_err(ArchiveError::reading)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(ArchiveError::reading)?;
    let bounded = Bounded::new(decoder, bytes_max, "the most that is taken; --max-size takes more, if that is meant");
    let mut archive = Archive::new(bounded);
    let mut unpacking = Unpacking { store, staging, seen: HashSet::new(), ids: BTreeSet::new() };
    // Raw: extensions of the format, which can stand for long names and anything else, are entries like others, and refused.
    for entry in archive.entries().map_err(ArchiveError::reading)?.raw(true) {
        unpacking.take(entry.map_err(ArchiveError::reading)?)?;
    }
    rest(archive.into_inner())?;
    match unpacking.ids {
        ids if ids.is_empty() => Err(ArchiveError::Empty),
        ids => Ok(ids),
    }
}

/// After the end of the archive only padding may follow, up to the end of the frame, whose checksum is looked at there.
fn rest(mut input: impl Read) -> Result<(), ArchiveError> {
    let mut buffer = [0; 4096];
    loop {
        match input.read(&mut buffer).map_err(ArchiveError::reading)? {
            0 => return Ok(()),
            read if buffer[..read].iter().all(|&byte| byte == 0) => {}
            _ => return Err(refused("", "stands after the end of the archive")),
        }
    }
}

fn refused(name: &str, why: impl Into<String>) -> ArchiveError {
    ArchiveError::Entry { name: name.chars().take(200).collect(), why: why.into() }
}

struct Unpacking<'a> {
    store: &'a Store,
    staging: &'a Path,
    seen: HashSet<String>,
    ids: BTreeSet<RunId>,
}

impl Unpacking<'_> {
    fn take(&mut self, mut entry: Entry<'_, impl Read>) -> Result<(), ArchiveError> {
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let is_directory = match entry.header().entry_type() {
            EntryType::Regular => false,
            EntryType::Directory => true,
            other => return Err(refused(&path, format!("is {}", kind(other)))),
        };
        let (id, name) = place(&path, is_directory).map_err(|why| refused(&path, why))?;
        if self.seen.len() == ENTRIES_MAX {
            return Err(ArchiveError::TooMany("100,000 entries"));
        }
        if !self.seen.insert(format!("{id}/{name}")) {
            return Err(refused(&path, "is there twice"));
        }
        let other_history = match name.as_str() {
            PLAIN => Some(COMPRESSED),
            COMPRESSED => Some(PLAIN),
            _ => None,
        };
        if other_history.is_some_and(|other| self.seen.contains(&format!("{id}/{other}"))) {
            return Err(refused(&path, "is a second history of the run"));
        }
        let run = self.run(id)?;
        if is_directory {
            return make_folder(&run.join(name));
        }
        let size = entry.header().entry_size().map_err(ArchiveError::reading)?;
        let bound = bytes_max(&name).expect("the name was looked at");
        if size > bound {
            return Err(refused(&path, format!("has {size} bytes, more than such a file may have, {bound}")));
        }
        write(&mut entry, &run.join(name), size)
    }

    /// The directory of a run, made when its first entry comes.
    fn run(&mut self, id: RunId) -> Result<PathBuf, ArchiveError> {
        let path = self.staging.join(id.as_str());
        if !self.ids.contains(&id) {
            if self.ids.len() == RUNS_MAX {
                return Err(ArchiveError::TooMany("1,000 runs"));
            }
            let place = self.store.root.join(id.as_str());
            if place.symlink_metadata().is_ok() {
                return Err(StoreError::Taken { path: place }.into());
            }
            make_folder(&path.join("nodes"))?;
            self.ids.insert(id);
        }
        Ok(path)
    }
}

/// The run and the name in it that an entry is for.
fn place(path: &str, is_directory: bool) -> Result<(RunId, String), &'static str> {
    let path = if is_directory { path.strip_suffix('/').unwrap_or(path) } else { path };
    if path.starts_with('/') {
        return Err("is an absolute path");
    }
    if path.split('/').any(|step| step == "..") {
        return Err("leads out of the run's directory");
    }
    let (id, name) = path.split_once('/').unwrap_or((path, ""));
    let id: RunId =
        id.parse().map_err(|_| "is not in the directory of a run, which is called like 20261121-011502-ab3f")?;
    let is_known = match is_directory {
        true => matches!(name, "" | "nodes" | DATA) || is_data(name),
        false => bytes_max(name).is_some(),
    };
    if is_known { Ok((id, name.to_owned())) } else { Err("is no file that a run has") }
}

fn kind(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader => {
            "an extension of the format, which `trueline runs export` does not use"
        }
        _ => "neither a file nor a directory",
    }
}

fn make_folder(path: &Path) -> Result<(), ArchiveError> {
    Ok(fs::create_dir_all(path).map_err(|error| StoreError::io("import into", path, error))?)
}

/// Everything above `path` was made here, so that no link is among it.
fn write(entry: &mut impl Read, path: &Path, size: u64) -> Result<(), ArchiveError> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let failed = |error| StoreError::io("import into", path, error);
    let mut file = File::create_new(path).map_err(failed)?;
    let mut left = size;
    let mut buffer = vec![0; 1 << 16];
    while left > 0 {
        let read = entry.read(&mut buffer).map_err(ArchiveError::reading)?;
        if read == 0 {
            return Err(ArchiveError::CutShort);
        }
        io::Write::write_all(&mut file, &buffer[..read]).map_err(failed)?;
        left = left.saturating_sub(read as u64);
    }
    Ok(file.sync_all().map_err(failed)?)
}

/// What is there must be a run that this program can read. Marks it.
fn inspect(staging: &Path, id: &RunId) -> Result<(), ArchiveError> {
    let run = RunDir::at(staging.join(id.as_str()), id.clone());
    let wrong = |why: String| ArchiveError::Run { id: id.clone(), why };
    // The paths of the hidden directory would tell nobody anything.
    let told = |error: StoreError| match error {
        StoreError::Io { .. } => "has no manifest.json that can be read".to_owned(),
        other => format!("cannot be taken: {}", other.to_string().replace(&*staging.to_string_lossy(), "it")),
    };
    run.manifest().map_err(|error| wrong(told(error)))?;
    let summary: Option<Summary> = run.verdict().map_err(|error| wrong(told(error)))?;
    if let Some(name) = summary.and_then(|summary| summary.run).filter(|name| name != id.as_str()) {
        return Err(wrong(format!("has the summary of another one, {name:?}")));
    }
    Ok(write_json(run.path(), MARK, &Imported { format: MARK_FORMAT, at: now_in_words() })?)
}

/// Moves a directory to where nothing is yet.
fn rename_to_new(from: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("import into", to, error);
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST | Errno::NOTEMPTY) => Err(StoreError::Taken { path: to.to_owned() }),
        // Not every file system can do that. There an empty directory could be replaced, which no run has for longer than a moment.
        Err(Errno::INVAL | Errno::NOSYS) => match to.symlink_metadata() {
            Ok(_) => Err(StoreError::Taken { path: to.to_owned() }),
            Err(_) => fs::rename(from, to).map_err(failed),
        },
        Err(error) => Err(failed(error.into())),
    }
}
