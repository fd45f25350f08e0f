//! Who the members are, and since which place in the log. Dissertation, chapter 4; paper, section 6.
//!
//! ```text
//!   founding {1 2 3} │ …  at 7: {1 2 3 4}  …  at 19: {1 4 5} joint with {1 2 3 4}
//!        base        │     later[0]              later[1]: the latest, in force from the moment it is in the log
//!                    └ a snapshot up to 12 makes {1 2 3 4} the base
//! ```
//!
//! A server uses the latest membership in its log, committed or not: when entries are cut, the one before comes back into force;
//! when entries leave through a snapshot, the snapshot carries it on. How a leader goes from one to the next is the business of
//! [`super::change`]; what counts as a quorum, of [`super::rules`].

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Entry, LogIndex, Payload, Raft, election::Role, replication::Progress};
use crate::protocol::NodeId;

/// The members of the cluster. Every list ascends; no node is twice in one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Who votes, and whose acknowledgements count. Never empty.
    pub voters: Vec<NodeId>,
    /// While two configurations are joint: the voters of the old one. Empty otherwise.
    pub outgoing: Vec<NodeId>,
    /// Who gets the log, and never counts.
    pub learners: Vec<NodeId>,
}

impl Membership {
    /// These voters and learners, in any order.
    #[must_use]
    pub fn new(mut voters: Vec<NodeId>, mut learners: Vec<NodeId>) -> Self {
        voters.sort_unstable();
        learners.sort_unstable();
        Self { voters, outgoing: Vec::new(), learners }
    }

    /// Whether two configurations are joint: C_old,new of the paper's section 6.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// What follows a joint membership: its new configuration alone.
    #[must_use]
    pub(super) fn settled(&self) -> Self {
        Self { outgoing: Vec::new(), ..self.clone() }
    }

    /// Whether this node votes: in either configuration, while two are joint.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.outgoing.contains(&id)
    }

    /// Who votes in either configuration.
    #[must_use]
    pub fn all_voters(&self) -> BTreeSet<NodeId> {
        self.voters.iter().chain(&self.outgoing).copied().collect()
    }

    /// Everyone who gets the log.
    #[must_use]
    pub fn members(&self) -> BTreeSet<NodeId> {
        self.voters.iter().chain(&self.outgoing).chain(&self.learners).copied().collect()
    }

    /// Whether a cluster of these nodes can have these members.
    pub(super) fn is_sound(&self, nodes: &[NodeId]) -> bool {
        let lists = [&self.voters, &self.outgoing, &self.learners];
        !self.voters.is_empty()
            && lists.iter().all(|list| list.windows(2).all(|pair| pair[0] < pair[1]))
            && lists.iter().all(|list| list.iter().all(|id| nodes.contains(id)))
            && !self.learners.iter().any(|id| self.voters.contains(id))
    }
}

/// The memberships that the snapshot and the log behind it hold.
#[derive(Clone, Debug)]
pub(super) struct Memberships {
    /// The snapshot's, and the last index that covers; or the founding one at 0.
    base: (LogIndex, Membership),
    /// Those of the log behind it.
    later: Vec<(LogIndex, Membership)>,
    /// The one to go by: see [`super::rules::membership_in_force`].
    in_force: Membership,
}

impl Memberships {
    /// Those of a snapshot that covers everything up to `index`, or of the founding, and of these entries, as far as they are behind it.
    pub fn new(index: LogIndex, membership: Membership, entries: &[Entry]) -> Self {
        let mut memberships = Self { in_force: membership.clone(), base: (index, membership), later: Vec::new() };
        for entry in entries {
            if let Payload::Membership(membership) = &entry.payload {
                memberships.push(entry.index, membership.clone());
            }
        }
        memberships
    }

    /// The membership to go by.
    pub fn in_force(&self) -> &Membership {
        &self.in_force
    }

    /// The latest one in the log, and where it is.
    pub fn latest(&self) -> (LogIndex, &Membership) {
        let (index, membership) = self.later.last().unwrap_or(&self.base);
        (*index, membership)
    }

    /// The one before the latest, if the log still tells it.
    pub fn previous(&self) -> Option<&Membership> {
        let before = self.later.len().checked_sub(1)?;
        Some(before.checked_sub(1).map_or(&self.base.1, |at| &self.later[at].1))
    }

    /// The one that the entries up to `index` make, which is at or behind the base.
    pub fn at(&self, index: LogIndex) -> &Membership {
        self.later.iter().rev().find(|(at, _)| *at <= index).map_or(&self.base.1, |(_, membership)| membership)
    }

    /// Whether an entry behind `from`, up to `to`, holds one.
    pub fn any_within(&self, from: LogIndex, to: LogIndex) -> bool {
        self.later.iter().any(|(index, _)| *index > from && *index <= to)
    }

    /// An entry of the log holds one. What the base covers it holds already.
    pub fn push(&mut self, index: LogIndex, membership: Membership) {
        if index > self.base.0 {
            assert!(index > self.latest().0, "the log is read from its beginning to its end");
            self.later.push((index, membership));
        }
    }

    /// The log is cut from here on.
    pub fn truncate_from(&mut self, from: LogIndex) {
        self.later.retain(|(index, _)| *index < from);
    }

    /// An own snapshot covers everything up to here.
    pub fn compact_to(&mut self, index: LogIndex) {
        self.base = (index, self.at(index).clone());
        self.later.retain(|(at, _)| *at > index);
    }
}

impl Raft {
    /// The memberships in the log have changed, or what of them is committed: decide anew which one to go by, and whom to lead.
    pub(super) fn refresh_membership(&mut self) {
        let latest = self.memberships.latest().1.clone();
        let committed = self.memberships.at(self.commit).clone();
        self.memberships.in_force = self.rules.membership_in_force(latest, committed);
        self.sync_followers();
    }

    /// A leader sends its log to all members; also to those who are leaving, until that is committed, so that they learn of it.
    pub(super) fn sync_followers(&mut self) {
        let Role::Leader(leadership) = &mut self.role else { return };
        let mut members = self.memberships.in_force.members();
        if self.memberships.latest().0 > self.commit {
            members.extend(self.memberships.previous().into_iter().flat_map(Membership::members));
        }
        members.remove(&self.config.id);
        leadership.followers.retain(|id, _| members.contains(id));
        let (next, now) = (self.log.last_index().next(), self.now);
        for id in members {
            leadership.followers.entry(id).or_insert_with(|| Progress::unknown(next, now));
        }
    }

    /// The other voters.
    pub(super) fn other_voters(&self) -> Vec<NodeId> {
        self.memberships.in_force.all_voters().into_iter().filter(|&id| id != self.config.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Term, *};

    fn of(voters: &[u64]) -> Membership {
        Membership::new(voters.iter().copied().map(NodeId).collect(), Vec::new())
    }

    #[test]
    fn the_log_decides_and_a_cut_brings_the_one_before_back() {
        let mut memberships = Memberships::new(LogIndex(0), of(&[1, 2, 3]), &[]);
        memberships.push(LogIndex(4), of(&[1, 2]));
        memberships.push(LogIndex(6), of(&[1]));
        assert_eq!(memberships.latest(), (LogIndex(6), &of(&[1])));
        assert_eq!(memberships.previous(), Some(&of(&[1, 2])));
        assert_eq!(*memberships.at(LogIndex(5)), of(&[1, 2]));
        memberships.truncate_from(LogIndex(6));
        assert_eq!(memberships.latest(), (LogIndex(4), &of(&[1, 2])));
        memberships.truncate_from(LogIndex(4));
        assert_eq!(memberships.latest(), (LogIndex(0), &of(&[1, 2, 3])));
        assert_eq!(memberships.previous(), None);
    }

    #[test]
    fn a_snapshot_keeps_what_it_covers() {
        let mut memberships = Memberships::new(LogIndex(0), of(&[1, 2, 3]), &[]);
        memberships.push(LogIndex(4), of(&[1, 2]));
        memberships.push(LogIndex(6), of(&[1]));
        memberships.compact_to(LogIndex(5));
        assert_eq!(memberships.latest(), (LogIndex(6), &of(&[1])));
        memberships.truncate_from(LogIndex(6));
        assert_eq!(memberships.latest(), (LogIndex(5), &of(&[1, 2])));
        // Entries that the snapshot covers may still be in the log.
        let entry = |index, membership| {
            let payload = Payload::Membership(membership);
            Entry { term: Term(1), index: LogIndex(index), payload }
        };
        let entries = [entry(4, of(&[9])), entry(9, of(&[2]))];
        let memberships = Memberships::new(LogIndex(8), of(&[3]), &entries);
        assert_eq!((memberships.previous(), memberships.latest()), (Some(&of(&[3])), (LogIndex(9), &of(&[2]))));
        let memberships = Memberships::new(LogIndex(8), of(&[3]), &entries[..1]);
        assert_eq!(memberships.latest(), (LogIndex(8), &of(&[3])));
    }

    #[test]
    fn members_must_make_sense() {
        let nodes = [1, 2, 3, 4].map(NodeId);
        let with = |voters: &[u64], learners: &[u64]| {
            Membership::new(
                voters.iter().copied().map(NodeId).collect(),
                learners.iter().copied().map(NodeId).collect(),
            )
        };
        assert!(with(&[3, 1], &[2]).is_sound(&nodes));
        for (voters, learners) in [(&[][..], &[1][..]), (&[1, 1], &[]), (&[1], &[1]), (&[5], &[]), (&[1], &[0])] {
            assert!(!with(voters, learners).is_sound(&nodes), "{voters:?} {learners:?}");
        }
        let joint = Membership { outgoing: vec![NodeId(1), NodeId(2)], ..with(&[3], &[2]) };
        assert!(joint.is_sound(&nodes) && joint.is_joint() && joint.is_voter(NodeId(2)));
        assert_eq!(joint.settled(), with(&[3], &[2]));
    }
}
