//! Eventual convergence: once nobody writes any more, every session reads the same.
//!
//! ```text
//!   ── writes, on any key ──┤ last return of an acknowledged one ├── final reads: per key, each session's last
//! ```
//!
//! "Eventually" has no end in a finite history, so this is judged on the *final reads*: reads invoked after the last
//! acknowledged change of any key had returned, for each key the last of each session. (A run of the harness ends with a
//! read of every key at every node.) It fails when two final reads of a key differ, and no operation of unknown outcome can be why:
//! - a register: two values that no unknown outcome can have brought, or such a value seen after another one;
//! - a list or a set: two that differ in more than elements of unknown appends or additions;
//! - any other object: an unknown outcome on its key explains everything.
//!
//! Where nobody can compare (no key was read by two sessions at the end), or an unknown outcome explains a difference, the answer is
//! unknown. Whether what was read was ever written does not matter here. Vogels, "Eventually consistent", CACM 2009.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Answer, Counterexample};
use crate::describe::{Clock, deed_with_times, key_phrase};
use crate::history::{Action, Completion, History, OpIndex, Operation, Value, ValueId};
use crate::model::{ModelKind, ModelSpec};

/// Reads named in the counterexample.
const READS_SHOWN: usize = 4;

/// Judges the final reads. O(n log n).
pub(super) fn judge(history: &History, spec: &ModelSpec) -> Answer {
    let mut states = States { history, spec, sets: FxHashMap::default() };
    let changes = |operation: &&Operation<ValueId>| {
        !matches!(operation.action, Action::Read) && matches!(operation.completion, Completion::Ok(_))
    };
    let last_change = history.operations().iter().filter(changes).map(|operation| operation.ret).max();
    let mut keys: BTreeMap<ValueId, Key> = BTreeMap::new();
    for (number, operation) in (0u32..).zip(history.operations()) {
        let key = keys.entry(operation.key).or_default();
        match (operation.action, operation.completion) {
            (Action::Read, Completion::Ok(Some(_))) if last_change.is_none_or(|last| operation.invoke > last) => {
                key.finals.insert(operation.process.0, number);
            }
            (Action::Read, _) => {}
            (_, Completion::Info) => key.unknown(operation, &mut states),
            _ => {}
        }
    }
    let mut compared = 0;
    let mut explained = None;
    for (key, reads) in keys {
        compared += usize::from(reads.finals.len() > 1);
        match reads.judge(&mut states) {
            Agreement::Agree => {}
            Agreement::Explained => {
                explained.get_or_insert(key);
            }
            Agreement::Diverged(operations) => return diverged(history, key, operations),
        }
    }
    match (explained, compared) {
        (Some(key), _) => Answer::Unknown(format!(
            "the final reads of {} differ, but an operation of unknown outcome may have taken effect between them",
            key_phrase(history.value(key))
        )),
        (None, 0) => Answer::Unknown("no key was read by two processes after the last acknowledged write".to_owned()),
        (None, _) => Answer::Holds,
    }
}

fn diverged(history: &History, key: ValueId, operations: Vec<u32>) -> Answer {
    let clock = Clock::new(history.time_unit());
    let reads: Vec<String> = operations
        .iter()
        .take(READS_SHOWN)
        .map(|number| deed_with_times(&history.operation(OpIndex(*number)), None, clock))
        .collect();
    let sentence = format!(
        "After the last acknowledged write on any key had returned, the reads of {} differ: {}.",
        key_phrase(history.value(key)),
        reads.join(", ")
    );
    Answer::Fails(Counterexample::new(operations, reads, sentence))
}

/// What one key ends with.
#[derive(Default)]
struct Key {
    /// By process its last final read.
    finals: BTreeMap<u64, u32>,
    /// What operations of unknown outcome can have written or appended.
    unknown: FxHashSet<ValueId>,
    /// One of them can have done anything.
    anything: bool,
}

enum Agreement {
    Agree,
    Explained,
    Diverged(Vec<u32>),
}

/// When a value was seen: by which read first returned, and invoked last.
struct Spell {
    read: u32,
    first_return: u64,
    last_invoke: u64,
}

/// Values as the states that they stand for.
struct States<'a> {
    history: &'a History,
    spec: &'a ModelSpec,
    /// Sets by their elements in order, each with the first value that listed them: servers list a set's elements in any order.
    sets: FxHashMap<Vec<&'a Value>, ValueId>,
}

impl<'a> States<'a> {
    /// An absent list or set is an empty one, and so is a text where texts start empty.
    fn of(&mut self, value: ValueId) -> ValueId {
        if let (ModelKind::Set, Value::List(elements)) = (self.spec.model, self.history.value(value))
            && !elements.is_empty()
        {
            let mut elements: Vec<&Value> = elements.iter().collect();
            elements.sort_unstable();
            return *self.sets.entry(elements).or_insert(value);
        }
        let same = match (self.spec.model, self.history.value(value)) {
            (ModelKind::ListAppend | ModelKind::Set, Value::List(list)) => list.is_empty(),
            (ModelKind::KeyValue, Value::Text(text)) => text.is_empty() && self.spec.initial == Value::from(""),
            _ => false,
        };
        if same { ValueId::NIL } else { value }
    }

    /// The elements that no unknown append or addition can have brought; those of a set in order.
    fn without(&self, value: ValueId, unknown: &FxHashSet<&Value>) -> Vec<&'a Value> {
        let Value::List(elements) = self.history.value(value) else { return Vec::new() };
        let mut certain: Vec<&Value> = elements.iter().filter(|element| !unknown.contains(element)).collect();
        if self.spec.model == ModelKind::Set {
            certain.sort_unstable();
        }
        certain
    }
}

impl Key {
    fn unknown(&mut self, operation: &Operation<ValueId>, states: &mut States<'_>) {
        match operation.action {
            Action::Append(element) if states.spec.model == ModelKind::ListAppend => {
                self.unknown.insert(element);
            }
            Action::Add(element) if states.spec.model == ModelKind::Set => {
                self.unknown.insert(element);
            }
            Action::Write(new) | Action::Cas { new, .. } => {
                self.unknown.insert(states.of(new));
            }
            Action::Delete => {
                self.unknown.insert(ValueId::NIL);
            }
            _ => self.anything = true,
        }
    }

    fn judge(&self, states: &mut States<'_>) -> Agreement {
        let mut spells: FxHashMap<ValueId, Spell> = FxHashMap::default();
        for &number in self.finals.values() {
            let operation = &states.history.operations()[number as usize];
            let Completion::Ok(Some(seen)) = operation.completion else { unreachable!("final reads are answered") };
            let new = Spell { read: number, first_return: operation.ret, last_invoke: operation.invoke };
            let spell = spells.entry(states.of(seen)).or_insert(new);
            spell.first_return = spell.first_return.min(operation.ret);
            spell.last_invoke = spell.last_invoke.max(operation.invoke);
        }
        if spells.len() <= 1 {
            return Agreement::Agree;
        }
        let apart = match states.spec.model {
            ModelKind::ListAppend | ModelKind::Set => {
                let unknown: FxHashSet<&Value> = self.unknown.iter().map(|id| states.history.value(*id)).collect();
                let lists: Vec<_> = spells.keys().map(|value| states.without(*value, &unknown)).collect();
                lists.windows(2).any(|pair| pair[0] != pair[1])
            }
            _ => self.values_apart(&spells),
        };
        if self.anything || !apart {
            return Agreement::Explained;
        }
        let mut reads: Vec<u32> = spells.values().map(|spell| spell.read).collect();
        reads.sort_unstable();
        Agreement::Diverged(reads)
    }

    /// Two values that nothing late can have brought, or one of those after another value.
    fn values_apart(&self, spells: &FxHashMap<ValueId, Spell>) -> bool {
        let mut certain = spells.iter().filter(|(value, _)| !self.unknown.contains(value));
        match (certain.next(), certain.next()) {
            (Some((value, spell)), None) => {
                let others = spells.iter().filter(|(other, _)| *other != value);
                others.into_iter().any(|(_, other)| other.first_return < spell.last_invoke)
            }
            (first, _) => first.is_some(),
        }
    }
}
