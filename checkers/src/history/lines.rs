//! Lines of bounded length from any reader.
//!
//! A source whose content was cut short says so by the error [`ErrorKind::UnexpectedEof`], as a decompressor does when its
//! input ends too soon: what came before it stands.

use std::io::{BufRead, ErrorKind, Read};

use super::HistoryError;

/// The longest line (or EDN operation) that is read.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// Reads line by line into one buffer.
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    number: u64,
    /// Whether to be content with what a source gave that was cut short.
    keep: bool,
    /// The line at which it was.
    cut: Option<u64>,
}

/// One line.
pub(super) struct Line<'a> {
    /// Counted from 1.
    pub number: u64,
    /// Without its end (`\n` or `\r\n`).
    pub bytes: &'a [u8],
    /// Whether its end was there: a last line without may be torn.
    pub terminated: bool,
}

impl Line<'_> {
    /// Whether nothing stands on it.
    pub fn is_blank(&self) -> bool {
        self.bytes.iter().all(u8::is_ascii_whitespace)
    }
}

impl<R: BufRead> Lines<R> {
    /// With `keep`, a source that was cut short just ends, and [`cut`](Self::cut) tells where.
    pub fn new(reader: R, keep: bool) -> Self {
        Lines { reader, buffer: Vec::new(), number: 0, keep, cut: None }
    }

    /// The line at which the source was cut short.
    pub fn cut(&self) -> Option<u64> {
        self.cut
    }

    /// How many lines were read.
    pub fn count(&self) -> u64 {
        self.number
    }

    /// The next line, `None` at the end.
    pub fn next(&mut self) -> Result<Option<Line<'_>>, HistoryError> {
        let line = self.number + 1;
        self.buffer.clear();
        if self.cut.is_some() {
            return Ok(None);
        }
        let limit = LINE_BYTES_MAX as u64 + 2;
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut self.buffer);
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && self.keep => self.cut = Some(line),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(HistoryError::Truncated { line }),
            Err(source) => return Err(HistoryError::Io { line, source }),
        }
        if self.buffer.is_empty() {
            return Ok(None);
        }
        self.number = line;
        let mut bytes = self.buffer.as_slice();
        let terminated = bytes.ends_with(b"\n");
        if let Some(rest) = bytes.strip_suffix(b"\n") {
            bytes = rest.strip_suffix(b"\r").unwrap_or(rest);
        }
        if bytes.len() > LINE_BYTES_MAX {
            return Err(HistoryError::LineTooLong { line });
        }
        if line == 1 {
            // Editors of some systems put a byte order mark before the first line.
            bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        }
        Ok(Some(Line { number: line, bytes, terminated }))
    }
}
