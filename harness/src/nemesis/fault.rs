//! Faults as scripts: what is done, to whom by role, and after how long it is undone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A node's number, from 1.
pub type NodeNumber = u32;

/// What is known of the nodes at the moment a step is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    /// How many nodes there are, numbered from 1.
    pub nodes: u32,
    /// The node that leads in the highest term seen, if any does.
    pub leader: Option<NodeNumber>,
}

/// How the nodes are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// A majority and the rest.
    Halves,
    /// One node against all others.
    One,
    /// Each node sees only its two neighbours.
    Ring,
    /// Two groups that see each other only through one node between them.
    Bridge,
    /// The leader against all others; clients still reach it.
    Leader,
    /// The leader's messages do not arrive, but it hears the others.
    LeaderMute,
    /// The leader hears nothing, but its messages arrive.
    LeaderDeaf,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 7] =
        [Self::Halves, Self::One, Self::Ring, Self::Bridge, Self::Leader, Self::LeaderMute, Self::LeaderDeaf];
}

/// Who suffers a process fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The leader of the moment (any node, if there is none).
    Leader,
    /// One node that does not lead.
    Follower,
    /// As many followers as the cluster tolerates to lose.
    FollowerMinority,
    /// A majority of the nodes.
    Majority,
    /// Every node.
    All,
}

/// One step of a fault's script, its targets still by role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aim {
    /// Split the network.
    Partition(Shape),
    /// Cut these off from the leader, but not from each other: they miss its writes and can still be elected.
    CutOffFromLeader(Target),
    /// Mend all links.
    Mend,
    /// SIGKILL.
    Kill(Target),
    /// SIGSTOP.
    Pause(Target),
    /// Power loss.
    PowerOff(Target),
    /// Resume what is paused, start what is down.
    Revive,
}

/// A step with the pause before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptStep {
    /// How long to wait before this step.
    pub after: Duration,
    /// What to do.
    pub aim: Aim,
}

/// A fault: its name and its script, whose last steps undo the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// For people and for counting, such as `partition ring`.
    pub name: String,
    /// What is done.
    pub script: Vec<ScriptStep>,
    /// Decides, together with the roles of the moment, which nodes are hit.
    pub pick: u64,
}

/// A step as it is carried out, its targets named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Block these directed links, from and to.
    Cut(Vec<(NodeNumber, NodeNumber)>),
    /// Mend all links.
    Mend,
    /// SIGKILL.
    Kill(Vec<NodeNumber>),
    /// SIGSTOP.
    Pause(Vec<NodeNumber>),
    /// Power loss.
    PowerOff(Vec<NodeNumber>),
    /// Resume what is paused, start what is down.
    Revive,
}

/// Names the nodes and links that a step hits. Pure: the same roles and pick give the same step.
#[must_use]
pub fn resolve(aim: Aim, roles: &Roles, pick: u64) -> Step {
    match aim {
        Aim::Partition(shape) => Step::Cut(cut(shape, roles, pick)),
        Aim::CutOffFromLeader(target) => {
            Step::Cut(between(&targets(target, roles, pick), &[leader_or_any(roles, pick)]))
        }
        Aim::Mend => Step::Mend,
        Aim::Kill(target) => Step::Kill(targets(target, roles, pick)),
        Aim::Pause(target) => Step::Pause(targets(target, roles, pick)),
        Aim::PowerOff(target) => Step::PowerOff(targets(target, roles, pick)),
        Aim::Revive => Step::Revive,
    }
}

fn all(roles: &Roles) -> Vec<NodeNumber> {
    (1..=roles.nodes).collect()
}

/// The nodes in an order that `pick` decides: a rotation, and its reverse for odd picks.
fn shuffled(roles: &Roles, pick: u64) -> Vec<NodeNumber> {
    let mut nodes = all(roles);
    let turn = usize::try_from((pick >> 1) % u64::from(roles.nodes)).unwrap_or(0);
    nodes.rotate_left(turn);
    if pick & 1 == 1 {
        nodes.reverse();
    }
    nodes
}

fn leader_or_any(roles: &Roles, pick: u64) -> NodeNumber {
    roles.leader.unwrap_or_else(|| shuffled(roles, pick)[0])
}

fn followers(roles: &Roles, pick: u64) -> Vec<NodeNumber> {
    let leader = leader_or_any(roles, pick);
    let mut nodes = shuffled(roles, pick);
    if nodes.len() > 1 {
        nodes.retain(|node| *node != leader);
    }
    nodes
}

fn majority(nodes: u32) -> usize {
    nodes as usize / 2 + 1
}

fn targets(target: Target, roles: &Roles, pick: u64) -> Vec<NodeNumber> {
    match target {
        Target::Leader => vec![leader_or_any(roles, pick)],
        Target::Follower => followers(roles, pick).into_iter().take(1).collect(),
        Target::FollowerMinority => {
            let tolerated = (roles.nodes as usize - 1) / 2;
            followers(roles, pick).into_iter().take(tolerated.max(1)).collect()
        }
        Target::Majority => {
            let mut nodes = shuffled(roles, pick);
            nodes.truncate(majority(roles.nodes));
            nodes
        }
        Target::All => all(roles),
    }
}

/// Both directions between every node of `left` and every other node of `right`, but not inside `left`.
fn between(left: &[NodeNumber], right: &[NodeNumber]) -> Vec<(NodeNumber, NodeNumber)> {
    let mut links = Vec::new();
    for a in left {
        for b in right.iter().filter(|b| !left.contains(b)) {
            links.push((*a, *b));
            links.push((*b, *a));
        }
    }
    links
}

fn cut(shape: Shape, roles: &Roles, pick: u64) -> Vec<(NodeNumber, NodeNumber)> {
    let nodes = shuffled(roles, pick);
    let leader = leader_or_any(roles, pick);
    match shape {
        Shape::Halves => between(&nodes[..majority(roles.nodes)], &nodes),
        Shape::One => between(&nodes[..1], &nodes),
        Shape::Leader => between(&[leader], &nodes),
        Shape::LeaderMute => between(&[leader], &nodes).into_iter().filter(|(from, _)| *from == leader).collect(),
        Shape::LeaderDeaf => between(&[leader], &nodes).into_iter().filter(|(_, to)| *to == leader).collect(),
        Shape::Bridge => {
            let rest = &nodes[1..];
            let (left, right) = rest.split_at(rest.len() / 2);
            between(left, right)
        }
        Shape::Ring => {
            let count = nodes.len();
            let neighbours = |a: usize, b: usize| (a + 1) % count == b || (b + 1) % count == a;
            let mut links = Vec::new();
            for a in 0..count {
                for b in (0..count).filter(|b| *b != a && !neighbours(a, *b)) {
                    links.push((nodes[a], nodes[b]));
                }
            }
            links
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const FIVE: Roles = Roles { nodes: 5, leader: Some(3) };

    fn links(shape: Shape) -> BTreeSet<(u32, u32)> {
        match resolve(Aim::Partition(shape), &FIVE, 6) {
            Step::Cut(links) => links.into_iter().collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_leader_partition_cuts_only_the_leader() {
        let cut = links(Shape::Leader);
        assert_eq!(cut.len(), 8);
        assert!(cut.iter().all(|(a, b)| *a == 3 || *b == 3));
        assert!(links(Shape::LeaderMute).iter().all(|(from, _)| *from == 3));
        assert!(links(Shape::LeaderDeaf).iter().all(|(_, to)| *to == 3));
    }

    #[test]
    fn halves_leave_a_majority_together() {
        let cut = links(Shape::Halves);
        assert_eq!(cut.len(), 2 * 3 * 2);
    }

    #[test]
    fn in_a_ring_every_node_keeps_two_neighbours() {
        let cut = links(Shape::Ring);
        for node in 1..=5 {
            assert_eq!(cut.iter().filter(|(from, _)| *from == node).count(), 2);
        }
        assert!(cut.iter().all(|(a, b)| cut.contains(&(*b, *a))));
    }

    #[test]
    fn a_bridge_leaves_one_node_that_sees_all() {
        let cut = links(Shape::Bridge);
        let uncut: Vec<u32> = (1..=5).filter(|node| cut.iter().all(|(a, b)| a != node && b != node)).collect();
        assert_eq!(uncut.len(), 1);
        assert_eq!(cut.len(), 2 * 2 * 2);
    }

    #[test]
    fn followers_are_cut_off_from_the_leader_only() {
        match resolve(Aim::CutOffFromLeader(Target::FollowerMinority), &FIVE, 6) {
            Step::Cut(links) => {
                assert_eq!(links.len(), 4);
                assert!(links.iter().all(|(a, b)| (*a == 3) != (*b == 3)));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn targets_follow_roles() {
        assert_eq!(targets(Target::Leader, &FIVE, 0), [3]);
        for pick in 0..20 {
            assert!(!targets(Target::Follower, &FIVE, pick).contains(&3));
            assert_eq!(targets(Target::FollowerMinority, &FIVE, pick).len(), 2);
            assert!(!targets(Target::FollowerMinority, &FIVE, pick).contains(&3));
            assert_eq!(targets(Target::Majority, &FIVE, pick).len(), 3);
            assert_eq!(targets(Target::All, &FIVE, pick).len(), 5);
        }
    }

    #[test]
    fn without_a_leader_some_node_is_hit() {
        let roles = Roles { nodes: 3, leader: None };
        assert_eq!(targets(Target::Leader, &roles, 4).len(), 1);
    }

    #[test]
    fn a_cluster_of_one_has_no_links_but_can_be_killed() {
        let roles = Roles { nodes: 1, leader: Some(1) };
        for shape in Shape::ALL {
            assert_eq!(resolve(Aim::Partition(shape), &roles, 3), Step::Cut(vec![]), "{shape:?}");
        }
        assert_eq!(targets(Target::Follower, &roles, 0), [1]);
    }
}
