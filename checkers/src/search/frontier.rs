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
//! A configuration stands for every set of done operations between those surely done and those not surely undone: when
//! a blind write is placed, each other open blind write that must happen may or may not have been hidden just before it.
//!
//! Most of what is possible leads nowhere. So narrow sweeps come first, each eight times as wide as the one before it:
//!
//! ```text
//!   beam      keeps the best configurations only          reaches the end: linearizable
//!   relaxed   never uses up an unknown operation          has no configuration left: not linearizable
//!   exact     keeps all                                   decides
//! ```
//!
//! A beam's configurations are real ones, so the order it finds is one; where it left nothing out, it is exact. A relaxed sweep
//! allows all that is possible and more: an unknown operation may take effect any number of times. What even that cannot
//! explain is impossible. It says nothing when it reaches the end or becomes too wide. Narrow sweeps together take about a
//! quarter longer than the widest of them, and they are bounded by their width, whatever the history.
//!
//! Why each pruning loses nothing:
//! - *A read that matches is placed at once.* Any continuation without it is one with it, the read moved to the front.
//! - *A blind write, or an operation of unknown outcome, is placed off the path only when it enables an operation that is not
//!   blind.* Otherwise what follows it is blind, so it is hidden: covered by the range when it must happen, useless when its
//!   outcome is unknown. (A compare-and-set that must happen is hidden in a branch of its own.)
//! - *Of equal open calls, the one with the earliest deadline goes first* (separately among those that may have been hidden and
//!   those that were not): in an order that uses the later one first, the two can be exchanged. One of unknown outcome has no
//!   deadline and comes after all equal ones that must happen, hidden or not: where the equal one takes effect later, the two
//!   can be exchanged; where it was hidden, it takes effect now instead, and the unknown one never.
//! - *Domination.* Same state; at least the same reads done; at most the same unknown operations used up; for the others a range
//!   of done-sets that includes the other's. Whatever the dominated configuration can do, the dominating one can. (See
//!   the `antichain` module for how one comparison of two sets decides it.)

use super::antichain::{Antichain, Config, NONE};
use super::paths::{Paths, START};
use super::sets::{Bits, Mask, Set};
use super::states::{Slots, States};
use super::{Found, Meter, Problem, Stuck, Why};
use crate::model::Model;

/// Decides `problem` by sweeping its events.
pub(super) fn search<M: Model>(problem: &Problem<M>, mut meter: Meter<'_>) -> Found {
    match problem.most_open {
        0..=64 => widen::<M, Mask<1>>(problem, &mut meter, &WIDTHS),
        65..=256 => widen::<M, Mask<4>>(problem, &mut meter, &WIDTHS),
        _ => widen::<M, Bits>(problem, &mut meter, &WIDTHS),
    }
}

/// How a sweep is to go.
#[derive(Clone, Copy, Debug)]
enum Sort {
    /// All configurations are kept.
    Exact,
    /// At each return only so many of the best are kept.
    Beam(usize),
    /// Unknown operations are never used up; the sweep ends where more configurations than this would be kept.
    Relaxed(usize),
}

/// How many configurations a narrow sweep may look at, at one return, for each that it may keep.
const SEEN_PER_KEPT: usize = 32;

/// An unknown operation is scarcer than an open read or a write that cannot be hidden.
const UNKNOWN_WEIGHT: usize = 3;

/// The widths that are tried before the exact sweep.
const WIDTHS: [usize; 3] = [48, 384, 3072];

/// Narrow sweeps of these widths, then the exact one.
pub(super) fn widen<M: Model, S: Set>(problem: &Problem<M>, meter: &mut Meter<'_>, widths: &[usize]) -> Found {
    let has_unknown = problem.entries.iter().any(super::Entry::is_unknown);
    let narrow = widths.iter().flat_map(|&width| [Sort::Beam(width), Sort::Relaxed(width)]);
    let mut furthest = 0;
    for sort in narrow.filter(|sort| has_unknown || matches!(sort, Sort::Beam(_))).chain([Sort::Exact]) {
        if let Some(found) = Sweep::<M, S>::new(problem, meter, sort).run(&mut furthest) {
            return found;
        }
    }
    unreachable!("an exact sweep decides or gives up")
}

struct Sweep<'p, 'm, 'l, M: Model, S> {
    problem: &'p Problem<M>,
    meter: &'m mut Meter<'l>,
    sort: Sort,
    /// False once configurations were left out.
    complete: bool,
    slots: Slots<S>,
    free: Vec<usize>,
    /// Open slots of equal calls, earliest deadline first.
    open_by_class: Vec<Vec<usize>>,
    /// The classes with open slots, reads excepted.
    open_classes: Vec<u32>,
    states: States<'p, M, S>,
    paths: Paths,
    /// The frontier.
    configs: Vec<Config<S>>,
    /// While an operation returns: what has it done, and what has not.
    next: Antichain<S>,
    seen: Antichain<S>,
    /// The heads of lists through `seen` of what is to be extended, by how many unknown operations it has used up: those
    /// with few go first, since they dominate.
    to_extend: Vec<u32>,
    /// What it holds besides.
    fixed_bytes: usize,
}

impl<'p, 'm, 'l, M: Model, S: Set> Sweep<'p, 'm, 'l, M, S> {
    fn new(problem: &'p Problem<M>, meter: &'m mut Meter<'l>, sort: Sort) -> Self {
        Self {
            problem,
            meter,
            sort,
            complete: true,
            slots: Slots::default(),
            free: Vec::new(),
            open_by_class: vec![Vec::new(); problem.class_count],
            open_classes: Vec::new(),
            states: States::new(problem),
            paths: Paths::new(),
            configs: Vec::new(),
            next: Antichain::new(),
            seen: Antichain::new(),
            to_extend: Vec::new(),
            fixed_bytes: 4 * problem.entries.len() + problem.class_count * size_of::<Vec<usize>>(),
        }
    }

    /// Nothing where the sweep proved nothing. `furthest`: the last event that any sweep got to.
    fn run(mut self, furthest: &mut usize) -> Option<Found> {
        let problem = self.problem;
        let initial = self.states.number(problem.model.initial(), &self.slots);
        self.configs.push(Config::new(initial, START, S::default(), S::default()));
        let mut slot_of = vec![u32::MAX; problem.entries.len()];
        for place in 0..problem.points.len() {
            let point = problem.points[place];
            if !point.is_return {
                let slot = self.open(point.entry);
                slot_of[point.entry as usize] = u32::try_from(slot).expect("slots are fewer than operations");
                continue;
            }
            let slot = slot_of[point.entry as usize] as usize;
            if let Err(why) = self.force(slot, point.entry) {
                return Some(Found::GaveUp(problem.how_far(why, place.max(*furthest))));
            }
            if self.configs.is_empty() && self.complete {
                let shortest = matches!(self.sort, Sort::Exact | Sort::Beam(_));
                let entry = problem.entry(point.entry);
                return Some(Found::Impossible(Stuck { operation: entry.index, at: entry.ret, shortest }));
            }
            self.narrow();
            if self.configs.is_empty() || self.proves_nothing() {
                return None;
            }
            if !matches!(self.sort, Sort::Relaxed(_)) {
                *furthest = place.max(*furthest);
            }
            self.close(slot, point.entry);
        }
        match self.sort {
            Sort::Relaxed(_) => None,
            _ => Some(Found::Linearizable(problem.indices(&self.paths.order(self.configs[0].path, problem)))),
        }
    }

    /// True for a relaxed sweep that left something out.
    fn proves_nothing(&self) -> bool {
        matches!(self.sort, Sort::Relaxed(_)) && !self.complete
    }

    /// How many configurations may be looked at, at one return.
    fn seen_max(&self) -> usize {
        match self.sort {
            Sort::Exact => usize::MAX,
            Sort::Beam(width) | Sort::Relaxed(width) => SEEN_PER_KEPT * width,
        }
    }

    /// Leaves out all but the best configurations, where that is wanted.
    fn narrow(&mut self) {
        let (Sort::Beam(width) | Sort::Relaxed(width)) = self.sort else { return };
        if self.configs.len() <= width {
            return;
        }
        let rank = |config: &Config<S>| {
            let unknown = config.cost.count_in(&self.slots.unknown);
            let reads = config.cost.count_in(&self.slots.reads);
            let rigid = config.cost.count_in(&self.slots.must_blind) + config.owed.count_in(&self.slots.must_blind);
            UNKNOWN_WEIGHT * unknown + reads + rigid
        };
        self.configs.select_nth_unstable_by_key(width, rank);
        self.configs.truncate(width);
        self.complete = false;
    }

    /// Gives `entry` a slot, and places it at once where it is a read that matches.
    fn open(&mut self, entry: u32) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.entries.push(None);
            self.slots.entries.len() - 1
        });
        self.slots.entries[slot] = Some(entry);
        self.states.open(slot, entry);
        let problem = self.problem;
        let call = problem.call(entry);
        let (blind, unknown) = (problem.model.is_blind(call), problem.entry(entry).is_unknown());
        if problem.model.is_read(call) {
            self.slots.reads.insert(slot);
            for config in &mut self.configs {
                if !self.states.reads(config.state).contains(slot) {
                    config.cost.insert(slot);
                }
            }
            return slot;
        }
        if blind {
            self.slots.blind.insert(slot);
        }
        if unknown {
            self.slots.unknown.insert(slot);
        } else {
            let kind = if blind { &mut self.slots.must_blind } else { &mut self.slots.must_other };
            kind.insert(slot);
            self.configs.iter_mut().for_each(|config| config.owed.insert(slot));
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

    fn close(&mut self, slot: usize, entry: u32) {
        self.slots.entries[slot] = None;
        self.slots.reads.remove(slot);
        self.slots.blind.remove(slot);
        self.slots.must_blind.remove(slot);
        self.slots.must_other.remove(slot);
        self.states.close(slot);
        self.free.push(slot);
        if self.problem.model.is_read(self.problem.call(entry)) {
            return;
        }
        let class = self.problem.classes[entry as usize];
        let open = &mut self.open_by_class[class as usize];
        open.retain(|&other| other != slot);
        if open.is_empty() {
            self.open_classes.retain(|&other| other != class);
        }
    }

    /// Makes the frontier that after the operation in `slot` has returned: the configurations that have it done.
    fn force(&mut self, slot: usize, entry: u32) -> Result<(), Why> {
        let is_read = self.slots.reads.contains(slot);
        if is_read && self.configs.iter().all(|config| !config.cost.contains(slot)) {
            return Ok(());
        }
        if !is_read && self.configs.iter().all(|config| config.cost.contains(slot)) {
            self.configs.iter_mut().for_each(|config| config.cost.remove(slot));
            return Ok(());
        }
        let target = Target { slot, entry, is_read };
        self.next.clear(&self.slots.must_other);
        self.seen.clear(&self.slots.must_other);
        let mut configs = std::mem::take(&mut self.configs);
        for config in configs.drain(..) {
            self.look_after_budgets()?;
            let came = Came::By(config.path);
            self.offer(config, came, target);
        }
        self.configs = configs;
        while let Some(config) = self.pop() {
            self.look_after_budgets()?;
            if self.seen.len() > self.seen_max() {
                // The rest is left out. (Operations that are never used up could be placed for ever.)
                self.complete = false;
                break;
            }
            for class in 0..self.open_classes.len() {
                self.extend(&config, self.open_classes[class], target);
            }
        }
        self.to_extend.fill(NONE);
        self.next.swap_into(&mut self.configs);
        if self.paths.are_many() {
            self.paths.retain(&mut self.configs);
        }
        if self.states.are_many() {
            self.states.retain(&mut self.configs);
        }
        Ok(())
    }

    /// The next configuration to extend.
    fn pop(&mut self) -> Option<Config<S>> {
        for head in &mut self.to_extend {
            while *head != NONE {
                let place = std::mem::replace(head, self.seen.get_mut(*head).link);
                if let Some(config) = self.seen.get(place) {
                    return Some(config.clone());
                }
            }
        }
        None
    }

    /// Offers what `config` becomes by placing an operation of `class`.
    fn extend(&mut self, config: &Config<S>, class: u32, target: Target) {
        let (mut tried_optional, mut tried_owed) = (false, false);
        for place in 0..self.open_by_class[class as usize].len() {
            let slot = self.open_by_class[class as usize][place];
            if config.cost.contains(slot) {
                continue;
            }
            if self.slots.unknown.contains(slot) {
                if !tried_optional && !tried_owed {
                    self.place(config, slot, target);
                }
                return;
            }
            let tried = if config.owed.contains(slot) { &mut tried_owed } else { &mut tried_optional };
            if !std::mem::replace(tried, true) {
                self.place(config, slot, target);
            }
        }
    }

    fn place(&mut self, config: &Config<S>, slot: usize, target: Target) {
        if !self.states.allows(config.state, slot) {
            return;
        }
        let state = self.states.after(config.state, slot, &self.slots);
        let blind = self.slots.blind.contains(slot);
        let needs_a_use = blind || self.slots.unknown.contains(slot);
        if needs_a_use && slot != target.slot && !self.states.enables(state, slot, &config.cost, &self.slots) {
            return;
        }
        let mut next = Config::new(state, NONE, config.cost.clone(), config.owed.clone());
        if !(self.slots.unknown.contains(slot) && matches!(self.sort, Sort::Relaxed(_))) {
            next.cost.insert(slot);
        }
        next.cost.remove_all(self.states.reads(state));
        next.owed.remove(slot);
        if blind {
            next.owed.remove_all(&self.slots.must_blind);
        }
        let entry = self.slots.entries[slot].expect("an open slot holds an entry");
        self.offer(next, Came::Placing { entry, after: config.path }, target);
    }

    /// Sorts a configuration by whether it has the returning operation: yes (it goes on), no (it is extended), or both.
    fn offer(&mut self, mut config: Config<S>, mut came: Came, target: Target) {
        let Target { slot, entry, is_read } = target;
        let in_cost = config.cost.contains(slot);
        if in_cost != is_read {
            config.cost.remove(slot);
            if let Some(place) = self.next.insert(config) {
                self.next.get_mut(place).path = self.path(&mut came);
            }
            return;
        }
        if !is_read && !config.owed.contains(slot) {
            if let Some(place) = self.next.insert(config.clone()) {
                let path = self.path(&mut came);
                self.next.get_mut(place).path = self.paths.hidden(entry, path);
            }
            config.owed.insert(slot);
        }
        let used = config.cost.count_in(&self.slots.unknown);
        if let Some(place) = self.seen.insert(config) {
            let path = self.path(&mut came);
            if self.to_extend.len() <= used {
                self.to_extend.resize(used + 1, NONE);
            }
            let config = self.seen.get_mut(place);
            config.path = path;
            config.link = std::mem::replace(&mut self.to_extend[used], place);
        }
    }

    /// The path of a configuration that is kept. Those of configurations that are not are never made.
    fn path(&mut self, came: &mut Came) -> u32 {
        if let Came::Placing { entry, after } = *came {
            *came = Came::By(self.paths.placed(entry, after));
        }
        let Came::By(path) = *came else { unreachable!("it was just made") };
        path
    }

    /// Counts a step, and makes room for whatever one configuration can become.
    fn look_after_budgets(&mut self) -> Result<(), Why> {
        let compared = std::mem::take(&mut self.next.compared) + std::mem::take(&mut self.seen.compared);
        let asked = std::mem::take(&mut self.states.asked);
        self.meter.steps(1 + compared / COMPARED_PER_STEP + asked / ASKED_PER_STEP)?;
        let held = self.heap_bytes() + self.states.growth_bytes(self.slots.entries.len());
        let more = 2 * self.slots.entries.len() + 2;
        let mut spare = self.meter.limits.memory_bytes.checked_sub(held).ok_or(Why::Memory)?;
        for room in [0, 1, 2] {
            let made = match room {
                0 => self.seen.make_room(more, spare),
                1 => self.next.make_room(more, spare),
                _ => self.paths.make_room(2 * more, spare),
            };
            if !made {
                return Err(Why::Memory);
            }
            spare = self.meter.limits.memory_bytes.checked_sub(self.heap_bytes()).ok_or(Why::Memory)?;
        }
        Ok(())
    }

    fn heap_bytes(&self) -> usize {
        self.fixed_bytes
            + self.states.heap_bytes()
            + self.paths.heap_bytes()
            + self.next.heap_bytes()
            + self.seen.heap_bytes()
            + self.configs.capacity() * size_of::<Config<S>>()
    }
}

/// How a configuration came about.
#[derive(Clone, Copy)]
enum Came {
    By(u32),
    Placing { entry: u32, after: u32 },
}

/// The operation that returns.
#[derive(Clone, Copy)]
struct Target {
    slot: usize,
    entry: u32,
    is_read: bool,
}

/// Comparisons of configurations that take as long as a step.
const COMPARED_PER_STEP: usize = 64;

/// Questions to the model that take as long as a step: models can be slow.
const ASKED_PER_STEP: usize = 4;
