//! What the run does to the cluster, written down three times: in `schedule.jsonl` to be carried out again, in the history for
//! whoever reads it, and counted for the summary.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use checkers::history::{Event, EventKind, Process, Value};
use results::{
    sink::Recorder,
    store::{LineFile, StoreError},
    summary::FaultCounts,
};

use crate::{
    nemesis::{fault::Step, lane::Journal, schedule::CarriedOut},
    network::links::LinkTable,
};

/// The journal of one run.
pub struct RunJournal {
    recorder: Recorder,
    links: LinkTable,
    inner: Mutex<Inner>,
}

struct Inner {
    schedule: LineFile,
    /// Faults that were counted, by number.
    counted: BTreeSet<u64>,
    /// Cuts that still stand: the fault's name, and what links had kept from passing before.
    cuts: Vec<(String, u64)>,
    faults: BTreeMap<String, FaultCounts>,
    failure: Option<StoreError>,
}

/// What was carried out.
#[derive(Debug, Default)]
pub struct Carried {
    /// Faults by name.
    pub faults: BTreeMap<String, FaultCounts>,
    /// The schedule could not be written down.
    pub failure: Option<StoreError>,
}

impl RunJournal {
    /// Writes to `schedule`, on the clock of `recorder`; `links` tell whether a cut kept anything from passing.
    #[must_use]
    pub fn new(recorder: Recorder, links: LinkTable, schedule: LineFile) -> Self {
        let inner =
            Inner { schedule, counted: BTreeSet::new(), cuts: Vec::new(), faults: BTreeMap::new(), failure: None };
        Self { recorder, links, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was carried out so far. A failure is given only once.
    pub fn carried(&self) -> Carried {
        let mut inner = self.lock();
        Carried { faults: inner.faults.clone(), failure: inner.failure.take() }
    }

    /// What links have kept from passing so far.
    fn dropped(&self) -> u64 {
        self.links.snapshot().values().map(|link| link.counts.dropped).sum()
    }
}

impl Journal for RunJournal {
    fn now(&self) -> u64 {
        self.recorder.now()
    }

    fn note(&self, carried: CarriedOut) {
        // A history that can no longer be kept is noticed, and told, by the clients.
        let _ = self.recorder.record(nemesis_event(&carried));
        let dropped = self.dropped();
        let mut inner = self.lock();
        inner.count(&carried, dropped);
        if let Err(error) = inner.schedule.write(&carried) {
            inner.failure.get_or_insert(error);
        }
    }
}

impl Inner {
    fn count(&mut self, carried: &CarriedOut, dropped: u64) {
        if let Some(fault) = carried.fault.filter(|_| has_effect(&carried.step))
            && self.counted.insert(fault)
        {
            let counts = self.faults.entry(carried.name.clone()).or_default();
            counts.started += 1;
            match carried.step {
                // Whether it keeps anything from passing is known when it is mended.
                Step::Cut(_) => self.cuts.push((carried.name.clone(), dropped)),
                _ => counts.landed += 1,
            }
        }
        if carried.step == Step::Mend {
            for (name, before) in self.cuts.drain(..) {
                if dropped > before {
                    self.faults.entry(name).or_default().landed += 1;
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(fault: Option<u64>, name: &str, step: Step) -> CarriedOut {
        CarriedOut { time: 0, done: 0, fault, name: name.to_owned(), step }
    }

    fn inner() -> (tempfile::TempDir, Inner) {
        let directory = tempfile::tempdir().unwrap();
        let store = results::store::Store::open(directory.path()).unwrap();
        let manifest = results::store::Manifest::here(0, serde_json::Value::Null);
        let schedule = store.create_run(&manifest).unwrap().schedule().unwrap();
        let inner =
            Inner { schedule, counted: BTreeSet::new(), cuts: Vec::new(), faults: BTreeMap::new(), failure: None };
        (directory, inner)
    }

    #[test]
    fn lanes_beside_each_other_are_all_counted() {
        let (_directory, mut inner) = inner();
        inner.count(&carried(Some(2), "kill", Step::Kill(vec![1])), 0);
        inner.count(&carried(Some(1), "partition one", Step::Cut(vec![(1, 2)])), 0);
        inner.count(&carried(Some(2), "kill", Step::Revive), 0);
        inner.count(&carried(Some(1), "partition one", Step::Mend), 5);
        assert_eq!(inner.faults["kill"], FaultCounts { started: 1, landed: 1 });
        assert_eq!(inner.faults["partition one"], FaultCounts { started: 1, landed: 1 });
    }

    #[test]
    fn a_cut_that_nothing_ran_into_has_not_landed() {
        let (_directory, mut inner) = inner();
        inner.count(&carried(Some(1), "partition one", Step::Cut(vec![(1, 2)])), 7);
        inner.count(&carried(Some(1), "partition one", Step::Mend), 7);
        inner.count(&carried(Some(2), "kill", Step::Kill(vec![])), 7);
        assert_eq!(inner.faults, BTreeMap::from([("partition one".to_owned(), FaultCounts { started: 1, landed: 0 })]));
    }
}
