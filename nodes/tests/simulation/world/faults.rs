//! What goes wrong, and how it is put right again.

use super::*;

/// A wall clock is set wrong by so many nanoseconds, at most.
const WALL_CLOCK_JUMP_MAX: i64 = 2_000_000_000;

impl<P: Protocol, C: Checks<P>> World<P, C> {
    pub(super) fn plan_fault(&mut self) {
        let every = self.schedule.fault_every;
        if every < u64::MAX {
            let delay = self.rng.random_range(0..2 * every);
            self.after(delay, Event::Fault);
        }
    }

    pub(super) fn fault(&mut self) -> Outcome {
        if self.healed {
            return Ok(());
        }
        self.plan_fault();
        let leader = self.checks.leader().filter(|_| self.rng.random_bool(0.6));
        let node = leader.unwrap_or_else(|| self.rng.random_range(0..self.nodes.len()));
        if self.rng.random_bool(self.schedule.wall_clock) {
            return self.set_wall_clock(node);
        }
        match self.rng.random_range(0..20) {
            0..7 => {
                let shape = self.network.partition(&mut self.rng, leader);
                self.stats.partitions += 1;
                trace!(self, "PARTITION {shape}");
                Ok(())
            }
            7..11 => {
                trace!(self, "NETWORK HEALS");
                self.network.heal();
                Ok(())
            }
            11..14 => self.crash(node, false),
            14..16 => self.crash(node, true),
            16..17 => (0..self.nodes.len()).try_for_each(|node| self.crash(node, true)),
            _ => {
                let pause = self.rng.random_range(0..4 * ELECTION_TIMEOUT);
                trace!(self, "node {} PAUSES for {pause}", node + 1);
                self.stats.pauses += 1;
                self.nodes[node].paused_until = self.now + pause;
                Ok(())
            }
        }
    }

    /// Somebody sets the wall clock of a node, and often its links are cut at that moment: then it learns nothing that would set it right.
    fn set_wall_clock(&mut self, node: usize) -> Outcome {
        let offset_ns = self.rng.random_range(-WALL_CLOCK_JUMP_MAX..=WALL_CLOCK_JUMP_MAX);
        trace!(self, "node {} HAS ITS WALL CLOCK SET, off by {offset_ns}", node + 1);
        if self.rng.random_bool(0.5) {
            self.network.partition(&mut self.rng, Some(node));
        }
        self.step(node, Input::WallClock { offset_ns })
    }

    /// The node has just become leader: in some schedules not for long, so that what it began is left in every possible state.
    pub(super) fn plan_deposition(&mut self, node: usize) {
        if self.schedule.deposition > 0.0 && self.rng.random_bool(self.schedule.deposition) {
            let delay = self.rng.random_range(0..8 * self.schedule.delay_max);
            self.after(delay, Event::Depose { node });
        }
    }

    pub(super) fn plan_change(&mut self) {
        let every = self.schedule.change_every;
        if every < u64::MAX {
            let delay = self.rng.random_range(0..2 * every);
            self.after(delay, Event::Change { node: None });
        }
    }

    /// The node has just become leader: in some schedules it is asked for other members before it has committed anything.
    pub(super) fn plan_hasty_change(&mut self, node: usize) {
        if self.schedule.change_every < u64::MAX && self.rng.random_bool(self.schedule.hasty_changes) {
            let delay = self.rng.random_range(0..2 * self.schedule.delay_max);
            self.after(delay, Event::Change { node: Some(node) });
        }
    }

    /// Somebody wants other members: of this node, or of whoever leads; in some schedules the leader does not outlive it for long.
    pub(super) fn change(&mut self, node: Option<usize>) -> Outcome {
        if self.healed {
            return Ok(());
        }
        if node.is_none() {
            self.plan_change();
        }
        let leader = self.checks.leader().filter(|_| self.rng.random_bool(0.9));
        let node = node.or(leader).unwrap_or_else(|| self.rng.random_range(0..self.nodes.len()));
        let Some(request) = self.checks.change(&mut self.rng) else { return Ok(()) };
        if self.nodes[node].core.is_none() {
            return Ok(());
        }
        self.stats.changes += 1;
        trace!(self, "node {} IS ASKED for {request:?}", node + 1);
        let op = self.oracle.add(request);
        let attempt = self.oracle.invoke(op);
        self.plan_deposition(node);
        self.ask(node, Asker::Operator(attempt), op)
    }

    pub(super) fn depose(&mut self, node: usize) -> Outcome {
        if self.healed {
            return Ok(());
        }
        trace!(self, "node {} IS DEPOSED", node + 1);
        self.stats.depositions += 1;
        if self.rng.random_bool(0.5) {
            return self.crash_somehow(node);
        }
        self.network.partition(&mut self.rng, Some(node));
        Ok(())
    }

    pub(super) fn crash_somehow(&mut self, node: usize) -> Outcome {
        let power = self.rng.random_bool(0.5);
        self.crash(node, power)
    }

    /// The process ends; with `power`, what it had not synced may have reached the disk in part.
    pub(super) fn crash(&mut self, node: usize, power: bool) -> Outcome {
        if self.nodes[node].core.take().is_none() {
            return Ok(());
        }
        trace!(self, "node {} {}", node + 1, if power { "LOSES POWER" } else { "IS KILLED" });
        self.stats.kills += u64::from(!power);
        self.stats.power_losses += u64::from(power);
        let state = &mut self.nodes[node];
        if power {
            state.disk.lose_power(&mut self.rng);
        } else {
            state.disk.lose_process();
        }
        if !self.healed && self.schedule.crash_at.is_none() && self.checks.may_lose_disk(node) {
            self.lose_disk(node);
        }
        let state = &mut self.nodes[node];
        state.held.clear();
        state.paused_until = 0;
        let mut waiting: Vec<Asker> = state.asked.drain().map(|(_, asker)| asker).collect();
        // The map has no order of its own, and the clients draw from the generator.
        waiting.sort_by_key(|asker| match asker {
            Asker::Client(_, attempt) | Asker::Probe(attempt) | Asker::Operator(attempt) => *attempt,
        });
        for asker in waiting {
            match asker {
                Asker::Client(client, attempt) if self.clients[client].waiting == Some(attempt) => {
                    self.end_attempt(client, None);
                }
                Asker::Client(..) | Asker::Operator(_) => {}
                Asker::Probe(_) => self.after(HEARTBEAT, Event::Probe { node }),
            }
        }
        let down = self.rng.random_range(0..=self.schedule.down_max);
        self.after(down, Event::Restart { node });
        Ok(())
    }

    /// Now and then a node that is down loses everything it ever stored.
    fn lose_disk(&mut self, node: usize) {
        if self.rng.random_bool(self.schedule.disk_loss) {
            trace!(self, "node {} LOSES ITS DISK", node + 1);
            self.stats.disks_lost += 1;
            self.nodes[node].disk = Disk::default();
            self.checks.disk_lost(node);
        }
    }

    pub(super) fn start(&mut self, node: usize) -> Outcome {
        let drift = self.schedule.drift_ppm;
        let offset = self.rng.random_range(0..1000 * MILLISECOND);
        let ppm = 1_000_000 - drift + self.rng.random_range(0..=2 * drift);
        let seed = self.rng.random();
        let config = self.config(node);
        let state = &mut self.nodes[node];
        (state.clock_offset, state.clock_ppm) = (offset, ppm);
        state.life += 1;
        state.ticket = Ticket(0);
        state.synced = Ticket(0);
        state.syncing = None;
        state.sync_again = false;
        state.requests = 0;
        state.wake = None;
        self.stats.restarts += u64::from(state.life > 1);
        trace!(self, "node {} STARTS, life {}", node + 1, self.nodes[node].life);
        let state = &mut self.nodes[node];
        let core = P::restore(config, state.disk.stored(), state.clock(self.now), seed)
            .map_err(|error| format!("node {} does not start: {error}", node + 1))?;
        if !self.schedule.blind {
            self.checks
                .restarted(node, &core)
                .map_err(|what| format!("node {} after its restart: {what}", node + 1))?;
        }
        state.core = Some(core);
        self.step(node, Input::Tick)
    }

    fn config(&self, node: usize) -> Config {
        Config {
            id: NodeId(node as u64 + 1),
            nodes: (1..=self.schedule.places() as u64).map(NodeId).collect(),
            voters: (1..=self.schedule.nodes as u64).map(NodeId).collect(),
            heartbeat_ns: HEARTBEAT,
            election_timeout_ns: ELECTION_TIMEOUT,
            snapshot_every: self.schedule.snapshot_every,
            max_append_bytes: self.schedule.max_append_bytes,
            max_inflight: self.schedule.max_inflight,
            max_pending: self.schedule.max_pending,
            incarnation: self.nodes[node].life,
            reads: C::read_mode(&self.schedule),
            mutant: self.schedule.mutant,
        }
    }

    /// Nothing goes wrong any more; every node comes back, and each is asked to do something.
    pub(super) fn heal(&mut self) -> Outcome {
        trace!(self, "ALL HEALS");
        self.healed = true;
        self.network.heal();
        self.schedule.loss = 0.0;
        self.schedule.duplication = 0.0;
        self.schedule.straggle = 0.0;
        self.schedule.delay_max = MILLISECOND;
        self.schedule.sync_max = MILLISECOND;
        for node in 0..self.nodes.len() {
            if self.nodes[node].core.is_none() {
                self.start(node)?;
            }
            self.after(0, Event::Probe { node });
        }
        Ok(())
    }

    /// Asks a node, after healing, until it has answered once.
    pub(super) fn probe(&mut self, node: usize) -> Outcome {
        if self.nodes[node].probed {
            return Ok(());
        }
        if self.nodes[node].core.is_none() {
            self.after(HEARTBEAT, Event::Probe { node });
            return Ok(());
        }
        let value = Value::Int(i64::try_from(self.oracle.next_op()).expect("few operations"));
        let operation = Operation::Append { key: "probe".into(), value };
        let op = self.oracle.add(Request::Command(Command::Do { stamp: None, operation }));
        let attempt = self.oracle.invoke(op);
        self.ask(node, Asker::Probe(attempt), op)
    }

    pub(super) fn has_recovered(&self) -> bool {
        let members = self.checks.members();
        let applied = |node: &Node<P>| node.core.as_ref().map(|core| core.status().applied);
        let mut nodes = self.nodes.iter().enumerate().filter(|(at, _)| members.as_ref().is_none_or(|m| m.contains(at)));
        let first = nodes.clone().next().and_then(|(_, node)| applied(node));
        nodes.all(|(_, node)| node.probed && node.asked.is_empty() && applied(node) == first)
    }

    pub(super) fn liveness_failure(&self) -> String {
        let mut what = format!("not recovered {RECOVERY_MAX} ns after all was healed:");
        for (at, node) in self.nodes.iter().enumerate() {
            let status = node.core.as_ref().map(Protocol::status);
            what += &format!("\n  node {}: answered {}, {} waiting, {status:?}", at + 1, node.probed, node.asked.len());
        }
        what
    }
}
