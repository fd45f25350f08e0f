//! The world: virtual time, an event heap, and nodes that step, crash and come back.
//!
//! ```text
//!   event heap ──> step a core ──> invariants ──> oracle          after every single step
//!        ▲              │
//!        │              ├─ records ──> disk: volatile ── sync ──> durable ──> held messages leave ──> Durable
//!        │              │               ▲ crash            ▲ crash                           ▲ crash
//!        │              ├─ messages ──> network: lost, doubled, late
//!        └── wake ──────┴─ replies ───> clients
//! ```
//!
//! Everything random comes from one generator, so a seed is a schedule. Nothing here knows which protocol runs.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
};

use nodes::{
    machine::{Command, Operation, Value},
    protocol::{Config, Input, NodeId, Outputs, Protocol, Reply, Request, RequestId, Ticket, Time},
};
use rand::RngExt;

use crate::{
    checks::Checks,
    client::Client,
    disk::Disk,
    network::{Network, index},
    oracle::{AttemptId, Oracle},
    schedule::{ELECTION_TIMEOUT, Generator, HEARTBEAT, MICROSECOND, MILLISECOND, Point, Schedule, generator},
};

/// One line of the trace, when there is one.
macro_rules! trace {
    ($world:expr, $($arg:tt)*) => {
        if $world.trace {
            eprintln!("{:>12} {}", $world.now, format_args!($($arg)*));
        }
    };
}

mod asking;
mod faults;
mod steps;

/// After healing, every node must have answered a client and all machines be equal within this.
const RECOVERY_MAX: u64 = 60 * ELECTION_TIMEOUT;
/// A schedule that takes more steps than this runs in circles.
const STEPS_MAX: u64 = 200_000;

/// What a schedule did, so that a test can see that it did something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub steps: u64,
    pub kills: u64,
    pub power_losses: u64,
    pub disks_lost: u64,
    pub crashes_before_sync: u64,
    pub crashes_before_send: u64,
    pub crashes_before_told: u64,
    pub restarts: u64,
    pub pauses: u64,
    pub partitions: u64,
    pub depositions: u64,
    pub dropped: u64,
    pub duplicated: u64,
    pub leaders: u64,
    pub snapshots_sent: u64,
    pub snapshots_installed: u64,
    pub truncations: u64,
    pub changes: u64,
    pub memberships: u64,
    pub joint_memberships: u64,
    pub committed: u64,
    pub answers: u64,
    pub reads: u64,
    pub refusals: u64,
    pub definite_refusals: u64,
    /// From healing to the last node's answer and equal machines, virtual nanoseconds; the longest.
    pub recovery_max: u64,
    /// A hash of all that happened.
    pub fingerprint: u64,
}

/// A property that does not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    pub seed: u64,
    pub at: u64,
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, at, what } = self;
        write!(f, "{what}\n  at {at} ns of the schedule of seed {seed}; TRUELINE_SIM_SEED={seed} prints all of it")
    }
}

#[derive(Clone, Debug)]
enum Event<M> {
    Wake { node: usize, life: u64, at: u64 },
    Deliver { from: usize, to: usize, message: M },
    Synced { node: usize, life: u64, through: Ticket },
    LazySync { node: usize, life: u64 },
    Restart { node: usize },
    Ask { node: usize, life: u64, id: RequestId, request: Request },
    Act { client: usize },
    GiveUp { client: usize, attempt: AttemptId },
    Fault,
    Depose { node: usize },
    Change { node: Option<usize> },
    Probe { node: usize },
}

struct Scheduled<M> {
    at: u64,
    order: u64,
    event: Event<M>,
}

impl<M> PartialEq for Scheduled<M> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl<M> Eq for Scheduled<M> {}
impl<M> PartialOrd for Scheduled<M> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<M> Ord for Scheduled<M> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// A message that waits for the disk.
struct Held<M> {
    ticket: Ticket,
    to: usize,
    message: M,
}

/// Whose request a reply ends.
#[derive(Clone, Copy)]
enum Asker {
    Client(usize, AttemptId),
    Probe(AttemptId),
    Operator(AttemptId),
}

struct Node<P: Protocol> {
    /// None while it is down.
    core: Option<P>,
    life: u64,
    disk: Disk<P::Record>,
    ticket: Ticket,
    synced: Ticket,
    /// The sync under way, if any, covers this.
    syncing: Option<Ticket>,
    sync_again: bool,
    held: VecDeque<Held<P::Message>>,
    asked: HashMap<RequestId, Asker>,
    requests: u64,
    wake: Option<u64>,
    paused_until: u64,
    clock_offset: u64,
    clock_ppm: u64,
    /// After healing: its probe was answered.
    probed: bool,
}

/// One schedule under way.
pub struct World<P: Protocol, C: Checks<P>> {
    schedule: Schedule,
    rng: Generator,
    now: u64,
    order: u64,
    events: BinaryHeap<Reverse<Scheduled<P::Message>>>,
    nodes: Vec<Node<P>>,
    network: Network,
    clients: Vec<Client>,
    oracle: Oracle,
    checks: C,
    out: Outputs<P::Message, P::Record>,
    points: [u64; 3],
    healed: bool,
    trace: bool,
    stats: Stats,
}

type Outcome = Result<(), String>;

impl<P: Protocol, C: Checks<P>> World<P, C> {
    /// Runs a schedule to its end.
    pub fn run(schedule: Schedule, trace: bool) -> Result<Stats, Violation> {
        Self::run_counting_points(schedule, trace).map(|(stats, _)| stats)
    }

    /// Also says how many persist points of each kind there were.
    pub fn run_counting_points(schedule: Schedule, trace: bool) -> Result<(Stats, [u64; 3]), Violation> {
        let seed = schedule.seed;
        let mut world = Self::new(schedule, trace);
        match world.live() {
            Ok(()) => Ok((world.final_stats(), world.points)),
            Err(what) => {
                trace!(world, "VIOLATION {what}");
                Err(Violation { seed, at: world.now, what })
            }
        }
    }

    fn new(schedule: Schedule, trace: bool) -> Self {
        let rng = generator(schedule.seed, 2);
        let schedule = if C::CHANGES_MEMBERSHIP { schedule } else { schedule.with_static_membership() };
        let nodes = schedule.places();
        if trace {
            eprintln!("{schedule:#?}");
        }
        Self {
            rng,
            now: 0,
            order: 0,
            events: BinaryHeap::new(),
            nodes: (0..nodes).map(|_| Node::new()).collect(),
            network: Network::new(nodes),
            clients: (0..schedule.clients).map(|_| Client::default()).collect(),
            oracle: Oracle::new(),
            checks: C::new(nodes),
            out: Outputs::default(),
            points: [0; 3],
            healed: false,
            trace,
            stats: Stats::default(),
            schedule,
        }
    }

    fn live(&mut self) -> Outcome {
        for node in 0..self.nodes.len() {
            self.start(node)?;
        }
        for client in 0..self.clients.len() {
            let think = self.rng.random_range(0..ELECTION_TIMEOUT * 4);
            self.after(think, Event::Act { client });
        }
        self.plan_fault();
        self.plan_change();
        let storm = self.schedule.storm;
        self.run_until(storm, |_| false)?;
        self.now = storm;
        self.heal()?;
        let deadline = self.now + RECOVERY_MAX;
        self.run_until(deadline, Self::has_recovered)?;
        if !self.has_recovered() {
            return Err(self.liveness_failure());
        }
        self.stats.recovery_max = self.now - storm;
        self.oracle.check_end()
    }

    fn final_stats(&self) -> Stats {
        let (memberships, joint_memberships) = self.checks.memberships();
        Stats {
            memberships,
            joint_memberships,
            dropped: self.network.dropped,
            duplicated: self.network.duplicated,
            leaders: self.checks.leaders(),
            snapshots_installed: self.checks.snapshots_installed(),
            truncations: self.checks.truncations(),
            answers: self.oracle.answers,
            reads: self.oracle.reads,
            refusals: self.oracle.refusals,
            definite_refusals: self.oracle.definite_refusals,
            ..self.stats
        }
    }

    fn after(&mut self, delay: u64, event: Event<P::Message>) {
        self.order += 1;
        self.events.push(Reverse(Scheduled { at: self.now + delay, order: self.order, event }));
    }

    fn run_until(&mut self, deadline: u64, done: impl Fn(&Self) -> bool) -> Outcome {
        while let Some(Reverse(next)) = self.events.peek() {
            if next.at > deadline || done(self) {
                break;
            }
            let Reverse(Scheduled { at, event, .. }) = self.events.pop().expect("just peeked");
            self.now = at;
            self.handle(event)?;
            if self.stats.steps > STEPS_MAX {
                return Err(format!("more than {STEPS_MAX} steps"));
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: Event<P::Message>) -> Outcome {
        if let Some(resumes) = self.paused(&event) {
            let delay = self.resume_delay(resumes);
            self.after(delay, event);
            return Ok(());
        }
        match event {
            Event::Wake { node, life, at } if self.nodes[node].lives(life) && self.nodes[node].wake == Some(at) => {
                self.nodes[node].wake = None;
                self.step(node, Input::Tick)
            }
            // Overtaken by a newer one.
            Event::Wake { .. } => Ok(()),
            Event::Deliver { from, to, message } => self.deliver(from, to, message),
            Event::Synced { node, life, through } if self.nodes[node].lives(life) => self.synced(node, through),
            Event::LazySync { node, life } if self.nodes[node].lives(life) => {
                self.start_sync(node);
                Ok(())
            }
            Event::Synced { .. } | Event::LazySync { .. } => Ok(()),
            Event::Restart { node } if self.nodes[node].core.is_none() => self.start(node),
            Event::Ask { node, life, id, request } if self.nodes[node].lives(life) => {
                self.step(node, Input::Client { id, request })
            }
            Event::Restart { .. } | Event::Ask { .. } => Ok(()),
            Event::Act { client } => self.act(client),
            Event::GiveUp { client, attempt } => {
                if self.clients[client].waiting == Some(attempt) {
                    trace!(self, "client {client} gives up on attempt {attempt}");
                    self.end_attempt(client, None);
                }
                Ok(())
            }
            Event::Fault => self.fault(),
            Event::Depose { node } => self.depose(node),
            Event::Change { node } => self.change(node),
            Event::Probe { node } => self.probe(node),
        }
    }

    /// What came while a node was paused lies in many queues; it takes from them in no order that can be told.
    fn resume_delay(&mut self, resumes: u64) -> u64 {
        resumes - self.now + self.rng.random_range(0..MILLISECOND)
    }

    /// Until when an event has to wait, if its node is paused.
    fn paused(&self, event: &Event<P::Message>) -> Option<u64> {
        let node = match event {
            Event::Deliver { to, .. } => *to,
            Event::Wake { node, .. }
            | Event::Synced { node, .. }
            | Event::LazySync { node, .. }
            | Event::Ask { node, .. } => *node,
            _ => return None,
        };
        let until = self.nodes[node].paused_until;
        (until > self.now).then_some(until)
    }
}

impl<P: Protocol> Node<P> {
    fn new() -> Self {
        Self {
            core: None,
            life: 0,
            disk: Disk::default(),
            ticket: Ticket(0),
            synced: Ticket(0),
            syncing: None,
            sync_again: false,
            held: VecDeque::new(),
            asked: HashMap::new(),
            requests: 0,
            wake: None,
            paused_until: 0,
            clock_offset: 0,
            clock_ppm: 1_000_000,
            probed: false,
        }
    }

    fn lives(&self, life: u64) -> bool {
        self.core.is_some() && self.life == life
    }

    /// The node's own clock.
    fn clock(&self, now: u64) -> Time {
        let ran = u128::from(now) * u128::from(self.clock_ppm) / 1_000_000;
        Time(self.clock_offset + u64::try_from(ran).expect("schedules are short"))
    }

    /// When the node's own clock will show this, at the earliest.
    fn when(&self, clock: Time) -> u64 {
        let ran = u128::from(clock.0.saturating_sub(self.clock_offset));
        u64::try_from((ran * 1_000_000).div_ceil(u128::from(self.clock_ppm))).unwrap_or(u64::MAX)
    }
}
