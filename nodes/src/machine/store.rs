//! Keys and values, and what the operations do to them.

use std::collections::BTreeMap;

use super::{
    Answer, MachineError, Operation, TxnStep, Value,
    digest::{hash_of, mix},
};

/// Every key that holds something. A key that was overwritten with `Nil` is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Store {
    slots: BTreeMap<String, Slot>,
    /// The sum of the hashes of all slots.
    digest: u64,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    value: Value,
    /// The hash of the value; that of a list is extended element by element.
    hash: u64,
}

/// The hash of the empty list.
const EMPTY_LIST: u64 = 0x6c69_7374;

fn extended(list: u64, element: &Value) -> u64 {
    mix(list ^ hash_of(element))
}

fn value_hash(value: &Value) -> u64 {
    match value {
        Value::List(elements) => elements.iter().fold(EMPTY_LIST, extended),
        other => hash_of(other),
    }
}

/// What a key and the value under it contribute to the digest.
fn slot_hash(key: &str, value_hash: u64) -> u64 {
    mix(hash_of(&key) ^ value_hash.rotate_left(32))
}

impl Store {
    /// The store that holds these.
    pub(super) fn from_values(values: BTreeMap<String, Value>) -> Result<Self, MachineError> {
        if values.values().any(|value| *value == Value::Nil) {
            return Err(MachineError::Inconsistent("a key is present and absent"));
        }
        let mut store = Self::default();
        for (key, value) in values {
            store.set(&key, value);
        }
        Ok(store)
    }

    /// Everything, in the order of the keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.slots.iter().map(|(key, slot)| (key.as_str(), &slot.value))
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.slots.get(key).map(|slot| &slot.value)
    }

    /// Decides and does one operation. Whatever it refuses has no effect.
    pub(super) fn perform(&mut self, operation: &Operation) -> Answer {
        match operation {
            Operation::Write { key, value } => {
                self.set(key, value.clone());
                Answer::Done
            }
            Operation::Cas { key, old, new } => {
                let observed = self.get(key).unwrap_or(&Value::Nil);
                if observed != old {
                    return Answer::NotEqual { observed: observed.clone() };
                }
                self.set(key, new.clone());
                Answer::Done
            }
            Operation::Append { key, value } => {
                if !self.takes_append(key) {
                    return Answer::rejected(Answer::WRONG_TYPE);
                }
                self.append(key, value.clone());
                Answer::Done
            }
            Operation::Txn { steps } => self.transact(steps),
        }
    }

    /// All the steps, or none: what could refuse one is looked for before the first takes effect.
    fn transact(&mut self, steps: &[TxnStep]) -> Answer {
        if !self.takes_all(steps) {
            return Answer::rejected(Answer::WRONG_TYPE);
        }
        let results = steps.iter().map(|step| match step {
            TxnStep::Read { key } => self.get(key).cloned().unwrap_or_default(),
            TxnStep::Write { key, value } => {
                self.set(key, value.clone());
                Value::Nil
            }
            TxnStep::Append { key, value } => {
                self.append(key, value.clone());
                Value::Nil
            }
        });
        Answer::Txn(results.collect())
    }

    /// Whether every append would meet a list, given what the steps before it do.
    fn takes_all(&self, steps: &[TxnStep]) -> bool {
        let mut is_list: BTreeMap<&str, bool> = BTreeMap::new();
        steps.iter().all(|step| match step {
            TxnStep::Read { .. } => true,
            TxnStep::Write { key, value } => {
                is_list.insert(key, matches!(value, Value::List(_) | Value::Nil));
                true
            }
            TxnStep::Append { key, .. } => *is_list.entry(key).or_insert_with(|| self.takes_append(key)),
        })
    }

    /// Whether the key holds a list, or nothing, which counts as an empty one.
    fn takes_append(&self, key: &str) -> bool {
        matches!(self.get(key), None | Some(Value::List(_)))
    }

    fn set(&mut self, key: &str, value: Value) {
        let hash = value_hash(&value);
        let old = if value == Value::Nil {
            self.slots.remove(key)
        } else {
            self.digest = self.digest.wrapping_add(slot_hash(key, hash));
            self.slots.insert(key.to_owned(), Slot { value, hash })
        };
        if let Some(old) = old {
            self.digest = self.digest.wrapping_sub(slot_hash(key, old.hash));
        }
    }

    /// Only after [`Store::takes_append`].
    fn append(&mut self, key: &str, element: Value) {
        let Some(slot) = self.slots.get_mut(key) else {
            return self.set(key, Value::List(vec![element]));
        };
        let Value::List(elements) = &mut slot.value else {
            unreachable!("the caller looked: {key:?} holds a list");
        };
        let hash = extended(slot.hash, &element);
        elements.push(element);
        self.digest = self.digest.wrapping_sub(slot_hash(key, slot.hash)).wrapping_add(slot_hash(key, hash));
        slot.hash = hash;
    }
}
