//! Whom a fault hits: roles, and which nodes have them at this moment.

use serde::{Deserialize, Serialize};

use super::{NodeNumber, Scene};

/// Who suffers a process fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The leader of the moment (any node, if there is none).
    Leader,
    /// The node that led when the fault began (any node, if there was none).
    First,
    /// One node that does not lead.
    Follower,
    /// As many followers as the cluster tolerates to lose.
    FollowerMinority,
    /// A majority of the nodes.
    Majority,
    /// Every node.
    All,
    /// A founder that does not lead.
    Founder,
    /// Two founders that do not lead.
    TwoFounders,
    /// A founder that did not lead when the fault began; all through the fault it is the same one.
    Companion,
    /// Another one.
    Bystander,
    /// All but who led when the fault began and its companion.
    Remaining,
    /// Who was the first to lead in the place of the one that led when the fault began; its bystander, as long as nobody was.
    Next,
    /// A founder that did not lead when the fault began, nor was the first to lead after that; and the companion only if there is no other.
    Witness,
    /// In a split, whoever is not named beside it; elsewhere all but the one that led when the fault began.
    Others,
    /// Those that this fault has hit already.
    Struck,
    /// The node whose word was overheard; nobody, if none was.
    Caught,
    /// The node to whom that word was given; nobody, if none was.
    Chosen,
}

impl Target {
    /// For names of faults.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Leader | Self::First => "leader",
            Self::Follower => "follower",
            Self::FollowerMinority => "minority",
            Self::Majority => "majority",
            Self::All => "all",
            Self::Founder => "founder",
            Self::TwoFounders => "two-founders",
            Self::Companion => "companion",
            Self::Bystander => "bystander",
            Self::Remaining => "the rest",
            Self::Next => "next leader",
            Self::Witness => "witness",
            Self::Others => "others",
            Self::Struck => "the same",
            Self::Caught => "caught",
            Self::Chosen => "chosen",
        }
    }
}

pub(super) fn all(scene: &Scene) -> Vec<NodeNumber> {
    (1..=scene.nodes).collect()
}

/// The nodes in an order that `pick` decides: a rotation, and its reverse for odd picks.
pub(super) fn shuffled(scene: &Scene, pick: u64) -> Vec<NodeNumber> {
    let mut nodes = all(scene);
    let turn = usize::try_from((pick >> 1) % u64::from(scene.nodes)).unwrap_or(0);
    nodes.rotate_left(turn);
    if pick & 1 == 1 {
        nodes.reverse();
    }
    nodes
}

pub(super) fn leader_or_any(scene: &Scene, pick: u64) -> NodeNumber {
    scene.leader.unwrap_or_else(|| shuffled(scene, pick)[0])
}

pub(super) fn followers(scene: &Scene, pick: u64) -> Vec<NodeNumber> {
    let leader = leader_or_any(scene, pick);
    let mut nodes = shuffled(scene, pick);
    if nodes.len() > 1 {
        nodes.retain(|node| *node != leader);
    }
    nodes
}

/// The founders without this node, in an order that `pick` decides.
pub(super) fn founders_beside(node: Option<NodeNumber>, scene: &Scene, pick: u64) -> Vec<NodeNumber> {
    let mut founders = shuffled(scene, pick);
    founders.retain(|id| *id <= scene.founders && (Some(*id) != node || scene.nodes == 1));
    founders
}

pub(super) fn majority(nodes: u32) -> usize {
    nodes as usize / 2 + 1
}

pub(super) fn targets(target: Target, scene: &Scene, pick: u64) -> Vec<NodeNumber> {
    match target {
        Target::Leader => vec![leader_or_any(scene, pick)],
        Target::First => vec![scene.first.unwrap_or_else(|| leader_or_any(scene, pick))],
        Target::Follower => followers(scene, pick).into_iter().take(1).collect(),
        Target::FollowerMinority => {
            let tolerated = (scene.nodes as usize - 1) / 2;
            followers(scene, pick).into_iter().take(tolerated.max(1)).collect()
        }
        Target::Majority => {
            let mut nodes = shuffled(scene, pick);
            nodes.truncate(majority(scene.nodes));
            nodes
        }
        Target::All => all(scene),
        Target::Founder => founders_beside(scene.leader, scene, pick).into_iter().take(1).collect(),
        Target::TwoFounders => founders_beside(scene.leader, scene, pick).into_iter().take(2).collect(),
        Target::Companion => founders_beside(scene.first, scene, pick).into_iter().take(1).collect(),
        Target::Bystander => founders_beside(scene.first, scene, pick).into_iter().skip(1).take(1).collect(),
        Target::Remaining => founders_beside(scene.first, scene, pick).into_iter().skip(1).collect(),
        Target::Next => {
            let bystander = || targets(Target::Bystander, scene, pick);
            scene.next.map_or_else(bystander, |next| vec![next])
        }
        Target::Witness => {
            let (companion, next) = (targets(Target::Companion, scene, pick), targets(Target::Next, scene, pick));
            let mut founders = founders_beside(scene.first, scene, pick);
            founders.retain(|node| !next.contains(node));
            // Of three, the companion is the only one left.
            founders.sort_by_key(|node| companion.contains(node));
            founders.into_iter().take(1).collect()
        }
        Target::Others => founders_beside(scene.first, scene, pick),
        Target::Struck => scene.struck.clone(),
        Target::Caught => scene.caught.into_iter().collect(),
        Target::Chosen => scene.chosen.into_iter().collect(),
    }
}
