//! How a history is to be read: the flags that `check` and `verify` share.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use checkers::history::{FailedCas, Format, Loaded, NilRead, ReadOptions, read_with};
use clap::{Args, ValueEnum};
use results::store::HistoryFile;

/// Flags about the history.
#[derive(Args, Clone, Debug)]
pub struct ReadingArgs {
    /// How the file is written [default: guessed]
    #[arg(long, value_name = "NAME")]
    pub format: Option<FileFormat>,
    /// Jepsen's formats: values are `[key value]` tuples of independent keys
    #[arg(long)]
    pub independent: bool,
    /// An `ok` read of nil saw an absent key, or observed nothing [default: as the format has it]
    #[arg(long, value_name = "MEANING")]
    pub nil_read: Option<NilReadMeaning>,
    /// A failed compare-and-set was answered "not equal", or was just not done [default: as the format has it]
    #[arg(long, value_name = "MEANING")]
    pub failed_cas: Option<FailedCasMeaning>,
    /// Take a history whose writer died, or whose copy is cut short: leave out a torn last line
    #[arg(long)]
    pub keep_complete_lines: bool,
}

impl ReadingArgs {
    /// Reads the history in this file. What is compressed may have `decompressed_max` bytes.
    ///
    /// # Errors
    /// When it cannot be read as a history.
    pub fn load(&self, file: &Path, decompressed_max: u64) -> anyhow::Result<Loaded> {
        let reading = || format!("cannot read the history {}", file.display());
        let input = HistoryFile::open(file, decompressed_max).with_context(reading)?;
        let format = match self.format {
            Some(format) => format.into(),
            None if input.first.is_empty() => Format::Jsonl,
            None => Format::guess(file, &input.first)
                .ok_or_else(|| anyhow!("its format cannot be guessed; name it with --format"))
                .with_context(reading)?,
        };
        if self.independent && !matches!(format, Format::JepsenEdn | Format::JepsenLog) {
            bail!("--independent is about Jepsen's formats; this file is none of them");
        }
        let options = ReadOptions {
            keep_complete_lines: self.keep_complete_lines,
            independent_keys: self.independent,
            nil_read: self.nil_read.map(|meaning| match meaning {
                NilReadMeaning::Absent => NilRead::Absent,
                NilReadMeaning::Nothing => NilRead::Nothing,
            }),
            failed_cas: self.failed_cas.map(|meaning| match meaning {
                FailedCasMeaning::Mismatch => FailedCas::Mismatch,
                FailedCasMeaning::NotDone => FailedCas::NotDone,
            }),
        };
        read_with(input.into_reader(), format, &options).with_context(reading)
    }
}

/// The formats by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// Trueline's own
    Jsonl,
    /// A Jepsen history
    JepsenEdn,
    /// Lines of a Jepsen log
    JepsenLog,
    /// One EDN map a line: get, put, append
    KvText,
}

impl From<FileFormat> for Format {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Jsonl => Self::Jsonl,
            FileFormat::JepsenEdn => Self::JepsenEdn,
            FileFormat::JepsenLog => Self::JepsenLog,
            FileFormat::KvText => Self::KvText,
        }
    }
}

/// What an `ok` read of nil means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NilReadMeaning {
    /// The key was absent
    Absent,
    /// It constrains nothing
    Nothing,
}

/// What a failed compare-and-set means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailedCasMeaning {
    /// The value was another one
    Mismatch,
    /// It was not done, for whatever reason
    NotDone,
}
