//! Whether a cluster is ready for load, by what its nodes say of their leader.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use workloads::client::NodeStatus;

use super::{Cluster, ClusterError};

/// What the nodes say when the load may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// All name one leader.
    Agreed,
    /// Each names one, but not all the same.
    Disputed,
}

impl Readiness {
    /// By the leaders that the nodes name; none while one of them knows none.
    pub(super) fn of(leaders: &[Option<u64>]) -> Option<Self> {
        let first = leaders.first().copied().flatten()?;
        if leaders.contains(&None) {
            return None;
        }
        Some(if leaders.iter().all(|leader| *leader == Some(first)) { Self::Agreed } else { Self::Disputed })
    }
}

/// The last words of a node, if its log has any.
fn last_line(log: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log).ok()?;
    text.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned)
}

impl Cluster {
    /// What every founder says of itself, asked all at once.
    async fn statuses(&self) -> Vec<Option<NodeStatus>> {
        let mut asked = Vec::new();
        for node in self.nodes.iter().take(self.founders as usize) {
            asked.push(tokio::spawn(self.system.ready(node.client_address)));
        }
        let mut statuses = Vec::new();
        for answer in asked {
            statuses.push(answer.await.ok().flatten());
        }
        statuses
    }

    /// Waits until every founder answers and all agree on a leader. After half of `bound` it is enough that they name leaders, though
    /// different ones: a build whose minorities elect never agrees, and its clients are to see that.
    ///
    /// # Errors
    /// When that does not happen within `bound`, or a node ends.
    pub async fn wait_ready(&self, bound: Duration, logs: &Path) -> Result<Readiness, ClusterError> {
        const POLL: Duration = Duration::from_millis(50);
        let begin = Instant::now();
        loop {
            let statuses = self.statuses().await;
            let silent: Vec<usize> = (1..=statuses.len()).filter(|id| statuses[id - 1].is_none()).collect();
            let leaders: Vec<_> =
                statuses.iter().map(|status| status.as_ref().and_then(|status| status.leader)).collect();
            match Readiness::of(&leaders) {
                Some(Readiness::Disputed) if begin.elapsed() <= bound / 2 => {}
                Some(readiness) => return Ok(readiness),
                None => {}
            }
            let crashes = self.crashes()?;
            let detail = if let Some(crash) = crashes.first() {
                match last_line(&self.node(crash.node).log_file) {
                    Some(words) => format!("{crash}: {words}"),
                    None => crash.to_string(),
                }
            } else if silent.is_empty() {
                "no leader that all nodes agree on".to_owned()
            } else {
                format!("no answer from nodes {silent:?}")
            };
            if begin.elapsed() > bound || !crashes.is_empty() {
                return Err(ClusterError::NotReady { waited: begin.elapsed(), detail, logs: logs.to_owned() });
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_say_of_their_leader() {
        assert_eq!(Readiness::of(&[Some(2), Some(2), Some(2)]), Some(Readiness::Agreed));
        assert_eq!(Readiness::of(&[Some(2), Some(2), Some(3)]), Some(Readiness::Disputed));
        assert_eq!(Readiness::of(&[Some(2), None, Some(2)]), None);
        assert_eq!(Readiness::of(&[]), None);
    }
}
