//! One recorded event: the invocation or the completion of an operation, in Jepsen's words.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Value;

/// A logical client process. A process has at most one operation open; after `info` the client goes on as a new process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessId(pub u64);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who made the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Process {
    /// A client process.
    Client(ProcessId),
    /// The nemesis; such events carry information for people and are never judged. In JSON: `"nemesis"`.
    Nemesis,
}

/// Which of the four events of an operation this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// The operation was sent.
    Invoke,
    /// It was done, and `value` holds the result.
    Ok,
    /// It was definitely not done.
    Fail,
    /// Its outcome is unknown: it may take effect at any later time, or never.
    Info,
}

impl EventKind {
    /// From its word in a history.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "invoke" => EventKind::Invoke,
            "ok" => EventKind::Ok,
            "fail" => EventKind::Fail,
            "info" => EventKind::Info,
            _ => return None,
        })
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Function {
    /// Read the key's value.
    Read,
    /// Overwrite the key's value.
    Write,
    /// Compare-and-set: `value` is `[old, new]`.
    Cas,
    /// Append `value` to the key's list (or text, in the key-value model).
    Append,
    /// Make the key absent.
    Delete,
    /// Add `value` to the set or counter.
    Add,
    /// Put `value` at the queue's end.
    Enqueue,
    /// Take the queue's first value.
    Dequeue,
    /// Acquire the lock.
    Acquire,
    /// Release the lock.
    Release,
    /// A multi-key transaction.
    Txn,
}

impl Function {
    /// Every function with its word in a history.
    pub(super) const WORDS: [(&'static str, Function); 11] = [
        ("read", Function::Read),
        ("write", Function::Write),
        ("cas", Function::Cas),
        ("append", Function::Append),
        ("delete", Function::Delete),
        ("add", Function::Add),
        ("enqueue", Function::Enqueue),
        ("dequeue", Function::Dequeue),
        ("acquire", Function::Acquire),
        ("release", Function::Release),
        ("txn", Function::Txn),
    ];

    /// From its word in a history.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, function)| *function)
    }

    /// Its word in a history.
    #[must_use]
    pub fn word(self) -> &'static str {
        // The list is in the order of the variants; the test below holds that.
        Self::WORDS[self as usize].0
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Position in the history, if recorded.
    pub index: Option<u64>,
    /// Nanoseconds from the run's start on one monotonic clock. It orders the events; without it the order of lines does.
    pub time: Option<u64>,
    /// Who.
    pub process: Process,
    /// Which event.
    pub kind: EventKind,
    /// What was asked for (for a nemesis event: `None`, its own words are in `note`).
    pub function: Option<Function>,
    /// The object; `Nil` when the history is about one object.
    pub key: Value,
    /// Argument or result.
    pub value: Value,
    /// What a failed compare-and-set saw instead of `old`.
    pub observed: Option<Value>,
    /// Why it failed or is unknown: a stable code such as `mismatch`, `not-leader`, `timeout`.
    pub reason: Option<String>,
    /// Free text of a nemesis event.
    pub note: Option<String>,
}

impl Event {
    /// An event of a client process, without anything optional.
    #[must_use]
    pub fn client(process: u64, kind: EventKind, function: Function, value: impl Into<Value>) -> Self {
        Event {
            index: None,
            time: None,
            process: Process::Client(ProcessId(process)),
            kind,
            function: Some(function),
            key: Value::Nil,
            value: value.into(),
            observed: None,
            reason: None,
            note: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_its_own_word() {
        for (word, function) in Function::WORDS {
            assert_eq!(function.word(), word);
            assert_eq!(Function::from_word(word), Some(function));
            assert_eq!(serde_json::to_string(&function).unwrap(), format!("\"{word}\""));
        }
    }
}
