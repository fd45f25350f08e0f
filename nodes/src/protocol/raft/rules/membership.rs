//! The rules of membership: who counts, which membership is in force, when and how it may change.

use super::{
    super::{
        super::{NodeId, quorum},
        membership::Membership,
        mutants,
        types::LogIndex,
    },
    Rules,
};

/// One majority that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Majority {
    /// Of these servers …
    pub among: Vec<NodeId>,
    /// … so many.
    pub needed: usize,
}

/// The majorities that an election, a commit or a read needs: of the voters; while two configurations are joint, of each of them. A
/// learner counts in none, a leader that is no voter neither. Paper, sections 5.2 and 6; dissertation, sections 4.2.1 and 4.2.2.
pub fn majorities(membership: &Membership) -> Vec<Majority> {
    let configurations = [&membership.voters, &membership.outgoing];
    let voting = configurations.into_iter().filter(|voters| !voters.is_empty());
    voting.map(|voters| Majority { needed: quorum::quorum(voters.len()), among: voters.clone() }).collect()
}

/// The highest value that enough servers have reached, in each of these majorities.
pub fn reached<T: Copy + Ord>(majorities: &[Majority], value: impl Fn(NodeId) -> T) -> T {
    let in_one = |majority: &Majority| {
        let mut values: Vec<_> = majority.among.iter().map(|&id| value(id)).collect();
        quorum::reached_by(&mut values, majority.needed)
    };
    majorities.iter().map(in_one).min().expect("every membership has voters")
}

/// The membership that a server goes by: the latest one in its log, committed or not. Paper, section 6; dissertation, section 4.1.
pub fn membership_in_force(latest: Membership, _committed: Membership) -> Membership {
    latest
}

/// What is known when a change of membership is to begin, or to go on.
#[derive(Clone, Copy, Debug)]
pub struct ChangeState {
    /// Where the latest membership in the log is.
    pub latest: LogIndex,
    /// The commit index.
    pub commit: LogIndex,
    /// The leader's first entry of its own term.
    pub first_of_term: LogIndex,
}

/// Whether the change before is through: one at a time. Dissertation, section 4.1.
pub fn latest_is_committed(state: ChangeState) -> bool {
    state.latest <= state.commit
}

/// Whether a leader may put another membership into its log: the one before is committed, and so is an entry of its own term. Without
/// the second, two leaders could each make a change to the same configuration, and majorities of the results need not meet.
/// Dissertation, section 4.1; Ongaro, "bug in single-server membership changes" (raft-dev, July 2015).
pub fn may_change_membership(state: ChangeState) -> bool {
    latest_is_committed(state) && state.first_of_term <= state.commit
}

/// What follows `current` on the way to `target`: that itself, if at most one voter comes or goes, for then any majority of the one meets
/// any majority of the other (dissertation, section 4.1, Figure 4.3); or else both of them joint (paper, section 6, Figures 10 and 11).
pub fn next_membership(current: &Membership, target: &Membership) -> Membership {
    let without = |some: &[NodeId], others: &[NodeId]| some.iter().filter(|id| !others.contains(id)).count();
    let differing = without(&current.voters, &target.voters) + without(&target.voters, &current.voters);
    let outgoing = if differing <= 1 { Vec::new() } else { current.voters.clone() };
    Membership { outgoing, ..target.clone() }
}

/// The membership that holds once a snapshot is installed: the snapshot's. Paper, section 7; dissertation, section 5.1.
pub fn membership_of_snapshot(snapshot: Membership, _known: Membership) -> Membership {
    snapshot
}

/// Whether a server may stand for election: as a voter of the membership in force; or while it is not known to be committed, as one of
/// the membership before, which may be needed yet to commit it. Dissertation, section 4.2.2, Figure 4.6.
pub fn may_stand(votes: bool, is_committed: bool, voted_before: bool) -> bool {
    votes || !is_committed && voted_before
}

impl Rules {
    /// See [`reached`] and [`majorities`].
    pub fn reached<T: Copy + Ord>(&mut self, membership: &Membership, value: impl Fn(NodeId) -> T) -> T {
        let majorities = majorities(membership);
        let right = reached(&majorities, &value);
        let right = self.switch.decide(mutants::QUORUM_HALF, right, || {
            let halves = majorities.iter().map(|m| Majority { needed: (m.among.len() / 2).max(1), ..m.clone() });
            reached(&halves.collect::<Vec<_>>(), &value)
        });
        self.switch.decide(mutants::LEARNER_IN_QUORUM, right, || {
            let mut with_learners = majorities.clone();
            for majority in &mut with_learners {
                let learners = membership.learners.iter().filter(|id| !majority.among.contains(id));
                let learners: Vec<_> = learners.copied().collect();
                majority.among.extend(learners);
            }
            reached(&with_learners, &value)
        })
    }

    /// Whether a quorum of this membership has something.
    pub fn quorum_has(&mut self, membership: &Membership, has: impl Fn(NodeId) -> bool) -> bool {
        self.reached(membership, has)
    }

    /// See [`membership_in_force`].
    pub fn membership_in_force(&mut self, latest: Membership, committed: Membership) -> Membership {
        let right = membership_in_force(latest, committed.clone());
        self.switch.decide(mutants::MEMBER_AT_COMMIT, right, || committed)
    }

    /// See [`may_change_membership`].
    pub fn may_change_membership(&mut self, state: ChangeState) -> bool {
        let right = may_change_membership(state);
        self.switch.decide(mutants::MEMBER_NO_TERM_COMMIT, right, || latest_is_committed(state))
    }

    /// See [`next_membership`].
    pub fn next_membership(&mut self, current: &Membership, target: &Membership) -> Membership {
        let right = next_membership(current, target);
        self.switch.decide(mutants::MEMBER_MULTI_STEP, right, || target.clone())
    }

    /// See [`membership_of_snapshot`].
    pub fn membership_of_snapshot(&mut self, snapshot: Membership, known: Membership) -> Membership {
        let right = membership_of_snapshot(snapshot, known.clone());
        self.switch.decide(mutants::SNAPSHOT_STALE_MEMBERSHIP, right, || known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: u64 = 5;

    fn some_of(mask: u64) -> Vec<NodeId> {
        (1..=NODES).filter(|id| mask >> (id - 1) & 1 == 1).map(NodeId).collect()
    }

    fn quorums(membership: &Membership) -> Vec<u64> {
        let majorities = majorities(membership);
        (0..1 << NODES).filter(|&servers| is_quorum(&majorities, servers)).collect()
    }

    fn is_quorum(majorities: &[Majority], mask: u64) -> bool {
        let servers = some_of(mask);
        reached(majorities, |id| servers.contains(&id))
    }

    /// Whether each quorum of the one shares a server with each quorum of the other.
    fn quorums_meet(one: &Membership, other: &Membership) -> bool {
        let (one, other) = (quorums(one), quorums(other));
        one.iter().all(|a| other.iter().all(|b| a & b != 0))
    }

    /// Dissertation, section 4.1, Figure 4.3, and paper, section 6, for every two configurations of up to five servers.
    #[test]
    fn quorums_meet_along_every_change() {
        let mut in_one_step = 0;
        for (old, new) in (1..1 << NODES).flat_map(|old| (1..1 << NODES).map(move |new| (old, new))) {
            let (old, new) = (Membership::new(some_of(old), vec![]), Membership::new(some_of(new), vec![]));
            let next = next_membership(&old, &new);
            assert!(quorums_meet(&old, &next), "{old:?} {next:?}");
            assert!(quorums_meet(&next, &next.settled()), "{next:?}");
            assert_eq!(next.settled(), new);
            if !next.is_joint() {
                in_one_step += 1;
            }
        }
        // Itself, and one voter more or less; but a cluster of none is none.
        assert_eq!(in_one_step, 31 + 31 * 5 - 5);
        let (three, five) = (Membership::new(some_of(7), vec![]), Membership::new(some_of(31), vec![]));
        assert!(!quorums_meet(&three, &five), "which is why two at once need both");
    }

    #[test]
    fn each_of_two_joint_configurations_has_its_say() {
        let joint = Membership { outgoing: some_of(0b00111), ..Membership::new(some_of(0b11100), vec![]) };
        let both = majorities(&joint);
        assert!(is_quorum(&both, 0b01110));
        assert!(!is_quorum(&both, 0b11100), "only 3 of the old ones");
        assert!(!is_quorum(&both, 0b00111), "only 3 of the new ones");
        let matched = [9, 8, 3, 2, 7].map(LogIndex);
        let of = |id: NodeId| matched[usize::try_from(id.0).expect("small") - 1];
        assert_eq!(reached(&both, of), LogIndex(3), "8 in the one, 3 in the other");
    }

    #[test]
    fn a_learner_or_stranger_adds_nothing() {
        let membership = Membership::new(some_of(0b00111), some_of(0b11000));
        assert!(!is_quorum(&majorities(&membership), 0b11001));
    }

    #[test]
    fn who_may_stand() {
        assert!(may_stand(true, true, false));
        assert!(may_stand(false, false, true));
        assert!(!may_stand(false, true, true), "it has left");
        assert!(!may_stand(false, false, false), "it never was a member");
    }
}
