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
//! One piece at a time is on its way, and is sent again when no answer comes. Deviation from Figure 13: the follower says how
//! much it has, instead of a last piece being marked.

use std::sync::Arc;

use super::{
    AppendOutcome, LogIndex, Message, Out, Raft, Record, SnapshotChunk, Term,
    election::Role,
    log::Log,
    replication::Flow,
    types::{Snapshot, SnapshotImage},
};
use crate::{
    machine::Machine,
    protocol::{Compact, NodeId, Time},
};

/// The largest piece of a snapshot in one message.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;
/// The largest snapshot taken from a peer.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;
/// A piece is sent again when this many heartbeats brought no answer.
const RESEND_IN_HEARTBEATS: u64 = 4;
/// At most so many applied entries stay in the log behind a snapshot.
const KEEP_ENTRIES_MAX: u64 = 4096;

/// A snapshot on its way to a follower.
#[derive(Debug)]
pub(super) struct Sending {
    snapshot: Snapshot,
    offset: u64,
    sent: Time,
}

impl Sending {
    /// Last index it covers.
    pub fn index(&self) -> LogIndex {
        self.snapshot.index
    }

    fn chunk(&self, term: Term, round: u64) -> Message {
        let rest = &self.snapshot.bytes[usize::try_from(self.offset).expect("within the snapshot")..];
        Message::SnapshotChunk(SnapshotChunk {
            term,
            round,
            index: self.snapshot.index,
            index_term: self.snapshot.term,
            offset: self.offset,
            total: self.snapshot.bytes.len() as u64,
            data: rest[..rest.len().min(CHUNK_BYTES)].to_vec(),
        })
    }
}

/// A snapshot that is coming in.
#[derive(Debug)]
pub(super) struct Arriving {
    from: NodeId,
    index: LogIndex,
    index_term: Term,
    total: u64,
    data: Vec<u8>,
}

impl Arriving {
    fn new(from: NodeId, m: &SnapshotChunk) -> Self {
        Self { from, index: m.index, index_term: m.index_term, total: m.total, data: Vec::new() }
    }

    fn is_of(&self, from: NodeId, m: &SnapshotChunk) -> bool {
        (self.from, self.index, self.index_term, self.total) == (from, m.index, m.index_term, m.total)
    }

    fn is_complete(&self) -> bool {
        self.data.len() as u64 == self.total
    }
}

impl Raft {
    /// Takes a snapshot once enough was applied since the last one, and lets go of the log before it.
    pub(super) fn compact_if_due(&mut self, out: &mut Out) {
        let every = self.config.snapshot_every;
        let since = self.applied.0 - self.snapshot.as_ref().map_or(0, |s| s.index.0);
        if every == 0 || since < every {
            return;
        }
        let term = self.log.term_at(self.applied).expect("what was applied last is in the log or its base");
        let image = SnapshotImage {
            format: SnapshotImage::FORMAT,
            index: self.applied,
            term,
            voters: self.config.voters.clone(),
            machine: self.machine.snapshot(),
        };
        let bytes = postcard::to_stdvec(&image).expect("plain data serialises into memory");
        self.snapshot = Some(Snapshot { index: image.index, term, bytes: Arc::new(bytes) });
        let keep = (every / 4).min(KEEP_ENTRIES_MAX);
        let base = LogIndex(self.applied.0.saturating_sub(keep)).max(self.log.base().0);
        self.log.compact_to(base);
        self.store_compacted(out);
    }

    /// Replaces everything stored by the snapshot and what still counts beside it. That contains what this step recorded so far.
    fn store_compacted(&mut self, out: &mut Out) {
        self.record_hard_state(out);
        out.records.clear();
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
        let sending = Sending { snapshot, offset: 0, sent: self.now };
        let message = sending.chunk(self.hard.term, leadership.reads.round());
        leadership.followers.get_mut(&to)?.flow = Flow::Snapshot(sending);
        Some(message)
    }

    /// The follower has this much of the snapshot.
    pub(super) fn on_chunk_received(&mut self, from: NodeId, index: LogIndex, offset: u64, out: &mut Out) {
        let Role::Leader(leadership) = &mut self.role else { return };
        let round = leadership.reads.round();
        let Some(Flow::Snapshot(sending)) = leadership.followers.get_mut(&from).map(|p| &mut p.flow) else { return };
        if sending.index() != index || offset > sending.snapshot.bytes.len() as u64 {
            return;
        }
        // Only progress is answered at once: a doubled answer must not double the stream. After a step back (the follower
        // started anew, or this is an old answer) the next resend goes on from there.
        let is_progress = offset > sending.offset;
        sending.offset = offset;
        if is_progress {
            sending.sent = self.now;
            let message = sending.chunk(self.hard.term, round);
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
                && self.now.0 - sending.sent.0 >= patience
            {
                sending.sent = self.now;
                again.push((to, sending.chunk(self.hard.term, round)));
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
        if m.index <= self.commit {
            // Older than what is here. What is committed here is the leader's, but only what is durable is acknowledged.
            self.arriving = None;
            let outcome = AppendOutcome::Match(m.index.min(self.durability.index()));
            self.answer_append(from, m.round, outcome, out);
            return;
        }
        let here = self.keep_chunk(from, &m);
        if self.arriving.as_ref().is_some_and(Arriving::is_complete) && self.install(out) {
            out.sync_wanted = true;
            let reply =
                super::AppendReply { term: self.hard.term, round: m.round, outcome: AppendOutcome::Match(m.index) };
            out.send_when_durable.push((from, Message::AppendReply(reply)));
        } else {
            let offset = if self.arriving.is_some() { here } else { 0 };
            self.answer_append(from, m.round, AppendOutcome::Chunk { index: m.index, offset }, out);
        }
    }

    /// Keeps a piece if it is the next one, and says how much is here.
    fn keep_chunk(&mut self, from: NodeId, m: &SnapshotChunk) -> u64 {
        if m.total > SNAPSHOT_BYTES_MAX {
            return 0;
        }
        if !self.arriving.as_ref().is_some_and(|a| a.is_of(from, m)) {
            if m.offset != 0 {
                return 0;
            }
            self.arriving = Some(Arriving::new(from, m));
        }
        let arriving = self.arriving.as_mut().expect("just made sure");
        let here = arriving.data.len() as u64;
        if m.offset == here && here + m.data.len() as u64 <= m.total {
            arriving.data.extend_from_slice(&m.data);
        }
        arriving.data.len() as u64
    }

    /// Replaces machine and log by the snapshot that arrived, and says whether it was sound. Paper, Figure 13, rules 6 to 8.
    fn install(&mut self, out: &mut Out) -> bool {
        let Some(arrived) = self.arriving.take() else { return false };
        let Ok(image) = postcard::from_bytes::<SnapshotImage>(&arrived.data) else { return false };
        let Ok(machine) = Machine::restore(&image.machine) else { return false };
        let is_as_said = (image.index, image.term) == (arrived.index, arrived.index_term);
        if !is_as_said || image.format != SnapshotImage::FORMAT || image.voters != self.config.voters {
            return false;
        }
        if self.log.term_at(image.index) == Some(image.term) {
            // The entries behind it are still good.
            self.log.compact_to(image.index);
        } else {
            self.durability.cut(self.commit);
            self.log = Log::new((image.index, image.term));
        }
        self.machine = machine;
        self.commit = image.index;
        self.applied = image.index;
        self.snapshot = Some(Snapshot { index: image.index, term: image.term, bytes: Arc::new(arrived.data) });
        self.store_compacted(out);
        self.answer_applied_reads(out);
        true
    }

    /// Only for mutants: forgets what was committed above `index`.
    pub(super) fn roll_back_to(&mut self, index: LogIndex, out: &mut Out) {
        let start = self.snapshot.as_ref().map_or(LogIndex(0), |s| s.index);
        assert!(start <= index, "a snapshot cannot be rolled back");
        self.machine = self.snapshot.as_ref().map_or_else(Machine::new, |s| {
            let image: SnapshotImage = postcard::from_bytes(&s.bytes).expect("an own snapshot");
            Machine::restore(&image.machine).expect("an own snapshot")
        });
        self.applied = start;
        self.commit = index;
        self.commit_to(index, out);
    }
}
