//! What the faults of a run have done and not yet undone, by fault: lanes overlap, and the end of one fault must not end another.
//!
//! ```text
//!   fault 7: cut 1-2, 1-3      fault 9: cut 1-2      mend 7  ──>  1-2 stays cut, 1-3 is open
//! ```

use std::{collections::BTreeMap, time::Duration};

use crate::{
    nemesis::fault::{NodeFaults, NodeNumber},
    network::{
        links::{Endpoint, LinkRule, LinkTable},
        relay::MessageRule,
    },
};

/// A fault's number in its run.
pub type FaultNumber = u64;

/// What stands.
#[derive(Debug, Default)]
pub struct Standing {
    /// Of every link, all the time: no fault, and healed by nothing.
    delay: Duration,
    cuts: BTreeMap<FaultNumber, Vec<(Endpoint, Endpoint)>>,
    losses: BTreeMap<FaultNumber, u8>,
    garbled: BTreeMap<FaultNumber, Vec<MessageRule>>,
    spoiled: BTreeMap<FaultNumber, Vec<(NodeNumber, NodeFaults)>>,
}

impl Standing {
    /// Every link takes so much longer in each direction from now on, whatever faults come and go.
    pub fn delay_all(&mut self, delay: Duration) {
        self.delay = delay;
    }

    /// These links are cut.
    pub fn cut(&mut self, fault: FaultNumber, links: impl IntoIterator<Item = (Endpoint, Endpoint)>) {
        self.cuts.entry(fault).or_default().extend(links);
    }

    /// These links are cut, and no others any more by this fault.
    pub fn split(&mut self, fault: FaultNumber, links: impl IntoIterator<Item = (Endpoint, Endpoint)>) {
        self.cuts.insert(fault, links.into_iter().collect());
    }

    /// So many of a hundred packets are lost between nodes.
    pub fn lose(&mut self, fault: FaultNumber, percent: u8) {
        self.losses.insert(fault, percent);
    }

    /// These rules are for messages.
    pub fn garble(&mut self, fault: FaultNumber, rules: &[MessageRule]) {
        self.garbled.insert(fault, rules.to_vec());
    }

    /// These nodes have faults of their own.
    pub fn spoil(&mut self, fault: FaultNumber, nodes: &[NodeNumber], faults: NodeFaults) {
        self.spoiled.entry(fault).or_default().extend(nodes.iter().map(|node| (*node, faults)));
    }

    /// Undoes what a fault, or all, did to links and messages.
    pub fn mend(&mut self, fault: Option<FaultNumber>) {
        forget(&mut self.cuts, fault);
        forget(&mut self.losses, fault);
        forget(&mut self.garbled, fault);
    }

    /// Takes away the faults that a fault, or all, gave to nodes; gives those nodes.
    pub fn unspoil(&mut self, fault: Option<FaultNumber>) -> Vec<NodeNumber> {
        let mut nodes: Vec<_> = forget(&mut self.spoiled, fault).into_iter().flatten().map(|(node, _)| node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// What is wrong with a node.
    #[must_use]
    pub fn faults_of(&self, node: NodeNumber) -> NodeFaults {
        let all = self.spoiled.values().flatten().filter(|(spoiled, _)| *spoiled == node);
        all.fold(NodeFaults::default(), |faults, (_, more)| faults.and(*more))
    }

    /// The fault that broke a node's disk, if one did.
    #[must_use]
    pub fn disk_breaker(&self, node: NodeNumber) -> Option<FaultNumber> {
        let breaks =
            |nodes: &[(NodeNumber, NodeFaults)]| nodes.iter().any(|(id, faults)| *id == node && faults.sync_error);
        self.spoiled.iter().find(|(_, nodes)| breaks(nodes)).map(|(fault, _)| *fault)
    }

    /// The rules for messages, of all faults together.
    #[must_use]
    pub fn message_rules(&self) -> Vec<MessageRule> {
        self.garbled.values().flatten().cloned().collect()
    }

    /// The nodes between which and this one a link is cut, in any direction.
    #[must_use]
    pub fn cut_from(&self, node: NodeNumber) -> Vec<NodeNumber> {
        let this = Endpoint::Node(node);
        let other = |&(from, to): &(Endpoint, Endpoint)| match (from, to) {
            (Endpoint::Node(other), end) | (end, Endpoint::Node(other)) if end == this => Some(other),
            _ => None,
        };
        let mut nodes: Vec<NodeNumber> = self.cuts.values().flatten().filter_map(other).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// Brings the links to what is to be.
    pub fn apply(&self, table: &LinkTable) {
        let percent = self.losses.values().copied().max().unwrap_or(0);
        let loss = f64::from(percent) / 100.0;
        let endpoints: Vec<_> = table.endpoints().collect();
        let mut changes = Vec::new();
        for from in &endpoints {
            for to in endpoints.iter().filter(|to| *to != from) {
                let between_nodes = *from != Endpoint::Clients && *to != Endpoint::Clients;
                let blocked = self.cuts.values().flatten().any(|cut| cut == &(*from, *to));
                let loss = if between_nodes { loss } else { 0.0 };
                changes.push((*from, *to, LinkRule { blocked, loss, delay: self.delay, ..LinkRule::default() }));
            }
        }
        table.update(changes);
    }
}

/// Takes out what one fault, or all, entered.
fn forget<T>(map: &mut BTreeMap<FaultNumber, T>, fault: Option<FaultNumber>) -> Vec<T> {
    match fault {
        Some(fault) => map.remove(&fault).into_iter().collect(),
        None => std::mem::take(map).into_values().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn node(id: u32) -> Endpoint {
        Endpoint::Node(id)
    }

    #[test]
    fn the_end_of_one_fault_leaves_the_others() {
        let table = LinkTable::new(3);
        let mut standing = Standing::default();
        standing.cut(7, [(node(1), node(2)), (node(1), node(3))]);
        standing.cut(9, [(node(1), node(2)), (node(2), Endpoint::Clients)]);
        standing.lose(9, 10);
        standing.apply(&table);
        assert!(table.rule(node(1), node(3)).blocked && table.rule(node(2), Endpoint::Clients).blocked);
        assert_eq!((table.rule(node(3), node(1)).loss, table.rule(Endpoint::Clients, node(1)).loss), (0.1, 0.0));
        standing.mend(Some(7));
        standing.apply(&table);
        assert!(table.rule(node(1), node(2)).blocked && !table.rule(node(1), node(3)).blocked);
        standing.mend(None);
        standing.apply(&table);
        assert!(table.snapshot().values().all(|link| link.rule.is_clear()));
        // A link that stays cut was cut once.
        assert_eq!(table.cuts(node(1), node(2)), 1);
    }

    #[test]
    fn a_delay_of_all_links_outlives_every_fault() {
        let table = LinkTable::new(2);
        let mut standing = Standing::default();
        standing.delay_all(Duration::from_micros(300));
        standing.cut(7, [(node(1), node(2))]);
        standing.mend(None);
        standing.apply(&table);
        let wanted = LinkRule::delayed(Duration::from_micros(300), Duration::ZERO);
        assert!(table.snapshot().values().all(|link| link.rule == wanted));
    }

    #[test]
    fn a_split_replaces_what_its_own_fault_had_cut() {
        let table = LinkTable::new(3);
        let mut standing = Standing::default();
        standing.cut(7, [(node(1), node(2))]);
        standing.cut(9, [(node(2), node(1))]);
        standing.split(7, [(node(1), node(3))]);
        standing.apply(&table);
        let blocked = |from, to| table.rule(node(from), node(to)).blocked;
        assert!(!blocked(1, 2) && blocked(2, 1) && blocked(1, 3));
    }

    #[test]
    fn faults_of_nodes_add_up_and_go_with_their_fault() {
        let mut standing = Standing::default();
        let slow = NodeFaults { sync_delay_ms: 20, ..NodeFaults::default() };
        let broken = NodeFaults { sync_error: true, ..NodeFaults::default() };
        standing.spoil(1, &[1, 2], slow);
        standing.spoil(2, &[2], broken);
        assert_eq!(standing.faults_of(2), slow.and(broken));
        assert_eq!((standing.disk_breaker(2), standing.disk_breaker(1)), (Some(2), None));
        assert_eq!(standing.unspoil(Some(2)), [2]);
        assert_eq!(standing.faults_of(2), slow);
        assert_eq!(standing.unspoil(None), [1, 2]);
        assert_eq!(standing.faults_of(2), NodeFaults::default());
    }
}
