//! Multi-Paxos: ballots, one phase 1 for all slots, a stable leader, linearizable reads in four ways, snapshots, lost disks.
//!
//! ```text
//!                 timeout                 quorum of pongs                quorum of 1b
//!   ┌──────────┐ ────────> ┌──────────────┐ ───────────> ┌───────────┐ ──────────────> ┌────────┐
//!   │ Follower │           │ PreCandidate │  new ballot, │ Candidate │  2a for all     │ Leader │
//!   └──────────┘           └──────────────┘  promised    └───────────┘  that 1b told   └────────┘
//!        ^                        │          by itself,        │                           │
//!        └────────────────────────┴──────────durable───────────┴───────────────────────────┘
//!            a higher ballot promised, or told of by a Nack, or (leader) no answer from a quorum for 2T
//!
//!   leader:  command ──> slot ──> 2a to all ──> own acceptance durable ─┬─> quorum: chosen ──> applied ──> answer
//!                                      └──────> 2b from others ─────────┘
//! ```
//!
//! Every node is proposer, acceptor and replica in one. Sources: Lamport, "Paxos Made Simple"; van Renesse and Altinbuken, "Paxos Made
//! Moderately Complex"; Chandra, Griesemer and Redstone, "Paxos Made Live"; see [`rules`]. What this implementation adds, all
//! deliberate:
//! - A 2a carries values for several slots in a row, and is sent before the leader's own acceptance is durable; it counts then.
//! - That all slots up to some are chosen is told along with each 2a. A node uses that where it accepted in the same ballot; for
//!   the rest it asks for the values, or for a snapshot. A 1b comes in pieces.
//! - A node that hears no leader asks the others whether they do before it begins phase 1.
//! - An acceptor forgets what its snapshot covers and says so in its 1b; a candidate below that catches up first.
//! - A command that came through another node is proposed at most once: see the forward gate.
//! - A node whose disk is gone does not vote until that can do no harm: see [`standing`].
//!
//! [`rules`] holds the safety rules; the other modules do what they allow.

use std::collections::VecDeque;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use self::{
    election::Role,
    learner::Pull,
    reads::{FollowerReads, QuorumReads},
    rules::Rules,
    standing::Standing,
    types::Snapshot,
};
use super::{
    Config, Input, NodeId, Outputs, Protocol, ProtocolKind, ReadMode, RestoreError, Status, Stored, Time, asked::Asked,
    chunks::Arriving, durability::Durability, gate::ForwardGate,
};
use crate::machine::Machine;

mod acceptor;
mod client;
mod election;
mod leader;
mod learner;
mod log;
mod messages;
pub mod mutants;
mod reads;
mod restore;
pub mod rules;
mod snapshot;
pub mod standing;
mod types;

pub use log::{Accepted as AcceptedHere, Cell, Log};
pub use messages::{Accept, Accepted, Forward, Message, Prepare, Promise, Says, SnapshotChunk, StandingReply};
pub use types::{Ballot, Payload, Record, Slot, View, Vote};

/// What a step writes to.
type Out = Outputs<Message, Record>;

/// A node of the cluster.
#[derive(Debug)]
pub struct MultiPaxos {
    config: Config,
    /// The other voters.
    peers: Vec<NodeId>,
    rules: Rules,
    rng: Pcg64,
    now: Time,

    /// The acceptor: no lower ballot is served.
    promised: Ballot,
    /// Whether `promised` changed since it was last put into a record.
    promise_changed: bool,
    /// What was promised before that, and the slot that was asked from: what mutated rules look at.
    promised_before: Ballot,
    asked_from: Slot,
    /// When the proposer of the promised ballot was last heard in phase 1.
    candidate_heard: Option<Time>,
    log: Log,
    /// How many acceptances this life wrote, snapshots included.
    acceptances: u64,
    snapshot: Option<Snapshot>,
    life: u64,
    /// Whether this life was put into a record yet.
    life_recorded: bool,
    durability: Durability<u64>,
    /// The number of this node's disk.
    incarnation: u64,
    standing: Standing,
    /// With leases: until then no other proposer is promised anything, since an earlier life may have granted one.
    no_promise_until: Time,

    /// The replica: everything up to here is chosen, and applied.
    applied: Slot,
    machine: Machine,

    /// The proposer: the highest round seen or used.
    rounds: u64,
    role: Role,
    leader: Option<NodeId>,
    /// The ballot of that leader, or of the last one.
    leader_ballot: Ballot,
    /// When it was last heard.
    leader_heard: Option<Time>,
    election_at: Time,
    /// How far the leader's ballot is accepted here without a gap.
    through: (Ballot, Slot),

    gate: ForwardGate<Ballot>,
    /// Commands that were passed on, each with the leader it went to.
    forwarded: Asked<Ballot, NodeId>,
    follower_reads: FollowerReads,
    quorum_reads: QuorumReads,
    arriving: Option<Arriving<Slot>>,
    pull: Option<Pull>,
    /// Nodes to which the step under way should send what their window allows.
    to_send: VecDeque<NodeId>,
}

impl Protocol for MultiPaxos {
    type Message = Message;
    type Record = Record;

    const KIND: ProtocolKind = ProtocolKind::MultiPaxos;
    const READ_MODES: &'static [ReadMode] = &[ReadMode::Quorum, ReadMode::Log, ReadMode::Lease, ReadMode::QuorumRead];
    const MESSAGE_KINDS: &'static [&'static str] = Message::KINDS;

    fn restore(config: Config, stored: Stored<Record>, now: Time, seed: u64) -> Result<Self, RestoreError> {
        Self::rebuild(config, stored, now, Pcg64::seed_from_u64(seed))
    }

    fn step(&mut self, now: Time, input: Input<Message>, out: &mut Out) {
        assert!(now >= self.now, "the clock of a step never goes back");
        self.now = now;
        if !self.life_recorded {
            self.life_recorded = true;
            self.record(Record::Born(self.incarnation), out);
            self.record(Record::Life(self.life), out);
            self.consider_standing(out);
        }
        match input {
            Input::Tick | Input::WallClock { .. } => {}
            Input::Receive { from, message } => self.receive(from, message, out),
            Input::Client { id, request } => self.on_client(id, request, out),
            Input::Durable(ticket) => self.on_durable(ticket, out),
        }
        self.on_time(out);
        self.finish(out);
    }

    fn status(&self) -> Status {
        let ballot = self.role.ballot().unwrap_or_else(|| self.promised.max(self.leader_ballot));
        Status {
            id: self.config.id,
            role: self.role_name().to_owned(),
            term: ballot.number(),
            leader: self.leader,
            commit: self.applied.0,
            applied: self.applied.0,
            first_index: self.log.base().next().0,
            last_index: self.log.last().0,
            snapshot_index: self.snapshot_slot().0,
            voters: self.config.voters.clone(),
            learners: Vec::new(),
            mutant: self.config.mutant.map(|m| m.id.to_owned()),
            fired: self.rules.fired(),
        }
    }
}

impl MultiPaxos {
    /// What the invariants of Multi-Paxos speak about.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View {
            id: self.config.id,
            promised: self.promised,
            leads: if let Role::Leader(leadership) = &self.role { Some(leadership.ballot) } else { None },
            votes: self.standing.is_fit(),
            snapshot: self.snapshot_slot(),
            log: &self.log,
            durable: self.durability.index(),
            applied: self.applied,
            machine_digest: self.machine.digest(),
            now: self.now,
        }
    }

    /// The role's name, but for a node that must not vote (yet): see [`standing`].
    fn role_name(&self) -> &'static str {
        if matches!(self.role, Role::Follower) && !self.standing.is_fit() { "learner" } else { self.role.name() }
    }

    fn receive(&mut self, from: NodeId, message: Message, out: &mut Out) {
        if !self.peers.contains(&from) || !message.is_countable() {
            return;
        }
        match message {
            Message::Ping { ballot } => self.on_ping(from, ballot, out),
            Message::Pong { ballot, granted, promised } => self.on_pong(from, ballot, granted, promised, out),
            Message::Prepare(m) => self.on_prepare(from, m, out),
            Message::Promise(m) => self.on_promise(from, m, out),
            Message::Accept(m) => self.on_accept(from, m, out),
            Message::Accepted(m) => self.on_accepted(from, m, out),
            Message::Nack { refused, promised } => self.on_nack(refused, promised, out),
            Message::CatchUp { from: slot, have } => self.on_catch_up(from, slot, have, out),
            Message::Chosen { first, values } => self.on_chosen(from, first, values, out),
            Message::SnapshotChunk(m) => self.on_snapshot_chunk(from, m, out),
            Message::TakeOver { ballot } => self.on_take_over(from, ballot, out),
            Message::Forward(m) => self.on_forward(from, m, out),
            Message::ForwardReply { life, id, result } => self.on_forward_reply(from, life, id, result, out),
            Message::ReadIndex { life, id } => self.on_read_index(from, life, id, out),
            Message::ReadIndexReply { life, id, slot } => self.on_read_index_reply(life, id, slot, out),
            Message::AskHighest { life, id } => self.on_ask_highest(from, life, id, out),
            Message::Highest { life, id, slot } => self.on_highest(from, life, id, slot, out),
            Message::Rinse { through } => self.rinse(through, out),
            Message::Hello { incarnation } => self.on_hello(from, incarnation, out),
            Message::Standing(m) => self.on_standing(from, m, out),
            Message::Unfit { ballot, floor } => self.on_unfit(ballot, floor),
        }
    }

    /// What is due at this time, after the input was dealt with: a message that waited while this process was stopped may
    /// still save a leader from a needless phase 1.
    fn on_time(&mut self, out: &mut Out) {
        self.expire_clients(out);
        self.ask_standing_if_due(out);
        match &self.role {
            Role::Leader(_) => self.on_leader_time(out),
            _ if self.now >= self.election_at => self.on_election_timeout(out),
            Role::Candidate(_) => self.ask_again_if_due(out),
            _ => {}
        }
    }

    fn finish(&mut self, out: &mut Out) {
        while let Some(to) = self.to_send.pop_front() {
            self.send_values(to, out);
        }
        self.record_promise(out);
        self.compact_if_due(out);
        // A message that is held back waits for all that was written before it, a compaction that nobody else waits for included.
        out.sync_wanted |= !out.send_when_durable.is_empty();
        if out.persists() {
            self.durability.issue(self.acceptances);
        }
        out.wake_at = self.wake_at();
        self.assert_invariants();
    }

    fn assert_invariants(&self) {
        assert!(self.log.base() <= self.snapshot_slot(), "only what a snapshot covers leaves the log");
        assert!(self.snapshot_slot() <= self.applied, "a snapshot is of what is applied");
        assert!(self.durability.index() <= self.acceptances, "only what was accepted is durable");
        if !self.rules.is_mutated() {
            assert!(self.promised.round <= self.rounds, "a round that was seen is never used again");
            if let Role::Leader(leadership) = &self.role {
                assert_eq!(leadership.ballot, self.promised, "who promised a higher ballot does not lead");
            }
        }
    }

    fn wake_at(&self) -> Time {
        let role = match &self.role {
            Role::Leader(leadership) => leadership.wake_at(),
            Role::Candidate(candidacy) => candidacy.ask_at.min(self.election_at),
            _ => self.election_at,
        };
        [self.client_deadline(), self.standing.ask_at()].into_iter().flatten().fold(role, Time::min)
    }

    /// Sends a message that shows what is promised: at once, or as soon as the promise is durable.
    ///
    /// PMS, section 2.5: "records its intended response in stable storage before actually sending the response".
    fn send(&self, to: NodeId, message: Message, out: &mut Out) {
        if self.promise_changed || !self.durability.covers_hard_state() {
            out.send_when_durable.push((to, message));
        } else {
            out.send.push((to, message));
        }
    }

    fn send_to_all(&self, message: &Message, out: &mut Out) {
        for &peer in &self.peers {
            self.send(peer, message.clone(), out);
        }
    }

    /// Puts a record behind the promise it depends on.
    fn record(&mut self, record: Record, out: &mut Out) {
        self.record_promise(out);
        out.records.push(record);
        out.sync_wanted = true;
    }

    fn record_promise(&mut self, out: &mut Out) {
        if std::mem::take(&mut self.promise_changed) {
            out.records.push(Record::Promise(self.promised));
            out.sync_wanted = true;
            self.durability.hard_state_recorded();
        }
    }

    fn set_promise(&mut self, ballot: Ballot) {
        assert!(ballot >= self.promised, "a promise is never taken back");
        if ballot > self.promised {
            self.promised_before = std::mem::replace(&mut self.promised, ballot);
            self.promise_changed = true;
            self.see(ballot);
        }
    }

    /// No round up to this ballot's is used again.
    fn see(&mut self, ballot: Ballot) {
        self.rounds = self.rounds.max(ballot.round);
    }

    fn after(&self, ns: u64) -> Time {
        Time(self.now.0.saturating_add(ns))
    }

    /// Random in [T, 2T], so that nodes seldom stand at the same time. PMS, section 3, on electing one proposer.
    fn reset_election_timer(&mut self) {
        let shortest = self.config.election_timeout_ns;
        let wait = self.rng.random_range(shortest..=shortest.saturating_mul(2));
        self.election_at = self.after(wait);
    }

    fn quorum(&mut self) -> usize {
        self.rules.quorum(self.config.voters.len())
    }

    fn snapshot_slot(&self) -> Slot {
        self.snapshot.as_ref().map_or(Slot(0), |s| s.slot)
    }

    /// Whether this node may vote, and so take part in anything that a quorum decides.
    fn may_vote(&mut self) -> bool {
        self.rules.may_vote(self.standing.is_fit())
    }
}
