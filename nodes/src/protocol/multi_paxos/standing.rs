//! Whether this node votes. A node that lost its disk must not, until nothing can rest on what it forgot. PML, section 5.1.
//!
//! ```text
//!   blank disk ──> Unknown ── asks all ──┬─ nobody votes yet, or all who do know this disk ──> Fit      (recorded; for ever)
//!                                        └─ somebody knows another disk of this node ────────> Lost
//!   Lost ── a leader's ballot above `floor`, and all that its phase 1 brought up is applied here ──> Fit, with a snapshot
//! ```
//!
//! The first record on a blank disk is a number drawn then: the disk's incarnation. A node that becomes fit keeps the incarnations
//! of all voters, and tells each that asks the one it knows it by. Lost nodes do not answer 1a, 2a, pings, or quorum reads.
//!
//! Why this is safe as long as of every quorum that ever was one member keeps its disk. Let C have voted with disk c, and ask with c'.
//! 1. C does not take c' for its first disk. Before c voted in a ballot, that ballot's proposer and everyone who voted in it along with c was
//!    fit, or became so while c was there, and knows c or an earlier disk, not c'. One of them answers, since C waits for all answers, and C is Lost.
//! 2. `floor` is the highest ballot promised by any other node when it answered. Every 1b that c sent was for a ballot that
//!    its proposer had durably promised before; so c promised nothing above `floor`, and a ballot above it breaks no promise. That needs the
//!    answers of all: a majority may lack that one proposer. A proposer that lost its disk too takes no 1b for an answer to its new self
//!    (1a and 1b carry the proposer's incarnation).
//! 3. Phase 1 of a ballot b' above `floor` was completed by a quorum without C. Whatever was chosen before with c's vote was seen in it, through
//!    another member of that old quorum, or is in the snapshot of one; so it is at or below the last slot that this phase 1 brought up. Once C has
//!    applied that far and has it in a durable snapshot, it counts again among those who remember it, so that other disks may
//!    be lost next. It votes from then on, with b' as its promise. Before that it must not even answer a 1a.
//!
//! A leader whose ballot is not above `floor` begins a new one soon after it was told so.

use std::collections::BTreeMap;

use super::{Accept, Ballot, Message, MultiPaxos, Out, Record, Says, StandingReply, election::Role, rules};
use crate::protocol::{NodeId, Time};

/// A node's right to vote.
#[derive(Debug)]
pub(super) enum Standing {
    /// The disk was blank, and not all were asked yet.
    Unknown(Survey),
    /// It votes; it knows the disks of all voters by these numbers.
    Fit(BTreeMap<NodeId, u64>),
    /// Its disk was lost.
    Lost(Survey),
}

/// What the others say.
#[derive(Debug)]
pub(super) struct Survey {
    answers: BTreeMap<NodeId, StandingReply>,
    ask_at: Time,
}

impl Standing {
    /// At start, with what the disk says.
    pub fn new(fit: Option<BTreeMap<NodeId, u64>>, now: Time) -> Self {
        fit.map_or_else(|| Self::Unknown(Survey { answers: BTreeMap::new(), ask_at: now }), Self::Fit)
    }

    pub fn is_fit(&self) -> bool {
        matches!(self, Self::Fit(_))
    }

    fn survey(&self) -> Option<&Survey> {
        match self {
            Self::Unknown(survey) | Self::Lost(survey) => Some(survey),
            Self::Fit(_) => None,
        }
    }

    /// What is recorded of it.
    pub fn record(&self) -> Option<Record> {
        if let Self::Fit(known) = self { Some(Record::Fit(known.clone())) } else { None }
    }

    /// When to ask again.
    pub fn ask_at(&self) -> Option<Time> {
        self.survey().map(|survey| survey.ask_at)
    }
}

/// What the answers of all the others say about a node that found its disk blank.
fn is_founding(own: u64, answers: &BTreeMap<NodeId, StandingReply>) -> Verdict {
    let knows: Vec<u64> =
        answers.values().filter_map(|a| if let Says::Fit { knows } = a.says { Some(knows) } else { None }).collect();
    if knows.iter().any(|&known| known != own) {
        return Verdict::Lost;
    }
    let someone_lost = answers.values().any(|a| a.says == Says::Lost);
    if someone_lost && knows.is_empty() { Verdict::Lost } else { Verdict::Founding }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Founding,
    Lost,
}

impl MultiPaxos {
    /// Asks those who have not answered.
    pub(super) fn ask_standing_if_due(&mut self, out: &mut Out) {
        let next = self.after(self.config.heartbeat_ns);
        let (Standing::Unknown(survey) | Standing::Lost(survey)) = &mut self.standing else { return };
        if self.now < survey.ask_at {
            return;
        }
        let missing: Vec<NodeId> = self.peers.iter().copied().filter(|p| !survey.answers.contains_key(p)).collect();
        survey.ask_at = if missing.is_empty() { Time(u64::MAX) } else { next };
        for peer in missing {
            self.send(peer, Message::Hello { incarnation: self.incarnation }, out);
        }
    }

    pub(super) fn on_hello(&mut self, from: NodeId, incarnation: u64, out: &mut Out) {
        let says = match &self.standing {
            Standing::Unknown(_) => Says::Blank,
            Standing::Lost(_) => Says::Lost,
            Standing::Fit(known) => Says::Fit { knows: known.get(&from).copied().unwrap_or_default() },
        };
        let reply = StandingReply { asked: incarnation, incarnation: self.incarnation, says, promised: self.promised };
        self.send(from, Message::Standing(reply), out);
    }

    pub(super) fn on_standing(&mut self, from: NodeId, m: StandingReply, out: &mut Out) {
        if m.asked != self.incarnation {
            return;
        }
        if let Standing::Unknown(survey) | Standing::Lost(survey) = &mut self.standing {
            survey.answers.entry(from).or_insert(m);
            self.consider_standing(out);
        }
    }

    /// Decides, once all have answered.
    pub(super) fn consider_standing(&mut self, out: &mut Out) {
        let Standing::Unknown(survey) = &mut self.standing else { return };
        if survey.answers.len() < self.peers.len() {
            return;
        }
        match is_founding(self.incarnation, &survey.answers) {
            Verdict::Founding => self.become_fit(out),
            Verdict::Lost => {
                let survey = Survey { answers: std::mem::take(&mut survey.answers), ask_at: Time(u64::MAX) };
                self.standing = Standing::Lost(survey);
            }
        }
    }

    fn become_fit(&mut self, out: &mut Out) {
        let Some(survey) = self.standing.survey() else { return };
        let own = (self.config.id, self.incarnation);
        let known = survey.answers.iter().map(|(&node, answer)| (node, answer.incarnation)).chain([own]).collect();
        self.standing = Standing::Fit(known);
        self.reset_election_timer();
        let record = self.standing.record().expect("it is fit now");
        self.record(record, out);
        self.durability.hard_state_recorded();
    }

    /// The highest ballot that an earlier life of this node may have promised, once that is known.
    fn floor(&self) -> Option<Ballot> {
        let Standing::Lost(survey) = &self.standing else { return None };
        survey.answers.values().map(|answer| answer.promised).max()
    }

    /// A node that must not vote hears a leader: it may be let in by that, or tells the leader that it is not.
    pub(super) fn hear_leader_unfit(&mut self, from: NodeId, m: &Accept, out: &mut Out) {
        let Some(floor) = self.floor() else { return };
        if m.ballot <= floor {
            self.see(floor);
            self.send(from, Message::Unfit { ballot: m.ballot, floor }, out);
        } else if rules::may_be_let_in(m.ballot, floor, self.applied, m.merged) {
            self.set_promise(m.ballot.max(self.promised));
            self.become_fit(out);
            self.take_snapshot(out);
        }
    }

    /// A node that lost its disk waits for a ballot above `floor`.
    pub(super) fn on_unfit(&mut self, ballot: Ballot, floor: Ballot) {
        self.see(floor);
        let soon = self.after(self.config.election_timeout_ns);
        if let Role::Leader(leadership) = &mut self.role
            && leadership.ballot == ballot
            && ballot <= floor
        {
            leadership.renew_at = leadership.renew_at.min(soon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(says: &[Says]) -> BTreeMap<NodeId, StandingReply> {
        let answer = |&says| StandingReply { asked: 7, incarnation: 1, says, promised: Ballot::NONE };
        (2..).map(NodeId).zip(says.iter().map(answer)).collect()
    }

    /// PML, section 5.1: a replica that lost its disk is told from a new one.
    #[test]
    fn a_disk_is_the_first_one_if_nobody_knows_another() {
        let verdict = |says: &[Says]| is_founding(7, &answers(says));
        assert_eq!(verdict(&[Says::Blank, Says::Blank]), Verdict::Founding);
        assert_eq!(verdict(&[Says::Blank, Says::Fit { knows: 7 }]), Verdict::Founding);
        assert_eq!(verdict(&[Says::Lost, Says::Fit { knows: 7 }]), Verdict::Founding);
        assert_eq!(verdict(&[Says::Blank, Says::Fit { knows: 6 }]), Verdict::Lost);
        assert_eq!(verdict(&[Says::Fit { knows: 7 }, Says::Fit { knows: 6 }]), Verdict::Lost);
        assert_eq!(verdict(&[Says::Lost, Says::Blank]), Verdict::Lost);
        assert_eq!(verdict(&[]), Verdict::Founding, "a cluster of one");
    }
}
