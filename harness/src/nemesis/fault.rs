//! Faults as scripts: what is done, to whom by role, and after how long it is undone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

mod garble;
mod shape;
mod target;

pub use shape::Shape;
pub use target::Target;
use target::{followers, leader_or_any, majority, shuffled, targets};

use crate::network::relay::MessageRule;

/// A node's number, from 1.
pub type NodeNumber = u32;

/// What is known of the run and its nodes at the moment a step is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scene {
    /// How many places for nodes there are, numbered from 1; spare ones included.
    pub nodes: u32,
    /// How many of them, the first ones, founded the cluster.
    pub founders: u32,
    /// The node that leads in the highest term seen, if any does.
    pub leader: Option<NodeNumber>,
    /// Who led when the fault began.
    pub first: Option<NodeNumber>,
    /// Whom the fault has hit already, links aside.
    pub struck: Vec<NodeNumber>,
    /// Who was the first to lead in its place.
    pub next: Option<NodeNumber>,
    /// The node whose word was overheard last.
    pub caught: Option<NodeNumber>,
    /// The node to whom that word was given.
    pub chosen: Option<NodeNumber>,
    /// What messages between nodes are called.
    pub message_kinds: &'static [&'static str],
    /// Those of them that bring entries, acknowledgements, votes, questions for votes, in this order.
    pub telling_kinds: &'static [&'static str],
    /// Messages of one link must stay in order, and none of them may be lost alone or doubled.
    pub in_order: bool,
    /// The shortest election timeout, milliseconds.
    pub election_timeout_ms: u64,
    /// Whether nodes read files of faults; without, a story leaves out what needs them.
    pub can_spoil: bool,
}

impl Scene {
    /// A scene at the beginning: nobody leads, nothing was done.
    #[must_use]
    pub fn of(nodes: u32) -> Self {
        Self {
            nodes,
            founders: nodes,
            leader: None,
            first: None,
            struck: Vec::new(),
            next: None,
            caught: None,
            chosen: None,
            message_kinds: &[],
            telling_kinds: &[],
            in_order: false,
            election_timeout_ms: 300,
            can_spoil: true,
        }
    }
}

/// What is wrong with a node, as its file of faults says it (`docs/node-contract.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeFaults {
    /// Each sync takes so much longer, milliseconds.
    pub sync_delay_ms: u64,
    /// The clock runs at so many hundredths of its rate.
    pub clock_percent: u32,
    /// The wall clock is off by so much, milliseconds.
    pub wall_clock_offset_ms: i64,
    /// The next sync fails.
    pub sync_error: bool,
    /// A power loss tears a record.
    pub torn: bool,
}

impl Default for NodeFaults {
    fn default() -> Self {
        Self { sync_delay_ms: 0, clock_percent: 100, wall_clock_offset_ms: 0, sync_error: false, torn: false }
    }
}

impl NodeFaults {
    /// Both at once; where they contradict each other, `other` counts.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let healthy = Self::default();
        Self {
            sync_delay_ms: self.sync_delay_ms.max(other.sync_delay_ms),
            clock_percent: match other.clock_percent == healthy.clock_percent {
                true => self.clock_percent,
                false => other.clock_percent,
            },
            wall_clock_offset_ms: self.wall_clock_offset_ms.saturating_add(other.wall_clock_offset_ms),
            sync_error: self.sync_error || other.sync_error,
            torn: self.torn || other.torn,
        }
    }

    /// The node's file.
    #[must_use]
    pub fn file(self) -> String {
        let NodeFaults { sync_delay_ms, clock_percent, wall_clock_offset_ms, sync_error, torn } = self;
        let clock_rate = f64::from(clock_percent) / 100.0;
        serde_json::json!({"sync_delay_ms": sync_delay_ms, "clock_rate": clock_rate,
            "wall_clock_offset_ms": wall_clock_offset_ms, "sync_error": sync_error, "torn": torn})
        .to_string()
    }
}

/// One step of a fault's script, its targets still by role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Split the network.
    Partition(Shape),
    /// Nodes see each other where one of these groups has both of them, and else not; all at once. What the fault had cut before is open,
    /// unless it is cut by this.
    Split(&'static [&'static [Target]]),
    /// Cut these off from the leader, but not from each other: they miss its writes and can still be elected.
    CutOffFromLeader(Target),
    /// Cut these off from every other node.
    CutOff(Target),
    /// Lose the answers of these to clients.
    Mute(Target),
    /// Lose so many of a hundred packets between nodes.
    Lose(u8),
    /// Lose, delay, double, reorder messages between nodes.
    Garble,
    /// Messages come late, by so many hundredths of an election timeout.
    Late(Late, [u64; 2]),
    /// Lose so many of a hundred messages of this kind that are meant for these; if the protocol has any, and there is a relay.
    LoseKind(&'static str, u8, Target),
    /// Lose so many of a hundred messages that bring entries to these; nothing, where links must stay in order or no kind is known.
    LoseEntries(u8, Target),
    /// All that is meant for these arrives twice, the second time so many hundredths of an election timeout later. Not where links must
    /// stay in order.
    Twice([u64; 2], Target),
    /// Lose all messages of these kinds that are meant for these, as far as the protocol has such kinds and there is a relay; of what
    /// the fault did to messages before, nothing else goes on.
    LoseKinds(&'static [(&'static str, Target)]),
    /// All that this one says arrives so much later, milliseconds, and in order.
    Hold(u64, Target),
    /// Only messages of this kind that it says, and, where links are in order, what follows them; if the protocol has any, and there
    /// is a relay.
    HoldKind(&'static str, u64, Target),
    /// Elections are slow.
    Poll(Poll),
    /// Messages of this kind come late, in order, by so many hundredths of an election timeout; if the protocol has any.
    LateKind(&'static str, u64),
    /// Undo what this fault has done to messages. Those that are late already stay so, and links as they are.
    Hurry,
    /// Undo what this fault has done to links and messages.
    Mend,
    /// SIGKILL.
    Kill(Target),
    /// SIGSTOP.
    Pause(Target),
    /// Power loss.
    PowerOff(Target),
    /// SIGKILL, and the data directory is removed.
    Wipe(Target),
    /// Give nodes faults of their own.
    Spoil(Target, NodeFaults),
    /// Resume what this fault has paused, start what it has ended, and take away the faults that it gave.
    Revive,
    /// Start these, if this fault has ended them, and resume them, if it has paused them.
    Start(Target),
    /// Wait until some node leads, at most so long, milliseconds.
    AwaitLeader(u64),
    /// Wait until a node gives its word (a vote, a promise), at most so long, milliseconds. It is then *caught*.
    AwaitWord(u64),
    /// Ask for other members.
    ChangeMembership(Members),
    /// Ask the leader to hand over, to anyone.
    HandOver,
    /// Ask the leader to hand over to the one that led when the fault began.
    HandBack,
    /// Ask the leader to hand over to this one.
    HandTo(Target),
}

/// How an election is slowed down. Times are hundredths of an election timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    /// So late do questions for votes come, in order.
    pub questions: u64,
    /// The questions of these do not come at all, unless none may be lost: they vote, and do not stand.
    pub silent: Target,
    /// Of these, the questions whether they could win come, but not those that follow: they stand, and are not voted for.
    pub unheard: Option<Target>,
    /// So late does a word come, overtaken by other messages.
    pub words: u64,
    /// Only words that are meant for these.
    pub words_to: Target,
}

/// Which messages are late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// All that go to the leader, in order.
    ToLeader,
    /// All that go to the leader, overtaken by later ones.
    ToLeaderOvertaken,
    /// Votes, acknowledgements, or half of the entries, wherever they go, overtaken by others.
    Words,
    /// Entries that go to one follower, in order.
    EntriesToFollower,
    /// All entries, in order.
    Entries,
    /// What one follower, the one of the leader's pair, acknowledges to the leader.
    AcknowledgementsOfOne,
}

/// Which members to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// Any set of voters, and sometimes a learner; the number tells one change of a fault from another.
    Any(u32),
    /// The founders vote; all others are learners.
    FoundersAndLearners,
    /// The founders without this one.
    FoundersBut(Target),
    /// Everyone votes.
    All,
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
    /// Decides, together with the scene of the moment, which nodes are hit.
    pub pick: u64,
}

impl Fault {
    /// How long it takes, if nothing has to be waited for.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.script.iter().map(|step| step.after).sum()
    }

    /// Whether it is meant for the leader, so that there had better be one.
    #[must_use]
    pub fn wants_leader(&self) -> bool {
        self.script.first().is_some_and(|step| match step.aim {
            Aim::Partition(shape) => shape.is_about_the_leader(),
            Aim::Poll(_)
            | Aim::LateKind(..)
            | Aim::CutOffFromLeader(_)
            | Aim::Split(_)
            | Aim::ChangeMembership(_)
            | Aim::Late(..)
            | Aim::HandOver
            | Aim::HandBack
            | Aim::HandTo(_) => true,
            Aim::CutOff(target)
            | Aim::Mute(target)
            | Aim::Kill(target)
            | Aim::Pause(target)
            | Aim::PowerOff(target)
            | Aim::Wipe(target)
            | Aim::Spoil(target, _)
            | Aim::Hold(_, target) => {
                matches!(target, Target::Leader | Target::First | Target::Companion | Target::Bystander)
            }
            _ => false,
        })
    }
}

/// A step as it is carried out, its targets named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Block these directed links, from and to.
    Cut(Vec<(NodeNumber, NodeNumber)>),
    /// Block these, and open at the same time what else the fault had blocked.
    Split(Vec<(NodeNumber, NodeNumber)>),
    /// Lose what these answer to clients.
    Mute(Vec<NodeNumber>),
    /// Lose so many of a hundred packets on every link between nodes.
    Lose(u8),
    /// What the relay does to messages.
    Garble(Vec<MessageRule>),
    /// Undo what the fault has done to links and messages; without a fault, what all have done.
    Mend,
    /// SIGKILL.
    Kill(Vec<NodeNumber>),
    /// SIGSTOP.
    Pause(Vec<NodeNumber>),
    /// Power loss.
    PowerOff(Vec<NodeNumber>),
    /// SIGKILL, and the data directory is removed.
    Wipe(Vec<NodeNumber>),
    /// These have faults of their own.
    Spoil(Vec<NodeNumber>, NodeFaults),
    /// Resume what the fault has paused, start what it has ended, take away the faults it gave; without a fault, everything.
    Revive,
    /// Start these, if the fault has ended them, and resume them, if it has paused them.
    Start(Vec<NodeNumber>),
    /// The voters and the learners that are asked for.
    ChangeMembership {
        /// All voters.
        voters: Vec<NodeNumber>,
        /// Nodes that only listen.
        learners: Vec<NodeNumber>,
        /// Whether the cluster said that it is so.
        agreed: bool,
    },
    /// This node is asked to hand its leadership over.
    Transfer {
        /// The leader.
        from: NodeNumber,
        /// To this one, or any.
        to: Option<NodeNumber>,
        /// Whether it said that it does.
        agreed: bool,
    },
}

/// Names the nodes and links that a step hits. Pure: the same scene and pick give the same step. None for what is only waited for or
/// cannot be done here.
#[must_use]
pub fn resolve(aim: Aim, scene: &Scene, pick: u64) -> Option<Step> {
    let targets = |target| targets(target, scene, pick);
    Some(match aim {
        Aim::Partition(shape) => Step::Cut(shape::cut(shape, scene, pick)),
        Aim::Split(groups) => Step::Split(shape::split(groups, scene, pick)),
        Aim::CutOffFromLeader(target) => Step::Cut(shape::between(&targets(target), &[leader_or_any(scene, pick)])),
        Aim::CutOff(target) => Step::Cut(shape::between(&targets(target), &shuffled(scene, pick))),
        Aim::Mute(target) => Step::Mute(targets(target)),
        Aim::Lose(percent) => Step::Lose(percent),
        Aim::Garble => Step::Garble(garble::rules(scene, pick)),
        Aim::Late(late, percent) => Step::Garble(vec![garble::late(late, percent, scene, pick)]),
        Aim::HandOver => Step::Transfer { from: leader_or_any(scene, pick), to: None, agreed: false },
        Aim::HandBack => Step::Transfer { from: leader_or_any(scene, pick), to: scene.first, agreed: false },
        Aim::LoseKind(kind, percent, target) if scene.message_kinds.contains(&kind) => {
            Step::Garble(garble::lose(kind, percent, &targets(target)))
        }
        Aim::Hold(ms, target) => Step::Garble(garble::hold(None, ms, &targets(target))),
        Aim::HoldKind(kind, ms, target) if scene.message_kinds.contains(&kind) => {
            Step::Garble(garble::hold(Some(kind), ms, &targets(target)))
        }
        Aim::LoseEntries(percent, target) if !scene.in_order && !scene.telling_kinds.is_empty() => {
            Step::Garble(garble::lose(scene.telling_kinds[0], percent, &targets(target)))
        }
        Aim::Twice(percent, target) if !scene.in_order => Step::Garble(garble::echo(percent, scene, &targets(target))),
        Aim::Poll(poll) => Step::Garble({
            let unheard = poll.unheard.map(targets).unwrap_or_default();
            garble::poll(poll, [targets(poll.silent), unheard, targets(poll.words_to)], scene)
        }),
        Aim::LateKind(kind, percent) if scene.message_kinds.contains(&kind) => {
            Step::Garble(vec![garble::late_kind(kind, percent, scene)])
        }
        Aim::Hurry => Step::Garble(Vec::new()),
        Aim::LoseKinds(kinds) => {
            let known = kinds.iter().filter(|(kind, _)| scene.message_kinds.contains(kind));
            Step::Garble(known.flat_map(|(kind, target)| garble::lose(kind, 100, &targets(*target))).collect())
        }
        Aim::HandTo(target) => {
            let to = targets(target).first().copied();
            Step::Transfer { from: leader_or_any(scene, pick), to, agreed: false }
        }
        Aim::Mend => Step::Mend,
        Aim::Kill(target) => Step::Kill(targets(target)),
        Aim::Pause(target) => Step::Pause(targets(target)),
        Aim::PowerOff(target) => Step::PowerOff(targets(target)),
        Aim::Wipe(target) => Step::Wipe(targets(target)),
        Aim::Spoil(target, faults) if scene.can_spoil => Step::Spoil(targets(target), faults),
        Aim::Revive => Step::Revive,
        Aim::Start(target) => Step::Start(targets(target)),
        Aim::ChangeMembership(members) => {
            let (voters, learners) = shape::membership(members, scene, pick);
            Step::ChangeMembership { voters, learners, agreed: false }
        }
        Aim::Spoil(..) | Aim::LoseKind(..) | Aim::LoseEntries(..) | Aim::HoldKind(..) | Aim::Twice(..) => return None,
        Aim::LateKind(..) | Aim::AwaitLeader(_) | Aim::AwaitWord(_) => return None,
    })
}

impl Step {
    /// The nodes that it hits themselves, links aside.
    #[must_use]
    pub fn nodes(&self) -> &[NodeNumber] {
        match self {
            Self::Kill(nodes)
            | Self::Pause(nodes)
            | Self::PowerOff(nodes)
            | Self::Wipe(nodes)
            | Self::Mute(nodes)
            | Self::Spoil(nodes, _) => nodes,
            Self::Cut(_)
            | Self::Split(_)
            | Self::Lose(_)
            | Self::Garble(_)
            | Self::Start(_)
            | Self::Mend
            | Self::Revive
            | Self::ChangeMembership { .. }
            | Self::Transfer { .. } => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn five() -> Scene {
        Scene { leader: Some(3), ..Scene::of(5) }
    }

    #[test]
    fn followers_are_cut_off_from_the_leader_only() {
        match resolve(Aim::CutOffFromLeader(Target::FollowerMinority), &five(), 6) {
            Some(Step::Cut(links)) => {
                assert_eq!(links.len(), 4);
                assert!(links.iter().all(|(a, b)| (*a == 3) != (*b == 3)));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn targets_follow_roles() {
        let five = five();
        assert_eq!(targets(Target::Leader, &five, 0), [3]);
        for pick in 0..20 {
            assert!(!targets(Target::Follower, &five, pick).contains(&3));
            assert_eq!(targets(Target::FollowerMinority, &five, pick).len(), 2);
            assert!(!targets(Target::FollowerMinority, &five, pick).contains(&3));
            assert_eq!(targets(Target::Majority, &five, pick).len(), 3);
            assert_eq!(targets(Target::All, &five, pick).len(), 5);
        }
    }

    #[test]
    fn a_fault_remembers_whom_it_has_hit() {
        let scene = Scene { first: Some(2), struck: vec![4, 5], caught: Some(1), chosen: Some(3), ..five() };
        assert_eq!(targets(Target::First, &scene, 0), [2]);
        assert_eq!(targets(Target::Struck, &scene, 0), [4, 5]);
        assert_eq!(targets(Target::Caught, &scene, 0), [1]);
        assert_eq!(targets(Target::Chosen, &scene, 0), [3]);
        assert_eq!(targets(Target::Caught, &five(), 0), [0; 0]);
    }

    #[test]
    fn who_leads_next_and_who_witnessed_it_stay_the_same_through_a_fault() {
        for pick in 0..20 {
            let scene = Scene { first: Some(2), ..five() };
            let one = |target, scene: &Scene| targets(target, scene, pick)[0];
            let companion = one(Target::Companion, &scene);
            assert_eq!(one(Target::Next, &scene), one(Target::Bystander, &scene));
            for next in [1, 3, 4, 5] {
                let scene = Scene { next: Some(next), leader: Some(5), ..scene.clone() };
                let witness = one(Target::Witness, &scene);
                assert_eq!(one(Target::Next, &scene), next);
                assert!(![2, companion, next].contains(&witness));
                assert_eq!(one(Target::Witness, &Scene { leader: Some(witness), ..scene }), witness);
            }
            assert_eq!(targets(Target::Others, &scene, pick).len(), 4);
            let three = Scene { first: Some(2), next: Some(3), ..Scene::of(3) };
            assert_eq!(targets(Target::Witness, &three, pick), [1]);
        }
        let hand = resolve(Aim::HandTo(Target::Next), &Scene { next: Some(4), ..five() }, 0);
        assert_eq!(hand, Some(Step::Transfer { from: 3, to: Some(4), agreed: false }));
    }

    #[test]
    fn several_kinds_are_lost_and_others_no_more() {
        let scene = Scene { first: Some(1), message_kinds: &["ask", "say"], ..Scene::of(3) };
        let aim = Aim::LoseKinds(&[("ask", Target::First), ("say", Target::All), ("sing", Target::All)]);
        match resolve(aim, &scene, 4) {
            Some(Step::Garble(rules)) => {
                assert!(rules.iter().all(|rule| rule.drop_percent == 100));
                let said: Vec<_> = rules.iter().map(|rule| (rule.kind.as_deref(), rule.to)).collect();
                let (ask, say) = (Some("ask"), Some("say"));
                assert_eq!(said, [(ask, Some(1)), (say, Some(1)), (say, Some(2)), (say, Some(3))]);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(resolve(Aim::LoseKinds(&[]), &scene, 4), Some(Step::Garble(Vec::new())));
    }

    #[test]
    fn without_files_of_faults_nobody_is_spoiled() {
        let aim = Aim::Spoil(Target::All, NodeFaults::default());
        assert!(resolve(aim, &five(), 0).is_some());
        assert_eq!(resolve(aim, &Scene { can_spoil: false, ..five() }, 0), None);
    }

    #[test]
    fn without_a_leader_some_node_is_hit() {
        assert_eq!(targets(Target::Leader, &Scene::of(3), 4).len(), 1);
        assert_eq!(targets(Target::First, &Scene::of(3), 4).len(), 1);
    }

    #[test]
    fn a_cluster_of_one_can_be_killed() {
        let scene = Scene { leader: Some(1), ..Scene::of(1) };
        assert_eq!(targets(Target::Follower, &scene, 0), [1]);
    }

    #[test]
    fn faults_of_a_node_add_up_and_read_as_the_contract_has_them() {
        let slow = NodeFaults { sync_delay_ms: 50, clock_percent: 50, ..NodeFaults::default() };
        let both = slow.and(NodeFaults { sync_delay_ms: 20, torn: true, ..NodeFaults::default() });
        assert_eq!(both, NodeFaults { torn: true, ..slow });
        let read = nodes::server::faults::Faults::parse(both.file().as_bytes()).unwrap();
        assert_eq!((read.sync_delay_ms, read.clock_rate, read.torn, read.sync_error), (50, 0.5, true, false));
        let healthy = nodes::server::faults::Faults::parse(NodeFaults::default().file().as_bytes()).unwrap();
        assert_eq!(healthy, nodes::server::faults::Faults::default());
    }
}
