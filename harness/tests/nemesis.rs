//! What each fault does, seen from outside: real nodes behind relays on loopback, one step at a time.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use checkers::history::{Action, Completion, Value};
use clap::Parser;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use trueline::{
    cli::{Cli, Command},
    cluster::{Cluster, ClusterPaths, ClusterPlan},
    conduct::message_relay,
    nemesis::fault::{NodeFaults, Step},
    network::{
        Kind, Network, NetworkPlan,
        links::Endpoint::Node,
        relay::{MessageRule, Part},
    },
    system::system,
};
use wait::wait_for;
use workloads::{
    client::{Client, Outcome, Role},
    generator::Invocation,
};

#[path = "support/wait.rs"]
mod wait;

const PATIENCE: Duration = Duration::from_secs(30);
/// How long a client waits for an answer.
const TIMEOUT: Duration = Duration::from_millis(700);

/// A cluster, and somebody who breaks it.
struct Lab {
    runtime: Runtime,
    cluster: Cluster,
    dir: TempDir,
}

impl Lab {
    /// Three Raft nodes with files of faults; with the message relay between them if asked for.
    fn start(relayed: bool, flags: &[&str]) -> Self {
        let node = env!("CARGO_BIN_EXE_trueline");
        let always = ["trueline", "run", "--nodes", "3", "--network", "proxy", "--binary", node];
        let Some(Command::Run(args)) = Cli::parse_from(always.iter().chain(flags)).command else { panic!("a run") };
        let config = args.config().unwrap();
        let system = system(&config).unwrap();
        let plan = NetworkPlan {
            nodes: config.nodes,
            peer_port: system.peer_port(),
            client_port: system.client_port(),
            seed: 1,
            kind: Kind::Proxy,
        };
        let runtime = Runtime::new().unwrap();
        let entered = runtime.enter();
        let network = Arc::new(Network::start(&plan).unwrap());
        let relay = relayed.then(|| message_relay(&network, &plan, &*system).unwrap());
        drop(entered);
        let dir = TempDir::new().unwrap();
        let paths = ClusterPaths { logs: dir.path().to_owned(), data: dir.path().join("data") };
        let plan = ClusterPlan {
            system,
            network,
            relay,
            nodes: config.nodes,
            spares: 0,
            node_faults: true,
            seed: 1,
            name: "lab".to_owned(),
        };
        let cluster = Cluster::new(plan, &paths).unwrap();
        cluster.revive(None).unwrap();
        runtime.block_on(cluster.wait_ready(PATIENCE, dir.path())).unwrap();
        Self { runtime, cluster, dir }
    }

    fn inflict(&self, fault: u64, step: Step) {
        self.cluster.carry_out(Some(fault), &step).unwrap();
    }

    fn heal(&self) {
        self.cluster.carry_out(None, &Step::Mend).unwrap();
        self.cluster.carry_out(None, &Step::Revive).unwrap();
    }

    fn ask(&self, node: u32, action: Action) -> Outcome {
        let address = self.cluster.client_address(node);
        let mut client = self.cluster.system().client(address).unwrap();
        let invocation = Invocation { key: "x".to_owned(), action };
        self.runtime.block_on(client.invoke(&invocation, TIMEOUT))
    }

    fn write(&self, node: u32, value: i64) -> Completion {
        self.ask(node, Action::Write(Value::Int(value))).completion
    }

    fn is_written(&self, node: u32, value: i64) -> bool {
        self.write(node, value) == Completion::Ok(None)
    }

    fn insist(&self, node: u32, value: i64) {
        wait_for("a write", PATIENCE, || self.is_written(node, value));
    }

    fn read(&self, node: u32) -> Value {
        let mut read = None;
        wait_for("a read", PATIENCE, || {
            if let Completion::Ok(Some(value)) = self.ask(node, Action::Read).completion {
                read = Some(value);
            }
            read.is_some()
        });
        read.unwrap()
    }

    fn leader(&self) -> u32 {
        self.leader_but(0)
    }

    /// A leader other than this node.
    fn leader_but(&self, not: u32) -> u32 {
        let mut leader = None;
        wait_for("a leader", PATIENCE, || {
            let leads =
                |id: &u32| self.runtime.block_on(self.cluster.status(*id)).is_some_and(|s| s.role == Role::Leader);
            leader = (1..=3).filter(|id| *id != not).find(leads);
            leader.is_some()
        });
        leader.unwrap()
    }

    fn is_up(&self, node: u32) -> bool {
        self.runtime.block_on(self.cluster.status(node)).is_some()
    }

    fn data_dir(&self, node: u32) -> PathBuf {
        self.dir.path().join("data").join(node.to_string())
    }

    fn log(&self, node: u32) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("{node}.log"))).unwrap()
    }

    fn counts(&self, what: impl Fn(trueline::network::links::LinkCounts) -> u64) -> u64 {
        let links = self.cluster.network().links();
        let pairs = (1..=3).flat_map(|from| (1..=3).map(move |to| (from, to))).filter(|(from, to)| from != to);
        pairs.map(|(from, to)| what(links.counts(Node(from), Node(to)))).sum()
    }

    fn no_crash(&self) {
        assert!(self.cluster.crashes().unwrap().is_empty());
    }
}

fn others(node: u32) -> [u32; 2] {
    [node % 3 + 1, (node + 1) % 3 + 1]
}

/// Both directions between a node and the others.
fn around(node: u32) -> Vec<(u32, u32)> {
    others(node).into_iter().flat_map(|other| [(node, other), (other, node)]).collect()
}

fn every(kind: &str) -> MessageRule {
    MessageRule { kind: Some(kind.to_owned()), ..MessageRule::default() }
}

#[test]
fn a_cut_leader_is_replaced_and_still_reached_by_clients() {
    for relayed in [false, true] {
        let lab = Lab::start(relayed, &[]);
        let old = lab.leader();
        lab.insist(old, 1);
        lab.inflict(1, Step::Cut(around(old)));
        let new = lab.leader_but(old);
        lab.insist(new, 2);
        assert!(lab.is_up(old) && !lab.is_written(old, 3), "relayed: {relayed}");
        assert!(lab.counts(|counts| counts.dropped) > 0);
        // The end of another fault mends nothing here.
        lab.inflict(2, Step::Mend);
        assert!(!lab.is_written(old, 4));
        lab.inflict(1, Step::Mend);
        lab.insist(old, 5);
        lab.no_crash();
    }
}

#[test]
fn without_appends_nothing_is_committed() {
    let lab = Lab::start(true, &[]);
    lab.insist(1, 1);
    lab.inflict(1, Step::Garble(vec![MessageRule { drop_percent: 100, ..every("append") }]));
    assert!(!lab.is_written(1, 2) && !lab.is_written(2, 3));
    lab.inflict(1, Step::Mend);
    lab.insist(1, 4);
    assert_eq!(lab.read(2), Value::Int(4));
    lab.no_crash();
}

#[test]
fn doubled_and_overtaken_messages_do_no_harm_and_are_counted() {
    let lab = Lab::start(true, &[]);
    let garbled = MessageRule {
        double_percent: 100,
        late_percent: 50,
        delay_ms: [0, 20],
        overtakable: true,
        ..MessageRule::default()
    };
    lab.inflict(1, Step::Garble(vec![garbled]));
    for value in 1..=20 {
        lab.insist((value % 3 + 1) as u32, value);
        assert_eq!(lab.read(((value + 1) % 3 + 1) as u32), Value::Int(value));
    }
    assert!(lab.counts(|counts| counts.duplicated) > 20 && lab.counts(|counts| counts.delayed) > 20);
    lab.no_crash();
}

#[test]
fn late_appends_make_writes_slow() {
    const LATE: Duration = Duration::from_millis(120);
    let lab = Lab::start(true, &[]);
    let leader = lab.leader();
    lab.inflict(1, Step::Garble(vec![MessageRule { late_percent: 100, delay_ms: [120, 120], ..every("append") }]));
    let begin = Instant::now();
    lab.insist(leader, 1);
    assert!(begin.elapsed() >= LATE, "{:?}", begin.elapsed());
}

#[test]
fn votes_are_overheard_and_pre_votes_are_not() {
    let lab = Lab::start(true, &[]);
    let leader = lab.leader();
    let mut heard = lab.cluster.relay().expect("it was asked for").overhear();
    lab.inflict(1, Step::Kill(vec![leader]));
    let word = lab.runtime.block_on(async {
        let next = async {
            loop {
                match heard.recv().await {
                    Ok(message) if message.part == Some(Part::Gives) => return message,
                    Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("a vote")
    });
    assert!(word.from != leader && word.to != leader && word.from != word.to);
    assert_eq!(lab.leader_but(leader), word.to, "with one vote of two the other one leads");
}

#[test]
fn a_mute_node_does_what_it_is_asked_and_nobody_hears_of_it() {
    let lab = Lab::start(false, &[]);
    let leader = lab.leader();
    lab.insist(leader, 1);
    lab.inflict(1, Step::Mute(vec![leader]));
    let address = lab.cluster.client_address(leader);
    // A relay of bytes holds new connections of a link that is cut in one direction, so this one must be there already.
    let mut client = lab.cluster.system().client(address).unwrap();
    let write = |value| Invocation { key: "x".to_owned(), action: Action::Write(Value::Int(value)) };
    lab.inflict(1, Step::Mend);
    wait_for("a connection", PATIENCE, || {
        lab.runtime.block_on(client.invoke(&write(2), TIMEOUT)).completion == Completion::Ok(None)
    });
    lab.inflict(2, Step::Mute(vec![leader]));
    assert_eq!(lab.runtime.block_on(client.invoke(&write(3), TIMEOUT)).completion, Completion::Info);
    assert_eq!(lab.read(others(leader)[0]), Value::Int(3));
    lab.inflict(2, Step::Mend);
    lab.insist(leader, 4);
}

#[test]
fn killed_paused_and_powerless_nodes_are_gone_until_their_fault_ends() {
    let lab = Lab::start(false, &[]);
    lab.insist(1, 1);
    for (fault, step) in (1..).zip([Step::Kill(vec![2]), Step::Pause(vec![2]), Step::PowerOff(vec![2])]) {
        lab.inflict(fault, step.clone());
        assert!(!lab.is_up(2), "{step:?}");
        // Another fault hits it too, and ends first.
        lab.inflict(77, Step::Pause(vec![2]));
        lab.inflict(77, Step::Revive);
        lab.inflict(77, Step::Start(vec![2]));
        assert!(!lab.is_up(2), "{step:?}");
        lab.inflict(fault, Step::Revive);
        wait_for("the node", PATIENCE, || lab.is_up(2));
        lab.insist(2, fault as i64);
    }
    lab.inflict(9, Step::Kill(vec![1, 2, 3]));
    lab.inflict(9, Step::Start(vec![1]));
    wait_for("the node", PATIENCE, || lab.is_up(1));
    assert!(!lab.is_up(2));
    lab.heal();
    wait_for("all nodes", PATIENCE, || (1..=3).all(|node| lab.is_up(node)));
    assert_eq!(lab.read(3), Value::Int(3));
    lab.no_crash();
}

#[test]
fn a_wiped_node_begins_with_nothing() {
    let lab = Lab::start(false, &[]);
    lab.insist(1, 1);
    assert!(lab.data_dir(2).join("meta").exists());
    lab.inflict(1, Step::Kill(vec![3]));
    lab.inflict(2, Step::Wipe(vec![2, 3]));
    assert!(!lab.data_dir(2).exists());
    assert!(lab.data_dir(3).join("meta").exists(), "what another fault has ended may be started at any moment");
    lab.inflict(2, Step::Revive);
    wait_for("the node", PATIENCE, || lab.is_up(2));
    assert!(lab.data_dir(2).join("meta").exists());
}

#[test]
fn slow_syncs_make_writes_slow_until_their_fault_ends() {
    const DELAY: Duration = Duration::from_millis(150);
    let lab = Lab::start(false, &[]);
    lab.insist(1, 1);
    let slow = NodeFaults { sync_delay_ms: 150, ..NodeFaults::default() };
    lab.inflict(1, Step::Spoil(vec![1, 2, 3], slow));
    let took = |value| {
        let begin = Instant::now();
        lab.insist(1, value);
        begin.elapsed()
    };
    took(2);
    assert!(took(3) >= DELAY);
    // A node that is started anew reads its file.
    lab.inflict(2, Step::Kill(vec![1, 2, 3]));
    lab.inflict(2, Step::Revive);
    took(4);
    assert!(took(5) >= DELAY);
    lab.inflict(1, Step::Revive);
    wait_for("a fast write", PATIENCE, || took(6) < DELAY);
    lab.no_crash();
}

#[test]
fn a_node_whose_disk_was_broken_has_not_crashed_and_comes_back() {
    let lab = Lab::start(false, &[]);
    lab.insist(1, 1);
    let broken = NodeFaults { sync_error: true, ..NodeFaults::default() };
    lab.inflict(1, Step::Spoil(vec![2], broken));
    wait_for("the end of the node", PATIENCE, || {
        lab.write(1, 2);
        !lab.is_up(2)
    });
    lab.no_crash();
    assert!(lab.log(2).contains("fatal"), "{}", lab.log(2));
    lab.inflict(1, Step::Revive);
    wait_for("the node", PATIENCE, || lab.is_up(2));
    lab.insist(2, 3);
    // Healed before it has ended: it is ended first, so that its end is ours.
    lab.inflict(2, Step::Spoil(vec![1, 2, 3], broken));
    lab.heal();
    lab.insist(2, 4);
    lab.no_crash();
}

#[test]
fn an_end_with_74_that_nobody_asked_for_is_a_crash() {
    let lab = Lab::start(false, &["--snapshot-every", "5"]);
    // The next compaction cannot make its file.
    for generation in 1..200 {
        let _ = std::fs::create_dir(lab.data_dir(2).join(format!("base-{generation}.tmp")));
    }
    let mut value = 0;
    wait_for("the end of the node", PATIENCE, || {
        value += 1;
        lab.write(1, value);
        !lab.cluster.crashes().unwrap().is_empty()
    });
    let crash = &lab.cluster.crashes().unwrap()[0];
    assert_eq!((crash.node, crash.exit.code), (2, Some(74)));
}

#[test]
fn torn_power_losses_leave_torn_tails() {
    let lab = Lab::start(false, &[]);
    lab.insist(1, 1);
    let torn = NodeFaults { torn: true, sync_delay_ms: 100, ..NodeFaults::default() };
    for round in 1..=10 {
        lab.inflict(round, Step::Spoil(vec![1, 2, 3], torn));
        lab.insist(1, round as i64);
        std::thread::scope(|scope| {
            scope.spawn(|| lab.write(2, -1));
            // What is under way now is unsynced.
            std::thread::sleep(Duration::from_millis(50));
            lab.inflict(round, Step::PowerOff(vec![1, 2, 3]));
        });
        lab.inflict(round, Step::Revive);
        wait_for("the nodes", PATIENCE, || (1..=3).all(|node| lab.is_up(node)));
        if (1..=3).any(|node| lab.log(node).contains("cut a torn tail")) {
            lab.no_crash();
            return;
        }
    }
    panic!("no tail was torn in ten power losses");
}

#[test]
fn slow_clocks_are_slow_to_elect() {
    let lab = Lab::start(false, &[]);
    let leader = lab.leader();
    let slow = NodeFaults { clock_percent: 1, ..NodeFaults::default() };
    lab.inflict(1, Step::Spoil(others(leader).to_vec(), slow));
    lab.inflict(2, Step::Kill(vec![leader]));
    std::thread::sleep(Duration::from_secs(2));
    for node in others(leader) {
        let status = lab.runtime.block_on(lab.cluster.status(node)).unwrap();
        assert_ne!(status.role, Role::Leader, "thirty seconds and more on its clock are not over");
    }
    lab.inflict(1, Step::Revive);
    lab.leader_but(leader);
}
