//! Words for what was found: plain sentences with clients, values and times.

use std::fmt::Write;

use crate::history::{Action, Completion, Operation, TimeUnit, Value};
use crate::key::KeyHistory;

/// Longer values are cut in sentences, never in the violation's operations.
const VALUE_CHARS_MAX: usize = 60;

/// A value as a person would write it.
pub(crate) fn value(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    if text.chars().count() > VALUE_CHARS_MAX {
        let tail: Vec<char> = text.chars().rev().take(VALUE_CHARS_MAX / 2 - 2).collect();
        text = text.chars().take(VALUE_CHARS_MAX / 2 - 1).collect::<String>()
            + " … "
            + &tail.iter().rev().collect::<String>();
    }
    text
}

fn write_value(text: &mut String, value: &Value) {
    // Writing to a string cannot fail.
    let _ = match value {
        Value::Nil => write!(text, "nil"),
        Value::Bool(truth) => write!(text, "{truth}"),
        Value::Int(number) => write!(text, "{number}"),
        Value::Text(words) => write!(text, "{words:?}"),
        Value::List(elements) => {
            text.push('[');
            for (place, element) in elements.iter().enumerate() {
                text.push_str(if place == 0 { "" } else { ", " });
                write_value(text, element);
            }
            text.push(']');
            Ok(())
        }
    };
}

/// "the key 17", or "the object" in a history without keys.
pub(crate) fn key_phrase(key: &Value) -> String {
    match key {
        Value::Nil => "the only object".into(),
        key => format!("key {}", value(key)),
    }
}

/// Times as seconds where they are nanoseconds, as event numbers where they are places in the order of lines.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    nanoseconds: bool,
}

impl Clock {
    pub(crate) fn new(unit: TimeUnit) -> Self {
        Self { nanoseconds: unit == TimeUnit::Nanoseconds }
    }

    pub(crate) fn of(key: KeyHistory<'_>) -> Self {
        Self::new(key.time_unit())
    }

    /// "at 1.203441 s" or "at event 17".
    pub(crate) fn at(self, time: u64) -> String {
        if self.nanoseconds {
            let micros = time / 1000;
            format!("at {}.{:06} s", micros / 1_000_000, micros % 1_000_000)
        } else {
            format!("at event {time}")
        }
    }
}

/// "process 3's read of 17".
pub(crate) fn deed(operation: &Operation) -> String {
    let process = operation.process.0;
    match (&operation.action, &operation.completion) {
        (Action::Read, Completion::Ok(Some(seen))) => format!("process {process}'s read of {}", value(seen)),
        (Action::Read, _) => format!("process {process}'s read"),
        (Action::Write(new), _) => format!("process {process}'s write of {}", value(new)),
        (Action::Append(new), _) => format!("process {process}'s append of {}", value(new)),
        (Action::Cas { old, new }, Completion::Mismatch { observed }) => {
            let saw = observed.as_ref().map_or(String::new(), |seen| format!(" (it saw {})", value(seen)));
            format!("process {process}'s refused compare-and-set from {} to {}{saw}", value(old), value(new))
        }
        (Action::Cas { old, new }, _) => {
            format!("process {process}'s compare-and-set from {} to {}", value(old), value(new))
        }
        (Action::Delete, _) => format!("process {process}'s deletion"),
        (Action::Add(new), _) => format!("process {process}'s addition of {}", value(new)),
        (Action::Enqueue(new), _) => format!("process {process}'s enqueue of {}", value(new)),
        (Action::Dequeue, Completion::Ok(Some(Value::Nil))) => {
            format!("process {process}'s dequeue that found the queue empty")
        }
        (Action::Dequeue, Completion::Ok(Some(taken))) => format!("process {process}'s dequeue of {}", value(taken)),
        (Action::Dequeue, _) => format!("process {process}'s dequeue"),
        (Action::Acquire(owner), _) => format!("process {process}'s acquisition for {}", value(owner)),
        (Action::Release(owner), _) => format!("process {process}'s release by {}", value(owner)),
        (Action::Txn(_), Completion::Ok(Some(answer))) => format!("process {process}'s transaction {}", value(answer)),
        (Action::Txn(parts), _) => format!("process {process}'s transaction {}", value(parts)),
    }
}

/// "process 3's read of 17 (invoked at 1.2 s, returned at 1.3 s)".
pub(crate) fn deed_with_times(operation: &Operation, clock: Clock) -> String {
    let end = if operation.is_unknown() {
        "never answered".to_owned()
    } else {
        format!("returned {}", clock.at(operation.ret))
    };
    format!("{} (invoked {}, {end})", deed(operation), clock.at(operation.invoke))
}

/// "a had returned before b was invoked", with both times.
#[expect(dead_code, reason = "words for it come with the sentences")]
pub(crate) fn before(a: &Operation, b: &Operation, clock: Clock) -> String {
    format!("{} had returned {} before {} was invoked {}", deed(a), clock.at(a.ret), deed(b), clock.at(b.invoke))
}
