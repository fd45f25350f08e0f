//! The safety rules, each one a small pure function with its place in the literature.
//!
//! "DSN 2011" is Junqueira, Reed and Serafini, "Zab: High-performance broadcast for primary-backup systems"; "Zab1.0" is the
//! protocol as ZooKeeper runs it, described in its wiki. A mutant replaces exactly one of these; who asks a rule goes through
//! `Rules`, whose switch counts how often the wrong one decided otherwise.

use std::{collections::BTreeSet, ops::RangeInclusive};

use super::{
    messages::EPOCH_MAX,
    mutants,
    types::{Epoch, Epochs, Payload, Position, Proposal, Recency, Vote},
};
use crate::{
    machine::{Answer, Command, Machine, Transaction},
    mutants::{Mutant, Switch},
    protocol::{NodeId, quorum},
};

/// Whether one history is more recent than another: synchronized in a later epoch, or in the same and longer. DSN 2011, section
/// IV-A, step l.1.2 of phase 1; Zab1.0, phase 0 and the check of ACKEPOCH.
pub fn is_more_recent(one: Recency, other: Recency) -> bool {
    one > other
}

/// The epoch that a new leader proposes: later than any that a quorum has accepted. DSN 2011, step l.1.1. None when the epochs are
/// used up, which no cluster lives to see.
pub fn new_epoch(accepted: impl IntoIterator<Item = Epoch>) -> Option<Epoch> {
    let newest = accepted.into_iter().max().unwrap_or_default();
    (newest < EPOCH_MAX).then(|| Epoch(newest.0 + 1))
}

/// What a follower does with a NEWEPOCH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Accept the epoch, durably, then acknowledge.
    Accept,
    /// Acknowledge once more what was accepted from this same leader.
    Repeat,
    /// Leave.
    Refuse,
}

/// Whether a follower accepts an epoch. DSN 2011, step f.1.1; that one of an equal number counts only from the same leader is
/// Zab1.0's phase 1.
pub fn promise(epoch: Epoch, from: NodeId, mine: &Epochs) -> Promise {
    match epoch.cmp(&mine.accepted) {
        std::cmp::Ordering::Greater => Promise::Accept,
        std::cmp::Ordering::Equal if mine.accepted_from == Some(from) => Promise::Repeat,
        _ => Promise::Refuse,
    }
}

/// Whether a leader of `epoch` may take in a server that has accepted `theirs` from `of`: none that has promised a later one, or this
/// one to another leader. Zab1.0, phase 1.
pub fn may_be_followed_by(theirs: Epoch, of: Option<NodeId>, epoch: Epoch, leader: NodeId) -> bool {
    theirs < epoch || (theirs == epoch && of == Some(leader))
}

/// What of the epochs goes to disk before a NEWEPOCH is acknowledged: all of it. DSN 2011, section IV-A: `f.p` is persistent.
pub fn to_record(epochs: Epochs) -> Epochs {
    epochs
}

/// Whether currentEpoch may become the leader's epoch: only behind the whole history. DSN 2011, step f.2.1; Zab1.0, phase 2; the
/// order is that of ZOOKEEPER-4643's repair.
pub fn may_adopt_epoch(history_is_whole: bool) -> bool {
    history_is_whole
}

/// Whether ACK-NEWLEADER may leave: history and epoch are durable. DSN 2011, step f.2.1.
pub fn may_ack_new_leader(history_is_durable: bool, epoch_is_durable: bool) -> bool {
    history_is_durable && epoch_is_durable
}

/// Whether phase 3 may begin: a quorum acknowledged NEWLEADER, not only NEWEPOCH. DSN 2011, step l.2.2.
pub fn may_broadcast(acked_new_leader: bool, _acked_epoch: bool) -> bool {
    acked_new_leader
}

/// Where a message of phase 3 comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The sender is the one that this server follows.
    pub is_my_leader: bool,
    /// The epoch that it names.
    pub epoch: Epoch,
}

/// Whether a follower may take a PROPOSE or a COMMIT: from the leader and the epoch to which it is synchronized. DSN 2011, steps
/// f.3.1 and f.3.2.
pub fn is_of_this_epoch(origin: Origin, mine: &Epochs) -> bool {
    origin.is_my_leader && origin.epoch == mine.accepted && origin.epoch == mine.current
}

/// Whether an ACK may leave at once: only when what it acknowledges is durable. DSN 2011, step f.3.1.
pub fn may_ack(upto: Position, durable: Position) -> bool {
    upto <= durable
}

/// Whether a leader may answer the client of a transaction: once it is committed. DSN 2011, step l.3.2, and section II.
pub fn may_reply(position: Position, committed: Position, _acked: Position) -> bool {
    position <= committed
}

/// What a restarted server may apply before phase 2 is complete: what is committed for sure, its snapshot. Whatever else its log
/// holds may be truncated, and memory must follow the log (ZOOKEEPER-2845).
pub fn applied_at_restart(snapshot: Position, _last: Position) -> Position {
    snapshot
}

/// Whether a snapshot that a leader sent is stored before the synchronization goes on. Zab1.0, phase 2; ZOOKEEPER-3642.
pub fn stores_snapshot() -> bool {
    true
}

/// What of a transaction goes into a DIFF: all of it, wherever this server has it from. DSN 2011, step l.2.1 (the whole history).
pub fn to_send(proposal: Proposal, _was_synchronized: bool) -> Proposal {
    proposal
}

/// What is known when a read is to be answered.
#[derive(Clone, Copy, Debug)]
pub struct ReadState {
    /// Phase 2 is complete here.
    pub serves: bool,
    /// A `sync` that was ordered after the read arrived is applied here.
    pub is_synced: bool,
}

/// Whether a read may be answered from this server's state. Not in the paper: a local read of ZooKeeper is only sequentially
/// consistent; `sync` before it makes it linearizable if the `sync` itself is broadcast (ZOOKEEPER-3600).
pub fn may_read(state: ReadState) -> bool {
    state.serves && state.is_synced
}

/// Whether a leader may say how much must be applied for a `sync`: once that was committed by a quorum. ZOOKEEPER-2136, -3600.
pub fn may_answer_sync(leads: bool, is_committed: bool) -> bool {
    leads && is_committed
}

/// Works out a transaction: against the state with all that is proposed. DSN 2011, section II ("incremental state changes");
/// ZooKeeper's request preparation, with its outstanding changes.
pub fn prepare(
    outstanding: &mut Machine,
    _committed: &Machine,
    position: Position,
    command: &Command,
) -> (Answer, Transaction) {
    outstanding.prepare(position.0, command)
}

/// The rules as this process follows them.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    switch: Switch,
    /// Only for a mutant: what came by synchronization in this life.
    synchronized: Option<RangeInclusive<Position>>,
}

impl Rules {
    pub fn new(mutant: Option<Mutant>) -> Self {
        Self { switch: Switch::new(mutant), synchronized: None }
    }

    /// See [`Switch::fired`].
    pub fn fired(&self) -> u64 {
        self.switch.fired()
    }

    /// See [`Switch::is_mutated`].
    pub fn is_mutated(&self) -> bool {
        self.switch.is_mutated()
    }

    /// A correct build stops here; in a mutated one the bug is to show to clients.
    pub fn must(&self, holds: bool, what: &str) {
        assert!(holds || self.is_mutated(), "{what}");
    }

    /// How many servers are a quorum. DSN 2011, section III; see [`quorum::quorum`].
    pub fn quorum(&mut self, voters: usize) -> usize {
        self.switch.decide(mutants::QUORUM_HALF, quorum::quorum(voters), || (voters / 2).max(1))
    }

    /// Whether these are a quorum.
    pub fn is_quorum(&mut self, servers: &BTreeSet<NodeId>, voters: &[NodeId]) -> bool {
        let count = voters.iter().filter(|voter| servers.contains(voter)).count();
        count >= self.quorum(voters.len())
    }

    /// See [`is_more_recent`]. Asked by voters, and by a leader of its followers.
    pub fn is_more_recent(&mut self, one: Recency, other: Recency) -> bool {
        self.switch.decide(mutants::ELECT_BY_ID, is_more_recent(one, other), || false)
    }

    /// Whether a vote is better than another: [`is_more_recent`], and the greater number where neither is.
    pub fn is_better(&mut self, one: Vote, other: Vote) -> bool {
        if self.is_more_recent(one.recency, other.recency) {
            return true;
        }
        !self.is_more_recent(other.recency, one.recency) && one.leader > other.leader
    }

    /// See [`promise`]. Who did not record its promise does not know to whom it gave it, and holds that against nobody.
    pub fn promise(&mut self, epoch: Epoch, from: NodeId, mine: &Epochs) -> Promise {
        let right = promise(epoch, from, mine);
        let is_forgotten = epoch == mine.accepted && mine.accepted_from.is_none();
        let wrong = || if is_forgotten { Promise::Accept } else { right };
        self.switch.decide(mutants::ACCEPTED_EPOCH_VOLATILE, right, wrong)
    }

    /// See [`may_be_followed_by`], and [`Self::promise`].
    pub fn may_be_followed_by(&mut self, theirs: Epoch, of: Option<NodeId>, epoch: Epoch, leader: NodeId) -> bool {
        let right = may_be_followed_by(theirs, of, epoch, leader);
        self.switch.decide(mutants::ACCEPTED_EPOCH_VOLATILE, right, || right || (theirs == epoch && of.is_none()))
    }

    /// See [`to_record`].
    pub fn recorded(&mut self, epochs: Epochs) -> Epochs {
        let volatile = || Epochs { accepted: epochs.current, accepted_from: None, ..epochs };
        self.switch.decide(mutants::ACCEPTED_EPOCH_VOLATILE, to_record(epochs), volatile)
    }

    /// See [`may_adopt_epoch`].
    pub fn may_adopt_epoch(&mut self, history_is_whole: bool) -> bool {
        self.switch.decide(mutants::EPOCH_BEFORE_HISTORY, may_adopt_epoch(history_is_whole), || true)
    }

    /// See [`may_ack_new_leader`].
    pub fn may_ack_new_leader(&mut self, history_is_durable: bool, epoch_is_durable: bool) -> bool {
        let right = may_ack_new_leader(history_is_durable, epoch_is_durable);
        self.switch.decide(mutants::NEW_LEADER_ACK_BEFORE_SYNC, right, || true)
    }

    /// See [`may_broadcast`].
    pub fn may_broadcast(&mut self, acked_new_leader: bool, acked_epoch: bool) -> bool {
        let right = may_broadcast(acked_new_leader, acked_epoch);
        self.switch.decide(mutants::SKIP_SYNC_PHASE, right, || acked_epoch)
    }

    /// See [`is_of_this_epoch`].
    pub fn is_of_this_epoch(&mut self, origin: Origin, mine: &Epochs) -> bool {
        let right = is_of_this_epoch(origin, mine);
        self.switch.decide(mutants::OLD_EPOCH_PROPOSAL, right, || origin.epoch <= mine.accepted)
    }

    /// See [`may_ack`].
    pub fn may_ack(&mut self, upto: Position, durable: Position) -> bool {
        self.switch.decide(mutants::ACK_BEFORE_FSYNC, may_ack(upto, durable), || true)
    }

    /// See [`may_reply`].
    pub fn may_reply(&mut self, position: Position, committed: Position, acked: Position) -> bool {
        let right = may_reply(position, committed, acked);
        self.switch.decide(mutants::REPLY_AT_ACK, right, || position <= acked)
    }

    /// See [`applied_at_restart`].
    pub fn applied_at_restart(&mut self, snapshot: Position, last: Position) -> Position {
        let right = applied_at_restart(snapshot, last);
        self.switch.decide(mutants::SERVE_UNCOMMITTED_ON_RESTART, right, || last)
    }

    /// See [`stores_snapshot`].
    pub fn stores_snapshot(&mut self) -> bool {
        self.switch.decide(mutants::SNAP_NOT_PERSISTED, stores_snapshot(), || false)
    }

    /// A transaction came by synchronization.
    pub fn synchronized(&mut self, position: Position) {
        if self.switch.is_on(mutants::LOG_HOLE) {
            let from = self.synchronized.as_ref().map_or(position, |range| *range.start().min(&position));
            self.synchronized = Some(from..=position);
        }
    }

    /// See [`to_send`].
    pub fn sent_in_diff(&mut self, position: Position, proposal: Proposal) -> Proposal {
        if !self.switch.is_on(mutants::LOG_HOLE) {
            return to_send(proposal, false);
        }
        let was_synchronized = self.synchronized.as_ref().is_some_and(|range| range.contains(&position));
        let payload = if was_synchronized { Payload::Sync } else { proposal.payload.clone() };
        let hole = Proposal { payload, ..proposal };
        self.switch.decide(mutants::LOG_HOLE, to_send(proposal, was_synchronized), || hole)
    }

    /// See [`may_read`].
    pub fn may_read(&mut self, state: ReadState) -> bool {
        self.switch.decide(mutants::READ_LOCAL, may_read(state), || state.serves)
    }

    /// See [`may_answer_sync`].
    pub fn may_answer_sync(&mut self, leads: bool, is_committed: bool) -> bool {
        self.switch.decide(mutants::SYNC_NO_QUORUM, may_answer_sync(leads, is_committed), || leads)
    }

    /// See [`prepare`].
    pub fn prepare(
        &mut self,
        outstanding: &mut Machine,
        committed: &Machine,
        position: Position,
        command: &Command,
    ) -> (Answer, Transaction) {
        if !self.switch.is_on(mutants::CAS_COMMITTED_STATE) {
            return prepare(outstanding, committed, position, command);
        }
        let right = prepare(&mut outstanding.clone(), committed, position, command);
        let wrong = || committed.clone().prepare(position.0, command);
        let (answer, transaction) = self.switch.decide(mutants::CAS_COMMITTED_STATE, right, wrong);
        let _fits = outstanding.apply_transaction(&transaction);
        (answer, transaction)
    }
}
