//! How each configuration came about: the operations that were placed, as a tree of steps, and the order they stand for.
//!
//! ```text
//!   start ─ a ─ b ─ (w was hidden) ─ c        the order:  a  w  b  c
//!             └ d ─ c                                     a  d  c
//! ```
//!
//! Reads are not in the tree: they fit into the finished order wherever their state is.

use super::Problem;
use super::antichain::Config;
use super::memory::make_room;
use crate::model::Model;

/// The path of a configuration that has done nothing.
pub(super) const START: u32 = u32::MAX;

/// Set in an entry's number: a blind write that must have been hidden just before the blind write before it on the path.
const HIDDEN: u32 = 1 << 31;

#[derive(Clone, Copy)]
struct Step {
    entry: u32,
    before: u32,
}

/// A tree of steps.
pub(super) struct Paths {
    steps: Vec<Step>,
    /// How many were reachable at the last clean-up.
    kept: usize,
}

/// Steps below which no clean-up is worth it.
const FEW: usize = 1 << 12;

impl Paths {
    pub(super) fn new() -> Self {
        Self { steps: Vec::new(), kept: 0 }
    }

    /// A path one step longer than `before`.
    pub(super) fn placed(&mut self, entry: u32, before: u32) -> u32 {
        let path = u32::try_from(self.steps.len()).expect("steps are counted in u32");
        self.steps.push(Step { entry, before });
        path
    }

    /// The path on which the blind write `entry` turns out to have been hidden.
    pub(super) fn hidden(&mut self, entry: u32, before: u32) -> u32 {
        self.placed(entry | HIDDEN, before)
    }

    /// Bytes held, with what a clean-up needs.
    pub(super) fn heap_bytes(&self) -> usize {
        self.steps.capacity() * size_of::<Step>() + self.steps.capacity() / 4
    }

    /// Makes room for `more` steps where `spare` bytes allow it, or says that they do not.
    pub(super) fn make_room(&mut self, more: usize, spare: usize) -> bool {
        self.steps.len() + more < START as usize && make_room(&mut self.steps, more, spare)
    }

    /// True when it is time for [`Paths::retain`].
    pub(super) fn are_many(&self) -> bool {
        self.steps.len() > FEW + 2 * self.kept
    }

    /// Forgets the steps that none of `configs` needs.
    pub(super) fn retain<S>(&mut self, configs: &mut [Config<S>]) {
        let mut needed = vec![0u64; self.steps.len().div_ceil(64)];
        let mark = |needed: &mut [u64], path: u32| {
            if path != START {
                needed[path as usize / 64] |= 1 << (path % 64);
            }
        };
        configs.iter().for_each(|config| mark(&mut needed, config.path));
        // A step comes after the one before it.
        for place in (0..self.steps.len()).rev() {
            if needed[place / 64] >> (place % 64) & 1 == 1 {
                mark(&mut needed, self.steps[place].before);
            }
        }
        let mut count = 0;
        let mut counts = Vec::with_capacity(needed.len());
        for word in &needed {
            counts.push(count);
            count += word.count_ones();
        }
        let renumbered = |path: u32| match path {
            START => START,
            path => {
                let (word, bit) = (path as usize / 64, path % 64);
                counts[word] + (needed[word] & ((1 << bit) - 1)).count_ones()
            }
        };
        let mut place = 0;
        self.steps.retain_mut(|step| {
            place += 1;
            step.before = renumbered(step.before);
            needed[(place - 1) / 64] >> ((place - 1) % 64) & 1 == 1
        });
        configs.iter_mut().for_each(|config| config.path = renumbered(config.path));
        self.kept = self.steps.len();
    }

    /// The entries in an order that the model accepts, for the path of a configuration after the last event.
    pub(super) fn order<M: Model>(&self, path: u32, problem: &Problem<M>) -> Vec<u32> {
        with_reads(&self.mutations(path, problem), problem)
    }

    /// What was placed or hidden, in order.
    fn mutations<M: Model>(&self, mut path: u32, problem: &Problem<M>) -> Vec<u32> {
        let mut backwards = Vec::new();
        let mut hidden = Vec::new();
        while path != START {
            let step = self.steps[path as usize];
            path = step.before;
            if step.entry & HIDDEN != 0 {
                hidden.push(step.entry & !HIDDEN);
                continue;
            }
            backwards.push(step.entry);
            if problem.model.is_blind(problem.call(step.entry)) {
                backwards.append(&mut hidden);
            }
        }
        debug_assert!(hidden.is_empty(), "what is hidden is hidden by a blind write before it on the path");
        backwards.reverse();
        backwards
    }
}

/// Puts the reads into an order of all else, each as early as it fits. Place `p` of the order is just before operation `p`.
///
/// Every read is put at the first place where its state is, that real time allows, and that is not before the place
/// of a read that returned before it was invoked. These are lower bounds only, so if the reads fit at all, they fit so.
fn with_reads<M: Model>(mutations: &[u32], problem: &Problem<M>) -> Vec<u32> {
    let mut states = vec![problem.model.initial()];
    for &entry in mutations {
        let state = problem.model.step(states.last().expect("there is a first state"), problem.call(entry));
        states.push(state.expect("the search placed only what is possible"));
    }
    // All before a place were invoked by `earliest`, and nothing after it returned before `latest`.
    let mut earliest = vec![0; states.len()];
    for (place, &entry) in mutations.iter().enumerate() {
        earliest[place + 1] = earliest[place].max(problem.entry(entry).invoke);
    }
    let mut latest = vec![u64::MAX; states.len()];
    for (place, &entry) in mutations.iter().enumerate().rev() {
        latest[place] = latest[place + 1].min(problem.entry(entry).ret);
    }
    let is_read = |entry: &u32| problem.model.is_read(problem.call(*entry));
    let reads: Vec<u32> = (0..problem.count()).filter(is_read).collect();
    let mut places: Vec<(usize, u32)> = Vec::with_capacity(reads.len());
    // Numbers of reads by return, and the last place of those that returned before the read at hand was invoked.
    let mut by_return: Vec<usize> = (0..reads.len()).collect();
    by_return.sort_by_key(|&read| problem.entry(reads[read]).ret);
    let (mut returned, mut after) = (0, 0);
    for &read in &reads {
        let entry = problem.entry(read);
        while let Some(&other) =
            by_return.get(returned).filter(|&&other| problem.entry(reads[other]).ret < entry.invoke)
        {
            after = after.max(places[other].0);
            returned += 1;
        }
        let from = after.max(latest.partition_point(|&latest| latest < entry.invoke));
        let place = (from..states.len()).find(|&place| problem.model.allows(&states[place], &entry.call));
        places.push((place.expect("the search found a place for every read"), read));
    }
    debug_assert!(
        places.iter().all(|&(place, read)| earliest[place] <= problem.entry(read).ret),
        "no read is too late"
    );
    places.sort_unstable();
    let mut order = Vec::with_capacity(mutations.len() + reads.len());
    let mut reads = places.into_iter().peekable();
    for place in 0..states.len() {
        while let Some((_, read)) = reads.next_if(|&(at, _)| at == place) {
            order.push(read);
        }
        order.extend(mutations.get(place));
    }
    order
}
