//! A check that cannot fail is none: each is shown something that it must reject, next to what it must accept.

use std::collections::BTreeMap;

use nodes::{
    machine::{Command, Operation, Value},
    protocol::{
        Config, Input, NodeId, Outputs, Protocol, ReadMode, Stored, Ticket, Time,
        multi_paxos::{Accept, Accepted, Ballot, Message, MultiPaxos, Payload, Promise, Record, Slot, Vote},
    },
};

use super::invariants::PaxosChecks;
use crate::checks::Checks;

fn ballot(round: u64, node: u64) -> Ballot {
    Ballot { round, node: NodeId(node) }
}

fn put(value: i64) -> Payload {
    let operation = Operation::Write { key: "x".to_owned(), value: Value::Int(value) };
    Payload::Command(Command::Do { stamp: None, operation })
}

fn propose(at: Ballot, slot: u64, value: i64, commit: u64) -> Message {
    Message::Accept(Accept {
        ballot: at,
        first: Slot(slot),
        values: vec![put(value)],
        commit: Slot(commit),
        begin: Slot(1),
        merged: Slot(0),
        round: 1,
    })
}

fn accepted(at: Ballot, slot: u64) -> Message {
    Message::Accepted(Accepted { ballot: at, round: 1, first: Slot(slot), count: 1, through: None })
}

fn promised(at: Ballot) -> Message {
    let from = Slot(1);
    Message::Promise(Promise { ballot: at, incarnation: 1, from, votes: vec![], more: None, snapshot: Slot(0) })
}

/// Node 1 of so many, which votes, with these records behind.
fn core(voters: u64, records: Vec<Record>) -> MultiPaxos {
    let config = Config {
        id: NodeId(1),
        voters: (1..=voters).map(NodeId).collect(),
        nodes: (1..=voters).map(NodeId).collect(),
        heartbeat_ns: 30,
        election_timeout_ns: 150,
        snapshot_every: 1000,
        max_append_bytes: 1000,
        max_inflight: 8,
        max_pending: 8,
        incarnation: 1,
        reads: ReadMode::Quorum,
        mutant: None,
    };
    let known: BTreeMap<NodeId, u64> = (1..=voters).map(|id| (NodeId(id), id)).collect();
    let head = [Record::Born(1), Record::Life(1), Record::Fit(known)];
    let stored = Stored { snapshot: None, records: head.into_iter().chain(records).collect() };
    MultiPaxos::restore(config, stored, Time(0), 1).expect("a sound disk")
}

/// A node that applied this value in slot 1, because the leader of this ballot said that it is chosen.
fn applied(at: Ballot, value: i64) -> MultiPaxos {
    let mut core = core(3, Vec::new());
    let message = propose(at, 1, value, 1);
    core.step(Time(1), Input::Receive { from: at.node, message }, &mut Outputs::default());
    assert_eq!(core.status().applied, 1);
    core
}

fn after(checks: &mut PaxosChecks, node: usize, core: &MultiPaxos) -> Result<(), String> {
    checks.after_step(node, core, &mut Vec::new()).map(|_| ())
}

fn refused(outcome: Result<(), String>, words: &str) {
    let what = outcome.expect_err("this must be refused");
    assert!(what.contains(words), "refused, but as {what:?}");
}

/// Shows the checks these messages; the last must be refused in these words, all others accepted.
fn told(messages: &[(usize, Message)], words: &str) {
    let mut checks = PaxosChecks::new(3);
    let calm = core(3, Vec::new());
    let (last, before) = messages.split_last().expect("something to check");
    for (from, message) in before {
        checks.told(*from, 1, message);
        after(&mut checks, 1, &calm).expect("nothing is wrong yet");
    }
    checks.told(last.0, 1, &last.1);
    refused(after(&mut checks, 1, &calm), words);
}

#[test]
fn two_values_in_one_ballot() {
    let at = ballot(1, 1);
    told(&[(0, propose(at, 1, 5, 0)), (0, propose(at, 2, 6, 0)), (0, propose(at, 1, 6, 0))], "two values in");
}

#[test]
fn a_later_ballot_with_another_value_than_the_chosen_one() {
    let (one, two) = (ballot(1, 1), ballot(2, 2));
    let chosen = [(0, propose(one, 1, 5, 0)), (1, accepted(one, 1)), (2, accepted(one, 1))];
    let good = (1, propose(two, 1, 5, 0));
    let bad = (1, propose(ballot(3, 2), 1, 6, 0));
    told(&[chosen.to_vec(), vec![good, bad]].concat(), "was chosen in");
}

#[test]
fn a_quorum_that_comes_after_a_later_ballot_with_another_value() {
    let (one, two) = (ballot(1, 1), ballot(2, 2));
    let messages =
        [(0, propose(one, 1, 5, 0)), (1, propose(two, 1, 6, 0)), (1, accepted(one, 1)), (2, accepted(one, 1))];
    told(&messages, "was chosen in");
}

#[test]
fn two_leaders_in_a_ballot() {
    let mut alone = core(1, Vec::new());
    for time in 1..10 {
        alone.step(Time(time * 100), Input::Tick, &mut Outputs::default());
        alone.step(Time(time * 100), Input::Durable(Ticket(1)), &mut Outputs::default());
        if alone.status().role == "candidate" {
            alone.step(Time(time * 100), Input::Durable(Ticket(2)), &mut Outputs::default());
        }
    }
    assert_eq!(alone.status().role, "leader");
    let mut checks = PaxosChecks::new(3);
    after(&mut checks, 0, &alone).expect("one leader");
    after(&mut checks, 0, &alone).expect("the same one");
    refused(after(&mut checks, 1, &alone), "has two leaders");
}

#[test]
fn a_value_applied_without_a_quorum() {
    let at = ballot(1, 2);
    let mut checks = PaxosChecks::new(3);
    checks.told(1, 0, &propose(at, 1, 5, 0));
    checks.told(0, 1, &accepted(at, 1));
    refused(after(&mut checks, 0, &applied(at, 5)), "a quorum accepted None");
    checks.told(2, 1, &accepted(at, 1));
    after(&mut checks, 1, &applied(at, 5)).expect("two of three did");
}

#[test]
fn a_slot_that_holds_different_values() {
    let at = ballot(1, 2);
    let mut checks = PaxosChecks::new(3);
    checks.told(1, 0, &propose(at, 1, 5, 0));
    checks.told(0, 1, &accepted(at, 1));
    checks.told(2, 1, &accepted(at, 1));
    after(&mut checks, 0, &applied(at, 5)).expect("the chosen one");
    refused(after(&mut checks, 1, &applied(at, 6)), "and elsewhere");
}

#[test]
fn what_goes_back() {
    let mut checks = PaxosChecks::new(3);
    after(&mut checks, 0, &core(3, vec![Record::Promise(ballot(5, 2))])).expect("a promise");
    refused(after(&mut checks, 0, &core(3, vec![Record::Promise(ballot(4, 2))])), "its promise went back");
    let at = ballot(1, 2);
    let mut checks = PaxosChecks::new(3);
    checks.told(1, 0, &propose(at, 1, 5, 0));
    checks.told(0, 1, &accepted(at, 1));
    checks.told(2, 1, &accepted(at, 1));
    after(&mut checks, 0, &applied(at, 5)).expect("the chosen one");
    refused(after(&mut checks, 0, &core(3, vec![Record::Promise(at)])), "applied went back");
}

#[test]
fn what_was_told_and_forgotten() {
    let at = ballot(5, 2);
    let mut checks = PaxosChecks::new(3);
    checks.restarted(0, &core(3, Vec::new())).expect("it told nothing");
    checks.told(0, 1, &promised(at));
    checks.restarted(0, &core(3, vec![Record::Promise(at)])).expect("as told");
    refused(checks.restarted(0, &core(3, Vec::new())), "it told others of its promise");

    checks.told(1, 0, &propose(at, 1, 5, 0));
    checks.told(0, 1, &accepted(at, 1));
    let vote = |at| Record::Accept(Vote { slot: Slot(1), ballot: at, payload: put(5) });
    checks.restarted(0, &core(3, vec![vote(at)])).expect("as told");
    checks.restarted(0, &core(3, vec![vote(ballot(6, 3))])).expect("a later one stands in for it");
    refused(checks.restarted(0, &core(3, vec![Record::Promise(at)])), "it told others that it accepted");
}

#[test]
fn only_a_minority_loses_its_disks() {
    let mut checks = PaxosChecks::new(3);
    assert!(!checks.may_lose_disk(0), "not all have voted yet");
    for node in 0..3 {
        checks.told(node, (node + 1) % 3, &promised(ballot(1, 1)));
    }
    assert!(checks.may_lose_disk(0));
    checks.disk_lost(0);
    assert!(!checks.may_lose_disk(1), "one of three is enough");
    assert!(checks.may_lose_disk(0), "the same one again");
    checks.restarted(0, &core(3, Vec::new())).expect("what a lost disk promised is forgotten");
    checks.told(0, 1, &promised(ballot(2, 1)));
    assert!(checks.may_lose_disk(1), "it votes again");
}
