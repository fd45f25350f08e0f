//! Registers: from operations to numbered calls, and the fast test where every value is written at most once.
//!
//! ```text
//!   operations ─ number the values ─ drop what cannot matter ─ clusters ─┬─ unique values ──> chains of clusters ──> zones
//!                                                                        └─ else ───────────> the searches
//! ```
//!
//! A *cluster* is a value's write with the reads that returned it. What may be dropped: failed operations and reads without an
//! answer say nothing; a write or compare-and-set of unknown outcome whose value nobody observed, because in any order that
//! has it the next operation to take effect is a blind write (or none), and without it the order is still one. A compare-and-set that
//! failed without saying what it saw breaks that argument: it is set aside at first, and [`super::refusals`] puts it in. The
//! searches get all of it, and nothing dropped.
//!
//! Nothing is hashed: values have numbers in the history, and a table turns those into numbers within the key.

use rustc_hash::FxHashMap;

use super::{Decision, chains};
use crate::history::{Action, Completion, History, OpIndex, Operation, Value, ValueId};
use crate::key::KeyHistory;
use crate::model::register::{Call, INITIAL, Register, ValueNumber};
use crate::search::{self, Limits, Problem};
use crate::verdict::Anomaly;

/// No entry, or no value.
pub(crate) const NONE: u32 = u32::MAX;

/// One operation in 24 bytes: when, what it observed and what it made. One that constrains nothing has neither.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) invoke: u64,
    /// [`u64::MAX`] for an unknown outcome.
    pub(crate) ret: u64,
    /// The value that a read returned or a compare-and-set won from, or [`NONE`].
    pub(crate) seen: ValueNumber,
    /// The value that a write or a compare-and-set made, or [`NONE`].
    pub(crate) made: ValueNumber,
}

impl Entry {
    fn without_effect(self) -> Self {
        Self { seen: NONE, made: NONE, ..self }
    }

    pub(crate) fn is_unknown(self) -> bool {
        self.ret == search::NEVER
    }

    pub(crate) fn is_cas(self) -> bool {
        self.seen != NONE && self.made != NONE
    }

    /// What the register holds after it.
    pub(crate) fn value_after(self) -> ValueNumber {
        if self.made == NONE { self.seen } else { self.made }
    }

    fn call(self) -> Option<Call> {
        match (self.seen, self.made) {
            (NONE, NONE) => None,
            (seen, NONE) => Some(Call::Read(seen)),
            (NONE, made) => Some(Call::Write(made)),
            (old, new) => Some(Call::Cas { old, new }),
        }
    }
}

/// One key's operations as calls on numbered values.
pub(crate) struct Calls<'h> {
    pub(crate) key: KeyHistory<'h>,
    /// Value number n is at n - 1; the initial one is not here.
    values: Vec<ValueId>,
    /// One for each operation of the key.
    pub(crate) entries: Vec<Entry>,
    /// Compare-and-sets that were answered "not equal" and no more, with the value that they expected.
    pub(super) refusals: Vec<(u32, ValueNumber)>,
    /// What was dropped from `entries`: unknown outcomes that nobody observed, in order of invocation.
    pub(super) dropped: Vec<(u32, Entry)>,
    has_cas: bool,
}

/// A value's write and its reads, as far as the test needs them. Entries by number, [`NONE`] for none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster {
    /// The write or compare-and-set that made the value; none for the initial one.
    pub(crate) writer: u32,
    /// The read that returned first.
    pub(crate) first_read: u32,
    /// The read that was invoked last.
    pub(crate) last_read: u32,
    /// The compare-and-set that won out of this value.
    pub(crate) winner: u32,
    /// How many reads.
    pub(crate) reads: u32,
}

/// Which values an answer observed, and what made values without being answered.
struct Observers {
    /// By value.
    observed: Vec<bool>,
    /// Entries.
    unanswered: Vec<u32>,
}

impl Observers {
    #[inline]
    fn add(&mut self, number: u32, entry: Entry, values: usize) {
        if self.observed.len() <= values {
            self.observed.resize(values + 1, false);
        }
        if entry.is_unknown() && entry.made != NONE {
            self.unanswered.push(number);
        } else if entry.seen != NONE {
            self.observed[entry.seen as usize] = true;
        }
    }
}

/// Numbers of values within one key, by their place in the history. Used for one key after the other.
pub(crate) struct Numbers(Vec<ValueNumber>);

impl Numbers {
    /// 4 bytes for each value of the history.
    pub(crate) fn of(history: &History, initial: &Value) -> Self {
        let mut numbers = vec![NONE; history.values().len()];
        if let Some(place) = history.values().iter().position(|value| value == initial) {
            numbers[place] = INITIAL;
        }
        Self(numbers)
    }

    #[inline]
    fn number(&mut self, id: ValueId, values: &mut Vec<ValueId>) -> ValueNumber {
        let number = &mut self.0[id.place()];
        if *number == NONE {
            values.push(id);
            *number = u32::try_from(values.len()).expect("values are counted in u32");
        }
        *number
    }

    /// The number of the value that most operations have, known or not.
    #[inline]
    fn peek(&self, operation: &Operation<ValueId>) -> ValueNumber {
        match (operation.action, operation.completion) {
            (Action::Write(value), _) | (_, Completion::Ok(Some(value))) => self.0[value.place()],
            _ => NONE,
        }
    }

    fn forget(&mut self, values: &[ValueId]) {
        for value in values {
            self.0[value.place()] = NONE;
        }
    }
}

/// Operations fetched at a time: 3 kB.
const FETCHED_AT_A_TIME: usize = 64;

/// Bytes for each operation at most: an entry, and for a new value its number, cluster, block and place; the order.
pub(super) const BYTES_PER_OPERATION: usize = size_of::<Entry>() + size_of::<Cluster>() + 24 + 4 * 4;

impl<'h> Calls<'h> {
    /// Numbers the values and drops what cannot matter. O(n).
    pub(crate) fn of(key: KeyHistory<'h>, numbers: &mut Numbers, limits: &Limits<'_>) -> Result<Self, Decision> {
        limits.reserve(key.places.len() * BYTES_PER_OPERATION)?;
        let mut calls = Self {
            key,
            values: Vec::new(),
            entries: Vec::with_capacity(key.places.len()),
            refusals: Vec::new(),
            dropped: Vec::new(),
            has_cas: false,
        };
        let mut observers = Observers { observed: vec![false], unanswered: Vec::new() };
        let filled = calls.fill(numbers, &mut observers, limits);
        numbers.forget(&calls.values);
        filled?;
        calls.drop_unobserved(observers);
        Ok(calls)
    }

    fn fill(&mut self, numbers: &mut Numbers, observers: &mut Observers, limits: &Limits<'_>) -> Result<(), Decision> {
        // A key's operations lie apart in the history, and so do its values' numbers. Fetching some at a time, before any is looked at,
        // lets the waits for memory overlap.
        let mut fetched = Vec::with_capacity(FETCHED_AT_A_TIME);
        for places in self.key.places.chunks(FETCHED_AT_A_TIME) {
            fetched.clear();
            fetched.extend(places.iter().map(|&index| *self.key.compact(index)));
            std::hint::black_box(fetched.iter().map(|operation| numbers.peek(operation)).fold(0, u32::wrapping_add));
            for (operation, &index) in fetched.iter().zip(places) {
                let number = self.entries.len();
                limits.step("reading the operations", number, self.key.places.len())?;
                let number = u32::try_from(number).expect("operations are counted in u32");
                let entry = self.entry(number, operation, numbers).map_err(|()| {
                    // It was refused because it saw the very value that it expected.
                    Decision::invalid(Anomaly::NotLinearizable, vec![index])
                })?;
                self.has_cas |= entry.is_cas();
                observers.add(number, entry, self.values.len());
                self.entries.push(entry);
            }
        }
        Ok(())
    }

    /// The operation's entry; refusals without a value are noted. `Err` for a refusal that contradicts itself.
    #[inline]
    fn entry(&mut self, number: u32, operation: &Operation<ValueId>, numbers: &mut Numbers) -> Result<Entry, ()> {
        let mut id = |id| numbers.number(id, &mut self.values);
        let (seen, made) = match (operation.action, operation.completion) {
            (Action::Read, Completion::Ok(Some(seen))) => (id(seen), NONE),
            (Action::Write(new), Completion::Ok(_) | Completion::Info) => (NONE, id(new)),
            (Action::Cas { old, .. }, Completion::Mismatch { observed: Some(seen) }) if old == seen => return Err(()),
            (Action::Cas { .. }, Completion::Mismatch { observed: Some(seen) }) => (id(seen), NONE),
            (Action::Cas { old, .. }, Completion::Mismatch { observed: None }) => {
                self.refusals.push((number, id(old)));
                (NONE, NONE)
            }
            // Setting what was there already: a read when it won, nothing when that is unknown.
            (Action::Cas { old, new }, Completion::Ok(_)) if old == new => (id(old), NONE),
            (Action::Cas { old, new }, Completion::Ok(_) | Completion::Info) if old != new => (id(old), id(new)),
            _ => (NONE, NONE),
        };
        Ok(Entry { invoke: operation.invoke, ret: operation.ret, seen, made })
    }

    /// Drops writes and compare-and-sets of unknown outcome whose value was not observed by an answer, directly or through others of
    /// them that had to be there for it. Compare-and-sets that only observe each other are dropped together.
    fn drop_unobserved(&mut self, Observers { mut observed, unanswered }: Observers) {
        let mut made_from: FxHashMap<ValueNumber, Vec<ValueNumber>> = FxHashMap::default();
        for entry in unanswered.iter().map(|&number| self.entries[number as usize]).filter(|entry| entry.is_cas()) {
            made_from.entry(entry.made).or_default().push(entry.seen);
        }
        let is_observed = |value: &ValueNumber| observed[*value as usize];
        let mut pending: Vec<ValueNumber> = made_from.keys().copied().filter(is_observed).collect();
        while let Some(value) = pending.pop() {
            for old in made_from.remove(&value).unwrap_or_default() {
                if !std::mem::replace(&mut observed[old as usize], true) {
                    pending.push(old);
                }
            }
        }
        for number in unanswered {
            let entry = &mut self.entries[number as usize];
            if !observed[entry.made as usize] {
                self.dropped.push((number, *entry));
                *entry = entry.without_effect();
            }
        }
    }

    /// The fast test, where it is one of its cases: whether the values are unique is found out on the way.
    pub(crate) fn judge(&mut self, limits: &Limits<'_>) -> (Decision, &'static str) {
        let decided_by = if self.has_cas || !self.refusals.is_empty() { "cas-chains" } else { "register-zones" };
        let judged = self.clusters(limits).and_then(|clusters| chains::judge(self, clusters, limits));
        (judged.map_or_else(|early| early, Decision::Valid), decided_by)
    }

    /// For the searches.
    pub(crate) fn problem(&self) -> Problem<Register> {
        let mut calls: Vec<Option<Call>> = self.entries.iter().map(|entry| entry.call()).collect();
        if !self.refusals.is_empty() {
            for (number, entry) in &self.dropped {
                calls[*number as usize] = entry.call();
            }
        }
        for &(number, old) in &self.refusals {
            calls[number as usize] = Some(Call::NotEqual(old));
        }
        let entry = |(place, call): (usize, Option<Call>)| {
            let Entry { invoke, ret, .. } = self.entries[place];
            call.map(|call| search::Entry { index: self.key.places[place], invoke, ret, call })
        };
        Problem::new(Register, calls.into_iter().enumerate().filter_map(entry).collect())
    }

    pub(crate) fn index(&self, entry: u32) -> OpIndex {
        self.key.places[entry as usize]
    }

    /// The clusters by value, or what makes one impossible by itself. Not a case for the fast test when a value is written twice, or the
    /// initial one once.
    fn clusters(&self, limits: &Limits<'_>) -> Result<Vec<Cluster>, Decision> {
        let empty = Cluster { writer: NONE, first_read: NONE, last_read: NONE, winner: NONE, reads: 0 };
        let mut clusters = vec![empty; self.values.len() + 1];
        let mut twice_won = None;
        for (number, entry) in (0u32..).zip(&self.entries) {
            limits.step("gathering the reads of each value", number as usize, self.entries.len())?;
            if entry.made != NONE {
                let maker = std::mem::replace(&mut clusters[entry.made as usize].writer, number);
                if maker != NONE || entry.made == INITIAL {
                    return Err(Decision::NotMine);
                }
                if entry.seen != NONE {
                    let winner = std::mem::replace(&mut clusters[entry.seen as usize].winner, number);
                    if winner != NONE {
                        twice_won = twice_won.or(Some((winner, number)));
                    }
                }
            } else if entry.seen != NONE {
                let cluster = &mut clusters[entry.seen as usize];
                if cluster.reads == 0 || entry.ret < self.entries[cluster.first_read as usize].ret {
                    cluster.first_read = number;
                }
                // Entries come in order of invocation.
                cluster.last_read = number;
                cluster.reads += 1;
            }
        }
        if let Some((first, second)) = twice_won {
            return Err(self.lost_update(first, second));
        }
        for (value, cluster) in (0u32..).zip(&clusters).skip(1) {
            let observer = if cluster.reads == 0 { cluster.winner } else { cluster.first_read };
            if cluster.writer == NONE && observer != NONE {
                return Err(self.unwritten(self.values[value as usize - 1], self.index(observer)));
            }
        }
        Ok(clusters)
    }

    /// Two compare-and-sets won out of a value that was only there once.
    fn lost_update(&self, first: u32, second: u32) -> Decision {
        Decision::invalid(Anomaly::LostUpdate, vec![self.index(first), self.index(second)])
    }

    /// A value was observed that no write can have made.
    fn unwritten(&self, value: ValueId, observer: OpIndex) -> Decision {
        let made = |action| matches!(action, Action::Write(new) | Action::Cas { new, .. } if new == value);
        match self.key.operations().find(|(_, operation)| made(operation.action)) {
            Some((failed, _)) => Decision::invalid(Anomaly::Phantom, vec![observer, failed]),
            None => Decision::invalid(Anomaly::ReadOfUnwritten, vec![observer]),
        }
    }
}
