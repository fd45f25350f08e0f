//! What can be wrong with a history, in words that say where and what to do.

use std::io;

use super::ProcessId;

/// Why a history could not be read or built. Lines count from 1; for events pushed into a
/// [`HistoryBuilder`](super::HistoryBuilder) without a file, `line` is the event's number.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The source failed.
    #[error("line {line}: the history could not be read on: {source}")]
    Io {
        /// The line being read.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A line, or one operation of an EDN history, is beyond [`LINE_BYTES_MAX`](super::LINE_BYTES_MAX).
    #[error("line {line}: longer than 16 MiB; is this a history, and is its format named right?")]
    LineTooLong {
        /// Where.
        line: u64,
    },
    /// What stands there is not what the format allows.
    #[error("line {line}: {what}")]
    Malformed {
        /// Where.
        line: u64,
        /// What was found and what is expected.
        what: String,
    },
    /// The file ends in the middle of an event: its writer was stopped, or the copy is incomplete.
    #[error(
        "line {line}: the file ends in the middle of an event: its writer was stopped or the copy is incomplete; \
         to judge what is complete, leave the torn line out (`--keep-complete-lines`)"
    )]
    Truncated {
        /// The torn line.
        line: u64,
    },
    /// A line's checksum is not that of its bytes.
    #[error(
        "line {line}: damaged: it states the checksum {stated:08x} but its bytes have {computed:08x}; if it was edited on purpose, remove its `crc`"
    )]
    BadChecksum {
        /// Where.
        line: u64,
        /// What the line says.
        stated: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// The file was written by a later version of the format.
    #[error(
        "line {line}: history format {found}, but only versions up to {known} are understood; use a newer trueline"
    )]
    NewerVersion {
        /// The header's line.
        line: u64,
        /// The file's version.
        found: u64,
        /// The newest version understood.
        known: u64,
    },
    /// A client's event without `f`.
    #[error("line {line}: process {process} has an event without a function: add `f`, on completions too")]
    MissingFunction {
        /// Where.
        line: u64,
        /// Whose.
        process: ProcessId,
    },
    /// The value does not fit the function.
    #[error("line {line}: {what}")]
    WrongValue {
        /// Where.
        line: u64,
        /// What was found and what is expected.
        what: String,
    },
    /// A completion of a process that has nothing open.
    #[error("line {line}: process {process} completes an operation but has none open; is the invocation missing?")]
    NoInvocation {
        /// Where.
        line: u64,
        /// Whose.
        process: ProcessId,
    },
    /// A second invocation of a process whose first has not completed.
    #[error(
        "line {line}: process {process} invokes while its operation of line {open_since} is still open; concurrent operations need processes of their own"
    )]
    AlreadyOpen {
        /// Where.
        line: u64,
        /// Whose.
        process: ProcessId,
        /// Line of the open invocation.
        open_since: u64,
    },
    /// A process went on although the outcome of its last operation is unknown: that operation may still take effect.
    #[error(
        "line {line}: process {process} goes on after its `info` (operation of line {open_since}); after `info` a client goes on as a new process"
    )]
    AfterInfo {
        /// Where.
        line: u64,
        /// Whose.
        process: ProcessId,
        /// Line of the invocation with the unknown outcome.
        open_since: u64,
    },
    /// A completion that is not of the operation its process has open.
    #[error(
        "line {line}: process {process} completes with {what} {completed}, but its invocation (line {open_since}) has {invoked}"
    )]
    Differs {
        /// Where.
        line: u64,
        /// Whose.
        process: ProcessId,
        /// Line of the invocation.
        open_since: u64,
        /// What differs: `f`, `key` or `value`.
        what: &'static str,
        /// The invocation's.
        invoked: String,
        /// The completion's.
        completed: String,
    },
    /// Times go back.
    #[error(
        "line {line}: time goes back from {previous} to {time}; sort the events by time, or leave `time` out of all of them"
    )]
    TimeGoesBack {
        /// Where.
        line: u64,
        /// The time before.
        previous: u64,
        /// The time here.
        time: u64,
    },
    /// Indices do not go up.
    #[error("line {line}: index {index} follows index {previous}; lines are doubled or in the wrong order")]
    IndexGoesBack {
        /// Where.
        line: u64,
        /// The index before.
        previous: u64,
        /// The index here.
        index: u64,
    },
    /// Some events have a time and some have not.
    #[error("line {line}: this event has {}, unlike those before; either all events of clients have one or none", if *timed { "a time" } else { "no time" })]
    MixedTime {
        /// Where.
        line: u64,
        /// Whether this one has a time.
        timed: bool,
    },
    /// More operations than an [`OpIndex`](super::OpIndex) can count.
    #[error("line {line}: more than {} operations in one history", u32::MAX)]
    TooManyOperations {
        /// Where.
        line: u64,
    },
    /// An operation given to [`History::from_operations`](super::History::from_operations) breaks a rule.
    #[error("operation {place}: {what}")]
    Operation {
        /// Its place in the list given, from 0.
        place: usize,
        /// Which rule.
        what: String,
    },
}

impl HistoryError {
    /// Shorthand for [`HistoryError::Malformed`].
    pub(super) fn malformed(line: u64, what: impl Into<String>) -> Self {
        HistoryError::Malformed { line, what: what.into() }
    }
}
