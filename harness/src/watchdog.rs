//! Ends a run at its first violation.
//!
//! ```text
//!   history's thread ── events, in order ──> bounded channel ──> this thread: Monitor::feed ── violated ──> halt: the run heals
//! ```
//!
//! The monitor's word only ends the run. What the run is worth is the judge's to say, who gets the whole history
//! afterwards, as ever. If the monitor does not keep up, it stops watching and says so; nobody ever waits for it.

use std::{
    io,
    thread::{Builder, JoinHandle},
    time::Duration,
};

use checkers::{
    model::ModelSpec,
    stream::{Monitor, MonitorLimits, Watch},
};
use results::sink::{Followed, Follower};
use tokio::sync::watch;

use crate::run::Halt;

/// How many events the monitor may be behind: seconds of a fast run.
const EVENTS_BEHIND_MAX: usize = 65_536;

/// The thread that watches.
pub struct Watchdog {
    thread: JoinHandle<String>,
}

impl Watchdog {
    /// Starts watching what the follower, which goes to the history's sink, passes on.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(model: &ModelSpec, halter: watch::Sender<Option<Halt>>) -> io::Result<(Self, Follower)> {
        let (follower, followed) = Follower::new(EVENTS_BEHIND_MAX);
        let monitor = Monitor::new(model, MonitorLimits::default());
        let body = move || watch_over(monitor, &followed, &halter);
        let thread = Builder::new().name("watchdog".to_owned()).spawn(body)?;
        Ok((Self { thread }, follower))
    }

    /// What it saw, in a sentence. The history must be finished: only then does it end.
    #[must_use]
    pub fn finish(self) -> String {
        self.thread.join().unwrap_or_else(|_| "the monitor crashed; this is a defect of the checkers".to_owned())
    }
}

fn watch_over(mut monitor: Monitor, events: &Followed, halter: &watch::Sender<Option<Halt>>) -> String {
    let mut count = 0u64;
    while let Some(event) = events.next() {
        let time = Duration::from_nanos(event.time.unwrap_or(0));
        if let Err(error) = monitor.feed(*event) {
            return format!("stopped watching after {count} events: {error}");
        }
        count += 1;
        if let Some(spotted) = monitor.violation() {
            halter.send_if_modified(|halt| halt.replace(halt.unwrap_or(Halt::Violated)).is_none());
            return format!("ended the run {:.3} s after its start: {}", time.as_secs_f64(), spotted.what);
        }
    }
    if events.was_left_behind() {
        return format!("could not keep up, and stopped watching after {count} events; no violation until then");
    }
    match monitor.finish() {
        Watch::Fine => format!("watched {count} events and saw no violation"),
        Watch::Violated(spotted) => format!("saw a violation when the run was over: {}", spotted.what),
        Watch::Unknown { why } => format!("watched {count} events and saw no violation, but cannot be sure: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use checkers::{
        history::{Event, EventKind, Function, Value},
        model::ModelKind,
    };
    use results::sink::{HistoryOutput, HistorySink};

    use super::*;

    struct Nowhere;

    impl io::Write for Nowhere {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl HistoryOutput for Nowhere {
        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What the watchdog says of these events, and what it asks the run to do.
    fn watched(events: &[Event], halted: Option<Halt>) -> (String, Option<Halt>) {
        let model = ModelSpec { model: ModelKind::Register, initial: Value::Nil };
        let (halter, halt) = watch::channel(halted);
        let (watchdog, follower) = Watchdog::start(&model, halter).unwrap();
        let sink = HistorySink::start_followed(Nowhere, &model, Instant::now(), Some(follower)).unwrap();
        for event in events {
            sink.recorder().record(event.clone()).unwrap();
            // Events of the same moment are concurrent.
            std::thread::sleep(Duration::from_micros(2));
        }
        sink.finish().unwrap();
        let said = watchdog.finish();
        let halt = *halt.borrow();
        (said, halt)
    }

    fn read(value: impl Into<Value>) -> [Event; 2] {
        use EventKind::{Invoke, Ok};
        [Event::client(0, Invoke, Function::Read, Value::Nil), Event::client(0, Ok, Function::Read, value)]
    }

    #[test]
    fn a_violation_halts_the_run_unless_something_else_has() {
        let events = [read(7), read(Value::Nil)].concat();
        let (said, halt) = watched(&events, None);
        assert!(said.starts_with("ended the run ") && said.contains("read of 7"), "{said}");
        assert_eq!(halt, Some(Halt::Violated));
        assert_eq!(watched(&events, Some(Halt::Interrupted)).1, Some(Halt::Interrupted));
    }

    #[test]
    fn a_run_without_a_violation_goes_on() {
        let (said, halt) = watched(&read(Value::Nil), None);
        assert_eq!((said.as_str(), halt), ("watched 2 events and saw no violation", None));
    }
}
