//! What a fault does to single messages: rules drawn from its pick.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::{Late, NodeNumber, Poll, Scene, followers, leader_or_any};
use crate::network::relay::{MessageRule, Part};

/// Rules of one fault, at most.
const RULES_MAX: u32 = 3;

/// A few rules, each for one kind of message or all, and for one link, one end of links, or all. Late messages are late by up to two
/// election timeouts: long enough to arrive in another term.
pub(super) fn rules(scene: &Scene, pick: u64) -> Vec<MessageRule> {
    let mut rng = Pcg64::seed_from_u64(pick);
    (0..rng.random_range(1..=RULES_MAX)).map(|_| rule(scene, &mut rng)).collect()
}

/// So many of a hundred messages of this kind that are meant for these are lost.
pub(super) fn lose(kind: &str, percent: u8, to: &[NodeNumber]) -> Vec<MessageRule> {
    let rule = |to: &NodeNumber| MessageRule {
        to: Some(*to),
        kind: Some(kind.to_owned()),
        drop_percent: percent,
        ..MessageRule::default()
    };
    to.iter().map(rule).collect()
}

/// All that is meant for these arrives twice, the second time so many hundredths of an election timeout later.
pub(super) fn echo(percent: [u64; 2], scene: &Scene, to: &[NodeNumber]) -> Vec<MessageRule> {
    let rule = |to: &NodeNumber| MessageRule {
        to: Some(*to),
        double_percent: 100,
        echo_ms: percent.map(|percent| scene.election_timeout_ms * percent / 100),
        overtakable: true,
        ..MessageRule::default()
    };
    to.iter().map(rule).collect()
}

/// All that these say, or what they say of one kind, is so much late.
pub(super) fn hold(kind: Option<&str>, ms: u64, from: &[NodeNumber]) -> Vec<MessageRule> {
    let rule = |from: &NodeNumber| MessageRule {
        from: Some(*from),
        kind: kind.map(str::to_owned),
        late_percent: 100,
        delay_ms: [ms; 2],
        ..MessageRule::default()
    };
    from.iter().map(rule).collect()
}

/// Questions for votes are late, so that two candidates who ask one after the other ask in one term; or lost; and words are late. None
/// where nobody knows what a question is.
pub(super) fn poll(poll: Poll, [silent, unheard, words_to]: [Vec<NodeNumber>; 3], scene: &Scene) -> Vec<MessageRule> {
    let ms = scene.election_timeout_ms * poll.words / 100;
    let word = |to: &NodeNumber| MessageRule {
        to: Some(*to),
        part: Some(Part::Gives),
        late_percent: 100,
        delay_ms: [ms; 2],
        overtakable: !scene.in_order,
        ..MessageRule::default()
    };
    let Some(question) = scene.telling_kinds.get(3).map(|kind| late_kind(kind, poll.questions, scene)) else {
        return Vec::new();
    };
    let lost = |from: &NodeNumber| MessageRule { from: Some(*from), drop_percent: 100, ..question.clone() };
    let ignored = |from: &NodeNumber| MessageRule { part: Some(Part::Asks), ..lost(from) };
    let mut rules: Vec<_> = silent.iter().map(lost).chain(unheard.iter().map(ignored)).collect();
    rules.push(question.clone());
    if poll.words > 0 {
        rules.extend(words_to.iter().map(word));
    }
    rules
}

/// Messages of this kind are so many hundredths of an election timeout late.
pub(super) fn late_kind(kind: &str, percent: u64, scene: &Scene) -> MessageRule {
    let ms = scene.election_timeout_ms * percent / 100;
    MessageRule { kind: Some(kind.to_owned()), late_percent: 100, delay_ms: [ms; 2], ..MessageRule::default() }
}

fn rule(scene: &Scene, rng: &mut Pcg64) -> MessageRule {
    let kind = match scene.message_kinds {
        [] => None,
        kinds => rng.random_bool(0.6).then(|| kinds[rng.random_range(0..kinds.len())].to_owned()),
    };
    let mut node = |probability: f64| rng.random_bool(probability).then(|| rng.random_range(1..=scene.nodes));
    let (from, to) = (node(0.4), node(0.4));
    let latest_ms = 2 * scene.election_timeout_ms;
    let ms = [0, rng.random_range(latest_ms / 20..=latest_ms)];
    let mut rule = MessageRule { from, to, kind, delay_ms: ms, ..MessageRule::default() };
    // A link that must stay in order can only be slow.
    if scene.in_order {
        rule.late_percent = 100;
        return rule;
    }
    match rng.random_range(0..4) {
        0 => (rule.late_percent, rule.overtakable) = (100, rng.random_bool(0.7)),
        1 => (rule.late_percent, rule.overtakable, rule.double_percent) = (30, true, 50),
        2 => (rule.late_percent, rule.overtakable, rule.double_percent) = (50, true, 100),
        // Everything of one kind; a part of all.
        _ if rule.kind.is_some() && rng.random_bool(0.5) => rule.drop_percent = 100,
        _ => (rule.drop_percent, rule.late_percent, rule.overtakable) = (rng.random_range(5..=40), 20, true),
    }
    rule
}

/// Late by so many hundredths of an election timeout. Where no kind is known, all messages are.
pub(super) fn late(late: Late, percent: [u64; 2], scene: &Scene, pick: u64) -> MessageRule {
    let ms = percent.map(|percent| scene.election_timeout_ms * percent / 100);
    let rule = MessageRule { late_percent: 100, delay_ms: ms, ..MessageRule::default() };
    let kind = |which: u64| scene.telling_kinds.get(which as usize).map(|&kind| kind.to_owned());
    match late {
        Late::ToLeader => MessageRule { to: Some(leader_or_any(scene, pick)), ..rule },
        Late::ToLeaderOvertaken => {
            MessageRule { to: Some(leader_or_any(scene, pick)), overtakable: !scene.in_order, ..rule }
        }
        Late::Words => {
            let which = (pick >> 32) % 3;
            // Leaders of whom nobody hears anything get nothing done.
            let late_percent = if which == 0 { 50 } else { 100 };
            MessageRule { kind: kind(which), late_percent, overtakable: !scene.in_order, ..rule }
        }
        Late::AcknowledgementsOfOne => MessageRule {
            from: followers(scene, pick).first().copied(),
            to: Some(leader_or_any(scene, pick)),
            kind: kind(1),
            overtakable: !scene.in_order,
            ..rule
        },
        Late::Entries => MessageRule { kind: kind(0), ..rule },
        Late::EntriesToFollower => MessageRule { to: followers(scene, pick).first().copied(), kind: kind(0), ..rule },
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Target, *};

    #[test]
    fn all_sorts_of_rules_are_drawn() {
        let scene = Scene { message_kinds: &["a", "b"], ..Scene::of(5) };
        let all: Vec<_> = (0..300).flat_map(|pick| rules(&scene, pick)).collect();
        assert!(all.iter().any(|rule| rule.drop_percent == 100));
        assert!(all.iter().any(|rule| rule.double_percent > 0));
        assert!(all.iter().any(|rule| rule.overtakable) && all.iter().any(|rule| !rule.overtakable));
        assert!(all.iter().any(|rule| rule.kind.is_none()) && all.iter().any(|rule| rule.kind.is_some()));
        assert!(all.iter().any(|rule| rule.from.is_some() && rule.to.is_none()));
        assert!(all.iter().all(|rule| rule.delay_ms[1] <= 600));
        assert_eq!(rules(&scene, 9), rules(&scene, 9));
    }

    #[test]
    fn late_is_what_is_meant() {
        let scene = Scene { leader: Some(3), telling_kinds: &["a", "b", "c"], ..Scene::of(5) };
        let all = late(Late::ToLeader, [100, 200], &scene, 5);
        assert_eq!(
            (all.from, all.to, all.kind, all.delay_ms, all.overtakable),
            (None, Some(3), None, [300, 600], false)
        );
        assert!(late(Late::ToLeaderOvertaken, [100, 200], &scene, 5).overtakable);
        let kinds: std::collections::BTreeSet<_> =
            (0..4).filter_map(|pick| late(Late::Words, [50, 50], &scene, pick << 32).kind).collect();
        assert_eq!(kinds, ["a", "b", "c"].map(str::to_owned).into());
        let one = late(Late::EntriesToFollower, [50, 50], &scene, 7);
        assert!(one.to.is_some_and(|to| to != 3) && one.kind.as_deref() == Some("a") && one.late_percent == 100);
        let every = late(Late::Entries, [5, 5], &scene, 7);
        assert_eq!((every.from, every.to, every.kind.as_deref(), every.delay_ms), (None, None, Some("a"), [15; 2]));
        let acks = late(Late::AcknowledgementsOfOne, [100, 100], &scene, 7);
        assert_eq!((acks.from, acks.to, acks.kind.as_deref()), (one.to, Some(3), Some("b")));
        assert!(!late(Late::Words, [50, 50], &Scene { in_order: true, ..scene }, 7).overtakable);
    }

    #[test]
    fn one_kind_is_lost_where_it_is_known() {
        use super::super::{Aim, Step, Target, resolve};
        let scene = Scene { message_kinds: &["append"], first: Some(1), ..Scene::of(3) };
        let aim = Aim::LoseKind("append", 100, Target::Companion);
        match resolve(aim, &scene, 4) {
            Some(Step::Garble(rules)) => {
                assert_eq!((rules.len(), rules[0].drop_percent), (1, 100));
                assert!(rules[0].to.is_some_and(|to| to != 1));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(resolve(aim, &Scene { message_kinds: &["propose"], ..scene }, 4), None);
    }

    #[test]
    fn one_kind_is_held_where_it_is_known() {
        use super::super::{Aim, Step, Target, resolve};
        let scene = Scene { message_kinds: &["diff"], first: Some(2), in_order: true, ..Scene::of(3) };
        let aim = Aim::HoldKind("diff", 700, Target::First);
        match resolve(aim, &scene, 4) {
            Some(Step::Garble(rules)) => {
                let [MessageRule { from: Some(2), to: None, kind, late_percent: 100, delay_ms: [700, 700], .. }] =
                    &rules[..]
                else {
                    panic!("{rules:?}")
                };
                assert_eq!(kind.as_deref(), Some("diff"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(resolve(aim, &Scene { message_kinds: &["append"], ..scene }, 4), None);
    }

    #[test]
    fn entries_are_lost_and_words_said_twice() {
        use super::super::{Aim, Step, Target, resolve};
        let scene = Scene { telling_kinds: &["a", "b", "c"], first: Some(1), leader: Some(2), ..Scene::of(5) };
        let Some(Step::Garble(rules)) = resolve(Aim::LoseEntries(100, Target::Remaining), &scene, 4) else { panic!() };
        assert_eq!(rules.len(), 3);
        assert!(rules.iter().all(|rule| rule.kind.as_deref() == Some("a") && rule.to != Some(1)));
        assert!(rules.iter().any(|rule| rule.to == Some(2)), "who leads now is one of the others");
        let Some(Step::Garble(rules)) = resolve(Aim::Twice([50, 100], Target::First), &scene, 4) else { panic!() };
        assert_eq!((rules[0].to, rules[0].double_percent, rules[0].echo_ms), (Some(1), 100, [150, 300]));
        let ordered = Scene { in_order: true, ..scene };
        assert_eq!(resolve(Aim::LoseEntries(100, Target::Remaining), &ordered, 4), None);
        assert_eq!(resolve(Aim::Twice([50, 100], Target::First), &ordered, 4), None);
    }

    #[test]
    fn questions_are_slow_or_lost_and_words_to_some_are_slow() {
        let scene = Scene { telling_kinds: &["a", "b", "c", "question"], ..Scene::of(3) };
        let (silent, unheard) = (Target::First, Some(Target::Chosen));
        let slow = Poll { questions: 50, silent, unheard, words: 200, words_to: Target::Chosen };
        let rules = poll(slow, [vec![1], vec![2], vec![2]], &scene);
        let [lost, ignored, question, word] = &rules[..] else { panic!("{rules:?}") };
        assert_eq!((ignored.from, ignored.part, ignored.drop_percent), (Some(2), Some(Part::Asks), 100));
        let of =
            |rule: &MessageRule| (rule.from, rule.kind.clone(), rule.drop_percent, rule.delay_ms, rule.overtakable);
        assert_eq!(of(lost), (Some(1), Some("question".into()), 100, [150; 2], false));
        assert_eq!(of(question), (None, Some("question".into()), 0, [150; 2], false));
        assert_eq!((word.to, word.part, word.delay_ms, word.overtakable), (Some(2), Some(Part::Gives), [600; 2], true));
        assert_eq!(poll(Poll { words: 0, ..slow }, [vec![], vec![], vec![2]], &scene).len(), 1);
        assert!(poll(slow, [vec![1], vec![], vec![2]], &Scene::of(3)).is_empty());
    }

    #[test]
    fn where_order_counts_messages_are_only_late() {
        let scene = Scene { message_kinds: &["a", "b"], in_order: true, ..Scene::of(5) };
        for rule in (0..300).flat_map(|pick| rules(&scene, pick)) {
            assert!(rule.drop_percent == 0 && rule.double_percent == 0 && !rule.overtakable);
            assert_eq!(rule.late_percent, 100);
        }
    }
}
