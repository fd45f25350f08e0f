//! Carrying out a lane of faults: waits for each moment, aims at the roles of that moment, and writes down what was done.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{
    fault::{Step, resolve},
    plan::Lane,
    schedule::CarriedOut,
};
use crate::{
    cluster::{Cluster, ClusterError},
    monitor::Monitor,
    stop::wait_until,
};

/// Where steps are written down as they are carried out.
pub trait Journal: Send + Sync {
    /// Nanoseconds from the run's start, on the history's clock.
    fn now(&self) -> u64;

    /// Notes a step that was carried out.
    fn note(&self, step: CarriedOut);
}

/// What the lanes of one run share.
#[derive(Clone)]
pub struct LaneContext {
    /// Whom to break.
    pub cluster: Arc<Cluster>,
    /// Who leads.
    pub monitor: Monitor,
    /// Where it is written down.
    pub journal: Arc<dyn Journal>,
    /// Numbers the faults of all lanes.
    pub numbers: Arc<Mutex<u64>>,
}

impl LaneContext {
    fn next_number(&self) -> u64 {
        let mut number = self.numbers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *number += 1;
        *number
    }

    /// Does one step and writes it down. It blocks for as long as a process takes to die, a few milliseconds.
    async fn carry_out(&self, fault: Option<u64>, name: &str, step: Step) -> Result<(), ClusterError> {
        let time = self.journal.now();
        let cluster = Arc::clone(&self.cluster);
        let (step, result) = tokio::task::spawn_blocking(move || {
            let result = cluster.carry_out(&step);
            (step, result)
        })
        .await
        .expect("carrying out a step does not panic");
        result?;
        self.journal.note(CarriedOut { time, done: self.journal.now(), fault, name: name.to_owned(), step });
        Ok(())
    }

    /// Undoes every fault there may be.
    ///
    /// # Errors
    /// When a process cannot be resumed or started.
    pub async fn heal(&self) -> Result<(), ClusterError> {
        self.carry_out(None, "heal", Step::Mend).await?;
        self.carry_out(None, "heal", Step::Revive).await
    }
}

/// Runs a lane from `start` until its end or until `stop` says so. It may stop in the middle of a fault: the run heals.
///
/// # Errors
/// When a process cannot be signalled or started.
pub async fn run(
    lane: Lane,
    context: LaneContext,
    start: Instant,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ClusterError> {
    for planned in lane.faults {
        if !wait_until(start + planned.at, &mut stop).await {
            return Ok(());
        }
        let number = context.next_number();
        for step in planned.fault.script {
            if !wait(step.after, &mut stop).await {
                return Ok(());
            }
            let roles = context.monitor.roles(context.cluster.count());
            let step = resolve(step.aim, &roles, planned.fault.pick);
            context.carry_out(Some(number), &planned.fault.name, step).await?;
        }
    }
    Ok(())
}

async fn wait(duration: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    wait_until(Instant::now() + duration, stop).await
}
