//! What the run does to the cluster, written down three times: in `schedule.jsonl` to be carried out again, in the history for
//! whoever reads it, and counted for the summary.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use checkers::history::{Event, EventKind, Process, Value};
use results::{
    sink::Recorder,
    store::{LineFile, StoreError},
};

use crate::nemesis::{fault::Step, lane::Journal, schedule::CarriedOut};

/// The journal of one run.
pub struct RunJournal {
    recorder: Recorder,
    inner: Mutex<Inner>,
}

struct Inner {
    schedule: LineFile,
    last_fault: u64,
    faults: BTreeMap<String, u64>,
    failure: Option<StoreError>,
}

/// What was carried out.
#[derive(Debug, Default)]
pub struct Carried {
    /// Faults by name.
    pub faults: BTreeMap<String, u64>,
    /// The schedule could not be written down.
    pub failure: Option<StoreError>,
}

impl RunJournal {
    /// Writes to `schedule`, on the clock of `recorder`.
    #[must_use]
    pub fn new(recorder: Recorder, schedule: LineFile) -> Self {
        let inner = Inner { schedule, last_fault: 0, faults: BTreeMap::new(), failure: None };
        Self { recorder, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was carried out so far. A failure is given only once.
    pub fn carried(&self) -> Carried {
        let mut inner = self.lock();
        Carried { faults: inner.faults.clone(), failure: inner.failure.take() }
    }
}

impl Journal for RunJournal {
    fn now(&self) -> u64 {
        self.recorder.now()
    }

    fn note(&self, carried: CarriedOut) {
        // A history that can no longer be kept is noticed, and told, by the clients.
        let _ = self.recorder.record(nemesis_event(&carried));
        let mut inner = self.lock();
        // Lanes run beside each other, so a fault's steps need not be neighbours; but its first step has a new number.
        if let Some(fault) = carried.fault.filter(|fault| *fault > inner.last_fault && has_effect(&carried.step)) {
            inner.last_fault = fault;
            *inner.faults.entry(carried.name.clone()).or_default() += 1;
        }
        if let Err(error) = inner.schedule.write(&carried) {
            inner.failure.get_or_insert(error);
        }
    }
}

/// Whether the step hits anybody: in a cluster of one, a partition has no links to cut.
fn has_effect(step: &Step) -> bool {
    match step {
        Step::Cut(links) => !links.is_empty(),
        Step::Kill(nodes) | Step::Pause(nodes) | Step::PowerOff(nodes) => !nodes.is_empty(),
        Step::Mend | Step::Revive => false,
    }
}

fn nemesis_event(carried: &CarriedOut) -> Event {
    let step = match &carried.step {
        Step::Cut(links) => format!("cut {links:?}"),
        Step::Mend => "mend".to_owned(),
        Step::Kill(nodes) => format!("kill {nodes:?}"),
        Step::Pause(nodes) => format!("pause {nodes:?}"),
        Step::PowerOff(nodes) => format!("power off {nodes:?}"),
        Step::Revive => "revive".to_owned(),
    };
    Event {
        index: None,
        time: None,
        process: Process::Nemesis,
        kind: EventKind::Info,
        function: None,
        key: Value::Nil,
        value: Value::Nil,
        observed: None,
        reason: None,
        note: Some(format!("{}: {step}", carried.name)),
    }
}
