//! Compare-and-sets that were answered "not equal" and no more: each needs a moment at which the register held something else.
//!
//! ```text
//!   order without refusals   w1 r1 │ w2 r2 r2 │ w3 │ w4 r4        refusals go into the gaps
//!   refused cas from 2             ├───X──X──X─────┤              its gaps by real time; X: the register holds 2; the first other one
//!   none free                  move w3 to where it helps, or the cluster itself; take a write of unknown outcome; again
//! ```
//!
//! A refusal changes nothing, so a history that is impossible without its refusals is impossible. When it is possible, the order that
//! proves it is tried: each refusal, in order of invocation, goes into the first gap that real time leaves it (also against the
//! refusals before) and where the register holds another value. For one order of the other operations this finds places for all if
//! there are any, because each gets the earliest. For refusals that find none, blocks are moved, each at most once, within
//! what [`super::zones`] allows any order: that is a heuristic, in a bounded number of rounds. What it finds is an order all the same.
//!
//! When it finds none, a refusal is looked for that no order can have, since something that observed the value had returned before
//! it was invoked, and
//! - something that observed the value was invoked after it returned: with unique values the register held it all the time; or
//! - nothing that could have replaced the value by then returned late enough to come after all that observed it.
//!
//! In all other cases the searches decide.

use rustc_hash::FxHashMap;

use super::Decision;
use super::chains::{Chains, Order};
use super::register::{Calls, Cluster, NONE};
use super::zones::{Block, END, Point, Rank, START, arrange_at, moment};
use crate::history::OpIndex;
use crate::model::register::{INITIAL, ValueNumber};
use crate::search::{Limits, NEVER};
use crate::verdict::Anomaly;

/// How often blocks are moved before the searches are asked.
const ROUNDS_MAX: usize = 12;

/// How many refusals without a place are dealt with in one round.
const REPAIRS_MAX: usize = 10_000;

/// Longer chains are not moved.
const CHAIN_MAX: usize = 256;

/// How many blocks are looked at for one refusal in one round.
const CANDIDATES_MAX: usize = 256;

/// Of how many refusals without a place it is tried to prove that there is none.
const PROOFS_MAX: usize = 64;

/// Bytes for each entry and refusal beyond what the test needs without refusals.
const BYTES_PER_ENTRY: usize = 2 * 8;

/// Puts the refusals into an order of the rest, which the arranged blocks prove to exist.
pub(super) fn judge(
    calls: &mut Calls<'_>,
    clusters: Vec<Cluster>,
    blocks: Vec<Block>,
    limits: &Limits<'_>,
) -> Result<Vec<OpIndex>, Decision> {
    limits.reserve(calls.entries.len() * (super::register::BYTES_PER_OPERATION + BYTES_PER_ENTRY))?;
    let forward = blocks.iter().filter(|block| block.is_forward());
    let forward = forward.map(|block| (block.first_return, block.last_invoke)).collect();
    let (moved, moving, taken) = Default::default();
    let mut attempt = Attempt { calls, clusters, blocks, forward, moved, moving, taken };
    let mut homeless = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let order = attempt.chains().order(&attempt.blocks, limits)?;
        let gaps = Gaps::of(attempt.calls, order);
        let placed = gaps.place(attempt.calls, limits)?;
        homeless = (0..placed.len()).filter(|&refusal| placed[refusal] == NONE).collect();
        if homeless.is_empty() {
            return Ok(gaps.order_with(attempt.calls, &placed));
        }
        let mut any_moved = false;
        for &refusal in homeless.iter().take(REPAIRS_MAX) {
            any_moved |= attempt.make_room(refusal);
        }
        if !any_moved || attempt.arrange().is_err() {
            break;
        }
    }
    let impossible = homeless.into_iter().take(PROOFS_MAX).find_map(|refusal| attempt.impossible(refusal));
    Err(impossible.unwrap_or(Decision::NotMine))
}

/// An order without refusals, and the times that bound its gaps. Gap g is after the first g entries.
struct Gaps {
    order: Order,
    /// The latest invocation of the first g entries: what is in gap g must not have returned before.
    latest_invoke: Vec<u64>,
    /// The earliest return of the entries after the first g: what is in gap g must not be invoked later.
    earliest_return: Vec<u64>,
}

impl Gaps {
    fn of(calls: &Calls<'_>, order: Order) -> Self {
        let count = order.entries.len();
        let mut latest_invoke = vec![0; count + 1];
        let mut earliest_return = vec![NEVER; count + 1];
        for (gap, &entry) in order.entries.iter().enumerate() {
            latest_invoke[gap + 1] = latest_invoke[gap].max(calls.entries[entry as usize].invoke);
        }
        for (gap, &entry) in order.entries.iter().enumerate().rev() {
            earliest_return[gap] = earliest_return[gap + 1].min(calls.entries[entry as usize].ret);
        }
        Self { order, latest_invoke, earliest_return }
    }

    fn value(&self, calls: &Calls<'_>, gap: usize) -> ValueNumber {
        gap.checked_sub(1).map_or(INITIAL, |last| calls.entries[self.order.entries[last] as usize].value_after())
    }

    /// For each refusal its gap, or [`NONE`].
    fn place(&self, calls: &Calls<'_>, limits: &Limits<'_>) -> Result<Vec<u32>, Decision> {
        let refusals = &calls.refusals;
        let entry = |refusal: u32| calls.entries[refusals[refusal as usize].0 as usize];
        let mut by_return: Vec<u32> = (0u32..).take(refusals.len()).collect();
        by_return.sort_unstable_by_key(|&refusal| entry(refusal).ret);
        let mut returned = by_return.into_iter().peekable();
        // No refusal that returned before this one was invoked is in a later gap.
        let mut lowest = 0;
        let mut placed = vec![NONE; refusals.len()];
        for (number, &(refused, value)) in refusals.iter().enumerate() {
            limits.step("placing refused compare-and-sets", number, refusals.len())?;
            let refused = calls.entries[refused as usize];
            while let Some(before) = returned.next_if(|&before| entry(before).ret < refused.invoke) {
                if placed[before as usize] != NONE {
                    lowest = lowest.max(placed[before as usize]);
                }
            }
            let by_time = self.earliest_return.partition_point(|&earliest| earliest < refused.invoke);
            let mut gap = u32::try_from(by_time).expect("operations are counted in u32").max(lowest);
            if self.value(calls, gap as usize) == value {
                gap = self.order.ends[value as usize] + 1;
            }
            let is_free = self.latest_invoke.get(gap as usize).is_some_and(|&latest| latest <= refused.ret);
            if is_free {
                placed[number] = gap;
            }
        }
        Ok(placed)
    }

    fn order_with(self, calls: &Calls<'_>, placed: &[u32]) -> Vec<OpIndex> {
        let mut refusals: Vec<(u32, u32)> =
            placed.iter().copied().zip(calls.refusals.iter().map(|(entry, _)| *entry)).collect();
        // In one gap in order of invocation.
        refusals.sort_unstable();
        let mut refusals = refusals.into_iter().peekable();
        let mut order = Vec::with_capacity(self.order.entries.len() + placed.len());
        for (gap, entry) in (0u32..).zip(self.order.entries.into_iter().map(Some).chain([None])) {
            while let Some((_, refused)) = refusals.next_if(|(at, _)| *at == gap) {
                order.push(calls.index(refused));
            }
            order.extend(entry.map(|entry| calls.index(entry)));
        }
        order
    }
}

/// Blocks with some of them moved.
struct Attempt<'a, 'h> {
    calls: &'a mut Calls<'h>,
    clusters: Vec<Cluster>,
    /// As last arranged.
    blocks: Vec<Block>,
    /// The forward zones, in order.
    forward: Vec<(u64, u64)>,
    /// Where blocks were moved to, by their heads.
    moved: FxHashMap<ValueNumber, u64>,
    /// The same for the next round.
    moving: FxHashMap<ValueNumber, u64>,
    /// Writes of unknown outcome taken in for the next round.
    taken: Vec<Block>,
}

impl Attempt<'_, '_> {
    fn chains(&self) -> Chains<'_, '_> {
        Chains { calls: self.calls, clusters: &self.clusters }
    }

    fn arrange(&mut self) -> Result<(), (Block, Block)> {
        self.moved.extend(self.moving.drain());
        self.blocks.append(&mut self.taken);
        let moved = &self.moved;
        arrange_at(&mut self.blocks, |block| point(moved, block))
    }

    /// The first moment from `from` on, up to `to`, that is not strictly inside a forward zone.
    fn free_moment(&self, from: u64, to: u64) -> Option<u64> {
        let began = self.forward.partition_point(|zone| zone.0 < from);
        let from = began.checked_sub(1).map_or(from, |last| from.max(self.forward[last].1));
        (from <= to).then_some(from)
    }

    /// Moves a block so that this refusal may find a place. False when there is none to be moved.
    fn make_room(&mut self, refusal: usize) -> bool {
        let (refused, value) = self.calls.refusals[refusal];
        let refused = self.calls.entries[refused as usize];
        let (invoke, ret) = (moment(refused.invoke), moment(refused.ret));
        let Some(block) = self.block_of(value) else { return false };
        let head = block.head;
        // To after the refusal: before it the register held something else.
        if self.may_move(&block)
            && block.point().0 < invoke
            && let Some(moment) = self.free_moment(invoke, block.first_return)
        {
            self.moving.insert(head, moment);
            return true;
        }
        if self.clusters[value as usize].winner != NONE {
            return false;
        }
        // To after the block and before the refusal: something else, or a write of unknown outcome that nobody observed.
        let from = if block.is_forward() { block.last_invoke } else { point(&self.moved, &block).0 };
        self.bring_another(head, from, ret) || self.bring_dropped(from, refused.ret)
    }

    /// The block that this value is in; `None` for a long one.
    fn block_of(&self, value: ValueNumber) -> Option<Block> {
        let head = std::iter::successors(Some(value), |value| self.made_from(*value)).take(CHAIN_MAX).last()?;
        let chains = self.chains();
        if self.made_from(head).is_some() || chains.values(head).nth(CHAIN_MAX).is_some() {
            return None;
        }
        let extent = chains.extent(head, &mut 0).ok()?;
        Some(Block { first_return: extent.first_return.0, last_invoke: extent.last_invoke.0, head })
    }

    fn may_move(&self, block: &Block) -> bool {
        let is_still = !self.moved.contains_key(&block.head) && !self.moving.contains_key(&block.head);
        !block.is_forward() && block.head != INITIAL && is_still
    }

    /// The value that this one was made from by compare-and-set.
    fn made_from(&self, value: ValueNumber) -> Option<ValueNumber> {
        let writer = self.clusters[value as usize].writer;
        (writer != NONE).then(|| self.calls.entries[writer as usize].seen).filter(|seen| *seen != NONE)
    }

    /// Moves a backward zone to a moment between these.
    fn bring_another(&mut self, except: ValueNumber, from: u64, to: u64) -> bool {
        let began = self.blocks.partition_point(|block| point(&self.moved, block).0 <= to);
        let found = self.blocks[..began].iter().rev().take(CANDIDATES_MAX).find_map(|block| {
            let latest = to.min(block.first_return);
            let is_candidate = self.may_move(block) && block.head != except;
            let moment = is_candidate.then(|| self.free_moment(from.max(block.last_invoke), latest)).flatten()?;
            Some((block.head, moment))
        });
        found.map(|(head, moment)| self.moving.insert(head, moment)).is_some()
    }

    /// Takes in a write of unknown outcome.
    fn bring_dropped(&mut self, from: u64, ret: u64) -> bool {
        let calls = &*self.calls;
        let invoked = calls.dropped.partition_point(|(_, entry)| entry.invoke <= ret);
        let found = calls.dropped[..invoked].iter().rev().take(CANDIDATES_MAX).find_map(|&(number, entry)| {
            let is_new =
                entry.seen == NONE && entry.made != INITIAL && self.clusters[entry.made as usize].writer == NONE;
            let moment = is_new.then(|| self.free_moment(from.max(moment(entry.invoke)), moment(ret))).flatten()?;
            Some((number, entry, moment))
        });
        let Some((number, entry, at)) = found else { return false };
        self.calls.entries[number as usize] = entry;
        self.clusters[entry.made as usize].writer = number;
        self.taken.push(Block { first_return: END, last_invoke: moment(entry.invoke), head: entry.made });
        self.moving.insert(entry.made, at);
        true
    }

    /// The proof that no order has this refusal, if one of the two reasons above holds.
    fn impossible(&self, refusal: usize) -> Option<Decision> {
        let (number, value) = self.calls.refusals[refusal];
        let refused = self.calls.entries[number as usize];
        let cluster = self.clusters[value as usize];
        let entry = |number: u32| self.calls.entries[number as usize];
        let here = || [cluster.writer, cluster.first_read].into_iter().filter(|&number| number != NONE);
        let first = here().min_by_key(|&number| entry(number).ret);
        let was_there = value == INITIAL || first.is_some_and(|first| entry(first).ret < refused.invoke);
        if !was_there {
            return None;
        }
        let index = |number: u32| self.calls.index(number);
        let mut operations: Vec<OpIndex> = here().chain([number]).map(index).collect();
        let still_there = [cluster.last_read, cluster.winner].into_iter().filter(|&number| number != NONE);
        if let Some(last) =
            still_there.max_by_key(|&last| entry(last).invoke).filter(|&last| entry(last).invoke > refused.ret)
        {
            operations.push(index(last));
            return Some(Decision::invalid(Anomaly::NotLinearizable, operations));
        }
        let last_invoke = [cluster.writer, cluster.last_read].into_iter().filter(|&number| number != NONE);
        let last_invoke = last_invoke.map(|number| entry(number).invoke).max().unwrap_or(START);
        let may_replace = |made: ValueNumber, invoke: u64, ret: u64| {
            made != NONE && made != value && invoke <= refused.ret && ret >= last_invoke
        };
        let all = self.calls.entries.iter().chain(self.calls.dropped.iter().map(|(_, entry)| entry));
        let replaced = all.into_iter().any(|entry| may_replace(entry.made, entry.invoke, entry.ret));
        (!replaced).then(|| Decision::invalid(Anomaly::NotLinearizable, operations))
    }
}

fn point(moved: &FxHashMap<ValueNumber, u64>, block: &Block) -> Point {
    match moved.get(&block.head) {
        Some(&moment) => (moment, Rank::Moved),
        None => block.point(),
    }
}
