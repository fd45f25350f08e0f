//! Registers with unique live values, one event at a time: the streaming form of [`crate::fast::chains`].
//!
//! ```text
//!   value    uncounted ──── first answer that shows it ────> counted ── replaced before the horizon ──> forgotten
//!              │ fail: forgotten                              │ fail: violation
//!   block    write ─ reads ─ cas ─ reads ─ cas ─ reads        f = when its first value was counted, s = latest invocation
//!                      replaced ^      replaced ^             a read invoked after its value was replaced: violation
//! ```
//!
//! A value counts once an answer shows that it was written: its write or compare-and-set was acknowledged, or it was
//! observed. Until then it constrains nothing. What made a counted value counts with it, back to a blind write: so
//! blocks only grow at their end, and *replaced* is the moment when a value's successor was counted. With that the
//! order inside a block is one comparison for each answer, and the order between blocks one question to [`Pairs`].
//!
//! A value is forgotten when any answer to come that shows it is a violation: it was replaced before the horizon, or
//! its block is in conflict with another whatever comes. An answer that shows a value not known here is then one,
//! whether the value was forgotten or never written. A forgotten value that is written again is a new one, for answers
//! to come can only mean that. A value that is written again while it lives, and a compare-and-set that was refused
//! without saying what was there, are not for this test.

use std::collections::{BTreeSet, VecDeque};

use rustc_hash::FxHashMap;

use super::horizon::Observers;
use super::pairs::Pairs;
use super::slab::{Id, Slab};
use super::{Call, Stop};
use crate::history::{Action, Completion, Value};
use crate::verdict::Anomaly;

/// Not replaced so far.
const NEVER: u64 = u64::MAX;

/// A key with more counted values than this waits no longer for operations that were given up.
const VALUES_CROWDED: usize = 64;

/// What is known of one register. Times are one more than those of the events: 0 is before all of them.
#[derive(Clone, Debug)]
pub(super) struct Register {
    observers: Observers,
    places: FxHashMap<Value, Id>,
    values: Slab<Written>,
    blocks: Slab<Block>,
    pairs: Pairs,
    /// Blocks by first return, to find those that no answer may show any more.
    by_first_return: BTreeSet<(u64, Id)>,
    /// Values by the time of their replacement.
    replaced: VecDeque<(u64, Id)>,
    counted: usize,
}

#[derive(Clone, Debug)]
struct Written {
    value: Value,
    invoke: u64,
    /// For a compare-and-set the value that it needs.
    old: Option<Value>,
    /// None until it counts.
    block: Option<Id>,
    replaced: u64,
}

/// Values that followed each other directly.
#[derive(Clone, Debug)]
struct Block {
    first_return: u64,
    last_invoke: u64,
    /// The last value, which is not replaced.
    tail: Id,
    /// Values of it that are not forgotten.
    values: usize,
}

impl Register {
    pub(super) fn new(initial: &Value) -> Self {
        let mut register = Self {
            observers: Observers::default(),
            places: FxHashMap::default(),
            values: Slab::new(),
            blocks: Slab::new(),
            pairs: Pairs::default(),
            by_first_return: BTreeSet::new(),
            replaced: VecDeque::new(),
            counted: 0,
        };
        let id = register.add(initial.clone(), 0, None);
        register.begin_block(id, 0);
        register
    }

    /// Takes an invocation; gives the name of the value that it may write.
    pub(super) fn invoked(&mut self, call: &Call) -> Result<Option<Id>, Stop> {
        let invoke = call.invoke + 1;
        if observes(&call.action) {
            self.observers.invoked(invoke, call.number);
        }
        let (new, old) = match &call.action {
            Action::Write(new) => (new, None),
            Action::Cas { old, new } if old != new => (new, Some(old)),
            _ => return Ok(None),
        };
        if self.places.contains_key(new) {
            return Err(Stop::Unsuited("a value was written again while it could still be read"));
        }
        Ok(Some(self.add(new.clone(), invoke, old.cloned())))
    }

    /// Takes notice that an operation may never answer.
    pub(super) fn given_up(&mut self, call: &Call) {
        self.observers.given_up(call.invoke + 1, call.number);
    }

    /// Takes an answer.
    pub(super) fn completed(&mut self, call: &Call, completion: &Completion, ret: u64) -> Result<(), Stop> {
        let (invoke, now) = (call.invoke + 1, ret + 1);
        let answer = self.answer(call, completion, invoke, now);
        self.observers.completed(invoke, call.number);
        answer?;
        self.advance(now);
        Ok(())
    }

    /// How much is kept: values, blocks, open reads and the like, by number.
    pub(super) fn kept(&self) -> usize {
        self.observers.len() + self.values.len() + self.blocks.len() + self.pairs.len() + self.replaced.len()
    }

    fn answer(&mut self, call: &Call, completion: &Completion, invoke: u64, now: u64) -> Result<(), Stop> {
        let seen = match (&call.action, completion) {
            (Action::Write(_), Completion::Ok(_)) => return self.acknowledged(call.writes, invoke, now),
            (Action::Cas { old, new }, Completion::Ok(_)) if old != new => {
                if self.observers.is_beyond(invoke) {
                    return Err(Stop::TooLate);
                }
                return self.acknowledged(call.writes, invoke, now);
            }
            (Action::Cas { old, .. }, Completion::Ok(_)) => old,
            (Action::Read, Completion::Ok(Some(seen))) => seen,
            (Action::Cas { old, .. }, Completion::Mismatch { observed }) => {
                self.undone(call.writes)?;
                match observed {
                    Some(seen) if seen == old => {
                        let what = "it was answered \"not equal\" although it saw the value it expected".into();
                        return Err(Stop::Violation { anomaly: Anomaly::NotLinearizable, what });
                    }
                    Some(seen) => seen,
                    None => return Err(Stop::Unsuited("a compare-and-set was refused without saying what was there")),
                }
            }
            (_, Completion::Fail) => return self.undone(call.writes),
            _ => return Ok(()),
        };
        if self.observers.is_beyond(invoke) {
            return Err(Stop::TooLate);
        }
        let id = self.find(seen)?;
        self.count(id, now)?;
        let written = self.values.get(id).expect("a value in `places` lives");
        if invoke > written.replaced {
            let what = format!("{} had been replaced by then", crate::describe::value(seen));
            return Err(Stop::Violation { anomaly: Anomaly::StaleRead, what });
        }
        self.raise(id, invoke)
    }

    /// The write or compare-and-set of this value was done.
    fn acknowledged(&mut self, writes: Option<Id>, invoke: u64, now: u64) -> Result<(), Stop> {
        let id = writes.expect("what writes has the name of its value");
        // What was forgotten had counted.
        if self.values.get(id).is_none_or(|written| written.block.is_some()) {
            return Ok(());
        }
        self.count(id, now)?;
        self.raise(id, invoke)
    }

    /// The write or compare-and-set of this value was not done.
    fn undone(&mut self, writes: Option<Id>) -> Result<(), Stop> {
        let Some(id) = writes else { return Ok(()) };
        match self.values.get(id) {
            Some(written) if written.block.is_none() => {
                self.forget(id);
                Ok(())
            }
            _ => {
                let what = "it definitely failed, yet its value was observed".into();
                Err(Stop::Violation { anomaly: Anomaly::Phantom, what })
            }
        }
    }

    fn find(&self, value: &Value) -> Result<Id, Stop> {
        self.places.get(value).copied().ok_or_else(|| {
            let value = crate::describe::value(value);
            let what = format!("{value} had not been written by then, or had been replaced before");
            Stop::Violation { anomaly: Anomaly::NotLinearizable, what }
        })
    }

    fn add(&mut self, value: Value, invoke: u64, old: Option<Value>) -> Id {
        let id = self.values.insert(Written { value: value.clone(), invoke, old, block: None, replaced: NEVER });
        self.places.insert(value, id);
        id
    }

    fn forget(&mut self, id: Id) {
        let Some(written) = self.values.remove(id) else { return };
        self.places.remove(&written.value);
        if let Some(block) = written.block {
            self.counted -= 1;
            let values = &mut self.blocks.get_mut(block).expect("a block lives as long as its values").values;
            *values -= 1;
            if *values == 0 {
                self.blocks.remove(block);
            }
        }
    }

    /// From now on this value was written, and all that it came from. Linear in the number of values that it came from
    /// and that did not count before.
    fn count(&mut self, id: Id, now: u64) -> Result<(), Stop> {
        let mut path = Vec::new();
        let mut at = id;
        while let Some(written) = self.values.get(at).filter(|written| written.block.is_none()) {
            path.push(at);
            if path.len() > self.values.len() {
                let what = "it won from a value that only compare-and-sets after it could have made".into();
                return Err(Stop::Violation { anomaly: Anomaly::ReadFromFuture, what });
            }
            match &written.old {
                Some(old) => at = self.find(old)?,
                None => break,
            }
        }
        for id in path.into_iter().rev() {
            match self.values.get(id).and_then(|written| written.old.clone()) {
                None => self.begin_block(id, now),
                Some(old) => self.follow(id, &old, now)?,
            }
        }
        Ok(())
    }

    fn begin_block(&mut self, id: Id, now: u64) {
        let written = self.values.get_mut(id).expect("the caller has it from `places`");
        let last_invoke = written.invoke;
        let block = self.blocks.insert(Block { first_return: now, last_invoke, tail: id, values: 1 });
        written.block = Some(block);
        self.counted += 1;
        self.by_first_return.insert((now, block));
        self.pairs.put(block, now, last_invoke);
    }

    /// Puts a value at the end of the block of the value that it came from.
    fn follow(&mut self, id: Id, old: &Value, now: u64) -> Result<(), Stop> {
        let before = self.find(old)?;
        let parent = self.values.get_mut(before).expect("a value in `places` lives");
        if parent.replaced != NEVER {
            let what = format!("two compare-and-sets won from {}, which was there once", crate::describe::value(old));
            return Err(Stop::Violation { anomaly: Anomaly::LostUpdate, what });
        }
        parent.replaced = now;
        let block = parent.block;
        self.replaced.push_back((now, before));
        let written = self.values.get_mut(id).expect("the caller has it from `places`");
        written.block = block;
        let invoke = written.invoke;
        let block = block.and_then(|block| self.blocks.get_mut(block)).expect("what it came from was counted before");
        block.tail = id;
        block.values += 1;
        self.counted += 1;
        // Asked about by the caller, whose answer was invoked even later or shows this very value.
        block.last_invoke = block.last_invoke.max(invoke);
        Ok(())
    }

    /// An operation on a counted value was invoked then: asks whether its block still fits in.
    fn raise(&mut self, id: Id, invoke: u64) -> Result<(), Stop> {
        let id = self.values.get(id).and_then(|written| written.block).expect("only counted values are raised");
        let block = self.blocks.get_mut(id).expect("a block lives as long as its values");
        block.last_invoke = block.last_invoke.max(invoke);
        let (first_return, last_invoke) = (block.first_return, block.last_invoke);
        if self.pairs.conflict(id, first_return, last_invoke) {
            let what = "its value had been overwritten by then, as other answers show".into();
            return Err(Stop::Violation { anomaly: Anomaly::StaleRead, what });
        }
        self.pairs.put(id, first_return, last_invoke);
        Ok(())
    }

    /// Forgets what no answer to come may show.
    fn advance(&mut self, now: u64) {
        let horizon = self.observers.advance(now, self.counted > VALUES_CROWDED);
        while let Some((_, id)) = self.replaced.pop_front_if(|(replaced, _)| *replaced < horizon) {
            self.forget(id);
        }
        self.pairs.advance(horizon);
        // At most one block, which is the latest itself, stands before others that are past.
        let mut spared = None;
        while let Some(&(first_return, block)) = match spared {
            None => self.by_first_return.first(),
            Some(spared) => {
                self.by_first_return.range((std::ops::Bound::Excluded(spared), std::ops::Bound::Unbounded)).next()
            }
        } {
            if self.pairs.conflict(block, first_return, horizon) {
                self.by_first_return.remove(&(first_return, block));
                let tail = self.blocks.get(block).expect("a block with a last value lives").tail;
                self.forget(tail);
            } else if spared.is_none() {
                spared = Some((first_return, block));
            } else {
                break;
            }
        }
    }
}

/// Whether the operation can tell what was there.
fn observes(action: &Action) -> bool {
    matches!(action, Action::Read | Action::Cas { .. })
}
