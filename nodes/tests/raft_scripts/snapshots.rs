//! Snapshots longer than one message. Paper, section 7, Figure 13.

use nodes::{
    machine::{Command, Operation, Value},
    protocol::{
        NodeId, Protocol, Reply, Request,
        raft::{Message, SnapshotChunk},
    },
};

use crate::cluster::{Cluster, Envelope};

const FOLLOWER: NodeId = NodeId(3);
/// Values of this size make a snapshot of several pieces.
const VALUE_BYTES: usize = 300_000;

fn put(key: &str) -> Request {
    let value = Value::Text("x".repeat(VALUE_BYTES));
    Request::Command(Command::Do { stamp: None, operation: Operation::Write { key: key.to_owned(), value } })
}

fn chunk(envelope: &Envelope) -> Option<&SnapshotChunk> {
    match &envelope.message {
        Message::SnapshotChunk(chunk) => Some(chunk),
        _ => None,
    }
}

/// Node 3 was away, and its next entry is gone; the leader has just heard so, and its first piece is on its way.
fn lagging() -> Cluster {
    let mut cluster = Cluster::new(3, None, |config| config.snapshot_every = 4);
    cluster.elect(1);
    cluster.isolate(FOLLOWER);
    for key in ["a", "b", "c", "d"] {
        cluster.request(NodeId(1), put(key));
        cluster.stabilize();
    }
    cluster.cut.clear();
    cluster.tick(NodeId(1));
    while !cluster.network.iter().any(|e| chunk(e).is_some()) {
        assert!(cluster.deliver_one(|_| true), "a snapshot is begun");
    }
    cluster
}

fn deliver_chunk(cluster: &mut Cluster) -> bool {
    cluster.deliver_one(|e| chunk(e).is_some())
}

fn deliver_reply(cluster: &mut Cluster) -> bool {
    cluster.deliver_one(|e| e.from == FOLLOWER && matches!(e.message, Message::AppendReply(_)))
}

fn has_all(cluster: &mut Cluster) -> bool {
    cluster.tick(NodeId(1));
    cluster.stabilize();
    let read = cluster.request(FOLLOWER, Request::Read { key: "d".to_owned() });
    cluster.stabilize();
    let value = Value::Text("x".repeat(VALUE_BYTES));
    cluster.reply(read) == Some(&Reply::Value(value))
        && cluster.raft(3).status().commit == cluster.raft(1).status().commit
}

/// Reference: Figure 13, "receiver implementation", rules 2 to 5: pieces are put together; nothing changes before the last.
#[test]
fn pieces_are_put_together() {
    let mut cluster = lagging();
    let mut pieces = 0;
    while deliver_chunk(&mut cluster) {
        pieces += 1;
        let whole = cluster.raft(3).status().snapshot_index > 0;
        deliver_reply(&mut cluster);
        assert_eq!(whole, !cluster.network.iter().any(|e| chunk(e).is_some()), "installed with the last piece");
    }
    assert!(pieces > 2, "{pieces} pieces");
    assert!(has_all(&mut cluster));
}

/// A lost piece is sent again, a doubled one is not put in twice, and doubled answers do not double the stream.
#[test]
fn pieces_may_be_lost_or_doubled() {
    let mut cluster = lagging();
    deliver_chunk(&mut cluster);
    deliver_reply(&mut cluster);
    cluster.network.clear();
    assert!(!deliver_chunk(&mut cluster));
    // Nothing comes back for four heartbeats.
    for _ in 0..4 {
        cluster.tick(NodeId(1));
        while cluster.deliver_one(|e| chunk(e).is_none()) {}
    }
    let again = cluster.network.iter().filter_map(chunk).count();
    assert_eq!(again, 1, "one piece at a time");
    let copies: Vec<_> = cluster
        .network
        .iter()
        .filter(|e| chunk(e).is_some())
        .map(|e| Envelope { from: e.from, to: e.to, message: e.message.clone() })
        .collect();
    cluster.network.extend(copies);
    deliver_chunk(&mut cluster);
    deliver_chunk(&mut cluster);
    while deliver_reply(&mut cluster) {}
    assert_eq!(cluster.network.iter().filter_map(chunk).count(), 1, "two answers alike, one next piece");
    cluster.stabilize();
    assert!(has_all(&mut cluster));
}

/// A follower that starts anew has lost its pieces; the leader begins again from what it says.
#[test]
fn a_restart_in_between_begins_again() {
    let mut cluster = lagging();
    deliver_chunk(&mut cluster);
    deliver_reply(&mut cluster);
    cluster.crash(FOLLOWER);
    cluster.start(FOLLOWER);
    cluster.stabilize();
    for _ in 0..12 {
        cluster.tick(NodeId(1));
        cluster.stabilize();
    }
    assert!(has_all(&mut cluster));
}

/// A snapshot that is not what it claims is not installed.
#[test]
fn rubbish_is_not_installed() {
    let mut cluster = lagging();
    let mut whole = cluster.network.iter().find_map(chunk).expect("under way").clone();
    whole.total = 3;
    whole.data = vec![1, 2, 3];
    let before = cluster.raft(3).status();
    cluster.network.clear();
    cluster.network.push_back(Envelope { from: NodeId(1), to: FOLLOWER, message: Message::SnapshotChunk(whole) });
    cluster.stabilize();
    let after = cluster.raft(3).status();
    assert_eq!((before.commit, before.last_index, 0), (after.commit, after.last_index, after.snapshot_index));
}
