//! The switch: one thread that reads every packet, asks the link rules, and writes, delays, doubles or drops it.
//!
//! ```text
//!   TUN of the clients --+                                       +--> TUN of the receiver, at once
//!   TUN of n1 -----------+--> destination --> rule --> verdict --+--> heap of delayed packets --> ... when due
//!   TUN of n2 -----------+                                       +--> dropped, and counted
//! ```
//!
//! A link is first in, first out unless its rule reorders: a delayed packet holds up those behind it. A change of a link's
//! rule lifts that (packets sent after a heal need not queue behind slow ones), and a cut also loses what was still waiting.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::io;
use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_pcg::Pcg32;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::packet::{destination, source};
use super::stats::SwitchStats;
use super::tun::{MTU_BYTES, Tun};
use crate::network::links::{LinkRule, LinkTable, Verdict, decide, endpoint};

/// How many packets may wait to be sent: about 100 MB. More are dropped and counted.
const DELAYED_PACKETS_MAX: usize = 65_536;
/// How many packets one interface may send before the others have their turn.
const BURST_PACKETS_MAX: usize = 64;
/// The kernel may otherwise add 50 us to every wait.
const TIMER_SLACK_NS: NonZeroU64 = NonZeroU64::MIN;

/// The switch and everything it owns. `ports` are in the order of the link table's endpoints.
pub(super) struct Switch {
    ports: Vec<Tun>,
    /// The address of the first port's network; a port's address ends with its own number.
    addresses: Vec<Ipv4Addr>,
    /// A second address behind the first port; its packets meet no rule.
    relay: Ipv4Addr,
    links: LinkTable,
    /// Copies of the table, renewed when its version changes.
    rules: Vec<LinkRule>,
    rules_version: u64,
    /// A generator for each link: what happens on one link does not change what happens on another.
    generators: Vec<Pcg32>,
    /// When the last packet that keeps its place in a link's order is due.
    last_due: Vec<Option<Instant>>,
    delayed: BinaryHeap<Delayed>,
    /// Packets numbered as they come, so that equal times keep their order.
    sequence: u64,
    stats: Arc<SwitchStats>,
}

/// A packet that waits.
struct Delayed {
    due: Instant,
    sequence: u64,
    from: usize,
    to: usize,
    /// The second copy of a doubled packet is not counted as passed again.
    is_copy: bool,
    packet: Box<[u8]>,
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Delayed {}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delayed {
    /// The greatest is the next one due, as `BinaryHeap` wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.sequence).cmp(&(self.due, self.sequence))
    }
}

impl Switch {
    pub(super) fn new(
        ports: Vec<(Tun, Ipv4Addr)>,
        relay: Ipv4Addr,
        links: LinkTable,
        seed: u64,
        stats: Arc<SwitchStats>,
    ) -> Self {
        let (ports, addresses): (Vec<_>, Vec<_>) = ports.into_iter().unzip();
        let count = ports.len() * ports.len();
        let mut rules = Vec::new();
        let rules_version = links.version();
        links.copy_rules(&mut rules);
        assert_eq!(rules.len(), count, "a port for each endpoint of the link table");
        Switch {
            ports,
            addresses,
            relay,
            links,
            rules,
            rules_version,
            generators: (0..count as u64).map(|link| Pcg32::new(seed, link)).collect(),
            last_due: vec![None; count],
            delayed: BinaryHeap::new(),
            sequence: 0,
            stats,
        }
    }

    /// Works until `stop` becomes readable.
    pub(super) fn run(mut self, stop: &OwnedFd) -> io::Result<()> {
        rustix::thread::set_current_timer_slack(Some(TIMER_SLACK_NS))?;
        let mut buffer = [0; MTU_BYTES as usize];
        loop {
            let (ready, stopped) = self.wait(stop)?;
            if stopped {
                return Ok(());
            }
            self.refresh_rules();
            for port in ready {
                self.drain(port, &mut buffer)?;
            }
            self.send_due();
        }
    }

    /// Waits for packets or for the next one to be due; gives the ports that have sent something.
    fn wait(&self, stop: &OwnedFd) -> io::Result<(Vec<usize>, bool)> {
        let mut sources: Vec<PollFd<'_>> = self.ports.iter().map(|port| PollFd::new(port, PollFlags::IN)).collect();
        sources.push(PollFd::new(stop, PollFlags::IN));
        let timeout = self.delayed.peek().map(|next| timespec(next.due.saturating_duration_since(Instant::now())));
        match poll(&mut sources, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let stopped = sources.pop().is_some_and(|source| !source.revents().is_empty());
        let ready = sources.iter().enumerate().filter(|(_, source)| !source.revents().is_empty()).map(|(port, _)| port);
        Ok((ready.collect(), stopped))
    }

    /// Renews the copied rules when the table has changed.
    fn refresh_rules(&mut self) {
        let version = self.links.version();
        if version == self.rules_version {
            return;
        }
        let before = std::mem::take(&mut self.rules);
        self.links.copy_rules(&mut self.rules);
        self.rules_version = version;
        for (link, (old, new)) in before.iter().zip(&self.rules).enumerate() {
            if old != new {
                self.last_due[link] = None;
            }
        }
    }

    /// Takes what one port has sent, up to a burst.
    fn drain(&mut self, from: usize, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..BURST_PACKETS_MAX {
            // The table may change in the middle of a burst: a cut must not let the rest of it through.
            self.refresh_rules();
            let Some(length) = self.ports[from].read(buffer)? else { break };
            self.switch(from, &buffer[..length]);
        }
        Ok(())
    }

    /// The fate of one packet.
    fn switch(&mut self, from: usize, packet: &[u8]) {
        if let Some(to) = self.relayed(from, packet) {
            if self.ports[to].write(packet).is_err() {
                self.stats.count_refused();
            }
            return;
        }
        let to = destination(packet).and_then(|address| self.addresses.iter().position(|known| *known == address));
        let Some(to) = to.filter(|to| *to != from) else {
            self.stats.count_unroutable();
            return;
        };
        let link = from * self.ports.len() + to;
        match decide(&self.rules[link], &mut self.generators[link]) {
            Verdict::Drop => self.links.counters(endpoint(from), endpoint(to)).count_dropped(),
            Verdict::Deliver { delay, copies, overtakable } => {
                let due = self.due(link, delay, overtakable);
                if copies > 1 {
                    self.links.counters(endpoint(from), endpoint(to)).count_duplicated();
                }
                for copy in 0..copies {
                    self.send_or_hold(from, to, due, copy > 0, packet);
                }
            }
        }
    }

    /// The receiver of a packet to or from the relay.
    fn relayed(&self, from: usize, packet: &[u8]) -> Option<usize> {
        let destination = destination(packet)?;
        match from {
            0 if source(packet) == Some(self.relay) => self.addresses.iter().position(|known| *known == destination),
            _ => (from != 0 && destination == self.relay).then_some(0),
        }
    }

    /// When a packet is to be sent; `None` is at once.
    fn due(&mut self, link: usize, delay: Duration, overtakable: bool) -> Option<Instant> {
        if delay.is_zero() && self.last_due[link].is_none() {
            return None;
        }
        let now = Instant::now();
        let wanted = now + delay;
        if overtakable {
            return Some(wanted);
        }
        let due = self.last_due[link].map_or(wanted, |last| last.max(wanted));
        if due <= now {
            self.last_due[link] = None;
            return None;
        }
        self.last_due[link] = Some(due);
        Some(due)
    }

    fn send_or_hold(&mut self, from: usize, to: usize, due: Option<Instant>, is_copy: bool, packet: &[u8]) {
        let Some(due) = due else {
            self.send(from, to, is_copy, packet);
            return;
        };
        if self.delayed.len() >= DELAYED_PACKETS_MAX {
            self.stats.count_overflow();
            return;
        }
        self.links.counters(endpoint(from), endpoint(to)).count_delayed();
        self.sequence += 1;
        let packet = packet.into();
        self.delayed.push(Delayed { due, sequence: self.sequence, from, to, is_copy, packet });
    }

    /// Sends what is due by now, and records how late it is.
    fn send_due(&mut self) {
        loop {
            let now = Instant::now();
            let Some(next) = self.delayed.peek_mut().filter(|next| next.due <= now) else { break };
            let Delayed { due, from, to, is_copy, packet, .. } = std::collections::binary_heap::PeekMut::pop(next);
            self.refresh_rules();
            if self.rules[from * self.ports.len() + to].blocked {
                self.links.counters(endpoint(from), endpoint(to)).count_dropped();
                continue;
            }
            self.stats.record_lateness(now - due);
            self.send(from, to, is_copy, &packet);
        }
    }

    fn send(&self, from: usize, to: usize, is_copy: bool, packet: &[u8]) {
        match self.ports[to].write(packet) {
            Ok(()) if is_copy => {}
            Ok(()) => self.links.counters(endpoint(from), endpoint(to)).count_passed(),
            // A full or vanished receiver loses packets, as on a wire; TCP sends them again.
            Err(_) => self.stats.count_refused(),
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(due: Instant, sequence: u64) -> Delayed {
        Delayed { due, sequence, from: 0, to: 1, is_copy: false, packet: Box::default() }
    }

    #[test]
    fn the_heap_gives_the_earliest_first_and_equal_times_in_order() {
        let start = Instant::now();
        let later = start + Duration::from_millis(1);
        let mut heap: BinaryHeap<_> = [waiting(later, 1), waiting(start, 3), waiting(start, 2)].into();
        let order: Vec<_> = std::iter::from_fn(|| heap.pop()).map(|delayed| delayed.sequence).collect();
        assert_eq!(order, [2, 3, 1]);
    }
}
