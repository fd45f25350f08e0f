//! The faults as carried out: what a stored run needs to break a cluster in the same way again.
//!
//! ```text
//!   lanes ──> CarriedOut ──> schedule.jsonl ──> read ──> [RecordedFault] ──> lane::again
//!                                               │ every line looked at         │ Roles: who led then ──> who leads now
//!                                               └ an error names the line      └ at the recorded moments
//! ```

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::fault::{NodeNumber, Step};

mod read;
mod roles;

pub use read::{ScheduleError, Stage, read};
pub use roles::Roles;

/// One line of `schedule.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedOut {
    /// Nanoseconds from the run's start when the step was begun; the history's clock.
    pub time: u64,
    /// Nanoseconds when it had been done.
    pub done: u64,
    /// Which fault of the run it belongs to; none for the final heal.
    pub fault: Option<u64>,
    /// The fault's name, or `heal`.
    pub name: String,
    /// What was done to whom.
    pub step: Step,
    /// Who led when it was begun, or led last, as far as was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<NodeNumber>,
}

/// A fault that is to be carried out again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedFault {
    /// Its number in its run, from 1.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// When its first step was begun, from the start of the faults.
    pub at: Duration,
    /// What was done, in order; never empty.
    pub steps: Vec<RecordedStep>,
}

/// One step of a recorded fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedStep {
    /// When it was begun, from the first step of its fault.
    pub after: Duration,
    /// What was done to whom.
    pub step: Step,
    /// Who led then.
    pub leader: Option<NodeNumber>,
}

/// A recorded schedule, ready to be carried out again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// In order of their beginnings.
    pub faults: Vec<RecordedFault>,
    /// When everything was healed, from the start of the faults.
    pub healed: Duration,
}

impl Recorded {
    /// The schedule of these lines. The final heal is left out: a run heals by itself.
    fn of(lines: Vec<CarriedOut>, faults_start_ns: u64, healed_ns: u64) -> Self {
        let mut faults: BTreeMap<u64, Vec<CarriedOut>> = BTreeMap::new();
        for line in lines {
            if let Some(fault) = line.fault {
                faults.entry(fault).or_default().push(line);
            }
        }
        let mut faults: Vec<RecordedFault> = faults.into_iter().map(|(n, l)| fault(n, l, faults_start_ns)).collect();
        faults.sort_by_key(|fault| fault.at);
        Self { faults, healed: Duration::from_nanos(healed_ns.saturating_sub(faults_start_ns)) }
    }

    /// Whether any step loses single packets, which only the fabric can do.
    #[must_use]
    pub fn loses_packets(&self) -> bool {
        self.faults.iter().flat_map(|fault| &fault.steps).any(|step| matches!(step.step, Step::Lose(_)))
    }
}

/// One fault of its lines, of which there is one at least.
fn fault(number: u64, mut lines: Vec<CarriedOut>, faults_start_ns: u64) -> RecordedFault {
    lines.sort_by_key(|line| line.time);
    let begin = lines[0].time;
    let name = lines[0].name.clone();
    let step = |line: CarriedOut| RecordedStep {
        after: Duration::from_nanos(line.time - begin),
        step: line.step,
        leader: line.leader,
    };
    let at = Duration::from_nanos(begin.saturating_sub(faults_start_ns));
    RecordedFault { number, name, at, steps: lines.into_iter().map(step).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: u64, fault: Option<u64>, step: Step) -> CarriedOut {
        CarriedOut { time, done: time + 1, fault, name: "kill".into(), step, leader: None }
    }

    #[test]
    fn a_line_is_read_back() {
        let line = CarriedOut {
            time: 5,
            done: 6,
            fault: Some(1),
            name: "partition one".into(),
            step: Step::Cut(vec![(1, 2), (2, 1)]),
            leader: Some(2),
        };
        let text = serde_json::to_string(&line).unwrap();
        let wanted = r#"{"time":5,"done":6,"fault":1,"name":"partition one","step":{"cut":[[1,2],[2,1]]},"leader":2}"#;
        assert_eq!(text, wanted);
        assert_eq!(serde_json::from_str::<CarriedOut>(&text).unwrap(), line);
        // Runs from before leaders were written down.
        let old = serde_json::from_str::<CarriedOut>(&text.replace(r#","leader":2"#, "")).unwrap();
        assert_eq!(old, CarriedOut { leader: None, ..line });
    }

    #[test]
    fn lines_become_faults_in_order_and_the_heal_is_left_out() {
        let lines = vec![
            line(1_500, Some(2), Step::Revive),
            line(1_300, Some(1), Step::Kill(vec![3])),
            line(1_200, Some(2), Step::Kill(vec![1])),
            line(2_000, None, Step::Revive),
        ];
        let recorded = Recorded::of(lines, 1_000, 2_000);
        assert_eq!(recorded.healed, Duration::from_nanos(1_000));
        let told: Vec<_> =
            recorded.faults.iter().map(|fault| (fault.number, fault.at.as_nanos(), fault.steps.len())).collect();
        assert_eq!(told, [(2, 200, 2), (1, 300, 1)]);
        assert_eq!(recorded.faults[0].steps[1].after, Duration::from_nanos(300));
        assert!(!recorded.loses_packets());
    }
}
