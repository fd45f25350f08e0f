//! One node, its disk and its clock.

use std::collections::BTreeMap;

use nodes::{
    machine::{Command, Operation, Value},
    mutants::Mutant,
    protocol::{
        Config, Input, NodeId, Outputs, Protocol, ReadMode, Reply, Request, RequestId, Status, Stored, Ticket, Time,
        multi_paxos::{Accept, Accepted, Ballot, Message, MultiPaxos, Payload, Prepare, Promise, Record, Slot, Vote},
    },
};

pub const MS: u64 = 1_000_000;
pub const T_MS: u64 = 150;

/// What one input led to.
#[derive(Debug, Default)]
pub struct Said {
    pub at_once: Vec<(u64, Message)>,
    pub when_durable: Vec<(u64, Message)>,
    pub replies: Vec<Reply>,
    pub sync_wanted: bool,
}

impl Said {
    /// Everything said, at once or later.
    pub fn all(&self) -> impl Iterator<Item = &Message> {
        self.at_once.iter().chain(&self.when_durable).map(|(_, message)| message)
    }

    pub fn has(&self, fits: impl Fn(&Message) -> bool) -> bool {
        self.all().any(fits)
    }

    pub fn is_silent(&self) -> bool {
        self.at_once.is_empty() && self.when_durable.is_empty()
    }
}

/// Node 1 of a few.
pub struct Solo {
    pub core: MultiPaxos,
    pub config: Config,
    disk: Stored<Record>,
    unsynced: Outputs<Message, Record>,
    tickets: u64,
    clock: u64,
    wake_at: u64,
    requests: u64,
}

pub fn config(voters: u64, mutant: Option<Mutant>) -> Config {
    Config {
        id: NodeId(1),
        voters: (1..=voters).map(NodeId).collect(),
        nodes: (1..=voters).map(NodeId).collect(),
        heartbeat_ns: 30 * MS,
        election_timeout_ns: T_MS * MS,
        snapshot_every: 1_000_000,
        max_append_bytes: 64 * 1024,
        max_inflight: 8,
        max_pending: 100,
        incarnation: 1,
        reads: ReadMode::Quorum,
        mutant,
    }
}

/// What a disk holds of a node that votes; the voters' disks have their own numbers.
pub fn fit(voters: u64) -> Vec<Record> {
    let known: BTreeMap<NodeId, u64> = (1..=voters).map(|id| (NodeId(id), id)).collect();
    vec![Record::Born(1), Record::Life(1), Record::Fit(known)]
}

pub fn ballot(round: u64, node: u64) -> Ballot {
    Ballot { round, node: NodeId(node) }
}

pub fn put(value: i64) -> Payload {
    Payload::Command(put_command(value))
}

pub fn put_command(value: i64) -> Command {
    let operation = Operation::Write { key: "x".to_owned(), value: Value::Int(value) };
    Command::Do { stamp: None, operation }
}

pub fn read() -> Request {
    Request::Read { key: "x".to_owned() }
}

pub fn vote(slot: u64, at: Ballot, value: i64) -> Vote {
    Vote { slot: Slot(slot), ballot: at, payload: put(value) }
}

pub fn prepare(at: Ballot, from: u64) -> Message {
    Message::Prepare(Prepare { ballot: at, from: Slot(from), incarnation: 9, released: None })
}

pub fn accept(at: Ballot, first: u64, values: &[i64], commit: u64) -> Message {
    let values = values.iter().map(|&value| put(value)).collect();
    let (first, begin) = (Slot(first), Slot(1));
    let commit = Slot(commit);
    Message::Accept(Accept { ballot: at, first, values, commit, begin, merged: Slot(0), round: 1 })
}

pub fn accepted(at: Ballot, first: u64, count: u64, round: u64) -> Message {
    Message::Accepted(Accepted { ballot: at, round, first: Slot(first), count, through: None })
}

impl Solo {
    /// A node of a founded cluster of three.
    pub fn new(mutant: Option<Mutant>) -> Self {
        Self::with(config(3, mutant), fit(3))
    }

    pub fn with(config: Config, records: Vec<Record>) -> Self {
        let disk = Stored { snapshot: None, records };
        let clock = 1000 * MS;
        let core = MultiPaxos::restore(config.clone(), disk.clone(), Time(clock), 1).expect("a sound disk");
        let unsynced = Outputs::default();
        let mut solo = Self { core, config, disk, unsynced, tickets: 0, clock, wake_at: 0, requests: 0 };
        solo.step(Input::Tick);
        solo.sync();
        solo
    }

    fn step(&mut self, input: Input<Message>) -> Said {
        let mut out = Outputs::default();
        self.core.step(Time(self.clock), input, &mut out);
        self.wake_at = out.wake_at.0;
        if out.persists() {
            self.tickets += 1;
            if out.compact.is_some() {
                self.unsynced.records.clear();
                self.unsynced.compact = out.compact.take();
            }
            self.unsynced.records.append(&mut out.records);
        }
        let named = |messages: Vec<(NodeId, Message)>| messages.into_iter().map(|(to, m)| (to.0, m)).collect();
        Said {
            at_once: named(out.send),
            when_durable: named(out.send_when_durable),
            replies: out.replies.into_iter().map(|(_, reply)| reply).collect(),
            sync_wanted: out.sync_wanted,
        }
    }

    /// Everything written so far is durable now.
    pub fn sync(&mut self) -> Said {
        if let Some(compact) = self.unsynced.compact.take() {
            self.disk = Stored { snapshot: Some(compact.snapshot), records: compact.records };
        }
        self.disk.records.append(&mut self.unsynced.records);
        self.step(Input::Durable(Ticket(self.tickets)))
    }

    pub fn receive(&mut self, from: u64, message: Message) -> Said {
        self.step(Input::Receive { from: NodeId(from), message })
    }

    /// A message, and the sync that it asks for.
    pub fn receive_durably(&mut self, from: u64, message: Message) -> Said {
        let said = self.receive(from, message);
        self.sync();
        said
    }

    pub fn request(&mut self, request: Request) -> Said {
        self.requests += 1;
        self.step(Input::Client { id: RequestId(self.requests), request })
    }

    pub fn wait(&mut self, ms: u64) -> Said {
        self.clock += ms * MS;
        self.step(Input::Tick)
    }

    /// To the next moment at which the node wants to be woken.
    pub fn tick(&mut self) -> Said {
        self.clock = self.clock.max(self.wake_at);
        self.step(Input::Tick)
    }

    /// The power fails: what is not durable is gone.
    pub fn restart(&mut self) {
        let requests = self.requests;
        let clock = self.clock;
        let unsynced = Outputs::default();
        let core = MultiPaxos::restore(self.config.clone(), self.disk.clone(), Time(clock), 2).expect("a sound disk");
        (self.core, self.unsynced, self.tickets, self.requests) = (core, unsynced, 0, requests);
        self.step(Input::Tick);
        self.sync();
    }

    /// The power fails, and the disk with it; the next one has the number 7.
    pub fn wipe(&mut self) {
        self.disk = Stored::default();
        self.config.incarnation = 7;
        self.restart();
    }

    pub fn status(&self) -> Status {
        self.core.status()
    }

    pub fn fired(&self) -> u64 {
        self.status().fired
    }

    /// Its phase 1 begins: everyone else says that it hears no leader. The ballot asked for.
    pub fn stand(&mut self) -> Ballot {
        for _ in 0..100 {
            let said = self.tick();
            let asked = said.all().find_map(|m| if let Message::Ping { ballot } = m { Some(*ballot) } else { None });
            if let Some(ballot) = asked {
                for peer in 2..=self.config.voters.len() as u64 {
                    self.receive(peer, Message::Pong { ballot, granted: true, promised: Ballot::NONE });
                }
            }
            if self.status().role == "candidate" {
                self.sync();
                return self.core.view().promised;
            }
        }
        panic!("it does not stand");
    }

    /// A 1b of this acceptor.
    pub fn promise(&mut self, from: u64, at: Ballot, first: u64, votes: Vec<Vote>, snapshot: u64) -> Said {
        let (first, snapshot) = (Slot(first), Slot(snapshot));
        let incarnation = self.config.incarnation;
        let promise = Promise { ballot: at, incarnation, from: first, votes, more: None, snapshot };
        self.receive(from, Message::Promise(promise))
    }

    /// It leads a cluster of three in which nothing was accepted yet.
    pub fn lead(&mut self) -> Ballot {
        let at = self.stand();
        self.promise(2, at, self.status().applied + 1, Vec::new(), 0);
        assert_eq!(self.status().role, "leader");
        at
    }
}

/// The values of the 2a that were sent to node 2, in order.
pub fn proposed(said: &Said) -> Vec<Payload> {
    let all = said.at_once.iter().chain(&said.when_durable);
    all.filter(|(to, _)| *to == 2)
        .filter_map(|(_, m)| if let Message::Accept(m) = m { Some(m.values.clone()) } else { None })
        .flatten()
        .collect()
}

/// The newest round of heartbeats that was sent.
pub fn round(said: &Said) -> Option<u64> {
    said.all().filter_map(|m| if let Message::Accept(m) = m { Some(m.round) } else { None }).max()
}
