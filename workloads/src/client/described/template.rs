//! Text with places to be filled in: `/kv/{key}`, `{"value": {value|json}}`.
//!
//! A place is a brace, a word of small letters and underscores, any filters, and a brace; every other brace is text, so that JSON can be
//! written as it is. Which words there are depends on where the template stands; an unknown one is an error.
//!
//! | filter | gives |
//! |---|---|
//! | none | text as it is, a number in digits, everything else as JSON |
//! | `json` | JSON: text in quotes; only as the first filter |
//! | `base64` | the bytes before it in base64 |
//! | `url` | all but letters, digits and `-._~` as `%XX` |

use std::{fmt, marker::PhantomData};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use checkers::history::Value;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Templates are no longer.
const BYTES_MAX: usize = 64 << 10;

/// The words that can be filled in at some place.
pub trait Words {
    /// All of them.
    const ALL: &'static [&'static str];
    /// Those that a request without them cannot mean what it stands for.
    const NEEDED: &'static [&'static str] = Self::ALL;
}

/// What a place can be done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    Json,
    Base64,
    Url,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Place { word: &'static str, filters: Vec<Filter> },
}

/// Text with places for the words of `W`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template<W> {
    source: String,
    parts: Vec<Part>,
    words: PhantomData<fn() -> W>,
}

impl<W: Words> Template<W> {
    /// From its source.
    ///
    /// # Errors
    /// A sentence about the first place that cannot be filled in.
    pub fn parse(source: &str) -> Result<Self, String> {
        if source.len() > BYTES_MAX {
            return Err(format!("a template has at most {} KiB", BYTES_MAX >> 10));
        }
        let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), source);
        while let Some(open) = rest.find('{') {
            let (before, after) = rest.split_at(open);
            text.push_str(before);
            match after[1..].find(['{', '}']).filter(|close| after.as_bytes()[1 + close] == b'}') {
                Some(close) if is_place(&after[1..=close]) => {
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(place::<W>(&after[1..=close])?);
                    rest = &after[close + 2..];
                }
                _ => {
                    text.push('{');
                    rest = &after[1..];
                }
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self { source: source.to_owned(), parts, words: PhantomData })
    }
}

impl<W> Template<W> {
    /// As it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The words that it has a place for.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Place { word, .. } => Some(*word),
        })
    }

    /// The text with every place filled in.
    #[must_use]
    pub fn fill(&self, of: impl Fn(&str) -> Value) -> String {
        self.fill_with(of, |text, _| text)
    }

    /// The same for a path: what is filled in is quoted for a URL, unless it is already.
    #[must_use]
    pub fn fill_path(&self, of: impl Fn(&str) -> Value) -> String {
        self.fill_with(of, |text, filters| if filters.contains(&Filter::Url) { text } else { url(&text) })
    }

    fn fill_with(&self, of: impl Fn(&str) -> Value, last: impl Fn(String, &[Filter]) -> String) -> String {
        let fill = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Place { word, filters } => last(filtered(&of(word), filters), filters),
        };
        self.parts.iter().map(fill).collect()
    }
}

/// Whether what stands between braces is meant as a place.
fn is_place(inside: &str) -> bool {
    inside.starts_with(|c: char| c.is_ascii_lowercase())
        && inside.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_| ".contains(&byte))
}

fn place<W: Words>(inside: &str) -> Result<Part, String> {
    let mut words = inside.split('|').map(str::trim);
    let name = words.next().unwrap_or_default();
    let Some(word) = W::ALL.iter().find(|word| **word == name) else {
        let known: Vec<String> = W::ALL.iter().map(|word| format!("{{{word}}}")).collect();
        return Err(match &known[..] {
            [] => format!("{{{name}}} cannot be filled in here: nothing can"),
            known => format!("{{{name}}} cannot be filled in here; there are {}", known.join(", ")),
        });
    };
    let mut filters = Vec::new();
    for name in words {
        filters.push(match name {
            "json" if filters.is_empty() => Filter::Json,
            "json" => return Err(format!("in {{{inside}}}, json must be the first filter")),
            "base64" => Filter::Base64,
            "url" => Filter::Url,
            _ => return Err(format!("no filter is called {name:?}; there are json, base64 and url")),
        });
    }
    Ok(Part::Place { word, filters })
}

fn filtered(value: &Value, filters: &[Filter]) -> String {
    let json = || serde_json::to_string(value).expect("a value is always JSON");
    let plain = match (value, filters.first()) {
        (_, Some(Filter::Json)) => json(),
        (Value::Text(text), _) => text.clone(),
        _ => json(),
    };
    filters.iter().fold(plain, |text, filter| match filter {
        Filter::Json => text,
        Filter::Base64 => BASE64.encode(text),
        Filter::Url => url(&text),
    })
}

/// For a URL (RFC 3986, section 2.3: the unreserved characters stay).
fn url(text: &str) -> String {
    let quote = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(quote).collect()
}

impl<W> fmt::Display for Template<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl<W> Serialize for Template<W> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl<'de, W: Words> Deserialize<'de> for Template<W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct KeyAndValue;

    impl Words for KeyAndValue {
        const ALL: &'static [&'static str] = &["key", "value"];
    }

    fn fill(source: &str, key: &str, value: Value) -> String {
        let template = Template::<KeyAndValue>::parse(source).expect(source);
        template.fill(|word| if word == "key" { Value::Text(key.to_owned()) } else { value.clone() })
    }

    #[test]
    fn places_are_filled_in_and_json_stays() {
        assert_eq!(fill("/kv/{key}", "k1", Value::Nil), "/kv/k1");
        let list = Value::List(vec![Value::Int(1), Value::Text("a\"b".into())]);
        assert_eq!(fill(r#"{"a":{"k":"{key}","v":{value}}}"#, "k", list.clone()), r#"{"a":{"k":"k","v":[1,"a\"b"]}}"#);
        assert_eq!(fill("{value}{value|json}", "k", Value::Int(-7)), "-7-7");
        assert_eq!(fill("{key} {key|json}", "a\"b", Value::Nil), r#"a"b "a\"b""#);
        assert_eq!(fill("{ key | base64 } {}{1}{{key}", "k", Value::Nil), "{ key | base64 } {}{1}{k");
        assert_eq!(fill("{key|base64} {value|json|base64|url}", "k1", list), "azE= WzEsImFcImIiXQ%3D%3D");
        assert_eq!(fill("{value}", "k", Value::Nil), "null");
    }

    #[test]
    fn in_a_path_nothing_leads_elsewhere() {
        let path = Template::<KeyAndValue>::parse("/kv/{key}?v={value|url}").unwrap();
        let filled = path.fill_path(|word| Value::Text(if word == "key" { "../a b?#" } else { "ü&" }.to_owned()));
        assert_eq!(filled, "/kv/..%2Fa%20b%3F%23?v=%C3%BC%26");
    }

    #[test]
    fn what_cannot_be_filled_in_is_refused() {
        for (source, words) in [
            ("{vlaue}", "{vlaue} cannot be filled in here; there are {key}, {value}"),
            ("{key|rot13}", "no filter is called \"rot13\""),
            ("{key|base64|json}", "json must be the first"),
            ("{key|}", "no filter is called \"\""),
        ] {
            let error = Template::<KeyAndValue>::parse(source).expect_err(source);
            assert!(error.contains(words), "{error}");
        }
        assert!(Template::<KeyAndValue>::parse(&"x".repeat(BYTES_MAX + 1)).is_err());
        let words: Vec<_> = Template::<KeyAndValue>::parse("{key}{value}{key}").unwrap().words().collect();
        assert_eq!(words, ["key", "value", "key"]);
    }

    #[test]
    fn it_is_stored_as_it_was_written() {
        let template = Template::<KeyAndValue>::parse("a{key|url}{").unwrap();
        let json = serde_json::to_string(&template).unwrap();
        assert_eq!(json, r#""a{key|url}{""#);
        assert_eq!(serde_json::from_str::<Template<KeyAndValue>>(&json).unwrap(), template);
    }
}
