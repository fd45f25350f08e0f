//! A small cluster that moves only when told to.
//!
//! ```text
//!   step ──> Outputs ──┬─ records ──> unsynced ──(sync)──> disk      a crash forgets what is unsynced
//!                      ├─ held ─────────────────(sync)──┐
//!                      └─ sent ─────────────────────────┴─> network  delivered, dropped or doubled by hand
//! ```
//!
//! Every node has its own clock. After each step the safety properties of the paper's Figure 3 are checked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nodes::{
    mutants::Mutant,
    protocol::{
        Compact, Config, Input, NodeId, Outputs, Protocol, ReadMode, Reply, Request, RequestId, Stored, Ticket, Time,
        raft::{Entry, Message, Raft, Record},
    },
};

use crate::describe;

pub const MS: u64 = 1_000_000;
pub const T_MS: u64 = 150;

/// One step's writes.
struct Unsynced {
    ticket: Ticket,
    compact: Option<Compact<Record>>,
    records: Vec<Record>,
}

pub struct Node {
    pub raft: Option<Raft>,
    config: Config,
    pub disk: Stored<Record>,
    unsynced: Vec<Unsynced>,
    held: Vec<(Ticket, NodeId, Message)>,
    tickets: u64,
    clock: u64,
    wake_at: u64,
    /// Sync only when told to.
    pub slow_disk: bool,
    shown: String,
    lives: u64,
}

pub struct Envelope {
    pub from: NodeId,
    pub to: NodeId,
    pub message: Message,
}

pub struct Cluster {
    pub nodes: BTreeMap<NodeId, Node>,
    pub network: VecDeque<Envelope>,
    pub cut: BTreeSet<(NodeId, NodeId)>,
    pub replies: Vec<(NodeId, RequestId, Reply)>,
    pub trace: Vec<String>,
    /// Whether messages and writes are traced too.
    pub verbose: bool,
    next_request: u64,
    is_mutated: bool,
    leaders: BTreeMap<u64, NodeId>,
    committed: BTreeMap<u64, Entry>,
}

pub fn config(id: u64, voters: u64) -> Config {
    Config {
        id: NodeId(id),
        nodes: (1..=voters).map(NodeId).collect(),
        voters: (1..=voters).map(NodeId).collect(),
        heartbeat_ns: 30 * MS,
        election_timeout_ns: T_MS * MS,
        snapshot_every: 1_000_000,
        max_append_bytes: 64 * 1024,
        max_inflight: 8,
        max_pending: 100,
        incarnation: id,
        reads: ReadMode::default(),
        mutant: None,
    }
}

impl Cluster {
    pub fn new(voters: u64, mutant: Option<Mutant>, change: impl Fn(&mut Config)) -> Self {
        let mut cluster = Self {
            nodes: BTreeMap::new(),
            network: VecDeque::new(),
            cut: BTreeSet::new(),
            replies: Vec::new(),
            trace: Vec::new(),
            verbose: false,
            next_request: 0,
            is_mutated: mutant.is_some(),
            leaders: BTreeMap::new(),
            committed: BTreeMap::new(),
        };
        for id in 1..=voters {
            let mut config = Config { mutant, ..config(id, voters) };
            change(&mut config);
            let node = Node {
                raft: None,
                config,
                disk: Stored::default(),
                unsynced: Vec::new(),
                held: Vec::new(),
                tickets: 0,
                clock: 1000 * MS,
                wake_at: 0,
                slow_disk: false,
                shown: String::new(),
                lives: 0,
            };
            cluster.nodes.insert(NodeId(id), node);
            cluster.start(NodeId(id));
        }
        cluster.trace.clear();
        cluster
    }

    pub fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("a node of the cluster")
    }

    pub fn raft(&self, id: u64) -> &Raft {
        self.nodes[&NodeId(id)].raft.as_ref().expect("a running node")
    }

    /// A cluster with some nodes behind the voters that are no members yet. All know them from the start.
    pub fn new_with_spares(voters: u64, spares: u64, mutant: Option<Mutant>, change: impl Fn(&mut Config)) -> Self {
        Self::new(voters + spares, mutant, |config| {
            config.voters = (1..=voters).map(NodeId).collect();
            change(config);
        })
    }

    /// Starts a node from its disk; the first tick lets it record its life.
    pub fn start(&mut self, id: NodeId) {
        let node = self.node(id);
        node.lives += 1;
        node.tickets = 0;
        let seed = id.0 * 1000 + node.lives;
        let raft = Raft::restore(node.config.clone(), node.disk.clone(), Time(node.clock), seed);
        node.raft = Some(raft.expect("the stored state is sound"));
        self.step(id, Input::Tick);
    }

    /// The node stops; what was not synced is gone.
    pub fn crash(&mut self, id: NodeId) {
        let node = self.node(id);
        node.raft = None;
        node.unsynced.clear();
        node.held.clear();
    }

    pub fn wait(&mut self, ms: u64) {
        for node in self.nodes.values_mut() {
            node.clock += ms * MS;
        }
    }

    /// The node's clock moves to where it wants to be woken, but not back.
    pub fn tick(&mut self, id: NodeId) {
        let node = self.node(id);
        node.clock = node.clock.max(node.wake_at);
        self.step(id, Input::Tick);
    }

    pub fn request(&mut self, id: NodeId, request: Request) -> RequestId {
        self.next_request += 1;
        let name = RequestId(self.next_request);
        self.step(id, Input::Client { id: name, request });
        name
    }

    /// The answer to a request, if it came.
    pub fn reply(&self, request: RequestId) -> Option<&Reply> {
        self.replies.iter().find(|(_, id, _)| *id == request).map(|(_, _, reply)| reply)
    }

    pub fn step(&mut self, id: NodeId, input: Input<Message>) {
        let mut out = Outputs::default();
        let node = self.node(id);
        let Some(raft) = &mut node.raft else { return };
        raft.step(Time(node.clock), input, &mut out);
        node.wake_at = out.wake_at.0;
        let persists = out.persists();
        let written = describe::writes(&out);
        if persists {
            node.tickets += 1;
            let ticket = Ticket(node.tickets);
            node.unsynced.push(Unsynced {
                ticket,
                compact: out.compact.take(),
                records: std::mem::take(&mut out.records),
            });
        }
        let waits = !node.unsynced.is_empty();
        let now = node.tickets;
        let shown = describe::state(node.raft.as_ref().expect("running"));
        let changed = shown != node.shown;
        node.shown.clone_from(&shown);
        if let Some(written) = written.filter(|_| self.verbose) {
            self.trace.push(format!("{} writes {written}", id.0));
        }
        for (request, reply) in out.replies {
            self.trace.push(format!("{} answers #{}: {}", id.0, request.0, describe::reply(&reply)));
            self.replies.push((id, request, reply));
        }
        if changed {
            self.trace.push(format!("{} is {shown}", id.0));
        }
        for (to, message) in out.send {
            self.send(id, to, message);
        }
        for (to, message) in out.send_when_durable {
            if waits {
                if self.verbose {
                    self.trace.push(format!("{} holds {}", id.0, describe::message(to, &message)));
                }
                self.node(id).held.push((Ticket(now), to, message));
            } else {
                self.send(id, to, message);
            }
        }
        self.check_safety();
        if out.sync_wanted && !self.node(id).slow_disk {
            self.sync(id);
        }
    }

    /// What the node wrote so far reaches its disk.
    pub fn sync(&mut self, id: NodeId) {
        let node = self.node(id);
        let Some(last) = node.unsynced.last().map(|w| w.ticket) else { return };
        for write in std::mem::take(&mut node.unsynced) {
            if let Some(compact) = write.compact {
                node.disk = Stored { snapshot: Some(compact.snapshot), records: compact.records };
            }
            node.disk.records.extend(write.records);
        }
        for (ticket, to, message) in std::mem::take(&mut node.held) {
            assert!(ticket <= last);
            self.send(id, to, message);
        }
        self.step(id, Input::Durable(last));
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        let lost = self.cut.contains(&(from, to));
        if self.verbose {
            let fate = if lost { " (lost)" } else { "" };
            self.trace.push(format!("{} sends {}{fate}", from.0, describe::message(to, &message)));
        }
        if !lost {
            self.network.push_back(Envelope { from, to, message });
        }
    }

    /// Delivers the first message on its way that fits; says whether there was one.
    pub fn deliver_one(&mut self, fits: impl Fn(&Envelope) -> bool) -> bool {
        let Some(at) = self.network.iter().position(fits) else { return false };
        let Envelope { from, to, message } = self.network.remove(at).expect("just found");
        if !self.cut.contains(&(from, to)) {
            self.step(to, Input::Receive { from, message });
        }
        true
    }

    /// Delivers until nothing is on its way.
    pub fn stabilize(&mut self) {
        const MESSAGES_MAX: usize = 10_000;
        for _ in 0..MESSAGES_MAX {
            if !self.deliver_one(|_| true) {
                return;
            }
        }
        panic!("the cluster does not come to rest");
    }

    /// Makes `id` lead: all forget the old leader's heartbeats, its timer runs out, and all messages are delivered.
    pub fn elect(&mut self, id: u64) {
        self.wait(T_MS);
        self.tick(NodeId(id));
        self.stabilize();
    }

    pub fn isolate(&mut self, id: NodeId) {
        for &other in self.nodes.keys() {
            self.cut.insert((id, other));
            self.cut.insert((other, id));
        }
    }

    /// Figure 3: election safety, log matching, leader completeness and state machine safety.
    fn check_safety(&mut self) {
        if self.is_mutated {
            return;
        }
        let views: Vec<_> = self.nodes.values().filter_map(|n| n.raft.as_ref()).map(Raft::view).collect();
        for view in &views {
            if view.is_leader {
                let leader = *self.leaders.entry(view.term.0).or_insert(view.id);
                assert_eq!(leader, view.id, "two leaders in term {}", view.term.0);
                for (index, entry) in self.committed.range(view.snapshot.0.0 + 1..) {
                    let at = usize::try_from(index - view.snapshot.0.0 - 1).expect("small");
                    let newer = view.term >= self.committed.values().last().map_or(view.term, |e| e.term);
                    assert!(!newer || view.entries.get(at) == Some(entry), "leader {:?} lacks entry {index}", view.id);
                }
            }
            for entry in view.entries.iter().filter(|e| e.index <= view.commit) {
                let other = self.committed.entry(entry.index.0).or_insert_with(|| entry.clone());
                assert_eq!(other, entry, "two entries committed at {}", entry.index.0);
            }
        }
        for (at, a) in views.iter().enumerate() {
            for b in &views[at + 1..] {
                if a.applied == b.applied {
                    assert_eq!(a.machine_digest, b.machine_digest, "machines differ at {:?}", a.applied);
                }
            }
        }
    }
}
