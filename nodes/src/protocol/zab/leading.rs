//! A leader: which phase, and how its history flows to each follower.
//!
//! ```text
//!   CEPOCH        ACK-E            AckNewLeader
//!   ┌─────────┐   ┌──────────┐   ┌─────────────┐    ┌────────┐   gap    ┌───────┐
//!   │ Joining │ ─>│ Promised │ ─>│ Synchronize │ ─> │ Stream │ ───────> │ Probe │ ─> Stream
//!   └─────────┘   └──────────┘   └─────────────┘    └────────┘          └───────┘
//!                                  │  ▲   one message at a time           one message
//!                                  v  │ place is gone: SNAP
//!                                ┌──────────┐
//!                                │ Snapshot │  (from Stream and Probe, too)
//!                                └──────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    Message, Out, Phase, Zab,
    broadcast::Broadcast,
    history::History,
    types::{Epoch, Place, Position},
};
use crate::protocol::{NodeId, Time, chunks::Sending};

/// What only a leader has.
#[derive(Debug)]
pub(super) struct Leading {
    pub stage: Stage,
    pub learners: BTreeMap<NodeId, Learner>,
    since: Time,
    pub ping_at: Time,
}

/// Which phase a leader is in.
#[derive(Debug)]
pub(super) enum Stage {
    /// Phase 1: who said which epoch it has accepted; this server, too.
    Discovery { accepted: BTreeMap<NodeId, Epoch> },
    /// Phase 1: who promised to follow; this server once its own promise is durable.
    Promises { acked: BTreeSet<NodeId> },
    /// Phase 2: who has the whole initial history and the epoch, durably.
    Synchronization {
        /// Where the initial history ends.
        initial: Place,
        acked: BTreeSet<NodeId>,
        /// How many promised, for a mutant to count instead.
        promised: BTreeSet<NodeId>,
    },
    /// Phase 3.
    Broadcast(Box<Broadcast>),
}

/// What a leader knows of a follower.
#[derive(Debug)]
pub(super) struct Learner {
    /// When it last said something.
    heard: Time,
    pub flow: Flow,
    /// Durable there up to here, in this epoch.
    pub matched: Position,
    /// What is sent next stands behind this position.
    pub sent: Position,
}

/// How messages flow to a follower.
#[derive(Debug)]
pub(super) enum Flow {
    /// It wants to follow.
    Joining,
    /// It promised, and has this.
    Promised(Place),
    /// Phase 2: one message at a time, DIFF or at last NEWLEADER.
    Synchronize {
        /// One is on its way.
        is_waiting: bool,
    },
    /// SNAP.
    Snapshot(Sending<Place>),
    /// Phase 3: proposals go out ahead of the answers.
    Stream {
        /// The last position of each message that was not acknowledged.
        in_flight: VecDeque<Position>,
    },
    /// Phase 3, after a gap: one message at a time.
    Probe {
        /// One is on its way.
        is_waiting: bool,
    },
}

impl Leading {
    pub fn new(stage: Stage, now: Time, heartbeat_ns: u64) -> Self {
        Self { stage, learners: BTreeMap::new(), since: now, ping_at: Time(now.0.saturating_add(heartbeat_ns)) }
    }

    /// What is known of this follower.
    pub fn learner(&mut self, id: NodeId) -> &mut Learner {
        self.learners.entry(id).or_insert_with(|| Learner {
            heard: self.since,
            flow: Flow::Joining,
            matched: Position(0),
            sent: Position(0),
        })
    }

    /// The epoch is proposed, so a follower can be told of it.
    pub fn has_epoch(&self) -> bool {
        !matches!(self.stage, Stage::Discovery { .. })
    }
}

impl Learner {
    /// It begins anew. What it has acknowledged is durable there all the same.
    pub fn join(&mut self, now: Time) {
        self.heard = now;
        self.flow = Flow::Joining;
    }

    /// It acknowledged NEWLEADER, and takes proposals.
    pub fn is_synchronized(&self) -> bool {
        matches!(self.flow, Flow::Stream { .. } | Flow::Probe { .. })
    }

    /// Its history ends at this place, or agrees with the leader's no further: so it answered what followed `asked`. Says whether it
    /// lacks more than is kept here, and so needs the snapshot. One answer brings one next message, however often it comes: a doubled
    /// one must not double the stream.
    pub fn on_have(&mut self, history: &History, asked: Position, place: Place) -> bool {
        let base = history.base();
        let agreed = if history.holds(place) { place } else { history.common_below(place.position, place.zxid) };
        let is_gone = place.position < base.position || (agreed == base && place.zxid < base.zxid);
        let (sent, agreed, is_old) = (self.sent, agreed.position, place.position < self.matched);
        match &mut self.flow {
            Flow::Stream { .. } | Flow::Probe { .. } if is_old => return false,
            Flow::Probe { .. } | Flow::Synchronize { .. } if asked != sent => return false,
            Flow::Stream { .. } | Flow::Probe { .. } | Flow::Synchronize { .. } if is_gone => return true,
            Flow::Stream { .. } if agreed < sent => self.flow = Flow::Probe { is_waiting: false },
            Flow::Probe { is_waiting } if agreed < sent => *is_waiting = false,
            Flow::Synchronize { is_waiting } if agreed != sent => *is_waiting = false,
            Flow::Snapshot(sending) if place.position >= sending.id().position => {
                self.flow = Flow::Synchronize { is_waiting: false };
            }
            _ => return false,
        }
        self.sent = agreed;
        false
    }

    /// Its history is the leader's up to here, durably.
    pub fn on_ack(&mut self, upto: Position) {
        self.matched = self.matched.max(upto);
        match &mut self.flow {
            Flow::Stream { in_flight } => {
                while in_flight.front().is_some_and(|&last| last <= self.matched) {
                    in_flight.pop_front();
                }
            }
            Flow::Probe { .. } if self.matched > self.sent => self.stream_from(self.matched),
            _ => {}
        }
        if self.is_synchronized() {
            self.sent = self.sent.max(self.matched);
        }
    }

    /// From now on proposals flow, behind this position.
    pub fn stream_from(&mut self, position: Position) {
        self.flow = Flow::Stream { in_flight: VecDeque::new() };
        self.sent = position;
    }
}

impl Zab {
    pub(super) fn leading(&mut self) -> Option<&mut Leading> {
        if let Phase::Leading(leading) = &mut self.phase { Some(leading) } else { None }
    }

    /// What a leader does as time goes by.
    pub(super) fn on_leading_time(&mut self, out: &mut Out) {
        let (now, heartbeat_ns) = (self.now, self.config.heartbeat_ns);
        let Some(leading) = self.leading() else { return };
        if now < leading.ping_at {
            return;
        }
        leading.ping_at = Time(now.0.saturating_add(heartbeat_ns));
        if !self.hears_quorum() {
            return self.give_up(out);
        }
        self.ping_all(out);
        self.resend_chunks(out);
    }

    /// Without a quorum of followers that live, a leader gives up (Zab1.0). Nothing rests on this; reads prove leadership themselves.
    fn hears_quorum(&mut self) -> bool {
        let window = self.config.election_timeout_ns.saturating_mul(2);
        let now = self.now.0;
        let quorum = self.rules.quorum(self.config.voters.len());
        let Some(leading) = self.leading() else { return false };
        if now - leading.since.0 < window {
            return true;
        }
        let heard = leading.learners.values().filter(|learner| now - learner.heard.0 < window).count();
        heard + 1 >= quorum
    }

    /// A sign of life for every follower; and whatever waits for an answer goes out again.
    fn ping_all(&mut self, out: &mut Out) {
        let (epoch, commit) = (self.epochs.accepted, self.commit);
        let Phase::Leading(leading) = &mut self.phase else { return };
        if !leading.has_epoch() {
            return;
        }
        let mut pings = Vec::new();
        for (&id, learner) in &mut leading.learners {
            match &mut learner.flow {
                Flow::Joining => {
                    pings.push((id, Message::NewEpoch { epoch }));
                    continue;
                }
                Flow::Synchronize { is_waiting } | Flow::Probe { is_waiting } => {
                    *is_waiting = false;
                    self.to_feed.push_back(id);
                }
                Flow::Promised(_) | Flow::Snapshot(_) | Flow::Stream { .. } => {}
            }
            let sent = if learner.is_synchronized() { learner.sent } else { Position(0) };
            pings.push((id, Message::Ping { epoch, sent, commit }));
        }
        for (id, ping) in pings {
            self.send(id, ping, out);
        }
    }

    /// A message that only a follower of an epoch sends to its leader.
    pub(super) fn on_followers_message(&mut self, from: NodeId, epoch: Epoch, message: Message, out: &mut Out) {
        let (now, last) = (self.now, self.history.last());
        if epoch != self.epochs.accepted || self.epochs.accepted_from != Some(self.config.id) {
            return;
        }
        let Phase::Leading(leading) = &mut self.phase else { return };
        if !leading.has_epoch() {
            return;
        }
        leading.learner(from).heard = now;
        match message {
            Message::AckEpoch { recency, last, .. } => self.on_ack_epoch(from, recency, last, out),
            Message::Have { asked, place, .. } => self.on_have(from, asked, place, out),
            Message::HaveChunk { place, offset, .. } => self.on_have_chunk(from, place, offset, out),
            Message::AckNewLeader { last, .. } => self.on_ack_new_leader(from, last, out),
            Message::Ack { upto, .. } if upto <= last.position => self.on_ack(from, upto, out),
            Message::Pong { upto, is_up_to_date, .. } if upto <= last.position => {
                self.on_pong(from, upto, is_up_to_date, out);
            }
            _ => {}
        }
        self.feed_soon(from);
    }

    fn on_have(&mut self, from: NodeId, asked: Position, place: Place, out: &mut Out) {
        let Phase::Leading(leading) = &mut self.phase else { return };
        if leading.learner(from).on_have(&self.history, asked, place) {
            self.begin_snapshot(from, out);
        }
    }

    /// The step under way sends this follower what its window allows.
    pub(super) fn feed_soon(&mut self, id: NodeId) {
        if !self.to_feed.contains(&id) {
            self.to_feed.push_back(id);
        }
    }

    /// Sends what the follower's window allows.
    pub(super) fn feed(&mut self, to: NodeId, out: &mut Out) {
        while let Some(message) = self.next_message(to, out) {
            self.send(to, message, out);
        }
    }

    fn next_message(&mut self, to: NodeId, out: &mut Out) -> Option<Message> {
        let Phase::Leading(leading) = &mut self.phase else { return None };
        let learner = leading.learners.get_mut(&to)?;
        let last = self.history.last().position;
        let is_due = match &learner.flow {
            Flow::Synchronize { is_waiting } => !is_waiting,
            Flow::Probe { is_waiting } => !is_waiting && learner.sent < last,
            Flow::Stream { in_flight } => learner.sent < last && in_flight.len() < self.config.max_inflight,
            Flow::Joining | Flow::Promised(_) | Flow::Snapshot(_) => false,
        };
        if !is_due {
            return None;
        }
        let Some(zxid) = self.history.zxid_at(learner.sent) else {
            self.begin_snapshot(to, out);
            return None;
        };
        let after = Place { position: learner.sent, zxid };
        if let Flow::Synchronize { is_waiting } = &mut learner.flow {
            *is_waiting = true;
            return self.next_of_phase_2(after);
        }
        let batch = self.batch_after(after);
        let sent = Position(after.position.0 + batch.proposals.len() as u64);
        let learner = self.leading()?.learners.get_mut(&to)?;
        match &mut learner.flow {
            Flow::Probe { is_waiting } => *is_waiting = true,
            Flow::Stream { in_flight } => {
                in_flight.push_back(sent);
                learner.sent = sent;
            }
            _ => {}
        }
        Some(Message::Propose(batch))
    }

    /// This leadership is over: back to phase 0. What was outstanding is forgotten, and what becomes of it is not known here.
    pub(super) fn give_up(&mut self, out: &mut Out) {
        let Phase::Leading(leading) = &mut self.phase else { return };
        let stage = std::mem::replace(&mut leading.stage, Stage::Promises { acked: BTreeSet::new() });
        if let Stage::Broadcast(broadcast) = stage {
            self.abandon_clients(*broadcast, out);
        }
        self.look_for_leader(out);
    }
}
