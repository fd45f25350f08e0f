//! The operations of a run as the page takes them: one column for each of their parts, small numbers one after the other, compressed.
//!
//! ```text
//!   "TLR1"  u32: length of the header  header: JSON, what the columns are and everything that is not an operation  columns
//!
//!   invoke    0  203  188 …    from the one before                 every number as a varint: 7 bits a byte,
//!   duration  1044  987 …      to the return, plus 1; 0: unknown   the lowest first, the highest bit set where more follow
//!   key       0  1  0  3 …     texts: how long ago in the table of texts; 0 is the next new one
//! ```
//!
//! All columns go over the operations in order of invocation. Times are nanoseconds. The page's `data.js` is the other half of this.

use std::io::{self, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use checkers::history::{Action, Completion, Function, History, OpIndex, Operation, ValueId};
use flate2::{Compression, write::DeflateEncoder};
use serde::Serialize;

use super::{DATA_BYTES_MAX, Material, OPERATIONS_MAX, lanes::Lanes, values::Texts};
use crate::{life::NodeLine, timeline::FaultSpan};

/// What the data begin with: their version.
const MAGIC: &[u8; 4] = b"TLR1";

/// Faults that are drawn, and lines of nodes.
const FAULTS_MAX: usize = 20_000;
const NODE_LINES_MAX: usize = 200_000;

/// How often the data are made anew if they come out too large.
const ATTEMPTS_MAX: usize = 6;

/// The columns by name, in the order in which they are stored.
pub(super) const COLUMNS: [&str; 13] = [
    "number",
    "invoke",
    "wait",
    "duration",
    "process",
    "kind",
    "key",
    "argument",
    "second",
    "result",
    "reason",
    "text_length",
    "text",
];

/// Columns of texts: 0 stands for none, and they share one table.
const NUMBER: usize = 0;
const INVOKE: usize = 1;
const WAIT: usize = 2;
const DURATION: usize = 3;
const PROCESS: usize = 4;
const KIND: usize = 5;
const KEY: usize = 6;
const ARGUMENT: usize = 7;
const SECOND: usize = 8;
const RESULT: usize = 9;
const REASON: usize = 10;
const TEXT_LENGTH: usize = 11;
const TEXT: usize = 12;

/// Everything in the data that is not an operation.
#[derive(Serialize)]
struct Header<'a> {
    /// Operations of the run.
    total: usize,
    /// Operations in the columns.
    kept: usize,
    /// How long each column is, bytes.
    columns: Vec<(&'static str, usize)>,
    functions: Vec<&'static str>,
    reasons: &'a [String],
    #[serde(flatten)]
    lanes: &'a Lanes,
    /// From the first to the last event of any kind, nanoseconds.
    start: u64,
    end: u64,
    phases: Vec<(&'static str, u64, u64)>,
    open_loop: bool,
    faults: Vec<Fault<'a>>,
    nodes: Vec<&'a NodeLine>,
    /// Faults and lines of nodes that were left out.
    left_out: (usize, usize),
    violation: &'a [u32],
}

#[derive(Serialize)]
struct Fault<'a> {
    number: u64,
    name: &'a str,
    start: u64,
    end: u64,
    nodes: &'a [u32],
    steps: Vec<(u64, &'a str)>,
}

impl<'a> From<&'a FaultSpan> for Fault<'a> {
    fn from(fault: &'a FaultSpan) -> Self {
        let FaultSpan { number, name, start_ns, end_ns, nodes, steps } = fault;
        let steps = steps.iter().take(64).map(|step| (step.at_ns, step.words.as_str())).collect();
        Self { number: *number, name, start: *start_ns, end: *end_ns, nodes, steps }
    }
}

/// The data of a page.
#[derive(Debug)]
pub(super) struct Data {
    /// Compressed, as base64.
    pub text: String,
    /// How many operations are in them.
    pub kept: usize,
}

/// The data of this run, in at most [`DATA_BYTES_MAX`] bytes: if need be, of a sample of its operations.
pub(super) fn encode(material: &Material<'_>, lanes: &Lanes) -> Data {
    let mut kept_max = OPERATIONS_MAX;
    for attempt in 0..ATTEMPTS_MAX {
        let raw = Encoder::new(material, lanes, kept_max, attempt).finish();
        let text = STANDARD.encode(deflate(&raw.bytes));
        if text.len() <= DATA_BYTES_MAX {
            return Data { text, kept: raw.kept };
        }
        // A little less than what would just fit; and never more than half of what was tried twice in vain.
        let fitting = (raw.kept as f64 * 0.9 * DATA_BYTES_MAX as f64 / text.len() as f64) as usize;
        kept_max = if attempt < 2 { fitting } else { fitting.min(raw.kept / 2) };
    }
    let raw = Encoder::new(material, lanes, 0, ATTEMPTS_MAX).finish();
    Data { text: STANDARD.encode(deflate(&raw.bytes)), kept: raw.kept }
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let write = || -> io::Result<Vec<u8>> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(bytes)?;
        encoder.finish()
    };
    write().expect("memory takes everything")
}

/// What is to be compressed.
struct Raw {
    bytes: Vec<u8>,
    kept: usize,
}

struct Encoder<'a> {
    material: &'a Material<'a>,
    lanes: &'a Lanes,
    columns: [Vec<u8>; COLUMNS.len()],
    texts: Texts,
    /// Texts that have been named so far.
    named: u32,
    kept: usize,
    /// The number and the invocation of the operation before.
    before: (u32, u64),
    sampled: bool,
}

impl<'a> Encoder<'a> {
    fn new(material: &'a Material<'a>, lanes: &'a Lanes, kept_max: usize, narrowness: usize) -> Self {
        let history = &material.timeline.history;
        let sampled = history.len() > kept_max;
        let mut encoder = Self {
            material,
            lanes,
            columns: Default::default(),
            texts: Texts::new(narrowness),
            named: 0,
            kept: 0,
            before: (0, 0),
            sampled,
        };
        let core = encoder.violation();
        let share = kept_max as f64 / history.len().max(1) as f64;
        for (number, operation) in (0_u32..).zip(history.operations()) {
            if !sampled || is_drawn(number, share) || core.contains(&number) {
                encoder.add(number, operation);
            }
        }
        encoder
    }

    fn violation(&self) -> &'a [u32] {
        self.material.summary.and_then(|summary| summary.violation.as_ref()).map_or(&[], |found| &found.operations)
    }

    fn add(&mut self, number: u32, operation: &Operation<ValueId>) {
        let history = &self.material.timeline.history;
        let ending = self.material.endings.get(number);
        if self.sampled {
            put(&mut self.columns[NUMBER], u64::from(number - self.before.0));
        }
        put(&mut self.columns[INVOKE], operation.invoke - self.before.1);
        self.before = (number, operation.invoke);
        if self.is_open_loop() {
            let intended = self.material.timeline.intended_ns(OpIndex(number));
            put(&mut self.columns[WAIT], operation.invoke.saturating_sub(intended));
        }
        let end = if operation.is_unknown() { ending.given_up_ns } else { Some(operation.ret) };
        put(&mut self.columns[DURATION], end.map_or(0, |end| end.saturating_sub(operation.invoke) + 1));
        put(&mut self.columns[PROCESS], operation.process.0);
        self.columns[KIND].push(kind(operation));
        let [argument, second] = arguments(&operation.action);
        self.text(KEY, history, Some(operation.key));
        self.text(ARGUMENT, history, argument);
        self.text(SECOND, history, second);
        self.text(RESULT, history, answer(&operation.completion));
        put(&mut self.columns[REASON], ending.reason.map_or(0, |reason| u64::from(reason) + 1));
        self.kept += 1;
    }

    fn is_open_loop(&self) -> bool {
        self.material.timeline.phases.open_loop.is_some()
    }

    /// 0 for none, 1 for the next new one, then the newest first.
    fn text(&mut self, column: usize, history: &History, value: Option<ValueId>) {
        let Some(value) = value else { return self.columns[column].push(0) };
        let number = self.texts.number(history, value);
        put(&mut self.columns[column], u64::from(self.named - number) + 1);
        self.named = self.named.max(number + 1);
    }

    fn finish(mut self) -> Raw {
        for &length in &self.texts.lengths {
            put(&mut self.columns[TEXT_LENGTH], u64::from(length));
        }
        self.columns[TEXT] = std::mem::take(&mut self.texts.bytes);
        let header = serde_json::to_vec(&self.header()).expect("the header is JSON");
        let mut bytes = MAGIC.to_vec();
        bytes.extend(u32::try_from(header.len()).expect("the header is bounded").to_le_bytes());
        bytes.extend(header);
        for column in &self.columns {
            bytes.extend_from_slice(column);
        }
        Raw { bytes, kept: self.kept }
    }

    fn header(&self) -> Header<'_> {
        let timeline = self.material.timeline;
        let phases = &timeline.phases;
        let (start, end) = extent(self.material);
        let recovery = self.material.summary.and_then(|summary| summary.recovery_ms).unwrap_or(0);
        let recovered = phases.healed_ns.saturating_add(recovery.saturating_mul(1_000_000)).min(phases.end_ns);
        Header {
            total: timeline.history.len(),
            kept: self.kept,
            columns: COLUMNS.into_iter().zip(&self.columns).map(|(name, column)| (name, column.len())).collect(),
            functions: FUNCTIONS.map(Function::word).to_vec(),
            reasons: &self.material.endings.reasons,
            lanes: self.lanes,
            start,
            end,
            // What is guessed of a run that was broken off are no phases.
            phases: match self.material.summary.and_then(|summary| summary.phases) {
                None => Vec::new(),
                Some(_) => vec![
                    ("warm-up", phases.load_start_ns, phases.faults_start_ns),
                    ("faults", phases.faults_start_ns, phases.healed_ns),
                    ("recovery", phases.healed_ns, recovered),
                    ("final reads", recovered, phases.end_ns),
                ],
            },
            open_loop: self.is_open_loop(),
            faults: timeline.faults.iter().take(FAULTS_MAX).map(Fault::from).collect(),
            nodes: timeline.nodes.iter().take(NODE_LINES_MAX).collect(),
            left_out: (
                timeline.faults.len().saturating_sub(FAULTS_MAX),
                timeline.nodes.len().saturating_sub(NODE_LINES_MAX),
            ),
            violation: self.violation(),
        }
    }
}

/// From the first to the last moment that anything is known of; at least a microsecond.
fn extent(material: &Material<'_>) -> (u64, u64) {
    let timeline = material.timeline;
    let operations = timeline.history.operations();
    let start = operations.first().map(|operation| operation.invoke);
    let nodes = timeline.nodes.first().map(|line| line.time);
    let start = start.into_iter().chain(nodes).min().unwrap_or(timeline.phases.load_start_ns);
    let ends = operations.iter().map(|operation| if operation.is_unknown() { operation.invoke } else { operation.ret });
    let faults = timeline.faults.iter().map(|fault| fault.end_ns);
    let end = ends.chain(faults).chain([timeline.phases.end_ns]).max().unwrap_or(start);
    (start, end.max(start + 1_000))
}

/// Whether an operation is in a sample of this share: drawn by its number, so that no rhythm of the clients shows in it.
fn is_drawn(number: u32, share: f64) -> bool {
    // Fibonacci hashing; the upper half is well mixed (Knuth, The Art of Computer Programming, vol. 3, section 6.4).
    let mixed = (u64::from(number) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32;
    (mixed as f64) < share * f64::from(u32::MAX)
}

/// The functions by their numbers in the column of kinds.
const FUNCTIONS: [Function; 11] = [
    Function::Read,
    Function::Write,
    Function::Cas,
    Function::Append,
    Function::Delete,
    Function::Add,
    Function::Enqueue,
    Function::Dequeue,
    Function::Acquire,
    Function::Release,
    Function::Txn,
];

/// The function in the lower four bits, the outcome above: ok, mismatch, fail, unknown.
fn kind(operation: &Operation<ValueId>) -> u8 {
    let function = operation.action.function();
    let function = FUNCTIONS.iter().position(|&known| known == function).expect("every function is listed");
    let outcome = match operation.completion {
        Completion::Ok(_) => 0,
        Completion::Mismatch { .. } => 1,
        Completion::Fail => 2,
        Completion::Info => 3,
    };
    u8::try_from(function).expect("there are few functions") | outcome << 4
}

fn arguments(action: &Action<ValueId>) -> [Option<ValueId>; 2] {
    match *action {
        Action::Read | Action::Dequeue | Action::Delete => [None, None],
        Action::Cas { old, new } => [Some(old), Some(new)],
        Action::Write(one)
        | Action::Append(one)
        | Action::Add(one)
        | Action::Enqueue(one)
        | Action::Acquire(one)
        | Action::Release(one)
        | Action::Txn(one) => [Some(one), None],
    }
}

fn answer(completion: &Completion<ValueId>) -> Option<ValueId> {
    match *completion {
        Completion::Ok(value) | Completion::Mismatch { observed: value } => value,
        Completion::Fail | Completion::Info => None,
    }
}

/// Adds a number as a varint (LEB128).
fn put(column: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        column.push(number as u8 | 0x80);
        number >>= 7;
    }
    column.push(number as u8);
}

#[cfg(test)]
pub(super) mod tests;
