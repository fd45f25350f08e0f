//! Who plays whose part when a recorded fault is carried out again.
//!
//! ```text
//!   then:  1 leads, 2, 3 follow        cut 1-2, 1-3          then 2 leads    cut 2-3
//!   now:   3 leads                     1 ──> 3, 3 ──> 1      now 1 leads     2 is taken: 2 ──> 2
//!                                      cut 3-2, 3-1                          cut 2-1
//! ```
//!
//! A fault was aimed at roles, and hit whoever had them. Its numbers are therefore read as parts in a story: who led at a step is the one
//! who leads when the step comes again, unless either has a part already; a part once given is kept through the fault, for whom it has
//! ended it must start again. All others stay who they are, or take a part that is left.

use crate::nemesis::fault::{NodeNumber, Step};

/// The parts of one fault: a one-to-one relation of nodes then to nodes now, which grows.
#[derive(Clone, Debug)]
pub struct Roles {
    /// How many nodes, the first ones, founded the cluster: parts stay among founders, and among the others.
    founders: NodeNumber,
    /// By number then, from 1; who plays it now.
    now: Vec<Option<NodeNumber>>,
}

impl Roles {
    /// No part is given yet, of so many nodes, the first of which founded the cluster.
    #[must_use]
    pub fn new(nodes: u32, founders: u32) -> Self {
        Self { founders, now: vec![None; nodes as usize] }
    }

    /// Who led then, and who leads now: the one plays the other, if both are free to.
    pub fn lead(&mut self, then: Option<NodeNumber>, now: Option<NodeNumber>) {
        if let (Some(then), Some(now)) = (then, now)
            && (then <= self.founders) == (now <= self.founders)
            && self.now[then as usize - 1].is_none()
            && self.player_of(now).is_none()
        {
            self.now[then as usize - 1] = Some(now);
        }
    }

    /// Whose part this node has now.
    fn player_of(&self, now: NodeNumber) -> Option<NodeNumber> {
        let place = self.now.iter().position(|player| *player == Some(now))?;
        Some(u32::try_from(place + 1).expect("as many as there are nodes"))
    }

    /// Who plays this node now. The first time takes at most the square of the number of nodes.
    pub fn play(&mut self, then: NodeNumber) -> NodeNumber {
        if let Some(now) = self.now[then as usize - 1] {
            return now;
        }
        // It stays itself, or, if it plays another one's part, that one takes its own: so two that have changed parts touch no third.
        // Nobody plays this node yet, so the chain of parts is no circle, and ends.
        let mut now = then;
        while let Some(taker) = self.player_of(now) {
            now = taker;
        }
        self.now[then as usize - 1] = Some(now);
        now
    }

    /// The step as it is to be carried out now.
    pub fn cast(&mut self, step: &Step) -> Step {
        let mut step = step.clone();
        step.for_each_node(|node| *node = self.play(*node));
        step
    }
}

impl Step {
    /// Calls this for every node that the step names.
    pub(super) fn for_each_node(&mut self, mut of: impl FnMut(&mut NodeNumber)) {
        match self {
            Self::Cut(links) | Self::Split(links) => links.iter_mut().for_each(|(from, to)| {
                of(from);
                of(to);
            }),
            Self::Garble(rules) => {
                rules.iter_mut().flat_map(|rule| [&mut rule.from, &mut rule.to]).flatten().for_each(of);
            }
            Self::Mute(nodes)
            | Self::Kill(nodes)
            | Self::Pause(nodes)
            | Self::PowerOff(nodes)
            | Self::Wipe(nodes)
            | Self::Spoil(nodes, _)
            | Self::Start(nodes) => nodes.iter_mut().for_each(of),
            Self::ChangeMembership { voters, learners, .. } => voters.iter_mut().chain(learners).for_each(of),
            Self::Transfer { from, to, .. } => std::iter::once(from).chain(to).for_each(of),
            Self::Lose(_) | Self::Mend | Self::Revive => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::relay::MessageRule;

    #[test]
    fn the_leader_of_the_moment_plays_the_leader_of_then() {
        let mut roles = Roles::new(3, 3);
        roles.lead(Some(1), Some(3));
        assert_eq!(roles.cast(&Step::Cut(vec![(1, 2), (3, 1)])), Step::Cut(vec![(3, 2), (1, 3)]));
        // Then 2 led, and now 1 does, who plays 3 already: everybody stays who he is.
        roles.lead(Some(2), Some(1));
        assert_eq!(roles.cast(&Step::Kill(vec![1, 2, 3])), Step::Kill(vec![3, 2, 1]));
    }

    #[test]
    fn a_later_leader_takes_its_part_if_it_is_free() {
        let mut roles = Roles::new(5, 5);
        roles.lead(Some(1), Some(2));
        assert_eq!(roles.cast(&Step::Kill(vec![1])), Step::Kill(vec![2]));
        roles.lead(Some(4), Some(5));
        let rule = MessageRule { from: Some(4), to: Some(5), ..MessageRule::default() };
        let wanted = MessageRule { from: Some(5), to: Some(4), ..MessageRule::default() };
        assert_eq!(roles.cast(&Step::Garble(vec![rule])), Step::Garble(vec![wanted]));
        let hand = Step::Transfer { from: 1, to: Some(2), agreed: true };
        assert_eq!(roles.cast(&hand), Step::Transfer { from: 2, to: Some(1), agreed: true });
    }

    /// Whatever leaders come when: no two nodes have one part, and founders and others stay among themselves.
    #[test]
    fn parts_are_never_given_twice() {
        for places in 1..=6_u32 {
            for founders in 1..=places {
                for seed in 0..200_u32 {
                    let mut roles = Roles::new(places, founders);
                    let node = |by: u32| seed.wrapping_mul(by).wrapping_add(by >> 3) / 7 % places + 1;
                    roles.lead(Some(node(2_654_435_761)), Some(node(40_503)));
                    roles.play(node(69_069));
                    roles.lead(Some(node(1_664_525)), Some(node(22_695_477)));
                    let mut now: Vec<_> = (1..=places).map(|then| roles.play(then)).collect();
                    assert!((1..=places).all(|then| (then <= founders) == (now[then as usize - 1] <= founders)));
                    assert_eq!(now, (1..=places).map(|then| roles.play(then)).collect::<Vec<_>>());
                    now.sort_unstable();
                    assert_eq!(now, (1..=places).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn without_a_leader_everybody_stays() {
        let mut roles = Roles::new(3, 3);
        roles.lead(None, Some(2));
        roles.lead(Some(1), None);
        let all = Step::ChangeMembership { voters: vec![1, 2], learners: vec![3], agreed: false };
        assert_eq!(roles.cast(&all), all);
        assert_eq!(roles.cast(&Step::Mend), Step::Mend);
    }
}
