//! What an answer means: rules, tried in order.
//!
//! ```text
//!   answer ──> rule 1: status? json? is? starts-with? body? ──┬─ all hold ──> its outcome, with the value it points at
//!              rule 2 …                                       └─ else the next; after the last: nobody knows
//! ```
//!
//! What no rule is for is not known: `info` for what changes something, `fail` for a read.

use std::{collections::BTreeMap, fmt};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use checkers::history::Value;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value as Json;

use crate::client::{Outcome, REFUSED, from_json, http::Answer};

/// The reason of an answer whose value cannot be read.
const BAD_ANSWER: &str = "bad-answer";

/// A place in a JSON document, as RFC 6901 writes it: `/kvs/0/value`; the whole document is an empty text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pointer(String);

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() || text.starts_with('/') {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is no JSON pointer; one looks like \"/kvs/0/value\""))
        }
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> Self {
        pointer.0
    }
}

impl Pointer {
    /// What is there.
    #[must_use]
    pub fn of<'j>(&self, json: &'j Json) -> Option<&'j Json> {
        json.pointer(&self.0)
    }
}

/// What something in a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Is {
    /// Nothing is there.
    Missing,
    /// Something is there, be it null.
    Present,
    /// Null.
    Null,
    /// True or false.
    Boolean,
    /// A number.
    Number,
    /// Text.
    String,
    /// A list.
    Array,
    /// Names with values.
    Object,
}

impl Is {
    fn holds(self, json: Option<&Json>) -> bool {
        match (self, json) {
            (Self::Missing, found) => found.is_none(),
            (_, None) => false,
            (Self::Present, Some(_)) => true,
            (Self::Null, Some(json)) => json.is_null(),
            (Self::Boolean, Some(json)) => json.is_boolean(),
            (Self::Number, Some(json)) => json.is_number(),
            (Self::String, Some(json)) => json.is_string(),
            (Self::Array, Some(json)) => json.is_array(),
            (Self::Object, Some(json)) => json.is_object(),
        }
    }
}

/// HTTP statuses: one, or a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Statuses(Vec<u16>);

impl Statuses {
    /// Just this one.
    #[must_use]
    pub fn one(status: u16) -> Self {
        Self(vec![status])
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> serde::de::Visitor<'de> for OneOrMany {
            type Value = Vec<u16>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an HTTP status, or a list of them")
            }

            fn visit_i64<E: Error>(self, status: i64) -> Result<Vec<u16>, E> {
                u16::try_from(status)
                    .map(|status| vec![status])
                    .map_err(|_| E::custom(format!("{status} is no HTTP status")))
            }

            fn visit_u64<E: Error>(self, status: u64) -> Result<Vec<u16>, E> {
                self.visit_i64(i64::try_from(status).unwrap_or(i64::MAX))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u16>, A::Error> {
                let mut statuses = Vec::new();
                while let Some(status) = seq.next_element()? {
                    statuses.push(status);
                }
                Ok(statuses)
            }
        }
        let statuses = deserializer.deserialize_any(OneOrMany)?;
        match statuses.iter().find(|status| !(100..=599).contains(*status)) {
            Some(wrong) => Err(D::Error::custom(format!("{wrong} is no HTTP status"))),
            None if statuses.is_empty() => Err(D::Error::custom("no status at all fits an empty list")),
            None => Ok(Self(statuses)),
        }
    }
}

/// What must hold of an answer; what is left out always does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Conditions {
    /// The status is this, or one of these.
    pub status: Option<Statuses>,
    /// In the JSON body these are equal to these.
    pub json: BTreeMap<Pointer, Json>,
    /// In the JSON body these are of this kind.
    pub is: BTreeMap<Pointer, Is>,
    /// In the JSON body these are texts that start with this.
    pub starts_with: BTreeMap<Pointer, String>,
    /// The body is this text, but for white space around it.
    pub body: Option<String>,
}

impl Conditions {
    /// Whether the answer is as wanted.
    #[must_use]
    pub(in crate::client) fn hold(&self, answer: &Answer) -> bool {
        self.hold_of(answer.status, &answer.body, parse(answer).as_ref())
    }

    fn hold_of(&self, status: u16, body: &[u8], json: Option<&Json>) -> bool {
        let at = |pointer: &Pointer| json.and_then(|json| pointer.of(json));
        let needs_json = !(self.json.is_empty() && self.is.is_empty() && self.starts_with.is_empty());
        let is_text = |text: &String| std::str::from_utf8(body).is_ok_and(|body| body.trim() == text.trim());
        (!needs_json || json.is_some())
            && self.status.as_ref().is_none_or(|statuses| statuses.0.contains(&status))
            && self.json.iter().all(|(pointer, wanted)| at(pointer) == Some(wanted))
            && self.is.iter().all(|(pointer, is)| is.holds(at(pointer)))
            && self.starts_with.iter().all(|(pointer, start)| {
                at(pointer).and_then(Json::as_str).is_some_and(|text| text.starts_with(start.as_str()))
            })
            && self.body.as_ref().is_none_or(is_text)
    }
}

fn parse(answer: &Answer) -> Option<Json> {
    serde_json::from_slice(&answer.body).ok()
}

/// What an answer can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    /// It was done.
    Ok,
    /// It was definitely not done, and never will be.
    Fail,
    /// It may have been done, or be done yet.
    Info,
    /// The value was another one than a compare-and-set expects, so it was not done.
    Mismatch,
    /// The lock was held by another one, or not held by the one that wants to release it, so it was not done.
    Refused,
}

impl Meaning {
    /// The name in a description.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Fail => "fail",
            Self::Info => "info",
            Self::Mismatch => "mismatch",
            Self::Refused => "refused",
        }
    }
}

/// Where a value is in an answer, and how it is written there: `/kvs/0/value|base64|json`, `body|integer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    source: String,
    /// In the JSON document; none for the body as text.
    pointer: Option<Pointer>,
    filters: Vec<Decode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decode {
    Base64,
    Json,
    Integer,
    Text,
}

impl Place {
    fn parse(source: &str) -> Result<Self, String> {
        let mut words = source.split('|').map(str::trim);
        let at = words.next().unwrap_or_default();
        let pointer = (at != "body").then(|| Pointer::try_from(at.to_owned())).transpose();
        let pointer = pointer.map_err(|why| format!("{why}; or \"body\" for the whole body as text"))?;
        let mut filters = Vec::new();
        for name in words {
            if filters.last().is_some_and(|last| *last != Decode::Base64) {
                return Err(format!("in {source:?}, nothing comes after json, integer or text"));
            }
            filters.push(match name {
                "base64" => Decode::Base64,
                "json" => Decode::Json,
                "integer" => Decode::Integer,
                "text" => Decode::Text,
                _ => {
                    return Err(format!("no value is written as {name:?}; there are base64, json, integer and text"));
                }
            });
        }
        if filters.last() == Some(&Decode::Base64) || pointer.is_none() && filters.is_empty() {
            return Err(format!("{source:?} does not say what the bytes are: add |json, |integer or |text"));
        }
        Ok(Self { source: source.to_owned(), pointer, filters })
    }

    /// The value there; none where there is nothing that can be read so.
    fn value(&self, body: &[u8], json: Option<&Json>) -> Option<Value> {
        let mut bytes = match &self.pointer {
            None => body.to_vec(),
            Some(pointer) => match (pointer.of(json?)?, self.filters.first()) {
                (found, None) => return from_json(found.clone()),
                (Json::String(text), Some(_)) => text.clone().into_bytes(),
                // What is a number already needs no reading of text.
                (Json::Number(number), Some(Decode::Integer)) => return number.as_i64().map(Value::Int),
                _ => return None,
            },
        };
        for filter in &self.filters {
            match filter {
                Decode::Base64 => bytes = BASE64.decode(bytes.trim_ascii()).ok()?,
                Decode::Json => return serde_json::from_slice(&bytes).ok(),
                Decode::Integer => return std::str::from_utf8(&bytes).ok()?.trim().parse().ok().map(Value::Int),
                Decode::Text => return String::from_utf8(bytes).ok().map(Value::Text),
            }
        }
        None
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// What an answer means if all of this holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenRule", into = "WrittenRule")]
pub struct Rule {
    when: Conditions,
    pub(super) outcome: Meaning,
    pub(super) value: Option<Place>,
    pub(super) absent: bool,
    reason: Option<String>,
}

/// A rule as it stands in a description: the fields of [`Conditions`], and these.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenRule {
    #[serde(default)]
    status: Option<Statuses>,
    #[serde(default)]
    json: BTreeMap<Pointer, Json>,
    #[serde(default)]
    is: BTreeMap<Pointer, Is>,
    #[serde(default)]
    starts_with: BTreeMap<Pointer, String>,
    #[serde(default)]
    body: Option<String>,
    /// What it means.
    outcome: Meaning,
    /// Where the value is that was read, or seen in place of the one expected.
    #[serde(default)]
    value: Option<Place>,
    /// There is no value: the key is absent, the queue empty.
    #[serde(default)]
    absent: bool,
    /// A stable code for reports.
    #[serde(default)]
    reason: Option<String>,
}

impl TryFrom<WrittenRule> for Rule {
    type Error = String;

    fn try_from(written: WrittenRule) -> Result<Self, Self::Error> {
        let WrittenRule { status, json, is, starts_with, body, outcome, value, absent, reason } = written;
        let when = Conditions { status, json, is, starts_with, body };
        if when == Conditions::default() {
            return Err("an answer without status, json, is, starts-with or body would be every answer".to_owned());
        }
        if absent && value.is_some() {
            return Err("an answer has a value, or says that there is none (absent), but not both".to_owned());
        }
        if (absent || value.is_some()) && !matches!(outcome, Meaning::Ok | Meaning::Mismatch) {
            return Err(format!("an answer that means {} has no value", outcome.name()));
        }
        Ok(Self { when, outcome, value, absent, reason })
    }
}

impl From<Rule> for WrittenRule {
    fn from(rule: Rule) -> Self {
        let Rule { when: Conditions { status, json, is, starts_with, body }, outcome, value, absent, reason } = rule;
        Self { status, json, is, starts_with, body, outcome, value, absent, reason }
    }
}

impl Rule {
    /// Whether it says what a value is, or that there is none.
    pub(super) fn gives(&self) -> bool {
        self.value.is_some() || self.absent
    }

    /// The outcome of an operation that gives a value, or does not, and only reads, or does more; none if the rule is not for this answer.
    fn outcome(&self, answer: &Answer, json: Option<&Json>, gives: bool, is_read: bool) -> Option<Outcome> {
        if !self.when.hold_of(answer.status, &answer.body, json) {
            return None;
        }
        let reason = || self.reason.clone().unwrap_or_else(|| format!("http-{}", answer.status));
        let value = match (&self.value, self.absent) {
            (Some(place), _) => place.value(&answer.body, json).map(Some),
            (None, true) => Some(Some(Value::Nil)),
            (None, false) => Some(None),
        };
        let bad = || if is_read { Outcome::fail(BAD_ANSWER) } else { Outcome::info(BAD_ANSWER) };
        Some(match (self.outcome, value) {
            (_, None) => bad(),
            // What was taken and not told is of unknown outcome, or the judge would hear of an empty queue.
            (Meaning::Ok, Some(None)) if gives => bad(),
            (Meaning::Ok, Some(value)) => Outcome::ok(value.filter(|_| gives)),
            (Meaning::Mismatch, Some(observed)) => Outcome::mismatch(observed),
            (Meaning::Fail, _) => Outcome::fail(reason()),
            // A read that is not known to have read constrains nothing.
            (Meaning::Info, _) if is_read => Outcome::fail(reason()),
            (Meaning::Info, _) => Outcome::info(reason()),
            (Meaning::Refused, _) => Outcome::fail(REFUSED),
        })
    }
}

/// What the answer means by the first rule that is for it.
pub(super) fn judge<'r>(
    mut rules: impl Iterator<Item = &'r Rule>,
    answer: &Answer,
    gives: bool,
    is_read: bool,
) -> Outcome {
    let json = parse(answer);
    rules.find_map(|rule| rule.outcome(answer, json.as_ref(), gives, is_read)).unwrap_or_else(|| {
        let reason = match answer.status {
            200..=299 => BAD_ANSWER.to_owned(),
            status => format!("http-{status}"),
        };
        if is_read { Outcome::fail(reason) } else { Outcome::info(reason) }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.as_bytes().to_vec() }
    }

    fn rule(json: Json) -> Rule {
        serde_json::from_value(json).expect("a rule")
    }

    fn value(place: &str, body: &str) -> Option<Value> {
        Place::parse(place).expect(place).value(body.as_bytes(), serde_json::from_str(body).ok().as_ref())
    }

    #[test]
    fn values_are_found_and_read_as_they_are_written() {
        let body = r#"{"a": [{"v": "NQ=="}, 7, "8", null, "x", 1.5, {"v": 1}]}"#;
        for (place, wanted) in [
            ("/a/0/v|base64|json", Some(Value::Int(5))),
            ("/a/0/v|base64|text", Some(Value::Text("5".into()))),
            ("/a/1", Some(Value::Int(7))),
            ("/a/1|integer", Some(Value::Int(7))),
            ("/a/2", Some(Value::Text("8".into()))),
            ("/a/2|integer", Some(Value::Int(8))),
            ("/a/2|json", Some(Value::Int(8))),
            ("/a/3", Some(Value::Nil)),
            ("/a/4|integer", None),
            ("/a/4|base64|json", None),
            ("/a/5", None),
            ("/a/6", None),
            ("/a/9", None),
            ("/b", None),
        ] {
            assert_eq!(value(place, body), wanted, "{place}");
        }
        assert_eq!(value("body|integer", " 12\n"), Some(Value::Int(12)));
        assert_eq!(value("body|json", "[1,2]"), Some(Value::List(vec![Value::Int(1), Value::Int(2)])));
        assert_eq!(value("body|text", "12"), Some(Value::Text("12".into())));
        for wrong in ["a/b", "body", "/v|base64", "/v|json|base64", "/v|rot13", "/v|"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rules = [
            rule(json!({"status": [200, 201], "is": {"/kvs": "missing"}, "outcome": "ok", "absent": true})),
            rule(json!({"status": 200, "outcome": "ok", "value": "/kvs/0"})),
            rule(json!({"status": 409, "json": {"/error": "held"}, "outcome": "refused"})),
            rule(json!({"starts-with": {"/error": "too many"}, "outcome": "fail", "reason": "busy"})),
            rule(json!({"status": 412, "outcome": "mismatch", "value": "/now"})),
            rule(json!({"body": "nope", "outcome": "info"})),
        ];
        let judge = |status, body: &str, is_read| judge(rules.iter(), &answer(status, body), is_read, is_read);
        assert_eq!(judge(200, "{}", true), Outcome::ok(Some(Value::Nil)));
        assert_eq!(judge(200, r#"{"kvs": [4]}"#, true), Outcome::ok(Some(Value::Int(4))));
        assert_eq!(judge(200, r#"{"kvs": []}"#, true), Outcome::fail("bad-answer"));
        assert_eq!(judge(200, r#"{"kvs": []}"#, false), Outcome::info("bad-answer"));
        assert_eq!(judge(200, "no JSON", true), Outcome::fail("bad-answer"));
        assert_eq!(judge(409, r#"{"error": "held"}"#, false), Outcome::fail(REFUSED));
        assert_eq!(judge(429, r#"{"error": "too many requests"}"#, false), Outcome::fail("busy"));
        assert_eq!(judge(412, r#"{"now": 3}"#, false), Outcome::mismatch(Some(Value::Int(3))));
        assert_eq!(judge(412, "{}", false), Outcome::info("bad-answer"));
        assert_eq!(judge(500, "nope\n", false), Outcome::info("http-500"));
        // Nobody knows what these are.
        for (status, body) in [(500, "{}"), (302, ""), (409, "{}"), (404, "{")] {
            assert_eq!(judge(status, body, false), Outcome::info(format!("http-{status}")));
            assert_eq!(judge(status, body, true), Outcome::fail(format!("http-{status}")));
        }
        assert_eq!(judge(204, "", false), Outcome::info("bad-answer"));
    }

    #[test]
    fn kinds_of_values() {
        let body = r#"{"o": {}, "a": [], "s": "", "n": 1, "b": false, "z": null}"#;
        for (pointer, is) in
            [("/o", "object"), ("/a", "array"), ("/s", "string"), ("/n", "number"), ("/b", "boolean"), ("/z", "null")]
        {
            for kind in ["object", "array", "string", "number", "boolean", "null", "present", "missing"] {
                let conditions: Conditions = serde_json::from_value(json!({"is": {pointer: kind}})).unwrap();
                assert_eq!(conditions.hold(&answer(200, body)), kind == is || kind == "present", "{pointer} {kind}");
            }
        }
        let missing: Conditions = serde_json::from_value(json!({"is": {"/x": "missing"}})).unwrap();
        assert!(missing.hold(&answer(200, body)));
        assert!(!missing.hold(&answer(200, "no JSON")), "of what is no JSON nothing is known");
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        for wrong in [
            json!({"outcome": "ok"}),
            json!({"status": 200, "outcome": "ok", "absent": true, "value": "/v"}),
            json!({"status": 200, "outcome": "info", "value": "/v"}),
            json!({"status": 99, "outcome": "ok"}),
            json!({"status": [], "outcome": "ok"}),
            json!({"status": 70000, "outcome": "ok"}),
            json!({"status": "200", "outcome": "ok"}),
            json!({"status": 200, "outcome": "okay"}),
            json!({"status": 200}),
            json!({"state": 200, "outcome": "ok"}),
            json!({"json": {"kvs": 1}, "outcome": "ok"}),
        ] {
            assert!(serde_json::from_value::<Rule>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
