//! Just-in-time linearization over a frontier of configurations.
//!
//! ```text
//!   events     ... inv a ── inv b ── ret a ──────────── inv c ── ret b ...
//!   frontier      {(s, ∅)}          {(a, ∅), (a, hidden b), …}
//!                                    └ extended only when an operation must return
//! ```
//!
//! The events are swept in order. When an operation returns, every configuration must have it done, and those that have not
//! are extended by open operations until they have (Lowe, "Testing for linearizability", 2017, just-in-time linearization).
//! A configuration knows only *slots of open operations*, so its size is bounded by the concurrency, not by the history.
//!
//! A configuration `(state, done, optional)` stands for every set of done operations between `done` and `done ∪ optional`: when
//! a blind write is placed, each other open blind write may or may not have been hidden just before it.
//!
//! Why each pruning loses nothing:
//! - *A read that matches is placed at once.* Any continuation without it is one with it, the read moved to the front.
//! - *A blind write, or an operation of unknown outcome, is placed off the path only when it enables an operation that is not
//!   blind.* Otherwise what follows it is blind, so it is hidden: covered by `optional` when it must happen, useless when its
//!   outcome is unknown. (A compare-and-set that must happen is hidden in a branch of its own.)
//! - *Of equal open calls, the one with the earliest deadline goes first* (separately inside and outside `optional`): in
//!   an order that uses the later one first, the two can be exchanged.
//! - *Domination.* Same state; at least the same reads done; at most the same unknown operations used up; for the others a range
//!   of done-sets that includes the other's. Whatever the dominated configuration can do, the dominating one can.

use rustc_hash::FxHashMap;

use super::bits::Bits;
use super::{Found, Meter, Problem};
use crate::model::Model;

#[derive(Clone)]
struct Config<S> {
    state: S,
    done: Bits,
    optional: Bits,
}

/// Which slots hold what.
#[derive(Default)]
struct Slots {
    /// The entry in each slot.
    entries: Vec<Option<u32>>,
    free: Vec<usize>,
    /// Slots of reads.
    reads: Bits,
    /// Slots of operations with unknown outcomes. They are never freed.
    unknown: Bits,
    /// Slots of blind writes that must happen.
    must_blind: Bits,
}

/// A set of configurations without those that use up more unknown operations than another one that is otherwise the same.
struct Antichain<S> {
    /// The sets of unknown operations used up, none of which includes another.
    used: FxHashMap<Known<S>, Vec<Bits>>,
    /// The last few of each state, in a ring: what else may dominate a new one.
    recent: FxHashMap<S, Recent>,
    bytes: usize,
    count: usize,
}

#[derive(Default)]
struct Recent {
    ranges: Vec<(Bits, Bits)>,
    next: usize,
}

/// How many configurations of the same state a new one is compared with, beyond those that differ in unknown operations only.
const COMPARED: usize = 64;

/// A configuration but for the unknown operations that it has used up.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Known<S> {
    state: S,
    done: Bits,
    optional: Bits,
}

/// Decides `problem` by sweeping its events.
pub(super) fn search<M: Model>(problem: &Problem<M>, meter: Meter<'_>) -> Found {
    Sweep {
        problem,
        meter,
        slots: Slots::default(),
        open_by_class: vec![Vec::new(); problem.class_count],
        open_classes: Vec::new(),
        bytes: 0,
    }
    .run()
}

struct Sweep<'p, 'm, M: Model> {
    problem: &'p Problem<M>,
    meter: Meter<'m>,
    slots: Slots,
    /// Open slots of equal calls, earliest deadline first.
    open_by_class: Vec<Vec<usize>>,
    /// The classes with open slots, reads excepted.
    open_classes: Vec<u32>,
    bytes: usize,
}

impl<M: Model> Sweep<'_, '_, M> {
    fn run(mut self) -> Found {
        let mut configs =
            vec![Config { state: self.problem.model.initial(), done: Bits::default(), optional: Bits::default() }];
        let mut slot_of = vec![usize::MAX; self.problem.entries.len()];
        for place in 0..self.problem.points.len() {
            let point = self.problem.points[place];
            if !point.is_return {
                slot_of[point.entry as usize] = self.open(point.entry, &mut configs);
                continue;
            }
            let slot = slot_of[point.entry as usize];
            match self.force(slot, configs) {
                Ok(next) if next.is_empty() => return Found::Impossible(self.problem.entry(point.entry).index),
                Ok(next) => configs = next,
                Err(why) => {
                    return Found::GaveUp(format!(
                        "{why} at event {place} of {}, with {} operations of unknown outcome open",
                        self.problem.points.len(),
                        self.problem.unknown_up_to(place)
                    ));
                }
            }
            self.close(slot);
        }
        Found::Linearizable
    }

    /// Gives `entry` a slot, and places it at once where it is a read that matches.
    fn open(&mut self, entry: u32, configs: &mut [Config<M::State>]) -> usize {
        let slot = self.slots.free.pop().unwrap_or_else(|| {
            self.slots.entries.push(None);
            self.slots.entries.len() - 1
        });
        self.slots.entries[slot] = Some(entry);
        let problem = self.problem;
        let call = problem.call(entry);
        if problem.model.is_read(call) {
            self.slots.reads.insert(slot);
            for config in configs {
                if problem.model.step(&config.state, call).is_some() {
                    config.done.insert(slot);
                }
            }
            return slot;
        }
        if problem.entry(entry).is_unknown() {
            self.slots.unknown.insert(slot);
        } else if problem.model.is_blind(call) {
            self.slots.must_blind.insert(slot);
        }
        let class = problem.classes[entry as usize];
        let open = &mut self.open_by_class[class as usize];
        if open.is_empty() {
            self.open_classes.push(class);
        }
        let deadline = |slot: usize| {
            let entry = self.slots.entries[slot].expect("an open slot holds an entry");
            (problem.deadlines[entry as usize], entry)
        };
        let at = open.partition_point(|&other| deadline(other) < deadline(slot));
        open.insert(at, slot);
        slot
    }

    fn close(&mut self, slot: usize) {
        let entry = self.slots.entries[slot].take().expect("only an open slot is closed");
        self.slots.reads.remove(slot);
        self.slots.must_blind.remove(slot);
        self.slots.free.push(slot);
        let class = self.problem.classes[entry as usize];
        let open = &mut self.open_by_class[class as usize];
        open.retain(|&other| other != slot);
        if open.is_empty() {
            self.open_classes.retain(|&other| other != class);
        }
    }

    /// The configurations after the operation in `slot` has returned: those that have it done.
    fn force(&mut self, slot: usize, configs: Vec<Config<M::State>>) -> Result<Vec<Config<M::State>>, &'static str> {
        let mut step = Forcing { slot, next: Antichain::new(), seen: Antichain::new(), to_extend: Vec::new() };
        for config in configs {
            step.offer(config, &self.slots, &self.problem.model);
        }
        while let Some(config) = step.pop() {
            self.bytes = step.next.bytes + step.seen.bytes;
            self.meter.step(self.bytes)?;
            for class in 0..self.open_classes.len() {
                self.extend(&config, self.open_classes[class], &mut step);
            }
        }
        Ok(step.next.into_configs())
    }

    /// Offers what `config` becomes by placing an operation of `class`.
    fn extend(&self, config: &Config<M::State>, class: u32, step: &mut Forcing<M::State>) {
        let (mut tried_optional, mut tried_other) = (false, false);
        for &slot in &self.open_by_class[class as usize] {
            if config.done.contains(slot) {
                continue;
            }
            let tried = if config.optional.contains(slot) { &mut tried_optional } else { &mut tried_other };
            if std::mem::replace(tried, true) {
                continue;
            }
            if let Some(next) = self.place(config, slot, slot == step.slot) {
                step.offer(next, &self.slots, &self.problem.model);
            }
            if tried_optional && tried_other {
                break;
            }
        }
    }

    fn place(&self, config: &Config<M::State>, slot: usize, on_path: bool) -> Option<Config<M::State>> {
        let model = &self.problem.model;
        let call = self.problem.call(self.slots.entries[slot]?);
        let state = model.step(&config.state, call)?;
        let blind = model.is_blind(call);
        let needs_a_use = blind || self.slots.unknown.contains(slot);
        if needs_a_use && !on_path && !self.enables(config, slot, &state) {
            return None;
        }
        let mut next = Config { state, done: config.done.clone(), optional: config.optional.clone() };
        next.done.insert(slot);
        next.optional.remove(slot);
        if blind {
            next.optional.insert_all_except(&self.slots.must_blind, &next.done);
        }
        self.place_reads(&mut next);
        Some(next)
    }

    fn place_reads(&self, config: &mut Config<M::State>) {
        for word in 0..self.slots.reads.words() {
            let mut left = self.slots.reads.word(word) & !config.done.word(word);
            while left != 0 {
                let slot = 64 * word + left.trailing_zeros() as usize;
                left &= left - 1;
                let entry = self.slots.entries[slot].expect("a read's slot is open");
                if self.problem.model.step(&config.state, self.problem.call(entry)).is_some() {
                    config.done.insert(slot);
                }
            }
        }
    }

    /// True when in `state` another open operation is possible that is not blind and that `config` has not done.
    fn enables(&self, config: &Config<M::State>, by: usize, state: &M::State) -> bool {
        self.slots.entries.iter().enumerate().any(|(slot, entry)| {
            entry.is_some_and(|entry| {
                let call = self.problem.call(entry);
                slot != by
                    && !config.done.contains(slot)
                    && !self.problem.model.is_blind(call)
                    && self.problem.model.step(state, call).is_some()
            })
        })
    }
}

/// The work at one return.
struct Forcing<S> {
    slot: usize,
    next: Antichain<S>,
    seen: Antichain<S>,
    /// What is to be extended, by how many unknown operations it has used up: those with few go first, since they dominate.
    to_extend: Vec<Vec<Config<S>>>,
}

impl<S: Clone + Eq + std::hash::Hash> Forcing<S> {
    /// Sorts a configuration by whether it has the returning operation: yes (it goes on), no (it is extended), or both.
    fn offer<M: Model<State = S>>(&mut self, mut config: Config<S>, slots: &Slots, model: &M) {
        if config.done.contains(self.slot) {
            config.done.remove(self.slot);
            self.next.insert(&config, slots, model);
            return;
        }
        if config.optional.contains(self.slot) {
            config.optional.remove(self.slot);
            self.next.insert(&config, slots, model);
        }
        if self.seen.insert(&config, slots, model) {
            let used = config.done.count_in(&slots.unknown);
            if self.to_extend.len() <= used {
                self.to_extend.resize_with(used + 1, Vec::new);
            }
            self.to_extend[used].push(config);
        }
    }

    fn pop(&mut self) -> Option<Config<S>> {
        self.to_extend.iter_mut().find_map(Vec::pop)
    }
}

impl<S: Clone + Eq + std::hash::Hash> Antichain<S> {
    fn new() -> Self {
        Self { used: FxHashMap::default(), recent: FxHashMap::default(), bytes: 0, count: 0 }
    }

    /// False when the configuration, or one that dominates it, is already here.
    fn insert<M: Model<State = S>>(&mut self, config: &Config<S>, slots: &Slots, model: &M) -> bool {
        if self.is_dominated(config, slots) {
            return false;
        }
        let (used, done) = config.done.split(&slots.unknown);
        let known = Known { state: config.state.clone(), done, optional: config.optional.clone() };
        let bytes = size_of::<(Known<S>, Vec<Bits>)>() + 8 + known.done.heap_bytes() + known.optional.heap_bytes();
        let heap_bytes = model.heap_bytes(&known.state);
        let antichain = self.used.entry(known).or_default();
        if antichain.iter().any(|other| other.is_subset(&used)) {
            return false;
        }
        if antichain.is_empty() {
            self.bytes += 2 * bytes + heap_bytes;
        }
        let before = antichain.len();
        antichain.retain(|other| !used.is_subset(other));
        self.count -= before - antichain.len();
        self.bytes += 2 * size_of::<Bits>() + used.heap_bytes();
        antichain.push(used);
        self.count += 1;
        true
    }

    /// True when one of the last few dominates `config`; if not, `config` is the latest of them.
    fn is_dominated(&mut self, config: &Config<S>, slots: &Slots) -> bool {
        let recent = match self.recent.get_mut(&config.state) {
            Some(recent) => recent,
            None => {
                self.bytes += 2 * size_of::<(S, Recent)>() + COMPARED * size_of::<(Bits, Bits)>();
                self.recent.entry(config.state.clone()).or_default()
            }
        };
        let range = (config.done.clone(), config.optional.clone());
        if recent.ranges.iter().any(|other| dominates(other, &range, slots)) {
            return true;
        }
        if recent.ranges.len() < COMPARED {
            recent.ranges.push(range);
        } else {
            recent.ranges[recent.next] = range;
            recent.next = (recent.next + 1) % COMPARED;
        }
        false
    }

    fn into_configs(self) -> Vec<Config<S>> {
        let mut configs = Vec::with_capacity(self.count);
        for (known, antichain) in self.used {
            for used in antichain {
                let mut done = known.done.clone();
                done.insert_all_except(&used, &Bits::default());
                configs.push(Config { state: known.state.clone(), done, optional: known.optional.clone() });
            }
        }
        configs
    }
}

/// True when a configuration of the same state with range `a` can do whatever one with range `b` can.
fn dominates(a: &(Bits, Bits), b: &(Bits, Bits), slots: &Slots) -> bool {
    let words = a.0.words().max(a.1.words()).max(b.0.words()).max(b.1.words());
    (0..words).all(|word| {
        let (a_done, b_done) = (a.0.word(word), b.0.word(word));
        let (a_most, b_most) = (a_done | a.1.word(word), b_done | b.1.word(word));
        let reads = slots.reads.word(word);
        let unknown = slots.unknown.word(word);
        let others = !(reads | unknown);
        b_done & reads & !a_done == 0
            && a_done & unknown & !b_done == 0
            && a_done & others & !b_done == 0
            && b_most & others & !a_most == 0
    })
}
