//! Wrong rules of what must be durable. Those of votes are among the elections, those of torn tails in `tests/wal.rs`.

use nodes::protocol::{NodeId, raft::mutants};

use super::{CORRECT_AND, fired, read, server_of};
use crate::{
    cluster::Cluster,
    figure2::{matched, put, stored},
};

/// Dissertation, section 10.2.1: the leader's own copy makes the majority while it is still on its way to the disk.
#[test]
fn leader_self_count_commits_by_a_copy_that_is_not_durable() {
    for mutant in CORRECT_AND(mutants::LEADER_SELF_COUNT) {
        let mut server = server_of(mutant, 3, stored(1, None, &[]));
        server.lead();
        server.receive(2, matched(2, 1));
        let before = fired(&server);
        let out = server.ask(1, put(5));
        assert_eq!(out.sync_wanted, mutant.is_none(), "nobody waits for it");
        let out = server.receive(2, matched(2, 2));
        assert_eq!(out.replies.len(), usize::from(mutant.is_some()));
        assert_eq!(fired(&server) > before, mutant.is_some());
        let out = server.sync();
        assert_eq!(out.replies.len(), usize::from(mutant.is_none()));
    }
}

/// Alone, a server needs nobody else: a write is acknowledged, and gone with the process.
#[test]
fn leader_self_count_loses_an_acknowledged_write_of_one_server() {
    for mutant in CORRECT_AND(mutants::LEADER_SELF_COUNT) {
        let mut cluster = Cluster::new(1, mutant, |_| {});
        cluster.elect(1);
        cluster.sync(NodeId(1));
        cluster.node(NodeId(1)).slow_disk = true;
        let write = cluster.request(NodeId(1), put(5));
        assert_eq!(cluster.reply(write).is_some(), mutant.is_some());
        cluster.crash(NodeId(1));
        cluster.node(NodeId(1)).slow_disk = false;
        cluster.start(NodeId(1));
        cluster.elect(1);
        cluster.sync(NodeId(1));
        let read = cluster.request(NodeId(1), read());
        let lost = cluster.reply(read) == Some(&nodes::protocol::Reply::Value(nodes::machine::Value::Nil));
        assert!(lost, "it was not durable by either rule, but only one has told of it");
    }
}
