//! What a follower takes, what a leader counts, what is committed and applied.

use super::{
    super::{
        mutants,
        types::{LogIndex, Term},
    },
    Rules,
};

/// Whether a leader may commit up to `index`: a majority has it, and it is of the leader's own term. Paper, section 5.4.2,
/// Figure 8.
pub fn may_commit(reached: LogIndex, commit: LogIndex, term_there: Option<Term>, current: Term) -> bool {
    reached > commit && term_there == Some(current)
}

/// Where a follower's commit index goes. Paper, Figure 2, AppendEntries RPC, rule 5.
pub fn follower_commit(commit: LogIndex, leader_commit: LogIndex, last_new: LogIndex) -> LogIndex {
    commit.max(leader_commit.min(last_new))
}

/// Whether the entry before the new ones is the leader's. Paper, Figure 2, AppendEntries RPC, rule 2.
pub fn prev_matches(term_there: Option<Term>, prev_term: Term) -> bool {
    term_there == Some(prev_term)
}

/// Whether entries behind the last one sent stay, when nothing sent differs. Paper, Figure 2, AppendEntries RPC, rule 3: only a
/// conflict cuts the log; the message may be older than what was appended since.
pub fn keeps_what_follows() -> bool {
    true
}

/// Whether a leader counts an acknowledgement: it was given in this term. Paper, section 5.1.
pub fn reply_counts(replied: Term, current: Term) -> bool {
    replied == current
}

/// What a new leader takes a follower's log to match. Paper, Figure 2, "Volatile state on leaders … reinitialized after election".
pub fn initial_match() -> LogIndex {
    LogIndex(0)
}

/// What a leader's own copy counts for: what is durable of it. Dissertation, section 10.2.1.
pub fn own_match(durable: LogIndex) -> LogIndex {
    durable
}

/// How far the machine may go. Paper, Figure 2, "All servers", rule 1.
pub fn apply_limit(commit: LogIndex) -> LogIndex {
    commit
}

/// Whether the client of the command at `index` may be told that it is done. Paper, section 5.3.
pub fn may_answer_command(index: LogIndex, applied: LogIndex) -> bool {
    index <= applied
}

impl Rules {
    /// See [`may_commit`].
    pub fn may_commit(&mut self, reached: LogIndex, commit: LogIndex, term_there: Option<Term>, current: Term) -> bool {
        let right = may_commit(reached, commit, term_there, current);
        self.switch.decide(mutants::FIG8_COMMIT_OLD_TERM, right, || reached > commit)
    }

    /// How many bytes of entries go into one message. No rule of safety; but in one message with the new leader's no-op, an entry of
    /// an earlier term is never counted alone, and the wrong [`may_commit`] would never decide otherwise.
    pub fn append_bytes(&self, configured: usize) -> usize {
        if self.switch.is_on(mutants::FIG8_COMMIT_OLD_TERM) { 1 } else { configured }
    }

    /// How many messages may be on their way to a follower. No rule of safety; but where the no-op is on its way with the entries before
    /// it, they are hardly ever counted without it.
    pub fn appends_in_flight(&self, configured: usize) -> usize {
        if self.switch.is_on(mutants::FIG8_COMMIT_OLD_TERM) { 1 } else { configured }
    }

    /// Whether a server that finds an entry of another leader where it has applied one goes back to before it. No correct server has to,
    /// and hardly any could: a machine does not forget. Where a mutant lost what others still have, going back shows that best; but
    /// where the harm is what was applied here, it would undo it within a message.
    pub fn takes_back_applied(&self) -> bool {
        !self.switch.is_on(mutants::COMMIT_NO_MIN) && !self.switch.is_on(mutants::FIG8_COMMIT_OLD_TERM)
    }

    /// See [`follower_commit`].
    pub fn follower_commit(&mut self, commit: LogIndex, leader_commit: LogIndex, last_new: LogIndex) -> LogIndex {
        let right = follower_commit(commit, leader_commit, last_new);
        self.switch.decide(mutants::COMMIT_NO_MIN, right, || commit.max(leader_commit))
    }

    /// See [`prev_matches`].
    pub fn prev_matches(&mut self, term_there: Option<Term>, prev_term: Term) -> bool {
        // Entries cannot be put behind a gap, by whatever rule.
        self.switch.decide(mutants::APPEND_NO_PREV_CHECK, prev_matches(term_there, prev_term), || term_there.is_some())
    }

    /// See [`keeps_what_follows`].
    pub fn keeps_what_follows(&mut self) -> bool {
        self.switch.decide(mutants::TRUNCATE_ALWAYS, keeps_what_follows(), || false)
    }

    /// See [`reply_counts`].
    pub fn reply_counts(&mut self, replied: Term, current: Term) -> bool {
        self.switch.decide(mutants::ACK_STALE_REPLIES, reply_counts(replied, current), || replied <= current)
    }

    /// See [`initial_match`]. `former` is what was known when this server last led.
    pub fn initial_match(&mut self, former: LogIndex) -> LogIndex {
        self.switch.decide(mutants::MATCHINDEX_NOT_RESET, initial_match(), || former)
    }

    /// See [`own_match`].
    pub fn own_match(&mut self, durable: LogIndex, last: LogIndex) -> LogIndex {
        self.switch.decide(mutants::LEADER_SELF_COUNT, own_match(durable), || last)
    }

    /// Whether a leader waits for the sync of its own entries: not when it counts them without.
    pub fn waits_for_own_sync(&self) -> bool {
        !self.switch.is_on(mutants::LEADER_SELF_COUNT)
    }

    /// See [`apply_limit`].
    pub fn apply_limit(&mut self, commit: LogIndex, last: LogIndex) -> LogIndex {
        self.switch.decide(mutants::APPLY_BEFORE_COMMIT, apply_limit(commit), || last)
    }

    /// See [`may_answer_command`].
    pub fn may_answer_command(&mut self, index: LogIndex, applied: LogIndex) -> bool {
        self.switch.decide(mutants::REPLY_BEFORE_COMMIT, may_answer_command(index, applied), || true)
    }
}
