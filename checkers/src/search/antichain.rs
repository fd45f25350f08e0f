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

/// The end of a chain.
pub(super) const NONE: u32 = u32::MAX;
/// In place of the next in the chain: dominated by another.
const DEAD: u32 = u32::MAX - 1;

/// What may have happened so far: a state, which open operations took effect, and how that came about.
#[derive(Clone, Debug)]
pub(super) struct Config<S> {
    /// The state's number.
    pub(super) state: u32,
    /// The last step of the path that led here.
    pub(super) path: u32,
    pub(super) cost: S,
    pub(super) owed: S,
    /// The next in the chain of equal hashes; [`DEAD`] once it is dominated.
    next: u32,
    /// For the owner of the set: the next in a list of its own.
    pub(super) link: u32,
}

impl<S> Config<S> {
    pub(super) fn new(state: u32, path: u32, cost: S, owed: S) -> Self {
        Self { state, path, cost, owed, next: NONE, link: NONE }
    }
}

/// A set of configurations without those that another one dominates.
#[derive(Debug)]
pub(super) struct Antichain<S> {
    /// In order of insertion, those that were dominated later included.
    items: Vec<Config<S>>,
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
                let head = self.head(&self.items[place]);
                self.heads[head] = NONE;
            }
        } else {
            self.heads.fill(NONE);
        }
        self.items.clear();
        self.exact = exact.clone();
        self.heap_bytes = 0;
    }

    /// How many were put in, those that were dominated later included.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The configuration at `place`, unless it is dominated by now.
    pub(super) fn get(&self, place: u32) -> Option<&Config<S>> {
        let item = &self.items[place as usize];
        (item.next != DEAD).then_some(item)
    }

    /// The configuration at `place`, whose state and sets must not be changed.
    pub(super) fn get_mut(&mut self, place: u32) -> &mut Config<S> {
        &mut self.items[place as usize]
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.items.capacity() * size_of::<Config<S>>() + self.heads.capacity() * size_of::<u32>() + self.heap_bytes
    }

    /// Makes room for `more` items where `spare` bytes allow it, or says that they do not.
    pub(super) fn make_room(&mut self, more: usize, spare: usize) -> bool {
        if self.items.len() + more > 2 * self.heads.len() && self.heads.len() * 8 <= spare {
            let heads = self.heads.len() * 2;
            self.heads = Vec::new();
            self.heads = vec![NONE; heads];
            for place in 0..self.items.len() {
                if self.items[place].next != DEAD {
                    let head = self.head(&self.items[place]);
                    let place_number = u32::try_from(place).expect("configurations are counted in u32");
                    self.items[place].next = std::mem::replace(&mut self.heads[head], place_number);
                }
            }
        }
        super::memory::make_room(&mut self.items, more, spare)
    }

    /// Where the configuration is put, or nothing when one that is here dominates it or is equal.
    pub(super) fn insert(&mut self, config: Config<S>) -> Option<u32> {
        let head = self.head(&config);
        let (mut before, mut at) = (NONE, self.heads[head]);
        while at != NONE {
            self.compared += 1;
            let item = &self.items[at as usize];
            let next = item.next;
            if item.state == config.state {
                if item.cost.is_subset(&config.cost) && item.owed.is_subset(&config.owed) {
                    return None;
                }
                if config.cost.is_subset(&item.cost) && config.owed.is_subset(&item.owed) {
                    self.unlink(head, before, at);
                    at = next;
                    continue;
                }
            }
            (before, at) = (at, next);
        }
        let place = u32::try_from(self.items.len()).expect("configurations are counted in u32");
        self.heap_bytes += config.cost.heap_bytes() + config.owed.heap_bytes();
        self.items.push(Config { next: self.heads[head], ..config });
        self.heads[head] = place;
        Some(place)
    }

    fn unlink(&mut self, head: usize, before: u32, at: u32) {
        let item = &mut self.items[at as usize];
        let next = std::mem::replace(&mut item.next, DEAD);
        match before {
            NONE => self.heads[head] = next,
            before => self.items[before as usize].next = next,
        }
    }

    /// Exchanges what is left for `configs`, which it empties.
    pub(super) fn swap_into(&mut self, configs: &mut Vec<Config<S>>) {
        configs.clear();
        std::mem::swap(&mut self.items, configs);
        configs.retain(|config| config.next != DEAD);
        self.heads.fill(NONE);
        self.heap_bytes = 0;
    }

    fn head(&self, config: &Config<S>) -> usize {
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut hash = u64::from(config.state).wrapping_mul(SPREAD);
        for place in 0..self.exact.words() {
            hash = (hash.rotate_left(23) ^ (config.cost.word(place) & self.exact.word(place))).wrapping_mul(SPREAD);
        }
        let places = self.heads.len() - 1;
        usize::try_from(hash >> 32).expect("32 bits fit") & places
    }
}
