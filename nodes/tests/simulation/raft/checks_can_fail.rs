//! A check that cannot fail is none: each is shown something that it must reject, next to what it must accept.

use nodes::{
    machine::{Answer, Command, Machine, Operation, Stamp, Value},
    protocol::{
        NodeId, Refusal, Reply, Request, Time,
        raft::{Entry, LogIndex, Membership, Message, Payload, Term, View, VoteReply},
    },
};

use crate::{
    checks::{Checks, Committed, Seen},
    oracle::Oracle,
    raft::invariants::RaftChecks,
};

/// What a node looks like; the log by its terms.
struct Node {
    term: u64,
    leads: bool,
    vote: Option<u64>,
    base: (u64, u64),
    entries: Vec<Entry>,
    commit: u64,
    membership: Membership,
}

fn voters(ids: &[u64]) -> Membership {
    Membership::new(ids.iter().copied().map(NodeId).collect(), Vec::new())
}

fn node(term: u64, terms: &[u64], commit: u64) -> Node {
    let entry =
        |(at, &term): (usize, &u64)| Entry { term: Term(term), index: LogIndex(at as u64 + 1), payload: Payload::Noop };
    let entries = terms.iter().enumerate().map(entry).collect();
    Node { term, leads: false, vote: None, base: (0, 0), entries, commit, membership: voters(&[1]) }
}

fn leader(term: u64, terms: &[u64], commit: u64) -> Node {
    Node { leads: true, ..node(term, terms, commit) }
}

impl Node {
    fn view(&self) -> View<'_> {
        View {
            id: NodeId(1),
            term: Term(self.term),
            is_leader: self.leads,
            voted_for: self.vote.map(NodeId),
            snapshot: (LogIndex(self.base.0), Term(self.base.1)),
            entries: &self.entries,
            membership: &self.membership,
            commit: LogIndex(self.commit),
            applied: LogIndex(self.commit),
            machine_digest: Machine::new().digest(),
            now: Time(0),
        }
    }
}

/// Shows nodes to the checks, one after another; the last must be refused in these words, all others accepted.
fn refused(steps: &[(usize, Node)], words: &str) {
    let mut checks = RaftChecks::new(3);
    let (last, before) = steps.split_last().expect("something to check");
    for (at, node) in before {
        checks.check(*at, &node.view(), &mut Vec::new()).expect("nothing is wrong yet");
    }
    let outcome = checks.check(last.0, &last.1.view(), &mut Vec::new());
    let what = outcome.expect_err("this must be refused");
    assert!(what.contains(words), "refused, but as {what:?}");
}

#[test]
fn two_leaders_in_a_term() {
    refused(&[(0, leader(2, &[2], 0)), (1, leader(2, &[2], 0))], "two leaders");
}

#[test]
fn a_leader_that_cuts_its_log() {
    refused(&[(0, leader(2, &[1, 2, 2], 0)), (0, leader(2, &[1, 2], 0))], "cut its own log");
}

#[test]
fn logs_that_match_at_an_entry_and_differ_before_it() {
    refused(&[(0, node(3, &[1, 2, 3], 0)), (1, node(3, &[1, 1, 3], 0))], "two entries at (3, term 3)");
}

#[test]
fn entries_of_one_index_and_term_that_differ() {
    let mut other = node(1, &[1], 0);
    other.entries[0].payload = Payload::Command(Command::OpenSession);
    refused(&[(0, node(1, &[1], 0)), (1, other)], "two entries at (1, term 1)");
}

#[test]
fn an_entry_changed_in_place() {
    // The end of the log looks as before: only the full scan sees it.
    let mut steps: Vec<(usize, Node)> = (0..64).map(|_| (0, node(3, &[1, 2, 3], 0))).collect();
    steps.push((0, node(3, &[1, 1, 3], 0)));
    refused(&steps, "two entries at (3, term 3)");
}

#[test]
fn an_entry_of_a_term_yet_to_come() {
    refused(&[(0, node(1, &[1, 2], 0))], "yet to come");
}

#[test]
fn a_leader_without_what_was_committed() {
    refused(&[(0, leader(2, &[1, 2], 2)), (1, leader(3, &[1, 1, 3], 0))], "the leader of term 3");
}

#[test]
fn a_late_commit_that_a_later_leader_lacks() {
    refused(&[(1, leader(3, &[1, 3], 0)), (0, leader(2, &[1, 2], 2))], "the leader of term 3");
}

#[test]
fn an_index_committed_twice() {
    refused(&[(0, leader(2, &[1, 2], 2)), (1, node(3, &[1, 1], 2))], "is committed with term");
}

#[test]
fn a_commit_index_that_goes_back() {
    refused(&[(0, leader(1, &[1, 1], 2)), (0, leader(1, &[1, 1], 1))], "commit went back");
}

#[test]
fn a_commit_beyond_the_log() {
    refused(&[(0, leader(1, &[1], 2))], "beyond the log's end");
}

#[test]
fn a_term_that_goes_back() {
    refused(&[(0, node(3, &[], 0)), (0, node(2, &[], 0))], "its term went back");
}

#[test]
fn a_snapshot_of_what_was_never_committed() {
    let jump = Node { base: (2, 1), ..node(1, &[], 2) };
    refused(&[(0, leader(1, &[1, 1], 1)), (1, jump)], "in place of entries");
}

/// A leader with a cluster founded by three; these entries are memberships.
fn with_memberships(node: Node, memberships: &[(usize, Membership)]) -> Node {
    let mut node = Node { membership: voters(&[1, 2, 3]), ..node };
    for (at, membership) in memberships {
        node.entries[*at].payload = Payload::Membership(membership.clone());
        node.membership = membership.clone();
    }
    node
}

#[test]
fn a_commit_that_too_few_voters_have() {
    let founded = |node| with_memberships(node, &[]);
    refused(&[(0, founded(leader(1, &[1], 0))), (0, founded(leader(1, &[1], 1)))], "which 1 of the voters");
    // Node 3 is no voter any more, and node 2 has nothing yet.
    let two = |node| with_memberships(node, &[(0, voters(&[1, 2]))]);
    let steps = [(0, two(leader(1, &[1], 0))), (2, two(node(1, &[1], 0))), (0, two(leader(1, &[1], 1)))];
    refused(&steps, "which 1 of the voters");
}

#[test]
fn a_joint_commit_that_only_one_of_both_majorities_has() {
    let joint = Membership { outgoing: vec![NodeId(1)], ..voters(&[2, 3]) };
    let in_two = |node| with_memberships(node, &[(0, joint.clone())]);
    let steps = [(0, in_two(leader(1, &[1], 0))), (1, in_two(node(1, &[1], 0))), (0, in_two(leader(1, &[1], 1)))];
    refused(&steps, "which 1 of the voters [NodeId(2), NodeId(3)]");
}

#[test]
fn two_changes_at_once() {
    let both = [(0, voters(&[1, 2])), (1, voters(&[1]))];
    let one = |commit| with_memberships(leader(1, &[1], commit), &both[..1]);
    let two = |commit| with_memberships(leader(1, &[1, 1], commit), &both);
    let empty = || with_memberships(leader(1, &[], 0), &[]);
    refused(&[(0, empty()), (0, one(0)), (0, two(0))], "2 memberships in its log are not committed");
}

#[test]
fn a_membership_that_is_not_the_latest_in_the_log() {
    let changed = with_memberships(leader(1, &[1], 0), &[(0, voters(&[1, 2]))]);
    let as_before =
        Node { membership: voters(&[1, 2, 3]), ..with_memberships(leader(1, &[1], 0), &[(0, voters(&[1, 2]))]) };
    refused(&[(0, with_memberships(leader(1, &[], 0), &[])), (0, as_before)], "it goes by");
    // Cut off, it is not in force any more.
    let cut = Node { leads: false, membership: voters(&[1, 2]), ..with_memberships(node(2, &[], 0), &[]) };
    refused(&[(0, with_memberships(leader(1, &[], 0), &[])), (0, changed), (0, cut)], "it goes by");
}

#[test]
fn a_promise_forgotten_in_a_crash() {
    let mut checks = RaftChecks::new(3);
    let voted = Node { vote: Some(2), ..node(4, &[], 0) };
    checks.check(0, &voted.view(), &mut Vec::new()).expect("nothing is wrong yet");
    // What was told to nobody may be forgotten.
    checks.check_restart(0, &node(3, &[], 0).view()).expect("nobody knows");

    let grant = Message::VoteReply(VoteReply { pre: false, term: Term(4), asked: Term(4), granted: true });
    checks.told(0, 1, &grant);
    checks.check_restart(0, &voted.view()).expect("as promised");
    for other in [node(3, &[], 0), node(4, &[], 0), Node { vote: Some(3), ..node(4, &[], 0) }] {
        checks.check_restart(0, &other.view()).expect_err("a promise is broken");
    }
}

/// An oracle, and commands asked and committed.
struct Asked {
    oracle: Oracle,
    index: u64,
}

fn command(stamp: Option<Stamp>, operation: Operation) -> Request {
    Request::Command(Command::Do { stamp, operation })
}

fn write(value: i64) -> Request {
    command(None, Operation::Write { key: "r".into(), value: Value::Int(value) })
}

impl Asked {
    fn new() -> Self {
        Self { oracle: Oracle::new(), index: 0 }
    }

    fn commit(&mut self, request: &Request) -> Result<(), String> {
        let Request::Command(command) = request else { unreachable!("only commands are committed") };
        self.index += 1;
        self.oracle.commit(Committed { index: self.index, command: Some(command.clone()) })
    }

    /// A write, asked, committed and answered.
    fn write(&mut self, value: i64) {
        let op = self.oracle.add(write(value));
        let attempt = self.oracle.invoke(op);
        self.commit(&write(value)).expect("as asked");
        self.oracle.reply(attempt, &Reply::Answer(Answer::Done)).expect("as committed");
    }

    fn start_read(&mut self) -> usize {
        let op = self.oracle.add(Request::Read { key: "r".into() });
        self.oracle.invoke(op)
    }
}

fn value(value: i64) -> Reply {
    Reply::Value(Value::Int(value))
}

#[test]
fn a_read_may_be_answered_from_any_moment_while_it_ran_and_no_other() {
    let mut asked = Asked::new();
    asked.write(0);
    let early = asked.start_read();
    asked.write(2);
    let late = asked.start_read();
    asked.oracle.reply(early, &value(0)).expect("it ran while that was written over");
    let what = asked.oracle.reply(late, &value(0)).expect_err("stale");
    assert!(what.contains("stale read"), "{what}");
    asked.oracle.reply(late, &Reply::Value(Value::Nil)).expect_err("staler");
    asked.oracle.reply(late, &value(9)).expect_err("never written");
    asked.oracle.reply(late, &value(2)).expect("the newest");
}

#[test]
fn a_read_must_not_go_back_behind_another() {
    let mut asked = Asked::new();
    asked.write(0);
    // Committed, not acknowledged: only a read has seen it.
    let op = asked.oracle.add(write(1));
    asked.oracle.invoke(op);
    asked.commit(&write(1)).expect("as asked");
    let one = asked.start_read();
    asked.oracle.reply(one, &value(1)).expect("committed");
    let two = asked.start_read();
    asked.oracle.reply(two, &value(0)).expect_err("another read has seen 1");
}

#[test]
fn what_was_definitely_refused_is_never_committed() {
    let mut asked = Asked::new();
    let op = asked.oracle.add(write(0));
    let attempt = asked.oracle.invoke(op);
    asked.oracle.reply(attempt, &Reply::Refused(Refusal::NotLeader)).expect("a refusal");
    asked.commit(&write(0)).expect_err("refused before");

    let mut asked = Asked::new();
    let op = asked.oracle.add(write(0));
    let attempt = asked.oracle.invoke(op);
    asked.commit(&write(0)).expect("as asked");
    asked.oracle.reply(attempt, &Reply::Refused(Refusal::Timeout)).expect("unknown may be done");
    asked.oracle.reply(attempt, &Reply::Refused(Refusal::NotLeader)).expect_err("committed before");
}

#[test]
fn a_command_is_committed_once_for_each_time_it_was_asked() {
    let mut asked = Asked::new();
    let op = asked.oracle.add(write(0));
    asked.oracle.invoke(op);
    asked.commit(&write(0)).expect("as asked");
    asked.commit(&write(0)).expect_err("twice");
    asked.commit(&write(7)).expect_err("nobody asked");
}

#[test]
fn an_answer_is_the_one_that_the_log_leads_to() {
    let mut asked = Asked::new();
    let cas = command(None, Operation::Cas { key: "r".into(), old: Value::Int(5), new: Value::Int(0) });
    let op = asked.oracle.add(cas.clone());
    let attempt = asked.oracle.invoke(op);
    asked.oracle.reply(attempt, &Reply::Answer(Answer::Done)).expect_err("answered before it was committed");
    asked.commit(&cas).expect("as asked");
    asked.oracle.reply(attempt, &Reply::Answer(Answer::Done)).expect_err("it did not match");
    asked.oracle.reply(attempt, &Reply::Answer(Answer::NotEqual { observed: Value::Nil })).expect("it did not match");
}

#[test]
fn an_answer_is_not_taken_from_before_its_question() {
    let mut asked = Asked::new();
    asked.write(0);
    asked.write(1);
    let op = asked.oracle.add(write(2));
    let first = asked.oracle.invoke(op);
    asked.commit(&write(2)).expect("as asked");
    asked.oracle.reply(first, &Reply::Answer(Answer::Done)).expect("as committed");
    // Asked again: what was committed for the first time asking is no answer.
    let second = asked.oracle.invoke(op);
    asked.oracle.reply(second, &Reply::Answer(Answer::Done)).expect_err("not committed again");
}

#[test]
fn a_session_belongs_to_one_client() {
    let mut asked = Asked::new();
    let open = Request::Command(Command::OpenSession);
    let attempts: Vec<usize> = (0..2)
        .map(|_| {
            let op = asked.oracle.add(open.clone());
            asked.oracle.invoke(op)
        })
        .collect();
    asked.commit(&open).expect("as asked");
    asked.oracle.reply(attempts[0], &Reply::Answer(Answer::Session(1))).expect("it is open");
    asked.oracle.reply(attempts[1], &Reply::Answer(Answer::Session(1))).expect_err("another client has it");
    asked.commit(&open).expect("two were asked for");
    asked.commit(&open).expect_err("three were not");
}

#[test]
fn a_machine_is_where_the_log_leads() {
    let mut asked = Asked::new();
    asked.write(0);
    let seen = |applied, digest| Seen { commit: applied, applied, digest };
    let empty = Machine::new().digest();
    asked.oracle.check_state(seen(0, empty)).expect("nothing applied yet");
    asked.oracle.check_state(seen(1, empty)).expect_err("the write has no effect there");
    asked.oracle.check_state(seen(2, empty)).expect_err("beyond what is committed");
}

#[test]
fn an_element_twice_in_a_list() {
    let mut asked = Asked::new();
    let append = command(None, Operation::Append { key: "l".into(), value: Value::Int(0) });
    let op = asked.oracle.add(append.clone());
    asked.oracle.invoke(op);
    asked.oracle.invoke(op);
    asked.commit(&append).expect("as asked");
    asked.oracle.check_end().expect("once");
    asked.commit(&append).expect("it was asked twice");
    asked.oracle.check_end().expect_err("and done twice");
}
