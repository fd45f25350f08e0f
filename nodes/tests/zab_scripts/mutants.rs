//! Each mutant breaks its rule, and `fired` counts it. The correct build, given the same, does not, and counts nothing.

use nodes::{
    machine::{Answer, Operation, Value},
    mutants::Mutant,
    protocol::{
        NodeId, Protocol, Reply, Stored,
        zab::{Epoch, Message, Payload, Place, Record, mutants},
    },
};

use crate::{
    cluster::{Cluster, operation, put, read},
    server::{Server, any, batch, looks, stored, zxid},
};

fn both(mutant: Mutant) -> [Option<Mutant>; 2] {
    [None, Some(mutant)]
}

fn fired(cluster: &Cluster, id: u64) -> bool {
    cluster.core(id).status().fired > 0
}

#[test]
fn read_local_answers_anywhere() {
    for mutant in both(mutants::READ_LOCAL) {
        let mut cluster = Cluster::elected(3, mutant);
        cluster.isolate(1);
        assert_eq!(cluster.answer(1, read()).is_some(), mutant.is_some());
        assert_eq!(fired(&cluster, 1), mutant.is_some());
    }
}

#[test]
fn sync_no_quorum_asks_nobody() {
    for mutant in both(mutants::SYNC_NO_QUORUM) {
        let mut cluster = Cluster::elected(3, mutant);
        cluster.isolate(3);
        assert_eq!(cluster.answer(3, read()).is_some(), mutant.is_some());
        assert_eq!(fired(&cluster, 3), mutant.is_some());
    }
}

#[test]
fn ack_before_fsync_waits_for_no_disk() {
    for mutant in both(mutants::ACK_BEFORE_FSYNC) {
        let mut server = Server::new(mutant, Stored::default());
        server.synchronize(1, Place::default());
        let out = server.receive(3, Message::Propose(batch(1, Place::default(), &[(1, 1)])));
        let is_ack = |m: &Message| matches!(m, Message::Ack { .. });
        assert_eq!(any(&out.send, is_ack), mutant.is_some());
        assert_eq!(any(&out.send_when_durable, is_ack), mutant.is_none());
        assert_eq!((out.sync_wanted, server.fired()), (mutant.is_none(), mutant.is_some()));
    }
}

#[test]
fn new_leader_is_acknowledged_before_the_disk_has_the_history() {
    for mutant in both(mutants::NEW_LEADER_ACK_BEFORE_SYNC) {
        let mut server = Server::new(mutant, Stored::default());
        server.promise(1);
        server.receive(3, Message::Diff(batch(1, Place::default(), &[(0, 1)])));
        let last = server.zab.view().history.last().map(|p| p.zxid).expect("it was taken");
        let last = Place { position: nodes::protocol::zab::Position(1), zxid: last };
        let out = server.receive(3, Message::NewLeader { epoch: Epoch(1), last });
        let is_ack = |m: &Message| matches!(m, Message::AckNewLeader { .. });
        assert_eq!(any(&out.send, is_ack), mutant.is_some());
        assert_eq!(any(&out.send_when_durable, is_ack), mutant.is_none());
        assert_eq!(server.fired(), mutant.is_some());
    }
}

/// A leader without a quorum sends a follower that comes back what it missed, and what is outstanding behind it.
#[test]
fn an_early_acknowledgement_answers_what_only_the_leader_has() {
    for mutant in both(mutants::NEW_LEADER_ACK_BEFORE_SYNC) {
        let mut cluster = Cluster::elected(3, mutant);
        cluster.crash(1);
        assert_eq!(cluster.answer(3, put(1)), Some(Reply::Answer(Answer::Done)));
        cluster.isolate(2);
        let outstanding = cluster.ask(3, put(2));
        cluster.start(1);
        cluster.node(1).slow_disk = true;
        cluster.run(100);
        assert_eq!(cluster.reply(outstanding), mutant.map(|_| Reply::Answer(Answer::Done)));
        assert_eq!(fired(&cluster, 1), mutant.is_some());
    }
}

#[test]
fn epoch_before_history_writes_the_epoch_first() {
    for mutant in both(mutants::EPOCH_BEFORE_HISTORY) {
        let mut server = Server::new(mutant, Stored::default());
        server.promise(1);
        let out = server.receive(3, Message::Diff(batch(1, Place::default(), &[(0, 1)])));
        let first = out.records.first().expect("something is written");
        assert_eq!(matches!(first, Record::Epochs(_)), mutant.is_some());
        assert_eq!(server.zab.view().epochs.current == Epoch(1), mutant.is_some());
        assert_eq!(server.fired(), mutant.is_some());
    }
}

#[test]
fn a_volatile_accepted_epoch_is_not_written() {
    for mutant in both(mutants::ACCEPTED_EPOCH_VOLATILE) {
        let mut server = Server::new(mutant, Stored::default());
        server.receive(3, crate::server::leads(3));
        let out = server.receive(3, Message::NewEpoch { epoch: Epoch(1) });
        assert_eq!(out.records.is_empty(), mutant.is_some());
        assert_eq!(any(&out.send, |m| matches!(m, Message::AckEpoch { .. })), mutant.is_some());
        assert_eq!(server.fired(), mutant.is_some());
    }
}

/// Nor is it known after a restart to whom the epoch was promised: another leader of the same one may have it.
#[test]
fn a_volatile_accepted_epoch_is_promised_again() {
    for mutant in both(mutants::ACCEPTED_EPOCH_VOLATILE) {
        let mut server = Server::new(mutant, stored(1, 0, 1, &[(1, 1)]));
        server.receive(3, crate::server::leads(3));
        let out = server.receive(3, Message::NewEpoch { epoch: Epoch(1) });
        let sent = [out.send, out.send_when_durable].concat();
        assert_eq!(any(&sent, |m| matches!(m, Message::AckEpoch { .. })), mutant.is_some());
        assert_eq!(server.fired(), mutant.is_some());
    }
}

/// One wrong rule, asked in two places: a voter gives way to the greater number, and a leader does not give way.
#[test]
fn elect_by_id_ignores_histories() {
    for mutant in both(mutants::ELECT_BY_ID) {
        let mut server = Server::new(mutant, stored(1, 2, 1, &[(1, 1)]));
        let out = server.receive(3, looks(1, 3, 0, zxid(0, 0)));
        let for_three = |m: &Message| matches!(m, Message::Notification(n) if n.vote.leader == NodeId(3));
        assert_eq!(any(&out.send, for_three), mutant.is_some());
        assert_eq!(server.fired(), mutant.is_some());
    }
}

#[test]
fn serve_uncommitted_applies_the_whole_log_at_restart() {
    for mutant in both(mutants::SERVE_UNCOMMITTED_ON_RESTART) {
        let server = Server::new(mutant, stored(1, 2, 1, &[(1, 1), (1, 2)]));
        assert_eq!(server.zab.view().applied.0, if mutant.is_some() { 2 } else { 0 });
        assert_eq!(server.fired(), mutant.is_some());
    }
}

#[test]
fn a_snapshot_is_not_persisted() {
    for mutant in both(mutants::SNAP_NOT_PERSISTED) {
        let mut cluster = Cluster::new(3, mutant, |config| {
            config.snapshot_every = if config.id == NodeId(1) { 1000 } else { 2 };
        });
        cluster.isolate(1);
        cluster.run(500);
        for value in 0..8 {
            assert!(matches!(cluster.answer(3, put(value)), Some(Reply::Answer(Answer::Done))));
        }
        cluster.cut.clear();
        cluster.run(1000);
        assert_eq!(cluster.core(1).status().applied, 8);
        assert_eq!(cluster.node(1).disk.snapshot.is_none(), mutant.is_some());
        assert_eq!(fired(&cluster, 1), mutant.is_some());
    }
}

/// A transaction that server 1 got by synchronization does not reach server 2 when 1 leads.
#[test]
fn log_hole_leaves_out_what_came_by_synchronization() {
    for mutant in both(mutants::LOG_HOLE) {
        let mut cluster = Cluster::elected(3, mutant);
        for id in 1..=3 {
            cluster.isolate(id);
        }
        cluster.ask(3, put(5));
        cluster.run(1000);
        cluster.connect(3, 1);
        cluster.run(1000);
        assert_eq!(cluster.leaders(), [3]);
        cluster.isolate(3);
        cluster.connect(1, 2);
        cluster.run(1500);
        assert!(cluster.leaders().contains(&1));
        let payload = cluster.core(2).view().history[0].payload.clone();
        assert_eq!(payload == Payload::Sync, mutant.is_some());
        assert_eq!(fired(&cluster, 1), mutant.is_some());
        let lost = cluster.answer(2, read()) == Some(Reply::Value(Value::Nil));
        assert_eq!(lost, mutant.is_some());
    }
}

#[test]
fn skip_sync_phase_leads_before_anybody_is_synchronized() {
    for mutant in both(mutants::SKIP_SYNC_PHASE) {
        let mut cluster = Cluster::new(3, mutant, |_| {});
        cluster.stopped = |message| matches!(message, Message::NewLeader { .. });
        cluster.run(150);
        assert_eq!(cluster.leaders() == [3], mutant.is_some());
        assert_eq!(fired(&cluster, 3), mutant.is_some());
    }
}

/// It leads again with a tail that reaches nobody, and delivers it. The others go on without; it follows them, and still shows it.
#[test]
fn skip_sync_phase_keeps_what_it_delivered() {
    for mutant in both(mutants::SKIP_SYNC_PHASE) {
        let mut cluster = Cluster::elected(3, mutant);
        cluster.isolate(3);
        assert_eq!(cluster.answer(3, put(5)), None);
        cluster.crash(3);
        cluster.cut.clear();
        cluster.stopped = |message| matches!(message, Message::Diff(_));
        cluster.start(3);
        cluster.run(450);
        assert_eq!(cluster.core(3).status().applied, u64::from(mutant.is_some()));
        cluster.isolate(3);
        cluster.stopped = |_| false;
        cluster.run(1000);
        cluster.cut.clear();
        cluster.run(1000);
        let shown = if mutant.is_some() { Value::Int(5) } else { Value::Nil };
        assert_eq!(cluster.answer(3, read()), Some(Reply::Value(shown)));
    }
}

#[test]
fn an_old_epochs_proposal_is_taken() {
    for mutant in both(mutants::OLD_EPOCH_PROPOSAL) {
        let mut server = Server::new(mutant, stored(1, 2, 1, &[(1, 1)]));
        server.synchronize(2, crate::server::place(1, 1, 1));
        let out = server.receive(2, Message::Propose(batch(1, crate::server::place(1, 1, 1), &[(1, 2)])));
        assert_eq!(server.names().len(), if mutant.is_some() { 2 } else { 1 });
        assert_eq!(any(&out.send_when_durable, |m| matches!(m, Message::Ack { .. })), mutant.is_some());
        assert_eq!(server.fired(), mutant.is_some());
    }
}

#[test]
fn quorum_half_splits_the_brain() {
    for mutant in both(mutants::QUORUM_HALF) {
        let mut cluster = Cluster::new(4, mutant, |_| {});
        for one in [1, 2] {
            for other in [3, 4] {
                cluster.cut.insert((NodeId(one), NodeId(other)));
                cluster.cut.insert((NodeId(other), NodeId(one)));
            }
        }
        cluster.run(1000);
        let expected: &[u64] = if mutant.is_some() { &[2, 4] } else { &[] };
        assert_eq!(cluster.leaders(), expected);
    }
}

#[test]
fn reply_at_ack_answers_what_only_the_leader_has() {
    for mutant in both(mutants::REPLY_AT_ACK) {
        let mut cluster = Cluster::elected(3, mutant);
        cluster.isolate(3);
        let answer = cluster.answer(3, put(5));
        assert_eq!(answer, mutant.map(|_| Reply::Answer(Answer::Done)));
        assert_eq!(fired(&cluster, 3), mutant.is_some());
    }
}

#[test]
fn cas_committed_state_lets_two_succeed() {
    for mutant in both(mutants::CAS_COMMITTED_STATE) {
        let mut cluster = Cluster::elected(3, mutant);
        let cas = |new| Operation::Cas { key: "x".to_owned(), old: Value::Nil, new: Value::Int(new) };
        let requests = [1, 2].map(|new| cluster.ask(3, operation(cas(new))));
        cluster.settle();
        let done = requests.iter().filter(|&&id| cluster.reply(id) == Some(Reply::Answer(Answer::Done))).count();
        assert_eq!(done, if mutant.is_some() { 2 } else { 1 });
        assert_eq!(fired(&cluster, 3), mutant.is_some());
    }
}
