//! Phase 1: a new leader learns which epochs were accepted, and has a later one accepted by a quorum. DSN 2011, section IV-A.
//!
//! ```text
//!   follower                                  leader
//!     │ ── FollowerInfo{acceptedEpoch} ────────> │  with a quorum: e = the greatest + 1, durable
//!     │ <─ NewEpoch{e} ───────────────────────── │
//!     │ acceptedEpoch = e, durable               │
//!     │ ── AckEpoch{e, currentEpoch, lastZxid} ─> │  with a quorum: phase 2, unless somebody knows more
//! ```
//!
//! A follower that comes later goes through the same with the epoch that runs.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Message, Out, Phase, Zab,
    following::Progress,
    leading::{Flow, Leading, Stage},
    rules::{self, Promise},
    types::{Epoch, Epochs, Place, Position, Recency},
};
use crate::protocol::NodeId;

impl Zab {
    /// Starts phase 1 as the leader.
    pub(super) fn lead(&mut self, out: &mut Out) {
        let accepted = BTreeMap::from([(self.config.id, self.epochs.accepted)]);
        let leading = Leading::new(Stage::Discovery { accepted }, self.now, self.config.heartbeat_ns);
        self.phase = Phase::Leading(Box::new(leading));
        self.propose_epoch(out);
    }

    /// CEPOCH.
    pub(super) fn on_follower_info(&mut self, from: NodeId, theirs: Epoch, of: Option<NodeId>, out: &mut Out) {
        let (epoch, me) = (self.epochs.accepted, self.config.id);
        let has_epoch = self.leading().is_some_and(|leading| leading.has_epoch());
        let may_follow = !has_epoch || self.rules.may_be_followed_by(theirs, of, epoch, me);
        let Phase::Leading(leading) = &mut self.phase else { return };
        leading.learner(from).join(self.now);
        match &mut leading.stage {
            Stage::Discovery { accepted } => {
                accepted.insert(from, theirs);
                self.propose_epoch(out);
            }
            // It can follow nobody in this epoch; so a later one must be made.
            _ if !may_follow => self.give_up(out),
            _ => self.send(from, Message::NewEpoch { epoch }, out),
        }
    }

    /// Once a quorum has said which epochs it accepted: a later one.
    fn propose_epoch(&mut self, out: &mut Out) {
        let Phase::Leading(leading) = &mut self.phase else { return };
        let Stage::Discovery { accepted } = &leading.stage else { return };
        let followers: BTreeSet<NodeId> = accepted.keys().copied().collect();
        if !self.rules.is_quorum(&followers, &self.config.voters) {
            return;
        }
        let Some(epoch) = rules::new_epoch(accepted.values().copied()) else { return };
        leading.stage = Stage::Promises { acked: BTreeSet::new() };
        self.set_epochs(Epochs { accepted: epoch, accepted_from: Some(self.config.id), ..self.epochs });
        for follower in followers {
            if follower != self.config.id {
                self.send(follower, Message::NewEpoch { epoch }, out);
            }
        }
        self.on_own_progress(out);
    }

    /// NEWEPOCH.
    pub(super) fn on_new_epoch(&mut self, from: NodeId, epoch: Epoch, out: &mut Out) {
        let Phase::Following(following) = &mut self.phase else { return };
        if following.leader != from {
            return;
        }
        match self.rules.promise(epoch, from, &self.epochs) {
            Promise::Accept => {
                following.progress = Progress::Synchronization;
                self.set_epochs(Epochs { accepted: epoch, accepted_from: Some(from), ..self.epochs });
            }
            Promise::Repeat => {
                if following.progress == Progress::Discovery {
                    // Who acknowledged NEWLEADER of this epoch in an earlier life has a beginning of the leader's history.
                    let is_synchronized = self.epochs.current == epoch;
                    following.progress =
                        if is_synchronized { Progress::Synchronized } else { Progress::Synchronization };
                }
            }
            // Maybe an old message; if not, the leader will not be heard again.
            Promise::Refuse => return,
        }
        self.hear_leader();
        let (recency, last) = (self.recency(), self.history.last().position);
        self.send(from, Message::AckEpoch { epoch, recency, last }, out);
    }

    /// ACK-E.
    pub(super) fn on_ack_epoch(&mut self, from: NodeId, recency: Recency, last: Position, out: &mut Out) {
        let mine = self.recency();
        let Phase::Leading(leading) = &mut self.phase else { return };
        let learner = leading.learner(from);
        if !matches!(learner.flow, Flow::Joining) {
            // Said again.
            return;
        }
        learner.flow = Flow::Promised(Place { position: last, zxid: recency.zxid });
        match &mut leading.stage {
            Stage::Discovery { .. } => {}
            Stage::Promises { acked } => {
                if self.rules.is_more_recent(recency, mine) {
                    return self.give_up(out);
                }
                acked.insert(from);
                self.count_promises(out);
            }
            Stage::Synchronization { .. } | Stage::Broadcast(_) => self.begin_synchronization(from, out),
        }
    }

    /// With a quorum of promises phase 2 begins.
    pub(super) fn count_promises(&mut self, out: &mut Out) {
        let epochs_are_durable = self.epochs_are_durable();
        let Phase::Leading(leading) = &mut self.phase else { return };
        let Stage::Promises { acked } = &mut leading.stage else { return };
        if epochs_are_durable {
            acked.insert(self.config.id);
        }
        if self.rules.is_quorum(acked, &self.config.voters) {
            self.start_phase_2(out);
        }
    }
}
