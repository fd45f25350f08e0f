//! `trueline check`: judge a history file.

use std::{
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use checkers::{
    Budget, CheckOptions, check,
    history::{FailedCas, Format, Loaded, NilRead, ReadOptions, Value, read_with},
    ladder::Ladder,
    model::{ModelKind, ModelSpec},
    verdict::{Judgement, Verdict},
};
use clap::{Args, ValueEnum};
use results::{check::verdict_name, exit::ExitCode};
use serde_json::json;

use super::parse_duration;
use crate::{failure::Failure, history_file::HistoryFile, ladder};

const EXAMPLES: &str = "\
Examples:
  trueline check history.jsonl
  trueline check --model cas-register --initial 0 jepsen/history.edn
  trueline check --format jepsen-log --model cas-register etcd.log
  trueline check --keep-complete-lines history.jsonl.zst
  trueline check --time 10s --memory 1024 --json big.jsonl

The formats and their fields are documented in docs/history-format.md.";

/// Flags of `trueline check`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// The history, plain or compressed with zstd; `-` reads standard input
    pub file: PathBuf,
    /// What to judge it against [default: what the file says, else cas-register]
    #[arg(long, value_name = "NAME")]
    pub model: Option<Model>,
    /// The state every object starts in, as JSON [default: what the file says, else null; key-value: ""]
    #[arg(long, value_name = "JSON", value_parser = parse_initial)]
    pub initial: Option<Value>,
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
    /// How long judging may take
    #[arg(long, default_value = "2m", value_parser = parse_duration)]
    pub time: Duration,
    /// How much memory judging may take, MiB; a compressed history may not be larger either
    #[arg(long, default_value_t = 4096, value_name = "MIB")]
    pub memory: usize,
    /// Take a history whose writer died, or whose copy is cut short: leave out a torn last line
    #[arg(long)]
    pub keep_complete_lines: bool,
    /// Print the verdict as JSON
    #[arg(long)]
    pub json: bool,
    /// Say what still holds (sequential, causal, ...) whatever the verdict [default: after an invalid one]
    #[arg(long, conflicts_with = "no_ladder")]
    pub ladder: bool,
    /// Do not say what still holds
    #[arg(long)]
    pub no_ladder: bool,
}

/// The models by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Model {
    /// Read, write
    Register,
    /// Read, write, compare-and-set
    CasRegister,
    /// Append, read of the whole list
    ListAppend,
    /// Add, read of the whole set
    Set,
    /// Add of a number, read of the sum
    Counter,
    /// Enqueue, dequeue: first in, first out
    Queue,
    /// Acquire, release by the owner
    Lock,
    /// Transactions of read, write, append
    MultiRegister,
    /// Text by key: get, put, append, cas, delete
    KeyValue,
}

impl From<Model> for ModelKind {
    fn from(model: Model) -> Self {
        match model {
            Model::Register => Self::Register,
            Model::CasRegister => Self::CasRegister,
            Model::ListAppend => Self::ListAppend,
            Model::Set => Self::Set,
            Model::Counter => Self::Counter,
            Model::Queue => Self::Queue,
            Model::Lock => Self::Lock,
            Model::MultiRegister => Self::MultiRegister,
            Model::KeyValue => Self::KeyValue,
        }
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

fn parse_initial(text: &str) -> Result<Value, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("{text:?} is no JSON value ({error}); write null, 0 or '\"text\"'"))
}

/// Judges the file, and prints the verdict.
///
/// # Errors
/// When the file cannot be read as a history of the model.
pub fn execute(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let start = Instant::now();
    let loaded = load(args).map_err(Failure::usage)?;
    let reading = start.elapsed();
    let spec = spec(args, loaded.model.clone());
    let budget = Budget { time: args.time, memory_bytes: args.memory.saturating_mul(1 << 20) };
    let judgement = check(&loaded.history, &spec, &CheckOptions { budget, threads: 0 })
        .with_context(|| format!("cannot judge {}", args.file.display()))
        .map_err(Failure::usage)?;
    let wanted = args.ladder || (ladder::is_wanted(&judgement) && !args.no_ladder);
    let ladder = wanted.then(|| ladder::after(&judgement, &loaded.history, &spec, budget));
    let text = if args.json {
        as_json(args, &loaded, &spec, &judgement, ladder.as_ref(), reading)
    } else {
        as_text(args, &loaded, &spec, &judgement, reading) + &ladder.as_ref().map_or(String::new(), ladder::as_text)
    };
    // A verdict that cannot be told is no verdict: a closed pipe must not end in 0.
    std::io::stdout().write_all(text.as_bytes()).context("cannot print the verdict").map_err(Failure::harness)?;
    Ok(judgement.verdict.into())
}

fn load(args: &CheckArgs) -> anyhow::Result<Loaded> {
    let reading = || format!("cannot read the history {}", args.file.display());
    let decompressed_max = (args.memory as u64).saturating_mul(1 << 20);
    let input = HistoryFile::open(&args.file, decompressed_max).with_context(reading)?;
    let format = match args.format {
        Some(format) => format.into(),
        None if input.first.is_empty() => Format::Jsonl,
        None => Format::guess(&args.file, &input.first)
            .ok_or_else(|| anyhow!("its format cannot be guessed; name it with --format"))
            .with_context(reading)?,
    };
    if args.independent && !matches!(format, Format::JepsenEdn | Format::JepsenLog) {
        bail!("--independent is about Jepsen's formats; this file is none of them");
    }
    let options = ReadOptions {
        keep_complete_lines: args.keep_complete_lines,
        independent_keys: args.independent,
        nil_read: args.nil_read.map(|meaning| match meaning {
            NilReadMeaning::Absent => NilRead::Absent,
            NilReadMeaning::Nothing => NilRead::Nothing,
        }),
        failed_cas: args.failed_cas.map(|meaning| match meaning {
            FailedCasMeaning::Mismatch => FailedCas::Mismatch,
            FailedCasMeaning::NotDone => FailedCas::NotDone,
        }),
    };
    read_with(input.into_reader(), format, &options).with_context(reading)
}

/// What to judge against: the flags, then the file, then the usual.
fn spec(args: &CheckArgs, said: Option<ModelSpec>) -> ModelSpec {
    let model =
        args.model.map(ModelKind::from).or(said.as_ref().map(|spec| spec.model)).unwrap_or(ModelKind::CasRegister);
    let usual = if model == ModelKind::KeyValue { Value::Text(String::new()) } else { Value::Nil };
    let said = said.filter(|spec| spec.model == model).map(|spec| spec.initial);
    ModelSpec { model, initial: args.initial.clone().or(said).unwrap_or(usual) }
}

fn as_text(args: &CheckArgs, loaded: &Loaded, spec: &ModelSpec, judgement: &Judgement, reading: Duration) -> String {
    let mut text = format!("{}: {}\n", verdict_name(judgement.verdict), judgement.reason);
    for sentence in judgement.violation.iter().flat_map(|violation| &violation.sentences).skip(1) {
        text += &format!("  {sentence}\n");
    }
    text += &format!(
        "  {} operations on {} keys in {}, judged as {} by {}; reading took {:.2} s, judging {:.2} s\n",
        judgement.operations,
        judgement.keys,
        args.file.display(),
        spec.model.name(),
        judgement.decided_by,
        reading.as_secs_f64(),
        judgement.elapsed.as_secs_f64(),
    );
    if let Some(line) = loaded.truncated {
        text += &format!("  line {line} is torn and was left out\n");
    }
    if judgement.verdict == Verdict::Unknown {
        text += "  give it more with --time or --memory, or judge fewer operations per key\n";
    }
    text
}

fn as_json(
    args: &CheckArgs,
    loaded: &Loaded,
    spec: &ModelSpec,
    judgement: &Judgement,
    ladder: Option<&Ladder>,
    reading: Duration,
) -> String {
    let violation = judgement.violation.as_ref().map(|violation| {
        json!({
            "anomaly": violation.anomaly,
            "key": violation.key,
            "operations": violation.operations.iter().map(|op| op.0).collect::<Vec<_>>(),
            "sentences": violation.sentences,
        })
    });
    let verdict = json!({
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "violation": violation,
        "ladder": ladder,
        "model": spec.model,
        "initial": spec.initial,
        "decided_by": judgement.decided_by,
        "operations": judgement.operations,
        "keys": judgement.keys,
        "file": args.file.display().to_string(),
        "torn_line": loaded.truncated,
        "reading_seconds": reading.as_secs_f64(),
        "judging_seconds": judgement.elapsed.as_secs_f64(),
    });
    format!("{verdict:#}\n")
}
