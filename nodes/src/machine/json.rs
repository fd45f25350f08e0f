//! Values as the client API writes them: bare JSON, without floats, booleans and objects.

use serde_json::Value as Json;

use super::Value;

/// Lists may be nested this deep; a number or a text has depth 0, a flat list depth 1.
pub const VALUE_DEPTH_MAX: usize = 16;

/// JSON that is no value of the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A number that is not whole, or does not fit 64 bits with sign.
    #[error("the number {0} is not a whole number of 64 bits")]
    Number(String),
    /// A boolean or an object.
    #[error("{0} is no value: only null, whole numbers, texts and lists are")]
    Type(&'static str),
    /// Too many lists in lists.
    #[error("lists are nested deeper than {VALUE_DEPTH_MAX}")]
    TooDeep,
}

impl Value {
    /// The value that this JSON stands for.
    ///
    /// # Errors
    /// When it contains something that the store does not hold.
    pub fn from_json(json: Json) -> Result<Self, ValueError> {
        from_json(json, VALUE_DEPTH_MAX)
    }

    /// The JSON that stands for this value.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Nil => Json::Null,
            Self::Int(n) => Json::from(*n),
            Self::Text(text) => Json::from(text.as_str()),
            Self::List(elements) => Json::Array(elements.iter().map(Self::to_json).collect()),
        }
    }
}

fn from_json(json: Json, depth_left: usize) -> Result<Value, ValueError> {
    match json {
        Json::Null => Ok(Value::Nil),
        Json::Number(n) => n.as_i64().map(Value::Int).ok_or_else(|| ValueError::Number(n.to_string())),
        Json::String(text) => Ok(Value::Text(text)),
        Json::Array(_) if depth_left == 0 => Err(ValueError::TooDeep),
        Json::Array(elements) => {
            let values = elements.into_iter().map(|element| from_json(element, depth_left - 1));
            values.collect::<Result<_, _>>().map(Value::List)
        }
        Json::Bool(_) => Err(ValueError::Type("a boolean")),
        Json::Object(_) => Err(ValueError::Type("an object")),
    }
}
