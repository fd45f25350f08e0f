//! The replica: learns what is chosen, applies it in order, and asks for what it lacks. PMMC, sections 2.1 and 4.2.
//!
//! ```text
//!   leader's commit ── accepted here in its ballot ──> chosen ──┐
//!   CatchUp ──> Chosen (values), or SnapshotChunk ──> chosen ───┴─> applied slot by slot ──> answers
//! ```
//!
//! One question at a time is on its way, and is put again when no answer comes.

use super::{Accept, Ballot, Message, MultiPaxos, Out, Payload, Slot, election::Role, rules};
use crate::protocol::{NodeId, Time};

/// A question for chosen values is put again when this many heartbeats brought no answer.
const ASK_AGAIN_IN_HEARTBEATS: u64 = 2;

/// Chosen values that are being asked for.
#[derive(Debug)]
pub(super) struct Pull {
    pub from: NodeId,
    /// Wanted up to here, at least.
    pub goal: Slot,
    sent: Time,
    /// How much is here of which snapshot.
    pub have: Option<(Slot, u64)>,
}

impl MultiPaxos {
    /// The leader of `ballot` says that all up to `commit` is chosen, and that it sends no values below `begin`.
    pub(super) fn learn_commit(&mut self, from: NodeId, ballot: Ballot, commit: Slot, begin: Slot, out: &mut Out) {
        if matches!(self.role, Role::Leader(_)) {
            return;
        }
        if commit > self.applied {
            let known = |accepted| rules::is_known_by_commit(accepted, ballot);
            self.log.choose_accepted(self.applied.next()..=commit, known);
            self.apply_chosen(out);
        }
        if self.applied.next() < begin {
            self.pull_from(from, begin.prev(), out);
        }
    }

    /// A node that must not vote only learns.
    pub(super) fn learn_from_leader(&mut self, from: NodeId, m: &Accept, out: &mut Out) {
        if m.ballot >= self.leader_ballot {
            self.hear_leader(from, m.ballot, out);
            self.pull_from(from, m.commit, out);
        }
    }

    /// Applies in order what is chosen, each slot once, and answers who waits for it.
    pub(super) fn apply_chosen(&mut self, out: &mut Out) {
        while let Some(slot) = self.rules.next_to_apply(&self.log, self.applied) {
            let answer = match self.log.chosen(slot) {
                Some(Payload::Command(command)) => Some(self.rules.apply(&mut self.machine, slot, command)),
                Some(Payload::Noop) | None => None,
            };
            self.applied = slot;
            self.answer_proposal(slot, answer, out);
        }
        self.answer_applied_reads(out);
    }

    /// Asks for what is chosen, up to `goal`.
    pub(super) fn pull_from(&mut self, from: NodeId, goal: Slot, out: &mut Out) {
        if goal <= self.applied {
            return;
        }
        let patience = self.config.heartbeat_ns.saturating_mul(ASK_AGAIN_IN_HEARTBEATS);
        if let Some(pull) = self.pull.as_mut().filter(|pull| self.now.0 - pull.sent.0 < patience) {
            pull.goal = pull.goal.max(goal);
            return;
        }
        let have = self.pull.as_ref().filter(|pull| pull.from == from).and_then(|pull| pull.have);
        self.pull = Some(Pull { from, goal, sent: self.now, have });
        self.ask_chosen(out);
    }

    fn ask_chosen(&mut self, out: &mut Out) {
        if let Some(Pull { from, have, .. }) = self.pull {
            self.send(from, Message::CatchUp { from: self.applied.next(), have }, out);
        }
    }

    /// An answer brought something: asks on, if more is wanted.
    pub(super) fn pull_on(&mut self, from: NodeId, out: &mut Out) {
        let Some(pull) = self.pull.as_mut().filter(|pull| pull.from == from) else { return };
        if pull.goal > self.applied {
            pull.sent = self.now;
            self.ask_chosen(out);
        } else {
            self.pull = None;
        }
    }

    /// Someone lags.
    pub(super) fn on_catch_up(&mut self, to: NodeId, first: Slot, have: Option<(Slot, u64)>, out: &mut Out) {
        let limit = self.rules.catch_up_limit(self.applied, self.log.last());
        if first > limit {
            return;
        }
        if first <= self.log.base() {
            self.send_chunk(to, have, out);
            return;
        }
        // Up to the limit of a correct build everything is chosen.
        let mut values = self.log.batch(first, self.config.max_append_bytes, |cell| {
            cell.chosen().or_else(|| cell.accepted.as_ref().map(|accepted| &accepted.payload))
        });
        values.truncate(usize::try_from(limit.0 - first.0 + 1).unwrap_or(usize::MAX));
        self.send(to, Message::Chosen { first, values }, out);
    }

    pub(super) fn on_chosen(&mut self, from: NodeId, first: Slot, values: Vec<Payload>, out: &mut Out) {
        if matches!(self.role, Role::Leader(_)) {
            return;
        }
        let before = self.applied;
        for (at, payload) in values.into_iter().enumerate() {
            let slot = first.plus(at);
            let known = self.log.chosen(slot);
            assert!(
                self.rules.is_mutated() || known.is_none_or(|known| *known == payload),
                "{from:?} says that another value was chosen in {slot:?}"
            );
            if slot > self.applied {
                self.log.learn(slot, payload);
            }
        }
        self.apply_chosen(out);
        if self.applied > before {
            self.pull_on(from, out);
            self.try_to_lead(out);
        }
    }
}
