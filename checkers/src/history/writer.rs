//! Writes the own format as a run goes on.

use std::io::{self, Write};

use serde::Serialize;

use super::jsonl::{CRC_MEMBER, Header};
use super::{Event, LINE_BYTES_MAX};
use crate::model::ModelSpec;

/// Writes a header and then one checksummed line an event.
///
/// Each line goes to `w` in one `write_all`, so that whatever ends the process can tear the last line only. Give it a
/// [`BufWriter`](io::BufWriter) for speed, and [`flush`](Self::flush) when an event must not be lost.
#[derive(Debug)]
pub struct HistoryWriter<W: Write> {
    writer: W,
    line: Vec<u8>,
}

impl<W: Write> HistoryWriter<W> {
    /// Writes the header: the format's version, and what the history is to be judged against.
    ///
    /// # Errors
    /// Those of `w`.
    pub fn new(w: W, model: &ModelSpec) -> io::Result<Self> {
        let mut writer = HistoryWriter { writer: w, line: Vec::with_capacity(256) };
        writer.put(&Header::of(model))?;
        Ok(writer)
    }

    /// Writes one event as a line.
    ///
    /// # Errors
    /// Those of the writer below, and an event beyond [`LINE_BYTES_MAX`], which no reader would take.
    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        self.put(event)
    }

    /// Hands everything written to the system.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// The writer below.
    #[must_use]
    pub fn get_ref(&self) -> &W {
        &self.writer
    }

    /// The writer below, without flushing it.
    #[must_use]
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn put(&mut self, object: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, object)?;
        let brace = self.line.pop();
        debug_assert_eq!(brace, Some(b'}'), "lines are objects");
        let crc = crc32c::crc32c(&self.line);
        self.line.extend_from_slice(CRC_MEMBER);
        writeln!(self.line, "{crc:08x}\"}}")?;
        if self.line.len() > LINE_BYTES_MAX {
            let what = format!("an event of {} bytes is longer than a history's line may be (16 MiB)", self.line.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        self.writer.write_all(&self.line)
    }
}
