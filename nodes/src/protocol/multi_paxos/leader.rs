//! A leadership: how values get to the acceptors, and when they are chosen. PMS, section 3; PMMC, section 2.2, commander.
//!
//! ```text
//!   first … merged │ merged+1 … next-1        `open`: those of them that are not chosen, each with who accepted it
//!   from phase 1   │ new commands
//!
//!   a follower:  … matched │ in flight │ next …      a window of messages; what is not acknowledged in time is sent again
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    Accept, Accepted, Ballot, Message, MultiPaxos, Out, Payload, Slot, Vote,
    client::{Asker, Proposal},
    election::{Merged, Role},
    reads::LeaderReads,
};
use crate::{
    machine::Answer,
    protocol::{NodeId, Refusal, Ticket, Time},
};

/// At most so many slots are undecided (PMMC's WINDOW); it also bounds what a 1b tells beyond a snapshot.
pub(super) const WINDOW: u64 = 4096;
/// A message is sent again when this many heartbeats brought no progress.
const RESEND_IN_HEARTBEATS: u64 = 2;
/// So many rounds of heartbeats are remembered with the time at which they began.
const ROUNDS_KEPT: usize = 64;

/// What only a leader has.
#[derive(Debug)]
pub(super) struct Leadership {
    pub ballot: Ballot,
    /// The first slot of this ballot.
    first: Slot,
    /// The last slot that phase 1 brought up.
    merged: Slot,
    /// The next free slot.
    next: Slot,
    open: BTreeMap<Slot, BTreeSet<NodeId>>,
    /// Own acceptances that are not durable yet, by their number.
    own: VecDeque<(u64, Slot)>,
    pub followers: BTreeMap<NodeId, Progress>,
    /// Slots, in order, whose askers wait.
    pub proposals: VecDeque<Proposal>,
    pub reads: LeaderReads,
    pub transfer: Option<Transfer>,
    /// A transfer was asked for in this ballot: its lease is not used any more.
    pub lease_released: bool,
    heartbeat_at: Time,
    /// When to begin a new ballot, for a node that lost its disk.
    pub renew_at: Time,
    /// When the newest rounds of heartbeats began.
    rounds: VecDeque<(u64, Time)>,
}

/// What a leader knows of a follower.
#[derive(Debug)]
pub(super) struct Progress {
    /// Accepted, durably, or known to be chosen there without a gap up to here.
    pub matched: Slot,
    /// The newest round of heartbeats when that was heard.
    matched_in: u64,
    /// The next slot to send.
    next: Slot,
    /// The last slot of each message that was not acknowledged.
    in_flight: VecDeque<Slot>,
    /// When `matched` last went up, or sending began.
    moved: Time,
    /// When it last answered.
    heard: Time,
    /// The newest round of heartbeats it answered.
    pub round: u64,
    /// When that round began, and when the answer came.
    pub granted: Option<(Time, Time)>,
}

/// Leadership is being handed over.
#[derive(Debug)]
pub(super) struct Transfer {
    pub to: NodeId,
    pub until: Time,
    pub told: bool,
}

impl Leadership {
    pub fn wake_at(&self) -> Time {
        let transfer = self.transfer.as_ref().map_or(Time(u64::MAX), |t| t.until);
        self.heartbeat_at.min(self.renew_at).min(transfer)
    }

    /// Whether all that phase 1 brought up is chosen, and applied.
    pub fn is_settled(&self, applied: Slot) -> bool {
        applied >= self.merged
    }

    /// When this round of heartbeats began, if that is remembered.
    fn began(&self, round: u64) -> Option<Time> {
        self.rounds.iter().find(|(number, _)| *number == round).map(|(_, at)| *at)
    }

    /// Counts a new round.
    pub fn begin_round(&mut self, now: Time) {
        let round = self.reads.next_round();
        if self.rounds.len() == ROUNDS_KEPT {
            self.rounds.pop_front();
        }
        self.rounds.push_back((round, now));
    }
}

impl MultiPaxos {
    /// Phase 1 is done: phase 2 for all that it brought up. PMS, section 3.
    pub(super) fn become_leader(&mut self, ballot: Ballot, merged: Vec<Merged>, out: &mut Out) {
        let first = self.applied.next();
        let progress = || Progress {
            matched: first.prev(),
            matched_in: 0,
            next: first,
            in_flight: VecDeque::new(),
            moved: self.now,
            heard: self.now,
            round: 0,
            granted: None,
        };
        let leadership = Leadership {
            ballot,
            first,
            merged: first.prev().plus(merged.len()),
            next: first,
            open: BTreeMap::new(),
            own: VecDeque::new(),
            followers: self.peers.iter().map(|&p| (p, progress())).collect(),
            proposals: VecDeque::new(),
            reads: LeaderReads::default(),
            transfer: None,
            lease_released: false,
            heartbeat_at: self.now,
            renew_at: Time(u64::MAX),
            rounds: VecDeque::new(),
        };
        self.role = Role::Leader(Box::new(leadership));
        self.leader = Some(self.config.id);
        self.leader_ballot = ballot;
        self.give_up_on_earlier_leaders(out);
        self.arriving = None;
        self.pull = None;
        self.gate.open(ballot);
        let mut told = Vec::new();
        for Merged { value, accepted } in merged {
            let Some(slot) = self.propose_value(value, out) else { return };
            told.extend(accepted.into_iter().map(|(node, said)| (slot, node, said)));
        }
        // A 1b tells of acceptances, too: of earlier ballots, so none of them counts here.
        for (slot, node, said) in told {
            if self.rules.counts_for(said, ballot) {
                self.count_acceptance(node, slot, 1, out);
            }
        }
    }

    /// Phase 2a in the next free slot. The own acceptance counts once it is durable.
    pub(super) fn propose_value(&mut self, payload: Payload, out: &mut Out) -> Option<Slot> {
        let Role::Leader(leadership) = &mut self.role else { return None };
        let (slot, ballot) = (leadership.next, leadership.ballot);
        leadership.next = slot.next();
        leadership.open.insert(slot, BTreeSet::new());
        leadership.own.push_back((self.acceptances + 1, slot));
        self.accept(Vote { slot, ballot, payload }, out);
        out.sync_wanted = true;
        for &peer in &self.peers {
            if !self.to_send.contains(&peer) {
                self.to_send.push_back(peer);
            }
        }
        Some(slot)
    }

    /// How many slots are undecided.
    pub(super) fn open_slots(&self) -> u64 {
        if let Role::Leader(leadership) = &self.role { leadership.open.len() as u64 } else { 0 }
    }

    /// Sees to it that all slots up to here are chosen some time: a reader has heard of a value there. PQR, section 3.
    pub(super) fn rinse(&mut self, through: Slot, out: &mut Out) {
        let next = if let Role::Leader(leadership) = &self.role { leadership.next } else { return };
        if through.0 < next.0 + WINDOW {
            for _ in next.0..=through.0 {
                self.propose_value(Payload::Noop, out);
            }
        }
    }

    /// The first slot that this leader sends values of: what lies before is chosen, and for others to ask for.
    fn begin(&self, leadership: &Leadership) -> Slot {
        leadership.first.max(self.log.base().next())
    }

    fn accept_message(&self, leadership: &Leadership, first: Slot, values: Vec<Payload>) -> Message {
        Message::Accept(Accept {
            ballot: leadership.ballot,
            first,
            values,
            commit: self.applied,
            begin: self.begin(leadership),
            merged: leadership.merged,
            round: leadership.reads.round(),
        })
    }

    /// Sends what the follower's window allows.
    pub(super) fn send_values(&mut self, to: NodeId, out: &mut Out) {
        while let Some(message) = self.next_values(to) {
            self.send(to, message, out);
        }
    }

    fn next_values(&mut self, to: NodeId) -> Option<Message> {
        let Role::Leader(leadership) = &self.role else { return None };
        let progress = leadership.followers.get(&to)?;
        let first = progress.next.max(self.begin(leadership));
        if first >= leadership.next || progress.in_flight.len() >= self.config.max_inflight {
            return None;
        }
        let mut values =
            self.log.batch(first, self.config.max_append_bytes, |cell| cell.accepted.as_ref().map(|a| &a.payload));
        values.truncate(usize::try_from(leadership.next.0 - first.0).unwrap_or(usize::MAX));
        assert!(!values.is_empty(), "a leader has accepted what it proposes");
        let next = first.plus(values.len());
        let message = self.accept_message(leadership, first, values);
        if let Role::Leader(leadership) = &mut self.role {
            let progress = leadership.followers.get_mut(&to)?;
            if progress.in_flight.is_empty() {
                progress.moved = self.now;
            }
            progress.next = next;
            progress.in_flight.push_back(next.prev());
        }
        Some(message)
    }

    /// Tells every follower who leads, up to where all is chosen, and which round this is.
    pub(super) fn heartbeat_all(&mut self, out: &mut Out) {
        if let Role::Leader(leadership) = &mut self.role {
            leadership.begin_round(self.now);
        }
        if let Role::Leader(leadership) = &self.role {
            let message = self.accept_message(leadership, leadership.next, Vec::new());
            self.send_to_all(&message, out);
        }
    }

    /// What a leader does as time goes by.
    pub(super) fn on_leader_time(&mut self, out: &mut Out) {
        let Role::Leader(leadership) = &mut self.role else { return };
        if leadership.transfer.as_ref().is_some_and(|t| self.now >= t.until) {
            leadership.transfer = None;
        }
        if self.now >= leadership.renew_at {
            self.start_phase1(None, out);
            return;
        }
        if self.now < leadership.heartbeat_at {
            return;
        }
        leadership.heartbeat_at = Time(self.now.0.saturating_add(self.config.heartbeat_ns));
        if !self.hears_quorum() {
            self.follow(None, out);
            return;
        }
        self.heartbeat_all(out);
        self.resend(out);
    }

    /// A leader that no quorum has answered for twice the election timeout makes room. Nothing else rests on this.
    fn hears_quorum(&mut self) -> bool {
        let quorum = self.quorum();
        let Role::Leader(leadership) = &self.role else { return false };
        let window = self.config.election_timeout_ns.saturating_mul(2);
        leadership.followers.values().filter(|p| self.now.0 - p.heard.0 < window).count() + 1 >= quorum
    }

    /// Goes back to the first value that was not acknowledged, where nothing was for a while.
    fn resend(&mut self, out: &mut Out) {
        let patience = self.config.heartbeat_ns.saturating_mul(RESEND_IN_HEARTBEATS);
        let Role::Leader(leadership) = &mut self.role else { return };
        let mut late = Vec::new();
        for (&node, progress) in &mut leadership.followers {
            if !progress.in_flight.is_empty() && self.now.0 - progress.moved.0 >= patience {
                progress.in_flight.clear();
                progress.next = progress.matched.next();
                late.push(node);
            }
        }
        for node in late {
            self.send_values(node, out);
        }
    }

    /// Phase 2b.
    pub(super) fn on_accepted(&mut self, from: NodeId, m: Accepted, out: &mut Out) {
        let Role::Leader(leadership) = &mut self.role else { return };
        let ballot = leadership.ballot;
        if m.ballot == ballot {
            let began = leadership.began(m.round);
            let last = leadership.next.prev();
            let newest = leadership.reads.round();
            let Some(progress) = leadership.followers.get_mut(&from) else { return };
            progress.heard = self.now;
            if m.round > progress.round {
                progress.round = m.round;
                progress.granted = began.map(|began| (began, self.now));
            }
            if let Some(through) = m.through.map(|through| through.min(last)) {
                progress.on_through(through, m.round, newest, self.now);
                // Accepted in this ballot, or known to be chosen: the latter may have been learned from an earlier leader, and then
                // no 2b will name the slot.
                let first = leadership.first;
                self.count_acceptance(from, first, through.next().0.saturating_sub(first.0), out);
            }
        }
        if m.count > 0 && self.rules.counts_for(m.ballot, ballot) {
            self.count_acceptance(from, m.first, m.count, out);
        }
        self.confirm_reads(out);
        self.hand_over_if_ready(out);
        if matches!(self.role, Role::Leader(_)) && !self.to_send.contains(&from) {
            self.to_send.push_back(from);
        }
    }

    /// An acceptor, maybe this node itself, accepted in these slots. PMS, section 2.2: chosen by a quorum.
    fn count_acceptance(&mut self, from: NodeId, first: Slot, count: u64, out: &mut Out) {
        let quorum = self.quorum();
        let Role::Leader(leadership) = &mut self.role else { return };
        let mut chosen = Vec::new();
        for (&slot, acceptors) in leadership.open.range_mut(first..Slot(first.0.saturating_add(count))) {
            acceptors.insert(from);
            if self.rules.is_chosen(acceptors.len(), quorum) {
                chosen.push(slot);
            }
        }
        for slot in &chosen {
            leadership.open.remove(slot);
            self.log.choose(*slot);
        }
        if !chosen.is_empty() {
            self.apply_chosen(out);
            self.start_read_round(out);
        }
    }

    /// Something became durable: acceptances, and maybe a promise.
    pub(super) fn on_durable(&mut self, ticket: Ticket, out: &mut Out) {
        self.durability.confirm(ticket);
        self.count_own_promise(out);
        let durable = self.durability.index();
        let own = self.config.id;
        while let Role::Leader(leadership) = &mut self.role
            && let Some(&(_, slot)) = leadership.own.front().filter(|(number, _)| *number <= durable)
        {
            leadership.own.pop_front();
            self.count_acceptance(own, slot, 1, out);
        }
    }

    /// Hands leadership over once the follower has everything.
    pub(super) fn hand_over_if_ready(&mut self, out: &mut Out) {
        let Role::Leader(leadership) = &mut self.role else { return };
        let last = leadership.next.prev();
        let Some(transfer) = &mut leadership.transfer else { return };
        let ready = leadership.followers.get(&transfer.to).is_some_and(|p| p.matched >= last);
        if ready && !std::mem::replace(&mut transfer.told, true) {
            leadership.lease_released = true;
            let (to, ballot) = (transfer.to, leadership.ballot);
            self.send(to, Message::TakeOver { ballot }, out);
        }
    }

    /// This leadership is over. What became of its clients' commands is not known here: they may be chosen yet. Reads had no
    /// effect.
    pub(super) fn abandon_clients(&mut self, leadership: Leadership, out: &mut Out) {
        for Proposal { asker, .. } in leadership.proposals {
            self.abandon(asker, out);
        }
        for reader in leadership.reads.into_readers() {
            self.refuse_read(reader, out);
        }
    }

    fn abandon(&mut self, asker: Asker, out: &mut Out) {
        match asker {
            Asker::Reader(reader) => self.refuse_read(reader, out),
            other => self.answer_command(other, Err(Refusal::LeadershipLost), out),
        }
    }

    /// A slot was applied: who waits for it gets the answer.
    pub(super) fn answer_proposal(&mut self, slot: Slot, answer: Option<Answer>, out: &mut Out) {
        while let Role::Leader(leadership) = &mut self.role
            && let Some(proposal) = leadership.proposals.pop_front_if(|p| p.slot <= slot)
        {
            match (proposal.asker, &answer) {
                (Asker::Reader(reader), _) if proposal.slot == slot => self.answer_read(reader, slot, out),
                (asker, Some(answer)) if proposal.slot == slot => self.answer_command(asker, Ok(answer.clone()), out),
                (asker, _) => {
                    assert!(self.rules.is_mutated(), "a slot was passed over, or holds another value");
                    self.abandon(asker, out);
                }
            }
        }
    }
}

impl Progress {
    /// Everything up to here is there, says the answer to a message of round `asked`; the newest round is `newest`.
    ///
    /// That may go back: what a node has learned and not accepted it forgets when it restarts. But only an answer to a question that
    /// was put after the better news says so; one that was overtaken does not.
    fn on_through(&mut self, through: Slot, asked: u64, newest: u64, now: Time) {
        if through < self.matched && asked > self.matched_in {
            self.in_flight.clear();
            self.next = through.next();
        } else if through <= self.matched {
            return;
        }
        self.matched = through;
        self.matched_in = newest;
        self.moved = now;
        while self.in_flight.front().is_some_and(|&last| last <= through) {
            self.in_flight.pop_front();
        }
        self.next = self.next.max(through.next());
    }
}
