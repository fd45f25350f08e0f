//! The words of the scripts.
//!
//! | directive | what it does |
//! |---|---|
//! | `cluster voters=3 [spares=N] [snapshot-every=N] [append-bytes=N] [inflight=N] [mutant=ID]` | a new cluster |
//! | `logs`, with lines `1: 1 1 4` | restarts nodes with logs of entries of these terms, and as term the last one, or `term=N` at the end |
//! | `verbose` / `quiet` | whether messages and writes are traced |
//! | `wait ms=N` | all clocks go on; nobody is woken |
//! | `tick 1` | the clock of 1 goes to where it wants to be woken, and it is |
//! | `elect 1` | `wait` for T, `tick`, `stabilize` |
//! | `write 1 x=5`, `append 1 x=5`, `read 1 x`, `transfer 1 [to=2]` | a client asks node 1 |
//! | `members 1 voters=1-2-4 [learners=5]` | a client asks node 1 for these members |
//! | `in-force` | the membership that every node goes by |
//! | `deliver [from=1] [to=2] [kind=Append] [max=N]` / `drop …` / `double …` | what happens to messages on their way |
//! | `stabilize` | delivers until nothing is on its way |
//! | `isolate 1`, `cut 1 2` (both ways), `heal` | the network |
//! | `slow-disk 1`, `sync 1`, `fast-disk 1` | when writes become durable |
//! | `crash 1`, `restart 1` | crash loses what is not durable |
//! | `log` | every node's log, `|` behind what it knows committed |

use std::fmt::Write as _;

use datadriven::TestCase;
use nodes::{
    machine::{Command, Operation, Value},
    protocol::{
        NodeId, Request, Stored,
        raft::{Entry, HardState, LogIndex, Payload, Record, Term},
    },
};

use crate::{
    cluster::{Cluster, Envelope},
    describe,
};

#[derive(Default)]
pub struct Script {
    cluster: Option<Cluster>,
}

impl Script {
    pub fn run(&mut self, case: &mut TestCase) -> String {
        if case.directive == "cluster" {
            self.create(case);
        }
        let cluster = self.cluster.as_mut().expect("a script begins with `cluster`");
        cluster.trace.clear();
        match case.directive.as_str() {
            "cluster" => {}
            "logs" => set_logs(cluster, &case.input),
            "verbose" => cluster.verbose = true,
            "quiet" => cluster.verbose = false,
            "wait" => cluster.wait(case.take_arg("ms").expect("ms=N")),
            "stabilize" => cluster.stabilize(),
            "heal" => cluster.cut.clear(),
            "deliver" | "drop" | "double" => messages(cluster, case),
            "log" => logs(cluster),
            "in-force" => in_force(cluster),
            _ => of_node(cluster, case),
        }
        cluster.trace.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    fn create(&mut self, case: &mut TestCase) {
        let voters = case.take_arg("voters").expect("voters=N");
        let spares: Option<u64> = case.try_take_arg("spares").expect("a number");
        let every: Option<u64> = case.try_take_arg("snapshot-every").expect("a number");
        let bytes: Option<usize> = case.try_take_arg("append-bytes").expect("a number");
        let inflight: Option<usize> = case.try_take_arg("inflight").expect("a number");
        let mutant: Option<String> = case.try_take_arg("mutant").expect("a name");
        let mutant = mutant.map(|m| m.parse().expect("a mutant"));
        self.cluster = Some(Cluster::new_with_spares(voters, spares.unwrap_or(0), mutant, |config| {
            config.snapshot_every = every.unwrap_or(config.snapshot_every);
            config.max_append_bytes = bytes.unwrap_or(config.max_append_bytes);
            config.max_inflight = inflight.unwrap_or(config.max_inflight);
        }));
    }
}

/// A directive whose first word is a node.
fn of_node(cluster: &mut Cluster, case: &mut TestCase) {
    let mut words = case.args.keys().filter(|k| k.chars().all(|c| c.is_ascii_digit())).cloned().collect::<Vec<_>>();
    words.sort();
    for word in &words {
        assert!(case.take_flag(word).expect("a node"), "a node is a bare number");
    }
    let id = |at: usize| NodeId(words[at].parse().expect("a number"));
    match case.directive.as_str() {
        "tick" => cluster.tick(id(0)),
        "elect" => cluster.elect(id(0).0),
        "isolate" => cluster.isolate(id(0)),
        "cut" => {
            cluster.cut.extend([(id(0), id(1)), (id(1), id(0))]);
        }
        "slow-disk" => cluster.node(id(0)).slow_disk = true,
        "fast-disk" => cluster.node(id(0)).slow_disk = false,
        "sync" => cluster.sync(id(0)),
        "crash" => cluster.crash(id(0)),
        "restart" => cluster.start(id(0)),
        "transfer" => {
            let to: Option<u64> = case.try_take_arg("to").expect("a node");
            cluster.request(id(0), Request::TransferLeadership { to: to.map(NodeId) });
        }
        "members" => {
            let voters: String = case.take_arg("voters").expect("voters=1-2");
            let learners: Option<String> = case.try_take_arg("learners").expect("learners=3-4");
            let ids = |text: &str| text.split('-').map(|id| NodeId(id.parse().expect("a node"))).collect();
            let learners = learners.map_or_else(Vec::new, |text| ids(&text));
            cluster.request(id(0), Request::ChangeMembership { voters: ids(&voters), learners });
        }
        "read" => {
            let key = case.args.keys().next().expect("a key").clone();
            case.take_flag(&key).expect("a bare key");
            cluster.request(id(0), Request::Read { key });
        }
        "write" | "append" => {
            let key = case.args.keys().next().expect("key=value").clone();
            let value = Value::Int(case.take_arg(&key).expect("a number"));
            let operation = if case.directive == "write" {
                Operation::Write { key, value }
            } else {
                Operation::Append { key, value }
            };
            cluster.request(id(0), Request::Command(Command::Do { stamp: None, operation }));
        }
        other => panic!("no directive is called {other}"),
    }
}

fn messages(cluster: &mut Cluster, case: &mut TestCase) {
    let from: Option<u64> = case.try_take_arg("from").expect("a node");
    let to: Option<u64> = case.try_take_arg("to").expect("a node");
    let kind: Option<String> = case.try_take_arg("kind").expect("a kind");
    let max: Option<usize> = case.try_take_arg("max").expect("a number");
    let fits = |e: &Envelope| {
        from.is_none_or(|f| e.from.0 == f)
            && to.is_none_or(|t| e.to.0 == t)
            && kind.as_ref().is_none_or(|k| describe::kind(&e.message) == k)
    };
    // Only what is on its way now, not what comes of it.
    let count = cluster.network.iter().filter(|e| fits(e)).count().min(max.unwrap_or(usize::MAX));
    match case.directive.as_str() {
        "deliver" => (0..count).for_each(|_| assert!(cluster.deliver_one(fits))),
        "drop" => {
            for _ in 0..count {
                let at = cluster.network.iter().position(fits).expect("counted");
                let lost = cluster.network.remove(at).expect("found");
                cluster.trace.push(format!("lost: {} to {}", describe::kind(&lost.message), lost.to.0));
            }
        }
        _ => {
            let copies: Vec<_> = cluster.network.iter().filter(|e| fits(e)).take(count).map(copy).collect();
            cluster.network.extend(copies);
        }
    }
}

fn copy(envelope: &Envelope) -> Envelope {
    Envelope { from: envelope.from, to: envelope.to, message: envelope.message.clone() }
}

fn set_logs(cluster: &mut Cluster, input: &str) {
    for line in input.lines() {
        let (id, rest) = line.split_once(':').expect("node: terms");
        let id = NodeId(id.trim().parse().expect("a number"));
        let mut records = Vec::new();
        let mut current = 0;
        let mut terms = Vec::new();
        for word in rest.split_whitespace() {
            if let Some(term) = word.strip_prefix("term=") {
                current = term.parse().expect("a term");
            } else {
                terms.push(word.parse::<u64>().expect("a term"));
            }
        }
        let current = current.max(terms.last().copied().unwrap_or(0));
        records.push(Record::HardState(HardState { term: Term(current), voted_for: None }));
        records.push(Record::Life(1));
        for (at, term) in terms.into_iter().enumerate() {
            let index = at as u64 + 1;
            let operation =
                Operation::Write { key: "x".to_owned(), value: Value::Int((100 * index + term).cast_signed()) };
            let payload = Payload::Command(Command::Do { stamp: None, operation });
            records.push(Record::Entry(Entry { term: Term(term), index: LogIndex(index), payload }));
        }
        cluster.crash(id);
        cluster.node(id).disk = Stored { snapshot: None, records };
        cluster.start(id);
    }
    cluster.trace.clear();
}

fn in_force(cluster: &mut Cluster) {
    let rafts = cluster.nodes.iter().filter_map(|(id, node)| Some((id, node.raft.as_ref()?)));
    let lines: Vec<_> =
        rafts.map(|(id, raft)| format!("{}: {}", id.0, describe::membership(raft.view().membership))).collect();
    cluster.trace.extend(lines);
}

fn logs(cluster: &mut Cluster) {
    let mut lines = Vec::new();
    for (id, node) in &cluster.nodes {
        let Some(raft) = &node.raft else {
            lines.push(format!("{}: down", id.0));
            continue;
        };
        let view = raft.view();
        let mut line = format!("{}:", id.0);
        if view.snapshot.0 > LogIndex(0) {
            write!(line, " ..{}/{}", view.snapshot.0.0, view.snapshot.1.0).expect("to a string");
        }
        let known = view.entries.iter().filter(|e| e.index <= view.commit).count();
        let (committed, rest) = view.entries.split_at(known);
        for part in [describe::entries(committed), "|".to_owned(), describe::entries(rest)] {
            if !part.is_empty() {
                write!(line, " {part}").expect("to a string");
            }
        }
        lines.push(line);
    }
    cluster.trace.extend(lines);
}
