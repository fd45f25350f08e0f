//! The way to lead: a round of questions, then phase 1. PMS, sections 2.2 and 3; PMMC, section 2.2, scout.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ballot, Message, MultiPaxos, Out, Payload, Prepare, Promise, Slot, leader::Leadership, rules::Report};
use crate::protocol::{NodeId, Time};

/// A candidate that would have to decide on more slots than this at once does not lead: that is no sound answer of an acceptor.
const SLOTS_MAX: u64 = 1 << 20;

/// What a node is at the moment, with the data that only then makes sense.
#[derive(Debug)]
pub(super) enum Role {
    /// Follows the leader, if one is known.
    Follower,
    /// Asks whether anyone hears a leader, without disturbing it.
    PreCandidate {
        /// The ballot it would take.
        ballot: Ballot,
        /// Who hears none.
        grants: BTreeSet<NodeId>,
    },
    /// Phase 1 is under way.
    Candidate(Box<Candidacy>),
    /// Phase 1 is done.
    Leader(Box<Leadership>),
}

impl Role {
    /// The name in a status.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Follower => "follower",
            Self::PreCandidate { .. } => "pre-candidate",
            Self::Candidate(_) => "candidate",
            Self::Leader(_) => "leader",
        }
    }

    /// The ballot that this node proposes in.
    pub fn ballot(&self) -> Option<Ballot> {
        match self {
            Self::Candidate(candidacy) => Some(candidacy.ballot),
            Self::Leader(leadership) => Some(leadership.ballot),
            Self::Follower | Self::PreCandidate { .. } => None,
        }
    }
}

/// A phase 1.
#[derive(Debug)]
pub(super) struct Candidacy {
    pub ballot: Ballot,
    /// The slot asked from.
    first: Slot,
    /// The leader of this ballot wants it.
    released: Option<Ballot>,
    /// Whether this node's own promise is durable.
    own: bool,
    gathered: BTreeMap<NodeId, Gathered>,
    pub ask_at: Time,
}

/// What phase 1 brought up for a slot.
pub(super) struct Merged {
    /// What must be proposed there.
    pub value: Payload,
    /// Which others accepted there, and in which ballot.
    pub accepted: Vec<(NodeId, Ballot)>,
}

/// What an acceptor told so far.
#[derive(Debug)]
struct Gathered {
    /// From where to ask on.
    next: Slot,
    is_done: bool,
    snapshot: Slot,
    votes: BTreeMap<Slot, (Ballot, Payload)>,
}

impl Candidacy {
    /// How many acceptors have told everything.
    fn answered(&self) -> usize {
        usize::from(self.own) + self.gathered.values().filter(|g| g.is_done).count()
    }

    /// What is to be asked of this acceptor next, if anything.
    fn question(&self, peer: NodeId, incarnation: u64) -> Option<Message> {
        let from = match self.gathered.get(&peer) {
            Some(gathered) if gathered.is_done => return None,
            Some(gathered) => gathered.next,
            None => self.first,
        };
        Some(Message::Prepare(Prepare { ballot: self.ballot, from, incarnation, released: self.released }))
    }
}

impl MultiPaxos {
    /// No leader was heard for too long.
    pub(super) fn on_election_timeout(&mut self, out: &mut Out) {
        if !self.may_vote() {
            self.reset_election_timer();
        } else if self.rules.asks_before_phase1() {
            self.start_ping(out);
        } else {
            self.start_phase1(None, out);
        }
    }

    fn start_ping(&mut self, out: &mut Out) {
        self.follow(None, out);
        let ballot = self.rules.new_ballot(self.rounds + 1, self.config.id);
        self.role = Role::PreCandidate { ballot, grants: BTreeSet::from([self.config.id]) };
        self.reset_election_timer();
        self.send_to_all(&Message::Ping { ballot }, out);
        self.count_pongs(out);
    }

    pub(super) fn on_ping(&mut self, from: NodeId, ballot: Ballot, out: &mut Out) {
        if self.may_vote() {
            let granted = !self.hears_proposer() && !self.is_bound_by_lease(from, None);
            self.send(from, Message::Pong { ballot, granted, promised: self.promised }, out);
        }
    }

    /// Whether a leader, or one that is about to become it, was heard within the shortest election timeout.
    fn hears_proposer(&self) -> bool {
        let recent = |at: Option<Time>| at.is_some_and(|at| self.now.0 - at.0 < self.config.election_timeout_ns);
        matches!(self.role, Role::Leader(_)) || recent(self.leader_heard) || recent(self.candidate_heard)
    }

    pub(super) fn on_pong(&mut self, from: NodeId, asked: Ballot, granted: bool, promised: Ballot, out: &mut Out) {
        self.see(promised);
        if let Role::PreCandidate { ballot, grants } = &mut self.role
            && *ballot == asked
            && granted
        {
            grants.insert(from);
            self.count_pongs(out);
        }
    }

    fn count_pongs(&mut self, out: &mut Out) {
        let quorum = self.quorum();
        if let Role::PreCandidate { grants, .. } = &self.role
            && grants.len() >= quorum
        {
            self.start_phase1(None, out);
        }
    }

    /// Phase 1a: a new ballot, promised by this node itself first. `released` is the ballot of a leader who wants it.
    pub(super) fn start_phase1(&mut self, released: Option<Ballot>, out: &mut Out) {
        self.follow(None, out);
        let ballot = self.rules.new_ballot(self.rounds + 1, self.config.id);
        self.rounds = ballot.round;
        let first = self.applied.next();
        if ballot > self.promised {
            self.set_promise(ballot);
            self.asked_from = first;
        }
        let gathered = BTreeMap::new();
        let ask_at = self.now;
        self.role = Role::Candidate(Box::new(Candidacy { ballot, first, released, own: false, gathered, ask_at }));
        self.reset_election_timer();
        // Of a new ballot that is not durable yet; a mutated build may have promised this one in an earlier life.
        self.count_own_promise(out);
        self.ask_again_if_due(out);
    }

    /// Asks those again who have not told everything.
    pub(super) fn ask_again_if_due(&mut self, out: &mut Out) {
        let next = self.after(self.config.heartbeat_ns);
        let Role::Candidate(candidacy) = &mut self.role else { return };
        if self.now < candidacy.ask_at {
            return;
        }
        candidacy.ask_at = next;
        let ask = |&peer: &NodeId| candidacy.question(peer, self.incarnation).map(|message| (peer, message));
        let questions: Vec<_> = self.peers.iter().filter_map(ask).collect();
        for (peer, question) in questions {
            self.send(peer, question, out);
        }
        self.try_to_lead(out);
    }

    pub(super) fn on_promise(&mut self, from: NodeId, m: Promise, out: &mut Out) {
        let own_disk = m.incarnation == self.incarnation;
        let Role::Candidate(candidacy) = &mut self.role else { return };
        if !own_disk || m.ballot != candidacy.ballot {
            return;
        }
        let first = candidacy.first;
        let fresh = || Gathered { next: first, is_done: false, snapshot: Slot(0), votes: BTreeMap::new() };
        let gathered = candidacy.gathered.entry(from).or_insert_with(fresh);
        if gathered.is_done || m.from != gathered.next {
            return;
        }
        gathered.votes.extend(m.votes.into_iter().map(|vote| (vote.slot, (vote.ballot, vote.payload))));
        gathered.snapshot = gathered.snapshot.max(m.snapshot);
        gathered.is_done = m.more.is_none_or(|more| more <= m.from);
        gathered.next = m.more.unwrap_or(gathered.next);
        self.reset_election_timer();
        if let Role::Candidate(candidacy) = &self.role
            && let Some(question) = candidacy.question(from, self.incarnation)
        {
            self.send(from, question, out);
        }
        self.try_to_lead(out);
    }

    /// A candidate's own promise counts once it is durable, as any other's.
    pub(super) fn count_own_promise(&mut self, out: &mut Out) {
        let is_durable = !self.promise_changed && self.durability.covers_hard_state();
        if let Role::Candidate(candidacy) = &mut self.role
            && is_durable
            && candidacy.ballot == self.promised
            && !std::mem::replace(&mut candidacy.own, true)
        {
            self.try_to_lead(out);
        }
    }

    /// With a quorum of 1b, and everything applied that any of them forgot: phase 2.
    pub(super) fn try_to_lead(&mut self, out: &mut Out) {
        let quorum = self.quorum();
        let Role::Candidate(candidacy) = &self.role else { return };
        if candidacy.answered() < quorum {
            return;
        }
        let told = candidacy.gathered.iter().filter(|(_, gathered)| gathered.is_done);
        let newest = told.max_by_key(|(_, gathered)| gathered.snapshot).map(|(&node, g)| (node, g.snapshot));
        if let Some((node, snapshot)) = newest.filter(|(_, snapshot)| *snapshot > self.applied) {
            self.pull_from(node, snapshot, out);
            return;
        }
        let Role::Candidate(candidacy) = std::mem::replace(&mut self.role, Role::Follower) else { return };
        if let Some(merged) = self.merge(&candidacy) {
            self.become_leader(candidacy.ballot, merged, out);
        }
    }

    /// What must be proposed in each slot from the first one that is not applied here to the last one that anyone told of.
    fn merge(&mut self, candidacy: &Candidacy) -> Option<Vec<Merged>> {
        let own = self.config.id;
        let told = || candidacy.gathered.iter().filter(|(_, gathered)| gathered.is_done);
        let told_last = told().filter_map(|(_, gathered)| gathered.votes.last_key_value()).map(|(&slot, _)| slot).max();
        let last = told_last.unwrap_or_default().max(self.log.last()).max(self.applied);
        if last.0 - self.applied.0 > SLOTS_MAX {
            return None;
        }
        let answered = told().count() + 1;
        let mut merged = Vec::new();
        for slot in (self.applied.0 + 1..=last.0).map(Slot) {
            let accepted = self.log.get(slot).and_then(|cell| cell.accepted.as_ref());
            let own_report = accepted.map(|a| (own, a.ballot, &a.payload));
            let others = told().filter_map(|(&node, g)| g.votes.get(&slot).map(|(ballot, v)| (node, *ballot, v)));
            let reports: Vec<Report<'_>> = others.chain(own_report).collect();
            let value = self.rules.safe_value(own, answered, &reports).cloned().unwrap_or(Payload::Noop);
            let accepted = reports.iter().map(|(node, ballot, _)| (*node, *ballot)).filter(|(node, _)| *node != own);
            merged.push(Merged { value, accepted: accepted.collect() });
        }
        Some(merged)
    }

    /// Someone promised a higher ballot.
    pub(super) fn on_nack(&mut self, refused: Ballot, promised: Ballot, out: &mut Out) {
        self.see(promised);
        if self.role.ballot() == Some(refused) && promised > refused {
            self.follow(None, out);
            self.reset_election_timer();
        }
    }

    /// The leader hands over.
    pub(super) fn on_take_over(&mut self, from: NodeId, ballot: Ballot, out: &mut Out) {
        let follows = self.leader == Some(from) && self.leader_ballot == ballot && matches!(self.role, Role::Follower);
        if follows && self.may_vote() {
            self.start_phase1(Some(ballot), out);
        }
    }

    /// A message of the leader of a ballot that is not below the promise came.
    pub(super) fn hear_leader(&mut self, from: NodeId, ballot: Ballot, out: &mut Out) {
        let is_known = self.leader == Some(from) && self.leader_ballot == ballot;
        if !is_known {
            let contested = self.leader_ballot == ballot && self.leader.is_some();
            assert!(!contested || self.rules.is_mutated(), "two leaders in {ballot:?}: {:?} and {from:?}", self.leader);
            if self.leader == Some(self.config.id) && contested {
                return;
            }
            self.leader_ballot = ballot;
            self.follow(Some(from), out);
            self.give_up_on_earlier_leaders(out);
        }
        self.leader_heard = Some(self.now);
        self.reset_election_timer();
    }

    /// Follows `leader`, or nobody yet. A leadership that ends here leaves its clients in the dark: see [`Self::abandon_clients`].
    pub(super) fn follow(&mut self, leader: Option<NodeId>, out: &mut Out) {
        if let Role::Leader(leadership) = std::mem::replace(&mut self.role, Role::Follower) {
            self.abandon_clients(*leadership, out);
            self.to_send.clear();
            self.reset_election_timer();
        }
        self.leader = leader;
        if leader.is_none() {
            self.leader_heard = None;
        }
    }
}
