//! What a garbled or hostile peer may say without bringing a node down.

use nodes::{
    machine::{Command, Machine, Operation, Value},
    protocol::{
        Config, Input, NodeId, Outputs, Protocol, ReadMode, Stored, Time,
        raft::{
            Append, AppendOutcome, AppendReply, Entry, Forward, LogIndex, Membership, Message, Payload, Raft,
            RequestVote, SnapshotChunk, Term, VoteReply,
        },
    },
};

const PEER: NodeId = NodeId(2);
const MS: u64 = 1_000_000;

fn follower() -> Raft {
    let config = Config {
        id: NodeId(1),
        nodes: (1..=3).map(NodeId).collect(),
        voters: (1..=3).map(NodeId).collect(),
        heartbeat_ns: 30 * MS,
        election_timeout_ns: 150 * MS,
        snapshot_every: 1000,
        max_append_bytes: 64 << 10,
        max_inflight: 8,
        max_pending: 100,
        incarnation: 1,
        reads: ReadMode::default(),
        mutant: None,
    };
    Raft::restore(config, Stored::default(), Time(0), 1).expect("nothing is stored")
}

fn vote(term: u64, index: u64) -> Message {
    let (term, last_index) = (Term(term), LogIndex(index));
    Message::RequestVote(RequestVote { pre: false, term, last_index, last_term: Term(0), transfer: false })
}

fn append(term: u64, prev_index: u64, commit: u64, round: u64, entries: Vec<Entry>) -> Message {
    let (term, prev_index, commit) = (Term(term), LogIndex(prev_index), LogIndex(commit));
    Message::Append(Append { term, prev_index, prev_term: Term(0), entries, commit, round })
}

fn reply(term: u64, outcome: AppendOutcome) -> Message {
    Message::AppendReply(AppendReply { term: Term(term), round: 0, outcome })
}

fn chunk(term: u64, index: u64, offset: u64) -> Message {
    let (term, index) = (Term(term), LogIndex(index));
    Message::SnapshotChunk(SnapshotChunk { term, round: 0, index, index_term: term, offset, total: 1, data: vec![0] })
}

/// Each with one number that is too large, of all that a message carries.
fn messages_with(huge: u64) -> Vec<Message> {
    let entry = |term, index| Entry { term: Term(term), index: LogIndex(index), payload: Payload::Noop };
    let command = Command::OpenSession;
    vec![
        vote(huge, 1),
        vote(1, huge),
        Message::VoteReply(VoteReply { pre: false, term: Term(huge), asked: Term(1), granted: true }),
        append(huge, 0, 0, 0, vec![]),
        append(1, huge, 0, 0, vec![]),
        append(1, 0, huge, 0, vec![]),
        append(1, 0, 0, huge, vec![]),
        append(1, 0, 0, 0, vec![entry(1, huge)]),
        append(1, 0, 0, 0, vec![entry(huge, 1)]),
        reply(huge, AppendOutcome::StaleTerm),
        reply(1, AppendOutcome::Match(LogIndex(huge))),
        reply(1, AppendOutcome::Conflict { prev_index: LogIndex(huge), term: None, first: LogIndex(1) }),
        reply(1, AppendOutcome::Conflict { prev_index: LogIndex(1), term: None, first: LogIndex(huge) }),
        reply(1, AppendOutcome::Conflict { prev_index: LogIndex(1), term: Some(Term(huge)), first: LogIndex(1) }),
        reply(1, AppendOutcome::Chunk { index: LogIndex(huge), offset: 0 }),
        reply(1, AppendOutcome::Chunk { index: LogIndex(1), offset: huge }),
        chunk(huge, 1, 0),
        chunk(1, huge, 0),
        chunk(1, 1, huge),
        Message::TimeoutNow { term: Term(huge) },
        Message::Forward(Forward { term: Term(huge), life: 1, id: 1, command: command.clone() }),
        Message::Forward(Forward { term: Term(0), life: huge, id: 1, command: command.clone() }),
        Message::Forward(Forward { term: Term(0), life: 1, id: huge, command }),
        Message::ReadIndexReply { life: 1, id: 1, index: Some(LogIndex(huge)) },
    ]
}

#[test]
fn a_number_that_no_counting_reaches_is_dropped_with_its_message() {
    for huge in [u64::MAX / 2 + 1, u64::MAX] {
        for message in messages_with(huge) {
            let mut raft = follower();
            let mut out = Outputs::default();
            raft.step(Time(MS), Input::Tick, &mut out);
            let mut out = Outputs::default();
            raft.step(Time(2 * MS), Input::Receive { from: PEER, message: message.clone() }, &mut out);
            assert!(!out.persists() && out.send.is_empty() && out.send_when_durable.is_empty(), "{message:?}");
            let status = raft.status();
            assert_eq!((status.term, status.leader, status.last_index), (0, None, 0), "{message:?}");
        }
    }
}

#[test]
fn members_that_no_cluster_can_have_are_dropped_with_their_message() {
    let ids = |ids: &[u64]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
    let of = |voters: &[u64], outgoing: &[u64], learners: &[u64]| Membership {
        voters: ids(voters),
        outgoing: ids(outgoing),
        learners: ids(learners),
    };
    let sound = of(&[1, 3], &[1, 2, 3], &[2]);
    let unsound = [
        of(&[], &[], &[]),
        of(&[], &[1], &[2]),
        of(&[3, 1], &[], &[]),
        of(&[1, 1], &[], &[]),
        of(&[1, 4], &[], &[]),
        of(&[1], &[u64::MAX], &[]),
        of(&[1], &[], &[0]),
        of(&[1, 2], &[], &[2]),
    ];
    for (membership, taken) in [(sound, 1)].into_iter().chain(unsound.map(|membership| (membership, 0))) {
        let mut raft = follower();
        let entry = Entry { term: Term(1), index: LogIndex(1), payload: Payload::Membership(membership.clone()) };
        let message = append(1, 0, 0, 0, vec![entry]);
        raft.step(Time(2 * MS), Input::Receive { from: PEER, message }, &mut Outputs::default());
        assert_eq!(raft.status().last_index, taken, "{membership:?}");
    }
}

#[test]
fn nobody_outside_the_address_book_is_heard_not_even_oneself() {
    for (from, heard) in [(2, 7), (1, 0), (4, 0)] {
        let mut raft = follower();
        raft.step(Time(MS), Input::Receive { from: NodeId(from), message: vote(7, 1) }, &mut Outputs::default());
        assert_eq!(raft.status().term, heard, "{from}");
    }
}

#[test]
fn an_ordinary_message_is_taken() {
    let mut raft = follower();
    raft.step(Time(2 * MS), Input::Receive { from: PEER, message: vote(7, 1) }, &mut Outputs::default());
    assert_eq!(raft.status().term, 7);
}

/// Postcard: variant 3 is a list, then its length; variant 0 is nil.
fn nested(levels: usize) -> Vec<u8> {
    [3, 1].repeat(levels).into_iter().chain([0]).collect()
}

#[test]
fn a_value_nested_a_million_deep_is_refused_and_overflows_no_stack() {
    for levels in [33, 34, 1_000_000] {
        assert!(postcard::from_bytes::<Value>(&nested(levels)).is_err(), "{levels}");
    }
    for levels in 0..=32 {
        let value: Value = postcard::from_bytes(&nested(levels)).expect("not too deep");
        assert_eq!(postcard::to_stdvec(&value).expect("plain data"), nested(levels));
    }
    // In a message, and in a snapshot of the machine: one key, no session.
    let operation = Operation::Write { key: "x".to_owned(), value: Value::Nil };
    let command = Command::Do { stamp: None, operation };
    let forward = Message::Forward(Forward { term: Term(1), life: 1, id: 1, command });
    let mut bytes = postcard::to_stdvec(&forward).expect("plain data");
    assert_eq!(bytes.pop(), Some(0), "the value comes last");
    bytes.extend(nested(1_000_000));
    assert!(postcard::from_bytes::<Message>(&bytes).is_err());
    let snapshot = [vec![1, 1, 1, b'x'], nested(1_000_000), vec![0]].concat();
    assert!(Machine::restore(&snapshot).is_err());
    let snapshot = [vec![1, 1, 1, b'x'], nested(3), vec![0]].concat();
    assert!(Machine::restore(&snapshot).is_ok());
}

#[test]
fn every_kind_of_value_reads_as_it_was_written() {
    let list = Value::List(vec![Value::Int(-3), Value::Text("t".to_owned()), Value::Nil, Value::List(vec![])]);
    let bytes = postcard::to_stdvec(&list).expect("plain data");
    assert_eq!(postcard::from_bytes::<Value>(&bytes).expect("a value"), list);
    assert!(postcard::from_bytes::<Value>(&[4]).is_err(), "there is no fifth kind");
    // A length is not believed before the elements came.
    assert!(postcard::from_bytes::<Value>(&[3, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
}
