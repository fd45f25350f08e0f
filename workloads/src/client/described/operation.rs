//! One operation: its request, and what the answers mean.

use std::{collections::BTreeMap, marker::PhantomData};

use checkers::history::Value;
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{
    answer::{Meaning, Rule, judge},
    template::{Template, Words},
};
use crate::client::{
    Outcome,
    http::{Answer, Request},
};

/// Headers of one request.
const HEADERS_MAX: usize = 32;

/// What kind of operation it is: which words its request has, and what its answers can mean.
pub trait Kind: Words {
    /// What it is called in messages.
    const NAME: &'static str;
    /// What its answers can mean.
    const MEANINGS: &'static [Meaning];
    /// Whether an answer that means ok brings a value.
    const GIVES: bool = false;
    /// Whether it changes nothing.
    const IS_READ: bool = false;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal $words:expr, $needed:expr, $meanings:expr, $gives:literal, $is_read:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $kind;

            impl Words for $kind {
                const ALL: &'static [&'static str] = &$words;
                const NEEDED: &'static [&'static str] = &$needed;
            }

            impl Kind for $kind {
                const NAME: &'static str = $name;
                const MEANINGS: &'static [Meaning] = &$meanings;
                const GIVES: bool = $gives;
                const IS_READ: bool = $is_read;
            }
        )*
    };
}

use Meaning::{Fail, Info, Mismatch, Ok as Done, Refused};

kinds! {
    /// Reads the value, the list, the set or the sum.
    Read "read" ["key", "reads"], ["key"], [Done, Fail], true, true;
    /// Writes, appends, adds, enqueues.
    Change "change" ["key", "value"], ["key", "value"], [Done, Fail, Info], false, false;
    /// Sets the new value if the old one is there.
    Cas "compare-and-set" ["key", "old", "new"], ["key", "old", "new"], [Done, Mismatch, Fail, Info], false, false;
    /// Sets the new value if there is none.
    Create "compare-and-set from absent" ["key", "new"], ["key", "new"], [Done, Mismatch, Fail, Info], false, false;
    /// Takes the first out of a queue.
    Take "dequeue" ["key"], ["key"], [Done, Fail, Info], true, false;
    /// Acquires or releases a lock; the value is the owner.
    Hold "acquire or release" ["key", "value"], ["key", "value"], [Done, Refused, Fail, Info], false, false;
    /// A question about the server itself.
    Ask "probe" [], [], [], false, true;
}

/// How a request is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    /// Asks.
    #[default]
    Get,
    /// Posts.
    Post,
    /// Puts.
    Put,
    /// Changes a part.
    Patch,
    /// Deletes.
    Delete,
}

impl From<Verb> for Method {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Get => Self::GET,
            Verb::Post => Self::POST,
            Verb::Put => Self::PUT,
            Verb::Patch => Self::PATCH,
            Verb::Delete => Self::DELETE,
        }
    }
}

/// A path: a template that begins with a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<W>(Template<W>);

impl<W: Words> Path<W> {
    fn parse(source: &str) -> Result<Self, String> {
        if !source.starts_with('/') || source.starts_with("//") {
            return Err(format!("{source:?} is no path; one begins with a slash, and just one"));
        }
        if let Some(bad) = source.chars().find(|c| c.is_whitespace() && *c != ' ' || c.is_control() || *c == '#') {
            return Err(format!("{source:?} is no path: it has {bad:?} in it"));
        }
        let template = Template::parse(source)?;
        // Between the braces of a place there may be spaces, and nowhere else.
        if template.fill_path(|_| Value::Nil).contains(' ') {
            return Err(format!("{source:?} is no path: it has a space in it, which a URL writes as %20"));
        }
        Ok(Self(template))
    }
}

impl<W> Serialize for Path<W> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, W: Words> Deserialize<'de> for Path<W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Headers by name.
type Headers<W> = BTreeMap<String, Template<W>>;

/// What a request is made of: method, path, headers, body.
pub(super) type AskingParts<W> = (Verb, Path<W>, Headers<W>, Option<Template<W>>);

/// A request with places in it, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asking<W> {
    method: Verb,
    path: Path<W>,
    headers: BTreeMap<String, Template<W>>,
    body: Option<Template<W>>,
    words: PhantomData<fn() -> W>,
}

impl<W: Words> Asking<W> {
    /// Everything about a request that can be known before it is sent.
    pub(super) fn new(
        method: Verb,
        path: Path<W>,
        headers: BTreeMap<String, Template<W>>,
        body: Option<Template<W>>,
        name: &str,
    ) -> Result<Self, String> {
        let asking = Self { method, path, headers, body, words: PhantomData };
        let all = || asking.headers.values().chain(&asking.body).chain([&asking.path.0]);
        if let Some(missing) =
            W::NEEDED.iter().find(|word| !all().any(|template| template.words().any(|w| w == **word)))
        {
            return Err(format!("a {name} whose request does not say {{{missing}}} cannot be one"));
        }
        if asking.headers.len() > HEADERS_MAX {
            return Err(format!("a request has at most {HEADERS_MAX} headers"));
        }
        // Tried with a number, which is what clients write, and with text, which keys are.
        let sample = |word: &str| if word == "key" { Value::Text("k1".to_owned()) } else { Value::Int(1) };
        let request = asking.fill(sample)?;
        let is_json = request.headers.iter().any(|(name, value)| {
            *name == CONTENT_TYPE && value.to_str().is_ok_and(|value| value.starts_with("application/json"))
        });
        if let Some(body) = request.body.filter(|_| is_json)
            && let Err(error) = serde_json::from_slice::<serde_json::Value>(&body)
        {
            return Err(format!(
                "the body is no JSON when it is filled in: {} ({error}); give it another content-type if it is not meant to be",
                String::from_utf8_lossy(&body)
            ));
        }
        Ok(asking)
    }
}

impl<W> Asking<W> {
    /// As it stands in a description.
    pub(super) fn written(self) -> AskingParts<W> {
        (self.method, self.path, self.headers, self.body)
    }

    /// The request with every place filled in.
    ///
    /// # Errors
    /// When a header cannot hold what belongs there.
    pub(super) fn fill(&self, of: impl Fn(&str) -> Value) -> Result<Request, String> {
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            let value = value.fill(&of);
            let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is no name of a header"))?;
            let wrong = |_| format!("{value:?} cannot be in the header {name}");
            let value = HeaderValue::from_str(&value).map_err(wrong)?;
            headers.push((name, value));
        }
        if self.body.is_some() && !headers.iter().any(|(name, _)| *name == CONTENT_TYPE) {
            headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        Ok(Request {
            method: self.method.into(),
            path: self.path.0.fill_path(&of),
            headers,
            body: self.body.as_ref().map(|body| body.fill(&of).into_bytes()),
        })
    }
}

/// An operation of some kind, as it is described.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written<K>", into = "Written<K>")]
#[serde(bound(serialize = "K: Kind + Clone", deserialize = "K: Kind"))]
pub struct Operation<K> {
    asking: Asking<K>,
    answers: Vec<Rule>,
}

/// An operation as it stands in a description.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[serde(bound(serialize = "K: Kind", deserialize = "K: Kind"))]
struct Written<K> {
    #[serde(default)]
    method: Verb,
    path: Path<K>,
    #[serde(default)]
    headers: BTreeMap<String, Template<K>>,
    #[serde(default)]
    body: Option<Template<K>>,
    answers: Vec<Rule>,
}

impl<K: Kind> TryFrom<Written<K>> for Operation<K> {
    type Error = String;

    fn try_from(written: Written<K>) -> Result<Self, Self::Error> {
        let Written { method, path, headers, body, answers } = written;
        let asking = Asking::new(method, path, headers, body, K::NAME)?;
        for rule in &answers {
            check_rule(rule, K::NAME, K::MEANINGS)?;
            if rule.outcome == Meaning::Ok && rule.gives() != K::GIVES {
                return Err(match K::GIVES {
                    true => format!("a {} that is ok has a value, or says that there is none (absent = true)", K::NAME),
                    false => format!("a {} that is ok gives no value: leave out `value` and `absent`", K::NAME),
                });
            }
        }
        if !answers.iter().any(|rule| rule.outcome == Meaning::Ok) {
            return Err(format!("no answer to a {} means ok, so none could ever succeed", K::NAME));
        }
        Ok(Self { asking, answers })
    }
}

impl<K> From<Operation<K>> for Written<K> {
    fn from(operation: Operation<K>) -> Self {
        let Operation { asking: Asking { method, path, headers, body, .. }, answers } = operation;
        Self { method, path, headers, body, answers }
    }
}

fn check_rule(rule: &Rule, name: &str, meanings: &[Meaning]) -> Result<(), String> {
    if meanings.contains(&rule.outcome) {
        return Ok(());
    }
    let names: Vec<_> = meanings.iter().map(|meaning| meaning.name()).collect();
    Err(format!("no answer to a {name} means {}; it can mean {}", rule.outcome.name(), names.join(", ")))
}

impl<K: Kind> Operation<K> {
    /// The request with every place filled in.
    ///
    /// # Errors
    /// When a header cannot hold what belongs there.
    pub(super) fn request(&self, of: impl Fn(&str) -> Value) -> Result<Request, String> {
        self.asking.fill(of)
    }

    /// What an answer means: by its own rules, then by those for every operation, as far as they can be meant.
    pub(super) fn judge(&self, shared: &[Rule], answer: &Answer) -> Outcome {
        // One for every operation that says ok without a value is for those that give none, and the other way round: taken for a read's, it
        // would be an answer that says nothing; for a write's, one that was not meant.
        let shared = shared.iter().filter(|rule| match rule.outcome {
            Meaning::Ok => K::MEANINGS.contains(&Meaning::Ok) && rule.gives() == K::GIVES,
            other => K::MEANINGS.contains(&other) || other == Info,
        });
        judge(self.answers.iter().chain(shared), answer, K::GIVES, K::IS_READ)
    }

    /// Whether the request has a place for this word.
    pub(super) fn says(&self, word: &str) -> bool {
        let Asking { path, headers, body, .. } = &self.asking;
        headers.values().chain(body).chain([&path.0]).any(|template| template.words().any(|w| w == word))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn operation<K: Kind>(json: Json) -> Result<Operation<K>, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    fn of(word: &str) -> Value {
        match word {
            "key" => Value::Text("k1".into()),
            "old" => Value::Int(1),
            _ => Value::Int(2),
        }
    }

    #[test]
    fn a_request_is_filled_in() {
        let cas = operation::<Cas>(
            json!({"method": "PUT", "path": "/kv/{key}?prev={old}", "headers": {"If-Match": "v{old}"},
            "body": "{\"new\": {new|json}}", "answers": [{"status": 200, "outcome": "ok"}]}),
        )
        .unwrap();
        let request = cas.request(of).unwrap();
        assert_eq!((request.method, request.path.as_str()), (Method::PUT, "/kv/k1?prev=1"));
        assert_eq!(request.body.as_deref(), Some(&b"{\"new\": 2}"[..]));
        let headers: Vec<_> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(headers, [("if-match", "v1"), ("content-type", "application/json")]);
        let stored = serde_json::to_value(&cas).unwrap();
        assert_eq!(operation::<Cas>(stored).unwrap(), cas);
    }

    #[test]
    fn what_cannot_be_a_request_is_refused() {
        let ok = json!([{"status": 200, "outcome": "ok"}]);
        for (json, words) in [
            (json!({"path": "kv/{key}/{value}", "answers": ok}), "begins with a slash"),
            (json!({"path": "//evil/{key}/{value}", "answers": ok}), "begins with a slash"),
            (json!({"path": "/{key}/{value} x", "answers": ok}), "a space in it"),
            (json!({"path": "/{key}/{value}#x", "answers": ok}), "'#' in it"),
            (json!({"path": "/{key}", "answers": ok}), "does not say {value}"),
            (json!({"path": "/{value}", "answers": ok}), "does not say {key}"),
            (json!({"path": "/{key}/{value}/{old}", "answers": ok}), "{old} cannot be filled in"),
            (json!({"path": "/{key}", "body": "{\"v\": {value}", "answers": ok}), "no JSON when it is filled in"),
            (json!({"path": "/{key}/{value}", "headers": {"a b": "c"}, "answers": ok}), "no name of a header"),
            (json!({"path": "/{key}/{value}", "headers": {"a": "c\n"}, "answers": ok}), "cannot be in the header"),
            (json!({"path": "/{key}/{value}", "method": "TRACE", "answers": ok}), "unknown variant"),
            (json!({"path": "/{key}/{value}", "answers": []}), "none could ever succeed"),
            (json!({"path": "/{key}/{value}"}), "missing field `answers`"),
            (json!({"path": "/{key}/{value}", "answer": ok, "answers": ok}), "unknown field `answer`"),
            (
                json!({"path": "/{key}/{value}", "answers": [{"status": 200, "outcome": "mismatch"}]}),
                "means mismatch; it can mean ok, fail, info",
            ),
        ] {
            let error = operation::<Change>(json).expect_err(words);
            assert!(error.contains(words), "{error}");
        }
        let read = operation::<Read>(json!({"path": "/{key}", "answers": ok})).expect_err("a read without a value");
        assert!(read.contains("absent = true"), "{read}");
        let text =
            json!({"path": "/{key}", "headers": {"Content-Type": "text/plain"}, "body": "v={value}", "answers": ok});
        assert!(operation::<Change>(text).is_ok());
    }

    /// A rule for every operation that says "mismatch" must not make a mismatch of a write.
    #[test]
    fn shared_rules_mean_only_what_the_operation_can_mean() {
        let write =
            operation::<Change>(json!({"path": "/{key}/{value}", "answers": [{"status": 200, "outcome": "ok"}]}))
                .unwrap();
        let shared: Vec<Rule> = serde_json::from_value(json!([
            {"status": 412, "outcome": "mismatch"},
            {"status": [412, 400], "outcome": "fail"},
        ]))
        .unwrap();
        let judge = |status| write.judge(&shared, &Answer { status, body: Vec::new() });
        assert_eq!(judge(200), Outcome::ok(None));
        assert_eq!(judge(412), Outcome::fail("http-412"));
        assert_eq!(judge(400), Outcome::fail("http-400"));
        assert_eq!(judge(500), Outcome::info("http-500"));
    }

    /// An answer that no rule of its own is for: a shared "ok" without a value is none of a read or of what takes, or the judge would hear of an
    /// absent key and an empty queue; and one with a value, or with none, is none of a write.
    #[test]
    fn a_shared_ok_is_only_for_operations_that_give_as_much() {
        let own = json!([{"status": 200, "is": {"/item": "number"}, "value": "/item", "outcome": "ok"}]);
        let take = operation::<Take>(json!({"method": "POST", "path": "/{key}", "answers": own})).unwrap();
        let read = operation::<Read>(json!({"path": "/{key}", "answers": own})).unwrap();
        let write =
            operation::<Change>(json!({"path": "/{key}/{value}", "answers": [{"status": 200, "outcome": "ok"}]}))
                .unwrap();
        let shared: Vec<Rule> = serde_json::from_value(json!([
            {"status": 200, "outcome": "ok"},
            {"status": 404, "outcome": "ok", "absent": true},
        ]))
        .unwrap();
        let odd = Answer { status: 200, body: br#"{"item": "7"}"#.to_vec() };
        assert_eq!(take.judge(&shared, &odd), Outcome::info("bad-answer"));
        assert_eq!(read.judge(&shared, &odd), Outcome::fail("bad-answer"));
        let missing = Answer { status: 404, body: Vec::new() };
        assert_eq!(read.judge(&shared, &missing), Outcome::ok(Some(Value::Nil)));
        assert_eq!(write.judge(&shared, &missing), Outcome::info("http-404"));
        let gives = json!({"path": "/{key}/{value}", "answers": [{"status": 200, "outcome": "ok", "absent": true}]});
        assert!(operation::<Change>(gives).expect_err("a write gives nothing").contains("gives no value"));
    }
}
