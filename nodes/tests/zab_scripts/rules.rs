//! One test for each rule: of the paper (Junqueira, Reed and Serafini, DSN 2011, section IV-A), of Zab1.0, and of what this
//! implementation puts in place of channels that keep the order.

use nodes::{
    machine::{Answer, Value},
    protocol::{
        NodeId, Protocol, Refusal, Reply, Request, Stored,
        zab::{
            Epoch, Epochs, Message, Place, Position, Recency, Record,
            rules::{self, Promise},
        },
    },
};

use crate::{
    cluster::{Cluster, T_MS, put, read},
    server::{Server, any, batch, leads, looks, place, stored, zxid},
};

fn recency(epoch: u32, last: (u32, u32)) -> Recency {
    Recency { epoch: Epoch(epoch), zxid: zxid(last.0, last.1) }
}

/// Step l.1.2: the later currentEpoch, then the longer history.
#[test]
fn the_later_epoch_is_more_recent_than_the_longer_history() {
    assert!(rules::is_more_recent(recency(2, (1, 1)), recency(1, (1, 9))));
    assert!(rules::is_more_recent(recency(1, (1, 9)), recency(1, (1, 8))));
    assert!(!rules::is_more_recent(recency(1, (1, 1)), recency(1, (1, 1))));
}

/// Step l.1.1: later than any epoch that a quorum has accepted; and none where they end.
#[test]
fn a_new_epoch_is_later_than_all_accepted() {
    assert_eq!(rules::new_epoch([4, 9, 2].map(Epoch)), Some(Epoch(10)));
    assert_eq!(rules::new_epoch([Epoch(u32::MAX)]), None);
}

/// Step f.1.1, and Zab1.0, phase 1: an equal epoch counts only from the same leader.
#[test]
fn an_epoch_is_promised_once() {
    let mine = Epochs { accepted: Epoch(5), accepted_from: Some(NodeId(3)), current: Epoch(4) };
    let cases = [(6, 2, Promise::Accept), (5, 3, Promise::Repeat), (5, 2, Promise::Refuse), (4, 3, Promise::Refuse)];
    for (epoch, from, expected) in cases {
        assert_eq!(rules::promise(Epoch(epoch), NodeId(from), &mine), expected);
    }
}

/// Zab1.0, phase 0: the better vote is adopted and said; of equal histories the greater number wins.
#[test]
fn a_better_vote_is_adopted() {
    let mut server = Server::new(None, stored(1, 2, 1, &[(1, 1)]));
    let votes_for =
        |leader: u64| move |m: &Message| matches!(m, Message::Notification(n) if n.vote.leader == NodeId(leader));
    let worse = server.receive(3, looks(1, 3, 1, zxid(0, 0)));
    assert!(!any(&worse.send, votes_for(3)));
    let better = server.receive(2, looks(1, 2, 1, zxid(1, 1)));
    assert!(any(&better.send, votes_for(2)));
}

/// Step f.1.1: acceptedEpoch is durable before ACK-E.
#[test]
fn a_promise_is_durable_before_it_is_said() {
    let mut server = Server::new(None, Stored::default());
    server.receive(3, leads(3));
    let out = server.receive(3, Message::NewEpoch { epoch: Epoch(4) });
    assert!(matches!(out.records[..], [Record::Epochs(Epochs { accepted: Epoch(4), .. })]));
    assert!(out.send.is_empty() && any(&out.send_when_durable, |m| matches!(m, Message::AckEpoch { .. })));
}

/// Step f.2.1; Zab1.0, phase 2: history, then currentEpoch, then ACK-LD.
#[test]
fn history_then_epoch_then_acknowledgement() {
    let mut server = Server::new(None, Stored::default());
    server.promise(2);
    let diff = server.receive(3, Message::Diff(batch(2, Place::default(), &[(1, 1)])));
    assert!(matches!(diff.records[..], [Record::Proposal(_)]));
    assert_eq!(server.zab.view().epochs.current, Epoch(0));
    let out = server.receive(3, Message::NewLeader { epoch: Epoch(2), last: place(1, 1, 1) });
    assert!(matches!(out.records[..], [Record::Epochs(Epochs { current: Epoch(2), .. })]));
    assert!(any(&out.send_when_durable, |m| matches!(m, Message::AckNewLeader { .. })));
    assert!(!any(&out.send, |m| matches!(m, Message::AckNewLeader { .. })));
}

/// TRUNC: what the leader's history does not have goes, also where it has nothing in its place; what it has stays.
#[test]
fn a_dead_tail_is_cut() {
    let mut server = Server::new(None, stored(1, 2, 1, &[(1, 1), (1, 2), (1, 3)]));
    server.promise(3);
    server.receive(3, Message::Diff(batch(3, place(1, 1, 1), &[(2, 1)])));
    assert_eq!(server.names(), [(1, 1), (2, 1)]);

    let mut server = Server::new(None, stored(1, 2, 1, &[(1, 1), (1, 2), (1, 3)]));
    server.promise(3);
    let out = server.receive(3, Message::NewLeader { epoch: Epoch(3), last: place(2, 1, 2) });
    assert_eq!(server.names(), [(1, 1), (1, 2)]);
    assert!(matches!(out.records[0], Record::Truncate(Position(2))));
}

/// In the leader's epoch nothing is a dead tail: a NEWLEADER that comes late must not cut what was acknowledged since.
#[test]
fn a_late_new_leader_cuts_nothing_of_its_own_epoch() {
    let mut server = Server::new(None, Stored::default());
    server.synchronize(1, Place::default());
    server.receive(3, Message::Propose(batch(1, Place::default(), &[(1, 1)])));
    server.receive(3, Message::NewLeader { epoch: Epoch(1), last: Place::default() });
    assert_eq!(server.names(), [(1, 1)]);
}

/// Steps f.3.1 and f.3.2: only from the leader of the epoch.
#[test]
fn another_epochs_proposal_is_not_taken() {
    let mut server = Server::new(None, Stored::default());
    server.synchronize(2, Place::default());
    for (from, epoch) in [(3, 1), (3, 3), (2, 2)] {
        server.receive(from, Message::Propose(batch(epoch, Place::default(), &[(1, 1)])));
        assert_eq!(server.names(), []);
    }
    server.receive(3, Message::Propose(batch(2, Place::default(), &[(2, 1)])));
    assert_eq!(server.names(), [(2, 1)]);
}

/// In place of a channel that keeps the order: doubled proposals are passed over, and a gap is refused and told.
#[test]
fn a_gap_is_refused_and_a_copy_passed_over() {
    let mut server = Server::new(None, Stored::default());
    server.synchronize(1, Place::default());
    let out = server.receive(3, Message::Propose(batch(1, place(1, 1, 1), &[(1, 2)])));
    assert_eq!(server.names(), []);
    assert!(any(&out.send, |m| matches!(m, Message::Have { place, .. } if *place == Place::default())));
    for _ in 0..2 {
        server.receive(3, Message::Propose(batch(1, Place::default(), &[(1, 1)])));
        assert_eq!(server.names(), [(1, 1)]);
    }
    // Zxids of one epoch leave no gap either.
    server.receive(3, Message::Propose(batch(1, place(1, 1, 1), &[(1, 3)])));
    assert_eq!(server.names(), [(1, 1)]);
}

/// Nothing is served before phase 2 is complete, neither reads nor writes.
#[test]
fn nothing_is_served_before_up_to_date() {
    let mut server = Server::new(None, Stored::default());
    server.promise(1);
    server.receive(3, Message::NewLeader { epoch: Epoch(1), last: Place::default() });
    server.sync();
    for (id, request) in [put(1), read()].into_iter().enumerate() {
        let out = server.ask(id as u64, request);
        assert!(matches!(out.replies[..], [(_, Reply::Refused(Refusal::NoLeader))]));
    }
    server.receive(3, Message::UpToDate { epoch: Epoch(1), commit: Position(0) });
    assert!(any(&server.ask(7, put(1)).send, |m| matches!(m, Message::Forward(_))));
    assert!(any(&server.ask(8, read()).send, |m| matches!(m, Message::Sync { .. })));
}

/// A follower that hears no leader goes back to phase 0.
#[test]
fn a_follower_without_a_leader_looks_for_one() {
    let mut server = Server::new(None, Stored::default());
    server.synchronize(1, Place::default());
    server.wait(2 * T_MS + 1);
    assert_eq!(server.zab.status().role, "candidate");
}

/// Zab1.0: a leader that no quorum follows gives up, and its clients' commands end as unknown.
#[test]
fn a_leader_without_followers_gives_up() {
    let mut cluster = Cluster::elected(3, None);
    cluster.isolate(3);
    let request = cluster.ask(3, put(5));
    cluster.run(4 * T_MS);
    assert!(!cluster.leaders().contains(&3));
    assert_eq!(cluster.reply(request), Some(Reply::Refused(Refusal::LeadershipLost)));
}

/// Zab1.0, phase 1: a leader gives way to a follower that knows more.
#[test]
fn the_most_recent_history_leads() {
    let mut cluster = Cluster::elected(3, None);
    cluster.isolate(3);
    cluster.run(6 * T_MS);
    assert_eq!(cluster.leaders(), [2]);
    assert_eq!(cluster.answer(2, put(5)), Some(Reply::Answer(Answer::Done)));
    cluster.cut.clear();
    cluster.crash(2);
    cluster.run(6 * T_MS);
    assert_eq!(cluster.leaders(), [1], "not 3, whose number is greater");
    cluster.start(2);
    cluster.run(6 * T_MS);
    for id in 1..=3 {
        let request = cluster.ask(id, read());
        cluster.run(100);
        assert_eq!(cluster.reply(request), Some(Reply::Value(Value::Int(5))));
    }
}

/// Section II: a condition is decided against the state with all that is outstanding, and a failed one is ordered too.
#[test]
fn a_follower_passes_commands_on_and_answers() {
    let mut cluster = Cluster::elected(3, None);
    assert_eq!(cluster.answer(1, put(7)), Some(Reply::Answer(Answer::Done)));
    assert_eq!(cluster.answer(2, read()), Some(Reply::Value(Value::Int(7))));
}

/// Documented: leadership is not handed over on request, and the refusal is definite.
#[test]
fn leadership_is_not_transferred() {
    let mut cluster = Cluster::elected(3, None);
    let answer = cluster.answer(3, Request::TransferLeadership { to: None });
    assert_eq!(answer, Some(Reply::Refused(Refusal::Unsupported)));
}
