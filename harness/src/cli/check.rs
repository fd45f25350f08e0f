//! `trueline check`: judge a history file.

use std::{
    fs::File,
    io::BufReader,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use checkers::{
    check::{Budget, CheckOptions, check},
    history::{Format, Value, read},
    model::{ModelKind, ModelSpec},
    verdict::Judgement,
};
use clap::Args;
use results::exit::ExitCode;

use super::parse_duration;

const EXAMPLES: &str = "\
Examples:
  trueline check history.jsonl
  trueline check --model cas-register --initial 0 jepsen/history.edn
  trueline check --format jepsen-log --model cas-register etcd.log
  trueline check --time 10s --memory 1024 --json big.jsonl

The formats and their fields are documented in docs/history-format.md.";

/// Flags of `trueline check`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// The history; `-` reads standard input
    pub file: PathBuf,
    /// What to judge it against: register, cas-register, list-append, key-value [default: what the file says, else cas-register]
    #[arg(long, value_name = "NAME")]
    pub model: Option<ModelKind>,
    /// The state every object starts in, as JSON [default: what the file says, else null]
    #[arg(long, value_name = "JSON", value_parser = parse_initial)]
    pub initial: Option<Value>,
    /// jsonl, jepsen-edn, jepsen-log, kv-text [default: guessed]
    #[arg(long, value_name = "NAME")]
    pub format: Option<Format>,
    /// How long judging may take
    #[arg(long, default_value = "2m", value_parser = parse_duration)]
    pub time: Duration,
    /// How much memory judging may take, MiB
    #[arg(long, default_value_t = 4096, value_name = "MIB")]
    pub memory: usize,
    /// Take a history whose writer died: leave out a torn last line
    #[arg(long)]
    pub keep_complete_lines: bool,
    /// Print the verdict as JSON
    #[arg(long)]
    pub json: bool,
}

fn parse_initial(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{text:?} is no JSON value ({error}); write null, 0 or '\"text\"'"))
}
