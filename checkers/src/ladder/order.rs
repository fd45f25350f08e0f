//! A bounded search for one order of all operations of registers with clear sources.
//!
//! ```text
//!   what nothing stands in the way of ─┬─ reads, writes that nobody reads, a compare-and-set that is the last to read: at once
//!                                      └─ a write that is read: one of several to choose, come back when stuck
//! ```
//!
//! A write may be next on its key when nobody is left to read the version there. So at most one version of a key has readers left,
//! which the operations done so far determine; where none has, it does not matter which is there. Hence what is done is the whole
//! state, and a set of operations that led nowhere leads nowhere again. Done at once is only what can be moved to the front of any
//! order that goes on from here.

use std::collections::BTreeSet;
use std::hash::BuildHasher;

use rustc_hash::{FxBuildHasher, FxHashSet};

use super::Limits;
use super::graph::Constraints;
use super::input::{Input, Reads, len32};

/// What came out.
pub(super) enum Search {
    Found,
    /// There is no order: the furthest that any came is up to this operation.
    None {
        stuck: u32,
    },
    GaveUp(String),
}

/// Choices looked at.
const CHOICES_MAX: usize = 4_000_000;

/// Looks for an order that keeps the constraints of the graph, which is acyclic.
pub(super) fn search(input: &Input<'_>, graph: &Constraints, limits: &Limits) -> Search {
    let mut state = State::new(input, graph);
    // Sets of operations that led nowhere, by hash: 128 bits.
    let mut dead: FxHashSet<(u64, u64)> = FxHashSet::default();
    let mut stack: Vec<Choice> = Vec::new();
    let mut furthest = (0, 0);
    for choices in 0.. {
        state.run();
        if state.done.len() == input.ops.len() {
            return Search::Found;
        }
        if state.done.len() >= furthest.0 {
            furthest = (state.done.len(), *state.ready.first().expect("an acyclic graph always has something ready"));
        }
        if choices > CHOICES_MAX {
            return Search::GaveUp(format!("no order was found among the first {CHOICES_MAX} choices"));
        }
        if let Err(why) = limits.check(choices, (dead.len() + stack.len()) * 64) {
            return Search::GaveUp(format!("{why} in the search for an order"));
        }
        let options = if dead.contains(&state.hash) { Vec::new() } else { state.options() };
        stack.push(Choice { options, done: state.done.len(), hash: state.hash });
        loop {
            let Some(choice) = stack.last_mut() else { return Search::None { stuck: furthest.1 } };
            state.undo_to(choice.done);
            if let Some(next) = choice.options.pop() {
                state.apply(next);
                break;
            }
            dead.insert(choice.hash);
            stack.pop();
        }
    }
    unreachable!("the choices are bounded")
}

/// A moment with several ways to go on.
struct Choice {
    /// Still to be tried, the best last.
    options: Vec<u32>,
    done: usize,
    hash: (u64, u64),
}

struct State<'a, 'h> {
    input: &'a Input<'h>,
    graph: &'a Constraints,
    /// How many constraints of each operation are still open.
    open: Vec<u32>,
    /// Operations whose constraints are all met.
    ready: BTreeSet<u32>,
    done: Vec<u32>,
    /// What `done` overwrote: the version that was on the key.
    before: Vec<u32>,
    current: Vec<u32>,
    readers_left: Vec<u32>,
    hash: (u64, u64),
    /// Ready operations that may now be possible at once.
    fresh: Vec<u32>,
}

impl<'a, 'h> State<'a, 'h> {
    fn new(input: &'a Input<'h>, graph: &'a Constraints) -> Self {
        let nodes = input.node_count();
        let mut open = vec![0; nodes];
        for node in 0..len32(nodes) {
            graph.after(node).for_each(|after| open[after as usize] += 1);
        }
        let mut readers_left = vec![0; nodes];
        for op in &input.ops {
            if let Reads::One(source) = op.reads {
                readers_left[source as usize] += 1;
            }
        }
        let ready: BTreeSet<u32> = (0..len32(input.ops.len())).filter(|op| open[*op as usize] == 0).collect();
        let current = (0..len32(input.keys.len())).map(|key| input.initial(key)).collect();
        let fresh = ready.iter().copied().collect();
        Self {
            input,
            graph,
            open,
            ready,
            done: Vec::new(),
            before: Vec::new(),
            current,
            readers_left,
            hash: (0, 0),
            fresh,
        }
    }

    /// Whether the operation is possible now.
    fn possible(&self, number: u32) -> bool {
        let op = self.input.op(number);
        let current = self.current[op.key as usize];
        match op.reads {
            Reads::One(source) if source != current => false,
            Reads::One(_) => !op.writes || self.readers_left[current as usize] == 1,
            _ => self.readers_left[current as usize] == 0,
        }
    }

    /// Whether, being possible, it may be done without looking at anything else.
    fn at_once(&self, number: u32) -> bool {
        let op = self.input.op(number);
        op.reads != Reads::Nothing || self.readers_left[number as usize] == 0
    }

    /// Does all that may be done at once.
    fn run(&mut self) {
        while let Some(number) = self.fresh.pop() {
            if self.ready.contains(&number) && self.at_once(number) && self.possible(number) {
                self.apply(number);
            }
        }
    }

    /// Writes that may be next, the earliest invoked last.
    fn options(&self) -> Vec<u32> {
        self.ready.iter().rev().copied().filter(|&number| self.possible(number)).collect()
    }

    fn apply(&mut self, number: u32) {
        let op = self.input.op(number);
        let current = self.current[op.key as usize];
        self.ready.remove(&number);
        self.done.push(number);
        self.before.push(current);
        self.toggle(number);
        if let Reads::One(source) = op.reads {
            self.readers_left[source as usize] -= 1;
        }
        if op.writes {
            self.current[op.key as usize] = number;
        }
        let graph = self.graph;
        for after in graph.after(number) {
            let open = &mut self.open[after as usize];
            *open -= 1;
            if *open == 0 {
                self.ready.insert(after);
                self.fresh.push(after);
            }
        }
        // What was ready before may have become possible: only operations on this key can have.
        if op.writes || self.readers_left[current as usize] <= 1 {
            let key = op.key;
            let input = self.input;
            self.fresh.extend(self.ready.iter().copied().filter(|&other| input.op(other).key == key));
        }
    }

    fn undo_to(&mut self, count: usize) {
        self.fresh.clear();
        while self.done.len() > count {
            let number = self.done.pop().expect("there is more than `count`");
            let op = self.input.op(number);
            self.current[op.key as usize] = self.before.pop().expect("both grow and shrink together");
            if let Reads::One(source) = op.reads {
                self.readers_left[source as usize] += 1;
            }
            let graph = self.graph;
            for after in graph.after(number) {
                let open = &mut self.open[after as usize];
                if *open == 0 {
                    self.ready.remove(&after);
                }
                *open += 1;
            }
            self.ready.insert(number);
            self.toggle(number);
        }
    }

    fn toggle(&mut self, number: u32) {
        let hasher = FxBuildHasher;
        self.hash.0 ^= spread(hasher.hash_one((number, 1u8)));
        self.hash.1 ^= spread(hasher.hash_one((number, 2u8)) ^ 0x9e37_79b9_7f4a_7c15);
    }
}

/// Mixes all bits (the finaliser of splitmix64; Steele, Lea and Flood, OOPSLA 2014).
fn spread(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
