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
    /// Faults of links and messages that still stand, by number.
    open: BTreeMap<u64, Open>,
    faults: BTreeMap<String, FaultCounts>,
    failure: Option<StoreError>,
}

/// A fault of which only its end shows whether it hit anything.
struct Open {
    name: String,
    /// What links had kept from passing before, or had touched at all.
    before: Traffic,
    /// Late and doubled messages count, too.
    garbles: bool,
}

/// What links have done to traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Traffic {
    dropped: u64,
    altered: u64,
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
            Inner { schedule, counted: BTreeSet::new(), open: BTreeMap::new(), faults: BTreeMap::new(), failure: None };
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

    /// What links have done so far.
    fn traffic(&self) -> Traffic {
        let mut all = Traffic::default();
        for link in self.links.snapshot().values() {
            all.dropped += link.counts.dropped;
            all.altered += link.counts.altered;
        }
        all
    }
}

impl Journal for RunJournal {
    fn now(&self) -> u64 {
        self.recorder.now()
    }

    fn note(&self, carried: CarriedOut) {
        // A history that can no longer be kept is noticed, and told, by the clients.
        let _ = self.recorder.record(nemesis_event(&carried));
        let traffic = self.traffic();
        let mut inner = self.lock();
        inner.count(&carried, traffic);
        if let Err(error) = inner.schedule.write(&carried) {
            inner.failure.get_or_insert(error);
        }
    }
}

impl Inner {
    fn count(&mut self, carried: &CarriedOut, traffic: Traffic) {
        if let Some(fault) = carried.fault.filter(|_| has_effect(&carried.step))
            && self.counted.insert(fault)
        {
            let counts = self.faults.entry(carried.name.clone()).or_default();
            counts.started += 1;
            match carried.step {
                // Whether it hits any traffic is known when it is mended.
                Step::Cut(_) | Step::Split(_) | Step::Mute(_) | Step::Lose(_) | Step::Garble(_) => {
                    let garbles = matches!(carried.step, Step::Garble(_));
                    self.open.insert(fault, Open { name: carried.name.clone(), before: traffic, garbles });
                }
                Step::ChangeMembership { agreed, .. } | Step::Transfer { agreed, .. } => {
                    counts.landed += u64::from(agreed)
                }
                _ => counts.landed += 1,
            }
        }
        if carried.step == Step::Mend {
            let ended = match carried.fault {
                Some(fault) => self.open.remove(&fault).into_iter().collect(),
                None => std::mem::take(&mut self.open).into_values().collect::<Vec<_>>(),
            };
            for Open { name, before, garbles } in ended {
                let altered = garbles && traffic.altered > before.altered;
                if traffic.dropped > before.dropped || altered {
                    self.faults.entry(name).or_default().landed += 1;
                }
            }
        }
    }
}

/// Whether the step hits anybody: in a cluster of one, a partition has no links to cut.
fn has_effect(step: &Step) -> bool {
    match step {
        Step::Cut(links) | Step::Split(links) => !links.is_empty(),
        Step::Lose(_) | Step::Garble(_) | Step::ChangeMembership { .. } | Step::Transfer { .. } => true,
        Step::Kill(_) | Step::Pause(_) | Step::PowerOff(_) | Step::Wipe(_) | Step::Mute(_) | Step::Spoil(..) => {
            !step.nodes().is_empty()
        }
        Step::Start(_) | Step::Mend | Step::Revive => false,
    }
}

fn nemesis_event(carried: &CarriedOut) -> Event {
    let step = match &carried.step {
        Step::Cut(links) => format!("cut {links:?}"),
        Step::Split(links) => format!("cut {links:?} and nothing else"),
        Step::Mute(nodes) => format!("lose the answers of {nodes:?}"),
        Step::Lose(percent) => format!("lose {percent} % of packets"),
        Step::Garble(rules) => format!("garble messages {}", serde_json::to_string(rules).unwrap_or_default()),
        Step::Mend => "mend".to_owned(),
        Step::Kill(nodes) => format!("kill {nodes:?}"),
        Step::Pause(nodes) => format!("pause {nodes:?}"),
        Step::PowerOff(nodes) => format!("power off {nodes:?}"),
        Step::Wipe(nodes) => format!("wipe {nodes:?}"),
        Step::Spoil(nodes, faults) => format!("spoil {nodes:?} {}", faults.file()),
        Step::Start(nodes) => format!("start {nodes:?}"),
        Step::Revive => "revive".to_owned(),
        Step::ChangeMembership { voters, learners, agreed } => {
            let answer = if *agreed { "agreed" } else { "not agreed" };
            format!("ask for voters {voters:?} and learners {learners:?}: {answer}")
        }
        Step::Transfer { from, to, agreed } => {
            let to = to.map_or_else(String::new, |to| format!(" to {to}"));
            format!("ask {from} to hand over{to}: {}", if *agreed { "agreed" } else { "not agreed" })
        }
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
        CarriedOut { time: 0, done: 0, fault, name: name.to_owned(), step, leader: None }
    }

    fn inner() -> (tempfile::TempDir, Inner) {
        let directory = tempfile::tempdir().unwrap();
        let store = results::store::Store::open(directory.path()).unwrap();
        let manifest = results::store::Manifest::here(0, serde_json::Value::Null);
        let schedule = store.create_run(&manifest).unwrap().schedule().unwrap();
        let inner =
            Inner { schedule, counted: BTreeSet::new(), open: BTreeMap::new(), faults: BTreeMap::new(), failure: None };
        (directory, inner)
    }

    fn dropped(dropped: u64) -> Traffic {
        Traffic { dropped, altered: 0 }
    }

    #[test]
    fn lanes_beside_each_other_are_all_counted() {
        let (_directory, mut inner) = inner();
        inner.count(&carried(Some(2), "kill", Step::Kill(vec![1])), dropped(0));
        inner.count(&carried(Some(1), "partition one", Step::Cut(vec![(1, 2)])), dropped(0));
        inner.count(&carried(Some(2), "kill", Step::Revive), dropped(0));
        // The end of another fault says nothing about this one.
        inner.count(&carried(Some(3), "partition one", Step::Mend), dropped(0));
        inner.count(&carried(Some(1), "partition one", Step::Mend), dropped(5));
        assert_eq!(inner.faults["kill"], FaultCounts { started: 1, landed: 1 });
        assert_eq!(inner.faults["partition one"], FaultCounts { started: 1, landed: 1 });
    }

    #[test]
    fn a_cut_that_nothing_ran_into_has_not_landed() {
        let (_directory, mut inner) = inner();
        let altered = |altered| Traffic { dropped: 7, altered };
        inner.count(&carried(Some(1), "partition one", Step::Cut(vec![(1, 2)])), altered(0));
        inner.count(&carried(Some(1), "partition one", Step::Mend), altered(9));
        inner.count(&carried(Some(2), "kill", Step::Kill(vec![])), altered(9));
        inner.count(&carried(Some(3), "messages", Step::Garble(vec![])), altered(9));
        inner.count(&carried(Some(4), "messages", Step::Garble(vec![])), altered(9));
        inner.count(&carried(Some(3), "messages", Step::Mend), altered(9));
        inner.count(&carried(None, "heal", Step::Mend), altered(10));
        let cut = ("partition one".to_owned(), FaultCounts { started: 1, landed: 0 });
        let garbled = ("messages".to_owned(), FaultCounts { started: 2, landed: 1 });
        assert_eq!(inner.faults, BTreeMap::from([cut, garbled]));
    }
}
