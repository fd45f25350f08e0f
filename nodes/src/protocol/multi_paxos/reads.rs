//! Linearizable reads, in four ways.
//!
//! ```text
//!   quorum       all of phase 1 chosen, r = applied ──> fresh round ──> quorum: no higher ballot promised ──> applied >= r ──> value
//!   lease        the same, but a quorum's answers to earlier heartbeats stand in for the round, for a time
//!   log          a slot of its own (a no-op) ──> applied ──> value
//!   quorum-read  ask all for the highest slot they accepted ──> quorum: m = the highest ──> applied >= m ──> value
//! ```
//!
//! A follower asks the leader for r (the first three) and then reads from its own machine; a quorum read needs no leader unless nobody else
//! sees to it that m is chosen. A round serves all reads that arrived before it began, and only those. PML, section 5.2; PQR.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Ballot, Message, MultiPaxos, Out, Payload, Slot,
    client::Asker,
    election::Role,
    rules::{QuorumReadState, ReadState},
};
use crate::{
    machine::Value,
    protocol::{NodeId, ReadMode, Refusal, Reply, RequestId, Time, asked::Asked, quorum},
};

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
    /// The newest round of heartbeats.
    round: u64,
    /// Arrived since the last round for reads began; for the next one.
    waiting: Vec<Reader>,
    under_way: Option<Round>,
}

/// A round that a quorum has not answered yet.
#[derive(Debug)]
struct Round {
    number: u64,
    /// What was applied when it began.
    slot: Slot,
    readers: Vec<Reader>,
}

impl LeaderReads {
    pub fn round(&self) -> u64 {
        self.round
    }

    pub fn next_round(&mut self) -> u64 {
        self.round += 1;
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
    pub asked: Asked<Ballot, String>,
    /// Those for which the leader answered: what must be applied first, and the name.
    ready_at: BTreeSet<(Slot, u64)>,
}

/// Reads of this node's clients for which all were asked.
#[derive(Debug, Default)]
pub(super) struct QuorumReads {
    /// Each with its key. They belong to no leadership.
    pub asked: Asked<Ballot, String>,
    /// The answers so far.
    answers: BTreeMap<u64, BTreeMap<NodeId, Slot>>,
    /// Those that a quorum answered, with the highest slot.
    ready_at: BTreeSet<(Slot, u64)>,
}

impl MultiPaxos {
    /// A client or a follower wants to read.
    pub(super) fn on_read(&mut self, reader: Reader, out: &mut Out) {
        match (self.config.reads, reader) {
            (ReadMode::QuorumRead, Reader::Client { id, key }) => self.ask_highest(id, key, out),
            (ReadMode::Log, reader) if matches!(self.role, Role::Leader(_)) => self.read_through_log(reader, out),
            (_, reader) => self.read_by_leader(reader, out),
        }
    }

    fn read_by_leader(&mut self, reader: Reader, out: &mut Out) {
        let alone = self.quorum() == 1;
        let state = self.read_state(alone);
        if self.rules.may_answer_read(state) {
            self.answer_read(reader, self.applied, out);
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

    /// The read gets a slot of its own, and is answered when that is applied.
    fn read_through_log(&mut self, reader: Reader, out: &mut Out) {
        let again = match &reader {
            Reader::Client { id, key } => Reader::Client { id: *id, key: key.clone() },
            Reader::Peer { node, life, id } => Reader::Peer { node: *node, life: *life, id: *id },
        };
        if self.propose(Asker::Reader(reader), Payload::Noop, out).is_err() {
            self.refuse_read(again, out);
        }
    }

    fn read_state(&mut self, round_confirmed: bool) -> ReadState {
        let leased = self.config.reads == ReadMode::Lease && self.holds_lease();
        match &self.role {
            Role::Leader(leadership) => {
                ReadState { leads: true, settled: leadership.is_settled(self.applied), round_confirmed, leased }
            }
            _ => ReadState { leads: false, settled: false, round_confirmed: false, leased: false },
        }
    }

    /// Whether a quorum, this node included, still promises to hear nobody else.
    fn holds_lease(&mut self) -> bool {
        let granted_ns = self.config.election_timeout_ns;
        let Role::Leader(leadership) = &self.role else { return false };
        let rules = &mut self.rules;
        let end = |granted: Option<(Time, Time)>| {
            granted.map_or(Time(0), |(sent, heard)| rules.lease_end(sent, heard, granted_ns))
        };
        let mut ends: Vec<Time> = leadership.followers.values().map(|p| p.granted).map(end).collect();
        ends.push(Time(u64::MAX));
        !leadership.lease_released && quorum::reached_by_quorum(&mut ends) > self.now
    }

    /// Begins a round for the reads that wait, if the leader is up to date and no round is under way.
    pub(super) fn start_read_round(&mut self, out: &mut Out) {
        let Role::Leader(leadership) = &mut self.role else { return };
        let settled = leadership.is_settled(self.applied);
        let reads = &mut leadership.reads;
        if !settled || reads.under_way.is_some() || reads.waiting.is_empty() {
            return;
        }
        let number = reads.round + 1;
        let readers = std::mem::take(&mut reads.waiting);
        reads.under_way = Some(Round { number, slot: self.applied, readers });
        self.heartbeat_all(out);
        self.confirm_reads(out);
    }

    /// Answers the reads of a round that a quorum has confirmed.
    pub(super) fn confirm_reads(&mut self, out: &mut Out) {
        let quorum = self.quorum();
        let Role::Leader(leadership) = &mut self.role else { return };
        let echoes = |number| leadership.followers.values().filter(|p| p.round >= number).count();
        if leadership.reads.under_way.as_ref().is_none_or(|round| echoes(round.number) + 1 < quorum) {
            return;
        }
        let Some(round) = leadership.reads.under_way.take() else { return };
        let state = self.read_state(true);
        assert!(self.rules.may_answer_read(state), "a round begins only once all of phase 1 is chosen");
        for reader in round.readers {
            self.answer_read(reader, round.slot, out);
        }
        self.start_read_round(out);
    }

    pub(super) fn answer_read(&mut self, reader: Reader, slot: Slot, out: &mut Out) {
        match reader {
            Reader::Client { id, key } => {
                assert!(self.applied >= slot, "a leader applies what is chosen at once");
                out.replies.push((id, Reply::Value(self.machine.read(&key))));
            }
            Reader::Peer { node, life, id } => {
                self.send(node, Message::ReadIndexReply { life, id, slot: Some(slot) }, out);
            }
        }
    }

    /// This node does not lead, or no longer.
    pub(super) fn refuse_read(&self, reader: Reader, out: &mut Out) {
        match reader {
            Reader::Client { id, .. } => out.replies.push((id, Reply::Refused(Refusal::NotLeader))),
            Reader::Peer { node, life, id } => {
                self.send(node, Message::ReadIndexReply { life, id, slot: None }, out);
            }
        }
    }

    fn ask_read_index(&mut self, client: RequestId, key: String, out: &mut Out) {
        let granted = self.config.reads == ReadMode::Lease && self.grants_lease();
        if self.rules.follower_may_read(granted) {
            out.replies.push((client, Reply::Value(self.machine.read(&key))));
            return;
        }
        let Some(leader) = self.leader else {
            out.replies.push((client, Reply::Refused(Refusal::NoLeader)));
            return;
        };
        let id = self.follower_reads.asked.add(client, key, self.leader_ballot, self.forward_deadline());
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

    pub(super) fn on_read_index_reply(&mut self, life: u64, id: u64, slot: Option<Slot>, out: &mut Out) {
        if life != self.life || self.follower_reads.asked.get(id).is_none() {
            return;
        }
        match slot {
            Some(slot) => {
                self.follower_reads.ready_at.insert((slot, id));
                self.answer_applied_reads(out);
            }
            None => {
                let read = self.follower_reads.asked.take(id);
                out.replies.extend(read.map(|read| (read.client, Reply::Refused(Refusal::NotLeader))));
            }
        }
    }

    /// Answers the reads for which enough is applied now.
    pub(super) fn answer_applied_reads(&mut self, out: &mut Out) {
        let reads = &mut self.follower_reads;
        while let Some((_, id)) = pop_ready(&mut reads.ready_at, self.applied) {
            let read = reads.asked.take(id);
            out.replies.extend(read.map(|read| (read.client, Reply::Value(self.machine.read(&read.what)))));
        }
        self.answer_quorum_reads(out);
    }

    /// PQR, section 3: ask everyone.
    fn ask_highest(&mut self, client: RequestId, key: String, out: &mut Out) {
        let id = self.quorum_reads.asked.add(client, key, Ballot::NONE, self.forward_deadline());
        self.quorum_reads.answers.insert(id, BTreeMap::new());
        self.send_to_all(&Message::AskHighest { life: self.life, id }, out);
        if self.may_vote() {
            self.on_highest(self.config.id, self.life, id, self.log.last().max(self.applied), out);
        }
    }

    pub(super) fn on_ask_highest(&mut self, from: NodeId, life: u64, id: u64, out: &mut Out) {
        if self.may_vote() {
            let slot = self.log.last().max(self.applied);
            self.send(from, Message::Highest { life, id, slot }, out);
        }
    }

    pub(super) fn on_highest(&mut self, from: NodeId, life: u64, id: u64, slot: Slot, out: &mut Out) {
        let quorum = self.quorum();
        let Some(answers) = self.quorum_reads.answers.get_mut(&id).filter(|_| life == self.life) else { return };
        answers.insert(from, slot);
        if answers.len() < quorum {
            return;
        }
        let highest = answers.values().copied().max().unwrap_or_default();
        self.quorum_reads.answers.remove(&id);
        self.quorum_reads.ready_at.insert((highest, id));
        self.answer_quorum_reads(out);
        if highest > self.applied {
            match self.leader {
                Some(leader) if leader == self.config.id => self.rinse(highest, out),
                Some(leader) => self.send(leader, Message::Rinse { through: highest }, out),
                None => {}
            }
        }
    }

    fn answer_quorum_reads(&mut self, out: &mut Out) {
        let reads = &mut self.quorum_reads;
        let mut answered: Vec<((Slot, u64), Value)> = Vec::new();
        for &(highest, id) in &reads.ready_at {
            let Some(read) = reads.asked.get(id) else { continue };
            let state = QuorumReadState { machine: &self.machine, log: &self.log, applied: self.applied, highest };
            match self.rules.quorum_read(&state, &read.what) {
                Some(value) => answered.push(((highest, id), value)),
                // The others wait for higher slots.
                None => break,
            }
        }
        for (name, value) in answered {
            reads.ready_at.remove(&name);
            let read = reads.asked.take(name.1);
            out.replies.extend(read.map(|read| (read.client, Reply::Value(value))));
        }
    }

    /// See [`MultiPaxos::give_up_on_earlier_leaders`]. A read has no effect, so it is simply not done.
    pub(super) fn give_up_earlier_reads(&mut self, out: &mut Out) {
        while let Some(read) = self.follower_reads.asked.pop_earlier(self.leader_ballot) {
            out.replies.push((read.client, Reply::Refused(Refusal::NotLeader)));
        }
    }

    pub(super) fn expire_reads(&mut self, out: &mut Out) {
        for asked in [&mut self.follower_reads.asked, &mut self.quorum_reads.asked] {
            while let Some(read) = asked.pop_expired(self.now) {
                out.replies.push((read.client, Reply::Refused(Refusal::ForwardLost)));
            }
        }
        if self.follower_reads.asked.is_empty() {
            self.follower_reads.ready_at.clear();
        }
        if self.quorum_reads.asked.is_empty() {
            self.quorum_reads.ready_at.clear();
            self.quorum_reads.answers.clear();
        }
    }
}

/// Takes out one that is ready at or below this slot.
fn pop_ready(ready_at: &mut BTreeSet<(Slot, u64)>, applied: Slot) -> Option<(Slot, u64)> {
    let first = ready_at.first().copied().filter(|(slot, _)| *slot <= applied)?;
    ready_at.remove(&first);
    Some(first)
}
