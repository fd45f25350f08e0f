//! Terms, votes and roles. Paper, sections 5.1, 5.2 and 5.4.1; pre-vote and sticky voters from the dissertation, 9.6 and 4.2.3.

use std::collections::BTreeSet;

use super::{
    HardState, Message, Out, Raft, RequestVote, Term, VoteReply,
    replication::Leadership,
    rules::{self, Ballot, VoterState},
};
use crate::protocol::{NodeId, ReadMode, Time};

/// What a server is at the moment, with the data that only then makes sense.
#[derive(Debug)]
pub(super) enum Role {
    /// Follows the leader, if one is known.
    Follower,
    /// Asks whether an election could be won, without disturbing anyone.
    PreCandidate {
        /// Who would grant a vote.
        grants: BTreeSet<NodeId>,
        /// When the others are asked again.
        ask_again_at: Time,
    },
    /// Asks for votes.
    Candidate {
        /// Who granted one; this server itself once its own is durable.
        grants: BTreeSet<NodeId>,
        /// When the others are asked again.
        ask_again_at: Time,
        /// The leader itself wants this election.
        transfer: bool,
    },
    /// Leads.
    Leader(Box<Leadership>),
}

impl Role {
    /// The name in a status.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Follower => "follower",
            Self::PreCandidate { .. } => "pre-candidate",
            Self::Candidate { .. } => "candidate",
            Self::Leader(_) => "leader",
        }
    }
}

impl Raft {
    /// The election timer ran out. A server that is no voter waits to be contacted.
    pub(super) fn on_election_timeout(&mut self, out: &mut Out) {
        if !self.may_stand() {
            self.become_follower(None, out);
            self.reset_election_timer();
        } else if self.rules.asks_before_election() {
            self.start_pre_vote(out);
        } else {
            self.start_election(false, out);
        }
    }

    fn may_stand(&self) -> bool {
        let me = self.config.id;
        let votes = self.memberships.in_force().is_voter(me);
        let voted_before = self.memberships.previous().is_some_and(|before| before.is_voter(me));
        rules::may_stand(votes, self.memberships.latest().0 <= self.commit, voted_before)
    }

    /// Ask whether an election could be won.
    fn start_pre_vote(&mut self, out: &mut Out) {
        self.leader = None;
        self.leader_heard = None;
        let ask_again_at = self.after(self.config.heartbeat_ns);
        self.role = Role::PreCandidate { grants: BTreeSet::from([self.config.id]), ask_again_at };
        self.reset_election_timer();
        self.ask_for_votes(out);
        self.count_pre_votes(out);
    }

    /// Starts an election: a new term, and this server's own vote. Paper, Figure 2, "Candidates".
    fn start_election(&mut self, transfer: bool, out: &mut Out) {
        self.leader = None;
        self.leader_heard = None;
        self.set_hard_state(HardState { term: self.hard.term.next(), voted_for: Some(self.config.id) });
        let ask_again_at = self.after(self.config.heartbeat_ns);
        self.role = Role::Candidate { grants: BTreeSet::new(), ask_again_at, transfer };
        self.reset_election_timer();
        self.ask_for_votes(out);
    }

    /// Asks those who have not granted yet.
    fn ask_for_votes(&self, out: &mut Out) {
        let (grants, pre, transfer) = match &self.role {
            Role::PreCandidate { grants, .. } => (grants, true, false),
            Role::Candidate { grants, transfer, .. } => (grants, false, *transfer),
            Role::Follower | Role::Leader(_) => return,
        };
        let request = RequestVote {
            pre,
            term: if pre { self.hard.term.next() } else { self.hard.term },
            last_index: self.log.last_index(),
            last_term: self.log.last_term(),
            transfer,
        };
        for peer in self.other_voters().into_iter().filter(|peer| !grants.contains(peer)) {
            self.send(peer, Message::RequestVote(request), out);
        }
    }

    /// Paper, section 5.1: "servers retry RPCs if they do not receive a response in a timely manner". A lost question or answer does
    /// not cost an election.
    pub(super) fn ask_again_if_due(&mut self, out: &mut Out) {
        let again = self.after(self.config.heartbeat_ns);
        match &mut self.role {
            Role::PreCandidate { ask_again_at, .. } | Role::Candidate { ask_again_at, .. }
                if self.now >= *ask_again_at =>
            {
                *ask_again_at = again;
            }
            _ => return,
        }
        self.ask_for_votes(out);
    }

    pub(super) fn on_request_vote(&mut self, from: NodeId, m: RequestVote, out: &mut Out) {
        // Before anything else: a voter that hears a leader must not even adopt the term, or one server that cannot hear the
        // leader would depose it.
        let hears_leader = self.hears_leader() || self.now < self.votes_from;
        let leases = self.config.reads == ReadMode::Lease;
        if self.rules.is_sticky(hears_leader, m.transfer, leases) {
            if m.pre {
                self.answer_vote(from, m, false, out);
            }
            return;
        }
        if !m.pre {
            self.adopt_term(m.term, out);
        }
        let ballot = Ballot { candidate: from, term: m.term, log: (m.last_term, m.last_index) };
        let granted = self.rules.may_grant_vote(&ballot, &self.voter_state());
        if granted && !m.pre {
            self.set_hard_state(HardState { term: self.hard.term, voted_for: Some(from) });
            self.role = Role::Follower;
            self.reset_election_timer();
        }
        self.answer_vote(from, m, granted, out);
    }

    fn voter_state(&self) -> VoterState {
        VoterState {
            term: self.hard.term,
            voted_for: self.hard.voted_for,
            log: (self.log.last_term(), self.log.last_index()),
        }
    }

    fn answer_vote(&mut self, to: NodeId, m: RequestVote, granted: bool, out: &mut Out) {
        let reply = Message::VoteReply(VoteReply { pre: m.pre, term: self.hard.term, asked: m.term, granted });
        if self.rules.vote_may_leave(self.hard_state_is_durable()) {
            out.send.push((to, reply));
        } else {
            out.send_when_durable.push((to, reply));
        }
    }

    pub(super) fn on_vote_reply(&mut self, from: NodeId, m: VoteReply, out: &mut Out) {
        if self.adopt_term(m.term, out) || !m.granted {
            return;
        }
        let voters = self.other_voters();
        match &mut self.role {
            Role::PreCandidate { grants, .. } if m.pre && m.asked == self.hard.term.next() => {
                grants.insert(self.rules.counted_voter(from, grants, &voters));
                self.count_pre_votes(out);
            }
            Role::Candidate { grants, .. } if !m.pre && self.rules.vote_counts(m.asked, self.hard.term) => {
                grants.insert(self.rules.counted_voter(from, grants, &voters));
                self.count_votes(out);
            }
            // An answer to a question of another term, or one that is settled.
            _ => {}
        }
    }

    fn count_pre_votes(&mut self, out: &mut Out) {
        if let Role::PreCandidate { grants, .. } = &self.role
            && self.rules.quorum_has(self.memberships.in_force(), |id| grants.contains(&id))
        {
            self.start_election(false, out);
        }
    }

    /// Paper, section 5.2: a candidate that got votes from a majority of distinct servers in this term leads it.
    fn count_votes(&mut self, out: &mut Out) {
        if let Role::Candidate { grants, .. } = &self.role
            && self.rules.quorum_has(self.memberships.in_force(), |id| grants.contains(&id))
        {
            self.become_leader(out);
        }
    }

    /// A candidate's own vote counts once it is durable, as any other's.
    pub(super) fn count_own_vote(&mut self, out: &mut Out) {
        if !self.hard_state_is_durable() {
            return;
        }
        if let Role::Candidate { grants, .. } = &mut self.role
            && grants.insert(self.config.id)
        {
            self.count_votes(out);
        }
    }

    /// The leader hands over: stand for election at once, with the log as it is. Dissertation, section 3.10.
    pub(super) fn on_timeout_now(&mut self, from: NodeId, term: Term, out: &mut Out) {
        let is_asked = term == self.hard.term && self.leader == Some(from) && matches!(self.role, Role::Follower);
        if is_asked && self.may_stand() {
            self.start_election(true, out);
        }
    }

    /// Takes over a later term, and says whether it was one. Paper, Figure 2, "All servers", second rule.
    pub(super) fn adopt_term(&mut self, term: Term, out: &mut Out) -> bool {
        if term <= self.hard.term {
            return false;
        }
        self.become_follower(None, out);
        self.set_hard_state(HardState { term, voted_for: None });
        true
    }

    /// Follows `leader`, or nobody yet. A leadership that ends here leaves its clients in the dark: see [`Self::abandon_clients`].
    pub(super) fn become_follower(&mut self, leader: Option<NodeId>, out: &mut Out) {
        if let Role::Leader(leadership) = std::mem::replace(&mut self.role, Role::Follower) {
            self.former_matches = leadership.followers.iter().map(|(&id, p)| (id, p.matched)).collect();
            self.abandon_clients(*leadership, out);
            self.to_replicate.clear();
            self.reset_election_timer();
        }
        self.leader = leader;
        if leader.is_none() {
            self.leader_heard = None;
        }
    }

    /// A message of the current term's leader came.
    pub(super) fn hear_leader(&mut self, from: NodeId, out: &mut Out) {
        // Election safety (paper, section 5.2) forbids it. With a mutant the node follows whoever spoke last, so that clients see it.
        let is_only_one = self.leader.is_none_or(|l| l == from);
        assert!(
            is_only_one || self.rules.is_mutated(),
            "two leaders in {:?}: {:?} and {from:?}",
            self.hard.term,
            self.leader
        );
        if self.leader.is_none() {
            self.give_up_on_earlier_leaders(out);
        }
        self.become_follower(Some(from), out);
        self.leader_heard = Some(self.now);
        self.reset_election_timer();
    }

    /// Whether a leader was heard within the shortest election timeout, or this server is it.
    fn hears_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
            || self.leader_heard.is_some_and(|at| self.now.0 - at.0 < self.config.election_timeout_ns)
    }
}
