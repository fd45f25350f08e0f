//! Each mutant of quorums and membership breaks its rule, and `fired` counts it; in the same situation the correct build keeps it.

use nodes::{
    machine::Value,
    mutants::Mutant,
    protocol::{
        NodeId, Protocol, Reply, Request, RequestId,
        raft::{Payload, mutants},
    },
};

use crate::{cluster::Cluster, figure2::put, membership::members};

const CORRECT_AND: fn(Mutant) -> [Option<Mutant>; 2] = |mutant| [None, Some(mutant)];

impl Cluster {
    fn is_done(&self, request: RequestId) -> bool {
        matches!(self.reply(request), Some(Reply::Answer(_) | Reply::MembershipChanged))
    }

    /// Writes x at a node; says whether it was acknowledged.
    fn write(&mut self, id: u64, value: u64) -> bool {
        let request = self.request(NodeId(id), put(value));
        self.stabilize();
        self.is_done(request)
    }

    /// What a node answers to a read of x, if it does.
    fn read(&mut self, id: u64) -> Option<Value> {
        let request = self.request(NodeId(id), Request::Read { key: "x".to_owned() });
        self.stabilize();
        match self.reply(request) {
            Some(Reply::Value(value)) => Some(value.clone()),
            _ => None,
        }
    }

    fn leads(&self, id: u64) -> bool {
        self.raft(id).view().is_leader
    }

    /// Has a node try to be elected, and says whether it was. Others may have to hear of its term first.
    fn tries_to_lead(&mut self, id: u64) -> bool {
        (0..4).any(|_| {
            self.elect(id);
            self.leads(id)
        })
    }

    fn fired(&self) -> bool {
        self.nodes.values().any(|node| node.raft.as_ref().is_some_and(|raft| raft.status().fired > 0))
    }
}

/// Paper, section 5.2. Half of three is one: a leader that is cut off goes on alone, and so does its successor.
#[test]
fn half_of_the_voters_are_no_majority() {
    for mutant in CORRECT_AND(mutants::QUORUM_HALF) {
        let mut cluster = Cluster::new(3, mutant, |_| {});
        cluster.elect(1);
        cluster.split(&[1]);
        assert_eq!(cluster.write(1, 5), mutant.is_some());
        assert_eq!(cluster.fired(), mutant.is_some());
        assert!(cluster.tries_to_lead(2));
        assert_eq!(cluster.read(2), Some(Value::Nil), "lost, if it was acknowledged");
    }
}

/// Dissertation, section 4.2.1. The leader and a learner are two, and two of three voters would be enough.
#[test]
fn a_learner_is_no_voter() {
    for mutant in CORRECT_AND(mutants::LEARNER_IN_QUORUM) {
        let mut cluster = Cluster::new_with_spares(3, 1, mutant, |_| {});
        cluster.elect(1);
        cluster.change(1, &[1, 2, 3], &[4]);
        cluster.split(&[1, 4]);
        assert_eq!(cluster.write(1, 5), mutant.is_some());
        assert_eq!(cluster.fired(), mutant.is_some());
        assert!(cluster.tries_to_lead(2));
        assert_eq!(cluster.read(2), Some(Value::Nil), "lost, if it was acknowledged");
    }
}

/// The example that Ongaro gave in 2015 (raft-dev), with one server less on either side: two leaders make a change each to the same
/// four voters, and majorities of the results, {1 3} of {1 2 3} and {2 4} of {2 3 4}, do not meet.
#[test]
fn two_leaders_change_the_same_configuration() {
    for mutant in CORRECT_AND(mutants::MEMBER_NO_TERM_COMMIT) {
        let mut cluster = Cluster::new(4, mutant, |_| {});
        cluster.elect(1);
        cluster.split(&[1]);
        cluster.change(1, &[1, 2, 3], &[]);
        cluster.elect_only(2);
        cluster.split(&[2, 4]);
        cluster.network.retain(|e| e.to != NodeId(3));
        cluster.request(NodeId(2), members(&[2, 3, 4], &[]));
        let changes = |e: &nodes::protocol::raft::Entry| matches!(e.payload, Payload::Membership(_));
        assert_eq!(cluster.raft(2).view().entries.iter().any(changes), mutant.is_some());
        assert_eq!(cluster.write(2, 5), mutant.is_some());
        assert_eq!(cluster.fired(), mutant.is_some());

        cluster.split(&[1, 3]);
        assert!(cluster.tries_to_lead(1));
        assert_eq!(cluster.read(1), Some(Value::Nil), "lost, if it was acknowledged");
    }
}

/// Paper, Figure 10: from three to five in one step, and the old majority {1 2} does not meet the new one {3 4 5}.
#[test]
fn several_voters_in_one_step_make_two_clusters() {
    for mutant in CORRECT_AND(mutants::MEMBER_MULTI_STEP) {
        let mut cluster = Cluster::new_with_spares(3, 2, mutant, |_| {});
        cluster.elect(3);
        cluster.change(3, &[1, 2, 3], &[4, 5]);
        cluster.split(&[1, 2]);
        let change = cluster.change(3, &[1, 2, 3, 4, 5], &[]);
        assert_eq!(cluster.is_done(change), mutant.is_some());
        assert_eq!(cluster.write(3, 5), mutant.is_some());
        assert_eq!(cluster.fired(), mutant.is_some());
        assert!(cluster.tries_to_lead(1), "its majority is {{1 2}} of {{1 2 3}}");
        assert_eq!(cluster.read(1), Some(Value::Nil));
        assert_eq!(cluster.write(3, 6), mutant.is_some(), "both lead");
    }
}

/// Dissertation, section 4.1: the latest in the log counts. 2 has the log that makes five voters, but after a restart does not know
/// that it is committed; with three voters in mind, 2 and 3 are enough for it.
#[test]
fn a_membership_that_waits_for_its_commit_comes_too_late() {
    for mutant in CORRECT_AND(mutants::MEMBER_AT_COMMIT) {
        let mut cluster = Cluster::new_with_spares(3, 2, mutant, |_| {});
        cluster.elect(1);
        cluster.split(&[3]);
        for voters in [&[1, 2, 3, 4][..], &[1, 2, 3, 4, 5]] {
            let change = cluster.change(1, voters, &[]);
            for _ in 0..3 {
                cluster.tick(NodeId(1));
                cluster.stabilize();
            }
            assert!(cluster.is_done(change));
        }
        cluster.crash(NodeId(2));
        cluster.start(NodeId(2));
        cluster.split(&[2, 3]);
        assert!(cluster.write(1, 5), "by 1, 4 and 5");
        assert_eq!(cluster.tries_to_lead(2), mutant.is_some());
        assert_eq!(cluster.fired(), mutant.is_some());
        cluster.cut.clear();
        cluster.tick(NodeId(2));
        cluster.stabilize();
        let leader = (1..=5).find(|&id| cluster.leads(id)).unwrap_or(1);
        assert!(cluster.tries_to_lead(leader));
        let lost = cluster.read(leader) == Some(Value::Nil);
        assert_eq!(lost, mutant.is_some());
    }
}

/// Paper, section 7. 2 was away while two voters joined; a snapshot brings it up to date, but not its idea of who votes.
#[test]
fn a_membership_from_before_the_snapshot_is_out_of_date() {
    for mutant in CORRECT_AND(mutants::SNAPSHOT_STALE_MEMBERSHIP) {
        let mut cluster = Cluster::new_with_spares(3, 2, mutant, |config| config.snapshot_every = 4);
        cluster.elect(1);
        cluster.split(&[2]);
        cluster.change(1, &[1, 2, 3, 4, 5], &[]);
        for value in 0..8 {
            assert!(cluster.write(1, value));
        }
        cluster.cut.clear();
        for _ in 0..2 {
            cluster.tick(NodeId(1));
            cluster.stabilize();
        }
        assert_eq!(cluster.raft(2).status().applied, cluster.raft(1).status().applied);
        assert_eq!(cluster.in_force(2) == "{1 2 3}", mutant.is_some());
        assert_eq!(cluster.fired(), mutant.is_some());
        cluster.split(&[2, 3]);
        assert!(cluster.write(1, 99), "by 1, 4 and 5");
        assert_eq!(cluster.tries_to_lead(2), mutant.is_some());
        assert_eq!(cluster.read(2), mutant.map(|_| Value::Int(7)), "stale");
    }
}
