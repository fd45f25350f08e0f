//! What of the log and the hard state has reached the disk. `I` is a place in the log, in the protocol's own words.
//!
//! ```text
//!   ticket   1        2         3        4
//!   writes   e1 e2    vote      e3       e4 e5        Durable(2) came: entries up to 2 are durable, and the vote;
//!            ─────────────────  ─────────────────     e3, e4 and e5 are only written
//!                  durable        on their way
//! ```

use std::collections::VecDeque;

use super::Ticket;

/// A step that persisted something.
#[derive(Clone, Copy, Debug)]
struct Written<I> {
    ticket: Ticket,
    /// The last index of the log then, or less, if the log was cut since.
    last_index: I,
}

/// Tickets given out, and what the storage has confirmed.
#[derive(Debug)]
pub(super) struct Durability<I> {
    issued: Ticket,
    confirmed: Ticket,
    /// The step that recorded the current hard state.
    hard_state_in: Ticket,
    /// The log is durable up to here.
    index: I,
    on_their_way: VecDeque<Written<I>>,
}

impl<I: Copy + Ord> Durability<I> {
    /// At start all that was found is durable.
    pub fn new(last_index: I) -> Self {
        Self {
            issued: Ticket(0),
            confirmed: Ticket(0),
            // The first step of a life records which life it is; that too must be durable before anything is said.
            hard_state_in: Ticket(1),
            index: last_index,
            on_their_way: VecDeque::new(),
        }
    }

    /// The log is durable up to here.
    pub fn index(&self) -> I {
        self.index
    }

    /// Whether the hard state as last recorded is durable, and which life this is.
    pub fn covers_hard_state(&self) -> bool {
        self.hard_state_in <= self.confirmed
    }

    /// The step under way records the hard state.
    pub fn hard_state_recorded(&mut self) {
        self.hard_state_in = Ticket(self.issued.0 + 1);
    }

    /// The step under way persisted something; the log ends at `last_index`.
    pub fn issue(&mut self, last_index: I) {
        self.issued = Ticket(self.issued.0 + 1);
        self.on_their_way.push_back(Written { ticket: self.issued, last_index });
    }

    /// The storage confirms everything up to `ticket`.
    pub fn confirm(&mut self, ticket: Ticket) {
        assert!(ticket <= self.issued, "a ticket is confirmed that was never given out");
        self.confirmed = self.confirmed.max(ticket);
        while let Some(written) = self.on_their_way.front().filter(|w| w.ticket <= ticket) {
            self.index = written.last_index;
            self.on_their_way.pop_front();
        }
    }

    /// Entries behind `kept` were dropped: what is written in their place is not durable yet, nor is what an earlier step wrote.
    pub fn cut(&mut self, kept: I) {
        self.index = self.index.min(kept);
        for written in &mut self.on_their_way {
            written.last_index = written.last_index.min(kept);
        }
    }
}
