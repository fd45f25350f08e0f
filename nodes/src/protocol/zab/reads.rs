//! Linearizable reads: `sync`, then read. DSN 2011 leaves reads to the application; ZooKeeper's `sync` asks no quorum, this one does.
//!
//! ```text
//!   read ──> waiting ────────> a sync is proposed ──> committed ──> applied here ──> value
//!            (one is under       at position p          at leader: always so
//!             way already)                              at follower: when it has applied p
//! ```
//!
//! A sync is an empty transaction. It serves all reads that came before it was proposed, and only those.

use std::collections::BTreeSet;

use super::{Epoch, Message, Out, Payload, Position, Zab, broadcast::Broadcast, rules::ReadState};
use crate::protocol::{NodeId, ReadMode, Refusal, Reply, RequestId, asked::Asked};

/// Who wants to read.
#[derive(Debug)]
pub(super) enum Reader {
    /// A client of this node.
    Client { id: RequestId, key: String },
    /// A follower, for a client of its own.
    Peer { node: NodeId, life: u64, id: u64 },
}

/// The reads of a leadership.
#[derive(Debug, Default)]
pub(super) struct LeaderReads {
    /// Came since the last sync was proposed.
    waiting: Vec<Reader>,
    /// The sync under way, and whom it serves.
    under_way: Option<(Position, Vec<Reader>)>,
}

impl LeaderReads {
    pub fn len(&self) -> usize {
        self.waiting.len() + self.under_way.as_ref().map_or(0, |(_, readers)| readers.len())
    }

    pub fn into_readers(self) -> impl Iterator<Item = Reader> {
        self.under_way.into_iter().flat_map(|(_, readers)| readers).chain(self.waiting)
    }
}

/// Reads of this node's clients for which the leader was asked.
#[derive(Debug, Default)]
pub(super) struct FollowerReads {
    /// Each with its key.
    pub asked: Asked<Epoch, String>,
    /// Those for which the leader answered: what must be applied first, and the name.
    ready_at: BTreeSet<(Position, u64)>,
}

impl Zab {
    /// A client wants to read.
    pub(super) fn on_read(&mut self, id: RequestId, key: String, out: &mut Out) {
        let serves = self.leader().is_some();
        let is_enough = serves && self.config.reads == ReadMode::Local;
        if is_enough || self.rules.may_read(ReadState { serves, is_synced: false }) {
            out.replies.push((id, Reply::Value(self.machine.read(&key))));
            return;
        }
        match self.leader() {
            Some(leader) if leader != self.config.id => {
                let until = self.forward_deadline();
                let id = self.follower_reads.asked.add(id, key, self.epochs.accepted, until);
                self.send(leader, Message::Sync { life: self.life, id }, out);
            }
            Some(_) => self.wait_for_sync(Reader::Client { id, key }, out),
            None => out.replies.push((id, Reply::Refused(Refusal::NoLeader))),
        }
    }

    /// A follower asks for a sync.
    pub(super) fn on_sync(&mut self, from: NodeId, life: u64, id: u64, out: &mut Out) {
        let reader = Reader::Peer { node: from, life, id };
        if self.broadcasting().is_none() || self.pending() >= self.config.max_pending {
            self.refuse_read(reader, out);
        } else {
            self.wait_for_sync(reader, out);
        }
    }

    fn wait_for_sync(&mut self, reader: Reader, out: &mut Out) {
        let leads = self.broadcasting().is_some();
        if self.rules.may_answer_sync(leads, false) {
            return self.answer_read(reader, self.commit, out);
        }
        if let Some(broadcast) = self.broadcasting() {
            broadcast.reads.waiting.push(reader);
        }
        self.start_sync(out);
    }

    /// Proposes a sync for the reads that wait, if none is under way.
    fn start_sync(&mut self, out: &mut Out) {
        let Some(Broadcast { reads, .. }) = self.broadcasting() else { return };
        if reads.under_way.is_some() || reads.waiting.is_empty() {
            return;
        }
        let Some(position) = self.propose(Payload::Sync, out) else { return };
        if let Some(Broadcast { reads, .. }) = self.broadcasting() {
            reads.under_way = Some((position, std::mem::take(&mut reads.waiting)));
        }
    }

    /// Answers the reads that a committed sync serves.
    pub(super) fn finish_sync(&mut self, out: &mut Out) {
        let commit = self.commit;
        let Some(Broadcast { reads, .. }) = self.broadcasting() else { return };
        let Some((position, readers)) = reads.under_way.take_if(|(position, _)| *position <= commit) else { return };
        assert!(self.rules.may_answer_sync(true, true), "a committed sync is answered");
        for reader in readers {
            self.answer_read(reader, position, out);
        }
        self.start_sync(out);
    }

    fn answer_read(&mut self, reader: Reader, upto: Position, out: &mut Out) {
        match reader {
            Reader::Client { id, key } => {
                assert!(self.applied >= upto, "a leader applies what it commits at once");
                out.replies.push((id, Reply::Value(self.machine.read(&key))));
            }
            Reader::Peer { node, life, id } => {
                self.send(node, Message::SyncReply { life, id, upto: Some(upto) }, out);
            }
        }
    }

    /// This node does not lead, or no longer.
    pub(super) fn refuse_read(&self, reader: Reader, out: &mut Out) {
        match reader {
            Reader::Client { id, .. } => out.replies.push((id, Reply::Refused(Refusal::NotLeader))),
            Reader::Peer { node, life, id } => self.send(node, Message::SyncReply { life, id, upto: None }, out),
        }
    }

    pub(super) fn on_sync_reply(&mut self, life: u64, id: u64, upto: Option<Position>, out: &mut Out) {
        if life != self.life || self.follower_reads.asked.get(id).is_none() {
            return;
        }
        if let Some(upto) = upto {
            self.follower_reads.ready_at.insert((upto, id));
            self.answer_applied_reads(out);
        } else if let Some(read) = self.follower_reads.asked.take(id) {
            out.replies.push((read.client, Reply::Refused(Refusal::NotLeader)));
        }
    }

    /// Answers the reads for which enough is applied now.
    pub(super) fn answer_applied_reads(&mut self, out: &mut Out) {
        let applied = self.applied;
        while let Some((_, id)) = self.follower_reads.ready_at.first().copied().filter(|(upto, _)| *upto <= applied) {
            self.follower_reads.ready_at.pop_first();
            if let Some(read) = self.follower_reads.asked.take(id) {
                out.replies.push((read.client, Reply::Value(self.machine.read(&read.what))));
            }
        }
    }

    /// See [`Zab::give_up_on_earlier_leaders`]. A read has no effect, so it is simply not done.
    pub(super) fn give_up_earlier_reads(&mut self, epoch: Epoch, out: &mut Out) {
        while let Some(read) = self.follower_reads.asked.pop_earlier(epoch) {
            out.replies.push((read.client, Reply::Refused(Refusal::NotLeader)));
        }
    }

    pub(super) fn expire_reads(&mut self, out: &mut Out) {
        while let Some(read) = self.follower_reads.asked.pop_expired(self.now) {
            out.replies.push((read.client, Reply::Refused(Refusal::ForwardLost)));
        }
        if self.follower_reads.asked.is_empty() {
            self.follower_reads.ready_at.clear();
        }
    }
}
