//! Which deletions cannot make a possible history impossible, and why.
//!
//! ```text
//!   history ──> one key ──> cut in time ──> what failed, what changes nothing ──> what the model allows ──> the part that is left
//! ```
//!
//! Each step has the form: *if there is an order of the history before, there is one after*. So when there is none of what is left,
//! there was none of the whole. Below, σ is an order of the history before the step.
//!
//! **Cut at a moment t.** Give each operation of σ a moment: the latest invocation among itself and those before it. These moments
//! never go back along σ, and each lies in its operation's interval, because nothing before it was invoked after its return. The
//! operations with moments up to t are a beginning of σ. All that returned by t are in it, and nothing invoked after t is.
//!
//! **Failed operations, and those that change nothing** (reads, refused compare-and-sets, those that set what was there, dequeues that
//! found the queue empty, transactions that only read): σ without them is an order, as the state is the same everywhere.
//!
//! **Registers.** Let V be the values that deleted operations set. Allowed if nothing kept mentions a value of V, and, unless V is empty,
//! no kept compare-and-set was answered "not equal" without a value. Take what is kept in the order of σ. *Wherever σ's state is not in
//! V, the new state is the same*: the operation that set it is kept (one that sets no value of V is deleted by no rule), and no kept
//! one stands between. What is kept needs at most that the state is some value outside V (a read, a compare-and-set that won).
//! So a compare-and-set from a to b may go when b is in V; when a is in V, then b must be too, for else it is kept and mentions a.
//! Texts to which nothing is appended are registers; a deletion sets "absent".
//!
//! **Lists, sets.** Let V be the elements that deleted operations add. Allowed if nothing kept adds one. V's elements are taken out of the
//! initial state and of what reads returned. Take what is kept in the order of σ: the new state is σ's without V, everywhere.
//! An element that only failed operations added, or that was added only after the cut, is not in V and stays in what was read.
//!
//! **Queues.** The same, V being the elements that deleted operations enqueue or took. First-in-first-out holds for what is left, and an
//! empty queue stays empty. A dequeue that took nobody knows what may have taken one of V: it must be kept, and, unless V is empty,
//! it need not have happened. Where it took one of V, the new order is without it.
//!
//! **Counters.** An acknowledged addition that returned before any kept read was invoked stands before all of them in σ. It may go, and its
//! number is added to the initial one.
//!
//! **Locks.** An acquisition and the release after it by the same owner, both acknowledged, may go together when every other operation of
//! that owner returned before the acquisition was invoked or was invoked after the release returned. In σ the owner holds the lock from
//! this acquisition until its own next operation, which is that release; nothing that changes the lock stands between. σ without
//! both is an order.
//!
//! **Several registers.** Let V be the registers that deleted transactions change. V's registers are taken out of every transaction. Take what
//! is kept in the order of σ: the new state is σ's without V, everywhere.

use std::collections::{HashMap, HashSet};

use super::object::{Absent, elements, number};
use crate::certificate::Core;
use crate::history::{
    Action, Completion, History, MicroFunction, OpIndex, Operation, Value, ValueId, micro_operations,
};
use crate::model::{ModelKind, ModelSpec};

/// What deletions leave of a history.
pub(super) struct Part {
    /// What the object starts as.
    pub(super) initial: Value,
    /// In order of invocation; values by their place in `values`.
    pub(super) operations: Vec<Operation<usize>>,
    pub(super) values: Vec<Value>,
    /// For each operation its place in the history.
    pub(super) places: Vec<u32>,
}

/// What becomes of an operation that is open at the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    /// Its outcome is unknown from then on. This is what a cut means.
    IsUnknown,
    /// It stays as it was answered: for those who go on deleting, and cut then.
    StaysAnswered,
}

/// One operation that the cut leaves, kept or deleted.
#[derive(Clone, Copy)]
struct Step<'h> {
    place: u32,
    is_kept: bool,
    operation: Operation<ValueId>,
    history: &'h History,
}

impl<'h> Step<'h> {
    fn value(&self, id: ValueId) -> &'h Value {
        self.history.value(id)
    }

    fn changes_nothing(&self) -> bool {
        changes_nothing(&self.operation.map(|id| self.value(id)))
    }

    fn refused(&self, why: &str) -> String {
        let what = if self.is_kept { "was kept" } else { "must not be deleted" };
        format!("operation {} {what}: {why}", self.place)
    }
}

/// True when the operation changes no state, whatever the state is.
pub(super) fn changes_nothing(operation: &Operation<&Value>) -> bool {
    match (operation.action, operation.completion) {
        (Action::Read, _) | (_, Completion::Fail | Completion::Mismatch { .. }) => true,
        (Action::Dequeue, Completion::Ok(Some(Value::Nil))) => true,
        (Action::Cas { old, new }, _) => old == new,
        (Action::Txn(parts), _) => changed(parts).is_some_and(|mut registers| registers.next().is_none()),
        _ => false,
    }
}

/// The registers that a transaction changes.
fn changed(parts: &Value) -> Option<impl Iterator<Item = &Value>> {
    let parts = micro_operations(parts).ok()?;
    Some(parts.into_iter().filter(|part| part.function != MicroFunction::Read).map(|part| part.key))
}

/// What is left of `history` when everything but the core's operations is deleted.
///
/// # Errors
/// Which deletion is not allowed, or what is wrong with the core.
pub(super) fn part(history: &History, spec: &ModelSpec, core: &Core, open: Open) -> Result<Part, String> {
    let steps = Steps::of(history, core)?;
    let end = core.cut.unwrap_or(u64::MAX);
    let mut part =
        Part { initial: spec.initial.clone(), operations: Vec::new(), values: Vec::new(), places: Vec::new() };
    let rule = Rule::of(steps, spec, end)?;
    rule.start(&mut part.initial)?;
    for step in steps.kept() {
        let mut operation = step.operation;
        let is_open = open == Open::IsUnknown && operation.ret > end;
        if is_open && step.changes_nothing() {
            continue;
        }
        if is_open || rule.makes_optional(&operation) {
            (operation.ret, operation.completion) = (u64::MAX, Completion::Info);
        }
        part.operations.push(operation.map(|id| {
            part.values.push(step.value(id).clone());
            part.values.len() - 1
        }));
        part.places.push(step.place);
        rule.take_out(&mut part);
    }
    Ok(part)
}

/// The operations on the core's key up to its cut that did not fail.
#[derive(Clone, Copy)]
struct Steps<'h> {
    history: &'h History,
    core: &'h Core,
    key: ValueId,
}

impl<'h> Steps<'h> {
    /// Checks that what was kept is among them.
    fn of(history: &'h History, core: &'h Core) -> Result<Self, String> {
        let Some(first) = core.operations.first() else { return Err("the core has no operations".into()) };
        if !core.operations.is_sorted_by(|a, b| a < b) {
            return Err("the core's operations are not in ascending order".into());
        }
        let nowhere = |place: u32| format!("operation {place} is not in the history, which has {}", history.len());
        let key = history.operations().get(first.0 as usize).ok_or_else(|| nowhere(first.0))?.key;
        for &OpIndex(place) in &core.operations {
            let operation = history.operations().get(place as usize).ok_or_else(|| nowhere(place))?;
            if *history.value(operation.key) != core.key {
                return Err(format!("operation {place} is on another key than {}", core.key));
            }
            if matches!(operation.completion, Completion::Fail) {
                return Err(format!("operation {place} failed, and is in the core"));
            }
            if core.cut.is_some_and(|cut| operation.invoke > cut) {
                return Err(format!("operation {place} was invoked after the cut, and is in the core"));
            }
        }
        Ok(Self { history, core, key })
    }

    fn all(self) -> impl Iterator<Item = Step<'h>> {
        let Self { history, core, key } = self;
        let end = core.cut.unwrap_or(u64::MAX);
        let mut kept = core.operations.iter().map(|index| index.0).peekable();
        (0u32..).zip(history.operations()).take_while(move |(_, operation)| operation.invoke <= end).filter_map(
            move |(place, &operation)| {
                let is_kept = kept.next_if_eq(&place).is_some();
                let counts = operation.key == key && !matches!(operation.completion, Completion::Fail);
                counts.then_some(Step { place, is_kept, operation, history })
            },
        )
    }

    fn kept(self) -> impl Iterator<Item = Step<'h>> {
        let Self { history, core, .. } = self;
        core.operations.iter().map(move |index| Step {
            place: index.0,
            is_kept: true,
            operation: history.operations()[index.0 as usize],
            history,
        })
    }

    /// What was deleted although it changes something.
    fn deleted(self) -> impl Iterator<Item = Step<'h>> {
        self.all().filter(|step| !step.is_kept && !step.changes_nothing())
    }
}

/// What was deleted beyond that which changes nothing, known to be allowed.
enum Rule<'h> {
    /// Nothing that is to be taken out of what is kept.
    Nothing,
    /// These elements.
    Elements(HashSet<&'h Value>),
    /// This number, into the initial one.
    Sum(i128),
    /// These registers.
    Registers(HashSet<&'h Value>),
}

impl<'h> Rule<'h> {
    fn of(steps: Steps<'h>, spec: &ModelSpec, end: u64) -> Result<Self, String> {
        match spec.model {
            ModelKind::Register | ModelKind::CasRegister => values(steps, |id| id).map(|()| Self::Nothing),
            ModelKind::ListAppend | ModelKind::Set | ModelKind::Queue => collection(steps).map(Self::Elements),
            ModelKind::Counter => sum(steps, end).map(Self::Sum),
            ModelKind::Lock => pairs(steps).map(|()| Self::Nothing),
            ModelKind::MultiRegister => registers(steps).map(Self::Registers),
            ModelKind::KeyValue => text(steps, &spec.initial).map(|()| Self::Nothing),
        }
    }

    /// What the object starts as.
    fn start(&self, initial: &mut Value) -> Result<(), String> {
        match self {
            Self::Nothing | Self::Registers(_) => {}
            Self::Elements(out) => {
                if let Value::List(list) = initial {
                    list.retain(|element| !out.contains(element));
                }
            }
            Self::Sum(0) => {}
            Self::Sum(sum) => {
                let sum = number(initial).and_then(|initial| i64::try_from(initial + sum).ok());
                *initial = Value::Int(sum.ok_or("the deleted additions have no sum of 64 bits")?);
            }
        }
        Ok(())
    }

    /// True of a dequeue that may have taken an element that is out.
    fn makes_optional(&self, operation: &Operation<ValueId>) -> bool {
        let Self::Elements(out) = self else { return false };
        !out.is_empty() && (operation.action, operation.completion) == (Action::Dequeue, Completion::Ok(None))
    }

    /// Takes what is out from the values of the operation that was just put in.
    fn take_out(&self, part: &mut Part) {
        let Some(last) = part.operations.last() else { return };
        match self {
            Self::Nothing | Self::Sum(_) => {}
            Self::Elements(out) => {
                if let (Action::Read, Completion::Ok(Some(seen))) = (last.action, last.completion)
                    && let Value::List(list) = &mut part.values[seen]
                {
                    list.retain(|element| !out.contains(element));
                }
            }
            Self::Registers(out) => {
                let (Action::Txn(asked), completion) = (last.action, last.completion) else { return };
                let answered = if let Completion::Ok(answered) = completion { answered } else { None };
                for parts in std::iter::once(asked).chain(answered) {
                    if let Value::List(parts) = &mut part.values[parts] {
                        parts.retain(|part| {
                            !elements(part).and_then(|part| part.get(1)).is_some_and(|register| out.contains(register))
                        });
                    }
                }
            }
        }
    }
}

/// Registers: nothing kept mentions a value that something deleted set. `one` makes equal what the object cannot tell apart.
fn values(steps: Steps<'_>, one: impl Fn(ValueId) -> ValueId) -> Result<(), String> {
    let mut out = vec![false; steps.history.values().len()];
    let mut any = false;
    for step in steps.deleted() {
        let set = match step.operation.action {
            Action::Write(new) | Action::Cas { new, .. } => new,
            Action::Delete => ValueId::NIL,
            _ => return Err(step.refused("it sets no value")),
        };
        out[one(set).place()] = true;
        any = true;
    }
    if !any {
        return Ok(());
    }
    for step in steps.kept() {
        let mentioned = match (step.operation.action, step.operation.completion) {
            (Action::Cas { .. }, Completion::Mismatch { observed: None }) => {
                return Err(step.refused("it was answered \"not equal\" and no more, and writes were deleted"));
            }
            (Action::Cas { .. }, Completion::Mismatch { observed }) => [observed, None],
            (Action::Cas { old, new }, _) => [Some(old), Some(new)],
            (Action::Write(new), _) => [Some(new), None],
            (Action::Read, Completion::Ok(seen)) => [seen, None],
            (Action::Delete, _) => [Some(ValueId::NIL), None],
            _ => [None, None],
        };
        if mentioned.into_iter().flatten().any(|id| out[one(id).place()]) {
            return Err(step.refused("it has to do with a value that was set by what was deleted"));
        }
    }
    Ok(())
}

/// Texts: registers, unless something is appended; then only what changes nothing may go.
fn text(steps: Steps<'_>, initial: &Value) -> Result<(), String> {
    if let Some(append) = steps.all().find(|step| matches!(step.operation.action, Action::Append(_))) {
        return steps.deleted().next().map_or(Ok(()), |step| {
            Err(step.refused(&format!("texts are appended to, by operation {}", append.place)))
        });
    }
    let absent = Absent::of(initial);
    let history = steps.history;
    let nil = absent.text(&Value::Nil);
    values(steps, |id| if absent.text(history.value(id)) == nil { ValueId::NIL } else { id })
}

/// Lists, sets, queues: nothing kept adds or takes an element that something deleted added or took. These elements.
fn collection<'h>(steps: Steps<'h>) -> Result<HashSet<&'h Value>, String> {
    let element = |step: &Step<'h>| match (step.operation.action, step.operation.completion) {
        (Action::Append(new) | Action::Add(new) | Action::Enqueue(new), _) => Some(step.value(new)),
        (Action::Dequeue, Completion::Ok(Some(taken))) => Some(step.value(taken)),
        _ => None,
    };
    let mut out = HashSet::new();
    for step in steps.deleted() {
        out.insert(element(&step).ok_or_else(|| step.refused("nobody knows what it took"))?);
    }
    if !out.is_empty() {
        for step in steps.kept().filter(|step| !step.changes_nothing()) {
            if element(&step).is_some_and(|element| out.contains(element)) {
                return Err(step.refused("others with its element were deleted"));
            }
        }
    }
    Ok(out)
}

/// Counters: what was deleted returned before any kept read was invoked. The sum of it.
fn sum(steps: Steps<'_>, end: u64) -> Result<i128, String> {
    let reads = steps.kept().filter(|step| step.operation.ret <= end && matches!(step.operation.action, Action::Read));
    let first_read = reads.map(|step| step.operation.invoke).min().unwrap_or(0);
    let mut sum = 0;
    for step in steps.deleted() {
        let known = matches!(step.operation.completion, Completion::Ok(_)) && step.operation.ret < first_read;
        let more = match step.operation.action {
            Action::Add(more) if known => number(step.value(more)),
            _ => None,
        };
        sum += more.ok_or_else(|| step.refused("it is no addition that returned before all reads"))?;
    }
    Ok(sum)
}

/// Locks: what was deleted are pairs of an owner's acquisition and release, with nothing of that owner beside them.
fn pairs(steps: Steps<'_>) -> Result<(), String> {
    let mut owners: HashMap<ValueId, Vec<Step<'_>>> = HashMap::new();
    for step in steps.all().filter(|step| !step.changes_nothing()) {
        match step.operation.action {
            Action::Acquire(owner) | Action::Release(owner) => owners.entry(owner).or_default().push(step),
            _ if step.is_kept => {}
            _ => return Err(step.refused("it is no acquisition and no release")),
        }
    }
    for steps in owners.values() {
        let mut latest_return = None;
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            let mut last = step;
            if !step.is_kept {
                let alone = |after: &Step<'_>, next: Option<&Step<'_>>| {
                    latest_return.is_none_or(|before| before < step.operation.invoke)
                        && step.operation.ret < after.operation.invoke
                        && next.is_none_or(|next| after.operation.ret < next.operation.invoke)
                };
                last = match steps.get(at + 1) {
                    Some(release)
                        if !release.is_kept && is_pair(step, release) && alone(release, steps.get(at + 2)) =>
                    {
                        release
                    }
                    _ => {
                        return Err(
                            step.refused("it is no acquisition and release of one owner with nothing beside them")
                        );
                    }
                };
                at += 1;
            }
            latest_return = latest_return.max(Some(step.operation.ret.max(last.operation.ret)));
            at += 1;
        }
    }
    Ok(())
}

fn is_pair(acquire: &Step<'_>, release: &Step<'_>) -> bool {
    matches!((acquire.operation.action, acquire.operation.completion), (Action::Acquire(_), Completion::Ok(_)))
        && matches!((release.operation.action, release.operation.completion), (Action::Release(_), Completion::Ok(_)))
}

/// Several registers: those that deleted transactions change.
fn registers<'h>(steps: Steps<'h>) -> Result<HashSet<&'h Value>, String> {
    let mut out = HashSet::new();
    for step in steps.deleted() {
        match step.operation.action {
            Action::Txn(parts) => out.extend(changed(step.value(parts)).into_iter().flatten()),
            _ => return Err(step.refused("it is no transaction")),
        }
    }
    Ok(out)
}
