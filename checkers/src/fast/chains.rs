//! Chains of clusters: registers with unique values, with and without compare-and-set.
//!
//! ```text
//!   chain    W0 ─ reads of v0 ─ cas v0→v1 ─ reads of v1 ─ cas v1→v2 ─ reads of v2
//!            └── cluster v0 ──────┴────── cluster v1 ───────┴──── cluster v2 ──┘   no blind write can come in between
//! ```
//!
//! A compare-and-set that won from a to b is a read of a and the write of b in one, so b's cluster follows a's directly. With
//! unique values the order inside a chain is given; it is checked against real time in one sweep. The chains, without
//! compare-and-set one cluster each, are then blocks for [`super::zones`].
//!
//! The order that proves a valid verdict: the blocks as zones arranged them; in a block cluster by cluster; in a cluster the writer
//! and then its reads as they were invoked. It is the register's, since each value is read between its writer and the next one. It
//! respects real time: between blocks as zones shows, between the groups of a chain by the sweep, between reads of one value because
//! what returned before another was invoked was invoked before it.

use super::Decision;
use super::refusals;
use super::register::{Calls, Cluster, Entry, NONE};
use super::zones::{Block, END, START, arrange, moment};
use crate::history::OpIndex;
use crate::model::register::{INITIAL, ValueNumber};
use crate::search::Limits;

mod blame;

/// Judges a register whose values are written at most once each: an order, or why there is none. O(n log n).
pub(crate) fn judge(
    calls: &mut Calls<'_>,
    clusters: Vec<Cluster>,
    limits: &Limits<'_>,
) -> Result<Vec<OpIndex>, Decision> {
    let chains = Chains { calls, clusters: &clusters };
    let mut blocks = chains.blocks(limits)?;
    arrange(&mut blocks).map_err(|(a, b)| chains.conflict(a, b))?;
    if calls.refusals.is_empty() {
        let order = chains.order(&blocks, limits)?;
        Ok(order.entries.into_iter().map(|entry| calls.index(entry)).collect())
    } else {
        refusals::judge(calls, clusters, blocks, limits)
    }
}

/// What is known of a register's values, chain by chain.
pub(super) struct Chains<'a, 'h> {
    pub(super) calls: &'a Calls<'h>,
    pub(super) clusters: &'a [Cluster],
}

/// An order of the entries.
pub(super) struct Order {
    pub(super) entries: Vec<u32>,
    /// For each value how many entries are up to the last that has it.
    pub(super) ends: Vec<u32>,
}

/// What a chain is so far: its earliest return and its latest invocation, with the entries they belong to.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) first_return: (u64, u32),
    pub(super) last_invoke: (u64, u32),
}

impl Chains<'_, '_> {
    pub(super) fn entry(&self, entry: u32) -> Entry {
        self.calls.entries[entry as usize]
    }

    /// Values that no compare-and-set made: each begins a chain.
    fn is_head(&self, value: ValueNumber) -> bool {
        let writer = self.clusters[value as usize].writer;
        value == INITIAL || (writer != NONE && self.entry(writer).seen == NONE)
    }

    fn heads(&self) -> impl Iterator<Item = ValueNumber> {
        (0..u32::try_from(self.clusters.len()).expect("values are counted in u32")).filter(|value| self.is_head(*value))
    }

    /// The values of the chain that begins with this one.
    pub(super) fn values(&self, head: ValueNumber) -> impl Iterator<Item = ValueNumber> {
        std::iter::successors(Some(head), |value| self.next(*value))
    }

    fn next(&self, value: ValueNumber) -> Option<ValueNumber> {
        match self.clusters[value as usize].winner {
            NONE => None,
            winner => Some(self.entry(winner).made),
        }
    }

    /// The chains as blocks, or what in one of them cannot be.
    fn blocks(&self, limits: &Limits<'_>) -> Result<Vec<Block>, Decision> {
        let mut blocks = Vec::with_capacity(self.clusters.len());
        let mut visited = 0;
        for head in self.heads() {
            limits.step("following the chains of values", head as usize, self.clusters.len())?;
            let extent = self.extent(head, &mut visited)?;
            blocks.push(Block { first_return: extent.first_return.0, last_invoke: extent.last_invoke.0, head });
        }
        // The initial value has no writer.
        let made = self.clusters.iter().filter(|cluster| cluster.writer != NONE).count();
        if visited < made + 1 { Err(self.cycle()) } else { Ok(blocks) }
    }

    /// Walks a chain, and counts its values.
    pub(super) fn extent(&self, head: ValueNumber, visited: &mut usize) -> Result<Extent, Decision> {
        let first_return = if head == INITIAL { START } else { END };
        let mut extent = Extent { first_return: (first_return, NONE), last_invoke: (START, NONE) };
        for value in self.values(head) {
            let cluster = &self.clusters[value as usize];
            *visited += 1;
            if cluster.writer != NONE {
                self.extend(&mut extent, cluster.writer, cluster.writer)?;
            }
            if cluster.reads > 0 {
                self.extend(&mut extent, cluster.first_read, cluster.last_read)?;
            }
        }
        Ok(extent)
    }

    /// Adds the next group of a chain: one writer, or the reads of a value, given by which returned first and was invoked last.
    fn extend(&self, extent: &mut Extent, first: u32, last: u32) -> Result<(), Decision> {
        let first_return = (moment(self.entry(first).ret), first);
        if first_return.0 < extent.last_invoke.0 {
            return Err(self.out_of_order(extent.last_invoke.1, first));
        }
        extent.first_return = extent.first_return.min(first_return);
        extent.last_invoke = extent.last_invoke.max((moment(self.entry(last).invoke), last));
        Ok(())
    }

    /// The order of the entries when the blocks are in this one. Writers are put in block by block; then one pass in order of
    /// invocation puts each read at the next place of its value.
    pub(super) fn order(&self, blocks: &[Block], limits: &Limits<'_>) -> Result<Order, Decision> {
        let all = &self.calls.entries;
        let size = |cluster: &Cluster| cluster.reads as usize + usize::from(cluster.writer != NONE);
        let mut entries = vec![NONE; self.clusters.iter().map(size).sum()];
        let mut ends = vec![NONE; self.clusters.len()];
        let mut next = 0;
        for (place, block) in blocks.iter().enumerate() {
            limits.step("writing down the order", place, blocks.len())?;
            for value in self.values(block.head) {
                let cluster = &self.clusters[value as usize];
                if cluster.writer != NONE {
                    entries[next as usize] = cluster.writer;
                    next += 1;
                }
                ends[value as usize] = next;
                next += cluster.reads;
            }
        }
        for (number, entry) in (0u32..).zip(all) {
            limits.step("writing down the order", number as usize, all.len())?;
            if entry.seen != NONE && entry.made == NONE {
                let end = &mut ends[entry.seen as usize];
                entries[*end as usize] = number;
                *end += 1;
            }
        }
        Ok(Order { entries, ends })
    }
}
