//! Keys and values as the page shows them: each text once, long ones shortened where one can see it.

use std::collections::HashMap;

use checkers::history::{History, Value, ValueId};

/// Characters of a value that are kept, the widest first; the narrower are for histories whose values would fill the page.
const WIDTHS: [usize; 3] = [96, 40, 16];

/// All texts of a page together, bytes before compression.
const TEXTS_BYTES_MAX: usize = 24 << 20;

/// What stands for a value for which there was no room.
const NOT_KEPT: &str = "(not kept in the report)";

/// Characters of a value in the drawing of a counterexample.
pub(super) const WIDE: usize = 400;

/// How a value is shown: as in JSON, in at most about `width` characters. Of what is longer the beginning and the end are kept.
pub(super) fn shown(value: &Value, width: usize) -> String {
    match value {
        Value::List(list) if list.len() > LIST_ENDS * 2 => {
            let ends = |part: &[Value]| {
                part.iter().map(|value| shortened(&value.to_string(), width / 6)).collect::<Vec<_>>().join(", ")
            };
            let whole = bounded_list(list, width);
            whole.unwrap_or_else(|| {
                let (first, last) = (ends(&list[..LIST_ENDS]), ends(&list[list.len() - LIST_ENDS..]));
                format!("[{first}, … {last}] ({} elements)", list.len())
            })
        }
        Value::Text(text) => shortened(&Value::Text(head_and_tail(text, width)).to_string(), width),
        value => shortened(&value.to_string(), width),
    }
}

/// Elements of a long list that are shown at each end.
const LIST_ENDS: usize = 2;

/// The whole list, if it is not too long; it is not written out to find that.
fn bounded_list(list: &[Value], width: usize) -> Option<String> {
    let mut text = String::from("[");
    for (place, value) in list.iter().enumerate() {
        if matches!(value, Value::List(inner) if inner.len() > width) || text.len() > width {
            return None;
        }
        if place > 0 {
            text.push_str(", ");
        }
        text.push_str(&value.to_string());
    }
    text.push(']');
    (text.chars().count() <= width).then_some(text)
}

/// A text that may be megabytes, cut before it is escaped.
fn head_and_tail(text: &str, width: usize) -> String {
    if text.len() <= width * 8 {
        return text.to_owned();
    }
    shortened(text, width * 2)
}

/// The text in at most `width` characters, and how long it was.
pub(super) fn shortened(text: &str, width: usize) -> String {
    let length = if text.len() <= width { text.len() } else { text.chars().count() };
    if length <= width {
        return text.to_owned();
    }
    let head: String = text.chars().take(width * 2 / 3).collect();
    let tail: Vec<char> = text.chars().rev().take(width / 6).collect();
    let tail: String = tail.into_iter().rev().collect();
    format!("{head}…{tail} ({length} characters)")
}

/// The texts of a page, numbered as they come.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// The texts one after the other.
    pub bytes: Vec<u8>,
    /// How long each is, bytes.
    pub lengths: Vec<u32>,
    numbers: HashMap<String, u32>,
    by_value: HashMap<ValueId, u32>,
    width: usize,
}

impl Texts {
    /// None yet. `narrowness` counts how often what came out was too large.
    pub fn new(narrowness: usize) -> Self {
        Self { width: WIDTHS[narrowness.min(WIDTHS.len() - 1)], ..Self::default() }
    }

    /// The number of a value's text.
    pub fn number(&mut self, history: &History, id: ValueId) -> u32 {
        if let Some(&number) = self.by_value.get(&id) {
            return number;
        }
        let number = self.number_of(shown(history.value(id), self.width));
        self.by_value.insert(id, number);
        number
    }

    fn number_of(&mut self, text: String) -> u32 {
        let text = if self.bytes.len() + text.len() > TEXTS_BYTES_MAX { NOT_KEPT.to_owned() } else { text };
        let next = u32::try_from(self.lengths.len()).expect("there are no more texts than values");
        *self.numbers.entry(text).or_insert_with_key(|text| {
            self.bytes.extend_from_slice(text.as_bytes());
            self.lengths.push(u32::try_from(text.len()).expect("texts are short"));
            next
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_shortened_where_one_sees_it() {
        let list = |count: i64| Value::List((1..=count).map(Value::Int).collect());
        assert_eq!(shown(&list(6), 96), "[1, 2, 3, 4, 5, 6]");
        assert_eq!(shown(&list(300), 96), "[1, 2, … 299, 300] (300 elements)");
        assert_eq!(shown(&Value::from("a\"b"), 96), r#""a\"b""#);
        let long = shown(&Value::from("x".repeat(1 << 20)), 96);
        assert!(long.contains('…') && long.chars().count() < 140, "{long}");
        assert_eq!(shortened(&"ä".repeat(100), 12), format!("{}…{} (100 characters)", "ä".repeat(8), "ä".repeat(2)));
        let deep = Value::List(vec![Value::List(vec![Value::from("y".repeat(5_000)); 9]); 9]);
        assert!(shown(&deep, 96).chars().count() < 400);
    }
}
