//! How the network is split: which links a shape cuts.

use serde::{Deserialize, Serialize};

use super::{Members, NodeNumber, Scene, Target, followers, leader_or_any, majority, shuffled, targets};

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
    /// The same, and who led when the fault began is the node between them.
    FirstBridge,
    /// The same, and its companion is.
    CompanionBridge,
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
    /// What the leader and one follower say to the others does not arrive.
    PairMute,
    /// What the leader and one follower, another one than that of the leader's pair, say to the others does not arrive.
    OtherPairMute,
    /// Two founders against the leader and all others. Two of three are a majority of those who founded the cluster, and the others
    /// one of all.
    TwoFounders,
    /// Who led when the fault began, and its companion, against all others.
    FirstPair,
    /// Who led when the fault began sees only its companion, which sees all.
    FirstAside,
    /// The leader sees, of all others, only who led when the fault began.
    FirstOnly,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 18] = [
        Self::Halves,
        Self::One,
        Self::Ring,
        Self::Bridge,
        Self::LeaderBridge,
        Self::FirstBridge,
        Self::CompanionBridge,
        Self::Leader,
        Self::LeaderMute,
        Self::LeaderDeaf,
        Self::OneFollower,
        Self::LeaderPair,
        Self::PairMute,
        Self::OtherPairMute,
        Self::TwoFounders,
        Self::FirstPair,
        Self::FirstAside,
        Self::FirstOnly,
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
            Self::FirstBridge => "first-bridge",
            Self::CompanionBridge => "companion-bridge",
            Self::Leader => "leader",
            Self::LeaderMute => "leader-mute",
            Self::LeaderDeaf => "leader-deaf",
            Self::OneFollower => "one-follower",
            Self::LeaderPair => "leader-pair",
            Self::PairMute => "pair-mute",
            Self::OtherPairMute => "other-pair-mute",
            Self::TwoFounders => "two-founders",
            Self::FirstPair => "first-pair",
            Self::FirstAside => "first-aside",
            Self::FirstOnly => "first-only",
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
        Shape::PairMute => mute(&[leader, followers[0]], &nodes),
        Shape::OtherPairMute => mute(&[leader, followers[1 % followers.len()]], &nodes),
        Shape::TwoFounders => between(&targets(Target::TwoFounders, scene, pick), &nodes),
        Shape::FirstPair => between(&first_pair(scene, pick), &nodes),
        Shape::FirstAside => {
            let mut others = nodes;
            others.retain(|node| !first_pair(scene, pick).contains(node));
            between(&targets(Target::First, scene, pick), &others)
        }
        Shape::FirstOnly => {
            let mut others = nodes;
            others.retain(|node| Some(*node) != scene.first);
            between(&[leader], &others)
        }
        Shape::Bridge => sides(&nodes[1..]),
        Shape::LeaderBridge if scene.nodes > 1 => sides(&followers),
        Shape::LeaderBridge => Vec::new(),
        Shape::FirstBridge => sides_of(Target::First, scene, pick),
        Shape::CompanionBridge => sides_of(Target::Companion, scene, pick),
        Shape::Ring => ring(&nodes),
    }
}

/// What these say to the rest does not arrive.
fn mute(some: &[NodeNumber], nodes: &[NodeNumber]) -> Vec<(NodeNumber, NodeNumber)> {
    between(some, nodes).into_iter().filter(|(from, _)| some.contains(from)).collect()
}

fn first_pair(scene: &Scene, pick: u64) -> Vec<NodeNumber> {
    [Target::First, Target::Companion].into_iter().flat_map(|one| targets(one, scene, pick)).collect()
}

/// Two halves of all but this node.
fn sides_of(between: Target, scene: &Scene, pick: u64) -> Vec<(NodeNumber, NodeNumber)> {
    let between = targets(between, scene, pick);
    let mut others = shuffled(scene, pick);
    others.retain(|node| !between.contains(node));
    sides(&others)
}

/// The links between nodes that no group has both of.
pub(super) fn split(groups: &[&[Target]], scene: &Scene, pick: u64) -> Vec<(NodeNumber, NodeNumber)> {
    let nodes = |of: &[Target]| -> Vec<NodeNumber> {
        let named = of.iter().filter(|target| **target != Target::Others);
        named.flat_map(|target| targets(*target, scene, pick)).collect()
    };
    let named = nodes(&groups.concat());
    let members = |group: &&[Target]| {
        let others = (1..=scene.nodes).filter(|node| group.contains(&Target::Others) && !named.contains(node));
        nodes(group).into_iter().chain(others).collect::<Vec<_>>()
    };
    let groups: Vec<_> = groups.iter().map(members).collect();
    let see = |a, b| groups.iter().any(|group| group.contains(&a) && group.contains(&b));
    let pairs = (1..=scene.nodes).flat_map(|a| (1..=scene.nodes).map(move |b| (a, b)));
    pairs.filter(|(a, b)| a != b && !see(*a, *b)).collect()
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

/// The voters and the learners to ask for. A founder that is left out is no learner either.
pub(super) fn membership(members: Members, scene: &Scene, pick: u64) -> (Vec<NodeNumber>, Vec<NodeNumber>) {
    match members {
        Members::Any(which) => any_membership(scene, pick.rotate_left(17 * which)),
        Members::FoundersAndLearners => ((1..=scene.founders).collect(), (scene.founders + 1..=scene.nodes).collect()),
        Members::FoundersBut(target) => {
            let without = targets(target, scene, pick);
            ((1..=scene.founders).filter(|node| !without.contains(node)).collect(), Vec::new())
        }
        Members::All => ((1..=scene.nodes).collect(), Vec::new()),
    }
}

/// Another set of voters, and sometimes a learner. Half of them are the founders with one more or one less, so that one voter changes
/// at a time; never are there fewer than two, so that a change is always one that a quorum must agree to.
fn any_membership(scene: &Scene, pick: u64) -> (Vec<NodeNumber>, Vec<NodeNumber>) {
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
        let cut = links(Shape::PairMute);
        assert_eq!(friend(&cut), friend(&links(Shape::LeaderPair)));
        assert!(cut.len() == 2 * 3 && cut.iter().all(|(_, to)| *to != 3));
    }

    #[test]
    fn a_leader_keeps_only_who_led_before() {
        let scene = Scene { leader: Some(3), first: Some(5), ..Scene::of(5) };
        let cut = cut(Shape::FirstOnly, &scene, 6);
        assert_eq!(cut.len(), 3 * 2);
        assert!(cut.iter().all(|(a, b)| (*a == 3 || *b == 3) && *a != 5 && *b != 5));
    }

    #[test]
    fn who_shares_a_group_sees_each_other() {
        let scene = Scene { first: Some(2), next: Some(4), leader: Some(4), ..Scene::of(5) };
        let cut = split(&[&[Target::First, Target::Others], &[Target::Next, Target::Others]], &scene, 7);
        assert_eq!(cut, [(2, 4), (4, 2)]);
        let companion = targets(Target::Companion, &scene, 7)[0];
        let cut = split(&[&[Target::First, Target::Companion], &[Target::Others]], &scene, 7);
        assert_eq!(cut.len(), 2 * 2 * 3);
        assert!(cut.iter().all(|(a, b)| [2, companion].contains(a) != [2, companion].contains(b)));
        // Who is in no group sees nobody.
        assert_eq!(split(&[&[Target::First, Target::Next]], &scene, 7).len(), 5 * 4 - 2);
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
            let (voters, learners) = membership(Members::Any(0), &scene, pick);
            assert!(voters.iter().chain(&learners).all(|node| (1..=5).contains(node)));
            assert!(voters.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(learners.iter().all(|node| !voters.contains(node)));
            sizes.insert(voters.len());
            learned |= !learners.is_empty();
        }
        assert_eq!(sizes, [2, 3, 4].into());
        assert!(learned);
        let single = |pick| membership(Members::Any(0), &scene, pick).0 == [1, 2, 3, 5];
        assert!((0..64).any(single), "one spare node joins the founders");
    }

    #[test]
    fn two_founders_are_apart_from_the_leader_and_who_joined() {
        let scene = Scene { founders: 3, leader: Some(2), ..Scene::of(5) };
        for pick in 0..20 {
            let links = cut(Shape::TwoFounders, &scene, pick);
            assert_eq!(links.len(), 2 * 3 * 2);
            assert!(links.iter().all(|(a, b)| [1, 3].contains(a) != [1, 3].contains(b)));
        }
        assert_eq!(membership(Members::FoundersAndLearners, &scene, 4), (vec![1, 2, 3], vec![4, 5]));
        assert_eq!(membership(Members::All, &scene, 4), (vec![1, 2, 3, 4, 5], vec![]));
    }

    /// Ongaro's example: majorities of "all but the bystander" and "all but the first" that do not meet, each on its side of the cut.
    #[test]
    fn who_led_first_keeps_its_companion() {
        for pick in 0..20 {
            let scene = Scene { founders: 4, first: Some(2), leader: Some(3), ..Scene::of(6) };
            let (companion, bystander) =
                (targets(Target::Companion, &scene, pick)[0], targets(Target::Bystander, &scene, pick)[0]);
            assert!(companion != bystander && companion != 2 && bystander != 2 && companion.max(bystander) <= 4);
            let later = Scene { leader: Some(4), ..scene.clone() };
            assert_eq!(targets(Target::Companion, &later, pick), [companion]);
            let (one, _) = membership(Members::FoundersBut(Target::Bystander), &scene, pick);
            let (other, _) = membership(Members::FoundersBut(Target::First), &later, pick);
            let links = cut(Shape::FirstPair, &later, pick);
            let pair = [2, companion];
            assert!(cut(Shape::FirstAside, &later, pick).iter().all(|link| links.contains(link)));
            assert_eq!(cut(Shape::FirstAside, &later, pick).len(), 4 * 2);
            assert!(links.iter().all(|(a, b)| pair.contains(a) != pair.contains(b)));
            assert_eq!(one.iter().filter(|node| pair.contains(node)).count(), 2);
            assert_eq!(other.iter().filter(|node| !pair.contains(node)).count(), 2);
        }
    }
}
