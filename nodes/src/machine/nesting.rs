//! Reading values from bytes, to a bounded depth.
//!
//! A list takes two bytes a level, so a message of a broken peer, or a damaged file, could hold a million levels: enough to overflow
//! the stack of whoever reads it, which nothing can catch. The format is that of the derived serialisation, which stays in use.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, EnumAccess, Error, SeqAccess, VariantAccess, Visitor},
};

use super::Value;

/// Lists are read nested this deep. The client API takes fewer levels, and an append adds one.
pub const STORED_DEPTH_MAX: usize = 32;

/// Elements for which room is made before they are there.
const RESERVED_ELEMENTS_MAX: usize = 4096;

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AnyValue { depth_left: STORED_DEPTH_MAX }.deserialize(deserializer)
    }
}

/// The variants of [`Value`], in their order.
#[derive(Deserialize)]
#[serde(variant_identifier)]
enum Variant {
    Nil,
    Int,
    Text,
    List,
}

/// Reads a value.
#[derive(Clone, Copy)]
struct AnyValue {
    depth_left: usize,
}

/// Reads the elements of a list.
struct Elements {
    each: AnyValue,
}

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_enum("Value", &["Nil", "Int", "Text", "List"], self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the store")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Value, A::Error> {
        let (variant, content) = data.variant()?;
        match variant {
            Variant::Nil => content.unit_variant().map(|()| Value::Nil),
            Variant::Int => content.newtype_variant().map(Value::Int),
            Variant::Text => content.newtype_variant().map(Value::Text),
            Variant::List => {
                let depth_left = self.depth_left.checked_sub(1);
                let depth_left = depth_left.ok_or_else(|| A::Error::custom("lists are nested too deep"))?;
                content.newtype_variant_seed(Elements { each: Self { depth_left } }).map(Value::List)
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Vec<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Value>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Value>, A::Error> {
        // What the bytes say of their number is not to be believed before they came.
        let mut elements = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(RESERVED_ELEMENTS_MAX));
        while let Some(element) = seq.next_element_seed(self.each)? {
            elements.push(element);
        }
        Ok(elements)
    }
}
