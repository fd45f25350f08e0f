//! What happens to single messages: rules by sender, receiver and kind, and the whole decision about one message.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::Part;

/// What happens to messages of some links and kinds. The default fits every message and does nothing to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageRule {
    /// Sent by this node, or by any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
    /// Meant for this node, or for any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
    /// Of this kind, or of any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only those that ask for a word, or give one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// So many of a hundred are lost.
    pub drop_percent: u8,
    /// So many of a hundred of those that are not lost arrive twice, each copy late or not for itself.
    pub double_percent: u8,
    /// How much later than it would be a second copy arrives: evenly between these, milliseconds.
    #[serde(skip_serializing_if = "is_at_once")]
    pub echo_ms: [u64; 2],
    /// So many of a hundred are late.
    pub late_percent: u8,
    /// How late: evenly between these, milliseconds.
    pub delay_ms: [u64; 2],
    /// Whether those that are late are overtaken by others of their link; else they hold them up.
    pub overtakable: bool,
}

fn is_at_once(echo_ms: &[u64; 2]) -> bool {
    *echo_ms == [0; 2]
}

/// When a message arrives, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    /// How late each copy is.
    pub copies: [Option<Duration>; 2],
    /// Whether late ones may be overtaken.
    pub overtakable: bool,
}

impl Fate {
    /// It arrives once, and at once.
    pub const AT_ONCE: Self = Self { copies: [Some(Duration::ZERO), None], overtakable: false };
    /// It does not arrive.
    pub const LOST: Self = Self { copies: [None, None], overtakable: false };
}

/// The rules in force.
#[derive(Debug)]
pub(super) struct Rules {
    kinds: &'static [&'static str],
    in_order: bool,
    now: RwLock<Arc<[MessageRule]>>,
}

impl Rules {
    pub fn new(kinds: &'static [&'static str], in_order: bool) -> Self {
        Self { kinds, in_order, now: RwLock::new(Arc::new([])) }
    }

    /// # Panics
    /// When a rule is for a kind that no message has: a fault that was asked for and cannot be meant.
    pub fn set(&self, rules: &[MessageRule]) {
        for kind in rules.iter().filter_map(|rule| rule.kind.as_deref()) {
            assert!(self.kinds.contains(&kind), "no message is called {kind:?}; there are {:?}", self.kinds);
        }
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = rules.into();
    }

    pub fn fate(&self, from: u32, to: u32, kind: u8, part: Option<Part>, rng: &mut impl Rng) -> Fate {
        let rules = Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner));
        let name = self.kinds.get(usize::from(kind));
        let fits = |rule: &&MessageRule| {
            rule.from.is_none_or(|node| node == from)
                && rule.to.is_none_or(|node| node == to)
                && rule.kind.as_deref().is_none_or(|kind| name.is_some_and(|name| *name == kind))
                && (rule.part.is_none() || rule.part == part)
        };
        rules.iter().find(fits).map_or(Fate::AT_ONCE, |rule| decide(rule, self.in_order, rng))
    }
}

/// Decides about one message. Every call draws as many numbers as the next, whatever they turn out to be.
fn decide(rule: &MessageRule, in_order: bool, rng: &mut impl Rng) -> Fate {
    let mut happens = |percent: u8| rng.random_range(0..100) < percent;
    let (dropped, doubled) = (happens(rule.drop_percent), happens(rule.double_percent));
    let late = [happens(rule.late_percent), happens(rule.late_percent)];
    let mut between =
        |[shortest, longest]: [u64; 2]| Duration::from_millis(rng.random_range(shortest..=longest.max(shortest)));
    let delays = [between(rule.delay_ms), between(rule.delay_ms)];
    let echo = between(rule.echo_ms);
    let copy = |place: usize| if late[place] { delays[place] } else { Duration::ZERO };
    match (in_order, dropped) {
        (true, _) => Fate { copies: [Some(copy(0)), None], overtakable: false },
        (false, true) => Fate::LOST,
        (false, false) => {
            Fate { copies: [Some(copy(0)), doubled.then(|| copy(1) + echo)], overtakable: rule.overtakable }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_pcg::Pcg32;

    use super::*;

    const KINDS: &[&str] = &["vote", "append"];

    fn rules(in_order: bool, rules: &[MessageRule]) -> Rules {
        let all = Rules::new(KINDS, in_order);
        all.set(rules);
        all
    }

    fn fates(rules: &Rules, from: u32, to: u32, kind: u8) -> Vec<Fate> {
        let mut rng = Pcg32::new(1, 2);
        (0..1_000).map(|_| rules.fate(from, to, kind, None, &mut rng)).collect()
    }

    #[test]
    fn the_first_rule_that_fits_counts_and_others_pass() {
        let lost =
            MessageRule { from: Some(1), kind: Some("append".into()), drop_percent: 100, ..MessageRule::default() };
        let double = MessageRule { to: Some(2), double_percent: 100, ..MessageRule::default() };
        let rules = rules(false, &[lost, double]);
        let twice = Fate { copies: [Some(Duration::ZERO); 2], overtakable: false };
        assert!(fates(&rules, 1, 2, 1).iter().all(|fate| *fate == Fate::LOST));
        assert!(fates(&rules, 1, 2, 0).iter().all(|fate| *fate == twice));
        assert!(fates(&rules, 3, 2, 1).iter().all(|fate| *fate == twice));
        assert!(fates(&rules, 2, 1, 1).iter().all(|fate| *fate == Fate::AT_ONCE));
        // A kind without a name is still a message.
        assert!(fates(&rules, 3, 2, 77).iter().all(|fate| *fate == twice));
    }

    #[test]
    fn a_rule_for_words_leaves_other_messages_alone() {
        let lost = MessageRule { part: Some(Part::Gives), drop_percent: 100, ..MessageRule::default() };
        let rules = rules(false, &[lost]);
        let mut rng = Pcg32::new(1, 2);
        assert_eq!(rules.fate(1, 2, 0, Some(Part::Gives), &mut rng), Fate::LOST);
        assert_eq!(rules.fate(1, 2, 0, Some(Part::Asks), &mut rng), Fate::AT_ONCE);
    }

    #[test]
    fn shares_and_delays_are_as_asked() {
        let rule = MessageRule {
            drop_percent: 20,
            double_percent: 50,
            late_percent: 30,
            delay_ms: [10, 40],
            overtakable: true,
            ..MessageRule::default()
        };
        let fates = fates(&rules(false, &[rule]), 1, 2, 0);
        let count = |what: &dyn Fn(&Fate) -> bool| fates.iter().filter(|fate| what(fate)).count();
        // The generator is seeded: these bounds cannot fail by chance.
        assert!((150..250).contains(&count(&|fate| *fate == Fate::LOST)));
        assert!((330..470).contains(&count(&|fate| fate.copies[1].is_some())));
        let late = |fate: &Fate| fate.copies[0].is_some_and(|delay| !delay.is_zero());
        assert!((180..300).contains(&count(&late)));
        let bounds = Duration::from_millis(10)..=Duration::from_millis(40);
        assert!(fates.iter().filter(|fate| late(fate)).all(|fate| bounds.contains(&fate.copies[0].unwrap())));
        assert!(fates.iter().all(|fate| *fate == Fate::LOST || fate.overtakable));
    }

    #[test]
    fn an_echo_comes_after_what_it_repeats() {
        let rule = MessageRule { double_percent: 100, echo_ms: [30, 60], overtakable: true, ..MessageRule::default() };
        let bounds = Duration::from_millis(30)..=Duration::from_millis(60);
        for fate in fates(&rules(false, &[rule]), 1, 2, 0) {
            assert_eq!(fate.copies[0], Some(Duration::ZERO));
            assert!(fate.copies[1].is_some_and(|echo| bounds.contains(&echo)));
        }
    }

    #[test]
    fn where_order_counts_nothing_is_lost_doubled_or_overtaken() {
        let rule = MessageRule {
            drop_percent: 100,
            double_percent: 100,
            late_percent: 100,
            delay_ms: [5, 5],
            overtakable: true,
            ..MessageRule::default()
        };
        let late = Fate { copies: [Some(Duration::from_millis(5)), None], overtakable: false };
        assert!(fates(&rules(true, &[rule]), 1, 2, 0).iter().all(|fate| *fate == late));
    }

    #[test]
    #[should_panic(expected = "no message is called \"nothing\"")]
    fn a_rule_for_an_unknown_kind_is_refused() {
        rules(false, &[MessageRule { kind: Some("nothing".into()), ..MessageRule::default() }]);
    }
}
