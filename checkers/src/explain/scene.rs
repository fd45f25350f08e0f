//! The few operations of a violation, with the whole history of their key behind them.
//!
//! What an account claims ("nothing wrote 17 again") it asks of the key's whole history, not of the few operations alone.

use std::cell::OnceCell;

use crate::describe::{self, Clock};
use crate::history::{Action, Completion, OpIndex, Operation, Value, ValueId};
use crate::key::KeyHistory;
use crate::model::{ModelKind, ModelSpec};

/// More operations than these are not compared with each other; those of larger findings are only listed.
const OPERATIONS_MAX: usize = 64;

/// The longest plain name that stands before a value, as in x=17.
const NAME_CHARS_MAX: usize = 20;

/// An operation and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deed {
    pub(super) index: OpIndex,
    pub(super) op: Operation<ValueId>,
}

impl Deed {
    /// True when it returned before the other was invoked.
    pub(super) fn precedes(&self, other: &Self) -> bool {
        self.op.ret < other.op.invoke
    }

    /// The one of the two that returned first.
    pub(super) fn min_by_time<'d>(&'d self, other: &'d Self) -> &'d Self {
        if (self.op.ret, self.index) <= (other.op.ret, other.index) { self } else { other }
    }

    /// The one of the two that returned last.
    pub(super) fn max_by_time<'d>(&'d self, other: &'d Self) -> &'d Self {
        if (self.op.ret, self.index) <= (other.op.ret, other.index) { other } else { self }
    }

    /// True when it is known to have been done.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.op.completion, Completion::Ok(_))
    }

    /// True when it was done or may have been.
    pub(super) fn may_be_done(&self) -> bool {
        matches!(self.op.completion, Completion::Ok(_) | Completion::Info)
    }
}

/// What an account is made from.
pub(super) struct Scene<'h> {
    pub(super) key: KeyHistory<'h>,
    pub(super) spec: &'h ModelSpec,
    /// The operations found, in order of invocation.
    pub(super) found: Vec<Deed>,
    /// The key, where it is short and plain enough to stand before a value.
    name: Option<&'h str>,
    clock: OnceCell<Clock>,
}

impl<'h> Scene<'h> {
    pub(super) fn new(key: KeyHistory<'h>, spec: &'h ModelSpec, operations: &[OpIndex]) -> Self {
        let found =
            operations.iter().take(OPERATIONS_MAX).map(|&index| Deed { index, op: *key.compact(index) }).collect();
        let plain = |name: &&str| {
            let mut letters = name.chars();
            name.len() <= NAME_CHARS_MAX
                && letters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
                && letters.all(|letter| letter.is_ascii_alphanumeric() || "_-.:/".contains(letter))
        };
        let name = match key.key {
            Value::Text(name) => Some(name.as_str()).filter(plain),
            _ => None,
        };
        Self { key, spec, found, name, clock: OnceCell::new() }
    }

    /// All operations of the key, in order of invocation.
    pub(super) fn all(&self) -> impl Iterator<Item = Deed> + Clone + use<'h> {
        self.key.operations().map(|(index, op)| Deed { index, op: *op })
    }

    pub(super) fn value(&self, id: ValueId) -> &'h Value {
        self.key.value(id)
    }

    /// True when an absent value and the model's initial one are the same: the empty text of key-value.
    pub(super) fn is_initial(&self, value: &Value) -> bool {
        *value == self.spec.initial
            || (value.is_nil()
                && self.spec.model == ModelKind::KeyValue
                && self.spec.initial == Value::Text(String::new()))
    }

    /// The clock that tells the operations found apart. Fixed when first used.
    pub(super) fn clock(&self) -> Clock {
        *self.clock.get_or_init(|| {
            let moments = self.found.iter().flat_map(|deed| [deed.op.invoke, deed.op.ret]);
            Clock::of(self.key.time_unit(), moments.filter(|&moment| moment != u64::MAX).collect())
        })
    }

    /// The same scene with more operations: those that an account speaks of.
    pub(super) fn with(&self, operations: impl IntoIterator<Item = OpIndex>) -> Self {
        let mut all: Vec<OpIndex> = self.found.iter().map(|deed| deed.index).chain(operations).collect();
        all.sort_unstable();
        all.dedup();
        Self::new(self.key, self.spec, &all)
    }

    /// "x=17", or "17" where the key has no plain name.
    pub(super) fn is(&self, id: ValueId) -> String {
        let value = self.show(id);
        self.name.map_or_else(|| value.clone(), |name| format!("{name}={value}"))
    }

    /// "17".
    pub(super) fn show(&self, id: ValueId) -> String {
        describe::value(self.value(id))
    }

    /// "client 4".
    pub(super) fn who(deed: &Deed) -> String {
        format!("client {}", deed.op.process.0)
    }

    /// "client 4's read of x=17".
    pub(super) fn deed(&self, deed: &Deed) -> String {
        describe::deed(&self.key.history.resolve(&deed.op), self.name)
    }

    /// "client 4's read of x=17 (invoked at 1.200 s, returned at 1.300 s)".
    pub(super) fn deed_with_times(&self, deed: &Deed) -> String {
        describe::deed_with_times(&self.key.history.resolve(&deed.op), self.name, self.clock())
    }

    /// "at 12.310 s".
    pub(super) fn at(&self, moment: u64) -> String {
        self.clock().at(moment)
    }

    /// "client 2's write of x=23 had been acknowledged at 11.020 s".
    pub(super) fn had_ended(&self, deed: &Deed) -> String {
        let observes = matches!(deed.op.action, Action::Read | Action::Dequeue)
            || matches!(deed.op.completion, Completion::Mismatch { .. });
        let ended = if observes { "had returned" } else { "had been acknowledged" };
        format!("{} {ended} {}", self.deed(deed), self.at(deed.op.ret))
    }

    /// "client 4 read x=17 at 12.310 s", of an operation that observed this value.
    pub(super) fn observed(&self, deed: &Deed, seen: ValueId) -> String {
        let at = self.at(deed.op.invoke);
        match (deed.op.action, deed.op.completion) {
            (Action::Read, _) => format!("{} read {} {at}", Self::who(deed), self.is(seen)),
            // Its words end with what it saw.
            (_, Completion::Mismatch { .. }) => format!("{} {at}", self.deed(deed)),
            _ => format!("{} won {at}", self.deed(deed)),
        }
    }

    /// Where else in the history an operation like this was: "client 5's write of 17 was on key y".
    pub(super) fn elsewhere(&self, like: impl Fn(&Deed) -> bool) -> Option<String> {
        let operations = self.key.history.operations();
        let deeds = (0u32..).map(OpIndex).zip(operations).map(|(index, op)| Deed { index, op: *op });
        let other = deeds.filter(|deed| self.value(deed.op.key) != self.key.key).find(like)?;
        let deed = describe::deed(&self.key.history.resolve(&other.op), None);
        Some(format!("{deed} was on {}", describe::key_phrase(self.value(other.op.key))))
    }

    /// A whole sentence: on which key, where the words do not say it; a capital letter; a full stop.
    pub(super) fn sentence(&self, words: &str) -> String {
        let on = match (self.name, self.key.key) {
            (Some(_), _) | (_, Value::Nil) => String::new(),
            (None, key) => format!("On key {}, ", describe::value(key)),
        };
        let whole = format!("{on}{words}.");
        let mut letters = whole.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }
}
