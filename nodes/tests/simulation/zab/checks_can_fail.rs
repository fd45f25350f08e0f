//! A check that cannot fail is none: each is shown something that it must reject, next to what it must accept.

use nodes::{
    machine::{Command, Machine},
    protocol::{
        NodeId, Time,
        zab::{Epoch, Epochs, Message, Payload, Place, Position, Proposal, View, Zxid},
    },
};

use super::invariants::ZabChecks;
use crate::checks::Checks;

/// What a node looks like; the history by its zxids.
struct Node {
    accepted: u32,
    from: Option<u64>,
    current: u32,
    leads: bool,
    base: Place,
    history: Vec<Proposal>,
    commit: u64,
    prepared: Vec<(Position, Command)>,
}

fn zxid(epoch: u32, counter: u32) -> Zxid {
    Zxid { epoch: Epoch(epoch), counter }
}

fn node(epoch: u32, names: &[(u32, u32)], commit: u64) -> Node {
    let proposal = |&(epoch, counter): &(u32, u32)| Proposal { zxid: zxid(epoch, counter), payload: Payload::Sync };
    Node {
        accepted: epoch,
        from: None,
        current: epoch,
        leads: false,
        base: Place::default(),
        history: names.iter().map(proposal).collect(),
        commit,
        prepared: Vec::new(),
    }
}

fn leader(epoch: u32, names: &[(u32, u32)], commit: u64) -> Node {
    Node { leads: true, ..node(epoch, names, commit) }
}

impl Node {
    fn view(&self) -> View<'_> {
        View {
            id: NodeId(1),
            epochs: Epochs {
                accepted: Epoch(self.accepted),
                accepted_from: self.from.map(NodeId),
                current: Epoch(self.current),
            },
            is_leader: self.leads,
            base: self.base,
            history: &self.history,
            commit: Position(self.commit),
            applied: Position(self.commit),
            machine_digest: Machine::new().digest(),
            prepared: &self.prepared,
            now: Time(0),
        }
    }
}

/// Shows nodes to the checks, one after another; the last must be refused in these words, all others accepted.
fn refused(steps: &[(usize, Node)], words: &str) {
    let mut checks = ZabChecks::new(3);
    let (last, before) = steps.split_last().expect("something to check");
    for (at, node) in before {
        checks.check(*at, &node.view(), &mut Vec::new()).expect("nothing is wrong yet");
    }
    let outcome = checks.check(last.0, &last.1.view(), &mut Vec::new());
    let what = outcome.expect_err("this must be refused");
    assert!(what.contains(words), "refused, but as {what:?}");
}

#[test]
fn two_leaders_in_an_epoch() {
    refused(&[(0, leader(2, &[], 0)), (1, leader(2, &[], 0))], "two leaders");
}

#[test]
fn a_leader_that_cuts_its_history() {
    refused(&[(0, leader(2, &[(2, 1), (2, 2)], 0)), (0, leader(2, &[(2, 1)], 0))], "cut its own history");
}

#[test]
fn two_predecessors_of_one_name() {
    refused(&[(0, node(3, &[(1, 1), (3, 1)], 0)), (1, node(3, &[(2, 1), (3, 1)], 0))], "two transactions are named");
}

#[test]
fn two_payloads_of_one_name() {
    let mut other = node(1, &[(1, 1)], 0);
    other.history[0].payload = Payload::Transaction(Machine::new().prepare(1, &Command::OpenSession).1);
    refused(&[(0, node(1, &[(1, 1)], 0)), (1, other)], "two transactions are named");
}

#[test]
fn orders_of_the_primaries() {
    refused(&[(0, node(2, &[(1, 1), (1, 3)], 0))], "comes after");
    refused(&[(0, node(2, &[(2, 1), (1, 1)], 0))], "comes after");
    refused(&[(0, node(2, &[(1, 1), (2, 2)], 0))], "comes after");
}

#[test]
fn a_transaction_changed_in_place() {
    // The end of the history looks as before: only the full scan sees it.
    let mut steps: Vec<(usize, Node)> = (0..64).map(|_| (0, node(3, &[(1, 1), (2, 1), (3, 1)], 0))).collect();
    steps.push((0, node(3, &[(1, 1), (1, 2), (3, 1)], 0)));
    refused(&steps, "two transactions are named");
}

#[test]
fn a_transaction_of_an_epoch_yet_to_come() {
    refused(&[(0, node(1, &[(2, 1)], 0))], "of an epoch that was not accepted");
}

#[test]
fn a_leader_without_what_was_committed() {
    refused(&[(0, leader(2, &[(2, 1)], 1)), (1, leader(3, &[], 0))], "the leader of Epoch(3)");
}

#[test]
fn a_late_commit_that_a_later_leader_lacks() {
    refused(&[(1, leader(3, &[], 0)), (0, leader(2, &[(2, 1)], 1))], "the leader of Epoch(3)");
}

#[test]
fn a_position_committed_twice() {
    refused(&[(0, leader(2, &[(2, 1)], 1)), (1, node(3, &[(1, 1)], 1))], "is committed as");
}

#[test]
fn a_commit_that_goes_back_or_too_far() {
    refused(&[(0, leader(1, &[(1, 1)], 1)), (0, leader(1, &[(1, 1)], 0))], "commit went back");
    refused(&[(0, leader(1, &[(1, 1)], 2))], "beyond the history's end");
}

#[test]
fn a_transaction_that_nobody_asked_for() {
    let mut made_up = leader(1, &[(1, 1)], 1);
    made_up.history[0].payload = Payload::Transaction(Machine::new().prepare(1, &Command::OpenSession).1);
    let mut asked = leader(1, &[(1, 1)], 1);
    asked.history.clone_from(&made_up.history);
    asked.prepared.push((Position(1), Command::OpenSession));
    refused(&[(0, made_up)], "no leader made it");
    let mut checks = ZabChecks::new(3);
    checks.check(0, &asked.view(), &mut Vec::new()).expect("a client asked for it");
}

#[test]
fn epochs_that_go_back_or_contradict_each_other() {
    refused(&[(0, node(3, &[], 0)), (0, node(2, &[], 0))], "its epochs went back");
    refused(&[(0, Node { current: 4, ..node(3, &[], 0) })], "has not accepted");
}

#[test]
fn a_snapshot_of_what_was_never_committed() {
    let jump = Node { base: Place { position: Position(2), zxid: zxid(1, 2) }, ..node(1, &[], 2) };
    refused(&[(0, leader(1, &[(1, 1), (1, 2)], 1)), (1, jump)], "in place of transactions");
}

#[test]
fn a_promise_forgotten_in_a_crash() {
    let epoch = Epoch(4);
    let kept = || Node { from: Some(2), ..node(4, &[(4, 1)], 0) };
    let mut checks = ZabChecks::new(3);
    checks.check_restart(0, &node(3, &[], 0).view()).expect("nothing was told yet");
    checks.told(0, 1, &Message::AckEpoch { epoch, recency: Default::default(), last: Position(0) });
    let last = Place { position: Position(1), zxid: zxid(4, 1) };
    checks.told(0, 1, &Message::AckNewLeader { epoch, last });
    checks.check_restart(0, &kept().view()).expect("as promised");
    let broken = [
        Node { accepted: 3, current: 3, ..kept() },
        Node { from: Some(3), ..kept() },
        Node { current: 3, ..kept() },
        Node { history: Vec::new(), ..kept() },
    ];
    for other in broken {
        checks.check_restart(0, &other.view()).expect_err("a promise is broken");
    }
}
