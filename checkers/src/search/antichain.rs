//! Configurations, and sets of them in which none dominates another.
//!
//! ```text
//!   slot of        read              operation that must happen       unknown outcome
//!   in `cost`      not yet done      done                             used up
//!   in `owed`      -                 certainly not done               -
//! ```
//!
//! An operation that must happen and is in neither set is *optional*: it may have been hidden, or not. With these meanings one
//! configuration dominates another of the same state exactly when its two sets are subsets of the other's: it has done at
//! least the same reads, used up at most the same unknown operations, and stands for a range of done-sets that includes
//! the other's. Operations that must happen and can never be hidden are in exactly one of the sets, so domination needs them to
//! be equal: they are what the table is hashed by.

use super::sets::Set;

/// No item, no configuration.
const NONE: u32 = u32::MAX;

/// What may have happened so far: a state, which open operations took effect, and how that came about.
#[derive(Clone, Debug)]
pub(super) struct Config<S> {
    /// The state's number.
    pub(super) state: u32,
    /// The last step of the path that led here.
    pub(super) path: u32,
    pub(super) cost: S,
    pub(super) owed: S,
}

#[derive(Clone, Debug)]
struct Item<S> {
    config: Config<S>,
    /// The next in the chain of equal hashes.
    next: u32,
}

/// A set of configurations without those that another one dominates.
#[derive(Debug)]
pub(super) struct Antichain<S> {
    /// In order of insertion. Those that were dominated later have no state.
    items: Vec<Item<S>>,
    /// The first of each chain. A power of two.
    heads: Vec<u32>,
    /// What is equal wherever one dominates another.
    exact: S,
    heap_bytes: usize,
    /// Items looked at, ever.
    pub(super) compared: usize,
}

impl<S: Set> Antichain<S> {
    pub(super) fn new() -> Self {
        Self { items: Vec::new(), heads: vec![NONE; 64], exact: S::default(), heap_bytes: 0, compared: 0 }
    }

    /// Empties it. `exact`: the slots of operations that must happen and can never be hidden.
    pub(super) fn clear(&mut self, exact: &S) {
        if self.items.len() < self.heads.len() / 8 {
            for place in 0..self.items.len() {
                let head = self.head(&self.items[place].config);
                self.heads[head] = NONE;
            }
        } else {
            self.heads.fill(NONE);
        }
        self.items.clear();
        self.exact = exact.clone();
        self.heap_bytes = 0;
    }

    /// The configuration at `place`, unless it is dominated by now.
    pub(super) fn get(&self, place: u32) -> Option<&Config<S>> {
        let config = &self.items[place as usize].config;
        (config.state != NONE).then_some(config)
    }

    /// Where the configuration is put, or nothing when one that is here dominates it or is equal.
    pub(super) fn insert(&mut self, config: Config<S>) -> Option<u32> {
        let head = self.head(&config);
        let (mut before, mut at) = (NONE, self.heads[head]);
        while at != NONE {
            self.compared += 1;
            let item = &self.items[at as usize];
            let next = item.next;
            if item.config.state == config.state {
                if item.config.cost.is_subset(&config.cost) && item.config.owed.is_subset(&config.owed) {
                    return None;
                }
                if config.cost.is_subset(&item.config.cost) && config.owed.is_subset(&item.config.owed) {
                    self.unlink(head, before, at);
                    at = next;
                    continue;
                }
            }
            (before, at) = (at, next);
        }
        let place = u32::try_from(self.items.len()).expect("configurations are counted in u32");
        self.heap_bytes += config.cost.heap_bytes() + config.owed.heap_bytes();
        self.items.push(Item { config, next: self.heads[head] });
        self.heads[head] = place;
        Some(place)
    }

    fn unlink(&mut self, head: usize, before: u32, at: u32) {
        let item = &mut self.items[at as usize];
        item.config.state = NONE;
        let next = item.next;
        match before {
            NONE => self.heads[head] = next,
            before => self.items[before as usize].next = next,
        }
    }

    /// Moves what is left into `configs`, which is emptied before.
    pub(super) fn move_into(&mut self, configs: &mut Vec<Config<S>>) {
        configs.clear();
        configs.extend(self.items.drain(..).map(|item| item.config).filter(|config| config.state != NONE));
        self.heads.fill(NONE);
        self.heap_bytes = 0;
    }

    fn head(&self, config: &Config<S>) -> usize {
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut hash = u64::from(config.state).wrapping_mul(SPREAD);
        for place in 0..config.cost.words() {
            hash = (hash.rotate_left(23) ^ (config.cost.word(place) & self.exact.word(place))).wrapping_mul(SPREAD);
        }
        let places = self.heads.len() - 1;
        usize::try_from(hash >> 32).expect("32 bits fit") & places
    }
}
