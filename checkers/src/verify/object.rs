//! What the objects are, from their definitions: the state, and what each operation does to it.
//!
//! Written a second time and on purpose: the verifier must not believe the models that the checkers use.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::history::{Action, Completion, MicroFunction, Operation, Value, micro_operations};
use crate::model::ModelKind;

/// One object in one state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Object<'v> {
    /// A register holds a value.
    Register(&'v Value),
    /// A list only grows, at its end.
    List(Vec<&'v Value>),
    /// A set only grows.
    Set(BTreeSet<&'v Value>),
    /// A counter is a whole number, here one that cannot overflow.
    Counter(i128),
    /// A queue gives its oldest element first.
    Queue(VecDeque<&'v Value>),
    /// A lock is held by one owner or nobody.
    Lock(Option<&'v Value>),
    /// Several registers and lists, changed together. Absent ones are not kept.
    Registers(BTreeMap<&'v Value, Content<'v>>),
    /// A text, or none.
    Text(Option<String>, Absent),
}

/// What one of several registers holds. Absent, nil and the empty list are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Content<'v> {
    /// A value that is no list.
    Value(&'v Value),
    /// Elements, at least one.
    List(Vec<&'v Value>),
}

impl<'v> Content<'v> {
    fn of(value: &'v Value) -> Option<Self> {
        match value {
            Value::Nil => None,
            Value::List(list) if list.is_empty() => None,
            Value::List(list) => Some(Self::List(list.iter().collect())),
            value => Some(Self::Value(value)),
        }
    }

    fn is_seen_as(content: Option<&Self>, seen: &Value) -> bool {
        match (content, seen) {
            (None, seen) => Content::of(seen).is_none(),
            (Some(Self::Value(value)), seen) => *value == seen,
            (Some(Self::List(list)), Value::List(seen)) => seen.iter().eq(list.iter().copied()),
            (Some(Self::List(_)), _) => false,
        }
    }
}

/// What an absent text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Absent {
    /// The same as an empty one.
    IsEmpty,
    /// Another state than an empty one.
    IsItself,
}

impl Absent {
    /// In an object that starts as the empty text the two are one.
    pub(super) fn of(initial: &Value) -> Self {
        if matches!(initial, Value::Text(text) if text.is_empty()) { Self::IsEmpty } else { Self::IsItself }
    }

    /// A text as the object tells texts apart; `None` for what is no text.
    pub(super) fn text(self, value: &Value) -> Option<Option<&str>> {
        match (value, self) {
            (Value::Nil, Self::IsEmpty) => Some(Some("")),
            (Value::Nil, Self::IsItself) => Some(None),
            (Value::Text(text), _) => Some(Some(text)),
            _ => None,
        }
    }

    fn holds(self, state: Option<&str>, value: &Value) -> bool {
        self.text(value).is_some_and(|text| text == state)
    }
}

/// The elements of a value that stands for a collection; absent is empty.
pub(super) fn elements(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Nil => Some(&[]),
        Value::List(elements) => Some(elements),
        _ => None,
    }
}

/// The `[register, value]` pairs that several registers start with.
fn pairs(value: &Value) -> Option<Vec<(&Value, &Value)>> {
    let pair = |pair| match elements(pair)? {
        [register, value] => Some((register, value)),
        _ => None,
    };
    elements(value)?.iter().map(pair).collect()
}

/// A number; absent is zero.
pub(super) fn number(value: &Value) -> Option<i128> {
    match value {
        Value::Nil => Some(0),
        Value::Int(number) => Some(i128::from(*number)),
        _ => None,
    }
}

impl<'v> Object<'v> {
    /// The object as it starts; `None` when it cannot start so.
    pub(super) fn start(model: ModelKind, initial: &'v Value) -> Option<Self> {
        Some(match model {
            ModelKind::Register | ModelKind::CasRegister => Self::Register(initial),
            ModelKind::ListAppend => Self::List(elements(initial)?.iter().collect()),
            ModelKind::Set => Self::Set(elements(initial)?.iter().collect()),
            ModelKind::Counter => Self::Counter(number(initial)?),
            ModelKind::Queue => Self::Queue(elements(initial)?.iter().collect()),
            ModelKind::Lock => Self::Lock((!initial.is_nil()).then_some(initial)),
            ModelKind::MultiRegister => {
                let contents = |(register, value)| Content::of(value).map(|content| (register, content));
                Self::Registers(pairs(initial)?.into_iter().filter_map(contents).collect())
            }
            ModelKind::KeyValue => {
                let absent = Absent::of(initial);
                Self::Text(absent.text(initial)?.map(str::to_owned), absent)
            }
        })
    }

    /// How much it holds, where it can only grow: equal sizes are then equal states.
    pub(super) fn size(&self) -> Option<usize> {
        match self {
            Self::List(list) => Some(list.len()),
            Self::Set(set) => Some(set.len()),
            _ => None,
        }
    }

    /// Bytes behind it, roughly.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Register(_) | Self::Counter(_) | Self::Lock(_) => 0,
            Self::List(list) => 8 * list.len(),
            Self::Queue(queue) => 8 * queue.len(),
            Self::Set(set) => 16 * set.len(),
            Self::Registers(registers) => 64 * registers.len(),
            Self::Text(text, _) => text.as_ref().map_or(0, String::len),
        }
    }

    /// Does the operation, and says whether it can end as it did. If not, the object is not to be used any more.
    ///
    /// One of unknown outcome can when its condition holds: in an order is what took effect.
    pub(super) fn apply(&mut self, operation: &Operation<&'v Value>) -> bool {
        match (operation.action, operation.completion) {
            (_, Completion::Fail) => return true,
            (Action::Read, Completion::Info | Completion::Ok(None)) => return true,
            (Action::Read, Completion::Ok(Some(seen))) => return self.is_seen_as(seen),
            _ => {}
        }
        match (self, operation.action) {
            (Self::Register(state), Action::Write(new)) => *state = new,
            (Self::Register(state), Action::Cas { old, new }) => match operation.completion {
                Completion::Mismatch { observed } => {
                    return *state != old && observed.is_none_or(|seen| *state == seen);
                }
                _ if *state == old => *state = new,
                _ => return false,
            },
            (Self::List(list), Action::Append(element)) => list.push(element),
            (Self::Set(set), Action::Add(element)) => {
                set.insert(element);
            }
            (Self::Counter(count), Action::Add(Value::Int(more))) => *count += i128::from(*more),
            (Self::Queue(queue), Action::Enqueue(element)) => queue.push_back(element),
            (Self::Queue(queue), Action::Dequeue) => return dequeue(queue, operation.completion),
            (Self::Lock(holder), Action::Acquire(owner)) => match holder {
                None => *holder = Some(owner),
                Some(_) => return false,
            },
            (Self::Lock(holder), Action::Release(owner)) => {
                if *holder != Some(owner) {
                    return false;
                }
                *holder = None;
            }
            (Self::Registers(registers), Action::Txn(parts)) => {
                return match operation.completion {
                    Completion::Ok(Some(answer)) => transact(registers, answer, true),
                    _ => transact(registers, parts, false),
                };
            }
            (Self::Text(text, absent), action) => return edit(text, *absent, action, operation.completion),
            _ => return false,
        }
        true
    }

    /// Whether a read may return this value.
    fn is_seen_as(&self, seen: &Value) -> bool {
        match self {
            Self::Register(state) => *state == seen,
            Self::List(list) => elements(seen).is_some_and(|seen| seen.iter().eq(list.iter().copied())),
            Self::Set(set) => elements(seen).is_some_and(|seen| {
                // A set has each element once.
                seen.len() == set.len() && seen.iter().collect::<BTreeSet<_>>() == *set
            }),
            Self::Counter(count) => number(seen) == Some(*count),
            Self::Text(text, absent) => absent.holds(text.as_deref(), seen),
            Self::Queue(_) | Self::Lock(_) | Self::Registers(_) => false,
        }
    }
}

fn dequeue<'v>(queue: &mut VecDeque<&'v Value>, completion: Completion<&'v Value>) -> bool {
    match completion {
        Completion::Ok(Some(Value::Nil)) => queue.is_empty(),
        Completion::Ok(Some(taken)) => {
            let is_first = queue.front() == Some(&taken);
            if is_first {
                queue.pop_front();
            }
            is_first
        }
        // It took something, nobody knows what.
        _ => queue.pop_front().is_some(),
    }
}

/// Does the parts one after the other. A read sees what the parts before it did.
fn transact<'v>(registers: &mut BTreeMap<&'v Value, Content<'v>>, parts: &'v Value, answered: bool) -> bool {
    let Ok(parts) = micro_operations(parts) else { return false };
    for part in parts {
        match part.function {
            MicroFunction::Read if answered => {
                if !Content::is_seen_as(registers.get(part.key), part.value) {
                    return false;
                }
            }
            MicroFunction::Read => {}
            MicroFunction::Write => {
                match Content::of(part.value) {
                    Some(content) => registers.insert(part.key, content),
                    None => registers.remove(part.key),
                };
            }
            MicroFunction::Append => match registers.entry(part.key).or_insert_with(|| Content::List(Vec::new())) {
                Content::List(list) => list.push(part.value),
                Content::Value(_) => return false,
            },
        }
    }
    true
}

fn edit(text: &mut Option<String>, absent: Absent, action: Action<&Value>, completion: Completion<&Value>) -> bool {
    let set = |text: &mut Option<String>, new: &Value| match absent.text(new) {
        Some(new) => {
            *text = new.map(str::to_owned);
            true
        }
        None => false,
    };
    match action {
        Action::Write(new) => set(text, new),
        Action::Delete => set(text, &Value::Nil),
        Action::Append(Value::Text(more)) => {
            text.get_or_insert_default().push_str(more);
            true
        }
        Action::Cas { old, new } => {
            let matches = absent.holds(text.as_deref(), old);
            match completion {
                Completion::Mismatch { observed } => {
                    !matches && observed.is_none_or(|seen| absent.holds(text.as_deref(), seen))
                }
                _ if matches => set(text, new),
                _ => false,
            }
        }
        _ => false,
    }
}
