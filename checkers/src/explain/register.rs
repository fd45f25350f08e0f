//! Accounts of registers: which of the field's anomalies a few reads, writes and compare-and-sets show.
//!
//! ```text
//!   read of v ──┬─ nobody made v                                    never written, or a phantom
//!               ├─ v, or what v came from, was made after the read  from the future
//!               └─ v had been replaced before the read:             stale; lost write; diverged final reads
//!                    only at start   v was initial, and nothing made it again
//!                    not again       every making of v was over before the newer value's began
//!                    came from       the newer value came out of v by compare-and-set
//!                    seen before     somebody saw v and was answered before the newer value was asked for
//! ```
//!
//! Each claim is one that holds in the key's whole history, with or without unique values.

use rustc_hash::FxHashMap;

use super::Account;
use super::scene::{Deed, Scene};
use crate::describe::count;
use crate::history::{Action, Completion, OpIndex, ProcessId, ValueId};
use crate::verdict::Anomaly;

/// Values that came one out of the other are followed this far.
const CHAIN_MAX: usize = 64;

/// What the operations show, if it is one of the anomalies above.
pub(super) fn account(scene: &Scene<'_>) -> Option<Account> {
    let register = Register { scene };
    // What appends make is not what they wrote.
    if scene.all().any(|deed| matches!(deed.op.action, Action::Append(_)) && deed.may_be_done()) {
        return None;
    }
    let mut observers: Vec<(Deed, ValueId)> =
        scene.found.iter().filter_map(|deed| Some((*deed, register.observed(deed)?))).collect();
    observers.sort_by_key(|(deed, _)| deed.op.ret);
    let first =
        |of: &dyn Fn(&Deed, ValueId) -> Option<Account>| observers.iter().find_map(|(deed, seen)| of(deed, *seen));
    register
        .refused_what_it_saw()
        .or_else(|| first(&|deed, seen| register.unmade(deed, seen)))
        .or_else(|| first(&|deed, seen| register.before_its_making(deed, seen)))
        .or_else(|| register.lost_update())
        .or_else(|| register.refused_what_was_there())
        .or_else(|| first(&|deed, seen| register.came_later(deed, seen)))
        .or_else(|| first(&|deed, seen| register.stale(deed, seen, register.replaced(deed, seen)?)))
        .or_else(|| {
            // Where it takes more to show it, the last read is the one that contradicts those before.
            let mut latest = observers.clone();
            latest.sort_by_key(|(deed, _)| std::cmp::Reverse(deed.op.invoke));
            latest.iter().find_map(|(deed, seen)| register.stale(deed, *seen, register.replaced_as_found(deed, *seen)?))
        })
}

struct Register<'s, 'h> {
    scene: &'s Scene<'h>,
}

/// Why the value that an operation observed had been replaced by then.
struct Replaced {
    /// The operation that had ended before the observation, and showed the newer value.
    witness: Deed,
    newer: ValueId,
    because: Because,
}

enum Because {
    OnlyAtStart,
    NotAgain,
    /// Through these compare-and-sets, the last first.
    CameFrom(Vec<Deed>),
    /// The first had seen the older value before the second, which saw or made the newer one, was invoked.
    SeenBefore(Deed, Deed),
}

impl Register<'_, '_> {
    fn same(&self, a: ValueId, b: ValueId) -> bool {
        a == b || (self.is_initial(a) && self.is_initial(b))
    }

    fn is_initial(&self, value: ValueId) -> bool {
        self.scene.is_initial(self.scene.value(value))
    }

    /// The value that the operation observed.
    fn observed(&self, deed: &Deed) -> Option<ValueId> {
        match (deed.op.action, deed.op.completion) {
            (Action::Read, Completion::Ok(Some(seen))) => Some(seen),
            (Action::Cas { .. }, Completion::Mismatch { observed }) => observed,
            (Action::Cas { old, .. }, Completion::Ok(_)) => Some(old),
            _ => None,
        }
    }

    /// The value that the operation asked for.
    fn wanted(deed: &Deed) -> Option<ValueId> {
        match deed.op.action {
            Action::Write(new) => Some(new),
            Action::Cas { old, new } if old != new => Some(new),
            Action::Delete => Some(ValueId::NIL),
            _ => None,
        }
    }

    /// The value that the operation made, or may have made.
    fn made(deed: &Deed) -> Option<ValueId> {
        Self::wanted(deed).filter(|_| deed.may_be_done())
    }

    /// The value that was there when the operation took effect or just after, known by its answer.
    fn left(&self, deed: &Deed) -> Option<ValueId> {
        match Self::made(deed) {
            Some(made) => Some(made).filter(|_| deed.is_done()),
            None => self.observed(deed),
        }
    }

    fn makers(&self, value: ValueId) -> Vec<Deed> {
        let makes = |deed: &Deed| Self::made(deed).is_some_and(|made| self.same(made, value));
        self.scene.all().filter(makes).collect()
    }

    /// The one operation that can have made the value; none where there are several, or it was there from the start.
    fn only_maker(&self, value: ValueId) -> Option<Deed> {
        let makers = self.makers(value);
        (makers.len() == 1 && !self.is_initial(value)).then(|| makers[0])
    }

    /// True when the value was there in one piece of time only: made once, or there from the start and never made.
    fn was_there_once(&self, value: ValueId) -> bool {
        self.makers(value).len() + usize::from(self.is_initial(value)) == 1
    }

    fn refused_what_it_saw(&self) -> Option<Account> {
        let refused = self.scene.found.iter().find(|deed| {
            matches!((deed.op.action, deed.op.completion),
                (Action::Cas { old, .. }, Completion::Mismatch { observed: Some(seen) }) if old == seen)
        })?;
        let Action::Cas { old, new } = refused.op.action else { return None };
        let words = format!(
            "{} {} was refused a compare-and-set from {} to {} although it saw {}, the value it expected",
            Scene::who(refused),
            self.scene.at(refused.op.invoke),
            self.scene.show(old),
            self.scene.show(new),
            self.scene.is(old)
        );
        Some(Account::new(Anomaly::NotLinearizable, self.scene, &words).marked(refused, "it saw what it expected"))
    }

    /// A compare-and-set was answered "not equal" although the value that it expected was there all the while.
    fn refused_what_was_there(&self) -> Option<Account> {
        let refused = self.scene.found.iter().filter_map(|deed| match (deed.op.action, deed.op.completion) {
            (Action::Cas { old, .. }, Completion::Mismatch { observed: None }) => Some((deed, old)),
            _ => None,
        });
        let (refused, old, maker) = refused.into_iter().find_map(|(refused, old)| {
            let changes =
                || self.scene.all().filter(|deed| Self::made(deed).is_some() && deed.op.invoke <= refused.op.ret);
            let makers = changes().filter(|deed| deed.is_done() && deed.precedes(refused));
            let makes_old = |deed: &Deed| Self::made(deed).is_some_and(|made| self.same(made, old));
            let last = makers.filter(makes_old).max_by_key(|deed| deed.op.invoke);
            let over = |deed: &Deed| makes_old(deed) || last.is_some_and(|last| deed.precedes(&last));
            let was_there = (last.is_some() || self.is_initial(old)) && changes().all(|deed| over(&deed));
            was_there.then_some((*refused, old, last))
        })?;
        let scene = self.scene.with(maker.iter().map(|deed| deed.index));
        let since = match &maker {
            Some(maker) => format!("{} and nothing else was written since", scene.had_ended(maker)),
            None => "nothing else had ever been written".to_owned(),
        };
        let words = format!(
            "{} was answered \"not equal\" {}, but it was {} all the while: {since}",
            scene.deed(&refused),
            scene.at(refused.op.invoke),
            scene.is(old)
        );
        let mark = format!("{} was there", scene.is(old));
        Some(Account::new(Anomaly::NotLinearizable, &scene, &words).marked(&refused, mark))
    }

    /// A value was observed that nobody can have made.
    fn unmade(&self, reader: &Deed, seen: ValueId) -> Option<Account> {
        if self.is_initial(seen) || !self.makers(seen).is_empty() {
            return None;
        }
        let wants = |deed: &Deed| Self::wanted(deed).is_some_and(|made| made == seen);
        let value = self.scene.show(seen);
        if let Some(failed) = self.scene.all().find(wants) {
            let scene = self.scene.with([reader.index, failed.index]);
            let words = format!(
                "{}, but the only operation that could have made it, {}, definitely failed {}: a phantom",
                scene.observed(reader, seen),
                scene.deed(&failed),
                scene.at(failed.op.ret)
            );
            let mark = format!("phantom: the {} of {value} failed", deed_noun(&failed));
            return Some(Account::new(Anomaly::Phantom, &scene, &words).marked(reader, mark));
        }
        let words = format!(
            "{}, but nobody ever wrote {value}: a read of a value never written",
            self.scene.observed(reader, seen)
        );
        let account = Account::new(Anomaly::ReadOfUnwritten, self.scene, &words);
        let account = match self.scene.elsewhere(|deed| Self::made(deed) == Some(seen)) {
            Some(words) => account.and(self.scene, &words),
            None => account,
        };
        Some(account.marked(reader, format!("nobody wrote {value}")))
    }

    /// A value was observed before anything that makes it was invoked.
    fn before_its_making(&self, reader: &Deed, seen: ValueId) -> Option<Account> {
        if self.is_initial(seen) {
            return None;
        }
        let first = self.makers(seen).into_iter().min_by_key(|maker| maker.op.invoke)?;
        reader.precedes(&first).then(|| {
            let scene = self.scene.with([reader.index, first.index]);
            let words = format!(
                "{} had returned {}, before {} was invoked {}, and nothing made {} earlier: a read from the future, at \
                 least {} early",
                scene.deed(reader),
                scene.at(reader.op.ret),
                scene.deed(&first),
                scene.at(first.op.invoke),
                scene.show(seen),
                scene.clock().span(reader.op.ret, first.op.invoke)
            );
            let mark = format!("from the future: {} was not there yet", scene.show(seen));
            Account::new(Anomaly::ReadFromFuture, &scene, &words).marked(reader, mark)
        })
    }

    /// Two compare-and-sets won out of a value that was there once.
    fn lost_update(&self) -> Option<Account> {
        let winners: Vec<(Deed, ValueId)> = self
            .scene
            .found
            .iter()
            .filter_map(|deed| match deed.op.action {
                Action::Cas { old, new } if old != new && self.took_effect(deed, new) => Some((*deed, old)),
                _ => None,
            })
            .collect();
        let same = |(place, (_, old)): (usize, &(Deed, ValueId))| {
            let other = winners[..place].iter().position(|(_, other)| other == old)?;
            self.was_there_once(*old).then_some((other, place, *old))
        };
        let (first, second, old) = winners.iter().enumerate().find_map(same)?;
        let (first, second) = (winners[first].0, winners[second].0);
        let old_was = self.scene.is(old);
        let words = format!(
            "{} and {} both won, but {old_was} was there only once: a lost update",
            self.scene.deed_with_times(&first),
            self.scene.deed_with_times(&second)
        );
        let mark = format!("lost update: {} had been replaced", self.scene.show(old));
        Some(Account::new(Anomaly::LostUpdate, self.scene, &words).marked(&second, mark))
    }

    /// A compare-and-set that was acknowledged, or whose value, which only it can have made, was observed.
    fn took_effect(&self, deed: &Deed, new: ValueId) -> bool {
        let is_seen = || self.scene.all().any(|other| self.observed(&other) == Some(new));
        deed.is_done() || (deed.may_be_done() && self.only_maker(new).is_some() && is_seen())
    }

    /// A value was observed that came, through compare-and-sets, from one that was made only later, or from itself.
    fn came_later(&self, reader: &Deed, seen: ValueId) -> Option<Account> {
        let mut chain: Vec<Deed> = Vec::new();
        let mut value = seen;
        while chain.len() < CHAIN_MAX {
            let maker = self.only_maker(value)?;
            if chain.first().is_some_and(|first| first.index == maker.index) {
                return Some(self.made_by_itself(&chain));
            }
            chain.push(maker);
            if reader.precedes(&maker) {
                return Some(self.before_its_origin(reader, seen, &chain));
            }
            let Action::Cas { old, .. } = maker.op.action else { return None };
            value = old;
        }
        None
    }

    fn made_by_itself(&self, chain: &[Deed]) -> Account {
        let scene = self.scene.with(chain.iter().map(|deed| deed.index));
        let words = format!(
            "{} won from values that only they made, and no write began it; one is {}: a read from the future",
            count(chain.len(), "compare-and-set"),
            scene.deed_with_times(&chain[0]),
        );
        Account::new(Anomaly::ReadFromFuture, &scene, &words).marked(&chain[0], "its value came from itself")
    }

    fn before_its_origin(&self, reader: &Deed, seen: ValueId, chain: &[Deed]) -> Account {
        let scene = self.scene.with(chain.iter().map(|deed| deed.index).chain([reader.index]));
        let origin = &chain[chain.len() - 1];
        let words = format!(
            "{} had returned {}, but {} came through {} from {}, which was invoked {}: a read from the future, at least \
             {} early",
            scene.deed(reader),
            scene.at(reader.op.ret),
            scene.show(seen),
            count(chain.len() - 1, "compare-and-set"),
            scene.deed(origin),
            scene.at(origin.op.invoke),
            scene.clock().span(reader.op.ret, origin.op.invoke)
        );
        Account::new(Anomaly::ReadFromFuture, &scene, &words).marked(reader, "from the future")
    }

    /// A value was observed after it had been replaced.
    fn stale(&self, reader: &Deed, seen: ValueId, replaced: Replaced) -> Option<Account> {
        self.lost_write(reader, seen, &replaced).or_else(|| Some(self.stale_read(reader, seen, &replaced)))
    }

    /// The earliest proof that the value had been replaced before the reader was invoked.
    fn replaced(&self, reader: &Deed, seen: ValueId) -> Option<Replaced> {
        let in_time = |maker: &Deed| maker.op.invoke <= reader.op.ret;
        let over = self.makers(seen).into_iter().filter(in_time).map(|maker| maker.op.ret).max();
        let proves = |witness: &Deed| {
            witness.precedes(reader)
                && match over {
                    None => self.is_initial(seen),
                    Some(over) => Self::made(witness).is_some() && over < witness.op.invoke,
                }
        };
        let newer = |witness: Deed| {
            let newer = self.left(&witness).filter(|newer| !self.same(*newer, seen))?;
            let because = if over.is_none() { Because::OnlyAtStart } else { Because::NotAgain };
            Some(Replaced { witness, newer, because })
        };
        self.scene
            .all()
            .filter(proves)
            .filter_map(newer)
            .min_by_key(|proof| (proof.witness.op.ret, proof.witness.index))
            .into_iter()
            .chain(self.witnesses(reader, seen).into_iter().find_map(|(witness, newer)| {
                let because = self.made_after(over, &witness, newer)?;
                Some(Replaced { witness, newer, because })
            }))
            .min_by_key(|proof| proof.witness.op.ret)
    }

    /// Operations found that ended before the reader was invoked and showed another value, those that ended first first.
    fn witnesses(&self, reader: &Deed, seen: ValueId) -> Vec<(Deed, ValueId)> {
        let found = self.scene.found.iter().filter(|witness| witness.precedes(reader));
        let newer = |witness: &Deed| self.left(witness).filter(|newer| !self.same(*newer, seen));
        let mut witnesses: Vec<(Deed, ValueId)> =
            found.filter_map(|witness| Some((*witness, newer(witness)?))).collect();
        witnesses.sort_by_key(|(witness, _)| witness.op.ret);
        witnesses
    }

    /// The proofs that need more than one other operation: looked for among those found only.
    fn replaced_as_found(&self, reader: &Deed, seen: ValueId) -> Option<Replaced> {
        self.witnesses(reader, seen).into_iter().find_map(|(witness, newer)| {
            let because = self.came_from(seen, &witness, newer).or_else(|| self.seen_before(seen, &witness, newer))?;
            Some(Replaced { witness, newer, because })
        })
    }

    /// Every making of the newer value that the witness can have seen began after every making of the older one was over.
    fn made_after(&self, over: Option<u64>, witness: &Deed, newer: ValueId) -> Option<Because> {
        let over = over?;
        let makers = self.makers(newer);
        let mut seen = makers.iter().filter(|maker| maker.op.invoke <= witness.op.ret).peekable();
        (!self.is_initial(newer) && seen.peek().is_some() && seen.all(|maker| over < maker.op.invoke))
            .then_some(Because::NotAgain)
    }

    /// The newer value came out of the older one, which was there once.
    fn came_from(&self, older: ValueId, witness: &Deed, newer: ValueId) -> Option<Because> {
        let mut chain = Vec::new();
        let mut value = newer;
        while chain.len() < CHAIN_MAX && self.was_there_once(older) {
            let maker = self.only_maker(value)?;
            let Action::Cas { old, .. } = maker.op.action else { return None };
            chain.push(maker);
            if self.same(old, older) {
                let is_witness = maker.index == witness.index;
                return Some(if is_witness { Because::NotAgain } else { Because::CameFrom(chain) });
            }
            value = old;
        }
        None
    }

    /// Somebody saw the older value, which was there once, before the newer one was asked for.
    fn seen_before(&self, older: ValueId, witness: &Deed, newer: ValueId) -> Option<Because> {
        if !self.was_there_once(older) {
            return None;
        }
        let saw = |deed: &&Deed| {
            self.left(deed).is_some_and(|left| self.same(left, older))
                || self.observed(deed).is_some_and(|observed| self.same(observed, older))
        };
        let shows_newer = |deed: &&Deed| {
            let shows =
                [Self::made(deed), self.observed(deed)].into_iter().flatten().any(|value| self.same(value, newer));
            shows && (deed.index == witness.index || self.was_there_once(newer))
        };
        let found = &self.scene.found;
        found.iter().filter(saw).find_map(|early| {
            let late = found.iter().filter(shows_newer).find(|late| early.precedes(late))?;
            Some(Because::SeenBefore(*early, *late))
        })
    }

    fn stale_read(&self, reader: &Deed, seen: ValueId, replaced: &Replaced) -> Account {
        let Replaced { witness, newer, because } = replaced;
        let others: Vec<OpIndex> = match because {
            Because::CameFrom(chain) => chain.iter().map(|deed| deed.index).collect(),
            Because::SeenBefore(early, late) => vec![early.index, late.index],
            Because::OnlyAtStart | Because::NotAgain => Vec::new(),
        };
        // The last write of what was read belongs into the picture.
        let made_by = self.makers(seen).into_iter().rfind(|maker| maker.precedes(reader));
        let shown = others.into_iter().chain([reader.index, witness.index]).chain(made_by.map(|maker| maker.index));
        let scene = self.scene.with(shown);
        let value = scene.show(seen);
        let age = scene.clock().span(witness.op.ret, reader.op.invoke);
        let why = match because {
            Because::OnlyAtStart => format!(" and {value} was there only at the start"),
            Because::NotAgain => format!(" and nothing wrote {value} again by then"),
            Because::CameFrom(_) | Because::SeenBefore(..) => String::new(),
        };
        let words = format!(
            "{}, but {}{why}: a stale read, at least {age} old",
            scene.observed(reader, seen),
            scene.had_ended(witness)
        );
        let mark = format!("stale: {} was there since {}", scene.show(*newer), scene.clock().mark(witness.op.ret));
        let account = match self.final_reads(&scene, reader, seen) {
            Some((words, other)) => Account::new(Anomaly::DivergedFinalReads, &scene.with([other]), &words)
                .and(&scene, &format!("{}, but {}{why}", scene.observed(reader, seen), scene.had_ended(witness))),
            None => Account::new(Anomaly::StaleRead, &scene, &words),
        };
        let account = match because {
            Because::CameFrom(chain) => account.and(
                &scene,
                &format!("{} came out of {value} by {}", scene.show(*newer), scene.deed(&chain[chain.len() - 1])),
            ),
            Because::SeenBefore(early, late) => account.and(
                &scene,
                &format!(
                    "that {} came after {value} shows in this: {} before {} was invoked {}",
                    scene.show(*newer),
                    scene.had_ended(early),
                    scene.deed(late),
                    scene.at(late.op.invoke)
                ),
            ),
            _ => account,
        };
        account.marked(reader, mark)
    }

    /// A lost write rather than a stale read: nobody ever observed the acknowledged newer value, and at least two clients read
    /// the older one after it and before anything else was asked for.
    fn lost_write(&self, reader: &Deed, seen: ValueId, replaced: &Replaced) -> Option<Account> {
        let Replaced { witness, newer, .. } = replaced;
        let is_seen = self.scene.all().any(|deed| self.observed(&deed).is_some_and(|value| self.same(value, *newer)));
        if is_seen || Self::made(witness).is_none() || self.makers(*newer).len() != 1 {
            return None;
        }
        let mut readers: Vec<Deed> = Vec::new();
        for deed in self.scene.all().filter(|deed| witness.precedes(deed)) {
            match self.observed(&deed) {
                Some(value) if self.same(value, seen) => {
                    let is_new = readers.iter().all(|other| other.op.process != deed.op.process);
                    readers.extend(Some(deed).filter(|_| is_new && readers.len() < 2));
                }
                Some(_) => return None,
                None if Self::made(&deed).is_some() => break,
                None => {}
            }
        }
        if readers.len() < 2 {
            return None;
        }
        let scene = self.scene.with([reader.index, witness.index, readers[0].index, readers[1].index]);
        let words = format!(
            "{} was acknowledged {}, but nobody ever read {}; clients {} and {} still read {} after it, the first {}: a lost write",
            scene.deed(witness),
            scene.at(witness.op.ret),
            scene.show(*newer),
            readers[0].op.process,
            readers[1].op.process,
            scene.is(seen),
            scene.at(readers[0].op.invoke),
        );
        Some(Account::new(Anomaly::LostWrite, &scene, &words).marked(witness, "lost: nobody ever read it"))
    }

    /// The last reads of two clients after the last change disagree: in words, and the other read.
    fn final_reads(&self, scene: &Scene<'_>, reader: &Deed, seen: ValueId) -> Option<(String, OpIndex)> {
        let ended = |deed: Deed| if deed.is_done() { deed.op.ret } else { deed.op.invoke };
        let last_change = self.scene.all().filter(|deed| Self::made(deed).is_some()).map(ended).max()?;
        let reads =
            self.scene.all().filter(|deed| matches!(deed.op.action, Action::Read) && deed.op.invoke > last_change);
        let mut last_of: FxHashMap<ProcessId, (Deed, ValueId)> = FxHashMap::default();
        for (deed, value) in reads.filter_map(|deed| Some((deed, self.observed(&deed)?))) {
            last_of.insert(deed.op.process, (deed, value));
        }
        if last_of.get(&reader.op.process)?.0.index != reader.index {
            return None;
        }
        let others = last_of.into_values().filter(|(_, value)| !self.same(*value, seen));
        let (other, other_saw) = others.min_by_key(|(deed, _)| deed.index)?;
        let scene = scene.with([other.index]);
        let last = |deed: &Deed, value| {
            format!("{}'s last read, {}, returned {}", Scene::who(deed), scene.at(deed.op.invoke), scene.is(value))
        };
        let is_unknown = self
            .scene
            .all()
            .any(|deed| !deed.is_done() && deed.op.invoke == last_change && Self::made(&deed).is_some());
        let asked = if is_unknown { " was asked for (its outcome is unknown)" } else { "" };
        let words = format!(
            "after the last change{asked} {} {}, but {}: diverged final reads",
            scene.at(last_change),
            last(reader, seen),
            last(&other, other_saw)
        );
        Some((words, other.index))
    }
}

fn deed_noun(deed: &Deed) -> &'static str {
    match deed.op.action {
        Action::Cas { .. } => "compare-and-set",
        Action::Delete => "deletion",
        _ => "write",
    }
}
