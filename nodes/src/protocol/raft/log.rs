//! The log in memory: what is kept of it, behind a base.
//!
//! ```text
//!   1 … base │ base+1 … snapshot … last
//!   gone     │ entries, contiguous, terms never falling
//! ```

use super::{
    super::{RestoreError, weight::command_weight},
    types::{Entry, LogIndex, Payload, Term},
};

/// The log.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    base: (LogIndex, Term),
    entries: Vec<Entry>,
}

impl Log {
    /// An empty log behind `base`.
    pub fn new(base: (LogIndex, Term)) -> Self {
        Self { base, entries: Vec::new() }
    }

    /// Index and term of the entry before the first one kept.
    pub fn base(&self) -> (LogIndex, Term) {
        self.base
    }

    /// The entries kept.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Index of the last entry.
    pub fn last_index(&self) -> LogIndex {
        self.base.0.plus(self.entries.len())
    }

    /// Term of the last entry.
    pub fn last_term(&self) -> Term {
        self.entries.last().map_or(self.base.1, |e| e.term)
    }

    /// The term at `index`, when it is known here.
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.base.0 { Some(self.base.1) } else { self.get(index).map(|e| e.term) }
    }

    /// The entry at `index`, when it is kept.
    pub fn get(&self, index: LogIndex) -> Option<&Entry> {
        (index > self.base.0).then(|| self.entries.get(self.offset(index))).flatten()
    }

    /// Where `index > base` is among the entries.
    fn offset(&self, index: LogIndex) -> usize {
        usize::try_from(index.0 - self.base.0.0 - 1).expect("a log in memory is shorter than usize")
    }

    /// Entries from `from` on, as many as fit into `max_bytes`, at least one if there is one.
    pub fn batch(&self, from: LogIndex, max_bytes: usize) -> Vec<Entry> {
        assert!(from > self.base.0, "entries below the base are gone");
        let mut bytes = 0;
        let mut batch = Vec::new();
        for entry in self.entries.get(self.offset(from)..).unwrap_or_default() {
            bytes += weight(entry);
            if bytes > max_bytes && !batch.is_empty() {
                break;
            }
            batch.push(entry.clone());
        }
        batch
    }

    /// Adds the next entry; the caller sees to it that terms never fall.
    pub fn push(&mut self, entry: Entry) {
        assert_eq!(entry.index, self.last_index().next(), "the log has no gaps");
        self.entries.push(entry);
    }

    /// Drops all entries from `from` on.
    pub fn truncate_from(&mut self, from: LogIndex) {
        assert!(from > self.base.0, "what the base covers is committed");
        let keep = self.offset(from);
        self.entries.truncate(keep);
    }

    /// The first index kept that has the term at `index`.
    pub fn first_of_term_at(&self, index: LogIndex) -> LogIndex {
        let Some(entry) = self.get(index) else { return index };
        self.base.0.next().plus(self.entries.partition_point(|e| e.term < entry.term))
    }

    /// The last index at or below `limit` that has this term, if one is kept.
    pub fn last_of_term(&self, term: Term, limit: LogIndex) -> Option<LogIndex> {
        let index = self.base.0.plus(self.entries.partition_point(|e| e.index <= limit && e.term <= term));
        (self.term_at(index) == Some(term)).then_some(index)
    }

    /// Moves the base up to `index`, which must be kept; `term` is the term there.
    pub fn compact_to(&mut self, index: LogIndex, term: Term) {
        assert!(self.term_at(index).is_some(), "a base is moved to a known place");
        self.entries.drain(..usize::try_from(index.0 - self.base.0.0).expect("shorter than usize"));
        self.base = (index, term);
    }

    /// Puts an entry in the place of another, whatever follows. For mutants.
    pub fn overwrite(&mut self, entry: Entry) {
        let at = self.offset(entry.index);
        self.entries[at] = entry;
    }

    /// Adds an entry that storage held. Terms never fall, unless a mutant wrote them (`any_term`).
    pub fn restore(&mut self, entry: Entry, any_term: bool) -> Result<(), RestoreError> {
        if entry.index != self.last_index().next() {
            return Err(RestoreError(format!(
                "entry {} follows entry {} in the log",
                entry.index.0,
                self.last_index().0
            )));
        }
        if entry.term < self.last_term() && !any_term {
            return Err(RestoreError(format!("entry {} has an earlier term than the one before it", entry.index.0)));
        }
        self.entries.push(entry);
        Ok(())
    }
}

/// About how many bytes an entry takes in a message.
fn weight(entry: &Entry) -> usize {
    const FIXED: usize = 32;
    FIXED
        + match &entry.payload {
            Payload::Noop => 0,
            Payload::Membership(membership) => 8 * membership.members().len(),
            Payload::Command(command) => command_weight(command),
        }
}
