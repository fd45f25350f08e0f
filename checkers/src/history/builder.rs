//! From events to a [`History`]: pairs invocations with completions and checks every rule on the way.
//!
//! ```text
//!                    invoke                 ok | fail
//!      process: idle ───────> open (line n) ─────────> idle
//!                              │ info            ^
//!                              v                 │ ok | fail (the answer came after all)
//!                             unknown ───────────┘       invoke here: an error
//! ```
//!
//! What is still open or unknown at the end has an unknown outcome and returns at `u64::MAX`.

use rustc_hash::FxHashMap;

use super::{
    Action, Completion, Event, EventKind, Function, History, HistoryError, Operation, Process, ProcessId, TimeUnit,
    Value,
};

/// Builds a [`History`] from events in order.
///
/// If events have times, those order them: they must not decrease, and equal times are concurrent. Without times the
/// order of the events does, each after all before. Nemesis events are counted and otherwise passed over.
#[derive(Debug, Default)]
pub struct HistoryBuilder {
    operations: Vec<Operation>,
    /// By process: what it has open, or unknown.
    open: FxHashMap<ProcessId, Open>,
    /// Events so far, which is the next one's place.
    events: u64,
    nemesis_events: u64,
    /// Whether events have times, once the first of a client told.
    timed: Option<bool>,
    time_previous: u64,
    index_previous: Option<u64>,
    nil_read_observes_nothing: bool,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    /// Its place in `operations`.
    place: usize,
    line: u64,
    /// An `info` was seen.
    unknown: bool,
}

impl HistoryBuilder {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What an `ok` read of `Nil` means: the key was absent (`false`, the default), or the read observed nothing and
    /// constrains nothing (`true`, as knossos has it).
    #[must_use]
    pub fn nil_read_observes_nothing(self, nothing: bool) -> Self {
        Self { nil_read_observes_nothing: nothing, ..self }
    }

    /// How many events of the nemesis were passed over.
    #[must_use]
    pub fn nemesis_events(&self) -> u64 {
        self.nemesis_events
    }

    /// Takes the next event. After an error the history is not to be used.
    ///
    /// # Errors
    /// The rule that the event breaks, naming the event by its number.
    pub fn push(&mut self, event: Event) -> Result<(), HistoryError> {
        self.push_line(self.events + 1, event)
    }

    /// [`push`](Self::push) for an event that stands on this line of a file.
    ///
    /// # Errors
    /// The rule that the event breaks, naming the line.
    pub fn push_line(&mut self, line: u64, event: Event) -> Result<(), HistoryError> {
        let place = self.events;
        self.events += 1;
        if let Some(index) = event.index {
            match self.index_previous.replace(index) {
                Some(previous) if previous >= index => {
                    return Err(HistoryError::IndexGoesBack { line, previous, index });
                }
                _ => {}
            }
        }
        let Process::Client(process) = event.process else {
            self.nemesis_events += 1;
            return Ok(());
        };
        let time = self.time_of(line, place, event.time)?;
        let function = event.function.ok_or(HistoryError::MissingFunction { line, process })?;
        if event.observed.is_some() && (event.kind, function) != (EventKind::Fail, Function::Cas) {
            let what = "`observed` belongs to a failed cas only".to_owned();
            return Err(HistoryError::WrongValue { line, what });
        }
        match event.kind {
            EventKind::Invoke => self.invoke(line, process, time, function, event),
            EventKind::Ok | EventKind::Fail | EventKind::Info => self.complete(line, process, time, function, event),
        }
    }

    /// The history of all events taken. Operations still open have an unknown outcome.
    #[must_use]
    pub fn finish(mut self) -> History {
        self.operations.shrink_to_fit();
        let unit = if self.timed == Some(true) { TimeUnit::Nanoseconds } else { TimeUnit::Order };
        History::from_checked(self.operations, unit)
    }

    fn time_of(&mut self, line: u64, place: u64, time: Option<u64>) -> Result<u64, HistoryError> {
        let timed = time.is_some();
        if *self.timed.get_or_insert(timed) != timed {
            return Err(HistoryError::MixedTime { line, timed });
        }
        let time = time.unwrap_or(place);
        if time < self.time_previous {
            return Err(HistoryError::TimeGoesBack { line, previous: self.time_previous, time });
        }
        if time == u64::MAX {
            return Err(HistoryError::malformed(line, format!("time {time} is kept for unknown returns")));
        }
        self.time_previous = time;
        Ok(time)
    }

    fn invoke(
        &mut self,
        line: u64,
        process: ProcessId,
        time: u64,
        function: Function,
        event: Event,
    ) -> Result<(), HistoryError> {
        if let Some(Open { line: open_since, unknown, .. }) = self.open.get(&process).copied() {
            return Err(if unknown {
                HistoryError::AfterInfo { line, process, open_since }
            } else {
                HistoryError::AlreadyOpen { line, process, open_since }
            });
        }
        let place = self.operations.len();
        if u32::try_from(place).is_err() {
            return Err(HistoryError::TooManyOperations { line });
        }
        let action = action_of(line, function, event.value)?;
        let completion = Completion::Info;
        self.operations.push(Operation { process, key: event.key, action, invoke: time, ret: u64::MAX, completion });
        self.open.insert(process, Open { place, line, unknown: false });
        Ok(())
    }

    fn complete(
        &mut self,
        line: u64,
        process: ProcessId,
        time: u64,
        function: Function,
        event: Event,
    ) -> Result<(), HistoryError> {
        let Some(open) = self.open.get_mut(&process) else {
            return Err(HistoryError::NoInvocation { line, process });
        };
        let operation = &mut self.operations[open.place];
        let open_since = open.line;
        let differs = |what, invoked, completed| {
            Err(HistoryError::Differs { line, process, open_since, what, invoked, completed })
        };
        let invoked = function_of(&operation.action);
        if invoked != function {
            return differs("f", invoked.to_string(), function.to_string());
        }
        if operation.key != event.key {
            return differs("key", operation.key.to_string(), event.key.to_string());
        }
        match event.kind {
            EventKind::Invoke => unreachable!("completions only"),
            EventKind::Info => {
                if open.unknown {
                    return Err(HistoryError::AfterInfo { line, process, open_since });
                }
                open.unknown = true;
                return Ok(());
            }
            EventKind::Ok => {
                if !event.value.is_nil() && !is_argument(&operation.action, &event.value) {
                    let invoked = argument_text(&operation.action);
                    return differs("value", invoked, event.value.to_string());
                }
                let read = function == Function::Read;
                let observed = read && !(self.nil_read_observes_nothing && event.value.is_nil());
                operation.completion = Completion::Ok(observed.then_some(event.value));
            }
            EventKind::Fail => operation.completion = failure_of(function, event),
        }
        operation.ret = time;
        self.open.remove(&process);
        Ok(())
    }
}

/// A failed compare-and-set that was answered "not equal" says more than "not done".
fn failure_of(function: Function, event: Event) -> Completion {
    let mismatch = event.observed.is_some() || event.reason.as_deref() == Some("mismatch");
    if function == Function::Cas && mismatch {
        Completion::Mismatch { observed: event.observed }
    } else {
        Completion::Fail
    }
}

fn action_of(line: u64, function: Function, value: Value) -> Result<Action, HistoryError> {
    match (function, value) {
        // Jepsen's generators sometimes leave a value in a read's invocation; it means nothing.
        (Function::Read, _) => Ok(Action::Read),
        (Function::Write, value) => Ok(Action::Write(value)),
        (Function::Append, Value::Nil) => {
            Err(HistoryError::WrongValue { line, what: "append needs a value to append".to_owned() })
        }
        (Function::Append, value) => Ok(Action::Append(value)),
        (Function::Cas, value) => match pair_of(value) {
            Ok([old, new]) => Ok(Action::Cas { old, new }),
            Err(value) => {
                Err(HistoryError::WrongValue { line, what: format!("cas needs the value [old, new], not {value}") })
            }
        },
        (
            Function::Add
            | Function::Enqueue
            | Function::Dequeue
            | Function::Acquire
            | Function::Release
            | Function::Txn,
            _,
        ) => Err(HistoryError::Unsupported { line, function }),
    }
}

fn pair_of(value: Value) -> Result<[Value; 2], Value> {
    match value {
        Value::List(list) => list.try_into().map_err(Value::List),
        other => Err(other),
    }
}

fn function_of(action: &Action) -> Function {
    match action {
        Action::Read => Function::Read,
        Action::Write(_) => Function::Write,
        Action::Cas { .. } => Function::Cas,
        Action::Append(_) => Function::Append,
    }
}

/// Whether an `ok` completion may carry this value: for a read any, otherwise what the invocation had.
fn is_argument(action: &Action, value: &Value) -> bool {
    match (action, value) {
        (Action::Read, _) => true,
        (Action::Write(argument) | Action::Append(argument), value) => argument == value,
        (Action::Cas { old, new }, Value::List(pair)) => matches!(pair.as_slice(), [a, b] if a == old && b == new),
        (Action::Cas { .. }, _) => false,
    }
}

fn argument_text(action: &Action) -> String {
    match action {
        Action::Read => Value::Nil.to_string(),
        Action::Write(argument) | Action::Append(argument) => argument.to_string(),
        Action::Cas { old, new } => format!("[{old}, {new}]"),
    }
}
