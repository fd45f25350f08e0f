//! From a history to what every rung needs: sessions, and for each read the write that it saw.
//!
//! ```text
//!   History ──> who wrote which value (key by key) ──> for each read: one source, several (unclear), or none (impossible)
//!           ──> unknown outcomes that nobody saw are left out ──> Input { ops, sessions, keys }
//! ```
//!
//! With `staleness` and `convergence` this is all of the ladder that reads a [`History`]. Rules:
//! - A *session* is one process. A client that goes on as a new process after an unknown outcome begins a new session: what the
//!   old one had seen and written binds the new one to nothing.
//! - Failed operations and reads without an answer say nothing. A value that only a failed operation could have written, or that
//!   nobody wrote, has no source: no level that explains what reads return can hold.
//! - An operation of unknown outcome is the last of its session. Where somebody saw its value it took effect. Where nobody did
//!   it is left out: an order without it is still one.
//! - A compare-and-set that won is a read and a write in one. One that was refused and said what it saw is a read.
//! - A read of a value that several operations can have written is *unclear*: it gives no constraint, and no level may then be
//!   said to hold on the strength of the constraints alone. So is a refused compare-and-set that did not say what it saw.

use rustc_hash::FxHashMap;

use super::{Counterexample, words};
use crate::describe::{self, key_phrase};
use crate::history::{Action, Completion, History, OpIndex, Operation, TimeUnit, Value, ValueId};
use crate::model::{ModelKind, ModelSpec};

/// No operation.
pub(super) const NONE: u32 = u32::MAX;

/// One operation that took effect, or saw something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    pub(super) index: OpIndex,
    pub(super) session: u32,
    /// Its place among the operations of its session, from 0.
    pub(super) place: u32,
    pub(super) key: u32,
    pub(super) reads: Reads,
    /// Whether it makes a version.
    pub(super) writes: bool,
}

/// What an operation saw. A version is named by the operation that made it; a key's initial one by [`Input::initial`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    Nothing,
    /// A register's version.
    One(u32),
    /// A list: its elements beyond the initial ones, as a place in [`Input::lists`].
    List(u32),
}

/// The operations, by number in order of invocation.
pub(super) struct Input<'h> {
    history: &'h History,
    pub(super) ops: Vec<Op>,
    /// The operations of each session, in order.
    pub(super) sessions: Vec<Vec<u32>>,
    pub(super) keys: Vec<&'h Value>,
    /// Distinct lists that were read, as the appends that made their elements.
    pub(super) lists: Vec<Vec<u32>>,
    pub(super) is_list: bool,
    /// Why the constraints do not say everything, if they do not.
    pub(super) unclear: Option<String>,
    /// What no level can explain.
    pub(super) impossible: Option<Counterexample>,
}

impl<'h> Input<'h> {
    /// # Errors
    /// Why this history is not judged below linearizability.
    pub(super) fn of(history: &'h History, spec: &ModelSpec) -> Result<Self, String> {
        fits(history, spec)?;
        let mut reader = Reader::new(history, spec);
        reader.find_writers();
        reader.resolve();
        Ok(reader.finish())
    }

    /// The number that stands for a key's initial version: numbers from the count of operations up are initial.
    pub(super) fn initial(&self, key: u32) -> u32 {
        len32(self.ops.len()) + key
    }

    pub(super) fn is_initial(&self, version: u32) -> bool {
        version as usize >= self.ops.len()
    }

    /// Operations and initial versions.
    pub(super) fn node_count(&self) -> usize {
        self.ops.len() + self.keys.len()
    }

    pub(super) fn op(&self, number: u32) -> &Op {
        &self.ops[number as usize]
    }

    /// The operation with its values.
    pub(super) fn operation(&self, number: u32) -> Operation {
        self.history.operation(self.op(number).index)
    }

    pub(super) fn time_unit(&self) -> TimeUnit {
        self.history.time_unit()
    }

    /// The versions that an operation saw, initial ones left out.
    pub(super) fn sources<'a>(&'a self, op: &'a Op) -> &'a [u32] {
        match &op.reads {
            Reads::Nothing => &[],
            Reads::One(source) if self.is_initial(*source) => &[],
            Reads::One(source) => std::slice::from_ref(source),
            Reads::List(list) => &self.lists[*list as usize],
        }
    }
}

/// Operations are counted in u32.
pub(super) fn len32(length: usize) -> u32 {
    u32::try_from(length).expect("histories are counted in u32")
}

fn fits(history: &History, spec: &ModelSpec) -> Result<(), String> {
    let is_list = spec.model == ModelKind::ListAppend;
    if !is_list && !matches!(spec.model, ModelKind::Register | ModelKind::CasRegister | ModelKind::KeyValue) {
        return Err("what this model's reads return does not say which writes they saw".to_owned());
    }
    for operation in history.operations() {
        match operation.action {
            Action::Read => {}
            Action::Append(_) if is_list => {}
            Action::Write(_) | Action::Cas { .. } | Action::Delete if !is_list => {}
            Action::Append(_) => return Err("a text that is appended to does not say which writes it shows".to_owned()),
            _ => return Err("the history has operations that do not belong to the model".to_owned()),
        }
    }
    Ok(())
}

/// Who can have written a value.
#[derive(Clone, Copy)]
struct Writers {
    first: u32,
    count: u32,
    failed: u32,
}

/// What a value seen on a key stands for.
enum Found {
    Initial,
    One(u32),
    Several,
    /// With the failed operation that would have written it.
    Nobody(u32),
}

/// What an operation of the history saw, before unknown outcomes are left out: versions are places in the history.
#[derive(Clone, Copy)]
enum Seen {
    Nothing,
    Initial,
    One(u32),
    List(u32),
}

struct Reader<'h> {
    history: &'h History,
    is_list: bool,
    /// `nil` and `""` are one state where a key starts as `""`.
    nil_is_empty: bool,
    /// The initial value's place among the history's values.
    initial: u32,
    initial_list: Vec<Value>,
    keys: Vec<&'h Value>,
    key_numbers: FxHashMap<ValueId, u32>,
    writers: FxHashMap<(u32, u32), Writers>,
    appenders: FxHashMap<(u32, &'h Value), Writers>,
    /// By place in the history: what it saw, and whether it is kept.
    seen: Vec<(Seen, bool)>,
    lists: Vec<Vec<u32>>,
    list_numbers: FxHashMap<(u32, ValueId), Option<u32>>,
    /// Operations of unknown outcome that were seen, and whose own reading is still to be looked at.
    found_done: Vec<u32>,
    unclear: Option<String>,
    impossible: Option<Counterexample>,
}

impl<'h> Reader<'h> {
    fn new(history: &'h History, spec: &ModelSpec) -> Self {
        let nil_is_empty = spec.model == ModelKind::KeyValue && spec.initial == Value::from("");
        let nil = len32(ValueId::NIL.place());
        let place = history.values().iter().position(|value| *value == spec.initial).map(len32);
        let mut keys = Vec::new();
        let mut key_numbers = FxHashMap::default();
        for operation in history.operations() {
            key_numbers.entry(operation.key).or_insert_with(|| {
                keys.push(history.value(operation.key));
                len32(keys.len() - 1)
            });
        }
        Self {
            history,
            is_list: spec.model == ModelKind::ListAppend,
            nil_is_empty,
            initial: place.unwrap_or(if nil_is_empty { nil } else { NONE }),
            initial_list: if let Value::List(list) = &spec.initial { list.clone() } else { Vec::new() },
            keys,
            key_numbers,
            writers: FxHashMap::default(),
            appenders: FxHashMap::default(),
            seen: vec![(Seen::Nothing, false); history.len()],
            lists: Vec::new(),
            list_numbers: FxHashMap::default(),
            found_done: Vec::new(),
            unclear: None,
            impossible: None,
        }
    }

    fn state(&self, id: ValueId) -> u32 {
        if self.nil_is_empty && id == ValueId::NIL { self.initial } else { len32(id.place()) }
    }

    fn key(&self, operation: &Operation<ValueId>) -> u32 {
        self.key_numbers[&operation.key]
    }

    fn find_writers(&mut self) {
        for (number, operation) in (0u32..).zip(self.history.operations()) {
            let key = self.key(operation);
            let empty = Writers { first: NONE, count: 0, failed: NONE };
            let writers = match operation.action {
                Action::Write(new) => self.writers.entry((key, self.state(new))).or_insert(empty),
                Action::Cas { old, new } if self.state(old) != self.state(new) => {
                    self.writers.entry((key, self.state(new))).or_insert(empty)
                }
                Action::Delete => self.writers.entry((key, self.state(ValueId::NIL))).or_insert(empty),
                Action::Append(element) => self.appenders.entry((key, self.history.value(element))).or_insert(empty),
                _ => continue,
            };
            if matches!(operation.completion, Completion::Fail | Completion::Mismatch { .. }) {
                writers.failed = number;
            } else {
                writers.first = if writers.count == 0 { number } else { writers.first };
                writers.count += 1;
            }
        }
    }

    fn found(&self, writers: Option<&Writers>, is_initial: bool) -> Found {
        match (writers, is_initial) {
            (None, true) | (Some(Writers { count: 0, .. }), true) => Found::Initial,
            (Some(Writers { count: 1, first, .. }), false) => Found::One(*first),
            (Some(Writers { count: 0, failed, .. }), false) => Found::Nobody(*failed),
            (None, false) => Found::Nobody(NONE),
            (Some(_), _) => Found::Several,
        }
    }

    /// Finds what every operation saw, beginning with those that certainly took effect.
    fn resolve(&mut self) {
        for (number, operation) in (0u32..).zip(self.history.operations()) {
            let kept = match (operation.action, operation.completion) {
                (Action::Read, Completion::Ok(Some(seen))) if self.is_list => self.saw_list(number, operation, seen),
                (Action::Read, Completion::Ok(Some(seen))) => self.saw(number, operation, seen),
                (Action::Cas { old, .. }, Completion::Mismatch { observed: Some(seen) }) => {
                    if self.state(old) == self.state(seen) {
                        let words = "was answered \"not equal\" although it saw the value it expected";
                        self.impossible(number, NONE, words.to_owned());
                    }
                    self.saw(number, operation, seen)
                }
                (Action::Cas { old, .. }, Completion::Mismatch { observed: None }) => {
                    self.refused_silently(operation, old);
                    false
                }
                (Action::Cas { old, .. }, Completion::Ok(_)) => {
                    self.saw(number, operation, old);
                    true
                }
                (Action::Write(_) | Action::Append(_) | Action::Delete, Completion::Ok(_)) => true,
                _ => false,
            };
            self.seen[number as usize].1 |= kept;
        }
        while let Some(number) = self.found_done.pop() {
            let operation = &self.history.operations()[number as usize];
            if let Action::Cas { old, .. } = operation.action {
                self.saw(number, operation, old);
            }
        }
    }

    /// Notes what an operation saw; true when that is clear.
    fn saw(&mut self, number: u32, operation: &Operation<ValueId>, value: ValueId) -> bool {
        let key = self.key(operation);
        let state = self.state(value);
        let writers = self.writers.get(&(key, state));
        let seen = match self.found(writers, state == self.initial) {
            Found::Initial => Seen::Initial,
            Found::One(writer) => {
                self.took_effect(writer);
                Seen::One(writer)
            }
            Found::Several => {
                self.several(key, self.history.value(value));
                return false;
            }
            Found::Nobody(failed) => {
                let value = describe::value(self.history.value(value));
                self.nobody(number, failed, &value);
                return false;
            }
        };
        self.seen[number as usize].0 = seen;
        true
    }

    fn saw_list(&mut self, number: u32, operation: &Operation<ValueId>, value: ValueId) -> bool {
        let key = self.key(operation);
        let list = match self.list_numbers.get(&(key, value)) {
            Some(list) => *list,
            None => {
                let list = self.elements(number, key, value).map(|list| {
                    self.lists.push(list);
                    len32(self.lists.len() - 1)
                });
                self.list_numbers.insert((key, value), list);
                list
            }
        };
        if let Some(list) = list {
            self.seen[number as usize].0 = Seen::List(list);
        }
        list.is_some()
    }

    /// The appends that made the elements of a list, or `None` when they are unclear or impossible.
    fn elements(&mut self, number: u32, key: u32, value: ValueId) -> Option<Vec<u32>> {
        let elements: &'h [Value] = match self.history.value(value) {
            Value::List(elements) => elements,
            Value::Nil => &[],
            _ => {
                self.impossible(number, NONE, "returned something that is not a list".to_owned());
                return None;
            }
        };
        let Some(appended) = elements.strip_prefix(self.initial_list.as_slice()) else {
            self.impossible(number, NONE, "lacks what the list began with".to_owned());
            return None;
        };
        let mut appends = Vec::with_capacity(appended.len());
        for element in appended {
            match self.found(self.appenders.get(&(key, element)), false) {
                Found::One(append) => appends.push(append),
                Found::Nobody(failed) => {
                    self.nobody(number, failed, &describe::value(element));
                    return None;
                }
                Found::Several | Found::Initial => {
                    self.several(key, element);
                    return None;
                }
            }
        }
        let mut sorted = appends.clone();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let words = format!("shows twice what {} added once", self.deed(twice[0]));
            self.impossible(number, twice[0], words);
            return None;
        }
        appends.iter().for_each(|&append| self.took_effect(append));
        Some(appends)
    }

    /// Somebody saw what this operation wrote, so it was done.
    fn took_effect(&mut self, number: u32) {
        let kept = &mut self.seen[number as usize].1;
        if self.history.operations()[number as usize].is_unknown() && !*kept {
            *kept = true;
            self.found_done.push(number);
        }
    }

    /// A compare-and-set that was refused without a word: it says something only if the value it expected can have been there.
    fn refused_silently(&mut self, operation: &Operation<ValueId>, old: ValueId) {
        let key = self.key(operation);
        let state = self.state(old);
        if !matches!(self.found(self.writers.get(&(key, state)), state == self.initial), Found::Nobody(_)) {
            let words = "a refused compare-and-set on {key} does not say what it saw";
            let words = words.replace("{key}", &key_phrase(self.keys[key as usize]));
            self.unclear.get_or_insert(words);
        }
    }

    fn several(&mut self, key: u32, value: &Value) {
        let key = key_phrase(self.keys[key as usize]);
        let words = format!("values are not unique: {} was there more than once on {key}", describe::value(value));
        self.unclear.get_or_insert(words);
    }

    fn nobody(&mut self, number: u32, failed: u32, value: &str) {
        let words = if failed == NONE {
            format!("observed {value}, which nobody wrote")
        } else {
            format!("observed {value}, which only {} could have written, and that failed", self.deed(failed))
        };
        self.impossible(number, failed, words);
    }

    fn deed(&self, number: u32) -> String {
        words::deed(&self.history.operation(OpIndex(number)), false)
    }

    fn impossible(&mut self, number: u32, other: u32, words: String) {
        if self.impossible.is_none() {
            let operation = self.history.operation(OpIndex(number));
            let sentence = format!("Impossible: {} {words}.", words::deed(&operation, true));
            let operations = [number, other].into_iter().filter(|number| *number != NONE).collect();
            self.impossible = Some(Counterexample::new(operations, Vec::new(), sentence));
        }
    }

    fn finish(self) -> Input<'h> {
        let mut numbers = vec![NONE; self.history.len()];
        let mut ops: Vec<Op> = Vec::new();
        let mut sessions: Vec<Vec<u32>> = Vec::new();
        let mut session_numbers = FxHashMap::default();
        for (place, operation) in self.history.operations().iter().enumerate() {
            let (_, kept) = self.seen[place];
            if !kept {
                continue;
            }
            numbers[place] = len32(ops.len());
            let session = *session_numbers.entry(operation.process).or_insert_with(|| {
                sessions.push(Vec::new());
                len32(sessions.len() - 1)
            });
            let of_session = &mut sessions[session as usize];
            of_session.push(len32(ops.len()));
            let refused = matches!(operation.completion, Completion::Mismatch { .. });
            let writes = match operation.action {
                Action::Write(_) | Action::Append(_) | Action::Delete => true,
                Action::Cas { old, new } => self.state(old) != self.state(new) && !refused,
                _ => false,
            };
            ops.push(Op {
                index: OpIndex(len32(place)),
                session,
                place: len32(of_session.len() - 1),
                key: self.key(operation),
                reads: Reads::Nothing,
                writes,
            });
        }
        let count = len32(ops.len());
        for op in &mut ops {
            op.reads = match self.seen[op.index.0 as usize].0 {
                Seen::Nothing => Reads::Nothing,
                Seen::Initial => Reads::One(count + op.key),
                Seen::One(writer) => Reads::One(numbers[writer as usize]),
                Seen::List(list) => Reads::List(list),
            };
        }
        let to_numbers = |list: Vec<u32>| list.into_iter().map(|append| numbers[append as usize]).collect();
        Input {
            history: self.history,
            ops,
            sessions,
            keys: self.keys,
            lists: self.lists.into_iter().map(to_numbers).collect(),
            is_list: self.is_list,
            unclear: self.unclear,
            impossible: self.impossible,
        }
    }
}
