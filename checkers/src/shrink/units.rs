//! What can be dropped from a history together: a read alone, a value with all that mentions it, an element, a pair.
//!
//! ```text
//!   unit  = an operation that can go alone, or *names* (values, elements, pairs)
//!   names = dropped ones, and on registers all that a compare-and-set made of them
//!   kept  = operations that no dropped unit and no dropped name takes along
//! ```
//!
//! These are proposals. Whether they are allowed the verifier says.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::history::{
    Action, Completion, History, MicroFunction, OpIndex, Operation, Value, ValueId, micro_operations,
};
use crate::model::{ModelKind, ModelSpec};

/// A value's, element's or pair's number.
type Name = usize;

enum Unit {
    /// An operation that can go alone.
    Operation(usize),
    Names(Vec<Name>),
}

/// When dropped names take an operation along.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goes {
    /// Never.
    Never,
    /// When one of its names goes.
    WithOne,
    /// When any name at all goes.
    WithAny,
}

/// The units of some operations of one key.
#[derive(Default)]
pub(super) struct Units {
    units: Vec<Unit>,
    operations: Vec<(OpIndex, Goes, Vec<Name>)>,
    /// What compare-and-sets made of a value, and what a value was made of.
    made: HashMap<Name, Vec<Name>>,
    made_of: HashMap<Name, Vec<Name>>,
    /// What was found to be needed stays needed.
    is_final: bool,
    needed: HashSet<Name>,
    needed_alone: HashSet<usize>,
}

impl Units {
    pub(super) fn of(history: &History, spec: &ModelSpec, operations: &[OpIndex]) -> Self {
        let mut units = Self::default();
        let operations = || operations.iter().map(|&index| (index, &history.operations()[index.0 as usize]));
        let mut naming = Naming::new(history, spec, operations().map(|(_, operation)| operation));
        let mut named = BTreeSet::new();
        for (place, (index, operation)) in operations().enumerate() {
            let (goes, names) = naming.names(place, operation);
            if let (Action::Cas { .. }, [old, new], Goes::WithOne) = (operation.action, &names[..], goes) {
                units.made.entry(*old).or_default().push(*new);
                units.made_of.entry(*new).or_default().push(*old);
            }
            let unit = naming.unit(operation, &names);
            if goes != Goes::Never && !unit.is_empty() && named.insert(unit.clone()) {
                units.units.push(Unit::Names(unit));
            }
            units.operations.push((index, goes, names));
        }
        for (place, (_, operation)) in operations().enumerate() {
            // A transaction takes along, in what is kept, the registers that it changes.
            if is_reading(history, operation) || naming.family == Family::Registers {
                units.units.push(Unit::Operation(place));
            }
        }
        units.is_final = naming.family == Family::Values;
        units
    }

    pub(super) fn len(&self) -> usize {
        self.units.len()
    }

    /// True when it is known that this unit cannot go.
    pub(super) fn is_needed(&self, unit: usize) -> bool {
        self.is_final
            && match &self.units[unit] {
                Unit::Operation(place) => self.needed_alone.contains(place),
                Unit::Names(names) => names.iter().any(|name| self.needed.contains(name)),
            }
    }

    /// Remembers that this unit cannot go, nor what its values came from.
    pub(super) fn need(&mut self, unit: usize) {
        match &self.units[unit] {
            Unit::Operation(place) => drop(self.needed_alone.insert(*place)),
            Unit::Names(names) => {
                let mut open = names.clone();
                while let Some(name) = open.pop() {
                    if self.needed.insert(name) {
                        open.extend(self.made_of.get(&name).into_iter().flatten());
                    }
                }
            }
        }
    }

    /// What stays when these units are dropped.
    pub(super) fn kept(&self, dropped: &[bool]) -> Vec<OpIndex> {
        let mut alone = HashSet::new();
        let mut out = HashSet::new();
        let mut open = Vec::new();
        for unit in self.units.iter().zip(dropped).filter(|(_, dropped)| **dropped).map(|(unit, _)| unit) {
            match unit {
                Unit::Operation(place) => drop(alone.insert(*place)),
                Unit::Names(names) => open.extend(names),
            }
        }
        while let Some(name) = open.pop() {
            if out.insert(name) {
                open.extend(self.made.get(&name).into_iter().flatten());
            }
        }
        let goes = |goes: Goes, names: &[Name]| match goes {
            Goes::Never => false,
            Goes::WithOne => names.iter().any(|name| out.contains(name)),
            Goes::WithAny => !out.is_empty(),
        };
        let stays = |(place, (_, when, names)): &(usize, &(OpIndex, Goes, Vec<Name>))| {
            !alone.contains(place) && !goes(*when, names)
        };
        self.operations.iter().enumerate().filter(stays).map(|(_, (index, ..))| *index).collect()
    }
}

/// True of what changes no state. More would be allowed; what this misses is not dropped alone.
fn is_reading(history: &History, operation: &Operation<ValueId>) -> bool {
    match (operation.action, operation.completion) {
        (Action::Read, _) | (_, Completion::Mismatch { .. }) => true,
        (Action::Dequeue, Completion::Ok(Some(taken))) => taken == ValueId::NIL,
        (Action::Cas { old, new }, _) => old == new,
        (Action::Txn(parts), _) => changed(history.value(parts)).next().is_none(),
        _ => false,
    }
}

fn changed(parts: &Value) -> impl Iterator<Item = &Value> {
    let parts = micro_operations(parts).unwrap_or_default();
    parts.into_iter().filter(|part| part.function != MicroFunction::Read).map(|part| part.key)
}

/// What the models have names for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Values of a register.
    Values,
    /// Elements of a collection.
    Elements,
    /// Additions to a counter.
    Sums,
    /// Acquisitions with their releases.
    Pairs,
    /// Registers of transactions.
    Registers,
    /// Nothing: texts that are appended to.
    Nothing,
}

impl Family {
    pub(super) fn of<'o>(spec: &ModelSpec, mut operations: impl Iterator<Item = &'o Operation<ValueId>>) -> Self {
        match spec.model {
            ModelKind::Register | ModelKind::CasRegister => Self::Values,
            ModelKind::ListAppend | ModelKind::Set | ModelKind::Queue => Self::Elements,
            ModelKind::Counter => Self::Sums,
            ModelKind::Lock => Self::Pairs,
            ModelKind::MultiRegister => Self::Registers,
            ModelKind::KeyValue if operations.any(|operation| matches!(operation.action, Action::Append(_))) => {
                Self::Nothing
            }
            ModelKind::KeyValue => Self::Values,
        }
    }
}

/// A register's value under the number it has for the object: where a text that starts empty is concerned, absent and empty are one.
pub(super) fn one(history: &History, spec: &ModelSpec, id: ValueId) -> ValueId {
    let is_empty = |value: &Value| matches!(value, Value::Text(text) if text.is_empty());
    let are_one = spec.model == ModelKind::KeyValue && is_empty(&spec.initial);
    if are_one && is_empty(history.value(id)) { ValueId::NIL } else { id }
}

struct Naming<'h> {
    history: &'h History,
    spec: &'h ModelSpec,
    family: Family,
    /// By operation: the pair it is in.
    pairs: HashMap<usize, Name>,
}

impl<'h> Naming<'h> {
    fn new(
        history: &'h History,
        spec: &'h ModelSpec,
        operations: impl Iterator<Item = &'h Operation<ValueId>> + Clone,
    ) -> Self {
        let family = Family::of(spec, operations.clone());
        let mut naming = Self { history, spec, family, pairs: HashMap::new() };
        if family == Family::Pairs {
            naming.find_pairs(operations);
        }
        naming
    }

    fn find_pairs(&mut self, operations: impl Iterator<Item = &'h Operation<ValueId>>) {
        let mut acquired: HashMap<ValueId, usize> = HashMap::new();
        for (place, operation) in operations.enumerate() {
            match (operation.action, operation.completion) {
                (Action::Acquire(owner), Completion::Ok(_)) => drop(acquired.insert(owner, place)),
                (Action::Release(owner), Completion::Ok(_)) => {
                    if let Some(acquire) = acquired.remove(&owner) {
                        self.pairs.extend([(acquire, acquire), (place, acquire)]);
                    }
                }
                _ => {}
            }
        }
    }

    /// The names that an operation has, and when they take it along.
    fn names(&mut self, place: usize, operation: &Operation<ValueId>) -> (Goes, Vec<Name>) {
        match self.family {
            Family::Values => self.values(operation),
            Family::Elements => match (operation.action, operation.completion) {
                (Action::Append(element) | Action::Add(element) | Action::Enqueue(element), _) => {
                    (Goes::WithOne, vec![element.place()])
                }
                (Action::Dequeue, Completion::Ok(Some(taken))) if taken != ValueId::NIL => {
                    (Goes::WithOne, vec![taken.place()])
                }
                _ => (Goes::Never, Vec::new()),
            },
            Family::Sums if matches!(operation.action, Action::Add(_)) => (Goes::WithOne, vec![place]),
            Family::Pairs => match self.pairs.get(&place) {
                Some(&pair) => (Goes::WithOne, vec![pair]),
                None => (Goes::Never, Vec::new()),
            },
            Family::Sums | Family::Registers | Family::Nothing => (Goes::Never, Vec::new()),
        }
    }

    fn values(&self, operation: &Operation<ValueId>) -> (Goes, Vec<Name>) {
        let name = |id| one(self.history, self.spec, id).place();
        match mentioned(operation) {
            Some((first, second)) => (Goes::WithOne, first.into_iter().chain(second).map(name).collect()),
            None => (Goes::WithAny, Vec::new()),
        }
    }

    /// The names that go together with this operation. Empty when it gives none.
    fn unit(&self, operation: &Operation<ValueId>, names: &[Name]) -> Vec<Name> {
        match (self.family, operation.action) {
            (Family::Values, Action::Read) | (Family::Values, Action::Cas { .. })
                if is_reading(self.history, operation) =>
            {
                Vec::new()
            }
            (Family::Values, _) => names.last().into_iter().copied().collect(),
            _ => names.to_vec(),
        }
    }
}

/// The values of a register that an operation has to do with, the one it sets last. `None` when it says only what it did not see.
pub(super) fn mentioned(operation: &Operation<ValueId>) -> Option<(Option<ValueId>, Option<ValueId>)> {
    Some(match (operation.action, operation.completion) {
        (Action::Cas { .. }, Completion::Mismatch { observed: None }) => return None,
        (Action::Cas { .. }, Completion::Mismatch { observed }) => (observed, None),
        (Action::Cas { old, new }, _) => (Some(old), Some(new)),
        (Action::Write(new), _) => (None, Some(new)),
        (Action::Delete, _) => (None, Some(ValueId::NIL)),
        (Action::Read, Completion::Ok(seen)) => (seen, None),
        _ => (None, None),
    })
}
