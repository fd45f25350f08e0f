//! The acceptor. PMS, section 2.2; PMMC, section 2.2: it does two things, and nothing else.
//!
//! ```text
//!   1a(b) ── b >= promised ──> promised = b ──────────────────── durable ──> 1b(b, all that was accepted)
//!   2a(b, slots, values) ── b >= promised ──> promised = b, accepted[slot] = (b, value) ── durable ──> 2b(b, slots)
//!   otherwise ──> Nack(promised)
//! ```

use super::{
    Accept, Accepted, Ballot, Message, MultiPaxos, Out, Payload, Prepare, Promise, Record, Slot, Vote, election::Role,
    log::weight,
};
use crate::protocol::{NodeId, ReadMode};

impl MultiPaxos {
    pub(super) fn on_prepare(&mut self, from: NodeId, m: Prepare, out: &mut Out) {
        self.see(m.ballot);
        if !self.may_vote() || self.is_bound_by_lease(from, m.released) {
            return;
        }
        if m.ballot < self.promised {
            self.send(from, Message::Nack { refused: m.ballot, promised: self.promised }, out);
            return;
        }
        if m.ballot > self.promised {
            self.set_promise(m.ballot);
            self.asked_from = m.from;
            self.follow(None, out);
        }
        // Give the candidate its time.
        if !matches!(self.role, Role::Leader(_)) {
            self.candidate_heard = Some(self.now);
            self.reset_election_timer();
        }
        let promise = self.promise(m);
        self.send(from, Message::Promise(promise), out);
    }

    /// Whether a lease keeps this node from promising anything to `from`. PML, section 5.2.
    pub(super) fn is_bound_by_lease(&self, from: NodeId, released: Option<Ballot>) -> bool {
        if self.config.reads != ReadMode::Lease {
            return false;
        }
        let granted = match &self.role {
            Role::Leader(leadership) => !leadership.lease_released,
            _ => self.grants_lease() && self.leader != Some(from) && released != Some(self.leader_ballot),
        };
        granted || self.now < self.no_promise_until
    }

    /// Whether the leader was heard so recently that it may hold a lease.
    pub(super) fn grants_lease(&self) -> bool {
        self.leader_heard.is_some_and(|at| self.now.0 - at.0 < self.config.election_timeout_ns)
    }

    /// A piece of the 1b: what was accepted from the slot asked about on, as much as fits.
    fn promise(&mut self, m: Prepare) -> Promise {
        let snapshot = self.snapshot_slot();
        let mut votes: Vec<Vote> = Vec::new();
        let (mut bytes, mut more) = (0, None);
        for (slot, cell) in self.log.above(m.from.prev().max(snapshot)) {
            let Some(accepted) = &cell.accepted else { continue };
            bytes += weight(&accepted.payload);
            if bytes > self.config.max_append_bytes && !votes.is_empty() {
                more = Some(slot);
                break;
            }
            votes.push(Vote { slot, ballot: accepted.ballot, payload: accepted.payload.clone() });
        }
        for vote in &mut votes {
            vote.ballot = self.rules.reported_ballot(vote.ballot, self.promised_before);
        }
        let snapshot = self.rules.snapshot_mark(snapshot);
        Promise { ballot: m.ballot, incarnation: m.incarnation, from: m.from, votes, more, snapshot }
    }

    pub(super) fn on_accept(&mut self, from: NodeId, m: Accept, out: &mut Out) {
        self.see(m.ballot);
        if !self.standing.is_fit() {
            self.hear_leader_unfit(from, &m, out);
        }
        if !self.may_vote() {
            self.learn_from_leader(from, &m, out);
            return;
        }
        if m.ballot >= self.promised {
            let promised = self.rules.promise_after_accept(self.promised, m.ballot);
            self.set_promise(promised);
            self.hear_leader(from, m.ballot, out);
        } else if !self.accepts_any(&m) {
            self.send(from, Message::Nack { refused: m.ballot, promised: self.promised }, out);
            return;
        }
        let Accept { ballot, first, commit, begin, round, .. } = m;
        let count = m.values.len() as u64;
        let wrote = self.accept_values(ballot, first, m.values, out);
        self.learn_commit(from, ballot, commit, begin, out);
        let through = self.accepted_through(ballot, begin);
        self.answer_accept(from, Accepted { ballot, round, first, count, through: Some(through) }, wrote, out);
    }

    /// Whether any value of a ballot below the promise is accepted: in a correct build none is. A heartbeat stands for the value that will
    /// come next.
    fn accepts_any(&mut self, m: &Accept) -> bool {
        (0..m.values.len().max(1))
            .any(|at| self.rules.may_accept(m.ballot, self.promised, m.first.plus(at), self.asked_from))
    }

    /// Accepts, and says whether anything was written.
    fn accept_values(&mut self, ballot: Ballot, first: Slot, values: Vec<Payload>, out: &mut Out) -> bool {
        let snapshot = self.snapshot_slot();
        let mut wrote = false;
        for (at, payload) in values.into_iter().enumerate() {
            let slot = first.plus(at);
            // What the snapshot covers is chosen, and the value proposed is that very one: the snapshot is the acceptance.
            if slot <= snapshot || !self.rules.may_accept(ballot, self.promised, slot, self.asked_from) {
                continue;
            }
            if self.log.ballot(slot) == Some(ballot) {
                let here = self.log.get(slot).and_then(|cell| cell.accepted.as_ref()).map(|a| &a.payload);
                if here == Some(&payload) {
                    continue;
                }
                assert!(self.rules.is_mutated(), "two values for {slot:?} in {ballot:?}");
            }
            self.accept(Vote { slot, ballot, payload }, out);
            wrote = true;
        }
        wrote
    }

    /// Writes an acceptance, without asking for a sync: that is for the one who waits for it.
    pub(super) fn accept(&mut self, vote: Vote, out: &mut Out) {
        let chosen = self.log.chosen(vote.slot);
        assert!(
            self.rules.is_mutated() || chosen.is_none_or(|chosen| *chosen == vote.payload),
            "another value than the chosen one was proposed in {:?}",
            vote.slot
        );
        self.record_promise(out);
        self.acceptances += 1;
        out.records.push(Record::Accept(vote.clone()));
        self.log.accept(vote, self.acceptances);
    }

    /// How far this ballot's values are accepted without a gap; below `begin` everything is chosen.
    fn accepted_through(&mut self, ballot: Ballot, begin: Slot) -> Slot {
        let known = if self.through.0 == ballot { self.through.1 } else { Slot(0) };
        let mut through = known.max(self.applied).max(begin.prev());
        while self.log.ballot(through.next()) == Some(ballot) {
            through = through.next();
        }
        self.through = (ballot, through);
        through
    }

    /// Sends a 2b as soon as what it says is durable.
    fn answer_accept(&mut self, to: NodeId, mut reply: Accepted, wrote: bool, out: &mut Out) {
        let is_durable = self.durability.index() == self.acceptances;
        if reply.count == 0 && !is_durable {
            // A heartbeat says nothing about values; what is on its way to the disk is told when it is there.
            reply.through = None;
            self.send(to, Message::Accepted(reply), out);
        } else if self.rules.may_leave_before_durable(is_durable && !wrote) {
            self.send(to, Message::Accepted(reply), out);
        } else {
            out.sync_wanted = true;
            out.send_when_durable.push((to, Message::Accepted(reply)));
        }
    }
}
