//! What a proposer says and does, sentence by sentence.

use nodes::{
    machine::Answer,
    protocol::{
        NodeId, Refusal, Reply, Request,
        multi_paxos::{Forward, Message, Payload, Slot},
    },
};

use crate::solo::{Solo, T_MS, accept, accepted, ballot, proposed, put, put_command, vote};

fn write(value: i64) -> Request {
    Request::Command(put_command(value))
}

/// PMS, 2.5: a proposer never uses a number twice, and its own promise is durable before it asks others for theirs.
#[test]
fn the_first_message_of_a_ballot_waits_for_the_disk() {
    let mut solo = Solo::new(None);
    let asked = solo.wait(2 * T_MS);
    assert!(asked.all().all(|m| matches!(m, Message::Ping { .. })), "nobody is asked for a promise yet");
    let pong = Message::Pong { ballot: ballot(1, 1), granted: true, promised: ballot(0, 0) };
    let said = solo.receive(2, pong);
    assert!(said.at_once.is_empty());
    assert_eq!(said.when_durable.iter().filter(|(_, m)| matches!(m, Message::Prepare(_))).count(), 2);
}

/// A node that hears a leader grants no ping; and nobody begins phase 1 without a quorum of pongs.
#[test]
fn a_working_leader_is_spared() {
    let mut solo = Solo::new(None);
    solo.receive_durably(2, accept(ballot(1, 2), 1, &[], 0));
    let granted = |solo: &mut Solo| {
        let said = solo.receive(3, Message::Ping { ballot: ballot(2, 3) });
        said.has(|m| matches!(m, Message::Pong { granted: true, .. }))
    };
    assert!(!granted(&mut solo));
    solo.wait(T_MS);
    assert!(granted(&mut solo));
    solo.wait(2 * T_MS);
    let refused = Message::Pong { ballot: ballot(2, 1), granted: false, promised: ballot(1, 2) };
    assert!(solo.receive(2, refused.clone()).is_silent());
    assert!(solo.receive(3, refused).is_silent());
}

/// "… then it can issue a proposal with number n and value v, where v is the value of the highest-numbered proposal among the
/// responses, or is any value selected by the proposer if the responders reported no proposals." PMS, 2.2, with PMS, 3: no-ops
/// in the holes.
#[test]
fn what_phase_1_brought_up_is_proposed_again() {
    let mut solo = Solo::new(None);
    let at = solo.stand();
    let votes = vec![vote(1, ballot(0, 2), 5), vote(3, ballot(0, 3), 7)];
    let said = solo.promise(2, at, 1, votes, 0);
    assert_eq!(proposed(&said), [put(5), Payload::Noop, put(7)]);
}

/// Only a 1b of the running ballot counts, and of this node's running disk.
#[test]
fn a_promise_of_another_ballot_or_disk_does_not_count() {
    let mut solo = Solo::new(None);
    let at = solo.stand();
    assert!(solo.promise(2, ballot(at.round, 3), 1, Vec::new(), 0).is_silent());
    solo.config.incarnation = 8;
    assert!(solo.promise(2, at, 1, Vec::new(), 0).is_silent());
    solo.config.incarnation = 1;
    solo.promise(2, at, 1, Vec::new(), 0);
    assert_eq!(solo.status().role, "leader");
}

/// PMMC, 4.2: where an acceptor forgot slots because they are chosen, the candidate catches up before it leads.
#[test]
fn a_candidate_below_a_snapshot_catches_up_first() {
    let mut solo = Solo::new(None);
    let at = solo.stand();
    let said = solo.promise(2, at, 1, vec![vote(3, ballot(0, 2), 7)], 2);
    assert_eq!(solo.status().role, "candidate");
    assert!(said.has(|m| *m == Message::CatchUp { from: Slot(1), have: None }));
    let said = solo.receive(2, Message::Chosen { first: Slot(1), values: vec![put(5), put(6)] });
    assert_eq!((solo.status().role.as_str(), solo.status().applied), ("leader", 2));
    assert_eq!(proposed(&said), [put(7)]);
}

/// A value is answered for once a quorum has accepted it, the leader's own disk included.
#[test]
fn a_quorum_chooses() {
    let mut solo = Solo::new(None);
    let at = solo.lead();
    let said = solo.request(write(5));
    assert_eq!(proposed(&said), [put(5)], "sent before it is durable here");
    assert!(solo.receive(2, accepted(at, 1, 1, 0)).replies.is_empty(), "one of three");
    assert!(solo.receive(2, accepted(at, 1, 1, 0)).replies.is_empty(), "the same acceptor twice");
    assert_eq!(solo.sync().replies, [Reply::Answer(Answer::Done)]);
}

/// A lost 2a is sent again.
#[test]
fn what_is_not_acknowledged_is_sent_again() {
    let mut solo = Solo::new(None);
    solo.lead();
    assert_eq!(proposed(&solo.request(write(5))), [put(5)]);
    solo.sync();
    let again: Vec<_> = (0..4).flat_map(|_| proposed(&solo.tick())).collect();
    assert!(!again.is_empty() && again.iter().all(|value| *value == put(5)), "{again:?}");
}

/// "… abandons" on a higher ballot (PMMC, 2.2, preempted): the leader does not know what becomes of its values.
#[test]
fn a_leader_that_hears_of_a_higher_ballot_gives_up() {
    let mut solo = Solo::new(None);
    let at = solo.lead();
    solo.request(write(5));
    let said = solo.receive(3, Message::Nack { refused: at, promised: ballot(9, 3) });
    assert_eq!(said.replies, [Reply::Refused(Refusal::LeadershipLost)]);
    assert_eq!(solo.status().role, "follower");
    assert_eq!(solo.request(write(6)).replies, [Reply::Refused(Refusal::NoLeader)]);
    assert_eq!(solo.stand(), ballot(10, 1), "above what it heard of");
}

/// A forwarded command is taken in the ballot it names, once; a refusal after that is definite.
#[test]
fn a_forwarded_command_is_taken_once() {
    let mut solo = Solo::new(None);
    let at = solo.lead();
    let forward = |ballot, id| Message::Forward(Forward { ballot, life: 1, id, command: put_command(5) });
    assert_eq!(proposed(&solo.receive(3, forward(at, 1))), [put(5)]);
    assert!(proposed(&solo.receive(3, forward(at, 1))).is_empty(), "a copy");
    solo.receive(2, Message::Nack { refused: at, promised: ballot(9, 2) });
    let refused = |said: crate::solo::Said, why| {
        said.has(|m| matches!(m, Message::ForwardReply { result: Err(refusal), .. } if *refusal == why))
    };
    assert!(refused(solo.receive(3, forward(at, 2)), Refusal::NotLeader), "it never leads in that ballot again");
    assert!(refused(solo.receive(3, forward(ballot(7, 1), 3)), Refusal::ForwardLost), "of that one it knows nothing");
}

/// Leadership is handed over once the follower has everything; that one begins phase 1 at once.
#[test]
fn leadership_is_handed_over() {
    let mut solo = Solo::new(None);
    let at = solo.lead();
    solo.request(write(5));
    let said = solo.request(Request::TransferLeadership { to: Some(NodeId(2)) });
    assert_eq!(said.replies, [Reply::TransferStarted]);
    assert_eq!(solo.request(write(6)).replies, [Reply::Refused(Refusal::NotLeader)], "no more commands");
    let mut has_all = accepted(at, 1, 1, 0);
    if let Message::Accepted(m) = &mut has_all {
        m.through = Some(Slot(1));
    }
    assert!(solo.receive(2, has_all).has(|m| *m == Message::TakeOver { ballot: at }));

    let mut follower = Solo::new(None);
    follower.receive_durably(2, accept(ballot(1, 2), 1, &[], 0));
    assert!(follower.receive(3, Message::TakeOver { ballot: ballot(1, 2) }).is_silent(), "not from its leader");
    let said = follower.receive(2, Message::TakeOver { ballot: ballot(1, 2) });
    assert!(said.has(|m| matches!(m, Message::Prepare(p) if p.released == Some(ballot(1, 2)))));
}
