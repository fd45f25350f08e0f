//! Depth-first search with a memory of dead ends.
//!
//! ```text
//!   list of events   inv a ─ inv b ─ ret a ─ inv c ─ ret b ─ ret c
//!                    └── candidates ┘          before the first return
//!   lift a           inv b ─ inv c ─ ret b ─ ret c       and so on; unlift to go back
//! ```
//!
//! Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), with the linked list of events and the memo of Lowe,
//! "Testing for linearizability" (2017). The memo's key is exact: the state, where the first undone operation is, and which
//! operations after that one are done. That is as long as the concurrency, not as the history. The memo's memory is bounded: when it
//! is full the older half is forgotten, which may cost time and never an answer.
//!
//! Prunings, and why they lose nothing: a read that matches is placed at once and for good; of equal calls the earliest deadline
//! goes first; an operation of unknown outcome is placed only when it enables a candidate that is not blind (see the frontier).

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use std::sync::atomic::AtomicBool;

use super::memory::{make_room, table_bytes, table_growth_bytes};
use super::sets::{Bits, Set};
use super::{Found, Limits, Meter, Problem, Stuck, Why};
use crate::model::Model;

const HEAD: usize = 0;

/// Operations in reach are compared with each other; so many comparisons count as a step.
const REACH_PER_STEP: usize = 1024;

/// A doubly linked list of the events of operations that are not yet placed. Node 0 is the head, node `p + 1` is point `p`.
struct Events {
    next: Vec<u32>,
    prev: Vec<u32>,
}

impl Events {
    fn new(points: usize) -> Self {
        let last = u32::try_from(points + 1).expect("events are counted in u32");
        Self { next: (1..=last).collect(), prev: (0..last).map(|node| node.saturating_sub(1)).collect() }
    }

    fn lift(&mut self, node: usize) {
        let (before, after) = (self.prev[node], self.next[node]);
        self.next[before as usize] = after;
        if (after as usize) < self.prev.len() {
            self.prev[after as usize] = before;
        }
    }

    /// Undoes [`Events::lift`]; must be called in reverse order of the lifts.
    fn unlift(&mut self, node: usize) {
        let (before, after) = (self.prev[node], self.next[node]);
        self.next[before as usize] = u32::try_from(node).expect("nodes are counted in u32");
        if (after as usize) < self.prev.len() {
            self.prev[after as usize] = u32::try_from(node).expect("nodes are counted in u32");
        }
    }
}

/// What identifies a dead end.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key<S> {
    state: S,
    first_undone: u32,
    window: SmallVec<[u64; 2]>,
    unknown: Bits,
}

struct Frame<S> {
    /// The entry placed to get out of here; none yet at the deepest frame.
    placed: Option<u32>,
    state: S,
    /// Of all operations that must happen: the first not placed, and one past the last placed.
    first_undone: usize,
    end_done: usize,
    /// Where this frame's candidates begin in the shared stack, and which is next.
    candidates_from: usize,
    candidates_next: usize,
}

/// The search, which can be run in parts.
pub(super) struct DepthFirst<'p, M: Model> {
    problem: &'p Problem<M>,
    events: Events,
    /// For each entry its invocation's node, and its return's (0 for unknown outcomes).
    nodes: Vec<(u32, u32)>,
    /// For each entry its number among those that must happen, or among those of unknown outcome.
    number: Vec<u32>,
    must_count: usize,
    done: Vec<u64>,
    unknown_done: Bits,
    candidates: Vec<u32>,
    stack: Vec<Frame<M::State>>,
    /// Of all operations that must happen, the furthest that was ever the first not placed.
    furthest: usize,
    memo: Memo<Key<M::State>>,
    memory_bytes: usize,
    /// How many events the latest frame had to look at.
    reach: usize,
    /// What it holds from the start.
    fixed_bytes: usize,
}

impl<'p, M: Model> DepthFirst<'p, M> {
    /// Ready to follow one order at a time.
    pub(super) fn new(problem: &'p Problem<M>, memory_bytes: usize) -> Self {
        let mut nodes = vec![(0, 0); problem.entries.len()];
        for (node, point) in (1u32..).zip(&problem.points) {
            let of_entry = &mut nodes[point.entry as usize];
            if point.is_return {
                of_entry.1 = node;
            } else {
                of_entry.0 = node;
            }
        }
        let (mut must, mut unknown) = (0, 0);
        let number = problem
            .entries
            .iter()
            .map(|entry| {
                let counter = if entry.is_unknown() { &mut unknown } else { &mut must };
                *counter += 1;
                *counter - 1
            })
            .collect();
        let fixed_bytes = 8 * (problem.points.len() + 2) + 12 * problem.entries.len() + must as usize / 8;
        let mut search = Self {
            problem,
            events: Events::new(problem.points.len()),
            nodes,
            number,
            must_count: must as usize,
            done: vec![0; (must as usize).div_ceil(64)],
            unknown_done: Bits::default(),
            candidates: Vec::new(),
            stack: Vec::new(),
            furthest: 0,
            memo: Memo::new(memory_bytes.saturating_sub(fixed_bytes) * 3 / 4),
            memory_bytes,
            reach: 0,
            fixed_bytes,
        };
        let first = search.frame(problem.model.initial(), 0, 0);
        search.stack.push(first);
        search
    }

    /// Runs to the end, or to that of a limit.
    pub(super) fn run(mut self, limits: Limits<'_>, rival_won: &AtomicBool) -> Found {
        let mut meter = Meter::new(limits, rival_won);
        loop {
            if let Some(found) = self.run_for(usize::MAX, &mut meter) {
                return found;
            }
        }
    }

    /// Runs for so many steps at most.
    pub(super) fn run_for(&mut self, steps: usize, meter: &mut Meter<'_>) -> Option<Found> {
        for _ in 0..steps {
            let Some(frame) = self.stack.last_mut() else { return Some(self.impossible()) };
            self.furthest = self.furthest.max(frame.first_undone);
            if frame.first_undone == self.must_count {
                let placed: Vec<u32> = self.stack.iter().filter_map(|frame| frame.placed).collect();
                return Some(Found::Linearizable(self.problem.indices(&placed)));
            }
            if let Some(entry) = frame.placed.take() {
                self.unplace(entry);
            }
            if let Err(why) = self.make_room().and_then(|()| meter.steps(1 + self.reach * self.reach / REACH_PER_STEP))
            {
                let place = self.nodes[self.must_entry(self.furthest) as usize].1 as usize;
                return Some(Found::GaveUp(self.problem.how_far(why, place)));
            }
            let mut frame = self.stack.pop().expect("the loop has a frame");
            match self.advance(&mut frame) {
                Some(next) => self.stack.extend([frame, next]),
                None => self.candidates.truncate(frame.candidates_from),
            }
        }
        None
    }

    /// Makes room for the next frame.
    fn make_room(&mut self) -> Result<(), Why> {
        let held = |search: &Self| {
            search.fixed_bytes
                + search.memo.bytes_max
                + search.stack.capacity() * size_of::<Frame<M::State>>()
                + 4 * search.candidates.capacity()
        };
        let spare = self.memory_bytes.checked_sub(held(self)).ok_or(Why::Memory)?;
        if !make_room(&mut self.stack, 2, spare) {
            return Err(Why::Memory);
        }
        let open = self.problem.most_open;
        let spare = self.memory_bytes.checked_sub(held(self)).ok_or(Why::Memory)?;
        if make_room(&mut self.candidates, open, spare) { Ok(()) } else { Err(Why::Memory) }
    }

    /// All orders were tried. Those that must happen, up to the furthest, cannot all have happened; so the history cannot be
    /// possible up to the last return of these.
    fn impossible(&self) -> Found {
        let must = self.problem.entries.iter().filter(|entry| !entry.is_unknown());
        let at = must.take(self.furthest + 1).map(|entry| entry.ret).max().unwrap_or(0);
        let operation = self.problem.entry(self.must_entry(self.furthest)).index;
        Found::Impossible(Stuck { operation, at, shortest: false })
    }

    /// Places the frame's next candidate that is possible and not known to be a dead end.
    fn advance(&mut self, frame: &mut Frame<M::State>) -> Option<Frame<M::State>> {
        while let Some(&entry) = self.candidates.get(frame.candidates_next) {
            frame.candidates_next += 1;
            let Some(state) = self.problem.model.step(&frame.state, self.problem.call(entry)) else { continue };
            let (first_undone, end_done) = self.mark(entry, frame.first_undone, frame.end_done);
            let key = Key {
                state: state.clone(),
                first_undone: u32::try_from(first_undone).expect("operations are counted in u32"),
                window: self.window(first_undone, end_done),
                unknown: self.unknown_done.clone(),
            };
            let bytes = self.problem.model.heap_bytes(&state)
                + key.unknown.heap_bytes()
                + if key.window.spilled() { 8 * key.window.len() } else { 0 };
            if !self.memo.insert(key, bytes) {
                self.unmark(entry);
                continue;
            }
            let (invoke, ret) = self.nodes[entry as usize];
            self.events.lift(invoke as usize);
            if ret != 0 {
                self.events.lift(ret as usize);
            }
            frame.placed = Some(entry);
            return Some(self.frame(state, first_undone, end_done));
        }
        None
    }

    fn unplace(&mut self, entry: u32) {
        let (invoke, ret) = self.nodes[entry as usize];
        if ret != 0 {
            self.events.unlift(ret as usize);
        }
        self.events.unlift(invoke as usize);
        self.unmark(entry);
    }

    /// Marks `entry` as done and returns the new first undone operation and the new end.
    fn mark(&mut self, entry: u32, first_undone: usize, end_done: usize) -> (usize, usize) {
        let number = self.number[entry as usize] as usize;
        if self.problem.entry(entry).is_unknown() {
            self.unknown_done.insert(number);
            return (first_undone, end_done);
        }
        self.done[number / 64] |= 1 << (number % 64);
        let mut first = first_undone;
        while first < self.must_count && self.done[first / 64] >> (first % 64) & 1 == 1 {
            first += 1;
        }
        (first, end_done.max(number + 1))
    }

    fn unmark(&mut self, entry: u32) {
        let number = self.number[entry as usize] as usize;
        if self.problem.entry(entry).is_unknown() {
            self.unknown_done.remove(number);
        } else {
            self.done[number / 64] &= !(1 << (number % 64));
        }
    }

    /// The done bits from the word of the first undone operation to the end of what is done.
    fn window(&self, first_undone: usize, end_done: usize) -> SmallVec<[u64; 2]> {
        let from = (first_undone / 64).min(self.done.len());
        let to = end_done.div_ceil(64).max(from);
        SmallVec::from_slice(&self.done[from..to])
    }

    /// A new deepest frame, its candidates collected: what may come next is whatever was invoked before the first return.
    fn frame(&mut self, state: M::State, first_undone: usize, end_done: usize) -> Frame<M::State> {
        let from = self.candidates.len();
        let problem = self.problem;
        let mut node = self.events.next[HEAD] as usize;
        let mut unknown: SmallVec<[u32; 8]> = SmallVec::new();
        self.reach = 0;
        while let Some(point) = problem.points.get(node - 1).filter(|point| !point.is_return) {
            node = self.events.next[node] as usize;
            self.reach += 1;
            let call = problem.call(point.entry);
            if problem.model.is_read(call) {
                if problem.model.step(&state, call).is_some() {
                    self.candidates.truncate(from);
                    self.candidates.push(point.entry);
                    unknown.clear();
                    break;
                }
            } else if problem.entry(point.entry).is_unknown() {
                unknown.push(point.entry);
            } else {
                self.candidates.push(point.entry);
            }
        }
        self.candidates[from..].sort_unstable_by_key(|&entry| problem.deadlines[entry as usize]);
        let known_to = self.candidates.len();
        for entry in unknown.iter().copied() {
            let twin = self.candidates[from..].iter().any(|&other| self.same_call(entry, other));
            if !twin && self.is_of_use(entry, &state, from, known_to, &unknown) {
                self.candidates.push(entry);
            }
        }
        self.drop_later_twins(from, known_to);
        Frame { placed: None, state, first_undone, end_done, candidates_from: from, candidates_next: from }
    }

    fn same_call(&self, a: u32, b: u32) -> bool {
        self.problem.classes[a as usize] == self.problem.classes[b as usize]
    }

    /// Of equal calls among the candidates, which are sorted by deadline, only the first is tried.
    fn drop_later_twins(&mut self, from: usize, known_to: usize) {
        let mut kept = from;
        for place in from..self.candidates.len() {
            let entry = self.candidates[place];
            let twin =
                place < known_to && self.candidates[from..kept].iter().any(|&other| self.same_call(entry, other));
            if !twin {
                self.candidates[kept] = entry;
                kept += 1;
            }
        }
        self.candidates.truncate(kept);
    }

    /// False for an operation of unknown outcome after which only a blind write could come: it would be overwritten unseen.
    fn is_of_use(&self, entry: u32, state: &M::State, from: usize, known_to: usize, unknown: &[u32]) -> bool {
        let model = &self.problem.model;
        let Some(state) = model.step(state, self.problem.call(entry)) else { return false };
        let enabled = |other: u32| {
            let call = self.problem.call(other);
            !model.is_blind(call) && model.step(&state, call).is_some()
        };
        self.candidates[from..known_to].iter().chain(unknown).any(|&other| other != entry && enabled(other))
            || self.reads_in_reach().any(enabled)
    }

    /// The reads that could be placed next if the state were right.
    fn reads_in_reach(&self) -> impl Iterator<Item = u32> {
        let mut node = self.events.next[HEAD] as usize;
        std::iter::from_fn(move || {
            let point = self.problem.points.get(node - 1).filter(|point| !point.is_return)?;
            node = self.events.next[node] as usize;
            Some(point.entry)
        })
        .filter(|&entry| self.problem.model.is_read(self.problem.call(entry)))
    }

    /// The entry with this number among those that must happen.
    fn must_entry(&self, number: usize) -> u32 {
        let found = (0u32..).zip(&self.problem.entries).filter(|(_, entry)| !entry.is_unknown()).nth(number);
        found.map_or(0, |(entry, _)| entry)
    }
}

/// A set that forgets its older half when it is full.
struct Memo<K> {
    young: Half<K>,
    old: Half<K>,
    bytes_max: usize,
}

struct Half<K> {
    keys: FxHashSet<K>,
    /// What the keys hold on the heap.
    heap_bytes: usize,
}

impl<K> Half<K> {
    fn new() -> Self {
        Self { keys: FxHashSet::default(), heap_bytes: 0 }
    }

    fn bytes(&self) -> usize {
        table_bytes(self.keys.capacity(), size_of::<K>()) + self.heap_bytes
    }
}

impl<K: Eq + std::hash::Hash> Memo<K> {
    fn new(bytes_max: usize) -> Self {
        Self { young: Half::new(), old: Half::new(), bytes_max }
    }

    /// False when the key was there. `heap_bytes` is what it holds beyond its size.
    fn insert(&mut self, key: K, heap_bytes: usize) -> bool {
        if self.old.keys.contains(&key) || self.young.keys.contains(&key) {
            return false;
        }
        let growth = table_growth_bytes(self.young.keys.len(), self.young.keys.capacity(), size_of::<K>());
        let young = self.young.bytes() + growth + heap_bytes;
        if young > self.bytes_max / 2 || young + self.old.bytes() > self.bytes_max {
            self.old = std::mem::replace(&mut self.young, Half::new());
        }
        self.young.keys.insert(key);
        self.young.heap_bytes += heap_bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Events, Memo};

    #[test]
    fn lifting_and_unlifting_in_reverse_restores_the_list() {
        let mut events = Events::new(4);
        let before = (events.next.clone(), events.prev.clone());
        for node in [2, 4, 1] {
            events.lift(node);
        }
        assert_eq!(events.next[0], 3);
        assert_eq!(events.next[3], 5);
        for node in [1, 4, 2] {
            events.unlift(node);
        }
        assert_eq!((events.next, events.prev), before);
    }

    #[test]
    fn a_full_memo_forgets_and_stays_within_its_bound() {
        let mut memo = Memo::new(4000);
        for key in 0..1000 {
            assert!(memo.insert(key, 10));
            assert!(memo.young.bytes() + memo.old.bytes() <= 4000);
        }
        assert!(!memo.insert(999, 10));
        assert!(memo.insert(0, 10), "the oldest were forgotten");
    }
}
