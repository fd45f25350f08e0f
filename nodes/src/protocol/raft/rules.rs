//! The safety rules, each one a small pure function with its place in the literature.
//!
//! "The paper" is Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (extended version); "the
//! dissertation" is Ongaro, "Consensus: Bridging Theory and Practice". A mutant replaces exactly one of these by the wrong rule
//! next to it; who asks a rule goes through `Rules`, whose switch counts how often the wrong one decided otherwise.

use super::mutants;
use super::{
    super::NodeId,
    types::{LogIndex, Term},
};
use crate::mutants::{Mutant, Switch};

mod membership;

pub use membership::{
    ChangeState, Majority, latest_is_committed, majorities, may_change_membership, may_stand, membership_in_force,
    membership_of_snapshot, next_membership, reached,
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

/// Whether a leader may commit up to `index`: a majority has it, and it is of the leader's own term. Paper, section 5.4.2,
/// Figure 8.
pub fn may_commit(reached: LogIndex, commit: LogIndex, term_there: Option<Term>, current: Term) -> bool {
    reached > commit && term_there == Some(current)
}

/// Where a follower's commit index goes. Paper, Figure 2, AppendEntries RPC, rule 5.
pub fn follower_commit(commit: LogIndex, leader_commit: LogIndex, last_new: LogIndex) -> LogIndex {
    commit.max(leader_commit.min(last_new))
}

/// Whether a success that acknowledges entries up to `last_new` may leave at once: only when they are durable. Paper, Figure 2,
/// "updated on stable storage before responding to RPCs".
pub fn ack_may_leave_before_durable(last_new: LogIndex, durable: LogIndex) -> bool {
    last_new <= durable
}

/// What is known when a read is to be answered.
#[derive(Clone, Copy, Debug)]
pub struct ReadState {
    /// This server leads.
    pub leads: bool,
    /// It has committed an entry of its own term, so its commit index is up to date.
    pub own_term_committed: bool,
    /// A majority, itself included, has confirmed its leadership in a round begun after the read arrived.
    pub round_confirmed: bool,
}

/// Whether a read may be answered at the leader's commit index. Paper, section 8; dissertation, section 6.4.
pub fn may_answer_read(state: ReadState) -> bool {
    state.leads && state.own_term_committed && state.round_confirmed
}

/// The rules as this process follows them.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    switch: Switch,
}

impl Rules {
    pub fn new(mutant: Option<Mutant>) -> Self {
        Self { switch: Switch::new(mutant) }
    }

    /// See [`Switch::fired`].
    pub fn fired(&self) -> u64 {
        self.switch.fired()
    }

    /// See [`Switch::is_mutated`].
    pub fn is_mutated(&self) -> bool {
        self.switch.is_mutated()
    }

    /// Whether a vote may be granted: [`vote_is_free`] and [`log_is_up_to_date`].
    pub fn may_grant_vote(&mut self, ballot: &Ballot, voter: &VoterState) -> bool {
        let free = vote_is_free(ballot, voter);
        let right = free && log_is_up_to_date(ballot.log, voter.log);
        self.switch.decide(mutants::VOTE_NO_LOG_CHECK, right, || free)
    }

    /// See [`ack_may_leave_before_durable`].
    pub fn ack_may_leave_before_durable(&mut self, last_new: LogIndex, durable: LogIndex) -> bool {
        self.switch.decide(mutants::ACK_BEFORE_FSYNC, ack_may_leave_before_durable(last_new, durable), || true)
    }

    /// See [`may_answer_read`]. The question is put when a read arrives, and again when a round is confirmed.
    pub fn may_answer_read(&mut self, state: ReadState) -> bool {
        let right = may_answer_read(state);
        let right = self.switch.decide(mutants::READ_LOCAL_LEADER, right, || state.leads);
        self.switch.decide(mutants::READ_ANY_NODE, right, || true)
    }
}
