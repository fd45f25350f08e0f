//! Why operations did not succeed, and when their clients gave up: what stands in the file of a history and is not part of what is judged.
//!
//! ```text
//!   invoke  process 3     operation 812 begins        open: 3 → 812
//!   info    process 3     "timeout", at 1.2 s         812: timeout, given up at 1.2 s
//! ```

use std::{collections::HashMap, io::BufRead};

use serde::Deserialize;

use crate::store::{RunDir, StoreError};

/// Different reasons that are told apart; a server that makes up a new one each time must not fill the page.
const REASONS_MAX: usize = 256;

/// The longest reason, characters.
const REASON_CHARS_MAX: usize = 120;

/// The longest line that is looked at, bytes. No history has longer ones.
const LINE_BYTES_MAX: u64 = 1 << 24;

/// How one operation ended, as far as the history's operations do not tell it themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The place of the reason in [`Endings::reasons`].
    pub reason: Option<u32>,
    /// When the client gave up waiting, nanoseconds; of operations of unknown outcome only.
    pub given_up_ns: Option<u64>,
}

/// The endings of all operations that failed or are unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endings {
    /// The reasons, each once.
    pub reasons: Vec<String>,
    by_operation: HashMap<u32, Ending>,
}

/// A line, as far as it is needed here.
#[derive(Deserialize)]
struct Line {
    time: Option<u64>,
    process: serde_json::Value,
    r#type: String,
    reason: Option<String>,
}

impl Endings {
    /// Reads them from the history's file; as far as its lines go.
    ///
    /// # Errors
    /// When the file cannot be opened or read.
    pub fn of(run: &RunDir) -> Result<Self, StoreError> {
        Self::read(run.open_history()?).map_err(|error| StoreError::io("read the history in", run.path(), error))
    }

    /// How this operation ended; nothing is known of most.
    #[must_use]
    pub fn get(&self, operation: u32) -> Ending {
        self.by_operation.get(&operation).copied().unwrap_or_default()
    }

    /// Notes how an operation ended.
    pub fn set(&mut self, operation: u32, reason: Option<&str>, given_up_ns: Option<u64>) {
        let reason = reason.map(|reason| self.number(reason));
        self.by_operation.insert(operation, Ending { reason, given_up_ns });
    }

    fn read(mut reader: impl BufRead) -> std::io::Result<Self> {
        let mut endings = Self::default();
        let mut open: HashMap<u64, u32> = HashMap::new();
        let (mut invoked, mut line) = (0_u32, Vec::new());
        loop {
            line.clear();
            if std::io::Read::take(&mut reader, LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
                return Ok(endings);
            }
            // The header, and a last line that was torn. Whether the others are right, the history's reader has looked.
            let Ok(event) = serde_json::from_slice::<Line>(&line) else { continue };
            let Some(process) = event.process.as_u64() else { continue };
            match event.r#type.as_str() {
                "invoke" => {
                    open.insert(process, invoked);
                    invoked = invoked.saturating_add(1);
                }
                "fail" | "info" => {
                    if let Some(operation) = open.remove(&process) {
                        let given_up = event.time.filter(|_| event.r#type == "info");
                        endings.set(operation, event.reason.as_deref(), given_up);
                    }
                }
                _ => _ = open.remove(&process),
            }
        }
    }

    fn number(&mut self, reason: &str) -> u32 {
        let place = self.reasons.iter().position(|known| known == reason);
        let place = place.unwrap_or_else(|| {
            let text = if self.reasons.len() < REASONS_MAX { reason } else { "other" };
            let text: String = text.chars().take(REASON_CHARS_MAX).collect();
            self.reasons.iter().position(|known| *known == text).unwrap_or_else(|| {
                self.reasons.push(text);
                self.reasons.len() - 1
            })
        });
        u32::try_from(place).expect("there are few reasons")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_belong_to_the_operation_that_was_open() {
        let text = r#"{"trueline_history":1,"model":"register","initial":null}
{"time":1,"process":0,"type":"invoke","f":"read"}
{"time":2,"process":7,"type":"invoke","f":"write","value":1}
{"time":3,"process":"nemesis","type":"info","note":"kill: kill [1]"}
{"time":4,"process":0,"type":"ok","f":"read","value":null}
{"time":5,"process":0,"type":"invoke","f":"read"}
{"time":6,"process":7,"type":"info","f":"write","reason":"timeout"}
{"time":7,"process":0,"type":"fail","f":"read","reason":"not-leader"}
{"time":8,"proc"#;
        let endings = Endings::read(text.as_bytes()).expect("read");
        assert_eq!(endings.reasons, ["timeout", "not-leader"]);
        assert_eq!(endings.get(0), Ending::default());
        assert_eq!(endings.get(1), Ending { reason: Some(0), given_up_ns: Some(6) });
        assert_eq!(endings.get(2), Ending { reason: Some(1), given_up_ns: None });
    }

    #[test]
    fn reasons_are_bounded() {
        let mut endings = Endings::default();
        for operation in 0..1_000 {
            endings.set(operation, Some(&format!("odd-{operation}")), None);
        }
        assert_eq!(endings.reasons.len(), REASONS_MAX + 1);
        assert_eq!(endings.reasons[REASONS_MAX], "other");
    }
}
