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
//!
//! With lease reads (dissertation, section 6.4.1) every heartbeat is a round, and one that a quorum answered proves leadership for a while
//! from when it was sent; without a lease a read takes its round as ever. The clock of a step is read after its input came, so a
//! lease that holds in the step held at a moment within the read: a pause behind it may make the answer late, but not wrong.

use std::collections::{BTreeSet, VecDeque};

use super::{
    LogIndex, Message, Out, Raft, Term,
    election::Role,
    rules::{Lease, ReadState},
};
use crate::protocol::{NodeId, ReadMode, Refusal, Reply, RequestId, Time, asked::Asked};

/// So many rounds are remembered for leases; an older one is too old to prove anything.
const ROUNDS_MAX: usize = 64;

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
    /// When the newest rounds were sent, oldest first; only with leases.
    sent: VecDeque<Sent>,
}

/// When a round was sent.
#[derive(Debug)]
struct Sent {
    round: u64,
    at: Time,
    wall: i128,
}

/// A round that a quorum has not answered yet.
#[derive(Debug)]
struct Round {
    number: u64,
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
        let proven = alone || self.holds_lease();
        let state = self.read_state(proven);
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

    fn read_state(&self, leadership_proven: bool) -> ReadState {
        match &self.role {
            Role::Leader(leadership) => {
                ReadState { leads: true, own_term_committed: self.commit >= leadership.first_index, leadership_proven }
            }
            _ => ReadState { leads: false, own_term_committed: false, leadership_proven: false },
        }
    }

    /// Whether this leader may read from its own state without a round.
    fn holds_lease(&mut self) -> bool {
        self.config.reads == ReadMode::Lease && self.lease().is_some_and(|lease| self.rules.lease_holds(&lease))
    }

    fn lease(&mut self) -> Option<Lease> {
        let answered_round = self.answered_round();
        let (me, now, now_wall) = (self.config.id, self.now, self.wall_clock());
        let Role::Leader(leadership) = &self.role else { return None };
        let newest = leadership.reads.sent.iter().rev().find(|sent| sent.round <= answered_round)?;
        let heard = |id| if id == me { now } else { leadership.followers.get(&id).map_or(Time(0), |p| p.heard) };
        Some(Lease {
            sent: newest.at,
            sent_wall: newest.wall,
            answered: self.rules.reached(self.memberships.in_force(), heard),
            handed_over: leadership.handed_over,
            election_timeout_ns: self.config.election_timeout_ns,
            now,
            now_wall,
        })
    }

    /// The newest round that a quorum, this leader included, has answered; 0 if there is none.
    fn answered_round(&mut self) -> u64 {
        let me = self.config.id;
        let Role::Leader(leadership) = &self.role else { return 0 };
        let own = leadership.reads.round;
        let round = |id| if id == me { own } else { leadership.followers.get(&id).map_or(0, |p| p.round) };
        self.rules.reached(self.memberships.in_force(), round)
    }

    fn has_round_under_way(&self) -> bool {
        matches!(&self.role, Role::Leader(leadership) if leadership.reads.under_way.is_some())
    }

    /// The clock that people set. No correct rule looks at it.
    fn wall_clock(&self) -> i128 {
        i128::from(self.now.0) + i128::from(self.wall_offset_ns)
    }

    /// Counts the messages about to be sent as a new round.
    fn begin_round(&mut self) {
        let (at, wall) = (self.now, self.wall_clock());
        let Role::Leader(leadership) = &mut self.role else { return };
        let reads = &mut leadership.reads;
        reads.round += 1;
        if self.config.reads == ReadMode::Lease {
            reads.sent.push_back(Sent { round: reads.round, at, wall });
            if reads.sent.len() > ROUNDS_MAX {
                reads.sent.pop_front();
            }
        }
    }

    /// A heartbeat is due: with leases, it is a round.
    pub(super) fn begin_lease_round(&mut self) {
        if self.config.reads == ReadMode::Lease {
            self.begin_round();
        }
    }

    /// Begins a round for the reads that wait, if an entry of this term is committed and no round is under way.
    pub(super) fn start_read_round(&mut self, out: &mut Out) {
        let Role::Leader(leadership) = &mut self.role else { return };
        let reads = &mut leadership.reads;
        if reads.under_way.is_some() || reads.waiting.is_empty() {
            return;
        }
        if !self.rules.may_begin_round(self.commit >= leadership.first_index) {
            return;
        }
        let readers = std::mem::take(&mut reads.waiting);
        reads.under_way = Some(Round { number: reads.round + 1, index: self.commit, readers });
        self.begin_round();
        self.heartbeat_all(out);
        self.confirm_reads(out);
    }

    /// Answers the reads of a round that a quorum has confirmed.
    pub(super) fn confirm_reads(&mut self, out: &mut Out) {
        if !self.has_round_under_way() {
            return;
        }
        let answered = self.answered_round();
        let Role::Leader(leadership) = &mut self.role else { return };
        let Some(round) = leadership.reads.under_way.take_if(|round| round.number <= answered) else { return };
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
                let is_applied = self.applied >= index || self.rules.is_mutated();
                assert!(is_applied, "a leader applies what it commits at once");
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
        while let Some(&(index, id)) = self.follower_reads.ready_at.first()
            && self.rules.may_read_at(index, self.applied)
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
