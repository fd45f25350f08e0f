//! Constraint graphs: what must come before what, and why; the shortest circle where that is impossible.
//!
//! ```text
//!   operations and initial versions ── edges, each with its reason ──> acyclic: an order exists
//!   hubs: "everything seen up to here"                            └──> a component of several nodes: its shortest circle
//! ```
//!
//! A *hub* stands for a set of nodes that all come before whatever it has an edge to, but for that one itself. So it may lie on a
//! way from a node back to the same node, and that is no contradiction; a component with two nodes that are not hubs is one, for on a
//! closed walk through two nodes the ways from a node to itself can be left out.
//!
//! `toposort` and `kosaraju_scc` of petgraph do not recurse, unlike `tarjan_scc` and `is_cyclic_directed`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use petgraph::algo::{kosaraju_scc, toposort};
use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use petgraph::visit::EdgeRef;
use rustc_hash::FxHashMap;

use super::input::NONE;

/// Circles are looked for from so many nodes of a component; each finds the shortest through itself.
const STARTS_MAX: usize = 64;

/// Edges looked at for the shortest circle, over all starts. The first start is always finished.
const VISITS_MAX: usize = 20_000_000;

/// Why one comes before another. Numbers are operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// The same session did the one before the other.
    Session,
    /// The other saw what the one wrote.
    ReadsFrom,
    /// The one had happened before `read`, which still saw the other: so the one is the older version.
    Older { read: u32 },
    /// `read` shows the one right before the other in a list.
    Listed { read: u32 },
    /// The one did not see the other, and sees everything that is before it.
    Misses,
    /// The one saw the version before the other's: `version`.
    Overwritten { version: u32 },
    /// A session saw the one by `first`, and later the other by `then`.
    ReadThenRead { first: u32, then: u32 },
    /// A session wrote the one, and later saw the other by `read`.
    WroteThenRead { read: u32 },
    /// A session had seen `seen` by `first`, which another session made after the one, and later saw the other by `then`.
    SawLater { seen: u32, first: u32, then: u32 },
    /// Into a hub: `read` saw the one.
    Known { read: u32 },
    /// Out of a hub: the session of the hub's reads then wrote the other.
    ThenWrote,
    /// Out of a hub: the session of the hub's reads then made `seen`; a session saw that by `first`, and later the other by `then`.
    SawFollower { seen: u32, first: u32, then: u32 },
    /// From hub to hub.
    Hub,
}

impl Why {
    /// What it takes to explain it, roughly; `after` is the reason of the step before.
    fn cost(self, after: Option<Why>) -> u32 {
        match self {
            Why::Hub | Why::Known { .. } => 0,
            // A session's operations in a row are one step.
            Why::Session if after == Some(Why::Session) => 0,
            Why::Older { .. } | Why::SawLater { .. } | Why::SawFollower { .. } => 2,
            _ => 1,
        }
    }
}

/// A step of a circle: from, why, to. Hubs are [`NONE`].
pub(super) type Step = (u32, Why, u32);

/// Where a walk has come to: the node, whether the last step was session order, and whether it has passed another node that is no hub.
type State = (u32, bool, bool);

/// By state the least cost, and how it was come to.
type Reached = FxHashMap<State, (u32, Option<(State, EdgeIndex)>)>;

/// What a graph says.
pub(super) enum Analysis {
    /// An order exists.
    Acyclic,
    Cyclic {
        /// The steps of a shortest circle, in order.
        circle: Vec<Step>,
        /// For each node that is no hub its component; 0 for those that are on no circle.
        components: Vec<u32>,
    },
}

/// A constraint graph over `nodes` operations and initial versions.
pub(super) struct Constraints {
    graph: DiGraph<(), Why, u32>,
    nodes: usize,
}

impl Constraints {
    pub(super) fn new(nodes: usize) -> Self {
        let mut graph = DiGraph::with_capacity(nodes, nodes);
        for _ in 0..nodes {
            graph.add_node(());
        }
        Self { graph, nodes }
    }

    /// A new hub's number.
    pub(super) fn hub(&mut self) -> u32 {
        super::input::len32(self.graph.add_node(()).index())
    }

    pub(super) fn edge(&mut self, from: u32, why: Why, to: u32) {
        self.graph.add_edge(NodeIndex::new(from as usize), NodeIndex::new(to as usize), why);
    }

    pub(super) fn edge_count(&self) -> usize {
        self.graph.edge_count()
    }

    /// The nodes in an order that respects every edge, if there is one.
    pub(super) fn order(&self) -> Option<Vec<u32>> {
        let order = toposort(&self.graph, None).ok()?;
        Some(order.into_iter().map(number).collect())
    }

    /// The targets of the edges out of a node.
    pub(super) fn after(&self, node: u32) -> impl Iterator<Item = u32> {
        self.graph.neighbors(NodeIndex::new(node as usize)).map(number)
    }

    /// Looks for a contradiction. O(nodes + edges), and bounded work for the circle.
    pub(super) fn analyse(&self) -> Analysis {
        if toposort(&self.graph, None).is_ok() {
            return Analysis::Acyclic;
        }
        let mut components = vec![0u32; self.graph.node_count()];
        let mut smallest: Option<Vec<NodeIndex>> = None;
        let mut count = 0;
        for component in kosaraju_scc(&self.graph) {
            let real = component.iter().filter(|node| node.index() < self.nodes).count();
            if real < 2 {
                continue;
            }
            count += 1;
            component.iter().for_each(|node| components[node.index()] = count);
            if smallest.as_ref().is_none_or(|smallest| component.len() < smallest.len()) {
                smallest = Some(component);
            }
        }
        let Some(smallest) = smallest else { return Analysis::Acyclic };
        let circle = self.shortest_circle(&smallest, &components);
        components.truncate(self.nodes);
        Analysis::Cyclic { circle, components }
    }

    fn shortest_circle(&self, component: &[NodeIndex], components: &[u32]) -> Vec<Step> {
        let mut starts: Vec<NodeIndex> = component.iter().copied().filter(|node| node.index() < self.nodes).collect();
        // A contradiction has an edge that is neither session order nor reading: begin with those.
        let interesting = |node: &NodeIndex| {
            let plain = |why: &Why| matches!(why, Why::Session | Why::ReadsFrom);
            !self
                .graph
                .edges(*node)
                .any(|edge| !plain(edge.weight()) && components[edge.target().index()] == components[node.index()])
        };
        starts.sort_by_cached_key(|node| (interesting(node), node.index()));
        let mut best: Option<(u32, Vec<Step>)> = None;
        let mut visits = 0;
        for start in starts.into_iter().take(STARTS_MAX) {
            let bound = best.as_ref().map_or(u32::MAX, |(cost, _)| *cost);
            if let Some(found) = self.circle_through(start, components, bound, &mut visits) {
                best = Some(found);
            }
            if visits > VISITS_MAX && best.is_some() {
                break;
            }
        }
        best.expect("each node of a component of several is on a circle").1
    }

    /// The cheapest closed walk through `start` and another node that is no hub, if it costs less than `bound`.
    fn circle_through(
        &self,
        start: NodeIndex,
        components: &[u32],
        bound: u32,
        visits: &mut usize,
    ) -> Option<(u32, Vec<Step>)> {
        let first: State = (number(start), false, false);
        let mut reached = Reached::default();
        let mut queue = BinaryHeap::from([Reverse((0u32, first))]);
        reached.insert(first, (0, None));
        while let Some(Reverse((cost, state))) = queue.pop() {
            if cost > reached[&state].0 {
                continue;
            }
            let (node, in_session, passed) = state;
            if node == number(start) && passed {
                return Some((cost, self.walk(state, &reached)));
            }
            for edge in self.graph.edges(NodeIndex::new(node as usize)) {
                *visits += 1;
                let target = edge.target();
                if components[target.index()] != components[start.index()] {
                    continue;
                }
                let cost = cost + edge.weight().cost(in_session.then_some(Why::Session));
                let real = target.index() < self.nodes && target != start;
                let next = (number(target), *edge.weight() == Why::Session, passed || real);
                if cost < bound && reached.get(&next).is_none_or(|(known, _)| cost < *known) {
                    reached.insert(next, (cost, Some((state, edge.id()))));
                    queue.push(Reverse((cost, next)));
                }
            }
        }
        None
    }

    fn walk(&self, mut state: State, reached: &Reached) -> Vec<Step> {
        let mut steps = Vec::new();
        let real = |node: u32| if (node as usize) < self.nodes { node } else { NONE };
        while let Some((before, edge)) = reached[&state].1 {
            steps.push((real(before.0), self.graph[edge], real(state.0)));
            state = before;
        }
        steps.reverse();
        merge_sessions(steps)
    }
}

/// Several steps of one session in a row are one.
fn merge_sessions(steps: Vec<Step>) -> Vec<Step> {
    let mut merged: Vec<Step> = Vec::new();
    for step in steps {
        match merged.last_mut() {
            Some((_, Why::Session, to)) if step.1 == Why::Session => *to = step.2,
            _ => merged.push(step),
        }
    }
    // The walk may begin in the middle of a session's steps.
    if let [(_, Why::Session, _), .., (from, Why::Session, _)] = merged[..] {
        merged[0].0 = from;
        merged.pop();
    }
    merged
}

fn number(node: NodeIndex) -> u32 {
    super::input::len32(node.index())
}
