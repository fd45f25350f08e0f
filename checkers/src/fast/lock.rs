//! Locks: each owner's holds are blocks that must not overlap.
//!
//! ```text
//!   owner 1   acquire ├───┤            ├────┤ release          it surely held the lock from the one's return
//!                         └───surely───┘                       to the other's invocation
//!   owner 2                  acquire ├──────────┤   ├──┤ release
//! ```
//!
//! Where no two operations of one owner overlap, their order is given, and so is which release belongs to which acquisition: they take
//! turns, or else nobody but the owner could have done what lies between. Nothing of another owner fits between an acquisition
//! and its release, so each hold is a block for the pair test of [`super::zones`].
//!
//! A hold without a release is the last: its block ends after everything. An acquisition of unknown outcome that its owner
//! never released is dropped, since in any order that has it, it is the last operation. A release of unknown outcome may as well have
//! happened: an order in which it did not ends with its hold, and it can come after that. Where an owner overlaps itself the
//! searches decide. O(n log n).

use rustc_hash::FxHashMap;

use super::Decision;
use super::zones::{Block, END, START, arrange, moment};
use crate::history::{Action, Completion, OpIndex, Value};
use crate::key::KeyHistory;
use crate::search::Limits;
use crate::verdict::Anomaly;

/// Bytes for each operation at most: operations by owner, holds, blocks, and the order.
const BYTES_PER_OPERATION: usize = 128;

/// One owner's time with the lock.
#[derive(Clone, Copy, Debug)]
struct Hold {
    /// None for the one that had the lock from the start.
    acquire: Option<OpIndex>,
    /// None for the last.
    release: Option<OpIndex>,
}

/// One lock's operations.
pub(crate) struct Locks<'h> {
    key: KeyHistory<'h>,
    initial: &'h Value,
    /// Those that happened or may have, with their owners, in order of invocation.
    operations: Vec<(OpIndex, &'h Value)>,
}

impl<'h> Locks<'h> {
    /// The operations of this key.
    pub(crate) fn of(key: KeyHistory<'h>, initial: &'h Value) -> Self {
        let owned = key.operations().filter_map(|(index, operation)| match (operation.action, operation.completion) {
            (Action::Acquire(owner) | Action::Release(owner), Completion::Ok(_) | Completion::Info) => {
                Some((index, key.value(owner)))
            }
            _ => None,
        });
        Self { key, initial, operations: owned.collect() }
    }

    /// The fast test, where no owner overlaps itself.
    pub(crate) fn judge(&self, limits: &Limits<'_>) -> Decision {
        if let Err(ended) = limits.reserve(self.operations.len() * BYTES_PER_OPERATION) {
            return ended;
        }
        self.order_of_all(limits).map_or_else(|early| early, Decision::Valid)
    }

    fn order_of_all(&self, limits: &Limits<'_>) -> Result<Vec<OpIndex>, Decision> {
        let holds = self.holds(limits)?;
        let mut blocks: Vec<Block> = (0u32..).zip(&holds).map(|(head, hold)| self.block(hold, head)).collect();
        limits.look("ordering holds", 0, blocks.len())?;
        arrange(&mut blocks).map_err(|(a, b)| {
            let both = [holds[a.head as usize], holds[b.head as usize]];
            let operations = both.iter().flat_map(|hold| hold.acquire.into_iter().chain(hold.release)).collect();
            Decision::invalid(Anomaly::BrokenLock, operations)
        })?;
        let operations = blocks.iter().map(|block| holds[block.head as usize]);
        Ok(operations.flat_map(|hold| hold.acquire.into_iter().chain(hold.release)).collect())
    }

    /// The holds of every owner; or what an owner cannot have done, whatever the others did.
    fn holds(&self, limits: &Limits<'_>) -> Result<Vec<Hold>, Decision> {
        let mut holds = Vec::with_capacity(self.operations.len() / 2 + 1);
        // What an owner did last, and the hold that it still has.
        let mut owners: FxHashMap<&Value, (Option<OpIndex>, Option<usize>)> = FxHashMap::default();
        // Not told before it is known that no owner overlaps itself.
        let mut wrong = None;
        if !self.initial.is_nil() {
            holds.push(Hold { acquire: None, release: None });
            owners.insert(self.initial, (None, Some(0)));
        }
        for (done, &(index, owner)) in self.operations.iter().enumerate() {
            limits.step("pairing acquisitions and releases", done + 1, self.operations.len())?;
            let (before, held) = owners.entry(owner).or_default();
            let operation = self.key.compact(index);
            if before.is_some_and(|before| self.key.compact(before).ret >= operation.invoke) {
                return Err(Decision::NotMine);
            }
            let previous = before.replace(index);
            match (operation.action, held.take()) {
                (Action::Acquire(_), None) => {
                    *held = Some(holds.len());
                    holds.push(Hold { acquire: Some(index), release: None });
                }
                (Action::Release(_), Some(hold)) => holds[hold].release = Some(index),
                // Twice the same in turn. What is of unknown outcome need not have happened; nothing of this owner follows it.
                _ if operation.is_unknown() => {}
                _ => wrong = wrong.or(Some((previous, index))),
            }
        }
        if let Some((previous, index)) = wrong {
            return Err(Decision::invalid(Anomaly::BrokenLock, previous.into_iter().chain([index]).collect()));
        }
        let is_unknown = |index: OpIndex| self.key.compact(index).is_unknown();
        holds.retain(|hold| hold.release.is_some() || !hold.acquire.is_some_and(is_unknown));
        Ok(holds)
    }

    fn block(&self, hold: &Hold, head: u32) -> Block {
        let ret = |index| moment(self.key.compact(index).ret);
        let invoke = |index| moment(self.key.compact(index).invoke);
        let acquired = hold.acquire.map_or(START, ret);
        let released = hold.release.map_or(END, ret);
        Block {
            first_return: acquired.min(released),
            last_invoke: hold.acquire.map_or(START, invoke).max(hold.release.map_or(END, invoke)),
            head,
        }
    }
}
