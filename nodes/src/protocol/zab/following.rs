//! A follower: which leader, how far the synchronization is, and until when to wait.

use super::{Message, Out, Phase, Zab, rules::Origin};
use crate::protocol::{
    NodeId, Time,
    zab::types::{Epoch, Epochs},
};

/// What only a follower has.
#[derive(Debug)]
pub(super) struct Following {
    pub leader: NodeId,
    pub progress: Progress,
    /// Without a sign of life until then, it looks for another leader.
    until: Time,
    say_again_at: Time,
}

/// How far a follower is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Phase 1: CEPOCH is said.
    Discovery,
    /// Phase 2: ACK-E is said.
    Synchronization,
    /// ACK-LD is said, or will be once the disk has everything.
    Synchronized,
    /// Phase 3: UPTODATE came.
    UpToDate,
}

impl Following {
    /// A server that has not taken a step yet.
    pub fn of_nobody(me: NodeId, now: Time) -> Self {
        Self { leader: me, progress: Progress::Discovery, until: now, say_again_at: now }
    }

    pub fn wake_at(&self) -> Time {
        self.until.min(self.say_again_at)
    }

    pub fn is_up_to_date(&self) -> bool {
        self.progress == Progress::UpToDate
    }
}

impl Zab {
    /// Starts phase 1 as a follower.
    pub(super) fn follow(&mut self, leader: NodeId, out: &mut Out) {
        let until = self.random_timeout();
        let progress = Progress::Discovery;
        self.phase = Phase::Following(Following { leader, progress, until, say_again_at: self.now });
        self.say_again(out);
    }

    pub(super) fn following(&mut self) -> Option<&mut Following> {
        if let Phase::Following(following) = &mut self.phase { Some(following) } else { None }
    }

    /// The leader lives.
    pub(super) fn hear_leader(&mut self) {
        let until = self.random_timeout();
        if let Some(following) = self.following() {
            following.until = until;
        }
    }

    pub(super) fn on_following_time(&mut self, out: &mut Out) {
        let now = self.now;
        let Some(following) = self.following() else { return };
        if now >= following.until {
            self.look_for_leader(out);
        } else if now >= following.say_again_at {
            self.say_again(out);
        }
    }

    /// What a follower said may have been lost, and then the leader has nothing to answer.
    fn say_again(&mut self, out: &mut Out) {
        let at = self.after(self.config.heartbeat_ns);
        let Phase::Following(following) = &mut self.phase else { return };
        following.say_again_at = at;
        let (leader, progress) = (following.leader, following.progress);
        if progress == Progress::Discovery {
            let Epochs { accepted, accepted_from: from, .. } = self.epochs;
            self.send(leader, Message::FollowerInfo { accepted, from }, out);
        }
    }

    /// A message that only the leader of an epoch sends.
    pub(super) fn on_leaders_message(&mut self, from: NodeId, epoch: Epoch, message: Message, out: &mut Out) {
        let Phase::Following(following) = &self.phase else { return };
        let is_my_leader = following.leader == from && self.epochs.accepted_from == Some(from);
        let promised = following.progress != Progress::Discovery;
        let origin = Origin { is_my_leader, epoch };
        if matches!(message, Message::Propose(_) | Message::Commit { .. }) {
            if promised && self.rules.is_of_this_epoch(origin, &self.epochs) {
                self.on_broadcast(from, message, out);
            }
            return;
        }
        if !is_my_leader || !promised || epoch != self.epochs.accepted {
            return;
        }
        self.hear_leader();
        match message {
            Message::Diff(batch) => self.on_diff(from, batch, out),
            Message::SnapshotChunk(m) => self.on_snapshot_chunk(from, m, out),
            Message::NewLeader { last, .. } => self.on_new_leader(from, last, out),
            Message::UpToDate { commit, .. } => self.on_up_to_date(commit, out),
            Message::Ping { sent, commit, .. } => self.on_ping(from, sent, commit, out),
            _ => unreachable!("no other message names the epoch of its sender as leader"),
        }
    }
}
