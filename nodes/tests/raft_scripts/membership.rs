//! Changes of membership, rule by rule. Dissertation, chapter 4; paper, section 6.

use nodes::protocol::{
    NodeId, Protocol, Refusal, Reply, Request, RequestId,
    raft::{Membership, Message, Payload},
};

use crate::{
    cluster::{Cluster, T_MS},
    describe::membership,
    figure2::put,
};

/// A request for these members.
pub fn members(voters: &[u64], learners: &[u64]) -> Request {
    let ids = |ids: &[u64]| ids.iter().copied().map(NodeId).collect();
    Request::ChangeMembership { voters: ids(voters), learners: ids(learners) }
}

impl Cluster {
    /// Asks a node for these members; all that is on its way arrives.
    pub fn change(&mut self, id: u64, voters: &[u64], learners: &[u64]) -> RequestId {
        let request = self.request(NodeId(id), members(voters, learners));
        self.stabilize();
        request
    }

    /// Cuts all links between these nodes and the others.
    pub fn split(&mut self, some: &[u64]) {
        self.cut.clear();
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        let is_some = |id: NodeId| some.contains(&id.0);
        let pairs = nodes.iter().flat_map(|&a| nodes.iter().map(move |&b| (a, b)));
        self.cut.extend(pairs.filter(|&(a, b)| is_some(a) != is_some(b)));
    }

    /// Makes a node lead without letting it commit anything: only what belongs to elections arrives.
    pub fn elect_only(&mut self, id: u64) {
        self.wait(T_MS);
        self.tick(NodeId(id));
        while self.deliver_one(|e| matches!(e.message, Message::RequestVote(_) | Message::VoteReply(_))) {}
        assert!(self.raft(id).view().is_leader);
    }

    pub fn in_force(&self, id: u64) -> String {
        membership(self.raft(id).view().membership)
    }

    fn memberships_in_log(&self, id: u64) -> usize {
        let entries = self.raft(id).view().entries;
        entries.iter().filter(|entry| matches!(entry.payload, Payload::Membership(_))).count()
    }
}

fn refused(refusal: Refusal) -> Option<Reply> {
    Some(Reply::Refused(refusal))
}

/// Reference: dissertation, section 4.1, corrected by Ongaro in 2015 (raft-dev, "bug in single-server membership changes"): a leader
/// must have committed an entry of its own term first.
#[test]
fn a_new_leader_commits_before_it_changes_anything() {
    let mut cluster = Cluster::new(4, None, |_| {});
    cluster.elect_only(1);
    let change = cluster.request(NodeId(1), members(&[1, 2, 3], &[]));
    assert_eq!(cluster.memberships_in_log(1), 0);
    cluster.stabilize();
    assert_eq!(cluster.reply(change), Some(&Reply::MembershipChanged));
    assert_eq!(cluster.memberships_in_log(1), 1);
}

/// Reference: dissertation, section 4.1: "they must not begin a new change until the previous one has completed".
#[test]
fn one_change_at_a_time() {
    let mut cluster = Cluster::new(3, None, |_| {});
    cluster.elect(1);
    cluster.isolate(NodeId(1));
    let first = cluster.change(1, &[1, 2], &[]);
    let second = cluster.change(1, &[1, 3], &[]);
    assert_eq!(cluster.reply(first), None);
    assert_eq!(cluster.reply(second).cloned(), refused(Refusal::ChangeUnderWay));
    assert_eq!(cluster.memberships_in_log(1), 1);
}

/// A new leader with a change left behind by the one before begins none of its own until that one is committed.
#[test]
fn what_an_earlier_leader_began_comes_first() {
    let mut cluster = Cluster::new(4, None, |_| {});
    cluster.elect(1);
    cluster.cut.extend([(NodeId(1), NodeId(3)), (NodeId(1), NodeId(4))]);
    cluster.change(1, &[1, 2, 3], &[]);
    assert_eq!([cluster.in_force(2), cluster.in_force(3)], ["{1 2 3}", "{1 2 3 4}"]);
    cluster.cut.clear();
    cluster.split(&[1]);
    cluster.elect_only(2);
    let change = cluster.request(NodeId(2), members(&[2, 3], &[]));
    assert_eq!(cluster.memberships_in_log(2), 1);
    cluster.stabilize();
    assert_eq!(cluster.reply(change), Some(&Reply::MembershipChanged));
    assert_eq!(cluster.in_force(3), "{2 3}");
}

/// A joint membership is left by whoever leads next. Reference: section 6: "once C_old,new has been committed … it is now safe for
/// the leader to create a log entry describing C_new".
#[test]
fn a_later_leader_leaves_a_joint_membership() {
    let mut cluster = Cluster::new(5, None, |_| {});
    cluster.elect(1);
    let change = cluster.request(NodeId(1), members(&[1, 2, 3], &[]));
    let joint = "{1 2 3}&{1 2 3 4 5}";
    assert_eq!(cluster.in_force(1), joint);
    // It gets to all of them, and 1 hears nothing of that.
    while cluster.deliver_one(|e| e.to != NodeId(1)) {}
    cluster.split(&[1]);
    assert_eq!([cluster.in_force(2), cluster.in_force(5)], [joint, joint]);
    cluster.elect(2);
    assert_eq!([cluster.in_force(2), cluster.in_force(5)], ["{1 2 3}", "{1 2 3}"]);
    assert_eq!(cluster.reply(change), None);
}

/// Definite refusals, which put nothing into any log.
#[test]
fn what_is_refused() {
    let mut cluster = Cluster::new_with_spares(3, 1, None, |_| {});
    let early = cluster.request(NodeId(2), members(&[1, 2], &[]));
    assert_eq!(cluster.reply(early).cloned(), refused(Refusal::NoLeader));
    cluster.elect(1);
    let follower = cluster.request(NodeId(2), members(&[1, 2], &[]));
    assert_eq!(cluster.reply(follower).cloned(), refused(Refusal::NotLeader));
    for (voters, learners) in [(&[][..], &[1][..]), (&[1, 1], &[]), (&[1, 2], &[2]), (&[1, 9], &[]), (&[1], &[0])] {
        let request = cluster.request(NodeId(1), members(voters, learners));
        assert_eq!(cluster.reply(request).cloned(), refused(Refusal::InvalidMembership), "{voters:?} {learners:?}");
    }
    assert_eq!(cluster.memberships_in_log(1), 0);
    // What is already so is done at once.
    let same = cluster.request(NodeId(1), members(&[3, 2, 1], &[]));
    assert_eq!(cluster.reply(same), Some(&Reply::MembershipChanged));
}

/// Reference: dissertation, section 4.2.1: a newcomer gets the log before it gets a vote; one that does not come up to date gets none.
#[test]
fn a_newcomer_that_does_not_catch_up_gets_no_vote() {
    let mut cluster = Cluster::new_with_spares(3, 1, None, |_| {});
    cluster.elect(1);
    cluster.isolate(NodeId(4));
    let change = cluster.change(1, &[1, 2, 3, 4], &[]);
    assert_eq!(cluster.in_force(1), "{1 2 3}+4");
    for _ in 0..100 {
        cluster.tick(NodeId(1));
        cluster.stabilize();
    }
    // Something of it was done, so it is not a definite no; and a later change finds the way free.
    assert_eq!(cluster.reply(change).cloned(), refused(Refusal::Timeout));
    assert_eq!(cluster.in_force(1), "{1 2 3}+4");
    let back = cluster.change(1, &[1, 2, 3], &[]);
    assert_eq!(cluster.reply(back), Some(&Reply::MembershipChanged));
}

/// Nothing was begun: then giving up is a definite no.
#[test]
fn a_change_that_never_began_is_definitely_refused() {
    let mut cluster = Cluster::new(3, None, |_| {});
    cluster.elect_only(1);
    cluster.split(&[1]);
    let change = cluster.change(1, &[1, 2], &[]);
    for _ in 0..100 {
        cluster.tick(NodeId(1));
    }
    assert_eq!(cluster.reply(change).cloned(), refused(Refusal::NotLeader), "it steps down before it gives up");
    assert_eq!(cluster.memberships_in_log(1), 0);
}

/// Reference: dissertation, section 4.2.1: a learner "is not yet counted towards majorities"; section 4.2.2: nor does it stand.
#[test]
fn a_learner_hears_all_and_decides_nothing() {
    let mut cluster = Cluster::new_with_spares(3, 1, None, |_| {});
    cluster.elect(1);
    cluster.change(1, &[1, 2, 3], &[4]);
    // It serves clients as any follower does.
    let write = cluster.request(NodeId(4), put(7));
    cluster.stabilize();
    assert!(matches!(cluster.reply(write), Some(Reply::Answer(_))));
    cluster.split(&[1, 4]);
    let write = cluster.request(NodeId(1), put(8));
    let read = cluster.request(NodeId(1), Request::Read { key: "x".to_owned() });
    cluster.stabilize();
    assert_eq!((cluster.reply(write), cluster.reply(read)), (None, None));
    assert_eq!(cluster.raft(1).view().entries.len(), cluster.raft(4).view().entries.len(), "it has them all the same");
    // Its timer runs out, and it asks nobody.
    cluster.wait(4 * T_MS);
    cluster.tick(NodeId(4));
    assert_eq!(cluster.raft(4).status().role, "follower");
    assert!(!cluster.network.iter().any(|e| e.from == NodeId(4) && matches!(e.message, Message::RequestVote(_))));
}

/// Reference: dissertation, section 4.2.2: "a server that is not part of its own latest configuration should still start new
/// elections, as it might still be needed until the C_new entry is committed (as in Figure 4.6)".
#[test]
fn a_server_on_its_way_out_may_be_needed_once_more() {
    let mut cluster = Cluster::new(2, None, |_| {});
    cluster.elect(1);
    cluster.split(&[1]);
    cluster.change(1, &[2], &[]);
    cluster.cut.clear();
    cluster.crash(NodeId(1));
    cluster.start(NodeId(1));
    assert_eq!([cluster.in_force(1), cluster.in_force(2)], ["{2}", "{1 2}"]);
    // 2 needs the vote of 1, whose log is longer.
    cluster.elect(2);
    assert!(!cluster.raft(2).view().is_leader);
    // So 1 leads for as long as it takes to commit that it leaves: its own vote and copy count nothing.
    cluster.elect(1);
    cluster.tick(NodeId(1));
    cluster.stabilize();
    assert_eq!(cluster.in_force(2), "{2}");
    assert_eq!(cluster.raft(1).status().role, "follower");
    cluster.elect(1);
    assert_eq!(cluster.raft(1).status().role, "follower", "it is committed: now it does not stand any more");
    cluster.elect(2);
    assert!(cluster.raft(2).view().is_leader);
}

/// Reference: dissertation, section 4.2.3: servers that were removed and do not know must not disturb the others.
#[test]
fn a_removed_server_that_heard_nothing_does_not_disturb() {
    let mut cluster = Cluster::new(4, None, |_| {});
    cluster.elect(1);
    cluster.split(&[4]);
    let change = cluster.change(1, &[1, 2, 3], &[]);
    assert_eq!(cluster.reply(change), Some(&Reply::MembershipChanged));
    cluster.cut.clear();
    let term = cluster.raft(1).status().term;
    for _ in 0..5 {
        cluster.wait(T_MS / 3);
        cluster.tick(NodeId(1));
        cluster.tick(NodeId(4));
        cluster.stabilize();
    }
    assert_eq!(cluster.raft(4).status().role, "pre-candidate", "it does not know");
    assert!(cluster.raft(1).view().is_leader);
    assert_eq!(cluster.raft(2).status().term, term);
}

/// Reference: dissertation, section 4.2: "a server … accepts AppendEntries requests from a leader that is not part of the server's
/// latest configuration", and grants its vote likewise: else a newcomer could never be reached.
#[test]
fn a_spare_hears_and_elects_whom_it_does_not_know_as_member() {
    let mut cluster = Cluster::new_with_spares(1, 1, None, |config| {
        config.nodes = [1, 2].map(NodeId).into();
    });
    cluster.tick(NodeId(1));
    cluster.stabilize();
    let change = cluster.change(1, &[2], &[]);
    assert_eq!(cluster.reply(change), Some(&Reply::MembershipChanged));
    cluster.elect(2);
    assert!(cluster.raft(2).view().is_leader);
    let mut status = cluster.raft(1).status();
    assert_eq!((status.voters.as_slice(), status.role.as_str()), (&[NodeId(2)][..], "follower"));
    status = cluster.raft(2).status();
    assert_eq!((status.voters, status.learners), (vec![NodeId(2)], vec![]));
}

/// A read waits for an answer that nobody needs any more: no other answer may ever come, so it is answered by the change.
#[test]
fn a_read_does_not_wait_for_a_voter_that_left() {
    let mut cluster = Cluster::new(2, None, |_| {});
    cluster.elect(1);
    cluster.split(&[2]);
    let read = cluster.request(NodeId(1), Request::Read { key: "x".to_owned() });
    assert_eq!(cluster.reply(read), None);
    let change = cluster.change(1, &[1], &[]);
    assert_eq!(cluster.reply(change), Some(&Reply::MembershipChanged));
    assert!(matches!(cluster.reply(read), Some(Reply::Value(_))));
}

/// Members of whom nobody knows where they are: a leader that says so is not believed.
#[test]
fn members_outside_the_address_book_are_dropped_with_their_message() {
    for (stranger, taken) in [(3, true), (4, false)] {
        let mut server = crate::figure2::Server::new(1, &[]);
        let Message::Append(mut append) = crate::figure2::append(1, (0, 0), &[1], 0) else { unreachable!() };
        let voters = vec![NodeId(1), NodeId(stranger)];
        append.entries[0].payload = Payload::Membership(Membership::new(voters, Vec::new()));
        server.receive(2, Message::Append(append));
        assert_eq!(server.raft.view().entries.len(), usize::from(taken));
    }
}
