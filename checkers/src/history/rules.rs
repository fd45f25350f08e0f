//! The rules for events, for whoever makes operations of them: the builder of histories, and the monitor of a run.
//!
//! ```text
//!   Order      each event by itself and after the one before: indices go up, times do not go back, `f` is there
//!   Processes  each event of a process:
//!                     invoke                 ok | fail
//!       process: idle ───────> open (line n) ─────────> idle
//!                               │ info            ^
//!                               v                 │ ok | fail (the answer came after all)
//!                              unknown ───────────┘       invoke here: an error
//! ```

use rustc_hash::FxHashMap;

use super::{Event, EventKind, Function, HistoryError, Process, ProcessId, TimeUnit, Value};

/// The events so far, as far as the next one must fit to them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    events: u64,
    /// Whether events have times, once the first of a client told.
    timed: Option<bool>,
    now: u64,
    index_previous: Option<u64>,
}

impl Order {
    /// Events so far.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The time of the last event of a client; without times its place.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// What times count. Nanoseconds may be equal, places are not.
    pub(crate) fn unit(&self) -> TimeUnit {
        if self.timed == Some(true) { TimeUnit::Nanoseconds } else { TimeUnit::Order }
    }

    /// Takes the next event; gives whose it is and what it is about, or none for the nemesis.
    pub(crate) fn take(&mut self, line: u64, event: &Event) -> Result<Option<(ProcessId, Function)>, HistoryError> {
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
        let Process::Client(process) = event.process else { return Ok(None) };
        self.take_time(line, place, event.time)?;
        let function = event.function.ok_or(HistoryError::MissingFunction { line, process })?;
        if event.observed.is_some() && (event.kind, function) != (EventKind::Fail, Function::Cas) {
            let what = "`observed` belongs to a failed cas only".to_owned();
            return Err(HistoryError::WrongValue { line, what });
        }
        Ok(Some((process, function)))
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
            return Err(HistoryError::malformed(line, format!("time {time} is kept for unknown returns")));
        }
        self.now = time;
        Ok(())
    }
}

/// What processes have open or unknown, and what is known of that.
#[derive(Clone, Debug)]
pub(crate) struct Processes<T> {
    open: FxHashMap<ProcessId, Open<T>>,
}

#[derive(Clone, Debug)]
struct Open<T> {
    line: u64,
    /// An `info` was seen.
    unknown: bool,
    what: T,
}

impl<T> Default for Processes<T> {
    fn default() -> Self {
        Self { open: FxHashMap::default() }
    }
}

impl<T> Processes<T> {
    /// How many operations are open or unknown.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// What this process has open, if anything.
    pub(crate) fn get_mut(&mut self, process: ProcessId) -> Option<&mut T> {
        self.open.get_mut(&process).map(|open| &mut open.what)
    }

    /// Whether this process may invoke.
    pub(crate) fn may_invoke(&self, line: u64, process: ProcessId) -> Result<(), HistoryError> {
        match self.open.get(&process) {
            None => Ok(()),
            Some(Open { line: open_since, unknown: true, .. }) => {
                Err(HistoryError::AfterInfo { line, process, open_since: *open_since })
            }
            Some(Open { line: open_since, unknown: false, .. }) => {
                Err(HistoryError::AlreadyOpen { line, process, open_since: *open_since })
            }
        }
    }

    /// It has invoked.
    pub(crate) fn invoked(&mut self, line: u64, process: ProcessId, what: T) {
        self.open.insert(process, Open { line, unknown: false, what });
    }

    /// What it has open, which this event completes, and since which line.
    pub(crate) fn completing(&self, line: u64, process: ProcessId) -> Result<(&T, u64), HistoryError> {
        let open = self.open.get(&process).ok_or(HistoryError::NoInvocation { line, process })?;
        Ok((&open.what, open.line))
    }

    /// Its outcome is unknown from now on. It must be open.
    pub(crate) fn given_up(&mut self, line: u64, process: ProcessId) -> Result<(), HistoryError> {
        let open = self.open.get_mut(&process).ok_or(HistoryError::NoInvocation { line, process })?;
        if std::mem::replace(&mut open.unknown, true) {
            return Err(HistoryError::AfterInfo { line, process, open_since: open.line });
        }
        Ok(())
    }

    /// It was answered.
    pub(crate) fn completed(&mut self, process: ProcessId) -> Option<T> {
        self.open.remove(&process).map(|open| open.what)
    }
}

/// Whether a completion is about the function and the key of the invocation on line `open_since`.
pub(crate) fn belongs(
    (line, process, open_since): (u64, ProcessId, u64),
    (invoked, key): (Function, &Value),
    (completed, event): (Function, &Event),
) -> Result<(), HistoryError> {
    let differs =
        |what, invoked, completed| Err(HistoryError::Differs { line, process, open_since, what, invoked, completed });
    if invoked != completed {
        return differs("f", invoked.to_string(), completed.to_string());
    }
    if *key != event.key {
        return differs("key", key.to_string(), event.key.to_string());
    }
    Ok(())
}
