//! Phase 2: the leader brings a quorum, and every later follower, to its own history. DSN 2011, section IV-A; Zab1.0, phase 2.
//!
//! ```text
//!   leader                                              follower
//!     │ ── Diff{behind this place, these} ────────────────> │ cuts what differs, appends
//!     │ <─ Have{place} ──────────────────────────────────── │   or: agrees only up to here
//!     │ ── NewLeader{last} ───────────────────────────────> │ cuts a dead tail; history, then currentEpoch, on disk
//!     │ <─ AckNewLeader ─────────────────────────────────── │
//!     │ with a quorum: all of the initial history is committed
//!     │ ── UpToDate{commit} ──────────────────────────────> │ applies, serves clients
//! ```

use std::collections::BTreeSet;

use super::{
    Batch, Message, Out, Phase, Zab,
    following::Progress,
    follows,
    leading::{Flow, Stage},
    types::{Epochs, Place, Position, Record},
};
use crate::protocol::NodeId;

impl Zab {
    /// Phase 1 is complete: the history of this server is the one.
    pub(super) fn start_phase_2(&mut self, out: &mut Out) {
        let initial = self.history.last();
        let Phase::Leading(leading) = &mut self.phase else { return };
        let Stage::Promises { acked } = &mut leading.stage else { return };
        let promised = std::mem::take(acked);
        let followers: Vec<NodeId> = promised.iter().copied().filter(|&id| id != self.config.id).collect();
        leading.stage = Stage::Synchronization { initial, acked: BTreeSet::new(), promised };
        self.set_epochs(Epochs { current: self.epochs.accepted, ..self.epochs });
        self.record_epochs(out);
        for follower in followers {
            self.begin_synchronization(follower, out);
        }
        self.count_synchronized(out);
    }

    /// A follower promised, in whatever phase this leader is by now.
    pub(super) fn begin_synchronization(&mut self, id: NodeId, out: &mut Out) {
        let Phase::Leading(leading) = &mut self.phase else { return };
        let learner = leading.learner(id);
        let Flow::Promised(place) = learner.flow else { return };
        // Nothing was sent yet, so that any answer is news.
        let asked = Position(u64::MAX);
        learner.sent = asked;
        learner.flow = Flow::Synchronize { is_waiting: true };
        if learner.on_have(&self.history, asked, place) {
            self.begin_snapshot(id, out);
        }
        self.feed_soon(id);
    }

    /// What a follower needs next that has this: DIFF, or, with all of the initial history and all that is committed, NEWLEADER.
    pub(super) fn next_of_phase_2(&mut self, has: Place) -> Option<Message> {
        let Phase::Leading(leading) = &self.phase else { return None };
        let initial = match &leading.stage {
            Stage::Synchronization { initial, .. } => initial.position,
            _ => self.commit,
        };
        if has.position >= initial.max(self.commit) {
            return Some(Message::NewLeader { epoch: self.epochs.accepted, last: has });
        }
        Some(Message::Diff(self.batch_after(has)))
    }

    pub(super) fn batch_after(&mut self, after: Place) -> Batch {
        let proposals = self.history.batch_after(after.position, self.config.max_append_bytes);
        let numbered = proposals.into_iter().zip(after.position.0 + 1..);
        let proposals = numbered.map(|(proposal, at)| self.rules.sent_in_diff(Position(at), proposal)).collect();
        Batch { epoch: self.epochs.accepted, after, proposals }
    }

    /// TRUNC and DIFF.
    pub(super) fn on_diff(&mut self, from: NodeId, batch: Batch, out: &mut Out) {
        if !is_well_formed(&batch) {
            return;
        }
        if self.rules.may_adopt_epoch(false) {
            self.adopt_epoch();
        }
        let (epoch, after) = (batch.epoch, batch.after);
        let agrees = after.position < self.history.base().position || self.history.holds(after);
        let place = if agrees {
            let last = self.take(batch, true, out);
            Place { position: last, zxid: self.history.zxid_at(last).expect("the end of what was taken is kept") }
        } else {
            self.history.common_below(after.position, after.zxid)
        };
        self.send(from, Message::Have { epoch, asked: after.position, place }, out);
    }

    /// Takes transactions into the history, and says where they end. Cuts where the history differs: those are dead.
    pub(super) fn take(&mut self, batch: Batch, is_synchronization: bool, out: &mut Out) -> Position {
        let mut position = batch.after.position;
        for proposal in batch.proposals {
            position = position.next();
            if position <= self.history.base().position {
                continue;
            }
            match self.history.zxid_at(position) {
                Some(zxid) if zxid == proposal.zxid => continue,
                Some(_) => {
                    self.rules.must(self.is_in_synchronization(), "a history is cut only in phase 2");
                    self.cut_behind(position.before(), out);
                }
                None => {}
            }
            if is_synchronization {
                self.rules.synchronized(position);
            }
            self.append(proposal, out);
        }
        position.max(self.history.base().position)
    }

    fn is_in_synchronization(&self) -> bool {
        matches!(&self.phase, Phase::Following(f) if f.progress == Progress::Synchronization)
    }

    /// TRUNC.
    fn cut_behind(&mut self, position: Position, out: &mut Out) {
        self.rules.must(position >= self.commit, "what is committed is in the history of every later leader");
        self.record_epochs(out);
        out.records.push(Record::Truncate(position));
        out.sync_wanted = true;
        self.history.truncate_to(position);
        self.durability.cut(position);
        if position < self.commit {
            self.commit_anew_from(position);
        }
    }

    fn adopt_epoch(&mut self) {
        self.set_epochs(Epochs { current: self.epochs.accepted, ..self.epochs });
    }

    /// NEWLEADER: the history is whole. It goes to disk, then the epoch, then the answer.
    pub(super) fn on_new_leader(&mut self, from: NodeId, last: Place, out: &mut Out) {
        let epoch = self.epochs.accepted;
        if last.position >= self.history.base().position && !self.history.holds(last) {
            let place = self.history.common_below(last.position, last.zxid);
            return self.send(from, Message::Have { epoch, asked: last.position, place }, out);
        }
        // What this leader proposed itself is behind its initial history, and no dead tail.
        let next = self.history.zxid_at(last.position.next());
        let is_kept = last.position >= self.history.base().position;
        if is_kept && self.is_in_synchronization() && next.is_some_and(|zxid| zxid.epoch < epoch) {
            self.cut_behind(last.position, out);
        }
        if self.rules.may_adopt_epoch(true) {
            self.adopt_epoch();
        }
        self.record_epochs(out);
        if let Some(following) = self.following()
            && following.progress == Progress::Synchronization
        {
            following.progress = Progress::Synchronized;
        }
        let message = Message::AckNewLeader { epoch, last };
        let history_is_durable = out.records.is_empty() && last.position <= self.durability.index();
        if self.rules.may_ack_new_leader(history_is_durable, self.epochs_are_durable()) {
            out.send.push((from, message));
        } else {
            out.sync_wanted = true;
            out.send_when_durable.push((from, message));
        }
    }

    /// ACK-LD.
    pub(super) fn on_ack_new_leader(&mut self, from: NodeId, last: Place, out: &mut Out) {
        let is_mine = last.position <= self.history.base().position || self.history.holds(last);
        self.rules.must(is_mine, "a follower acknowledges the history that it was sent");
        if last.position > self.history.last().position {
            return;
        }
        let Phase::Leading(leading) = &mut self.phase else { return };
        let learner = leading.learner(from);
        if !learner.is_synchronized() {
            learner.stream_from(last.position);
        }
        learner.on_ack(last.position);
        match &mut leading.stage {
            Stage::Synchronization { initial, acked, .. } => {
                if last.position >= initial.position {
                    acked.insert(from);
                }
                self.count_synchronized(out);
            }
            Stage::Broadcast(_) => self.say_up_to_date(from, out),
            Stage::Discovery { .. } | Stage::Promises { .. } => {}
        }
        self.advance_commit(out);
    }

    /// With a quorum that has the initial history it is committed, and phase 3 begins.
    pub(super) fn count_synchronized(&mut self, out: &mut Out) {
        let (epochs_are_durable, durable) = (self.epochs_are_durable(), self.durability.index());
        let Phase::Leading(leading) = &mut self.phase else { return };
        let Stage::Synchronization { initial, acked, promised } = &mut leading.stage else { return };
        if epochs_are_durable && initial.position <= durable {
            acked.insert(self.config.id);
        }
        let acked_new_leader = self.rules.is_quorum(acked, &self.config.voters);
        let acked_epoch = self.rules.is_quorum(promised, &self.config.voters);
        if self.rules.may_broadcast(acked_new_leader, acked_epoch) {
            let initial = initial.position;
            self.start_phase_3(initial, out);
        }
    }

    pub(super) fn say_up_to_date(&self, to: NodeId, out: &mut Out) {
        self.send(to, Message::UpToDate { epoch: self.epochs.accepted, commit: self.commit }, out);
    }

    /// UPTODATE: this server may serve clients.
    pub(super) fn on_up_to_date(&mut self, commit: Position, out: &mut Out) {
        let Some(following) = self.following() else { return };
        if following.progress == Progress::Synchronization {
            // Older than this synchronization, or ahead of its NEWLEADER.
            return;
        }
        following.progress = Progress::UpToDate;
        self.give_up_on_earlier_leaders(out);
        self.commit_as_told(commit, out);
    }

    /// This server's own disk got further, or it has none to wait for.
    pub(super) fn on_own_progress(&mut self, out: &mut Out) {
        self.count_promises(out);
        self.count_synchronized(out);
        self.advance_commit(out);
    }
}

/// Whether transactions are what they claim to be: zxids ascend without a gap, from the place that they follow.
pub(super) fn is_well_formed(batch: &Batch) -> bool {
    let mut before = batch.after.zxid;
    batch.proposals.iter().all(|proposal| {
        let fits = follows(before, proposal.zxid) && proposal.zxid.epoch <= batch.epoch;
        before = proposal.zxid;
        fits
    })
}
