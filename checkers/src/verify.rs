//! Re-checks certificates. It believes nobody: it shares with the checkers only the types of histories, models and certificates.
//!
//! ```text
//!   order of a key ──> each operation once, none that failed, none missing ──> real time ──> replay by the definition
//!   core           ──> deletions: was every step harmless? ──> what is left ──> every order tried: none is possible
//! ```
//!
//! The definition is that of Herlihy and Wing, "Linearizability: a correctness condition for concurrent objects" (1990), section 2.
//! Keys are proven one by one because linearizability is local (section 3.1 there).
//!
//! - `object`: what the objects are;
//! - `deletions`: which deletions cannot make a possible history impossible, and why;
//! - `search`: the exhaustive search over what is left.

mod deletions;
mod object;
mod search;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Instant;

pub(crate) use self::deletions::Open;
use self::object::Object;
use crate::certificate::{Certificate, Core, KeyOrder};
use crate::history::{Action, Completion, History, OpIndex, Operation, ProcessId, Value, ValueId};
use crate::model::ModelSpec;

/// What a certificate proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proven {
    /// The history is linearizable.
    Linearizable {
        /// How many keys have an order.
        keys: usize,
        /// How many operations those orders hold.
        operations: usize,
    },
    /// The history is not linearizable.
    NotLinearizable {
        /// How many operations the core has.
        operations: usize,
        /// Whether no further allowed deletion leaves it impossible. `false` also where that could not be found out.
        minimal: bool,
    },
}

/// Why a certificate proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refuted {
    /// It is wrong. Of the verdict itself that says nothing.
    #[error("{0}")]
    Wrong(String),
    /// The core is too large to be searched within [`Bounds`].
    #[error("could not be verified: {0}")]
    Undecided(String),
}

fn wrong<T>(what: impl fmt::Display) -> Result<T, Refuted> {
    Err(Refuted::Wrong(what.to_string()))
}

/// What the exhaustive search over a core may spend. Counted and not timed, so that the answer is the same everywhere.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many operations may be tried.
    pub steps: u64,
    /// How much memory what was tried may take, roughly, bytes.
    pub memory_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { steps: 20_000_000, memory_bytes: 1 << 30 }
    }
}

/// Checks that `certificate` proves what it claims of `history` against `spec`.
///
/// An order is checked in time that grows with the history (and with what its reads returned). A core is bounded by
/// [`Bounds::default`].
///
/// # Errors
/// When it does not, or when that could not be found out.
pub fn verify(history: &History, spec: &ModelSpec, certificate: &Certificate) -> Result<Proven, Refuted> {
    verify_within(history, spec, certificate, Bounds::default())
}

/// Like [`verify`], with bounds for the search over a core.
///
/// # Errors
/// When the certificate proves nothing, or when that could not be found out.
pub fn verify_within(
    history: &History,
    spec: &ModelSpec,
    certificate: &Certificate,
    bounds: Bounds,
) -> Result<Proven, Refuted> {
    match certificate {
        Certificate::Linearization(orders) => linearization(history, spec, orders),
        Certificate::Core(core) => impossible(history, spec, core, bounds, None),
    }
}

/// Verifies a core, and gives up at this moment too: for those who look for one and have no longer.
pub(crate) fn verify_until(
    history: &History,
    spec: &ModelSpec,
    core: &Core,
    bounds: Bounds,
    end: Instant,
) -> Result<Proven, Refuted> {
    impossible(history, spec, core, bounds, Some(end))
}

/// True when the operation happened for certain, so that an order without it is none.
fn happened<V>(operation: &Operation<V>) -> bool {
    match (&operation.action, &operation.completion) {
        (_, Completion::Fail | Completion::Info) | (Action::Read, Completion::Ok(None)) => false,
        (_, Completion::Ok(_) | Completion::Mismatch { .. }) => true,
    }
}

fn linearization(history: &History, spec: &ModelSpec, orders: &[KeyOrder]) -> Result<Proven, Refuted> {
    let mut placed = vec![false; history.len()];
    let mut keys = HashSet::new();
    let mut operations = 0;
    for KeyOrder { key, order } in orders {
        if !keys.insert(key) {
            return wrong(format_args!("the key {key} has two orders"));
        }
        replay(history, spec, key, order, &mut placed)?;
        operations += order.len();
    }
    let missing =
        history.operations().iter().zip(&placed).position(|(operation, placed)| !placed && happened(operation));
    match missing {
        Some(place) => wrong(format_args!("operation {place} happened, but is in no order")),
        // Where nothing can have been done, the empty order is one; where nothing was asked for, there is nothing to prove.
        None if history.is_empty() => wrong("the history has no operations, and nothing is no proof"),
        None => Ok(Proven::Linearizable { keys: orders.len(), operations }),
    }
}

/// Checks the order of one key, and marks what it places.
fn replay(
    history: &History,
    spec: &ModelSpec,
    key: &Value,
    order: &[OpIndex],
    placed: &mut [bool],
) -> Result<(), Refuted> {
    let Some(mut object) = Object::start(spec.model, &spec.initial) else {
        return wrong(format_args!("an object of this model cannot start as {}", spec.initial));
    };
    // The number of this key, once an operation has it: to compare values once and numbers from then on.
    let mut number: Option<ValueId> = None;
    let mut latest_invocation = 0;
    // Of objects that only grow: what was read, by how much it held. Reading the same of as many is right again.
    let mut read: HashMap<ValueId, usize> = HashMap::new();
    for &OpIndex(place) in order {
        let at = place as usize;
        let Some(operation) = history.operations().get(at) else {
            return wrong(format_args!("operation {place} is not in the history, which has {}", history.len()));
        };
        if number != Some(operation.key) && history.value(operation.key) != key {
            return wrong(format_args!("operation {place} is on another key than {key}"));
        }
        number = Some(operation.key);
        if matches!(operation.completion, Completion::Fail) {
            return wrong(format_args!("operation {place} failed, and is in the order of key {key}"));
        }
        if std::mem::replace(&mut placed[at], true) {
            return wrong(format_args!("operation {place} is in the order of key {key} twice"));
        }
        // It must not come after one that was invoked only when it had returned.
        if operation.ret < latest_invocation {
            return wrong(format_args!(
                "operation {place} returned at {}, but comes after one invoked at {latest_invocation} in the order of key {key}",
                operation.ret
            ));
        }
        latest_invocation = latest_invocation.max(operation.invoke);
        let seen = match (operation.action, operation.completion, object.size()) {
            (Action::Read, Completion::Ok(Some(seen)), Some(size)) => Some((seen, size)),
            _ => None,
        };
        if seen.is_some_and(|(seen, size)| read.get(&seen) == Some(&size)) {
            continue;
        }
        if !object.apply(&operation.map(|id| history.value(id))) {
            return wrong(format_args!("operation {place} cannot end as it did where the order of key {key} has it"));
        }
        read.extend(seen);
    }
    Ok(())
}

fn impossible(
    history: &History,
    spec: &ModelSpec,
    core: &Core,
    bounds: Bounds,
    end: Option<Instant>,
) -> Result<Proven, Refuted> {
    let part = deletions::part(history, spec, core, Open::IsUnknown).map_err(Refuted::Wrong)?;
    let Some(object) = Object::start(spec.model, &part.initial) else {
        return wrong(format_args!("an object of this model cannot start as {}", spec.initial));
    };
    let operations: Vec<Operation<&Value>> =
        part.operations.iter().map(|operation| operation.map(|place| &part.values[place])).collect();
    match search::order(object, &operations, bounds, end) {
        search::Found::None => Ok(Proven::NotLinearizable { operations: core.operations.len(), minimal: core.minimal }),
        search::Found::Order(order) => {
            let order: Vec<String> = order.iter().take(20).map(|&place| part.places[place].to_string()).collect();
            let dots = if operations.len() > 20 { ", …" } else { "" };
            wrong(format_args!("the core is possible, in the order {}{dots}", order.join(", ")))
        }
        search::Found::GaveUp => Err(Refuted::Undecided(format!(
            "the core of {} operations has more orders than can be tried within {} steps and {} MiB",
            core.operations.len(),
            bounds.steps,
            bounds.memory_bytes >> 20
        ))),
    }
}

/// What the deletions that `core` stands for leave: what the object starts as, the operations, and their places in `history`.
///
/// # Errors
/// When one of them is not allowed.
pub(crate) fn left(
    history: &History,
    spec: &ModelSpec,
    core: &Core,
    open: Open,
) -> Result<(ModelSpec, Vec<Operation>, Vec<OpIndex>), Refuted> {
    let part = deletions::part(history, spec, core, open).map_err(Refuted::Wrong)?;
    let places: Vec<OpIndex> = part.places.iter().map(|&place| OpIndex(place)).collect();
    let operations = (0..).zip(&part.operations).map(|(process, operation)| {
        // Each by a process of its own: one that need not have returned may be followed by another of its process.
        Operation { process: ProcessId(process), ..operation.map(|place| part.values[place].clone()) }
    });
    let operations = operations.collect();
    Ok((ModelSpec { model: spec.model, initial: part.initial }, operations, places))
}
