//! Writing an archive.

use std::{
    fs::{self, Metadata},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

use tar::{Builder, EntryType, Header};

use super::ArchiveError;
use crate::store::{
    RunDir, RunState, StoreError,
    files::{DATA, DATA_DEPTH_MAX, FILES, bytes_max},
    history::{COMPRESSED, LEVEL, PLAIN},
    inside::open_inside,
};

/// An archive that is being written.
pub struct Export<W: Write> {
    builder: Builder<zstd::Encoder<'static, W>>,
    left_out: Vec<String>,
}

impl<W: Write> Export<W> {
    /// A new one.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn to(output: W) -> io::Result<Self> {
        let mut encoder = zstd::Encoder::new(output, LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self { builder: Builder::new(encoder), left_out: Vec::new() })
    }

    /// Adds a run; with what its nodes had on disk if that is wanted. Memory does not grow with it.
    ///
    /// # Errors
    /// When the run still goes on, or something cannot be read or written. Then the archive is no good.
    pub fn add(&mut self, run: &RunDir, with_data: bool) -> Result<(), ArchiveError> {
        if run.state() == RunState::Running {
            return Err(StoreError::Busy { path: run.path().to_owned() }.into());
        }
        let failed = |name: &str| {
            let path = run.path().join(name);
            move |error| StoreError::io("export", &path, error)
        };
        for name in self.names(run, with_data).map_err(failed("."))? {
            self.add_file(run, &name).map_err(failed(&name))?;
        }
        Ok(())
    }

    /// The files there are, the manifest first.
    fn names(&mut self, run: &RunDir, with_data: bool) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let plain_history = run.path().join(PLAIN).exists();
        for (name, _) in FILES {
            // A run whose compression was broken off may have two histories, of which the plain one counts.
            let is_doubled = name == COMPRESSED && plain_history;
            if !is_doubled && run.path().join(name).symlink_metadata().is_ok() {
                names.push(name.to_owned());
            }
        }
        below(run.path(), "nodes", 1, &mut names)?;
        if with_data {
            below(run.path(), DATA, DATA_DEPTH_MAX, &mut names)?;
        }
        Ok(names)
    }

    fn add_file(&mut self, run: &RunDir, name: &str) -> io::Result<()> {
        let path = format!("{}/{name}", run.id());
        let file = match open_inside(run.path(), name) {
            // Data may hold sockets and links, which mean nothing elsewhere.
            Err(_) if name.starts_with("data/") => {
                self.left_out.push(path);
                return Ok(());
            }
            opened => opened?,
        };
        let metadata = file.metadata()?;
        let Some(mut header) = header(&path, &metadata).filter(|_| bytes_max(name).is_some()) else {
            self.left_out.push(path);
            return Ok(());
        };
        header.set_cksum();
        self.builder.append(&header, Exactly { inner: file, left: metadata.len() })
    }

    /// Ends the archive. What it was written to, and what could not be taken along: entries of the nodes' data that are no plain files, or
    /// whose names are too long for the format.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> io::Result<(W, Vec<String>)> {
        Ok((self.builder.into_inner()?.finish()?, self.left_out))
    }
}

/// None where the name is too long.
fn header(path: &str, metadata: &Metadata) -> Option<Header> {
    let mut header = Header::new_ustar();
    header.set_path(path).ok()?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(metadata.len());
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
    Some(header)
}

/// The files below a directory by their names within the run, in order.
fn below(run: &Path, folder: &str, depth: usize, names: &mut Vec<String>) -> io::Result<()> {
    let path = run.join(folder);
    if !path.symlink_metadata().is_ok_and(|folder| folder.is_dir()) {
        return Ok(());
    }
    let mut entries = fs::read_dir(&path)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        // A name that is no text cannot be one of a run's.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{folder}/{name}");
        match entry.file_type()?.is_dir() {
            true if depth > 1 => below(run, &name, depth - 1, names)?,
            true => {}
            false => names.push(name),
        }
    }
    Ok(())
}

/// Reads as many bytes as the header says: a file that grew is taken as it was, and one that shrank is an error.
struct Exactly<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&mut self.inner).take(self.left).read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "it became shorter meanwhile"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
