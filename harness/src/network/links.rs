//! The one table of link rules: what may happen to traffic between two endpoints, by direction.
//!
//! ```text
//!            set / block / heal_all                    rule(from, to), version
//!   nemesis ------------------------> [ LinkTable ] ----------------------------> fabric switch (packets)
//!                                     rules, counters ---------------------------> TCP proxy     (bytes)
//! ```
//!
//! Whoever carries traffic reads the table; nobody else decides. [`decide`] is the whole decision about one packet, a pure
//! function of the rule and a seeded generator, so that it can be tested without a network.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rand::{Rng, RngExt};
use tokio::sync::watch;

/// One end of a link. Nodes count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// All clients of the harness: they live in the controller and share one address.
    Clients,
    /// The node with this id, `1..=nodes`.
    Node(u32),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Clients => f.write_str("clients"),
            Endpoint::Node(id) => write!(f, "n{id}"),
        }
    }
}

/// What happens to traffic in one direction of one link. The default lets everything through untouched.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkRule {
    /// Nothing passes, and what was still under way is lost.
    pub blocked: bool,
    /// Added to every packet.
    pub delay: Duration,
    /// A further delay, drawn evenly from zero to this for each packet. It keeps the order of the packets.
    pub jitter: Duration,
    /// Probability that a packet is lost.
    pub loss: f64,
    /// Probability that a packet arrives twice.
    pub duplicate: f64,
    /// Probability that a packet is held for [`reorder_delay`](Self::reorder_delay) while later ones overtake it.
    pub reorder: f64,
    /// How much longer a reordered packet takes.
    pub reorder_delay: Duration,
}

impl LinkRule {
    /// The rule of a link that is cut.
    pub fn cut() -> Self {
        LinkRule { blocked: true, ..LinkRule::default() }
    }

    /// A rule that only delays.
    pub fn delayed(delay: Duration, jitter: Duration) -> Self {
        LinkRule { delay, jitter, ..LinkRule::default() }
    }

    /// Whether the rule lets everything through at once.
    pub fn is_clear(&self) -> bool {
        *self == LinkRule::default()
    }

    /// # Panics
    /// When a probability is not in `0..=1`: a fault that was asked for and cannot be meant.
    fn assert_meaningful(&self) {
        for (name, p) in [("loss", self.loss), ("duplicate", self.duplicate), ("reorder", self.reorder)] {
            assert!((0.0..=1.0).contains(&p), "the probability of {name} must be between 0 and 1, and is {p}");
        }
    }
}

/// What to do with one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is lost.
    Drop,
    /// It arrives.
    Deliver {
        /// After this long.
        delay: Duration,
        /// This many times.
        copies: u32,
        /// Later packets may overtake it; otherwise the link is first in, first out.
        overtakable: bool,
    },
}

/// Decides about one packet.
///
/// Every call that meets a rule with probabilities draws the same number of values, whatever they turn out to be, so that a
/// link's n-th packet meets the same fate for the same seed.
pub fn decide(rule: &LinkRule, rng: &mut impl Rng) -> Verdict {
    if rule.is_clear() {
        return Verdict::Deliver { delay: Duration::ZERO, copies: 1, overtakable: false };
    }
    let lost = rng.random_bool(rule.loss);
    let doubled = rng.random_bool(rule.duplicate);
    let reordered = rng.random_bool(rule.reorder);
    let jitter = rule.jitter.mul_f64(rng.random::<f64>());
    if rule.blocked || lost {
        return Verdict::Drop;
    }
    let extra = if reordered { rule.reorder_delay } else { Duration::ZERO };
    Verdict::Deliver { delay: rule.delay + jitter + extra, copies: if doubled { 2 } else { 1 }, overtakable: reordered }
}

/// What a link has done so far. Packets in the fabric; chunks of a byte stream in the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Handed on (the second copy of a doubled packet is not counted here).
    pub passed: u64,
    /// Lost by the rule.
    pub dropped: u64,
    /// Doubled by the rule.
    pub duplicated: u64,
    /// Held back by the rule before they were handed on.
    pub delayed: u64,
    /// Messages that were doubled or held back by a rule for messages, on top of what the link does to everything.
    pub altered: u64,
}

/// The counters behind [`LinkCounts`], for whoever carries the traffic.
#[derive(Debug, Default)]
pub struct LinkCounters {
    passed: AtomicU64,
    dropped: AtomicU64,
    duplicated: AtomicU64,
    delayed: AtomicU64,
    altered: AtomicU64,
    /// How often this link went from open to blocked. Not reset: a proxy compares it to learn that a cut was missed.
    cuts: AtomicU64,
}

impl LinkCounters {
    /// Something was handed on.
    pub fn count_passed(&self) {
        self.passed.fetch_add(1, Ordering::Relaxed);
    }

    /// Something was lost.
    pub fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Something was doubled.
    pub fn count_duplicated(&self) {
        self.duplicated.fetch_add(1, Ordering::Relaxed);
    }

    /// Something was held back.
    pub fn count_delayed(&self) {
        self.delayed.fetch_add(1, Ordering::Relaxed);
    }

    /// A rule for messages doubled one or held it back.
    pub fn count_altered(&self) {
        self.altered.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> LinkCounts {
        LinkCounts {
            passed: self.passed.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            duplicated: self.duplicated.load(Ordering::Relaxed),
            delayed: self.delayed.load(Ordering::Relaxed),
            altered: self.altered.load(Ordering::Relaxed),
        }
    }
}

/// One directed link as it is at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkState {
    /// The rule in force.
    pub rule: LinkRule,
    /// What the link has done so far.
    pub counts: LinkCounts,
}

/// The rules and counters of every directed link among a number of nodes and the clients. Clones share one table.
#[derive(Clone, Debug)]
pub struct LinkTable {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Clients and nodes together.
    endpoints: usize,
    /// `endpoints * endpoints` rules, row by sender.
    rules: RwLock<Vec<LinkRule>>,
    counters: Vec<LinkCounters>,
    /// Goes up with each change, after the rules have changed.
    version: watch::Sender<u64>,
    /// The same number, for readers that look at every packet.
    fast_version: AtomicU64,
}

impl LinkTable {
    /// A table for this many nodes, with nothing wrong on any link.
    pub fn new(nodes: u32) -> Self {
        let endpoints = nodes as usize + 1;
        let links = endpoints * endpoints;
        LinkTable {
            shared: Arc::new(Shared {
                endpoints,
                rules: RwLock::new(vec![LinkRule::default(); links]),
                counters: (0..links).map(|_| LinkCounters::default()).collect(),
                version: watch::Sender::new(0),
                fast_version: AtomicU64::new(0),
            }),
        }
    }

    /// How many nodes the table knows.
    pub fn nodes(&self) -> u32 {
        (self.shared.endpoints - 1) as u32
    }

    /// Clients first, then the nodes.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> + use<> {
        (0..self.shared.endpoints).map(endpoint)
    }

    /// Sets the rule from one endpoint to another; the other direction stays as it is.
    ///
    /// # Panics
    /// When an endpoint does not exist or a probability is out of range.
    pub fn set(&self, from: Endpoint, to: Endpoint, rule: LinkRule) {
        self.update([(from, to, rule)]);
    }

    /// Sets several rules in one step: no traffic sees half of a partition.
    ///
    /// # Panics
    /// As [`set`](Self::set).
    pub fn update(&self, changes: impl IntoIterator<Item = (Endpoint, Endpoint, LinkRule)>) {
        self.change(changes.into_iter().map(|(from, to, new)| (from, to, move |rule: &mut LinkRule| *rule = new)));
    }

    fn change<F: FnOnce(&mut LinkRule)>(&self, changes: impl IntoIterator<Item = (Endpoint, Endpoint, F)>) {
        let mut rules = self.shared.rules.write().unwrap_or_else(PoisonError::into_inner);
        for (from, to, change) in changes {
            let link = self.index(from, to);
            let was_blocked = rules[link].blocked;
            let mut rule = rules[link];
            change(&mut rule);
            rule.assert_meaningful();
            if rule.blocked && !was_blocked {
                self.shared.counters[link].cuts.fetch_add(1, Ordering::Release);
            }
            rules[link] = rule;
        }
        self.shared.fast_version.fetch_add(1, Ordering::Release);
        // Those who are told look at the rules while they hold the announcement: with the rules still locked here, each
        // would wait for the other.
        drop(rules);
        self.shared.version.send_modify(|version| *version += 1);
    }

    /// Cuts one direction, whatever else its rule says, and keeps the rest of the rule for [`unblock`](Self::unblock).
    pub fn block(&self, from: Endpoint, to: Endpoint) {
        self.change([(from, to, |rule: &mut LinkRule| rule.blocked = true)]);
    }

    /// Opens one direction again; delays and the rest of its rule stay.
    pub fn unblock(&self, from: Endpoint, to: Endpoint) {
        self.change([(from, to, |rule: &mut LinkRule| rule.blocked = false)]);
    }

    /// Clears every rule.
    pub fn heal_all(&self) {
        let pairs: Vec<_> = self.endpoints().flat_map(|from| self.endpoints().map(move |to| (from, to))).collect();
        self.update(pairs.into_iter().map(|(from, to)| (from, to, LinkRule::default())));
    }

    /// The rule in force.
    pub fn rule(&self, from: Endpoint, to: Endpoint) -> LinkRule {
        self.shared.rules.read().unwrap_or_else(PoisonError::into_inner)[self.index(from, to)]
    }

    /// What a link has done so far.
    pub fn counts(&self, from: Endpoint, to: Endpoint) -> LinkCounts {
        self.counters(from, to).read()
    }

    /// All links between different endpoints, with their rules and counters.
    pub fn snapshot(&self) -> BTreeMap<(Endpoint, Endpoint), LinkState> {
        let rules = self.shared.rules.read().unwrap_or_else(PoisonError::into_inner);
        let mut states = BTreeMap::new();
        for (link, rule) in rules.iter().enumerate() {
            let (from, to) = (link / self.shared.endpoints, link % self.shared.endpoints);
            if from != to {
                let counts = self.shared.counters[link].read();
                states.insert((endpoint(from), endpoint(to)), LinkState { rule: *rule, counts });
            }
        }
        states
    }

    /// The counters of one link, for whoever carries its traffic.
    pub fn counters(&self, from: Endpoint, to: Endpoint) -> &LinkCounters {
        &self.shared.counters[self.index(from, to)]
    }

    /// How often a link was cut so far.
    pub(crate) fn cuts(&self, from: Endpoint, to: Endpoint) -> u64 {
        self.counters(from, to).cuts.load(Ordering::Acquire)
    }

    /// Changes with every change of a rule; cheap enough to look at for each packet.
    pub(crate) fn version(&self) -> u64 {
        self.shared.fast_version.load(Ordering::Acquire)
    }

    /// Tells of every change of a rule.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// Copies all rules, row by sender, endpoints in the order of [`endpoints`](Self::endpoints).
    pub(crate) fn copy_rules(&self, into: &mut Vec<LinkRule>) {
        into.clone_from(&self.shared.rules.read().unwrap_or_else(PoisonError::into_inner));
    }

    fn index(&self, from: Endpoint, to: Endpoint) -> usize {
        self.position(from) * self.shared.endpoints + self.position(to)
    }

    fn position(&self, endpoint: Endpoint) -> usize {
        match endpoint {
            Endpoint::Clients => 0,
            Endpoint::Node(id) => {
                let known = id >= 1 && (id as usize) < self.shared.endpoints;
                assert!(known, "there is no node {id}: they count from 1 to {}", self.nodes());
                id as usize
            }
        }
    }
}

/// The endpoint at a position of the table.
pub(crate) fn endpoint(position: usize) -> Endpoint {
    match position {
        0 => Endpoint::Clients,
        id => Endpoint::Node(id as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_pcg::Pcg32;

    const A: Endpoint = Endpoint::Node(1);
    const B: Endpoint = Endpoint::Node(2);

    fn fates(rule: LinkRule, packets: usize) -> Vec<Verdict> {
        let mut rng = Pcg32::new(7, 1);
        (0..packets).map(|_| decide(&rule, &mut rng)).collect()
    }

    #[test]
    fn a_clear_rule_passes_everything_once_and_at_once() {
        let pass = Verdict::Deliver { delay: Duration::ZERO, copies: 1, overtakable: false };
        assert!(fates(LinkRule::default(), 100).iter().all(|v| *v == pass));
    }

    #[test]
    fn a_blocked_link_drops_everything() {
        assert!(fates(LinkRule::cut(), 100).iter().all(|v| *v == Verdict::Drop));
    }

    #[test]
    fn loss_duplication_and_reordering_happen_about_as_often_as_asked() {
        let ms = Duration::from_millis;
        let rule = LinkRule { loss: 0.2, duplicate: 0.3, reorder: 0.1, reorder_delay: ms(50), ..LinkRule::default() };
        let fates = fates(rule, 10_000);
        let lost = fates.iter().filter(|v| **v == Verdict::Drop).count();
        let doubled = fates.iter().filter(|v| matches!(v, Verdict::Deliver { copies: 2, .. })).count();
        let reordered = fates
            .iter()
            .filter(|v| matches!(v, Verdict::Deliver { overtakable: true, delay, .. } if *delay == ms(50)))
            .count();
        // The generator is seeded: these bounds can not fail by chance.
        assert!((1_800..2_200).contains(&lost), "{lost}");
        assert!((2_200..2_600).contains(&doubled), "0.3 of the 80 % that arrive: {doubled}");
        assert!((700..900).contains(&reordered), "{reordered}");
    }

    #[test]
    fn jitter_stays_between_delay_and_delay_plus_jitter() {
        let ms = Duration::from_millis;
        let delays: Vec<_> = fates(LinkRule::delayed(ms(10), ms(5)), 1_000)
            .into_iter()
            .map(|v| match v {
                Verdict::Deliver { delay, .. } => delay,
                Verdict::Drop => panic!("nothing asks for loss"),
            })
            .collect();
        assert!(delays.iter().all(|d| (ms(10)..=ms(15)).contains(d)));
        assert!(delays.iter().any(|d| *d < ms(11)) && delays.iter().any(|d| *d > ms(14)));
    }

    #[test]
    fn the_same_seed_decides_the_same() {
        let rule = LinkRule { loss: 0.5, duplicate: 0.5, ..LinkRule::default() };
        assert_eq!(fates(rule, 50), fates(rule, 50));
    }

    #[test]
    fn rules_are_by_direction_and_healed_together() {
        let links = LinkTable::new(2);
        links.block(A, B);
        assert!(links.rule(A, B).blocked && !links.rule(B, A).blocked && !links.rule(Endpoint::Clients, B).blocked);
        let version = links.version();
        links.heal_all();
        assert!(links.snapshot().values().all(|link| link.rule.is_clear()));
        assert!(links.version() > version);
        assert_eq!(links.cuts(A, B), 1);
    }

    #[test]
    fn a_cut_keeps_the_delay_for_later() {
        let links = LinkTable::new(2);
        let slow = LinkRule::delayed(Duration::from_millis(5), Duration::ZERO);
        links.set(A, B, slow);
        links.block(A, B);
        links.unblock(A, B);
        assert_eq!(links.rule(A, B), slow);
    }

    #[test]
    #[should_panic(expected = "there is no node 3")]
    fn a_rule_for_an_unknown_node_is_refused() {
        LinkTable::new(2).block(A, Endpoint::Node(3));
    }

    #[test]
    #[should_panic(expected = "loss must be between 0 and 1")]
    fn a_probability_above_one_is_refused() {
        LinkTable::new(2).set(A, B, LinkRule { loss: 1.5, ..LinkRule::default() });
    }
}
