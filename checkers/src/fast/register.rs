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
    searcher.search(&Problem::new(Register, calls.entries))
}

/// A compare-and-set that was refused because it saw the very value it expected.
fn refused_what_it_saw(key: KeyHistory<'_>) -> Option<Outcome> {
    key.operations().find_map(|(index, operation)| match (operation.action, operation.completion) {
        (Action::Cas { old, .. }, Completion::Mismatch { observed: Some(seen) }) if old == seen => {
            Some(Outcome::invalid(Anomaly::NotLinearizable, vec![index]))
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

/// Drops writes and compare-and-sets of unknown outcome whose value was not observed by an answer, directly or through others of them
/// that had to be there for it. Compare-and-sets that only observe each other are dropped together.
fn drop_unobserved(calls: &mut Calls<'_>) {
    let mut observed = vec![false; calls.values.len()];
    let mut unknown_cas: FxHashMap<ValueNumber, Vec<ValueNumber>> = FxHashMap::default();
    let mut pending = Vec::new();
    for entry in &calls.entries {
        match entry.call {
            Call::Cas { old, new } if entry.is_unknown() => unknown_cas.entry(new).or_default().push(old),
            Call::Read(value) | Call::NotEqual(value) | Call::Cas { old: value, .. } => pending.push(value),
            Call::Write(_) => {}
        }
    }
    while let Some(value) = pending.pop() {
        if !std::mem::replace(&mut observed[value as usize], true) {
            pending.extend(unknown_cas.remove(&value).unwrap_or_default());
        }
    }
    calls.entries.retain(|entry| match entry.call {
        Call::Write(new) | Call::Cas { new, .. } => !entry.is_unknown() || observed[new as usize],
        Call::Read(_) | Call::NotEqual(_) => true,
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
                    return Err(chains::lost_update(calls, winner, number));
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
    let made = |action: Action<ValueId>| matches!(action, Action::Write(new) | Action::Cas { new, .. } if key.value(new) == value);
    match key.operations().find(|(_, operation)| made(operation.action)) {
        Some((failed, _)) => Outcome::invalid(Anomaly::Phantom, vec![observer, failed]),
        None => Outcome::invalid(Anomaly::ReadOfUnwritten, vec![observer]),
    }
}
