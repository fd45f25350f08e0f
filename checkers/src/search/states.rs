//! The states that configurations are in, each kept once, with what is possible in it.

use rustc_hash::FxHashMap;

use super::Problem;
use super::antichain::Config;
use super::memory::map_bytes;
use super::sets::Set;
use crate::model::Model;

/// Not worked out yet.
const UNSET: u32 = u32::MAX;

/// Which operations are open, by slot.
#[derive(Default)]
pub(super) struct Slots<S> {
    /// The entry in each slot.
    pub(super) entries: Vec<Option<u32>>,
    pub(super) reads: S,
    /// Operations with unknown outcomes. Their slots are never freed.
    pub(super) unknown: S,
    pub(super) blind: S,
    /// Blind ones that must happen: they can be hidden.
    pub(super) must_blind: S,
    /// Others that must happen, reads excepted: they cannot be hidden.
    pub(super) must_other: S,
}

struct Record<T, S> {
    state: T,
    /// Open reads that match.
    reads: S,
    /// Other open operations that are possible.
    possible: S,
    /// The state after the operation in each slot.
    after: Vec<u32>,
}

/// A table of states. A state's number is good until [`States::retain`].
pub(super) struct States<'p, M: Model, S> {
    problem: &'p Problem<M>,
    records: Vec<Record<M::State, S>>,
    numbers: FxHashMap<M::State, u32>,
    /// What the records hold on the heap.
    heap_bytes: usize,
    /// How many there were after the last clean-up.
    retained: usize,
    /// How often the model was asked, ever.
    pub(super) asked: usize,
}

impl<'p, M: Model, S: Set> States<'p, M, S> {
    pub(super) fn new(problem: &'p Problem<M>) -> Self {
        Self { problem, records: Vec::new(), numbers: FxHashMap::default(), heap_bytes: 0, retained: 0, asked: 0 }
    }

    /// The number of `state`.
    pub(super) fn number(&mut self, state: M::State, slots: &Slots<S>) -> u32 {
        if let Some(&number) = self.numbers.get(&state) {
            return number;
        }
        let number = u32::try_from(self.records.len()).expect("states are counted in u32");
        let mut record = Record { state, reads: S::default(), possible: S::default(), after: Vec::new() };
        record.after.resize(slots.entries.len(), UNSET);
        for (slot, entry) in slots.entries.iter().enumerate() {
            if let Some(entry) = *entry {
                record.learn(self.problem, slot, entry);
            }
        }
        self.asked += slots.entries.len();
        self.heap_bytes += self.record_bytes(&record);
        self.numbers.insert(record.state.clone(), number);
        self.records.push(record);
        number
    }

    /// Enters the operation that was put into `slot`.
    pub(super) fn open(&mut self, slot: usize, entry: u32) {
        for record in &mut self.records {
            if record.after.len() <= slot {
                self.heap_bytes -= 4 * record.after.capacity();
                record.after.resize(slot + 1, UNSET);
                self.heap_bytes += 4 * record.after.capacity();
            }
            record.learn(self.problem, slot, entry);
        }
    }

    /// Forgets the operation in `slot`.
    pub(super) fn close(&mut self, slot: usize) {
        for record in &mut self.records {
            record.reads.remove(slot);
            record.possible.remove(slot);
            record.after[slot] = UNSET;
        }
    }

    /// The open reads that match.
    pub(super) fn reads(&self, state: u32) -> &S {
        &self.records[state as usize].reads
    }

    /// True when the operation in `slot`, no read, is possible.
    pub(super) fn allows(&self, state: u32, slot: usize) -> bool {
        self.records[state as usize].possible.contains(slot)
    }

    /// The state after the operation in `slot`, which is possible.
    pub(super) fn after(&mut self, state: u32, slot: usize, slots: &Slots<S>) -> u32 {
        let record = &self.records[state as usize];
        if record.after[slot] != UNSET {
            return record.after[slot];
        }
        let entry = slots.entries[slot].expect("an open slot holds an entry");
        let after = self.problem.model.step(&record.state, self.problem.call(entry));
        let after = self.number(after.expect("the operation is possible"), slots);
        self.records[state as usize].after[slot] = after;
        after
    }

    /// True when in `state` an open operation is possible that is not blind, not the one in slot `by`, and not done where
    /// `cost` is that of the configuration.
    pub(super) fn enables(&self, state: u32, by: usize, cost: &S, slots: &Slots<S>) -> bool {
        let record = &self.records[state as usize];
        (0..slots.entries.len().div_ceil(64)).any(|place| {
            let cost = cost.word(place);
            let others = record.possible.word(place) & !slots.blind.word(place) & !cost;
            let mut enabled = (record.reads.word(place) & cost) | others;
            if by / 64 == place {
                enabled &= !(1 << (by % 64));
            }
            enabled != 0
        })
    }

    /// True when it is time for [`States::retain`].
    pub(super) fn are_many(&self) -> bool {
        self.records.len() > 64 + 2 * self.retained
    }

    /// Forgets all states but those of `configs`, and renumbers these.
    pub(super) fn retain(&mut self, configs: &mut [Config<S>]) {
        let mut renumbered = vec![UNSET; self.records.len()];
        configs.iter().for_each(|config| renumbered[config.state as usize] = 0);
        let mut place = 0;
        self.records.retain(|_| {
            place += 1;
            renumbered[place - 1] != UNSET
        });
        let kept = renumbered.iter_mut().filter(|number| **number != UNSET);
        (0..).zip(kept).for_each(|(next, number)| *number = next);
        configs.iter_mut().for_each(|config| config.state = renumbered[config.state as usize]);
        self.numbers.clear();
        for (number, record) in (0..).zip(&mut self.records) {
            record.after.fill(UNSET);
            self.numbers.insert(record.state.clone(), number);
        }
        self.heap_bytes = self.records.iter().map(|record| self.record_bytes(record)).sum();
        self.retained = self.records.len();
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.records.capacity() * size_of::<Record<M::State, S>>() + map_bytes(&self.numbers) + self.heap_bytes
    }

    /// What so many new states may cost, growth of the tables included.
    pub(super) fn growth_bytes(&self, more: usize) -> usize {
        let tables = self.heap_bytes() - self.heap_bytes;
        let full = self.records.len() + more > self.records.capacity().min(self.numbers.capacity());
        // New states are about as large as the others.
        let each = self.heap_bytes / self.records.len().max(1);
        more * (each + each / 4) + if full { 2 * tables + 1024 } else { 0 }
    }

    fn record_bytes(&self, record: &Record<M::State, S>) -> usize {
        // The state is in the map as well; a model whose clones share their heap is counted twice, which is safe.
        2 * self.problem.model.heap_bytes(&record.state)
            + 4 * record.after.capacity()
            + record.reads.heap_bytes()
            + record.possible.heap_bytes()
    }
}

impl<T, S: Set> Record<T, S> {
    fn learn<M: Model<State = T>>(&mut self, problem: &Problem<M>, slot: usize, entry: u32) {
        let call = problem.call(entry);
        if problem.model.allows(&self.state, call) {
            let set = if problem.model.is_read(call) { &mut self.reads } else { &mut self.possible };
            set.insert(slot);
        }
    }
}
