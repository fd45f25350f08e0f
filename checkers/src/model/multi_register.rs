//! Several registers and lists in one object, read and changed by transactions.
//!
//! ```text
//!   {x: 1, l: [4]} ── txn [w x 2] [r l [4]] [append l 5] [r l [4, 5]] ──> {x: 2, l: [4, 5]}      all of it at once, or none
//! ```
//!
//! An absent register, nil and the empty list are one state. Transactions that share no register, neither directly nor through
//! others, are about different objects: linearizability is local, so each *part* is judged alone and the orders are then merged
//! (Herlihy and Wing, 1990, section 3.1).

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::{Model, Numbers, elements, entry};
use crate::history::{Action, Completion, MicroFunction, MicroOperation, OpIndex, Value, micro_operations};
use crate::key::KeyHistory;
use crate::search::{Entry, Problem};

/// What a register holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Content {
    /// Nothing, nil or the empty list.
    Absent,
    /// A value, by its number.
    Value(u32),
    /// A list that is not empty, by its elements' numbers.
    List(Arc<[u32]>),
}

/// One part of a transaction: what, and to which register by place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Micro {
    /// A read that returned this.
    Read(u32, Content),
    /// An overwrite.
    Write(u32, Content),
    /// An element at the end.
    Append(u32, u32),
}

/// A transaction, answered.
pub(crate) type Call = Arc<[Micro]>;

/// Some registers, by what they start with.
#[derive(Clone, Debug)]
pub(crate) struct MultiRegister {
    pub(crate) initial: Arc<[Content]>,
}

impl Model for MultiRegister {
    type State = Arc<[Content]>;
    type Call = Call;

    fn initial(&self) -> Arc<[Content]> {
        Arc::clone(&self.initial)
    }

    fn step(&self, state: &Arc<[Content]>, call: &Call) -> Option<Arc<[Content]>> {
        let mut after = Arc::clone(state);
        for part in call.iter() {
            match part {
                Micro::Read(register, content) if after[*register as usize] == *content => {}
                Micro::Read(..) => return None,
                Micro::Write(register, content) => Arc::make_mut(&mut after)[*register as usize] = content.clone(),
                Micro::Append(register, element) => {
                    let list = match &after[*register as usize] {
                        Content::Absent => [*element].into(),
                        Content::List(list) => list.iter().chain([element]).copied().collect(),
                        Content::Value(_) => return None,
                    };
                    Arc::make_mut(&mut after)[*register as usize] = Content::List(list);
                }
            }
        }
        Some(after)
    }

    fn is_read(&self, call: &Call) -> bool {
        call.iter().all(|part| matches!(part, Micro::Read(..)))
    }

    fn is_blind(&self, call: &Call) -> bool {
        // A transaction that only writes, and writes every register.
        let writes = |register: usize| {
            call.iter().any(|part| matches!(part, Micro::Write(written, _) if *written as usize == register))
        };
        call.iter().all(|part| matches!(part, Micro::Write(..))) && (0..self.initial.len()).all(writes)
    }

    fn heap_bytes(&self, state: &Arc<[Content]>) -> usize {
        let list = |content: &Content| if let Content::List(list) = content { 16 + 4 * list.len() } else { 0 };
        16 + size_of_val::<[Content]>(state) + state.iter().map(list).sum::<usize>()
    }
}

/// The `[register, value]` pairs of an initial value.
pub(crate) fn initial_pairs(initial: &Value) -> Option<Vec<(&Value, &Value)>> {
    match initial {
        Value::Nil => Some(Vec::new()),
        Value::List(pairs) => pairs.iter().map(pair_of).collect(),
        _ => None,
    }
}

fn pair_of(value: &Value) -> Option<(&Value, &Value)> {
    match elements(value) {
        [register, value] => Some((register, value)),
        _ => None,
    }
}

/// One key's transactions, in parts that share no register.
pub(crate) fn problems(key: KeyHistory<'_>, initial: &Value) -> Vec<Problem<MultiRegister>> {
    let mut reading = Reading::default();
    let mut transactions = Vec::with_capacity(key.places.len());
    for (index, operation) in key.operations() {
        let parts = match (operation.action, operation.completion) {
            (_, Completion::Fail | Completion::Mismatch { .. }) => continue,
            (Action::Txn(_), Completion::Ok(Some(answer))) => reading.parts(key.value(answer), true),
            (Action::Txn(asked), _) => reading.parts(key.value(asked), false),
            _ => continue,
        };
        transactions.push(entry(index, operation, parts));
    }
    let mut contents = vec![Content::Absent; reading.registers.len()];
    for (register, value) in initial_pairs(initial).unwrap_or_default() {
        let register = reading.registers.of(register) as usize;
        let content = reading.content(value);
        // A register that no transaction mentions matters to none.
        if let Some(place) = contents.get_mut(register) {
            *place = content;
        }
    }
    split(transactions, &contents)
}

/// Numbers registers and values.
#[derive(Default)]
struct Reading<'h> {
    registers: Numbers<'h>,
    values: Numbers<'h>,
}

impl<'h> Reading<'h> {
    fn parts(&mut self, parts: &'h Value, answered: bool) -> Vec<Micro> {
        let parts = micro_operations(parts).expect("a history holds transactions of the right shape only");
        parts.into_iter().filter_map(|part| self.part(part, answered)).collect()
    }

    fn part(&mut self, part: MicroOperation<'h>, answered: bool) -> Option<Micro> {
        let register = self.registers.of(part.key);
        match part.function {
            MicroFunction::Read => answered.then(|| Micro::Read(register, self.content(part.value))),
            MicroFunction::Write => Some(Micro::Write(register, self.content(part.value))),
            MicroFunction::Append => Some(Micro::Append(register, self.values.of(part.value))),
        }
    }

    fn content(&mut self, value: &'h Value) -> Content {
        match value {
            Value::Nil => Content::Absent,
            Value::List(list) if list.is_empty() => Content::Absent,
            Value::List(_) => Content::List(elements(value).iter().map(|element| self.values.of(element)).collect()),
            value => Content::Value(self.values.of(value)),
        }
    }
}

impl Micro {
    fn register(&self) -> u32 {
        match self {
            Micro::Read(register, _) | Micro::Write(register, _) | Micro::Append(register, _) => *register,
        }
    }

    fn at(self, register: u32) -> Self {
        match self {
            Micro::Read(_, content) => Micro::Read(register, content),
            Micro::Write(_, content) => Micro::Write(register, content),
            Micro::Append(_, element) => Micro::Append(register, element),
        }
    }
}

/// The register that stands for all that are connected to this one.
fn root(parents: &mut [u32], mut register: u32) -> u32 {
    while parents[register as usize] != register {
        let grandparent = parents[parents[register as usize] as usize];
        parents[register as usize] = grandparent;
        register = grandparent;
    }
    register
}

/// A problem for each set of connected registers. A transaction that mentions none of them constrains nothing.
fn split(transactions: Vec<Entry<Vec<Micro>>>, initial: &[Content]) -> Vec<Problem<MultiRegister>> {
    let count = u32::try_from(initial.len()).expect("registers are counted in u32");
    let mut parents: Vec<u32> = (0..count).collect();
    for transaction in &transactions {
        for pair in transaction.call.windows(2) {
            let (a, b) = (root(&mut parents, pair[0].register()), root(&mut parents, pair[1].register()));
            parents[a as usize] = b;
        }
    }
    // The parts by number, and each register's place within its part.
    let mut part_of_root = vec![None; initial.len()];
    let mut parts: Vec<(Vec<Content>, Vec<Entry<Call>>)> = Vec::new();
    let mut places = Vec::with_capacity(initial.len());
    for (register, content) in (0..count).zip(initial) {
        let part = *part_of_root[root(&mut parents, register) as usize].get_or_insert_with(|| {
            parts.push((Vec::new(), Vec::new()));
            parts.len() - 1
        });
        let contents = &mut parts[part].0;
        places.push((part, u32::try_from(contents.len()).expect("registers are counted in u32")));
        contents.push(content.clone());
    }
    for Entry { index, invoke, ret, call } in transactions {
        let Some(first) = call.first() else { continue };
        let (part, _) = places[first.register() as usize];
        let here = |micro: Micro| {
            let (_, place) = places[micro.register() as usize];
            micro.at(place)
        };
        parts[part].1.push(Entry { index, invoke, ret, call: call.into_iter().map(here).collect() });
    }
    let problem =
        |(initial, entries): (Vec<Content>, _)| Problem::new(MultiRegister { initial: initial.into() }, entries);
    parts.into_iter().filter(|(_, entries)| !entries.is_empty()).map(problem).collect()
}

/// One order of the orders of all parts: each operation at the first moment at which its part's order lets it be.
///
/// That moment lies in the operation's interval, since nothing before it in its part was invoked after its return. Transactions
/// that are in no part, because they did nothing that anyone could see, come at their invocation.
pub(crate) fn merge(key: KeyHistory<'_>, orders: Vec<Vec<OpIndex>>) -> Vec<OpIndex> {
    let mut placed = FxHashSet::default();
    let mut moments: Vec<(u64, OpIndex)> = Vec::with_capacity(key.places.len());
    for order in orders {
        let mut moment = 0;
        for index in order {
            moment = moment.max(key.compact(index).invoke);
            moments.push((moment, index));
            placed.insert(index);
        }
    }
    let idle = key
        .operations()
        .filter(|(index, operation)| matches!(operation.completion, Completion::Ok(_)) && !placed.contains(index));
    moments.extend(idle.map(|(index, operation)| (operation.invoke, index)));
    // Stable: at equal moments a part's own order stays.
    moments.sort_by_key(|(moment, _)| *moment);
    moments.into_iter().map(|(_, index)| index).collect()
}
