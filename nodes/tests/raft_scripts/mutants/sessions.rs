//! Wrong rules of sessions: operations done twice, or refused although they were done.

use nodes::{
    machine::{Answer, Command, Operation, Stamp, Value},
    mutants::Mutant,
    protocol::{NodeId, Protocol, Reply, Request, raft::mutants},
};

use super::{CORRECT_AND, read};
use crate::cluster::Cluster;

fn appended(session: u64, seq: u64) -> Request {
    let operation = Operation::Append { key: "x".to_owned(), value: Value::Int(seq.cast_signed()) };
    Request::Command(Command::Do { stamp: Some(Stamp { session, seq }), operation })
}

/// What the cluster says at this node.
fn ask(cluster: &mut Cluster, node: u64, request: Request) -> Reply {
    let id = cluster.request(NodeId(node), request);
    cluster.stabilize();
    // A follower hears with the next heartbeat of what is committed.
    for node in 1..=cluster.nodes.len() as u64 {
        if cluster.nodes[&NodeId(node)].raft.as_ref().is_some_and(|raft| raft.view().is_leader) {
            cluster.tick(NodeId(node));
        }
    }
    cluster.stabilize();
    cluster.reply(id).expect("answered").clone()
}

/// A cluster led by 1, and a session in it.
fn with_session(voters: u64, mutant: Option<Mutant>, snapshot_every: u64) -> (Cluster, u64) {
    let mut cluster = Cluster::new(voters, mutant, |config| config.snapshot_every = snapshot_every);
    cluster.elect(1);
    let Reply::Answer(Answer::Session(session)) = ask(&mut cluster, 1, Request::Command(Command::OpenSession)) else {
        panic!("no session")
    };
    (cluster, session)
}

fn list(cluster: &mut Cluster, node: u64) -> Vec<i64> {
    let Reply::Value(Value::List(list)) = ask(cluster, node, read()) else { panic!("no list") };
    list.iter().map(|value| if let Value::Int(n) = value { *n } else { panic!("no number") }).collect()
}

const DONE: Reply = Reply::Answer(Answer::Done);
const NEVER: u64 = 1_000_000;

/// Dissertation, section 6.3.
#[test]
fn no_dedup_does_it_again() {
    for mutant in CORRECT_AND(mutants::NO_DEDUP) {
        let (mut cluster, session) = with_session(3, mutant, NEVER);
        assert_eq!(ask(&mut cluster, 1, appended(session, 1)), DONE);
        assert_eq!(cluster.raft(1).status().fired, 0, "a first time is one");
        assert_eq!(ask(&mut cluster, 1, appended(session, 1)), DONE);
        assert_eq!(list(&mut cluster, 1), if mutant.is_some() { vec![1, 1] } else { vec![1] });
        assert_eq!(cluster.raft(1).status().fired, u64::from(mutant.is_some()));
    }
}

/// Dissertation, section 6.3: the same leader knows it; the next one does not.
#[test]
fn dedup_leader_cache_forgets_with_the_leader() {
    for mutant in CORRECT_AND(mutants::DEDUP_LEADER_CACHE) {
        let (mut cluster, session) = with_session(3, mutant, NEVER);
        assert_eq!(ask(&mut cluster, 1, appended(session, 1)), DONE);
        assert_eq!(ask(&mut cluster, 1, appended(session, 1)), DONE);
        assert_eq!(list(&mut cluster, 1), [1]);
        cluster.isolate(NodeId(1));
        cluster.elect(2);
        assert!(cluster.raft(2).view().is_leader);
        assert_eq!(ask(&mut cluster, 2, appended(session, 1)), DONE);
        assert_eq!(list(&mut cluster, 2), if mutant.is_some() { vec![1, 1] } else { vec![1] });
        assert_eq!(cluster.raft(2).status().fired > 0, mutant.is_some());
    }
}

/// Dissertation, section 6.3: a server that starts from a snapshot does not know the session any more.
#[test]
fn snapshot_drops_sessions_refuses_what_was_done() {
    for mutant in CORRECT_AND(mutants::SNAPSHOT_DROPS_SESSIONS) {
        let (mut cluster, session) = with_session(1, mutant, 3);
        assert_eq!(ask(&mut cluster, 1, appended(session, 1)), DONE);
        assert!(cluster.raft(1).status().snapshot_index > 0);
        assert_eq!(cluster.raft(1).status().fired > 0, mutant.is_some());
        cluster.sync(NodeId(1));
        cluster.crash(NodeId(1));
        cluster.start(NodeId(1));
        cluster.elect(1);
        let refused = Reply::Answer(Answer::Rejected(Answer::UNKNOWN_SESSION.to_owned()));
        assert_eq!(ask(&mut cluster, 1, appended(session, 1)), if mutant.is_some() { refused } else { DONE });
        assert_eq!(list(&mut cluster, 1), [1]);
    }
}
