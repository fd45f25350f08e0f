//! What clients did and saw: events as recorded, and the validated [`History`] of operations made from them.
//!
//! ```text
//!   own JSONL ───┐                                       HistoryBuilder
//!   Jepsen EDN ──┤  read()   Event (invoke) ─┐
//!   Jepsen log ──┼─────────>                 ├─ pairing by process ──> Operation { invoke, return, action, completion }
//!   kv text ─────┘           Event (ok/…)  ──┘    every rule checked        └─> History
//!
//!   a run ── Event ──> HistoryWriter ──> own JSONL, one checksummed line an event
//! ```
//!
//! The words are Jepsen's (invoke, ok, fail, info, nemesis). The format on disk and the meaning of the others are
//! described in `docs/history-format.md`. No reader trusts its input: lines, nesting and sizes are bounded, and whatever
//! cannot be understood is an error that names the line, never a guess.

mod builder;
mod edn;
mod error;
mod event;
mod jepsen;
mod jsonl;
mod lines;
mod log_line;
mod operation;
mod plain_line;
mod read;
mod rules;
mod transaction;
mod value;
mod writer;

pub use builder::HistoryBuilder;
pub(crate) use builder::{Answer, action_of, failure_of};
pub use error::HistoryError;
pub use event::{Event, EventKind, Function, Process, ProcessId};
pub use jsonl::FORMAT_VERSION;
pub use lines::LINE_BYTES_MAX;
pub use operation::{Action, Completion, History, OpIndex, Operation, TimeUnit};
pub use read::{FailedCas, Format, Loaded, NilRead, ReadOptions, read, read_with};
pub(crate) use rules::{Order, Processes, belongs};
pub use transaction::{MicroFunction, MicroOperation, micro_operations};
pub use value::{Value, ValueId};
pub use writer::HistoryWriter;
