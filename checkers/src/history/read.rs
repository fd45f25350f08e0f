//! Reading a history in any of the formats.

use std::io::BufRead;
use std::path::Path;

use super::{History, HistoryBuilder, HistoryError, jepsen, jsonl, log_line};
use crate::history::Value;
use crate::model::{ModelKind, ModelSpec};

/// How a history is written down, and what its words mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The own format: one JSON object a line (`docs/history-format.md`).
    Jsonl,
    /// A Jepsen history as EDN, with the meaning that knossos gives it: an `ok` read of `nil` observed nothing, and a
    /// failed compare-and-set says only that it was not done. [`ReadOptions`] changes either.
    JepsenEdn,
    /// A Jepsen log, whose operations stand in lines like `INFO  jepsen.util - PROCESS :TYPE :F VALUE`, or a history.txt
    /// of Jepsen, with the operations alone. It has the meaning of Jepsen's etcd tests: an `ok` read of `nil` saw an
    /// absent key, and a failed compare-and-set was answered "not equal".
    JepsenLog,
    /// One EDN map a line with `get`, `put` and `append` (which concatenates) on text by key; keys start as `""`.
    KvText,
}

impl Format {
    /// Guesses from a file's first bytes (a few thousand are enough) and, where those leave it open, from its name.
    #[must_use]
    pub fn guess(path: &Path, first_bytes: &[u8]) -> Option<Format> {
        // What is compressed has a second ending.
        let zst = path.extension().is_some_and(|extension| extension == "zst" || extension == "zstd");
        let stem = if zst { Path::new(path.file_stem().unwrap_or_default()) } else { path };
        let by_name = match stem.extension().and_then(|extension| extension.to_str()) {
            Some("jsonl" | "json" | "ndjson") => Some(Format::Jsonl),
            Some("edn") => Some(Format::JepsenEdn),
            Some("log") => Some(Format::JepsenLog),
            Some("txt") => Some(Format::KvText),
            _ => None,
        };
        let text = String::from_utf8_lossy(first_bytes);
        let text = skip_edn_blanks(text.trim_start_matches('\u{feff}'));
        let mut letters = text.chars();
        match letters.next() {
            // Empty, or comments only, in the bytes given.
            None => by_name,
            Some('{') => match letters.find(|letter| !letter.is_whitespace()) {
                Some('"') => Some(Format::Jsonl),
                Some(':') if text.contains(":f :get") || text.contains(":f :put") => Some(Format::KvText),
                Some(':') => by_name.filter(|format| *format == Format::KvText).or(Some(Format::JepsenEdn)),
                _ => by_name,
            },
            Some('[' | '(' | '#') => Some(Format::JepsenEdn),
            Some(_) if text.lines().any(|line| log_line::is_of_jepsen(line.as_bytes())) => Some(Format::JepsenLog),
            Some(_) => by_name,
        }
    }
}

/// Passes over blanks and EDN comments.
fn skip_edn_blanks(mut text: &str) -> &str {
    loop {
        text = text.trim_start_matches(|letter: char| letter.is_whitespace() || letter == ',');
        match text.strip_prefix(';') {
            Some(comment) => text = comment.find('\n').map_or("", |end| &comment[end..]),
            None => return text,
        }
    }
}

/// What an `ok` read of nothing means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NilRead {
    /// The key was absent.
    Absent,
    /// The read observed nothing and constrains nothing.
    Nothing,
}

/// What a failed compare-and-set means, where the format does not say it line by line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedCas {
    /// It was answered "not equal": at some moment the register did not hold the old value.
    Mismatch,
    /// It was not done, for whatever reason.
    NotDone,
}

/// How to read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Read a file that was cut short up to its last complete event, instead of refusing it. Where nothing in the
    /// format tells that a line is complete (a Jepsen log), a last line without its end is left out.
    pub keep_complete_lines: bool,
    /// Jepsen's formats: every value is a tuple `[key value]`, as `jepsen.independent` makes them.
    pub independent_keys: bool,
    /// Another meaning of an `ok` read of nil than the format's own.
    pub nil_read: Option<NilRead>,
    /// Jepsen's formats: another meaning of a failed compare-and-set than the format's own.
    pub failed_cas: Option<FailedCas>,
}

impl ReadOptions {
    /// A builder with the meaning of nil reads set.
    pub(super) fn builder(&self, format: Format) -> HistoryBuilder {
        let own = if format == Format::JepsenEdn { NilRead::Nothing } else { NilRead::Absent };
        HistoryBuilder::new().nil_read_observes_nothing(self.nil_read.unwrap_or(own) == NilRead::Nothing)
    }

    pub(super) fn failed_cas_of(&self, format: Format) -> FailedCas {
        let own = if format == Format::JepsenLog { FailedCas::Mismatch } else { FailedCas::NotDone };
        self.failed_cas.unwrap_or(own)
    }
}

/// A history that was read, and what was found around it.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The operations.
    pub history: History,
    /// What to judge it against, if the file says so: the header of the own format, or a format with one meaning only.
    pub model: Option<ModelSpec>,
    /// Lines read.
    pub lines: u64,
    /// Events of the nemesis, which are not judged.
    pub nemesis_events: u64,
    /// Lines of other loggers in a Jepsen log.
    pub skipped: u64,
    /// The torn line that was left out, if [`ReadOptions::keep_complete_lines`] made it so.
    pub truncated: Option<u64>,
}

impl Loaded {
    /// With the history that was built.
    pub(super) fn with(self, builder: HistoryBuilder) -> Self {
        Loaded { nemesis_events: builder.nemesis_events(), history: builder.finish(), ..self }
    }
}

/// Reads a history as its format has it. An empty input is an empty history.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn read(reader: impl BufRead, format: Format) -> Result<Loaded, HistoryError> {
    read_with(reader, format, &ReadOptions::default())
}

/// Reads a history with options.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn read_with(reader: impl BufRead, format: Format, options: &ReadOptions) -> Result<Loaded, HistoryError> {
    match format {
        Format::Jsonl => jsonl::read(reader, options),
        Format::JepsenEdn => jepsen::read_edn(reader, format, options),
        Format::JepsenLog => jepsen::read_log(reader, options),
        Format::KvText => {
            let loaded = jepsen::read_edn(reader, format, options)?;
            let model = ModelSpec { model: ModelKind::KeyValue, initial: Value::from("") };
            Ok(Loaded { model: Some(model), ..loaded })
        }
    }
}
