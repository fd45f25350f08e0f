//! Opens a history for reading: a file or standard input, plain or compressed with zstd.
//!
//! ```text
//!   file, or `-` ──> first 4 bytes ──┬─ zstd's ──> decoder (window at most 128 MiB) ──> Bounded ──┬──> first bytes ──> guess
//!                                    └─ others ───────────────────────────────────────────────────┘        └──> BufRead
//! ```
//!
//! What is compressed is known by its content, not by its name. It is decompressed as it is read, so that memory does not
//! grow with it; and since a few kilobytes can stand for terabytes, what comes out has a bound. A file that was cut short
//! ends in [`UnexpectedEof`](ErrorKind::UnexpectedEof), after all that could be decompressed.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind, Read},
    path::Path,
};

/// How much is looked at to guess a format, bytes.
const FIRST_BYTES: u64 = 4096;

/// The largest window that a frame may ask for, as a power of two: what `zstd --ultra -22` uses, and zstd's own default.
const WINDOW_LOG_MAX: u32 = 27;

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
            Box::new(Bounded { inner: decoder, left: decompressed_max, bound: decompressed_max })
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

/// Up to so many bytes. That the input was cut short is left for the next read to say.
fn first_bytes(input: &mut impl Read, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match input.take(count).read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
        Ok(_) | Err(_) => Ok(bytes),
    }
}

/// Whether a frame of zstd begins here, or one that its decoder skips (RFC 8878, sections 3.1.1 and 3.1.2).
fn is_zstd(magic: &[u8]) -> bool {
    matches!(magic, [0x28, 0xB5, 0x2F, 0xFD] | [0x50..=0x5F, 0x2A, 0x4D, 0x18])
}

/// Gives up after so many bytes.
struct Bounded<R> {
    inner: R,
    left: u64,
    bound: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                let what = format!(
                    "it decompresses to more than {} MiB, the memory that it may take; raise --memory if that is meant",
                    self.bound >> 20
                );
                return Err(io::Error::other(what));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(bytes: &[u8], bound: u64) -> Result<Vec<u8>, (Vec<u8>, io::Error)> {
        let file = HistoryFile::of(io::Cursor::new(bytes.to_vec()), bound).map_err(|error| (Vec::new(), error))?;
        let (first, mut all) = (file.first.clone(), Vec::new());
        let result = file.into_reader().read_to_end(&mut all);
        assert!(all.starts_with(&first));
        result.map(|_| all.clone()).map_err(|error| (all, error))
    }

    /// Text that compresses badly, so that frames have many blocks.
    fn text(lines: u64) -> Vec<u8> {
        let mut state = 7_u64;
        let mut line = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{state:x}\n")
        };
        (0..lines).flat_map(|_| line().into_bytes()).collect()
    }

    #[test]
    fn plain_and_compressed_content_come_out_the_same() {
        for content in [Vec::new(), b"{}".to_vec(), text(10), text(50_000)] {
            assert!(opened(&content, 1 << 30).unwrap() == content);
            let frame = zstd::encode_all(&content[..], 3).unwrap();
            assert!(opened(&frame, 1 << 30).unwrap() == content);
            let skipped = [0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, b'a', b'b', b'c'];
            assert!(opened(&[&skipped[..], &frame, &frame].concat(), 1 << 30).unwrap() == content.repeat(2));
        }
    }

    #[test]
    fn a_file_cut_anywhere_gives_what_can_be_read_and_says_that_it_was_cut() {
        let content = text(50_000);
        let frame = zstd::encode_all(&content[..], 3).unwrap();
        let mut most = 0;
        for cut in (4..frame.len()).step_by(frame.len() / 50) {
            let (some, error) = opened(&frame[..cut], 1 << 30).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "cut at {cut}: {error}");
            assert!(content.starts_with(&some), "cut at {cut}");
            most = most.max(some.len());
        }
        assert!(most > content.len() / 2, "{most} of {} bytes", content.len());
    }

    #[test]
    fn damage_is_no_cut() {
        // With a checksum, as the zstd command writes it.
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(true).unwrap();
        io::copy(&mut &text(50_000)[..], &mut encoder).unwrap();
        let mut frame = encoder.finish().unwrap();
        let middle = frame.len() / 2;
        for byte in &mut frame[middle..middle + 64] {
            *byte ^= 0x55;
        }
        let (_, error) = opened(&frame, 1 << 30).expect_err("damage is found");
        assert_ne!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
    }

    #[test]
    fn a_bomb_is_stopped_at_its_bound() {
        let bomb = zstd::encode_all(io::repeat(b' ').take(64 << 20), 19).unwrap();
        assert!(bomb.len() < 1 << 16, "{} bytes", bomb.len());
        let mut reader = HistoryFile::of(io::Cursor::new(bomb), 8 << 20).unwrap().into_reader();
        let error = io::copy(&mut reader, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("more than 8 MiB"), "{error}");
    }

    #[test]
    fn a_window_beyond_the_bound_is_refused() {
        // A frame's header (RFC 8878, section 3.1.1.1) without a content size, whose window is 2^41 bytes; an empty last block.
        let frame = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 31 << 3, 1, 0, 0];
        let (_, error) = opened(&frame, 1 << 30).unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
    }
}
