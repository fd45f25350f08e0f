//! Who votes: a founded cluster, and a node that lost its disk. PML, section 5.1.

use nodes::protocol::multi_paxos::{Accept, Ballot, Message, Says, Slot, StandingReply};

use crate::solo::{Solo, T_MS, ballot, config, prepare, put, read};

fn standing(asked: u64, incarnation: u64, says: Says, promised: Ballot) -> Message {
    Message::Standing(StandingReply { asked, incarnation, says, promised })
}

fn votes(solo: &Solo) -> bool {
    solo.core.view().votes
}

fn heartbeat(at: Ballot, commit: u64, merged: u64) -> Message {
    let (first, begin) = (Slot(commit + 1), Slot(commit + 1));
    let (commit, merged) = (Slot(commit), Slot(merged));
    Message::Accept(Accept { ballot: at, first, values: Vec::new(), commit, begin, merged, round: 1 })
}

/// Before it votes a node asks all the others.
#[test]
fn a_cluster_is_founded_when_all_have_answered() {
    let mut solo = Solo::with(config(3, None), Vec::new());
    assert!(!votes(&solo));
    assert!(solo.receive(2, prepare(ballot(1, 2), 1)).is_silent());
    let said = solo.wait(T_MS);
    assert!(said.has(|m| *m == Message::Hello { incarnation: 1 }), "it asks until it is answered");
    solo.receive_durably(2, standing(1, 2, Says::Blank, Ballot::NONE));
    assert!(!votes(&solo), "one is missing");
    solo.receive_durably(3, standing(9, 3, Says::Blank, Ballot::NONE));
    assert!(!votes(&solo), "that was an answer to another disk");
    solo.receive_durably(3, standing(1, 3, Says::Fit { knows: 1 }, ballot(1, 3)));
    assert!(votes(&solo));
    solo.restart();
    assert!(votes(&solo), "for ever");
    let said = solo.receive(2, Message::Hello { incarnation: 5 });
    assert_eq!(said.at_once, [(2, standing(5, 1, Says::Fit { knows: 2 }, Ballot::NONE))], "it knows the disk of then");
}

/// A cluster of one founds itself.
#[test]
fn one_node_is_founded_alone() {
    let solo = Solo::with(config(1, None), Vec::new());
    assert!(votes(&solo));
}

/// The disk is lost: no vote, no answer, until a later ballot is settled, its values are here, and a snapshot of them is durable.
#[test]
fn a_node_that_lost_its_disk_is_let_in_again() {
    let mut solo = Solo::new(None);
    solo.wipe();
    solo.receive_durably(2, standing(7, 2, Says::Fit { knows: 1 }, ballot(4, 2)));
    solo.receive_durably(3, standing(7, 3, Says::Fit { knows: 1 }, ballot(5, 3)));
    assert!(!votes(&solo));
    let silent = [
        prepare(ballot(9, 2), 1),
        Message::Ping { ballot: ballot(9, 2) },
        Message::AskHighest { life: 1, id: 1 },
        Message::TakeOver { ballot: ballot(4, 2) },
    ];
    for message in silent {
        assert!(solo.receive(2, message.clone()).is_silent(), "{message:?}");
    }
    solo.wait(10 * T_MS);
    assert_eq!(solo.status().role, "learner", "it does not stand");

    let said = solo.receive_durably(2, heartbeat(ballot(4, 2), 1, 1));
    assert!(said.has(|m| *m == Message::Unfit { ballot: ballot(4, 2), floor: ballot(5, 3) }));
    assert!(!said.has(|m| matches!(m, Message::Accepted(_))), "not even an echo");
    solo.receive_durably(2, heartbeat(ballot(6, 2), 1, 1));
    assert!(!votes(&solo), "slot 1 is not here yet");
    solo.receive_durably(2, Message::Chosen { first: Slot(1), values: vec![put(5)] });
    let said = solo.receive(2, heartbeat(ballot(6, 2), 1, 1));
    assert!(votes(&solo));
    assert!(said.at_once.is_empty() && !said.when_durable.is_empty(), "it says so when that is durable");
    solo.sync();
    solo.restart();
    assert!(votes(&solo));
    assert_eq!((solo.status().applied, solo.core.view().promised), (1, ballot(6, 2)));
    assert!(solo.receive(3, prepare(ballot(5, 3), 1)).has(|m| matches!(m, Message::Nack { .. })));
}

/// A crash before that is durable leaves the node where it was.
#[test]
fn a_node_is_not_let_in_by_a_message_that_it_forgot() {
    let mut solo = Solo::new(None);
    solo.wipe();
    for peer in [2, 3] {
        solo.receive_durably(peer, standing(7, peer, Says::Fit { knows: 1 }, ballot(4, 2)));
    }
    solo.receive(2, heartbeat(ballot(6, 2), 0, 0));
    assert!(votes(&solo));
    solo.restart();
    assert!(!votes(&solo));
}

/// The leader begins a new ballot for one that waits for it, soon and not at once.
#[test]
fn a_leader_begins_a_new_ballot_for_a_node_that_lost_its_disk() {
    let mut solo = Solo::new(None);
    let at = solo.lead();
    let said = solo.receive(3, Message::Unfit { ballot: at, floor: ballot(8, 2) });
    assert!(said.is_silent());
    // Its followers still answer, so it is not for want of them.
    for _ in 0..20 {
        let Some(round) = crate::solo::round(&solo.tick()) else { break };
        solo.receive(2, crate::solo::accepted(at, 1, 0, round));
    }
    assert_eq!(solo.status().role, "candidate");
    assert_eq!(solo.core.view().promised, ballot(9, 1));
    assert!(!solo.request(read()).replies.is_empty());
}
