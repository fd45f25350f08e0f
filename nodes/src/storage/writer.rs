//! The storage thread: takes what the core wants persisted, and reports what is durable.
//!
//! ```text
//!   submit ──> queue (bounded) ──> [ take all that wait ] ──> append ──> one write + fdatasync ──> on_durable(highest ticket)
//!                                                        └─ nobody waits for it: sync later, or when much has gathered
//! ```

use std::{
    fmt,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{Log, StorageError};
use crate::protocol::{Compact, Ticket};

/// Lots of jobs that wait for the thread; one lot holds what one batch of steps asked for. A full queue stops the core.
const QUEUE_LOTS_MAX: usize = 64;

/// What one step asked to persist.
#[derive(Debug)]
pub struct Job<R> {
    /// The step.
    pub ticket: Ticket,
    /// Replace everything by this first.
    pub compact: Option<Compact<R>>,
    /// Then append these.
    pub records: Vec<R>,
    /// Whether anything waits for it.
    pub sync_wanted: bool,
}

/// What follows a write or a sync that failed. The rule: the thread ends, and the process with it, for nobody knows what is on the disk
/// (Rebello and others, "Can Applications Recover from fsync Failures?", USENIX ATC 2020; ZOOKEEPER-4882).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterFailure {
    /// The end: what is right.
    #[default]
    End,
    /// It goes on as if all were well: what was to be written is gone, and counts as durable. For mutants.
    GoOn,
}

/// When to sync what nobody waits for, and how much at once.
#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// Sync after this time.
    pub lazy_sync_after: Duration,
    /// Sync when this many bytes have gathered.
    pub lazy_sync_bytes: usize,
    /// Take no more jobs into one sync than fill this many bytes.
    pub batch_bytes_max: usize,
    /// What follows a failure.
    pub after_failure: AfterFailure,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            lazy_sync_after: Duration::from_millis(150),
            lazy_sync_bytes: 1 << 20,
            batch_bytes_max: 8 << 20,
            after_failure: AfterFailure::default(),
        }
    }
}

/// Why the thread ended.
#[derive(Debug)]
pub enum End {
    /// Nobody submits any more. What was not synced is gone, as after a kill.
    Closed,
    /// Storage failed. The process must end.
    Failed(StorageError),
    /// The power was lost. The process must end.
    PowerLoss {
        /// Bytes that were not synced.
        unsynced: usize,
        /// How many of them reached the file.
        survive: usize,
    },
}

/// What the disk is made to do wrong, for tests of the whole. Changed while the thread works.
#[derive(Debug, Default)]
pub struct DiskFaults {
    sync_delay_ms: AtomicU64,
    sync_error: AtomicBool,
    overlooked: AtomicU64,
}

impl DiskFaults {
    /// Each sync is waited for so much longer, milliseconds.
    pub fn set_sync_delay_ms(&self, delay_ms: u64) {
        self.sync_delay_ms.store(delay_ms, Ordering::Relaxed);
    }

    /// Whether syncs fail, as with EIO.
    pub fn set_sync_error(&self, fails: bool) {
        self.sync_error.store(fails, Ordering::Relaxed);
    }

    /// How many failures a mutant has overlooked.
    #[must_use]
    pub fn overlooked(&self) -> u64 {
        self.overlooked.load(Ordering::Relaxed)
    }

    /// Waits as long as the disk is made to take.
    fn wait(&self) {
        let delay_ms = self.sync_delay_ms.load(Ordering::Relaxed);
        if delay_ms > 0 {
            thread::sleep(Duration::from_millis(delay_ms));
        }
    }

    /// The failure that is asked for.
    fn failure(&self, log: &Log) -> Result<(), StorageError> {
        match self.sync_error.load(Ordering::Relaxed) {
            true => Err(StorageError::io("sync", &log.path())(rustix::io::Errno::IO.into())),
            false => Ok(()),
        }
    }
}

/// How the power fails.
#[derive(Clone, Copy, Debug)]
struct Cut {
    seed: u64,
    torn: bool,
}

/// The thread is gone, for the reason that its end told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the storage thread has ended")]
pub struct Gone;

enum Message<R> {
    Jobs(Vec<Job<R>>),
    /// Look at the power switch.
    Wake,
}

/// Handle of the storage thread. Dropping it ends the thread without a sync.
pub struct Writer<R> {
    sender: Option<Arc<SyncSender<Message<R>>>>,
    thread: Option<JoinHandle<()>>,
    power_off: Arc<OnceLock<Cut>>,
    disk: Arc<DiskFaults>,
}

/// Cuts the power of one storage thread.
pub struct PowerSwitch<R> {
    // Weak: the thread ends when its writer is dropped, whoever still holds a switch.
    sender: Weak<SyncSender<Message<R>>>,
    power_off: Arc<OnceLock<Cut>>,
}

impl<R: Serialize + Send + 'static> Writer<R> {
    /// Starts the thread. `on_durable` must not block; `on_end` is the last thing that the thread does.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(
        log: Log,
        options: WriterOptions,
        on_durable: impl Fn(Ticket) + Send + 'static,
        on_end: impl FnOnce(End) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE_LOTS_MAX);
        let power_off = Arc::new(OnceLock::new());
        let disk = Arc::new(DiskFaults::default());
        let state = State {
            log,
            options,
            receiver,
            power_off: Arc::clone(&power_off),
            disk: Arc::clone(&disk),
            appended: Ticket(0),
            durable: Ticket(0),
            sync_wanted: false,
            oldest_unsynced: None,
        };
        let body = move || on_end(state.run(&on_durable));
        let thread = thread::Builder::new().name("storage".to_owned()).spawn(body)?;
        Ok(Self { sender: Some(Arc::new(sender)), thread: Some(thread), power_off, disk })
    }

    /// Hands over jobs, in ticket order; waits while the queue is full.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn submit(&self, jobs: Vec<Job<R>>) -> Result<(), Gone> {
        let sender = self.sender.as_ref().expect("open until dropped");
        sender.send(Message::Jobs(jobs)).map_err(|_| Gone)
    }

    /// What the disk is made to do wrong.
    #[must_use]
    pub fn disk_faults(&self) -> Arc<DiskFaults> {
        Arc::clone(&self.disk)
    }

    /// A handle for the power-failure signal.
    #[must_use]
    pub fn power_switch(&self) -> PowerSwitch<R> {
        let sender = Arc::downgrade(self.sender.as_ref().expect("open until dropped"));
        PowerSwitch { sender, power_off: Arc::clone(&self.power_off) }
    }
}

impl<R> PowerSwitch<R> {
    /// The power fails now: jobs that wait count as unsynced, and a prefix chosen by `seed` survives.
    pub fn cut(&self, seed: u64) {
        self.cut_power(Cut { seed, torn: false });
    }

    /// The power fails now, and what survives ends inside a record, if anything was unsynced.
    pub fn cut_torn(&self, seed: u64) {
        self.cut_power(Cut { seed, torn: true });
    }

    fn cut_power(&self, cut: Cut) {
        let _first_one_counts = self.power_off.set(cut);
        // A full queue needs no waking.
        match self.sender.upgrade().map(|sender| sender.try_send(Message::Wake)) {
            None | Some(Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) => {}
        }
    }
}

impl<R> fmt::Debug for Writer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("power_off", &self.power_off).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for PowerSwitch<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PowerSwitch").field("power_off", &self.power_off).finish_non_exhaustive()
    }
}

impl<R> Drop for Writer<R> {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _panicked = thread.join();
        }
    }
}

struct State<R> {
    log: Log,
    options: WriterOptions,
    receiver: Receiver<Message<R>>,
    power_off: Arc<OnceLock<Cut>>,
    disk: Arc<DiskFaults>,
    appended: Ticket,
    durable: Ticket,
    sync_wanted: bool,
    oldest_unsynced: Option<Instant>,
}

impl<R: Serialize> State<R> {
    fn run(mut self, on_durable: &impl Fn(Ticket)) -> End {
        loop {
            match self.gather() {
                Ok(true) => {}
                Ok(false) => return End::Closed,
                Err(error) => return End::Failed(error),
            }
            if self.power_off.get().is_some() {
                return self.lose_power();
            }
            if self.must_sync()
                && let Err(error) = self.sync()
            {
                return End::Failed(error);
            }
            // Whoever loses power during a sync does not get to say that it was done.
            if self.power_off.get().is_some() {
                return self.lose_power();
            }
            if self.log.unsynced_bytes() == 0 {
                self.sync_wanted = false;
                self.oldest_unsynced = None;
                if self.durable < self.appended {
                    self.durable = self.appended;
                    on_durable(self.durable);
                }
            }
        }
    }

    /// Waits for jobs, and takes all that are there; `false` when nobody can send more.
    fn gather(&mut self) -> Result<bool, StorageError> {
        let message = match self.oldest_unsynced {
            None => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(since) => self.receiver.recv_timeout(self.options.lazy_sync_after.saturating_sub(since.elapsed())),
        };
        match message {
            Ok(message) => self.take(message)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(false),
        }
        // Once the power is gone, a compaction may have been skipped: what comes behind it would leave a hole in the log.
        while self.power_off.get().is_none()
            && self.log.unsynced_bytes() < self.options.batch_bytes_max
            && let Ok(message) = self.receiver.try_recv()
        {
            self.take(message)?;
        }
        Ok(true)
    }

    fn take(&mut self, message: Message<R>) -> Result<(), StorageError> {
        let Message::Jobs(jobs) = message else { return Ok(()) };
        for job in jobs {
            assert!(job.ticket >= self.appended, "tickets are handed over in order");
            if let Some(compact) = job.compact {
                // Without power nothing more becomes durable. The switch never goes back on, so nothing is taken after this.
                if self.power_off.get().is_some() {
                    return Ok(());
                }
                self.disk.wait();
                if self.power_off.get().is_some() {
                    return Ok(());
                }
                let failure = self.disk.failure(&self.log);
                let done = failure.and_then(|()| self.log.compact(&compact.snapshot, &compact.records));
                self.after(done)?;
            }
            for record in &job.records {
                self.log.append(record)?;
            }
            self.appended = job.ticket;
            self.sync_wanted |= job.sync_wanted;
        }
        if self.log.unsynced_bytes() > 0 {
            self.oldest_unsynced.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Syncs, unless the power fails while a slow disk is waited for.
    fn sync(&mut self) -> Result<(), StorageError> {
        if self.log.unsynced_bytes() == 0 {
            return Ok(());
        }
        self.disk.wait();
        if self.power_off.get().is_some() {
            return Ok(());
        }
        let done = self.disk.failure(&self.log).and_then(|()| self.log.sync());
        self.after(done)
    }

    /// See [`AfterFailure`].
    fn after(&mut self, done: Result<(), StorageError>) -> Result<(), StorageError> {
        if done.is_ok() || self.options.after_failure == AfterFailure::End {
            return done;
        }
        self.disk.overlooked.fetch_add(1, Ordering::Relaxed);
        self.log.forget_unsynced()
    }

    fn must_sync(&self) -> bool {
        let waited = self.oldest_unsynced.is_some_and(|since| since.elapsed() >= self.options.lazy_sync_after);
        self.sync_wanted || waited || self.log.unsynced_bytes() >= self.options.lazy_sync_bytes
    }

    fn lose_power(self) -> End {
        let Cut { seed, torn } = *self.power_off.get().expect("the switch was found set");
        let lost = if torn { self.log.lose_power_torn(seed) } else { self.log.lose_power(seed) };
        match lost {
            Ok((unsynced, survive)) => End::PowerLoss { unsynced, survive },
            Err(error) => End::Failed(error),
        }
    }
}
