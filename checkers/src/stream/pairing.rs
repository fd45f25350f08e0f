//! Events to operations while they come: the rules of [`HistoryBuilder`](crate::history::HistoryBuilder), without the history.

use rustc_hash::FxHashMap;

use super::Call;
use crate::history::{Answer, action_of, failure_of};
use crate::history::{Completion, Event, EventKind, Function, HistoryError, Process, ProcessId, TimeUnit};

/// What an event means.
pub(super) enum Step {
    /// Nothing to the judge: an event of the nemesis.
    Nothing,
    /// An operation of this process begins.
    Invoked(ProcessId),
    /// Its outcome is unknown from now on.
    GivenUp(ProcessId),
    /// It ends.
    Completed(Box<Call>, Completion),
}

/// The operations that are open or unknown.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairing {
    open: FxHashMap<ProcessId, Open>,
    events: u64,
    timed: Option<bool>,
    now: u64,
    index_previous: Option<u64>,
}

#[derive(Clone, Debug)]
struct Open {
    line: u64,
    unknown: bool,
    call: Box<Call>,
}

impl Pairing {
    /// Events so far.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// The time of the last event of a client.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// What times count. In nanoseconds several events may have the same time.
    pub(super) fn unit(&self) -> TimeUnit {
        if self.timed == Some(true) { TimeUnit::Nanoseconds } else { TimeUnit::Order }
    }

    /// Operations that are open or unknown.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// What this process has open.
    pub(super) fn call(&mut self, process: ProcessId) -> &mut Call {
        &mut self.open.get_mut(&process).expect("asked only after its invocation and before its completion").call
    }

    /// Takes the next event.
    pub(super) fn push(&mut self, event: Event) -> Result<Step, HistoryError> {
        let place = self.events;
        self.events += 1;
        let line = self.events;
        if let Some(index) = event.index {
            match self.index_previous.replace(index) {
                Some(previous) if previous >= index => {
                    return Err(HistoryError::IndexGoesBack { line, previous, index });
                }
                _ => {}
            }
        }
        let Process::Client(process) = event.process else { return Ok(Step::Nothing) };
        self.take_time(line, place, event.time)?;
        let function = event.function.ok_or(HistoryError::MissingFunction { line, process })?;
        if event.observed.is_some() && (event.kind, function) != (EventKind::Fail, Function::Cas) {
            let what = "`observed` belongs to a failed cas only".to_owned();
            return Err(HistoryError::WrongValue { line, what });
        }
        match event.kind {
            EventKind::Invoke => self.invoke(line, process, function, event),
            EventKind::Ok | EventKind::Fail | EventKind::Info => self.complete(line, process, function, event),
        }
    }

    fn take_time(&mut self, line: u64, place: u64, time: Option<u64>) -> Result<(), HistoryError> {
        let timed = time.is_some();
        if *self.timed.get_or_insert(timed) != timed {
            return Err(HistoryError::MixedTime { line, timed });
        }
        let time = time.unwrap_or(place);
        if time < self.now {
            return Err(HistoryError::TimeGoesBack { line, previous: self.now, time });
        }
        if time == u64::MAX {
            let what = format!("time {time} is kept for unknown returns");
            return Err(HistoryError::Malformed { line, what });
        }
        self.now = time;
        Ok(())
    }

    fn invoke(
        &mut self,
        line: u64,
        process: ProcessId,
        function: Function,
        event: Event,
    ) -> Result<Step, HistoryError> {
        if let Some(Open { line: open_since, unknown, .. }) = self.open.get(&process) {
            let open_since = *open_since;
            return Err(if *unknown {
                HistoryError::AfterInfo { line, process, open_since }
            } else {
                HistoryError::AlreadyOpen { line, process, open_since }
            });
        }
        let action = action_of(line, process, function, event.value)?;
        let call = Call { process, key: event.key, action, invoke: self.now, place: 0, number: 0, writes: None };
        self.open.insert(process, Open { line, unknown: false, call: Box::new(call) });
        Ok(Step::Invoked(process))
    }

    fn complete(
        &mut self,
        line: u64,
        process: ProcessId,
        function: Function,
        event: Event,
    ) -> Result<Step, HistoryError> {
        let Some(open) = self.open.get_mut(&process) else {
            return Err(HistoryError::NoInvocation { line, process });
        };
        let (open_since, call) = (open.line, &open.call);
        let differs = |what, invoked: String, completed: String| {
            Err(HistoryError::Differs { line, process, open_since, what, invoked, completed })
        };
        let invoked = call.action.function();
        if invoked != function {
            return differs("f", invoked.to_string(), function.to_string());
        }
        if call.key != event.key {
            return differs("key", call.key.to_string(), event.key.to_string());
        }
        let completion = match event.kind {
            EventKind::Invoke => unreachable!("completions only"),
            EventKind::Info => {
                if std::mem::replace(&mut open.unknown, true) {
                    return Err(HistoryError::AfterInfo { line, process, open_since });
                }
                return Ok(Step::GivenUp(process));
            }
            EventKind::Ok => match Answer::to(&call.action, event.value, false) {
                Answer::Nothing => Completion::Ok(None),
                Answer::Value(value) => Completion::Ok(Some(value)),
                Answer::Differs(value) => {
                    return differs("value", call.action.argument().to_string(), value.to_string());
                }
            },
            EventKind::Fail => failure_of(function, event),
        };
        let open = self.open.remove(&process).expect("it was found above");
        Ok(Step::Completed(open.call, completion))
    }
}
