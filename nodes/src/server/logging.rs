//! Short single lines on stderr: `1234.567890 n1 role=leader term=3`. The time is the machine's monotonic clock, in
//! seconds, so that the lines of several processes can be put in one order.

use std::{
    fmt,
    io::{Write as _, stderr},
};

use rustix::time::{ClockId, clock_gettime};

use crate::protocol::NodeId;

/// Writes one node's lines.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    node: NodeId,
}

impl Log {
    /// A log for one node.
    #[must_use]
    pub fn new(node: NodeId) -> Self {
        Self { node }
    }

    /// Writes a line with one system call, so that lines of several threads do not mix.
    pub fn line(self, text: fmt::Arguments<'_>) {
        let now = clock_gettime(ClockId::Monotonic);
        let line = format!("{}.{:06} n{} {text}\n", now.tv_sec, now.tv_nsec / 1000, self.node.0);
        // A reader that went away is no reason to stop.
        let _closed = stderr().write_all(line.as_bytes());
    }
}
