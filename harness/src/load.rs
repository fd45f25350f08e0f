//! The clients of a run: each pinned to one node, one operation at a time, everything recorded.
//!
//! ```text
//!   worker:  generator ──> invocation recorded ──> client ──> completion recorded ──> generator.observe
//!               ▲ pace: at once (closed loop), or at its intended moments (open loop)
//! ```

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use checkers::history::{Action, Completion, ProcessId, Value};
use results::{
    latency::{Ending, Latencies, Throughput},
    sink::{Recorder, SinkError},
    tally::OperationTable,
};
use tokio::{sync::watch, time::Instant};
use workloads::{
    client::{AnyClient, Client, Outcome},
    generator::{Generator, Invocation},
    record,
};

use crate::stop::wait_until;

/// After an operation that did not reach its server a client waits this long, so as not to spin on a closed port.
const BACK_OFF: Duration = Duration::from_millis(10);

/// What was counted while working.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Operations by kind and outcome.
    pub operations: OperationTable,
    /// How long they took.
    pub latencies: Latencies,
    /// Successes by second.
    pub throughput: Throughput,
    /// The keys that were touched.
    pub keys: BTreeSet<String>,
    /// Open loop: operations whose moment had come and whose client had not come to them when the load ended.
    pub not_begun: u64,
}

impl Tally {
    /// Adds another worker's.
    pub fn merge(&mut self, other: Self) {
        self.operations.merge(&other.operations);
        self.latencies.merge(&other.latencies);
        self.throughput.merge(&other.throughput);
        self.keys.extend(other.keys);
        self.not_begun += other.not_begun;
    }
}

/// What all clients of a run share.
#[derive(Clone)]
pub struct Shared {
    /// Where everything is written down.
    pub recorder: Recorder,
    /// How many operations were begun in the whole run.
    pub begun: Arc<AtomicU64>,
    /// Whether operations that end now are counted: from the first one until the heal. What comes after it says nothing about how
    /// the system did under faults.
    pub counting: Arc<AtomicBool>,
    /// When the load began, nanoseconds of the recorder.
    pub load_start: u64,
    /// A client gives up an operation after this.
    pub timeout: Duration,
}

/// One client and what it needs.
pub struct Worker {
    /// Speaks to its node.
    pub client: AnyClient,
    /// Its process of the moment; a new one is `stride` further.
    pub process: ProcessId,
    /// How many processes there are at a time in the whole run.
    pub stride: u64,
    /// What it shares with all others.
    pub shared: Shared,
    /// What it has counted.
    pub tally: Tally,
}

impl Worker {
    /// Does one operation and records both its ends. Without an intended start (nanoseconds of the recorder) it is now.
    ///
    /// # Errors
    /// When the history can no longer be kept.
    pub async fn perform(&mut self, invocation: &Invocation, intended: Option<u64>) -> Result<Outcome, SinkError> {
        self.shared.begun.fetch_add(1, Ordering::Relaxed);
        let sent = self.shared.recorder.record(record::invoke(self.process, invocation))?;
        let outcome = self.client.invoke(invocation, self.shared.timeout).await;
        let done = self.shared.recorder.record(record::complete(self.process, invocation, &outcome))?;
        self.count(invocation, &outcome, intended.unwrap_or(sent).min(sent), sent, done);
        if record::ends_process(&outcome) {
            self.process.0 += self.stride;
        }
        Ok(outcome)
    }

    fn count(&mut self, invocation: &Invocation, outcome: &Outcome, intended: u64, sent: u64, done: u64) {
        if !self.tally.keys.contains(&invocation.key) {
            self.tally.keys.insert(invocation.key.clone());
        }
        if !self.shared.counting.load(Ordering::Relaxed) {
            return;
        }
        let function = invocation.action.function();
        self.tally.operations.add(function, &outcome.completion, outcome.reason.as_deref());
        let ending = if outcome.is_answer() { Ending::Answered } else { Ending::Unanswered };
        self.tally.latencies.record(function, ending, intended, sent, done);
        if matches!(outcome.completion, Completion::Ok(_)) {
            self.tally.throughput.record(done.saturating_sub(self.shared.load_start));
        }
    }
}

/// When a client issues its operations.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// The next one as soon as the last one has ended.
    Closed,
    /// One every so often, whether or not the last one has ended in time; the first one after `offset`.
    Open {
        /// Between two intended starts.
        interval: Duration,
        /// Spreads the clients over the interval.
        offset: Duration,
    },
}

/// Works until told to stop; an operation under way is finished first.
///
/// # Errors
/// When the history can no longer be kept.
pub async fn work(
    mut worker: Worker,
    mut generator: Generator,
    pace: Pace,
    mut stop: watch::Receiver<bool>,
) -> Result<Tally, SinkError> {
    // All clients count from the same moment, so that intended starts follow from the run's figures alone.
    let start_ns = worker.shared.load_start;
    let start = Instant::now() - Duration::from_nanos(worker.shared.recorder.now().saturating_sub(start_ns));
    let mut wait = if let Pace::Open { offset, .. } = pace { offset } else { Duration::ZERO };
    while wait_until(start + wait, &mut stop).await {
        let invocation = generator.next(worker.shared.begun.load(Ordering::Relaxed));
        let intended = match pace {
            Pace::Open { .. } => Some(start_ns + u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)),
            Pace::Closed => None,
        };
        let outcome = worker.perform(&invocation, intended).await?;
        generator.observe(&invocation, &outcome);
        wait = match pace {
            Pace::Open { interval, .. } => wait + interval,
            Pace::Closed if outcome.is_answer() => Duration::ZERO,
            Pace::Closed => start.elapsed() + BACK_OFF,
        };
    }
    if let Pace::Open { interval, .. } = pace {
        worker.tally.not_begun = overdue(start.elapsed(), wait, interval);
    }
    Ok(worker.tally)
}

/// How many moments have come by now of those that begin at `next`, one every `interval`.
fn overdue(now: Duration, next: Duration, interval: Duration) -> u64 {
    let Some(late) = now.checked_sub(next) else { return 0 };
    u64::try_from(late.as_nanos() / interval.as_nanos().max(1)).unwrap_or(u64::MAX).saturating_add(1)
}

/// Works a node until it has answered one operation that goes through its log, and says when; none at the deadline.
///
/// # Errors
/// When the history can no longer be kept.
pub async fn probe(
    mut worker: Worker,
    mut generator: Generator,
    deadline: Instant,
) -> Result<(Option<Instant>, Tally), SinkError> {
    while Instant::now() < deadline {
        let invocation = generator.next(worker.shared.begun.load(Ordering::Relaxed));
        let outcome = worker.perform(&invocation, None).await?;
        generator.observe(&invocation, &outcome);
        if !outcome.is_answer() {
            tokio::time::sleep(BACK_OFF).await;
        } else if invocation.action != Action::Read {
            return Ok((Some(Instant::now()), worker.tally));
        }
    }
    Ok((None, worker.tally))
}

/// What became of the final reads through one node.
#[derive(Clone, Copy, Debug, Default)]
pub struct FinalReads {
    /// Keys that were read.
    pub answered: usize,
    /// Keys that the node did not answer for within the bound of a read.
    pub unanswered: usize,
    /// Keys left out because the time for all of them was over.
    pub left_out: usize,
}

impl FinalReads {
    /// Adds those through another node.
    pub fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.unanswered += other.unanswered;
        self.left_out += other.left_out;
    }
}

/// Reads every key, or takes from it until nothing is left, until it was answered, at most `each` long, and all of them at most
/// until `deadline`.
///
/// # Errors
/// When the history can no longer be kept.
pub async fn read_all(
    mut worker: Worker,
    action: Action,
    keys: Arc<BTreeSet<String>>,
    each: Duration,
    deadline: Instant,
) -> Result<FinalReads, SinkError> {
    let mut reads = FinalReads::default();
    for key in keys.iter() {
        let begin = Instant::now();
        if begin >= deadline {
            reads.left_out += 1;
            continue;
        }
        let invocation = Invocation { key: key.clone(), action: action.clone() };
        loop {
            let outcome = worker.perform(&invocation, None).await?;
            // What was taken away may not have been the last.
            let more = action == Action::Dequeue && outcome.completion != Completion::Ok(Some(Value::Nil));
            if outcome.is_answer() && !more {
                reads.answered += 1;
                break;
            }
            if begin.elapsed() >= each {
                reads.unanswered += 1;
                break;
            }
            if !outcome.is_answer() {
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
    Ok(reads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_due_and_not_begun_is_counted() {
        let ms = Duration::from_millis;
        assert_eq!(overdue(ms(90), ms(100), ms(10)), 0);
        assert_eq!(overdue(ms(100), ms(100), ms(10)), 1);
        assert_eq!(overdue(ms(129), ms(100), ms(10)), 3);
        assert_eq!(overdue(ms(130), ms(100), Duration::ZERO), 30_000_001);
    }
}
