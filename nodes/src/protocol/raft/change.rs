//! Changing the members, as a leader does it. Dissertation, chapter 4; paper, section 6.
//!
//! ```text
//!   asked: {1 4 5} instead of {1 2 3}
//!
//!   {1 2 3} ──> {1 2 3} + learners 4 5 ── 4 and 5 have caught up ──> {1 4 5} joint with {1 2 3} ──> {1 4 5} ──> answered
//!           at most one voter more or less: ───────────────────────────────────────────────────────^
//! ```
//!
//! Each arrow is one entry in the log, in force at once, and the next one waits until it is committed. A leader that finds a joint
//! membership left behind by an earlier one goes on from there by itself. A leader that is no voter any more sees the change
//! through without counting itself, and steps down when it is committed (dissertation, 4.2.2).

use std::collections::BTreeMap;

use super::{LogIndex, Membership, Out, Payload, Raft, election::Role, rules::ChangeState};
use crate::protocol::{NodeId, Refusal, Reply, RequestId, Time};

/// A change that is not through after so many shortest election timeouts is given up.
const CHANGE_TIMEOUT_IN_T: u64 = 16;

/// What a client of this leader asked for.
#[derive(Debug)]
pub(super) struct Change {
    client: RequestId,
    target: Membership,
    until: Time,
    /// Whether anything was put into the log since.
    begun: bool,
    /// The newcomers, each with the round it is in.
    rounds: BTreeMap<NodeId, Round>,
}

/// A newcomer catches up in rounds: each brings it to where the log ended when the round began. Dissertation, section 4.2.1.
#[derive(Clone, Copy, Debug)]
struct Round {
    goal: LogIndex,
    since: Time,
    /// A round was short enough.
    done: bool,
}

impl Change {
    /// Who asked, and what to say now that this leader gives up. Definite only when nothing of it is in the log.
    pub fn give_up(self, before: Refusal, after: Refusal) -> (RequestId, Reply) {
        (self.client, Reply::Refused(if self.begun { after } else { before }))
    }

    /// When it is given up.
    pub fn until(&self) -> Time {
        self.until
    }

    /// Whether all of these have caught up.
    fn all_caught_up(
        &mut self,
        newcomers: &[NodeId],
        last: LogIndex,
        now: Time,
        round_ns_max: u64,
        matched: impl Fn(NodeId) -> LogIndex,
    ) -> bool {
        let mut all = true;
        for &id in newcomers {
            let round = self.rounds.entry(id).or_insert(Round { goal: last, since: now, done: false });
            if !round.done && matched(id) >= round.goal {
                round.done = now.0 - round.since.0 < round_ns_max;
                (round.goal, round.since) = (last, now);
            }
            all &= round.done;
        }
        all
    }
}

impl Raft {
    /// A client wants other members.
    pub(super) fn on_change_membership(
        &mut self,
        client: RequestId,
        voters: Vec<NodeId>,
        learners: Vec<NodeId>,
        out: &mut Out,
    ) {
        let until = self.after(self.config.election_timeout_ns.saturating_mul(CHANGE_TIMEOUT_IN_T));
        let target = Membership::new(voters, learners);
        let refusal = match &mut self.role {
            _ if !target.is_sound(&self.config.nodes) => Refusal::InvalidMembership,
            Role::Leader(leadership) if leadership.change.is_some() => Refusal::ChangeUnderWay,
            Role::Leader(leadership) => {
                leadership.change = Some(Change { client, target, until, begun: false, rounds: BTreeMap::new() });
                self.advance_change(out);
                return;
            }
            _ if self.leader.is_none() => Refusal::NoLeader,
            _ => Refusal::NotLeader,
        };
        out.replies.push((client, Reply::Refused(refusal)));
    }

    /// Takes the next step, if it is time for one: of the change that was asked for, out of a joint membership, or out of office.
    pub(super) fn advance_change(&mut self, out: &mut Out) {
        let Role::Leader(leadership) = &mut self.role else { return };
        let state = ChangeState {
            latest: self.memberships.latest().0,
            commit: self.commit,
            first_of_term: leadership.first_index,
        };
        if !self.rules.may_change_membership(state) {
            return;
        }
        let current = self.memberships.in_force();
        if current.is_joint() {
            let settled = current.settled();
            self.propose_membership(settled, out);
            return;
        }
        if let Some(change) = leadership.change.take_if(|change| change.target == *current) {
            out.replies.push((change.client, Reply::MembershipChanged));
        }
        if !current.is_voter(self.config.id) {
            self.become_follower(None, out);
            return;
        }
        if let Some(next) = self.next_membership() {
            self.propose_membership(next, out);
        }
    }

    /// The next membership on the way to what was asked for; none, while newcomers catch up or leadership is handed over.
    fn next_membership(&mut self) -> Option<Membership> {
        let Role::Leader(leadership) = &mut self.role else { return None };
        let change = leadership.change.as_mut().filter(|_| leadership.transfer.is_none())?;
        let current = self.memberships.in_force();
        let newcomers: Vec<_> = change.target.voters.iter().copied().filter(|id| !current.is_voter(*id)).collect();
        let strangers: Vec<_> = newcomers.iter().copied().filter(|id| !current.learners.contains(id)).collect();
        if !strangers.is_empty() {
            let learners = current.learners.iter().copied().chain(strangers).collect();
            return Some(Membership::new(current.voters.clone(), learners));
        }
        let matched = |id| leadership.followers.get(&id).map_or(LogIndex(0), |progress| progress.matched);
        let (last, round_ns_max) = (self.log.last_index(), self.config.election_timeout_ns);
        let ready = change.all_caught_up(&newcomers, last, self.now, round_ns_max, matched);
        ready.then(|| self.rules.next_membership(current, &change.target))
    }

    fn propose_membership(&mut self, membership: Membership, out: &mut Out) {
        self.append_own(Payload::Membership(membership), out);
        if let Role::Leader(leadership) = &mut self.role
            && let Some(change) = &mut leadership.change
        {
            change.begun = true;
        }
        // Those whose answers a round still lacks may count no more.
        self.confirm_reads(out);
    }

    /// Gives up a change that takes too long. A joint membership is left all the same.
    pub(super) fn expire_change(&mut self, out: &mut Out) {
        let Role::Leader(leadership) = &mut self.role else { return };
        if let Some(change) = leadership.change.take_if(|change| self.now >= change.until) {
            out.replies.push(change.give_up(Refusal::ChangeUnderWay, Refusal::Timeout));
        }
    }
}
