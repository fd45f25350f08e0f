//! Values as clients wrote and read them, and their numbers within one history.

use std::fmt;
use std::hash::BuildHasher;
use std::num::NonZeroU32;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// A value in a history: what was written, read or compared. `Nil` stands for "absent".
///
/// In JSON it is written bare: `null`, `true`, `17`, `"text"`, `[1, 2]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Absent: a key that was never written, an operation without a value.
    #[default]
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
    /// A list, as an append-list read returns it, or `[old, new]` of a compare-and-set.
    List(Vec<Value>),
}

impl Value {
    /// Whether this is [`Value::Nil`].
    #[must_use]
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
    }
}

/// The number of a value within one [`History`](super::History): equal numbers are equal values.
///
/// Ten million operations fit into memory because each holds numbers and not values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(NonZeroU32);

impl ValueId {
    /// The number of [`Value::Nil`] in every history.
    pub const NIL: Self = Self(NonZeroU32::MIN);

    /// Its place among the history's values, from 0 and without gaps.
    #[must_use]
    pub fn place(self) -> usize {
        self.0.get() as usize - 1
    }

    fn at(place: usize) -> Self {
        let number = u32::try_from(place + 1).ok().and_then(NonZeroU32::new);
        Self(number.expect("a history has fewer values than u32 has numbers"))
    }
}

/// The values of a history that is being built, each kept once.
#[derive(Debug)]
pub(super) struct Interner {
    values: Vec<Value>,
    places: HashTable<u32>,
}

impl Default for Interner {
    fn default() -> Self {
        let mut interner = Self { values: Vec::new(), places: HashTable::new() };
        assert_eq!(interner.intern(Value::Nil), ValueId::NIL, "nil is the first value");
        interner
    }
}

impl Interner {
    /// The value's number; a new one if it was not there. Expected constant time.
    pub fn intern(&mut self, value: Value) -> ValueId {
        let hash = FxBuildHasher.hash_one(&value);
        let values = &mut self.values;
        if let Some(&place) = self.places.find(hash, |&place| values[place as usize] == value) {
            return ValueId::at(place as usize);
        }
        let id = ValueId::at(values.len());
        let place = id.0.get() - 1;
        values.push(value);
        self.places.insert_unique(hash, place, |&place| FxBuildHasher.hash_one(&values[place as usize]));
        id
    }

    /// The value with this number.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.place()]
    }

    /// All values in order of their numbers.
    pub fn into_values(mut self) -> Vec<Value> {
        self.values.shrink_to_fit();
        self.values
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Bool(truth)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<Vec<Value>> for Value {
    fn from(list: Vec<Value>) -> Self {
        Value::List(list)
    }
}

/// As in JSON.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("null"),
            Value::Bool(truth) => write!(f, "{truth}"),
            Value::Int(number) => write!(f, "{number}"),
            Value::Text(text) => write!(f, "{text:?}"),
            Value::List(list) => {
                f.write_str("[")?;
                for (place, value) in list.iter().enumerate() {
                    write!(f, "{}{value}", if place == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
        }
    }
}

/// Written by hand because a derived untagged enum buffers each value and cannot say what was wrong with it.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a truth value, a whole number of 64 bits, a string, or a list of these")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number).map(Value::Int).map_err(|_| {
            E::custom(format_args!("the number {number} does not fit into 64 signed bits; write it as a string"))
        })
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        Err(E::custom(format_args!(
            "the number {number} is not a whole number of 64 signed bits; write it as a string"
        )))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = items.next_element()? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(A::Error::custom("an object is not a value of a history; write it as a string or a list"))
    }
}
