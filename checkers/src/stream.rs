//! The judge while the run goes on: a monitor that is fed events, and says at once when what it was fed can no longer
//! be valid.
//!
//! ```text
//!   Event ──> pairing ──┬─ invocation: at once ───────────────┐
//!             by process└─ answer: when its moment is over ───┤ by key
//!                                                             ├─ registers with unique live values   register + pairs
//!                                                             ├─ lists with unique elements          list
//!                                                             └─ everything else                     replay: judged again
//! ```
//!
//! **The same verdict.** A prefix of a run is a history itself, whose open operations have an unknown outcome;
//! linearizability is prefix-closed, so the first impossible prefix decides the run. [`Monitor::finish`] says of any
//! prefix what [`check`](crate::check()) would, or that it does not know. Intervals are closed: an answer and a later
//! event's invocation at the same moment are concurrent. That is why answers are judged only when time has moved on;
//! [`Monitor::state`] speaks of everything before, and never takes anything back.
//!
//! **Memory** is bounded by open operations and live values: what an answer to come may still legally show, that is,
//! values not yet shown to be overwritten before the earliest invocation still open, one for every write of unknown
//! outcome, and the elements of lists. What falls back to judging again keeps a limited number of operations. A key
//! costs its last value and, while it has few, its first operations ([`MonitorLimits`]) as long as the monitor lives.
//!
//! The tests are those of the judge, made incremental (each module says how); Gibbons and Korach, "Testing Shared
//! Memories", SIAM J. Comput. 26(4), 1997; monitoring in the sense of Lowe, "Testing for linearizability", 2017.

use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::check::Budget;
use crate::describe;
use crate::history::{Action, Completion, Event, HistoryError, Operation, ProcessId, TimeUnit, Value};
use crate::model::{ModelKind, ModelSpec};
use crate::verdict::Anomaly;

mod horizon;
mod list;
mod pairing;
mod pairs;
mod register;
mod replay;
mod slab;

use pairing::{Pairing, Step};
use replay::Replay;
use slab::Id;

/// What a monitor may keep and spend beyond open operations and live values.
#[derive(Clone, Copy, Debug)]
pub struct MonitorLimits {
    /// Every key's first operations are kept, up to this many: a key that turns out not to be one for the fast tests is
    /// judged by them from its beginning.
    pub first_operations: usize,
    /// A key that is judged again and again keeps at most so many operations; beyond that it is no longer watched.
    pub replayed_operations: usize,
    /// Budget of one such judgement. When it ends, the key is no longer watched.
    pub replay: Budget,
}

impl Default for MonitorLimits {
    fn default() -> Self {
        let replay = Budget { time: Duration::from_millis(200), memory_bytes: 256 << 20 };
        Self { first_operations: 64, replayed_operations: 1_000, replay }
    }
}

/// What a monitor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Linearizable so far.
    Fine,
    /// Not linearizable, whatever comes.
    Violated(Spotted),
    /// Not all keys are decided; no violation was seen.
    Unknown {
        /// Which key, and why.
        why: String,
    },
}

/// The first violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spotted {
    /// The key it is on.
    pub key: Value,
    /// What kind, as far as it can be told without what was forgotten; the judge may name it more exactly.
    pub anomaly: Anomaly,
    /// A plain sentence: the operation that cannot have ended as it did, and why.
    pub what: String,
    /// The number of that event, counted from 1 over all events fed.
    pub event: u64,
}

/// Watches a run for linearizability, event by event.
///
/// ```
/// use checkers::history::{Event, EventKind, Function, Value};
/// use checkers::model::{ModelKind, ModelSpec};
/// use checkers::stream::{Monitor, MonitorLimits, Watch};
///
/// let spec = ModelSpec { model: ModelKind::Register, initial: Value::Nil };
/// let mut monitor = Monitor::new(&spec, MonitorLimits::default());
/// monitor.feed(Event::client(0, EventKind::Invoke, Function::Write, 7))?;
/// monitor.feed(Event::client(0, EventKind::Ok, Function::Write, 7))?;
/// monitor.feed(Event::client(1, EventKind::Invoke, Function::Read, Value::Nil))?;
/// assert_eq!(monitor.state(), Watch::Fine);
/// monitor.feed(Event::client(1, EventKind::Ok, Function::Read, Value::Nil))?; // the 7 is lost
/// assert!(matches!(monitor.state(), Watch::Violated(_)));
/// # Ok::<(), checkers::history::HistoryError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Monitor {
    spec: ModelSpec,
    limits: MonitorLimits,
    pairing: Pairing,
    places: FxHashMap<Value, u32>,
    keys: Vec<Key>,
    /// Answers of this very moment.
    waiting: Vec<Answer>,
    violation: Option<Spotted>,
    /// The first key that is no longer watched, and why.
    lost: Option<String>,
}

/// An operation that is open.
#[derive(Clone, Debug)]
struct Call {
    process: ProcessId,
    key: Value,
    action: Action,
    invoke: u64,
    /// The key's place in the monitor.
    place: u32,
    /// Its number on that key.
    number: u64,
    /// In a register, the value that it writes.
    writes: Option<Id>,
}

#[derive(Clone, Debug)]
struct Answer {
    call: Box<Call>,
    completion: Completion,
    ret: u64,
    event: u64,
}

/// Why a key's test ends.
enum Stop {
    /// It found something.
    Violation { anomaly: Anomaly, what: String },
    /// The test is not for what it saw.
    Unsuited(&'static str),
    /// An answer came to an operation given up long ago, about what was forgotten.
    TooLate,
    /// The judge did not decide, or not in time.
    Undecided(String),
}

/// One key under watch.
#[derive(Clone, Debug)]
struct Key {
    test: Test,
    /// Its operations since the beginning, while they are few.
    first: Option<Replay>,
    invoked: u64,
}

#[derive(Clone, Debug)]
enum Test {
    Register(Box<register::Register>),
    List(Box<list::List>),
    Replay(Replay),
    /// No longer watched.
    Lost,
}

impl Monitor {
    /// A monitor of objects of this model.
    #[must_use]
    pub fn new(spec: &ModelSpec, limits: MonitorLimits) -> Self {
        Self {
            spec: spec.clone(),
            limits,
            pairing: Pairing::default(),
            places: FxHashMap::default(),
            keys: Vec::new(),
            waiting: Vec::new(),
            violation: None,
            lost: None,
        }
    }

    /// Takes the next event. O(log n) amortised in what is kept, and linear in a list that was read; an event on a key
    /// that is judged again may cost a whole judgement.
    ///
    /// # Errors
    /// The rule that the event breaks, as [`HistoryBuilder::push`](crate::history::HistoryBuilder::push) would say.
    /// After that the monitor is not to be used.
    pub fn feed(&mut self, event: Event) -> Result<(), HistoryError> {
        let before = self.pairing.now();
        let step = self.pairing.push(event)?;
        if self.violation.is_some() {
            return Ok(());
        }
        if self.pairing.now() > before {
            self.settle();
        }
        match step {
            Step::Nothing => {}
            Step::Invoked(process) => self.invoked(process),
            Step::GivenUp(process) => {
                let call = self.pairing.call(process);
                self.keys[call.place as usize].given_up(call);
            }
            Step::Completed(call, completion) => {
                let (ret, event) = (self.pairing.now(), self.pairing.events());
                self.waiting.push(Answer { call, completion, ret, event });
                // Without times no two events are at the same moment.
                if self.pairing.unit() == TimeUnit::Order {
                    self.settle();
                }
            }
        }
        Ok(())
    }

    /// What can be said for good. Of the answers of the very last moment it says nothing yet, if events have times.
    #[must_use]
    pub fn state(&self) -> Watch {
        if let Some(violation) = &self.violation {
            return Watch::Violated(violation.clone());
        }
        if let Some(why) = &self.lost {
            return Watch::Unknown { why: why.clone() };
        }
        let undecided = |key: &&Key| matches!(&key.test, Test::Replay(replay) if !replay.is_decided());
        match self.keys.iter().filter(undecided).count() {
            0 => Watch::Fine,
            keys => Watch::Unknown { why: format!("{keys} keys wait to be judged again") },
        }
    }

    /// The violation, if there is one: what [`state`](Self::state) says, in O(1).
    #[must_use]
    pub fn violation(&self) -> Option<&Spotted> {
        self.violation.as_ref()
    }

    /// The verdict on exactly the events fed, as if the run had ended here.
    #[must_use]
    pub fn finish(mut self) -> Watch {
        self.settle();
        for place in 0..self.keys.len() {
            let Test::Replay(replay) = &mut self.keys[place].test else { continue };
            let judged = replay.judge(self.limits.replay);
            if let (Err(stop), None) = (judged, &self.violation) {
                let key = self.places.iter().find(|(_, other)| **other as usize == place);
                let key = key.expect("every key has its place").0.clone();
                self.stop(stop, place, &key, None, self.pairing.events());
            }
        }
        self.state()
    }

    /// How much is kept: operations, values, returns and the like, by number. O(keys).
    #[must_use]
    pub fn kept(&self) -> usize {
        self.pairing.len() + self.waiting.len() + self.keys.iter().map(Key::kept).sum::<usize>()
    }

    fn invoked(&mut self, process: ProcessId) {
        let call = self.pairing.call(process);
        let place = match self.places.get(&call.key) {
            Some(place) => *place,
            None => {
                let place = u32::try_from(self.keys.len()).expect("keys are counted in u32");
                self.keys.push(Key::new(&self.spec));
                self.places.insert(call.key.clone(), place);
                place
            }
        };
        call.place = place;
        let fits = fits(&self.spec, &call.action);
        let taken = self.keys[place as usize].invoked(call, &self.limits);
        if let Err(stop) = fits.and(taken) {
            let key = call.key.clone();
            self.stop(stop, place as usize, &key, None, self.pairing.events());
        }
    }

    /// Judges the answers of a moment that is over.
    fn settle(&mut self) {
        for answer in std::mem::take(&mut self.waiting) {
            let place = answer.call.place as usize;
            let taken = self.keys[place].completed(&answer, &self.limits);
            if let (Err(stop), None) = (taken, &self.violation) {
                let key = answer.call.key.clone();
                let event = answer.event;
                self.stop(stop, place, &key, Some(answer), event);
            }
        }
    }

    fn stop(&mut self, stop: Stop, place: usize, key: &Value, answer: Option<Answer>, event: u64) {
        let why = match stop {
            Stop::Violation { anomaly, what } => {
                let deed =
                    answer.map_or_else(|| "the last answers".to_owned(), |answer| answer.deed(self.pairing.unit()));
                let what = format!("on {} {deed}: {what}", describe::key_phrase(key));
                self.violation = Some(Spotted { key: key.clone(), anomaly, what, event });
                return;
            }
            Stop::Unsuited(why) => why.to_owned(),
            Stop::TooLate => "an answer came long after its operation had been given up".to_owned(),
            Stop::Undecided(why) => why,
        };
        let watched = &mut self.keys[place];
        match watched.first.take() {
            // The test's own word is all that is lost: the beginning is still there.
            Some(mut first) => {
                let judged = first.judge(self.limits.replay);
                watched.test = Test::Replay(first);
                if let Err(stop) = judged {
                    self.stop(stop, place, key, answer, event);
                }
            }
            _ => {
                watched.test = Test::Lost;
                self.lost.get_or_insert_with(|| format!("{} is no longer watched: {why}", describe::key_phrase(key)));
            }
        }
    }
}

impl Answer {
    fn deed(self, unit: TimeUnit) -> String {
        let Call { process, key, action, invoke, .. } = *self.call;
        let operation = Operation { process, key, action, invoke, ret: self.ret, completion: self.completion };
        describe::deed_with_times(&operation, None, describe::Clock::new(unit))
    }
}

impl Key {
    fn new(spec: &ModelSpec) -> Self {
        let test = match spec.model {
            ModelKind::Register | ModelKind::CasRegister => {
                Test::Register(Box::new(register::Register::new(&spec.initial)))
            }
            ModelKind::ListAppend => Test::List(Box::new(list::List::new(&spec.initial))),
            _ => Test::Replay(Replay::new(spec.clone())),
        };
        let first = (!matches!(test, Test::Replay(_))).then(|| Replay::new(spec.clone()));
        Self { test, first, invoked: 0 }
    }

    fn invoked(&mut self, call: &mut Call, limits: &MonitorLimits) -> Result<(), Stop> {
        call.number = self.invoked;
        self.invoked += 1;
        self.first.take_if(|first| first.len() >= limits.first_operations);
        if let Some(first) = &mut self.first {
            first.invoked(call.operation());
        }
        match &mut self.test {
            Test::Register(register) => call.writes = register.invoked(call)?,
            Test::List(list) => list.invoked(call)?,
            Test::Replay(replay) if replay.len() >= limits.replayed_operations => {
                let why = "too many operations since its state was last known, and its values are not unique";
                return Err(Stop::Undecided(why.to_owned()));
            }
            Test::Replay(replay) => _ = replay.invoked(call.operation()),
            Test::Lost => {}
        }
        Ok(())
    }

    fn given_up(&mut self, call: &Call) {
        match &mut self.test {
            Test::Register(register) => register.given_up(call),
            Test::List(list) => list.given_up(call),
            Test::Replay(_) | Test::Lost => {}
        }
    }

    fn completed(&mut self, answer: &Answer, limits: &MonitorLimits) -> Result<(), Stop> {
        let Answer { call, completion, ret, .. } = answer;
        if let Some(first) = &mut self.first {
            first.completed(call.number, completion, *ret);
        }
        match &mut self.test {
            Test::Register(register) => register.completed(call, completion, *ret),
            Test::List(list) => list.completed(call, completion, *ret),
            Test::Replay(replay) => {
                replay.completed(call.number, completion, *ret);
                replay.judge_at_times(call.number, limits.replay)
            }
            Test::Lost => Ok(()),
        }
    }

    fn kept(&self) -> usize {
        let test = match &self.test {
            Test::Register(register) => register.kept(),
            Test::List(list) => list.kept(),
            Test::Replay(replay) => replay.len(),
            Test::Lost => 0,
        };
        1 + test + self.first.as_ref().map_or(0, Replay::len)
    }
}

impl Call {
    /// As long as it is open.
    fn operation(&self) -> Operation {
        let Self { process, key, action, invoke, .. } = self;
        let (key, action) = (key.clone(), action.clone());
        Operation { process: *process, key, action, invoke: *invoke, ret: u64::MAX, completion: Completion::Info }
    }
}

/// Whether the fast tests know the action; the others ask the judge.
fn fits(spec: &ModelSpec, action: &Action) -> Result<(), Stop> {
    let fits = match spec.model {
        ModelKind::Register => matches!(action, Action::Read | Action::Write(_)),
        ModelKind::CasRegister => matches!(action, Action::Read | Action::Write(_) | Action::Cas { .. }),
        ModelKind::ListAppend => {
            matches!(spec.initial, Value::Nil | Value::List(_)) && matches!(action, Action::Read | Action::Append(_))
        }
        _ => true,
    };
    if fits {
        Ok(())
    } else {
        Err(Stop::Undecided("it has operations, or begins with a value, that the model has not".to_owned()))
    }
}
