//! What a garbled or hostile peer may say without bringing a node down.

use nodes::protocol::{
    NodeId,
    multi_paxos::{
        Accept, Accepted, Ballot, Forward, Message, Payload, Prepare, Promise, Says, Slot, SnapshotChunk,
        StandingReply, Vote,
    },
};

use crate::solo::{Solo, ballot, prepare, put_command};

fn accept(at: Ballot, [first, commit, begin, merged, round]: [u64; 5]) -> Message {
    let [first, commit, begin, merged] = [first, commit, begin, merged].map(Slot);
    Message::Accept(Accept { ballot: at, first, values: vec![Payload::Noop], commit, begin, merged, round })
}

fn accepted(at: Ballot, first: u64, count: u64, round: u64, through: u64) -> Message {
    Message::Accepted(Accepted { ballot: at, round, first: Slot(first), count, through: Some(Slot(through)) })
}

fn promise(at: Ballot, from: u64, more: u64, snapshot: u64, vote: (u64, Ballot)) -> Message {
    let votes = vec![Vote { slot: Slot(vote.0), ballot: vote.1, payload: Payload::Noop }];
    let (from, more, snapshot) = (Slot(from), Some(Slot(more)), Slot(snapshot));
    Message::Promise(Promise { ballot: at, incarnation: 1, from, votes, more, snapshot })
}

fn forward(ballot: Ballot, life: u64, id: u64) -> Message {
    Message::Forward(Forward { ballot, life, id, command: put_command(1) })
}

fn chunk(slot: u64, offset: u64, total: u64) -> Message {
    Message::SnapshotChunk(SnapshotChunk { slot: Slot(slot), offset, total, data: vec![0] })
}

/// Each with one number that is too large, of all that a message carries.
fn messages_with(huge: u64) -> Vec<Message> {
    let one = ballot(1, 2);
    let far = ballot(huge, 2);
    let standing =
        |promised| Message::Standing(StandingReply { asked: 1, incarnation: 2, says: Says::Blank, promised });
    let mut messages = vec![
        Message::Ping { ballot: far },
        Message::Pong { ballot: far, granted: true, promised: one },
        Message::Pong { ballot: one, granted: true, promised: far },
        prepare(far, 1),
        prepare(one, huge),
        Message::Prepare(Prepare { ballot: one, from: Slot(1), incarnation: 2, released: Some(far) }),
        promise(far, 1, 2, 0, (1, one)),
        promise(one, huge, 2, 0, (1, one)),
        promise(one, 1, huge, 0, (1, one)),
        promise(one, 1, 2, huge, (1, one)),
        promise(one, 1, 2, 0, (huge, one)),
        promise(one, 1, 2, 0, (1, far)),
        accept(far, [1; 5]),
        accepted(far, 1, 1, 1, 1),
        accepted(one, huge, 1, 1, 1),
        accepted(one, 1, huge, 1, 1),
        accepted(one, 1, 1, huge, 1),
        accepted(one, 1, 1, 1, huge),
        Message::Nack { refused: far, promised: one },
        Message::Nack { refused: one, promised: far },
        Message::CatchUp { from: Slot(huge), have: None },
        Message::CatchUp { from: Slot(1), have: Some((Slot(huge), 1)) },
        Message::CatchUp { from: Slot(1), have: Some((Slot(1), huge)) },
        Message::Chosen { first: Slot(huge), values: vec![Payload::Noop] },
        chunk(huge, 0, 1),
        chunk(1, huge, 1),
        chunk(1, 0, huge),
        Message::TakeOver { ballot: far },
        forward(far, 1, 1),
        forward(one, huge, 1),
        forward(one, 1, huge),
        Message::ReadIndex { life: huge, id: 1 },
        Message::ReadIndexReply { life: 1, id: 1, slot: Some(Slot(huge)) },
        Message::AskHighest { life: 1, id: huge },
        Message::Highest { life: 1, id: 1, slot: Slot(huge) },
        Message::Rinse { through: Slot(huge) },
        standing(far),
        Message::Unfit { ballot: far, floor: one },
        Message::Unfit { ballot: one, floor: far },
    ];
    for at in 0..5 {
        let mut numbers = [1; 5];
        numbers[at] = huge;
        messages.push(accept(one, numbers));
    }
    messages
}

#[test]
fn a_number_that_no_counting_reaches_is_dropped_with_its_message() {
    for huge in [u64::MAX / 2 + 1, u64::MAX] {
        for message in messages_with(huge) {
            let mut solo = Solo::new(None);
            let said = solo.receive(2, message.clone());
            assert!(said.is_silent() && !said.sync_wanted, "{message:?}");
            let status = solo.status();
            assert_eq!((status.term, status.leader, status.last_index), (0, None, 0), "{message:?}");
        }
    }
}

#[test]
fn a_stranger_is_not_heard() {
    let mut solo = Solo::new(None);
    assert!(solo.receive(4, prepare(ballot(1, 4), 1)).is_silent());
    assert!(!solo.receive(2, prepare(ballot(1, 2), 1)).is_silent(), "a voter is");
    assert_eq!(solo.core.view().promised.node, NodeId(2));
}
