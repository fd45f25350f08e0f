//! A stored run on one axis of time: what clients did, what was broken, how the nodes stood.
//!
//! ```text
//!   history.jsonl ──> operations ─────┐
//!   schedule.jsonl ──> faults, spans ──┼──> Timeline ──> phases (figures around each fault), report (the page)
//!   nodes.jsonl ──> states and roles ──┤
//!   verdict.json ──> phases, pace ─────┘
//! ```
//!
//! Everything is read from the run's files, so that what is shown and measured is what was stored.

use checkers::history::{Format, History, HistoryError, OpIndex, ReadOptions, read_with};

use crate::{
    life::NodeLine,
    store::{RunDir, StoreError},
    summary::{Phases, Summary},
};

mod faults;

pub use faults::{FaultSpan, FaultStep, ScheduleLine};

/// A run on the axis of time. Times are nanoseconds on the history's clock.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// All operations, by invocation.
    pub history: History,
    /// When what began; where the run was broken off, guessed from what there is: then it has no pace.
    pub phases: Phases,
    /// The faults as carried out, by their beginning.
    pub faults: Vec<FaultSpan>,
    /// How the nodes stood, by time; empty for runs of before there was such a file.
    pub nodes: Vec<NodeLine>,
    /// With an open loop: when each operation was meant to start.
    intended: Vec<u64>,
}

/// A run that cannot be put on an axis.
#[derive(Debug, thiserror::Error)]
pub enum TimelineError {
    /// One of its files cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its history is damaged.
    #[error("the history of run {run} cannot be read: {source}")]
    History {
        /// Which run.
        run: String,
        /// What is wrong.
        source: HistoryError,
    },
}

impl Timeline {
    /// Reads a run. A history, a schedule or lines of nodes that were cut short are taken as far as they go.
    ///
    /// Time and space are linear in the files.
    ///
    /// # Errors
    /// When a file cannot be read, or holds what does not belong there.
    pub fn of(run: &RunDir) -> Result<Self, TimelineError> {
        let options = ReadOptions { keep_complete_lines: true, ..ReadOptions::default() };
        let read = read_with(run.open_history()?, Format::Jsonl, &options);
        let history = read.map_err(|source| TimelineError::History { run: run.id().to_string(), source })?.history;
        let summary: Option<Summary> = run.verdict()?;
        Ok(Self::around(run, history, summary.and_then(|summary| summary.phases))?)
    }

    /// A run whose history has been read already, and what else lies in its directory.
    ///
    /// # Errors
    /// When a file cannot be read, or holds what does not belong there.
    pub fn around(run: &RunDir, history: History, phases: Option<Phases>) -> Result<Self, StoreError> {
        let mut nodes: Vec<NodeLine> = run.read_lines("nodes.jsonl")?;
        nodes.sort_by_key(|line| line.time);
        Ok(Self::made_of(history, phases, run.read_lines("schedule.jsonl")?, nodes))
    }

    /// Of parts that were read or made elsewhere.
    #[must_use]
    pub fn made_of(
        history: History,
        phases: Option<Phases>,
        schedule: Vec<ScheduleLine>,
        nodes: Vec<NodeLine>,
    ) -> Self {
        let phases = phases.unwrap_or_else(|| guessed(&history));
        let intended = intended(&history, &phases);
        let faults = faults::spans(schedule, phases.healed_ns);
        Self { history, phases, faults, nodes, intended }
    }

    /// When an operation was meant to start: with a closed loop, and for those after the load, its invocation.
    ///
    /// # Panics
    /// When there is no such operation.
    #[must_use]
    pub fn intended_ns(&self, operation: OpIndex) -> u64 {
        let place = operation.0 as usize;
        self.intended.get(place).copied().unwrap_or_else(|| self.history.operations()[place].invoke)
    }
}

/// All of the run is load, as far as one can tell.
fn guessed(history: &History) -> Phases {
    let operations = history.operations();
    let start = operations.first().map_or(0, |operation| operation.invoke);
    let ends = operations.iter().map(|operation| if operation.is_unknown() { operation.invoke } else { operation.ret });
    let end = ends.max().unwrap_or(start);
    Phases { load_start_ns: start, faults_start_ns: start, healed_ns: end, end_ns: end, open_loop: None }
}

/// Empty for a closed loop.
fn intended(history: &History, phases: &Phases) -> Vec<u64> {
    let Some(open_loop) = phases.open_loop else { return Vec::new() };
    let mut places = std::collections::HashMap::<u64, u64>::new();
    let intended = |operation: &checkers::history::Operation<_>| {
        let Some(client) = open_loop.client(operation.process.0) else { return operation.invoke };
        let place = places.entry(client).or_default();
        let intended = open_loop.intended_ns(phases.load_start_ns, client, *place);
        *place += 1;
        // A client that is free waits for the moment, but wakes up a little early at times.
        intended.min(operation.invoke)
    };
    history.operations().iter().map(intended).collect()
}

#[cfg(test)]
mod tests {
    use checkers::history::{Action, Operation, Value};

    use super::*;
    use crate::summary::OpenLoop;

    #[test]
    fn an_open_loop_counts_from_the_moments_that_were_meant() {
        let read = |process, invoke| Operation::invoked(process, Action::Read, invoke).returned(invoke + 5, Value::Nil);
        // Client 0 was late with its second and third; process 10 took over from it. Process 7 is a probe.
        let operations = [read(0, 1_000), read(1, 1_050), read(0, 1_300), read(10, 1_310), read(7, 1_400)];
        let history = History::from_operations(operations).expect("a history");
        let open_loop = Some(OpenLoop { interval_ns: 100, clients: 2, stride: 10 });
        let phases = Phases { load_start_ns: 1_000, healed_ns: 1_350, open_loop, ..Phases::default() };
        let timeline = Timeline::made_of(history.clone(), Some(phases), Vec::new(), Vec::new());
        let intended: Vec<u64> = (0..5).map(|place| timeline.intended_ns(OpIndex(place))).collect();
        assert_eq!(intended, [1_000, 1_050, 1_100, 1_200, 1_400]);
        let closed = Timeline::made_of(history, None, Vec::new(), Vec::new());
        assert_eq!(closed.intended_ns(OpIndex(2)), 1_300);
        assert_eq!((closed.phases.load_start_ns, closed.phases.end_ns), (1_000, 1_405));
    }
}
