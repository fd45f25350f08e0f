//! One server, number 1 of three, alone with the test.

use nodes::{
    mutants::Mutant,
    protocol::{
        Config, Input, NodeId, Outputs, Protocol, Request, RequestId, Stored, Ticket, Time,
        zab::{
            Batch, Epoch, Epochs, Message, Notification, Payload, Place, Position, Proposal, Recency, Record, Vote,
            Zab, Zxid,
        },
    },
};

use crate::cluster::{MS, config};

pub type Out = Outputs<Message, Record>;

pub struct Server {
    pub zab: Zab,
    now: u64,
    tickets: u64,
}

pub fn zxid(epoch: u32, counter: u32) -> Zxid {
    Zxid { epoch: Epoch(epoch), counter }
}

pub fn place(position: u64, epoch: u32, counter: u32) -> Place {
    Place { position: Position(position), zxid: zxid(epoch, counter) }
}

/// Empty transactions of these names.
pub fn batch(epoch: u32, after: Place, names: &[(u32, u32)]) -> Batch {
    let proposal = |&(epoch, counter): &(u32, u32)| Proposal { zxid: zxid(epoch, counter), payload: Payload::Sync };
    Batch { epoch: Epoch(epoch), after, proposals: names.iter().map(proposal).collect() }
}

/// What a disk holds: epochs, and a history of these names.
pub fn stored(accepted: u32, from: u64, current: u32, names: &[(u32, u32)]) -> Stored<Record> {
    let accepted_from = (from > 0).then_some(NodeId(from));
    let epochs = Epochs { accepted: Epoch(accepted), accepted_from, current: Epoch(current) };
    let history = batch(accepted, Place::default(), names).proposals.into_iter().map(Record::Proposal);
    Stored { snapshot: None, records: [Record::Epochs(epochs)].into_iter().chain(history).collect() }
}

/// `from` leads already.
pub fn leads(id: u64) -> Message {
    let vote = Vote { leader: NodeId(id), recency: Recency::default() };
    Message::Notification(Notification { round: 1, vote, is_looking: false })
}

/// Someone looks for a leader.
pub fn looks(round: u64, leader: u64, current: u32, last: Zxid) -> Message {
    let vote = Vote { leader: NodeId(leader), recency: Recency { epoch: Epoch(current), zxid: last } };
    Message::Notification(Notification { round, vote, is_looking: true })
}

impl Server {
    pub fn new(mutant: Option<Mutant>, stored: Stored<Record>) -> Self {
        let config = Config { mutant, ..config(1, 3) };
        let zab = Zab::restore(config, stored, Time(0), 7).expect("sound");
        let mut server = Self { zab, now: 0, tickets: 0 };
        server.step(Input::Tick);
        server.sync();
        server
    }

    pub fn step(&mut self, input: Input<Message>) -> Out {
        let mut out = Out::default();
        self.zab.step(Time(self.now), input, &mut out);
        self.tickets += u64::from(out.persists());
        out
    }

    pub fn receive(&mut self, from: u64, message: Message) -> Out {
        self.step(Input::Receive { from: NodeId(from), message })
    }

    pub fn ask(&mut self, id: u64, request: Request) -> Out {
        self.step(Input::Client { id: RequestId(id), request })
    }

    pub fn sync(&mut self) -> Out {
        self.step(Input::Durable(Ticket(self.tickets)))
    }

    pub fn wait(&mut self, ms: u64) -> Out {
        self.now += ms * MS;
        self.step(Input::Tick)
    }

    /// Follows server 3, which proposes this epoch; the promise is durable.
    pub fn promise(&mut self, epoch: u32) {
        self.receive(3, leads(3));
        self.receive(3, Message::NewEpoch { epoch: Epoch(epoch) });
        self.sync();
    }

    /// The same, and is synchronized up to this place.
    pub fn synchronize(&mut self, epoch: u32, last: Place) {
        self.promise(epoch);
        self.receive(3, Message::NewLeader { epoch: Epoch(epoch), last });
        self.sync();
        self.receive(3, Message::UpToDate { epoch: Epoch(epoch), commit: last.position });
    }

    pub fn names(&self) -> Vec<(u32, u32)> {
        self.zab.view().history.iter().map(|p| (p.zxid.epoch.0, p.zxid.counter)).collect()
    }

    pub fn fired(&self) -> bool {
        self.zab.status().fired > 0
    }
}

/// Whether one of these is so.
pub fn any(messages: &[(NodeId, Message)], is: impl Fn(&Message) -> bool) -> bool {
    messages.iter().any(|(_, message)| is(message))
}
