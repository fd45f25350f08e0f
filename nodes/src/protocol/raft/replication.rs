//! A leadership: how entries get to the followers and are committed. Paper, sections 5.3 and 5.4.
//!
//! ```text
//!              success                     nothing to send: its next entry is gone
//!   ┌───────┐ ─────────> ┌───────────┐    ┌──────────┐
//!   │ Probe │            │ Replicate │    │ Snapshot │   (from Probe or Replicate, back to Replicate)
//!   └───────┘ <───────── └───────────┘    └──────────┘
//!   one message  conflict   up to max_inflight messages, `next` runs ahead of what is acknowledged
//! ```

use std::collections::{BTreeMap, VecDeque};

use super::{
    Append, AppendOutcome, AppendReply, Entry, LogIndex, Message, Out, Payload, Raft, Record, Term,
    change::Change,
    client::{AnswerCache, Proposal},
    election::Role,
    log::Log,
    reads::LeaderReads,
};
use crate::{
    machine::Answer,
    protocol::{NodeId, Refusal, Ticket, Time, chunks::Sending},
};

/// What only a leader has.
#[derive(Debug)]
pub(super) struct Leadership {
    pub followers: BTreeMap<NodeId, Progress>,
    /// The no-op this leadership began with.
    pub first_index: LogIndex,
    /// Commands in the log, in its order, whose clients wait.
    pub proposals: VecDeque<Proposal>,
    pub reads: LeaderReads,
    pub transfer: Option<Transfer>,
    pub change: Option<Change>,
    pub heartbeat_at: Time,
    /// Another server was told to stand for election: from then on no lease holds, for that may arrive at any later time.
    pub handed_over: bool,
    /// Answers that only this leader knows. Only a wrong rule looks at it.
    pub answer_cache: AnswerCache,
}

/// What a leader knows of a follower. Paper, Figure 2, "Volatile state on leaders".
#[derive(Debug)]
pub(super) struct Progress {
    /// Durable there up to here.
    pub matched: LogIndex,
    /// The next entry to send.
    pub next: LogIndex,
    pub flow: Flow,
    /// When it last answered.
    pub heard: Time,
    /// The newest read round it answered.
    pub round: u64,
}

/// How messages flow to a follower.
#[derive(Debug)]
pub(super) enum Flow {
    /// Where the logs agree is not known: one message at a time.
    Probe {
        /// One is on its way.
        waiting: bool,
    },
    /// They agree up to what was sent: messages go out ahead of the answers.
    Replicate {
        /// The last index of each message that was not answered.
        in_flight: VecDeque<LogIndex>,
    },
    /// The follower needs entries that are gone.
    Snapshot(Sending<(LogIndex, Term)>),
}

/// Leadership is being handed over. Dissertation, section 3.10.
#[derive(Debug)]
pub(super) struct Transfer {
    pub to: NodeId,
    pub until: Time,
    pub told: bool,
}

impl Leadership {
    pub fn wake_at(&self) -> Time {
        let transfer = self.transfer.as_ref().map(|t| t.until);
        let change = self.change.as_ref().map(Change::until);
        transfer.into_iter().chain(change).fold(self.heartbeat_at, Time::min)
    }
}

/// Where a leader goes on after a rejected append: just behind the last entry it has of the conflicting term, or else where the
/// follower's entries of that term begin. Paper, end of section 5.3.
pub(super) fn next_after_conflict(
    log: &Log,
    matched: LogIndex,
    rejected: LogIndex,
    term: Option<Term>,
    first: LogIndex,
) -> LogIndex {
    let own = term.and_then(|t| log.last_of_term(t, rejected.prev()));
    own.map_or(first, LogIndex::next).min(rejected).max(matched.next())
}

impl Raft {
    /// Paper, Figure 2, "Leaders": followers start unknown, and a no-op of the new term goes out at once (section 8).
    pub(super) fn become_leader(&mut self, out: &mut Out) {
        let next = self.log.last_index().next();
        let leadership = Leadership {
            followers: BTreeMap::new(),
            first_index: next,
            proposals: VecDeque::new(),
            reads: LeaderReads::default(),
            transfer: None,
            change: None,
            heartbeat_at: self.after(self.config.heartbeat_ns),
            handed_over: false,
            answer_cache: AnswerCache::default(),
        };
        self.role = Role::Leader(Box::new(leadership));
        self.sync_followers();
        self.presume_matches();
        self.leader = Some(self.config.id);
        self.give_up_on_earlier_leaders(out);
        self.arriving = None;
        self.gate.open(self.hard.term);
        self.append_own(Payload::Noop, out);
    }

    /// What a new leader takes the followers' logs to match.
    fn presume_matches(&mut self) {
        let Role::Leader(leadership) = &mut self.role else { return };
        for (id, progress) in &mut leadership.followers {
            let former = self.former_matches.get(id).copied().unwrap_or_default();
            progress.matched = self.rules.initial_match(former);
        }
    }

    /// Appends an entry of the current term, and sends it on. It counts here once it is durable here.
    pub(super) fn append_own(&mut self, payload: Payload, out: &mut Out) -> LogIndex {
        let index = self.log.last_index().next();
        self.append(Entry { term: self.hard.term, index, payload }, out);
        out.sync_wanted |= self.rules.waits_for_own_sync();
        self.replicate_to_all();
        index
    }

    /// Appends without asking for a sync: that is for the one who waits for it.
    fn append(&mut self, entry: Entry, out: &mut Out) {
        self.record_hard_state(out);
        let in_order = entry.term >= self.log.last_term() || self.rules.is_mutated();
        assert!(in_order, "terms never fall along the log");
        out.records.push(Record::Entry(entry.clone()));
        let membership =
            if let Payload::Membership(membership) = &entry.payload { Some(membership.clone()) } else { None };
        let index = entry.index;
        self.log.push(entry);
        if let Some(membership) = membership {
            self.memberships.push(index, membership);
            self.refresh_membership();
        }
    }

    fn followers(&self) -> Vec<NodeId> {
        if let Role::Leader(leadership) = &self.role {
            leadership.followers.keys().copied().collect()
        } else {
            Vec::new()
        }
    }

    fn replicate_to_all(&mut self) {
        for peer in self.followers() {
            if !self.to_replicate.contains(&peer) {
                self.to_replicate.push_back(peer);
            }
        }
    }

    /// Sends what the follower's window allows.
    pub(super) fn replicate(&mut self, to: NodeId, out: &mut Out) {
        while let Some(message) = self.next_append(to) {
            self.send(to, message, out);
        }
    }

    fn next_append(&mut self, to: NodeId) -> Option<Message> {
        let in_flight_max = self.rules.appends_in_flight(self.config.max_inflight);
        let Role::Leader(leadership) = &mut self.role else { return None };
        let round = leadership.reads.round();
        let progress = leadership.followers.get_mut(&to)?;
        let last = self.log.last_index();
        match &mut progress.flow {
            Flow::Probe { waiting } => {
                if std::mem::replace(waiting, true) {
                    return None;
                }
            }
            Flow::Replicate { in_flight } => {
                if progress.next > last || in_flight.len() >= in_flight_max {
                    return None;
                }
            }
            Flow::Snapshot(_) => return None,
        }
        // A leader knows of nothing that it does not have, unless a mutant counts what an earlier leadership saw.
        assert!(progress.next <= last.next() || self.rules.is_mutated(), "{to:?} has what was never sent");
        progress.next = progress.next.min(last.next());
        let prev_index = progress.next.prev();
        let Some(prev_term) = self.log.term_at(prev_index) else {
            return self.begin_snapshot(to);
        };
        let entries = self.log.batch(progress.next, self.rules.append_bytes(self.config.max_append_bytes));
        if let Flow::Replicate { in_flight } = &mut progress.flow {
            progress.next = progress.next.plus(entries.len());
            in_flight.push_back(progress.next.prev());
        }
        Some(Message::Append(Append {
            term: self.hard.term,
            prev_index,
            prev_term,
            entries,
            commit: self.commit,
            round,
        }))
    }

    /// Tells every follower who leads, up to where is committed, and which read round is the newest.
    pub(super) fn heartbeat_all(&mut self, out: &mut Out) {
        for to in self.followers() {
            if let Some(message) = self.heartbeat(to) {
                self.send(to, message, out);
            }
        }
    }

    fn heartbeat(&mut self, to: NodeId) -> Option<Message> {
        let Role::Leader(leadership) = &mut self.role else { return None };
        let progress = leadership.followers.get(&to)?;
        // Where the follower's next entry is gone, the base stands in: a refusal is an answer too.
        let prev_index = progress.next.prev().clamp(self.log.base().0, self.log.last_index());
        let prev_term = self.log.term_at(prev_index).expect("the log is kept from its base to its end");
        Some(Message::Append(Append {
            term: self.hard.term,
            prev_index,
            prev_term,
            entries: Vec::new(),
            commit: self.commit,
            round: leadership.reads.round(),
        }))
    }

    /// What a leader does as time goes by.
    pub(super) fn on_leader_time(&mut self, out: &mut Out) {
        self.expire_change(out);
        let Role::Leader(leadership) = &mut self.role else { return };
        if leadership.transfer.as_ref().is_some_and(|t| self.now >= t.until) {
            leadership.transfer = None;
        }
        if self.now < leadership.heartbeat_at {
            return;
        }
        leadership.heartbeat_at = Time(self.now.0.saturating_add(self.config.heartbeat_ns));
        let hears_quorum = self.hears_quorum();
        if !self.rules.goes_on_leading(hears_quorum) {
            self.become_follower(None, out);
            return;
        }
        self.begin_lease_round();
        self.heartbeat_all(out);
        self.resend_chunks(out);
    }

    /// Dissertation, section 6.2: a leader that a majority has not answered for an election timeout steps down. The timeout is
    /// the longest one: before that, its followers may still wait for it. Nothing else rests on this; reads prove leadership
    /// themselves.
    fn hears_quorum(&mut self) -> bool {
        let Role::Leader(leadership) = &self.role else { return false };
        let window = self.config.election_timeout_ns.saturating_mul(2);
        let (me, now) = (self.config.id, self.now);
        let hears = |id| id == me || leadership.followers.get(&id).is_some_and(|p| now.0 - p.heard.0 < window);
        self.rules.quorum_has(self.memberships.in_force(), hears)
    }

    pub(super) fn on_append(&mut self, from: NodeId, m: Append, out: &mut Out) {
        if !is_well_formed(&m, &self.config.nodes, self.rules.is_mutated()) {
            return;
        }
        self.adopt_term(m.term, out);
        if m.term < self.hard.term {
            self.answer_append(from, 0, AppendOutcome::StaleTerm, out);
            return;
        }
        self.hear_leader(from, out);
        let round = m.round;
        let prev_there = self.log.term_at(m.prev_index);
        if m.prev_index > self.log.base().0 && !self.rules.prev_matches(prev_there, m.prev_term) {
            let outcome = self.conflict_at(m.prev_index);
            self.answer_append(from, round, outcome, out);
            return;
        }
        let last_new = m.prev_index.plus(m.entries.len());
        let leader_commit = m.commit;
        let wrote = self.take_entries(m.entries, out);
        let commit = self.rules.follower_commit(self.commit, leader_commit, last_new);
        self.commit_to(commit, out);
        self.acknowledge(from, round, last_new, wrote, out);
    }

    /// What a follower says when the entry before the first one sent is missing or another.
    fn conflict_at(&self, prev_index: LogIndex) -> AppendOutcome {
        let term = self.log.term_at(prev_index);
        let first = match term {
            Some(_) => self.log.first_of_term_at(prev_index),
            None => self.log.last_index().next(),
        };
        AppendOutcome::Conflict { prev_index, term, first }
    }

    /// Paper, Figure 2, AppendEntries RPC, rules 3 and 4: cut the log only where it differs, append what is missing. Says
    /// whether anything was written.
    fn take_entries(&mut self, entries: Vec<Entry>, out: &mut Out) -> bool {
        let mut wrote = false;
        let last_sent = entries.last().map(|entry| entry.index);
        for entry in entries {
            if entry.index <= self.log.base().0 {
                continue;
            }
            match self.log.term_at(entry.index) {
                Some(term) if term == entry.term => continue,
                Some(_) => self.cut_from(entry.index, out),
                None => {}
            }
            self.append(entry, out);
            wrote = true;
        }
        if let Some(last) = last_sent.filter(|&last| self.log.base().0 <= last && last < self.log.last_index())
            && !self.rules.keeps_what_follows()
        {
            self.cut_from(last.next(), out);
            wrote = true;
        }
        wrote
    }

    fn cut_from(&mut self, from: LogIndex, out: &mut Out) {
        if from <= self.commit {
            // Leader completeness (paper, section 5.4.3) forbids it, unless a mutant broke a rule it rests on. Then the node
            // must not stop here: the harness is to find the bug by what clients see.
            assert!(self.rules.is_mutated(), "the leader's entry {from:?} differs from a committed one");
            self.roll_back_to(from.prev(), out);
        }
        self.record_hard_state(out);
        if self.rules.records_a_cut() {
            out.records.push(Record::Truncate(from));
        }
        self.log.truncate_from(from);
        self.memberships.truncate_from(from);
        self.refresh_membership();
        self.durability.cut(from.prev());
    }

    /// Acknowledges entries up to `last_new`, once they are durable.
    fn acknowledge(&mut self, to: NodeId, round: u64, last_new: LogIndex, wrote: bool, out: &mut Out) {
        let durable = self.durability.index();
        if !wrote {
            // Nothing new: what is durable is acknowledged at once; a message held back may soon acknowledge the rest.
            self.answer_append(to, round, AppendOutcome::Match(last_new.min(durable)), out);
            return;
        }
        let outcome = AppendOutcome::Match(last_new);
        if self.rules.ack_may_leave_before_durable(last_new, durable) {
            self.answer_append(to, round, outcome, out);
        } else {
            out.sync_wanted = true;
            let reply = AppendReply { term: self.hard.term, round, outcome };
            out.send_when_durable.push((to, Message::AppendReply(reply)));
        }
    }

    pub(super) fn answer_append(&self, to: NodeId, round: u64, outcome: AppendOutcome, out: &mut Out) {
        self.send(to, Message::AppendReply(AppendReply { term: self.hard.term, round, outcome }), out);
    }

    pub(super) fn on_append_reply(&mut self, from: NodeId, m: AppendReply, out: &mut Out) {
        if self.adopt_term(m.term, out) || !self.rules.reply_counts(m.term, self.hard.term) {
            return;
        }
        let Role::Leader(leadership) = &mut self.role else { return };
        let newest = leadership.reads.round();
        let Some(progress) = leadership.followers.get_mut(&from) else { return };
        progress.heard = self.now;
        progress.round = progress.round.max(self.rules.confirmed_round(m.round, newest));
        match m.outcome {
            AppendOutcome::Match(index) => {
                let last = self.log.last_index();
                let was_sent = index <= last || self.rules.is_mutated();
                assert!(was_sent, "{from:?} acknowledges {index:?}, which was never sent");
                progress.on_match(index.min(last), self.log.base().0);
            }
            AppendOutcome::Conflict { prev_index, term, first } => {
                progress.on_conflict(&self.log, prev_index, term, first);
            }
            AppendOutcome::Chunk { index, offset } => self.on_chunk_received(from, index, offset, out),
            AppendOutcome::StaleTerm => {}
        }
        self.after_progress(from, out);
    }

    fn after_progress(&mut self, from: NodeId, out: &mut Out) {
        self.advance_commit(out);
        self.confirm_reads(out);
        self.hand_over_if_ready(out);
        if matches!(&self.role, Role::Leader(leadership) if leadership.change.is_some()) {
            self.advance_change(out);
        }
        if matches!(self.role, Role::Leader(_)) && !self.to_replicate.contains(&from) {
            self.to_replicate.push_back(from);
        }
    }

    /// Entries became durable here, and maybe a vote.
    pub(super) fn on_durable(&mut self, ticket: Ticket, out: &mut Out) {
        self.durability.confirm(ticket);
        self.count_own_vote(out);
        self.advance_commit(out);
    }

    /// Paper, Figure 2, "Leaders", last rule.
    pub(super) fn advance_commit(&mut self, out: &mut Out) {
        let Role::Leader(leadership) = &self.role else { return };
        let own = self.rules.own_match(self.durability.index(), self.log.last_index());
        let me = self.config.id;
        let of_other = |id| leadership.followers.get(&id).map_or(LogIndex(0), |p| p.matched);
        let matched = |id| if id == me { own } else { of_other(id) };
        let reached = self.rules.reached(self.memberships.in_force(), matched);
        if self.rules.may_commit(reached, self.commit, self.log.term_at(reached), self.hard.term) {
            self.commit_to(reached, out);
            self.confirm_reads(out);
            self.start_read_round(out);
            self.advance_change(out);
        }
    }

    /// Commits and applies up to here.
    pub(super) fn commit_to(&mut self, index: LogIndex, out: &mut Out) {
        let last = self.log.last_index();
        assert!(index >= self.commit, "the commit index never falls");
        assert!(index <= last || self.rules.is_mutated(), "only what is in the log is committed");
        let index = index.min(last);
        let before = std::mem::replace(&mut self.commit, index);
        if self.memberships.any_within(before, index) {
            // Those who leave hear of it for the last time.
            self.heartbeat_all(out);
            self.refresh_membership();
        }
        self.apply(out);
    }

    /// Applies what is committed in order, each entry once, and answers the client whose command it is. Paper, section 5.3.
    pub(super) fn apply(&mut self, out: &mut Out) {
        let limit = self.rules.apply_limit(self.commit, self.log.last_index());
        while self.applied < limit {
            let index = self.applied.next();
            let entry = self.log.get(index).expect("what is committed and not applied is in the log");
            let answer = match &entry.payload {
                Payload::Command(command) => {
                    let answer = self.machine.apply(index.0, command);
                    if let Role::Leader(leadership) = &mut self.role
                        && self.rules.caches_answers()
                    {
                        leadership.answer_cache.keep(command, &answer);
                    }
                    Some(answer)
                }
                Payload::Noop | Payload::Membership(_) => None,
            };
            self.applied = index;
            if let Some(answer) = answer {
                self.answer_proposal(index, answer, out);
            }
        }
        self.answer_applied_reads(out);
    }

    /// Hands leadership over once the follower has everything.
    pub(super) fn hand_over_if_ready(&mut self, out: &mut Out) {
        let Role::Leader(leadership) = &mut self.role else { return };
        let Some(transfer) = &mut leadership.transfer else { return };
        let ready = leadership.followers.get(&transfer.to).is_some_and(|p| p.matched == self.log.last_index());
        if ready && !std::mem::replace(&mut transfer.told, true) {
            let to = transfer.to;
            leadership.handed_over = true;
            self.send(to, Message::TimeoutNow { term: self.hard.term }, out);
        }
    }

    /// This leadership is over. What became of its clients' commands is not known here: they may be committed yet. Reads had no
    /// effect.
    pub(super) fn abandon_clients(&mut self, leadership: Leadership, out: &mut Out) {
        for Proposal { asker, .. } in leadership.proposals {
            self.answer_command(asker, Err(Refusal::LeadershipLost), out);
        }
        for reader in leadership.reads.into_readers() {
            self.refuse_read(reader, out);
        }
        out.replies.extend(leadership.change.map(|c| c.give_up(Refusal::NotLeader, Refusal::LeadershipLost)));
    }

    fn answer_proposal(&mut self, index: LogIndex, answer: Answer, out: &mut Out) {
        let Role::Leader(leadership) = &mut self.role else { return };
        if leadership.proposals.front().is_some_and(|p| p.index == index) {
            let asker = leadership.proposals.pop_front().expect("just seen").asker;
            self.answer_command(asker, Ok(answer), out);
        }
    }
}

impl Progress {
    /// A follower of which nothing is known.
    pub fn unknown(next: LogIndex, now: Time) -> Self {
        Self { matched: LogIndex(0), next, flow: Flow::Probe { waiting: false }, heard: now, round: 0 }
    }

    /// The follower's log is the leader's up to here, durably.
    fn on_match(&mut self, index: LogIndex, base: LogIndex) {
        self.matched = self.matched.max(index);
        match &mut self.flow {
            Flow::Probe { .. } => self.flow = Flow::Replicate { in_flight: VecDeque::new() },
            Flow::Snapshot(_) if self.matched >= base => {
                self.flow = Flow::Replicate { in_flight: VecDeque::new() };
            }
            // The log moved on while this snapshot was under way: there is a newer one to send.
            Flow::Snapshot(sending) if self.matched >= sending.id().0 => self.flow = Flow::Probe { waiting: false },
            Flow::Snapshot(_) => return,
            Flow::Replicate { in_flight } => {
                while in_flight.front().is_some_and(|&last| last <= self.matched) {
                    in_flight.pop_front();
                }
                self.next = self.next.max(self.matched.next());
                return;
            }
        }
        self.next = self.matched.next();
    }

    /// The follower lacks the entry at `rejected`, or has another there.
    fn on_conflict(&mut self, log: &Log, rejected: LogIndex, term: Option<Term>, first: LogIndex) {
        // A refusal from before what it has acknowledged since, or of an earlier question, says nothing new.
        let is_news = rejected > self.matched
            && match &self.flow {
                Flow::Probe { .. } => rejected >= self.next.prev(),
                Flow::Replicate { .. } => true,
                Flow::Snapshot(_) => false,
            };
        if is_news {
            self.next = next_after_conflict(log, self.matched, rejected, term, first).min(self.next);
            self.flow = Flow::Probe { waiting: false };
        }
    }
}

/// Whether entries are what they claim to be: contiguous, terms not falling nor beyond the sender's, members known. Mutants may break
/// the order of terms, and are to be followed where they lead.
fn is_well_formed(m: &Append, nodes: &[NodeId], mutated: bool) -> bool {
    let mut before = (m.prev_index, m.prev_term);
    m.entries.iter().all(|entry| {
        let in_order = entry.term >= before.1 && entry.term <= m.term;
        let fits = entry.index == before.0.next() && (in_order || mutated) && entry.payload.is_sound(nodes);
        before = (entry.index, entry.term);
        fits
    })
}
