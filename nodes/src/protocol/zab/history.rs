//! The history in memory: what is kept of it, behind a base.
//!
//! ```text
//!   1 … base │ base+1 …  commit …  last
//!   gone     │ kept: no gaps, zxids ascend, the counters of an epoch are 1, 2, 3, …
//! ```

use super::types::{Payload, Place, Position, Proposal, Zxid};

/// The history.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    base: Place,
    kept: Vec<Proposal>,
}

/// Beside what a proposal carries, in a message.
const PROPOSAL_BYTES: usize = 16;

impl History {
    /// A history of which nothing is kept behind `base`.
    pub fn behind(base: Place) -> Self {
        Self { base, kept: Vec::new() }
    }

    /// Where the kept part begins.
    pub fn base(&self) -> Place {
        self.base
    }

    /// The kept part.
    pub fn kept(&self) -> &[Proposal] {
        &self.kept
    }

    /// The end.
    pub fn last(&self) -> Place {
        let zxid = self.kept.last().map_or(self.base.zxid, |proposal| proposal.zxid);
        Place { position: Position(self.base.position.0 + self.kept.len() as u64), zxid }
    }

    fn slot(&self, position: Position) -> Option<usize> {
        let distance = position.0.checked_sub(self.base.position.0 + 1)?;
        usize::try_from(distance).ok().filter(|&slot| slot < self.kept.len())
    }

    /// What stands at a position, if it is kept.
    pub fn get(&self, position: Position) -> Option<&Proposal> {
        self.slot(position).map(|slot| &self.kept[slot])
    }

    /// The name of what stands at a position, if it is known.
    pub fn zxid_at(&self, position: Position) -> Option<Zxid> {
        if position == self.base.position { Some(self.base.zxid) } else { self.get(position).map(|p| p.zxid) }
    }

    /// Whether this place is in the history, as far as it is kept.
    pub fn holds(&self, place: Place) -> bool {
        self.zxid_at(place.position) == Some(place.zxid)
    }

    /// The last place that lies before `position` and is not newer than `zxid`; the base if none is kept. What another history
    /// that holds `zxid` at `position` may have in common with this one ends there, or earlier.
    pub fn common_below(&self, position: Position, zxid: Zxid) -> Place {
        let before = self.kept.partition_point(|p| p.zxid <= zxid);
        let limit = position.0.saturating_sub(self.base.position.0 + 1);
        let count = before.min(usize::try_from(limit).unwrap_or(usize::MAX));
        match count.checked_sub(1) {
            Some(last) => Place { position: Position(self.base.position.0 + count as u64), zxid: self.kept[last].zxid },
            None => self.base,
        }
    }

    /// What follows `after`, as much as fits into `max_bytes`, at least one if there is one.
    pub fn batch_after(&self, after: Position, max_bytes: usize) -> Vec<Proposal> {
        let Some(first) = self.slot(after.next()) else { return Vec::new() };
        let mut bytes = 0;
        let fits = |proposal: &&Proposal| {
            let is_first = bytes == 0;
            bytes += PROPOSAL_BYTES + payload_bytes(&proposal.payload);
            is_first || bytes <= max_bytes
        };
        self.kept[first..].iter().take_while(fits).cloned().collect()
    }

    /// Adds the next transaction.
    pub fn push(&mut self, proposal: Proposal) {
        self.kept.push(proposal);
    }

    /// Drops everything behind `position`, which is at or behind the base.
    pub fn truncate_to(&mut self, position: Position) {
        let keep = position.0.checked_sub(self.base.position.0).expect("what the base covers is committed");
        self.kept.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }

    /// Lets go of everything up to `position`, which is kept.
    pub fn forget_to(&mut self, position: Position) {
        let zxid = self.zxid_at(position).expect("a base is moved to a known place");
        let gone = usize::try_from(position.0 - self.base.position.0).expect("a history in memory");
        self.kept.drain(..gone);
        self.base = Place { position, zxid };
    }
}

fn payload_bytes(payload: &Payload) -> usize {
    match payload {
        Payload::Sync => 0,
        Payload::Transaction(transaction) => transaction.weight(),
    }
}
