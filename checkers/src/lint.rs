//! Notes on histories that look as if the adapter were wrong, and not the system: what costs users days.
//!
//! ```text
//!   History ──> lint() ──> notes: never a verdict, and never a change of one
//! ```
//!
//! Each note states a fact of the history and what it may mean. Whether `fail` means "not done" is the adapter's word, and the
//! judge believes it; Jepsen's rule is that what a client cannot know is `info`.

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use crate::describe::{self, Clock, count};
use crate::history::{Action, Completion, History, OpIndex, Operation, TimeUnit, Value, ValueId};
use crate::key::Keys;
use crate::model::{ModelKind, ModelSpec};

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LintKind {
    /// The effect of an operation that was recorded as failed was seen: a dirty read, or a timeout recorded as `fail`.
    FailedButSeen,
    /// A read returned what only another key was ever given.
    ValueOfAnotherKey,
    /// Reads were answered, but what they returned was never recorded.
    ReadsWithoutValues,
    /// Every read found the key absent although writes were acknowledged.
    ReadsAllNil,
    /// Every compare-and-set that was refused had seen the very value it expected.
    RefusedWhatTheySaw,
    /// No compare-and-set ever won.
    NoneWon,
    /// The times are too close together to be nanoseconds.
    TimesTooClose,
    /// The clock is coarse: operations that were one after the other count as concurrent.
    CoarseClock,
    /// Values are written more than once, which leaves the judging to searches.
    RepeatedValues,
}

/// A note on a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// What it is about.
    pub kind: LintKind,
    /// One or two plain sentences: the fact, what it may mean, what to do.
    pub words: String,
    /// The first operations it is about, by place in the history; none where it is about all.
    #[serde(serialize_with = "places")]
    pub operations: Vec<OpIndex>,
}

fn places<S: serde::Serializer>(operations: &[OpIndex], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(operations.iter().map(|index| index.0))
}

/// Fewer operations than this say nothing about how an adapter behaves.
const ENOUGH: usize = 10;

/// Notes on the history, the gravest first. O(n), and linear in what reads of lists returned where an append failed.
#[must_use]
pub fn lint(history: &History, spec: &ModelSpec) -> Vec<Lint> {
    Linter { history, spec }.notes()
}

struct Linter<'h> {
    history: &'h History,
    spec: &'h ModelSpec,
}

/// What an operation would put in, if it is one that puts in.
fn wanted(operation: &Operation<ValueId>) -> Option<ValueId> {
    match operation.action {
        Action::Write(new) | Action::Append(new) | Action::Add(new) | Action::Enqueue(new) => Some(new),
        Action::Cas { old, new } if old != new => Some(new),
        _ => None,
    }
}

/// The value that an operation returned or saw.
fn seen(operation: &Operation<ValueId>) -> Option<ValueId> {
    match (operation.action, operation.completion) {
        (Action::Read | Action::Dequeue, Completion::Ok(seen)) => seen,
        (Action::Cas { .. }, Completion::Mismatch { observed }) => observed,
        (Action::Cas { old, .. }, Completion::Ok(_)) => Some(old),
        _ => None,
    }
}

fn may_be_done(operation: &Operation<ValueId>) -> bool {
    matches!(operation.completion, Completion::Ok(_) | Completion::Info)
}

impl<'h> Linter<'h> {
    fn notes(&self) -> Vec<Lint> {
        let notes: [fn(&Self) -> Option<Lint>; 8] = [
            Self::failed_but_seen,
            Self::value_of_another_key,
            Self::reads_without_values,
            Self::reads_all_nil,
            Self::refused_what_they_saw,
            Self::none_won,
            Self::times,
            Self::repeated_values,
        ];
        notes.into_iter().filter_map(|note| note(self)).collect()
    }

    fn operations(&self) -> impl Iterator<Item = (OpIndex, &'h Operation<ValueId>)> + Clone {
        (0u32..).map(OpIndex).zip(self.history.operations())
    }

    /// True where what was put in comes out as it was: not where texts are joined or numbers added.
    fn comes_out_again(&self) -> bool {
        match self.spec.model {
            ModelKind::Counter | ModelKind::Lock | ModelKind::MultiRegister => false,
            ModelKind::KeyValue => {
                !self.operations().any(|(_, operation)| matches!(operation.action, Action::Append(_)))
            }
            _ => true,
        }
    }

    /// True where a read returns a list of what was put in.
    fn reads_are_lists(&self) -> bool {
        matches!(self.spec.model, ModelKind::ListAppend | ModelKind::Set)
    }

    fn deed(&self, operation: &Operation<ValueId>) -> String {
        describe::deed(&self.history.resolve(operation), None)
    }

    fn on(&self, operation: &Operation<ValueId>) -> String {
        match self.history.value(operation.key) {
            Value::Nil => String::new(),
            key => format!("on {}, ", describe::key_phrase(key)),
        }
    }

    fn failed_but_seen(&self) -> Option<Lint> {
        let value = |id| self.history.value(id);
        let is_initial = |id| match &self.spec.initial {
            Value::List(elements) if self.reads_are_lists() => elements.contains(value(id)),
            initial => value(id) == initial,
        };
        // Only values that every operation which put them in failed to.
        let mut failed: FxHashMap<(ValueId, &Value), (OpIndex, &Operation<ValueId>)> = FxHashMap::default();
        for (index, operation) in self.operations().filter(|(_, operation)| operation.completion == Completion::Fail) {
            if let Some(new) = wanted(operation).filter(|new| !is_initial(*new)) {
                failed.entry((operation.key, value(new))).or_insert((index, operation));
            }
        }
        if failed.is_empty() || !self.comes_out_again() {
            return None;
        }
        for (_, operation) in self.operations().filter(|(_, operation)| may_be_done(operation)) {
            if let Some(new) = wanted(operation) {
                failed.remove(&(operation.key, value(new)));
            }
        }
        let mut witnesses: FxHashMap<OpIndex, (OpIndex, &Operation<ValueId>)> = FxHashMap::default();
        let mut looked_at: FxHashSet<(ValueId, ValueId)> = FxHashSet::default();
        for (index, operation) in self.operations() {
            // The same list is looked through once.
            let Some(id) = seen(operation).filter(|id| looked_at.insert((operation.key, *id))) else { continue };
            let elements = match value(id) {
                Value::List(elements) if self.reads_are_lists() => elements.as_slice(),
                whole => std::slice::from_ref(whole),
            };
            for element in elements {
                if let Some((culprit, _)) = failed.get(&(operation.key, element)) {
                    witnesses.entry(*culprit).or_insert((index, operation));
                }
            }
        }
        let culprit = witnesses.keys().min().copied()?;
        let (witness, seen_by) = witnesses[&culprit];
        let operation = &self.history.operations()[culprit.0 as usize];
        let clock = Clock::of(self.history.time_unit(), vec![operation.ret, seen_by.ret]);
        let more = match witnesses.len() - 1 {
            0 => String::new(),
            more => format!(" The same goes for {more} more."),
        };
        let words = format!(
            "{}{} was recorded as failed {}, but {} saw it. Either this is a dirty read, or the adapter recorded a timeout \
             as `fail`: when a client cannot know that an operation was not done, it must record `info`.{more}",
            self.on(operation),
            self.deed(operation),
            clock.at(operation.ret),
            self.deed(seen_by),
        );
        Some(Lint::new(LintKind::FailedButSeen, &words, vec![culprit, witness]))
    }

    fn value_of_another_key(&self) -> Option<Lint> {
        if !self.comes_out_again() || self.reads_are_lists() {
            return None;
        }
        /// Which keys a value was put in for.
        #[derive(Clone, Copy, PartialEq)]
        enum Given {
            Never,
            To(ValueId),
            ToSeveral,
        }
        let mut given = vec![Given::Never; self.history.values().len()];
        // What failed counts too: it says which key the value is of.
        for (_, operation) in self.operations() {
            let Some(new) = wanted(operation) else { continue };
            let given = &mut given[new.place()];
            *given = match *given {
                Given::Never => Given::To(operation.key),
                Given::To(key) if key == operation.key => Given::To(key),
                _ => Given::ToSeveral,
            };
        }
        let foreign = |operation: &Operation<ValueId>| {
            let id = seen(operation)?;
            match given[id.place()] {
                Given::To(key) if key != operation.key && *self.history.value(id) != self.spec.initial => {
                    Some((id, key))
                }
                _ => None,
            }
        };
        let mut strays =
            self.operations().filter_map(|(index, operation)| Some((index, operation, foreign(operation)?)));
        let (index, operation, (id, key)) = strays.next()?;
        let more = match strays.count() {
            0 => String::new(),
            more => format!(" The same goes for {more} more."),
        };
        let words = format!(
            "{}{} returned {}, which only {} was ever given: does the adapter mix up the answers of two requests?{more}",
            self.on(operation),
            self.deed(operation),
            describe::value(self.history.value(id)),
            describe::key_phrase(self.history.value(key)),
        );
        Some(Lint::new(LintKind::ValueOfAnotherKey, &words, vec![index]))
    }

    /// Reads that were answered, with what they returned.
    fn reads(&self) -> impl Iterator<Item = Option<ValueId>> {
        self.operations().filter_map(|(_, operation)| match (operation.action, operation.completion) {
            (Action::Read, Completion::Ok(seen)) => Some(seen),
            _ => None,
        })
    }

    fn reads_without_values(&self) -> Option<Lint> {
        let reads = self.reads().count();
        if reads < ENOUGH || self.reads().any(|seen| seen.is_some()) {
            return None;
        }
        let words = format!(
            "none of the {reads} answered reads has a value, so reads say nothing: the adapter must record what they returned"
        );
        Some(Lint::new(LintKind::ReadsWithoutValues, &words, Vec::new()))
    }

    fn reads_all_nil(&self) -> Option<Lint> {
        let reads = self.reads().flatten().count();
        if reads < ENOUGH || self.reads().flatten().any(|seen| seen != ValueId::NIL) {
            return None;
        }
        let done = |operation: &Operation<ValueId>| {
            wanted(operation).is_some_and(|new| new != ValueId::NIL)
                && matches!(operation.completion, Completion::Ok(_))
        };
        let writes = self.operations().filter(|(_, operation)| done(operation)).count();
        if writes == 0 {
            return None;
        }
        let words = format!(
            "all {reads} answered reads returned nil, though {} were acknowledged: does the adapter record what reads return?",
            count(writes, "change")
        );
        Some(Lint::new(LintKind::ReadsAllNil, &words, Vec::new()))
    }

    fn refused_what_they_saw(&self) -> Option<Lint> {
        let refused =
            self.operations().filter_map(|(index, operation)| match (operation.action, operation.completion) {
                (Action::Cas { old, .. }, Completion::Mismatch { observed: Some(seen) }) => Some((index, old == seen)),
                _ => None,
            });
        let absurd: Vec<OpIndex> =
            refused.clone().filter(|(_, absurd)| *absurd).map(|(index, _)| index).take(1).collect();
        if absurd.is_empty() || !refused.clone().all(|(_, absurd)| absurd) || refused.clone().count() < ENOUGH {
            return None;
        }
        let words = format!(
            "all {} refused compare-and-sets saw the very value they expected: does the adapter record the value expected \
             instead of the one that was there?",
            refused.count()
        );
        Some(Lint::new(LintKind::RefusedWhatTheySaw, &words, absurd))
    }

    fn none_won(&self) -> Option<Lint> {
        let tried = self.operations().filter(|(_, operation)| matches!(operation.action, Action::Cas { .. }));
        let number = tried.clone().count();
        if number < ENOUGH || tried.clone().any(|(_, operation)| matches!(operation.completion, Completion::Ok(_))) {
            return None;
        }
        let words = format!("none of the {number} compare-and-sets won, so they test next to nothing");
        Some(Lint::new(LintKind::NoneWon, &words, Vec::new()))
    }

    fn times(&self) -> Option<Lint> {
        let operations = self.history.operations();
        if self.history.time_unit() != TimeUnit::Nanoseconds || operations.len() < ENOUGH {
            return None;
        }
        let first = operations[0].invoke;
        let moments = operations.iter().flat_map(|operation| [operation.invoke, operation.ret]);
        let moments = moments.filter(|&moment| moment != u64::MAX);
        let span = moments.clone().max().unwrap_or(first) - first;
        // Not even a memory access a nanosecond.
        if span < operations.len() as u64 {
            let words = format!(
                "all {} operations lie within {span} ns: times are to be nanoseconds, are these another unit?",
                operations.len()
            );
            return Some(Lint::new(LintKind::TimesTooClose, &words, Vec::new()));
        }
        if moments.clone().all(|moment| moment % 1_000_000 == 0) {
            let words = "all times are whole milliseconds: operations within one millisecond of each other count as \
                         concurrent, which hides violations; record nanoseconds of a monotonic clock";
            return Some(Lint::new(LintKind::CoarseClock, words, Vec::new()));
        }
        None
    }

    fn repeated_values(&self) -> Option<Lint> {
        let unique_matters = matches!(
            self.spec.model,
            ModelKind::Register | ModelKind::CasRegister | ModelKind::ListAppend | ModelKind::Set | ModelKind::Queue
        );
        let made = |operation: &Operation<ValueId>| wanted(operation).filter(|_| may_be_done(operation));
        let mut is_made = vec![false; self.history.values().len()];
        let repeats = self
            .operations()
            .filter_map(|(_, operation)| made(operation))
            .filter(|new| std::mem::replace(&mut is_made[new.place()], true))
            .count();
        // Where no value at all is put in twice none is on one key.
        if !unique_matters || repeats == 0 {
            return None;
        }
        let split = Keys::of(self.history);
        let mut last_key: Vec<u32> = vec![u32::MAX; self.history.values().len()];
        let (mut repeated, mut example) = (0usize, None);
        for (number, key) in (0u32..).zip(split.histories(self.history)) {
            for (index, operation) in key.operations() {
                let Some(new) = made(operation) else { continue };
                if std::mem::replace(&mut last_key[new.place()], number) == number {
                    repeated += 1;
                    example.get_or_insert((key, index, new));
                }
            }
        }
        let (key, index, new) = example?;
        let words = format!(
            "{} put in a value that was put in before on its key, the first {} on {}: unique values are judged in linear time, \
             repeated ones only by searches",
            count(repeated, "operation"),
            describe::value(self.history.value(new)),
            describe::key_phrase(key.key),
        );
        Some(Lint::new(LintKind::RepeatedValues, &words, vec![index]))
    }
}

impl Lint {
    fn new(kind: LintKind, words: &str, operations: Vec<OpIndex>) -> Self {
        let mut letters = words.chars();
        let capital = letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect());
        let stop = if capital.ends_with(['.', '?']) { "" } else { "." };
        Self { kind, words: capital + stop, operations }
    }
}
