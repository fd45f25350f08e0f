//! What a node knows of each slot: what it accepted there, and what is chosen.
//!
//! ```text
//!   1 … base │ base+1 … snapshot │ … applied │ … last
//!   gone     │ chosen, kept for  │ chosen    │ accepted, some known chosen, some neither: holes
//!            │ those who lag     │           │
//! ```
//!
//! The two are kept apart. An acceptor may have accepted one value and learned later that another was chosen: what it tells in
//! phase 1 is the first, what it applies the second.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::types::{Ballot, Payload, Slot, Vote};
use crate::protocol::weight::command_weight;

/// The slots that something is known of.
#[derive(Clone, Debug, Default)]
pub struct Log {
    base: Slot,
    cells: BTreeMap<Slot, Cell>,
}

/// One slot.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// What was accepted here last.
    pub accepted: Option<Accepted>,
    chosen: Option<Chosen>,
}

/// An acceptance.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// In which ballot.
    pub ballot: Ballot,
    /// What.
    pub payload: Payload,
    /// Acceptances are numbered in the order in which they are written; 0 for those of earlier lives.
    pub number: u64,
}

/// What is chosen.
#[derive(Clone, Debug)]
enum Chosen {
    /// What was accepted here.
    Accepted,
    /// What another node said.
    Learned(Payload),
}

impl Cell {
    /// What is chosen here, if that is known.
    #[must_use]
    pub fn chosen(&self) -> Option<&Payload> {
        match self.chosen.as_ref()? {
            Chosen::Accepted => self.accepted.as_ref().map(|a| &a.payload),
            Chosen::Learned(payload) => Some(payload),
        }
    }
}

impl Log {
    /// An empty log above `base`.
    pub(super) fn new(base: Slot) -> Self {
        Self { base, cells: BTreeMap::new() }
    }

    /// Slots up to here are gone; they are chosen, and in the snapshot.
    #[must_use]
    pub fn base(&self) -> Slot {
        self.base
    }

    /// The last slot that something is known of.
    #[must_use]
    pub fn last(&self) -> Slot {
        self.cells.last_key_value().map_or(self.base, |(&slot, _)| slot)
    }

    /// What is known of a slot.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<&Cell> {
        self.cells.get(&slot)
    }

    /// All that is known above a slot, in order.
    pub fn above(&self, slot: Slot) -> impl Iterator<Item = (Slot, &Cell)> {
        self.cells.range(slot.next()..).map(|(&slot, cell)| (slot, cell))
    }

    /// What is chosen at a slot, if that is known.
    pub(super) fn chosen(&self, slot: Slot) -> Option<&Payload> {
        self.get(slot).and_then(Cell::chosen)
    }

    /// The ballot in which this slot was accepted last.
    pub(super) fn ballot(&self, slot: Slot) -> Option<Ballot> {
        self.get(slot).and_then(|c| c.accepted.as_ref()).map(|a| a.ballot)
    }

    /// Replaces what was accepted. Says what is known to be chosen there, and was before.
    pub(super) fn accept(&mut self, vote: Vote, number: u64) {
        let cell = self.cells.entry(vote.slot).or_default();
        cell.accepted = Some(Accepted { ballot: vote.ballot, payload: vote.payload, number });
    }

    /// Within these slots, what was accepted in such a ballot is chosen.
    pub(super) fn choose_accepted(&mut self, slots: RangeInclusive<Slot>, known: impl Fn(Ballot) -> bool) {
        if slots.is_empty() {
            return;
        }
        for cell in self.cells.range_mut(slots).map(|(_, cell)| cell) {
            if cell.chosen.is_none() && cell.accepted.as_ref().is_some_and(|a| known(a.ballot)) {
                cell.chosen = Some(Chosen::Accepted);
            }
        }
    }

    /// What was accepted at a slot is chosen.
    pub(super) fn choose(&mut self, slot: Slot) {
        if let Some(cell) = self.cells.get_mut(&slot) {
            cell.chosen.get_or_insert(Chosen::Accepted);
        }
    }

    /// Another node says what is chosen at a slot.
    pub(super) fn learn(&mut self, slot: Slot, payload: Payload) {
        let cell = self.cells.entry(slot).or_default();
        if cell.chosen.is_none() {
            let same = cell.accepted.as_ref().is_some_and(|a| a.payload == payload);
            cell.chosen = Some(if same { Chosen::Accepted } else { Chosen::Learned(payload) });
        }
    }

    /// The values from `first` on, as long as there is one and they fit into `max_bytes`, but at least one if there is one.
    pub(super) fn batch<'a>(
        &'a self,
        first: Slot,
        max_bytes: usize,
        value: impl Fn(&'a Cell) -> Option<&'a Payload>,
    ) -> Vec<Payload> {
        let mut bytes = 0;
        let mut batch = Vec::new();
        let mut slot = first;
        while let Some(payload) = self.get(slot).and_then(&value) {
            bytes += weight(payload);
            if bytes > max_bytes && !batch.is_empty() {
                break;
            }
            batch.push(payload.clone());
            slot = slot.next();
        }
        batch
    }

    /// Drops all slots up to here.
    pub(super) fn drop_through(&mut self, slot: Slot) {
        if slot > self.base {
            self.cells = self.cells.split_off(&slot.next());
            self.base = slot;
        }
    }
}

/// About how many bytes a value takes in a message.
pub(super) fn weight(payload: &Payload) -> usize {
    const FIXED: usize = 32;
    FIXED
        + match payload {
            Payload::Noop => 0,
            Payload::Command(command) => command_weight(command),
        }
}
