//! Accounts of queues, locks and counters.
//!
//! ```text
//!   queue    took what nobody had put in by then · took one element twice · took them in another order ·
//!            found nothing while an acknowledged element was in it
//!   lock     two holders with no release that can lie between · a release by one who never acquired
//!   counter  a read outside of what the additions allow
//! ```

use super::Account;
use super::scene::{Deed, Scene};
use crate::describe;
use crate::history::{Action, Completion, Value, ValueId};
use crate::verdict::Anomaly;

/// What enqueues and dequeues show.
pub(super) fn account(scene: &Scene<'_>) -> Option<Account> {
    let queue = Queue { scene };
    let mut takers: Vec<(Deed, ValueId)> =
        scene.found.iter().filter_map(|deed| Some((*deed, Queue::took(deed)?))).collect();
    takers.sort_by_key(|(deed, _)| deed.op.ret);
    let first = |of: &dyn Fn(&Deed, ValueId) -> Option<Account>| takers.iter().find_map(|(deed, id)| of(deed, *id));
    first(&|deed, taken| queue.unmade(deed, taken))
        .or_else(|| first(&|deed, taken| queue.taken_twice(deed, taken)))
        .or_else(|| first(&|deed, taken| queue.overtook(deed, taken)))
        .or_else(|| {
            scene.found.iter().filter(|deed| Queue::found_nothing(deed)).find_map(|deed| queue.was_not_empty(deed))
        })
}

struct Queue<'s, 'h> {
    scene: &'s Scene<'h>,
}

impl Queue<'_, '_> {
    fn took(deed: &Deed) -> Option<ValueId> {
        match (deed.op.action, deed.op.completion) {
            (Action::Dequeue, Completion::Ok(Some(taken))) if taken != ValueId::NIL => Some(taken),
            _ => None,
        }
    }

    fn found_nothing(deed: &Deed) -> bool {
        matches!((deed.op.action, deed.op.completion), (Action::Dequeue, Completion::Ok(Some(ValueId::NIL))))
    }

    /// A dequeue that may have taken something, nobody knows what.
    fn may_have_taken(deed: &Deed) -> bool {
        matches!((deed.op.action, deed.op.completion), (Action::Dequeue, Completion::Info | Completion::Ok(None)))
    }

    fn enqueues(&self, element: ValueId) -> impl Iterator<Item = Deed> {
        self.scene.all().filter(move |deed| deed.may_be_done() && deed.op.action == Action::Enqueue(element))
    }

    fn initially(&self, element: ValueId) -> usize {
        let Value::List(initial) = &self.scene.spec.initial else { return 0 };
        initial.iter().filter(|other| *other == self.scene.value(element)).count()
    }

    /// The one enqueue of an element that was put in once.
    fn only_enqueue(&self, element: ValueId) -> Option<Deed> {
        let mut enqueues = self.enqueues(element);
        let only = enqueues.next()?;
        (enqueues.next().is_none() && self.initially(element) == 0).then_some(only)
    }

    fn takers(&self, element: ValueId) -> Vec<Deed> {
        self.scene.all().filter(|deed| Self::took(deed) == Some(element)).collect()
    }

    fn unmade(&self, taker: &Deed, taken: ValueId) -> Option<Account> {
        if self.initially(taken) > 0 || self.enqueues(taken).any(|deed| deed.op.invoke <= taker.op.ret) {
            return None;
        }
        let shown = self.scene.show(taken);
        if let Some(later) = self.enqueues(taken).next() {
            let scene = self.scene.with([taker.index, later.index]);
            let words = format!(
                "{}, before {} was invoked {}: a read from the future, at least {} early",
                scene.had_ended(taker),
                scene.deed(&later),
                scene.at(later.op.invoke),
                scene.clock().span(taker.op.ret, later.op.invoke)
            );
            return Some(
                Account::new(Anomaly::ReadFromFuture, &scene, &words)
                    .marked(taker, format!("{shown} was not there yet")),
            );
        }
        let failed = self.scene.all().find(|deed| deed.op.action == Action::Enqueue(taken));
        let scene = self.scene.with(failed.iter().map(|deed| deed.index).chain([taker.index]));
        let took = format!("{} took {shown} {}", Scene::who(taker), scene.at(taker.op.invoke));
        Some(match failed {
            Some(failed) => {
                let (deed, at) = (scene.deed(&failed), scene.at(failed.op.ret));
                let words = format!("{took}, but {deed}, the only one of it, definitely failed {at}: a phantom");
                Account::new(Anomaly::Phantom, &scene, &words)
                    .marked(taker, format!("phantom: the enqueue of {shown} failed"))
            }
            None => {
                let words = format!("{took}, which nobody ever put in: a read of a value never written");
                Account::new(Anomaly::ReadOfUnwritten, &scene, &words).marked(taker, format!("nobody put {shown} in"))
            }
        })
    }

    fn taken_twice(&self, taker: &Deed, taken: ValueId) -> Option<Account> {
        let takers = self.takers(taken);
        let put_in = self.enqueues(taken).count() + self.initially(taken);
        if takers.len() <= put_in {
            return None;
        }
        let other = takers.iter().find(|other| other.index != taker.index)?;
        let scene = self.scene.with(self.enqueues(taken).take(2).chain([*taker, *other]).map(|deed| deed.index));
        let words = format!(
            "{} and {} took the same element, which was put in {}: a duplicated dequeue",
            scene.deed_with_times(other.min_by_time(taker)),
            scene.deed_with_times(other.max_by_time(taker)),
            describe::times(put_in)
        );
        Some(
            Account::new(Anomaly::DuplicatedDequeue, &scene, &words)
                .marked(other.max_by_time(taker), format!("{} was taken twice", scene.show(taken))),
        )
    }

    /// An element was taken although another was in the queue before it, and is taken only later or never.
    fn overtook(&self, taker: &Deed, taken: ValueId) -> Option<Account> {
        let put_in = self.only_enqueue(taken)?;
        let unknown = self.scene.all().any(|deed| Self::may_have_taken(&deed) && deed.op.invoke <= taker.op.ret);
        let earlier = self.scene.all().filter(|deed| deed.is_done() && deed.precedes(&put_in));
        let firsts = earlier.filter_map(|deed| match deed.op.action {
            Action::Enqueue(element) => Some((deed, element)),
            _ => None,
        });
        // Those found come first; of the others only the last before it is looked at, for the time that this takes.
        let found = firsts.clone().filter(|(deed, _)| self.scene.found.iter().any(|other| other.index == deed.index));
        let (first, element, late) =
            found.chain(firsts.max_by_key(|(deed, _)| deed.op.ret)).find_map(|(deed, element)| {
                self.only_enqueue(element)?;
                match self.takers(element).first() {
                    Some(late) => taker.precedes(late).then_some((deed, element, Some(*late))),
                    None => (!unknown).then_some((deed, element, None)),
                }
            })?;
        let shown = [taker.index, put_in.index, first.index];
        let scene = self.scene.with(shown.into_iter().chain(late.map(|late| late.index)));
        let (a, b) = (scene.show(element), scene.show(taken));
        let in_order = format!(
            "{} before {} was invoked {}",
            scene.had_ended(&first),
            scene.deed(&put_in),
            scene.at(put_in.op.invoke)
        );
        let (anomaly, words) = match late {
            Some(late) => {
                let (had, at) = (scene.had_ended(taker), scene.at(late.op.invoke));
                let words =
                    format!("{in_order}, but {had}, before {} {at}: {b} left the queue before {a}", scene.deed(&late));
                (Anomaly::ReorderedDequeue, words)
            }
            None => {
                let words =
                    format!("{in_order}, but {}, and nobody ever took {a}: {a} was lost", scene.had_ended(taker));
                (Anomaly::LostWrite, words)
            }
        };
        Some(Account::new(anomaly, &scene, &words).marked(taker, format!("{a} was before {b}")))
    }

    /// A dequeue found nothing although an element was in the queue all the while.
    fn was_not_empty(&self, empty: &Deed) -> Option<Account> {
        if self.scene.all().any(|deed| Self::may_have_taken(&deed) && deed.op.invoke <= empty.op.ret) {
            return None;
        }
        let inside =
            self.scene.all().filter(|deed| deed.is_done() && deed.precedes(empty)).filter_map(|deed| {
                match deed.op.action {
                    Action::Enqueue(element) => Some((deed, element)),
                    _ => None,
                }
            });
        let found = inside.clone().filter(|(deed, _)| self.scene.found.iter().any(|other| other.index == deed.index));
        let last = inside.max_by_key(|(deed, _)| deed.op.ret);
        let (first, element, late) = found.chain(last).find_map(|(deed, element)| {
            self.only_enqueue(element)?;
            match self.takers(element).first() {
                Some(late) => empty.precedes(late).then_some((deed, element, Some(*late))),
                None => Some((deed, element, None)),
            }
        })?;
        let scene = self.scene.with([empty.index, first.index].into_iter().chain(late.map(|late| late.index)));
        let shown = scene.show(element);
        let nothing = format!("{} found nothing in the queue {}", Scene::who(empty), scene.at(empty.op.invoke));
        let (anomaly, taken) = match late {
            Some(late) => {
                (Anomaly::StaleRead, format!("{} took it only {}", Scene::who(&late), scene.at(late.op.invoke)))
            }
            None => (Anomaly::LostWrite, format!("nobody ever took {shown}")),
        };
        let words = format!("{nothing}, but {} and {taken}", scene.had_ended(&first));
        Some(Account::new(anomaly, &scene, &words).marked(empty, format!("{shown} was in the queue")))
    }
}

/// What acquisitions and releases of a lock show.
pub(super) fn account_of_lock(scene: &Scene<'_>) -> Option<Account> {
    never_acquired(scene).or_else(|| two_holders(scene))
}

fn never_acquired(scene: &Scene<'_>) -> Option<Account> {
    let release = scene.found.iter().find(|deed| match deed.op.action {
        Action::Release(owner) if deed.is_done() && scene.value(owner) != &scene.spec.initial => {
            let acquires = |other: &Deed| other.may_be_done() && other.op.action == Action::Acquire(owner);
            !scene.all().any(|other| acquires(&other) && other.op.invoke <= deed.op.ret)
        }
        _ => false,
    })?;
    let words = format!(
        "{} was acknowledged {}, but nobody had asked to acquire the lock for that owner before: a broken lock",
        scene.deed(release),
        scene.at(release.op.ret)
    );
    Some(Account::new(Anomaly::BrokenLock, scene, &words).marked(release, "released what was not held"))
}

/// Two acknowledged acquisitions, one after the other or at the same time, with no release that can lie between.
fn two_holders(scene: &Scene<'_>) -> Option<Account> {
    let holds = |deed: Deed| match deed.op.action {
        Action::Acquire(owner) if deed.is_done() => Some((deed, owner)),
        _ => None,
    };
    let mut holds_found: Vec<(Deed, ValueId)> = scene.found.iter().copied().filter_map(holds).collect();
    // A search names only the one where it got stuck: the other is the last before it.
    if let [(only, _)] = holds_found[..] {
        let before = scene.all().filter(|deed| deed.precedes(&only)).filter_map(holds);
        holds_found.extend(before.max_by_key(|(deed, _)| deed.op.ret));
        holds_found.sort_by_key(|(deed, _)| deed.index);
    }
    let holds = holds_found;
    // A release of the first holder's that may have taken effect between the two.
    let may_lie_between = |first: &Deed, owner: ValueId, second: &Deed| {
        scene.all().any(|deed| {
            deed.may_be_done()
                && deed.op.action == Action::Release(owner)
                && deed.op.invoke <= second.op.ret
                && deed.op.ret >= first.op.invoke
        })
    };
    let broken = |first: &(Deed, ValueId), second: &(Deed, ValueId)| {
        !second.0.precedes(&first.0)
            && !may_lie_between(&first.0, first.1, &second.0)
            && (first.0.precedes(&second.0) || !may_lie_between(&second.0, second.1, &first.0))
    };
    let pairs = holds.iter().flat_map(|first| holds.iter().map(move |second| (first, second)));
    let (first, second) =
        pairs.into_iter().find(|(first, second)| first.0.index < second.0.index && broken(first, second))?;
    let scene = scene.with([first.0.index, second.0.index]);
    let words = format!(
        "{} and {} both hold the lock, and no release by {} can lie between: a broken lock",
        scene.deed_with_times(&first.0),
        scene.deed_with_times(&second.0),
        scene.show(first.1)
    );
    let mark = format!("{} holds it", scene.show(first.1));
    Some(Account::new(Anomaly::BrokenLock, &scene, &words).marked(&second.0, mark))
}

/// A read of a counter that is outside of what the additions allow.
pub(super) fn account_of_counter(scene: &Scene<'_>) -> Option<Account> {
    scene.found.iter().find_map(|read| {
        let (Action::Read, Completion::Ok(Some(seen))) = (read.op.action, read.op.completion) else { return None };
        let Value::Int(seen) = *scene.value(seen) else { return None };
        let start = match scene.spec.initial {
            Value::Int(start) => i128::from(start),
            _ => 0,
        };
        let (mut least, mut most) = (start, start);
        for deed in scene.all().filter(|deed| deed.may_be_done() && deed.op.invoke <= read.op.ret) {
            let Action::Add(amount) = deed.op.action else { continue };
            let Value::Int(amount) = *scene.value(amount) else { continue };
            let certain = deed.is_done() && deed.precedes(read);
            least += i128::from(if certain { amount } else { amount.min(0) });
            most += i128::from(if certain { amount } else { amount.max(0) });
        }
        if (least..=most).contains(&i128::from(seen)) {
            return None;
        }
        let (anomaly, but) = if i128::from(seen) < least {
            (Anomaly::LostWrite, format!("what had been acknowledged by then makes at least {least}: an addition was lost, or the read is stale"))
        } else {
            (Anomaly::NotLinearizable, format!("all that had been asked for by then makes at most {most}"))
        };
        let words = format!("{}, but {but}", scene.observed(read, seen_id(read)?));
        let allowed = if least == most { format!("{least}") } else { format!("{least} to {most}") };
        Some(Account::new(anomaly, scene, &words).marked(read, format!("possible: {allowed}")))
    })
}

fn seen_id(read: &Deed) -> Option<ValueId> {
    match read.op.completion {
        Completion::Ok(seen) => seen,
        _ => None,
    }
}
