//! Snapshots: taking them, sending them in pieces, installing them. Paper, section 7, Figure 13.
//!
//! ```text
//!   leader                                       follower
//!     │ ── SnapshotChunk{offset 0} ──────────────> │ keeps
//!     │ <─ Chunk{offset 256 KiB} ───────────────── │
//!     │ ── SnapshotChunk{offset 256 KiB} ────────> │ whole: replaces machine and log, durably, then
//!     │ <─ Match(index) ────────────────────────── │
//! ```
//!
//! How the pieces travel is [`crate::protocol::chunks`]'s business. Deviation from Figure 13: the follower says how
//! much it has, instead of a last piece being marked.

use std::sync::Arc;

use super::{
    AppendOutcome, LogIndex, Message, Out, Raft, Record, SnapshotChunk, Term,
    election::Role,
    log::Log,
    membership::Memberships,
    replication::Flow,
    rules::{Arrival, Install},
    types::{Snapshot, SnapshotImage},
};
use crate::{
    machine::Machine,
    protocol::{
        Compact, NodeId,
        chunks::{Arriving, Piece, RESEND_IN_HEARTBEATS, Sending},
    },
};

/// At most so many applied entries stay in the log behind a snapshot.
const KEEP_ENTRIES_MAX: u64 = 4096;

/// The piece that is due, as a message.
fn chunk(sending: &Sending<(LogIndex, Term)>, term: Term, round: u64) -> Message {
    let (index, index_term) = sending.id();
    let Piece { offset, total, data } = sending.piece();
    Message::SnapshotChunk(SnapshotChunk { term, round, index, index_term, offset, total, data })
}

impl Raft {
    /// Takes a snapshot once enough was applied since the last one, and lets go of the log before it.
    pub(super) fn compact_if_due(&mut self, out: &mut Out) {
        let every = self.config.snapshot_every;
        let covered = self.snapshot.as_ref().map_or(LogIndex(0), |s| s.index);
        // With a mutant, what was covered or applied may have been taken back since.
        if every == 0 || self.applied.0.saturating_sub(covered.0) < every || self.applied > self.log.last_index() {
            return;
        }
        let known = covered.max(self.log.base().0);
        let index = self.rules.covered_index(self.applied, known, self.log.last_index());
        let term = self.log.term_at(index).expect("what was applied last is in the log or its base");
        let image = SnapshotImage {
            format: SnapshotImage::FORMAT,
            index,
            term,
            membership: self.memberships.at(index).clone(),
            machine: self.rules.machine_image(&self.machine),
        };
        let bytes = postcard::to_stdvec(&image).expect("plain data serialises into memory");
        self.snapshot = Some(Snapshot { index: image.index, term, bytes: Arc::new(bytes) });
        let keep = (every / 4).min(KEEP_ENTRIES_MAX);
        let base = LogIndex(self.applied.min(index).0.saturating_sub(keep)).max(self.log.base().0);
        let base_term = self.log.term_at(base).expect("between the log's old base and its end");
        self.log.compact_to(base, base_term);
        self.memberships.compact_to(index);
        self.store_compacted(out);
    }

    /// Replaces everything stored by the snapshot and what still counts beside it. That contains what this step recorded so far.
    fn store_compacted(&mut self, out: &mut Out) {
        self.record_hard_state(out);
        out.records.clear();
        self.vote_recorded = self.hard.voted_for;
        let (base, base_term) = self.log.base();
        let head = [Record::Base(base, base_term), Record::HardState(self.hard), Record::Life(self.life)];
        let entries = self.log.entries().iter().cloned().map(Record::Entry);
        let snapshot = self.snapshot.as_ref().expect("stored only after one was taken").bytes.to_vec();
        out.compact = Some(Compact { snapshot, records: head.into_iter().chain(entries).collect() });
    }

    /// The follower's next entry is gone: send it the snapshot.
    pub(super) fn begin_snapshot(&mut self, to: NodeId) -> Option<Message> {
        let Role::Leader(leadership) = &mut self.role else { return None };
        let snapshot = self.snapshot.clone().expect("entries are gone only behind a snapshot");
        let sending = Sending::begin((snapshot.index, snapshot.term), snapshot.bytes, self.now);
        let message = chunk(&sending, self.hard.term, leadership.reads.round());
        leadership.followers.get_mut(&to)?.flow = Flow::Snapshot(sending);
        Some(message)
    }

    /// The follower has this much of the snapshot.
    pub(super) fn on_chunk_received(&mut self, from: NodeId, index: LogIndex, offset: u64, out: &mut Out) {
        let Role::Leader(leadership) = &mut self.role else { return };
        let round = leadership.reads.round();
        let Some(Flow::Snapshot(sending)) = leadership.followers.get_mut(&from).map(|p| &mut p.flow) else { return };
        if sending.id().0 == index && sending.received(sending.id(), offset, self.now) {
            let message = chunk(sending, self.hard.term, round);
            self.send(from, message, out);
        }
    }

    /// Sends pieces again that were not answered for a while.
    pub(super) fn resend_chunks(&mut self, out: &mut Out) {
        let patience = self.config.heartbeat_ns.saturating_mul(RESEND_IN_HEARTBEATS);
        let Role::Leader(leadership) = &mut self.role else { return };
        let round = leadership.reads.round();
        let mut again = Vec::new();
        for (&to, progress) in &mut leadership.followers {
            if let Flow::Snapshot(sending) = &mut progress.flow
                && sending.resend_due(patience, self.now)
            {
                again.push((to, chunk(sending, self.hard.term, round)));
            }
        }
        for (to, message) in again {
            self.send(to, message, out);
        }
    }

    pub(super) fn on_snapshot_chunk(&mut self, from: NodeId, m: SnapshotChunk, out: &mut Out) {
        self.adopt_term(m.term, out);
        if m.term < self.hard.term {
            self.answer_append(from, 0, AppendOutcome::StaleTerm, out);
            return;
        }
        self.hear_leader(from, out);
        let arrival =
            Arrival { covers: (m.index, m.index_term), commit: self.commit, term_here: self.log.term_at(m.index) };
        let install = self.rules.install(&arrival);
        if install == Install::Ignore {
            // Older than what is here. What is committed here is the leader's, but only what is durable is acknowledged.
            self.arriving = None;
            let outcome = AppendOutcome::Match(m.index.min(self.durability.index()));
            self.answer_append(from, m.round, outcome, out);
            return;
        }
        let piece = Piece { offset: m.offset, total: m.total, data: m.data };
        let here = Arriving::keep(&mut self.arriving, from, (m.index, m.index_term), &piece);
        let whole = Arriving::take_complete(&mut self.arriving);
        if whole.is_some_and(|(id, bytes)| self.install(id, bytes, install, out)) {
            out.sync_wanted = true;
            let held = self.rules.held_after_install(&arrival, self.log.last_index());
            let reply =
                super::AppendReply { term: self.hard.term, round: m.round, outcome: AppendOutcome::Match(held) };
            out.send_when_durable.push((from, Message::AppendReply(reply)));
        } else {
            let offset = if self.arriving.is_some() { here } else { 0 };
            self.answer_append(from, m.round, AppendOutcome::Chunk { index: m.index, offset }, out);
        }
    }

    /// Replaces machine and log by the snapshot that arrived, and says whether it was sound. Paper, Figure 13, rules 6 to 8.
    fn install(&mut self, id: (LogIndex, Term), bytes: Vec<u8>, how: Install, out: &mut Out) -> bool {
        let Ok(image) = postcard::from_bytes::<SnapshotImage>(&bytes) else { return false };
        let Ok(machine) = Machine::restore(&image.machine) else { return false };
        let is_as_said = (image.index, image.term) == id;
        if !is_as_said || image.format != SnapshotImage::FORMAT || !image.membership.is_sound(&self.config.nodes) {
            return false;
        }
        match how {
            Install::Ignore => return false,
            Install::KeepSuffix => self.log.compact_to(image.index, image.term),
            Install::ReplaceLog => {
                self.durability.cut(self.commit.min(image.index));
                self.log = Log::new((image.index, image.term));
            }
        }
        let known = self.memberships.latest().1.clone();
        let membership = self.rules.membership_of_snapshot(image.membership, known);
        self.memberships = Memberships::new(image.index, membership, self.log.entries());
        self.machine = machine.in_place_of(&self.machine);
        self.commit = image.index;
        self.applied = image.index;
        self.snapshot = Some(Snapshot { index: image.index, term: image.term, bytes: Arc::new(bytes) });
        self.refresh_membership();
        self.store_compacted(out);
        self.answer_applied_reads(out);
        true
    }

    /// Only for mutants: forgets what was committed above `index`.
    pub(super) fn roll_back_to(&mut self, index: LogIndex, out: &mut Out) {
        let start = self.snapshot.as_ref().map_or(LogIndex(0), |s| s.index);
        if index < start || !self.rules.takes_back_applied() {
            // A snapshot cannot be taken back, nor does every mutant: the machine keeps what it holds, and goes wrong from here on.
            (self.applied, self.commit) = (index, index);
            self.machine.forget_sessions_after(index.0);
            return;
        }
        let machine = self.snapshot.as_ref().map_or_else(Machine::new, |s| {
            let image: SnapshotImage = postcard::from_bytes(&s.bytes).expect("an own snapshot");
            Machine::restore(&image.machine).expect("an own snapshot")
        });
        self.machine = machine.in_place_of(&self.machine);
        self.applied = start;
        self.commit = index;
        self.commit_to(index, out);
    }
}
