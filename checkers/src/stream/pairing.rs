//! Events to operations while they come: the rules of [`HistoryBuilder`](crate::history::HistoryBuilder), without the
//! history.

use super::Call;
use crate::history::{
    Answer, Completion, Event, EventKind, Function, HistoryError, Order, ProcessId, Processes, TimeUnit, action_of,
    belongs, failure_of,
};

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
    order: Order,
    open: Processes<Box<Call>>,
}

impl Pairing {
    /// Events so far.
    pub(super) fn events(&self) -> u64 {
        self.order.events()
    }

    /// The time of the last event of a client.
    pub(super) fn now(&self) -> u64 {
        self.order.now()
    }

    /// What times count. In nanoseconds several events may have the same time.
    pub(super) fn unit(&self) -> TimeUnit {
        self.order.unit()
    }

    /// Operations that are open or unknown.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// What this process has open.
    pub(super) fn call(&mut self, process: ProcessId) -> &mut Call {
        self.open.get_mut(process).expect("asked only after its invocation and before its completion")
    }

    /// Takes the next event.
    pub(super) fn push(&mut self, event: Event) -> Result<Step, HistoryError> {
        let line = self.order.events() + 1;
        let Some((process, function)) = self.order.take(line, &event)? else { return Ok(Step::Nothing) };
        match event.kind {
            EventKind::Invoke => self.invoke(line, process, function, event),
            EventKind::Ok | EventKind::Fail | EventKind::Info => self.complete(line, process, function, event),
        }
    }

    fn invoke(
        &mut self,
        line: u64,
        process: ProcessId,
        function: Function,
        event: Event,
    ) -> Result<Step, HistoryError> {
        self.open.may_invoke(line, process)?;
        let action = action_of(line, process, function, event.value)?;
        let call = Call { process, key: event.key, action, invoke: self.now(), place: 0, number: 0, writes: None };
        self.open.invoked(line, process, Box::new(call));
        Ok(Step::Invoked(process))
    }

    fn complete(
        &mut self,
        line: u64,
        process: ProcessId,
        function: Function,
        event: Event,
    ) -> Result<Step, HistoryError> {
        let (call, open_since) = self.open.completing(line, process)?;
        belongs((line, process, open_since), (call.action.function(), &call.key), (function, &event))?;
        let completion = match event.kind {
            EventKind::Invoke => unreachable!("completions only"),
            EventKind::Info => {
                self.open.given_up(line, process)?;
                return Ok(Step::GivenUp(process));
            }
            EventKind::Ok => match Answer::to(&call.action, event.value, false) {
                Answer::Nothing => Completion::Ok(None),
                Answer::Value(value) => Completion::Ok(Some(value)),
                Answer::Differs(value) => {
                    let (what, invoked) = ("value", call.action.argument().to_string());
                    let completed = value.to_string();
                    return Err(HistoryError::Differs { line, process, open_since, what, invoked, completed });
                }
            },
            EventKind::Fail => failure_of(function, event),
        };
        let call = self.open.completed(process).expect("it was found above");
        Ok(Step::Completed(call, completion))
    }
}
