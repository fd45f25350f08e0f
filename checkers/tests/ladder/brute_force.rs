//! The levels by their definitions, tried order by order on tiny histories. It shares nothing with the ladder but the types.
//!
//! A *world* says which operations of unknown outcome took effect, and which write each read saw. A level holds when it does in
//! some world. Lists show what they saw, so their worlds differ only in what took effect.

use checkers::history::{Action, Completion, Operation, Value};
use checkers::ladder::Level;
use checkers::model::{ModelKind, ModelSpec};

pub struct World<'a> {
    spec: &'a ModelSpec,
    operations: Vec<&'a Operation>,
    /// For each operation the writes that it saw; registers: at most one, none for the initial value.
    sources: Vec<Option<Vec<usize>>>,
}

/// True when the level holds in some world.
pub fn holds(level: Level, operations: &[Operation], spec: &ModelSpec) -> bool {
    if level == Level::Sequential {
        return sequential(operations, spec);
    }
    let unknown: Vec<usize> = (0..operations.len()).filter(|at| operations[*at].is_unknown()).collect();
    (0..1u32 << unknown.len()).any(|chosen| {
        let left_out = |at: usize| {
            let unknown = unknown.iter().position(|other| *other == at);
            operations[at].completion == Completion::Fail || unknown.is_some_and(|bit| chosen >> bit & 1 == 0)
        };
        let kept: Vec<&Operation> =
            (0..operations.len()).filter(|at| !left_out(*at)).map(|at| &operations[at]).collect();
        let mut world = World { spec, sources: Vec::new(), operations: kept };
        world.choose(level)
    })
}

/// The state that a value stands for.
fn state(spec: &ModelSpec, value: &Value) -> Value {
    match (spec.model, value) {
        (ModelKind::ListAppend, Value::Nil) => Value::List(Vec::new()),
        _ => value.clone(),
    }
}

fn written(operation: &Operation) -> Option<&Value> {
    match (&operation.action, &operation.completion) {
        (_, Completion::Mismatch { .. }) => None,
        (Action::Write(new) | Action::Append(new), _) => Some(new),
        (Action::Cas { old, new }, _) if old != new => Some(new),
        _ => None,
    }
}

impl World<'_> {
    fn choose(&mut self, level: Level) -> bool {
        let at = self.sources.len();
        let Some(operation) = self.operations.get(at) else { return self.holds(level) };
        let fits: Box<dyn Fn(&Value) -> bool> = match (&operation.action, &operation.completion) {
            (Action::Read, Completion::Ok(Some(seen))) if self.spec.model == ModelKind::ListAppend => {
                let Some(shown) = self.shown(at, seen) else { return false };
                self.sources.push(Some(shown));
                let found = self.choose(level);
                self.sources.pop();
                return found;
            }
            (Action::Read, Completion::Ok(Some(seen))) => Box::new(move |value| value == seen),
            (Action::Cas { old, .. }, Completion::Mismatch { observed }) => {
                Box::new(move |value| value != old && observed.as_ref().is_none_or(|seen| seen == value))
            }
            (Action::Cas { old, .. }, _) => Box::new(move |value| value == old),
            _ => {
                self.sources.push(None);
                let found = self.choose(level);
                self.sources.pop();
                return found;
            }
        };
        let mut choices: Vec<Vec<usize>> = (0..self.operations.len())
            .filter(|other| *other != at && self.operations[*other].key == operation.key)
            .filter(|other| written(self.operations[*other]).is_some_and(&fits))
            .map(|other| vec![other])
            .collect();
        if fits(&self.spec.initial) {
            choices.push(Vec::new());
        }
        choices.into_iter().any(|choice| {
            self.sources.push(Some(choice));
            let found = self.choose(level);
            self.sources.pop();
            found
        })
    }

    /// The appends that made the elements of a list, in its order.
    fn shown(&self, at: usize, seen: &Value) -> Option<Vec<usize>> {
        let (Value::List(list), Value::List(initial)) = (state(self.spec, seen), state(self.spec, &self.spec.initial))
        else {
            return None;
        };
        if list.len() < initial.len() || list[..initial.len()] != initial {
            return None;
        }
        let key = &self.operations[at].key;
        let append = |element: &Value| {
            (0..self.operations.len())
                .find(|other| self.operations[*other].key == *key && written(self.operations[*other]) == Some(element))
        };
        let shown: Vec<usize> = list[initial.len()..].iter().map(append).collect::<Option<_>>()?;
        let once = (0..shown.len()).all(|at| !shown[..at].contains(&shown[at]));
        once.then_some(shown)
    }

    fn holds(&self, level: Level) -> bool {
        match (level, self.spec.model) {
            (Level::Causal, _) => self.causal(),
            (level, ModelKind::ListAppend) => self.list_guarantee(level),
            (level, _) => self.guarantee(level),
        }
    }

    fn count(&self) -> usize {
        self.operations.len()
    }

    /// Whether a session did one before the other.
    fn session(&self, one: usize, other: usize) -> bool {
        one < other && self.operations[one].process == self.operations[other].process
    }

    fn saw(&self, read: usize, write: usize) -> bool {
        self.sources[read].as_ref().is_some_and(|sources| sources.contains(&write))
    }

    fn writes_same(&self, one: usize, other: usize) -> bool {
        let writes = |at: usize| written(self.operations[at]).is_some();
        writes(one) && writes(other) && self.same_key(one, other)
    }

    fn same_key(&self, one: usize, other: usize) -> bool {
        self.operations[one].key == self.operations[other].key
    }

    fn writes(&self, at: usize) -> bool {
        written(self.operations[at]).is_some()
    }

    fn causal(&self) -> bool {
        let count = self.count();
        let mut before: Vec<Vec<bool>> =
            (0..count).map(|a| (0..count).map(|b| self.session(a, b) || self.saw(b, a)).collect()).collect();
        for middle in 0..count {
            for a in 0..count {
                for b in 0..count {
                    before[a][b] |= before[a][middle] && before[middle][b];
                }
            }
        }
        if (0..count).any(|at| before[at][at]) {
            return false;
        }
        any_order(count, &|order| {
            let place = |at: usize| order.iter().position(|other| *other == at).expect("all are in the order");
            let keeps = (0..count).all(|a| (0..count).all(|b| !before[a][b] || place(a) < place(b)));
            keeps
                && (0..count).all(|read| {
                    let Some(sources) = &self.sources[read] else { return true };
                    let past = (0..count)
                        .filter(|write| self.writes(*write) && self.same_key(*write, read) && before[*write][read]);
                    if self.spec.model == ModelKind::ListAppend {
                        let mut past: Vec<usize> = past.collect();
                        past.sort_by_key(|write| place(*write));
                        past == *sources
                    } else {
                        past.into_iter().all(|write| match sources.first() {
                            None => false,
                            Some(&source) => source == write || place(write) < place(source),
                        })
                    }
                })
        })
    }

    /// A session guarantee on registers: each key has an order of its versions that does.
    fn guarantee(&self, level: Level) -> bool {
        let lines: &[Line] = match level {
            Level::ReadYourWrites => &[Line::OwnWrites],
            Level::MonotonicReads => &[Line::OwnReads],
            Level::MonotonicWrites => &[Line::WriteOrder, Line::WritesSeen],
            _ => &[Line::ReadOrder, Line::ReadsSeen],
        };
        let mut lines = lines.to_vec();
        if matches!(level, Level::ReadYourWrites | Level::MonotonicReads) {
            lines.push(Line::WriteOrder);
            if self.some_order(&[Line::WriteOrder, Line::ReadOrder]) {
                lines.push(Line::ReadOrder);
            }
        }
        self.some_order(&lines)
    }

    fn some_order(&self, lines: &[Line]) -> bool {
        let mut keys: Vec<&Value> = self.operations.iter().map(|operation| &operation.key).collect();
        keys.sort();
        keys.dedup();
        keys.into_iter().all(|key| {
            let versions: Vec<usize> =
                (0..self.count()).filter(|at| self.writes(*at) && self.operations[*at].key == *key).collect();
            any_order(versions.len(), &|order| {
                let age = |version: Option<usize>| {
                    version.map(|version| 1 + order.iter().position(|at| versions[*at] == version).expect("a version"))
                };
                lines.iter().all(|line| self.line(*line, key, &|version| age(version).unwrap_or(0)))
            })
        })
    }

    /// The version that a read of this key saw: none for the initial one.
    fn version(&self, read: usize, key: &Value) -> Option<Option<usize>> {
        let sources = self.sources[read].as_ref().filter(|_| self.operations[read].key == *key)?;
        Some(sources.first().copied())
    }

    fn line(&self, line: Line, key: &Value, age: &dyn Fn(Option<usize>) -> usize) -> bool {
        let all = || 0..self.count();
        let of_key = |at: usize| self.operations[at].key == *key;
        let session = |a: usize, b: usize| self.session(a, b);
        match line {
            Line::OwnWrites => all().all(|u| {
                all().all(|r| {
                    let Some(seen) = self.version(r, key) else { return true };
                    !(self.writes(u) && of_key(u) && session(u, r)) || age(Some(u)) <= age(seen)
                })
            }),
            Line::OwnReads => all().all(|first| {
                all().all(|then| match (self.version(first, key), self.version(then, key)) {
                    (Some(one), Some(other)) if session(first, then) => age(one) <= age(other),
                    _ => true,
                })
            }),
            Line::WriteOrder => all().all(|u| {
                all().all(|w| !(self.writes_same(u, w) && of_key(u) && session(u, w)) || age(Some(u)) < age(Some(w)))
            }),
            // A compare-and-set reads before it writes.
            Line::ReadOrder => all().all(|r| {
                all().all(|w| match self.version(r, key) {
                    Some(seen) if self.writes(w) && of_key(w) && (session(r, w) || r == w) => age(seen) < age(Some(w)),
                    _ => true,
                })
            }),
            Line::WritesSeen | Line::ReadsSeen => all().all(|then| {
                let Some(seen) = self.version(then, key) else { return true };
                all().filter(|first| session(*first, then)).all(|first| {
                    all().filter(|v| self.saw(first, *v)).all(|v| {
                        all().filter(|u| session(*u, v) || (*u == v && line == Line::ReadsSeen)).all(|u| match line {
                            Line::WritesSeen if self.writes(u) && of_key(u) => age(Some(u)) <= age(seen),
                            Line::WritesSeen => true,
                            _ => self.version(u, key).is_none_or(|known| age(known) <= age(seen)),
                        })
                    })
                })
            }),
        }
    }

    /// A session guarantee on lists.
    fn list_guarantee(&self, level: Level) -> bool {
        let all = || 0..self.count();
        let reads = || all().filter(|at| self.sources[*at].is_some());
        let place = |read: usize, write: usize| {
            self.sources[read].as_ref().and_then(|shown| shown.iter().position(|other| *other == write))
        };
        let shows_before = |read: usize, one: usize, other: usize| match (place(read, one), place(read, other)) {
            (Some(one), Some(other)) => one < other,
            (None, Some(_)) => false,
            _ => true,
        };
        match level {
            Level::ReadYourWrites => reads().all(|r| {
                all().all(|u| !(self.writes(u) && self.same_key(u, r) && self.session(u, r)) || self.saw(r, u))
            }),
            Level::MonotonicReads => reads().all(|then| {
                reads().all(|first| {
                    let related = self.session(first, then) && self.same_key(first, then);
                    !related || all().all(|u| !self.saw(first, u) || self.saw(then, u))
                })
            }),
            _ => all().all(|u| {
                // Operations after which, in their session, u was known.
                let known = |v: usize| match level {
                    Level::MonotonicWrites => self.session(u, v),
                    _ => reads().any(|r| self.saw(r, u) && self.session(r, v)),
                };
                !self.writes(u)
                    || all().filter(|v| self.writes(*v) && known(*v)).all(|v| {
                        reads().filter(|read| self.same_key(*read, u)).all(|read| {
                            let direct = !self.same_key(u, v) || shows_before(read, u, v);
                            let earlier = reads().any(|first| self.session(first, read) && self.saw(first, v));
                            direct && (!earlier || self.saw(read, u))
                        })
                    })
            }),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Line {
    OwnWrites,
    OwnReads,
    WriteOrder,
    WritesSeen,
    ReadOrder,
    ReadsSeen,
}

/// True when some order of `0..count` passes.
fn any_order(count: usize, passes: &dyn Fn(&[usize]) -> bool) -> bool {
    fn extend(order: &mut Vec<usize>, count: usize, passes: &dyn Fn(&[usize]) -> bool) -> bool {
        if order.len() == count {
            return passes(order);
        }
        (0..count).any(|next| {
            if order.contains(&next) {
                return false;
            }
            order.push(next);
            let found = extend(order, count, passes);
            order.pop();
            found
        })
    }
    extend(&mut Vec::new(), count, passes)
}

/// Some order of all operations keeps each session's and explains each result.
fn sequential(operations: &[Operation], spec: &ModelSpec) -> bool {
    let mut keys: Vec<Value> = operations.iter().map(|operation| operation.key.clone()).collect();
    keys.sort();
    keys.dedup();
    let states: Vec<(Value, Value)> = keys.into_iter().map(|key| (key, state(spec, &spec.initial))).collect();
    let relevant: Vec<&Operation> =
        operations.iter().filter(|operation| operation.completion != Completion::Fail).collect();
    extend(&relevant, &mut vec![false; relevant.len()], &states, spec)
}

fn extend(operations: &[&Operation], done: &mut [bool], states: &[(Value, Value)], spec: &ModelSpec) -> bool {
    if operations.iter().zip(&*done).all(|(operation, done)| *done || operation.is_unknown()) {
        return true;
    }
    for next in 0..operations.len() {
        let operation = operations[next];
        let waits = (0..next).any(|other| !done[other] && operations[other].process == operation.process);
        if done[next] || waits {
            continue;
        }
        let at = states.iter().position(|(key, _)| *key == operation.key).expect("every key has a state");
        if let Some(after) = step(&states[at].1, operation, spec) {
            let mut states = states.to_vec();
            states[at].1 = after;
            done[next] = true;
            let found = extend(operations, done, &states, spec);
            done[next] = false;
            if found {
                return true;
            }
        }
    }
    false
}

fn step(now: &Value, operation: &Operation, spec: &ModelSpec) -> Option<Value> {
    let same = |value: &Value| state(spec, value) == *now;
    let possible = match (&operation.action, &operation.completion) {
        (Action::Read, Completion::Ok(Some(seen))) => same(seen),
        (Action::Cas { old, .. }, Completion::Mismatch { observed }) => {
            !same(old) && observed.as_ref().is_none_or(same)
        }
        (Action::Cas { old, .. }, Completion::Ok(_)) => same(old),
        // Left out or not done: the same.
        (Action::Cas { old, .. }, Completion::Info) if !same(old) => false,
        _ => true,
    };
    let after = match (&operation.action, &operation.completion, now) {
        (_, Completion::Mismatch { .. }, _) | (Action::Read, ..) => now.clone(),
        (Action::Append(element), _, Value::List(list)) => Value::List(list.iter().chain([element]).cloned().collect()),
        (Action::Write(new) | Action::Cas { new, .. }, ..) => new.clone(),
        _ => unreachable!("no such operation in these histories"),
    };
    possible.then_some(after)
}
