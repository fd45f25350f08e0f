//! Two searches in competition, for what no fast test decides: any model, any values.
//!
//! ```text
//!                 ┌─ frontier: sweeps the events, keeps all configurations ──┐
//!   Problem<M> ───┤                                                          ├─> the first to decide; the other stops
//!                 └─ depth-first: follows one order, remembers dead ends ────┘
//! ```
//!
//! Neither is best: the frontier is steady on invalid histories, depth-first lucky on valid ones (Lowe, "Testing for
//! linearizability", 2017; Horn and Kroening, "Faster linearizability checking via P-compositionality", 2015). Both look at
//! their time and memory budgets inside the step.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustc_hash::FxHashMap;

use crate::history::OpIndex;
use crate::model::Model;

mod bits;
mod depth_first;
mod frontier;

/// The return time of an operation whose outcome is unknown.
pub(crate) const NEVER: u64 = u64::MAX;

/// One operation as the checkers see it.
#[derive(Clone, Debug)]
pub(crate) struct Entry<C> {
    /// Its place in the history.
    pub(crate) index: OpIndex,
    /// When it was invoked.
    pub(crate) invoke: u64,
    /// When it returned; [`NEVER`] when its outcome is unknown.
    pub(crate) ret: u64,
    /// What was asked and answered.
    pub(crate) call: C,
}

impl<C> Entry<C> {
    /// True when the operation may have taken effect at any time after its invocation, or never.
    pub(crate) fn is_unknown(&self) -> bool {
        self.ret == NEVER
    }
}

/// An invocation or a return, as a point in the order of events.
#[derive(Clone, Copy, Debug)]
struct Point {
    entry: u32,
    is_return: bool,
}

/// A history of one object, ready to be searched.
pub(crate) struct Problem<M: Model> {
    model: M,
    /// In order of invocation.
    entries: Vec<Entry<M::Call>>,
    /// Invocations and returns in order of time; at equal times invocations first, since intervals are closed.
    points: Vec<Point>,
    /// For each entry the place of its return in `points`: a total order of deadlines. `u32::MAX` for unknown outcomes.
    deadlines: Vec<u32>,
    /// For each entry the number of its call: equal calls have equal numbers.
    classes: Vec<u32>,
    class_count: usize,
}

impl<M: Model> Problem<M> {
    pub(crate) fn new(model: M, mut entries: Vec<Entry<M::Call>>) -> Self {
        entries.retain(|entry| !(entry.is_unknown() && model.is_read(&entry.call)));
        entries.sort_by_key(|entry| entry.invoke);
        let mut timed = Vec::with_capacity(2 * entries.len());
        for (number, entry) in (0u32..).zip(&entries) {
            timed.push((entry.invoke, false, number));
            if !entry.is_unknown() {
                timed.push((entry.ret, true, number));
            }
        }
        timed.sort_unstable();
        let mut deadlines = vec![u32::MAX; entries.len()];
        for (place, &(_, is_return, number)) in (0u32..).zip(&timed) {
            if is_return {
                deadlines[number as usize] = place;
            }
        }
        let mut numbers: FxHashMap<&M::Call, u32> = FxHashMap::default();
        let mut classes = Vec::with_capacity(entries.len());
        for entry in &entries {
            let next = u32::try_from(numbers.len()).expect("operations are counted in u32");
            classes.push(*numbers.entry(&entry.call).or_insert(next));
        }
        let class_count = numbers.len();
        let points = timed.into_iter().map(|(_, is_return, entry)| Point { entry, is_return }).collect();
        Self { model, entries, points, deadlines, classes, class_count }
    }

    fn entry(&self, number: u32) -> &Entry<M::Call> {
        &self.entries[number as usize]
    }

    fn call(&self, number: u32) -> &M::Call {
        &self.entries[number as usize].call
    }

    /// How many operations invoked up to `place` in the order of events have an unknown outcome.
    fn unknown_up_to(&self, place: usize) -> usize {
        self.points[..place].iter().filter(|point| !point.is_return && self.entry(point.entry).is_unknown()).count()
    }
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An order exists.
    Linearizable,
    /// None exists. The entry is the operation up to whose return the longest explored order got.
    Impossible(OpIndex),
    /// A budget ended first; why.
    GaveUp(String),
}

/// What a search may spend. It stops when any of this says so.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'a> {
    /// When to stop.
    pub(crate) deadline: Instant,
    /// How much memory one search may hold.
    pub(crate) memory_bytes: usize,
    /// Set when the answer is no longer wanted.
    pub(crate) cancelled: &'a AtomicBool,
}

/// Steps between two looks at the clock.
const STEPS_PER_LOOK: u32 = 256;

/// Counts steps and looks at the limits every [`STEPS_PER_LOOK`] of them.
struct Meter<'a> {
    limits: Limits<'a>,
    rival_won: &'a AtomicBool,
    steps: u32,
}

impl<'a> Meter<'a> {
    fn new(limits: Limits<'a>, rival_won: &'a AtomicBool) -> Self {
        Self { limits, rival_won, steps: 0 }
    }

    /// Must be called in every step. `Err` says which budget ended.
    fn step(&mut self, bytes: usize) -> Result<(), &'static str> {
        self.steps += 1;
        if bytes > self.limits.memory_bytes {
            return Err("the memory budget ended");
        }
        if self.steps < STEPS_PER_LOOK {
            return Ok(());
        }
        self.steps = 0;
        if self.rival_won.load(Ordering::Relaxed) {
            Err("the other search decided")
        } else if self.limits.cancelled.load(Ordering::Relaxed) {
            Err("the search was stopped because another key is in violation")
        } else if Instant::now() >= self.limits.deadline {
            Err("the time budget ended")
        } else {
            Ok(())
        }
    }
}

/// Which searches may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Searches {
    Both,
    Frontier,
    DepthFirst,
}

/// Decides `problem`, and says which search did.
pub(crate) fn decide<M: Model>(problem: &Problem<M>, limits: Limits<'_>, searches: Searches) -> (Found, &'static str) {
    let never = AtomicBool::new(false);
    match searches {
        Searches::Frontier => (frontier::search(problem, Meter::new(limits, &never)), "frontier"),
        Searches::DepthFirst => (depth_first::search(problem, Meter::new(limits, &never)), "depth-first"),
        Searches::Both => compete(problem, limits),
    }
}

/// Most small histories are decided by depth-first within this many operations' time; no thread is started for them.
const SMALL: usize = 24;

fn compete<M: Model>(problem: &Problem<M>, limits: Limits<'_>) -> (Found, &'static str) {
    let never = AtomicBool::new(false);
    if problem.entries.len() <= SMALL {
        return (depth_first::search(problem, Meter::new(limits, &never)), "depth-first");
    }
    let half = Limits { memory_bytes: limits.memory_bytes / 2, ..limits };
    let decided = AtomicBool::new(false);
    let announce = |found: Found| {
        if !matches!(found, Found::GaveUp(_)) {
            decided.store(true, Ordering::Relaxed);
        }
        found
    };
    let (by_frontier, by_depth) = std::thread::scope(|scope| {
        let frontier = scope.spawn(|| announce(frontier::search(problem, Meter::new(half, &decided))));
        let by_depth = announce(depth_first::search(problem, Meter::new(half, &decided)));
        let by_frontier = frontier.join().unwrap_or_else(|_| Found::GaveUp("the frontier search crashed".into()));
        (by_frontier, by_depth)
    });
    match (by_frontier, by_depth) {
        (Found::GaveUp(why_frontier), Found::GaveUp(why_depth)) => {
            (Found::GaveUp(format!("frontier: {why_frontier}; depth-first: {why_depth}")), "search")
        }
        (Found::GaveUp(_), found) => (found, "depth-first"),
        (found, _) => (found, "frontier"),
    }
}
