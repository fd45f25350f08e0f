//! Who leads: asked of every node again and again while a run goes on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::watch;
use workloads::client::{NodeStatus, Role};

use crate::{
    cluster::Cluster,
    nemesis::fault::{NodeNumber, Roles},
};

/// Pause between two rounds of questions.
const INTERVAL: Duration = Duration::from_millis(50);

/// What the nodes have said of themselves so far.
#[derive(Debug, Default)]
struct Seen {
    leader: Option<(u64, NodeNumber)>,
    leaders_by_term: BTreeMap<u64, NodeNumber>,
    fired: BTreeMap<NodeNumber, u64>,
}

/// The roles of the moment, and the leaders so far.
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    seen: Arc<Mutex<Seen>>,
}

impl Monitor {
    /// Keeps asking until `stop` says so.
    pub async fn watch(self, cluster: Arc<Cluster>, mut stop: watch::Receiver<bool>) {
        loop {
            let statuses = cluster.statuses().await;
            self.take(&statuses);
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {},
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn take(&self, statuses: &[Option<NodeStatus>]) {
        let mut seen = self.seen();
        let mut leader = None;
        for (id, status) in (1..).zip(statuses) {
            let Some(status) = status else { continue };
            if status.role == Role::Leader {
                seen.leaders_by_term.entry(status.term).or_insert(id);
                leader = leader.max(Some((status.term, id)));
            }
            // A restarted node counts from zero again.
            let fired = seen.fired.entry(id).or_default();
            *fired = (*fired).max(status.fired);
        }
        // While no node leads, the last leader is still the one to aim at.
        seen.leader = leader.or(seen.leader);
    }

    /// Who leads, as far as is known, among `nodes` nodes.
    #[must_use]
    pub fn roles(&self, nodes: u32) -> Roles {
        Roles { nodes, leader: self.seen().leader.map(|(_, id)| id) }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn status(role: Role, term: u64) -> Option<NodeStatus> {
        Some(NodeStatus { id: 0, role, term, leader: None, commit: 0, applied: 0, mutant: None, fired: 0 })
    }

    #[test]
    fn the_leader_of_the_highest_term_counts() {
        let monitor = Monitor::default();
        monitor.take(&[status(Role::Leader, 3), status(Role::Leader, 5), None]);
        assert_eq!(monitor.roles(3).leader, Some(2));
        assert_eq!(monitor.leader_changes(), 1);
        monitor.take(&[status(Role::Follower, 5), None, status(Role::Candidate, 6)]);
        assert_eq!(monitor.roles(3).leader, Some(2));
        assert_eq!(monitor.leader_changes(), 1);
    }
}
