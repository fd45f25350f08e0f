//! A small cluster that moves only when told to. Disks are as fast as asked, nothing is lost unless a link is cut or a kind of
//! message is stopped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nodes::{
    machine::{Command, Operation, Value},
    mutants::Mutant,
    protocol::{
        Config, Input, NodeId, Outputs, Protocol, ReadMode, Reply, Request, RequestId, Stored, Ticket, Time,
        zab::{Message, Record, Zab},
    },
};

pub const MS: u64 = 1_000_000;
/// The shortest election timeout.
pub const T_MS: u64 = 150;
/// How far the clocks go at once.
const TICK_MS: u64 = 5;

pub struct Node {
    pub core: Option<Zab>,
    config: Config,
    pub disk: Stored<Record>,
    /// Written and not synced: a replacement of everything, or records.
    unsynced: Vec<(Option<Vec<u8>>, Vec<Record>)>,
    held: Vec<(NodeId, Message)>,
    tickets: u64,
    wake_at: u64,
    lives: u64,
    /// Sync only when told to.
    pub slow_disk: bool,
}

pub struct Cluster {
    pub nodes: BTreeMap<NodeId, Node>,
    network: VecDeque<(NodeId, NodeId, Message)>,
    pub cut: BTreeSet<(NodeId, NodeId)>,
    /// Messages for which this holds are lost.
    pub stopped: fn(&Message) -> bool,
    replies: BTreeMap<RequestId, Reply>,
    next_request: u64,
    clock: u64,
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

pub fn put(value: i64) -> Request {
    operation(Operation::Write { key: "x".to_owned(), value: Value::Int(value) })
}

pub fn operation(operation: Operation) -> Request {
    Request::Command(Command::Do { stamp: None, operation })
}

pub fn read() -> Request {
    Request::Read { key: "x".to_owned() }
}

impl Cluster {
    pub fn new(voters: u64, mutant: Option<Mutant>, change: impl Fn(&mut Config)) -> Self {
        let mut cluster = Self {
            nodes: BTreeMap::new(),
            network: VecDeque::new(),
            cut: BTreeSet::new(),
            stopped: |_| false,
            replies: BTreeMap::new(),
            next_request: 0,
            clock: 1000 * MS,
        };
        for id in 1..=voters {
            let mut config = Config { mutant, ..config(id, voters) };
            change(&mut config);
            let node = Node {
                core: None,
                config,
                disk: Stored::default(),
                unsynced: Vec::new(),
                held: Vec::new(),
                tickets: 0,
                wake_at: 0,
                lives: 0,
                slow_disk: false,
            };
            cluster.nodes.insert(NodeId(id), node);
            cluster.start(id);
        }
        cluster
    }

    /// A cluster that has elected its server of the greatest number.
    pub fn elected(voters: u64, mutant: Option<Mutant>) -> Self {
        let mut cluster = Self::new(voters, mutant, |_| {});
        cluster.run(500);
        assert_eq!(cluster.leaders(), [voters]);
        cluster
    }

    pub fn node(&mut self, id: u64) -> &mut Node {
        self.nodes.get_mut(&NodeId(id)).expect("a node of the cluster")
    }

    pub fn core(&self, id: u64) -> &Zab {
        self.nodes[&NodeId(id)].core.as_ref().expect("a running node")
    }

    /// Who leads, in phase 3, as they see it themselves.
    pub fn leaders(&self) -> Vec<u64> {
        let cores = self.nodes.values().filter_map(|node| node.core.as_ref());
        cores.map(Protocol::status).filter(|status| status.role == "leader").map(|status| status.id.0).collect()
    }

    pub fn start(&mut self, id: u64) {
        let clock = Time(self.clock);
        let node = self.node(id);
        node.lives += 1;
        node.tickets = 0;
        let core = Zab::restore(node.config.clone(), node.disk.clone(), clock, id * 1000 + node.lives);
        node.core = Some(core.expect("the stored state is sound"));
        self.step(NodeId(id), Input::Tick);
    }

    /// The node stops; what was not synced is gone.
    pub fn crash(&mut self, id: u64) {
        let node = self.node(id);
        node.core = None;
        node.unsynced.clear();
        node.held.clear();
    }

    pub fn isolate(&mut self, id: u64) {
        for &other in self.nodes.keys() {
            self.cut.insert((NodeId(id), other));
            self.cut.insert((other, NodeId(id)));
        }
    }

    pub fn connect(&mut self, one: u64, other: u64) {
        self.cut.remove(&(NodeId(one), NodeId(other)));
        self.cut.remove(&(NodeId(other), NodeId(one)));
    }

    /// Time passes, and everything takes its course.
    pub fn run(&mut self, ms: u64) {
        for _ in 0..ms / TICK_MS {
            self.clock += TICK_MS * MS;
            let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
            for id in ids {
                if self.nodes[&id].wake_at <= self.clock {
                    self.step(id, Input::Tick);
                }
            }
            self.settle();
        }
    }

    /// Delivers until nothing is on its way.
    pub fn settle(&mut self) {
        const MESSAGES_MAX: usize = 10_000;
        for _ in 0..MESSAGES_MAX {
            let Some((from, to, message)) = self.network.pop_front() else { return };
            if !self.cut.contains(&(from, to)) && !(self.stopped)(&message) {
                self.step(to, Input::Receive { from, message });
            }
        }
        panic!("the cluster does not come to rest");
    }

    /// Asks without waiting.
    pub fn ask(&mut self, id: u64, request: Request) -> RequestId {
        self.next_request += 1;
        let name = RequestId(self.next_request);
        self.step(NodeId(id), Input::Client { id: name, request });
        name
    }

    /// Asks, and delivers what that brings about.
    pub fn answer(&mut self, id: u64, request: Request) -> Option<Reply> {
        let request = self.ask(id, request);
        self.settle();
        self.reply(request)
    }

    pub fn reply(&self, request: RequestId) -> Option<Reply> {
        self.replies.get(&request).cloned()
    }

    fn step(&mut self, id: NodeId, input: Input<Message>) {
        let mut out = Outputs::default();
        let clock = Time(self.clock);
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(core) = &mut node.core else { return };
        core.step(clock, input, &mut out);
        node.wake_at = out.wake_at.0;
        if out.persists() {
            node.tickets += 1;
            let compact = out.compact.take();
            node.unsynced.extend(compact.map(|compact| (Some(compact.snapshot), compact.records)));
            node.unsynced.push((None, std::mem::take(&mut out.records)));
        }
        let waits = !node.unsynced.is_empty();
        let is_slow = node.slow_disk;
        self.replies.extend(out.replies);
        self.network.extend(out.send.into_iter().map(|(to, message)| (id, to, message)));
        if waits {
            self.nodes.get_mut(&id).expect("just stepped").held.extend(out.send_when_durable);
        } else {
            self.network.extend(out.send_when_durable.into_iter().map(|(to, message)| (id, to, message)));
        }
        if out.sync_wanted && !is_slow {
            self.sync(id.0);
        }
    }

    /// What the node wrote so far reaches its disk.
    pub fn sync(&mut self, id: u64) {
        let node = self.node(id);
        if node.unsynced.is_empty() {
            return;
        }
        for (snapshot, records) in std::mem::take(&mut node.unsynced) {
            if snapshot.is_some() {
                node.disk = Stored { snapshot, records: Vec::new() };
            }
            node.disk.records.extend(records);
        }
        let ticket = Ticket(node.tickets);
        for (to, message) in std::mem::take(&mut self.node(id).held) {
            self.network.push_back((NodeId(id), to, message));
        }
        self.step(NodeId(id), Input::Durable(ticket));
    }
}
