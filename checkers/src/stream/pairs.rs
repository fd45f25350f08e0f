//! The pair test of [`crate::fast::zones`], one event at a time.
//!
//! ```text
//!             horizon
//!   forward   ┌─┼───┐ ┌────┐   ┌────┐      f ──> (s, block), pairwise disjoint, so sorted by s too
//!   backward    │ x     x         x        f ──> s, only where no earlier f has so late an s
//!     of those ahead of the horizon only the last ones are kept
//! ```
//!
//! Block u must come before block v iff `f_u < s_v`, with f the earliest return and s the latest invocation of a block.
//! Returns come in order of time, so f is set by a block's first return and never changes; at that moment it is later
//! than every s, and no pair is in conflict. Only a growing s makes a conflict, and only an answer makes s grow: to s =
//! the invocation of an operation that was open until now, which is not beyond the horizon. So all questions are "which
//! s is the latest among the blocks with f < x" for an x at or after the horizon. Of the blocks with f ahead of the
//! horizon the latest forward and the latest backward one answer them all. Gibbons and Korach, "Testing Shared
//! Memories", SIAM J. Comput. 26(4), 1997, section 4.

use std::collections::BTreeMap;

use super::slab::Id;

/// The blocks that a later answer may be in conflict with.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    forward: BTreeMap<u64, Forward>,
    /// An entry may be older than its block's s, which does no harm: what it says was true and stays so.
    backward: BTreeMap<u64, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Forward {
    last_invoke: u64,
    block: Id,
}

impl Pairs {
    /// Whether another block must both precede and follow this one. With the horizon as `last_invoke`: whether it would
    /// after any answer to come. O(log n).
    pub(super) fn conflict(&self, block: Id, first_return: u64, last_invoke: u64) -> bool {
        // Forward zones are disjoint: the last that began before then ends last, and if it is the block's own, the
        // others ended before it.
        let forward = self.forward.range(..last_invoke).next_back().map(|(_, zone)| zone);
        if forward.is_some_and(|zone| zone.block != block && zone.last_invoke > first_return) {
            return true;
        }
        // The block's own entry is never later than its first return.
        let backward = self.backward.range(..last_invoke).next_back();
        backward.is_some_and(|(_, last)| *last > first_return)
    }

    /// Notes a block's first return and latest invocation. O(log n) amortised.
    pub(super) fn put(&mut self, block: Id, first_return: u64, last_invoke: u64) {
        if first_return < last_invoke {
            self.forward.insert(first_return, Forward { last_invoke, block });
            return;
        }
        if self.backward.range(..=first_return).next_back().is_some_and(|(_, earlier)| *earlier >= last_invoke) {
            return;
        }
        self.backward.insert(first_return, last_invoke);
        while let Some((&dominated, _)) =
            self.backward.range(first_return + 1..).next().filter(|(_, later)| **later <= last_invoke)
        {
            self.backward.remove(&dominated);
        }
    }

    /// Drops what no question at or after the horizon can bring up. O(log n) for each entry dropped.
    pub(super) fn advance(&mut self, horizon: u64) {
        while self.forward.keys().nth(1).is_some_and(|first_return| *first_return < horizon) {
            self.forward.pop_first();
        }
        while self.backward.keys().nth(1).is_some_and(|first_return| *first_return < horizon) {
            self.backward.pop_first();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.forward.len() + self.backward.len()
    }
}
