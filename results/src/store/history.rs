//! A history's file: opened for reading, plain or compressed with zstd; and a run's, compressed when the run is over.
//!
//! ```text
//!   file, or `-` ──> first 4 bytes ──┬─ zstd's ──> decoder (window at most 128 MiB) ──> Bounded ──┬──> first bytes ──> guess
//!                                    └─ others ───────────────────────────────────────────────────┘        └──> BufRead
//! ```
//!
//! What is compressed is known by its content, not by its name. It is decompressed as it is read, so that memory does not
//! grow with it; and since a few kilobytes can stand for terabytes, what comes out has a bound. A file that was cut short
//! ends in [`UnexpectedEof`](ErrorKind::UnexpectedEof), after all that could be decompressed.
//!
//! A run writes its history plain, so that a crash loses nothing. Once it is judged:
//!
//! ```text
//!   history.jsonl ──> history.jsonl.zst.tmp ──> fsync ──> history.jsonl.zst ──> history.jsonl is removed
//!   └───────────── the plain one is whole, and read ──────────────────────┘    └─ the compressed one is read
//! ```
//!
//! So whenever it is broken off, there is a whole history: the plain one is taken where it is there, and goes last.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};

use super::{RunDir, StoreError, inside::open_inside};

/// A run's history as it is written.
pub(super) const PLAIN: &str = "history.jsonl";

/// A run's history when the run is over.
pub(super) const COMPRESSED: &str = "history.jsonl.zst";

/// As what a stored history is read at most, bytes: a few kilobytes can stand for more than any disk holds.
pub const HISTORY_BYTES_MAX: u64 = 8 << 30;

/// zstd's own default; higher ones take several times as long for a tenth.
pub(super) const LEVEL: i32 = 3;

/// How much is looked at to guess a format, bytes.
const FIRST_BYTES: u64 = 4096;

/// The largest window that a frame may ask for, as a power of two: what `zstd --ultra -22` uses, and zstd's own default.
pub(super) const WINDOW_LOG_MAX: u32 = 27;

/// A history that was opened.
pub struct HistoryFile {
    /// Its first bytes, up to a few thousand, decompressed.
    pub first: Vec<u8>,
    rest: Box<dyn Read>,
}

impl HistoryFile {
    /// Opens this file; `-` is standard input. What is compressed may have `decompressed_max` bytes.
    ///
    /// # Errors
    /// Those of the system, and of a compressed file that is damaged within its first bytes.
    pub fn open(path: &Path, decompressed_max: u64) -> io::Result<Self> {
        if path == Path::new("-") {
            Self::of(io::stdin().lock(), decompressed_max)
        } else {
            Self::of(File::open(path)?, decompressed_max)
        }
    }

    /// A history from any source.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of(mut input: impl Read + 'static, decompressed_max: u64) -> io::Result<Self> {
        let magic = first_bytes(&mut input, 4)?;
        let compressed = is_zstd(&magic);
        let input = io::Cursor::new(magic).chain(input);
        let mut rest: Box<dyn Read> = if compressed {
            let mut decoder = zstd::Decoder::new(input)?;
            decoder.window_log_max(WINDOW_LOG_MAX)?;
            Box::new(Bounded::new(
                decoder,
                decompressed_max,
                "the most that is taken here; where --memory is a flag, raise it if that is meant",
            ))
        } else {
            Box::new(input)
        };
        Ok(Self { first: first_bytes(&mut rest, FIRST_BYTES)?, rest })
    }

    /// All of it, from the beginning.
    #[must_use]
    pub fn into_reader(self) -> impl BufRead {
        BufReader::with_capacity(1 << 16, io::Cursor::new(self.first).chain(self.rest))
    }
}

/// Where the history of the run in this directory is: what is there of plain and compressed, the plain one first.
#[must_use]
pub fn history_in(run: &Path) -> PathBuf {
    let (plain, compressed) = (run.join(PLAIN), run.join(COMPRESSED));
    if !plain.exists() && compressed.exists() { compressed } else { plain }
}

impl RunDir {
    /// The history's file: plain while the run goes on, compressed when it is over.
    #[must_use]
    pub fn history_path(&self) -> PathBuf {
        history_in(&self.path)
    }

    /// The history from its beginning, decompressed if need be, up to [`HISTORY_BYTES_MAX`].
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn open_history(&self) -> Result<impl BufRead + use<>, StoreError> {
        let open = |name: &str| {
            let file = open_inside(&self.path, name).and_then(|file| HistoryFile::of(file, HISTORY_BYTES_MAX));
            file.map_err(|error| (name.to_owned(), error))
        };
        // In this order: one that is compressed meanwhile is there before the plain one goes.
        let opened = open(PLAIN).or_else(|failed| match failed.1.kind() {
            ErrorKind::NotFound => open(COMPRESSED),
            _ => Err(failed),
        });
        match opened {
            Ok(file) => Ok(file.into_reader()),
            Err((name, error)) => Err(StoreError::io("open the history", &self.path.join(name), error)),
        }
    }

    /// Puts the compressed history in the place of the plain one, if there is a plain one. What is broken off leaves at least one of them
    /// whole; done again, it is completed. Time is linear in the history: about a second for two million events.
    ///
    /// # Errors
    /// When it cannot be written; then the plain one stays.
    pub fn compress_history(&self) -> Result<(), StoreError> {
        let (plain, compressed) = (self.path.join(PLAIN), self.path.join(COMPRESSED));
        let beside = self.path.join(format!("{COMPRESSED}.tmp"));
        let mut source = match open_inside(&self.path, PLAIN) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(|error| StoreError::io("open the history", &plain, error))?,
        };
        let mut compress = || -> io::Result<()> {
            let mut encoder = zstd::Encoder::new(File::create(&beside)?, LEVEL)?;
            encoder.include_checksum(true)?;
            let length = source.metadata()?.len();
            encoder.set_pledged_src_size(Some(length))?;
            // More or less than pledged is an error: somebody still writes.
            io::copy(&mut source, &mut encoder)?;
            encoder.finish()?.sync_all()?;
            fs::rename(&beside, &compressed)?;
            let directory = File::open(&self.path)?;
            directory.sync_all()?;
            fs::remove_file(&plain)?;
            directory.sync_all()
        };
        compress().map_err(|error| {
            // It may not be there; and what is reported is the first error.
            _ = fs::remove_file(&beside);
            StoreError::io("compress the history", &plain, error)
        })
    }
}

/// Up to so many bytes. That the input was cut short is left for the next read to say.
pub(super) fn first_bytes(input: &mut impl Read, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match input.take(count).read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
        Ok(_) | Err(_) => Ok(bytes),
    }
}

/// Whether a frame of zstd begins here, or one that its decoder skips (RFC 8878, sections 3.1.1 and 3.1.2).
pub(super) fn is_zstd(magic: &[u8]) -> bool {
    matches!(magic, [0x28, 0xB5, 0x2F, 0xFD] | [0x50..=0x5F, 0x2A, 0x4D, 0x18])
}

/// Gives up after so many bytes.
pub(super) struct Bounded<R> {
    inner: R,
    left: u64,
    bound: u64,
    advice: &'static str,
}

impl<R: Read> Bounded<R> {
    pub(super) fn new(inner: R, bound: u64, advice: &'static str) -> Self {
        Self { inner, left: bound, bound, advice }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                let what = format!("it decompresses to more than {} MiB, {}", self.bound >> 20, self.advice);
                return Err(io::Error::new(ErrorKind::FileTooLarge, what));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
