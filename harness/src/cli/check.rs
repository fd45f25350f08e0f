//! `trueline check`: judge a history file.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use checkers::{
    Budget, CheckOptions,
    certificate::CertificateFile,
    check,
    history::{History, Value},
    lint,
    model::{ModelKind, ModelSpec},
    verdict::{Judgement, Verdict},
};
use clap::{Args, ValueEnum};
use results::exit::ExitCode;

use super::{parse_duration, reading::ReadingArgs};
use crate::{failure::Failure, ladder};

mod tell;

use tell::Told;

const EXAMPLES: &str = "\
Examples:
  trueline check history.jsonl
  trueline check --model cas-register --initial 0 jepsen/history.edn
  trueline check --format jepsen-log --model cas-register etcd.log
  trueline check --keep-complete-lines history.jsonl.zst
  trueline check --time 10s --memory 1024 --json big.jsonl
  trueline check --certificate proof.json history.jsonl && trueline verify history.jsonl proof.json

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
    /// How to read it.
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// Write the verdict's certificate to this file, for `trueline verify`
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// How long judging may take
    #[arg(long, default_value = "2m", value_parser = parse_duration)]
    pub time: Duration,
    /// How much memory judging may take, MiB; a compressed history may not be larger either
    #[arg(long, default_value_t = 4096, value_name = "MIB")]
    pub memory: usize,
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
    let decompressed_max = (args.memory as u64).saturating_mul(1 << 20);
    let loaded = args.reading.load(&args.file, decompressed_max).map_err(Failure::usage)?;
    let reading = start.elapsed();
    let spec = spec(args, loaded.model.clone());
    let budget = Budget { time: args.time, memory_bytes: args.memory.saturating_mul(1 << 20) };
    let judgement = check(&loaded.history, &spec, &CheckOptions { budget, threads: 0 })
        .with_context(|| format!("cannot judge {}", args.file.display()))
        .map_err(Failure::usage)?;
    let stored = store(args, &loaded.history, &spec, &judgement);
    let notes = lint(&loaded.history, &spec);
    let wanted = args.ladder || (ladder::is_wanted(&judgement) && !args.no_ladder);
    let ladder = wanted.then(|| ladder::after(&judgement, &loaded.history, &spec, budget));
    let told = Told {
        file: &args.file,
        loaded: &loaded,
        spec: &spec,
        judgement: &judgement,
        notes: &notes,
        ladder: ladder.as_ref(),
        reading,
    };
    let text =
        if args.json { format!("{:#}\n", told.json()) } else { told.text() + stored.as_deref().unwrap_or_default() };
    // A verdict that cannot be told is no verdict: a closed pipe must not end in 0.
    std::io::stdout().write_all(text.as_bytes()).context("cannot print the verdict").map_err(Failure::harness)?;
    // The verdict is told first: a violation stays one if its proof cannot be stored.
    match stored {
        Err(error) if judgement.verdict != Verdict::Invalid => Err(Failure::harness(error)),
        Err(error) => {
            eprintln!("trueline: {error:#}");
            Ok(judgement.verdict.into())
        }
        Ok(_) => Ok(judgement.verdict.into()),
    }
}

/// Writes the certificate, if there is one and it was asked for. Says so.
fn store(args: &CheckArgs, history: &History, spec: &ModelSpec, judgement: &Judgement) -> anyhow::Result<String> {
    match (&args.certificate, &judgement.certificate) {
        (None, _) => Ok(String::new()),
        (Some(_), None) => Ok("  there is no certificate to write\n".into()),
        (Some(path), Some(certificate)) => {
            let writing = || format!("cannot write the certificate {}", path.display());
            let file = CertificateFile::new(history, spec, certificate.clone());
            file.write(BufWriter::new(File::create(path).with_context(writing)?)).with_context(writing)?;
            Ok(format!("  certificate: {}\n", path.display()))
        }
    }
}

/// What to judge against: the flags, then the file, then the usual.
fn spec(args: &CheckArgs, said: Option<ModelSpec>) -> ModelSpec {
    let model =
        args.model.map(ModelKind::from).or(said.as_ref().map(|spec| spec.model)).unwrap_or(ModelKind::CasRegister);
    let usual = if model == ModelKind::KeyValue { Value::Text(String::new()) } else { Value::Nil };
    let said = said.filter(|spec| spec.model == model).map(|spec| spec.initial);
    ModelSpec { model, initial: args.initial.clone().or(said).unwrap_or(usual) }
}
