//! How the network is split: which links a shape cuts.

use serde::{Deserialize, Serialize};

use super::{NodeNumber, Scene, followers, leader_or_any, majority, shuffled};

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
    /// The same, and the leader is the node between them.
    LeaderBridge,
    /// The leader against all others; clients still reach it.
    Leader,
    /// The leader's messages do not arrive, but it hears the others.
    LeaderMute,
    /// The leader hears nothing, but its messages arrive.
    LeaderDeaf,
    /// The leader sees one follower only; the followers see each other.
    OneFollower,
    /// The leader and one follower against all others.
    LeaderPair,
    /// What the leader and one follower, another one than that of the leader's pair, say to the others does not arrive.
    OtherPairMute,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 11] = [
        Self::Halves,
        Self::One,
        Self::Ring,
        Self::Bridge,
        Self::LeaderBridge,
        Self::Leader,
        Self::LeaderMute,
        Self::LeaderDeaf,
        Self::OneFollower,
        Self::LeaderPair,
        Self::OtherPairMute,
    ];

    /// For names of faults.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Halves => "halves",
            Self::One => "one",
            Self::Ring => "ring",
            Self::Bridge => "bridge",
            Self::LeaderBridge => "leader-bridge",
            Self::Leader => "leader",
            Self::LeaderMute => "leader-mute",
            Self::LeaderDeaf => "leader-deaf",
            Self::OneFollower => "one-follower",
            Self::LeaderPair => "leader-pair",
            Self::OtherPairMute => "other-pair-mute",
        }
    }

    /// Whether it depends on who leads.
    #[must_use]
    pub fn is_about_the_leader(self) -> bool {
        !matches!(self, Self::Halves | Self::One | Self::Ring | Self::Bridge)
    }
}

/// Both directions between every node of `left` and every other node of `right`, but not inside `left`.
pub(super) fn between(left: &[NodeNumber], right: &[NodeNumber]) -> Vec<(NodeNumber, NodeNumber)> {
    let mut links = Vec::new();
    for a in left {
        for b in right.iter().filter(|b| !left.contains(b)) {
            links.push((*a, *b));
            links.push((*b, *a));
        }
    }
    links
}

/// The links that a shape cuts.
pub(super) fn cut(shape: Shape, scene: &Scene, pick: u64) -> Vec<(NodeNumber, NodeNumber)> {
    let nodes = shuffled(scene, pick);
    let leader = leader_or_any(scene, pick);
    let followers = followers(scene, pick);
    match shape {
        Shape::Halves => between(&nodes[..majority(scene.nodes)], &nodes),
        Shape::One => between(&nodes[..1], &nodes),
        Shape::Leader => between(&[leader], &nodes),
        Shape::LeaderMute => between(&[leader], &nodes).into_iter().filter(|(from, _)| *from == leader).collect(),
        Shape::LeaderDeaf => between(&[leader], &nodes).into_iter().filter(|(_, to)| *to == leader).collect(),
        Shape::OneFollower => between(&[leader], &followers[1..]),
        Shape::LeaderPair => between(&[leader, followers[0]], &nodes),
        Shape::OtherPairMute => {
            let pair = [leader, followers[1 % followers.len()]];
            between(&pair, &nodes).into_iter().filter(|(from, _)| pair.contains(from)).collect()
        }
        Shape::Bridge => sides(&nodes[1..]),
        Shape::LeaderBridge if scene.nodes > 1 => sides(&followers),
        Shape::LeaderBridge => Vec::new(),
        Shape::Ring => ring(&nodes),
    }
}

/// Two halves that do not see each other.
fn sides(nodes: &[NodeNumber]) -> Vec<(NodeNumber, NodeNumber)> {
    let (left, right) = nodes.split_at(nodes.len() / 2);
    between(left, right)
}

fn ring(nodes: &[NodeNumber]) -> Vec<(NodeNumber, NodeNumber)> {
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

/// Another set of voters, and sometimes a learner. Half of them are the founders with one more or one less, so that one voter changes
/// at a time; never are there fewer than two, so that a change is always one that a quorum must agree to.
pub(super) fn membership(scene: &Scene, pick: u64) -> (Vec<NodeNumber>, Vec<NodeNumber>) {
    let nodes = shuffled(scene, pick);
    let fewest = 2.min(scene.nodes);
    let most = (scene.founders + 1).min(scene.nodes).max(fewest);
    let mut voters: Vec<NodeNumber> = if pick >> 20 & 1 == 0 {
        let mut near: Vec<_> = (1..=scene.founders).filter(|node| *node != nodes[0]).collect();
        // A spare node is not among the founders, so it is added.
        near.extend((nodes[0] > scene.founders).then_some(nodes[0]));
        near
    } else {
        let count = fewest + (pick >> 8) as u32 % (most - fewest + 1);
        nodes[..count as usize].to_vec()
    };
    if voters.len() < fewest as usize {
        voters = (1..=fewest).collect();
    }
    voters.sort_unstable();
    let learner = nodes.into_iter().find(|node| !voters.contains(node)).filter(|_| pick >> 16 & 3 == 0);
    (voters, learner.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn links(shape: Shape) -> BTreeSet<(u32, u32)> {
        let five = Scene { leader: Some(3), ..Scene::of(5) };
        cut(shape, &five, 6).into_iter().collect()
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
    fn a_leader_with_one_follower_alone_or_apart() {
        let cut = links(Shape::OneFollower);
        assert_eq!(cut.len(), 6);
        assert!(cut.iter().all(|(a, b)| *a == 3 || *b == 3));
        let cut = links(Shape::LeaderPair);
        assert_eq!(cut.len(), 2 * 3 * 2);
        assert_eq!(cut.iter().filter(|(from, _)| *from == 3).count(), 3);
    }

    #[test]
    fn another_pair_is_heard_by_nobody_but_hears() {
        let cut = links(Shape::OtherPairMute);
        assert_eq!(cut.len(), 2 * 3);
        assert!(cut.iter().any(|(from, _)| *from == 3) && cut.iter().all(|(_, to)| *to != 3));
        let friend = |cut: &BTreeSet<(u32, u32)>| (1..=5).find(|node| *node != 3 && !cut.contains(&(3, *node)));
        assert_ne!(friend(&cut), friend(&links(Shape::LeaderPair)));
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
        let uncut = |cut: &BTreeSet<(u32, u32)>| -> Vec<u32> {
            (1..=5).filter(|node| cut.iter().all(|(a, b)| a != node && b != node)).collect()
        };
        let cut = links(Shape::Bridge);
        assert_eq!(uncut(&cut).len(), 1);
        assert_eq!(cut.len(), 2 * 2 * 2);
        let cut = links(Shape::LeaderBridge);
        assert_eq!(uncut(&cut), [3]);
        assert_eq!(cut.len(), 2 * 2 * 2);
    }

    #[test]
    fn a_cluster_of_one_has_no_links() {
        let scene = Scene { leader: Some(1), ..Scene::of(1) };
        for shape in Shape::ALL {
            assert_eq!(cut(shape, &scene, 3), [], "{shape:?}");
        }
    }

    #[test]
    fn memberships_differ_and_are_possible() {
        let scene = Scene { founders: 3, ..Scene::of(5) };
        let mut sizes = BTreeSet::new();
        let mut learned = false;
        for pick in (0..400).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            let (voters, learners) = membership(&scene, pick);
            assert!(voters.iter().chain(&learners).all(|node| (1..=5).contains(node)));
            assert!(voters.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(learners.iter().all(|node| !voters.contains(node)));
            sizes.insert(voters.len());
            learned |= !learners.is_empty();
        }
        assert_eq!(sizes, [2, 3, 4].into());
        assert!(learned);
        let single = |pick| membership(&scene, pick).0 == [1, 2, 3, 5];
        assert!((0..64).any(single), "one spare node joins the founders");
    }
}
