//! The pair test on blocks of operations that must stay contiguous.
//!
//! ```text
//!   forward zone  f ├──────┤ s      some operation returned before another was invoked: the value was there from f to s
//!   backward zone s ├──┤ f          all its operations overlap: it fits at any moment from s to f
//!
//!   legal    ├────┤├───┤   (touching)      illegal   ├────┼─┤────┤ (overlap)     ├──├─┤──┤ (backward strictly inside)
//! ```
//!
//! Gibbons and Korach, "Testing Shared Memories", SIAM J. Comput. 26(4), 1997, section 4. A block u must come before a block v iff
//! some operation of u returned before some operation of v was invoked: `f_u < s_v`. An order exists iff no two blocks
//! must each come before the other: a shortest cycle of three or more would make f fall strictly all the way round.

/// No operation: the initial value was written by none.
pub(crate) const NONE: u32 = u32::MAX;

/// A moment and the operation it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    /// Time plus one, so that 0 is before every time.
    pub(crate) time: u64,
    /// The entry, or [`NONE`].
    pub(crate) entry: u32,
}

impl Moment {
    /// Before every operation.
    pub(crate) const START: Self = Self { time: 0, entry: NONE };
    /// After every operation.
    pub(crate) const END: Self = Self { time: u64::MAX, entry: NONE };

    pub(crate) fn at(time: u64, entry: u32) -> Self {
        Self { time: time.saturating_add(1), entry }
    }
}

/// Operations that must be contiguous, by their earliest return and their latest invocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// Earliest return.
    pub(crate) first_return: Moment,
    /// Latest invocation.
    pub(crate) last_invoke: Moment,
}

impl Block {
    fn is_forward(&self) -> bool {
        self.first_return.time < self.last_invoke.time
    }

    fn must_precede(&self, other: &Self) -> bool {
        self.first_return.time < other.last_invoke.time
    }
}

/// Two blocks that must each come before the other, or `None` when all blocks can be put in order. O(n log n).
pub(crate) fn conflicting_pair(blocks: &[Block]) -> Option<(usize, usize)> {
    let mut forward: Vec<usize> = (0..blocks.len()).filter(|&block| blocks[block].is_forward()).collect();
    forward.sort_unstable_by_key(|&block| blocks[block].first_return.time);
    for pair in forward.windows(2) {
        if blocks[pair[1]].must_precede(&blocks[pair[0]]) {
            return Some((pair[0], pair[1]));
        }
    }
    for (place, block) in blocks.iter().enumerate().filter(|(_, block)| !block.is_forward()) {
        // The forward zones are disjoint by now, so only the last that began before this one can hold it.
        let began = forward.partition_point(|&zone| blocks[zone].must_precede(block));
        if let Some(&zone) = began.checked_sub(1).and_then(|last| forward.get(last))
            && block.must_precede(&blocks[zone])
        {
            return Some((zone, place));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Block, Moment, conflicting_pair};

    fn block(first_return: u64, last_invoke: u64) -> Block {
        Block { first_return: Moment::at(first_return, 0), last_invoke: Moment::at(last_invoke, 0) }
    }

    #[test]
    fn touching_forward_zones_are_legal_and_overlapping_ones_are_not() {
        assert_eq!(conflicting_pair(&[block(1, 5), block(5, 9)]), None);
        assert_eq!(conflicting_pair(&[block(4, 9), block(1, 5)]), Some((1, 0)));
    }

    #[test]
    fn a_backward_zone_may_stick_out_of_a_forward_one_and_not_lie_inside() {
        assert_eq!(conflicting_pair(&[block(1, 5), block(5, 3)]), None);
        assert_eq!(conflicting_pair(&[block(1, 5), block(4, 1)]), None);
        assert_eq!(conflicting_pair(&[block(1, 5), block(4, 2)]), Some((0, 1)));
    }

    #[test]
    fn the_initial_value_is_before_everything() {
        let initial = Block { first_return: Moment::START, last_invoke: Moment::at(7, 0) };
        assert_eq!(conflicting_pair(&[initial, block(6, 2)]), Some((0, 1)));
        assert_eq!(conflicting_pair(&[initial, block(7, 2)]), None);
    }
}
