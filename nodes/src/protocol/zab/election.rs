//! Phase 0: fast leader election. A hint only: phases 1 and 2 make sure of everything.
//!
//! ```text
//!   vote for oneself ──> a better vote comes: adopt it, say so ──> a quorum votes alike, and nobody better for a moment
//!                                                                    │ it is this server: lead     │ another: follow
//!   and whoever meets servers that have a leader, joins them
//! ```
//!
//! Better is the more recent history, then the greater number. Rounds keep the votes of different elections apart.

use std::collections::{BTreeMap, BTreeSet};

use super::{Message, Notification, Out, Phase, Vote, Zab};
use crate::protocol::{NodeId, Time};

/// What only a server has that looks for a leader.
#[derive(Debug)]
pub(super) struct Looking {
    vote: Vote,
    /// The votes of the others in this round.
    votes: BTreeMap<NodeId, Vote>,
    /// Who has a leader already, and which.
    settled: BTreeMap<NodeId, NodeId>,
    say_again_at: Time,
    /// When the election ends, if no better vote comes.
    decide_at: Option<Time>,
}

impl Looking {
    pub fn wake_at(&self) -> Time {
        self.decide_at.map_or(self.say_again_at, |at| at.min(self.say_again_at))
    }
}

impl Zab {
    /// Starts phase 0. What this server led or followed is over.
    pub(super) fn look_for_leader(&mut self, out: &mut Out) {
        self.arriving = None;
        self.round += 1;
        self.phase = Phase::Looking(Looking {
            vote: Vote::of(self.config.id, self.recency()),
            votes: BTreeMap::new(),
            settled: BTreeMap::new(),
            say_again_at: self.after(self.config.heartbeat_ns),
            decide_at: None,
        });
        self.say_vote(out);
        self.count_votes(out);
    }

    fn say_vote(&mut self, out: &mut Out) {
        let Phase::Looking(looking) = &mut self.phase else { return };
        looking.say_again_at = Time(self.now.0.saturating_add(self.config.heartbeat_ns));
        let notification = Notification { round: self.round, vote: looking.vote, is_looking: true };
        for &peer in &self.peers {
            self.send(peer, Message::Notification(notification), out);
        }
    }

    pub(super) fn on_looking_time(&mut self, out: &mut Out) {
        let Phase::Looking(looking) = &self.phase else { return };
        if looking.decide_at.is_some_and(|at| self.now >= at) {
            self.end_election(out);
        } else if self.now >= looking.say_again_at {
            self.say_vote(out);
        }
    }

    pub(super) fn on_notification(&mut self, from: NodeId, n: Notification, out: &mut Out) {
        if !self.config.voters.contains(&n.vote.leader) {
            return;
        }
        match &self.phase {
            Phase::Looking(_) if n.is_looking => self.on_vote(from, n, out),
            Phase::Looking(_) => self.on_settled(from, n.vote.leader, out),
            Phase::Leading(_) | Phase::Following(_) if n.is_looking => {
                let leader = match &self.phase {
                    Phase::Following(following) => following.leader,
                    _ => self.config.id,
                };
                let vote = Vote::of(leader, self.recency());
                let answer = Notification { round: self.round, vote, is_looking: false };
                self.send(from, Message::Notification(answer), out);
            }
            Phase::Leading(_) | Phase::Following(_) => {}
        }
    }

    fn on_vote(&mut self, from: NodeId, n: Notification, out: &mut Out) {
        let own = Vote::of(self.config.id, self.recency());
        let Phase::Looking(looking) = &mut self.phase else { return };
        looking.settled.remove(&from);
        let before = looking.vote;
        if n.round < self.round {
            let answer = Notification { round: self.round, vote: before, is_looking: true };
            return self.send(from, Message::Notification(answer), out);
        }
        let is_new_round = n.round > self.round;
        if is_new_round {
            self.round = n.round;
            looking.votes.clear();
        }
        looking.votes.insert(from, n.vote);
        let held = if is_new_round { own } else { before };
        let vote = if self.rules.is_better(n.vote, held) { n.vote } else { held };
        looking.vote = vote;
        if vote != before {
            looking.decide_at = None;
        }
        if vote != before || is_new_round {
            self.say_vote(out);
        }
        self.count_votes(out);
    }

    /// Ends the election when all agree; when only a quorum does, soon.
    fn count_votes(&mut self, out: &mut Out) {
        let quorum = self.rules.quorum(self.config.voters.len());
        let Phase::Looking(looking) = &mut self.phase else { return };
        let alike = 1 + looking.votes.values().filter(|&&vote| vote == looking.vote).count();
        if alike == self.config.voters.len() {
            self.end_election(out);
        } else if alike < quorum {
            looking.decide_at = None;
        } else if looking.decide_at.is_none() {
            looking.decide_at = Some(Time(self.now.0.saturating_add(self.config.heartbeat_ns)));
        }
    }

    fn end_election(&mut self, out: &mut Out) {
        let Phase::Looking(looking) = &self.phase else { return };
        let leader = looking.vote.leader;
        if leader == self.config.id { self.lead(out) } else { self.follow(leader, out) }
    }

    /// Somebody has a leader. Joins it once it says so itself, and with this server it would have a quorum.
    fn on_settled(&mut self, from: NodeId, leader: NodeId, out: &mut Out) {
        let Phase::Looking(looking) = &mut self.phase else { return };
        looking.votes.remove(&from);
        looking.settled.insert(from, leader);
        let followers = looking.settled.iter().filter(|&(_, &of)| of == leader).map(|(&id, _)| id);
        let with_me: BTreeSet<NodeId> = followers.chain([self.config.id]).collect();
        let leads = leader != self.config.id && looking.settled.get(&leader) == Some(&leader);
        if leads && self.rules.is_quorum(&with_me, &self.config.voters) {
            self.follow(leader, out);
        }
    }
}
