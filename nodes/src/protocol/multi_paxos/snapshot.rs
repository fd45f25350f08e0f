//! Snapshots: taking them, sending them in pieces, installing them. PMMC, section 4.2; PML, section 5.5.
//!
//! ```text
//!   one that lags                             any other node
//!     │ ── CatchUp{from, have nothing} ─────────> │ that slot is gone
//!     │ <─ SnapshotChunk{offset 0} ────────────── │
//!     │ ── CatchUp{from, have 256 KiB} ─────────> │
//!     │ <─ SnapshotChunk{offset 256 KiB} ──────── │
//!     whole: replaces machine and log, durably
//! ```
//!
//! The one that lags asks, so the other keeps nothing in mind for it.

use std::sync::Arc;

use super::{
    Message, MultiPaxos, Out, Record, Slot, SnapshotChunk, Vote,
    election::Role,
    types::{Snapshot, SnapshotImage},
};
use crate::{
    machine::Machine,
    protocol::{
        Compact, NodeId,
        chunks::{Arriving, Piece, Sending},
    },
};

/// At most so many applied slots stay in memory behind a snapshot.
const KEEP_SLOTS_MAX: u64 = 4096;

impl MultiPaxos {
    /// Takes a snapshot once enough was applied since the last one, and lets go of what it covers.
    pub(super) fn compact_if_due(&mut self, out: &mut Out) {
        let every = self.config.snapshot_every;
        if every > 0 && self.applied.0 - self.snapshot_slot().0 >= every {
            self.take_snapshot(out);
        }
    }

    /// Takes a snapshot of all that is applied.
    pub(super) fn take_snapshot(&mut self, out: &mut Out) {
        let image = SnapshotImage {
            format: SnapshotImage::FORMAT,
            slot: self.applied,
            voters: self.config.voters.clone(),
            machine: self.machine.snapshot(),
        };
        let bytes = postcard::to_stdvec(&image).expect("plain data serialises into memory");
        self.snapshot = Some(Snapshot { slot: image.slot, bytes: Arc::new(bytes) });
        let keep = (self.config.snapshot_every / 4).min(KEEP_SLOTS_MAX);
        self.log.drop_through(Slot(self.applied.0.saturating_sub(keep)));
        self.store_compacted(out);
    }

    /// Replaces everything stored by the snapshot and what still counts beside it. That contains what this step recorded so far.
    fn store_compacted(&mut self, out: &mut Out) {
        self.record_promise(out);
        out.records.clear();
        // What is said of slots that the snapshot covers rests on it: see `accept_values`.
        self.acceptances += 1;
        let snapshot = self.snapshot.as_ref().expect("stored only after one was taken");
        let head = [Record::Born(self.incarnation), Record::Life(self.life)];
        // Behind the acceptances, none of which may seem to come after a promise that forbids it.
        let promise = [Record::Promise(self.promised)];
        let accepted = self.log.above(snapshot.slot).filter_map(|(slot, cell)| {
            let accepted = cell.accepted.as_ref()?;
            Some(Record::Accept(Vote { slot, ballot: accepted.ballot, payload: accepted.payload.clone() }))
        });
        let records = head.into_iter().chain(self.standing.record()).chain(accepted).chain(promise).collect();
        out.compact = Some(Compact { snapshot: snapshot.bytes.to_vec(), records });
    }

    /// The next piece for one whose slots are gone here.
    pub(super) fn send_chunk(&mut self, to: NodeId, have: Option<(Slot, u64)>, out: &mut Out) {
        let snapshot = self.snapshot.clone().expect("slots are gone only behind a snapshot");
        let mut sending = Sending::begin(snapshot.slot, snapshot.bytes, self.now);
        if let Some((slot, offset)) = have {
            sending.received(slot, offset, self.now);
        }
        let Piece { offset, total, data } = sending.piece();
        self.send(to, Message::SnapshotChunk(SnapshotChunk { slot: snapshot.slot, offset, total, data }), out);
    }

    pub(super) fn on_snapshot_chunk(&mut self, from: NodeId, m: SnapshotChunk, out: &mut Out) {
        let is_wanted = self.pull.as_ref().is_some_and(|pull| pull.from == from) && m.slot > self.applied;
        if !is_wanted || matches!(self.role, Role::Leader(_)) {
            return;
        }
        let piece = Piece { offset: m.offset, total: m.total, data: m.data };
        let here = Arriving::keep(&mut self.arriving, from, m.slot, &piece);
        let whole = Arriving::take_complete(&mut self.arriving);
        let is_installed = whole.is_some_and(|(slot, bytes)| self.install(slot, bytes, out));
        let have = self.arriving.is_some().then_some((m.slot, here));
        let Some(pull) = &mut self.pull else { return };
        let is_news = std::mem::replace(&mut pull.have, have) != have;
        if is_installed || is_news {
            self.pull_on(from, out);
            self.try_to_lead(out);
        }
    }

    /// Replaces machine and log by the snapshot that arrived, and says whether it was sound.
    fn install(&mut self, slot: Slot, bytes: Vec<u8>, out: &mut Out) -> bool {
        let Ok(image) = postcard::from_bytes::<SnapshotImage>(&bytes) else { return false };
        let Ok(machine) = Machine::restore(&image.machine) else { return false };
        if image.slot != slot || image.format != SnapshotImage::FORMAT || image.voters != self.config.voters {
            return false;
        }
        self.log.drop_through(slot);
        self.machine = machine;
        self.applied = slot;
        self.snapshot = Some(Snapshot { slot, bytes: Arc::new(bytes) });
        self.store_compacted(out);
        self.apply_chosen(out);
        true
    }
}
