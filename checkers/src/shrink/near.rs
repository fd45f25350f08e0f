//! From the operations that a fast test named to a part of the history that allowed deletions lead to: what must stay beside them.
//!
//! ```text
//!   registers     every value that is mentioned, every operation that can have set it, every value that those came from
//!   collections   every element that is added or taken, with all that add or take it; then also the fullest read, and elements
//!                 that tell the reads apart
//! ```

use std::collections::HashSet;

use super::units::{Family, mentioned, one};
use crate::history::{Action, Completion, OpIndex, Operation, Value, ValueId};
use crate::key::KeyHistory;
use crate::model::ModelSpec;

/// Parts that may be impossible, the smaller first. O(n).
pub(super) fn candidates(key: KeyHistory<'_>, spec: &ModelSpec, hint: &[OpIndex]) -> Vec<Vec<OpIndex>> {
    match Family::of(spec, key.operations().map(|(_, operation)| operation)) {
        Family::Values => vec![values(key, spec, hint)],
        Family::Elements => {
            let mut hint: Vec<OpIndex> = hint.to_vec();
            let first = elements(key, &hint, &[]);
            let fullest = reads(key).max_by_key(|(_, list)| list.len()).map(|(index, _)| index);
            hint.extend(fullest);
            let telling = telling_apart(key, &hint);
            vec![first, elements(key, &hint, &telling)]
        }
        _ => Vec::new(),
    }
}

fn failed(operation: &Operation<ValueId>) -> bool {
    operation.completion == Completion::Fail
}

/// What sets the value, if anything.
fn set_by(operation: &Operation<ValueId>) -> Option<ValueId> {
    match (operation.action, operation.completion) {
        (_, Completion::Fail | Completion::Mismatch { .. }) => None,
        (Action::Write(new), _) => Some(new),
        (Action::Cas { old, new }, _) => (old != new).then_some(new),
        (Action::Delete, _) => Some(ValueId::NIL),
        _ => None,
    }
}

fn values(key: KeyHistory<'_>, spec: &ModelSpec, hint: &[OpIndex]) -> Vec<OpIndex> {
    const NONE: u32 = u32::MAX;
    let name = |id| one(key.history, spec, id).place();
    // For each value the last operation that sets it; for each of those the one before.
    let mut last = vec![NONE; key.history.values().len()];
    let mut before = vec![NONE; key.places.len()];
    for ((_, operation), (place, before)) in key.operations().zip((0u32..).zip(&mut before)) {
        if let Some(new) = set_by(operation) {
            *before = std::mem::replace(&mut last[name(new)], place);
        }
    }
    let mut kept: HashSet<OpIndex> = HashSet::new();
    let mut known = HashSet::new();
    let mut open: Vec<OpIndex> = hint.iter().copied().filter(|&index| !failed(key.compact(index))).collect();
    while let Some(index) = open.pop() {
        if !kept.insert(index) {
            continue;
        }
        let mentioned = mentioned(key.compact(index)).unwrap_or_default();
        for value in mentioned.0.into_iter().chain(mentioned.1).map(name) {
            let mut setter = if known.insert(value) { last[value] } else { NONE };
            while setter != NONE {
                open.push(key.places[setter as usize]);
                setter = before[setter as usize];
            }
        }
    }
    sorted(kept)
}

fn sorted(kept: HashSet<OpIndex>) -> Vec<OpIndex> {
    let mut kept: Vec<OpIndex> = kept.into_iter().collect();
    kept.sort_unstable();
    kept
}

/// The element that an operation adds or takes, if it is known.
fn element(operation: &Operation<ValueId>) -> Option<ValueId> {
    match (operation.action, operation.completion) {
        (_, Completion::Fail) => None,
        (Action::Append(element) | Action::Add(element) | Action::Enqueue(element), _) => Some(element),
        (Action::Dequeue, Completion::Ok(Some(taken))) if taken != ValueId::NIL => Some(taken),
        _ => None,
    }
}

fn reads(key: KeyHistory<'_>) -> impl Iterator<Item = (OpIndex, &[Value])> {
    key.operations().filter_map(move |(index, operation)| match (operation.action, operation.completion) {
        (Action::Read, Completion::Ok(Some(seen))) => match key.value(seen) {
            Value::List(list) => Some((index, list.as_slice())),
            _ => Some((index, [].as_slice())),
        },
        _ => None,
    })
}

fn elements(key: KeyHistory<'_>, hint: &[OpIndex], more: &[&Value]) -> Vec<OpIndex> {
    let mut wanted: HashSet<ValueId> = hint.iter().filter_map(|&index| element(key.compact(index))).collect();
    let mut kept: HashSet<OpIndex> = hint.iter().copied().filter(|&index| !failed(key.compact(index))).collect();
    if !more.is_empty() {
        let ids = key.operations().filter_map(|(_, operation)| element(operation));
        wanted.extend(ids.filter(|&id| more.contains(&key.value(id))));
    }
    for (index, operation) in key.operations() {
        // What a dequeue of unknown result took cannot be taken out.
        let is_unknown_dequeue = operation.action == Action::Dequeue
            && matches!(operation.completion, Completion::Info | Completion::Ok(None));
        if is_unknown_dequeue || element(operation).is_some_and(|element| wanted.contains(&element)) {
            kept.insert(index);
        }
    }
    sorted(kept)
}

/// For each two of the reads an element that one has and the other has not.
fn telling_apart<'h>(key: KeyHistory<'h>, hint: &[OpIndex]) -> Vec<&'h Value> {
    let lists: Vec<&[Value]> = reads(key).filter(|(index, _)| hint.contains(index)).map(|(_, list)| list).collect();
    let sets: Vec<HashSet<&Value>> = lists.iter().map(|list| list.iter().collect()).collect();
    let mut telling = Vec::new();
    for list in &lists {
        telling.extend(sets.iter().filter_map(|other| list.iter().find(|element| !other.contains(element))));
    }
    telling
}
