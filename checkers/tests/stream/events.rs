//! Random runs as events: a simulated object, clients that give up and are answered late, and things that go wrong.

use checkers::history::{Event, EventKind, Function, Value};
use checkers::model::{ModelKind, ModelSpec};
use rand::RngExt;
use rand_pcg::Pcg64;

/// What runs are like.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub model: ModelKind,
    pub clients: usize,
    pub events: usize,
    /// Values come from so many; 0 for values that are all different.
    pub domain: i64,
    /// In percent: answers that are wrong, operations given up, compare-and-sets refused without a word.
    pub wrong: u32,
    pub unknown: u32,
    pub wordless: u32,
    /// In percent of steps: an operation that was given up goes on.
    pub late: u32,
    /// Events at the same moment are frequent.
    pub same_times: bool,
    pub timed: bool,
    pub keys: i64,
}

struct Client {
    process: u64,
    open: Option<Open>,
}

#[derive(Clone)]
struct Open {
    process: u64,
    key: usize,
    function: Function,
    value: Value,
    /// Done, and answered in this way.
    answer: Option<(EventKind, Value, Option<Value>)>,
}

pub struct Run<'r> {
    style: Style,
    states: Vec<Value>,
    written: Vec<Value>,
    fresh: i64,
    clients: Vec<Client>,
    given_up: Vec<Open>,
    next_process: u64,
    time: u64,
    random: &'r mut Pcg64,
}

pub fn generate(style: Style, spec: &ModelSpec, random: &mut Pcg64) -> Vec<Event> {
    let events = style.events;
    endless(style, spec, random).take(events).collect()
}

/// Events without end.
pub fn endless<'r>(style: Style, spec: &ModelSpec, random: &'r mut Pcg64) -> impl Iterator<Item = Event> + use<'r> {
    let clients = (0..style.clients as u64).map(|process| Client { process, open: None }).collect();
    let states = vec![spec.initial.clone(); style.keys as usize];
    let written = vec![spec.initial.clone()];
    let mut run = Run {
        style,
        states,
        written,
        fresh: 100,
        clients,
        given_up: Vec::new(),
        next_process: style.clients as u64,
        time: 0,
        random,
    };
    std::iter::repeat_with(move || run.step()).flatten()
}

impl Run<'_> {
    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn step(&mut self) -> Option<Event> {
        if !self.given_up.is_empty() && self.chance(self.style.late) {
            let place = self.random.random_range(0..self.given_up.len());
            return self.late(place);
        }
        let place = self.random.random_range(0..self.clients.len());
        match self.clients[place].open.take() {
            None => Some(self.invoke(place)),
            Some(open) if open.answer.is_none() && self.chance(60) => {
                let done = self.take_effect(open);
                self.clients[place].open = Some(done);
                None
            }
            Some(open) => Some(self.end(place, open)),
        }
    }

    fn invoke(&mut self, place: usize) -> Event {
        let key = self.random.random_range(0..self.states.len());
        let (function, value) = self.action(key);
        let process = self.clients[place].process;
        let open = Open { process, key, function, value, answer: None };
        let event = self.event(&open, EventKind::Invoke, open.value.clone(), None);
        self.clients[place].open = Some(open);
        event
    }

    fn action(&mut self, key: usize) -> (Function, Value) {
        self.fresh += 1;
        let number = match self.style.domain {
            0 => self.fresh,
            domain => self.random.random_range(0..domain),
        };
        let new = match self.style.model {
            ModelKind::KeyValue => Value::Text(format!("<{number}>")),
            _ => Value::Int(number),
        };
        match (self.style.model, self.random.random_range(0..10)) {
            (_, 0..=4) => (Function::Read, Value::Nil),
            (ModelKind::ListAppend, _) | (ModelKind::KeyValue, 5..=7) => (Function::Append, new),
            (ModelKind::CasRegister, 5..=7) => {
                let guess = self.written[self.random.random_range(0..self.written.len())].clone();
                let old = if self.chance(80) { self.states[key].clone() } else { guess };
                self.written.push(new.clone());
                (Function::Cas, Value::List(vec![old, new]))
            }
            _ => {
                self.written.push(new.clone());
                (Function::Write, new)
            }
        }
    }

    /// What the object does, or, at times, what it should not.
    fn take_effect(&mut self, mut open: Open) -> Open {
        let state = self.states[open.key].clone();
        let wrong = self.chance(self.style.wrong);
        let lost = wrong && self.chance(50);
        let mut put = |value: Value| {
            if !lost {
                self.states[open.key] = value;
            }
        };
        let answer = match (open.function, &open.value) {
            (Function::Read, _) if wrong => (EventKind::Ok, self.wrong_read(&state), None),
            (Function::Read, _) => (EventKind::Ok, state, None),
            (Function::Append, new) => {
                put(match (state, new) {
                    (Value::List(list), new) => Value::List(list.into_iter().chain([new.clone()]).collect()),
                    (Value::Text(text), Value::Text(more)) => Value::Text(text + more),
                    (_, Value::Text(more)) => Value::Text(more.clone()),
                    (_, new) => Value::List(vec![new.clone()]),
                });
                (EventKind::Ok, new.clone(), None)
            }
            (Function::Cas, Value::List(pair)) => {
                if pair[0] == state || (wrong && !lost) {
                    put(pair[1].clone());
                    (EventKind::Ok, open.value.clone(), None)
                } else {
                    let silent = self.random.random_range(0..100) < self.style.wordless;
                    (EventKind::Fail, open.value.clone(), Some(if silent { Value::Bool(false) } else { state }))
                }
            }
            (_, new) => {
                put(new.clone());
                (EventKind::Ok, new.clone(), None)
            }
        };
        open.answer = Some(if wrong && open.function != Function::Read && self.chance(20) {
            (EventKind::Fail, open.value.clone(), None)
        } else {
            answer
        });
        open
    }

    fn wrong_read(&mut self, state: &Value) -> Value {
        match state {
            Value::List(list) if !list.is_empty() => {
                let mut list = list.clone();
                let (a, b) = (self.random.random_range(0..list.len()), self.random.random_range(0..list.len()));
                match self.random.random_range(0..5) {
                    0 => drop(list.remove(a)),
                    1 => list.swap(a, b),
                    2 => list.push(list[a].clone()),
                    3 => list.push(Value::Int(self.fresh + 1)),
                    _ => list.truncate(a),
                }
                Value::List(list)
            }
            Value::Text(text) => Value::Text(text.chars().skip(1).collect()),
            _ if self.chance(20) => Value::Int(self.fresh + self.random.random_range(0..3)),
            _ => self.written[self.random.random_range(0..self.written.len())].clone(),
        }
    }

    fn end(&mut self, place: usize, open: Open) -> Event {
        if self.chance(self.style.unknown) {
            let event = self.event(&open, EventKind::Info, open.value.clone(), None);
            self.given_up.push(open);
            self.clients[place].process = self.next_process;
            self.next_process += 1;
            return event;
        }
        self.answered(open)
    }

    fn answered(&mut self, open: Open) -> Event {
        match &open.answer {
            // Not reached: it definitely failed.
            None => self.event(&open, EventKind::Fail, open.value.clone(), None),
            Some((kind, value, observed)) => self.event(&open, *kind, value.clone(), observed.clone()),
        }
    }

    /// An operation that was given up takes effect, or is answered after all.
    fn late(&mut self, place: usize) -> Option<Event> {
        let open = self.given_up.swap_remove(place);
        if open.answer.is_none() {
            let done = self.take_effect(open);
            self.given_up.push(done);
            return None;
        }
        Some(self.answered(open))
    }

    fn event(&mut self, open: &Open, kind: EventKind, value: Value, observed: Option<Value>) -> Event {
        self.time += match (self.style.same_times, self.random.random_range(0..3)) {
            (true, 0 | 1) => 0,
            (_, longer) => longer,
        };
        let mut event = Event::client(open.process, kind, open.function, value);
        event.key = Value::Int(open.key as i64);
        event.time = self.style.timed.then_some(self.time);
        event.reason = observed.is_some().then(|| "mismatch".to_owned());
        event.observed = observed.filter(|value| *value != Value::Bool(false));
        event
    }
}
