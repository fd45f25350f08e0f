//! What this node asked the leader for on behalf of its clients: commands it passed on, and reads.
//!
//! ```text
//!   add ──> waiting by name ──┬─ take: the leader answered
//!                             ├─ pop_expired: it did not, in time
//!                             └─ pop_earlier: another one leads now
//! ```

use std::collections::BTreeMap;

use super::{RequestId, Time};

/// Questions that wait, by name: 1, 2, 3, …. Names, leaderships and deadlines ascend together.
#[derive(Debug)]
pub(super) struct Asked<L, W> {
    last: u64,
    waiting: BTreeMap<u64, Question<L, W>>,
}

/// One question.
#[derive(Debug)]
pub(super) struct Question<L, W> {
    /// Whose.
    pub client: RequestId,
    /// What it needs to be answered.
    pub what: W,
    /// The leadership (term, ballot or epoch) that was asked.
    leadership: L,
    until: Time,
}

impl<L, W> Default for Asked<L, W> {
    fn default() -> Self {
        Self { last: 0, waiting: BTreeMap::new() }
    }
}

impl<L: Copy + PartialOrd, W> Asked<L, W> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a question, and gives its name.
    pub fn add(&mut self, client: RequestId, what: W, leadership: L, until: Time) -> u64 {
        self.last += 1;
        self.waiting.insert(self.last, Question { client, what, leadership, until });
        self.last
    }

    /// The question of this name, if it still waits.
    pub fn get(&self, name: u64) -> Option<&Question<L, W>> {
        self.waiting.get(&name)
    }

    /// Takes out the question of this name.
    pub fn take(&mut self, name: u64) -> Option<Question<L, W>> {
        self.waiting.remove(&name)
    }

    /// When the next one expires.
    pub fn deadline(&self) -> Option<Time> {
        self.waiting.first_key_value().map(|(_, question)| question.until)
    }

    /// Takes out one that was not answered in time.
    pub fn pop_expired(&mut self, now: Time) -> Option<Question<L, W>> {
        self.waiting.first_entry().filter(|e| e.get().until <= now).map(|e| e.remove())
    }

    /// Takes out one that an earlier leadership was asked.
    pub fn pop_earlier(&mut self, leadership: L) -> Option<Question<L, W>> {
        self.waiting.first_entry().filter(|e| e.get().leadership < leadership).map(|e| e.remove())
    }
}
