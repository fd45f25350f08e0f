//! Registers: from operations to interned calls, and the fast test where every value is written at most once.
//!
//! ```text
//!   operations ─ intern ─ drop what cannot matter ─┬─ unique values ──> clusters ──> chains of clusters ──> zones
//!                                                  └─ else ───────────> the searches
//! ```
//!
//! A *cluster* is a value's write with the reads that returned it. What may be dropped: failed operations and reads without an
//! answer say nothing; a write or compare-and-set of unknown outcome whose value nobody observed, because in any order that
//! has it the next operation to take effect is a blind write (or none), and without it the order is still one. A compare-and-set that
//! failed without saying what it saw breaks that argument: with one of those nothing is dropped and the searches decide.

use rustc_hash::FxHashMap;

use super::chains;
use super::zones::NONE;
use crate::check::{Outcome, Searcher};
use crate::describe::{Clock, deed_with_times, key_phrase};
use crate::history::{Action, Completion, OpIndex, Operation, Value, ValueId};
use crate::key::KeyHistory;
use crate::model::register::{Call, INITIAL, Register, ValueNumber};
use crate::search::{Entry, Problem};
use crate::verdict::Anomaly;

/// One key's operations as calls on interned values.
pub(crate) struct Calls<'h> {
    pub(crate) entries: Vec<Entry<Call>>,
    pub(crate) values: Vec<&'h Value>,
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
}

/// Judges one register.
pub(crate) fn judge(key: KeyHistory<'_>, initial: &Value, searcher: Searcher<'_>) -> (Outcome, &'static str) {
    if let Some(impossible) = refused_what_it_saw(key) {
        return (impossible, "cas-chains");
    }
    let mut calls = intern(key, initial);
    if calls.entries.iter().all(|entry| !matches!(entry.call, Call::NotEqual(_))) {
        drop_unobserved(&mut calls);
        if searcher.may_be_fast() && writes_are_unique(&calls) {
            let has_cas = calls.entries.iter().any(|entry| matches!(entry.call, Call::Cas { .. }));
            let decided_by = if has_cas { "cas-chains" } else { "register-zones" };
            let outcome = match clusters(key, &calls) {
                Ok(clusters) => chains::judge(key, &calls, &clusters),
                Err(violation) => violation,
            };
            return (outcome, decided_by);
        }
    }
    searcher.search(key, &Problem::new(Register, calls.entries))
}

/// A compare-and-set that was refused because it saw the very value it expected.
fn refused_what_it_saw(key: KeyHistory<'_>) -> Option<Outcome> {
    key.operations().find_map(|(index, operation)| match (operation.action, operation.completion) {
        (Action::Cas { old, .. }, Completion::Mismatch { observed: Some(seen) }) if old == seen => {
            let words = format!(
                "On {} {} was answered \"not equal\" although it saw the value it expected.",
                key_phrase(key.key),
                deed_with_times(&key.operation(index), Clock::of(key))
            );
            Some(Outcome::invalid(key, Anomaly::NotLinearizable, vec![index], words))
        }
        _ => None,
    })
}

fn intern<'h>(key: KeyHistory<'h>, initial: &'h Value) -> Calls<'h> {
    let mut interner = Interner { key, values: vec![initial], numbers: FxHashMap::default() };
    interner.numbers.reserve(key.places.len() / 2);
    let mut entries = Vec::with_capacity(key.places.len());
    for (index, operation) in key.operations() {
        if let Some(call) = interner.call(operation) {
            entries.push(Entry { index, invoke: operation.invoke, ret: operation.ret, call });
        }
    }
    Calls { entries, values: interner.values }
}

struct Interner<'h> {
    key: KeyHistory<'h>,
    values: Vec<&'h Value>,
    numbers: FxHashMap<ValueId, ValueNumber>,
}

impl Interner<'_> {
    fn number(&mut self, id: ValueId) -> ValueNumber {
        *self.numbers.entry(id).or_insert_with(|| {
            let value = self.key.value(id);
            if value == self.values[INITIAL as usize] {
                return INITIAL;
            }
            self.values.push(value);
            u32::try_from(self.values.len() - 1).expect("operations are counted in u32")
        })
    }

    /// The call, or `None` when the operation constrains nothing.
    fn call(&mut self, operation: &Operation<ValueId>) -> Option<Call> {
        match (operation.action, operation.completion) {
            (Action::Read, Completion::Ok(Some(seen))) => Some(Call::Read(self.number(seen))),
            (Action::Cas { .. }, Completion::Mismatch { observed: Some(seen) }) => Some(Call::Read(self.number(seen))),
            (Action::Cas { old, .. }, Completion::Mismatch { observed: None }) => {
                Some(Call::NotEqual(self.number(old)))
            }
            (Action::Write(new), Completion::Ok(_) | Completion::Info) => Some(Call::Write(self.number(new))),
            // Setting what was there already: a read when it won, nothing when that is unknown.
            (Action::Cas { old, new }, Completion::Ok(_)) if old == new => Some(Call::Read(self.number(old))),
            (Action::Cas { old, new }, Completion::Ok(_) | Completion::Info) if old != new => {
                Some(Call::Cas { old: self.number(old), new: self.number(new) })
            }
            _ => None,
        }
    }
}

/// Drops writes and compare-and-sets of unknown outcome whose value nobody observed, until none is left.
fn drop_unobserved(calls: &mut Calls<'_>) {
    let mut observers = vec![0u32; calls.values.len()];
    let mut unknown_makers: FxHashMap<ValueNumber, Vec<u32>> = FxHashMap::default();
    for (number, entry) in (0u32..).zip(&calls.entries) {
        match entry.call {
            Call::Read(value) | Call::NotEqual(value) | Call::Cas { old: value, .. } => observers[value as usize] += 1,
            Call::Write(_) => {}
        }
        if let (true, Call::Write(new) | Call::Cas { new, .. }) = (entry.is_unknown(), entry.call) {
            unknown_makers.entry(new).or_default().push(number);
        }
    }
    if unknown_makers.is_empty() {
        return;
    }
    let mut unobserved: Vec<ValueNumber> =
        unknown_makers.keys().copied().filter(|&value| observers[value as usize] == 0).collect();
    let mut dropped = vec![false; calls.entries.len()];
    while let Some(value) = unobserved.pop() {
        for number in unknown_makers.remove(&value).unwrap_or_default() {
            dropped[number as usize] = true;
            if let Call::Cas { old, .. } = calls.entries[number as usize].call {
                observers[old as usize] -= 1;
                if observers[old as usize] == 0 && unknown_makers.contains_key(&old) {
                    unobserved.push(old);
                }
            }
        }
    }
    let mut number = 0;
    calls.entries.retain(|_| {
        number += 1;
        !dropped[number - 1]
    });
}

/// True when no value is written twice, and the initial one never.
fn writes_are_unique(calls: &Calls<'_>) -> bool {
    let mut written = vec![false; calls.values.len()];
    written[INITIAL as usize] = true;
    calls.entries.iter().all(|entry| match entry.call {
        Call::Write(new) | Call::Cas { new, .. } => !std::mem::replace(&mut written[new as usize], true),
        Call::Read(_) | Call::NotEqual(_) => true,
    })
}

/// The clusters by value, or what makes one impossible by itself.
fn clusters(key: KeyHistory<'_>, calls: &Calls<'_>) -> Result<Vec<Cluster>, Outcome> {
    let empty = Cluster { writer: NONE, first_read: NONE, last_read: NONE, winner: NONE };
    let mut clusters = vec![empty; calls.values.len()];
    for (number, entry) in (0u32..).zip(&calls.entries) {
        match entry.call {
            Call::Write(new) => clusters[new as usize].writer = number,
            Call::Read(value) => {
                let cluster = &mut clusters[value as usize];
                if cluster.first_read == NONE || entry.ret < calls.entries[cluster.first_read as usize].ret {
                    cluster.first_read = number;
                }
                // Entries come in order of invocation.
                cluster.last_read = number;
            }
            Call::Cas { old, new } => {
                clusters[new as usize].writer = number;
                let winner = std::mem::replace(&mut clusters[old as usize].winner, number);
                if winner != NONE {
                    return Err(chains::lost_update(key, calls, old, winner, number));
                }
            }
            Call::NotEqual(_) => unreachable!("the fast test has no refused compare-and-sets without a value"),
        }
    }
    for (value, cluster) in clusters.iter().enumerate().skip(1) {
        let observer = if cluster.first_read == NONE { cluster.winner } else { cluster.first_read };
        if cluster.writer == NONE && observer != NONE {
            return Err(from_nowhere(key, calls.values[value], calls.entries[observer as usize].index));
        }
    }
    Ok(clusters)
}

/// A value was observed that no write can have made.
fn from_nowhere(key: KeyHistory<'_>, value: &Value, observer: OpIndex) -> Outcome {
    let clock = Clock::of(key);
    let seen_by = deed_with_times(&key.operation(observer), clock);
    let made = |action: Action<ValueId>| matches!(action, Action::Write(new) | Action::Cas { new, .. } if key.value(new) == value);
    match key.operations().find(|(_, operation)| made(operation.action)) {
        Some((failed, _)) => {
            let words = format!(
                "Phantom on {}: {seen_by} observed {}, which only {} could have made, and that definitely failed.",
                key_phrase(key.key),
                crate::describe::value(value),
                deed_with_times(&key.operation(failed), clock)
            );
            Outcome::invalid(key, Anomaly::Phantom, vec![observer, failed], words)
        }
        None => {
            let words = format!(
                "Read of an unwritten value on {}: {seen_by} observed {}, which nobody wrote.",
                key_phrase(key.key),
                crate::describe::value(value)
            );
            Outcome::invalid(key, Anomaly::ReadOfUnwritten, vec![observer], words)
        }
    }
}
