//! Who may vote for whom, and which votes count.

use std::collections::BTreeSet;

use super::{
    super::{
        super::NodeId,
        mutants,
        types::{LogIndex, Term},
    },
    Rules,
};

/// Whether a candidate's log is at least as up-to-date as the voter's. Paper, section 5.4.1.
pub fn log_is_up_to_date(candidate: (Term, LogIndex), voter: (Term, LogIndex)) -> bool {
    candidate >= voter
}

/// What a voter looks at.
#[derive(Clone, Copy, Debug)]
pub struct Ballot {
    /// The candidate.
    pub candidate: NodeId,
    /// The term it asks for.
    pub term: Term,
    /// Last term and index of its log.
    pub log: (Term, LogIndex),
}

/// What a voter holds it against.
#[derive(Clone, Copy, Debug)]
pub struct VoterState {
    /// Its term.
    pub term: Term,
    /// Its vote in that term.
    pub voted_for: Option<NodeId>,
    /// Last term and index of its log.
    pub log: (Term, LogIndex),
}

/// Whether term and earlier vote allow this one. Paper, Figure 2, RequestVote RPC, rule 1 and the first half of rule 2.
pub fn vote_is_free(ballot: &Ballot, voter: &VoterState) -> bool {
    match ballot.term.cmp(&voter.term) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => voter.voted_for.is_none_or(|v| v == ballot.candidate),
        // A vote belongs to its term. Only a pre-vote gets here: for a real one the term was adopted.
        std::cmp::Ordering::Greater => true,
    }
}

/// Whether a voter must ignore candidates because it hears from a leader. Dissertation, sections 4.2.3 and 9.6.
pub fn is_sticky(hears_leader: bool, transfer: bool) -> bool {
    hears_leader && !transfer
}

/// Whether a granted vote counts: it was asked for in the term in which it arrives. Paper, section 5.2.
pub fn vote_counts(asked: Term, current: Term) -> bool {
    asked == current
}

/// For whom a granted vote counts: its sender, however often it says so. Paper, section 5.2, "votes from a majority of the servers".
pub fn counted_voter(sender: NodeId) -> NodeId {
    sender
}

/// Where each voter that answered twice is taken for one that did not answer yet.
fn counted_message(sender: NodeId, counted: &BTreeSet<NodeId>, voters: &[NodeId]) -> NodeId {
    let is_repeated = counted.contains(&sender);
    voters.iter().copied().find(|voter| is_repeated && !counted.contains(voter)).unwrap_or(sender)
}

impl Rules {
    /// Whether a vote may be granted: [`vote_is_free`] and [`log_is_up_to_date`].
    pub fn may_grant_vote(&mut self, ballot: &Ballot, voter: &VoterState) -> bool {
        let free = vote_is_free(ballot, voter);
        let right = free && log_is_up_to_date(ballot.log, voter.log);
        self.switch.decide(mutants::VOTE_NO_LOG_CHECK, right, || free)
    }

    /// See [`is_sticky`]. Leases rest on it: where there are any, the decoy leaves it alone.
    pub fn is_sticky(&mut self, hears_leader: bool, transfer: bool, leases: bool) -> bool {
        let right = is_sticky(hears_leader, transfer);
        self.switch.decide(mutants::NO_STICKINESS, right, || right && leases)
    }

    /// See [`vote_counts`].
    pub fn vote_counts(&mut self, asked: Term, current: Term) -> bool {
        self.switch.decide(mutants::VOTE_STALE_TERM_REPLY, vote_counts(asked, current), || asked <= current)
    }

    /// See [`counted_voter`].
    pub fn counted_voter(&mut self, sender: NodeId, counted: &BTreeSet<NodeId>, voters: &[NodeId]) -> NodeId {
        let wrong = || counted_message(sender, counted, voters);
        self.switch.decide(mutants::VOTE_COUNT_DUPLICATES, counted_voter(sender), wrong)
    }

    /// Whether an election begins with the question whether it could be won. Dissertation, section 9.6: it spares the others a
    /// needless term, and that is all.
    pub fn asks_before_election(&mut self) -> bool {
        self.switch.decide(mutants::NO_PREVOTE, true, || false)
    }

    /// Whether a leader goes on. Dissertation, section 6.2: one that no quorum answers steps down, so that its clients look elsewhere.
    pub fn goes_on_leading(&mut self, hears_quorum: bool) -> bool {
        self.switch.decide(mutants::NO_CHECKQUORUM, hears_quorum, || true)
    }
}
