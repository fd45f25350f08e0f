//! A node's step and what follows from it: checks, disk, messages, replies, the next wake-up.

use super::*;

/// The longest that a wake-up comes late.
const WAKE_LATE_MAX: u64 = MILLISECOND / 2;

impl<P: Protocol, C: Checks<P>> World<P, C> {
    pub(super) fn step(&mut self, node: usize, input: Input<P::Message>) -> Outcome {
        self.stats.steps += 1;
        let mut out = std::mem::take(&mut self.out);
        let clock = self.nodes[node].clock(self.now);
        let Some(core) = &mut self.nodes[node].core else { return Ok(()) };
        core.step(clock, input, &mut out);
        let outcome = self.check(node).and_then(|()| self.follow(node, &mut out));
        out.compact = None;
        out.records.clear();
        out.send.clear();
        out.send_when_durable.clear();
        out.replies.clear();
        out.sync_wanted = false;
        out.wake_at = Time(0);
        self.out = out;
        outcome.map_err(|what| format!("node {}: {what}", node + 1))
    }

    /// Everything that must hold after every step.
    fn check(&mut self, node: usize) -> Outcome {
        if self.schedule.blind {
            return Ok(());
        }
        let core = self.nodes[node].core.as_ref().expect("it has just stepped");
        let mut news = Vec::new();
        let leaders = self.checks.leaders();
        let seen = self.checks.after_step(node, core, &mut news)?;
        if self.checks.leaders() > leaders {
            self.plan_deposition(node);
            self.plan_hasty_change(node);
        }
        for committed in news {
            trace!(self, "committed {committed:?}");
            self.stats.committed += 1;
            self.oracle.commit(committed)?;
        }
        self.oracle.check_state(seen)?;
        self.fingerprint(seen.digest ^ seen.commit ^ node as u64);
        Ok(())
    }

    fn fingerprint(&mut self, what: u64) {
        let mixed = (self.stats.fingerprint ^ what ^ self.now).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.stats.fingerprint = mixed ^ (mixed >> 29);
    }

    /// Does what the step asked for; a crash may come in between.
    fn follow(&mut self, node: usize, out: &mut Outputs<P::Message, P::Record>) -> Outcome {
        let persists = out.persists();
        if persists {
            let state = &mut self.nodes[node];
            state.ticket.0 += 1;
            state.disk.append(state.ticket, out.compact.take(), &mut out.records);
        }
        let crashes = persists && self.crashes_at(Point::Unsynced);
        if crashes && self.rng.random_bool(0.5) {
            trace!(self, "node {} crashes before what it says gets out", node + 1);
            return self.crash_somehow(node);
        }
        for (to, message) in out.send.drain(..) {
            self.send(node, index(to), message);
        }
        self.hold(node, out)?;
        for (id, reply) in out.replies.drain(..) {
            self.reply(node, id, &reply)?;
        }
        if crashes {
            trace!(self, "node {} crashes before its sync", node + 1);
            return self.crash_somehow(node);
        }
        self.plan_sync(node, out.sync_wanted, persists);
        self.plan_wake(node, out.wake_at);
        Ok(())
    }

    /// Keeps back what waits for the disk; what waits for nothing leaves.
    fn hold(&mut self, node: usize, out: &mut Outputs<P::Message, P::Record>) -> Outcome {
        if out.send_when_durable.is_empty() {
            return Ok(());
        }
        let state = &self.nodes[node];
        let ticket = state.ticket;
        let waits = ticket > state.synced;
        if waits && !out.sync_wanted && state.syncing.is_none_or(|through| through < ticket) && !state.sync_again {
            return Err("messages wait for a sync that nobody asked for".into());
        }
        for (to, message) in out.send_when_durable.drain(..) {
            if waits {
                self.nodes[node].held.push_back(Held { ticket, to: index(to), message });
            } else {
                self.send(node, index(to), message);
            }
        }
        Ok(())
    }

    fn plan_sync(&mut self, node: usize, wanted: bool, persists: bool) {
        if wanted {
            self.start_sync(node);
        } else if persists && self.schedule.lazy_sync > 0.0 && self.rng.random_bool(self.schedule.lazy_sync) {
            let life = self.nodes[node].life;
            let delay = self.rng.random_range(0..200 * MILLISECOND);
            self.after(delay, Event::LazySync { node, life });
        }
    }

    /// One sync at a time; what comes while it runs waits for the next.
    pub(super) fn start_sync(&mut self, node: usize) {
        let delay = self.rng.random_range(10 * MICROSECOND..=self.schedule.sync_max);
        let state = &mut self.nodes[node];
        if state.syncing.is_some() {
            state.sync_again = true;
            return;
        }
        if state.ticket <= state.synced {
            return;
        }
        state.syncing = Some(state.ticket);
        let (life, through) = (state.life, state.ticket);
        self.after(delay, Event::Synced { node, life, through });
    }

    /// A sync is done: the records are safe, then the messages leave, then the core is told.
    pub(super) fn synced(&mut self, node: usize, through: Ticket) -> Outcome {
        let state = &mut self.nodes[node];
        state.disk.sync(through);
        state.synced = through;
        state.syncing = None;
        let released = state.held.partition_point(|held| held.ticket <= through);
        let crashes = self.crashes_at(Point::Unsent);
        // A crash may come between two messages.
        let sent = if crashes { self.rng.random_range(0..=released) } else { released };
        for _ in 0..sent {
            let held = self.nodes[node].held.pop_front().expect("counted above");
            self.send(node, held.to, held.message);
        }
        if crashes || self.crashes_at(Point::Untold) {
            trace!(self, "node {} crashes after its sync, {sent} of {released} messages sent", node + 1);
            return self.crash_somehow(node);
        }
        if std::mem::take(&mut self.nodes[node].sync_again) {
            self.start_sync(node);
        }
        trace!(self, "node {} synced {through:?}", node + 1);
        self.step(node, Input::Durable(through))
    }

    fn plan_wake(&mut self, node: usize, wake_at: Time) {
        let late = self.rng.random_range(0..WAKE_LATE_MAX);
        let state = &mut self.nodes[node];
        let at = state.when(wake_at).max(self.now + MICROSECOND).saturating_add(late);
        if state.wake.is_some_and(|wake| wake <= at && wake > self.now && wake + WAKE_LATE_MAX > at) {
            return;
        }
        state.wake = Some(at);
        let life = state.life;
        self.after(at - self.now, Event::Wake { node, life, at });
    }

    pub(super) fn send(&mut self, from: usize, to: usize, message: P::Message) {
        let message = if self.schedule.encode {
            let bytes = postcard::to_stdvec(&message).expect("messages encode");
            postcard::from_bytes(&bytes).expect("messages decode")
        } else {
            message
        };
        if !self.schedule.blind {
            self.checks.told(from, to, &message);
        }
        let mut delays = self.network.delays(&mut self.rng, &self.schedule, from, to);
        trace!(self, "{} -> {} {message:?}{}", from + 1, to + 1, if delays.is_empty() { " LOST" } else { "" });
        let last = delays.pop();
        for delay in delays {
            self.after(delay, Event::Deliver { from, to, message: message.clone() });
        }
        if let Some(delay) = last {
            self.after(delay, Event::Deliver { from, to, message });
        }
    }

    pub(super) fn deliver(&mut self, from: usize, to: usize, message: P::Message) -> Outcome {
        if self.nodes[to].core.is_none() || !self.network.arrives(from, to) {
            return Ok(());
        }
        trace!(self, "{} <- {} {}", to + 1, from + 1, C::kind(&message));
        self.stats.snapshots_sent += u64::from(C::carries_snapshot(&message));
        let from = NodeId(from as u64 + 1);
        self.step(to, Input::Receive { from, message })
    }

    fn crashes_at(&mut self, point: Point) -> bool {
        let count = &mut self.points[point as usize];
        *count += 1;
        let crashes = match self.schedule.crash_at {
            Some(at) => at == (point, *count),
            None => !self.healed && self.schedule.crash > 0.0 && self.rng.random_bool(self.schedule.crash),
        };
        if crashes {
            match point {
                Point::Unsynced => self.stats.crashes_before_sync += 1,
                Point::Unsent => self.stats.crashes_before_send += 1,
                Point::Untold => self.stats.crashes_before_told += 1,
            }
        }
        crashes
    }
}
