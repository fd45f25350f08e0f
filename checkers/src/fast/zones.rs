//! The order of blocks of operations that must stay contiguous, by the pair test.
//!
//! ```text
//!   forward zone  f ├──────┤ s      some operation returned before another was invoked: the value was there from f to s
//!   backward zone s ├──┤ f          all its operations overlap: it fits at any moment from s to f
//!
//!   legal    ├────┤├───┤   (touching)      illegal   ├────┼─┤────┤ (overlap)     ├──├─┤──┤ (backward strictly inside)
//!   order    by the left end; at equal ones backward first
//! ```
//!
//! Gibbons and Korach, "Testing Shared Memories", SIAM J. Comput. 26(4), 1997, section 4. A block u must come before a block v iff
//! some operation of u returned before some operation of v was invoked: `f_u < s_v`. Two blocks that must each come before the
//! other are a violation. Otherwise there is an order, and sorting by the left end, `min(f, s)`, finds it:
//!
//! Let i be sorted before j although j must come before i: `f_j < s_i`. Then i must come before j as well, `f_i < s_j`:
//! - If i is backward, its left end is `s_i > f_j >= min(f_j, s_j)`, so it was not sorted before j.
//! - If i is forward, its left end is `f_i <= min(f_j, s_j) <= s_j`. Were `f_i = s_j`, then `s_j` would be j's left end, equal to
//!   i's, and j backward, hence before i. So `f_i < s_j`.
//!
//! So one sweep over the sorted blocks with the latest invocation so far finds a conflicting pair, or proves the order. In that
//! order no operation of a block returned before one of an earlier block was invoked: it respects real time.

/// A time as blocks have it: plus one, so that [`START`] is before every time.
pub(crate) fn moment(time: u64) -> u64 {
    // Only the return of an unknown outcome saturates, and one at the time just before: nothing is invoked after either.
    time.saturating_add(1)
}

/// Before every operation.
pub(crate) const START: u64 = 0;

/// After every operation.
pub(crate) const END: u64 = u64::MAX;

/// Operations that must be contiguous, by their earliest return and their latest invocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// Earliest return, as a [`moment`].
    pub(crate) first_return: u64,
    /// Latest invocation, as a [`moment`].
    pub(crate) last_invoke: u64,
    /// Its name.
    pub(crate) head: u32,
}

impl Block {
    pub(crate) fn is_forward(&self) -> bool {
        self.first_return < self.last_invoke
    }

    /// Its left end.
    pub(crate) fn point(&self) -> Point {
        if self.is_forward() { (self.first_return, Rank::Forward) } else { (self.last_invoke, Rank::Backward) }
    }
}

/// Where a block is sorted: a moment, and what comes first at the same one.
pub(crate) type Point = (u64, Rank);

/// What comes first at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// A backward zone that begins there.
    Backward,
    /// A backward zone that was put there.
    Moved,
    /// A forward zone that begins there.
    Forward,
}

/// Puts the blocks in an order that respects real time. `Err` with two that must each come before the other when there is none.
/// O(n log n).
pub(crate) fn arrange(blocks: &mut [Block]) -> Result<(), (Block, Block)> {
    arrange_at(blocks, Block::point)
}

/// Like [`arrange`], with other points. A backward zone may be at any moment of it that is not strictly inside a forward one: where
/// `s <= p <= f`, a block before it by the rules above has `f <= p`, and one after it has `s >= p`.
pub(crate) fn arrange_at(blocks: &mut [Block], point: impl Fn(&Block) -> Point) -> Result<(), (Block, Block)> {
    blocks.sort_unstable_by_key(point);
    let mut latest = Block { first_return: START, last_invoke: START, head: 0 };
    for block in blocks {
        if block.first_return < latest.last_invoke {
            return Err((latest, *block));
        }
        if block.last_invoke > latest.last_invoke {
            latest = *block;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Block, START, arrange, moment};

    /// Blocks named by their places; the order of their names, or the conflicting pair.
    fn arranged(zones: &[(u64, u64)]) -> Result<Vec<u32>, (u32, u32)> {
        let block = |(head, &(first_return, last_invoke))| Block { first_return, last_invoke, head };
        let mut blocks: Vec<Block> = (0..).zip(zones).map(block).collect();
        arrange(&mut blocks).map_err(|(a, b)| (a.head, b.head))?;
        Ok(blocks.iter().map(|block| block.head).collect())
    }

    #[test]
    fn touching_forward_zones_are_legal_and_overlapping_ones_are_not() {
        assert_eq!(arranged(&[(5, 9), (1, 5)]), Ok(vec![1, 0]));
        assert_eq!(arranged(&[(4, 9), (1, 5)]), Err((1, 0)));
    }

    #[test]
    fn a_backward_zone_may_stick_out_of_a_forward_one_and_not_lie_inside() {
        assert_eq!(arranged(&[(1, 5), (5, 3)]), Ok(vec![0, 1]));
        assert_eq!(arranged(&[(1, 5), (4, 1)]), Ok(vec![1, 0]));
        assert_eq!(arranged(&[(1, 5), (4, 2)]), Err((0, 1)));
    }

    #[test]
    fn the_initial_value_is_before_everything() {
        let initial = (START, moment(7));
        assert_eq!(arranged(&[(moment(6), moment(2)), initial]), Err((1, 0)));
        assert_eq!(arranged(&[(moment(7), moment(2)), initial]), Ok(vec![1, 0]));
    }

    /// Against the definition: an order exists iff no two blocks must each come before the other.
    #[test]
    fn every_small_set_of_zones_is_ordered_or_has_a_conflicting_pair() {
        let zones: Vec<(u64, u64)> = (1..5).flat_map(|f| (1..5).map(move |s| (f, s))).collect();
        for a in &zones {
            for b in &zones {
                for c in &zones {
                    let set = [*a, *b, *c];
                    let precedes = |u: u32, v: u32| set[u as usize].0 < set[v as usize].1;
                    match arranged(&set) {
                        Ok(order) => {
                            for (place, &u) in order.iter().enumerate() {
                                assert!(
                                    order[..place].iter().all(|&before| !precedes(u, before)),
                                    "{set:?}: {order:?}"
                                );
                            }
                        }
                        Err((u, v)) => assert!(u != v && precedes(u, v) && precedes(v, u), "{set:?}: {u}, {v}"),
                    }
                }
            }
        }
    }
}
