//! Sequential consistency: one order of all operations on all keys that keeps each session's order and explains every read.
//!
//! ```text
//!   causal fails ──────────────────────────────────────────> fails, for the same reason
//!   lists:     what reads show orders the appends ── circle? ─> fails, or holds: exact
//!   registers: constraints until nothing new follows ─ circle? ─> fails
//!                 └─ else a bounded search for an order ──────> holds, fails, or unknown
//!   anything unclear: a bounded search over results, no constraints ──────^
//! ```
//!
//! Lamport, "How to make a multiprocessor computer that correctly executes multiprocess programs" (1979). Not local: keys are never
//! split. For registers the question is NP-complete (Gibbons and Korach, "Testing shared memories", 1997), so constraints that must hold
//! are gathered first, as in Zennou, Bouajjani, Enea and Erradi, "Gradual consistency checking" (CAV 2019): with u and w versions
//! of a key, r a read of w, and `<` "before in every order": `u < r` gives `u < w`, and `w < u` gives `r < u`.
//!
//! For lists the longest list orders the appends that anybody saw; appends that nobody saw come after every read of their key. Then each
//! read lies between two appends, all of that is edges, and every topological order is an order as wanted.

use rustc_hash::FxHashSet;

use super::Limits;
use super::causal::{Causal, Writes, base_graph, count_before};
use super::graph::{Analysis, Constraints, Step, Why};
use super::input::{Input, Op, Reads};
use super::order::{self, Search};

/// What came out.
pub(super) enum Sequential {
    Holds,
    Fails(Vec<Step>),
    /// Every order was tried; none gets past this operation.
    NoOrder(u32),
    Unknown(String),
}

/// Rounds of gathering constraints; one that is left out costs nothing but time in the search.
const ROUNDS_MAX: usize = 12;

/// Judges sequential consistency of a history that is clear, and what causal consistency came to.
pub(super) fn judge(
    input: &Input<'_>,
    writes: &Writes,
    causal: &Causal,
    edges: &[(u32, Why, u32)],
    limits: &Limits,
) -> Sequential {
    match causal {
        Causal::Fails { circle, .. } => return Sequential::Fails(circle.clone()),
        Causal::Unknown(why) => return Sequential::Unknown(why.clone()),
        Causal::Holds => {}
    }
    if input.is_list {
        return lists(input, writes);
    }
    let graph = match saturate(input, writes, edges, limits) {
        Ok(graph) => graph,
        Err(answer) => return answer,
    };
    match order::search(input, &graph, limits) {
        Search::Found => Sequential::Holds,
        Search::None { stuck } => Sequential::NoOrder(stuck),
        Search::GaveUp(why) => Sequential::Unknown(why),
    }
}

/// Lists: everything is known.
fn lists(input: &Input<'_>, writes: &Writes) -> Sequential {
    let mut graph = base_graph(input, false);
    let mut reads: Vec<Vec<u32>> = vec![Vec::new(); input.keys.len()];
    for (number, op) in (0u32..).zip(&input.ops) {
        if matches!(op.reads, Reads::List(_)) {
            reads[op.key as usize].push(number);
        }
    }
    for (key, mut reads) in reads.into_iter().enumerate() {
        let shown = |number: &u32| input.sources(input.op(*number));
        reads.sort_by_key(|number| shown(number).len());
        for pair in reads.windows(2) {
            let (short, long) = (shown(&pair[0]), shown(&pair[1]));
            if let Some(at) = short.iter().zip(long).position(|(a, b)| a != b) {
                // Each read has an append in a place where the other has another one: each misses what the other sees first.
                let (a, b) = (short[at], long[at]);
                let steps = [(a, Why::ReadsFrom, pair[0]), (pair[0], Why::Misses, b)];
                let other = [(b, Why::ReadsFrom, pair[1]), (pair[1], Why::Misses, a)];
                return Sequential::Fails(steps.into_iter().chain(other).collect());
            }
        }
        let Some(longest) = reads.last() else { continue };
        let order = shown(longest);
        order.windows(2).for_each(|pair| graph.edge(pair[0], Why::Listed { read: *longest }, pair[1]));
        let seen: FxHashSet<u32> = order.iter().copied().collect();
        let hub = graph.hub();
        for read in &reads {
            match order.get(shown(read).len()) {
                Some(next) => graph.edge(*read, Why::Misses, *next),
                None => graph.edge(*read, Why::Hub, hub),
            }
        }
        let appends = writes.by_key[key].iter().flat_map(|(_, of_session)| of_session);
        for append in appends.filter(|append| !seen.contains(append)) {
            graph.edge(hub, Why::Misses, *append);
        }
    }
    match graph.analyse() {
        Analysis::Acyclic => Sequential::Holds,
        Analysis::Cyclic { circle, .. } => Sequential::Fails(circle),
    }
}

/// The constraints that follow from those there are, until nothing new does or a round too many.
fn saturate(
    input: &Input<'_>,
    writes: &Writes,
    edges: &[(u32, Why, u32)],
    limits: &Limits,
) -> Result<Constraints, Sequential> {
    let mut graph = base_graph(input, false);
    let mut round = Round::new(input, writes, limits);
    for &(from, why, to) in edges {
        round.pairs.insert((from, to));
        graph.edge(from, why, to);
    }
    for _ in 0..ROUNDS_MAX {
        let Some(order) = graph.order() else {
            let Analysis::Cyclic { circle, .. } = graph.analyse() else { unreachable!("no order, so a circle") };
            return Err(Sequential::Fails(circle));
        };
        let new = round.run(&graph, &order).map_err(Sequential::Unknown)?;
        if new.is_empty() {
            return Ok(graph);
        }
        new.into_iter().for_each(|(from, why, to)| graph.edge(from, why, to));
    }
    match graph.analyse() {
        Analysis::Acyclic => Ok(graph),
        Analysis::Cyclic { circle, .. } => Err(Sequential::Fails(circle)),
    }
}

/// One round after another, on the same history.
struct Round<'a, 'h> {
    input: &'a Input<'h>,
    writes: &'a Writes,
    limits: &'a Limits,
    /// Edges there are already, beyond session order and reads-from.
    pairs: FxHashSet<(u32, u32)>,
    /// By version, the initial ones too: who read it.
    readers: Vec<Vec<u32>>,
    /// By operation: its place in the present order.
    ranks: Vec<u32>,
}

impl<'a, 'h> Round<'a, 'h> {
    fn new(input: &'a Input<'h>, writes: &'a Writes, limits: &'a Limits) -> Self {
        let mut readers = vec![Vec::new(); input.node_count()];
        for (number, op) in (0u32..).zip(&input.ops) {
            if let Reads::One(source) = op.reads {
                readers[source as usize].push(number);
            }
        }
        Self { input, writes, limits, pairs: FxHashSet::default(), readers, ranks: vec![0; input.node_count()] }
    }

    /// The edges that follow from the graph and are not in it.
    fn run(&mut self, graph: &Constraints, order: &[u32]) -> Result<Vec<(u32, Why, u32)>, String> {
        let slots = self.writes.slot_count;
        let bytes = self.input.node_count().saturating_mul(slots * 4 + 24);
        self.limits.check(0, bytes)?;
        // For each operation, how much of each writing session is before it, itself included.
        let mut clocks: Vec<Vec<u32>> = vec![Vec::new(); self.input.node_count()];
        let mut new = Vec::new();
        (0u32..).zip(order).for_each(|(rank, &number)| self.ranks[number as usize] = rank);
        for (done, &number) in order.iter().enumerate() {
            self.limits.check(done, bytes + 40 * (new.len() + self.pairs.len()))?;
            let mut clock = std::mem::take(&mut clocks[number as usize]);
            clock.resize(slots, 0);
            if !self.input.is_initial(number) {
                let op = self.input.op(number);
                if let Reads::One(source) = op.reads {
                    self.older(number, op, source, &clock, &clocks, &mut new);
                }
                if op.writes {
                    self.overwritten(number, op, &clock, &clocks, &mut new);
                    clock[self.writes.slot(op) as usize] = op.place + 1;
                }
            }
            for after in graph.after(number) {
                let theirs = &mut clocks[after as usize];
                theirs.resize(slots, 0);
                theirs.iter_mut().zip(&clock).for_each(|(theirs, mine)| *theirs = (*theirs).max(*mine));
            }
            clocks[number as usize] = clock;
        }
        Ok(new)
    }

    /// The last write of each session on the key, as far as it is before what has this clock.
    fn before<'b>(&'b self, op: &Op, clock: &'b [u32]) -> impl Iterator<Item = (u32, u32)> + 'b {
        let input = self.input;
        self.writes.by_key[op.key as usize].iter().filter_map(move |(slot, of_session)| {
            let last = of_session[..count_before(input, of_session, clock[*slot as usize])].last()?;
            Some((*slot, *last))
        })
    }

    fn add(&mut self, from: u32, why: Why, to: u32, new: &mut Vec<(u32, Why, u32)>) {
        if self.pairs.insert((from, to)) {
            new.push((from, why, to));
        }
    }

    /// Writes before a read are before the write that it saw.
    fn older(
        &mut self,
        number: u32,
        op: &Op,
        source: u32,
        clock: &[u32],
        clocks: &[Vec<u32>],
        new: &mut Vec<(u32, Why, u32)>,
    ) {
        let before: Vec<(u32, u32)> = self.before(op, clock).collect();
        for (slot, last) in before {
            if last == source || last == number {
                continue;
            }
            if self.input.is_initial(source) {
                self.add(number, Why::Misses, last, new);
            } else if clocks[source as usize][slot as usize] <= self.input.op(last).place {
                self.add(last, Why::Older { read: number }, source, new);
            }
        }
    }

    /// A write is after the reads of the versions before it. Of those the latest are enough.
    fn overwritten(
        &mut self,
        number: u32,
        op: &Op,
        clock: &[u32],
        clocks: &[Vec<u32>],
        new: &mut Vec<(u32, Why, u32)>,
    ) {
        let mut before: Vec<(u32, u32)> = self.before(op, clock).filter(|(_, last)| *last != number).collect();
        // The last in the order first: what is before another one is before one of those kept.
        before.sort_unstable_by_key(|&(_, version)| std::cmp::Reverse(self.ranks[version as usize]));
        let mut latest: Vec<u32> = Vec::new();
        for &(slot, version) in &before {
            let place = self.input.op(version).place;
            if !latest.iter().any(|&other| clocks[other as usize][slot as usize] > place) {
                latest.push(version);
                self.readers_before(version, number, new);
            }
        }
        if before.is_empty() {
            self.readers_before(self.input.initial(op.key), number, new);
        }
    }

    fn readers_before(&mut self, version: u32, write: u32, new: &mut Vec<(u32, Why, u32)>) {
        for at in 0..self.readers[version as usize].len() {
            let reader = self.readers[version as usize][at];
            if reader != write {
                self.add(reader, Why::Overwritten { version }, write, new);
            }
        }
    }
}
