//! Snapshots: taking them, SNAP, and what a mutant needs to go back to one.
//!
//! ```text
//!   leader                                          follower
//!     │ ── SnapshotChunk{offset 0} ─────────────────> │ keeps
//!     │ <─ HaveChunk{offset 256 KiB} ──────────────── │
//!     │ ── SnapshotChunk{offset 256 KiB} ───────────> │ whole: replaces machine and history, on disk before NEWLEADER is acknowledged
//!     │ <─ Have{place} ────────────────────────────── │
//! ```

use std::sync::Arc;

use super::{
    Message, Out, Phase, Place, Position, Record, SnapshotChunk, Zab,
    history::History,
    leading::Flow,
    types::{Epoch, Image, Payload, Snapshot},
};
use crate::{
    machine::Machine,
    protocol::{
        Compact, NodeId,
        chunks::{Arriving, Piece, RESEND_IN_HEARTBEATS, Sending},
    },
};

/// At most so many applied transactions stay in the history behind a snapshot.
const KEEP_PROPOSALS_MAX: u64 = 4096;

/// The piece that is due, as a message.
fn chunk(sending: &Sending<Place>, epoch: Epoch) -> Message {
    let Piece { offset, total, data } = sending.piece();
    Message::SnapshotChunk(SnapshotChunk { epoch, place: sending.id(), offset, total, data })
}

impl Zab {
    /// Takes a snapshot once enough was applied since the last one, and lets go of the history before it.
    pub(super) fn compact_if_due(&mut self, out: &mut Out) {
        let every = self.config.snapshot_every;
        let since = self.applied.0.saturating_sub(self.snapshot.as_ref().map_or(0, |s| s.place.position.0));
        if every == 0 || since < every {
            return;
        }
        let zxid = self.history.zxid_at(self.applied).expect("what was applied last is kept, or the base");
        let place = Place { position: self.applied, zxid };
        let voters = self.config.voters.clone();
        let image = Image { format: Image::FORMAT, place, voters, machine: self.machine.snapshot() };
        let bytes = postcard::to_stdvec(&image).expect("plain data serialises into memory");
        self.snapshot = Some(Snapshot { place, bytes: Arc::new(bytes) });
        let keep = (every / 4).min(KEEP_PROPOSALS_MAX);
        let base = Position(self.applied.0.saturating_sub(keep)).max(self.history.base().position);
        self.history.forget_to(base);
        self.store_compacted(out);
    }

    /// Replaces everything stored by the snapshot and what still counts beside it. That contains what this step recorded so far.
    fn store_compacted(&mut self, out: &mut Out) {
        self.record_epochs(out);
        out.records.clear();
        let kept = self.history.kept().iter().cloned().map(Record::Proposal);
        let head = [Record::Base(self.history.base()), Record::Epochs(self.recorded), Record::Life(self.life)];
        let snapshot = self.snapshot.as_ref().expect("stored only after one was taken").bytes.to_vec();
        out.compact = Some(Compact { snapshot, records: head.into_iter().chain(kept).collect() });
    }

    /// The follower's next transaction is gone: SNAP.
    pub(super) fn begin_snapshot(&mut self, to: NodeId, out: &mut Out) {
        let snapshot = self.snapshot.clone().expect("a history is let go of only behind a snapshot");
        let sending = Sending::begin(snapshot.place, snapshot.bytes, self.now);
        let message = chunk(&sending, self.epochs.accepted);
        if let Some(leading) = self.leading() {
            leading.learner(to).flow = Flow::Snapshot(sending);
        }
        self.send(to, message, out);
    }

    /// The follower has this much of the snapshot.
    pub(super) fn on_have_chunk(&mut self, from: NodeId, place: Place, offset: u64, out: &mut Out) {
        let (now, epoch) = (self.now, self.epochs.accepted);
        let Some(leading) = self.leading() else { return };
        let Flow::Snapshot(sending) = &mut leading.learner(from).flow else { return };
        if sending.received(place, offset, now) {
            let message = chunk(sending, epoch);
            self.send(from, message, out);
        }
    }

    /// Sends pieces again that were not answered for a while.
    pub(super) fn resend_chunks(&mut self, out: &mut Out) {
        let patience = self.config.heartbeat_ns.saturating_mul(RESEND_IN_HEARTBEATS);
        let (now, epoch) = (self.now, self.epochs.accepted);
        let Phase::Leading(leading) = &mut self.phase else { return };
        let mut again = Vec::new();
        for (&id, learner) in &mut leading.learners {
            if let Flow::Snapshot(sending) = &mut learner.flow
                && sending.resend_due(patience, now)
            {
                again.push((id, chunk(sending, epoch)));
            }
        }
        for (id, message) in again {
            self.send(id, message, out);
        }
    }

    /// SNAP.
    pub(super) fn on_snapshot_chunk(&mut self, from: NodeId, m: SnapshotChunk, out: &mut Out) {
        let (epoch, place) = (m.epoch, m.place);
        if place.position <= self.commit {
            // Older than what is here, and what is committed here is the leader's.
            self.arriving = None;
            let last = if self.history.holds(place) { place } else { self.history.base().max(place) };
            return self.send(from, Message::Have { epoch, asked: place.position, place: last }, out);
        }
        let piece = Piece { offset: m.offset, total: m.total, data: m.data };
        let here = Arriving::keep(&mut self.arriving, from, place, &piece);
        let whole = Arriving::take_complete(&mut self.arriving);
        let message = if whole.is_some_and(|(place, bytes)| self.install(place, bytes, out)) {
            Message::Have { epoch, asked: place.position, place }
        } else {
            let offset = if self.arriving.is_some() { here } else { 0 };
            Message::HaveChunk { epoch, place, offset }
        };
        self.send(from, message, out);
    }

    /// Replaces machine and history by the snapshot that arrived, and says whether it was sound.
    fn install(&mut self, place: Place, bytes: Vec<u8>, out: &mut Out) -> bool {
        let Ok(image) = postcard::from_bytes::<Image>(&bytes) else { return false };
        let Ok(machine) = Machine::restore(&image.machine) else { return false };
        if image.place != place || image.format != Image::FORMAT || image.voters != self.config.voters {
            return false;
        }
        if self.history.holds(place) {
            // What follows it may be the leader's, too.
            self.history.forget_to(place.position);
        } else {
            self.durability.cut(self.commit);
            self.history = History::behind(place);
        }
        self.machine = machine;
        self.commit = place.position;
        self.applied = place.position;
        self.snapshot = Some(Snapshot { place, bytes: Arc::new(bytes) });
        if self.rules.stores_snapshot() {
            self.store_compacted(out);
        }
        self.answer_applied_reads(out);
        true
    }

    /// Only for mutants: what stands behind `position` was committed, and is to be something else. What was delivered cannot be taken
    /// back (DSN 2011, section III), so the machine keeps its effects; a correct server never comes here.
    pub(super) fn commit_anew_from(&mut self, position: Position) {
        self.commit = position;
        self.applied = self.applied.min(position);
    }

    /// Only for mutants: applies what is in the history, committed or not.
    pub(super) fn apply_to(&mut self, position: Position) {
        while self.applied < position {
            self.applied = self.applied.next();
            let proposal = self.history.get(self.applied).expect("behind the snapshot all is kept");
            if let Payload::Transaction(transaction) = &proposal.payload {
                let _fits = self.machine.apply_transaction(transaction);
            }
        }
        self.commit = self.commit.max(self.applied);
    }
}
