//! Keys and values, and what the operations do to them.

use std::collections::BTreeMap;

use super::{
    Answer, MachineError, Operation, TxnStep, Value, WEIGHT_MAX,
    digest::{hash_of, mix},
    transaction::{Change, Touched},
};

/// Every key that holds something. A key that was overwritten with `Nil` is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Store {
    slots: BTreeMap<String, Slot>,
    /// The sum of the hashes of all slots.
    digest: u64,
    /// What was touched since [`Store::note_touched`]; nothing is noted when there is none.
    touched: Option<Touched>,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    value: Value,
    /// The hash of the value; that of a list is extended element by element.
    hash: u64,
    /// The weight of the value, likewise.
    weight: u64,
}

/// What is known of a key before a transaction begins, given what its steps so far will do.
#[derive(Clone, Copy, Debug)]
struct Outlook {
    takes_append: bool,
    weight: u64,
}

/// A number, an absent value, or a list without its elements weighs this much; a text so much more than its bytes.
const VALUE_WEIGHT: u64 = 24;

/// About how many bytes a value takes in memory. Not what this build measures: every replica must find the same.
fn weight_of(value: &Value) -> u64 {
    VALUE_WEIGHT
        + match value {
            Value::Nil | Value::Int(_) => 0,
            Value::Text(text) => text.len() as u64,
            Value::List(elements) => elements.iter().map(weight_of).sum(),
        }
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

impl Outlook {
    fn of(value: &Value, weight: u64) -> Self {
        Self { takes_append: matches!(value, Value::List(_) | Value::Nil), weight }
    }

    /// What it is after this element was appended, or the code with which that is refused.
    fn append(self, element: &Value) -> Result<Self, &'static str> {
        let weight = self.weight + weight_of(element);
        match self.takes_append {
            false => Err(Answer::WRONG_TYPE),
            true if weight > WEIGHT_MAX => Err(Answer::TOO_LARGE),
            true => Ok(Self { weight, ..self }),
        }
    }
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

    /// From now on, notes which keys are touched.
    pub(super) fn note_touched(&mut self) {
        self.touched = Some(Touched::new());
    }

    /// What was touched; notes no more.
    pub(super) fn touched(&mut self) -> Touched {
        self.touched.take().unwrap_or_default()
    }

    /// Makes a key what a transaction says. Says whether that fitted; if not, it is left as it is.
    pub(super) fn put(&mut self, change: &Change) -> bool {
        match change {
            Change::Set { key, value } => {
                self.set(key, value.clone());
                true
            }
            Change::Extend { key, at, elements } => {
                elements.iter().zip(*at..).filter(|(element, at)| !self.put_element(key, *at, element)).count() == 0
            }
        }
    }

    fn put_element(&mut self, key: &str, at: u64, element: &Value) -> bool {
        let Some(Value::List(there)) = self.get(key) else { return false };
        let (length, at) = (there.len(), usize::try_from(at).unwrap_or(usize::MAX));
        if at < length {
            return there[at] == *element;
        }
        if at == length {
            self.push(key, element.clone());
        }
        at == length
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
                if let Err(code) = self.outlook(key).append(value) {
                    return Answer::rejected(code);
                }
                self.push(key, value.clone());
                Answer::Done
            }
            Operation::Txn { steps } => self.transact(steps),
            Operation::Add { key, delta } => self.add(key, *delta),
            Operation::Pop { key } => match self.get(key) {
                None | Some(Value::List(_)) => Answer::Taken(self.pop(key)),
                Some(_) => Answer::rejected(Answer::WRONG_TYPE),
            },
        }
    }

    fn add(&mut self, key: &str, delta: i64) -> Answer {
        let number = match self.get(key) {
            None => 0,
            Some(Value::Int(number)) => *number,
            Some(_) => return Answer::rejected(Answer::WRONG_TYPE),
        };
        let Some(sum) = number.checked_add(delta) else { return Answer::rejected(Answer::TOO_LARGE) };
        self.set(key, Value::Int(sum));
        Answer::Done
    }

    /// All the steps, or none: what could refuse one is looked for before the first takes effect.
    fn transact(&mut self, steps: &[TxnStep]) -> Answer {
        if let Err(code) = self.look_ahead(steps) {
            return Answer::rejected(code);
        }
        let results = steps.iter().map(|step| match step {
            TxnStep::Read { key } => self.get(key).cloned().unwrap_or_default(),
            TxnStep::Write { key, value } => {
                self.set(key, value.clone());
                Value::Nil
            }
            TxnStep::Append { key, value } => {
                self.push(key, value.clone());
                Value::Nil
            }
        });
        Answer::Txn(results.collect())
    }

    /// Whether every append would meet a list that is not too heavy, and all that is read would be a bearable answer, given what the
    /// steps before do.
    fn look_ahead(&self, steps: &[TxnStep]) -> Result<(), &'static str> {
        let mut ahead: BTreeMap<&str, Outlook> = BTreeMap::new();
        let mut read_weight = 0;
        for step in steps {
            match step {
                TxnStep::Read { key } => {
                    read_weight += ahead.get(key.as_str()).copied().unwrap_or_else(|| self.outlook(key)).weight;
                    if read_weight > WEIGHT_MAX {
                        return Err(Answer::TOO_LARGE);
                    }
                }
                TxnStep::Write { key, value } => {
                    ahead.insert(key, Outlook::of(value, weight_of(value)));
                }
                TxnStep::Append { key, value } => {
                    let outlook = ahead.entry(key).or_insert_with(|| self.outlook(key));
                    *outlook = outlook.append(value)?;
                }
            }
        }
        Ok(())
    }

    /// Of a key as it is now; one that holds nothing counts as an empty list.
    fn outlook(&self, key: &str) -> Outlook {
        self.slots.get(key).map_or(Outlook::of(&Value::Nil, VALUE_WEIGHT), |slot| Outlook::of(&slot.value, slot.weight))
    }

    fn set(&mut self, key: &str, value: Value) {
        if let Some(touched) = &mut self.touched {
            touched.insert(key.to_owned(), None);
        }
        let (hash, weight) = (value_hash(&value), weight_of(&value));
        let old = if value == Value::Nil {
            self.slots.remove(key)
        } else {
            self.digest = self.digest.wrapping_add(slot_hash(key, hash));
            self.slots.insert(key.to_owned(), Slot { value, hash, weight })
        };
        if let Some(old) = old {
            self.digest = self.digest.wrapping_sub(slot_hash(key, old.hash));
        }
    }

    /// Only after [`Outlook::append`] had nothing against it.
    fn push(&mut self, key: &str, element: Value) {
        let Some(slot) = self.slots.get_mut(key) else {
            return self.set(key, Value::List(vec![element]));
        };
        let Value::List(elements) = &mut slot.value else {
            unreachable!("the caller looked: {key:?} holds a list");
        };
        if let Some(touched) = &mut self.touched {
            touched.entry(key.to_owned()).or_insert(Some(elements.len()));
        }
        let hash = extended(slot.hash, &element);
        slot.weight += weight_of(&element);
        elements.push(element);
        self.digest = self.digest.wrapping_sub(slot_hash(key, slot.hash)).wrapping_add(slot_hash(key, hash));
        slot.hash = hash;
    }

    /// Takes the first element of a list; `Nil` if there is none. The only change that costs what the list weighs: its hash begins
    /// with the element that goes. Only where the key holds a list or nothing.
    fn pop(&mut self, key: &str) -> Value {
        let Some(Slot { value: Value::List(elements), .. }) = self.slots.get(key) else { return Value::Nil };
        let Some((first, rest)) = elements.split_first() else { return Value::Nil };
        let (first, rest) = (first.clone(), rest.to_vec());
        self.set(key, if rest.is_empty() { Value::Nil } else { Value::List(rest) });
        first
    }
}
