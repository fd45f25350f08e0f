//! Wrong rules of snapshots.

use nodes::{
    machine::{Command, Operation, Value},
    mutants::Mutant,
    protocol::{
        NodeId, Protocol, Reply, Request,
        raft::{AppendOutcome, AppendReply, LogIndex, Message, mutants},
    },
};

use super::{CORRECT_AND, fired, read};
use crate::{
    cluster::{Cluster, Envelope, config},
    figure2::{Server, matched, put, stored},
};

const LAGGING: NodeId = NodeId(3);

fn append(value: i64) -> Request {
    let operation = Operation::Append { key: "x".to_owned(), value: Value::Int(value) };
    Request::Command(Command::Do { stamp: None, operation })
}

fn write(cluster: &mut Cluster, node: u64, values: std::ops::Range<i64>) {
    for value in values {
        cluster.request(NodeId(node), append(value));
        cluster.stabilize();
    }
}

/// Paper, section 7: the machine has applied 2 of 4 entries.
#[test]
fn snapshot_claims_lastlog_covers_what_was_not_applied() {
    for mutant in CORRECT_AND(mutants::SNAPSHOT_CLAIMS_LASTLOG) {
        let config = nodes::protocol::Config { mutant, snapshot_every: 2, ..config(1, 3) };
        let mut server = Server::with(config, stored(1, None, &[]));
        server.lead();
        for id in 1..=3 {
            server.ask(id, put(id));
        }
        server.sync();
        server.receive(2, matched(2, 2));
        let status = server.raft.status();
        assert_eq!((status.applied, status.last_index), (2, 4));
        assert_eq!(status.snapshot_index, if mutant.is_some() { 4 } else { 2 });
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
    }
}

/// Paper, section 7: entries that the machine holds already are applied again after a restart.
#[test]
fn applied_index_nonatomic_applies_twice() {
    for mutant in CORRECT_AND(mutants::APPLIED_INDEX_NONATOMIC) {
        let mut cluster = Cluster::new(1, mutant, |config| config.snapshot_every = 10);
        cluster.elect(1);
        write(&mut cluster, 1, 0..12);
        assert_eq!(cluster.raft(1).status().fired > 0, mutant.is_some());
        cluster.sync(NodeId(1));
        cluster.crash(NodeId(1));
        cluster.start(NodeId(1));
        cluster.elect(1);
        let id = cluster.request(NodeId(1), read());
        cluster.stabilize();
        let Some(Reply::Value(Value::List(list))) = cluster.reply(id) else { panic!("no list") };
        assert_eq!(list.len() > 12, mutant.is_some(), "{list:?}");
    }
}

fn is_chunk(envelope: &Envelope) -> bool {
    matches!(envelope.message, Message::SnapshotChunk(_))
}

/// A cluster whose node 3 was away with a log of its own of `tail` entries; the first piece of a snapshot is on its way to it.
fn lagging(mutant: Option<Mutant>, tail: i64) -> Cluster {
    let mut cluster = Cluster::new(3, mutant, |config| config.snapshot_every = 4);
    cluster.elect(3);
    cluster.isolate(LAGGING);
    write(&mut cluster, 3, 100..100 + tail);
    cluster.elect(1);
    assert!(cluster.raft(1).view().is_leader);
    write(&mut cluster, 1, 0..6);
    cluster.cut.clear();
    cluster.tick(NodeId(1));
    while !cluster.network.iter().any(is_chunk) {
        if !cluster.deliver_one(|_| true) {
            cluster.tick(NodeId(1));
        }
    }
    cluster
}

/// Paper, Figure 13, and section 7: a doubled snapshot takes away what came after it.
#[test]
fn snapshot_install_regress_goes_back() {
    for mutant in CORRECT_AND(mutants::SNAPSHOT_INSTALL_REGRESS) {
        let mut cluster = lagging(mutant, 0);
        let late = cluster.network.iter().find(|envelope| is_chunk(envelope)).expect("on its way");
        let late = Envelope { from: late.from, to: late.to, message: late.message.clone() };
        cluster.stabilize();
        write(&mut cluster, 1, 6..9);
        cluster.tick(NodeId(1));
        cluster.stabilize();
        let before = cluster.raft(3).view().commit;
        assert_eq!(before, cluster.raft(1).view().commit);
        let fired = cluster.raft(3).status().fired;
        cluster.network.push_back(late);
        cluster.deliver_one(is_chunk);
        assert_eq!(cluster.raft(3).view().commit < before, mutant.is_some());
        assert_eq!(cluster.raft(3).status().fired > fired, mutant.is_some());
        assert_eq!(cluster.raft(3).view().entries.is_empty(), mutant.is_some());
    }
}

/// Paper, Figure 13, rule 7: the log does not hold what the snapshot ends with, so nothing in it can be trusted.
#[test]
fn snapshot_keep_conflict_keeps_a_foreign_tail() {
    for mutant in CORRECT_AND(mutants::SNAPSHOT_KEEP_CONFLICT) {
        let mut cluster = lagging(mutant, 20);
        let own = cluster.raft(3).view().entries.last().expect("a tail").term;
        cluster.deliver_one(is_chunk);
        let view = cluster.raft(3).view();
        assert!(view.snapshot.0 > LogIndex(0), "installed");
        let kept = view.entries.iter().filter(|entry| entry.term == own).count();
        assert_eq!(kept > 0, mutant.is_some());
        assert_eq!(cluster.raft(3).status().fired, u64::from(mutant.is_some()));
        let (snapshot, last) = (view.snapshot.0, view.entries.last().map_or(view.snapshot.0, |entry| entry.index));
        cluster.sync(NodeId(3));
        let held = cluster.network.iter().find_map(|envelope| match &envelope.message {
            Message::AppendReply(AppendReply { outcome: AppendOutcome::Match(index), .. }) => Some(*index),
            _ => None,
        });
        assert_eq!(
            held,
            Some(if mutant.is_some() { last } else { snapshot }),
            "it takes its log to end with the snapshot"
        );
    }
}
