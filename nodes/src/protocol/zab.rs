//! Zab: the atomic broadcast of ZooKeeper. A leader works out transactions and broadcasts them; a new one first makes sure that a
//! quorum has the most recent history.
//!
//! ```text
//!             phase 0           phase 1                  phase 2                       phase 3
//!            ┌─────────┐ votes ┌───────────┐ NEWEPOCH,  ┌─────────────────┐ NEWLEADER ┌───────────┐
//!   start ──>│ Looking │ ────> │ Discovery │ ACK-E by a │ Synchronization │ acked by  │ Broadcast │
//!            └─────────┘       └───────────┘   quorum   └─────────────────┘ a quorum  └───────────┘
//!                 ^                  │                           │                          │
//!                 └──────────────────┴───────────────────────────┴──────────────────────────┘
//!                  no leader for T, no quorum of followers for 2T, or a more recent history than the leader's
//! ```
//!
//! Sources: Junqueira, Reed and Serafini, "Zab: High-performance broadcast for primary-backup systems" (DSN 2011), and "Zab1.0", the
//! protocol as ZooKeeper runs it. Deviations, all deliberate:
//! - The paper assumes channels that lose nothing and keep the order, and goes back to phase 0 with a lost connection. Here each
//!   message that adds to a history names the place behind which it belongs. What comes twice is passed over; what would leave a gap
//!   is refused, and the leader goes on from where the follower is: a resynchronization within the epoch. So no rule rests on order.
//! - A position counts the transactions through all epochs, beside the zxid: it shows gaps, and names sessions.
//! - A leader in whose quorum somebody has a more recent history gives up (Zab1.0), instead of fetching that (the paper).
//! - A leader sends a proposal before it is durable on its own disk, and counts itself once it is.
//! - One log holds history and epochs, so "history first, then currentEpoch" is the order of its records, and one sync serves both.
//! - A reader gets a `sync` through the broadcast before it; one serves all readers that came before it was proposed.
//! - A leader gives up when a follower has accepted a later epoch, or the same from another leader: it could never join.
//! - Leadership is not handed over on request: phase 0 chooses, and a leader that gave up might be chosen again.
//!
//! [`rules`] holds the safety rules; the other modules do what they allow.

use std::collections::VecDeque;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use self::{
    election::Looking,
    following::Following,
    history::History,
    leading::{Leading, Stage},
    reads::FollowerReads,
    rules::Rules,
    types::Snapshot,
};
use super::{
    Config, Input, NodeId, Outputs, Protocol, ProtocolKind, ReadMode, RestoreError, Status, Stored, Time, asked::Asked,
    chunks::Arriving, durability::Durability, gate::ForwardGate,
};
use crate::machine::{Command, Machine};

mod broadcast;
mod client;
mod discovery;
mod election;
mod following;
mod history;
mod leading;
mod messages;
pub mod mutants;
mod reads;
mod restore;
pub mod rules;
mod snapshot;
mod sync;
mod types;

pub use messages::{Batch, Forward, Message, Notification, SnapshotChunk};
pub use types::{Epoch, Epochs, Payload, Place, Position, Proposal, Recency, Record, View, Vote, Zxid};

/// What a step writes to.
type Out = Outputs<Message, Record>;

/// Which phase a server is in, with the data that only then makes sense.
#[derive(Debug)]
enum Phase {
    /// Phase 0.
    Looking(Looking),
    /// Phases 1 to 3, as leader.
    Leading(Box<Leading>),
    /// Phases 1 to 3, as follower.
    Following(Following),
}

/// A server of the cluster.
#[derive(Debug)]
pub struct Zab {
    config: Config,
    /// The other servers.
    peers: Vec<NodeId>,
    rules: Rules,
    rng: Pcg64,
    now: Time,

    epochs: Epochs,
    /// The epochs as the disk is to hold them.
    recorded: Epochs,
    /// Whether `recorded` changed since it was last put into a record.
    epochs_changed: bool,
    history: History,
    snapshot: Option<Snapshot>,
    life: u64,
    /// Whether this life was put into a record yet.
    life_recorded: bool,
    durability: Durability<Position>,

    machine: Machine,
    commit: Position,
    applied: Position,

    phase: Phase,
    /// The newest round of election seen.
    round: u64,

    gate: ForwardGate<Epoch>,
    /// Commands that were passed on, each with the leader it went to.
    forwarded: Asked<Epoch, NodeId>,
    follower_reads: FollowerReads,
    arriving: Option<Arriving<Place>>,
    /// Followers to which the step under way should send what their window allows.
    to_feed: VecDeque<NodeId>,
    /// See [`View::prepared`].
    prepared: Vec<(Position, Command)>,
}

impl Protocol for Zab {
    type Message = Message;
    type Record = Record;

    const KIND: ProtocolKind = ProtocolKind::Zab;
    const READ_MODES: &'static [ReadMode] = &[ReadMode::Quorum, ReadMode::Local];
    const MESSAGE_KINDS: &'static [&'static str] = Message::KINDS;

    fn restore(config: Config, stored: Stored<Record>, now: Time, seed: u64) -> Result<Self, RestoreError> {
        Self::rebuild(config, stored, now, Pcg64::seed_from_u64(seed))
    }

    fn step(&mut self, now: Time, input: Input<Message>, out: &mut Out) {
        assert!(now >= self.now, "the clock of a step never goes back");
        self.now = now;
        self.prepared.clear();
        if !self.life_recorded {
            self.life_recorded = true;
            self.record(Record::Life(self.life), out);
            self.look_for_leader(out);
        }
        match input {
            Input::Receive { from, message } => self.receive(from, message, out),
            Input::Client { id, request } => self.on_client(id, request, out),
            Input::Durable(ticket) => {
                self.durability.confirm(ticket);
                self.on_own_progress(out);
            }
            Input::Tick | Input::WallClock { .. } => {}
        }
        self.on_time(out);
        self.finish(out);
    }

    /// `leader` is a role only in phase 3; before it a leader counts as a candidate, and so does whoever looks for one. `term` is the
    /// epoch accepted. Indexes are positions: they count the transactions through all epochs.
    fn status(&self) -> Status {
        Status {
            id: self.config.id,
            role: self.role().to_owned(),
            term: u64::from(self.epochs.accepted.0),
            leader: self.leader(),
            commit: self.commit.0,
            applied: self.applied.0,
            first_index: self.history.base().position.next().0,
            last_index: self.history.last().position.0,
            snapshot_index: self.snapshot.as_ref().map_or(0, |s| s.place.position.0),
            voters: self.config.voters.clone(),
            learners: Vec::new(),
            mutant: self.config.mutant.map(|m| m.id.to_owned()),
            fired: self.rules.fired(),
        }
    }
}

impl Zab {
    /// What the invariants of Zab speak about.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View {
            id: self.config.id,
            epochs: self.epochs,
            is_leader: self.leader() == Some(self.config.id),
            base: self.history.base(),
            history: self.history.kept(),
            commit: self.commit,
            applied: self.applied,
            machine_digest: self.machine.digest(),
            prepared: &self.prepared,
            now: self.now,
        }
    }

    fn role(&self) -> &'static str {
        match &self.phase {
            Phase::Leading(leading) if matches!(leading.stage, Stage::Broadcast(_)) => "leader",
            Phase::Following(_) => "follower",
            Phase::Looking(_) | Phase::Leading(_) => "candidate",
        }
    }

    /// Whose clients' requests are served here and now: those of a server for which phase 2 is complete.
    fn leader(&self) -> Option<NodeId> {
        match &self.phase {
            Phase::Leading(leading) if matches!(leading.stage, Stage::Broadcast(_)) => Some(self.config.id),
            Phase::Following(following) if following.is_up_to_date() => Some(following.leader),
            _ => None,
        }
    }

    /// How recent this server's history is.
    fn recency(&self) -> Recency {
        Recency { epoch: self.epochs.current, zxid: self.history.last().zxid }
    }

    fn receive(&mut self, from: NodeId, message: Message, out: &mut Out) {
        if !self.peers.contains(&from) || !message.is_countable() {
            return;
        }
        if let Some(epoch) = message.leaders_epoch() {
            return self.on_leaders_message(from, epoch, message, out);
        }
        if let Some(epoch) = message.followers_epoch() {
            return self.on_followers_message(from, epoch, message, out);
        }
        match message {
            Message::Notification(m) => self.on_notification(from, m, out),
            Message::FollowerInfo { accepted, from: of } => self.on_follower_info(from, accepted, of, out),
            Message::NewEpoch { epoch } => self.on_new_epoch(from, epoch, out),
            Message::Forward(m) => self.on_forward(from, m, out),
            Message::ForwardReply { life, id, result } => self.on_forward_reply(from, life, id, result, out),
            Message::Sync { life, id } => self.on_sync(from, life, id, out),
            Message::SyncReply { life, id, upto } => self.on_sync_reply(life, id, upto, out),
            _ => unreachable!("every other message names the epoch of a leader"),
        }
    }

    /// What is due at this time, after the input was dealt with: a message that waited while this process was stopped may
    /// still save a leader from giving up.
    fn on_time(&mut self, out: &mut Out) {
        self.expire_clients(out);
        match &self.phase {
            Phase::Looking(_) => self.on_looking_time(out),
            Phase::Leading(_) => self.on_leading_time(out),
            Phase::Following(_) => self.on_following_time(out),
        }
    }

    fn finish(&mut self, out: &mut Out) {
        while let Some(to) = self.to_feed.pop_front() {
            self.feed(to, out);
        }
        self.record_epochs(out);
        self.compact_if_due(out);
        // A message that is held back waits for all that was written before it, a compaction that nobody else waits for included.
        out.sync_wanted |= !out.send_when_durable.is_empty();
        if out.persists() {
            self.durability.issue(self.history.last().position);
        }
        out.wake_at = self.wake_at();
        self.assert_invariants();
    }

    fn assert_invariants(&self) {
        let last = self.history.last();
        self.rules.must(self.epochs.accepted >= self.epochs.current, "an epoch is accepted before it is followed");
        self.rules.must(self.applied <= self.commit, "only what is committed is applied");
        self.rules.must(self.commit <= last.position, "only what is in the history is committed");
        self.rules.must(self.history.base().position <= self.applied, "only what is applied leaves the history");
        self.rules.must(last.zxid.epoch <= self.epochs.accepted, "no transaction is of an epoch not yet accepted");
    }

    fn wake_at(&self) -> Time {
        let phase = match &self.phase {
            Phase::Looking(looking) => looking.wake_at(),
            Phase::Leading(leading) => leading.ping_at,
            Phase::Following(following) => following.wake_at(),
        };
        self.client_deadline().map_or(phase, |at| at.min(phase))
    }

    /// Sends a message that shows the epochs: at once, or as soon as they are durable.
    fn send(&self, to: NodeId, message: Message, out: &mut Out) {
        if self.epochs_are_durable() {
            out.send.push((to, message));
        } else {
            out.send_when_durable.push((to, message));
        }
    }

    fn epochs_are_durable(&self) -> bool {
        !self.epochs_changed && self.durability.covers_hard_state()
    }

    /// Puts a record behind the epochs it depends on.
    fn record(&mut self, record: Record, out: &mut Out) {
        self.record_epochs(out);
        out.records.push(record);
        out.sync_wanted = true;
    }

    fn record_epochs(&mut self, out: &mut Out) {
        if std::mem::take(&mut self.epochs_changed) {
            out.records.push(Record::Epochs(self.recorded));
            out.sync_wanted = true;
            self.durability.hard_state_recorded();
        }
    }

    fn set_epochs(&mut self, epochs: Epochs) {
        assert!(epochs.accepted >= self.epochs.accepted, "acceptedEpoch never falls");
        self.rules.must(epochs.current >= self.epochs.current, "currentEpoch never falls");
        self.epochs = epochs;
        let recorded = self.rules.recorded(epochs);
        self.epochs_changed |= recorded != self.recorded;
        self.recorded = recorded;
    }

    /// Adds to the end of the history, on disk too; whoever waits for that asks for the sync.
    fn append(&mut self, proposal: Proposal, out: &mut Out) {
        let last = self.history.last().zxid;
        self.rules.must(follows(last, proposal.zxid), "zxids ascend, and those of an epoch without a gap");
        self.record_epochs(out);
        out.records.push(Record::Proposal(proposal.clone()));
        self.history.push(proposal);
    }

    fn after(&self, ns: u64) -> Time {
        Time(self.now.0.saturating_add(ns))
    }

    /// Random in [T, 2T].
    fn random_timeout(&mut self) -> Time {
        let shortest = self.config.election_timeout_ns;
        let wait = self.rng.random_range(shortest..=shortest.saturating_mul(2));
        self.after(wait)
    }
}

/// Whether one transaction may come right after another: the next of its epoch, or the first of a later one.
fn follows(before: Zxid, next: Zxid) -> bool {
    match next.epoch.cmp(&before.epoch) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => before.counter.checked_add(1) == Some(next.counter),
        std::cmp::Ordering::Greater => next.counter == 1,
    }
}
