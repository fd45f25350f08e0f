//! The safety rules, each one a small pure function with its place in the literature.
//!
//! "PMS" is Lamport, "Paxos Made Simple" (2001); "PMMC" van Renesse and Altinbuken, "Paxos Made Moderately Complex" (2015); "PML"
//! Chandra, Griesemer and Redstone, "Paxos Made Live" (2007); "PQR" Charapko, Ailijiang and Demirbas, "Linearizable Quorum Reads
//! in Paxos" (HotStorage 2019). A mutant replaces exactly one of these by the wrong rule next to it; who asks a rule goes through
//! `Rules`, whose switch counts how often the wrong one decided otherwise.

use std::collections::BTreeMap;

use super::{
    super::{NodeId, Time, quorum},
    log::Log,
    mutants,
    types::{Ballot, Payload, Slot},
};
use crate::{
    machine::{Answer, Command, Machine, Operation, Value},
    mutants::{Mutant, Switch},
};

/// Ballots of different proposers differ. PMS, section 2.5; PMMC, section 2.2.
pub fn new_ballot(round: u64, node: NodeId) -> Ballot {
    Ballot { round, node }
}

/// A new ballot is above every one seen or used, in earlier lives too. PMS, section 2.5.
pub fn rounds_used(promised: Ballot) -> u64 {
    promised.round
}

/// A promise outlives the process. PMS, section 2.5; PML, section 5.1.
pub fn restored_promise(stored: Ballot) -> Ballot {
    stored
}

/// An acceptor accepts in a ballot unless it promised a higher one. PMS, section 2.2, P1a.
pub fn may_accept(ballot: Ballot, promised: Ballot) -> bool {
    ballot >= promised
}

/// One promise covers all slots from the one asked about on, for ever. PMS, section 3.
pub fn promise_covers(_slot: Slot, _asked_from: Slot) -> bool {
    true
}

/// To accept in a ballot is to promise it. PMMC, section 2.2, acceptor; PMS, section 2.2.
pub fn promise_after_accept(promised: Ballot, accepted: Ballot) -> Ballot {
    promised.max(accepted)
}

/// A 1b tells the ballot in which the value was accepted, not the one that is promised. PMS, section 2.2, phase 1.
pub fn reported_ballot(accepted: Ballot, _promised_before: Ballot) -> Ballot {
    accepted
}

/// A 1b says up to where all is chosen and nothing is told any more. PMMC, section 4.2.
pub fn snapshot_mark(snapshot: Slot) -> Slot {
    snapshot
}

/// One acceptor's word about a slot in phase 1, if it accepted anything there.
pub type Report<'a> = (NodeId, Ballot, &'a Payload);

/// The only value that may be proposed in a slot: the one accepted in the highest ballot. None when the slot is free. PMS, section
/// 2.2, P2c.
pub fn safe_value<'a>(reports: &[Report<'a>]) -> Option<&'a Payload> {
    reports.iter().max_by_key(|(_, ballot, _)| *ballot).map(|(_, _, payload)| *payload)
}

/// A majority of the acceptors. PMS, section 2.2.
pub fn quorum(voters: usize) -> usize {
    quorum::quorum(voters)
}

/// An acceptance, told of in a 2b or a 1b, counts for the ballot it names and for no other. PMMC, section 2.2, commander.
pub fn counts_for(said: Ballot, own: Ballot) -> bool {
    said == own
}

/// A value is chosen once a quorum has accepted it in one ballot. PMS, section 2.2.
pub fn is_chosen(acceptors: usize, quorum: usize) -> bool {
    acceptors >= quorum
}

/// Whether a 2b may leave at once: only when what it says is durable. PMS, section 2.5.
pub fn may_leave_before_durable(is_durable: bool) -> bool {
    is_durable
}

/// A value accepted here is known to be chosen when the leader of the very ballot in which it was accepted says so. Another
/// leader may mean another value. PMMC, section 4.1.
pub fn is_known_by_commit(accepted: Ballot, leader: Ballot) -> bool {
    accepted == leader
}

/// The next slot to apply: the one after the last, if it is chosen. PMMC, section 2.1, replica.
pub fn next_to_apply(log: &Log, applied: Slot) -> Option<Slot> {
    log.chosen(applied.next()).map(|_| applied.next())
}

/// Applies a command; one that was chosen in two slots takes effect once. PMMC, section 2.1, replica.
pub fn apply(machine: &mut Machine, slot: Slot, command: &Command) -> Answer {
    machine.apply(slot.0, command)
}

/// What is shipped to one that lags ends with what is chosen and applied. PML, section 5.1.
pub fn catch_up_limit(applied: Slot, _last: Slot) -> Slot {
    applied
}

/// What a leader knows when a read is to be answered.
#[derive(Clone, Copy, Debug)]
pub struct ReadState {
    /// This node leads.
    pub leads: bool,
    /// Everything that phase 1 brought up is chosen and applied, so the leader is up to date.
    pub settled: bool,
    /// A quorum, this node included, had promised no higher ballot in a round begun after the read arrived.
    pub round_confirmed: bool,
    /// The leader's lease is valid, and reads may use it.
    pub leased: bool,
}

/// Whether a read may be answered from the applied state. PML, section 5.2.
pub fn may_answer_read(state: ReadState) -> bool {
    state.leads && state.settled && (state.round_confirmed || state.leased)
}

/// Whether a follower may answer a read because it granted a lease: never, for the leader commits without asking it. PML, section
/// 5.2; the contrary design, with its price, is in Ceph's monitors.
pub fn follower_may_read(_granted: bool) -> bool {
    false
}

/// Until when a lease lasts that was asked for at `sent` and acknowledged at `acknowledged`, when acceptors grant `granted_ns` from
/// the moment they hear the question: a fifth less, from the question on. So clocks may differ in rate by a fifth. PML, section 5.2.
pub fn lease_end(sent: Time, _acknowledged: Time, granted_ns: u64) -> Time {
    Time(sent.0.saturating_add(granted_ns - granted_ns / 5))
}

/// Whether a quorum read may be answered: once the highest slot that anyone of the quorum accepted is applied here. PQR, section 3.
pub fn may_answer_quorum_read(applied: Slot, highest: Slot) -> bool {
    applied >= highest
}

/// A read sees what is chosen and nothing else. PQR, section 3.
pub fn read_chosen(machine: &Machine, key: &str) -> Value {
    machine.read(key)
}

/// A node votes only if its disk is the one it was founded with, or it was let in again. PML, section 5.1.
pub fn may_vote(is_fit: bool) -> bool {
    is_fit
}

/// When a node that lost its disk votes again: in a ballot above all that it may have promised, with all that was chosen below that
/// ballot applied. PML, section 5.1, with the proof in [`super::standing`].
pub fn may_be_let_in(ballot: Ballot, floor: Ballot, applied: Slot, merged: Slot) -> bool {
    ballot > floor && applied >= merged
}

/// Whether a node asks if anyone hears a leader before it begins phase 1. Spares a working leader; safety does not rest on it.
pub fn asks_before_phase1() -> bool {
    true
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

    pub fn new_ballot(&mut self, round: u64, node: NodeId) -> Ballot {
        self.switch.decide(mutants::BALLOT_NOT_UNIQUE, new_ballot(round, node), || Ballot { round, node: NodeId(0) })
    }

    pub fn rounds_used(&mut self, promised: Ballot) -> u64 {
        self.switch.decide(mutants::BALLOT_REUSE_RESTART, rounds_used(promised), || 0)
    }

    pub fn restored_promise(&mut self, stored: Ballot) -> Ballot {
        self.switch.decide(mutants::PROMISE_VOLATILE, restored_promise(stored), || Ballot::NONE)
    }

    /// Whether a value may be accepted in this slot: [`may_accept`] and [`promise_covers`].
    pub fn may_accept(&mut self, ballot: Ballot, promised: Ballot, slot: Slot, asked_from: Slot) -> bool {
        let right = may_accept(ballot, promised) || !promise_covers(slot, asked_from);
        let right = self.switch.decide(mutants::PHASE1_ONE_SLOT, right, || right || slot != asked_from);
        self.switch.decide(mutants::ACCEPT_BELOW_PROMISE, right, || true)
    }

    pub fn promise_after_accept(&mut self, promised: Ballot, accepted: Ballot) -> Ballot {
        self.switch.decide(mutants::ACCEPT_NO_BUMP, promise_after_accept(promised, accepted), || promised)
    }

    pub fn reported_ballot(&mut self, accepted: Ballot, promised_before: Ballot) -> Ballot {
        let right = reported_ballot(accepted, promised_before);
        self.switch.decide(mutants::VBAL_IS_PROMISE, right, || accepted.max(promised_before))
    }

    pub fn snapshot_mark(&mut self, snapshot: Slot) -> Slot {
        self.switch.decide(mutants::COMPACT_FORGET, snapshot_mark(snapshot), Slot::default)
    }

    /// [`safe_value`], of so many acceptors that answered.
    pub fn safe_value<'a>(&mut self, own: NodeId, answered: usize, reports: &[Report<'a>]) -> Option<&'a Payload> {
        let right = safe_value(reports);
        let own_value = || reports.iter().find(|(node, _, _)| *node == own).map(|(_, _, payload)| *payload);
        let right = self.switch.decide(mutants::OWN_VALUE, right, own_value);
        let right = self.switch.decide(mutants::MOST_COMMON_VALUE, right, || most_common(reports));
        let only_where_all_have_one = || right.filter(|_| reports.len() == answered);
        self.switch.decide(mutants::NOOP_OVER_VALUE, right, only_where_all_have_one)
    }

    pub fn quorum(&mut self, voters: usize) -> usize {
        self.switch.decide(mutants::QUORUM_HALF, quorum(voters), || (voters / 2).max(1))
    }

    pub fn counts_for(&mut self, said: Ballot, own: Ballot) -> bool {
        self.switch.decide(mutants::MIXED_2B, counts_for(said, own), || true)
    }

    pub fn is_chosen(&mut self, acceptors: usize, quorum: usize) -> bool {
        self.switch.decide(mutants::LEARN_FIRST_2B, is_chosen(acceptors, quorum), || acceptors > 0)
    }

    pub fn may_leave_before_durable(&mut self, is_durable: bool) -> bool {
        self.switch.decide(mutants::ACCEPT_BEFORE_FSYNC, may_leave_before_durable(is_durable), || true)
    }

    pub fn next_to_apply(&mut self, log: &Log, applied: Slot) -> Option<Slot> {
        let any = || log.above(applied).find(|(_, cell)| cell.chosen().is_some()).map(|(slot, _)| slot);
        self.switch.decide(mutants::APPLY_GAPS, next_to_apply(log, applied), any)
    }

    pub fn apply(&mut self, machine: &mut Machine, slot: Slot, command: &Command) -> Answer {
        let Command::Do { stamp: Some(stamp), operation } = command else { return apply(machine, slot, command) };
        if !self.switch.is_on(mutants::NO_DEDUP) {
            return apply(machine, slot, command);
        }
        // A transaction without steps, under the same stamp: the answer tells whether the stamp is new.
        let probe = Command::Do { stamp: Some(*stamp), operation: Operation::Txn { steps: Vec::new() } };
        let is_new = machine.clone().apply(slot.0, &probe) == Answer::Txn(Vec::new());
        if is_new {
            return apply(machine, slot, command);
        }
        self.switch.fire();
        machine.apply(slot.0, &Command::Do { stamp: None, operation: operation.clone() })
    }

    pub fn catch_up_limit(&mut self, applied: Slot, last: Slot) -> Slot {
        self.switch.decide(mutants::CATCHUP_ACCEPTED, catch_up_limit(applied, last), || applied.max(last))
    }

    /// See [`may_answer_read`]. The question is put when a read arrives, and again when a round is confirmed.
    pub fn may_answer_read(&mut self, state: ReadState) -> bool {
        self.switch.decide(mutants::LOCAL_READ, may_answer_read(state), || state.leads)
    }

    pub fn follower_may_read(&mut self, granted: bool) -> bool {
        self.switch.decide(mutants::FOLLOWER_LEASE_COMMIT_MAJORITY, follower_may_read(granted), || granted)
    }

    pub fn lease_end(&mut self, sent: Time, acknowledged: Time, granted_ns: u64) -> Time {
        let right = lease_end(sent, acknowledged, granted_ns);
        self.switch.decide(mutants::LEASE_NO_MARGIN, right, || Time(acknowledged.0.saturating_add(granted_ns)))
    }

    /// Whether the read is answered now, and with what: [`may_answer_quorum_read`], [`read_chosen`].
    pub fn quorum_read(&mut self, state: &QuorumReadState<'_>, key: &str) -> Option<Value> {
        let QuorumReadState { machine, applied, highest, .. } = *state;
        let right = may_answer_quorum_read(applied, highest).then(|| read_chosen(machine, key));
        let right = self.switch.decide(mutants::READ_NO_RINSE, right, || Some(read_chosen(machine, key)));
        self.switch.decide(mutants::READ_ACCEPTED, right, || Some(read_accepted(state, key)))
    }

    pub fn may_vote(&mut self, is_fit: bool) -> bool {
        self.switch.decide(mutants::LOST_DISK_REJOIN, may_vote(is_fit), || true)
    }

    pub fn asks_before_phase1(&mut self) -> bool {
        self.switch.decide(mutants::NO_PING, asks_before_phase1(), || false)
    }
}

/// What a quorum read is answered from.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuorumReadState<'a> {
    pub machine: &'a Machine,
    pub log: &'a Log,
    pub applied: Slot,
    /// The highest slot that anyone of the quorum accepted.
    pub highest: Slot,
}

/// Only for a mutant: what the key would hold if everything accepted here were chosen.
fn read_accepted(state: &QuorumReadState<'_>, key: &str) -> Value {
    let mut machine = state.machine.clone();
    for (slot, cell) in state.log.above(state.applied).take_while(|(slot, _)| *slot <= state.highest) {
        if let Some(Payload::Command(command)) = cell.accepted.as_ref().map(|a| &a.payload) {
            machine.apply(slot.0, command);
        }
    }
    machine.read(key)
}

/// Only for a mutant: the value that most acceptors report, whatever the ballots.
fn most_common<'a>(reports: &[Report<'a>]) -> Option<&'a Payload> {
    let mut counts: BTreeMap<Ballot, usize> = BTreeMap::new();
    for (_, ballot, _) in reports {
        *counts.entry(*ballot).or_default() += 1;
    }
    reports.iter().max_by_key(|(_, ballot, _)| (counts[ballot], *ballot)).map(|(_, _, payload)| *payload)
}
