//! Phase 3: transactions are proposed, acknowledged once they are durable, and committed in order. DSN 2011, section IV-A.
//!
//! ```text
//!   command ──> prepare ──> PROPOSE ──> history, disk ──> ACK ──┐
//!               (state with all       (followers; the leader    │ a quorum
//!                that is outstanding)  itself, too)             v
//!   answer <── apply <────────────────────── COMMIT <── in the order of the zxids
//! ```

use std::collections::VecDeque;

use super::{
    Batch, Message, Out, Payload, Phase, Proposal, Zab, Zxid,
    client::Waiting,
    leading::Stage,
    reads::LeaderReads,
    rules::Origin,
    sync::is_well_formed,
    types::{Epoch, Position},
};
use crate::{
    machine::Machine,
    protocol::{NodeId, quorum},
};

/// What only a leader in phase 3 has.
#[derive(Debug)]
pub(super) struct Broadcast {
    /// The state with all that is proposed.
    pub outstanding: Machine,
    /// Transactions in order, whose clients wait.
    pub waiting: VecDeque<Waiting>,
    pub reads: LeaderReads,
    counter: u32,
}

impl Phase {
    /// What a leader in phase 3 has.
    pub(super) fn broadcast(&mut self) -> Option<&mut Broadcast> {
        match self {
            Self::Leading(leading) => match &mut leading.stage {
                Stage::Broadcast(broadcast) => Some(broadcast),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Zab {
    /// Phase 2 is complete: the initial history is committed. DSN 2011, step l.2.2.
    pub(super) fn start_phase_3(&mut self, initial: Position, out: &mut Out) {
        if self.commit < initial {
            self.commit_to(initial, out);
        }
        let outstanding = self.machine.clone();
        let Phase::Leading(leading) = &mut self.phase else { return };
        let broadcast = Broadcast { outstanding, waiting: VecDeque::new(), reads: LeaderReads::default(), counter: 0 };
        leading.stage = Stage::Broadcast(Box::new(broadcast));
        let synchronized: Vec<NodeId> =
            leading.learners.iter().filter(|(_, learner)| learner.is_synchronized()).map(|(&id, _)| id).collect();
        for id in synchronized {
            self.say_up_to_date(id, out);
        }
        self.give_up_on_earlier_leaders(out);
        self.gate.open(self.epochs.accepted);
    }

    pub(super) fn broadcasting(&mut self) -> Option<&mut Broadcast> {
        self.phase.broadcast()
    }

    /// Proposes the next transaction of this epoch. None when the counter is used up: then a new epoch is forced.
    pub(super) fn propose(&mut self, payload: Payload, out: &mut Out) -> Option<Position> {
        let epoch = self.epochs.accepted;
        let broadcast = self.broadcasting()?;
        let Some(counter) = broadcast.counter.checked_add(1) else {
            self.give_up(out);
            return None;
        };
        broadcast.counter = counter;
        self.append(Proposal { zxid: Zxid { epoch, counter }, payload }, out);
        out.sync_wanted = true;
        for at in 0..self.peers.len() {
            self.feed_soon(self.peers[at]);
        }
        Some(self.history.last().position)
    }

    /// PROPOSE and COMMIT, from the leader of the epoch.
    pub(super) fn on_broadcast(&mut self, from: NodeId, message: Message, out: &mut Out) {
        let is_mine = self.following().is_some_and(|following| following.leader == from);
        if is_mine {
            self.hear_leader();
        }
        match message {
            Message::Propose(batch) => self.on_propose(from, batch, out),
            Message::Commit { upto, .. } => self.commit_as_told(upto, out),
            _ => unreachable!("the caller looked"),
        }
    }

    fn on_propose(&mut self, from: NodeId, batch: Batch, out: &mut Out) {
        if !is_well_formed(&batch) {
            return;
        }
        let (epoch, after) = (batch.epoch, batch.after);
        if after.position >= self.history.base().position && !self.history.holds(after) {
            let is_gap = after.position > self.history.last().position;
            self.rules.must(is_gap, "a synchronized history is the leader's, as far as it goes");
            let place = self.history.common_below(after.position, after.zxid);
            return self.send(from, Message::Have { epoch, asked: after.position, place }, out);
        }
        let upto = self.take(batch, false, out);
        self.acknowledge(from, epoch, upto, out);
    }

    /// ACK, once it is durable. What came by a DIFF, or came before, may be in the history and still on its way to the disk.
    fn acknowledge(&mut self, to: NodeId, epoch: Epoch, upto: Position, out: &mut Out) {
        let message = Message::Ack { epoch, upto };
        if self.rules.may_ack(upto, self.durability.index()) {
            self.send(to, message, out);
        } else {
            out.sync_wanted = true;
            out.send_when_durable.push((to, message));
        }
    }

    /// The leader lives; and what it says may show that something was lost.
    pub(super) fn on_ping(&mut self, from: NodeId, sent: Position, commit: Position, out: &mut Out) {
        let (epoch, last) = (self.epochs.accepted, self.history.last());
        let is_mine = Origin { is_my_leader: true, epoch };
        if !super::rules::is_of_this_epoch(is_mine, &self.epochs) {
            // In phase 2 the leader asks again by itself.
            return;
        }
        if sent > last.position {
            return self.send(from, Message::Have { epoch, asked: sent, place: last }, out);
        }
        let is_up_to_date = self.leader().is_some();
        if is_up_to_date {
            self.commit_as_told(commit, out);
        }
        let upto = self.durability.index();
        if upto < sent {
            // It came, and the ACK was lost, or nothing asked for one: then nothing asked for a sync either.
            self.acknowledge(from, epoch, sent, out);
        }
        self.send(from, Message::Pong { epoch, upto, is_up_to_date }, out);
    }

    pub(super) fn on_pong(&mut self, from: NodeId, upto: Position, is_up_to_date: bool, out: &mut Out) {
        self.on_ack(from, upto, out);
        if !is_up_to_date && self.broadcasting().is_some() {
            self.say_up_to_date(from, out);
        }
    }

    /// ACK.
    pub(super) fn on_ack(&mut self, from: NodeId, upto: Position, out: &mut Out) {
        let Some(leading) = self.leading() else { return };
        leading.learner(from).on_ack(upto);
        self.advance_commit(out);
    }

    /// Commits what a quorum has. DSN 2011, step l.3.2: in the order of the zxids, for what is acknowledged is a beginning of the
    /// history.
    pub(super) fn advance_commit(&mut self, out: &mut Out) {
        let (own, epoch) = (self.durability.index(), self.epochs.accepted);
        let voters = self.config.voters.len();
        let quorum = self.rules.quorum(voters);
        let Phase::Leading(leading) = &self.phase else { return };
        let Stage::Broadcast(_) = &leading.stage else { return };
        let mut reached: Vec<Position> = leading.learners.values().map(|learner| learner.matched).collect();
        reached.push(own);
        let farthest = reached.iter().copied().max().unwrap_or_default();
        reached.resize(voters, Position(0));
        let reached = quorum::reached_by(&mut reached, quorum);
        if reached > self.commit {
            self.commit_to(reached, out);
            self.say_committed(epoch, out);
        }
        self.answer_clients(farthest, out);
    }

    /// COMMIT.
    fn say_committed(&self, epoch: Epoch, out: &mut Out) {
        let Phase::Leading(leading) = &self.phase else { return };
        for (&id, _) in leading.learners.iter().filter(|(_, learner)| learner.is_synchronized()) {
            self.send(id, Message::Commit { epoch, upto: self.commit }, out);
        }
    }

    /// The leader says that this is committed.
    pub(super) fn commit_as_told(&mut self, upto: Position, out: &mut Out) {
        let upto = upto.min(self.history.last().position);
        if upto > self.commit && self.leader().is_some() {
            self.commit_to(upto, out);
        }
    }

    /// Commits and applies up to here.
    pub(super) fn commit_to(&mut self, upto: Position, out: &mut Out) {
        assert!(upto >= self.commit && upto <= self.history.last().position, "what is committed grows, and is here");
        self.commit = upto;
        while self.applied < self.commit {
            let position = self.applied.next();
            let proposal = self.history.get(position).expect("what is committed and not applied is kept");
            if let Payload::Transaction(transaction) = &proposal.payload {
                let fits = self.machine.apply_transaction(transaction);
                self.rules.must(fits, "a transaction is applied to the state that it was worked out for");
            }
            self.applied = position;
        }
        self.answer_applied_reads(out);
    }
}
