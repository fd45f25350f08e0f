//! A small search over results alone, for histories whose constraints do not say everything: values written twice, refusals
//! without a reason. It decides sequential consistency of small histories of registers and lists, whatever the values.
//!
//! A state is how far each session has come, with what every key holds; each is visited once. Reads that are possible are done at
//! once. An operation of unknown outcome is the last of its session and may be left out.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Limits;
use super::input::len32;
use super::order::Search;
use crate::history::{Action, Completion, History, OpIndex, Operation, Value};
use crate::model::{ModelKind, ModelSpec};

/// Larger histories are not searched: the search recurses, a level an operation.
const OPERATIONS_MAX: usize = 400;

/// States looked at.
const STATES_MAX: usize = 200_000;

/// Looks for one order of all operations that keeps each session's order. What is stuck is a place in the history.
pub(super) fn search(history: &History, spec: &ModelSpec, limits: &Limits) -> Search {
    if history.len() > OPERATIONS_MAX {
        return Search::GaveUp(format!("more than {OPERATIONS_MAX} operations are not searched for an order"));
    }
    let mut keys: FxHashMap<Value, usize> = FxHashMap::default();
    let mut sessions: FxHashMap<u64, Vec<Entry>> = FxHashMap::default();
    for number in 0..len32(history.len()) {
        let operation = history.operation(OpIndex(number));
        let silent = match (&operation.action, &operation.completion) {
            (_, Completion::Fail) => true,
            (Action::Read, completion) => !matches!(completion, Completion::Ok(Some(_))),
            _ => false,
        };
        if !silent {
            let next = keys.len();
            let key = *keys.entry(operation.key.clone()).or_insert(next);
            sessions.entry(operation.process.0).or_default().push(Entry { number, key, operation });
        }
    }
    let mut sessions: Vec<Vec<Entry>> = sessions.into_values().collect();
    sessions.sort_unstable_by_key(|session| session[0].number);
    let state = State { places: vec![0; sessions.len()], values: vec![normal(spec, &spec.initial); keys.len()] };
    let mut orders = Orders { spec, sessions, limits, visited: FxHashSet::default(), furthest: (0, 0) };
    match orders.extend(state, 0) {
        Ok(true) => Search::Found,
        Ok(false) => Search::None { stuck: orders.furthest.1 },
        Err(why) => Search::GaveUp(why),
    }
}

struct Entry {
    number: u32,
    key: usize,
    operation: Operation,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    places: Vec<usize>,
    values: Vec<Value>,
}

struct Orders<'a> {
    spec: &'a ModelSpec,
    sessions: Vec<Vec<Entry>>,
    limits: &'a Limits,
    visited: FxHashSet<State>,
    /// How many operations were done at best, and what could not be done then.
    furthest: (usize, u32),
}

impl Orders<'_> {
    fn extend(&mut self, mut state: State, mut done: usize) -> Result<bool, String> {
        while let Some(session) = self.possible_read(&state) {
            state.places[session] += 1;
            done += 1;
        }
        let ahead = |(session, &place): (usize, &usize)| Some((session, self.sessions[session].get(place)?));
        let next: Vec<(usize, &Entry)> = state.places.iter().enumerate().filter_map(ahead).collect();
        let Some((_, stuck)) = next.iter().find(|(_, entry)| !entry.operation.is_unknown()) else { return Ok(true) };
        if done >= self.furthest.0 {
            self.furthest = (done, stuck.number);
        }
        if self.visited.contains(&state) {
            return Ok(false);
        }
        if self.visited.len() >= STATES_MAX {
            return Err(format!("no order was found among {STATES_MAX} states"));
        }
        self.limits.check_often(self.visited.len())?;
        let mut after = Vec::new();
        for (session, entry) in next {
            if let Some(value) = step(self.spec, &state.values[entry.key], &entry.operation) {
                let mut state = state.clone();
                state.places[session] += 1;
                state.values[entry.key] = value;
                after.push(state);
            }
        }
        self.visited.insert(state);
        for state in after {
            if self.extend(state, done + 1)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A session whose next operation is possible and changes nothing.
    fn possible_read(&self, state: &State) -> Option<usize> {
        state.places.iter().enumerate().find_map(|(session, &place)| {
            let entry = self.sessions[session].get(place)?;
            let possible = step(self.spec, &state.values[entry.key], &entry.operation).is_some();
            (possible && changes_nothing(&entry.operation)).then_some(session)
        })
    }
}

/// Whether an operation leaves every state as it is. A write of what is there already does not: it may be needed later.
fn changes_nothing(operation: &Operation) -> bool {
    match (&operation.action, &operation.completion) {
        (Action::Read, _) | (_, Completion::Mismatch { .. }) => true,
        (Action::Cas { old, new }, Completion::Ok(_)) => old == new,
        _ => false,
    }
}

/// One value for each state: a list that is absent is empty, and so is a text that starts empty.
fn normal(spec: &ModelSpec, value: &Value) -> Value {
    match (spec.model, value) {
        (ModelKind::ListAppend, Value::Nil) => Value::List(Vec::new()),
        (ModelKind::KeyValue, Value::Nil) if spec.initial == Value::from("") => Value::from(""),
        (_, value) => value.clone(),
    }
}

/// What is there after the operation, or `None` when it cannot have ended so.
fn step(spec: &ModelSpec, state: &Value, operation: &Operation) -> Option<Value> {
    let is = |value: &Value| normal(spec, value) == *state;
    match (&operation.action, &operation.completion) {
        (Action::Read, Completion::Ok(Some(seen))) => is(seen).then(|| state.clone()),
        (Action::Write(new), _) => Some(normal(spec, new)),
        (Action::Delete, _) => Some(normal(spec, &Value::Nil)),
        (Action::Cas { old, .. }, Completion::Mismatch { observed }) => {
            (!is(old) && observed.as_ref().is_none_or(is)).then(|| state.clone())
        }
        (Action::Cas { old, new }, _) => is(old).then(|| normal(spec, new)),
        (Action::Append(element), _) => match state {
            Value::List(list) => Some(Value::List(list.iter().chain([element]).cloned().collect())),
            _ => None,
        },
        _ => None,
    }
}
