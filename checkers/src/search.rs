//! Two searches in competition, for what no fast test decides: any model, any values.
//!
//! ```text
//!                 ┌─ frontier: sweeps the events, keeps all configurations ──┐
//!   Problem<M> ───┤                                                          ├─> the first to decide; the other stops
//!                 └─ depth-first: follows one order, remembers dead ends ────┘
//! ```
//!
//! Neither is best: the frontier is steady, depth-first often lucky on valid histories (Lowe, "Testing for
//! linearizability", 2017; Horn and Kroening, "Faster linearizability checking via P-compositionality", 2015). Depth-first goes
//! first, alone, for as long as a thread takes to start. Both look at their time and memory budgets inside the step.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustc_hash::FxHashMap;

use crate::history::OpIndex;
use crate::model::Model;
use depth_first::DepthFirst;

mod antichain;
pub(crate) mod calls;
mod depth_first;
mod frontier;
mod memory;
mod paths;
mod sets;
mod states;
#[cfg(test)]
mod tests;

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
    /// The most operations that are ever open at a time; one of unknown outcome stays open.
    most_open: usize,
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
        let points: Vec<Point> = timed.into_iter().map(|(_, is_return, entry)| Point { entry, is_return }).collect();
        let (mut open, mut most_open) = (0usize, 0);
        for point in &points {
            open = if point.is_return { open - 1 } else { open + 1 };
            most_open = most_open.max(open);
        }
        Self { model, entries, points, deadlines, classes, class_count, most_open }
    }

    fn entry(&self, number: u32) -> &Entry<M::Call> {
        &self.entries[number as usize]
    }

    fn call(&self, number: u32) -> &M::Call {
        &self.entries[number as usize].call
    }

    /// How many entries there are.
    fn count(&self) -> u32 {
        u32::try_from(self.entries.len()).expect("operations are counted in u32")
    }

    /// Entries as operations of the history.
    fn indices(&self, order: &[u32]) -> Vec<OpIndex> {
        order.iter().map(|&number| self.entry(number).index).collect()
    }

    /// How far a search got whose budget ended at the event at `place`.
    fn how_far(&self, why: Why, place: usize) -> HowFar {
        let place = place.min(self.points.len());
        let begun = self.points[..place].iter().filter(|point| !point.is_return);
        HowFar {
            why,
            event: place,
            events: self.points.len(),
            at: self.points.get(place).or(self.points.last()).map_or(0, |point| {
                let entry = self.entry(point.entry);
                if point.is_return { entry.ret } else { entry.invoke }
            }),
            unknown_open: begun.filter(|point| self.entry(point.entry).is_unknown()).count(),
        }
    }
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// These operations took effect, in this order. It has all but unanswered reads and some of unknown outcome.
    Linearizable(Vec<OpIndex>),
    /// No order exists.
    Impossible(Stuck),
    /// A budget ended first.
    GaveUp(HowFar),
}

/// Where all orders ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// No order gets past the return of this operation.
    pub operation: OpIndex,
    /// The history up to this moment is impossible.
    pub at: u64,
    /// True when the history up to this return, and no shorter part of it, is impossible (the frontier search decided).
    /// False when the history up to `at` is impossible and perhaps a shorter part of it is too (the depth-first search
    /// decided; the operation is then the one that no order reached with all invoked before it placed).
    pub shortest: bool,
}

/// How far a search got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HowFar {
    /// Which budget ended.
    pub why: Why,
    /// The event it got to.
    pub event: usize,
    /// How many events (invocations and returns) there are.
    pub events: usize,
    /// When that event was.
    pub at: u64,
    /// How many operations of unknown outcome were open then.
    pub unknown_open: usize,
}

impl HowFar {
    /// How far, and what to change. `at` puts a time into words: "at 1.2 s".
    pub(crate) fn in_words(&self, at: impl Fn(u64) -> String) -> String {
        let Self { why, event, events, unknown_open, .. } = self;
        let advice = match why {
            Why::Time => "give it more time, or record fewer operations or unknown outcomes per key",
            Why::Memory => "give it more memory, or record with fewer clients or unknown outcomes per key",
            Why::TimeAndMemory => {
                "give it more time and memory, or record with fewer clients or unknown outcomes per key"
            }
            Why::Stopped => "nothing is missing but this",
        };
        let time = at(self.at);
        format!(
            "{why} at event {event} of {events} ({time}), with {unknown_open} operations of unknown outcome open; {advice}"
        )
    }
}

impl std::fmt::Display for HowFar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.in_words(|time| format!("time {time}")))
    }
}

/// Why a search ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// The time budget ended.
    Time,
    /// The memory budget ended.
    Memory,
    /// For one search the time budget ended, and for the other the memory budget.
    TimeAndMemory,
    /// The answer was no longer wanted.
    Stopped,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Time => "the time budget ended",
            Self::Memory => "the memory budget ended",
            Self::TimeAndMemory => "the time budget and the memory budget ended",
            Self::Stopped => "the search was stopped because another key is in violation",
        })
    }
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
const STEPS_PER_LOOK: usize = 256;

/// Counts steps and looks at the limits every [`STEPS_PER_LOOK`] of them.
struct Meter<'a> {
    limits: Limits<'a>,
    rival_won: &'a AtomicBool,
    steps: usize,
}

impl<'a> Meter<'a> {
    fn new(limits: Limits<'a>, rival_won: &'a AtomicBool) -> Self {
        Self { limits, rival_won, steps: 0 }
    }

    /// Must be called for every step, or few of them at once. `Err` says which budget ended.
    fn steps(&mut self, steps: usize) -> Result<(), Why> {
        self.steps += steps;
        if self.steps < STEPS_PER_LOOK {
            return Ok(());
        }
        self.steps = 0;
        if self.rival_won.load(Ordering::Relaxed) || self.limits.cancelled.load(Ordering::Relaxed) {
            Err(Why::Stopped)
        } else if Instant::now() >= self.limits.deadline {
            Err(Why::Time)
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
        Searches::Frontier => (frontier::search(problem, Meter::new(limits, &never)), FRONTIER),
        Searches::DepthFirst => (DepthFirst::new(problem, limits.memory_bytes).run(limits, &never), DEPTH_FIRST),
        Searches::Both => compete(problem, limits),
    }
}

const FRONTIER: &str = "frontier";
const DEPTH_FIRST: &str = "depth-first";

/// Steps for which depth-first goes alone. That decides most histories in less time than a thread takes to start, so that keys judged
/// side by side seldom have two threads each.
const STEPS_ALONE: usize = 2000;

/// Depth-first needs little memory, since it may forget; the frontier must keep what it has.
const DEPTH_FIRST_SHARE: usize = 4;

fn compete<M: Model>(problem: &Problem<M>, limits: Limits<'_>) -> (Found, &'static str) {
    let decided = AtomicBool::new(false);
    let depth_bytes = limits.memory_bytes / DEPTH_FIRST_SHARE;
    let rest = Limits { memory_bytes: limits.memory_bytes - depth_bytes, ..limits };
    let mut depth_first = DepthFirst::new(problem, depth_bytes);
    if let Some(found) = depth_first.run_for(STEPS_ALONE, &mut Meter::new(limits, &decided)) {
        return (found, DEPTH_FIRST);
    }
    let (by_frontier, by_depth) = std::thread::scope(|scope| {
        let frontier = std::thread::Builder::new().spawn_scoped(scope, || {
            let found = frontier::search(problem, Meter::new(rest, &decided));
            decided.fetch_or(!matches!(found, Found::GaveUp(_)), Ordering::Relaxed);
            found
        });
        let by_depth = depth_first.run(limits, &decided);
        decided.fetch_or(!matches!(by_depth, Found::GaveUp(_)), Ordering::Relaxed);
        // No thread to be had, or a crash: depth-first was alone.
        (frontier.ok().and_then(|frontier| frontier.join().ok()), by_depth)
    });
    match (by_frontier, by_depth) {
        (Some(Found::GaveUp(frontier)), Found::GaveUp(depth)) => {
            let why = if frontier.why == depth.why { frontier.why } else { Why::TimeAndMemory };
            (Found::GaveUp(HowFar { why, ..frontier }), "search")
        }
        (None | Some(Found::GaveUp(_)), found) => (found, DEPTH_FIRST),
        (Some(found), _) => (found, FRONTIER),
    }
}
