//! Raft: leader election, log replication, linearizable reads, snapshots, leadership transfer.
//!
//! ```text
//!                 timeout                 quorum of pre-votes          quorum of votes
//!   ┌──────────┐ ────────> ┌──────────────┐ ────────────> ┌───────────┐ ────────> ┌────────┐
//!   │ Follower │           │ PreCandidate │  term+1, vote │ Candidate │   no-op   │ Leader │
//!   └──────────┘           └──────────────┘  for self,    └───────────┘           └────────┘
//!        ^                        │          durable            │                      │
//!        └────────────────────────┴─────────────────────────────┴──────────────────────┘
//!            a later term, a leader of this term, or (leader) no answer from a quorum for T
//! ```
//!
//! Source: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (extended version; "the paper"), and Ongaro,
//! "Consensus: Bridging Theory and Practice" ("the dissertation"). Deviations, all deliberate:
//! - Pre-vote, check-quorum and sticky voters are always on (dissertation, sections 6.2, 9.6, 4.2.3); a leader that an answer of
//!   a later term reaches still steps down, so a server that was away with a higher term gets heard.
//! - A rejected append carries the conflicting term and its first index (paper, end of section 5.3).
//! - A leader sends entries before they are durable on its own disk, and counts itself once they are (dissertation, 10.2.1).
//! - A snapshot leaves some entries before it in the log, for followers that lag a little.
//! - A change of members goes one voter at a time where that suffices, and through a joint configuration where not (dissertation,
//!   4.1 to 4.3), one at a time, and only once an entry of the leader's own term is committed (Ongaro's correction of 2015).
//! - A command that came through another server is put into the log at most once, without help of the replicated state: it names
//!   the term in which its receiver leads, and is taken only in that leadership, which lies within one life of one process; there
//!   a window of seen names (the forward gate) drops the second copy. So a definite refusal stays true whatever the network doubles or delays.
//!
//! [`rules`] holds the safety rules; the other modules do what they allow.

use std::collections::{BTreeMap, VecDeque};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use self::{election::Role, log::Log, membership::Memberships, reads::FollowerReads, rules::Rules};
use super::{
    Config, Input, NodeId, Outputs, Protocol, ProtocolKind, ReadMode, RestoreError, Status, Stored, Time, asked::Asked,
    chunks::Arriving, durability::Durability, gate::ForwardGate,
};
use crate::machine::Machine;

mod change;
mod client;
mod election;
mod log;
mod membership;
mod messages;
pub mod mutants;
mod reads;
mod replication;
mod restore;
pub mod rules;
mod snapshot;
mod types;

pub use membership::Membership;
pub use messages::{Append, AppendOutcome, AppendReply, Forward, Message, RequestVote, SnapshotChunk, VoteReply};
pub use types::{Entry, HardState, LogIndex, Payload, Record, Term, View};

/// What a step writes to.
type Out = Outputs<Message, Record>;

/// A server of the cluster.
#[derive(Debug)]
pub struct Raft {
    config: Config,
    memberships: Memberships,
    rules: Rules,
    rng: Pcg64,
    now: Time,

    hard: HardState,
    /// Whether `hard` changed since it was last put into a record.
    hard_changed: bool,
    log: Log,
    snapshot: Option<types::Snapshot>,
    life: u64,
    /// Whether this life was put into a record yet.
    life_recorded: bool,
    /// The vote in the last record of term and vote.
    vote_recorded: Option<NodeId>,
    durability: Durability<LogIndex>,

    machine: Machine,
    commit: LogIndex,
    applied: LogIndex,

    role: Role,
    leader: Option<NodeId>,
    /// When a leader of the current term was last heard.
    leader_heard: Option<Time>,
    election_at: Time,
    /// With leases: before this, it may hear a leader of its last life, whom it promised not to vote against.
    votes_from: Time,
    /// How far the followers' logs matched when this server last led. Only a wrong rule looks at it.
    former_matches: BTreeMap<NodeId, LogIndex>,
    /// How far the wall clock is off, nanoseconds. Only a wrong rule looks at it.
    wall_offset_ns: i64,

    gate: ForwardGate<Term>,
    /// Commands that were passed on, each with the leader it went to.
    forwarded: Asked<Term, NodeId>,
    follower_reads: FollowerReads,
    arriving: Option<Arriving<(LogIndex, Term)>>,
    /// Followers to which the step under way should send what their window allows.
    to_replicate: VecDeque<NodeId>,
}

impl Protocol for Raft {
    type Message = Message;
    type Record = Record;

    const KIND: ProtocolKind = ProtocolKind::Raft;
    const READ_MODES: &'static [ReadMode] = &[ReadMode::Quorum, ReadMode::Lease];
    const MESSAGE_KINDS: &'static [&'static str] = Message::KINDS;

    fn restore(config: Config, stored: Stored<Record>, now: Time, seed: u64) -> Result<Self, RestoreError> {
        Self::rebuild(config, stored, now, Pcg64::seed_from_u64(seed))
    }

    fn step(&mut self, now: Time, input: Input<Message>, out: &mut Out) {
        assert!(now >= self.now, "the clock of a step never goes back");
        self.now = now;
        if !self.life_recorded {
            self.life_recorded = true;
            self.record(Record::Life(self.life), out);
        }
        match input {
            Input::Tick => {}
            Input::Receive { from, message } => self.receive(from, message, out),
            Input::Client { id, request } => self.on_client(id, request, out),
            Input::Durable(ticket) => self.on_durable(ticket, out),
            Input::WallClock { offset_ns } => self.wall_offset_ns = offset_ns,
        }
        self.on_time(out);
        self.finish(out);
    }

    fn status(&self) -> Status {
        Status {
            id: self.config.id,
            role: self.role.name().to_owned(),
            term: self.hard.term.0,
            leader: self.leader,
            commit: self.commit.0,
            applied: self.applied.0,
            first_index: self.log.base().0.next().0,
            last_index: self.log.last_index().0,
            snapshot_index: self.snapshot.as_ref().map_or(0, |s| s.index.0),
            voters: self.memberships.in_force().all_voters().into_iter().collect(),
            learners: self.memberships.in_force().learners.clone(),
            mutant: self.config.mutant.map(|m| m.id.to_owned()),
            fired: self.rules.fired() + self.machine.repeats(),
        }
    }
}

impl Raft {
    /// What the invariants of Raft speak about.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View {
            id: self.config.id,
            term: self.hard.term,
            is_leader: matches!(self.role, Role::Leader(_)),
            voted_for: self.hard.voted_for,
            snapshot: self.log.base(),
            entries: self.log.entries(),
            membership: self.memberships.in_force(),
            commit: self.commit,
            applied: self.applied,
            machine_digest: self.machine.digest(),
            now: self.now,
        }
    }

    fn receive(&mut self, from: NodeId, message: Message, out: &mut Out) {
        if from == self.config.id || !self.config.nodes.contains(&from) || !message.is_countable() {
            return;
        }
        match message {
            Message::RequestVote(m) => self.on_request_vote(from, m, out),
            Message::VoteReply(m) => self.on_vote_reply(from, m, out),
            Message::Append(m) => self.on_append(from, m, out),
            Message::AppendReply(m) => self.on_append_reply(from, m, out),
            Message::SnapshotChunk(m) => self.on_snapshot_chunk(from, m, out),
            Message::TimeoutNow { term } => self.on_timeout_now(from, term, out),
            Message::Forward(m) => self.on_forward(from, m, out),
            Message::ForwardReply { life, id, result } => self.on_forward_reply(from, life, id, result, out),
            Message::ReadIndex { life, id } => self.on_read_index(from, life, id, out),
            Message::ReadIndexReply { life, id, index } => self.on_read_index_reply(life, id, index, out),
        }
    }

    /// What is due at this time, after the input was dealt with: a message that waited while this process was stopped may
    /// still save a leader from a needless election.
    fn on_time(&mut self, out: &mut Out) {
        self.expire_clients(out);
        match &self.role {
            Role::Leader(_) => self.on_leader_time(out),
            _ if self.now >= self.election_at => self.on_election_timeout(out),
            _ => self.ask_again_if_due(out),
        }
    }

    fn finish(&mut self, out: &mut Out) {
        self.apply(out);
        while let Some(to) = self.to_replicate.pop_front() {
            self.replicate(to, out);
        }
        self.record_hard_state(out);
        self.compact_if_due(out);
        // A message that is held back waits for all that was written before it, a compaction that nobody else waits for included.
        out.sync_wanted |= !out.send_when_durable.is_empty();
        if out.persists() {
            self.durability.issue(self.log.last_index());
        }
        out.wake_at = self.wake_at();
        self.assert_invariants();
    }

    fn assert_invariants(&self) {
        assert!(self.commit <= self.log.last_index(), "only what is in the log is committed");
        assert!(self.durability.index() <= self.log.last_index(), "only what is in the log is durable in it");
        // What a mutant may break without harm to this process; its harm is to show to clients.
        let mutated = self.rules.is_mutated();
        assert!(mutated || self.applied <= self.commit, "only what is committed is applied");
        assert!(mutated || self.log.base().0 <= self.applied, "only what is applied leaves the log");
        assert!(mutated || self.log.last_term() <= self.hard.term, "no entry is of a term not yet seen");
    }

    fn wake_at(&self) -> Time {
        let role = match &self.role {
            Role::Leader(leadership) => leadership.wake_at(),
            Role::Follower => self.election_at,
            Role::PreCandidate { ask_again_at, .. } | Role::Candidate { ask_again_at, .. } => {
                self.election_at.min(*ask_again_at)
            }
        };
        self.client_deadline().map_or(role, |at| at.min(role))
    }

    /// Sends a message that shows the current term: at once, or as soon as that term is durable.
    ///
    /// Paper, Figure 2, "Persistent state … updated on stable storage before responding to RPCs".
    fn send(&self, to: NodeId, message: Message, out: &mut Out) {
        if self.hard_state_is_durable() {
            out.send.push((to, message));
        } else {
            out.send_when_durable.push((to, message));
        }
    }

    fn hard_state_is_durable(&self) -> bool {
        !self.hard_changed && self.durability.covers_hard_state()
    }

    /// Puts a record behind the hard state it depends on.
    fn record(&mut self, record: Record, out: &mut Out) {
        self.record_hard_state(out);
        out.records.push(record);
        out.sync_wanted = true;
    }

    fn record_hard_state(&mut self, out: &mut Out) {
        if std::mem::take(&mut self.hard_changed) {
            let hard = self.rules.recorded_hard_state(self.hard, self.vote_recorded);
            out.records.push(Record::HardState(hard));
            out.sync_wanted = true;
            self.durability.hard_state_recorded();
            self.vote_recorded = hard.voted_for;
        } else if self.vote_recorded != self.hard.voted_for {
            // Only a wrong rule leaves the vote to a later step.
            out.records.push(Record::HardState(self.hard));
            self.vote_recorded = self.hard.voted_for;
        }
    }

    fn set_hard_state(&mut self, hard: HardState) {
        assert!(hard.term >= self.hard.term, "the term never falls");
        if hard != self.hard {
            self.hard = hard;
            self.hard_changed = true;
        }
    }

    fn after(&self, ns: u64) -> Time {
        Time(self.now.0.saturating_add(ns))
    }

    /// Random in [T, 2T]: paper, section 5.2.
    fn reset_election_timer(&mut self) {
        let shortest = self.config.election_timeout_ns;
        let wait = self.rng.random_range(shortest..=shortest.saturating_mul(2));
        self.election_at = self.after(wait);
    }
}
