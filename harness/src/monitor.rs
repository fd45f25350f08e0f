//! Who leads: asked of every node again and again while a run goes on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use results::{
    life::{NodeLine, NodeRole, NodeState},
    sink::Recorder,
    store::LineFile,
};
use tokio::{sync::watch, task::JoinSet};
use workloads::client::{NodeStatus, Role};

use crate::{cluster::Cluster, nemesis::fault::NodeNumber};

/// Pause between two questions to one node. Faults are to hit the roles of the moment.
const INTERVAL: Duration = Duration::from_millis(20);

/// What the nodes have said of themselves so far.
#[derive(Debug, Default)]
struct Seen {
    /// Who says of itself that it leads, and in which term.
    leading: BTreeMap<NodeNumber, u64>,
    /// The last one that was known to lead.
    leader: Option<(u64, NodeNumber)>,
    leaders_by_term: BTreeMap<u64, NodeNumber>,
    fired: BTreeMap<NodeNumber, u64>,
    /// What each said last that it is, and in which term.
    said: BTreeMap<NodeNumber, (NodeRole, u64)>,
    life: Option<Life>,
}

/// Where it is written down how nodes stand.
#[derive(Debug)]
struct Life {
    recorder: Recorder,
    file: LineFile,
    last: BTreeMap<NodeNumber, NodeLine>,
}

impl Life {
    /// A line, if anything is new. Lines are for people; a run does not end because one cannot be written.
    fn note(&mut self, line: NodeLine) {
        if self.last.get(&line.node).is_none_or(|last| !last.is_same(&line)) {
            let line = NodeLine { time: self.recorder.now(), ..line };
            let _ = self.file.write(&line);
            self.last.insert(line.node, line);
        }
    }
}

/// The roles of the moment, and the leaders so far.
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    seen: Arc<Mutex<Seen>>,
}

impl Monitor {
    /// One that also writes down how each node stands, on the clock of `recorder`.
    #[must_use]
    pub fn writing(recorder: Recorder, file: LineFile) -> Self {
        let life = Some(Life { recorder, file, last: BTreeMap::new() });
        Self { seen: Arc::new(Mutex::new(Seen { life, ..Seen::default() })) }
    }

    /// Keeps asking until `stop` says so; each node for itself, so that one that does not answer holds up nothing.
    pub async fn watch(self, cluster: Arc<Cluster>, stop: watch::Receiver<bool>) {
        let mut nodes = JoinSet::new();
        nodes.spawn(self.clone().watch_states(Arc::clone(&cluster), stop.clone()));
        for id in 1..=cluster.places() {
            nodes.spawn(self.clone().watch_node(Arc::clone(&cluster), id, stop.clone()));
        }
        while nodes.join_next().await.is_some() {}
    }

    async fn watch_node(self, cluster: Arc<Cluster>, id: NodeNumber, mut stop: watch::Receiver<bool>) {
        loop {
            let status = cluster.status(id).await;
            self.take(id, status.as_ref());
            // Asked once more after the stop: what fired last counts, too.
            if *stop.borrow() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {},
                _ = stop.wait_for(|stop| *stop) => {},
            }
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn take(&self, id: NodeNumber, status: Option<&NodeStatus>) {
        let mut seen = self.seen();
        if let Some(status) = status {
            // A restarted node counts from zero again.
            let fired = seen.fired.entry(id).or_default();
            *fired = (*fired).max(status.fired);
            seen.said.insert(id, (role(status.role), status.term));
        }
        match status.filter(|status| status.role == Role::Leader) {
            Some(status) => {
                seen.leaders_by_term.entry(status.term).or_insert(id);
                seen.leading.insert(id, status.term);
            }
            None => {
                seen.leading.remove(&id);
            }
        }
        // While no node leads, the last leader is still the one to aim at.
        seen.leader = seen.leading.iter().map(|(id, term)| (*term, *id)).max().or(seen.leader);
    }

    /// Writes down how the nodes stand until `stop` says so. Not part of asking them: one that stands still does not answer for a while.
    async fn watch_states(self, cluster: Arc<Cluster>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            (1..=cluster.places()).for_each(|id| self.note(id, &cluster));
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {},
                _ = stop.wait_for(|stop| *stop) => {},
            }
        }
    }

    /// Writes down how the node stands, if that is new.
    fn note(&self, id: NodeNumber, cluster: &Cluster) {
        let Some(state) = cluster.node_state(id) else { return };
        let cut_from = cluster.cut_from(id);
        let mut seen = self.seen();
        if !matches!(state, NodeState::Up | NodeState::Paused) {
            // What it was before it ended says nothing about what it will be.
            seen.said.remove(&id);
        }
        let (role, term) = seen.said.get(&id).copied().unzip();
        if let Some(life) = &mut seen.life {
            life.note(NodeLine { time: 0, node: id, state, role, term, cut_from });
        }
    }

    /// Who leads, or led last, as far as is known.
    #[must_use]
    pub fn leader(&self) -> Option<NodeNumber> {
        self.seen().leader.map(|(_, id)| id)
    }

    /// The highest term in which a leader was seen.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.seen().leaders_by_term.keys().next_back().copied().unwrap_or(0)
    }

    /// Whether a node leads now, in a later term than this one.
    #[must_use]
    pub fn is_led_after(&self, term: u64) -> bool {
        self.seen().leading.values().any(|leading| *leading > term)
    }

    /// How often leadership passed on: one less than the terms in which a leader was seen.
    #[must_use]
    pub fn leader_changes(&self) -> u64 {
        (self.seen().leaders_by_term.len() as u64).saturating_sub(1)
    }

    /// How often a mutated rule decided otherwise than the correct one, at least.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.seen().fired.values().sum()
    }
}

fn role(role: Role) -> NodeRole {
    match role {
        Role::Leader => NodeRole::Leader,
        Role::Follower => NodeRole::Follower,
        Role::Candidate => NodeRole::Candidate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(role: Role, term: u64) -> Option<NodeStatus> {
        Some(NodeStatus { id: 0, role, term, leader: None, commit: 0, applied: 0, mutant: None, fired: 0 })
    }

    #[test]
    fn the_leader_of_the_highest_term_counts() {
        let monitor = Monitor::default();
        monitor.take(1, status(Role::Leader, 3).as_ref());
        monitor.take(2, status(Role::Leader, 5).as_ref());
        monitor.take(3, None);
        assert_eq!((monitor.leader(), monitor.term()), (Some(2), 5));
        assert_eq!(monitor.leader_changes(), 1);
        assert!(monitor.is_led_after(4) && !monitor.is_led_after(5));
        monitor.take(2, None);
        assert!(monitor.is_led_after(2) && !monitor.is_led_after(3));
        assert_eq!(monitor.leader(), Some(1), "the other one still says that it leads");
        monitor.take(1, status(Role::Follower, 5).as_ref());
        monitor.take(3, status(Role::Candidate, 6).as_ref());
        assert_eq!(monitor.leader(), Some(1));
        assert!(!monitor.is_led_after(0));
        assert_eq!(monitor.leader_changes(), 1);
    }
}
