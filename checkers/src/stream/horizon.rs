//! How far back an answer that is still to come can reach.
//!
//! ```text
//!              horizon
//!   ├───────────┼───── open read ──────────────
//!   ├───────────┼────────────── open cas ──────
//!   forgettable │ to be kept                 now
//! ```
//!
//! Only operations that observe something (reads, compare-and-sets) can show what was the case before. The horizon is
//! the earliest invocation among those that may still answer, or the present. Every answer to come belongs to an
//! operation invoked at or after it, except the late answer of an operation that had been given up (`info`) when its
//! key got crowded.

use std::collections::BTreeSet;

/// An operation that observes, by invocation and a number of its own.
type Observer = (u64, u64);

/// The operations of one key that may still tell what they observed.
#[derive(Clone, Debug, Default)]
pub(super) struct Observers {
    open: BTreeSet<Observer>,
    /// Of unknown outcome; an answer may come, and hardly ever does.
    given_up: BTreeSet<Observer>,
    horizon: u64,
}

impl Observers {
    pub(super) fn invoked(&mut self, invoke: u64, number: u64) {
        self.open.insert((invoke, number));
    }

    pub(super) fn given_up(&mut self, invoke: u64, number: u64) {
        if self.open.remove(&(invoke, number)) {
            self.given_up.insert((invoke, number));
        }
    }

    pub(super) fn completed(&mut self, invoke: u64, number: u64) {
        if !self.open.remove(&(invoke, number)) {
            self.given_up.remove(&(invoke, number));
        }
    }

    /// Moves the horizon as far as it can go. A crowded key waits for open operations only. Never goes back. O(log n).
    pub(super) fn advance(&mut self, now: u64, crowded: bool) -> u64 {
        if crowded {
            self.given_up.clear();
        }
        let earliest = |observers: &BTreeSet<Observer>| observers.first().map_or(now, |(invoke, _)| *invoke);
        self.horizon = self.horizon.max(earliest(&self.open).min(earliest(&self.given_up)));
        self.horizon
    }

    /// True when an operation invoked then is one that nothing was kept for.
    pub(super) fn is_beyond(&self, invoke: u64) -> bool {
        invoke < self.horizon
    }

    pub(super) fn len(&self) -> usize {
        self.open.len() + self.given_up.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Observers;

    #[test]
    fn the_horizon_waits_for_open_observers_and_for_given_up_ones_until_it_gets_crowded() {
        let mut observers = Observers::default();
        observers.invoked(3, 0);
        observers.invoked(5, 1);
        observers.given_up(3, 0);
        assert_eq!(observers.advance(9, false), 3);
        assert_eq!(observers.advance(9, true), 5);
        assert!(observers.is_beyond(4) && !observers.is_beyond(5));
        observers.completed(5, 1);
        assert_eq!((observers.advance(9, false), observers.len()), (9, 0));
    }
}
