//! The data directory: its lock, its meta file, its names, and the one way in which a whole file is written.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::{StorageError, format::encode_base};

/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
const LOCK: &str = "LOCK";
const META: &str = "meta";

/// Whose directory it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The cluster's name.
    pub cluster: String,
    /// The node.
    pub node: u64,
}

#[derive(Serialize, Deserialize)]
struct Meta {
    format: u32,
    #[serde(flatten)]
    owner: Owner,
}

/// A data directory that this process, and no other, works in.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    // Open directories can be synced; the lock lives as long as its file is open.
    handle: File,
    _lock: File,
}

/// What lies in a data directory.
#[derive(Debug, Default)]
pub struct Listing {
    /// Generations with a base file, ascending.
    pub bases: Vec<u64>,
    /// Segments as (generation, number), ascending.
    pub segments: Vec<(u64, u64)>,
    /// Files that were never finished.
    pub tmp: Vec<PathBuf>,
    meta: bool,
}

impl Directory {
    /// Makes the directory if need be, locks it, and checks whose it is.
    ///
    /// # Errors
    /// When another process or another node has it, or a newer program wrote it.
    pub fn open(path: &Path, owner: &Owner) -> Result<Self, StorageError> {
        make_durably(path)?;
        let handle = File::open(path).map_err(StorageError::io("open", path))?;
        let lock_path = path.join(LOCK);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(StorageError::io("open", &lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StorageError::Locked { path: path.to_owned() }),
            Err(error) => return Err(StorageError::io("lock", lock_path)(error.into())),
        }
        let directory = Self { path: path.to_owned(), handle, _lock: lock };
        directory.check_owner(owner)?;
        Ok(directory)
    }

    fn check_owner(&self, owner: &Owner) -> Result<(), StorageError> {
        let path = self.path.join(META);
        let listing = self.list()?;
        if !listing.meta {
            if listing.segments.is_empty() && listing.bases.iter().all(|&g| g == 0) {
                return self.begin(owner);
            }
            return Err(StorageError::damaged(path, "it is missing, but there is a log"));
        }
        let bytes = fs::read(&path).map_err(StorageError::io("read", &path))?;
        // The format comes first: a newer program may have changed everything else.
        #[derive(Deserialize)]
        struct FormatOnly {
            format: u32,
        }
        let found: FormatOnly = serde_json::from_slice(&bytes).map_err(|e| StorageError::damaged(&path, e))?;
        if found.format != FORMAT {
            return Err(StorageError::NewerFormat { path: self.path.clone(), found: found.format, known: FORMAT });
        }
        let meta: Meta = serde_json::from_slice(&bytes).map_err(|e| StorageError::damaged(&path, e))?;
        if meta.owner != *owner {
            let name = |owner: &Owner| format!("node {} of cluster {:?}", owner.node, owner.cluster);
            let (found, wanted) = (name(&meta.owner), name(owner));
            return Err(StorageError::OtherOwner { path: self.path.clone(), found, wanted });
        }
        Ok(())
    }

    /// The meta file comes last: where it is, a base file must be too, else somebody removed it. A process that made the directory
    /// may have ended before its name was durable.
    fn begin(&self, owner: &Owner) -> Result<(), StorageError> {
        sync_parent(&self.path)?;
        self.write_whole(&base_name(0), &encode_base::<()>(0, None, &[])?)?;
        let meta = Meta { format: FORMAT, owner: owner.clone() };
        self.write_whole(META, serde_json::to_string(&meta).expect("plain fields").as_bytes())
    }

    /// What lies in it now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn list(&self) -> Result<Listing, StorageError> {
        let mut listing = Listing::default();
        let entries = fs::read_dir(&self.path).map_err(StorageError::io("list", &self.path))?;
        for entry in entries {
            let entry = entry.map_err(StorageError::io("list", &self.path))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name == META {
                listing.meta = true;
            } else if name.ends_with(".tmp") {
                listing.tmp.push(entry.path());
            } else if let Some(generation) = name.strip_prefix("base-").and_then(|g| g.parse().ok()) {
                listing.bases.push(generation);
            } else if let Some((generation, number)) = name.strip_prefix("wal-").and_then(|rest| rest.split_once('-'))
                && let (Ok(generation), Ok(number)) = (generation.parse(), number.parse())
            {
                listing.segments.push((generation, number));
            }
        }
        listing.bases.sort_unstable();
        listing.segments.sort_unstable();
        Ok(listing)
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The base file of a generation.
    #[must_use]
    pub fn base(&self, generation: u64) -> PathBuf {
        self.path.join(base_name(generation))
    }

    /// A segment.
    #[must_use]
    pub fn segment(&self, generation: u64, number: u64) -> PathBuf {
        self.path.join(segment_name(generation, number))
    }

    /// Writes a file so that after a crash it is there whole or not at all (Raft rule D5).
    ///
    /// # Errors
    /// When any step fails.
    pub fn write_whole(&self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let tmp = self.path.join(format!("{name}.tmp"));
        let path = self.path.join(name);
        let mut file = File::create(&tmp).map_err(StorageError::io("create", &tmp))?;
        file.write_all(bytes).map_err(StorageError::io("write", &tmp))?;
        file.sync_all().map_err(StorageError::io("sync", &tmp))?;
        fs::rename(&tmp, &path).map_err(StorageError::io("rename into place", &path))?;
        self.sync()
    }

    /// Makes new names and removals durable.
    ///
    /// # Errors
    /// When the sync fails.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.handle.sync_all().map_err(StorageError::io("sync directory", &self.path))
    }

    /// Removes a file; one that is not there is removed already.
    ///
    /// # Errors
    /// When it is still there afterwards.
    pub fn remove(&self, path: &Path) -> Result<(), StorageError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StorageError::io("remove", path)(error)),
            _ => Ok(()),
        }
    }
}

/// Makes a directory, and what is missing above it, so that a crash afterwards does not take its name away.
fn make_durably(path: &Path) -> Result<(), StorageError> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|part| !part.as_os_str().is_empty() && !part.exists()).collect();
    fs::create_dir_all(path).map_err(StorageError::io("make directory", path))?;
    missing.into_iter().rev().try_for_each(sync_parent)
}

fn sync_parent(path: &Path) -> Result<(), StorageError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        // A bare name lies in the working directory; the root lies in nothing.
        Some(_) => Path::new("."),
        None => return Ok(()),
    };
    let handle = File::open(parent).map_err(StorageError::io("open", parent))?;
    handle.sync_all().map_err(StorageError::io("sync directory", parent))
}

/// File name of a generation's base.
#[must_use]
pub fn base_name(generation: u64) -> String {
    format!("base-{generation}")
}

/// File name of a segment.
#[must_use]
pub fn segment_name(generation: u64, number: u64) -> String {
    format!("wal-{generation}-{number}")
}
