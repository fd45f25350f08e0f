//! What must be on the disk before something is said, and what comes back from it.

use super::{
    super::{
        super::NodeId,
        mutants,
        types::{HardState, LogIndex},
    },
    Rules,
};
use crate::machine::Dedup;

/// Whether a success that acknowledges entries up to `last_new` may leave at once: only when they are durable. Paper, Figure 2,
/// "updated on stable storage before responding to RPCs".
pub fn ack_may_leave_before_durable(last_new: LogIndex, durable: LogIndex) -> bool {
    last_new <= durable
}

/// Whether an answer to a candidate may leave at once: only when the term and the vote that it tells of are durable. Paper, Figure 2,
/// "updated on stable storage before responding to RPCs".
pub fn vote_may_leave(hard_state_is_durable: bool) -> bool {
    hard_state_is_durable
}

/// What is recorded when term or vote change: both, in one record. Paper, Figure 2, "Persistent state": a vote is one in
/// `currentTerm`, and pairs with no other.
pub fn recorded_hard_state(hard: HardState) -> HardState {
    hard
}

/// Term and vote of a server that starts again: what it recorded last. Paper, Figure 2, "Persistent state".
pub fn restored_hard_state(recorded: HardState) -> HardState {
    recorded
}

/// Whether a cut of the log is recorded, so that what was cut stays away after a restart. Paper, Figure 2: the log is persistent
/// state, and so is what was deleted from it.
pub fn records_a_cut() -> bool {
    true
}

impl Rules {
    /// See [`ack_may_leave_before_durable`].
    pub fn ack_may_leave_before_durable(&mut self, last_new: LogIndex, durable: LogIndex) -> bool {
        self.switch.decide(mutants::ACK_BEFORE_FSYNC, ack_may_leave_before_durable(last_new, durable), || true)
    }

    /// See [`vote_may_leave`].
    pub fn vote_may_leave(&mut self, hard_state_is_durable: bool) -> bool {
        self.switch.decide(mutants::VOTE_REPLY_BEFORE_FSYNC, vote_may_leave(hard_state_is_durable), || true)
    }

    /// See [`recorded_hard_state`]. `before` is the vote recorded last; the wrong rule leaves the new one to a record of its own, for
    /// which nobody waits.
    pub fn recorded_hard_state(&mut self, hard: HardState, before: Option<NodeId>) -> HardState {
        let wrong = || HardState { term: hard.term, voted_for: before };
        self.switch.decide(mutants::VOTE_TERM_NONATOMIC, recorded_hard_state(hard), wrong)
    }

    /// See [`restored_hard_state`].
    pub fn restored_hard_state(&mut self, recorded: HardState) -> HardState {
        let right = restored_hard_state(recorded);
        let right = self.switch.decide(mutants::VOTEDFOR_VOLATILE, right, || HardState { voted_for: None, ..recorded });
        self.switch.decide(mutants::TERM_VOLATILE, right, HardState::default)
    }

    /// See [`records_a_cut`].
    pub fn records_a_cut(&mut self) -> bool {
        self.switch.decide(mutants::TRUNCATE_NOT_DURABLE, records_a_cut(), || false)
    }

    /// Whether a recorded entry takes the place of an older record at its index, instead of following the last one.
    pub fn entries_overwrite(&self) -> bool {
        self.switch.is_on(mutants::TRUNCATE_NOT_DURABLE)
    }

    /// How the machine treats a repeated command. Dissertation, section 6.3: the answers it gave are part of the replicated state.
    pub fn dedup(&self) -> Dedup {
        let off = self.switch.is_on(mutants::NO_DEDUP) || self.switch.is_on(mutants::DEDUP_LEADER_CACHE);
        if off { Dedup::Off } else { Dedup::On }
    }

    /// Whether the leader knows the answers to repeated commands from its own memory alone.
    pub fn caches_answers(&self) -> bool {
        self.switch.is_on(mutants::DEDUP_LEADER_CACHE)
    }
}
