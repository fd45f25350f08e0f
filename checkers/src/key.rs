//! One key's part of a history.

use rustc_hash::FxHashMap;

use crate::history::{History, OpIndex, Operation, TimeUnit, Value, ValueId};

/// The operations on one key.
#[derive(Clone, Copy)]
pub(crate) struct KeyHistory<'h> {
    pub(crate) history: &'h History,
    pub(crate) key: &'h Value,
    /// In order of invocation.
    pub(crate) places: &'h [OpIndex],
}

impl<'h> KeyHistory<'h> {
    /// The operations, in order of invocation.
    pub(crate) fn operations(self) -> impl Iterator<Item = (OpIndex, &'h Operation<ValueId>)> + Clone {
        let all = self.history.operations();
        self.places.iter().map(|&index| (index, &all[index.0 as usize]))
    }

    /// An operation with its values.
    pub(crate) fn operation(self, index: OpIndex) -> Operation {
        self.history.operation(index)
    }

    /// An operation without its values: its times, process and outcome.
    pub(crate) fn compact(self, index: OpIndex) -> &'h Operation<ValueId> {
        &self.history.operations()[index.0 as usize]
    }

    pub(crate) fn value(self, id: ValueId) -> &'h Value {
        self.history.value(id)
    }

    pub(crate) fn time_unit(self) -> TimeUnit {
        self.history.time_unit()
    }
}

/// The places of a history's operations, key by key.
pub(crate) struct Keys {
    places: Vec<OpIndex>,
    /// For each key where its places end; they begin where those of the key before end.
    keys: Vec<(ValueId, usize)>,
}

impl Keys {
    /// Splits a history. O(n).
    pub(crate) fn of(history: &History) -> Self {
        let mut numbers: FxHashMap<ValueId, usize> = FxHashMap::default();
        let mut keys: Vec<(ValueId, usize)> = Vec::new();
        let mut last = 0;
        for operation in history.operations() {
            last = number(&mut numbers, &mut keys, last, operation.key);
            keys[last].1 += 1;
        }
        let mut starts = Vec::with_capacity(keys.len());
        let mut end = 0;
        for (_, count) in &mut keys {
            starts.push(end);
            end += *count;
            *count = end;
        }
        let mut places = vec![OpIndex(0); history.len()];
        for (index, operation) in (0u32..).map(OpIndex).zip(history.operations()) {
            last = number(&mut numbers, &mut keys, last, operation.key);
            places[starts[last]] = index;
            starts[last] += 1;
        }
        Self { places, keys }
    }

    /// The key histories, in order of first use.
    pub(crate) fn histories<'h>(&'h self, history: &'h History) -> Vec<KeyHistory<'h>> {
        let mut start = 0;
        let part = |&(key, end): &(ValueId, usize)| {
            let places = &self.places[start..end];
            start = end;
            KeyHistory { history, key: history.value(key), places }
        };
        self.keys.iter().map(part).collect()
    }
}

/// The key's number, which often is that of the operation before.
fn number(
    numbers: &mut FxHashMap<ValueId, usize>,
    keys: &mut Vec<(ValueId, usize)>,
    last: usize,
    key: ValueId,
) -> usize {
    if keys.get(last).is_some_and(|(known, _)| *known == key) {
        return last;
    }
    *numbers.entry(key).or_insert_with(|| {
        keys.push((key, 0));
        keys.len() - 1
    })
}
