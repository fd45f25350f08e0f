//! One key's part of a history.

use crate::history::{History, OpIndex, Operation, TimeUnit, Value, ValueId};

/// The operations on one key.
#[derive(Clone, Copy)]
pub(crate) struct KeyHistory<'h> {
    pub(crate) history: &'h History,
    pub(crate) key: &'h Value,
    /// In order of invocation.
    pub(crate) places: &'h [OpIndex],
    /// How many of the operations have an unknown outcome.
    pub(crate) unknown: usize,
}

impl<'h> KeyHistory<'h> {
    /// The operations, in order of invocation.
    pub(crate) fn operations(self) -> impl Iterator<Item = (OpIndex, &'h Operation<ValueId>)> + Clone {
        let all = self.history.operations();
        self.places.iter().map(|&index| (index, &all[index.0 as usize]))
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

/// The places of a history's operations, key by key: 4 bytes an operation.
pub(crate) struct Keys {
    places: Vec<OpIndex>,
    keys: Vec<Part>,
}

/// One key's share of the places.
struct Part {
    key: ValueId,
    /// Where its places end; they begin where those of the key before end.
    end: usize,
    unknown: usize,
}

/// The number of a value that is no key.
const NO_KEY: u32 = u32::MAX;

impl Keys {
    /// Splits a history. O(n), without hashing: values have numbers.
    pub(crate) fn of(history: &History) -> Self {
        let mut numbers = vec![NO_KEY; history.values().len()];
        let mut keys: Vec<Part> = Vec::new();
        for operation in history.operations() {
            let number = &mut numbers[operation.key.place()];
            if *number == NO_KEY {
                *number = u32::try_from(keys.len()).expect("values are counted in u32");
                keys.push(Part { key: operation.key, end: 0, unknown: 0 });
            }
            let part = &mut keys[*number as usize];
            part.end += 1;
            part.unknown += usize::from(operation.is_unknown());
        }
        if let [only] = &keys[..] {
            debug_assert_eq!(only.end, history.len(), "all operations are on the only key");
            return Self { places: (0..).map(OpIndex).take(history.len()).collect(), keys };
        }
        let mut nexts = Vec::with_capacity(keys.len());
        let mut end = 0;
        for part in &mut keys {
            nexts.push(end);
            end += part.end;
            part.end = end;
        }
        let mut places = vec![OpIndex(0); history.len()];
        for (index, operation) in (0u32..).map(OpIndex).zip(history.operations()) {
            let next = &mut nexts[numbers[operation.key.place()] as usize];
            places[*next] = index;
            *next += 1;
        }
        Self { places, keys }
    }

    /// The key histories, in order of first use.
    pub(crate) fn histories<'h>(&'h self, history: &'h History) -> Vec<KeyHistory<'h>> {
        let mut start = 0;
        let part = |part: &Part| {
            let places = &self.places[start..part.end];
            start = part.end;
            KeyHistory { history, key: history.value(part.key), places, unknown: part.unknown }
        };
        self.keys.iter().map(part).collect()
    }
}
