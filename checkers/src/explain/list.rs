//! Accounts of append lists and of sets: both only grow, so what a read lacks and what it holds can be told element by element.
//!
//! ```text
//!   holds an element      that nobody added · whose every addition failed · added only after the read · twice (lists)
//!   lacks an element      that was acknowledged before the read: stale, or lost where no read ever held it
//!                         that another read had shown before:    stale
//!                         acknowledged before one that it holds was asked for
//!   disagrees (lists)     with another read on the order, or with real time
//! ```

use rustc_hash::FxHashSet;

use super::Account;
use super::scene::{Deed, Scene};
use crate::describe;
use crate::history::{Action, Completion, Value, ValueId};
use crate::verdict::Anomaly;

/// Elements that a read holds twice are looked into up to this many.
const DOUBLED_MAX: usize = 16;

/// What a read of a list or set showed.
#[derive(Clone, Copy)]
struct Read<'h> {
    deed: Deed,
    elements: &'h [Value],
}

struct Collection<'s, 'h> {
    scene: &'s Scene<'h>,
    /// Lists have an order, sets have none.
    ordered: bool,
}

/// What reads and appends of a list show.
pub(super) fn account(scene: &Scene<'_>) -> Option<Account> {
    Collection { scene, ordered: true }.account()
}

/// What reads of and additions to a set show.
pub(super) fn account_of_set(scene: &Scene<'_>) -> Option<Account> {
    Collection { scene, ordered: false }.account()
}

fn elements(value: &Value) -> &[Value] {
    match value {
        Value::List(elements) => elements,
        _ => &[],
    }
}

impl<'h> Collection<'_, 'h> {
    fn account(&self) -> Option<Account> {
        let found: Vec<Read<'h>> = self.scene.found.iter().filter_map(|deed| self.read(deed)).collect();
        self.account_of(found.clone()).or_else(|| {
            // The read that holds the most gives the order; where only additions were found, it is the one they contradict.
            let all = self.scene.all().filter_map(|deed| self.read(&deed));
            let most = all.max_by_key(|read| read.elements.len())?;
            let scene = self.scene.with([most.deed.index]);
            Collection { scene: &scene, ordered: self.ordered }.account_of(found.into_iter().chain([most]).collect())
        })
    }

    fn account_of(&self, mut reads: Vec<Read<'h>>) -> Option<Account> {
        reads.sort_by_key(|read| read.deed.op.ret);
        let first = |of: &dyn Fn(&Read<'h>) -> Option<Account>| reads.iter().find_map(of);
        first(&|read| self.unmade(read))
            .or_else(|| first(&|read| self.twice(read)))
            .or_else(|| first(&|read| self.another_beginning(read)))
            .or_else(|| first(&|read| self.lacks_acknowledged(read)))
            .or_else(|| first(&|read| self.lacks_what_was_shown(read, &reads)))
            .or_else(|| first(&|read| self.disagrees(read, &reads)))
            .or_else(|| first(&|read| self.against_time(read)))
    }

    fn read(&self, deed: &Deed) -> Option<Read<'h>> {
        match (deed.op.action, deed.op.completion) {
            (Action::Read, Completion::Ok(Some(seen))) => {
                Some(Read { deed: *deed, elements: elements(self.scene.value(seen)) })
            }
            _ => None,
        }
    }

    /// The element that the operation wanted in.
    fn wanted(deed: &Deed) -> Option<ValueId> {
        match deed.op.action {
            Action::Append(element) | Action::Add(element) => Some(element),
            _ => None,
        }
    }

    /// Additions that were done or may have been, of elements that pass.
    fn additions(&self, pass: impl Fn(&Value) -> bool) -> impl Iterator<Item = (Deed, &'h Value)> {
        let scene = self.scene;
        self.scene
            .all()
            .filter(Deed::may_be_done)
            .filter_map(move |deed| Some((deed, scene.value(Self::wanted(&deed)?))))
            .filter(move |(_, element)| pass(element))
    }

    fn initial(&self) -> &'h [Value] {
        elements(&self.scene.spec.initial)
    }

    fn noun(&self) -> &'static str {
        if self.ordered { "append" } else { "addition" }
    }

    /// An element that nobody can have added by then.
    fn unmade(&self, read: &Read<'h>) -> Option<Account> {
        let mut unmade: FxHashSet<&Value> = read.elements.iter().collect();
        for element in self.initial() {
            unmade.remove(element);
        }
        let mut later: Option<(Deed, &Value)> = None;
        for (deed, element) in self.additions(|_| true) {
            if deed.op.invoke <= read.deed.op.ret {
                unmade.remove(element);
            } else if later.is_none() && unmade.contains(element) {
                later = Some((deed, element));
            }
        }
        // In the order of the read, for the same words every time.
        let element = *read.elements.iter().find(|element| unmade.contains(element)).as_ref()?;
        let shown = describe::value(element);
        let later =
            later.filter(|(_, other)| *other == element).or_else(|| self.additions(|other| other == element).next());
        let failed = self.scene.all().find(|deed| Self::wanted(deed).is_some_and(|id| self.scene.value(id) == element));
        let (anomaly, others, words, mark) = match (later, failed) {
            (Some((later, _)), _) => {
                let scene = self.scene.with([read.deed.index, later.index]);
                let words = format!(
                    "{} had returned {}, before {} was invoked {}: a read from the future, at least {} early",
                    scene.deed(&read.deed),
                    scene.at(read.deed.op.ret),
                    scene.deed(&later),
                    scene.at(later.op.invoke),
                    scene.clock().span(read.deed.op.ret, later.op.invoke)
                );
                (Anomaly::ReadFromFuture, Some(later), words, format!("{shown} was not there yet"))
            }
            (None, Some(failed)) => {
                let scene = self.scene.with([read.deed.index, failed.index]);
                let words = format!(
                    "{} {} holds {shown}, but {}, the only one of it, definitely failed {}: a phantom",
                    scene.deed(&read.deed),
                    scene.at(read.deed.op.invoke),
                    scene.deed(&failed),
                    scene.at(failed.op.ret)
                );
                (Anomaly::Phantom, Some(failed), words, format!("phantom: the {} of {shown} failed", self.noun()))
            }
            (None, None) => {
                let words = format!(
                    "{} {} holds {shown}, which nobody ever added: a read of a value never written",
                    self.scene.deed(&read.deed),
                    self.scene.at(read.deed.op.invoke)
                );
                (Anomaly::ReadOfUnwritten, None, words, format!("nobody added {shown}"))
            }
        };
        let scene = self.scene.with(others.iter().map(|deed| deed.index));
        Some(Account::new(anomaly, &scene, &words).marked(&read.deed, mark))
    }

    /// An element that a read holds more often than it was added.
    fn twice(&self, read: &Read<'h>) -> Option<Account> {
        let mut seen: FxHashSet<&Value> = FxHashSet::default();
        let mut doubled: Vec<&Value> = read.elements.iter().filter(|element| !seen.insert(element)).collect();
        doubled.dedup();
        let element = doubled.into_iter().take(DOUBLED_MAX).find(|element| {
            let held = read.elements.iter().filter(|other| other == element).count();
            let made = self.additions(|other| other == *element).count();
            held > made + self.initial().iter().filter(|other| other == element).count()
        })?;
        let additions: Vec<Deed> = self.additions(|other| other == element).map(|(deed, _)| deed).collect();
        let scene = self.scene.with(additions.first().map(|deed| deed.index));
        let shown = describe::value(element);
        let held = read.elements.iter().filter(|other| *other == element).count();
        let made = match additions.as_slice() {
            [] => "it was there from the start once and never appended".to_owned(),
            [only] => format!("it was appended once, by {}, invoked {}", Scene::who(only), scene.at(only.op.invoke)),
            more => format!("it was appended {}", describe::times(more.len())),
        };
        let words = format!(
            "{} {} holds {shown} {}, but {made}: a duplicated append",
            scene.deed(&read.deed),
            scene.at(read.deed.op.invoke),
            describe::times(held)
        );
        let mark = format!("holds {shown} {}", describe::times(held));
        Some(Account::new(Anomaly::DuplicatedAppend, &scene, &words).marked(&read.deed, mark))
    }

    /// A list that lost what was in it from the start.
    fn another_beginning(&self, read: &Read<'h>) -> Option<Account> {
        let initial = self.initial();
        let kept = if self.ordered {
            read.elements.starts_with(initial)
        } else {
            initial.iter().all(|element| read.elements.contains(element))
        };
        (!kept).then(|| {
            let words = format!(
                "{} {} lacks what was there from the start, {}: a lost write",
                self.scene.deed(&read.deed),
                self.scene.at(read.deed.op.invoke),
                describe::value(&self.scene.spec.initial)
            );
            Account::new(Anomaly::LostWrite, self.scene, &words).marked(&read.deed, "lacks what was there at the start")
        })
    }

    /// An addition was acknowledged before the read was invoked, or before something that the read holds was asked for, and the
    /// read lacks it.
    fn lacks_acknowledged(&self, read: &Read<'h>) -> Option<Account> {
        let held: FxHashSet<&Value> = read.elements.iter().collect();
        // What the read holds and was asked for last, of the additions found.
        let is_held = |deed: &Deed| Self::wanted(deed).is_some_and(|id| held.contains(self.scene.value(id)));
        let latest = self
            .scene
            .found
            .iter()
            .filter(|deed| deed.may_be_done() && deed.op.invoke > read.deed.op.invoke && is_held(deed))
            .filter(|deed| Self::wanted(deed).is_some_and(|id| self.additions_of(self.scene.value(id)) == 1))
            .max_by_key(|deed| deed.op.invoke)
            .copied();
        let limit = latest.as_ref().map_or(read.deed.op.invoke, |latest| latest.op.invoke);
        let (lost, element) = self
            .additions(|element| !held.contains(element))
            .filter(|(deed, _)| deed.is_done() && deed.op.ret < limit)
            .min_by_key(|(deed, _)| (deed.op.ret, deed.index))?;
        let holder =
            self.scene.all().filter_map(|deed| self.read(&deed)).find(|other| other.elements.contains(element));
        let after = latest.filter(|_| lost.op.ret >= read.deed.op.invoke);
        let scene = self.scene.with(
            [lost.index, read.deed.index]
                .into_iter()
                .chain(holder.map(|read| read.deed.index))
                .chain(after.map(|deed| deed.index)),
        );
        let shown = describe::value(element);
        let what = match after {
            None => format!("{} {} does not hold it", scene.deed(&read.deed), scene.at(read.deed.op.invoke)),
            Some(after) => format!(
                "{} holds {} (asked for only {}) and not {shown}",
                scene.deed(&read.deed),
                describe::value(scene.value(Self::wanted(&after)?)),
                scene.at(after.op.invoke)
            ),
        };
        let had = scene.had_ended(&lost);
        let (anomaly, words) = match (holder, after) {
            (None, _) => (Anomaly::LostWrite, format!("{had}, but {what}, nor does any other read: a lost write")),
            (Some(_), None) => {
                let age = scene.clock().span(lost.op.ret, read.deed.op.invoke);
                (Anomaly::StaleRead, format!("{had}, but {what}: a stale read, at least {age} old"))
            }
            (Some(_), Some(_)) if self.ordered => {
                (Anomaly::ReorderedAppend, format!("{had}, but {what}: reordered appends"))
            }
            (Some(_), Some(_)) => (Anomaly::StaleRead, format!("{had}, but {what}: a stale read")),
        };
        let mark = format!("{shown} is missing");
        Some(Account::new(anomaly, &scene, &words).marked(&read.deed, mark))
    }

    fn additions_of(&self, element: &Value) -> usize {
        self.additions(|other| other == element).count()
    }

    /// A read that had returned before this one was invoked showed more.
    fn lacks_what_was_shown(&self, read: &Read<'h>, reads: &[Read<'h>]) -> Option<Account> {
        let held: FxHashSet<&Value> = read.elements.iter().collect();
        // A list that also holds something else is not an older one: see `disagrees`.
        let is_older = |earlier: &Read<'h>| !self.ordered || earlier.elements.starts_with(read.elements);
        let missing = |earlier: &Read<'h>| {
            earlier.elements.iter().find(|element| !held.contains(element)).filter(|_| is_older(earlier))
        };
        let earlier = reads
            .iter()
            .filter(|earlier| earlier.deed.precedes(&read.deed))
            .find(|earlier| missing(earlier).is_some())?;
        let shown = describe::value(missing(earlier)?);
        let words = format!(
            "{}, and held {shown}, but {} {} does not: a stale read, at least {} old",
            self.scene.had_ended(&earlier.deed),
            self.scene.deed(&read.deed),
            self.scene.at(read.deed.op.invoke),
            self.scene.clock().span(earlier.deed.op.ret, read.deed.op.invoke)
        );
        let mark = format!("stale: {shown} is missing");
        Some(Account::new(Anomaly::StaleRead, self.scene, &words).marked(&read.deed, mark))
    }

    /// Two reads of which neither is a beginning of the other, or neither holds the other.
    fn disagrees(&self, read: &Read<'h>, reads: &[Read<'h>]) -> Option<Account> {
        let held: FxHashSet<&Value> = read.elements.iter().collect();
        for other in reads.iter().filter(|other| other.deed.index != read.deed.index) {
            if !self.ordered {
                let other_held: FxHashSet<&Value> = other.elements.iter().collect();
                let only_here = read.elements.iter().find(|element| !other_held.contains(element));
                let only_there = other.elements.iter().find(|element| !held.contains(element));
                if let (Some(here), Some(there)) = (only_here, only_there) {
                    return Some(self.neither_holds_the_other((read, here), (other, there)));
                }
                continue;
            }
            let place = read.elements.iter().zip(other.elements).take_while(|(a, b)| a == b).count();
            if let (Some(here), Some(there)) = (read.elements.get(place), other.elements.get(place)) {
                return Some(self.parted((read, here), (other, there), place));
            }
        }
        None
    }

    fn parted(&self, (read, here): (&Read<'h>, &Value), (other, there): (&Read<'h>, &Value), place: usize) -> Account {
        let makers = self.additions(|element| element == here || element == there).map(|(deed, _)| deed.index).take(2);
        let scene = self.scene.with(makers);
        let (first, second) = (describe::value(here), describe::value(there));
        let order = |read: &Read<'h>| {
            let at = |element: &Value| read.elements.iter().position(|other| other == element);
            at(here).zip(at(there)).map(|(here, there)| here < there)
        };
        let reordered = matches!((order(read), order(other)), (Some(a), Some(b)) if a != b);
        let (anomaly, what) = if reordered {
            let what = format!("one holds {first} before {second}, the other after it: reordered appends");
            (Anomaly::ReorderedAppend, what)
        } else {
            let after = match place {
                0 => "one begins with".to_owned(),
                place => format!("after the same {} one holds", describe::count(place, "element")),
            };
            let what = format!("{after} {first}, the other {second}, and a list only grows: a lost write");
            (Anomaly::LostWrite, what)
        };
        let words = format!(
            "{} and {} disagree: {what}",
            scene.deed_with_times(&read.deed),
            scene.deed_with_times(&other.deed)
        );
        Account::new(anomaly, &scene, &words).marked(&other.deed, "the two reads disagree")
    }

    fn neither_holds_the_other(
        &self,
        (read, here): (&Read<'h>, &Value),
        (other, there): (&Read<'h>, &Value),
    ) -> Account {
        let makers = self.additions(|element| element == here || element == there).map(|(deed, _)| deed.index).take(2);
        let scene = self.scene.with(makers);
        let words = format!(
            "{} holds {} and not {}, {} the reverse, but a set only grows, so one of the two must hold the other",
            scene.deed_with_times(&read.deed),
            describe::value(here),
            describe::value(there),
            scene.deed_with_times(&other.deed)
        );
        Account::new(Anomaly::NotLinearizable, &scene, &words).marked(&other.deed, "neither holds the other")
    }

    /// A list that holds an element before another whose append had been acknowledged before.
    fn against_time(&self, read: &Read<'h>) -> Option<Account> {
        if !self.ordered {
            return None;
        }
        let found: Vec<(Deed, &Value)> = self
            .scene
            .found
            .iter()
            .filter(|deed| deed.may_be_done())
            .filter_map(|deed| Some((*deed, self.scene.value(Self::wanted(deed)?))))
            .filter(|(_, element)| self.additions_of(element) == 1)
            .collect();
        let at = |element: &Value| read.elements.iter().position(|other| other == element);
        let pairs = found.iter().flat_map(|early| found.iter().map(move |late| (early, late)));
        let (early, late) = pairs.into_iter().find(|((early, first), (late, second))| {
            early.precedes(late) && at(first).zip(at(second)).is_some_and(|(first, second)| second < first)
        })?;
        let (first, second) = (describe::value(early.1), describe::value(late.1));
        let words = format!(
            "{} before {} was invoked {}, but {} {} holds {second} before {first}: reordered appends",
            self.scene.had_ended(&early.0),
            self.scene.deed(&late.0),
            self.scene.at(late.0.op.invoke),
            self.scene.deed(&read.deed),
            self.scene.at(read.deed.op.invoke),
        );
        let mark = format!("{second} came after {first}");
        Some(Account::new(Anomaly::ReorderedAppend, self.scene, &words).marked(&read.deed, mark))
    }
}
