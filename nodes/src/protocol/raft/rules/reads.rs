//! When a leader may answer without the log.

use super::{
    super::{super::Time, mutants, types::LogIndex},
    Rules,
};

/// What is known when a read is to be answered.
#[derive(Clone, Copy, Debug)]
pub struct ReadState {
    /// This server leads.
    pub leads: bool,
    /// It has committed an entry of its own term, so its commit index is up to date.
    pub own_term_committed: bool,
    /// It is known still to have led when the read arrived: a majority, itself included, has confirmed it in a round begun after
    /// that, or it holds a lease.
    pub leadership_proven: bool,
}

/// Whether a read may be answered at the leader's commit index. Paper, section 8; dissertation, section 6.4.
pub fn may_answer_read(state: ReadState) -> bool {
    state.leads && state.own_term_committed && state.leadership_proven
}

/// Whether a round may begin, that is, whether the commit index is a place to read at. Dissertation, section 6.4, step 1: not before
/// an entry of the leader's own term is committed.
pub fn may_begin_round(own_term_committed: bool) -> bool {
    own_term_committed
}

/// The round that an answer confirms: the one whose number it echoes, so that was begun before the follower answered. Dissertation,
/// section 6.4, step 3.
pub fn confirmed_round(echoed: u64) -> u64 {
    echoed
}

/// Whether a read at `index` may be answered from this server's machine. Dissertation, section 6.4, step 4.
pub fn may_read_at(index: LogIndex, applied: LogIndex) -> bool {
    index <= applied
}

/// What a leader knows of its lease. Times are its own; `wall` ones are those of the clock that people set.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// When the newest round that a quorum has answered was sent.
    pub sent: Time,
    /// The same moment on the wall clock.
    pub sent_wall: i128,
    /// When the answer came that made it a quorum.
    pub answered: Time,
    /// This leader told another server to stand for election.
    pub handed_over: bool,
    /// The shortest election timeout, nanoseconds.
    pub election_timeout_ns: u64,
    /// Now.
    pub now: Time,
    /// Now, on the wall clock.
    pub now_wall: i128,
}

/// How long a lease lasts: three quarters of the shortest election timeout. So no two clocks of the cluster may differ in their rates
/// by a third or more. Dissertation, section 6.4.1.
pub fn lease_length_ns(election_timeout_ns: u64) -> u64 {
    election_timeout_ns / 4 * 3
}

/// Whether the lease holds. It counts from when its round was sent, for a follower promises from when that arrives, and that may have
/// been at once; and only as long as nobody was asked to break those promises. Dissertation, section 6.4.1.
pub fn lease_holds(lease: &Lease) -> bool {
    !lease.handed_over && lease.now.0 < lease.sent.0 + lease_length_ns(lease.election_timeout_ns)
}

impl Rules {
    /// See [`may_answer_read`]. The question is put when a read arrives, and again when a round is confirmed.
    pub fn may_answer_read(&mut self, state: ReadState) -> bool {
        let right = may_answer_read(state);
        let right = self.switch.decide(mutants::READ_LOCAL_LEADER, right, || state.leads);
        let right = self.switch.decide(mutants::READINDEX_NO_TERM_COMMIT, right, || {
            may_answer_read(ReadState { own_term_committed: true, ..state })
        });
        self.switch.decide(mutants::READ_ANY_NODE, right, || true)
    }

    /// See [`may_begin_round`].
    pub fn may_begin_round(&mut self, own_term_committed: bool) -> bool {
        self.switch.decide(mutants::READINDEX_NO_TERM_COMMIT, may_begin_round(own_term_committed), || true)
    }

    /// See [`confirmed_round`].
    pub fn confirmed_round(&mut self, echoed: u64, newest: u64) -> u64 {
        self.switch.decide(mutants::READINDEX_STALE_ACK, confirmed_round(echoed), || newest)
    }

    /// See [`may_read_at`].
    pub fn may_read_at(&mut self, index: LogIndex, applied: LogIndex) -> bool {
        self.switch.decide(mutants::READ_BEFORE_APPLY, may_read_at(index, applied), || true)
    }

    /// See [`lease_holds`].
    pub fn lease_holds(&mut self, lease: &Lease) -> bool {
        let length = lease_length_ns(lease.election_timeout_ns);
        let right = lease_holds(lease);
        let right = self.switch.decide(mutants::LEASE_NO_BOUND, right, || {
            !lease.handed_over && lease.now.0 < lease.answered.0 + lease.election_timeout_ns
        });
        let right = self.switch.decide(mutants::LEASE_WALL_CLOCK, right, || {
            !lease.handed_over && lease.now_wall < lease.sent_wall + i128::from(length)
        });
        self.switch.decide(mutants::LEASE_SURVIVES_TRANSFER, right, || lease.now.0 < lease.sent.0 + length)
    }
}
