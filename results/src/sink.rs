//! The history's way to disk.
//!
//! ```text
//!   client tasks ──┐                        bounded channel            one thread
//!   client tasks ──┼─> Recorder::record ──────────────────────> batch ──> HistoryWriter ──> write(2) ──> history.jsonl
//!   nemesis      ──┘   lock { index, time, send }                │└───── all that is waiting, then handed to the kernel
//!                                                                └─> follower, if there is one, through a bounded channel
//! ```
//!
//! **Order.** The time is taken, and the event put into the channel, inside one critical section, so that times in the file never go
//! back. Intervals are closed, and that asks for care at both ends: record an invocation *before* the request is sent, and a
//! completion *after* the answer was received. Then the recorded interval contains the real one, whatever waiting for
//! the lock or for a full channel adds to it; a wider interval can hide a violation but never make one up.
//!
//! **Durability.** The thread hands each batch to the kernel before it waits for more, so that `kill -9` of the harness loses at most
//! the events of the last few microseconds: a history cut short at the end, which is still one (linearizability is prefix-closed).
//! [`Recorder::handed_over`] waits until nothing recorded so far can be lost in that way. [`HistorySink::finish`] syncs the file.
//!
//! **Followers.** Whoever wants to see the events while they come gets each one after it was written, in the same order. A follower that
//! does not keep up is left behind, and can tell; it never holds anybody up.
//!
//! **Failure.** After the first error nothing more is ever written: a gap in the middle would make a possible history look impossible.
//! What was written before stays, and every later `record` says so.

use std::{
    fs::File,
    io::{self, Write},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread::JoinHandle,
    time::Instant,
};

use checkers::{
    history::{Event, EventKind, HistoryWriter, Process},
    model::ModelSpec,
};
use serde::{Deserialize, Serialize};

/// Events that may wait for the disk. Beyond that the clients wait: their load gets slower, the history stays whole.
const QUEUE_EVENTS_MAX: usize = 65_536;

/// Events handed to the kernel at once, at most.
const BATCH_EVENTS_MAX: usize = 1_024;

/// Where a history goes.
pub trait HistoryOutput: Write + Send + 'static {
    /// Makes everything written durable.
    ///
    /// # Errors
    /// Those of the device.
    fn sync(&mut self) -> io::Result<()>;
}

impl HistoryOutput for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Why the history could not be kept. The run must end as a harness error; what was written before is a whole history up to there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The disk refused.
    #[error(
        "could not write the history: {0}; it is whole up to that point. Make room for the store, or name another one"
    )]
    Write(String),
    /// Recorded after the end.
    #[error("the history is finished: nothing can be recorded any more")]
    Finished,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkCounts {
    /// All events.
    pub events: u64,
    /// Invocations by clients.
    pub invocations: u64,
    /// Their completions.
    pub completions: u64,
    /// The most operations that were open at the same time. Below 2 nothing was concurrent.
    pub open_max: u64,
}

/// Sees every event once it was written; given to [`HistorySink::start_followed`].
#[derive(Debug)]
pub struct Follower {
    sender: SyncSender<Box<Event>>,
    left_behind: Arc<AtomicBool>,
}

/// The events that a [`Follower`] passes on.
#[derive(Debug)]
pub struct Followed {
    receiver: Receiver<Box<Event>>,
    left_behind: Arc<AtomicBool>,
}

impl Follower {
    /// A follower that may be so many events behind.
    #[must_use]
    pub fn new(events_max: usize) -> (Self, Followed) {
        let (sender, receiver) = mpsc::sync_channel(events_max);
        let left_behind = Arc::new(AtomicBool::new(false));
        (Self { sender, left_behind: Arc::clone(&left_behind) }, Followed { receiver, left_behind })
    }

    /// False when this was the last event: nobody listens, or whoever does is too slow.
    fn give(&self, event: Box<Event>) -> bool {
        match self.sender.try_send(event) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.left_behind.store(true, Ordering::Release);
                false
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

impl Followed {
    /// Waits for the next event; none when there are no more, or when this one was left behind.
    pub fn next(&self) -> Option<Box<Event>> {
        self.receiver.recv().ok()
    }

    /// Whether events are missing after those that were given.
    #[must_use]
    pub fn was_left_behind(&self) -> bool {
        self.left_behind.load(Ordering::Acquire)
    }
}

enum Message {
    Event(Box<Event>),
    /// Answer as soon as everything before this is with the kernel.
    HandOver(SyncSender<()>),
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    state: Mutex<State>,
    failure: OnceLock<String>,
}

#[derive(Debug)]
struct State {
    /// None once finished.
    sender: Option<SyncSender<Message>>,
    counts: SinkCounts,
    open: u64,
    last_time: u64,
}

/// Records events; to be cloned for every task.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
}

impl Recorder {
    /// Records an event at this moment, which it returns in nanoseconds from the run's start. Whatever `time` and `index` the event
    /// had are replaced.
    ///
    /// It may block for as long as the disk needs to take a full queue.
    ///
    /// # Errors
    /// When the history can no longer be kept; the run must end then.
    pub fn record(&self, mut event: Event) -> Result<u64, SinkError> {
        let mut state = self.lock();
        self.check()?;
        let sender = state.sender.clone().ok_or(SinkError::Finished)?;
        let time = self.now().max(state.last_time);
        state.last_time = time;
        event.time = Some(time);
        event.index = Some(state.counts.events);
        state.count(&event);
        // Still under the lock: whoever takes a later time is later in the channel too.
        sender.send(Message::Event(Box::new(event))).map_err(|_| self.failure())?;
        Ok(time)
    }

    /// What was recorded so far.
    #[must_use]
    pub fn counts(&self) -> SinkCounts {
        self.lock().counts
    }

    /// Nanoseconds since the run's start, on the clock of the history.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(self.shared.start.elapsed().as_nanos()).expect("a run is shorter than 584 years")
    }

    /// Waits until the kernel has everything recorded so far, so that the end of this process cannot lose it.
    ///
    /// # Errors
    /// When the history can no longer be kept.
    pub fn handed_over(&self) -> Result<(), SinkError> {
        let sender = self.lock().sender.clone().ok_or(SinkError::Finished)?;
        let (done, wait) = mpsc::sync_channel(1);
        sender.send(Message::HandOver(done)).map_err(|_| self.failure())?;
        wait.recv().map_err(|_| self.failure())?;
        self.check()
    }

    /// Whether the history can no longer be kept: to be looked at by whoever can end the run.
    #[must_use]
    pub fn failed(&self) -> Option<SinkError> {
        self.check().err()
    }

    fn check(&self) -> Result<(), SinkError> {
        match self.shared.failure.get() {
            None => Ok(()),
            Some(_) => Err(self.failure()),
        }
    }

    fn failure(&self) -> SinkError {
        SinkError::Write(self.shared.failure.get().cloned().unwrap_or_else(|| "its thread ended".to_owned()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A task that panicked inside left at worst a time or a count that no event uses.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, event: &Event) {
        self.counts.events += 1;
        if event.process == Process::Nemesis {
            return;
        }
        if event.kind == EventKind::Invoke {
            self.counts.invocations += 1;
            self.open += 1;
            self.counts.open_max = self.counts.open_max.max(self.open);
        } else {
            self.counts.completions += 1;
            self.open = self.open.saturating_sub(1);
        }
    }
}

/// The thread that writes the history.
#[derive(Debug)]
pub struct HistorySink {
    recorder: Recorder,
    writer: JoinHandle<()>,
}

impl HistorySink {
    /// Writes the header, and starts the thread. Times count from `start`.
    ///
    /// # Errors
    /// When not even the header can be written.
    pub fn start(output: impl HistoryOutput, model: &ModelSpec, start: Instant) -> Result<Self, SinkError> {
        Self::start_followed(output, model, start, None)
    }

    /// [`start`](Self::start) with somebody who sees the events too.
    ///
    /// # Errors
    /// When not even the header can be written.
    pub fn start_followed(
        output: impl HistoryOutput,
        model: &ModelSpec,
        start: Instant,
        follower: Option<Follower>,
    ) -> Result<Self, SinkError> {
        let failed = |error: io::Error| SinkError::Write(error.to_string());
        let mut writer = HistoryWriter::new(Batch { output, waiting: Vec::new() }, model).map_err(failed)?;
        writer.flush().map_err(failed)?;
        let (sender, receiver) = mpsc::sync_channel(QUEUE_EVENTS_MAX);
        let state = State { sender: Some(sender), counts: SinkCounts::default(), open: 0, last_time: 0 };
        let shared = Arc::new(Shared { start, state: Mutex::new(state), failure: OnceLock::new() });
        let recorder = Recorder { shared: Arc::clone(&shared) };
        let body = move || {
            let mut waiting = Vec::new();
            if let Err(error) = write_all(writer, &receiver, follower, &mut waiting) {
                // Told before the channel and those who wait are dropped: whoever finds that also finds the reason.
                shared.failure.get_or_init(|| error.to_string());
            }
        };
        let writer = std::thread::Builder::new().name("history".to_owned()).spawn(body).map_err(failed)?;
        Ok(Self { recorder, writer })
    }

    /// A recorder for a task.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// Writes what is waiting, syncs the file, and says what is in it. Recorders that are still about get an error from now on.
    ///
    /// # Errors
    /// When not everything recorded is durable.
    pub fn finish(self) -> Result<SinkCounts, SinkError> {
        let counts = {
            let mut state = self.recorder.lock();
            state.sender = None;
            state.counts
        };
        if self.writer.join().is_err() {
            return Err(SinkError::Write("its thread panicked".to_owned()));
        }
        self.recorder.check().map(|()| counts)
    }
}

/// Collects lines, and hands them to the kernel when told to. Unlike a `BufWriter` it writes nothing when dropped: after an error
/// nothing may follow.
struct Batch<W> {
    output: W,
    waiting: Vec<u8>,
}

impl<W: Write> Write for Batch<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.write_all(&self.waiting)?;
        self.waiting.clear();
        self.output.flush()
    }
}

/// Writes until all senders are gone or something fails. Dropping the receiver and `waiting` then makes everyone else fail at once.
fn write_all<W: HistoryOutput>(
    mut writer: HistoryWriter<Batch<W>>,
    events: &Receiver<Message>,
    mut follower: Option<Follower>,
    waiting: &mut Vec<SyncSender<()>>,
) -> io::Result<()> {
    while let Ok(first) = events.recv() {
        for message in std::iter::once(first).chain(events.try_iter()).take(BATCH_EVENTS_MAX) {
            match message {
                Message::Event(event) => {
                    writer.write(&event)?;
                    follower = follower.filter(|follower| follower.give(event));
                }
                Message::HandOver(done) => waiting.push(done),
            }
        }
        writer.flush()?;
        // Nobody may be listening any more, which is no matter.
        waiting.drain(..).for_each(|done| _ = done.send(()));
    }
    writer.into_inner().output.sync()
}

#[cfg(test)]
mod tests;
