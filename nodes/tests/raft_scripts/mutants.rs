//! Each mutant breaks its rule, and `fired` counts it. The correct build, given the same, does not, and counts nothing.

use nodes::{
    mutants::Mutant,
    protocol::{
        Config, NodeId, Protocol, Reply, Request, Stored,
        raft::{AppendOutcome, AppendReply, LogIndex, Message, Record, Term, mutants},
    },
};

use crate::{
    cluster::{Cluster, T_MS, config},
    figure2::{Server, append, request_vote},
};

mod durability;
mod elections;
mod leases;
mod reads;
mod replication;
mod sessions;
mod snapshots;

const CORRECT_AND: fn(Mutant) -> [Option<Mutant>; 2] = |mutant| [None, Some(mutant)];

fn server(mutant: Option<Mutant>) -> Server {
    Server::with(Config { mutant, ..config(1, 3) }, Stored::default())
}

/// Number 1 of so many voters, with this mutant and on this disk.
fn server_of(mutant: Option<Mutant>, voters: u64, stored: Stored<Record>) -> Server {
    Server::with(Config { mutant, ..config(1, voters) }, stored)
}

fn fired(server: &Server) -> u64 {
    server.raft.status().fired
}

/// A follower's answer that echoes this round and matches up to this index.
fn echo(term: u64, round: u64, index: u64) -> Message {
    let outcome = AppendOutcome::Match(LogIndex(index));
    Message::AppendReply(AppendReply { term: Term(term), round, outcome })
}

fn read() -> Request {
    Request::Read { key: "x".to_owned() }
}

/// Dissertation, section 6.4: a read needs a round; here a leader that is cut off answers at once.
#[test]
fn read_local_leader_skips_the_round() {
    for mutant in CORRECT_AND(mutants::READ_LOCAL_LEADER) {
        let mut cluster = Cluster::new(3, mutant, |_| {});
        cluster.elect(1);
        cluster.isolate(NodeId(1));
        let request = cluster.request(NodeId(1), read());
        assert_eq!(cluster.reply(request).is_some(), mutant.is_some());
        assert_eq!(cluster.raft(1).status().fired, u64::from(mutant.is_some()));
        // A follower still asks the leader.
        let request = cluster.request(NodeId(2), read());
        assert_eq!(cluster.reply(request), None);
        assert_eq!(cluster.raft(2).status().fired, 0);
    }
}

/// Dissertation, section 6.4: a follower that is cut off answers from what it has applied.
#[test]
fn read_any_node_answers_anywhere() {
    for mutant in CORRECT_AND(mutants::READ_ANY_NODE) {
        let mut cluster = Cluster::new(3, mutant, |_| {});
        cluster.elect(1);
        cluster.isolate(NodeId(3));
        let request = cluster.request(NodeId(3), read());
        assert_eq!(cluster.reply(request).is_some(), mutant.is_some());
        assert_eq!(cluster.raft(3).status().fired, u64::from(mutant.is_some()));
    }
}

/// Where the right rule would say yes too, nothing fires: a cluster of one needs no round.
#[test]
fn a_mutant_that_decides_rightly_does_not_fire() {
    for mutant in [mutants::READ_LOCAL_LEADER, mutants::READ_ANY_NODE] {
        let mut cluster = Cluster::new(1, Some(mutant), |_| {});
        cluster.tick(NodeId(1));
        let request = cluster.request(NodeId(1), read());
        assert!(matches!(cluster.reply(request), Some(Reply::Value(_))));
        assert_eq!(cluster.raft(1).status().fired, 0);
    }
    let mut server = server(Some(mutants::VOTE_NO_LOG_CHECK));
    server.receive(2, request_vote(1, 0, 0));
    assert_eq!(server.raft.status().fired, 0);
}

/// Paper, section 5.4.1: a candidate without the committed entry wins, and a committed write is gone.
#[test]
fn vote_no_log_check_elects_a_server_that_lacks_committed_entries() {
    for mutant in CORRECT_AND(mutants::VOTE_NO_LOG_CHECK) {
        let mut cluster = Cluster::new(3, mutant, |_| {});
        cluster.elect(1);
        cluster.isolate(NodeId(3));
        let write = cluster.request(NodeId(1), crate::figure2::put(5));
        cluster.stabilize();
        assert!(cluster.reply(write).is_some(), "committed by 1 and 2");
        cluster.cut.clear();
        cluster.isolate(NodeId(1));
        cluster.elect(3);
        let leads = cluster.raft(3).view().is_leader;
        assert_eq!(leads, mutant.is_some());
        assert_eq!(cluster.raft(2).status().fired > 0, mutant.is_some(), "the voter's rule was the wrong one");
        if leads {
            // The harness must be able to see it: the voter follows the new leader instead of stopping.
            let lost = cluster.request(NodeId(3), read());
            cluster.stabilize();
            assert_eq!(cluster.reply(lost), Some(&Reply::Value(nodes::machine::Value::Nil)));
        }
    }
}

/// The log check goes for pre-votes, too: one wrong rule, asked in two places.
#[test]
fn vote_no_log_check_fires_only_where_the_log_decides() {
    let mut server = server(Some(mutants::VOTE_NO_LOG_CHECK));
    server.receive(2, append(1, (0, 0), &[1], 0));
    server.sync();
    server.wait(2 * T_MS);
    let before = server.raft.status().fired;
    server.receive(2, request_vote(9, 0, 0));
    assert_eq!(server.raft.status().fired, before + 1);
    // A vote that another candidate has is not free, whatever the log: both rules refuse.
    server.receive(3, request_vote(9, 0, 0));
    assert_eq!(server.raft.status().fired, before + 1);
}

/// Figure 2, "updated on stable storage before responding": the success leaves at once, and nothing waits for the sync.
#[test]
fn ack_before_fsync_acknowledges_what_is_not_durable() {
    for mutant in CORRECT_AND(mutants::ACK_BEFORE_FSYNC) {
        let mut server = server(mutant);
        // The term comes first, so that only the entries are at stake.
        server.receive(2, append(1, (0, 0), &[], 0));
        server.sync();
        let out = server.receive(2, append(1, (0, 0), &[1, 1], 0));
        let acknowledged = |messages: &[(NodeId, Message)]| {
            messages
                .iter()
                .any(|(_, m)| matches!(m, Message::AppendReply(r) if r.outcome == AppendOutcome::Match(LogIndex(2))))
        };
        assert_eq!(acknowledged(&out.send), mutant.is_some());
        assert_eq!(acknowledged(&out.send_when_durable), mutant.is_none());
        assert_eq!(out.sync_wanted, mutant.is_none());
        assert_eq!(server.raft.status().fired, u64::from(mutant.is_some()));
        // Entries that were already there are acknowledged rightly.
        server.sync();
        server.receive(2, append(1, (0, 0), &[1, 1], 0));
        assert_eq!(server.raft.status().fired, u64::from(mutant.is_some()));
    }
}

/// The mutant's acknowledgement costs a committed write when the power fails on a majority.
#[test]
fn ack_before_fsync_loses_a_committed_write_with_the_power() {
    for mutant in CORRECT_AND(mutants::ACK_BEFORE_FSYNC) {
        let mut cluster = Cluster::new(3, mutant, |_| {});
        cluster.elect(1);
        cluster.isolate(NodeId(3));
        let write = cluster.request(NodeId(1), crate::figure2::put(5));
        cluster.stabilize();
        assert!(cluster.reply(write).is_some());
        cluster.crash(NodeId(1));
        cluster.crash(NodeId(2));
        cluster.start(NodeId(2));
        cluster.cut.clear();
        // The one that never had the write stands; only a voter that forgot it lets it win.
        cluster.elect(3);
        let read = cluster.request(NodeId(3), read());
        cluster.stabilize();
        let lost = cluster.reply(read) == Some(&Reply::Value(nodes::machine::Value::Nil));
        assert_eq!(lost, mutant.is_some());
    }
}
