//! Linearizable reads without the log: ReadIndex. Paper, section 8; dissertation, section 6.4.
//!
//! ```text
//!   read ──> waiting ──────> round n begins: r = commit ──────> quorum echoed n ──────> applied >= r ──> value
//!            (no-op of this    heartbeats carry n                at leader: always so
//!             term committed)                                    at follower: waits for its own log
//! ```
//!
//! A round serves all reads that arrived before it began, and only those: an echo of an older round proves nothing about them.
//! A follower asks the leader for r and then reads from its own machine.

use std::collections::BTreeSet;

use super::{LogIndex, Message, Out, Raft, Term, election::Role, rules::ReadState};
use crate::protocol::{NodeId, Refusal, Reply, RequestId, asked::Asked};

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
    /// The newest round begun.
    round: u64,
    /// Arrived since; for the next round.
    waiting: Vec<Reader>,
    under_way: Option<Round>,
}

/// A round that a quorum has not answered yet. Its number is the newest.
#[derive(Debug)]
struct Round {
    /// The commit index when it began.
    index: LogIndex,
    readers: Vec<Reader>,
}

impl LeaderReads {
    pub fn round(&self) -> u64 {
        self.round
    }

    pub fn len(&self) -> usize {
        self.waiting.len() + self.under_way.as_ref().map_or(0, |r| r.readers.len())
    }

    pub fn into_readers(self) -> impl Iterator<Item = Reader> {
        self.under_way.into_iter().flat_map(|r| r.readers).chain(self.waiting)
    }
}

/// Reads of this node's clients for which the leader was asked.
#[derive(Debug, Default)]
pub(super) struct FollowerReads {
    /// Each with its key.
    pub asked: Asked<Term, String>,
    /// Those for which the leader answered: what must be applied first, and the name.
    ready_at: BTreeSet<(LogIndex, u64)>,
}

impl Raft {
    /// A client or a follower wants to read.
    pub(super) fn on_read(&mut self, reader: Reader, out: &mut Out) {
        let me = self.config.id;
        let alone = self.rules.quorum_has(self.memberships.in_force(), |id| id == me);
        let state = self.read_state(alone);
        if self.rules.may_answer_read(state) {
            self.answer_read(reader, self.commit, out);
            return;
        }
        match (&mut self.role, reader) {
            (Role::Leader(leadership), reader) => {
                leadership.reads.waiting.push(reader);
                self.start_read_round(out);
            }
            (_, Reader::Client { id, key }) => self.ask_read_index(id, key, out),
            (_, reader @ Reader::Peer { .. }) => self.refuse_read(reader, out),
        }
    }

    fn read_state(&self, round_confirmed: bool) -> ReadState {
        match &self.role {
            Role::Leader(leadership) => {
                ReadState { leads: true, own_term_committed: self.commit >= leadership.first_index, round_confirmed }
            }
            _ => ReadState { leads: false, own_term_committed: false, round_confirmed: false },
        }
    }

    /// Begins a round for the reads that wait, if an entry of this term is committed and no round is under way.
    pub(super) fn start_read_round(&mut self, out: &mut Out) {
        let Role::Leader(leadership) = &mut self.role else { return };
        let committed = self.commit >= leadership.first_index;
        let reads = &mut leadership.reads;
        if !committed || reads.under_way.is_some() || reads.waiting.is_empty() {
            return;
        }
        reads.round += 1;
        reads.under_way = Some(Round { index: self.commit, readers: std::mem::take(&mut reads.waiting) });
        self.heartbeat_all(out);
        self.confirm_reads(out);
    }

    /// Answers the reads of a round that a quorum has confirmed.
    pub(super) fn confirm_reads(&mut self, out: &mut Out) {
        let Role::Leader(leadership) = &mut self.role else { return };
        if leadership.reads.under_way.is_none() {
            return;
        }
        let (me, newest) = (self.config.id, leadership.reads.round);
        let echoed = |id| id == me || leadership.followers.get(&id).is_some_and(|p| p.round == newest);
        if !self.rules.quorum_has(self.memberships.in_force(), echoed) {
            return;
        }
        let Some(round) = leadership.reads.under_way.take() else { return };
        let state = self.read_state(true);
        assert!(self.rules.may_answer_read(state), "a round begins only once an entry of this term is committed");
        for reader in round.readers {
            self.answer_read(reader, round.index, out);
        }
        self.start_read_round(out);
    }

    fn answer_read(&mut self, reader: Reader, index: LogIndex, out: &mut Out) {
        match reader {
            Reader::Client { id, key } => {
                assert!(self.applied >= index, "a leader applies what it commits at once");
                out.replies.push((id, Reply::Value(self.machine.read(&key))));
            }
            Reader::Peer { node, life, id } => {
                self.send(node, Message::ReadIndexReply { life, id, index: Some(index) }, out);
            }
        }
    }

    /// This node does not lead, or no longer.
    pub(super) fn refuse_read(&self, reader: Reader, out: &mut Out) {
        match reader {
            Reader::Client { id, .. } => out.replies.push((id, Reply::Refused(Refusal::NotLeader))),
            Reader::Peer { node, life, id } => {
                self.send(node, Message::ReadIndexReply { life, id, index: None }, out);
            }
        }
    }

    fn ask_read_index(&mut self, client: RequestId, key: String, out: &mut Out) {
        let Some(leader) = self.leader else {
            out.replies.push((client, Reply::Refused(Refusal::NoLeader)));
            return;
        };
        let until = self.forward_deadline();
        let id = self.follower_reads.asked.add(client, key, self.hard.term, until);
        self.send(leader, Message::ReadIndex { life: self.life, id }, out);
    }

    pub(super) fn on_read_index(&mut self, from: NodeId, life: u64, id: u64, out: &mut Out) {
        let reader = Reader::Peer { node: from, life, id };
        if self.pending() >= self.config.max_pending {
            self.refuse_read(reader, out);
        } else {
            self.on_read(reader, out);
        }
    }

    pub(super) fn on_read_index_reply(&mut self, life: u64, id: u64, index: Option<LogIndex>, out: &mut Out) {
        if life != self.life || self.follower_reads.asked.get(id).is_none() {
            return;
        }
        match index {
            Some(index) => {
                self.follower_reads.ready_at.insert((index, id));
                self.answer_applied_reads(out);
            }
            None => {
                if let Some(read) = self.follower_reads.asked.take(id) {
                    out.replies.push((read.client, Reply::Refused(Refusal::NotLeader)));
                }
            }
        }
    }

    /// Answers the reads for which enough is applied now.
    pub(super) fn answer_applied_reads(&mut self, out: &mut Out) {
        while let Some(&(index, id)) = self.follower_reads.ready_at.first().filter(|(index, _)| *index <= self.applied)
        {
            self.follower_reads.ready_at.remove(&(index, id));
            if let Some(read) = self.follower_reads.asked.take(id) {
                out.replies.push((read.client, Reply::Value(self.machine.read(&read.what))));
            }
        }
    }

    /// See [`Raft::give_up_on_earlier_leaders`]. A read has no effect, so it is simply not done.
    pub(super) fn give_up_earlier_reads(&mut self, out: &mut Out) {
        while let Some(read) = self.follower_reads.asked.pop_earlier(self.hard.term) {
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
