//! What an acceptor says and does, sentence by sentence.

use nodes::{
    machine::Value,
    protocol::{
        Config, Reply,
        multi_paxos::{Accept, Message, Promise, Slot},
    },
};

use crate::solo::{Said, Solo, accept, ballot, config, fit, prepare, put, read, vote};

fn promise(said: &Said) -> Promise {
    let Some(Message::Promise(promise)) = said.all().next() else { panic!("a 1b: {said:?}") };
    promise.clone()
}

/// "If an acceptor receives a prepare request with number n greater than that of any prepare request to which it has already
/// responded, then it responds to the request with a promise …" PMS, 2.2.
#[test]
fn a_promise_is_durable_before_it_is_told() {
    let mut solo = Solo::new(None);
    let said = solo.receive(2, prepare(ballot(5, 2), 1));
    assert!(said.at_once.is_empty() && said.when_durable.len() == 1 && said.sync_wanted);
    solo.sync();
    let again = solo.receive(2, prepare(ballot(5, 2), 1));
    assert_eq!(again.at_once.len(), 1, "the same question is answered again, and nothing has to be written");
    let said = solo.receive(3, prepare(ballot(4, 3), 1));
    assert_eq!(said.at_once, [(3, Message::Nack { refused: ballot(4, 3), promised: ballot(5, 2) })]);
}

/// "… and with the highest-numbered proposal (if any) that it has accepted." PMS, 2.2.
#[test]
fn a_promise_tells_what_was_accepted_last() {
    let mut solo = Solo::new(None);
    solo.receive_durably(2, accept(ballot(1, 2), 1, &[5, 6], 0));
    solo.receive_durably(3, accept(ballot(2, 3), 2, &[7], 0));
    let told = promise(&solo.receive(2, prepare(ballot(3, 2), 1)));
    assert_eq!(told.votes, [vote(1, ballot(1, 2), 5), vote(2, ballot(2, 3), 7)]);
    assert_eq!((told.more, told.snapshot), (None, Slot(0)));
    let from_two = promise(&solo.receive_durably(2, prepare(ballot(3, 2), 2)));
    assert_eq!(from_two.votes.len(), 1);
}

/// A long 1b comes in pieces, each asked for.
#[test]
fn a_promise_is_told_piece_by_piece() {
    let mut solo = Solo::with(Config { max_append_bytes: 1, ..config(3, None) }, fit(3));
    solo.receive_durably(2, accept(ballot(1, 2), 1, &[5, 6], 0));
    let first = promise(&solo.receive_durably(3, prepare(ballot(2, 3), 1)));
    assert_eq!((first.votes.len(), first.more), (1, Some(Slot(2))));
    let second = promise(&solo.receive(3, prepare(ballot(2, 3), 2)));
    assert_eq!((second.votes, second.more), (vec![vote(2, ballot(1, 2), 6)], None));
}

/// "An acceptor can accept a proposal numbered n iff it has not responded to a prepare request having a number greater than n."
/// PMS, 2.2, P1a.
#[test]
fn an_acceptance_is_durable_before_it_is_told_and_survives() {
    let mut solo = Solo::new(None);
    let said = solo.receive(2, accept(ballot(1, 2), 1, &[5], 0));
    assert!(said.at_once.is_empty() && said.sync_wanted);
    solo.sync();
    solo.restart();
    assert_eq!(solo.core.view().promised, ballot(1, 2), "accepting is promising");
    let told = promise(&solo.receive(3, prepare(ballot(2, 3), 1)));
    assert_eq!(told.votes, [vote(1, ballot(1, 2), 5)]);
}

/// That slots are chosen is known from a leader only where its own ballot was accepted; else the values are asked for.
#[test]
fn a_commit_index_speaks_of_the_leaders_own_ballot() {
    let mut solo = Solo::new(None);
    solo.receive_durably(2, accept(ballot(1, 2), 1, &[5], 0));
    let heartbeat = Accept {
        ballot: ballot(2, 3),
        first: Slot(2),
        values: Vec::new(),
        commit: Slot(1),
        begin: Slot(2),
        merged: Slot(0),
        round: 1,
    };
    let said = solo.receive_durably(3, Message::Accept(heartbeat));
    assert_eq!(solo.status().applied, 0, "another value may have been chosen");
    assert!(said.has(|m| *m == Message::CatchUp { from: Slot(1), have: None }));
    solo.receive(3, Message::Chosen { first: Slot(1), values: vec![put(6)] });
    assert_eq!(solo.status().applied, 1);
    // What it accepted is another matter than what it learned.
    let told = promise(&solo.receive(2, prepare(ballot(3, 2), 1)));
    assert_eq!(told.votes, [vote(1, ballot(1, 2), 5)]);
}

/// What is chosen is handed to one that lags, and nothing else.
#[test]
fn one_that_lags_is_sent_what_is_chosen() {
    let mut solo = Solo::new(None);
    solo.receive_durably(2, accept(ballot(1, 2), 1, &[5, 6], 0));
    solo.receive_durably(2, accept(ballot(1, 2), 3, &[], 1));
    let said = solo.receive(3, Message::CatchUp { from: Slot(1), have: None });
    assert_eq!(said.at_once, [(3, Message::Chosen { first: Slot(1), values: vec![put(5)] })]);
}

/// PMMC, 4.2: where values are gone, the snapshot goes in their place.
#[test]
fn one_that_lags_far_is_sent_a_snapshot() {
    let mut one = Solo::with(Config { snapshot_every: 1, ..config(3, None) }, fit(3));
    one.receive_durably(2, accept(ballot(1, 2), 1, &[5], 0));
    one.receive_durably(2, accept(ballot(1, 2), 2, &[], 1));
    let said = one.receive(3, Message::CatchUp { from: Slot(1), have: None });
    let Some(Message::SnapshotChunk(chunk)) = said.all().next() else { panic!("{said:?}") };

    let mut other = Solo::new(None);
    let heartbeat = |first| {
        Message::Accept(Accept {
            ballot: ballot(1, 2),
            first,
            values: Vec::new(),
            commit: Slot(1),
            begin: Slot(2),
            merged: Slot(0),
            round: 1,
        })
    };
    assert!(other.receive_durably(2, heartbeat(Slot(2))).has(|m| matches!(m, Message::CatchUp { .. })));
    let said = other.receive(2, Message::SnapshotChunk(chunk.clone()));
    assert_eq!((other.status().applied, other.status().snapshot_index), (1, 1), "{said:?}");
    // Nothing is said of slots that the snapshot covers before it is durable.
    let said = other.receive(2, accept(ballot(1, 2), 1, &[5], 1));
    assert!(!said.at_once.iter().any(|(_, m)| matches!(m, Message::Accepted(_))));
    other.sync();
    other.restart();
    assert_eq!(other.status().applied, 1);
    let at = other.stand();
    other.promise(2, at, 2, Vec::new(), 1);
    let said = other.request(read());
    let round = crate::solo::round(&said).expect("a round");
    let said = other.receive(2, crate::solo::accepted(at, 2, 0, round));
    assert_eq!(said.replies, [Reply::Value(Value::Int(5))]);
}
