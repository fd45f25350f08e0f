//! Carrying out a lane of faults: waits for each moment, aims at the roles of that moment, and writes down what was done.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{
        broadcast::{Receiver, error::RecvError},
        watch,
    },
    time::Instant,
};

use super::{
    fault::{Aim, Fault, NodeNumber, Scene, Step, resolve},
    plan::Lane,
    schedule::{CarriedOut, RecordedFault, Roles},
};
use crate::{
    cluster::{Cluster, ClusterError},
    monitor::Monitor,
    network::relay::{Heard, Part, Relay},
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
        let (time, leader) = (self.journal.now(), self.monitor.leader());
        let step = match step {
            Step::ChangeMembership { voters, learners, .. } => {
                let through = leader.unwrap_or(1);
                let agreed = self.cluster.change_membership(through, &voters, &learners).await;
                Step::ChangeMembership { voters, learners, agreed }
            }
            Step::Transfer { from, to, .. } => {
                Step::Transfer { from, to, agreed: self.cluster.transfer_leadership(from, to).await }
            }
            step => {
                let cluster = Arc::clone(&self.cluster);
                let (step, result) = tokio::task::spawn_blocking(move || {
                    let result = cluster.carry_out(fault, &step);
                    (step, result)
                })
                .await
                .expect("carrying out a step does not panic");
                result?;
                step
            }
        };
        self.journal.note(CarriedOut { time, done: self.journal.now(), fault, name: name.to_owned(), step, leader });
        Ok(())
    }

    /// Waits until a node leads in a later term than this one.
    async fn await_leader(&self, after_term: u64, within: Duration) {
        let look = async {
            while !self.monitor.is_led_after(after_term) {
                tokio::time::sleep(LEADER_LOOK).await;
            }
        };
        // Whoever has to do without goes on.
        let _ = tokio::time::timeout(within, look).await;
    }

    /// Waits until a node gives its word, as heard by this ear or from now on; which one did, and to whom.
    async fn await_word(&self, ear: Option<Receiver<Heard>>, within: Duration) -> Option<(NodeNumber, NodeNumber)> {
        let mut heard = ear.or_else(|| self.overhear())?;
        let listen = async {
            loop {
                match heard.recv().await {
                    Ok(message) if message.part == Some(Part::Gives) => return Some((message.from, message.to)),
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        };
        tokio::time::timeout(within, listen).await.ok().flatten()
    }

    fn overhear(&self) -> Option<Receiver<Heard>> {
        self.cluster.relay().map(Relay::overhear)
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

/// How long a fault that is meant for the leader waits for one.
const LEADER_WAIT: Duration = Duration::from_millis(600);
/// How long a lane leaves everything alone after a fault that took longer than planned: the nodes are to agree again before the next.
const REST: Duration = Duration::from_millis(300);
/// How often it is looked whether there is one.
const LEADER_LOOK: Duration = Duration::from_millis(10);

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
    let mut rested = start;
    for planned in lane.faults {
        if !wait_until(rested.max(start + planned.at), &mut stop).await {
            return Ok(());
        }
        inflict(&planned.fault, &context, &mut stop).await?;
        rested = Instant::now() + REST;
    }
    Ok(())
}

/// Carries out one fault, step by step. A step that has been begun is finished, whatever `stop` says.
async fn inflict(fault: &Fault, context: &LaneContext, stop: &mut watch::Receiver<bool>) -> Result<(), ClusterError> {
    if fault.wants_leader() {
        unless(stop, context.await_leader(0, LEADER_WAIT)).await;
    }
    let number = context.next_number();
    let mut scene = Scene { first: context.monitor.leader(), ..context.cluster.scene() };
    let mut only_asked = true;
    let mut ear = None;
    for (place, step) in fault.script.iter().enumerate() {
        if !wait_until(Instant::now() + step.after, stop).await {
            return Ok(());
        }
        match step.aim {
            Aim::AwaitLeader(within_ms) => {
                let after = context.monitor.term();
                unless(stop, context.await_leader(after, Duration::from_millis(within_ms))).await;
            }
            Aim::AwaitWord(within_ms) => {
                let heard =
                    unless(stop, context.await_word(ear.take(), Duration::from_millis(within_ms))).await.flatten();
                (scene.caught, scene.chosen) = heard.unzip();
            }
            _ => {}
        }
        scene.leader = context.monitor.leader();
        // Whoever leads once the members are those that the story begins with.
        if only_asked {
            scene.first = scene.leader;
        }
        let replaced = || scene.leader.filter(|leader| Some(*leader) != scene.first);
        scene.next = scene.next.or_else(replaced);
        only_asked &= matches!(step.aim, Aim::ChangeMembership(_));
        // What a step brings about may be said before it is seen to be done: starting nodes takes a while.
        if fault.script.get(place + 1).is_some_and(|next| matches!(next.aim, Aim::AwaitWord(_))) {
            ear = context.overhear();
        }
        if let Some(step) = resolve(step.aim, &scene, fault.pick).filter(|step| !is_for_nobody(step)) {
            if scene.struck.is_empty() {
                scene.struck = step.nodes().to_vec();
            }
            context.carry_out(Some(number), &fault.name, step).await?;
        }
    }
    Ok(())
}

/// Carries a recorded fault out again, its steps at the moments at which they were carried out then, once there is a leader to aim at.
///
/// # Errors
/// When a process cannot be signalled or started.
pub async fn again(
    fault: RecordedFault,
    context: LaneContext,
    start: Instant,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ClusterError> {
    if !wait_until(start + fault.at, &mut stop).await {
        return Ok(());
    }
    if fault.steps.first().is_some_and(|step| step.leader.is_some()) {
        unless(&mut stop, context.await_leader(0, LEADER_WAIT)).await;
    }
    let mut roles = Roles::new(context.cluster.places(), context.cluster.count());
    let begin = Instant::now();
    for recorded in &fault.steps {
        if !wait_until(begin + recorded.after, &mut stop).await {
            return Ok(());
        }
        roles.lead(recorded.leader, context.monitor.leader());
        context.carry_out(Some(fault.number), &fault.name, roles.cast(&recorded.step)).await?;
    }
    Ok(())
}

/// Whether nobody was caught whom the step is meant for.
fn is_for_nobody(step: &Step) -> bool {
    matches!(step, Step::Kill(nodes) | Step::Start(nodes) if nodes.is_empty())
}

/// What the future gives, unless the stop comes before.
async fn unless<T>(stop: &mut watch::Receiver<bool>, future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => None,
        output = future => Some(output),
    }
}
