//! The four ways to read.

use nodes::{
    machine::Value,
    protocol::{
        Config, ReadMode, Refusal, Reply,
        multi_paxos::{Message, Payload, Prepare, Slot},
    },
};

use crate::solo::{Solo, T_MS, accept, accepted, ballot, config, fit, prepare, proposed, read, round, vote};

const NIL: Reply = Reply::Value(Value::Nil);

fn with(reads: ReadMode) -> Solo {
    Solo::with(Config { reads, ..config(3, None) }, fit(3))
}

/// A round that began before the read arrived says nothing about it.
#[test]
fn a_read_waits_for_a_round_of_its_own() {
    let mut solo = Solo::new(None);
    let at = solo.lead();
    let old = round(&solo.tick()).expect("a heartbeat");
    let new = round(&solo.request(read())).expect("a heartbeat at once");
    assert!(new > old);
    assert!(solo.receive(2, accepted(at, 1, 0, old)).replies.is_empty());
    assert_eq!(solo.receive(2, accepted(at, 1, 0, new)).replies, [NIL]);
}

/// What phase 1 brought up may have been chosen, and answered, long ago.
#[test]
fn a_read_waits_until_all_of_phase_1_is_chosen() {
    let mut solo = Solo::new(None);
    let at = solo.stand();
    solo.promise(2, at, 1, vec![vote(1, ballot(0, 2), 5)], 0);
    solo.sync();
    assert_eq!(round(&solo.request(read())), None, "no round yet");
    let new = round(&solo.receive(2, accepted(at, 1, 1, 0))).expect("chosen: now the round");
    assert_eq!(solo.receive(2, accepted(at, 2, 0, new)).replies, [Reply::Value(Value::Int(5))]);
}

/// A follower asks the leader how far it must have applied, and reads itself.
#[test]
fn a_follower_reads_what_it_has_applied_far_enough() {
    let mut solo = Solo::new(None);
    assert_eq!(solo.request(read()).replies, [Reply::Refused(Refusal::NoLeader)]);
    solo.receive_durably(2, accept(ballot(1, 2), 1, &[5], 0));
    let said = solo.request(read());
    let Some(&Message::ReadIndex { life, id }) = said.all().next() else { panic!("{said:?}") };
    assert!(solo.receive(2, Message::ReadIndexReply { life, id, slot: Some(Slot(1)) }).replies.is_empty());
    let said = solo.receive(2, accept(ballot(1, 2), 2, &[], 1));
    assert_eq!(said.replies, [Reply::Value(Value::Int(5))]);
}

/// Through the log: a slot of its own, answered when applied.
#[test]
fn a_read_through_the_log_takes_a_slot() {
    let mut solo = with(ReadMode::Log);
    let at = solo.lead();
    assert_eq!(proposed(&solo.request(read())), [Payload::Noop]);
    solo.sync();
    assert_eq!(solo.receive(2, accepted(at, 1, 1, 0)).replies, [NIL]);
}

/// PML, 5.2: an acceptor that heard the leader promises nothing to others for T; one that was started anew does not know, and waits.
#[test]
fn a_lease_binds_the_acceptor() {
    let mut solo = with(ReadMode::Lease);
    assert!(solo.receive(2, prepare(ballot(1, 2), 1)).is_silent(), "just started");
    solo.wait(T_MS);
    solo.receive_durably(2, accept(ballot(1, 2), 1, &[], 0));
    solo.wait(T_MS - 1);
    assert!(solo.receive(3, prepare(ballot(2, 3), 1)).is_silent(), "it hears a leader");
    let released = Prepare { ballot: ballot(2, 3), from: Slot(1), incarnation: 3, released: Some(ballot(1, 2)) };
    assert!(!solo.receive_durably(3, Message::Prepare(released)).is_silent(), "the leader itself wants it");
    solo.receive_durably(3, accept(ballot(2, 3), 1, &[], 0));
    solo.wait(T_MS);
    assert!(!solo.receive(2, prepare(ballot(3, 2), 1)).is_silent(), "the lease is over");
    // Without leases nothing of the kind.
    let mut solo = Solo::new(None);
    solo.receive_durably(2, accept(ballot(1, 2), 1, &[], 0));
    assert!(!solo.receive(3, prepare(ballot(2, 3), 1)).is_silent());
}

/// PQR, 3: a quorum of answers, and the highest slot of them applied; a leader sees to a slot that nobody else will fill.
#[test]
fn a_quorum_read_needs_no_leader() {
    let mut solo = with(ReadMode::QuorumRead);
    let said = solo.request(read());
    let Some(&Message::AskHighest { life, id }) = said.all().next() else { panic!("{said:?}") };
    assert!(solo.receive(2, Message::Highest { life: life + 1, id, slot: Slot(0) }).replies.is_empty(), "another life");
    assert_eq!(solo.receive(2, Message::Highest { life, id, slot: Slot(0) }).replies, [NIL]);

    let at = solo.lead();
    assert_eq!(proposed(&solo.receive(2, Message::Rinse { through: Slot(2) })), [Payload::Noop, Payload::Noop]);
    assert!(proposed(&solo.receive(2, Message::Rinse { through: Slot(1 << 40) })).is_empty(), "beyond the window");
    solo.sync();
    solo.receive(2, accepted(at, 1, 2, 0));
    assert_eq!(solo.status().applied, 2);
}
