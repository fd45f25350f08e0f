//! The core's thread: feeds inputs to a protocol, and does what its outputs ask for, in the order they demand.
//!
//! ```text
//!   inbox (bounded) ──> batch ──> step, step, step … ──┬─ send ──────────────> links, at once
//!   durable ticket ──────┘         Tick at wake_at     ├─ compact, records ──> storage thread, one lot for the whole batch
//!                                                      ├─ send_when_durable ─> held by ticket, then links
//!                                                      └─ replies ───────────> waiting HTTP handlers
//! ```
//!
//! A whole batch of inputs is stepped before its records are handed over, so that one sync serves many commands.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot, watch};

use super::{faults::Faults, links::Links, logging::Log};
use crate::{
    protocol::{Input, NodeId, Outputs, Protocol, Reply, Request, RequestId, Status, Ticket, Time},
    storage::{Job, Writer},
};

/// Inputs waiting for the core.
pub const INBOX_EVENTS_MAX: usize = 4096;
/// Inputs stepped before their records are handed over.
const BATCH_EVENTS_MAX: usize = 256;
/// Requests between two searches for clients that went away.
const SWEEP_EVERY_REQUESTS: u64 = 4096;
/// After a tick the core is left alone for this long, even if it asks for another at once.
const TICK_PAUSE: Duration = Duration::from_micros(500);

/// What comes from outside.
#[derive(Debug)]
pub enum Event<M> {
    /// A message of a peer.
    Receive {
        /// Who sent it.
        from: NodeId,
        /// What it says.
        message: M,
    },
    /// A request of a client of this node.
    Client {
        /// What is asked.
        request: Request,
        /// Where the answer goes. Dropped without one if the node ends.
        reply: oneshot::Sender<Reply>,
    },
}

/// The node's own monotonic clock. It may be made to run at another rate than time, but never backwards.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// A moment, and what the clock showed then.
    since: Instant,
    shown: Time,
    rate: f64,
}

impl Clock {
    /// A clock that starts now, and runs right.
    #[must_use]
    pub fn start() -> Self {
        Self { since: Instant::now(), shown: Time(0), rate: 1.0 }
    }

    /// The time on it.
    #[must_use]
    pub fn now(self) -> Time {
        self.at(Instant::now())
    }

    fn at(self, moment: Instant) -> Time {
        let elapsed = moment.saturating_duration_since(self.since);
        // A float is exact enough for a rate: to the nanosecond within a hundred days.
        let elapsed_ns = elapsed.as_nanos() as f64 * self.rate;
        Time(self.shown.0.checked_add(elapsed_ns as u64).expect("less than five hundred years"))
    }

    /// From now on it runs so many times as fast as time.
    pub fn set_rate(&mut self, rate: f64) {
        let now = Instant::now();
        *self = Self { since: now, shown: self.at(now), rate };
    }

    /// When the clock will show this; what it has shown already was at the last change at the latest.
    fn instant(self, time: Time) -> Instant {
        let ahead_ns = time.0.saturating_sub(self.shown.0) as f64 / self.rate;
        self.since + Duration::from_nanos(ahead_ns as u64)
    }
}

/// What the driver works with.
#[derive(Debug)]
pub struct Parts<P: Protocol> {
    /// The core.
    pub protocol: P,
    /// How often the mutant of this process decided otherwise before the core began: in the recovery of its storage.
    pub fired_before: u64,
    /// Its clock; restored on the same.
    pub clock: Clock,
    /// Where inputs come from.
    pub inbox: mpsc::Receiver<Event<P::Message>>,
    /// The highest durable ticket.
    pub durable: watch::Receiver<Ticket>,
    /// Where records go.
    pub writer: Writer<P::Record>,
    /// Where messages go.
    pub links: Links<P::Message>,
    /// Where the status is shown.
    pub status: watch::Sender<Status>,
    /// What is wrong with this node on purpose.
    pub faults: watch::Receiver<Faults>,
    /// Where lines go.
    pub log: Log,
}

/// Drives one core until its inbox closes.
#[derive(Debug)]
pub struct Driver<P: Protocol> {
    parts: Parts<P>,
    outputs: Outputs<P::Message, P::Record>,
    jobs: Vec<Job<P::Record>>,
    waiting: HashMap<RequestId, oneshot::Sender<Reply>>,
    /// The faults that count already.
    faults: Faults,
    held: VecDeque<(Ticket, NodeId, P::Message)>,
    last_request: u64,
    /// The last ticket given out, the last one that a sync was asked for, and the last that is durable.
    last_ticket: Ticket,
    wanted_ticket: Ticket,
    durable_ticket: Ticket,
}

impl<P: Protocol> Driver<P> {
    /// A driver that has done nothing yet.
    #[must_use]
    pub fn new(parts: Parts<P>) -> Self {
        Self {
            parts,
            outputs: Outputs::default(),
            jobs: Vec::new(),
            waiting: HashMap::new(),
            faults: Faults::default(),
            held: VecDeque::new(),
            last_request: 0,
            last_ticket: Ticket(0),
            wanted_ticket: Ticket(0),
            durable_ticket: Ticket(0),
        }
    }

    /// Runs until nobody can send inputs any more.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_EVENTS_MAX);
        let mut not_before = self.parts.clock.instant(Time(0));
        loop {
            self.take_faults();
            self.take_durable();
            for event in batch.drain(..) {
                self.take(event);
            }
            let now = self.parts.clock.now();
            if now >= self.outputs.wake_at {
                self.step(now, Input::Tick);
                not_before = self.parts.clock.instant(now) + TICK_PAUSE;
            }
            if !self.hand_over() {
                return;
            }
            self.publish();

            let wake_at = self.parts.clock.instant(self.outputs.wake_at).max(not_before);
            tokio::select! {
                biased;
                count = self.parts.inbox.recv_many(&mut batch, BATCH_EVENTS_MAX) => if count == 0 { return },
                changed = self.parts.durable.changed() => if changed.is_err() { return },
                changed = self.parts.faults.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(wake_at.into()) => {}
            }
        }
    }

    fn take_faults(&mut self) {
        let new = self.parts.faults.borrow_and_update().clone();
        if new.clock_rate != self.faults.clock_rate {
            self.parts.clock.set_rate(new.clock_rate);
        }
        if new.wall_clock_offset_ms != self.faults.wall_clock_offset_ms {
            let offset_ns = new.wall_clock_offset_ms.saturating_mul(1_000_000);
            self.step(self.parts.clock.now(), Input::WallClock { offset_ns });
        }
        self.faults = new;
    }

    fn take_durable(&mut self) {
        let durable = *self.parts.durable.borrow_and_update();
        if durable <= self.durable_ticket {
            return;
        }
        assert!(durable <= self.last_ticket, "only what was handed over can be durable");
        self.durable_ticket = durable;
        while self.held.front().is_some_and(|held| held.0 <= durable) {
            let (_, to, message) = self.held.pop_front().expect("looked at just now");
            self.parts.links.send(to, message);
        }
        self.step(self.parts.clock.now(), Input::Durable(durable));
    }

    fn take(&mut self, event: Event<P::Message>) {
        let input = match event {
            Event::Receive { from, message } => Input::Receive { from, message },
            Event::Client { request, reply } => {
                self.last_request += 1;
                if self.last_request.is_multiple_of(SWEEP_EVERY_REQUESTS) {
                    self.waiting.retain(|_, reply| !reply.is_closed());
                }
                let id = RequestId(self.last_request);
                self.waiting.insert(id, reply);
                Input::Client { id, request }
            }
        };
        self.step(self.parts.clock.now(), input);
    }

    fn step(&mut self, now: Time, input: Input<P::Message>) {
        let out = &mut self.outputs;
        self.parts.protocol.step(now, input, out);
        if out.persists() {
            self.last_ticket.0 += 1;
            if let Some(compact) = &out.compact {
                let (bytes, kept) = (compact.snapshot.len(), compact.records.len());
                let index = self.parts.protocol.status().snapshot_index;
                self.parts.log.line(format_args!("snapshot index={index} bytes={bytes} records-kept={kept}"));
            }
            if out.sync_wanted {
                self.wanted_ticket = self.last_ticket;
            }
            self.jobs.push(Job {
                ticket: self.last_ticket,
                compact: out.compact.take(),
                records: std::mem::take(&mut out.records),
                sync_wanted: out.sync_wanted,
            });
        }
        out.sync_wanted = false;
        for (to, message) in out.send.drain(..) {
            self.parts.links.send(to, message);
        }
        for (to, message) in out.send_when_durable.drain(..) {
            if self.durable_ticket == self.last_ticket {
                self.parts.links.send(to, message);
            } else {
                self.held.push_back((self.last_ticket, to, message));
            }
        }
        for (id, reply) in out.replies.drain(..) {
            // A client that gave up has no ear any more.
            let _gone = self.waiting.remove(&id).map(|waiting| waiting.send(reply));
        }
    }

    /// Gives the batch's records to the storage thread; `false` when there is none any more.
    fn hand_over(&mut self) -> bool {
        // A held message waits for its ticket, even if the step that took the ticket wanted no sync.
        if let Some(&(ticket, _, _)) = self.held.back()
            && ticket > self.wanted_ticket
        {
            self.wanted_ticket = self.last_ticket;
            self.jobs.push(Job { ticket: self.last_ticket, compact: None, records: Vec::new(), sync_wanted: true });
        }
        self.jobs.is_empty() || self.parts.writer.submit(std::mem::take(&mut self.jobs)).is_ok()
    }

    fn publish(&self) {
        let mut new = self.parts.protocol.status();
        new.fired += self.parts.fired_before + self.parts.writer.disk_faults().overlooked();
        let old = self.parts.status.send_replace(new.clone());
        if (&old.role, old.term, old.leader) != (&new.role, new.term, new.leader) {
            let leader = new.leader.map_or_else(|| "none".to_owned(), |leader| leader.0.to_string());
            self.parts.log.line(format_args!("role={} term={} leader={leader}", new.role, new.term));
        }
        if old.fired == 0 && new.fired > 0 {
            self.parts.log.line(format_args!("mutant fired for the first time"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_changes_its_rate_without_a_step() {
        let mut clock = Clock::start();
        let start = clock.since;
        let later = |ms| start + Duration::from_millis(ms);
        assert_eq!(clock.at(later(10)), Time(10_000_000));
        clock = Clock { since: later(10), shown: clock.at(later(10)), rate: 0.5 };
        assert_eq!(clock.at(later(10)), Time(10_000_000));
        assert_eq!(clock.at(later(30)), Time(20_000_000));
        assert_eq!(clock.instant(Time(20_000_000)), later(30));
        // What was before the change is not ahead of it.
        assert_eq!(clock.instant(Time(3)), later(10));
        clock = Clock { since: later(30), shown: clock.at(later(30)), rate: 2.0 };
        assert_eq!(clock.at(later(40)), Time(40_000_000));
        assert!(clock.instant(Time(u64::MAX)) > later(40));
    }

    #[test]
    fn a_change_of_rate_never_turns_a_clock_back() {
        let mut clock = Clock::start();
        let mut last = clock.now();
        for round in 0..1_000_u32 {
            clock.set_rate([0.01, 0.5, 1.0, 3.0][round as usize % 4]);
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }
}
